use epione_primitives::{
    HospitalId,
    consortium::{Failure, Phase},
    ports::HashedBody,
};
use frame_support::{assert_noop, assert_ok};

use crate::{Enrolments, Error, Event, mock::*};

#[test]
fn each_seat_enrols_once_with_its_key() {
    run(|| {
        assert_ok!(begin(1));
        assert_noop!(enrol(1), Error::<Test>::AlreadyEnrolled);
        assert_ok!(enrol(3));
        assert_noop!(enrol(3), Error::<Test>::AlreadyEnrolled);
        let key = HashedBody::new(&sealing_key(3)).hash();
        assert_eq!(Enrolments::<Test>::get(newest().id, 3), Some(key));
        let (ceremony, hospital) = (newest().id, HospitalId(3));
        System::assert_last_event(Event::<Test>::Enrolled { ceremony, hospital, key }.into());
        assert_eq!(newest().phase, Phase::Enrol);
        assert_ok!(enrol(0));
        assert_ok!(enrol(2));
        assert_eq!((newest().phase, newest().deadline), (Phase::Deal, now() + PHASE));
    });
}

#[test]
fn who_was_admitted_after_the_begin_has_no_seat() {
    run(|| {
        assert_ok!(begin(1));
        admit([HospitalId(4)]);
        assert_noop!(enrol(4), Error::<Test>::NotSeat);
    });
}

#[test]
fn a_seat_that_comes_late_is_left_out_and_the_ceremony_goes_on() {
    run(|| {
        assert_ok!(begin(0));
        for hospital in [1, 2] {
            assert_ok!(enrol(hospital));
        }
        pass(PHASE);
        assert_eq!(newest().phase, Phase::Enrol);
        pass(1);
        assert_noop!(enrol(3), Error::<Test>::WrongPhase);
        assert_eq!(newest().phase, Phase::Deal);
        let mut members = Members::default();
        for hospital in [0, 1, 2] {
            assert_ok!(members.deal(hospital));
        }
        assert_noop!(judge(3, &[]), Error::<Test>::NotEnrolled);
        judge_all();
        assert_noop!(confirm(3, members.result()), Error::<Test>::NotEnrolled);
        members.confirm_all();
        members.learn();
        assert_eq!(current().members, hospitals([0, 1, 2]));
        assert_eq!(current().threshold, 2, "one of the three may be silent");
        // It gets a share in the next ceremony.
        pass(PHASE);
        assert_ok!(begin(3));
        members.complete();
        assert_eq!(current().members, hospitals(0..4));
    });
}

/// D is absent at the enrolment, and A is silent after it. The others still open, and let D join without A.
#[test]
fn an_absent_hospital_leaves_an_epoch_that_does_without_another_one() {
    run(|| {
        let mut members = Members::default();
        assert_ok!(begin(0));
        for hospital in [1, 2] {
            assert_ok!(enrol(hospital));
        }
        assert_eq!(newest().threshold, 3, "the fourth may still come");
        pass_phase();
        assert_eq!(newest().threshold, 2);
        for hospital in [0, 1, 2] {
            assert_ok!(members.deal(hospital));
        }
        judge_all();
        members.confirm_all();
        members.learn();
        let first = current();
        assert_eq!((first.members.clone(), first.threshold), (hospitals(0..3), 2));
        assert_eq!(members.recovered(&[1, 2]), first.public_key());
        assert_ne!(members.recovered(&[2]), first.public_key());

        pass(PHASE);
        assert_ok!(begin(3));
        for hospital in [1, 2] {
            assert_ok!(enrol(hospital));
        }
        pass_phase();
        assert_eq!((newest().phase, newest().needed), (Phase::Deal, 2));
        for hospital in [1, 2] {
            assert_ok!(members.deal(hospital));
        }
        assert_eq!(newest().phase, Phase::Judge, "nobody waits for the silent one");
        judge_all();
        members.confirm_all();
        members.learn();
        let second = current();
        assert_eq!((second.members.clone(), second.threshold), (hospitals(1..4), 2));
        assert_eq!(second.public_key(), first.public_key());
        assert_eq!(members.recovered(&[1, 3]), first.public_key());
    });
}

#[test]
fn a_ceremony_with_too_few_seats_fails_and_says_so() {
    run(|| {
        assert_ok!(begin(0));
        assert_ok!(enrol(1));
        pass_phase();
        assert_eq!(newest().phase, Phase::Failed(Failure::TooFewSeats));
        assert_noop!(enrol(2), Error::<Test>::WrongPhase);
    });
}

/// Its agent is refused, but what it did before stays.
#[test]
fn a_hospital_that_is_removed_during_a_ceremony_acts_no_more() {
    run(|| {
        let members = Members::default();
        assert_ok!(begin(0));
        enrol_others();
        set_active(HospitalId(3), false);
        assert_noop!(members.deal(3), Error::<Test>::NotAgent);
        for hospital in [0, 1, 2] {
            assert_ok!(members.deal(hospital));
        }
        pass_phase();
        assert_noop!(judge(3, &[0, 1, 2]), Error::<Test>::NotAgent);
        for hospital in [0, 1, 2] {
            assert_ok!(judge(hospital, &[]));
        }
        pass_phase();
        let result = members.result();
        assert_noop!(confirm(3, result), Error::<Test>::NotAgent);
        for hospital in [0, 1, 2] {
            assert_ok!(confirm(hospital, result));
        }
        assert_eq!(newest().phase, Phase::Activated);
        // It could have a share, so the others make new ones.
        pass(PHASE);
        assert_ok!(begin(0));
        assert_eq!(newest().seats, hospitals(0..3));
    });
}
