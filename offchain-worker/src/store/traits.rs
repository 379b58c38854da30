//! What a backend states about itself, so that the rest of the store never checks which backend it has.

use std::{path::PathBuf, time::Duration};

use object_store::signer::Signer;

/// The traits of a backend. The default claims nothing.
#[derive(Default)]
pub(super) struct Traits {
    pub publishing: Publishing,
    /// Whether the storage has the bytes of every write that it confirmed. Otherwise, the worker reads each segment
    /// back before the segment counts as stored.
    pub durable_writes: bool,
    /// For one operation, with all its attempts and pauses. Absent: no limit.
    pub deadline: Option<Duration>,
    /// Signs URLs under which readers fetch segments from the backend itself. Absent: the worker serves them.
    pub links: Option<Box<dyn Signer>>,
    /// Whether another worker can be given the same storage by mistake, so that its owner must be recorded in it.
    pub shared: bool,
    /// The directory of a storage on a disk of this machine.
    pub directory: Option<PathBuf>,
}

/// How a segment becomes visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Publishing {
    /// Parts are written to a staging name, which is then renamed.
    #[default]
    Staged,
    /// One request stores the whole segment or nothing.
    Whole,
}
