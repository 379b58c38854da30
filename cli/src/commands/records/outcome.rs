//! The result of `epione records get`: a result for each record, and the receipts.

use std::fmt;

use epione_policies::language::sentence;
use epione_primitives::{RecordPointer, UserId};
use serde::Serialize;

use super::{Noted, Receipt, files::RetrievedRecord, in_slots};
use crate::{
    commands::custodian::Custodian,
    context::Output,
    failure::Failure,
    listing,
    wording::{bytes_column, counted, legible},
};

/// The requested records, and the result of each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Retrieved {
    pub patient: UserId,
    /// The records that are in files now, all verified.
    pub records: Vec<RetrievedRecord>,
    /// The records that were not read, and why.
    pub failed: Vec<FailedRecord>,
    /// The custodians of the removed hospitals among those of the records.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub custodians: Vec<Custodian>,
    /// Whether the limit left out older records.
    pub more: bool,
    /// The receipts on the chain, one for each grant; none with the patient's own key.
    pub receipts: Vec<Receipt>,
    /// Why there are receipts that are not listed, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipts_failure: Option<Failure>,
    /// The patient's notes on the chain, only with --note.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Noted>,
    /// Why there are no more notes, if one failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note_failure: Option<Failure>,
}

/// A record that was not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedRecord {
    pub pointer: RecordPointer,
    #[serde(flatten)]
    pub failure: Failure,
}

impl Retrieved {
    pub(super) fn of(patient: UserId, more: bool) -> Self {
        let (records, failed, receipts) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            patient,
            records,
            failed,
            custodians: Vec::new(),
            more,
            receipts,
            receipts_failure: None,
            notes: Vec::new(),
            note_failure: None,
        }
    }

    pub(super) fn fails(&mut self, pointer: RecordPointer, failure: impl Into<Failure>) {
        self.failed.push(FailedRecord { pointer, failure: failure.into() });
    }

    pub(super) fn adds(
        &mut self,
        pointer: RecordPointer,
        result: Result<RetrievedRecord, Failure>,
    ) {
        match result {
            Ok(record) => self.records.push(record),
            Err(failure) => self.fails(pointer, failure),
        }
    }

    /// Adds the receipts of a batch. If they cannot be read, the records are still there.
    pub(super) fn names(&mut self, receipts: Result<Vec<Receipt>, Failure>) {
        match receipts {
            Ok(receipts) => self.receipts.extend(receipts),
            Err(failure) => self.receipts_failure = Some(failure),
        }
    }

    /// If no record was read, and all for the same reason, that is the command's own failure.
    pub(super) fn conclude(mut self) -> Result<Self, Failure> {
        self.records.sort_by_key(|record| record.record.pointer);
        self.failed.sort_by_key(|failed| failed.pointer);
        match self.failed.first() {
            Some(first)
                if self.records.is_empty()
                    && self.failed.iter().all(|other| other.failure == first.failure) =>
            {
                Err(first.failure.clone())
            }
            _ => Ok(self),
        }
    }
}

impl Output for Retrieved {
    /// Fails if a requested record or a receipt was not read, or a note was not written.
    fn passed(&self) -> bool {
        self.failed.is_empty() && self.receipts_failure.is_none() && self.note_failure.is_none()
    }
}

impl fmt::Display for Retrieved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for record in &self.records {
            fmt_record(record, f)?;
        }
        for FailedRecord { pointer, failure } in &self.failed {
            fmt_failure(&pointer.to_string(), failure, f)?;
        }
        for custodian in &self.custodians {
            writeln!(f, "{custodian}")?;
        }
        for receipt in &self.receipts {
            writeln!(f, "{receipt}")?;
        }
        if let Some(failure) = &self.receipts_failure {
            fmt_failure("receipts", failure, f)?;
        }
        for noted in &self.notes {
            writeln!(f, "{noted}")?;
        }
        if let Some(failure) = &self.note_failure {
            writeln!(f, "NOT NOTED on the chain: {}\n  {}", failure.error, failure.help)?;
        }
        if self.more {
            writeln!(f, "{}", listing::MORE)?;
        }
        let (all, failed) = (self.records.len(), self.failed.len());
        write!(f, "{}, every byte verified", counted(all, "record", "records"))?;
        match self.records.iter().filter(|record| record.already_there).count() {
            0 => {}
            there => write!(f, "; already in the folder: {there}")?,
        }
        if failed > 0 { write!(f, "; {failed} NOT READ, see above") } else { Ok(()) }
    }
}

/// What was not read, why, and what to do.
pub(super) fn fmt_failure(
    what: &str,
    failure: &Failure,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    writeln!(f, "{what}  NOT READ: {}", failure.error)?;
    for reason in failure.denial.iter().flat_map(sentence::denial) {
        writeln!(f, "  {reason}")?;
    }
    writeln!(f, "  help: {}", failure.help)?;
    failure.commands.iter().try_for_each(|command| writeln!(f, "    {command}"))
}

fn fmt_record(record: &RetrievedRecord, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let by = match (record.record.nurse.is_some(), record.record.cosigned) {
        (false, false) => "author",
        (false, true) => "author and patient",
        (true, false) => "author and nurse",
        (true, true) => "author, nurse and patient",
    };
    let there = if record.already_there { "  (already in the folder)" } else { "" };
    let directory = record.directory.display();
    writeln!(f, "{}  signed by its {by}  {directory}{there}", record.record.pointer)?;
    for section in &record.sections {
        let Some(file) = &section.file else {
            writeln!(f, "  {:>2}  not granted", section.index)?;
            continue;
        };
        let slots = in_slots(&section.slots);
        writeln!(
            f,
            "  {:>2}  {:<13} {}  sha256 {}  {}{slots}",
            section.index,
            section.kind.as_deref().unwrap_or("section"),
            bytes_column(file.bytes),
            file.sha256.get(..16).unwrap_or_default(),
            legible(file.name.as_bytes())
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use epione_primitives::{HospitalId, RecordId, block::SignedAt, sharing::SlotId};

    use super::*;
    use crate::{
        commands::records::{Provenance, RetrievedFile, RetrievedSection},
        invocation::Invocation,
    };

    fn failed(errors: &[&str]) -> Retrieved {
        let mut retrieved = Retrieved::of(UserId([1; 32]), false);
        for (index, error) in (0..).zip(errors) {
            retrieved.fails(RecordPointer { height: 1, index }, Failure::new(*error, "try again"));
        }
        retrieved
    }

    #[test]
    fn a_reason_that_all_records_share_is_the_commands_own() {
        assert_eq!(failed(&["refused", "refused"]).conclude().unwrap_err().error, "refused");
        let mixed = failed(&["refused", "damaged"]).conclude().unwrap();
        assert!(!mixed.passed());
        let text = mixed.to_string();
        assert!(text.contains("1/1  NOT READ: damaged"), "{text}");
        assert!(text.ends_with("0 records, every byte verified; 2 NOT READ, see above"), "{text}");
        assert!(failed(&[]).conclude().unwrap().passed());
    }

    #[test]
    fn a_note_that_is_not_on_the_chain_is_a_failure() {
        let mut retrieved = failed(&[]);
        retrieved.note_failure = Some(Failure::new("the quota is used up", "try again"));
        assert!(!retrieved.passed());
        let text = retrieved.to_string();
        assert!(
            text.contains("NOT NOTED on the chain: the quota is used up\n  try again"),
            "{text}"
        );
    }

    #[test]
    fn a_command_that_helps_is_printed_for_each_record() {
        let list = Invocation::new(["records", "list"]);
        let mut retrieved = failed(&["refused"]);
        let unknown = Failure::new("no such record", "see which there are").with_command(list);
        retrieved.fails(RecordPointer { height: 9, index: 9 }, unknown);
        let text = retrieved.to_string();
        let lines =
            "9/9  NOT READ: no such record\n  help: see which there are\n    epione records list\n";
        assert!(text.contains(lines), "{text}");
    }

    #[test]
    fn receipts_that_cannot_be_read_do_not_discard_the_rest() {
        let mut retrieved = failed(&["refused", "damaged"]);
        retrieved.failed.pop();
        retrieved.records.push(record());
        retrieved.names(Err(Failure::new("no node answers", "start it")));
        let retrieved = retrieved.conclude().unwrap();
        assert!(!retrieved.passed());
        let text = retrieved.to_string();
        assert!(text.contains("2/0  signed by its author"), "{text}");
        assert!(text.contains("receipts  NOT READ: no node answers\n  help: start it\n"), "{text}");
        let json = serde_json::to_value(&retrieved).unwrap();
        assert_eq!(json["receiptsFailure"]["error"], "no node answers");
        assert_eq!(json["records"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_section_that_was_not_granted_has_a_number_but_no_kind() {
        let file = RetrievedFile {
            name: "00-report.txt".into(),
            media_type: "text/plain".into(),
            bytes: 9,
            sha256: "76da3989f20c38c4".into(),
        };
        let section = |index, kind: Option<&str>, slots, file| RetrievedSection {
            index,
            kind: kind.map(Into::into),
            slots,
            file,
        };
        let mut retrieved = failed(&[]);
        retrieved.records.push(RetrievedRecord {
            sections: vec![
                section(0, Some("report"), vec![SlotId(0), SlotId(2)], Some(file)),
                section(1, None, Vec::new(), None),
            ],
            ..record()
        });
        let text = retrieved.to_string();
        assert!(
            text.contains("\n   0  report ") && text.contains("00-report.txt  in slots 0,2\n"),
            "{text}"
        );
        assert!(text.contains("\n   1  not granted\n"), "{text}");
        let json = serde_json::to_value(&retrieved).unwrap();
        let sections = &json["records"][0]["sections"];
        assert_eq!(sections[0]["kind"], "report");
        assert_eq!(sections[0]["slots"], serde_json::json!([0, 2]));
        assert_eq!(sections[1].get("kind"), None);
    }

    #[test]
    fn everyone_who_signed_is_named() {
        for (nurse, cosigned, by) in [
            (None, true, "author and patient"),
            (Some(UserId([3; 32])), false, "author and nurse"),
            (Some(UserId([3; 32])), true, "author, nurse and patient"),
        ] {
            let mut retrieved = failed(&[]);
            let mut read = record();
            (read.record.nurse, read.record.cosigned) = (nurse, cosigned);
            retrieved.records.push(read);
            let text = retrieved.to_string();
            assert!(text.contains(&format!("signed by its {by}  2-0")), "{text}");
        }
    }

    fn record() -> RetrievedRecord {
        let record = Provenance {
            pointer: RecordPointer { height: 2, index: 0 },
            record_id: RecordId([1; 16]),
            hospital: HospitalId(0),
            author: UserId([2; 32]),
            nurse: None,
            cosigned: false,
            signed_at: SignedAt::default(),
            previous: None,
        };
        let (directory, sections) = ("2-0".into(), Vec::new());
        RetrievedRecord { record, directory, already_there: false, sections }
    }
}
