//! Turns a signed draft and its contents into a sealed record, at the author's hospital.

use codec::Encode;
use epione_primitives::{AccountId, Hash, block::Segment};
use zeroize::Zeroizing;

use crate::{
    FormatError, SealError,
    description::ContentCheck,
    keys::{ContentKey, PatientKey, PatientKeys, SectionContext},
    object::{ObjectContext, ObjectSealer, Part, SealedObject},
    record::{Description, Draft, MAX_TEXT_BYTES, Manifest, Payload, Record, Section, SignedDraft},
    segment::{SegmentCutter, SegmentPart},
    text,
};

/// Seals the sections of one record, in any order, each with a fresh content key under the newest patient key.
pub struct RecordSealer {
    genesis: Hash,
    signed: SignedDraft,
    leaves: Vec<Hash>,
    key_version: u32,
    patient_key: PatientKey,
    sealed: Vec<Option<Section>>,
}

impl RecordSealer {
    /// Starts with a draft, after verifying the author's signature. The signatures of patient and nurse are copied into
    /// the record without verification: the caller verifies them first with the accounts of patient and nurse. A
    /// nurse's signature is required if the draft names a nurse, and refused otherwise.
    pub fn new(
        genesis: Hash,
        signed: SignedDraft,
        account: &AccountId,
        keys: &PatientKeys,
    ) -> Result<Self, SealError> {
        signed.draft.validate()?;
        let authorship = signed.draft.authorship();
        authorship.check_nurse(signed.nurse_signature.as_ref()).map_err(|reason| {
            FormatError::Malformed { what: "the signed draft", reason: reason.into() }
        })?;
        signed.verify(genesis, account)?;
        let leaves = signed.draft.leaves();
        let sealed = leaves.iter().map(|_| None).collect();
        let (key_version, patient_key) = keys.newest();
        let patient_key = patient_key.clone();
        Ok(Self { genesis, signed, leaves, key_version, patient_key, sealed })
    }

    pub fn draft(&self) -> &Draft {
        &self.signed.draft
    }

    /// Seals a text section. Its content must match the author's description.
    pub fn seal_text(&mut self, section: u16, content: &[u8]) -> Result<(), SealError> {
        let description = self.unsealed(section)?;
        let (actual, limit) = (content.len() as u64, u64::from(MAX_TEXT_BYTES));
        if actual > limit {
            return Err(FormatError::TooLarge { what: "a text section", actual, limit }.into());
        }
        let mut check = description.check();
        check.update(content);
        check.finish().map_err(|_| SealError::ContentDiffers { section })?;

        let key = ContentKey::generate();
        let packed = text::pack(description, content)?;
        let context = ObjectContext::new(self.context(section), Part::Text);
        let object = SealedObject::seal_padded(&key, &context, &packed)?;
        self.put(section, &key, Payload::Text(object));
        Ok(())
    }

    /// Starts a media section. Several media sections can be sealed concurrently.
    pub fn start_media(&self, section: u16) -> Result<MediaSealer, SealError> {
        let description = self.unsealed(section)?;
        let key = ContentKey::generate();
        let context = ObjectContext::new(self.context(section), Part::Media);
        let sealer = ObjectSealer::new(&key, &context, description.content_length)?;
        let check = description.check();
        let (cutter, segments) = (SegmentCutter::new(), Vec::new());
        Ok(MediaSealer { section, key, check, sealer, cutter, segments })
    }

    /// Ends a media section. Its content must match the author's description. Returns the last sealed bytes.
    pub fn end_media(&mut self, media: MediaSealer) -> Result<Vec<SegmentPart>, SealError> {
        let MediaSealer { section, key, check, sealer, mut cutter, mut segments } = media;
        let (parameters, rest) = sealer.finish()?;
        check.finish().map_err(|_| SealError::ContentDiffers { section })?;
        let mut parts = cutter.push(rest);
        parts.extend(cutter.finish());
        segments.extend(parts.iter().filter_map(|part| part.ends));
        let manifest = Manifest::new(parameters, segments)
            .ok_or(SealError::Refused("the segments do not form the sealed object"))?;

        let described = Zeroizing::new(self.unsealed(section)?.encode());
        let context = ObjectContext::new(self.context(section), Part::Description);
        let description = SealedObject::seal_padded(&key, &context, &described)?;
        self.put(section, &key, Payload::Media { description, manifest });
        Ok(parts)
    }

    /// Returns the record after every section is sealed.
    pub fn finish(self) -> Result<Record, SealError> {
        let SignedDraft { draft, signature, patient_signature, nurse_signature } = self.signed;
        let (authorship, version) = (draft.authorship(), self.key_version);
        let sections = (0..).zip(self.sealed);
        let sections = sections
            .map(|(section, sealed)| sealed.ok_or(SealError::NotSealed { section }))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Record::new(
            authorship,
            version,
            sections,
            signature,
            patient_signature,
            nurse_signature,
        )?)
    }

    fn unsealed(&self, section: u16) -> Result<&Description, SealError> {
        match self.sealed.get(usize::from(section)) {
            None => Err(SealError::NoSuchSection { section }),
            Some(Some(_)) => Err(SealError::AlreadySealed { section }),
            Some(None) => Ok(&self.signed.draft.sections[usize::from(section)]),
        }
    }

    fn context(&self, section: u16) -> SectionContext {
        let draft = &self.signed.draft;
        let (hospital, patient, record) = (draft.hospital, draft.patient, draft.record);
        SectionContext { genesis: self.genesis, hospital, patient, record, section }
    }

    fn put(&mut self, section: u16, key: &ContentKey, payload: Payload) {
        let index = usize::from(section);
        let wrap = self.patient_key.wrap(self.key_version, key, &self.context(section));
        let leaf = self.leaves[index];
        self.sealed[index] = Some(Section { leaf, wrap, payload });
    }
}

/// Seals the media of one section as a stream, and returns the sealed bytes in order. It buffers at most one chunk of
/// 1 MiB, and 16 bytes for each earlier chunk.
pub struct MediaSealer {
    section: u16,
    key: ContentKey,
    check: ContentCheck,
    sealer: ObjectSealer,
    cutter: SegmentCutter,
    segments: Vec<Segment>,
}

impl MediaSealer {
    pub fn section(&self) -> u16 {
        self.section
    }

    /// Bytes of the complete sealed object.
    pub fn sealed_length(&self) -> u64 {
        self.sealer.layout().sealed_length()
    }

    pub fn push(&mut self, content: &[u8]) -> Result<Vec<SegmentPart>, SealError> {
        let sealed = self.sealer.push(content)?;
        self.check.update(content);
        let parts = self.cutter.push(sealed);
        self.segments.extend(parts.iter().filter_map(|part| part.ends));
        Ok(parts)
    }
}
