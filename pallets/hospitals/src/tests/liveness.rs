//! Validators that make no blocks.

use epione_primitives::{HospitalId, hospital::HospitalStatus};
use frame_support::assert_ok;

use crate::{Authored, Event, mock::*};

fn unready() -> Vec<u16> {
    Hospitals::unready().into_iter().map(|HospitalId(number)| number).collect()
}

#[test]
fn a_validator_that_makes_no_block_in_a_session_is_unseated_and_keeps_its_seat_in_the_council() {
    chain(4, || {
        Silent::set(vec![2]);
        next_session();

        let unseated = Event::<Test>::Unseated { hospital: HospitalId(2) };
        assert!(System::read_events_for_pallet::<Event<Test>>().contains(&unseated));
        assert_eq!(unready(), vec![2]);
        assert_eq!(entry(2).status, HospitalStatus::Active);
        assert_eq!(council_members().len(), 4);
        assert_eq!(Inactive::get(), vec![]);
        next_session();
        assert_eq!(validators(), vec![0, 1, 3]);
    });
}

#[test]
fn an_unseated_hospital_validates_again_after_its_agent_is_ready() {
    chain(4, || {
        Silent::set(vec![2]);
        next_session();
        next_session();
        Silent::set(vec![]);
        assert_ok!(Hospitals::ready(RuntimeOrigin::signed(agent(2))));
        next_session();
        next_session();
        assert_eq!(validators(), vec![0, 1, 2, 3]);
        assert_eq!(unready(), Vec::<u16>::new());
    });
}

#[test]
fn one_block_in_a_session_is_enough() {
    chain(4, || {
        Silent::set(vec![2]);
        Hospitals::note_author(&governance(2));
        next_session();
        assert_eq!(unready(), Vec::<u16>::new());
        assert_eq!(Authored::<Test>::iter().count(), 0, "the next session counts from zero");
        next_session();
        assert_eq!(unready(), vec![2]);
    });
}

#[test]
fn blocks_count_for_the_hospital_also_after_it_rotated_its_account() {
    chain(4, || {
        Silent::set(vec![2]);
        Hospitals::note_author(&governance(2));
        let next = named(9, 2, epione_primitives::hospital::Duty::Governance);
        let signer = RuntimeOrigin::signed(governance(2));
        assert_ok!(Hospitals::rotate_accounts(signer, Some(next), None));
        next_session();
        assert_eq!(unready(), Vec::<u16>::new());
    });
}

/// How many of so many hospitals lose their places as validators if so many of them make no blocks for long.
fn unseated_of(hospitals: u16, silent: u16) -> usize {
    let mut unseated = 0;
    chain(hospitals, || {
        Silent::set((0..silent).collect());
        for _ in 0..4 {
            next_session();
        }
        unseated = unready().len();
        assert_eq!(unready(), (0..hospitals).take(unseated).collect::<Vec<_>>());
        assert_eq!(validators().len(), usize::from(hospitals) - unseated);
    });
    unseated
}

#[test]
fn two_thirds_of_the_hospitals_stay_validators_however_many_are_silent() {
    for (hospitals, silent, unseated) in [
        (1, 1, 0),
        (2, 1, 0),
        (3, 1, 1),
        (4, 1, 1),
        (6, 2, 2),
        (6, 3, 2),
        (7, 2, 2),
        (7, 3, 2),
        (10, 3, 2),
        (10, 5, 0),
        (13, 4, 4),
        (13, 3, 2),
    ] {
        assert_eq!(unseated_of(hospitals, silent), unseated, "{silent} of {hospitals}");
    }
}

/// Two of four hospitals are away, so nothing becomes final. If one of them lost its place, the next set would need the
/// other one, and the return of the first would help nothing: its worker is ready only when blocks become final.
#[test]
fn no_hospital_is_unseated_if_finality_then_waits_for_one_that_stays_silent() {
    assert_eq!(unseated_of(4, 2), 0);
    for hospitals in 1..=16_u16 {
        for silent in 0..=hospitals {
            let unseated = unseated_of(hospitals, silent);
            let left = usize::from(hospitals) - unseated;
            let present = usize::from(hospitals - silent);
            let quorum = left - (left - 1) / 3;
            assert!(unseated == 0 || present >= quorum, "{silent} of {hospitals}: {unseated}");
            assert!(3 * left >= 2 * usize::from(hospitals), "{silent} of {hospitals}: {unseated}");
        }
    }
}

/// Three of ten hospitals may be malicious. They cut off three honest ones. In a set of seven, five finalize: the three
/// malicious ones with two of the honest ones, and with the other two something else.
#[test]
fn malicious_hospitals_cannot_finalize_two_histories_after_they_cut_honest_ones_off() {
    assert_eq!(unseated_of(10, 3), 2);
    for hospitals in 4..=31_u16 {
        let malicious = usize::from(hospitals - 1) / 3;
        for silent in 1..=hospitals / 3 {
            let left = usize::from(hospitals) - unseated_of(hospitals, silent);
            let quorum = left - (left - 1) / 3;
            assert!(2 * quorum - left > malicious, "{silent} of {hospitals}: {left} stay");
        }
    }
}

#[test]
fn hospitals_that_are_benched_or_not_ready_yet_count_as_lost() {
    chain(7, || {
        crate::Benched::<Test>::put(crate::HospitalSet::truncate_from(vec![
            HospitalId(0),
            HospitalId(1),
        ]));
        Silent::set(vec![2, 3]);
        next_session();
        assert_eq!(unready(), Vec::<u16>::new(), "five of seven validate, and four are too few");
    });
}

#[test]
fn a_hospital_that_was_hindered_in_the_session_is_not_unseated() {
    chain(4, || {
        Silent::set(vec![1]);
        assert_ok!(Hospitals::suspend(council(), HospitalId(1)));
        assert_ok!(Hospitals::reinstate(council(), HospitalId(1)));
        assert_ok!(Hospitals::ready(RuntimeOrigin::signed(agent(1))));
        next_session();
        assert_eq!(unready(), Vec::<u16>::new());
        next_session();
        assert_eq!(unready(), vec![1], "but after a whole session it is");
    });
}

#[test]
fn a_hospital_that_becomes_ready_late_in_a_session_gets_the_next_one() {
    chain(4, || {
        Silent::set(vec![1]);
        next_session();
        assert_eq!(unready(), vec![1]);
        // It is still a validator in this session, and has made no block in it.
        assert_ok!(Hospitals::ready(RuntimeOrigin::signed(agent(1))));
        next_session();
        assert_eq!(unready(), Vec::<u16>::new());
    });
}

#[test]
fn an_account_that_is_no_governance_account_makes_no_blocks() {
    chain(2, || {
        for account in [agent(0), stranger(0)] {
            Hospitals::note_author(&account);
        }
        assert_eq!(Authored::<Test>::iter().count(), 0);
    });
}
