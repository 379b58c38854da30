//! The result of a scrub, as text, as JSON, and as metrics.

use epione_primitives::Moment;
use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;

/// Names listed in a report, at most.
const MAX_NAMES: usize = 100;

/// What one complete pass found and did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScrubReport {
    /// Unix time in milliseconds.
    pub began: Moment,
    pub seconds: f64,
    /// Lite blocks that the chain has committed.
    pub blocks: u32,
    /// Committed blocks whose bodies contradict the chain.
    pub contradictory_blocks: u32,
    /// Segments that were checked, each once.
    pub segments: u64,
    /// Bytes of the segments that were read.
    pub bytes: u64,
    pub missing: u64,
    pub damaged: u64,
    /// Segments that the storage lists and does not return: archived objects, answers that break off, bad sectors.
    pub unreadable: u64,
    /// Segments that were fetched from other hospitals, stored, and verified.
    pub repaired: u64,
    /// Segments that are needed, and still missing or damaged here.
    pub unrepaired: Names,
    /// Segments that the chain needs and the journal did not know. The journal was corrected.
    pub unknown_to_journal: u64,
    /// Lite blocks that failed, and whose segments the journal still kept. The journal was corrected.
    pub held_in_vain: u64,
    /// Stored segments that the journal does not know. They are deleted later, unless something needs them by then.
    pub orphans: Names,
}

/// The number of segments, and the names of the first hundred.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    pub count: u64,
    pub names: Vec<String>,
}

impl Names {
    pub fn add(&mut self, hash: &[u8; 32]) {
        self.count += 1;
        if self.names.len() < MAX_NAMES {
            self.names.push(hex::encode(hash));
        }
    }
}

impl ScrubReport {
    /// Whether every needed segment is now stored and intact.
    pub fn is_whole(&self) -> bool {
        self.unrepaired.count == 0 && self.contradictory_blocks == 0
    }

    /// Segments and blocks about which chain and journal disagreed.
    pub fn drift(&self) -> u64 {
        self.unknown_to_journal + self.held_in_vain
    }

    /// Sets the metrics of the last complete pass.
    pub(super) fn show(&self, metrics: &Metrics) {
        let ended = self.began / 1_000 + self.seconds as u64;
        for (gauge, value) in [
            (&metrics.scrub_finished_at, ended),
            (&metrics.scrub_seconds, self.seconds as u64),
            (&metrics.scrub_checked, self.segments),
            (&metrics.scrub_missing, self.missing),
            (&metrics.scrub_damaged, self.damaged),
            (&metrics.scrub_repaired, self.repaired),
            (&metrics.scrub_unrepaired, self.unrepaired.count),
            (&metrics.scrub_drift, self.drift()),
            (&metrics.scrub_orphans, self.orphans.count),
        ] {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }

    /// The report as text.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!(
                "checked {} segments of {} committed lite blocks and of queued visits; read {:.1} MiB in {:.1} s",
                self.segments,
                self.blocks,
                self.bytes as f64 / (1024.0 * 1024.0),
                self.seconds
            ),
            format!(
                "missing {}, damaged {}, unreadable {}, repaired {}, not repaired {}",
                self.missing, self.damaged, self.unreadable, self.repaired, self.unrepaired.count
            ),
        ];
        lines.extend(self.unrepaired.names.iter().map(|name| format!("  not repaired: {name}")));
        if self.contradictory_blocks > 0 {
            lines.push(format!(
                "the bodies of {} committed blocks contradict the chain; the log names them",
                self.contradictory_blocks
            ));
        }
        if self.drift() > 0 {
            lines.push(format!(
                "the journal differed from the chain and was corrected: it did not know {} needed \
                 segments, and kept the segments of {} failed blocks",
                self.unknown_to_journal, self.held_in_vain
            ));
        }
        if self.orphans.count > 0 {
            lines.push(format!(
                "no block, visit or offer needs {} stored segments; the worker will delete them \
                 after the grace period",
                self.orphans.count
            ));
            lines.extend(self.orphans.names.iter().map(|name| format!("  orphan: {name}")));
        }
        lines
    }
}

/// The progress of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "step")]
pub enum ScrubProgress {
    /// No pass is running.
    Idle,
    /// It reads committed lite blocks.
    Chain { done: u32, of: u32 },
    /// It looks for missing segments.
    Presence { done: u64 },
    /// It reads segments.
    Reading { done: u64, of: u64 },
    /// It looks for segments that belong to nothing.
    Orphans,
}

impl std::fmt::Display for ScrubProgress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Idle => write!(f, "waiting"),
            Self::Chain { done, of } => write!(f, "reading the chain: block {done} of {of}"),
            Self::Presence { done } => write!(f, "looking for missing segments: {done} so far"),
            Self::Reading { done, of } => write!(f, "reading segments: {done} of {of}"),
            Self::Orphans => write!(f, "looking for unneeded segments"),
        }
    }
}
