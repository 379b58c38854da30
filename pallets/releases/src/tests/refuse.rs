use epione_primitives::{
    access::Purpose,
    limits::{DAY_MILLIS, MAX_REFUSALS_PER_DAY},
    release::{RefusedAccess, Right},
};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchError::BadOrigin;

use crate::{Error, Event, mock::*};

/// Refuses [`NURSE`] as often as the daily limit allows.
fn exhaust() {
    for _ in 0..MAX_REFUSALS_PER_DAY {
        assert_ok!(refuse(agent(HOME), NURSE, PATIENT));
    }
    assert_noop!(refuse(agent(HOME), NURSE, PATIENT), Error::<Test>::TooManyRefusals);
}

#[test]
fn a_refusal_is_stored() {
    run(|| {
        System::set_block_number(5);
        assert_ok!(refuse(agent(HOME), NURSE, OTHER_PATIENT));
        assert_ok!(refuse(agent(HOME), NURSE, PATIENT));
        pass(3_000);
        assert_ok!(Releases::refuse(agent(HOME), NURSE, PATIENT, Purpose::Emergency, true));

        let event = |patient, refusal| Event::Refused {
            hospital: HOME,
            requester: NURSE,
            patient,
            refusal,
        };
        assert_eq!(events(), vec![event(OTHER_PATIENT, 0), event(PATIENT, 0), event(PATIENT, 1)]);
        let first = RefusedAccess {
            requester: NURSE,
            patient: PATIENT,
            hospital: HOME,
            purpose: Purpose::Treatment,
            emergency: false,
            block: 5,
            at: START,
        };
        let second = RefusedAccess {
            purpose: Purpose::Emergency,
            emergency: true,
            at: START + 3_000,
            ..first.clone()
        };
        assert_eq!(Releases::refusals(PATIENT, None, 9), vec![(1, second), (0, first)]);
    });
}

#[test]
fn a_refusal_needs_only_one_denied_right() {
    run(|| {
        let refuse = |emergency| {
            Releases::refuse(agent(HOME), DOCTOR, PATIENT, Purpose::Emergency, emergency)
        };
        assert_noop!(refuse(false), Error::<Test>::NotRefused);
        assert_noop!(refuse(true), Error::<Test>::NotRefused);

        let shared = |right: Right| Right { class: READ_SHARED.class, ..right };
        for right in [READ_TEXT, READ_SHARED, READ_MEDIA, shared(READ_MEDIA)] {
            Denied::set(vec![right]);
            assert_ok!(refuse(false));
            assert_noop!(refuse(true), Error::<Test>::NotRefused);
        }
        for right in [BREAK_GLASS, shared(BREAK_GLASS)] {
            Denied::set(vec![right]);
            assert_ok!(refuse(true));
            assert_noop!(refuse(false), Error::<Test>::NotRefused);
        }
    });
}

#[test]
fn a_refusal_depends_on_the_purpose() {
    run(|| {
        let refuse = |purpose| Releases::refuse(agent(HOME), DOCTOR, PATIENT, purpose, false);
        assert_noop!(refuse(Purpose::Treatment), Error::<Test>::NotRefused);
        assert_ok!(refuse(Purpose::Research));
    });
}

#[test]
fn only_the_agent_of_an_active_hospital_refuses() {
    run(|| {
        for origin in unsigned() {
            assert_noop!(refuse(origin, NURSE, PATIENT), BadOrigin);
        }
        for origin in [user(NURSE), user(PATIENT), governance(HOME), agent(SUSPENDED)] {
            assert_noop!(refuse(origin, NURSE, PATIENT), Error::<Test>::NotAgent);
        }
    });
}

#[test]
fn a_refusal_follows_the_signers_hospitals_policies() {
    run(|| {
        assert_ok!(refuse(agent(AWAY), DOCTOR, PATIENT));
        assert_noop!(refuse(agent(HOME), DOCTOR, PATIENT), Error::<Test>::NotRefused);
        assert_eq!(Releases::refusals(PATIENT, None, 1)[0].1.hospital, AWAY);
    });
}

#[test]
fn requester_and_patient_must_exist() {
    run(|| {
        assert_noop!(refuse(agent(HOME), STRANGER, PATIENT), Error::<Test>::UnknownRequester);
        for patient in [STRANGER, DOCTOR] {
            assert_noop!(refuse(agent(HOME), NURSE, patient), Error::<Test>::UnknownPatient);
        }
    });
}

#[test]
fn the_refusals_of_a_requester_at_a_hospital_in_a_day_are_bounded() {
    run(|| {
        exhaust();
        assert_noop!(refuse(agent(HOME), NURSE, OTHER_PATIENT), Error::<Test>::TooManyRefusals);
        assert_ok!(refuse(agent(AWAY), NURSE, PATIENT));
        assert_ok!(refuse(agent(HOME), DOCTOR, OTHER_PATIENT));
        assert_eq!(Releases::tally(HOME, NURSE).refusals, MAX_REFUSALS_PER_DAY);
        assert_eq!(Releases::tally(HOME, DOCTOR).refusals, 1);
    });
}

#[test]
fn the_limit_of_refusals_is_reset_at_midnight() {
    run(|| {
        exhaust();
        pass(DAY_MILLIS / 2 - 1);
        assert_noop!(refuse(agent(HOME), NURSE, PATIENT), Error::<Test>::TooManyRefusals);
        pass(1);
        assert_eq!(Releases::tally(HOME, NURSE).refusals, 0);
        exhaust();
    });
}

#[test]
fn refusals_and_emergencies_are_counted_separately() {
    run(|| {
        assert_ok!(record(agent(HOME), emergency(1)));
        assert_ok!(refuse(agent(HOME), DOCTOR, OTHER_PATIENT));
        let tally = Releases::tally(HOME, DOCTOR);
        assert_eq!((tally.day, tally.refusals, tally.emergencies), (1, 1, 1));
    });
}
