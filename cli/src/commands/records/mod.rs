//! `epione records`: lists and reads a patient's records.

mod accepted;
mod access;
mod files;
mod get;
mod kept;
mod note;
mod opened;
mod outcome;
mod part;
mod receipts;
mod request;
mod sections;
mod wanted;

pub(super) use accepted::save_accepted;
pub(super) use access::Access;
pub use files::{Provenance, RetrievedFile, RetrievedRecord, RetrievedSection, sha256};
pub use get::get;
pub(super) use kept::saved_in;
pub use note::Noted;
pub use opened::{HospitalFault, Opened, get_opened};
pub use outcome::{FailedRecord, Retrieved};
pub use part::{PartArgs, RetrievedPart, get_part};
pub use receipts::Receipt;
pub use request::{Emergency, GetArgs, Purpose};
pub(super) use sections::parse_numbers;
pub(super) use wanted::unknown;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use clap::{Args, Subcommand};
use epione_client::reader::{self, RecordSummary};
use epione_primitives::{UserId, release::SectionSet, sharing::SlotId};
use serde::Serialize;

use super::custodian::{self, Custodian};
use crate::{
    context::{Context, Output},
    failure::Failure,
    listing, show,
    wording::{counted, numbers},
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists a patient's records from the chain, newest first, without decrypting them
    List(ListArgs),
    /// Reads records into files: by a grant of their hospital, by an opening, or with the patient's own key; verifies
    /// and decrypts them
    Get(GetArgs),
}

impl Command {
    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::List(args) => show(&list(args, context).await?, json),
            Self::Get(args) if args.opening.is_some() => {
                show(&get_opened(args, context).await?, json)
            }
            Self::Get(args) if args.part.is_some() => show(&get_part(args, context).await?, json),
            Self::Get(args) => show(&get(args, context).await?, json),
        }
    }
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// The patient: user id, its first digits, or a name that you set
    #[arg(long, value_name = "USER")]
    pub patient: UserId,
    /// Maximum number [default: all]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

/// A patient's records, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listing {
    pub patient: UserId,
    pub records: Vec<RecordSummary>,
    /// The records that cannot be read, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedRecord>,
    /// The custodians of the removed hospitals among those of the records.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub custodians: Vec<Custodian>,
    /// Whether the limit left out older ones.
    pub more: bool,
}

impl Output for Listing {
    /// Fails if a record cannot be read.
    fn passed(&self) -> bool {
        self.failed.is_empty()
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.records.is_empty() && self.failed.is_empty() {
            return write!(f, "the chain has no record of {}", self.patient);
        }
        for record in &self.records {
            let sections = counted(record.sections.len(), "section", "sections");
            writeln!(
                f,
                "{:<8} hospital {}  author {}  previous {}  {sections}{}",
                record.pointer.to_string(),
                record.hospital,
                record.author,
                record.previous.map_or("none".into(), |pointer| pointer.to_string()),
                placed(record)
            )?;
        }
        for FailedRecord { pointer, failure } in &self.failed {
            outcome::fmt_failure(&pointer.to_string(), failure, f)?;
        }
        if !self.failed.is_empty() {
            let (all, failed) = (self.records.len() + self.failed.len(), self.failed.len());
            writeln!(f, "{}; {failed} NOT READ, see above", counted(all, "record", "records"))?;
        }
        for custodian in &self.custodians {
            writeln!(f, "{custodian}")?;
        }
        if self.more { write!(f, "{}", listing::MORE) } else { Ok(()) }
    }
}

/// In which slots the sections of a record are, for the end of its line. What kind of sections they are, is sealed.
fn placed(record: &RecordSummary) -> String {
    let mut slots = BTreeMap::<SlotId, SectionSet>::new();
    for (number, section) in (0..).zip(&record.sections) {
        for slot in &section.slots {
            slots.entry(*slot).or_default().insert(number);
        }
    }
    slots
        .into_iter()
        .map(|(slot, sections)| format!("  slot {slot}: {}", numbers(sections)))
        .collect()
}

/// In which slots a section is, for the end of its line.
fn in_slots(slots: &[SlotId]) -> String {
    let listed: Vec<_> = slots.iter().map(SlotId::to_string).collect();
    match listed.as_slice() {
        [] => String::new(),
        [slot] => format!("  in slot {slot}"),
        _ => format!("  in slots {}", listed.join(",")),
    }
}

/// Reads a patient's records from the latest on.
pub async fn list(args: &ListArgs, context: &Context) -> Result<Listing, Failure> {
    let asked = listing::asked(args.limit);
    let mut listed = reader::list(context.chain().await?, args.patient, None, asked).await?;
    let more = listing::cut(&mut listed, args.limit);
    let (mut records, mut failed) = (Vec::new(), Vec::new());
    for (pointer, summary) in listed {
        match summary {
            Ok(record) => records.push(record),
            Err(error) => failed.push(FailedRecord { pointer, failure: error.into() }),
        }
    }
    let hospitals: BTreeSet<_> = records.iter().map(|record| record.hospital).collect();
    let custodians = custodian::of(&hospitals, context).await?;
    Ok(Listing { patient: args.patient, records, failed, custodians, more })
}

#[cfg(test)]
mod tests {
    use epione_client::reader::SectionSummary;
    use epione_primitives::{HospitalId, RecordId, RecordPointer, block::SignedAt};

    use super::*;

    #[test]
    fn one_record_that_cannot_be_read_does_not_hide_the_others() {
        let pointer = RecordPointer { height: 7, index: 2 };
        let failure = Failure::new("a later format", "update epione");
        let failed = vec![FailedRecord { pointer, failure }];
        let listing = Listing {
            patient: UserId([1; 32]),
            records: Vec::new(),
            failed,
            custodians: Vec::new(),
            more: false,
        };
        assert!(!listing.passed());
        let text = listing.to_string();
        assert!(text.contains("7/2  NOT READ: a later format\n  help: update epione\n"), "{text}");
        assert!(text.contains("1 record; 1 NOT READ"), "{text}");
        assert_eq!(serde_json::to_value(&listing).unwrap()["failed"][0]["error"], "a later format");
    }

    #[test]
    fn a_list_shows_how_many_sections_a_record_has_and_in_which_slots() {
        let section = |slots: &&[u8]| SectionSummary {
            slots: slots.iter().copied().map(SlotId).collect(),
            media_bytes: None,
        };
        let record = |sections: &[&[u8]]| RecordSummary {
            pointer: RecordPointer { height: 7, index: 2 },
            record_id: RecordId([1; 16]),
            patient: UserId([1; 32]),
            hospital: HospitalId(0),
            author: UserId([2; 32]),
            nurse: None,
            cosigned: false,
            signed_at: SignedAt::default(),
            time: 1,
            previous: None,
            sections: sections.iter().map(section).collect(),
        };
        let records = vec![record(&[&[2], &[], &[0, 2]]), record(&[&[]])];
        let (patient, failed) = (UserId([1; 32]), Vec::new());
        let custodian = Custodian {
            departed: HospitalId(0),
            custodian: HospitalId(1),
            from: 70,
            answers: true,
        };
        let custodians = vec![custodian];
        let text = Listing { patient, records, failed, custodians, more: false }.to_string();
        assert!(text.contains("\nhospital 0 was removed: hospital 1 is its custodian"), "{text}");
        assert!(text.contains("previous none  3 sections  slot 0: 2  slot 2: 0,2\n"), "{text}");
        assert!(text.contains("previous none  1 section\n"), "{text}");
    }
}
