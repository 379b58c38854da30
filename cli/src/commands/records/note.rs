//! `epione records get --note`: the patient notes on the chain what they read with their own key. Nothing depends on a
//! note: the key opens the records without it. The folder of each record keeps which of its sections are to be noted,
//! so that a later run makes up for a note that failed.

use std::{fmt, path::PathBuf};

use epione_client::{chain::calls::releases, signer::Account};
use epione_primitives::{
    BlockNumber,
    limits::MAX_RELEASED_RECORDS,
    release::{ReleasedRecord, ReleasedRecords},
};
use serde::Serialize;

use super::kept::are_noted;
use crate::{
    context::Context,
    failure::Failure,
    progress,
    wording::{counted, numbers},
};

/// A note on the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Noted {
    pub records: Vec<ReleasedRecord>,
    /// The chain block that has it.
    pub block: BlockNumber,
}

impl fmt::Display for Noted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records = counted(self.records.len(), "record", "records");
        write!(
            f,
            "noted on the chain, block {}: you read {records} with your own key",
            self.block
        )?;
        self.records.iter().try_for_each(|ReleasedRecord { pointer, sections }| {
            write!(f, "; {pointer} sections {}", numbers(*sections))
        })
    }
}

/// What is to be noted of a record, and the folder that keeps this until it is done.
pub(super) struct Read {
    pub record: ReleasedRecord,
    pub folder: PathBuf,
}

/// --note had nothing to note.
pub(super) fn nothing(is_there: bool) -> Failure {
    let error = match is_there {
        true => "earlier runs read these records, and noted them or ran without --note",
        false => "nothing was read",
    };
    Failure::new(error, "to note another reading, read into another --out")
}

/// The notes that are on the chain, and why others are not, if any.
pub(super) type Notes = (Vec<Noted>, Option<Failure>);

/// Notes what was read: as many records by one note as it can have. The first note that fails is the last one.
pub(super) async fn note(mut read: Vec<Read>, account: &Account, context: &Context) -> Notes {
    // The chain wants them in its order, and each once.
    read.sort_by_key(|read| read.record.pointer);
    read.dedup_by_key(|read| read.record.pointer);
    let mut notes = Vec::new();
    for page in read.chunks(MAX_RELEASED_RECORDS as usize) {
        let records: Vec<_> = page.iter().map(|read| read.record).collect();
        match one(&records, account, context).await {
            Ok(noted) => notes.push(noted),
            Err(mut failure) => {
                failure.help += "; the same command notes later what is not noted yet";
                return (notes, Some(failure));
            }
        }
        for Read { record, folder } in page {
            if let Err(mut failure) = are_noted(folder, record.sections) {
                failure.help += "; the note is on the chain, and the same command would repeat it";
                return (notes, Some(failure));
            }
        }
    }
    (notes, None)
}

async fn one(
    records: &[ReleasedRecord],
    account: &Account,
    context: &Context,
) -> Result<Noted, Failure> {
    let call = releases::note(&ReleasedRecords::truncate_from(records.to_vec()));
    let spinner = progress::waiting(context, "waiting until the note is finalized");
    let included = context.chain().await?.submit(&call, account).await;
    spinner.finish_and_clear();
    Ok(Noted { records: records.to_vec(), block: included?.block.number })
}

#[cfg(test)]
mod tests {
    use epione_primitives::{RecordPointer, release::SectionSet};

    use super::*;

    #[test]
    fn nothing_to_note_has_a_reason() {
        assert!(nothing(true).error.contains("earlier runs"));
        assert!(nothing(false).error.contains("nothing was read"));
    }

    #[test]
    fn a_note_says_which_sections_were_read() {
        let pointer = RecordPointer { height: 1, index: 0 };
        let read = ReleasedRecord { pointer, sections: SectionSet(0b101) };
        let noted = Noted { records: vec![read], block: 42 };
        let expected =
            "noted on the chain, block 42: you read 1 record with your own key; 1/0 sections 0,2";
        assert_eq!(noted.to_string(), expected);
        let json = serde_json::to_value(noted).unwrap();
        assert_eq!(json["records"][0]["sections"], serde_json::json!([0, 2]));
    }
}
