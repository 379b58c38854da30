//! Saves what a patient accepted to show, in the same folders as `epione records get`.

use std::{fs, path::Path};

use epione_client::reader::{OpenRecord, ReadError, Reader, VerifiedRecord};
use epione_primitives::{QueryId, RecordPointer, UserId, release::ReleasedRecord};

use super::{Retrieved, files, get::make_folder, kept::Folder};
use crate::{context::Context, failure::Failure, progress};

/// Collects the accepted sections of a query that are not in the folder yet, and saves them. Nothing unverified is
/// written. If nothing is missing, nothing is requested.
pub(in crate::commands) async fn save_accepted(
    reader: &Reader,
    (query, patient): (QueryId, UserId),
    accepted: &[ReleasedRecord],
    out: &Path,
    context: &Context,
) -> Result<Retrieved, Failure> {
    let is_new = make_folder(out)?;
    let mut retrieved = Retrieved::of(patient, false);
    let (mut records, mut folders) = (Vec::new(), Vec::new());
    for wanted in accepted {
        match incomplete(patient, wanted, out, context, &mut retrieved).await {
            Ok(Some((record, folder))) => {
                records.push(record);
                folders.push((wanted.pointer, folder));
            }
            Ok(None) => {}
            Err(failure) => retrieved.fails(wanted.pointer, failure),
        }
    }
    if !records.is_empty() {
        let spinner = progress::waiting(context, "collecting what the patient accepted");
        let opened = reader.open_query(query, records).await;
        spinner.finish_and_clear();
        save(reader, opened.map_err(Failure::from), folders, context, &mut retrieved).await;
    }
    if is_new {
        // Removed only if it is empty: no record was read.
        let _ = fs::remove_dir(out);
    }
    retrieved.conclude()
}

/// A record of which accepted sections are missing, and its folder; none if nothing is missing.
pub(super) async fn incomplete(
    patient: UserId,
    ReleasedRecord { pointer, sections }: &ReleasedRecord,
    out: &Path,
    context: &Context,
    retrieved: &mut Retrieved,
) -> Result<Option<(VerifiedRecord, Folder)>, Failure> {
    let record = VerifiedRecord::of(context.chain().await?, patient, *pointer).await?;
    let mut folder = Folder::look(out, &record).await?;
    let missing = folder.missing(&record).intersection(*sections);
    if missing.is_empty() {
        retrieved.records.push(files::already_there(&record.summary, folder)?);
        return Ok(None);
    }
    if let Err(failure) = folder.prepare(missing) {
        folder.abandon();
        return Err(failure);
    }
    Ok(Some((record, folder)))
}

/// Saves each opened record in its folder. If nothing was opened, all have the same failure.
pub(super) async fn save(
    reader: &Reader,
    opened: Result<Vec<Result<OpenRecord, ReadError>>, Failure>,
    folders: Vec<(RecordPointer, Folder)>,
    context: &Context,
    retrieved: &mut Retrieved,
) {
    let opened = match opened {
        Ok(opened) => opened,
        Err(failure) => {
            for (pointer, folder) in folders {
                retrieved.fails(pointer, files::interrupted(failure.clone(), &folder));
            }
            return;
        }
    };
    for ((pointer, folder), opened) in folders.into_iter().zip(opened) {
        let saved = match opened {
            Ok(record) => {
                let saved = files::save(reader, &record, folder, context).await;
                saved.map(|(saved, _)| saved)
            }
            Err(error) => Err(files::interrupted(error.into(), &folder)),
        };
        retrieved.adds(pointer, saved);
    }
}
