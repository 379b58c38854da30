//! What requester and patient seal to each other: the terms of a query, and the grant with which the patient accepts.
//!
//! The chain stores the sealed terms while the query is pending, and the hash of the grant. A hospital's worker keeps
//! the sealed grant for the requester, and cannot open it. Neither belongs to a hospital, so the wraps have contexts
//! of their own.

use codec::{Decode, Encode};
use epione_primitives::{
    AccountId, Hash, Moment, UserId, access::Purpose, limits::MAX_SEALED_TERMS_BYTES,
    query::QueryId,
};
use sp_core::{Blake2Hasher, Hasher as _};
use zeroize::Zeroizing;

use crate::{
    FormatError, OpenError, SealError,
    account::Signer,
    grant::{self, GrantError, GrantedSection, MAX_GRANT_BYTES, Sections},
    keys::ContentKey,
    sealing_keys::{SealingKeyPair, SealingPublicKey, Wrap},
    suite::{self, Suite},
};

/// Maximum bytes of the terms of a query.
pub const MAX_TERMS_BYTES: usize = 1_024;

/// The terms of a query: the requester's text, which only the patient reads. The sealed terms of all texts have the
/// same length, because the chain shows it to everybody.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SealedTerms {
    suite: Suite<1>,
    text: Wrap,
}

impl SealedTerms {
    /// Seals a text of 1 to [`MAX_TERMS_BYTES`] bytes, without the character U+0000. The requester signs.
    pub fn seal(
        genesis: Hash,
        requester: UserId,
        patient: UserId,
        text: &str,
        recipient: &SealingPublicKey,
        signer: &impl Signer,
    ) -> Result<Self, SealError> {
        if text.is_empty() {
            return Err(SealError::Refused("the terms of a query are empty; say what it is for"));
        }
        if text.contains('\0') {
            return Err(SealError::Refused("the terms of a query contain the character U+0000"));
        }
        let (actual, limit) = (text.len() as u64, MAX_TERMS_BYTES as u64);
        if actual > limit {
            let what = "the number of bytes of the terms";
            return Err(FormatError::TooLarge { what, actual, limit }.into());
        }
        let context = terms_context(genesis, requester, patient);
        let mut padded = Zeroizing::new([0_u8; MAX_TERMS_BYTES]);
        padded[..text.len()].copy_from_slice(text.as_bytes());
        let text = Wrap::seal(recipient, &context, padded.as_slice(), signer)?;
        Ok(Self { suite: Suite, text })
    }

    /// The text, if the requester's account signed it for this key. Print it only with
    /// [`legible`](epione_primitives::text::legible): the requester chose every character.
    pub fn open(
        &self,
        genesis: Hash,
        requester: UserId,
        patient: UserId,
        requester_account: &AccountId,
        keys: &SealingKeyPair,
    ) -> Result<Zeroizing<String>, OpenError> {
        let context = terms_context(genesis, requester, patient);
        let opened = self.text.open(keys, &context, requester_account)?;
        if opened.len() != MAX_TERMS_BYTES {
            return Err(OpenError);
        }
        let text = std::str::from_utf8(&opened).map_err(|_| OpenError)?.trim_end_matches('\0');
        if text.is_empty() || text.contains('\0') {
            return Err(OpenError);
        }
        Ok(Zeroizing::new(text.to_owned()))
    }

    pub fn decode_exactly(bytes: &[u8]) -> Result<Self, FormatError> {
        let what = "the sealed terms";
        suite::decode_exactly::<1, _>(what, bytes, MAX_SEALED_TERMS_BYTES as usize)
    }
}

/// What a patient grants with the acceptance of a query.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct QueryTerms {
    /// Hash of the chain's first block.
    pub genesis: Hash,
    pub query: QueryId,
    /// The patient signs, or a representative for the patient.
    pub patient: UserId,
    pub requester: UserId,
    /// The requester's account. No other account can use the grant.
    pub audience: AccountId,
    pub purpose: Purpose,
    pub issued: Moment,
    /// The grant does not open at or after this moment.
    pub until: Moment,
}

/// What a requester expects of the grant of an accepted query. The chain states all of it.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedQuery<'a> {
    pub genesis: Hash,
    pub query: QueryId,
    pub patient: UserId,
    /// The account that accepted: the patient's, or that of a representative.
    pub acceptor: &'a AccountId,
    /// The requester's own account.
    pub audience: &'a AccountId,
    pub purpose: Purpose,
    /// The end that the patient accepted.
    pub until: Moment,
    pub now: Moment,
}

/// The content keys of the sections that a patient accepted to show, for one requester.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub struct QueryGrant {
    suite: Suite<1>,
    terms: QueryTerms,
    sections: Sections,
    keys: Wrap,
}

impl QueryGrant {
    pub fn seal(
        terms: QueryTerms,
        keys: &[(GrantedSection, ContentKey)],
        recipient: &SealingPublicKey,
        patient: &impl Signer,
    ) -> Result<Self, SealError> {
        let (sections, content_keys) = grant::joined(keys)?;
        grant::check(terms.issued, terms.until, &sections).map_err(SealError::Refused)?;
        let context = grant_context(&terms, &sections);
        let keys = Wrap::seal(recipient, &context, &content_keys, patient)?;
        Ok(Self { suite: Suite, terms, sections, keys })
    }

    /// The granted content keys, if the grant answers the query, has not ended, and is signed by who accepted.
    pub fn open(
        &self,
        expected: &ExpectedQuery<'_>,
        keys: &SealingKeyPair,
    ) -> Result<Vec<(GrantedSection, ContentKey)>, GrantError> {
        self.check_expected(expected)?;
        let context = grant_context(&self.terms, &self.sections);
        let opened = self.keys.open(keys, &context, expected.acceptor)?;
        Ok(grant::split(&self.sections, &opened)?)
    }

    pub fn decode_exactly(bytes: &[u8]) -> Result<Self, FormatError> {
        suite::decode_exactly::<1, _>("the grant of the query", bytes, MAX_GRANT_BYTES)
    }

    pub fn terms(&self) -> &QueryTerms {
        &self.terms
    }

    /// At least one section, none twice.
    pub fn sections(&self) -> &[GrantedSection] {
        &self.sections
    }

    /// Blake2-256 of the encoded grant. The acceptance identifies the grant by this hash.
    pub fn hash(&self) -> Hash {
        Blake2Hasher::hash(&self.encode())
    }

    fn check_expected(&self, expected: &ExpectedQuery<'_>) -> Result<(), GrantError> {
        let terms = &self.terms;
        let agreements = [
            ("chain", terms.genesis == expected.genesis),
            ("query", terms.query == expected.query),
            ("account", terms.audience == *expected.audience),
            ("patient", terms.patient == expected.patient),
            ("purpose", terms.purpose == expected.purpose),
            ("end", terms.until == expected.until),
        ];
        if let Some((what, _)) = agreements.into_iter().find(|(_, agrees)| !agrees) {
            return Err(GrantError::Mismatch { what });
        }
        if expected.now >= terms.until {
            return Err(GrantError::Ended { until: terms.until });
        }
        Ok(())
    }
}

impl Decode for QueryGrant {
    fn decode<I: codec::Input>(input: &mut I) -> Result<Self, codec::Error> {
        let (suite, terms, sections, keys): (_, QueryTerms, _, _) = Decode::decode(input)?;
        grant::check(terms.issued, terms.until, &sections)?;
        Ok(Self { suite, terms, sections, keys })
    }
}

fn terms_context(genesis: Hash, requester: UserId, patient: UserId) -> impl Encode {
    (b"epione/query-terms", genesis, requester, patient)
}

/// The terms name chain, patient and audience, so their hash is the whole context.
fn grant_context(terms: &QueryTerms, sections: &Sections) -> Hash {
    Blake2Hasher::hash(&(b"epione/query-grant", Suite::<1>, terms, sections).encode())
}
