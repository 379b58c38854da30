//! What was read, as files. Nothing unverified is written, and nothing is overwritten. A record's folder
//! gets its name when everything is in it; until then it is called `.partial`, and the next run goes on
//! in it.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use epione_client::reader::{
    OpenContent, OpenRecord, OpenSection, Reader, RecordSummary, saved_media,
};
use epione_primitives::{HospitalId, RecordId, RecordPointer, UserId, access::SectionClass};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{context::Context, devnet::write_atomically, failure::Failure, progress};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetrievedRecord {
    #[serde(flatten)]
    pub record: Provenance,
    pub directory: PathBuf,
    pub sections: Vec<RetrievedSection>,
}

/// Where a record stands and who wrote it, both verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Provenance {
    pub pointer: RecordPointer,
    pub record_id: RecordId,
    pub hospital: HospitalId,
    pub author: UserId,
    /// Whether the patient signed it, too.
    pub cosigned: bool,
    pub previous: Option<RecordPointer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetrievedSection {
    pub index: usize,
    pub kind: String,
    pub class: SectionClass,
    /// Absent if the grant does not cover the section.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<RetrievedFile>,
}

/// A file as it was written, which is as its author handed it over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetrievedFile {
    /// Within the record's directory.
    pub name: String,
    pub media_type: String,
    pub bytes: u64,
    /// Of the file, in hexadecimal.
    pub sha256: String,
}

/// Writes a record into a folder of its own.
pub(super) async fn save(
    reader: &Reader,
    record: &OpenRecord,
    out: &Path,
    context: &Context,
) -> Result<RetrievedRecord, Failure> {
    let pointer = record.summary.pointer;
    let name = format!("{}-{}", pointer.height, pointer.index);
    let (directory, unfinished) = (out.join(&name), out.join(format!("{name}.partial")));
    if directory.exists() {
        return Err(Failure::new(
            format!("{} exists", directory.display()),
            "choose another --out; nothing is overwritten",
        ));
    }
    fs::create_dir_all(&unfinished).map_err(|error| Failure::file(&unfinished, &error))?;
    let mut sections = Vec::with_capacity(record.sections.len());
    for section in &record.sections {
        let file = save_section(reader, record, section, &unfinished, context).await;
        let file = file.map_err(|failure| interrupted(failure, &unfinished))?;
        sections.push(RetrievedSection {
            index: section.index,
            kind: section.kind.to_string(),
            class: section.class,
            file,
        });
    }
    fs::rename(&unfinished, &directory).map_err(|error| Failure::file(&directory, &error))?;
    Ok(RetrievedRecord { record: provenance(record), directory, sections })
}

pub(super) fn provenance(record: &OpenRecord) -> Provenance {
    let RecordSummary { pointer, record_id, hospital, author, cosigned, previous, .. } =
        record.summary.clone();
    Provenance { pointer, record_id, hospital, author, cosigned, previous }
}

/// The section's file: as an earlier run left it, or a new one. None if there is no key for it.
async fn save_section(
    reader: &Reader,
    record: &OpenRecord,
    section: &OpenSection,
    folder: &Path,
    context: &Context,
) -> Result<Option<RetrievedFile>, Failure> {
    let name = file_name(section);
    let path = folder.join(&name);
    let media_type = match &section.content {
        OpenContent::NotGranted => return Ok(None),
        OpenContent::Text { media_type, text } => {
            write_atomically(&path, text.as_bytes())
                .map_err(|error| Failure::file(&path, &error))?;
            media_type
        }
        OpenContent::Media { media_type, .. } => {
            if saved_media(record, section.index, &path).await?.is_none() {
                let bar = progress::bytes(context, format!("reading {name}"));
                let saved =
                    reader.save_media(record, section.index, &path, progress::follow(&bar)).await;
                bar.finish_and_clear();
                saved?;
            }
            media_type
        }
    };
    written(&path, name, media_type).map(Some)
}

/// Says that another run goes on, if there is anything to go on from.
fn interrupted(mut failure: Failure, folder: &Path) -> Failure {
    // Removed only if it is empty.
    if fs::remove_dir(folder).is_err() {
        let kept = format!("; what was read is kept in {}", folder.display());
        failure.help += &format!("{kept}: repeat the command to go on from there");
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

/// Unique within its record, and never outside its folder: the author's name for a media file is only
/// kept as far as it is harmless.
pub(super) fn file_name(section: &OpenSection) -> String {
    let (own, media_type) = match &section.content {
        OpenContent::Media { file_name, media_type, .. } => (harmless(file_name), media_type),
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
        format!("{}.{suffix}", section.kind)
    });
    format!("{:02}-{own}", section.index)
}

fn harmless(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next()?;
    let kept: String = last
        .chars()
        .map(|c| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ') { c } else { '_' })
        .take(120)
        .collect();
    (!kept.trim_matches(['.', ' ']).is_empty()).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authors_file_name_stays_within_the_folder() {
        assert_eq!(harmless("CT_small.dcm").as_deref(), Some("CT_small.dcm"));
        assert_eq!(harmless("../../etc/passwd").as_deref(), Some("passwd"));
        assert_eq!(harmless("c:\\x\\scan 1.dcm").as_deref(), Some("scan 1.dcm"));
        assert_eq!(harmless("a\nb\u{202e}").as_deref(), Some("a_b_"));
        assert_eq!(harmless(".."), None);
        assert_eq!(harmless(""), None);
    }
}
