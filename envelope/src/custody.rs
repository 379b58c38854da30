//! Custody: what a hospital hands out for the claim of a custodian, and how the custodian keeps the patient keys that it
//! has opened.
//!
//! Parts of as many hospitals as the threshold of the consortium key open the claimed patient keys, so each is sealed
//! to the custodian's sealing key. The hospital's agent signs it, and it contains a proof that it was made with the
//! hospital's share.

use codec::{Decode, Encode};
use epione_primitives::{
    AccountId, Hash, HospitalId, UserId, consortium::EpochId, custody::ClaimId,
};

use crate::{
    FormatError, OpenError, SealError,
    account::Signer,
    opening::{MAX_SEALED_PARTIAL_BYTES, PartialContent, sections_of},
    sealing_keys::{SealingKeyPair, SealingPublicKey, Wrap},
    suite::{self, Suite},
};

/// To what a hospital's part of a claim is bound. The wrap does not store it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode)]
pub struct ClaimPartContext {
    /// Hash of the chain's first block.
    pub genesis: Hash,
    pub claim: ClaimId,
    /// The removed hospital, whose patients' keys are claimed.
    pub departed: HospitalId,
    /// The hospital that hands out its part. Its agent signs.
    pub hospital: HospitalId,
    /// The epoch of the hospital's share.
    pub epoch: EpochId,
}

impl ClaimPartContext {
    /// To what the proof in the part is bound: the SCALE encoding of `"epione/custody-part"`, the chain, the claim, the
    /// epoch, the hospital, and the hash of the custodian's sealing key. So a part is no valid part of another claim,
    /// hospital or custodian, and none of an opening.
    pub fn proof_context(&self, sealing_key: Hash) -> Vec<u8> {
        let Self { genesis, claim, hospital, epoch, .. } = self;
        (b"epione/custody-part", genesis, claim, epoch, hospital, sealing_key).encode()
    }
}

/// A hospital's part of a claim, for the custodian: one value for each patient, ascending.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub struct SealedClaimPart {
    suite: Suite<1>,
    /// The epoch of the hospital's share. Parts of different epochs do not fit together.
    epoch: EpochId,
    content: Wrap,
}

impl SealedClaimPart {
    /// Seals a part to the custodian's sealing key; the account of the hospital's agent signs.
    ///
    /// # Errors
    /// If the part is for no patient or for more than 64, or if it has not one mixing value for each point.
    pub fn seal(
        context: &ClaimPartContext,
        content: &PartialContent,
        custodian: &SealingPublicKey,
        agent: &impl Signer,
    ) -> Result<Self, SealError> {
        let bytes = content.to_bytes().map_err(SealError::Refused)?;
        let content = Wrap::seal(custodian, context, &bytes, agent)?;
        Ok(Self { suite: Suite, epoch: context.epoch, content })
    }

    /// The part, if the hospital's agent signed it for this key and this context. Compare the number of values with
    /// that of the patients, and verify the proof: the hospital may have sealed anything.
    pub fn open(
        &self,
        context: &ClaimPartContext,
        keys: &SealingKeyPair,
        agent: &AccountId,
    ) -> Result<PartialContent, OpenError> {
        if self.epoch != context.epoch {
            return Err(OpenError);
        }
        PartialContent::from_slice(&self.content.open(keys, context, agent)?)
    }

    /// The epoch of the hospital's share. It is true if the part opens in the context of this epoch.
    pub fn epoch(&self) -> EpochId {
        self.epoch
    }

    pub fn decode_exactly(bytes: &[u8]) -> Result<Self, FormatError> {
        suite::decode_exactly::<1, _>("the sealed part of a claim", bytes, MAX_SEALED_PARTIAL_BYTES)
    }
}

impl Decode for SealedClaimPart {
    fn decode<I: codec::Input>(input: &mut I) -> Result<Self, codec::Error> {
        let (suite, epoch, content): (_, _, Wrap) = Decode::decode(input)?;
        if content.content_bytes().and_then(sections_of).is_none() {
            return Err("the sealed part has another length than a part for 1 to 64 keys".into());
        }
        Ok(Self { suite, epoch, content })
    }
}

/// To what a patient key is bound that a custodian has opened and keeps, sealed to its own sealing key. The custodian's
/// agent signs. The wrap does not store it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode)]
pub struct InheritedContext {
    /// Hash of the chain's first block.
    pub genesis: Hash,
    /// The removed hospital, whose patient key it is.
    pub departed: HospitalId,
    pub custodian: HospitalId,
    pub patient: UserId,
    /// The hash of the profile body whose newest patient key it is.
    pub profile: Hash,
}

#[cfg(test)]
mod tests {
    use epione_primitives::opening::OpeningId;

    use super::*;
    use crate::{
        account::{AccountKey, Scheme},
        opening::{PartialContext, SealedPartial},
        sealing_keys::SealingSuite,
    };

    fn context() -> ClaimPartContext {
        let (claim, epoch) = (ClaimId(0x0102_0304), EpochId(0x0506_0708));
        let (departed, hospital) = (HospitalId(7), HospitalId(0x0a0b));
        ClaimPartContext { genesis: Hash::repeat_byte(9), claim, departed, hospital, epoch }
    }

    fn content(patients: usize) -> PartialContent {
        let values = (0..patients).map(|patient| [patient as u8; 32]).collect();
        let mixing = (0..patients).map(|patient| [0xff - patient as u8; 32]).collect();
        PartialContent { values, proof: [3; 64], mixing }
    }

    #[test]
    fn a_part_opens_for_its_custodian_and_context_only() {
        let agent = AccountKey::from_seed(Scheme::Sr25519, &[1; 32]);
        let custodian = SealingKeyPair::from_seed(SealingSuite::XWing, &[2; 32]);
        let other = SealingKeyPair::from_seed(SealingSuite::XWing, &[3; 32]);
        let (context, content) = (context(), content(64));
        let sealed = SealedClaimPart::seal(&context, &content, custodian.public(), &agent).unwrap();
        let sealed = SealedClaimPart::decode_exactly(&sealed.encode()).unwrap();
        let opened = sealed.open(&context, &custodian, &agent.account()).unwrap();
        assert!(opened == content);
        assert!(sealed.open(&context, &other, &agent.account()).is_err());
        assert!(sealed.open(&context, &custodian, &AccountId::new([9; 32])).is_err());
        for moved in [
            ClaimPartContext { genesis: Hash::zero(), ..context },
            ClaimPartContext { claim: ClaimId(5), ..context },
            ClaimPartContext { departed: HospitalId(8), ..context },
            ClaimPartContext { hospital: HospitalId(8), ..context },
            ClaimPartContext { epoch: EpochId(8), ..context },
        ] {
            assert!(sealed.open(&moved, &custodian, &agent.account()).is_err(), "{moved:?}");
        }
    }

    #[test]
    fn a_part_of_an_opening_is_no_part_of_a_claim() {
        let agent = AccountKey::from_seed(Scheme::Sr25519, &[1; 32]);
        let keys = SealingKeyPair::from_seed(SealingSuite::XWing, &[2; 32]);
        let ClaimPartContext { genesis, hospital, epoch, .. } = context();
        let (opening, wraps) = (OpeningId(1), Hash::zero());
        let opening = PartialContext { genesis, opening, hospital, epoch, wraps };
        let sealed = SealedPartial::seal(&opening, &content(1), keys.public(), &agent).unwrap();
        let encoded = sealed.encode();
        assert!(SealedClaimPart::decode_exactly(&encoded).is_err());
        // Its wrap alone, without the 32 bytes that name the wraps of the opening.
        let moved = [&encoded[..5], &encoded[37..]].concat();
        let moved = SealedClaimPart::decode_exactly(&moved).unwrap();
        let claim = ClaimPartContext { claim: ClaimId(1), ..context() };
        assert!(moved.open(&claim, &keys, &agent.account()).is_err());
        assert_ne!(claim.proof_context(genesis), opening.proof_context(genesis));
    }

    /// Contexts of wraps are told apart by their lengths.
    #[test]
    fn the_contexts_have_lengths_of_their_own() {
        let inherited = InheritedContext {
            genesis: Hash::zero(),
            departed: HospitalId(1),
            custodian: HospitalId(2),
            patient: UserId([3; 32]),
            profile: Hash::zero(),
        };
        assert_eq!((context().encode().len(), inherited.encode().len()), (44, 100));
    }
}
