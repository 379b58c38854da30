use epione_primitives::HospitalId;
use frame_support::{assert_noop, assert_ok, traits::UnfilteredDispatchable};
use pallet_session::SessionInterface;

use crate::{Error, Event, Unready, mock::*};

fn signed_by_agent(number: u16) -> RuntimeOrigin {
    RuntimeOrigin::signed(entry(number).agent)
}

#[test]
fn founders_are_ready_and_an_admitted_hospital_is_not() {
    chain(2, || {
        assert_eq!(Hospitals::unready(), vec![]);
        assert_ok!(admission(2).dispatch_bypass_filter(council()));
        assert_eq!(Hospitals::unready(), vec![HospitalId(2)]);
        assert_eq!(council_members().len(), 3, "it has its seat in the council");
    });
}

#[test]
fn an_admitted_hospital_does_not_validate_before_its_agent_is_ready() {
    chain(2, || {
        assert_ok!(admission(2).dispatch_bypass_filter(council()));
        assert_ok!(<Session as SessionInterface>::set_keys(&entry(2).governance, keys(2)));
        for _ in 0..3 {
            next_session();
        }
        assert_eq!(validators(), vec![0, 1]);

        assert_ok!(Hospitals::ready(signed_by_agent(2)));
        System::assert_last_event(Event::Ready { hospital: HospitalId(2) }.into());
        next_session();
        assert_eq!(validators(), vec![0, 1]);
        next_session();
        assert_eq!(validators(), vec![0, 1, 2]);
    });
}

#[test]
fn a_hospital_that_is_reinstated_from_suspension_is_unready() {
    chain(3, || {
        assert_ok!(Hospitals::suspend(council(), HospitalId(1)));
        assert_ok!(Hospitals::reinstate(council(), HospitalId(1)));
        assert_eq!(Hospitals::unready(), vec![HospitalId(1)]);
        next_session();
        next_session();
        assert_eq!(validators(), vec![0, 2]);
    });
}

#[test]
fn an_unready_hospital_that_is_suspended_or_removed_is_unready_no_longer() {
    chain(2, || {
        for number in [2, 3] {
            assert_ok!(admission(number).dispatch_bypass_filter(council()));
        }
        assert_ok!(Hospitals::suspend(council(), HospitalId(2)));
        assert_ok!(Hospitals::remove(council(), HospitalId(3)));
        assert!(Unready::<Test>::get().is_empty());
    });
}

#[test]
fn only_the_agent_of_an_active_hospital_is_ready() {
    chain(3, || {
        assert_ok!(Hospitals::suspend(council(), HospitalId(1)));
        for account in [governance(0), stranger(0), agent(1)] {
            assert_noop!(Hospitals::ready(RuntimeOrigin::signed(account)), Error::<Test>::NotAgent);
        }
    });
}

#[test]
fn a_ready_hospital_is_not_ready_again() {
    chain(2, || {
        assert_noop!(Hospitals::ready(signed_by_agent(0)), Error::<Test>::NotUnready);
    });
}

#[test]
fn an_unready_hospital_does_not_count_as_another_validator() {
    chain(2, || {
        assert_ok!(Hospitals::suspend(council(), HospitalId(0)));
        assert_ok!(Hospitals::reinstate(council(), HospitalId(0)));
        let last = HospitalId(1);
        assert_noop!(Hospitals::suspend(council(), last), Error::<Test>::LastActive);
        assert_noop!(Hospitals::remove(council(), last), Error::<Test>::LastActive);
        assert_noop!(
            Hospitals::leave(RuntimeOrigin::signed(governance(1))),
            Error::<Test>::LastActive
        );
    });
}
