//! What the council's pallets store. The runtime API does not answer about it, so that this is the only reading code.

use codec::{Decode, Error, Input};
use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId,
    limits::{DAY_BLOCKS, MAX_MOTION_BYTES},
    quota::Limits,
};

use super::{ChainError, Gap, Known, VerifiedState, keys};
use crate::chain::{AuthorizedUpgrade, Doubt, Motion};

/// pallet-collective's `Votes`: number, threshold, votes for and against, and the end.
type Votes = (u32, u32, Vec<AccountId>, Vec<AccountId>, BlockNumber);

/// The bytes of a call, whatever it is.
struct Bytes(Vec<u8>);

impl Decode for Bytes {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let length = input.remaining_len()?.unwrap_or_default();
        if length > MAX_MOTION_BYTES as usize {
            return Err("the call of a motion is too long".into());
        }
        let mut bytes = vec![0; length];
        input.read(&mut bytes)?;
        Ok(Self(bytes))
    }
}

impl VerifiedState {
    pub(in crate::chain) async fn council_members(&self) -> Result<Vec<AccountId>, ChainError> {
        Ok(self.value(keys::council_members()).await?.unwrap_or_default())
    }

    pub(in crate::chain) async fn motions(&self) -> Result<Vec<Motion>, ChainError> {
        let motions = self.compute([keys::motions()], motions).await?;
        bound(motions).map_err(|doubt| self.chain().doubt(doubt))
    }

    pub(in crate::chain) async fn authorized_upgrade(
        &self,
    ) -> Result<Option<AuthorizedUpgrade>, ChainError> {
        let hints = [keys::authorized_upgrade(), keys::authorized_at(), keys::upgrade_delay()];
        self.compute(hints, authorized_upgrade).await
    }

    pub(in crate::chain) async fn quota_limits(&self) -> Result<Limits, ChainError> {
        Ok(self.value(keys::quota_limits()).await?.unwrap_or(Limits::USUAL))
    }
}

/// The live motions, oldest first.
fn motions(known: &mut Known) -> Result<Vec<Motion>, Gap> {
    let hashes: Vec<Hash> = known.value_or_default(keys::motions())?;
    let of = |hash: &Hash| {
        [keys::motion_call(*hash), keys::motion_votes(*hash), keys::motion_proposer(*hash)]
    };
    known.need(hashes.iter().flat_map(of))?;
    let mut motions = Vec::with_capacity(hashes.len());
    for hash in hashes {
        let [call, votes, proposer] = of(&hash);
        let Bytes(call) = known.value(call.clone())?.ok_or(Gap::Absent(call))?;
        let votes: Votes = known.value(votes.clone())?.ok_or(Gap::Absent(votes))?;
        let (number, threshold, ayes, nays, end) = votes;
        let proposer: Option<(AccountId, HospitalId)> = known.value(proposer)?;
        motions.push(Motion { hash, number, threshold, ayes, nays, end, proposer, call });
    }
    motions.sort_unstable_by_key(|motion| motion.number);
    Ok(motions)
}

/// A vote names the hash of a call, and a member decides by the call that a node sends with it. A client that believes
/// which state a block has, as while finality stalls, still believes no other call.
fn bound(motions: Vec<Motion>) -> Result<Vec<Motion>, Doubt> {
    match motions.iter().find(|motion| !motion.is_bound()) {
        Some(other) => Err(Doubt::OtherMotion { motion: other.hash }),
        None => Ok(motions),
    }
}

fn authorized_upgrade(known: &mut Known) -> Result<Option<AuthorizedUpgrade>, Gap> {
    let authorized: Option<(Hash, bool)> = known.value(keys::authorized_upgrade())?;
    let since: Option<BlockNumber> = known.value(keys::authorized_at())?;
    let delay: BlockNumber = known.value(keys::upgrade_delay())?.unwrap_or(DAY_BLOCKS);
    Ok(authorized.map(|(code_hash, checks)| AuthorizedUpgrade {
        code_hash,
        checks,
        first: since.map(|since| since.saturating_add(delay)),
    }))
}

#[cfg(test)]
mod tests {
    use codec::Encode;
    use sp_runtime::traits::{BlakeTwo256, Hash as _};

    use super::*;

    fn hash(number: u8) -> Hash {
        Hash::repeat_byte(number)
    }

    fn learn(known: &mut Known, number: u8, call: Vec<u8>) {
        let voter = AccountId::new([number; 32]);
        let votes: Votes = (number.into(), 3, vec![voter.clone()], Vec::new(), 900);
        known.learn(keys::motion_call(hash(number)), Some(call));
        known.learn(keys::motion_votes(hash(number)), Some(votes.encode()));
        known.learn(keys::motion_proposer(hash(number)), Some((voter, HospitalId(1)).encode()));
    }

    #[test]
    fn motions_of_any_number_are_read_together_oldest_first() {
        let mut known = Known::default();
        assert_eq!(motions(&mut known), Err(Gap::Missing));
        let numbers: Vec<u8> = (0..200).rev().collect();
        let hashes: Vec<Hash> = numbers.iter().map(|number| hash(*number)).collect();
        known.learn(keys::motions(), Some(hashes.encode()));
        assert_eq!(motions(&mut known), Err(Gap::Missing));
        assert_eq!(known.take_missing().len(), 1 + 3 * 200);
        for number in numbers {
            learn(&mut known, number, vec![number; 3]);
        }
        let read = motions(&mut known).unwrap();
        assert!(read.iter().zip(0..).all(|(motion, number)| motion.number == number));
        assert_eq!((read.len(), &read[7].call[..]), (200, &[7, 7, 7][..]));
        assert_eq!(read[7].proposer, Some((AccountId::new([7; 32]), HospitalId(1))));
    }

    #[test]
    fn a_motion_without_votes_or_with_a_call_that_no_node_accepts_is_an_error() {
        let mut known = Known::default();
        known.learn(keys::motions(), Some(vec![hash(1)].encode()));
        learn(&mut known, 1, vec![0; MAX_MOTION_BYTES as usize]);
        assert_eq!(motions(&mut known).unwrap().len(), 1);
        known.learn(keys::motion_call(hash(1)), Some(vec![0; MAX_MOTION_BYTES as usize + 1]));
        assert!(matches!(motions(&mut known), Err(Gap::Wrong(_))));
        learn(&mut known, 1, Vec::new());
        known.learn(keys::motion_votes(hash(1)), None);
        assert_eq!(motions(&mut known), Err(Gap::Absent(keys::motion_votes(hash(1)))));
    }

    #[test]
    fn a_node_cannot_show_another_call_for_the_hash_that_a_vote_names() {
        let call = vec![6, 1, 1, 0];
        let hash = BlakeTwo256::hash(&call);
        let read = |call: &[u8]| {
            let mut known = Known::default();
            known.learn(keys::motions(), Some(vec![hash].encode()));
            let votes: Votes = (4, 3, Vec::new(), Vec::new(), 900);
            known.learn(keys::motion_call(hash), Some(call.to_vec()));
            known.learn(keys::motion_votes(hash), Some(votes.encode()));
            known.learn(keys::motion_proposer(hash), None);
            bound(motions(&mut known).unwrap())
        };
        let honest = read(&call).unwrap();
        assert_eq!((honest.len(), &honest[0].call), (1, &call));
        // `hospitals.suspend(1)` as `hospitals.reinstate(1)`, of another hospital, longer, or not at all.
        for other in [&[6, 2, 1, 0][..], &[6, 1, 2, 0], &[6, 1, 1, 0, 0], &[]] {
            assert_eq!(read(other), Err(Doubt::OtherMotion { motion: hash }), "{other:?}");
        }
    }

    #[test]
    fn an_upgrade_may_be_applied_after_the_delay() {
        let mut known = Known::default();
        known.learn(keys::authorized_upgrade(), None);
        known.learn(keys::authorized_at(), Some(70_u32.encode()));
        known.learn(keys::upgrade_delay(), None);
        assert_eq!(authorized_upgrade(&mut known), Ok(None));
        known.learn(keys::authorized_upgrade(), Some((hash(1), true).encode()));
        let read = authorized_upgrade(&mut known).unwrap().unwrap();
        assert_eq!((read.code_hash, read.checks), (hash(1), true));
        assert_eq!(read.first, Some(70 + DAY_BLOCKS));
        known.learn(keys::upgrade_delay(), Some(20_u32.encode()));
        assert_eq!(authorized_upgrade(&mut known).unwrap().unwrap().first, Some(90));
    }
}
