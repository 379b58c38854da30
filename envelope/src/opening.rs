//! What a hospital hands out for an opening: its part of the decryption of the opened sections, sealed to the
//! requester.
//!
//! Parts of as many hospitals as the threshold of the consortium key open the sections, so each is sealed like a
//! content key. The hospital's agent signs it, and it contains a proof that it was made with the hospital's share. So a
//! requester can show which hospital sent a wrong part.

use std::fmt;

use codec::{Decode, Encode};
use epione_primitives::{
    AccountId, Hash, HospitalId,
    consortium::{EncodedPoint, EpochId},
    limits::MAX_OPENED_SECTIONS,
    opening::OpeningId,
};
use sp_core::{Blake2Hasher, Hasher};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    FormatError, OpenError, SealError,
    account::Signer,
    sealing_keys::{SealingKeyPair, SealingPublicKey, Wrap},
    suite::{self, Suite},
};

/// Maximum bytes of an encoded sealed part.
pub const MAX_SEALED_PARTIAL_BYTES: usize = 8 * 1024;

const PROOF_BYTES: usize = 64;
/// Bytes for each section: a point, and a mixing value.
const SECTION_BYTES: usize = 64;

/// To what a hospital's part of an opening is bound. The wrap does not store it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode)]
pub struct PartialContext {
    /// Hash of the chain's first block.
    pub genesis: Hash,
    pub opening: OpeningId,
    /// The hospital that hands out its part. Its agent signs.
    pub hospital: HospitalId,
    /// The epoch of the hospital's share.
    pub epoch: EpochId,
    /// Of which wraps the part was made, as [`wraps_hash`] names them. The hospital of a record can publish new ones
    /// while the opening is under way.
    pub wraps: Hash,
}

impl PartialContext {
    /// To what the proof in the part is bound: the SCALE encoding of `"epione/partial"`, the chain, the opening, the
    /// epoch, the hospital, the wraps, and the hash of the requester's sealing key. So a part is no valid part of
    /// another opening, hospital or requester, and of no other wraps.
    pub fn proof_context(&self, sealing_key: Hash) -> Vec<u8> {
        let Self { genesis, opening, hospital, epoch, wraps } = self;
        (b"epione/partial", genesis, opening, epoch, hospital, wraps, sealing_key).encode()
    }
}

/// The name of the wraps of an opening's sections: Blake2-256 of the SCALE encoding of `"epione/partial-wraps"` and,
/// for each section in the opening's order, the hash of the body that contains its wrap.
pub fn wraps_hash(bodies: &[Hash]) -> Hash {
    Blake2Hasher::hash(&(b"epione/partial-wraps", bodies).encode())
}

/// A hospital's part of the decryption of the sections of an opening: by record as the opening lists them, and
/// ascending within each record. The bytes are erased when the value is dropped. They may be any bytes: the hospital
/// chose them.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PartialContent {
    /// For each section, the point of its wrap times the hospital's share.
    pub values: Vec<EncodedPoint>,
    /// The proof that all values were made with the same share, which is that of the hospital.
    pub proof: [u8; PROOF_BYTES],
    /// For each section, the value that the mixing secret gives its label.
    pub mixing: Vec<[u8; 32]>,
}

impl PartialContent {
    /// The values, the proof and the mixing values, one after the other.
    pub(crate) fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, &'static str> {
        let Self { values, proof, mixing } = self;
        if values.is_empty() || values.len() > MAX_OPENED_SECTIONS as usize {
            return Err("a part of an opening is for 1 to 64 sections");
        }
        if values.len() != mixing.len() {
            return Err("a part of an opening has another number of mixing values than of points");
        }
        // Never reallocates, so no copy of a value stays in freed memory.
        let length = PROOF_BYTES + values.len() * SECTION_BYTES;
        let mut bytes = Zeroizing::new(Vec::with_capacity(length));
        values.iter().for_each(|value| bytes.extend_from_slice(value));
        bytes.extend_from_slice(proof);
        mixing.iter().for_each(|value| bytes.extend_from_slice(value));
        Ok(bytes)
    }

    pub(crate) fn from_slice(bytes: &[u8]) -> Result<Self, OpenError> {
        let sections = sections_of(bytes.len()).ok_or(OpenError)?;
        let (values, rest) = bytes.split_at_checked(sections * 32).ok_or(OpenError)?;
        let (proof, mixing) = rest.split_first_chunk().ok_or(OpenError)?;
        Ok(Self { values: split(values), proof: *proof, mixing: split(mixing) })
    }
}

impl fmt::Debug for PartialContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartialContent({} sections, secret)", self.values.len())
    }
}

/// The number of sections in a content of so many bytes: 1 to [`MAX_OPENED_SECTIONS`].
pub(crate) fn sections_of(length: usize) -> Option<usize> {
    let of_sections = length.checked_sub(PROOF_BYTES)?;
    let sections = of_sections / SECTION_BYTES;
    let is_whole = of_sections.is_multiple_of(SECTION_BYTES);
    (is_whole && (1..=MAX_OPENED_SECTIONS as usize).contains(&sections)).then_some(sections)
}

fn split(bytes: &[u8]) -> Vec<[u8; 32]> {
    let (chunks, _) = bytes.as_chunks::<32>();
    chunks.to_vec()
}

/// A hospital's part of an opening, for one requester.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub struct SealedPartial {
    suite: Suite<1>,
    /// The epoch of the hospital's share. Parts of different epochs do not fit together.
    epoch: EpochId,
    /// Of which wraps the part was made. A part of other wraps is no wrong part.
    wraps: Hash,
    content: Wrap,
}

impl SealedPartial {
    /// Seals a part to the requester's sealing key; the account of the hospital's agent signs.
    ///
    /// # Errors
    /// If the part is for no section or for more than [`MAX_OPENED_SECTIONS`], or if it has not one mixing value for
    /// each point.
    pub fn seal(
        context: &PartialContext,
        content: &PartialContent,
        recipient: &SealingPublicKey,
        agent: &impl Signer,
    ) -> Result<Self, SealError> {
        let bytes = content.to_bytes().map_err(SealError::Refused)?;
        let content = Wrap::seal(recipient, context, &bytes, agent)?;
        Ok(Self { suite: Suite, epoch: context.epoch, wraps: context.wraps, content })
    }

    /// The part, if the hospital's agent signed it for this key and this context. Compare the number of sections with
    /// that of the opening, and verify the proof: the hospital may have sealed anything.
    pub fn open(
        &self,
        context: &PartialContext,
        keys: &SealingKeyPair,
        agent: &AccountId,
    ) -> Result<PartialContent, OpenError> {
        if self.epoch != context.epoch || self.wraps != context.wraps {
            return Err(OpenError);
        }
        PartialContent::from_slice(&self.content.open(keys, context, agent)?)
    }

    /// The epoch of the hospital's share. It is true if the part opens in the context of this epoch.
    pub fn epoch(&self) -> EpochId {
        self.epoch
    }

    /// Of which wraps the hospital made its part. It is true if the part opens in the context of these wraps.
    pub fn wraps(&self) -> Hash {
        self.wraps
    }

    pub fn decode_exactly(bytes: &[u8]) -> Result<Self, FormatError> {
        suite::decode_exactly::<1, _>(
            "the sealed part of an opening",
            bytes,
            MAX_SEALED_PARTIAL_BYTES,
        )
    }
}

impl Decode for SealedPartial {
    fn decode<I: codec::Input>(input: &mut I) -> Result<Self, codec::Error> {
        let (suite, epoch, wraps, content): (_, _, _, Wrap) = Decode::decode(input)?;
        if content.content_bytes().and_then(sections_of).is_none() {
            return Err(
                "the sealed part has another length than a part for 1 to 64 sections".into()
            );
        }
        Ok(Self { suite, epoch, wraps, content })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        account::{AccountKey, Scheme},
        sealing_keys::SealingSuite,
    };

    fn context() -> PartialContext {
        let (opening, epoch) = (OpeningId(0x0102_0304), EpochId(0x0506_0708));
        PartialContext {
            genesis: Hash::repeat_byte(9),
            opening,
            hospital: HospitalId(0x0a0b),
            epoch,
            wraps: Hash::repeat_byte(5),
        }
    }

    fn content(sections: usize) -> PartialContent {
        let values = (0..sections).map(|section| [section as u8; 32]).collect();
        let mixing = (0..sections).map(|section| [0xff - section as u8; 32]).collect();
        PartialContent { values, proof: [7; 64], mixing }
    }

    fn sealed(content: &PartialContent) -> Result<SealedPartial, SealError> {
        let agent = AccountKey::from_seed(Scheme::Sr25519, &[1; 32]);
        let keys = SealingKeyPair::from_seed(SealingSuite::XWing, &[2; 32]);
        SealedPartial::seal(&context(), content, keys.public(), &agent)
    }

    #[test]
    fn the_part_for_as_many_sections_as_an_opening_has_fits_into_the_limit() {
        let most = content(MAX_OPENED_SECTIONS as usize);
        let encoded = sealed(&most).unwrap().encode();
        // Suite, epoch, wraps; then suite, encapsulated key, length, content with tag, signature.
        let content = 64 + 64 * MAX_OPENED_SECTIONS as usize;
        assert_eq!(encoded.len(), 1 + 4 + 32 + (1 + 1120 + 2 + content + 16 + 65));
        assert!(encoded.len() < MAX_SEALED_PARTIAL_BYTES);
        assert_eq!(SealedPartial::decode_exactly(&encoded).unwrap().encode(), encoded);
    }

    #[test]
    fn a_part_of_no_opening_is_not_sealed() {
        let too_many = content(MAX_OPENED_SECTIONS as usize + 1);
        let mut other_count = content(3);
        other_count.mixing.pop();
        for (content, reason) in
            [(content(0), "1 to 64"), (too_many, "1 to 64"), (other_count, "another number")]
        {
            let refused = sealed(&content).unwrap_err().to_string();
            assert!(refused.contains(reason), "{refused}");
        }
    }

    #[test]
    fn the_context_of_the_proof_differs_in_each_of_its_fields() {
        let here = context();
        let key = Hash::repeat_byte(3);
        let all = [
            here.proof_context(key),
            here.proof_context(Hash::zero()),
            PartialContext { genesis: Hash::zero(), ..here }.proof_context(key),
            PartialContext { opening: OpeningId(1), ..here }.proof_context(key),
            PartialContext { hospital: HospitalId(1), ..here }.proof_context(key),
            PartialContext { epoch: EpochId(1), ..here }.proof_context(key),
            PartialContext { wraps: Hash::zero(), ..here }.proof_context(key),
        ];
        for (position, one) in all.iter().enumerate() {
            assert!(!all[..position].contains(one), "{position}");
        }
        let by_hand = [
            &b"epione/partial"[..],
            &[9; 32],
            &[4, 3, 2, 1],
            &[8, 7, 6, 5],
            &[0x0b, 0x0a],
            &[5; 32],
            &[3; 32],
        ];
        assert_eq!(all[0], by_hand.concat());
    }

    #[test]
    fn wraps_are_named_by_all_of_their_bodies_in_order() {
        let [one, other] = [Hash::repeat_byte(1), Hash::repeat_byte(2)];
        let by_hand = [&b"epione/partial-wraps"[..], &[2 << 2], &one.0, &other.0].concat();
        assert_eq!(wraps_hash(&[one, other]), Blake2Hasher::hash(&by_hand));
        let all = [&[one, other][..], &[other, one], &[one], &[one, one], &[]].map(wraps_hash);
        for (position, name) in all.iter().enumerate() {
            assert!(!all[..position].contains(name), "{position}");
        }
    }

    #[test]
    fn the_debug_text_of_a_part_has_no_byte_of_it() {
        assert_eq!(format!("{:?}", content(2)), "PartialContent(2 sections, secret)");
    }
}
