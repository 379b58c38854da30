//! The drills: their names, what causes each, and what must hold. docs/consortium.md has the same names.

use std::fmt;

use clap::ValueEnum;

/// A drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// One of four hospitals is cut off from the others
    #[value(name = "partition-3-1")]
    Partition31,
    /// Two of four hospitals are cut off from the other two
    #[value(name = "partition-2-2")]
    Partition22,
    /// Two of four hospitals lose power for longer than a session
    TwoOfFourAway,
    /// Two workers of one hospital run
    TwoWorkers,
    /// A node loses its database again and again, and keeps its session keys
    RestoredNode,
    /// A node is restored from an old copy of its disk
    YesterdaysDisk,
    /// Three of seven hospitals are gone for good
    #[value(name = "stalled-finality-7")]
    StalledFinality7,
    /// A validator is down for more than a session
    SilentValidator,
    /// Two nodes vote with one hospital's keys
    Equivocation,
    /// A hospital replaces its five keys
    Rotation,
    /// A fifth hospital joins and leaves
    JoinAndLeave,
    /// A hospital leaves, and its custodian answers for its records
    Departure,
    /// The machines of a hospital are gone, and its custodian answers for its records
    DepartureDead,
    /// The chain gets another runtime
    Upgrade,
}

impl Name {
    /// What goes wrong.
    pub fn cause(self) -> &'static str {
        match self {
            Self::Partition31 => "one of four hospitals is cut off from the others for ten minutes",
            Self::Partition22 => {
                "two of four hospitals are cut off from the other two for ten minutes"
            }
            Self::TwoOfFourAway => {
                "node and worker of two of four hospitals are killed, and start again after 15 minutes, and not before \
                 the begin of the next session"
            }
            Self::TwoWorkers => {
                "a second worker of a hospital is started with the same configuration; with a copy of it that has \
                 another data directory and the same bucket; and with one that has a storage of its own"
            }
            Self::RestoredNode => {
                "a node is killed, its database is deleted, and it starts again with its session keys, 20 times"
            }
            Self::YesterdaysDisk => {
                "a node is killed, and starts again from a copy of its disk that is older than a session"
            }
            Self::StalledFinality7 => {
                "node and worker of three of seven hospitals are killed, and never start again"
            }
            Self::SilentValidator => {
                "node and worker of one of four hospitals are killed, until the chain takes its seat"
            }
            Self::Equivocation => {
                "a second node with one hospital's session keys is started while the first is cut off from the others, \
                 and goes on when the first is back"
            }
            Self::Rotation => {
                "a hospital replaces its keys of session, sealing, TLS, agent and governance, one after the other"
            }
            Self::JoinAndLeave => "the council admits a fifth hospital, which later leaves",
            Self::Departure => "one of four hospitals leaves, and the council removes it",
            Self::Upgrade => {
                "a chain that began with the runtime before gets the runtime of its nodes"
            }
            Self::DepartureDead => {
                "the machines of one of four hospitals are gone, and the council removes it"
            }
        }
    }

    /// What must hold, in addition to what must hold in every drill.
    pub fn must_hold(self) -> &'static str {
        match self {
            Self::Partition31 => {
                "the three go on to finalize blocks; the fourth is back by itself, and its visits are committed"
            }
            Self::Partition22 => {
                "neither side has a final block meanwhile; both are back by themselves"
            }
            Self::TwoOfFourAway => {
                "no block becomes final meanwhile; finality and visits resume by themselves when the two are back"
            }
            Self::TwoWorkers => {
                "the second worker does not start, or does no harm; the first worker serves its visits throughout"
            }
            Self::RestoredNode | Self::YesterdaysDisk => {
                "the node follows the chain again by itself, and never equivocates"
            }
            Self::StalledFinality7 => {
                "the four recover finality by the steps of the runbook, and visits resume without a restart; the four \
                 make equal checkpoints, and doctors who trust no node begin at them"
            }
            Self::SilentValidator => {
                "the hospital loses its seat and nothing else; finality goes on with three; it is seated again after \
                 `ready`, and makes blocks"
            }
            Self::Equivocation => {
                "the hospital is benched and keeps its seat in the council; finality goes on; it validates again with \
                 new keys"
            }
            Self::Rotation => {
                "each key is in use and the one before is refused; the worker is away only for its two restarts"
            }
            Self::JoinAndLeave => {
                "validators, council and electorate agree at every size; finality pauses for less than two sessions"
            }
            Self::Departure => {
                "the hospital serves its doctor until it is removed; then a doctor of its custodian reads the \
                 records of a patient who entrusted the keys; receipts of both hospitals are proven"
            }
            Self::Upgrade => {
                "the council authorizes the code, which takes effect after the delay; a hospital that was suspended \
                 before is suspended afterwards; nodes, workers and doctors go on without a restart"
            }
            Self::DepartureDead => {
                "a doctor of the custodian reads the records of a patient who entrusted the keys; receipts of both \
                 hospitals are proven"
            }
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_drill_is_in_the_runbook() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/consortium.md");
        let runbook = std::fs::read_to_string(path).unwrap();
        for drill in Name::value_variants() {
            assert!(runbook.contains(&format!("| `{drill}` |")), "{drill}");
        }
    }
}
