//! What a hospital cannot record: access that nobody asked for, or not just now, not of this hospital, or not for this.

use epione_primitives::{
    Hash, Signature,
    access::Purpose,
    limits::{MAX_CLOCK_LEAD_MILLIS, MAX_REQUEST_AGE_MILLIS},
    release::{EmergencyReason, Release, Request, SectionSet},
};
use frame_support::{assert_noop, assert_ok};
use sp_core::{Pair, ed25519};

use crate::{ByRequest, Error, mock::*};

/// The chain records neither an answer nor a count.
#[track_caller]
fn refused(release: Release, error: Error<Test>) {
    assert_noop!(record(agent(HOME), release), error);
}

/// The requester's request and signature, of which the hospital changes the request.
fn forged(change: impl FnOnce(&mut Request)) -> (Request, Signature) {
    let mut request = request(HOME, NURSE, PATIENT);
    let signature = signed(&request);
    change(&mut request);
    (request, signature)
}

#[test]
fn a_hospital_cannot_record_a_look_that_nobody_asked_for() {
    run(|| {
        for key in [key(NURSE), key(PATIENT), key(STRANGER)] {
            let mut release = reading(1);
            release.signature = signed_by(&key, &release.request);
            refused(release, Error::InvalidRequest);
        }
        let mut unsigned = reading(1);
        unsigned.signature = Signature::Sr25519([0; 64].into());
        refused(unsigned, Error::InvalidRequest);
    });
}

#[test]
fn a_hospital_cannot_change_what_was_asked() {
    run(|| {
        let changes: [fn(&mut Request); 6] = [
            |request| request.purpose = Purpose::Audit,
            |request| request.requester = NURSE,
            |request| request.patient = OTHER_PATIENT,
            |request| request.records[0].sections = SectionSet::ALL,
            |request| request.at -= 1,
            |request| request.nonce[0] ^= 1,
        ];
        for change in changes {
            let mut release = reading(1);
            change(&mut release.request);
            refused(release, Error::InvalidRequest);
        }
        let mut glass = emergency(1);
        glass.request.emergency = Some(EmergencyReason::LifeThreatening);
        refused(glass, Error::InvalidRequest);
    });
}

#[test]
fn a_hospital_cannot_record_a_refusal_that_nobody_asked_for() {
    run(|| {
        let changes: [fn(&mut Request); 4] = [
            |request| request.purpose = Purpose::Research,
            |request| request.patient = OTHER_PATIENT,
            |request| request.records[0].pointer = SECOND,
            |request| request.nonce[0] ^= 1,
        ];
        for change in changes {
            let (request, signature) = forged(change);
            let refusal = refuse_request(agent(HOME), request, signature);
            assert_eq!(refusal, Err(Error::<Test>::InvalidRequest.into()));
        }
        let asked = request(HOME, NURSE, PATIENT);
        let signature = signed_by(&key(DOCTOR), &asked);
        assert_noop!(refuse_request(agent(HOME), asked, signature), Error::<Test>::InvalidRequest);
    });
}

#[test]
fn a_hospital_cannot_answer_a_request_to_another_hospital() {
    run(|| {
        Generous::set(vec![HOME, AWAY]);
        let away = asking(reading(1), |request| request.hospital = AWAY);
        refused(away, Error::RequestToAnotherHospital);
        let (redirected, signature) = forged(|request| request.hospital = AWAY);
        assert_noop!(
            refuse_request(agent(AWAY), redirected, signature),
            Error::<Test>::InvalidRequest
        );
        let asked = request(HOME, NURSE, PATIENT);
        let signature = signed(&asked);
        assert_noop!(
            refuse_request(agent(AWAY), asked, signature),
            Error::<Test>::RequestToAnotherHospital
        );
    });
}

#[test]
fn a_request_to_another_chain_is_not_valid_here() {
    run(|| {
        let mut release = reading(1);
        let bytes = release.request.signed_bytes(Hash::repeat_byte(7));
        release.signature = key(DOCTOR).sign(&bytes).into();
        refused(release, Error::InvalidRequest);
    });
}

#[test]
fn the_thief_of_a_retired_account_cannot_ask() {
    run(|| {
        let before = reading(1);
        let next = key(STRANGER);
        Users::set_account(DOCTOR, next.public().into());
        refused(before, Error::InvalidRequest);
        refused(reading(2), Error::InvalidRequest);
        let refusal = refuse(AWAY, DOCTOR, PATIENT);
        assert_eq!(refusal, Err(Error::<Test>::InvalidRequest.into()));

        let mut release = reading(3);
        release.signature = signed_by(&next, &release.request);
        assert_ok!(record(agent(HOME), release));
    });
}

#[test]
fn an_ed25519_account_can_ask() {
    run(|| {
        let key = ed25519::Pair::from_seed(&[9; 32]);
        Users::set_account(DOCTOR, key.public().into());
        let mut release = reading(1);
        let bytes = release.request.signed_bytes(System::block_hash(0));
        release.signature = key.sign(&bytes).into();
        assert_ok!(record(agent(HOME), release));
    });
}

#[test]
fn an_old_request_cannot_be_replayed() {
    run(|| {
        let (release, asked) = (reading(1), request(HOME, NURSE, PATIENT));
        let signature = signed(&asked);
        pass(MAX_REQUEST_AGE_MILLIS + 1);
        refused(release, Error::RequestTooOld);
        assert_noop!(refuse_request(agent(HOME), asked, signature), Error::<Test>::RequestTooOld);
        let ancient = asking(reading(2), |request| request.at = 0);
        refused(ancient, Error::RequestTooOld);

        let last = reading(3);
        pass(MAX_REQUEST_AGE_MILLIS);
        assert_ok!(record(agent(HOME), last));
    });
}

#[test]
fn a_request_cannot_be_signed_in_advance() {
    run(|| {
        let ahead = |lead| asking(reading(1), |request| request.at = Now::get() + lead);
        refused(ahead(MAX_CLOCK_LEAD_MILLIS + 1), Error::RequestFromTheFuture);
        let never = asking(reading(1), |request| request.at = u64::MAX);
        refused(never, Error::RequestFromTheFuture);
        assert_ok!(record(agent(HOME), ahead(MAX_CLOCK_LEAD_MILLIS)));
    });
}

#[test]
fn a_request_is_answered_once() {
    run(|| {
        let release = reading(1);
        assert_ok!(record(agent(HOME), release.clone()));
        refused(release.clone(), Error::AlreadyAnswered);
        // Neither with another grant nor with fewer sections.
        let mut again = Release { grant: grant(2), ..release.clone() };
        refused(again.clone(), Error::AlreadyAnswered);
        again.records.truncate(1);
        refused(again.clone(), Error::AlreadyAnswered);
        // Nor with another signature, as everybody with the key can make many.
        again.signature = signed(&again.request);
        refused(again, Error::AlreadyAnswered);
        // Nor with a refusal, after the policies have changed.
        Denied::set(vec![READ_TEXT]);
        let refusal = refuse_request(agent(HOME), release.request, release.signature);
        assert_eq!(refusal, Err(Error::<Test>::AlreadyAnswered.into()));
        assert_eq!(ByRequest::<Test>::iter_keys().count(), 1);
    });
}

#[test]
fn a_refusal_cannot_be_repeated_or_followed_by_a_look() {
    run(|| {
        let release = reading(1);
        let refuse =
            || refuse_request(agent(HOME), release.request.clone(), release.signature.clone());
        Denied::set(vec![READ_TEXT]);
        assert_ok!(refuse());
        assert_noop!(refuse(), Error::<Test>::AlreadyAnswered);
        Denied::set(Vec::new());
        refused(release.clone(), Error::AlreadyAnswered);
        assert_ok!(record(agent(HOME), reading(1)));
    });
}

#[test]
fn a_request_that_was_not_recorded_can_be_answered_later() {
    run(|| {
        let release = reading(1);
        Denied::set(vec![READ_TEXT]);
        refused(release.clone(), Error::NotAllowed);
        Denied::set(Vec::new());
        assert_ok!(record(agent(HOME), release));
    });
}

#[test]
fn more_than_was_requested_is_not_released() {
    run(|| {
        let with = |change: fn(&mut Release)| {
            let mut release = reading(1);
            change(&mut release);
            release
        };
        let section = with(|release| release.records[0].sections = SectionSet(0b111));
        refused(section, Error::NotRequested);
        let other_section = with(|release| release.records[1].sections = SectionSet(0b100));
        refused(other_section, Error::NotRequested);
        let record_more = with(|release| release.records.try_push(part(ELSEWHERE)).unwrap());
        refused(record_more, Error::NotRequested);
        let other_record = with(|release| {
            release.records = vec![part(OTHERS)].try_into().unwrap();
        });
        refused(other_record, Error::NotRequested);
    });
}

#[test]
fn less_than_was_requested_can_be_released() {
    run(|| {
        let mut fewer = reading(1);
        fewer.records.truncate(1);
        fewer.records[0].sections = SectionSet(0b10);
        assert_ok!(record(agent(HOME), fewer));
        let all = asking(reading(2), |request| {
            request.records.iter_mut().for_each(|record| record.sections = SectionSet::ALL);
        });
        assert_ok!(record(agent(HOME), all));
    });
}
