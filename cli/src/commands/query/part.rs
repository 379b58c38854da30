//! Sections of a record, as the command line names them: `1/0:3,5`, or `1/0` for every section.

use std::{collections::BTreeMap, str::FromStr};

use epione_client::api::WantedRecord;
use epione_primitives::{
    RecordPointer,
    limits::MAX_QUERIED_RECORDS,
    query::QueriedRecords,
    release::{ReleasedRecord, SectionSet},
};

use crate::{commands::records::parse_numbers, failure::Failure, wording};

/// Some sections of a record, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part(pub ReleasedRecord);

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (pointer, sections) = match text.split_once(':') {
            Some((pointer, sections)) => (pointer, parse_numbers(sections)?),
            None => (text, SectionSet::ALL),
        };
        let pointer: RecordPointer = pointer.parse().map_err(|_| {
            format!(
                "{text:?} does not name a record: write block height and index, as in 1/0, and the numbers of \
                 sections if you do not mean all, as in 1/0:3,5"
            )
        })?;
        Ok(Self(ReleasedRecord { pointer, sections }))
    }
}

/// The records in the chain's order. One that is named twice is there once, with the sections of both.
pub(in crate::commands) fn merged(parts: &[Part]) -> Result<QueriedRecords, Failure> {
    let mut records: BTreeMap<RecordPointer, SectionSet> = BTreeMap::new();
    for Part(ReleasedRecord { pointer, sections }) in parts {
        let all = records.entry(*pointer).or_default();
        *all = all.union(*sections);
    }
    let records: Vec<_> = records
        .into_iter()
        .map(|(pointer, sections)| ReleasedRecord { pointer, sections })
        .collect();
    let number = records.len();
    records.try_into().map_err(|_| {
        Failure::usage(
            format!("at most {MAX_QUERIED_RECORDS} records are possible in one call, not {number}"),
            "ask several times",
        )
    })
}

/// The records as JSON has them: without `sections`, all sections of a record.
pub(in crate::commands) fn wanted(records: &[ReleasedRecord]) -> Vec<WantedRecord> {
    records.iter().copied().map(WantedRecord::from).collect()
}

/// The records in words: `1/0 sections 3,5; 2/0 section 1; 3/0 all sections`.
pub(in crate::commands) fn in_words(records: &[WantedRecord]) -> String {
    let each = records.iter().map(|WantedRecord { pointer, sections }| match sections {
        Some(sections) => format!("{pointer} {}", wording::sections(*sections)),
        None => format!("{pointer} all sections"),
    });
    each.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &str) -> Part {
        text.parse().unwrap()
    }

    #[test]
    fn a_record_without_numbers_means_every_section() {
        let pointer = RecordPointer { height: 12, index: 3 };
        assert_eq!(part("12/3"), Part(ReleasedRecord { pointer, sections: SectionSet::ALL }));
        let some = ReleasedRecord { pointer, sections: SectionSet(0b101_0001) };
        assert_eq!(part("12/3:0,4-4,6"), Part(some));
        for wrong in ["", "12", "12/", ":3", "12/3:", "12/3:64", "12/3:a", "12/3:1:2", "a/0"] {
            assert!(wrong.parse::<Part>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn records_are_merged_in_the_order_that_the_chain_requires() {
        let merged = merged(&["2/0:1", "1/5", "2/0:3", "1/0:0"].map(part)).unwrap();
        let text = in_words(&wanted(&merged));
        assert_eq!(text, "1/0 section 0; 1/5 all sections; 2/0 sections 1,3");
        assert!(epione_primitives::query::are_ordered(&merged));
    }

    #[test]
    fn more_records_than_a_query_has_are_refused_before_anything_is_signed() {
        let part = |height: u32| part(&format!("{height}/0"));
        let parts: Vec<_> = (1..=MAX_QUERIED_RECORDS).map(part).collect();
        assert_eq!(merged(&parts).unwrap().len(), parts.len());
        let parts: Vec<_> = (0..=MAX_QUERIED_RECORDS).map(part).collect();
        let refused = merged(&parts).unwrap_err();
        assert!(
            refused.error.contains("at most 16 records are possible in one call, not 17"),
            "{refused}"
        );
    }
}
