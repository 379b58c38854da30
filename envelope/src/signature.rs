//! The section signature: one signature by the author over a whole record. Later, any subset of the
//! sections can be shown and verified while the others stay hidden (a content extraction
//! signature in its commitment-vector form).
//!
//! ```text
//! leaf i   = Blake2-256("epione/leaf" ‖ record ‖ i ‖ n ‖ kind ‖ class ‖ description)
//! root     = Blake2-256("epione/root" ‖ record ‖ n ‖ leaf 0 ‖ … ‖ leaf n-1)
//! signed   = "epione/record" ‖ genesis ‖ record ‖ patient ‖ hospital ‖ author ‖ n ‖ root
//! cosigned = "epione/cosign" ‖ genesis ‖ record ‖ patient ‖ hospital ‖ author ‖ root
//! ```
//!
//! Everything is encoded in SCALE. The description contains the section's salt, the BLAKE3 hash of its content, and its
//! media type, file name, length and frames, so the author signs these too. The signature is bound to one hospital and
//! one chain: it is not valid at another hospital or on another chain.
//!
//! The patient may cosign, over the same sections and the same author. The cosignature has its own prefix, so one
//! signature cannot be used as the other, even if patient and author are the same person. It covers
//! the record as a whole, so a [`Disclosure`] does not contain it. Anyone who has the record can remove the
//! cosignature: a record without a cosignature does not prove that the patient did not sign.

use codec::{Decode, Encode};
use epione_primitives::{
    AccountId, Hash, HospitalId, RecordId, Signature, UserId, access::SectionClass,
};
use serde::{Deserialize, Serialize};
use sp_core::{Blake2Hasher, ConstU32, Hasher as _, bounded::BoundedVec};

use crate::{
    FormatError, SignatureError,
    account::{self, Signer},
    description::Description,
    frames, random,
    record::{MAX_SECTIONS, SectionKind},
    suite::{self, Suite},
};

/// Maximum bytes of a signed draft in JSON: 64 sections, and as many frames as a record may list.
pub const MAX_DRAFT_JSON_BYTES: usize = 4 * 1024 * 1024;
/// Maximum bytes of an encoded disclosure: as many as of a lite block's body.
pub const MAX_DISCLOSURE_BYTES: usize = 2 * 1024 * 1024;

/// What a signature covers in addition to the sections: the record, its patient, hospital and author.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Authorship {
    pub record: RecordId,
    pub patient: UserId,
    pub hospital: HospitalId,
    pub author: UserId,
}

impl Authorship {
    /// The bytes that the author signs, given the leaves of all sections in order.
    pub fn signed_bytes(&self, genesis: Hash, leaves: &[Hash]) -> Vec<u8> {
        let Self { record, patient, hospital, author } = self;
        let count = leaves.len() as u16;
        let root = root(record, leaves);
        (b"epione/record", genesis, record, patient, hospital, author, count, root).encode()
    }

    /// The bytes that the patient signs to cosign.
    pub fn cosigned_bytes(&self, genesis: Hash, leaves: &[Hash]) -> Vec<u8> {
        (b"epione/cosign", genesis, self, root(&self.record, leaves)).encode()
    }

    pub(crate) fn verify(
        &self,
        genesis: Hash,
        leaves: &[Hash],
        signature: &Signature,
        account: &AccountId,
    ) -> Result<(), SignatureError> {
        verified(signature, &self.signed_bytes(genesis, leaves), account)
    }

    pub(crate) fn verify_cosignature(
        &self,
        genesis: Hash,
        leaves: &[Hash],
        signature: Option<&Signature>,
        account: &AccountId,
    ) -> Result<(), SignatureError> {
        let signature = signature.ok_or(SignatureError::NotCosigned)?;
        verified(signature, &self.cosigned_bytes(genesis, leaves), account)
    }
}

fn verified(signature: &Signature, message: &[u8], by: &AccountId) -> Result<(), SignatureError> {
    if account::verify(signature, message, by) { Ok(()) } else { Err(SignatureError::Invalid) }
}

fn root(record: &RecordId, leaves: &[Hash]) -> Hash {
    let mut bytes = (b"epione/root", record, leaves.len() as u16).encode();
    leaves.iter().for_each(|leaf| leaf.encode_to(&mut bytes));
    Blake2Hasher::hash(&bytes)
}

/// A section as its author describes it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DraftSection {
    pub kind: SectionKind,
    pub class: SectionClass,
    pub description: Description,
}

impl DraftSection {
    /// The section's leaf at position `index` of the `count` sections of a record.
    pub fn leaf(&self, record: &RecordId, index: u16, count: u16) -> Hash {
        let Self { kind, class, description } = self;
        let bytes = (b"epione/leaf", record, index, count, kind, class, description).encode();
        Blake2Hasher::hash(&bytes)
    }
}

/// A record before it is sealed. The author signs it, and sends it with the contents to the hospital.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    pub record: RecordId,
    pub patient: UserId,
    pub hospital: HospitalId,
    pub author: UserId,
    pub sections: Vec<DraftSection>,
}

impl Draft {
    /// Creates a draft with a random record id.
    pub fn new(
        patient: UserId,
        hospital: HospitalId,
        author: UserId,
        sections: Vec<DraftSection>,
    ) -> Result<Self, FormatError> {
        let record = RecordId(random::bytes());
        let draft = Self { record, patient, hospital, author, sections };
        draft.validate()?;
        Ok(draft)
    }

    pub fn authorship(&self) -> Authorship {
        let Self { record, patient, hospital, author, .. } = *self;
        Authorship { record, patient, hospital, author }
    }

    pub fn leaves(&self) -> Vec<Hash> {
        let count = self.sections.len() as u16;
        let leaf = |(index, section): (usize, &DraftSection)| {
            section.leaf(&self.record, index as u16, count)
        };
        self.sections.iter().enumerate().map(leaf).collect()
    }

    pub fn sign(self, genesis: Hash, author: &impl Signer) -> SignedDraft {
        let signature = author.sign(&self.authorship().signed_bytes(genesis, &self.leaves()));
        SignedDraft { draft: self, signature, patient_signature: None }
    }

    /// Checks the limits, including the limit of all frame lists together, and that no salt is used twice.
    pub fn validate(&self) -> Result<(), FormatError> {
        let (actual, limit) = (self.sections.len() as u64, u64::from(MAX_SECTIONS));
        if actual == 0 {
            return Err(FormatError::NoSections);
        }
        if actual > limit {
            return Err(FormatError::TooLarge { what: "the number of sections", actual, limit });
        }
        let listed = |section: &DraftSection| u64::from(section.description.frames.listed());
        frames::check_listed(self.sections.iter().map(listed).sum())?;
        for (second, section) in self.sections.iter().enumerate() {
            section.description.validate()?;
            let salt = &section.description.salt;
            let earlier = &self.sections[..second];
            if let Some(first) = earlier.iter().position(|other| other.description.salt == *salt) {
                let (first, second) = (first as u16, second as u16);
                return Err(FormatError::RepeatedSalt { first, second });
            }
        }
        Ok(())
    }
}

/// A draft with its author's signature, and the patient's signature if the patient cosigned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedDraft {
    pub draft: Draft,
    pub signature: Signature,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient_signature: Option<Signature>,
}

impl SignedDraft {
    /// Parses untrusted JSON, and checks its limits. Errors state a line and column, never the content.
    pub fn from_json(json: &[u8]) -> Result<Self, FormatError> {
        let what = "the signed draft";
        let (actual, limit) = (json.len() as u64, MAX_DRAFT_JSON_BYTES as u64);
        if actual > limit {
            return Err(FormatError::TooLarge { what, actual, limit });
        }
        let signed: Self = serde_json::from_slice(json).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let reason = format!("not the expected JSON at line {line}, column {column}");
            FormatError::Malformed { what, reason }
        })?;
        signed.draft.validate()?;
        Ok(signed)
    }

    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a draft consists of texts, numbers and lists")
    }

    /// Adds the patient's signature. It replaces an earlier one.
    #[must_use]
    pub fn cosign(mut self, genesis: Hash, patient: &impl Signer) -> Self {
        let signed = self.draft.authorship().cosigned_bytes(genesis, &self.draft.leaves());
        self.patient_signature = Some(patient.sign(&signed));
        self
    }

    pub fn verify(&self, genesis: Hash, account: &AccountId) -> Result<(), SignatureError> {
        let leaves = self.draft.leaves();
        self.draft.authorship().verify(genesis, &leaves, &self.signature, account)
    }

    /// Checks that this account cosigned. The caller must know that it is the patient's account.
    pub fn verify_cosignature(
        &self,
        genesis: Hash,
        account: &AccountId,
    ) -> Result<(), SignatureError> {
        let (leaves, signature) = (self.draft.leaves(), self.patient_signature.as_ref());
        self.draft.authorship().verify_cosignature(genesis, &leaves, signature, account)
    }
}

/// Some sections of a record, with only the leaves of the others. It proves to a third party that the author signed
/// the shown sections. The third party also needs the contents, to check them against the descriptions.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Disclosure {
    suite: Suite,
    authorship: Authorship,
    leaves: BoundedVec<Hash, ConstU32<{ MAX_SECTIONS as u32 }>>,
    /// Ascending by position.
    shown: BoundedVec<(u16, DraftSection), ConstU32<{ MAX_SECTIONS as u32 }>>,
    signature: Signature,
}

impl Disclosure {
    /// Shows some sections of a record. `leaves` are the leaves of all its sections.
    pub fn new(
        authorship: Authorship,
        leaves: Vec<Hash>,
        shown: Vec<(u16, DraftSection)>,
        signature: Signature,
    ) -> Result<Self, FormatError> {
        let (actual, limit) = (leaves.len().max(shown.len()) as u64, u64::from(MAX_SECTIONS));
        let error = |_| FormatError::TooLarge { what: "the number of sections", actual, limit };
        let leaves = leaves.try_into().map_err(error)?;
        let shown = shown.try_into().map_err(|_| error(Vec::new()))?;
        Ok(Self { suite: Suite, authorship, leaves, shown, signature })
    }

    pub fn decode_exactly(bytes: &[u8]) -> Result<Self, FormatError> {
        suite::decode_exactly("the disclosure", bytes, MAX_DISCLOSURE_BYTES)
    }

    pub fn authorship(&self) -> &Authorship {
        &self.authorship
    }

    /// Verifies the author's signature, and returns the shown sections with their positions.
    pub fn verify(
        &self,
        genesis: Hash,
        account: &AccountId,
    ) -> Result<&[(u16, DraftSection)], SignatureError> {
        self.authorship.verify(genesis, &self.leaves, &self.signature, account)?;
        let count = self.leaves.len() as u16;
        let mut from = 0;
        for (index, section) in &self.shown {
            let leaf = section.leaf(&self.authorship.record, *index, count);
            if *index < from || self.leaves.get(usize::from(*index)) != Some(&leaf) {
                return Err(SignatureError::Leaf { section: *index });
            }
            from = *index + 1;
        }
        Ok(&self.shown)
    }
}
