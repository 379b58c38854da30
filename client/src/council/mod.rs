//! What the council decides: proposals as calls, how a motion stands, and both as JSON.
//!
//! [`Proposal`] is what a member proposes, and [`Motion`] is what the chain has of it. [`Motion::standing`] says what
//! closing would do, by the rules of pallet-collective and of the origins that the calls need.

mod json;
mod proposal;

pub use proposal::{Admission, Proposal, needed};

use epione_primitives::{AccountId, BlockNumber};

use crate::chain::Motion;

/// What closing a motion would do in the next block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing yet: this many votes for the motion are missing.
    Open { missing: u32 },
    /// The motion has enough votes, and its call is dispatched.
    Approved,
    /// The motion has the votes of its threshold, but the council has grown: the call would fail. This many votes for
    /// it are missing.
    Outgrown { missing: u32 },
    /// So many members are against the motion, or so few are left, that it cannot get enough votes. It is removed.
    Rejected,
    /// The time is over without enough votes. The motion is removed.
    Expired,
}

impl Standing {
    /// Whether a member can close the motion, and nothing is lost by it.
    pub fn can_close(self) -> bool {
        !matches!(self, Self::Open { .. } | Self::Outgrown { .. })
    }
}

impl Motion {
    /// What the call is; none if this client does not know it.
    pub fn proposal(&self) -> Option<Proposal> {
        Proposal::decode(&self.call)
    }

    /// The votes that the call needs in a council of so many members: more than the threshold if the council has grown.
    pub fn needed(&self, members: u32) -> u32 {
        needed(&self.call, members).max(self.threshold)
    }

    /// How the motion stands after block `block`, in a council of so many members.
    pub fn standing(&self, members: u32, block: BlockNumber) -> Standing {
        let (ayes, nays) = (count(&self.ayes), count(&self.nays));
        let needed = self.needed(members);
        let missing = needed.saturating_sub(ayes);
        if missing == 0 {
            return Standing::Approved;
        }
        // With the votes of its threshold, the chain closes it in any block, and its call fails. Before, the chain
        // closes it only if the threshold cannot be reached, or if the time is over.
        let can_fail_at_once = ayes >= self.threshold;
        let limit = if can_fail_at_once { needed } else { self.threshold };
        if members.saturating_sub(nays) < limit {
            return Standing::Rejected;
        }
        if block.saturating_add(1) >= self.end {
            return Standing::Expired;
        }
        if can_fail_at_once { Standing::Outgrown { missing } } else { Standing::Open { missing } }
    }

    /// How a member voted; none before the vote.
    pub fn vote_of(&self, member: &AccountId) -> Option<bool> {
        if self.ayes.contains(member) {
            return Some(true);
        }
        self.nays.contains(member).then_some(false)
    }
}

fn count(voters: &[AccountId]) -> u32 {
    u32::try_from(voters.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use epione_primitives::{Hash, HospitalId};

    use super::*;

    fn motion(proposal: &Proposal, threshold: u32, ayes: u8, nays: u8) -> Motion {
        let voters = |numbers: std::ops::Range<u8>| {
            numbers.map(|number| AccountId::new([number; 32])).collect::<Vec<_>>()
        };
        Motion {
            hash: Hash::repeat_byte(7),
            number: 3,
            threshold,
            ayes: voters(0..ayes),
            nays: voters(100..100 + nays),
            end: 1_000,
            proposer: None,
            call: proposal.encode(),
        }
    }

    const SUSPEND: Proposal = Proposal::Suspend { hospital: HospitalId(1) };

    #[test]
    fn a_motion_is_closed_when_its_votes_decide_it_or_its_time_is_over() {
        for (ayes, nays, block, standing) in [
            (0, 0, 10, Standing::Open { missing: 3 }),
            (2, 1, 10, Standing::Open { missing: 1 }),
            (3, 0, 10, Standing::Approved),
            (1, 2, 10, Standing::Rejected),
            (2, 1, 998, Standing::Open { missing: 1 }),
            (2, 1, 999, Standing::Expired),
            (3, 1, 2_000, Standing::Approved),
        ] {
            let standing_now = motion(&SUSPEND, 3, ayes, nays).standing(4, block);
            assert_eq!(standing_now, standing, "{ayes}, {nays}, {block}");
            let decided = !matches!(standing, Standing::Open { .. });
            assert_eq!(standing.can_close(), decided);
        }
    }

    #[test]
    fn a_motion_of_a_smaller_council_needs_the_votes_of_the_present_one() {
        let remark = Proposal::Remark { text: Vec::new() };
        assert_eq!(motion(&remark, 3, 3, 0).standing(4, 10), Standing::Approved);
        let grown = motion(&remark, 3, 3, 0).standing(7, 10);
        assert_eq!(grown, Standing::Outgrown { missing: 2 });
        assert!(!grown.can_close());
        // With too many votes against it, or at its end, it can only be removed, also if somebody never votes.
        assert_eq!(motion(&remark, 3, 3, 4).standing(7, 10), Standing::Rejected);
        assert_eq!(motion(&remark, 3, 3, 3).standing(7, 10), Standing::Rejected);
        assert_eq!(motion(&remark, 3, 3, 2).standing(7, 10), Standing::Outgrown { missing: 2 });
        assert_eq!(motion(&remark, 3, 3, 2).standing(7, 998), Standing::Outgrown { missing: 2 });
        assert_eq!(motion(&remark, 3, 3, 2).standing(7, 999), Standing::Expired);
        // The chain keeps an open motion that the larger council can no longer accept until its end.
        assert_eq!(motion(&remark, 3, 2, 3).standing(7, 10), Standing::Open { missing: 3 });
        assert_eq!(motion(&remark, 3, 5, 2).standing(7, 2_000), Standing::Approved);
        // The council has shrunk below the threshold.
        assert_eq!(motion(&remark, 3, 1, 0).standing(2, 10), Standing::Rejected);
    }

    #[test]
    fn a_member_has_one_vote() {
        let motion = motion(&SUSPEND, 3, 1, 1);
        let vote = |number| motion.vote_of(&AccountId::new([number; 32]));
        assert_eq!((vote(0), vote(100), vote(50)), (Some(true), Some(false), None));
    }

    #[test]
    fn a_call_that_is_not_known_still_needs_its_votes() {
        assert_eq!((needed(&[99, 0, 1], 4), needed(&[99, 0, 1], 6)), (3, 4));
        assert_eq!((needed(&[16, 0, 99, 0], 4), needed(&[16, 0, 99, 0], 9)), (3, 6));
        assert_eq!((needed(&[], 5), needed(&[16], 5)), (3, 3));
        assert_eq!(Proposal::decode(&[99, 0, 1]), None);
    }

    #[test]
    fn no_other_bytes_are_taken_for_a_call() {
        let call = SUSPEND.encode();
        assert_eq!(call, [6, 1, 1, 0]);
        assert_eq!(Proposal::decode(&call), Some(SUSPEND));
        // More bytes, fewer bytes, or as root, as which it fails.
        for other in [&[6, 1, 1, 0, 0][..], &[6, 1, 1], &[16, 0, 6, 1, 1, 0], &[6], &[16, 0], &[]] {
            assert_eq!(Proposal::decode(other), None, "{other:?}");
        }
        // Without root, it fails.
        assert_eq!(Proposal::decode(&[25, 2, 1, 0]), None);
        let dismiss = Proposal::DismissCustodian { departed: HospitalId(1) };
        assert_eq!(Proposal::decode(&[16, 0, 25, 2, 1, 0]), Some(dismiss));
    }
}
