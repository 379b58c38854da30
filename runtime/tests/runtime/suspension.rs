//! A hospital that is suspended while a ballot is open.

use epione_primitives::{
    AnnouncementId, HospitalId, block::Stage, limits::BALLOT_BLOCKS, profile::Role,
    refusal::Refusal,
};
use epione_runtime::{Hospitals, LiteBlocks, Runtime, RuntimeOrigin, System, invariants};
use sp_runtime::transaction_validity::InvalidTransaction;

use crate::chain::{A, B, Chain, PATIENT, announcement, apply, approve, local, register, vote};

const FIRST: AnnouncementId = AnnouncementId(0);

/// Hospital A has announced a block. Then the council suspends this hospital.
fn suspended_in_mid_ballot(chain: &mut Chain, hospital: HospitalId) {
    let council = RuntimeOrigin::from(pallet_collective::RawOrigin::Members(3, 4));
    Hospitals::suspend(council, hospital).unwrap();
    chain.next_block();
    assert_eq!(invariants::check(), Ok(()));
}

fn announced() {
    register("Alice//agent", *PATIENT, Role::Patient);
    apply("Alice//agent", announcement(A, &[*PATIENT], 1)).unwrap().unwrap();
}

fn stage() -> Stage {
    LiteBlocks::announcement(FIRST).unwrap().0.stage
}

#[test]
fn the_vote_of_a_hospital_that_is_suspended_later_still_counts() {
    local(|chain| {
        announced();
        approve("Bob//agent", 0);
        suspended_in_mid_ballot(chain, B);
        approve("Charlie//agent", 0);
        assert_eq!(stage(), Stage::Committed { height: 1 });
        chain.next_block();
        assert_eq!(invariants::check(), Ok(()));
    });
}

#[test]
fn a_hospital_cannot_vote_after_its_suspension() {
    local(|chain| {
        announced();
        suspended_in_mid_ballot(chain, B);
        let refused = InvalidTransaction::Custom(Refusal::HospitalNotActive.code());
        assert_eq!(apply("Bob//agent", vote(FIRST)), Err(refused.into()));
        approve("Charlie//agent", 0);
        assert_eq!(stage(), Stage::Announced);
        approve("Dave//agent", 0);
        assert_eq!(stage(), Stage::Committed { height: 1 });
    });
}

#[test]
fn two_suspensions_in_mid_ballot_do_not_let_one_vote_decide() {
    local(|chain| {
        announced();
        suspended_in_mid_ballot(chain, B);
        suspended_in_mid_ballot(chain, HospitalId(2));
        approve("Dave//agent", 0);
        assert_eq!(stage(), Stage::Announced);
        chain.reach(System::block_number() + BALLOT_BLOCKS + 1);
        assert_eq!(stage(), Stage::Expired);
        assert_eq!(invariants::check(), Ok(()));
    });
}

#[test]
fn a_block_whose_announcer_is_suspended_in_mid_ballot_ends_once() {
    local(|chain| {
        announced();
        suspended_in_mid_ballot(chain, A);
        assert_eq!(stage(), Stage::Withdrawn);
        for agent in ["Bob//agent", "Charlie//agent", "Dave//agent"] {
            assert!(apply(agent, vote(FIRST)).unwrap().is_err(), "{agent} voted about nothing");
        }
        chain.reach(System::block_number() + BALLOT_BLOCKS + 1);
        assert_eq!(stage(), Stage::Withdrawn);
        assert_eq!(pallet_lite_blocks::Pending::<Runtime>::get(A), 0);
        assert_eq!(invariants::check(), Ok(()));
    });
}
