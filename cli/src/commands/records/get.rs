//! `epione records get` of whole records. What anybody can read on the chain is checked first: the record and its
//! author's signature, what an earlier run left of it, and whether its files can be written. Then the sections that are
//! missing are requested, and no others. A record that fails does not stop the others.

use std::{collections::BTreeSet, fs, io::ErrorKind, mem, path::Path};

use epione_client::{
    api::MAX_GRANT_RECORDS,
    private,
    reader::{ReadError, RecordSummary, VerifiedRecord},
};
use epione_primitives::{
    HospitalId, RecordPointer,
    limits::MAX_SEGMENTS,
    release::{ReleasedRecord, SectionSet},
};

use super::{
    GetArgs, Retrieved,
    access::Access,
    files,
    kept::Folder,
    note::{self, Read},
    wanted::{Wanted, unknown},
};
use crate::{commands::custodian, context::Context, failure::Failure, interrupt};

/// Reads whole records. Nothing unverified is written.
pub async fn get(args: &GetArgs, context: &Context) -> Result<Retrieved, Failure> {
    let access = Access::of(args, context).await?;
    let Wanted { by_hospital, unknown: absent, failed, more } = Wanted::of(args, context).await?;
    let custodians = custodian::of(&by_hospital.keys().copied().collect(), context).await?;
    let is_new = make_folder(&args.out)?;
    let retrieved = Retrieved { failed, custodians, ..Retrieved::of(args.patient, more) };
    let mut retrieval = Retrieval { args, context, access, retrieved, read: Vec::new() };
    for pointer in absent {
        retrieval.retrieved.fails(pointer, unknown(args.patient, pointer, context));
    }
    for (hospital, pointers) in by_hospital {
        retrieval.read_at(hospital, pointers).await;
    }
    if is_new {
        // Removed only if it is empty: no record was read.
        let _ = fs::remove_dir(&args.out);
    }
    if args.note {
        retrieval.note().await;
    }
    retrieval.retrieved.conclude()
}

/// Makes the folder of --out; returns whether it is new.
pub(super) fn make_folder(out: &Path) -> Result<bool, Failure> {
    let is_new = fs::symlink_metadata(out).is_err();
    if is_new {
        private::folder(out).map_err(|error| Failure::file(out, &error))?;
    } else if !out.is_dir() {
        return Err(Failure::file(out, &ErrorKind::NotADirectory.into()));
    }
    Ok(is_new)
}

/// A run of the command.
struct Retrieval<'a> {
    args: &'a GetArgs,
    context: &'a Context,
    access: Access<'a>,
    retrieved: Retrieved,
    /// What is to be noted on the chain.
    read: Vec<Read>,
}

/// A record of which sections are still to be fetched into its folder.
struct Incomplete {
    record: VerifiedRecord,
    sections: SectionSet,
    folder: Folder,
}

impl Retrieval<'_> {
    /// Reads records of one hospital, as many by one grant as it covers.
    async fn read_at(&mut self, hospital: HospitalId, pointers: BTreeSet<RecordPointer>) {
        let (mut batch, mut segments) = (Vec::new(), 0);
        for pointer in pointers {
            let incomplete = match self.check(pointer).await {
                Ok(Some(incomplete)) => incomplete,
                Ok(None) => continue,
                Err(failure) => {
                    self.retrieved.fails(pointer, failure);
                    continue;
                }
            };
            let more = incomplete.record.segments();
            if batch.len() == MAX_GRANT_RECORDS || segments + more > MAX_SEGMENTS as usize {
                self.read(hospital, mem::take(&mut batch)).await;
                segments = 0;
            }
            segments += more;
            batch.push(incomplete);
        }
        if !batch.is_empty() {
            self.read(hospital, batch).await;
        }
    }

    /// Checks a record, and what earlier runs left of it; none if no section is missing.
    async fn check(&mut self, pointer: RecordPointer) -> Result<Option<Incomplete>, Failure> {
        let chain = self.context.chain().await?;
        let record = VerifiedRecord::of(chain, self.args.patient, pointer).await?;
        let mut folder = Folder::look(&self.args.out, &record).await?;
        let sections = folder.missing(&record);
        if sections.is_empty() {
            let unnoted = folder.unnoted();
            let there = files::already_there(&record.summary, folder)?;
            self.reads(pointer, unnoted, &there.directory);
            self.retrieved.records.push(there);
            return Ok(None);
        }
        if self.args.note {
            folder.will_note(sections);
        }
        if let Err(failure) = folder.prepare(sections) {
            folder.abandon();
            return Err(failure);
        }
        // From now on there is a folder from which a later run resumes.
        let help = self.args.when_interrupted(&interrupt::this_command().to_string());
        self.context.interruption().set(Some(Failure::new("interrupted", help)));
        Ok(Some(Incomplete { record, sections, folder }))
    }

    /// Opens records together, and saves each in its folder.
    async fn read(&mut self, hospital: HospitalId, batch: Vec<Incomplete>) {
        let (mut wanted, mut folders) = (Vec::new(), Vec::new());
        for Incomplete { record, sections, folder } in batch {
            folders.push((record.summary.clone(), folder));
            wanted.push((record, sections));
        }
        let (reader, opened) = match self.access.open(hospital, wanted).await {
            Ok(opened) => opened,
            Err(failure) => {
                let is_refused = failure.denial.is_some();
                for (summary, folder) in folders {
                    self.not_opened(&summary, folder, failure.clone(), is_refused);
                }
                return;
            }
        };
        for ((summary, folder), opened) in folders.into_iter().zip(opened) {
            match opened {
                Ok(record) => {
                    let saved = files::save(&reader, &record, folder, self.context).await;
                    let saved = saved.map(|(saved, unnoted)| {
                        self.reads(summary.pointer, unnoted, &saved.directory);
                        saved
                    });
                    self.retrieved.adds(summary.pointer, saved);
                }
                Err(error) => {
                    let is_refused = matches!(error, ReadError::NothingGranted { .. });
                    self.not_opened(&summary, folder, error.into(), is_refused);
                }
            }
        }
        self.retrieved.names(self.access.receipts(&reader).await);
    }

    /// Sections of a record are here that are to be noted on the chain, if there are any.
    fn reads(&mut self, pointer: RecordPointer, sections: SectionSet, folder: &Path) {
        if self.args.note && !sections.is_empty() {
            let record = ReleasedRecord { pointer, sections };
            self.read.push(Read { record, folder: folder.to_owned() });
        }
    }

    /// Notes on the chain what was read. If that fails, the records are still there, and the next run notes them.
    async fn note(&mut self) {
        let read = mem::take(&mut self.read);
        if read.is_empty() {
            self.retrieved.note_failure = Some(note::nothing(!self.retrieved.records.is_empty()));
            return;
        }
        let (notes, failure) = note::note(read, &self.access.account(), self.context).await;
        self.retrieved.notes = notes;
        self.retrieved.note_failure = failure;
    }

    /// Nothing was opened of a record. That is a failure, unless the missing sections are refused and earlier runs read
    /// the others.
    fn not_opened(
        &mut self,
        summary: &RecordSummary,
        folder: Folder,
        failure: Failure,
        is_refused: bool,
    ) {
        let result = if is_refused && folder.is_done {
            files::already_there(summary, folder)
        } else {
            Err(files::interrupted(failure, &folder))
        };
        self.retrieved.adds(summary.pointer, result);
    }
}
