use epione_primitives::{HospitalId, hospital::HospitalStatus, ports::Hospitals as _};
use frame_support::{assert_noop, assert_ok, traits::UnfilteredDispatchable};
use sp_runtime::DispatchError::BadOrigin;

use crate::{Benched, Error, Event, HospitalSet, mock::*};

#[test]
fn the_council_suspends_a_hospital() {
    chain(3, || {
        assert_ok!(Hospitals::suspend(council(), HospitalId(1)));

        System::assert_last_event(Event::Suspended { hospital: HospitalId(1) }.into());
        assert_eq!(entry(1).status, HospitalStatus::Suspended);
        assert_eq!(Hospitals::active(), vec![HospitalId(0), HospitalId(2)]);
        assert_eq!(Hospitals::active_by_agent(&agent(1)), None);
        assert_eq!(Hospitals::active_by_governance(&governance(1)), None);
        assert_eq!(council_members(), vec![governance(0), governance(2)]);
    });
}

#[test]
fn a_suspended_hospital_makes_no_more_blocks_and_has_nothing_open() {
    chain(3, || {
        assert_ok!(Hospitals::suspend(council(), HospitalId(1)));
        assert_eq!(disabled(), vec![1]);
        assert_eq!(Inactive::get(), vec![HospitalId(1)]);
    });
}

#[test]
fn only_the_council_suspends() {
    chain(3, || {
        for origin in
            [RuntimeOrigin::root(), RuntimeOrigin::none(), RuntimeOrigin::signed(governance(0))]
        {
            assert_noop!(Hospitals::suspend(origin, HospitalId(1)), BadOrigin);
        }
    });
}

#[test]
fn an_unknown_hospital_is_not_suspended() {
    chain(3, || {
        assert_noop!(Hospitals::suspend(council(), HospitalId(3)), Error::<Test>::UnknownHospital);
    });
}

#[test]
fn a_hospital_is_suspended_once() {
    chain(3, || {
        assert_ok!(Hospitals::suspend(council(), HospitalId(1)));
        assert_noop!(Hospitals::suspend(council(), HospitalId(1)), Error::<Test>::NotActive);
    });
}

#[test]
fn the_last_active_hospital_is_not_suspended() {
    chain(2, || {
        assert_ok!(Hospitals::suspend(council(), HospitalId(0)));
        assert_noop!(Hospitals::suspend(council(), HospitalId(1)), Error::<Test>::LastActive);
    });
}

#[test]
fn the_last_hospital_with_session_keys_is_not_suspended_or_removed() {
    chain(2, || {
        assert_ok!(admission(2).dispatch_bypass_filter(council()));
        assert_ok!(Hospitals::suspend(council(), HospitalId(0)));
        let last = HospitalId(1);
        assert_noop!(Hospitals::suspend(council(), last), Error::<Test>::LastActive);
        assert_noop!(Hospitals::remove(council(), last), Error::<Test>::LastActive);
    });
}

#[test]
fn the_last_hospital_that_is_not_benched_is_not_suspended_or_removed() {
    chain(2, || {
        Benched::<Test>::put(HospitalSet::truncate_from(vec![HospitalId(0)]));
        let last = HospitalId(1);
        assert_noop!(Hospitals::suspend(council(), last), Error::<Test>::LastActive);
        assert_noop!(Hospitals::remove(council(), last), Error::<Test>::LastActive);
        assert_ok!(Hospitals::suspend(council(), HospitalId(0)));
    });
}
