//! How long the plan waits for hospitals, and how many segments it requests from each.

use std::time::Duration;

/// The rules for fetching a block.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Segments requested from one hospital at once, for one block.
    pub per_peer: usize,
    /// If no more bytes than this are missing, they are fetched from the announcer alone: asking the others would cost
    /// more than it saves.
    pub small: u64,
    /// If no segment arrives or becomes available anywhere for this long, the shares of other hospitals are dealt out.
    /// If a hospital needs longer for a segment, another one is asked for the rest.
    pub patience: Duration,
    /// Between two questions to one hospital, which segments it has: at first, and at most.
    pub ask_every: (Duration, Duration),
    /// Before a busy hospital is asked again: at first, and at most.
    pub rest: (Duration, Duration),
    /// If all hospitals that have the missing segments are busy for this long, the fetch ends.
    pub give_up: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            per_peer: 2,
            small: 1024 * 1024,
            patience: Duration::from_secs(3),
            ask_every: (Duration::from_millis(300), Duration::from_secs(1)),
            rest: (Duration::from_millis(500), Duration::from_secs(2)),
            give_up: Duration::from_secs(60),
        }
    }
}
