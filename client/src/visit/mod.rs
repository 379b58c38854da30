//! Makes a signed visit of texts and files.
//!
//! The author's own hospital receives the visit unsealed, and seals it. The author signs the salted leaves of the
//! sections ([`epione_envelope::record::Draft`]), so that the signature is valid for the sealed record and for a single
//! section of it. The patient and a nurse may sign the same leaves.
//!
//! What is signed names the newest finalized block of the chain: the signers' accounts and rights are judged by the
//! state after it. A worker accepts the visit for ten minutes after that block.
//!
//! ```no_run
//! use epione_client::{Account, chain::Chain, visit::VisitBuilder, worker::WorkerClient};
//! use epione_envelope::record::SectionKind;
//! use epione_primitives::{HospitalId, UserId};
//!
//! async fn submit(patient: UserId, doctor: UserId) -> Result<(), Box<dyn std::error::Error>> {
//!     let (hospital, account) = (HospitalId(0), Account::development("//Alice//doctor")?);
//!     let chain = Chain::connect("ws://127.0.0.1:9944").await?;
//!     let visit = VisitBuilder::new(chain.genesis_hash(), patient, hospital, doctor)
//!         .text(SectionKind::Diagnosis, "Stage 2 hypertension.")
//!         .file(SectionKind::Media, "heart.dcm")
//!         .describe()
//!         .await?
//!         .sign(&account, chain.finalized_head().await?.into())?;
//!     let worker = WorkerClient::for_hospital(&chain, hospital, account).await?;
//!     let status = worker.submit_visit(&visit, |sent| println!("{} of {} bytes", sent.done, sent.total)).await?;
//!     println!("record {} is {:?}", status.record_id, status.stage);
//!     Ok(())
//! }
//! ```

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use codec::{DecodeAll, Encode};
use epione_envelope::{
    FormatError,
    frames::{Frames, MAX_LISTED_FRAMES, NoFrames},
    record::{
        Description, Draft, MAX_FILE_NAME_BYTES, MAX_MEDIA_BYTES, MAX_SECTIONS, MAX_TEXT_BYTES,
        Salt, SectionKind, SignedDraft,
    },
    signature::Extraction,
};
use epione_primitives::{
    BlockNumber, Hash, HospitalId, RecordId, Signature, UserId, block::SignedAt,
    limits::MAX_SUBMISSION_AGE_BLOCKS,
};

use crate::{
    api::{ContentUpload, MAX_VISIT_JSON_BYTES, MAX_VISIT_TEXT_BYTES, SectionUpload, VisitRequest},
    dicom, file_name,
    signer::Account,
};

const DICOM: &str = "application/dicom";
const OPAQUE: &str = "application/octet-stream";
const FHIR_JSON: &str = "application/fhir+json";
const JSON: &str = "application/json";
const PLAIN_TEXT: &str = "text/plain";

/// Why a visit is not valid.
#[derive(Debug, thiserror::Error)]
pub enum VisitError {
    #[error("a visit needs at least one section: give a text or a file")]
    NoSections,
    #[error("a visit has at most {MAX_SECTIONS} sections, not {0}: submit two visits")]
    TooManySections(usize),
    #[error("section {section} is empty: leave it out, or give its text")]
    EmptyText { section: usize },
    #[error(
        "section {section} has {bytes} bytes of text, but the limit is {MAX_TEXT_BYTES}: attach it as a file"
    )]
    LongText { section: usize, bytes: usize },
    #[error(
        "the visit's texts have {bytes} bytes together, but the limit is {MAX_VISIT_TEXT_BYTES}: attach some as files"
    )]
    LongTexts { bytes: usize },
    #[error(
        "section {section} has a control character (U+{:04X}), which texts must not have: attach it as a file",
        u32::from(*.character)
    )]
    ControlCharacter { section: usize, character: char },
    #[error(
        "the descriptions of the visit's files are too long ({bytes} bytes): submit its images in several visits"
    )]
    LongDescriptions { bytes: usize },
    #[error("{} is empty: leave it out", .0.display())]
    EmptyFile(PathBuf),
    #[error("{} is not a file: give the files of a folder one by one", .0.display())]
    NotFile(PathBuf),
    #[error("{} has {bytes} bytes, but the limit is {MAX_MEDIA_BYTES}", .path.display())]
    LargeFile { path: PathBuf, bytes: u64 },
    #[error("{} cannot be read: {source}", .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the {what} of section {section} does not have the form that the API requires")]
    Field { section: usize, what: &'static str },
    #[error("the {0}'s signature is not a SCALE-encoded signature in hexadecimal")]
    Signature(&'static str),
    #[error("a visit names a nurse if and only if the nurse signed it")]
    NurseSignature,
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// Collects the sections of a visit, in order.
#[derive(Clone, Debug)]
pub struct VisitBuilder {
    genesis: Hash,
    patient: UserId,
    hospital: HospitalId,
    author: UserId,
    nurse: Option<(UserId, Account)>,
    cosigner: Option<Account>,
    extraction: Extraction,
    command: Option<[u8; 16]>,
    sections: Vec<Planned>,
}

/// A visit whose files were read, ready to be signed.
#[derive(Clone, Debug)]
pub struct DescribedVisit {
    plan: VisitBuilder,
    descriptions: Vec<Description>,
}

#[derive(Clone, Debug)]
struct Planned {
    kind: SectionKind,
    source: SectionSource,
}

#[derive(Clone)]
enum SectionSource {
    Text(String),
    File { path: PathBuf, name: String },
}

impl std::fmt::Debug for SectionSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::File { .. } => f.write_str("File"),
        }
    }
}

/// A signed visit, and the files of its media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    pub request: VisitRequest,
    /// In the order of the sections.
    pub media: Vec<MediaFile>,
}

/// The file of a media section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaFile {
    /// Index of its section.
    pub section: usize,
    pub path: PathBuf,
    pub bytes: u64,
    pub blake3: [u8; 32],
    pub media_type: String,
}

impl Visit {
    /// A visit that was signed earlier, with the files of its media sections in order; none if the numbers of files and
    /// media sections differ. The worker checks that the content is what was signed.
    pub fn signed_earlier(request: VisitRequest, files: Vec<PathBuf>) -> Option<Self> {
        let mut files = files.into_iter();
        let mut media = Vec::new();
        for (section, upload) in request.sections.iter().enumerate() {
            if let ContentUpload::Media { bytes, blake3, .. } = &upload.content {
                media.push(MediaFile {
                    section,
                    path: files.next()?,
                    bytes: *bytes,
                    blake3: digest(blake3)?,
                    media_type: upload.media_type.clone(),
                });
            }
        }
        files.next().is_none().then_some(Self { request, media })
    }

    pub fn record_id(&self) -> RecordId {
        self.request.record_id
    }

    /// Whether a worker still accepts the visit, given the number of the newest finalized block. A worker that already
    /// has the visit keeps it longer.
    pub fn is_fresh_at(&self, newest: BlockNumber) -> bool {
        newest.saturating_sub(self.request.signed_at.number) <= MAX_SUBMISSION_AGE_BLOCKS
    }
}

impl VisitBuilder {
    /// A visit of `patient` at `hospital`, whose author is `author`, on the chain with this first block.
    pub fn new(genesis: Hash, patient: UserId, hospital: HospitalId, author: UserId) -> Self {
        Self {
            genesis,
            patient,
            hospital,
            author,
            nurse: None,
            cosigner: None,
            extraction: Extraction::default(),
            command: None,
            sections: Vec::new(),
        }
    }

    /// Adds the command, which is the same for every attempt to submit this visit. Within a day, the worker answers
    /// every visit of the author with the same command with the first one that it acknowledged. Nobody must be able to
    /// guess the content from the command. Without a command, the visit is new.
    #[must_use]
    pub fn by_command(mut self, command: Option<[u8; 16]>) -> Self {
        self.command = command;
        self
    }

    /// Has the patient sign, too, with this account. With none, the visit is not co-signed.
    #[must_use]
    pub fn cosigned_by(mut self, patient: Option<Account>) -> Self {
        self.cosigner = patient;
        self
    }

    /// Has a nurse sign, too, with this account. With none, the visit names no nurse.
    #[must_use]
    pub fn nursed_by(mut self, nurse: Option<(UserId, Account)>) -> Self {
        self.nurse = nurse;
        self
    }

    /// States which sections may be disclosed. The default allows every choice of sections.
    #[must_use]
    pub fn with_extraction(mut self, extraction: Extraction) -> Self {
        self.extraction = extraction;
        self
    }

    /// Adds a text: a FHIR resource or other JSON, or plain text.
    #[must_use]
    pub fn text(mut self, kind: SectionKind, text: impl Into<String>) -> Self {
        self.sections.push(Planned { kind, source: SectionSource::Text(text.into()) });
        self
    }

    /// Adds a file as media: DICOM, or any other file. The record keeps its name, but not its folder.
    #[must_use]
    pub fn file(self, kind: SectionKind, path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        self.file_named(kind, path, name.unwrap_or_default())
    }

    /// Adds a file as media under another name than its own; without a name if that is empty.
    #[must_use]
    pub fn file_named(
        mut self,
        kind: SectionKind,
        path: impl Into<PathBuf>,
        name: impl Into<String>,
    ) -> Self {
        let source = SectionSource::File { path: path.into(), name: name.into() };
        self.sections.push(Planned { kind, source });
        self
    }

    /// Reads the files once, and signs the visit at this block. If reading takes longer than the worker accepts the
    /// visit, [`VisitBuilder::describe`] and [`DescribedVisit::sign`] are better.
    pub async fn build(self, author: &Account, signed_at: SignedAt) -> Result<Visit, VisitError> {
        self.describe().await?.sign(author, signed_at)
    }

    /// Reads the files once.
    pub async fn describe(self) -> Result<DescribedVisit, VisitError> {
        tokio::task::spawn_blocking(move || self.read())
            .await
            .expect("describing a visit does not panic")
    }

    fn read(self) -> Result<DescribedVisit, VisitError> {
        match self.sections.len() {
            0 => return Err(VisitError::NoSections),
            count if count > usize::from(MAX_SECTIONS) => {
                return Err(VisitError::TooManySections(count));
            }
            _ => {}
        }
        check_texts(self.sections.iter().filter_map(|planned| match &planned.source {
            SectionSource::Text(text) => Some(text),
            SectionSource::File { .. } => None,
        }))?;
        let mut descriptions = self
            .sections
            .iter()
            .enumerate()
            .map(|(section, planned)| planned.describe(section))
            .collect::<Result<Vec<_>, _>>()?;
        bound_frames(&mut descriptions);
        Ok(DescribedVisit { plan: self, descriptions })
    }
}

impl DescribedVisit {
    /// Signs the visit at this block, which should be the newest finalized one.
    pub fn sign(self, author: &Account, signed_at: SignedAt) -> Result<Visit, VisitError> {
        let Self { plan, descriptions } = self;
        let draft = Draft::new(plan.patient, plan.hospital, plan.author, signed_at, descriptions)?;
        let mut draft = draft.with_extraction(plan.extraction)?;
        if let Some((user, _)) = &plan.nurse {
            draft = draft.with_nurse(*user);
            draft.validate()?;
        }
        let mut signed = draft.sign(plan.genesis, author);
        if let Some(patient) = &plan.cosigner {
            signed = signed.cosign(plan.genesis, patient);
        }
        if let Some((_, nurse)) = &plan.nurse {
            signed = signed.sign_as_nurse(plan.genesis, nurse);
        }
        visit(signed, plan.sections, plan.command)
    }
}

impl Planned {
    fn describe(&self, section: usize) -> Result<Description, VisitError> {
        match &self.source {
            SectionSource::Text(text) => {
                check_text(section, text)?;
                Ok(Description::of(self.kind, text_type(text), "", text.as_bytes())?)
            }
            SectionSource::File { path, name } => describe_file(self.kind, path, name),
        }
    }
}

fn check_text(section: usize, text: &str) -> Result<(), VisitError> {
    let bytes = text.len();
    if legible(text).is_empty() {
        return Err(VisitError::EmptyText { section });
    }
    if bytes as u64 > u64::from(MAX_TEXT_BYTES) {
        return Err(VisitError::LongText { section, bytes });
    }
    let is_odd = |c: &char| c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\x0c' | '\r');
    match text.chars().find(is_odd) {
        Some(character) => Err(VisitError::ControlCharacter { section, character }),
        None => Ok(()),
    }
}

/// Checks the total length of the texts, in bytes as their author counts them.
fn check_texts<'a>(texts: impl Iterator<Item = &'a String>) -> Result<(), VisitError> {
    let bytes = texts.map(String::len).sum();
    if bytes > MAX_VISIT_TEXT_BYTES { Err(VisitError::LongTexts { bytes }) } else { Ok(()) }
}

/// A text without surrounding space and without the byte order mark that some programs write before it.
fn legible(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text).trim()
}

/// The media type of a text: FHIR if it names a resource type, JSON if it is another JSON object or list, plain text
/// otherwise.
fn text_type(text: &str) -> &'static str {
    #[derive(serde::Deserialize)]
    struct Resource {
        #[serde(rename = "resourceType")]
        _resource_type: String,
    }
    let text = legible(text);
    if serde_json::from_str::<Resource>(text).is_ok() {
        FHIR_JSON
    } else if text.starts_with(['{', '['])
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
    {
        JSON
    } else {
        PLAIN_TEXT
    }
}

fn describe_file(kind: SectionKind, path: &Path, name: &str) -> Result<Description, VisitError> {
    let fail = |source| VisitError::File { path: path.into(), source };
    let file = File::open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    if !metadata.is_file() {
        return Err(VisitError::NotFile(path.into()));
    }
    let bytes = metadata.len();
    if bytes == 0 {
        return Err(VisitError::EmptyFile(path.into()));
    }
    if bytes > MAX_MEDIA_BYTES {
        return Err(VisitError::LargeFile { path: path.into(), bytes });
    }
    let read = dicom::inspect(file).map_err(fail)?;
    let media_type = if read.is_dicom() { DICOM } else { OPAQUE };
    // A byte that is not Unicode was replaced by a character of three bytes.
    let name = file_name::shortened(name, MAX_FILE_NAME_BYTES as usize);
    Ok(Description::new(kind, media_type, &name, read.bytes, read.blake3, read.frames)?)
}

/// Removes the frame lists of the sections after which the record's limit of listed frames would be exceeded.
fn bound_frames(described: &mut [Description]) {
    let mut left = MAX_LISTED_FRAMES;
    for description in described {
        match left.checked_sub(description.frames.listed()) {
            Some(rest) => left = rest,
            None => description.frames = Frames::None(NoFrames::TooMany),
        }
    }
}

fn visit(
    signed: SignedDraft,
    sources: Vec<Planned>,
    command: Option<[u8; 16]>,
) -> Result<Visit, VisitError> {
    let SignedDraft { draft, signature, patient_signature, nurse_signature } = signed;
    let (mut uploads, mut media) = (Vec::new(), Vec::new());
    for (section, (description, planned)) in draft.sections.iter().zip(sources).enumerate() {
        let content = match planned.source {
            SectionSource::Text(text) => ContentUpload::Text(text),
            SectionSource::File { path, .. } => {
                let (bytes, blake3) = (description.content_length, description.content_root);
                let media_type = description.media_type.clone();
                media.push(MediaFile { section, path, bytes, blake3, media_type });
                let frames = description.frames.clone();
                ContentUpload::Media { bytes, blake3: hex::encode(blake3), frames }
            }
        };
        let name = Some(description.file_name.clone()).filter(|name| !name.is_empty());
        uploads.push(SectionUpload {
            kind: description.kind.to_string(),
            salt: hex::encode(description.salt.as_bytes()),
            media_type: description.media_type.clone(),
            name,
            content,
        });
    }
    let in_hexadecimal = |signature: Signature| hex::encode(signature.encode());
    let request = VisitRequest {
        record_id: draft.record,
        patient: draft.patient,
        hospital: draft.hospital,
        author: draft.author,
        nurse: draft.nurse,
        signed_at: draft.signed_at,
        extraction: draft.extraction,
        sections: uploads,
        author_signature: in_hexadecimal(signature),
        patient_signature: patient_signature.map(in_hexadecimal),
        nurse_signature: nurse_signature.map(in_hexadecimal),
        command: command.map(hex::encode),
    };
    let bytes = serde_json::to_vec(&request).map(|json| json.len()).unwrap_or(usize::MAX);
    if bytes > MAX_VISIT_JSON_BYTES {
        return Err(VisitError::LongDescriptions { bytes });
    }
    Ok(Visit { request, media })
}

/// Rebuilds what the author of a visit signed from the request that a worker received. Checks limits, but no signature:
/// [`SignedDraft::verify`] verifies the author's signature, [`SignedDraft::verify_cosignature`] the patient's, and
/// [`SignedDraft::verify_nurse`] the nurse's.
pub fn signed_draft(visit: &VisitRequest) -> Result<SignedDraft, VisitError> {
    check_texts(visit.sections.iter().filter_map(|upload| match &upload.content {
        ContentUpload::Text(text) => Some(text),
        ContentUpload::Media { .. } => None,
    }))?;
    let sections =
        visit.sections.iter().enumerate().map(|(section, upload)| description(section, upload));
    let draft = Draft {
        record: visit.record_id,
        patient: visit.patient,
        hospital: visit.hospital,
        author: visit.author,
        nurse: visit.nurse,
        signed_at: visit.signed_at,
        extraction: visit.extraction.clone(),
        sections: sections.collect::<Result<_, _>>()?,
    };
    if draft.sections.is_empty() {
        return Err(VisitError::NoSections);
    }
    if visit.nurse.is_some() != visit.nurse_signature.is_some() {
        return Err(VisitError::NurseSignature);
    }
    draft.validate()?;
    let signature = read_signature("author", &visit.author_signature)?;
    let also = |whose, digits: &Option<String>| {
        digits.as_deref().map(|digits| read_signature(whose, digits)).transpose()
    };
    let patient_signature = also("patient", &visit.patient_signature)?;
    let nurse_signature = also("nurse", &visit.nurse_signature)?;
    Ok(SignedDraft { draft, signature, patient_signature, nurse_signature })
}

fn read_signature(whose: &'static str, digits: &str) -> Result<Signature, VisitError> {
    let bytes = hex::decode(digits).map_err(|_| VisitError::Signature(whose))?;
    Signature::decode_all(&mut bytes.as_slice()).map_err(|_| VisitError::Signature(whose))
}

fn description(section: usize, upload: &SectionUpload) -> Result<Description, VisitError> {
    let field = |what| VisitError::Field { section, what };
    let kind = upload.kind.parse().map_err(|_| field("kind"))?;
    let (content_length, content_root, frames) = match &upload.content {
        ContentUpload::Text(text) => {
            check_text(section, text)?;
            (text.len() as u64, blake3::hash(text.as_bytes()).into(), Frames::default())
        }
        ContentUpload::Media { bytes: 0, .. } => return Err(field("length")),
        ContentUpload::Media { bytes, blake3, frames } => {
            (*bytes, digest(blake3).ok_or(field("digest"))?, frames.clone())
        }
    };
    Ok(Description {
        salt: Salt::from_bytes(digest(&upload.salt).ok_or(field("salt"))?),
        kind,
        media_type: upload.media_type.clone(),
        file_name: upload.name.clone().unwrap_or_default(),
        content_length,
        content_root,
        frames,
    })
}

fn digest(digits: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests;
