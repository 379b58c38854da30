use epione_primitives::{
    BlockNumber, HospitalId,
    consortium::{EpochId, Phase, Schedule},
};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchResult;

use crate::{Call, Committee, Error, Event, Past, RefreshRequested, RenewalDecided, mock::*};

fn by_council(call: Call<Test>) -> DispatchResult {
    dispatch(call, RuntimeOrigin::root())
}

fn seat(ids: impl IntoIterator<Item = u16>) -> DispatchResult {
    by_council(Call::seat { committee: Some(hospitals(ids)) })
}

fn schedule(phase: BlockNumber, refresh: BlockNumber) -> DispatchResult {
    by_council(Call::schedule { schedule: Schedule { phase, refresh } })
}

fn refresh(hospital: u16) -> DispatchResult {
    dispatch(Call::refresh {}, governance(hospital))
}

#[test]
fn a_committee_has_the_seats_while_its_hospitals_are_active() {
    run_with(6, || {
        assert_ok!(seat([1, 2, 4, 5]));
        let committee = Some(hospitals([1, 2, 4, 5]));
        let event = Event::<Test>::CommitteeChosen { committee: committee.clone() };
        System::assert_last_event(event.into());
        assert_eq!(Committee::<Test>::get(), committee);
        set_active(HospitalId(4), false);
        assert_noop!(begin(0), Error::<Test>::NotSeat);
        let mut members = Members::default();
        members.hold(2);
        assert_eq!(current().members, hospitals([1, 2, 5]));

        // Other seats are a reason for a ceremony, which a member of the present epoch can begin.
        assert_ok!(seat([0, 1, 2]));
        pass(PHASE);
        assert_noop!(begin(5), Error::<Test>::NotSeat);
        assert_ok!(begin(1));
        assert_eq!((newest().seats, newest().dealers), (hospitals(0..3), hospitals([1, 2, 5])));
        members.complete();
        assert_eq!(current().members, hospitals(0..3));

        assert_ok!(by_council(Call::seat { committee: None }));
        assert_eq!(Committee::<Test>::get(), None);
        members.hold(3);
        assert_eq!(current().members, hospitals([0, 1, 2, 3, 5]));
    });
}

#[test]
fn a_committee_is_at_least_two_known_hospitals_in_order() {
    run(|| {
        for wrong in [vec![], vec![1], vec![2, 1], vec![1, 1], vec![0, 1, 9]] {
            assert_noop!(seat(wrong), Error::<Test>::WrongCommittee);
        }
        assert_ok!(seat([0, 3]));
    });
}

/// Otherwise as many hospitals as may be malicious could have the key alone.
#[test]
fn a_committee_is_so_large_that_those_who_may_be_malicious_do_not_open_alone() {
    run_with(7, || {
        for wrong in [vec![0, 1], vec![0, 1, 2]] {
            assert_noop!(seat(wrong), Error::<Test>::WrongCommittee);
        }
        assert_ok!(seat([0, 1, 2, 3]));
        // Of four active ones, one may be malicious.
        for hospital in 4..7 {
            set_active(HospitalId(hospital), false);
        }
        assert_ok!(seat([0, 1]));
    });
    // Of 64 hospitals, 21 may be malicious. No committee needs more of its members.
    run_with(64, || {
        assert_noop!(seat(0..30), Error::<Test>::WrongCommittee);
        assert_ok!(seat(0..31));
    });
}

/// Those that are not active get no seats.
#[test]
fn only_active_hospitals_make_a_committee_large() {
    run_with(8, || {
        assert_ok!(seat(0..4));
        // Of seven active ones, two may be malicious, and two of three seats would open.
        set_active(HospitalId(0), false);
        assert_noop!(seat(0..4), Error::<Test>::WrongCommittee);
        assert_ok!(seat(1..5));
    });
}

/// Each of these changes needs fewer votes than the choice of a committee, and a hospital may also leave on its own.
#[test]
fn a_committee_that_became_too_small_gets_no_new_shares_until_the_council_chooses_again() {
    run_with(8, || {
        let mut members = Members::default();
        assert_ok!(seat(0..4));
        members.hold(0);
        let before = current();
        assert_eq!((before.members.len(), before.threshold), (4, 3));

        // Of seven active ones, two may be malicious, and two of three seats would open.
        set_active(HospitalId(0), false);
        pass(PHASE);
        assert_noop!(begin(1), Error::<Test>::WrongCommittee);
        assert_eq!((current().id, current().threshold), (before.id, 3));
        assert_ok!(seat(1..5));
        assert_ok!(begin(1));
        members.complete();
        let second = current();
        assert_eq!((second.members, second.threshold), (hospitals(1..5), 3));

        // Of ten active ones, three may be malicious, and three of four seats would open.
        admit((8..11).map(HospitalId));
        pass(REFRESH);
        assert_noop!(begin(1), Error::<Test>::WrongCommittee);
        assert_ok!(by_council(Call::seat { committee: None }));
        assert_ok!(begin(1));
        members.complete();
        assert_eq!((current().members.len(), current().threshold), (10, 7));
        assert_eq!(current().public_key(), before.public_key());
    });
}

/// Of seven hospitals two may be malicious. They could both have seats, and nobody knows who is absent.
#[test]
fn an_absent_seat_of_a_committee_lets_no_fewer_open_than_a_third_of_all_hospitals() {
    run_with(7, || {
        let mut members = Members::default();
        assert_ok!(seat(0..4));
        assert_ok!(begin(0));
        for hospital in [1, 2] {
            assert_ok!(enrol(hospital));
        }
        pass_phase();
        assert_eq!((newest().phase, newest().threshold), (Phase::Deal, 3));
        for hospital in 0..3 {
            assert_ok!(members.deal(hospital));
        }
        judge_all();
        members.confirm_all();
        members.learn();
        assert_eq!((current().members, current().threshold), (hospitals(0..3), 3));
    });
}

/// One of these six may be malicious, and have one of the three seats. Of three hospitals, none may be.
#[test]
fn a_small_committee_keeps_its_earlier_shares_although_a_malicious_hospital_says_that_it_has_one() {
    for (count, faulty) in [(6, 1), (3, 0)] {
        run_with(count, || {
            assert_ok!(seat(0..3));
            Members::default().hold(0);
            let mut epoch = current();
            assert_eq!((epoch.threshold, epoch.faulty), (2, faulty));
            epoch.confirmed = set(&[0, 1]);
            assert_eq!(epoch.replaces_earlier_shares(), faulty == 0);
            epoch.confirmed = set(&[0, 1, 2]);
            assert!(epoch.replaces_earlier_shares());
        });
    }
}

#[test]
fn a_schedule_out_of_bounds_is_refused() {
    run(|| {
        for (phase, refresh) in [(9, 1_000), (100, 999)] {
            assert_noop!(schedule(phase, refresh), Error::<Test>::WrongSchedule);
        }
        assert_ok!(schedule(100, 1_000));
        let changed = Schedule { phase: 100, refresh: 1_000 };
        let event = Event::<Test>::ScheduleChanged { schedule: changed };
        System::assert_last_event(event.into());
        assert_ok!(begin(0));
        assert_eq!(newest().deadline, now() + 100);
    });
}

/// The phases that are over lasted as long as the former schedule said, though no call had noticed it.
#[test]
fn a_new_schedule_changes_no_phase_that_is_over() {
    run(|| {
        let members = Members::default();
        assert_ok!(begin(0));
        enrol_others();
        for hospital in [0, 1, 2] {
            assert_ok!(members.deal(hospital));
        }
        let deadline = newest().deadline;
        pass(deadline + 1 - now());
        assert_ok!(schedule(400, 4_000));
        assert_eq!((newest().phase, newest().deadline), (Phase::Judge, deadline + PHASE));
        judge_all();
        assert_eq!((newest().phase, newest().deadline), (Phase::Confirm, now() + 400));
    });
}

#[test]
fn a_failure_is_noted_once_whichever_call_notices_it() {
    run(|| {
        assert_ok!(begin(0));
        pass(3 * PHASE);
        assert_ok!(by_council(Call::schedule {
            schedule: Schedule { refresh: REFRESH + 1, ..SCHEDULE }
        }));
        assert_ok!(by_council(Call::schedule { schedule: SCHEDULE }));
        assert_ok!(begin(1));
        assert_eq!(Past::<Test>::get().len(), 1);
    });
}

#[test]
fn a_hospital_requests_new_shares() {
    run(|| {
        assert_noop!(refresh(0), Error::<Test>::NoKey);
        let mut members = Members::default();
        members.hold(0);
        let public = current().public_key();
        pass(10 * PHASE);
        assert_noop!(begin(0), Error::<Test>::NothingToDo);
        assert_ok!(refresh(3));
        let event = Event::<Test>::RefreshRequested { hospital: HospitalId(3) };
        System::assert_last_event(event.into());
        assert_noop!(refresh(1), Error::<Test>::AlreadyRequested);
        assert_eq!(members.hold(0), EpochId(1));
        assert_eq!(current().public_key(), public);
        assert!(!RefreshRequested::<Test>::get());
        pass(PHASE);
        assert_noop!(begin(0), Error::<Test>::NothingToDo);
    });
}

#[test]
fn only_governance_of_an_active_hospital_requests_new_shares() {
    run(|| {
        Members::default().hold(0);
        pass(10 * PHASE);
        set_active(HospitalId(2), false);
        for origin in [agent(0), governance(2), governance(9)] {
            assert_noop!(dispatch(Call::refresh {}, origin), Error::<Test>::NotGovernance);
        }
        assert_ok!(refresh(0));
    });
}

#[test]
fn new_shares_are_not_requested_too_often() {
    run(|| {
        Members::default().hold(0);
        for _ in 0..9 {
            assert_noop!(refresh(0), Error::<Test>::TooSoon);
            pass(PHASE);
        }
        pass(PHASE - 1);
        assert_noop!(refresh(0), Error::<Test>::TooSoon);
        pass(1);
        assert_ok!(refresh(0));
    });
}

#[test]
fn a_hospital_requests_new_shares_once_in_a_day_and_others_may() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        pass(10 * PHASE);
        assert_ok!(refresh(3));
        let requested = now();
        members.hold(0);
        pass(10 * PHASE);
        assert_noop!(refresh(3), Error::<Test>::TooSoon);
        assert_ok!(refresh(2));
        members.hold(0);
        pass(requested + 144 * PHASE - 1 - now());
        assert_noop!(refresh(3), Error::<Test>::TooSoon);
        pass(1);
        assert_ok!(refresh(3));
    });
}

#[test]
fn a_request_during_a_ceremony_is_refused() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        // The council makes the phases so much shorter that ten of them pass within one of the earlier.
        assert_ok!(schedule(1_000, 20_000));
        pass(REFRESH * 2);
        assert_ok!(begin(0));
        assert_ok!(schedule(10, 20_000));
        pass(500);
        assert_noop!(refresh(0), Error::<Test>::CeremonyRunning);
    });
}

/// The failed ceremony was the first since the request, so the request still stands.
#[test]
fn a_request_and_a_decision_outlast_a_ceremony_that_fails() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        pass(10 * PHASE);
        assert_ok!(refresh(0));
        assert_ok!(begin(0));
        pass(2 * PHASE + 1);
        assert_ok!(begin(1));
        assert_eq!(newest().reshares, Some(EpochId(0)));
        assert_ok!(by_council(Call::renew {}));
        pass(2 * PHASE + 1);
        assert_ok!(begin(2));
        assert_eq!(newest().reshares, None);
        members.complete();
        assert_eq!(
            (RenewalDecided::<Test>::get(), RefreshRequested::<Test>::get()),
            (false, false)
        );
    });
}

#[test]
fn a_decision_about_a_new_key_during_a_ceremony_is_for_the_next_one() {
    run(|| {
        let mut members = Members::default();
        assert_noop!(by_council(Call::renew {}), Error::<Test>::NoKey);
        members.hold(0);
        pass(REFRESH);
        assert_ok!(begin(0));
        assert_ok!(by_council(Call::renew {}));
        System::assert_last_event(Event::<Test>::RenewalDecided.into());
        assert_noop!(by_council(Call::renew {}), Error::<Test>::AlreadyRequested);
        members.complete();
        assert_eq!(current().key.0, 0);
        assert!(RenewalDecided::<Test>::get());
        members.hold(0);
        assert_eq!(current().key.0, 1);
    });
}
