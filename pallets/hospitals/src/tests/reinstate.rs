use epione_mocks::Now;
use epione_primitives::{
    HospitalId, hospital::HospitalStatus, limits::MAX_ACTIVE_PERIODS, ports::Hospitals as _,
};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchError::BadOrigin;

use crate::{ActivePeriods, Error, Event, mock::*};

#[test]
fn the_council_reinstates_a_suspended_hospital() {
    chain(3, || {
        assert_ok!(Hospitals::suspend(council(), HospitalId(1)));
        assert_ok!(Hospitals::reinstate(council(), HospitalId(1)));

        System::assert_last_event(Event::Reinstated { hospital: HospitalId(1) }.into());
        assert_eq!(entry(1).status, HospitalStatus::Active);
        assert_eq!(Hospitals::active(), vec![HospitalId(0), HospitalId(1), HospitalId(2)]);
        assert_eq!(Hospitals::active_by_agent(&agent(1)), Some(HospitalId(1)));
        assert_eq!(council_members(), vec![governance(0), governance(1), governance(2)]);
    });
}

#[test]
fn a_hospital_that_is_reinstated_within_the_session_makes_blocks_again() {
    chain(3, || {
        assert_ok!(Hospitals::suspend(council(), HospitalId(1)));
        assert_ok!(Hospitals::reinstate(council(), HospitalId(1)));
        assert_eq!(disabled(), Vec::<u32>::new());
    });
}

#[test]
fn the_chain_remembers_when_a_hospital_served() {
    chain(3, || {
        Now::set(10);
        assert_ok!(Hospitals::suspend(council(), HospitalId(1)));
        Now::set(20);
        assert_ok!(Hospitals::reinstate(council(), HospitalId(1)));
        let served = |at| Hospitals::served_at(HospitalId(1), at);
        assert_eq!([0, 9, 10, 19, 20, 99].map(served), [true, true, false, false, true, true]);
    });
}

#[test]
fn the_number_of_remembered_periods_is_bounded() {
    chain(3, || {
        for _ in 0..MAX_ACTIVE_PERIODS {
            assert_ok!(Hospitals::suspend(council(), HospitalId(1)));
            assert_ok!(Hospitals::reinstate(council(), HospitalId(1)));
        }
        let periods = ActivePeriods::<Test>::get(HospitalId(1));
        assert_eq!(periods.len(), MAX_ACTIVE_PERIODS as usize);
    });
}

#[test]
fn only_the_council_reinstates() {
    chain(3, || {
        assert_ok!(Hospitals::suspend(council(), HospitalId(1)));
        for origin in
            [RuntimeOrigin::root(), RuntimeOrigin::none(), RuntimeOrigin::signed(governance(1))]
        {
            assert_noop!(Hospitals::reinstate(origin, HospitalId(1)), BadOrigin);
        }
    });
}

#[test]
fn an_unknown_hospital_is_not_reinstated() {
    chain(3, || {
        assert_noop!(
            Hospitals::reinstate(council(), HospitalId(3)),
            Error::<Test>::UnknownHospital
        );
    });
}

#[test]
fn only_a_suspended_hospital_is_reinstated() {
    chain(3, || {
        assert_noop!(Hospitals::reinstate(council(), HospitalId(1)), Error::<Test>::NotSuspended);
        assert_ok!(Hospitals::remove(council(), HospitalId(1)));
        assert_noop!(Hospitals::reinstate(council(), HospitalId(1)), Error::<Test>::NotSuspended);
    });
}
