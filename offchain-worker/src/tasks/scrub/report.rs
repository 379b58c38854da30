//! What a scrub found, for people, for programs, and for Prometheus.

use epione_primitives::Moment;
use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;

/// Names listed in a report, at most.
const MAX_NAMES: usize = 100;

/// What one complete pass found and did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Unix time in milliseconds.
    pub began: Moment,
    pub seconds: f64,
    /// Lite blocks that the chain has committed.
    pub blocks: u32,
    /// Those of them whose bodies contradict what the chain says of them.
    pub contradictory_blocks: u32,
    /// Segments that were looked at, each once.
    pub segments: u64,
    /// Their bytes, as far as they were read.
    pub bytes: u64,
    pub missing: u64,
    pub damaged: u64,
    pub repaired: u64,
    /// Needed, and not here for now.
    pub unrepaired: Names,
    /// Segments that the chain names and the journal did not know to be needed. It does now.
    pub unknown_to_journal: u64,
    /// Lite blocks that came to nothing, whose segments the journal still held. It does not any more.
    pub held_in_vain: u64,
    /// Stored, and nothing is known of them. Deleted when their time is up, unless somebody needs them.
    pub orphans: Names,
}

/// How many segments, and the names of the first hundred.
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

impl Report {
    /// Whether every needed segment is here and intact now.
    pub fn is_whole(&self) -> bool {
        self.unrepaired.count == 0 && self.contradictory_blocks == 0
    }

    /// Disagreements of chain and journal.
    pub fn drift(&self) -> u64 {
        self.unknown_to_journal + self.held_in_vain
    }

    /// Shows the pass as the last complete one.
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

    /// For people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!(
                "{} segments of {} committed lite blocks and of queued visits, {:.1} MiB read in {:.1} s",
                self.segments,
                self.blocks,
                self.bytes as f64 / (1024.0 * 1024.0),
                self.seconds
            ),
            format!(
                "missing {}, damaged {}, repaired {}, not repaired {}",
                self.missing, self.damaged, self.repaired, self.unrepaired.count
            ),
        ];
        lines.extend(self.unrepaired.names.iter().map(|name| format!("  not repaired: {name}")));
        if self.contradictory_blocks > 0 {
            lines.push(format!(
                "{} committed blocks contradict themselves; the log names them",
                self.contradictory_blocks
            ));
        }
        if self.drift() > 0 {
            lines.push(format!(
                "chain and journal disagreed: {} segments were unknown to the journal, {} blocks were held in vain; mended",
                self.unknown_to_journal, self.held_in_vain
            ));
        }
        if self.orphans.count > 0 {
            lines.push(format!(
                "{} stored segments belong to nothing; they are deleted when their time is up",
                self.orphans.count
            ));
            lines.extend(self.orphans.names.iter().map(|name| format!("  orphan: {name}")));
        }
        lines
    }
}

/// How far a pass is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "step")]
pub enum Progress {
    /// Nothing is under way.
    Idle,
    /// Committed lite blocks are read.
    Chain { done: u32, of: u32 },
    /// What is missing is looked for.
    Presence { done: u64 },
    /// Segments are read.
    Reading { done: u64, of: u64 },
    /// What belongs to nothing is looked for.
    Orphans,
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Idle => write!(f, "waiting"),
            Self::Chain { done, of } => write!(f, "reading the chain: block {done} of {of}"),
            Self::Presence { done } => write!(f, "looking for missing segments: {done} so far"),
            Self::Reading { done, of } => write!(f, "reading segments: {done} of {of}"),
            Self::Orphans => write!(f, "looking for segments that belong to nothing"),
        }
    }
}
