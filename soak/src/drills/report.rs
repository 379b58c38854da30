//! The result of a drill, for programs and for people.

use serde::Serialize;

use super::{name::Name, watch::Finality};
use crate::results::{Table, mib};

/// Something that was seen in the drill: what a runbook can promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Figure {
    pub what: String,
    pub seen: String,
}

/// Something that happened, and when, in seconds after the begin of the load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    pub at_seconds: u64,
    pub what: String,
}

/// A drill in which everything held.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub hospitals: usize,
    pub seconds: u64,
    pub visits_acknowledged: usize,
    pub visits_committed: usize,
    pub media_bytes: u64,
    pub blocks: u32,
    pub segments: usize,
    pub finality: Finality,
    /// Reports that the chain accepted.
    pub equivocations: usize,
    pub figures: Vec<Figure>,
    pub steps: Vec<Step>,
}

impl Outcome {
    /// The account that every drill gives, then the drill's own figures.
    pub fn table(&self, name: Name) -> Table {
        let mut table = Table::new(&format!("Drill {name}"), &["what", "seen"]);
        let mut row = |what: &str, seen: String| table.row([what.to_owned(), seen]);
        row("visits acknowledged", self.visits_acknowledged.to_string());
        row("visits committed, each once", self.visits_committed.to_string());
        row("media", mib(self.media_bytes));
        row("lite blocks", self.blocks.to_string());
        row(
            "heights at which the nodes' final blocks were compared",
            self.finality.heights.to_string(),
        );
        row(
            "longest time without a new final block",
            format!("{:.0} s", self.finality.longest_without_seconds),
        );
        row("most blocks that were not final at a node", self.finality.largest_lag.to_string());
        row("equivocations reported", self.equivocations.to_string());
        for Figure { what, seen } in &self.figures {
            row(what, seen.clone());
        }
        table.note(format!("Cause: {}.", name.cause()));
        table.note(format!("What held: {}.", name.must_hold()));
        table.note(
            "Every acknowledged visit is committed once and was read back byte for byte, every hospital of the network \
             has every segment undamaged, and no two nodes had different final blocks at one height.",
        );
        let mut steps = Table::new("Steps", &["after", "what happened"]);
        for Step { at_seconds, what } in &self.steps {
            steps.row([format!("{at_seconds} s"), what.clone()]);
        }
        table.part(steps);
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_account_the_figures_and_the_steps() {
        let outcome = Outcome {
            hospitals: 4,
            seconds: 600,
            visits_acknowledged: 41,
            visits_committed: 41,
            media_bytes: 1 << 20,
            blocks: 30,
            segments: 33,
            finality: Finality { heights: 200, longest_without_seconds: 6.4, largest_lag: 3 },
            equivocations: 0,
            figures: vec![Figure { what: "until final".into(), seen: "9 s".into() }],
            steps: vec![Step { at_seconds: 60, what: "cut".into() }],
        };
        let text = format!("{:?}", outcome.table(Name::Partition31));
        for expected in ["41", "until final", "9 s", "60 s", "cut", "Steps", "6 s"] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        let json = serde_json::to_value(&outcome).unwrap();
        assert_eq!(json["finality"]["largestLag"], 3);
    }
}
