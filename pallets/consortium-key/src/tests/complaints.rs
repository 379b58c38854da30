use epione_primitives::{
    HospitalId,
    consortium::{Failure, Phase, RevealedShare, SeatSet},
    limits::MAX_SEATS,
};
use frame_support::{assert_noop, assert_ok};

use crate::{AnswersOf, Call, Error, Event, mock::*};

/// A ceremony of so many hospitals in which all have dealt.
fn dealt() -> Members {
    let members = Members::default();
    assert_ok!(begin(0));
    enrol_others();
    members.deal_all();
    assert_eq!(newest().phase, Phase::Judge);
    members
}

/// These seats complain about one dealer, and the others about nobody.
fn complain(seats: &[u16], dealer: usize) {
    for hospital in enrolled() {
        let complaints: &[usize] = if seats.contains(&hospital) { &[dealer] } else { &[] };
        assert_ok!(judge(hospital, complaints));
    }
}

/// The bytes of the share that a dealer dealt to a seat, and its part.
fn dealt_share(members: &Members, dealer: u16, seat: u16) -> ([u8; 32], [u8; 32]) {
    let deal = members.dealing(dealer);
    (*deal.share(HospitalId(seat)).encode(), deal.part)
}

#[test]
fn each_seat_judges_once() {
    run(|| {
        dealt();
        assert_ok!(judge(1, &[2]));
        let (ceremony, hospital, complaints) = (newest().id, HospitalId(1), set(&[2]));
        let event = Event::<Test>::Judged { ceremony, hospital, complaints };
        System::assert_last_event(event.into());
        assert_noop!(judge(1, &[]), Error::<Test>::AlreadyJudged);
        let of_dealers: Vec<_> = newest().complaints.to_vec();
        assert_eq!(of_dealers, [set(&[]), set(&[]), set(&[1]), set(&[])]);
        assert_eq!(newest().judged, set(&[1]));
    });
}

/// Otherwise two members that lie would stop each handover to a committee of four: no seat could say that of both.
#[test]
fn a_seat_of_a_small_committee_accuses_as_many_dealers_as_may_be_faulty_of_all() {
    run_with(7, || {
        let mut members = Members::default();
        members.hold(0);
        let committee = Some(hospitals(0..4));
        assert_ok!(dispatch(Call::seat { committee }, RuntimeOrigin::root()));
        pass(PHASE);
        assert_ok!(begin(2));
        enrol_others();
        members.deal_all();
        assert_eq!((newest().seats.len(), newest().dealers.len()), (4, 7));
        assert_noop!(judge(2, &[0, 1, 4]), Error::<Test>::TooManyAccused);
        for hospital in [2, 3] {
            assert_ok!(judge(hospital, &[0, 1]));
        }
        for hospital in [0, 1] {
            assert_ok!(judge(hospital, &[]));
        }
        assert_eq!(newest().phase, Phase::Confirm, "no answer can help");
        assert_eq!(counted(), [2, 3, 4, 5, 6]);
        members.confirm_all();
        members.learn();
        assert_eq!(current().members, hospitals(0..4));
    });
}

/// An answer publishes a share and a part of the mixing secret, so nobody gets one from more dealers than may be
/// faulty.
#[test]
fn a_seat_accuses_no_more_dealers_than_may_be_faulty() {
    for (count, most) in [(3, 1), (4, 1), (7, 2), (MAX_SEATS as u16, 10)] {
        run_with(count, || {
            dealt();
            let accused: Vec<usize> = (0..=most).collect();
            assert_noop!(judge(1, &accused), Error::<Test>::TooManyAccused);
            assert_ok!(judge(1, &accused[1..]));
        });
    }
}

/// Where none may be malicious, the dealer about whom somebody complains is out, and publishes nothing.
#[test]
fn of_three_hospitals_one_complaint_ends_the_ceremony() {
    run_with(3, || {
        let members = dealt();
        complain(&[1], 2);
        assert_eq!(newest().phase, Phase::Failed(Failure::TooFewDealers));
        assert_noop!(members.answer(2, 1), Error::<Test>::WrongPhase);
    });
}

#[test]
fn nobody_judges_before_the_dealers_are_done() {
    run(|| {
        let members = Members::default();
        assert_ok!(begin(0));
        assert_noop!(judge(0, &[]), Error::<Test>::WrongPhase);
        enrol_others();
        assert_ok!(members.deal(1));
        assert_noop!(judge(0, &[]), Error::<Test>::WrongPhase);
    });
}

#[test]
fn a_complaint_is_about_somebody_who_dealt() {
    run(|| {
        let members = Members::default();
        assert_ok!(begin(0));
        enrol_others();
        for hospital in [0, 1, 2] {
            assert_ok!(members.deal(hospital));
        }
        pass_phase();
        for unknown in [3, 4, 30] {
            assert_noop!(judge(0, &[unknown]), Error::<Test>::UnknownDealer);
        }
        let all = Call::judge { ceremony: newest().id, complaints: SeatSet(u32::MAX) };
        assert_noop!(dispatch(all, agent(0)), Error::<Test>::UnknownDealer);
    });
}

#[test]
fn a_dealer_that_answers_stays() {
    run(|| {
        let mut members = dealt();
        complain(&[1], 2);
        assert_eq!(newest().phase, Phase::Answer);
        assert_ok!(members.answer(2, 1));
        let (ceremony, hospital) = (newest().id, HospitalId(2));
        let event = Event::<Test>::Answered { ceremony, hospital, seat: 1 };
        System::assert_last_event(event.into());
        let (share, part) = dealt_share(&members, 2, 1);
        assert_eq!(
            AnswersOf::<Test>::get(ceremony, 2).to_vec(),
            [RevealedShare { seat: 1, share, part }]
        );
        assert_eq!((newest().phase, counted()), (Phase::Confirm, vec![0, 1, 2, 3]));
        members.confirm_all();
        members.learn();
    });
}

#[test]
fn a_wrong_share_is_no_answer() {
    run(|| {
        let members = dealt();
        complain(&[1], 2);
        let (share, part) = dealt_share(&members, 2, 1);
        let (of_another_seat, _) = dealt_share(&members, 2, 3);
        let (of_another_dealer, other_part) = dealt_share(&members, 0, 1);
        let mut changed = share;
        changed[0] ^= 1;
        // The last is not reduced.
        for wrong in [of_another_seat, of_another_dealer, changed, [0; 32], [0xff; 32]] {
            assert_noop!(answer_with(2, 1, wrong, part), Error::<Test>::WrongShare);
        }
        for wrong in [other_part, [0; 32]] {
            assert_noop!(answer_with(2, 1, share, wrong), Error::<Test>::WrongPart);
        }
        assert_eq!(counted(), [0, 1, 3]);
        assert_ok!(answer_with(2, 1, share, part));
    });
}

#[test]
fn only_the_dealer_answers_and_only_what_was_asked() {
    run(|| {
        let members = dealt();
        for hospital in [0, 1] {
            let accused = if hospital == 0 { 2 } else { 3 };
            assert_ok!(judge(hospital, &[accused]));
        }
        for hospital in [2, 3] {
            assert_ok!(judge(hospital, &[]));
        }
        let (share, part) = dealt_share(&members, 2, 0);
        // Another dealer, another seat, no seat at all.
        assert_noop!(answer_with(1, 0, share, part), Error::<Test>::NoComplaint);
        for seat in [1, 3, 4, 31, 200] {
            assert_noop!(answer_with(2, seat, share, part), Error::<Test>::NoComplaint);
        }
        assert_ok!(answer_with(2, 0, share, part));
        assert_noop!(answer_with(2, 0, share, part), Error::<Test>::AlreadyAnswered);
        assert_eq!(newest().phase, Phase::Answer, "the other dealer has not answered");
        assert_ok!(members.answer(3, 1));
        assert_eq!(newest().phase, Phase::Confirm);
        assert_noop!(answer_with(2, 0, share, part), Error::<Test>::WrongPhase);
    });
}

#[test]
fn a_dealer_that_does_not_answer_is_out() {
    run(|| {
        let mut members = dealt();
        complain(&[1], 2);
        pass_phase();
        assert_noop!(members.answer(2, 1), Error::<Test>::WrongPhase);
        assert_eq!((newest().phase, counted()), (Phase::Confirm, vec![0, 1, 3]));
        members.confirm_all();
        members.learn();
        assert_eq!(current().members, hospitals(0..4), "it keeps its seat");
    });
}

/// As many seats lie as may be malicious: a dealer that answers all of them stays, in a consortium of any size.
#[test]
fn as_many_false_accusers_as_there_may_be_remove_no_dealer() {
    for (count, accusers) in [(4, 1), (7, 2), (MAX_SEATS as u16, 10)] {
        run_with(count, || {
            let mut members = dealt();
            let liars: Vec<u16> = (1..=accusers).collect();
            complain(&liars, 0);
            assert_eq!(newest().phase, Phase::Answer);
            for liar in &liars {
                assert_ok!(members.answer(0, usize::from(*liar)));
            }
            assert_eq!(AnswersOf::<Test>::get(newest().id, 0).len(), liars.len());
            assert_eq!(newest().phase, Phase::Confirm);
            assert_eq!(counted().len(), usize::from(count));
            members.confirm_all();
            members.learn();
        });
    }
}

#[test]
fn one_complaint_more_proves_a_bad_dealer_whatever_it_answers() {
    run(|| {
        let members = dealt();
        assert_ok!(judge(0, &[2]));
        assert_ok!(judge(1, &[2]));
        assert_ok!(judge(2, &[3]));
        assert_ok!(judge(3, &[]));
        assert_eq!(newest().phase, Phase::Answer, "dealer 3 can answer");
        assert_noop!(members.answer(2, 0), Error::<Test>::TooManyComplaints);
        assert_ok!(members.answer(3, 2));
        assert_eq!((newest().phase, counted()), (Phase::Confirm, vec![0, 1, 3]));
    });
}

#[test]
fn a_ceremony_that_lost_its_dealers_fails() {
    run(|| {
        let members = dealt();
        for (hospital, dealer) in [(0, 0), (1, 0), (2, 1), (3, 1)] {
            assert_ok!(judge(hospital, &[dealer]));
        }
        assert_eq!(newest().phase, Phase::Failed(Failure::TooFewDealers));
        let (ceremony, failure) = (newest().id, Failure::TooFewDealers);
        System::assert_last_event(Event::<Test>::Failed { ceremony, failure }.into());
        assert_noop!(confirm(0, members.result()), Error::<Test>::WrongPhase);
    });
}

/// A member that gets a wrong share of an earlier member is not stopped by it.
#[test]
fn new_shares_do_without_a_dealer_that_is_out() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        let public = current().public_key();
        pass(REFRESH);
        assert_ok!(begin(0));
        enrol_others();
        members.deal_all();
        complain(&[2], 1);
        assert_eq!(counted(), [0, 2, 3], "one valid dealer more than needed");
        pass_phase();
        members.confirm_all();
        members.learn();
        assert_eq!(current().public_key(), public);
        assert_eq!(members.recovered(&[0, 1, 3]), public);
    });
}
