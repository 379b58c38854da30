//! The council appoints and dismisses custodians.

use epione_mocks::{remove_hospital, set_active};
use epione_primitives::custody::Appointment;
use frame_support::{assert_noop, assert_ok};

use crate::{Appointments, Error, Event, mock::*};

#[test]
fn a_custodian_is_appointed_for_a_removed_hospital_only() {
    run(|| {
        assert_noop!(appoint(HEIR), Error::<Test>::NotRemoved);
        set_active(DEPARTED, false);
        assert_noop!(appoint(HEIR), Error::<Test>::NotRemoved);
        remove_hospital(DEPARTED);
        for custodian in [NOWHERE, DEPARTED] {
            assert_noop!(appoint(custodian), Error::<Test>::UnknownCustodian);
        }
        set_active(HEIR, false);
        assert_noop!(appoint(HEIR), Error::<Test>::UnknownCustodian);
        set_active(HEIR, true);
        assert_ok!(appoint(HEIR));
        let expected = Appointment { custodian: HEIR, since: 1 };
        assert_eq!(Appointments::<Test>::get(DEPARTED), Some(expected));
        let event = Event::<Test>::CustodianAppointed { departed: DEPARTED, custodian: HEIR };
        System::assert_last_event(event.into());
    });
}

#[test]
fn another_custodian_replaces_the_first() {
    run(|| {
        remove_hospital(DEPARTED);
        assert_ok!(appoint(HEIR));
        pass_blocks(4);
        assert_ok!(appoint(THIRD));
        let expected = Appointment { custodian: THIRD, since: 5 };
        assert_eq!(Appointments::<Test>::get(DEPARTED), Some(expected));
    });
}

#[test]
fn a_custodian_is_dismissed_once() {
    run(|| {
        remove_hospital(DEPARTED);
        assert_noop!(dismiss(), Error::<Test>::NoCustodian);
        assert_ok!(appoint(HEIR));
        assert_ok!(dismiss());
        let event = Event::<Test>::CustodianDismissed { departed: DEPARTED };
        System::assert_last_event(event.into());
        assert_noop!(dismiss(), Error::<Test>::NoCustodian);
    });
}
