//! Verifies a disclosure offline, from the hash of the genesis block alone, and names who is to blame for a flaw.

use std::{
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use codec::{DecodeAll, DecodeWithMemLimit};
use epione_envelope::{
    FormatError, SignatureError, account,
    record::{Description, Disclosure, Payload, Record},
};
use epione_primitives::{
    AccountId, Hash, HospitalId, Moment, RecordId, RecordPointer, Signature, UserId,
    block::{SignedAt, record_hash},
    profile::Role,
    release::SectionSet,
};
use epione_proofs::StateError;

use super::{
    Attribution, AttributionError, Bundle, FILE_NAME, FORMAT, MAGIC, MAX_FILE_BYTES, MAX_MEMORY,
    media_name, message,
};
use crate::{
    chain::{Committed, Cosignature, ProofFault, Signers, SigningFault, judge},
    offline::{self, OtherChain, check_chain},
    private,
};

/// Size of the buffer with which a media file is read.
const BUFFER_BYTES: usize = 256 * 1024;

/// What is wrong with a disclosure.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    #[error("{} cannot be read: {source}", .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{} is a link, a folder or a pipe, and not a file", .path.display())]
    NotFile { path: PathBuf },
    #[error("the file has more than {max} bytes: it is not a disclosure", max = MAX_FILE_BYTES)]
    TooLarge,
    #[error("this is not a disclosure: the file begins with other bytes")]
    NotDisclosure,
    #[error("the file is of format {0}, which this version does not read: update epione")]
    Format(u8),
    #[error("the file of the disclosure is damaged: {0}")]
    Malformed(String),
    #[error(transparent)]
    OtherChain(#[from] OtherChain),
    #[error("it does not prove what the chain says: {0}")]
    Unproven(#[from] ProofFault),
    #[error(
        "it does not have the signature of patient {0}: it was changed after the patient made it, or somebody else \
         made it"
    )]
    NotSigned(UserId),
    #[error("its recipient or purpose is not valid: {0}")]
    Attribution(#[from] AttributionError),
    #[error("its record is not the committed record {pointer}: its hash differs")]
    OtherRecord { pointer: RecordPointer },
    #[error("the {what} in record {pointer} differs from the one under which it was announced")]
    Announced { pointer: RecordPointer, what: &'static str },
    #[error("this version of epione cannot read it: {0}")]
    Version(FormatError),
    #[error("the signatures of the record do not count: {0}")]
    Signers(#[from] SigningFault),
    #[error("its record is the committed one, and cannot be read: {0}")]
    Record(String),
    #[error("its sections cannot be read: {0}")]
    Sections(String),
    #[error("it shows what the author did not sign, or does not permit: {0}")]
    Disclosure(#[from] SignatureError),
    #[error("its author signed a description of section {section} that no reader accepts")]
    Description { section: u16 },
    #[error("its author signed a text of section {section} that is not UTF-8")]
    NotText { section: u16 },
    #[error("the text of section {section} is not the one that the author signed")]
    Text { section: u16 },
    #[error("the text of section {section} is missing")]
    NoText { section: u16 },
    #[error("it has content of section {section}, which it does not show as such")]
    Unexpected { section: u16 },
    #[error(
        "{} is not part of the disclosure: nobody signed it, so it may be from somebody else",
        .path.display()
    )]
    Foreign { path: PathBuf },
    #[error("{} is not the content of section {section} that the author signed", .path.display())]
    Media { section: u16, path: PathBuf },
}

impl Flaw {
    /// Whether another version of this program may find nothing wrong. Then nobody is to blame.
    pub fn is_of_version(&self) -> bool {
        match self {
            Self::Format(_) | Self::Version(_) => true,
            // A proof that shows that a value is absent, or of another type, is right: the state has another form.
            Self::Unproven(fault) => matches!(
                fault,
                ProofFault::State(StateError::OtherType { .. }) | ProofFault::Absent(_)
            ),
            _ => false,
        }
    }

    /// Who is to blame for a flaw in what the patient signed.
    fn culprit(&self, committed: &Committed) -> Option<Culprit> {
        match self {
            _ if self.is_of_version() => None,
            // What the author signed.
            Self::Signers(_)
            | Self::Record(_)
            | Self::Announced { .. }
            | Self::Description { .. }
            | Self::NotText { .. } => Some(Culprit::Hospital(committed.header.announcer)),
            _ => Some(Culprit::Patient(committed.entry.patient)),
        }
    }
}

/// Who is to blame for a flaw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// The patient, who signed a disclosure with this flaw.
    Patient(UserId),
    /// The hospital that announced a record with this flaw.
    Hospital(HospitalId),
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Patient(patient) => write!(f, "patient {patient}, who signed the disclosure"),
            Self::Hospital(hospital) => {
                write!(f, "hospital {hospital}, which announced the record")
            }
        }
    }
}

/// A disclosure that does not verify.
#[derive(Debug, thiserror::Error)]
#[error("{flaw}")]
pub struct Refused {
    pub flaw: Flaw,
    /// None if the file does not show who is to blame, as when somebody changed it on its way, or if nobody is.
    pub culprit: Option<Culprit>,
}

impl From<Flaw> for Refused {
    fn from(flaw: Flaw) -> Self {
        Self { flaw, culprit: None }
    }
}

/// A verified disclosure.
#[derive(Clone)]
pub struct Verified {
    pub genesis: Hash,
    pub pointer: RecordPointer,
    pub record_id: RecordId,
    pub patient: UserId,
    pub hospital: HospitalId,
    /// Name of the hospital on the chain; UTF-8.
    pub hospital_name: Vec<u8>,
    pub author: UserId,
    pub author_role: Role,
    /// The nurse who signed it, too.
    pub nurse: Option<UserId>,
    /// Whether the patient signed the record, too.
    pub cosigned: bool,
    /// The chain block that the author named, and its time. The author signed after it, and before the record was
    /// committed.
    pub signed_at: SignedAt,
    pub signed_time: Moment,
    /// When the record was committed.
    pub committed_time: Moment,
    /// The final block of the proof, and its time. The disclosure was made after it, with the key that was the
    /// patient's then: see [`Verified::age`].
    pub proven_at: SignedAt,
    pub proven_time: Moment,
    pub attribution: Attribution,
    /// The shown sections, ascending.
    pub shown: Vec<ShownSection>,
    /// Number of sections that stay hidden.
    pub hidden: usize,
    /// Number of other patients whose pseudonyms the proof shows, because their records are in the same lite block.
    pub other_patients: usize,
}

/// A section that a disclosure shows. The author signed it.
#[derive(Clone)]
pub struct ShownSection {
    pub section: u16,
    pub description: Description,
    pub content: ShownContent,
}

/// The content of a shown section.
#[derive(Clone)]
pub enum ShownContent {
    Text(String),
    Media {
        /// The segments of the sealed media, by which hospitals store them.
        segments: Vec<[u8; 32]>,
        /// Whether a file next to the disclosure has the content: see [`Verified::check_media`].
        included: bool,
    },
}

/// Reads the file of a disclosure: `path` is the file, or the folder with it.
pub fn read(path: &Path) -> Result<Vec<u8>, Refused> {
    let path = if path.is_dir() { path.join(FILE_NAME) } else { path.to_owned() };
    let failed = |source| Flaw::File { path: path.clone(), source };
    let file = private::open(&path).map_err(failed)?;
    let file = file.ok_or_else(|| Flaw::NotFile { path: path.clone() })?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES { Err(Flaw::TooLarge.into()) } else { Ok(bytes) }
}

/// The genesis hash that the file of a disclosure names. Nothing is verified.
pub fn claimed_genesis(file: &[u8]) -> Result<Hash, Refused> {
    let (bundle, ..) = decode(file)?;
    Ok(bundle.genesis)
}

/// Verifies the file of a disclosure for the chain with this genesis block. Media files are checked separately, with
/// [`Verified::check_media`].
pub fn verify(file: &[u8], genesis: Hash) -> Result<Verified, Refused> {
    let (bundle, signed, signature) = decode(file)?;
    check_chain(genesis, bundle.genesis).map_err(Flaw::from)?;
    let committed = bundle.proof.committed(genesis, bundle.pointer).map_err(Flaw::from)?;
    let patient = committed.entry.patient;
    if !is_signed(genesis, signed, &signature, &committed.patient) {
        return Err(Flaw::NotSigned(patient).into());
    }
    // From here on, the patient signed what is wrong, unless the record itself is.
    open(&bundle, &committed).map_err(|flaw| {
        let culprit = flaw.culprit(&committed);
        Refused { flaw, culprit }
    })
}

/// The content of the file, the bytes before its signature, and the signature.
pub(super) fn decode(file: &[u8]) -> Result<(Bundle, &[u8], Signature), Flaw> {
    if file.len() as u64 > MAX_FILE_BYTES {
        return Err(Flaw::TooLarge);
    }
    let malformed = |error: codec::Error| Flaw::Malformed(error.to_string());
    let content = file.strip_prefix(&MAGIC).ok_or(Flaw::NotDisclosure)?;
    let mut rest = match content.split_first() {
        Some((&FORMAT, rest)) => rest,
        Some((other, _)) => return Err(Flaw::Format(*other)),
        None => return Err(Flaw::Malformed("it ends too early".into())),
    };
    let bundle = Bundle::decode_with_mem_limit(&mut rest, MAX_MEMORY).map_err(malformed)?;
    let (signed, mut last) = file.split_at(file.len() - rest.len());
    let signature = Signature::decode_all(&mut last).map_err(malformed)?;
    Ok((bundle, signed, signature))
}

fn is_signed(genesis: Hash, signed: &[u8], signature: &Signature, patient: &AccountId) -> bool {
    account::verify(signature, &message(genesis, signed), patient)
}

/// Verifies what the patient signed against the committed record.
fn open(bundle: &Bundle, committed: &Committed) -> Result<Verified, Flaw> {
    bundle.attribution.check()?;
    let record = record_of(bundle, committed)?;
    let (signers, signed_time) = bundle.proof.signers(committed, record.authorship())?;
    let announced_at = committed.announced_at;
    let cosignature = judge(&record, bundle.genesis, announced_at, Some(&signers))?;
    let disclosure = Disclosure::decode_exactly(&bundle.disclosure)
        .map_err(|error| unreadable(error, Flaw::Sections))?;
    let shown = shown(bundle, &record, disclosure.verify_against(&record)?)?;
    Ok(Verified {
        genesis: bundle.genesis,
        pointer: bundle.pointer,
        record_id: record.id(),
        patient: record.patient(),
        hospital: record.hospital(),
        hospital_name: committed.hospital_name.clone(),
        author: record.author(),
        author_role: role_of_author(&signers, &record)?,
        nurse: record.nurse(),
        cosigned: cosignature == Cosignature::Valid,
        signed_at: record.signed_at(),
        signed_time,
        committed_time: committed.header.time,
        proven_at: committed.head,
        proven_time: committed.time,
        attribution: bundle.attribution.clone(),
        hidden: record.sections().len() - shown.len(),
        other_patients: committed.other_patients,
        shown,
    })
}

/// The record, if it is the one whose hash the chain has.
fn record_of(bundle: &Bundle, committed: &Committed) -> Result<Record, Flaw> {
    let (entry, pointer) = (&committed.entry, bundle.pointer);
    if record_hash(&bundle.record) != entry.hash {
        return Err(Flaw::OtherRecord { pointer });
    }
    // These are the committed bytes: the hospital that announced them is to blame for what is wrong with them.
    let record =
        Record::decode_exactly(&bundle.record).map_err(|error| unreadable(error, Flaw::Record))?;
    let announced = |what| Err(Flaw::Announced { pointer, what });
    if record.id() != entry.record {
        return announced("id");
    }
    if record.patient() != entry.patient {
        return announced("patient");
    }
    if record.hospital() != committed.header.announcer {
        return announced("hospital");
    }
    Ok(record)
}

/// The flaw of bytes that cannot be decoded: of this version, or else `flaw`.
fn unreadable(error: FormatError, flaw: impl FnOnce(String) -> Flaw) -> Flaw {
    match error {
        FormatError::UnknownSuite { .. } | FormatError::OldFormat { .. } => Flaw::Version(error),
        _ => flaw(error.to_string()),
    }
}

/// `judge` has found that the author is a member.
fn role_of_author(signers: &Signers, record: &Record) -> Result<Role, Flaw> {
    let author = signers.author.as_ref().ok_or(SigningFault::Author(record.author()))?;
    Ok(author.role)
}

/// The shown sections with their contents.
fn shown(
    bundle: &Bundle,
    record: &Record,
    descriptions: &[(u16, Description)],
) -> Result<Vec<ShownSection>, Flaw> {
    let mut texts = bundle.texts.iter().peekable();
    let (mut media, mut shown) = (bundle.media, Vec::new());
    for (section, description) in descriptions {
        let section = *section;
        // The leaves were checked, so the record has this section.
        let payload = record.sections().get(usize::from(section)).map(|it| &it.payload);
        let payload = payload.ok_or(SignatureError::Leaf { section })?;
        payload.check_description(description).map_err(|_| Flaw::Description { section })?;
        let content = match payload {
            Payload::Media { manifest, .. } => {
                let mut only = SectionSet::default();
                only.insert(section);
                let included = media.contains(section);
                media = media.without(only);
                let segments = manifest.segments().iter().map(|segment| segment.hash).collect();
                ShownContent::Media { segments, included }
            }
            Payload::Text(_) => {
                let text = texts.next_if(|(of, _)| *of == section);
                let (_, text) = text.ok_or(Flaw::NoText { section })?;
                let mut check = description.check();
                check.update(text);
                check.finish().map_err(|_| Flaw::Text { section })?;
                let text = String::from_utf8(text.clone());
                ShownContent::Text(text.map_err(|_| Flaw::NotText { section })?)
            }
        };
        shown.push(ShownSection { section, description: description.clone(), content });
    }
    let extra = texts.next().map(|(section, _)| *section).or_else(|| media.iter().next());
    match extra {
        Some(section) => Err(Flaw::Unexpected { section }),
        None => Ok(shown),
    }
}

impl Verified {
    /// How old the proof is. A thief of a key that the patient has replaced can choose a final block from before the
    /// replacement, so a recipient should not accept an old one.
    pub fn age(&self, now: Moment) -> Duration {
        offline::age(self.proven_time, now)
    }

    /// Checks that the folder of the disclosure has no other files than its own. Nobody is named for another file,
    /// because anybody can add one.
    pub fn check_folder(&self, folder: &Path) -> Result<(), Refused> {
        let failed = |source| Flaw::File { path: folder.to_owned(), source };
        let own: Vec<String> = self.media().map(|(_, _, name)| name).collect();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if name != FILE_NAME && !own.iter().any(|own| name == own.as_str()) {
                return Err(Flaw::Foreign { path: folder.join(name) }.into());
            }
        }
        Ok(())
    }

    /// The media sections whose content is in a file, and the names of these files.
    fn media(&self) -> impl Iterator<Item = (u16, &Description, String)> {
        self.shown.iter().filter_map(|ShownSection { section, description, content }| {
            let name = media_name(*section, description);
            let included = matches!(content, ShownContent::Media { included: true, .. });
            included.then_some((*section, description, name))
        })
    }

    /// Checks the media files next to the disclosure in `folder` against the descriptions that the author signed.
    /// Nobody is named for a wrong file, because anybody can replace it.
    pub fn check_media(&self, folder: &Path) -> Result<(), Refused> {
        for (section, description, name) in self.media() {
            check_file(section, description, &folder.join(name))?;
        }
        Ok(())
    }
}

fn check_file(section: u16, description: &Description, path: &Path) -> Result<(), Flaw> {
    let failed = |source| Flaw::File { path: path.to_owned(), source };
    let other = || Flaw::Media { section, path: path.to_owned() };
    let file = private::open(path).map_err(failed)?.ok_or_else(other)?;
    if file.metadata().map_err(failed)?.len() != description.content_length {
        return Err(other());
    }
    // The file may grow meanwhile.
    let mut file = file.take(description.content_length + 1);
    let mut check = description.check();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return check.finish().map_err(|_| other()),
            read => check.update(&buffer[..read]),
        }
    }
}
