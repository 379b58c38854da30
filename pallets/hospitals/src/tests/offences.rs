use epione_primitives::{HospitalId, hospital::HospitalStatus};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::Perbill;
use sp_staking::{
    SessionIndex,
    offence::{Kind, Offence, OffenceError, ReportOffence},
};

use crate::{Benched, Error, Event, mock::*};

struct Equivocation {
    session: SessionIndex,
    round: u64,
    offenders: Vec<HospitalId>,
}

impl Offence<(HospitalId, ())> for Equivocation {
    const ID: Kind = *b"test:equivocatio";
    type Slot = u64;

    fn offenders(&self) -> Vec<(HospitalId, ())> {
        self.offenders.iter().map(|hospital| (*hospital, ())).collect()
    }

    fn session_index(&self) -> SessionIndex {
        self.session
    }

    fn validator_set_count(&self) -> u32 {
        3
    }

    fn slot(&self) -> u64 {
        self.round
    }

    fn slash_fraction(&self, _: u32) -> Perbill {
        Perbill::one()
    }
}

fn report(round: u64, offenders: &[u16]) -> Result<(), OffenceError> {
    report_of(0, round, offenders)
}

/// Reports an equivocation of this session.
fn report_of(session: SessionIndex, round: u64, offenders: &[u16]) -> Result<(), OffenceError> {
    let offenders = offenders.iter().copied().map(HospitalId).collect();
    Offences::report_offence(vec![], Equivocation { session, round, offenders })
}

fn own_events() -> Vec<Event<Test>> {
    System::read_events_for_pallet::<Event<Test>>()
}

#[test]
fn an_equivocating_hospital_is_benched_and_keeps_its_seat() {
    chain(4, || {
        assert_ok!(report(1, &[2]));

        assert_eq!(own_events(), vec![Event::Benched { hospital: HospitalId(2) }]);
        assert_eq!(entry(2).status, HospitalStatus::Active);
        assert_eq!(Hospitals::benched(), vec![HospitalId(2)]);
        assert!(council_members().contains(&governance(2)));
        assert_eq!(Inactive::get(), vec![]);
        assert_eq!(disabled(), vec![2]);
        next_session();
        next_session();
        assert_eq!(validators(), vec![0, 1, 3]);
    });
}

#[test]
fn forged_equivocations_one_after_another_leave_two_thirds_of_the_validators_and_all_seats() {
    for (hospitals, benched) in [(1, 0), (3, 0), (4, 1), (6, 1), (7, 2), (10, 3)] {
        chain(hospitals, || {
            for number in 0..hospitals {
                assert_ok!(report(number.into(), &[number]));
            }
            let seats: Vec<_> = (0..hospitals).map(governance).collect();
            assert_eq!(council_members(), seats);
            assert_eq!(Benched::<Test>::get().len(), benched);
            let kept = own_events()
                .into_iter()
                .filter(|event| matches!(event, Event::OffenderKept { .. }))
                .count();
            assert_eq!(kept, usize::from(hospitals) - benched);
            next_session();
            next_session();
            assert_eq!(validators().len(), usize::from(hospitals) - benched);
        });
    }
}

#[test]
fn a_forged_equivocation_does_not_bench_the_only_hospital_with_session_keys() {
    chain(4, || {
        for number in [0, 1, 3] {
            pallet_session::NextKeys::<Test>::remove(HospitalId(number));
        }
        assert_ok!(report(1, &[2]));
        assert_eq!(own_events(), vec![Event::OffenderKept { hospital: HospitalId(2) }]);
        assert!(Hospitals::may_validate(HospitalId(2)));
    });
}

#[test]
fn the_council_lifts_a_bench_within_the_session() {
    chain(4, || {
        assert_ok!(report(1, &[2]));
        assert_ok!(Hospitals::reinstate(council(), HospitalId(2)));

        System::assert_last_event(Event::Reinstated { hospital: HospitalId(2) }.into());
        assert_eq!(disabled(), Vec::<u32>::new());
        next_session();
        next_session();
        assert_eq!(validators(), vec![0, 1, 2, 3]);
        assert_noop!(Hospitals::reinstate(council(), HospitalId(2)), Error::<Test>::NotSuspended);
    });
}

#[test]
fn the_council_suspends_or_removes_a_benched_hospital() {
    chain(7, || {
        assert_ok!(report(1, &[2]));
        assert_ok!(report(2, &[3]));
        assert_ok!(Hospitals::suspend(council(), HospitalId(2)));
        assert_ok!(Hospitals::remove(council(), HospitalId(3)));

        assert!(Benched::<Test>::get().is_empty());
        assert_eq!(entry(2).status, HospitalStatus::Suspended);
        assert_eq!(entry(3).status, HospitalStatus::Removed);
    });
}

#[test]
fn further_offences_of_a_benched_hospital_change_nothing() {
    chain(7, || {
        assert_ok!(report(1, &[2]));
        System::reset_events();
        assert_ok!(report(2, &[2]));
        assert_eq!(own_events(), vec![]);
    });
}

#[test]
fn a_suspended_or_unknown_offender_changes_nothing() {
    chain(4, || {
        assert_ok!(Hospitals::suspend(council(), HospitalId(2)));
        System::reset_events();
        assert_ok!(report(1, &[2, 9]));
        assert_eq!(own_events(), vec![]);
    });
}

/// Equivocations stay provable for a week, also with a key that the hospital does not use any more.
#[test]
fn a_key_that_was_rotated_out_does_not_bench_its_hospital_again() {
    chain(4, || {
        next_session();
        assert_ok!(report_of(0, 1, &[2]));
        assert_ok!(Hospitals::reinstate(council(), HospitalId(2)));
        for (round, session) in [(2, 0), (3, 1)] {
            assert_ok!(report_of(session, round, &[2]));
            assert!(Benched::<Test>::get().is_empty(), "session {session}");
        }
        next_session();
        assert_ok!(report_of(2, 4, &[2]));
        assert_eq!(Hospitals::benched(), vec![HospitalId(2)]);
    });
}

#[test]
fn offences_from_before_a_suspension_do_not_bench_the_reinstated_hospital() {
    chain(4, || {
        assert_ok!(Hospitals::suspend(council(), HospitalId(2)));
        next_session();
        assert_ok!(Hospitals::reinstate(council(), HospitalId(2)));
        assert_ok!(report_of(0, 1, &[2]));
        assert!(Benched::<Test>::get().is_empty());
    });
}

#[test]
fn an_offence_benches_once() {
    chain(4, || {
        assert_ok!(report(1, &[2]));
        assert_ok!(Hospitals::reinstate(council(), HospitalId(2)));
        assert_eq!(report(1, &[2]), Err(OffenceError::DuplicateReport));
        assert!(Benched::<Test>::get().is_empty());
    });
}
