//! Reads of a hospital's seat among the validators: its session keys, and how far it is from making blocks.
//!
//! The runtime API does not answer about it. A client reads the chain's storage, with storage proofs, also if it
//! believes which state a block has.

use epione_primitives::HospitalId;

use super::{ChainError, Snapshot};
use crate::application::SessionKeys;

/// A hospital's seat, all as of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The session keys that the hospital set last; none before the first.
    pub keys: Option<SessionKeys>,
    /// Whether it does not validate until its worker reports that it is ready.
    pub unready: bool,
    /// The keys with which it validates in the next session; none if it does not.
    pub queued: Option<SessionKeys>,
    /// Whether it validates in this session.
    pub seated: bool,
}

impl Snapshot {
    /// The seat of a hospital, by one computation.
    pub async fn seat(&self, hospital: HospitalId) -> Result<Seat, ChainError> {
        self.proving().await?.seat(hospital).await
    }
}
