//! What a dealer of a ceremony of the consortium key seals to the seats: to each its share, the dealer's part of the
//! mixing secret, and if the ceremony makes new shares, the mixing secret of the earlier epoch.
//!
//! The chain stores the sealed shares for ever. So each seat has a sealing key that it made for this ceremony only, and
//! whose seed it erases afterwards: a key that is stolen later opens none of them. The chain shows neither a share nor
//! whether it is right. A seat that cannot open its share, or finds it wrong, complains on the chain.

use std::fmt;

use codec::{Decode, Encode};
use epione_primitives::{
    AccountId, Hash, HospitalId,
    consortium::{CeremonyId, EncodedScalar},
    limits::{MAX_SEALED_SHARES_BYTES, MAX_SEATS},
};
use sp_core::{ConstU32, bounded::BoundedVec};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    FormatError, OpenError, SealError,
    account::Signer,
    sealing_keys::{SealingKeyPair, SealingPublicKey, SealingSuite, Wrap},
    suite::{self, Suite},
};

/// Bytes of what is sealed to one seat for a new key: the share, and the part.
const NEW_KEY_BYTES: usize = 64;
/// Bytes of what is sealed to one seat for new shares: the share, the part, and the earlier mixing secret.
const NEW_SHARES_BYTES: usize = 96;

/// The context of what one dealer seals to one seat in one ceremony. The wrap is bound to it, but does not store it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode)]
pub struct DealingContext {
    /// Hash of the chain's first block.
    pub genesis: Hash,
    pub ceremony: CeremonyId,
    /// The hospital that deals. Its agent signs.
    pub dealer: HospitalId,
    /// The hospital that gets the share.
    pub seat: HospitalId,
}

/// What a dealer gives one seat. The bytes are erased when the value is dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SharePart {
    /// The value of the dealer's polynomial at the seat's evaluation point. It may be any bytes: the dealer chose them.
    pub share: EncodedScalar,
    /// The dealer's part of the mixing secret. It is the same for all seats of an honest dealer.
    pub part: [u8; 32],
    /// The mixing secret of the epoch whose shares are replaced, for seats that were no members of it; none if the
    /// ceremony generates a key.
    pub earlier: Option<[u8; 32]>,
}

impl SharePart {
    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(NEW_SHARES_BYTES));
        bytes.extend_from_slice(&self.share);
        bytes.extend_from_slice(&self.part);
        bytes.extend(self.earlier.iter().flatten());
        bytes
    }

    fn from_slice(bytes: &[u8]) -> Result<Self, OpenError> {
        let (share, rest) = bytes.split_first_chunk().ok_or(OpenError)?;
        let (part, rest) = rest.split_first_chunk().ok_or(OpenError)?;
        let earlier: Option<[u8; 32]> = match rest {
            [] => None,
            rest => Some(rest.try_into().map_err(|_| OpenError)?),
        };
        Ok(Self { share: *share, part: *part, earlier })
    }
}

impl fmt::Debug for SharePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharePart(secret)")
    }
}

type Wraps = BoundedVec<(HospitalId, Wrap), ConstU32<MAX_SEATS>>;

/// The shares of one dealer, each sealed to its seat: the body of the call `deal`. The seats ascend, and there is at
/// least one. All wraps use X-Wing and have the same length.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub struct SealedShares {
    suite: Suite<1>,
    wraps: Wraps,
}

impl SealedShares {
    /// Seals `share_of` each seat to the key with which the seat enrolled. The seats ascend; the account of the
    /// dealer's agent signs. Fails if there is no seat, if there are more than [`MAX_SEATS`], if they do not ascend, if
    /// a key is not of X-Wing, or if only some seats get an earlier mixing secret.
    pub fn seal(
        seats: &[(HospitalId, SealingPublicKey)],
        genesis: Hash,
        ceremony: CeremonyId,
        dealer: HospitalId,
        share_of: impl Fn(HospitalId) -> SharePart,
        agent: &impl Signer,
    ) -> Result<Self, SealError> {
        let mut wraps = Vec::with_capacity(seats.len());
        for (seat, key) in seats {
            if key.suite() != SealingSuite::XWing {
                return Err(SealError::Refused(OTHER_SUITE));
            }
            let context = DealingContext { genesis, ceremony, dealer, seat: *seat };
            let content = share_of(*seat).to_bytes();
            wraps.push((*seat, Wrap::seal(key, &context, &content, agent)?));
        }
        let wraps = Wraps::try_from(wraps)
            .map_err(|_| SealError::Refused("there are more seats than the limit of 31"))?;
        check(&wraps).map_err(SealError::Refused)?;
        Ok(Self { suite: Suite, wraps })
    }

    /// What the dealer sealed to the seat of `context`, if the dealer's agent signed it for this key and this context.
    /// `agent` is the account that signed the dealing on the chain; the hospital may have rotated it since. Compare the
    /// share with the dealer's commitments, and the part and the earlier mixing secret with their hashes: the dealer
    /// may have sealed anything.
    pub fn open(
        &self,
        context: &DealingContext,
        keys: &SealingKeyPair,
        agent: &AccountId,
    ) -> Result<SharePart, OpenError> {
        let found = self.wraps.iter().find(|(seat, _)| *seat == context.seat);
        let (_, wrap) = found.ok_or(OpenError)?;
        SharePart::from_slice(&wrap.open(keys, context, agent)?)
    }

    /// The seats to which something is sealed, ascending.
    pub fn seats(&self) -> impl Iterator<Item = HospitalId> {
        self.wraps.iter().map(|(seat, _)| *seat)
    }

    pub fn decode_exactly(bytes: &[u8]) -> Result<Self, FormatError> {
        suite::decode_exactly::<1, _>("the sealed shares", bytes, MAX_SEALED_SHARES_BYTES as usize)
    }
}

impl Decode for SealedShares {
    fn decode<I: codec::Input>(input: &mut I) -> Result<Self, codec::Error> {
        let (suite, wraps): (_, Wraps) = Decode::decode(input)?;
        check(&wraps)?;
        Ok(Self { suite, wraps })
    }
}

const OTHER_SUITE: &str = "a share is sealed to a key that is not of X-Wing";

fn check(wraps: &[(HospitalId, Wrap)]) -> Result<(), &'static str> {
    if wraps.is_empty() {
        return Err("no share is sealed");
    }
    if !wraps.is_sorted_by(|(before, _), (after, _)| before < after) {
        return Err("the seats of the sealed shares do not ascend");
    }
    if wraps.iter().any(|(_, wrap)| wrap.suite() != SealingSuite::XWing) {
        return Err(OTHER_SUITE);
    }
    let lengths = || wraps.iter().map(|(_, wrap)| wrap.content_bytes());
    if lengths().any(|bytes| !matches!(bytes, Some(NEW_KEY_BYTES | NEW_SHARES_BYTES))) {
        return Err("a sealed share has another length than a share");
    }
    if !lengths().all(|bytes| bytes == lengths().next().flatten()) {
        return Err("the sealed shares have different lengths");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{AccountKey, Scheme};

    const SEAT: HospitalId = HospitalId(4);

    fn given(_: HospitalId) -> SharePart {
        SharePart { share: [7; 32], part: [8; 32], earlier: Some([9; 32]) }
    }

    fn sealed(seats: &[HospitalId], suite: SealingSuite) -> Result<SealedShares, SealError> {
        sealed_with(seats, suite, given)
    }

    fn sealed_with(
        seats: &[HospitalId],
        suite: SealingSuite,
        given: impl Fn(HospitalId) -> SharePart,
    ) -> Result<SealedShares, SealError> {
        let agent = AccountKey::from_seed(Scheme::Sr25519, &[1; 32]);
        let key = SealingKeyPair::from_seed(suite, &[2; 32]).public().clone();
        let seats: Vec<_> = seats.iter().map(|seat| (*seat, key.clone())).collect();
        let (genesis, dealer) = (Hash::zero(), HospitalId(0));
        SealedShares::seal(&seats, genesis, CeremonyId(3), dealer, given, &agent)
    }

    #[test]
    fn the_shares_for_all_seats_fit_into_the_limit_of_the_chain() {
        let seats: Vec<_> = (0..).take(MAX_SEATS as usize).map(HospitalId).collect();
        let encoded = sealed(&seats, SealingSuite::XWing).unwrap().encode();
        // Suite, number of seats; for each, hospital, suite, encapsulated key, length, share, part and earlier secret
        // with tag, signature.
        let each = 2 + (1 + 1120 + 2 + (96 + 16) + 65);
        assert_eq!(encoded.len(), 1 + 1 + seats.len() * each);
        // The longest signature that the type has is one byte longer.
        assert!(encoded.len() + seats.len() <= MAX_SEALED_SHARES_BYTES as usize);
        let decoded = SealedShares::decode_exactly(&encoded).unwrap();
        assert_eq!(decoded.seats().collect::<Vec<_>>(), seats);
        assert_eq!(decoded.encode(), encoded);
    }

    #[test]
    fn what_no_seat_may_get_is_not_sealed() {
        let seats = |ids: &[u16]| ids.iter().copied().map(HospitalId).collect::<Vec<_>>();
        assert!(sealed(&seats(&[0, 3, 9]), SealingSuite::XWing).is_ok());
        let too_many: Vec<_> = (0..=MAX_SEATS as u16).collect();
        for (ids, reason) in [
            (&[][..], "no share"),
            (&[3, 3], "ascend"),
            (&[4, 3], "ascend"),
            (&too_many, "more seats"),
        ] {
            let refused = sealed(&seats(ids), SealingSuite::XWing).unwrap_err().to_string();
            assert!(refused.contains(reason), "{ids:?}: {refused}");
        }
        let refused = sealed(&[SEAT], SealingSuite::X25519).unwrap_err().to_string();
        assert!(refused.contains("X-Wing"), "{refused}");
    }

    #[test]
    fn an_earlier_secret_is_for_all_seats_or_for_none() {
        let of = |earlier: Option<[u8; 32]>| SharePart { earlier, ..given(SEAT) };
        let seats = [HospitalId(0), SEAT];
        let make = |given: &dyn Fn(HospitalId) -> SharePart| {
            sealed_with(&seats, SealingSuite::XWing, given)
        };
        let refused = make(&|seat| of((seat == SEAT).then_some([9; 32]))).unwrap_err().to_string();
        assert!(refused.contains("different lengths"), "{refused}");
        let keys = SealingKeyPair::from_seed(SealingSuite::XWing, &[2; 32]);
        let agent = AccountKey::from_seed(Scheme::Sr25519, &[1; 32]).account();
        let (genesis, ceremony, dealer) = (Hash::zero(), CeremonyId(3), HospitalId(0));
        let context = DealingContext { genesis, ceremony, dealer, seat: SEAT };
        for earlier in [None, Some([9; 32])] {
            let sealed = make(&|_| of(earlier)).unwrap();
            let opened = sealed.open(&context, &keys, &agent).unwrap();
            assert_eq!((opened.share, opened.part, opened.earlier), ([7; 32], [8; 32], earlier));
        }
    }

    #[test]
    fn the_debug_text_of_a_share_has_no_byte_of_it() {
        assert_eq!(format!("{:?}", given(SEAT)), "SharePart(secret)");
    }
}
