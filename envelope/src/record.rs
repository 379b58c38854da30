//! A record (R_MER): one visit of a patient. Each section is sealed with its own key.

use std::{fmt, str::FromStr};

use codec::{Decode, Encode, Error, Input};
use epione_primitives::{
    AccountId, Hash, HospitalId, RecordId, Signature, UserId, Word,
    block::{Segment, SignedAt},
    limits::{MAX_BODY_BYTES, MAX_PATIENT_KEYS, MAX_SEGMENTS, SEGMENT_BYTES},
    words,
};
use serde::{Deserialize, Serialize};
use sp_core::{ConstU32, bounded::BoundedVec};
use thiserror::Error as ThisError;
use zeroize::Zeroizing;

use crate::{
    FormatError, OpenError, SignatureError,
    keys::{ContentKey, PatientKeys, SectionContext, WrappedKey},
    object::{Layout, ObjectContext, ObjectOpener, Parameters, Part, SealedObject},
    suite::{self, Suite},
    text,
};
pub use crate::{
    description::{ContentCheck, Description, MAX_FILE_NAME_BYTES, MAX_MEDIA_BYTES, Salt},
    extraction::Extraction,
    frames::{Frames, NoFrames},
    signature::{Authorship, Disclosure, Draft, SignedDraft},
};

/// Maximum number of sections of one record.
pub use epione_primitives::limits::MAX_SECTIONS;
/// Maximum bytes of a text section before compression.
pub const MAX_TEXT_BYTES: u32 = 1 << 20;

/// The kind of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SectionKind {
    #[codec(index = 0)]
    Summary,
    #[codec(index = 1)]
    Diagnosis,
    #[codec(index = 2)]
    Prescription,
    #[codec(index = 3)]
    Report,
    #[codec(index = 4)]
    History,
    #[codec(index = 5)]
    Observation,
    #[codec(index = 6)]
    Media,
    #[codec(index = 7)]
    Name,
    #[codec(index = 8)]
    Gender,
    #[codec(index = 9)]
    BirthDate,
    #[codec(index = 10)]
    IdNumber,
    #[codec(index = 11)]
    Symptoms,
}

words!(SectionKind, "kind of section":
    Summary = "summary", Diagnosis = "diagnosis", Prescription = "prescription", Report = "report",
    History = "history", Observation = "observation", Media = "media", Name = "name",
    Gender = "gender", BirthDate = "birth-date", IdNumber = "id-number", Symptoms = "symptoms");

impl fmt::Display for SectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spelled())
    }
}

/// The text is not the name of a kind of section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ThisError)]
#[error(
    "a section kind is one of: summary, diagnosis, prescription, report, history, observation, media, name, gender, \
     birth-date, id-number, symptoms"
)]
pub struct UnknownSectionKind;

impl FromStr for SectionKind {
    type Err = UnknownSectionKind;

    fn from_str(text: &str) -> Result<Self, UnknownSectionKind> {
        Self::read(text).ok_or(UnknownSectionKind)
    }
}

/// How a section's media are sealed, and in which segments they are.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub struct Manifest {
    parameters: Parameters,
    segments: BoundedVec<Segment, ConstU32<MAX_SEGMENTS>>,
}

impl Manifest {
    /// None unless the lengths of the segments match the length of the sealed object.
    pub(crate) fn new(parameters: Parameters, segments: Vec<Segment>) -> Option<Self> {
        let length = parameters.layout().sealed_length();
        let count = length.div_ceil(u64::from(SEGMENT_BYTES));
        let expected =
            |index: u64| (length - index * u64::from(SEGMENT_BYTES)).min(SEGMENT_BYTES.into());
        let fit = segments.len() as u64 == count
            && (0..count)
                .zip(&segments)
                .all(|(i, segment)| u64::from(segment.length) == expected(i));
        let segments = segments.try_into().ok()?;
        fit.then_some(Self { parameters, segments })
    }

    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    pub fn layout(&self) -> Layout {
        self.parameters.layout()
    }

    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

impl Decode for Manifest {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let parameters = Parameters::decode(input)?;
        let segments = BoundedVec::<Segment, ConstU32<MAX_SEGMENTS>>::decode(input)?;
        Self::new(parameters, segments.into_inner())
            .ok_or_else(|| "the segments do not form the sealed object".into())
    }
}

/// The sealed content of a section, or the segments with it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Payload {
    #[codec(index = 0)]
    Text(SealedObject),
    #[codec(index = 1)]
    Media { description: SealedObject, manifest: Manifest },
}

impl Payload {
    /// Checks what every reader requires of the description of this content, in addition to the leaf: its limits; that
    /// a text is short and has no frames; and that media have the length of the sealed object.
    pub fn check_description(&self, description: &Description) -> Result<(), OpenError> {
        match self {
            Self::Text(_) => text::check(description),
            Self::Media { manifest, .. } => {
                description.validate().map_err(|_| OpenError)?;
                let length = manifest.layout().plaintext_length();
                if description.content_length == length { Ok(()) } else { Err(OpenError) }
            }
        }
    }
}

/// One section of a record. Its kind is in its sealed description. The chain stores whether the patient shares it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Section {
    /// The hash of this section that the author signed.
    pub leaf: Hash,
    /// The section's content key, wrapped under the patient key of the record's version.
    pub wrap: WrappedKey,
    pub payload: Payload,
}

impl Section {
    /// The segments with its media, in order; none for text.
    pub fn segments(&self) -> &[Segment] {
        match &self.payload {
            Payload::Text(_) => &[],
            Payload::Media { manifest, .. } => manifest.segments(),
        }
    }

    fn objects(&self) -> impl Iterator<Item = &Parameters> {
        let (first, second) = match &self.payload {
            Payload::Text(object) => (object.parameters(), None),
            Payload::Media { description, manifest } => {
                (description.parameters(), Some(manifest.parameters()))
            }
        };
        std::iter::once(first).chain(second)
    }
}

type Sections = BoundedVec<Section, ConstU32<{ MAX_SECTIONS as u32 }>>;

/// A sealed record, as encoded in the body of a lite block: suite, authorship, the version of the patient key,
/// sections, the author's signature, the patient's if the patient cosigned, and the nurse's if the authorship names a
/// nurse.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub struct Record {
    suite: Suite<2>,
    authorship: Authorship,
    key_version: u32,
    sections: Sections,
    signature: Signature,
    patient_signature: Option<Signature>,
    nurse_signature: Option<Signature>,
}

impl Record {
    pub(crate) fn new(
        authorship: Authorship,
        key_version: u32,
        sections: Vec<Section>,
        signature: Signature,
        patient_signature: Option<Signature>,
        nurse_signature: Option<Signature>,
    ) -> Result<Self, FormatError> {
        let (actual, limit) = (sections.len() as u64, u64::from(MAX_SECTIONS));
        let what = "the number of sections";
        let sections =
            sections.try_into().map_err(|_| FormatError::TooLarge { what, actual, limit })?;
        let record = Self {
            suite: Suite,
            authorship,
            key_version,
            sections,
            signature,
            patient_signature,
            nurse_signature,
        };
        record.check().map_err(|reason| FormatError::Malformed {
            what: "the record",
            reason: reason.into(),
        })?;
        let (actual, limit) = (record.encoded_size() as u64, u64::from(MAX_BODY_BYTES));
        if actual > limit {
            return Err(FormatError::TooLarge { what: "the sealed record", actual, limit });
        }
        Ok(record)
    }

    pub fn decode_exactly(bytes: &[u8]) -> Result<Self, FormatError> {
        suite::decode_exactly::<2, _>("the record", bytes, MAX_BODY_BYTES as usize)
    }

    pub fn id(&self) -> RecordId {
        self.authorship.record
    }

    pub fn patient(&self) -> UserId {
        self.authorship.patient
    }

    pub fn hospital(&self) -> HospitalId {
        self.authorship.hospital
    }

    pub fn author(&self) -> UserId {
        self.authorship.author
    }

    /// The nurse who also signed. [`Record::verify_nurse`] verifies the signature.
    pub fn nurse(&self) -> Option<UserId> {
        self.authorship.nurse
    }

    /// The chain block that determines the accounts and rights of those who signed.
    pub fn signed_at(&self) -> SignedAt {
        self.authorship.signed_at
    }

    /// The version of the patient key that wraps the content keys.
    pub fn key_version(&self) -> u32 {
        self.key_version
    }

    pub fn authorship(&self) -> &Authorship {
        &self.authorship
    }

    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The patient's signature, if the patient cosigned. [`Record::verify_cosignature`] verifies it.
    pub fn patient_signature(&self) -> Option<&Signature> {
        self.patient_signature.as_ref()
    }

    /// The nurse's signature. It is present if and only if the authorship names a nurse.
    pub fn nurse_signature(&self) -> Option<&Signature> {
        self.nurse_signature.as_ref()
    }

    /// At least one section.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    pub fn leaves(&self) -> Vec<Hash> {
        self.sections.iter().map(|section| section.leaf).collect()
    }

    /// The segments of all its media, in the order of the sections.
    pub fn segments(&self) -> Vec<Segment> {
        self.sections.iter().flat_map(Section::segments).copied().collect()
    }

    /// The context to which a section is bound.
    pub fn context(&self, genesis: Hash, section: u16) -> SectionContext {
        let Authorship { record, patient, hospital, .. } = self.authorship;
        SectionContext { genesis, hospital, patient, record, section }
    }

    /// Checks that the author signed this record with this account: the one that they had in [`Record::signed_at`].
    pub fn verify(&self, genesis: Hash, account: &AccountId) -> Result<(), SignatureError> {
        self.authorship.verify(genesis, &self.leaves(), &self.signature, account)
    }

    /// Checks that the patient cosigned this record with this account: the one that they had in [`Record::signed_at`].
    pub fn verify_cosignature(
        &self,
        genesis: Hash,
        account: &AccountId,
    ) -> Result<(), SignatureError> {
        let signature = self.patient_signature.as_ref();
        self.authorship.verify_cosignature(genesis, &self.leaves(), signature, account)
    }

    /// Checks that the nurse signed this record with this account: the one that they had in [`Record::signed_at`].
    pub fn verify_nurse(&self, genesis: Hash, account: &AccountId) -> Result<(), SignatureError> {
        let signature = self.nurse_signature.as_ref();
        self.authorship.verify_nurse(genesis, &self.leaves(), signature, account)
    }

    /// Unwraps the content key of a section with the patient key of the record's version.
    pub fn content_key(
        &self,
        genesis: Hash,
        section: u16,
        keys: &PatientKeys,
    ) -> Result<ContentKey, OpenError> {
        let (version, context) = (self.key_version, self.context(genesis, section));
        let key = keys.get(version).ok_or(OpenError)?;
        key.unwrap_key(version, &self.section(section)?.wrap, &context)
    }

    /// Opens a section's description, and checks it against the leaf that the author signed.
    pub fn describe(
        &self,
        genesis: Hash,
        section: u16,
        key: &ContentKey,
    ) -> Result<Description, OpenError> {
        let payload = &self.section(section)?.payload;
        let description = match payload {
            Payload::Text(object) => {
                let packed =
                    object.open_padded(key, &self.object_context(genesis, section, Part::Text))?;
                text::describe(&mut packed.as_slice())?
            }
            Payload::Media { description: object, .. } => {
                let context = self.object_context(genesis, section, Part::Description);
                let opened = object.open_padded(key, &context)?;
                let mut rest = opened.as_slice();
                let description = Description::decode(&mut rest).map_err(|_| OpenError)?;
                if !rest.is_empty() {
                    return Err(OpenError);
                }
                payload.check_description(&description)?;
                description
            }
        };
        self.check_leaf(section, &description)?;
        Ok(description)
    }

    /// Opens a text section, and checks it against the leaf that the author signed.
    pub fn open_text(
        &self,
        genesis: Hash,
        section: u16,
        key: &ContentKey,
    ) -> Result<(Description, Zeroizing<Vec<u8>>), OpenError> {
        let Payload::Text(object) = &self.section(section)?.payload else {
            return Err(OpenError);
        };
        let packed = object.open_padded(key, &self.object_context(genesis, section, Part::Text))?;
        let (description, content) = text::unpack(&packed)?;
        self.check_leaf(section, &description)?;
        Ok((description, content))
    }

    /// Opens the media of a section, chunk by chunk. Each chunk is authenticated as it opens. [`Description::check`]
    /// checks that all chunks together are the content that the author signed.
    pub fn open_media(
        &self,
        genesis: Hash,
        section: u16,
        key: &ContentKey,
    ) -> Result<ObjectOpener, OpenError> {
        let Payload::Media { manifest, .. } = &self.section(section)?.payload else {
            return Err(OpenError);
        };
        let context = self.object_context(genesis, section, Part::Media);
        ObjectOpener::new(key, &context, manifest.parameters())
    }

    fn section(&self, section: u16) -> Result<&Section, OpenError> {
        self.sections.get(usize::from(section)).ok_or(OpenError)
    }

    fn object_context(&self, genesis: Hash, section: u16, part: Part) -> ObjectContext {
        ObjectContext::new(self.context(genesis, section), part)
    }

    /// Checks that a description is the signed description of a section, without a key: for a reader who stored the
    /// description when opening the section.
    pub fn check_leaf(&self, index: u16, description: &Description) -> Result<(), OpenError> {
        let leaf = description.leaf(&self.id(), index, self.sections.len() as u16);
        if leaf == self.section(index)?.leaf { Ok(()) } else { Err(OpenError) }
    }

    fn check(&self) -> Result<(), &'static str> {
        if !(1..=MAX_PATIENT_KEYS).contains(&self.key_version) {
            return Err("no patient key has its version");
        }
        self.check_sections()?;
        self.authorship.check_persons()?;
        self.authorship.extraction.check_rules(self.sections.len() as u16)?;
        self.authorship.check_nurse(self.nurse_signature.as_ref())
    }

    /// Checks that the record has sections, and no section or sealed object twice.
    fn check_sections(&self) -> Result<(), &'static str> {
        if self.sections.is_empty() {
            return Err("it has no sections");
        }
        let mut leaves = std::collections::HashSet::new();
        let mut objects = std::collections::HashSet::new();
        for section in &self.sections {
            if !leaves.insert(section.leaf) {
                return Err("it contains a section twice");
            }
            if !section.objects().all(|parameters| objects.insert(*parameters.object_id())) {
                return Err("it contains a sealed object twice");
            }
        }
        Ok(())
    }
}

impl Decode for Record {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let record = Self {
            suite: Decode::decode(input)?,
            authorship: Decode::decode(input)?,
            key_version: Decode::decode(input)?,
            sections: Decode::decode(input)?,
            signature: Decode::decode(input)?,
            patient_signature: Decode::decode(input)?,
            nurse_signature: Decode::decode(input)?,
        };
        record.check()?;
        Ok(record)
    }
}
