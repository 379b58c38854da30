//! What a patient noted of readings with their own key.

use std::fmt;

use epione_primitives::{
    BlockNumber,
    release::{OwnRead, ReleasedRecord},
};
use serde::Serialize;

use crate::wording::{moment, numbers};

/// A patient's note. Nobody checked whether the reading took place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotedRead {
    /// Its number among the patient's notes.
    pub note: u32,
    pub records: Vec<ReleasedRecord>,
    /// RFC 3339.
    pub at: String,
    /// The chain block that has it.
    pub block: BlockNumber,
    /// Whether the patient runs the command, with their own key file.
    #[serde(skip)]
    pub(super) is_own: bool,
}

impl NotedRead {
    pub(super) fn new((note, read): (u32, OwnRead), is_own: bool) -> Self {
        let OwnRead { records, block, at } = read;
        Self { note, records: records.into_inner(), at: moment(at), block, is_own }
    }
}

impl fmt::Display for NotedRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.is_own {
            true => "you, with your own key (noted)",
            false => "the patient, with their own key (noted)",
        };
        write!(f, "{}  {who}  block {}  note {}", self.at, self.block, self.note)?;
        self.records.iter().try_for_each(|ReleasedRecord { pointer, sections }| {
            write!(f, "\n    read {pointer} sections {}", numbers(*sections))
        })
    }
}

#[cfg(test)]
mod tests {
    use epione_primitives::{
        RecordPointer,
        release::{ReleasedRecords, SectionSet},
    };

    use super::*;

    #[test]
    fn a_note_says_whose_it_is() {
        let pointer = RecordPointer { height: 1, index: 0 };
        let read = ReleasedRecord { pointer, sections: SectionSet(0b11) };
        let records = ReleasedRecords::truncate_from(vec![read]);
        let read = OwnRead { records, block: 42, at: 0 };
        let own = NotedRead::new((3, read.clone()), true).to_string();
        assert!(own.contains("you, with your own key (noted)  block 42  note 3"), "{own}");
        assert!(own.ends_with("read 1/0 sections 0,1"), "{own}");
        let others = NotedRead::new((3, read), false).to_string();
        assert!(others.contains("the patient, with their own key (noted)"), "{others}");
    }
}
