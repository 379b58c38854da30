//! What a client believes its node, and what it knows without the node.

use std::{path::PathBuf, sync::Arc, time::Duration};

use epione_primitives::{Hash, limits::MAX_CLOCK_LEAD_MILLIS};
use epione_proofs::Tolerance;

use crate::chain::Checkpoint;

/// How old the newest final block may be, unless the client chooses another limit.
pub const MAX_AGE: Duration = Duration::from_secs(300);

/// What a user gives up who trusts a node, in words for this user.
pub const TRUSTING_GIVES_UP: &str = "the node is believed without proof: it, and everyone who controls it, can hide \
    records, receipts and refusals, show old states, and name another worker as a hospital's, which then receives what \
    you submit";

/// What a client believes its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nothing that is not proven from the hash of the genesis block.
    Verified(Pinned),
    /// Every answer. See [`TRUSTING_GIVES_UP`].
    Node,
}

/// What a client knows about its chain without asking a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    pub(super) genesis: Hash,
    pub(super) memory: Option<PathBuf>,
    pub(super) checkpoint: Option<Arc<Checkpoint>>,
    pub(super) tolerance: Tolerance,
    pub(super) patience: Duration,
}

impl Pinned {
    /// The chain with this genesis block. Its newest final block may be at most [`MAX_AGE`] old.
    pub fn new(genesis: Hash) -> Self {
        let tolerance = Tolerance { behind: millis(MAX_AGE), ahead: MAX_CLOCK_LEAD_MILLIS };
        Self { genesis, memory: None, checkpoint: None, tolerance, patience: Duration::ZERO }
    }

    /// Keeps the last verified block and its authorities in this file. The next start begins there, and refuses a node
    /// whose chain is shorter. Several processes may use one file.
    #[must_use]
    pub fn remembering(self, file: impl Into<PathBuf>) -> Self {
        Self { memory: Some(file.into()), ..self }
    }

    /// Begins at this checkpoint instead of the genesis block. Whoever gives it believes the hospitals' word for the
    /// authorities after its block. It must be of this chain. If blocks were verified earlier and are remembered, it
    /// must be on their chain, and a client that is beyond it does not go back.
    #[must_use]
    pub fn beginning_at(self, checkpoint: Checkpoint) -> Self {
        Self { checkpoint: Some(Arc::new(checkpoint)), ..self }
    }

    /// The newest final block may be at most this old.
    #[must_use]
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.tolerance.behind = millis(max_age);
        self
    }

    /// Waits this long for a node that is a few blocks behind what was verified earlier, as the nodes of two hospitals
    /// differ at times. Without this, such a node is refused at once.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    pub fn genesis(&self) -> Hash {
        self.genesis
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
