//! Access grants: a hospital gives content keys to a requester whom its policies allow to read.
//!
//! A grant states its audience, purpose, expiry and sections in plaintext. It carries the content keys of exactly
//! those sections, sealed to the requester's sealing key. The hospital's agent signs it: the signature of the wrap
//! covers the hash of the terms and sections.

use codec::{Decode, Encode};
use epione_primitives::{
    AccountId, Hash, HospitalId, Moment, RecordId, RecordPointer, UserId, access::Purpose,
};
use sp_core::{Blake2Hasher, ConstU32, Hasher as _, bounded::BoundedVec};
use std::collections::HashSet;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    FormatError, OpenError, SealError,
    account::Signer,
    keys::ContentKey,
    sealing_keys::{SealingKeyPair, SealingPublicKey, Wrap, WrapContext, WrapSubject},
    suite::{self, Suite},
};

/// Maximum number of sections that one grant opens.
pub const MAX_GRANTED_SECTIONS: u32 = 4_096;
/// Maximum bytes of an encoded grant.
pub const MAX_GRANT_BYTES: usize = 512 * 1024;

/// One section that a grant opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct GrantedSection {
    /// The record's position on chain.
    pub pointer: RecordPointer,
    pub record: RecordId,
    pub section: u16,
}

/// For whom, for what purpose and until when a grant is valid.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct GrantTerms {
    /// Hash of the chain's first block.
    pub genesis: Hash,
    /// The hospital of the records. Its agent signs.
    pub hospital: HospitalId,
    pub patient: UserId,
    pub requester: UserId,
    /// The requester's account. No other account can use the grant.
    pub audience: AccountId,
    pub purpose: Purpose,
    pub issued: Moment,
    /// The grant does not open at or after this moment.
    pub expires: Moment,
    /// A random value of the request that the grant answered first, so that no two grants are equal.
    pub nonce: [u8; 16],
}

/// What a requester expects of the grant that answers its request.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    pub genesis: Hash,
    pub hospital: HospitalId,
    /// The hospital's agent account on chain.
    pub agent: &'a AccountId,
    /// The requester's own account.
    pub audience: &'a AccountId,
    pub patient: UserId,
    /// The nonce of the request that the grant answered first.
    pub nonce: [u8; 16],
    pub now: Moment,
}

/// Why a grant does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GrantError {
    #[error("the grant expired at {expired} (Unix time in milliseconds); request a new grant")]
    Expired { expired: Moment },
    #[error(
        "the patient's grant ended at {until} (Unix time in milliseconds); ask the patient again"
    )]
    Ended { until: Moment },
    #[error("the grant is for another {what}")]
    Mismatch { what: &'static str },
    #[error(transparent)]
    Open(#[from] OpenError),
}

pub(crate) type Sections = BoundedVec<GrantedSection, ConstU32<MAX_GRANTED_SECTIONS>>;

/// The content keys of some sections, for one requester.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub struct AccessGrant {
    suite: Suite<1>,
    terms: GrantTerms,
    sections: Sections,
    keys: Wrap,
}

impl AccessGrant {
    pub fn seal(
        terms: GrantTerms,
        keys: &[(GrantedSection, ContentKey)],
        recipient: &SealingPublicKey,
        agent: &impl Signer,
    ) -> Result<Self, SealError> {
        let (sections, content_keys) = joined(keys)?;
        check(terms.issued, terms.expires, &sections).map_err(SealError::Refused)?;
        let context = context(&terms, &sections);
        let keys = Wrap::seal(recipient, &context, &content_keys, agent)?;
        Ok(Self { suite: Suite, terms, sections, keys })
    }

    /// The granted content keys, if the grant answers the request, has not expired, and is signed by the agent.
    pub fn open(
        &self,
        expected: &Expected<'_>,
        keys: &SealingKeyPair,
    ) -> Result<Vec<(GrantedSection, ContentKey)>, GrantError> {
        self.check_expected(expected)?;
        let context = context(&self.terms, &self.sections);
        let opened = self.keys.open(keys, &context, expected.agent)?;
        Ok(split(&self.sections, &opened)?)
    }

    pub fn decode_exactly(bytes: &[u8]) -> Result<Self, FormatError> {
        suite::decode_exactly::<1, _>("the access grant", bytes, MAX_GRANT_BYTES)
    }

    pub fn terms(&self) -> &GrantTerms {
        &self.terms
    }

    /// At least one section, none twice.
    pub fn sections(&self) -> &[GrantedSection] {
        &self.sections
    }

    /// Blake2-256 of the encoded grant. A receipt identifies the grant by this hash.
    pub fn hash(&self) -> Hash {
        Blake2Hasher::hash(&self.encode())
    }

    fn check_expected(&self, expected: &Expected<'_>) -> Result<(), GrantError> {
        let terms = &self.terms;
        let agreements = [
            ("chain", terms.genesis == expected.genesis),
            ("hospital", terms.hospital == expected.hospital),
            ("account", terms.audience == *expected.audience),
            ("patient", terms.patient == expected.patient),
            ("request", terms.nonce == expected.nonce),
        ];
        if let Some((what, _)) = agreements.into_iter().find(|(_, agrees)| !agrees) {
            return Err(GrantError::Mismatch { what });
        }
        if expected.now >= terms.expires {
            return Err(GrantError::Expired { expired: terms.expires });
        }
        Ok(())
    }
}

impl Decode for AccessGrant {
    fn decode<I: codec::Input>(input: &mut I) -> Result<Self, codec::Error> {
        let (suite, terms, sections, keys): (_, GrantTerms, _, _) = Decode::decode(input)?;
        check(terms.issued, terms.expires, &sections)?;
        Ok(Self { suite, terms, sections, keys })
    }
}

/// The sections, and their keys one after the other.
pub(crate) fn joined(
    keys: &[(GrantedSection, ContentKey)],
) -> Result<(Sections, Zeroizing<Vec<u8>>), SealError> {
    let (actual, limit) = (keys.len() as u64, u64::from(MAX_GRANTED_SECTIONS));
    let what = "the number of granted sections";
    let granted: Vec<_> = keys.iter().map(|(section, _)| *section).collect();
    let sections =
        Sections::try_from(granted).map_err(|_| FormatError::TooLarge { what, actual, limit })?;
    // Never reallocates, so no copy of a key stays in freed memory.
    let mut content_keys = Zeroizing::new(Vec::with_capacity(keys.len() * 32));
    keys.iter().for_each(|(_, key)| content_keys.extend_from_slice(key.as_bytes()));
    Ok((sections, content_keys))
}

/// The sections with their keys, as [`joined`] had them.
pub(crate) fn split(
    sections: &Sections,
    content_keys: &[u8],
) -> Result<Vec<(GrantedSection, ContentKey)>, OpenError> {
    if content_keys.len() != sections.len() * 32 {
        return Err(OpenError);
    }
    let keys = content_keys.chunks_exact(32).map(ContentKey::from_slice);
    sections.iter().zip(keys).map(|(section, key)| Ok((*section, key?))).collect()
}

/// What every grant must satisfy.
pub(crate) fn check(
    issued: Moment,
    expires: Moment,
    sections: &Sections,
) -> Result<(), &'static str> {
    if sections.is_empty() {
        return Err("a grant needs at least one section");
    }
    if expires <= issued {
        return Err("a grant must expire after it is issued");
    }
    let mut seen = HashSet::new();
    if !sections.iter().all(|granted| seen.insert((granted.record, granted.section))) {
        return Err("a section is granted twice");
    }
    Ok(())
}

fn context(terms: &GrantTerms, sections: &Sections) -> WrapContext {
    let hash = Blake2Hasher::hash(&(b"epione/grant", Suite::<1>, terms, sections).encode());
    WrapContext {
        genesis: terms.genesis,
        hospital: terms.hospital,
        user: terms.patient,
        subject: WrapSubject::Grant { terms: hash },
        recipient: terms.audience.clone(),
    }
}
