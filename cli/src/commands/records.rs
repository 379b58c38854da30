//! `epione records`: a patient's records on their way out.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueEnum};
use epione_client::reader::{self, OpenContent, OpenRecord, OpenSection, Reader, RecordSummary};
use epione_primitives::{
    HospitalId, RecordId, RecordPointer, UserId,
    access::{self, SectionClass},
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    context::{Context, Output},
    devnet::write_atomically,
    failure::Failure,
    identity::{self, KeySource},
    progress, show,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists a patient's records by the chain alone: newest first, nothing is decrypted
    List(ListArgs),
    /// Reads records into files: granted by their hospitals, verified, decrypted
    Get(GetArgs),
}

impl Command {
    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::List(args) => show(&list(args, context).await?, json),
            Self::Get(args) => show(&get(args, context).await?, json),
        }
    }
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[arg(long, value_name = "USER")]
    pub patient: UserId,
    /// How many at most
    #[arg(long, default_value_t = 32)]
    pub limit: u32,
}

/// A patient's records, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listing {
    pub patient: UserId,
    pub records: Vec<RecordSummary>,
}

impl Output for Listing {}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.records.is_empty() {
            return write!(f, "the chain holds no record of {}", self.patient);
        }
        for record in &self.records {
            let kinds: Vec<_> =
                record.sections.iter().map(|section| section.kind.to_string()).collect();
            writeln!(
                f,
                "{:<8} hospital {}  author {}  before it {}  {}",
                record.pointer.to_string(),
                record.hospital,
                record.author,
                record.previous.map_or("none".into(), |pointer| pointer.to_string()),
                kinds.join(", ")
            )?;
        }
        Ok(())
    }
}

/// Walks a patient's records from the latest on.
pub async fn list(args: &ListArgs, context: &Context) -> Result<Listing, Failure> {
    let records = reader::list(context.chain().await?, args.patient, None, args.limit).await?;
    Ok(Listing { patient: args.patient, records })
}

#[derive(Debug, Args)]
pub struct GetArgs {
    /// The reader's key file
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    #[arg(long, value_name = "USER")]
    pub patient: UserId,
    /// A record: block height and index, as in 12/0; may be repeated
    #[arg(long = "pointer", value_name = "HEIGHT/INDEX", value_parser = pointer, required_unless_present = "all")]
    pub pointers: Vec<RecordPointer>,
    /// Every record of the patient
    #[arg(long, conflicts_with = "pointers")]
    pub all: bool,
    /// With --all: how many at most, newest first
    #[arg(long, default_value_t = 64)]
    pub limit: u32,
    /// Folder to write to; each record gets a folder of its own in it
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Why [default: patient-request for the patient, treatment for everybody else]
    #[arg(long, value_enum)]
    pub purpose: Option<Purpose>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Purpose {
    Treatment,
    PatientRequest,
    Research,
    Audit,
    Emergency,
}

impl From<Purpose> for access::Purpose {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Treatment => Self::Treatment,
            Purpose::PatientRequest => Self::PatientRequest,
            Purpose::Research => Self::Research,
            Purpose::Audit => Self::Audit,
            Purpose::Emergency => Self::Emergency,
        }
    }
}

fn pointer(text: &str) -> Result<RecordPointer, String> {
    let parse = || {
        let (height, index) = text.split_once('/')?;
        Some(RecordPointer { height: height.parse().ok()?, index: index.parse().ok()? })
    };
    parse().ok_or_else(|| format!("{text:?} is not a record: write it as HEIGHT/INDEX, as in 12/0"))
}

/// Records that were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Retrieved {
    pub patient: UserId,
    pub records: Vec<RetrievedRecord>,
}

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

impl Output for Retrieved {}

impl fmt::Display for Retrieved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for record in &self.records {
            writeln!(f, "{}  {}", record.record.pointer, record.directory.display())?;
            for section in &record.sections {
                match &section.file {
                    Some(file) => writeln!(
                        f,
                        "  {:<13} {:>10} bytes  sha256 {}  {}",
                        section.kind,
                        file.bytes,
                        file.sha256.get(..16).unwrap_or_default(),
                        file.name
                    )?,
                    None => writeln!(f, "  {:<13} not granted", section.kind)?,
                }
            }
        }
        write!(f, "{} records, every byte verified", self.records.len())
    }
}

/// Reads records. Nothing unverified is written.
pub async fn get(args: &GetArgs, context: &Context) -> Result<Retrieved, Failure> {
    let keys = context.keys(&args.signer)?;
    let account = identity::account(&keys);
    let chain = context.chain().await?;
    let user = context.user_of(&account).await?;
    let purpose = args.purpose.map(access::Purpose::from).unwrap_or_else(|| {
        if user == args.patient {
            access::Purpose::PatientRequest
        } else {
            access::Purpose::Treatment
        }
    });
    let mut by_hospital: BTreeMap<HospitalId, Vec<RecordPointer>> = BTreeMap::new();
    for (hospital, pointer) in wanted(args, context).await? {
        by_hospital.entry(hospital).or_default().push(pointer);
    }
    let mut records = Vec::new();
    for (hospital, pointers) in by_hospital {
        let worker = context.worker(hospital, account.clone()).await?;
        let reader = Reader::new(chain.clone(), worker, keys.sealing.clone());
        let spinner = progress::waiting(context, "asking for access");
        let open = reader.open(args.patient, &pointers, purpose).await;
        spinner.finish_and_clear();
        for record in &open? {
            records.push(save(&reader, record, &args.out, context).await?);
        }
    }
    Ok(Retrieved { patient: args.patient, records })
}

/// The records that are asked for, with the hospitals that hold them.
async fn wanted(
    args: &GetArgs,
    context: &Context,
) -> Result<Vec<(HospitalId, RecordPointer)>, Failure> {
    let limit = if args.all { args.limit } else { u32::MAX };
    let listing = list(&ListArgs { patient: args.patient, limit }, context).await?;
    let known: BTreeMap<_, _> =
        listing.records.iter().map(|record| (record.pointer, record.hospital)).collect();
    if args.all {
        if known.is_empty() {
            return Err(Failure::new(
                format!("the chain holds no record of {}", args.patient),
                "check the patient's id; visits appear once they are committed",
            ));
        }
        return Ok(known.into_iter().map(|(pointer, hospital)| (hospital, pointer)).collect());
    }
    let wanted = args.pointers.iter().map(|pointer| {
        let hospital = known.get(pointer).ok_or_else(|| {
            Failure::new(
                format!("the patient has no record {pointer}"),
                format!("see which there are: epione records list --patient {}", args.patient),
            )
        })?;
        Ok((*hospital, *pointer))
    });
    wanted.collect()
}

async fn save(
    reader: &Reader,
    record: &OpenRecord,
    out: &Path,
    context: &Context,
) -> Result<RetrievedRecord, Failure> {
    let RecordSummary { pointer, record_id, hospital, author, previous, .. } =
        record.summary.clone();
    let directory = out.join(format!("{}-{}", pointer.height, pointer.index));
    if directory.exists() {
        return Err(Failure::new(
            format!("{} exists", directory.display()),
            "choose another --out; nothing is overwritten",
        ));
    }
    fs::create_dir_all(&directory).map_err(|error| Failure::file(&directory, &error))?;
    let mut sections = Vec::with_capacity(record.sections.len());
    for section in &record.sections {
        let name = file_name(section);
        let path = directory.join(&name);
        let media_type = match &section.content {
            OpenContent::NotGranted => None,
            OpenContent::Text { media_type, text } => {
                write_atomically(&path, text.as_bytes())
                    .map_err(|error| Failure::file(&path, &error))?;
                Some(media_type)
            }
            OpenContent::Media { media_type, .. } => {
                let bar = progress::bytes(context, name.clone());
                let saved =
                    reader.save_media(record, section.index, &path, progress::follow(&bar)).await;
                bar.finish_and_clear();
                saved?;
                Some(media_type)
            }
        };
        let file = media_type.map(|media_type| written(&path, name, media_type)).transpose()?;
        sections.push(RetrievedSection {
            index: section.index,
            kind: section.kind.to_string(),
            class: section.class,
            file,
        });
    }
    let record = Provenance { pointer, record_id, hospital, author, previous };
    Ok(RetrievedRecord { record, directory, sections })
}

fn written(path: &Path, name: String, media_type: &str) -> Result<RetrievedFile, Failure> {
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
fn file_name(section: &OpenSection) -> String {
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
    fn a_pointer_is_a_height_and_an_index() {
        assert_eq!(pointer("12/3"), Ok(RecordPointer { height: 12, index: 3 }));
        for wrong in ["", "12", "12/", "a/b", "1/2/3", "1/70000"] {
            assert!(pointer(wrong).is_err(), "{wrong}");
        }
    }

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
