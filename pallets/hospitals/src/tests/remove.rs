use epione_primitives::{
    HospitalId,
    hospital::{Duty, HospitalStatus},
    ports::Hospitals as _,
};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchError::BadOrigin;

use crate::{Benched, Error, Event, HospitalSet, mock::*};

#[test]
fn the_council_removes_a_hospital_whose_entry_stays() {
    chain(3, || {
        assert_ok!(Hospitals::remove(council(), HospitalId(1)));

        System::assert_last_event(Event::Removed { hospital: HospitalId(1) }.into());
        assert_eq!(entry(1).status, HospitalStatus::Removed);
        assert!(Hospitals::exists(HospitalId(1)));
        assert_eq!(Hospitals::hospital_of(agent(1)), Some((HospitalId(1), Duty::Agent)));
        assert_eq!(Hospitals::active(), vec![HospitalId(0), HospitalId(2)]);
        assert_eq!(council_members(), vec![governance(0), governance(2)]);
        assert_eq!(System::providers(&agent(1)), 1);
    });
}

#[test]
fn a_suspended_hospital_can_be_removed() {
    chain(2, || {
        assert_ok!(Hospitals::suspend(council(), HospitalId(1)));
        assert_ok!(Hospitals::remove(council(), HospitalId(1)));

        System::assert_last_event(Event::Removed { hospital: HospitalId(1) }.into());
        assert_eq!(council_members(), vec![governance(0)]);
    });
}

#[test]
fn a_removed_hospital_keeps_no_session_keys() {
    chain(3, || {
        assert_ok!(Hospitals::suspend(council(), HospitalId(2)));
        for number in [1, 2] {
            assert_ok!(Hospitals::remove(council(), HospitalId(number)));
            assert!(!pallet_session::NextKeys::<Test>::contains_key(HospitalId(number)));
        }
        assert_eq!(disabled(), vec![1, 2]);
        assert_eq!(Inactive::get(), vec![HospitalId(2), HospitalId(1)]);
    });
}

#[test]
fn the_keys_of_the_last_validator_stay_if_only_benched_hospitals_are_active() {
    chain(2, || {
        assert_ok!(Hospitals::suspend(council(), HospitalId(1)));
        Benched::<Test>::put(HospitalSet::truncate_from(vec![HospitalId(0)]));
        assert_ok!(Hospitals::remove(council(), HospitalId(1)));
        assert!(pallet_session::NextKeys::<Test>::contains_key(HospitalId(1)));
    });
}

#[test]
fn only_the_council_removes() {
    chain(3, || {
        for origin in
            [RuntimeOrigin::root(), RuntimeOrigin::none(), RuntimeOrigin::signed(governance(1))]
        {
            assert_noop!(Hospitals::remove(origin, HospitalId(1)), BadOrigin);
        }
    });
}

#[test]
fn an_unknown_hospital_is_not_removed() {
    chain(3, || {
        assert_noop!(Hospitals::remove(council(), HospitalId(3)), Error::<Test>::UnknownHospital);
    });
}

#[test]
fn a_hospital_is_removed_once() {
    chain(3, || {
        assert_ok!(Hospitals::remove(council(), HospitalId(1)));
        assert_noop!(Hospitals::remove(council(), HospitalId(1)), Error::<Test>::AlreadyRemoved);
    });
}

#[test]
fn the_last_active_hospital_is_not_removed() {
    chain(1, || {
        assert_noop!(Hospitals::remove(council(), HospitalId(0)), Error::<Test>::LastActive);
    });
}
