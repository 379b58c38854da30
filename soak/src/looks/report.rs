//! The result as people read it, and the limit.

use anyhow::ensure;

use super::{
    Looks,
    commands::{Compared, Summary},
    parts::Parts,
    visits::{IMAGE, TEXTS},
};
use crate::results::Table;

impl Looks {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let Compared { command, ratio, .. } = &self.whole;
        ensure!(
            *ratio <= self.max_ratio,
            "the median of {command}, as a whole look, was {ratio:.2} times that with --trust-node, which is more \
             than {}",
            self.max_ratio
        );
        Ok(())
    }

    pub(super) fn table(&self) -> Table {
        let head = [
            "reading",
            "state",
            "verified, median",
            "least to most",
            "p90",
            "--trust-node, median",
            "least to most",
            "p90",
            "ratio of medians",
        ];
        let mut table = Table::new("What it costs not to believe the node", &head);
        table.row(row(&self.whole, "whole look", seconds));
        for part in self.parts() {
            table.row(row(&part, "part of a look", seconds));
        }
        for (state, all) in [("usual", &self.usual), ("first use", &self.first_use)] {
            for compared in all {
                table.row(row(compared, state, millis));
            }
        }
        for note in self.notes() {
            table.note(note);
        }
        table
    }

    fn parts(&self) -> Vec<Compared> {
        let (verified, believed) = (&self.parts.verified, &self.parts.believed);
        let part = |command, of: fn(&Parts) -> Summary| {
            let (verified, believed) = (of(verified), of(believed));
            let ratio = verified.median / believed.median.max(0.001);
            Compared { command, verified, believed, ratio }
        };
        vec![
            part("record checked, request signed", |parts| parts.request),
            part("hospital decided, receipt final at its node", |parts| parts.decision),
            part("receipt final at the reader's node", |parts| parts.receipt),
            part("bytes fetched and verified", |parts| parts.bytes),
            part("all parts", |parts| parts.whole),
        ]
    }

    fn notes(&self) -> Vec<String> {
        let Self { hospitals, count, max_ratio, .. } = self;
        let (texts, image) = (TEXTS.len(), IMAGE.len());
        let limit = match self.check() {
            Ok(()) => format!("The ratio of whole looks stayed within the limit of {max_ratio}."),
            Err(error) => format!("**Limit exceeded: {error}.**"),
        };
        vec![
            format!(
                "{hospitals} hospitals with nodes and workers ran on this machine. Each visit has {texts} texts and \
                 an image of {image} bytes. {count} of each reading in each way and state took turns."
            ),
            "Whole look: a doctor's process reads a record for the first time. Each look has a receipt of its own, \
             for which it waits until the block is final. Before both looks of a pair there is the same pause of up \
             to one slot. Only whole looks have a limit."
                .to_owned(),
            "Part of a look: other first readings, within one process that is connected already.".to_owned(),
            "Usual and first use: processes that read without a receipt. Usual: the file of the last verified block \
             exists. First use: it does not, and the command verifies from the chain's first block on. They wait for \
             no block, so verifying takes a large part of their time: they have no limit."
                .to_owned(),
            limit,
        ]
    }
}

/// A row of the table, with times in this unit.
fn row(compared: &Compared, state: &str, unit: fn(f64) -> String) -> [String; 9] {
    let Compared { command, verified, believed, ratio } = compared;
    let [verified, believed] = [verified, believed].map(|Summary { least, median, p90, most }| {
        [unit(*median), format!("{} to {}", unit(*least), unit(*most)), unit(*p90)]
    });
    let [median, range, p90] = verified;
    let [other_median, other_range, other_p90] = believed;
    let (command, state) = ((*command).to_owned(), state.to_owned());
    let ratio = format!("{ratio:.2}");
    [command, state, median, range, p90, other_median, other_range, other_p90, ratio]
}

fn seconds(time: f64) -> String {
    format!("{time:.2} s")
}

fn millis(time: f64) -> String {
    format!("{:.0} ms", time * 1_000.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::looks::{HOSPITALS, PartsOfBoth};

    fn compared(command: &'static str, verified: u64, believed: u64) -> Compared {
        let times = |millis| vec![Duration::from_millis(millis)];
        Compared::of(command, times(verified), times(believed))
    }

    fn looks(whole: Compared, short: Compared) -> Looks {
        let one = Summary::of(vec![Duration::from_millis(1_000)]);
        let parts = Parts { request: one, decision: one, receipt: one, bytes: one, whole: one };
        Looks {
            hospitals: HOSPITALS,
            count: 10,
            whole,
            parts: PartsOfBoth { verified: parts.clone(), believed: parts },
            usual: vec![short.clone()],
            first_use: vec![short],
            max_ratio: 1.3,
        }
    }

    #[test]
    fn only_whole_looks_have_a_limit() {
        let slow = |command| compared(command, 131, 100);
        let quick = |command| compared(command, 130, 100);
        let looks_quick = looks(quick("epione records get"), slow("epione records list"));
        assert!(looks_quick.check().is_ok());
        let looks_slow = looks(slow("epione records get"), quick("epione records list"));
        let error = looks_slow.check().unwrap_err().to_string();
        assert!(error.contains("records get, as a whole look, was 1.31 times"), "{error}");
    }

    #[test]
    fn readings_without_a_receipt_are_shown_in_milliseconds() {
        let whole = row(&compared("epione records get", 3_000, 2_500), "whole look", seconds);
        assert_eq!(whole[2..4], ["3.00 s", "3.00 s to 3.00 s"]);
        assert_eq!((&*whole[5], &*whole[8]), ("2.50 s", "1.20"));
        let short = row(&compared("epione records list", 94, 12), "usual", millis);
        assert_eq!((&*short[2], &*short[5]), ("94 ms", "12 ms"));
    }

    #[test]
    fn a_limit_that_was_exceeded_is_in_the_result() {
        let list = || compared("epione records list", 90, 10);
        let last = |looks: &Looks| looks.notes().pop().unwrap();
        assert!(last(&looks(compared("x", 13, 10), list())).contains("stayed within the limit"));
        assert!(last(&looks(compared("x", 14, 10), list())).starts_with("**Limit exceeded"));
    }
}
