//! Writes what was read to files. Nothing unverified is written, and nothing is overwritten.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use epione_client::{
    file_name,
    reader::{OpenContent, OpenRecord, OpenSection, Reader, RecordSummary, save_text, saved},
};
use epione_primitives::{
    HospitalId, RecordId, RecordPointer, UserId, block::SignedAt, release::SectionSet,
    sharing::SlotId,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::kept::Folder;
use crate::{context::Context, failure::Failure, progress};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetrievedRecord {
    #[serde(flatten)]
    pub record: Provenance,
    pub directory: PathBuf,
    /// Whether earlier runs had read all that is granted of it, so that nothing was written.
    pub already_there: bool,
    pub sections: Vec<RetrievedSection>,
}

/// The position of a record and who signed it, all verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Provenance {
    pub pointer: RecordPointer,
    pub record_id: RecordId,
    pub hospital: HospitalId,
    pub author: UserId,
    /// The nurse who signed it, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nurse: Option<UserId>,
    /// Whether the patient signed it, too.
    pub cosigned: bool,
    /// The chain block at which it was signed.
    pub signed_at: SignedAt,
    pub previous: Option<RecordPointer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetrievedSection {
    pub index: usize,
    /// Absent if the section was never opened: what kind of section it is, is sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The slots of the patient that contain it, ascending. The slot's consent says with whom it is shared.
    pub slots: Vec<SlotId>,
    /// Absent if the grant does not cover the section.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<RetrievedFile>,
}

/// A written file, whose content is what its author submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetrievedFile {
    /// Its name within the record's directory.
    pub name: String,
    pub media_type: String,
    pub bytes: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
}

/// Writes the missing sections into a record's folder. Also returns which sections are to be noted on the chain.
pub(super) async fn save(
    reader: &Reader,
    record: &OpenRecord,
    mut folder: Folder,
    context: &Context,
) -> Result<(RetrievedRecord, SectionSet), Failure> {
    folder.reopen()?;
    for section in &record.sections {
        let saved = save_section(reader, record, section, &mut folder, context).await;
        saved.map_err(|failure| interrupted(failure, &folder))?;
    }
    folder.finish()?;
    Ok((retrieved(&record.summary, &folder, false), folder.unnoted()))
}

/// A record of which earlier runs read all that is granted.
pub(super) fn already_there(
    summary: &RecordSummary,
    mut folder: Folder,
) -> Result<RetrievedRecord, Failure> {
    if !folder.is_done {
        folder.finish()?;
    }
    Ok(retrieved(summary, &folder, true))
}

fn retrieved(summary: &RecordSummary, folder: &Folder, already_there: bool) -> RetrievedRecord {
    let sections = summary.sections.iter().enumerate().map(|(index, section)| {
        // A record has at most 64 sections.
        let number = index as u16;
        RetrievedSection {
            index,
            kind: folder.kind(number).map(|kind| kind.to_string()),
            slots: section.slots.clone(),
            file: folder.files.get(&number).cloned(),
        }
    });
    let sections = sections.collect();
    let directory = folder.here().to_owned();
    RetrievedRecord { record: provenance(summary), directory, already_there, sections }
}

pub(super) fn provenance(summary: &RecordSummary) -> Provenance {
    let RecordSummary { pointer, record_id, hospital, author, nurse, cosigned, .. } = *summary;
    let RecordSummary { signed_at, previous, .. } = *summary;
    Provenance { pointer, record_id, hospital, author, nurse, cosigned, signed_at, previous }
}

/// Writes an open section to its file, unless an interrupted run did so.
async fn save_section(
    reader: &Reader,
    record: &OpenRecord,
    section: &OpenSection,
    folder: &mut Folder,
    context: &Context,
) -> Result<(), Failure> {
    let (index, name) = (section.index, file_name(section));
    let path = folder.unfinished.join(&name);
    let media_type = match &section.content {
        OpenContent::NotGranted => return Ok(()),
        OpenContent::Text { media_type, .. } | OpenContent::Media { media_type, .. } => media_type,
    };
    // A record has no more sections than fit.
    folder.expect(index as u16, &name, record.description(index)?)?;
    if !saved(record, index, &path).await? {
        if let OpenContent::Text { .. } = &section.content {
            save_text(record, index, &path).await?;
        } else {
            let bar = progress::bytes(context, format!("reading {name}"));
            let done = reader.save_media(record, index, &path, progress::follow(&bar)).await;
            bar.finish_and_clear();
            done?;
        }
    }
    let file = written(&path, name, media_type)?;
    folder.keep(index as u16, file);
    Ok(())
}

/// Adds that another run resumes, if there is anything to resume from.
pub(super) fn interrupted(mut failure: Failure, folder: &Folder) -> Failure {
    if folder.abandon() {
        let kept = folder.here().display();
        failure.help +=
            &format!("; the data read so far is saved in {kept}: rerun the command to resume");
    }
    failure
}

pub(super) fn written(
    path: &Path,
    name: String,
    media_type: &str,
) -> Result<RetrievedFile, Failure> {
    let (bytes, sha256) = sha256(path).map_err(|error| Failure::file(path, &error))?;
    Ok(RetrievedFile { name, media_type: media_type.into(), bytes, sha256 })
}

/// Length and SHA-256 (hexadecimal) of a file.
pub fn sha256(path: &Path) -> io::Result<(u64, String)> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((bytes, hex::encode(hasher.finalize())));
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
}

/// Maximum number of bytes of the author's name in a file's name. With prefix and suffix, no name is longer than the
/// 255 bytes that file systems accept.
const MAX_OWN_BYTES: usize = 180;

/// The name of a section's file: unique within its record, and never outside its folder. Of the author's name for a
/// media file, only what is safe is kept.
pub(super) fn file_name(section: &OpenSection) -> String {
    let (own, media_type) = match &section.content {
        OpenContent::Media { file_name, media_type, .. } => {
            (file_name::harmless(file_name, MAX_OWN_BYTES), media_type)
        }
        OpenContent::Text { media_type, .. } => (None, media_type),
        OpenContent::NotGranted => return String::new(),
    };
    let own = own.unwrap_or_else(|| {
        let suffix = match media_type.as_str() {
            "application/fhir+json" | "application/json" => "json",
            "application/dicom" => "dcm",
            "text/plain" => "txt",
            _ => "bin",
        };
        let kind = section.kind.map_or_else(|| "section".into(), |kind| kind.to_string());
        format!("{kind}.{suffix}")
    });
    format!("{}{own}", prefix(section.index))
}

/// The beginning of the name of a section's file.
pub(super) fn prefix(section: usize) -> String {
    format!("{section:02}-")
}
