//! The result as people read it, and the limit.

use anyhow::ensure;

use super::{
    Consortium,
    arithmetic::{Arithmetic, Combining, PartTimes},
    ceremony::{Costs, Kind},
    looks::{Blocks, Looks},
    network::{Activation, SECTIONS},
    pairings::{Pairings, Reported},
    spread::Spread,
};
use crate::results::Table;

impl Consortium {
    /// Compares the medians of the looks.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let (standing, collect) =
            (self.looks.standing.blocks.median, self.looks.collect.blocks.median);
        let limit = self.max_blocks;
        ensure!(
            standing <= collect.saturating_add(limit),
            "the median of standing looks took {standing} chain blocks, which is more than {limit} above the \
             {collect} of looks at what was accepted before"
        );
        Ok(())
    }

    pub(super) fn table(&self) -> Table {
        let mut table = self.ceremony_table();
        table.part(self.bytes_table());
        table.part(self.operation_table());
        table.part(self.look_table());
        table
    }

    fn ceremony_table(&self) -> Table {
        let head = [
            "members",
            "threshold",
            "ceremony",
            "a member enrols",
            "a member deals",
            "a member judges",
            "a member combines",
            "all members together",
        ];
        let mut table = Table::new("The consortium key: what its ceremonies compute", &head);
        for costs in &self.ceremonies {
            let Costs { kind, members, threshold, .. } = costs;
            let named = [members.to_string(), threshold.to_string(), in_words(*kind).to_owned()];
            let times = [costs.enrol, costs.deal, costs.judge, costs.combine, costs.whole];
            table.row(named.into_iter().chain(times.iter().map(spread)));
        }
        let repetitions = self.repetitions;
        table.note(format!(
            "Median, least and most of all members in {repetitions} ceremonies of each kind. Measured within one \
             process, by the functions that workers call. Nobody complains. New shares are for the same members."
        ));
        table.note(
            "Enrol: make a sealing key. Deal: make a polynomial, commit to it, seal a share to each member. Judge: \
             open and check the shares of all dealings. Combine: open and check those that count again, add or \
             interpolate them. Each also signs its transaction. All members together: one after the other, though in \
             reality they compute at the same time.",
        );
        table.note(
            "Left out: network, databases, reading the chain, and all work of the nodes, such as the pallet's checks.",
        );
        table
    }

    fn bytes_table(&self) -> Table {
        let head = [
            "members",
            "ceremony",
            "transactions of a member",
            "their bytes",
            "an enrolment",
            "a dealing",
            "state of the ceremony",
            "state of the epoch",
        ];
        let mut table = Table::new("What its ceremonies send and store", &head);
        for costs in &self.ceremonies {
            let sizes = &costs.sizes;
            let bytes = [
                sizes.transaction_bytes,
                sizes.enrolment_bytes,
                sizes.dealing_bytes,
                sizes.ceremony_bytes,
                sizes.epoch_bytes,
            ];
            let kind = in_words(costs.kind).to_owned();
            let named = [costs.members.to_string(), kind, sizes.transactions.to_string()];
            table.row(named.into_iter().chain(bytes.map(|bytes| format!("{bytes} B"))));
        }
        table.note(
            "Transactions are signed, and include the bodies. An enrolment is a sealing key, and a dealing the sealed \
             shares: these bodies are outside the state. The state of a ceremony is replaced by the next one, that of \
             an epoch stays: keys and values in SCALE, without the hashes in the keys and without the tree.",
        );
        table
    }

    fn operation_table(&self) -> Table {
        let head = ["operation", "here, median", "least to most", "on the paper's machine"];
        let mut table = Table::new("Single operations, beside pairings", &head);
        for (operation, here) in self.arithmetic.rows() {
            table.row([operation, millis(here.median), range(&here), "-".into()]);
        }
        for (operation, here, paper) in self.pairings.rows(&self.reported) {
            let (median, range) = (millis(here.median), range(&here));
            let paper = paper.map_or_else(|| "-".into(), reported);
            table.row([operation.to_owned(), median, range, paper]);
        }
        let Reported { query_at_cloud, query_at_patient, .. } = self.reported;
        for (operation, paper) in [
            ("a query, at the cloud", query_at_cloud),
            ("a query, at the patient", query_at_patient),
        ] {
            table.row([operation.to_owned(), "-".into(), "-".into(), reported(paper)]);
        }
        let operations = self.operations;
        table.note(format!(
            "{operations} repetitions of each, within one process. Wraps and parts of the consortium key are over \
             ristretto255. A wrap is made once for each section; a requester checks a part of each member, combines \
             them and opens each wrap."
        ));
        table.note(
            "Exponentiations, pairing and hashes to the groups are on BLS12-381 by the library blst, with exponents \
             of 254 bits; in GT by squaring and multiplying. Nothing else here uses them.",
        );
        table.note(
            "On the paper's machine: figures of the literature for the machine, curve and library of its authors, as \
             this project was told them. They were not compared with the paper, and are no times of this machine.",
        );
        table
    }

    fn look_table(&self) -> Table {
        let head = ["on a network", "blocks, median", "least to most", "median", "least to most"];
        let mut table = Table::new("How long it takes on a network", &head);
        let Activation { blocks, seconds } = self.activation;
        table.row([
            "first ceremony, from its begin to the epoch".to_owned(),
            blocks.to_string(),
            "-".into(),
            in_seconds(seconds),
            "-".into(),
        ]);
        let looks = &self.looks;
        let standing = format!("standing look at {SECTIONS} sections");
        let collect = format!("collecting the same {SECTIONS} sections, accepted before");
        for (what, Looks { seconds, blocks }) in
            [(standing, &looks.standing), (collect, &looks.collect)]
        {
            let Spread { least, median, most } = *seconds;
            let Blocks { least: fewest, median: middle, most: highest } = *blocks;
            table.row([
                what,
                middle.to_string(),
                format!("{fewest} to {highest}"),
                in_seconds(median),
                format!("{} to {}", in_seconds(least), in_seconds(most)),
            ]);
        }
        let Self { hospitals, count, max_blocks, .. } = self;
        table.note(format!(
            "{hospitals} hospitals with nodes and workers on this machine. {count} looks in each way took turns, \
             within one process that is connected already and verifies what the node says. Blocks: those that became \
             final at the requester's node meanwhile."
        ));
        table.note(
            "Standing look: from the requester's question to the chain, until the parts of three hospitals have \
             opened the sections. Collecting: from the request to the mailbox, until the sections are open; the \
             question and the patient's answer, which may take days, are left out.",
        );
        table.note(match self.check() {
            Ok(()) => format!("The difference of the medians stayed within {max_blocks} blocks."),
            Err(error) => format!("**Limit exceeded: {error}.**"),
        });
        table
    }
}

impl Arithmetic {
    fn rows(&self) -> Vec<(String, Spread)> {
        let mut rows = vec![
            ("make a wrap".to_owned(), self.make_wrap),
            ("decode and check a wrap".to_owned(), self.check_wrap),
            ("open a wrap".to_owned(), self.open_wrap),
        ];
        for PartTimes { sections, make, check } in &self.parts {
            rows.push((format!("make a part for {sections} sections"), *make));
            rows.push((format!("check a part for {sections} sections"), *check));
        }
        for Combining { members, threshold, sections, combine } in &self.combining {
            let parts = format!("combine {threshold} parts ({members} members)");
            rows.push((format!("{parts} for {sections} sections"), *combine));
        }
        let links = self.links;
        rows.push((format!("make {links} mixing links"), self.make_links));
        rows.push((format!("follow {links} mixing links"), self.follow_links));
        rows
    }
}

impl Pairings {
    /// Each operation with what a paper reports for such an operation.
    fn rows(&self, reported: &Reported) -> [(&'static str, Spread, Option<f64>); 6] {
        let Reported { exponentiation, pairing, hash_to_group, .. } = *reported;
        [
            ("exponentiation in G1", self.exponentiation_g1, Some(exponentiation)),
            ("exponentiation in G2", self.exponentiation_g2, None),
            ("exponentiation in GT", self.exponentiation_gt, None),
            ("pairing", self.pairing, Some(pairing)),
            ("hash to G1", self.hash_to_g1, Some(hash_to_group)),
            ("hash to G2", self.hash_to_g2, None),
        ]
    }
}

fn in_words(kind: Kind) -> &'static str {
    match kind {
        Kind::Generation => "new key",
        Kind::Resharing => "new shares",
    }
}

fn millis(time: f64) -> String {
    format!("{time:.3} ms")
}

fn reported(time: f64) -> String {
    format!("{time:.1} ms")
}

fn in_seconds(time: f64) -> String {
    format!("{time:.2} s")
}

fn range(Spread { least, most, .. }: &Spread) -> String {
    format!("{} to {}", millis(*least), millis(*most))
}

fn spread(all: &Spread) -> String {
    let Spread { least, median, most } = all;
    format!("{median:.2} ms ({least:.2} to {most:.2})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consortium::{arithmetic, ceremony, looks::Compared, pairings};

    fn looks(median: u32) -> Looks {
        let blocks = Blocks { least: 2, median, most: 9 };
        Looks { seconds: Spread { least: 6.0, median: 7.5, most: 27.0 }, blocks }
    }

    fn measured(standing: u32, collect: u32) -> Consortium {
        Consortium {
            hospitals: 4,
            repetitions: 1,
            operations: 1,
            count: 10,
            max_blocks: 2,
            ceremonies: ceremony::measure(4, 1).unwrap().to_vec(),
            arithmetic: arithmetic::measure(&[4], 1).unwrap(),
            pairings: pairings::measure(1).unwrap(),
            reported: pairings::REPORTED,
            activation: Activation { blocks: 14, seconds: 42.0 },
            looks: Compared { standing: looks(standing), collect: looks(collect) },
        }
    }

    #[test]
    fn standing_looks_have_a_limit_in_blocks() {
        assert!(measured(5, 3).check().is_ok() && measured(2, 3).check().is_ok());
        let error = measured(6, 3).check().unwrap_err().to_string();
        assert!(error.contains("took 6 chain blocks, which is more than 2 above the 3"), "{error}");
    }

    #[test]
    fn operations_have_what_the_paper_reports_beside_them() {
        let measured = measured(5, 3);
        let paper: Vec<_> = measured
            .pairings
            .rows(&measured.reported)
            .into_iter()
            .filter_map(|(operation, _, paper)| Some((operation, reported(paper?))))
            .collect();
        let expected = [
            ("exponentiation in G1", "2.4 ms".to_owned()),
            ("pairing", "7.9 ms".to_owned()),
            ("hash to G1", "2.0 ms".to_owned()),
        ];
        assert_eq!(paper, expected);
        let rows: Vec<_> = measured.arithmetic.rows().into_iter().map(|(row, _)| row).collect();
        for row in ["make a part for 64 sections", "combine 3 parts (4 members) for 8 sections"] {
            assert!(rows.iter().any(|it| it == row), "{rows:?}");
        }
        assert!(rows.contains(&"follow 120 mixing links".to_owned()), "{rows:?}");
    }

    #[test]
    fn times_are_in_milliseconds_with_the_least_and_the_most() {
        let times = Spread { least: 0.5, median: 1.234, most: 20.0 };
        assert_eq!(spread(&times), "1.23 ms (0.50 to 20.00)");
        assert_eq!(range(&times), "0.500 ms to 20.000 ms");
    }
}
