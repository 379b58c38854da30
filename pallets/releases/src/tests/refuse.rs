use epione_primitives::{
    RecordPointer, UserId,
    access::Purpose,
    limits::{DAY_MILLIS, MAX_REFUSALS_PER_DAY},
    release::{RefusedAccess, Request, Right, SectionSet},
};
use frame_support::{assert_noop, assert_ok, dispatch::DispatchResult};
use sp_runtime::DispatchError::BadOrigin;

use crate::{Error, Event, mock::*};

/// Refuses [`NURSE`] as often as the daily limit allows.
fn exhaust() {
    for _ in 0..MAX_REFUSALS_PER_DAY {
        assert_ok!(refuse(HOME, NURSE, PATIENT));
    }
    assert_noop!(refuse(HOME, NURSE, PATIENT), Error::<Test>::TooManyRefusals);
}

/// A request to [`HOME`] for [`PATIENT`]'s record.
fn asked(requester: UserId, purpose: Purpose, is_emergency: bool) -> Request {
    let emergency = is_emergency.then_some(REASON);
    Request { purpose, emergency, ..request(HOME, requester, PATIENT) }
}

fn refuse_asked(request: Request) -> DispatchResult {
    let signature = signed(&request);
    refuse_request(agent(HOME), request, signature)
}

#[test]
fn a_refusal_is_stored_with_the_request_that_was_refused() {
    run(|| {
        System::set_block_number(5);
        assert_ok!(refuse(HOME, NURSE, OTHER_PATIENT));
        let treatment = asked(NURSE, Purpose::Treatment, false);
        assert_ok!(refuse_asked(treatment.clone()));
        pass(3_000);
        let glass = asked(NURSE, Purpose::Emergency, true);
        assert_ok!(refuse_asked(glass.clone()));

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
            request: treatment.hash(),
            block: 5,
            at: START,
        };
        let second = RefusedAccess {
            purpose: Purpose::Emergency,
            emergency: true,
            request: glass.hash(),
            at: START + 3_000,
            ..first.clone()
        };
        assert_eq!(Releases::refusals(PATIENT, None, 9), vec![(1, second), (0, first)]);
    });
}

#[test]
fn a_refusal_needs_only_one_denied_right() {
    run(|| {
        let refuse = |emergency: bool| {
            let purpose = if emergency { Purpose::Emergency } else { Purpose::Treatment };
            refuse_asked(asked(DOCTOR, purpose, emergency))
        };
        assert_noop!(refuse(false), Error::<Test>::NotRefused);
        assert_noop!(refuse(true), Error::<Test>::NotRefused);

        // A private section and a shared one are requested. In an emergency, both are private.
        share(FIRST, SectionSet(0b01));
        let shared = |right: Right| Right { class: READ_SHARED.class, ..right };
        for right in [READ_TEXT, READ_SHARED, READ_MEDIA, shared(READ_MEDIA)] {
            Denied::set(vec![right]);
            assert_ok!(refuse(false));
            assert_noop!(refuse(true), Error::<Test>::NotRefused);
        }
        Denied::set(vec![BREAK_GLASS]);
        assert_ok!(refuse(true));
        assert_noop!(refuse(false), Error::<Test>::NotRefused);
        Denied::set(vec![shared(BREAK_GLASS)]);
        assert_noop!(refuse(true), Error::<Test>::NotRefused);
    });
}

#[test]
fn a_hospital_cannot_refuse_what_the_policies_allow() {
    run(|| {
        let refuse = || refuse_asked(asked(DOCTOR, Purpose::Treatment, false));
        Denied::set(vec![READ_SHARED, MEDIA_SHARED]);
        assert_noop!(refuse(), Error::<Test>::NotRefused);
        Denied::set(vec![READ_TEXT, READ_MEDIA]);
        share(FIRST, SectionSet(0b11));
        assert_noop!(refuse(), Error::<Test>::NotRefused);
        share(FIRST, SectionSet(0b01));
        assert_ok!(refuse());
        // Whoever requests all sections may ask for private ones.
        share(FIRST, SectionSet(0b11));
        let mut all = asked(DOCTOR, Purpose::Treatment, false);
        all.records[0].sections = SectionSet::ALL;
        assert_ok!(refuse_asked(all));
    });
}

#[test]
fn puppets_cannot_fill_the_refusals_of_a_patient_who_was_never_at_the_hospital() {
    run(|| {
        let refuse = |pointer| {
            let mut request = request(AWAY, NURSE, OTHER_PATIENT);
            request.records[0].pointer = pointer;
            let signature = signed(&request);
            refuse_request(agent(AWAY), request, signature)
        };
        let unknown = RecordPointer { height: 9, index: 0 };
        assert_noop!(refuse(unknown), Error::<Test>::UnknownRecord);
        assert_noop!(refuse(ELSEWHERE), Error::<Test>::RecordOfAnotherPatient);
        assert_noop!(refuse(OTHERS), Error::<Test>::RecordOfAnotherHospital);
        assert_eq!(Releases::refusals(OTHER_PATIENT, None, 9), vec![]);
        assert_eq!(Releases::tally(AWAY, NURSE).refusals, 0);
    });
}

#[test]
fn one_record_of_another_patient_among_the_requested_ones_is_enough_against_a_refusal() {
    run(|| {
        let mut mixed = asked(NURSE, Purpose::Treatment, false);
        mixed.records.try_push(part(OTHERS)).unwrap();
        assert_noop!(refuse_asked(mixed), Error::<Test>::RecordOfAnotherPatient);
    });
}

#[test]
fn a_refusal_depends_on_the_purpose() {
    run(|| {
        let refuse = |purpose| refuse_asked(asked(DOCTOR, purpose, false));
        assert_noop!(refuse(Purpose::Treatment), Error::<Test>::NotRefused);
        assert_ok!(refuse(Purpose::Research));
    });
}

#[test]
fn a_request_that_no_requester_can_make_is_not_refused() {
    run(|| {
        let changed = |change: fn(&mut Request)| {
            let mut request = request(HOME, NURSE, PATIENT);
            change(&mut request);
            refuse_asked(request)
        };
        assert_noop!(changed(|request| request.records.clear()), Error::<Test>::NoRecords);
        let twice = changed(|request| request.records.try_push(part(FIRST)).unwrap());
        assert_eq!(twice, Err(Error::<Test>::RecordsOutOfOrder.into()));
        let empty = changed(|request| request.records[0].sections = SectionSet::default());
        assert_eq!(empty, Err(Error::<Test>::NoSections.into()));
        let treatment = changed(|request| request.emergency = Some(REASON));
        assert_eq!(treatment, Err(Error::<Test>::PurposeNotEmergency.into()));
        assert_eq!(Releases::refusals(PATIENT, None, 9), vec![]);
    });
}

#[test]
fn only_the_agent_of_an_active_hospital_refuses() {
    run(|| {
        let asked = request(HOME, NURSE, PATIENT);
        let refuse = |origin| refuse_request(origin, asked.clone(), signed(&asked));
        for origin in unsigned() {
            assert_noop!(refuse(origin), BadOrigin);
        }
        for origin in [user(NURSE), user(PATIENT), governance(HOME), agent(SUSPENDED)] {
            assert_noop!(refuse(origin), Error::<Test>::NotAgent);
        }
        assert_ok!(refuse(agent(HOME)));
    });
}

#[test]
fn a_refusal_follows_the_signers_hospitals_policies() {
    run(|| {
        assert_ok!(refuse(AWAY, DOCTOR, PATIENT));
        assert_noop!(refuse(HOME, DOCTOR, PATIENT), Error::<Test>::NotRefused);
        assert_eq!(Releases::refusals(PATIENT, None, 1)[0].1.hospital, AWAY);
    });
}

#[test]
fn requester_and_patient_must_exist() {
    run(|| {
        assert_noop!(refuse(HOME, STRANGER, PATIENT), Error::<Test>::UnknownRequester);
        for patient in [STRANGER, DOCTOR] {
            assert_noop!(refuse(HOME, NURSE, patient), Error::<Test>::UnknownPatient);
        }
    });
}

#[test]
fn the_refusals_of_a_requester_at_a_hospital_in_a_day_are_bounded() {
    run(|| {
        exhaust();
        assert_noop!(refuse(HOME, NURSE, OTHER_PATIENT), Error::<Test>::TooManyRefusals);
        assert_ok!(refuse(AWAY, NURSE, PATIENT));
        assert_ok!(refuse(HOME, DOCTOR, OTHER_PATIENT));
        assert_eq!(Releases::tally(HOME, NURSE).refusals, MAX_REFUSALS_PER_DAY);
        assert_eq!(Releases::tally(HOME, DOCTOR).refusals, 1);
    });
}

#[test]
fn the_limit_of_refusals_is_reset_at_midnight() {
    run(|| {
        exhaust();
        pass(DAY_MILLIS / 2 - 1);
        assert_noop!(refuse(HOME, NURSE, PATIENT), Error::<Test>::TooManyRefusals);
        pass(1);
        assert_eq!(Releases::tally(HOME, NURSE).refusals, 0);
        exhaust();
    });
}

#[test]
fn refusals_and_emergencies_are_counted_separately() {
    run(|| {
        assert_ok!(record(agent(HOME), emergency(1)));
        assert_ok!(refuse(HOME, DOCTOR, OTHER_PATIENT));
        let tally = Releases::tally(HOME, DOCTOR);
        assert_eq!((tally.day, tally.refusals, tally.emergencies), (1, 1, 1));
    });
}
