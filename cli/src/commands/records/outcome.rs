//! The result of `epione records get`: a result for each record, and the receipts.

use std::fmt;

use epione_policies::language::sentence;
use epione_primitives::{RecordPointer, UserId};
use serde::Serialize;

use super::{Receipt, files::RetrievedRecord};
use crate::{
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
    /// Whether the limit left out older records.
    pub more: bool,
    /// The receipts on the chain, one for each grant; none with the patient's own key.
    pub receipts: Vec<Receipt>,
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
        Self { patient, records: Vec::new(), failed: Vec::new(), more, receipts: Vec::new() }
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
    /// Fails if a requested record was not read.
    fn passed(&self) -> bool {
        self.failed.is_empty()
    }
}

impl fmt::Display for Retrieved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for record in &self.records {
            fmt_record(record, f)?;
        }
        for FailedRecord { pointer, failure } in &self.failed {
            writeln!(f, "{pointer}  NOT READ: {}", failure.error)?;
            for reason in failure.denial.iter().flat_map(sentence::denial) {
                writeln!(f, "  {reason}")?;
            }
            writeln!(f, "  help: {}", failure.help)?;
        }
        for receipt in &self.receipts {
            writeln!(f, "{receipt}")?;
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

fn fmt_record(record: &RetrievedRecord, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let by = if record.record.cosigned { "author and patient" } else { "author" };
    let there = if record.already_there { "  (already in the folder)" } else { "" };
    let directory = record.directory.display();
    writeln!(f, "{}  signed by its {by}  {directory}{there}", record.record.pointer)?;
    for section in &record.sections {
        match &section.file {
            Some(file) => writeln!(
                f,
                "  {:<13} {}  sha256 {}  {}",
                section.kind,
                bytes_column(file.bytes),
                file.sha256.get(..16).unwrap_or_default(),
                legible(file.name.as_bytes())
            )?,
            None => writeln!(f, "  {:<13} not granted", section.kind)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
