//! The section signature: one signature by the author over a whole record. Later, a subset of the sections can be shown
//! and verified while the others stay hidden (a content extraction signature in its commitment-vector form). The
//! author's [`Extraction`] policy, which is signed too, states which subsets.
//!
//! ```text
//! leaf i   = Blake2-256("epione/leaf" ‖ record ‖ i ‖ n ‖ description)
//! root     = Blake2-256("epione/root" ‖ record ‖ n ‖ leaf 0 ‖ … ‖ leaf n-1)
//! signed   = "epione/record" ‖ genesis ‖ authorship ‖ n ‖ root     by the author
//! cosigned = "epione/cosign" ‖ genesis ‖ authorship ‖ n ‖ root     by the patient
//! nursed   = "epione/nurse"  ‖ genesis ‖ authorship ‖ n ‖ root     by the nurse
//! ```
//!
//! Everything is encoded in SCALE. The description contains the section's salt, kind, the BLAKE3 hash of its content,
//! and its media type, file name, length and frames, so the author signs these too. The [`Authorship`] names record,
//! patient, hospital, author and nurse, a block of the chain, and the extraction policy. So a signature is valid at one
//! hospital and on one chain, and for some time after that block.
//!
//! The patient may cosign, over the same sections and the same authorship. A nurse signs if and only if the authorship
//! names one. Each signature has its own prefix, so one cannot be used as another, even if two of these persons are the
//! same. Cosignature and nurse's signature cover the record as a whole, so a [`Disclosure`] does not contain them: it
//! shows the nurse whom the author named. Anyone who has the record can remove the cosignature: a record without a
//! cosignature does not prove that the patient did not sign. A record without its nurse's signature is not valid.

use codec::{Decode, Encode};
use epione_primitives::{
    AccountId, Hash, HospitalId, RecordId, Signature, UserId, block::SignedAt, release::SectionSet,
};
use serde::{Deserialize, Serialize};
use sp_core::{Blake2Hasher, ConstU32, Hasher as _, bounded::BoundedVec};

pub use crate::{ExtractionError, extraction::Extraction};
use crate::{
    FormatError, SignatureError,
    account::{self, Signer},
    description::Description,
    frames, random,
    record::{MAX_SECTIONS, Record},
    suite::{self, Suite},
};

/// Maximum bytes of a signed draft in JSON: 64 sections, and as many frames as a record may list.
pub const MAX_DRAFT_JSON_BYTES: usize = 4 * 1024 * 1024;
/// Maximum bytes of an encoded disclosure: as many as of a lite block's body.
pub const MAX_DISCLOSURE_BYTES: usize = 2 * 1024 * 1024;

/// What a signature covers in addition to the sections.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Authorship {
    pub record: RecordId,
    pub patient: UserId,
    pub hospital: HospitalId,
    pub author: UserId,
    /// A nurse who also signs: neither the author nor the patient.
    pub nurse: Option<UserId>,
    /// The block whose state determines the accounts and rights of author, nurse and patient.
    pub signed_at: SignedAt,
    /// What may be extracted from the record.
    pub extraction: Extraction,
}

impl Authorship {
    /// The bytes that the author signs, given the leaves of all sections in order.
    pub fn signed_bytes(&self, genesis: Hash, leaves: &[Hash]) -> Vec<u8> {
        self.message(b"epione/record", genesis, leaves)
    }

    /// The bytes that the patient signs to cosign.
    pub fn cosigned_bytes(&self, genesis: Hash, leaves: &[Hash]) -> Vec<u8> {
        self.message(b"epione/cosign", genesis, leaves)
    }

    /// The bytes that the nurse signs.
    pub fn nursed_bytes(&self, genesis: Hash, leaves: &[Hash]) -> Vec<u8> {
        self.message(b"epione/nurse", genesis, leaves)
    }

    fn message<const N: usize>(&self, by: &[u8; N], genesis: Hash, leaves: &[Hash]) -> Vec<u8> {
        let count = leaves.len() as u16;
        (by, genesis, self, count, root(&self.record, leaves)).encode()
    }

    /// The nurse is a second person: neither the author nor the patient.
    pub(crate) fn check_persons(&self) -> Result<(), &'static str> {
        match self.nurse {
            Some(nurse) if nurse == self.author => Err("its nurse is also its author"),
            Some(nurse) if nurse == self.patient => Err("its nurse is also its patient"),
            _ => Ok(()),
        }
    }

    /// A nurse signs if and only if one is named.
    pub(crate) fn check_nurse(&self, signature: Option<&Signature>) -> Result<(), &'static str> {
        match (self.nurse, signature) {
            (Some(_), None) => Err("it names a nurse who did not sign it"),
            (None, Some(_)) => Err("it has the signature of a nurse, but it names no nurse"),
            _ => Ok(()),
        }
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

    pub(crate) fn verify_nurse(
        &self,
        genesis: Hash,
        leaves: &[Hash],
        signature: Option<&Signature>,
        account: &AccountId,
    ) -> Result<(), SignatureError> {
        let signature = signature.ok_or(SignatureError::NotSignedByNurse)?;
        verified(signature, &self.nursed_bytes(genesis, leaves), account)
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

impl Description {
    /// The section's leaf at position `index` of the `count` sections of a record.
    pub fn leaf(&self, record: &RecordId, index: u16, count: u16) -> Hash {
        Blake2Hasher::hash(&(b"epione/leaf", record, index, count, self).encode())
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
    /// A nurse who also signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nurse: Option<UserId>,
    /// The last final block of the chain that the author's client knows.
    pub signed_at: SignedAt,
    #[serde(default, skip_serializing_if = "Extraction::is_default")]
    pub extraction: Extraction,
    pub sections: Vec<Description>,
}

impl Draft {
    /// Creates a draft with a random record id, without a nurse, that allows every extraction.
    pub fn new(
        patient: UserId,
        hospital: HospitalId,
        author: UserId,
        signed_at: SignedAt,
        sections: Vec<Description>,
    ) -> Result<Self, FormatError> {
        let draft = Self {
            record: RecordId(random::bytes()),
            patient,
            hospital,
            author,
            nurse: None,
            signed_at,
            extraction: Extraction::default(),
            sections,
        };
        draft.validate()?;
        Ok(draft)
    }

    /// Names a nurse, who must also sign. [`Draft::validate`] refuses the author and the patient.
    #[must_use]
    pub fn with_nurse(self, nurse: UserId) -> Self {
        Self { nurse: Some(nurse), ..self }
    }

    /// States what may be extracted.
    pub fn with_extraction(self, extraction: Extraction) -> Result<Self, FormatError> {
        extraction.validate(self.sections.len() as u16)?;
        Ok(Self { extraction, ..self })
    }

    pub fn authorship(&self) -> Authorship {
        Authorship {
            record: self.record,
            patient: self.patient,
            hospital: self.hospital,
            author: self.author,
            nurse: self.nurse,
            signed_at: self.signed_at,
            extraction: self.extraction.clone(),
        }
    }

    pub fn leaves(&self) -> Vec<Hash> {
        let count = self.sections.len() as u16;
        let leaf = |(index, section): (usize, &Description)| {
            section.leaf(&self.record, index as u16, count)
        };
        self.sections.iter().enumerate().map(leaf).collect()
    }

    pub fn sign(self, genesis: Hash, author: &impl Signer) -> SignedDraft {
        let signature = author.sign(&self.authorship().signed_bytes(genesis, &self.leaves()));
        SignedDraft { draft: self, signature, patient_signature: None, nurse_signature: None }
    }

    /// Checks the limits, including the limit of all frame lists together, that no salt is used twice, that the
    /// extraction policy can be satisfied, and that the nurse is neither the author nor the patient.
    pub fn validate(&self) -> Result<(), FormatError> {
        self.authorship().check_persons().map_err(|reason| FormatError::Malformed {
            what: "the draft",
            reason: format!("{reason}; name another nurse, or none"),
        })?;
        let (actual, limit) = (self.sections.len() as u64, u64::from(MAX_SECTIONS));
        if actual == 0 {
            return Err(FormatError::NoSections);
        }
        if actual > limit {
            return Err(FormatError::TooLarge { what: "the number of sections", actual, limit });
        }
        let listed = |section: &Description| u64::from(section.frames.listed());
        frames::check_listed(self.sections.iter().map(listed).sum())?;
        for (second, section) in self.sections.iter().enumerate() {
            section.validate()?;
            let earlier = &self.sections[..second];
            if let Some(first) = earlier.iter().position(|other| other.salt == section.salt) {
                let (first, second) = (first as u16, second as u16);
                return Err(FormatError::RepeatedSalt { first, second });
            }
        }
        self.extraction.validate(self.sections.len() as u16)
    }
}

/// A draft with its author's signature, the patient's if the patient cosigned, and the nurse's if it names a nurse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedDraft {
    pub draft: Draft,
    pub signature: Signature,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient_signature: Option<Signature>,
    /// May be absent while the draft is on its way to the nurse. A record is not sealed without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nurse_signature: Option<Signature>,
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

    /// Adds the signature of the nurse whom the draft names. It replaces an earlier one.
    #[must_use]
    pub fn sign_as_nurse(mut self, genesis: Hash, nurse: &impl Signer) -> Self {
        let signed = self.draft.authorship().nursed_bytes(genesis, &self.draft.leaves());
        self.nurse_signature = Some(nurse.sign(&signed));
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

    /// Checks that this account signed as the nurse. The caller must know that it is the account of the named nurse.
    pub fn verify_nurse(&self, genesis: Hash, account: &AccountId) -> Result<(), SignatureError> {
        let (leaves, signature) = (self.draft.leaves(), self.nurse_signature.as_ref());
        self.draft.authorship().verify_nurse(genesis, &leaves, signature, account)
    }
}

/// Some sections of a record, with only the leaves of the others. Together with the committed record, it proves to a
/// third party that the author signed the shown sections, and allowed that these are shown without the others. The
/// third party also needs the contents, to check them against the descriptions.
///
/// Alone, it proves only who has the author's key: a thief of a key that was replaced can still sign, and name an old
/// block. So a verifier reads the committed record first, and calls [`Disclosure::verify_against`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Disclosure {
    suite: Suite<2>,
    authorship: Authorship,
    leaves: BoundedVec<Hash, ConstU32<{ MAX_SECTIONS as u32 }>>,
    /// Ascending by position.
    shown: BoundedVec<(u16, Description), ConstU32<{ MAX_SECTIONS as u32 }>>,
    signature: Signature,
}

impl Disclosure {
    /// Shows some sections of a record, with their positions. `leaves` are the leaves of all its sections. Fails if the
    /// record's extraction policy forbids it.
    pub fn new(
        authorship: Authorship,
        leaves: Vec<Hash>,
        shown: Vec<(u16, Description)>,
        signature: Signature,
    ) -> Result<Self, FormatError> {
        let (actual, limit) = (leaves.len().max(shown.len()) as u64, u64::from(MAX_SECTIONS));
        let error = |_| FormatError::TooLarge { what: "the number of sections", actual, limit };
        let leaves = leaves.try_into().map_err(error)?;
        let shown = shown.try_into().map_err(|_| error(Vec::new()))?;
        let disclosure = Self { suite: Suite, authorship, leaves, shown, signature };
        disclosure.check_extraction()?;
        Ok(disclosure)
    }

    pub fn decode_exactly(bytes: &[u8]) -> Result<Self, FormatError> {
        suite::decode_exactly::<2, _>("the disclosure", bytes, MAX_DISCLOSURE_BYTES)
    }

    pub fn authorship(&self) -> &Authorship {
        &self.authorship
    }

    /// Checks that this is a disclosure of a committed record, and returns the shown sections with their positions. The
    /// caller read the record from the chain, and verified it: its signed block, and the signatures, roles and
    /// registrations of author and nurse at that block.
    pub fn verify_against(&self, record: &Record) -> Result<&[(u16, Description)], SignatureError> {
        let is_of_record = self.authorship == *record.authorship()
            && self.leaves.as_slice() == record.leaves()
            && self.signature == *record.signature();
        if !is_of_record {
            return Err(SignatureError::OtherRecord);
        }
        self.check_shown()
    }

    /// Verifies the author's signature and extraction policy, and returns the shown sections with their positions. This
    /// does not prove that the record was committed, or that its nurse signed: see [`Disclosure::verify_against`].
    pub fn verify(
        &self,
        genesis: Hash,
        account: &AccountId,
    ) -> Result<&[(u16, Description)], SignatureError> {
        self.authorship.verify(genesis, &self.leaves, &self.signature, account)?;
        self.check_shown()
    }

    /// Checks the shown sections against the leaves and the extraction policy.
    fn check_shown(&self) -> Result<&[(u16, Description)], SignatureError> {
        let count = self.leaves.len() as u16;
        let mut from = 0;
        for (index, section) in &self.shown {
            let leaf = section.leaf(&self.authorship.record, *index, count);
            if *index < from || self.leaves.get(usize::from(*index)) != Some(&leaf) {
                return Err(SignatureError::Leaf { section: *index });
            }
            from = *index + 1;
        }
        self.check_extraction()?;
        Ok(&self.shown)
    }

    fn check_extraction(&self) -> Result<(), ExtractionError> {
        let mut shown = SectionSet::default();
        for (index, _) in &self.shown {
            // A position that no record has is not added here. The check of the leaves refuses it.
            shown.insert(*index);
        }
        self.authorship.extraction.check(shown)
    }
}
