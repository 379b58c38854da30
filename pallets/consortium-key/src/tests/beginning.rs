use epione_primitives::{
    HospitalId,
    consortium::{CeremonyId, EpochId, Failure, PastCeremony, Phase},
    limits::MAX_SEATS,
    ports::HashedBody,
};
use frame_support::{assert_noop, assert_ok};

use crate::{
    AnswersOf, Call, Confirmed, Dealings, Enrolments, Error, Event, Joined, Kept as KeptCeremony,
    LastEnded, Past, mock::*,
};

#[test]
fn the_first_ceremony_generates_a_key_for_all_active_hospitals() {
    run(|| {
        set_active(HospitalId(1), false);
        assert_ok!(begin(2));
        let begun = newest();
        assert_eq!((begun.id, begun.reshares, begun.phase), (CeremonyId(0), None, Phase::Enrol));
        assert_eq!((&begun.seats, &begun.dealers), (&hospitals([0, 2, 3]), &begun.seats));
        assert_eq!((begun.threshold, begun.needed, begun.deadline), (2, 3, 1 + PHASE));
        assert_eq!(begun.enrolled, set(&[1]));
        let key = HashedBody::new(&sealing_key(2)).hash();
        assert_eq!(Enrolments::<Test>::get(begun.id, 1), Some(key));
        assert_eq!(Kept::get()[0].0, sealing_key(2).to_vec());
        let (ceremony, hospital) = (begun.id, HospitalId(2));
        let event = Event::<Test>::Begun { ceremony, hospital, reshares: None };
        System::assert_has_event(event.into());
        System::assert_last_event(Event::<Test>::Enrolled { ceremony, hospital, key }.into());
    });
}

#[test]
fn one_hospital_has_no_key_alone() {
    run_with(1, || {
        assert_noop!(begin(0), Error::<Test>::TooFewSeats);
    });
    run(|| {
        for hospital in [1, 2, 3] {
            set_active(HospitalId(hospital), false);
        }
        assert_noop!(begin(0), Error::<Test>::TooFewSeats);
        set_active(HospitalId(3), true);
        assert_ok!(begin(0));
        assert_eq!((newest().threshold, newest().needed), (2, 2));
    });
}

#[test]
fn above_31_hospitals_the_council_chooses() {
    run_with(MAX_SEATS as u16 + 1, || {
        assert_noop!(begin(0), Error::<Test>::TooManySeats);
        let committee = Some(hospitals(1..=MAX_SEATS as u16));
        assert_ok!(dispatch(Call::seat { committee }, RuntimeOrigin::root()));
        assert_noop!(begin(0), Error::<Test>::NotSeat);
        assert_ok!(begin(1));
        assert_eq!(newest().seats, hospitals(1..=MAX_SEATS as u16));
        assert_eq!(newest().threshold, 21);
    });
}

#[test]
fn nobody_begins_a_ceremony_while_one_runs() {
    run(|| {
        assert_ok!(begin(0));
        assert_noop!(begin(1), Error::<Test>::CeremonyRunning);
        pass(PHASE);
        assert_noop!(begin(1), Error::<Test>::CeremonyRunning);
    });
}

/// The pause counts from the deadline, not from the call that notices the failure.
#[test]
fn ceremonies_in_a_row_have_a_phase_between_them() {
    run(|| {
        assert_ok!(begin(0));
        let deadline = newest().deadline;
        pass_phase();
        assert_noop!(begin(1), Error::<Test>::TooEarly);
        pass(deadline + PHASE - 1 - now());
        assert_noop!(begin(1), Error::<Test>::TooEarly);
        pass(1);
        assert_ok!(begin(1));
        assert_eq!(newest().id, CeremonyId(1));
        assert_eq!(newest().enrolled, set(&[1]));
        assert_eq!(LastEnded::<Test>::get(), Some(deadline));
        let failed =
            PastCeremony { id: CeremonyId(0), outcome: Err(Failure::TooFewSeats), block: now() };
        assert_eq!(Past::<Test>::get().to_vec(), [failed]);
        let event =
            Event::<Test>::Failed { ceremony: CeremonyId(0), failure: Failure::TooFewSeats };
        System::assert_has_event(event.into());
    });
}

#[test]
fn a_ceremony_that_succeeds_has_a_phase_after_it_too() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        set_active(HospitalId(3), false);
        assert_noop!(begin(0), Error::<Test>::TooEarly);
        pass(PHASE - 1);
        assert_noop!(begin(0), Error::<Test>::TooEarly);
        pass(1);
        assert_ok!(begin(0));
    });
}

/// Whatever the phase in which everybody stops, a later ceremony begins.
#[test]
fn a_ceremony_that_everybody_left_keeps_nobody_from_the_next_one() {
    for steps in 0..5 {
        run(|| {
            let members = Members::default();
            assert_ok!(begin(0));
            if steps > 0 {
                enrol_others();
            }
            if steps > 1 {
                members.deal_all();
            }
            if steps > 2 {
                assert_ok!(judge(0, &[1]));
                for hospital in [1, 2, 3] {
                    assert_ok!(judge(hospital, &[]));
                }
                assert_eq!(newest().phase, Phase::Answer);
            }
            if steps > 3 {
                assert_ok!(members.answer(1, 0));
                assert_eq!(newest().phase, Phase::Confirm);
            }
            pass(6 * PHASE);
            assert_ok!(begin(1));
            assert_eq!(newest().id, CeremonyId(1), "after {steps} steps");
        });
    }
}

#[test]
fn a_ceremony_without_a_reason_is_refused() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        pass(PHASE);
        for hospital in 0..4 {
            assert_noop!(begin(hospital), Error::<Test>::NothingToDo);
        }
    });
}

#[test]
fn a_member_without_a_seat_is_a_reason() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        pass(PHASE);
        set_active(HospitalId(2), false);
        assert_noop!(begin(2), Error::<Test>::NotAgent);
        assert_ok!(begin(1));
        let begun = newest();
        assert_eq!((begun.reshares, begun.needed), (Some(EpochId(0)), 3));
        assert_eq!((begun.seats, begun.dealers), (hospitals([0, 1, 3]), hospitals([0, 1, 3])));
    });
}

#[test]
fn a_seat_without_a_share_may_begin_and_members_may_not() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        pass(PHASE);
        admit([HospitalId(7)]);
        assert_noop!(begin(0), Error::<Test>::NothingToDo);
        assert_ok!(begin(7));
        let begun = newest();
        assert_eq!(begun.seats, hospitals([0, 1, 2, 3, 7]));
        assert_eq!((begun.dealers, begun.threshold), (hospitals(0..4), 4));
    });
}

#[test]
fn an_old_epoch_is_a_reason() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        pass(REFRESH - 1);
        assert_noop!(begin(3), Error::<Test>::NothingToDo);
        pass(1);
        assert_ok!(begin(3));
        assert_eq!(newest().reshares, Some(EpochId(0)));
    });
}

#[test]
fn fewer_members_than_the_threshold_make_no_new_shares() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        pass(PHASE);
        for hospital in [2, 3] {
            set_active(HospitalId(hospital), false);
        }
        admit([HospitalId(8)]);
        for hospital in [0, 8] {
            assert_noop!(begin(hospital), Error::<Test>::TooFewMembers);
        }
        // A new key needs no member of the epoch.
        assert_ok!(dispatch(Call::renew {}, RuntimeOrigin::root()));
        assert_ok!(begin(8));
        assert_eq!(newest().reshares, None);
    });
}

#[test]
fn what_a_ceremony_left_stays_until_the_next_epoch_begins() {
    run(|| {
        let mut members = Members::default();
        assert_ok!(begin(0));
        enrol_others();
        members.deal_all();
        assert_ok!(judge(0, &[2]));
        for hospital in [1, 2, 3] {
            assert_ok!(judge(hospital, &[]));
        }
        assert_ok!(members.answer(2, 0));
        members.confirm_all();
        members.learn();
        pass(REFRESH);
        let left = || {
            let answers = AnswersOf::<Test>::iter_keys().count();
            let keys =
                [Enrolments::<Test>::iter_keys().count(), Dealings::<Test>::iter_keys().count()];
            (keys, answers, Confirmed::<Test>::get().len())
        };
        assert_eq!(left(), ([4, 4], 1, 3));
        // One that fails leaves nothing when the next one begins.
        for _ in 0..2 {
            assert_ok!(begin(0));
            assert_eq!(left(), ([5, 4], 1, 0));
            assert_eq!(KeptCeremony::<Test>::get().map(|it| it.id), Some(CeremonyId(0)));
            ConsortiumKey::check_state().unwrap();
            pass(2 * PHASE + 1);
        }
        assert_ok!(begin(0));
        let newest = newest().id;
        members.complete();
        assert_eq!(left(), ([4, 4], 0, 3));
        assert!(Enrolments::<Test>::iter_keys().all(|(ceremony, _)| ceremony == newest));
        assert_eq!(KeptCeremony::<Test>::get(), None);
    });
}

#[test]
fn a_hospital_joins_on_its_own_once_in_a_day() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        admit([HospitalId(4)]);
        // A ceremony that fails is no join.
        pass(PHASE);
        assert_ok!(begin(4));
        pass(2 * PHASE + 1);
        members.hold(4);
        let joined = now();
        // The others renew their shares while it is away.
        pass(10 * PHASE);
        assert_ok!(dispatch(Call::refresh {}, governance(0)));
        assert_ok!(begin(0));
        for hospital in 1..4 {
            assert_ok!(enrol(hospital));
        }
        pass_phase();
        for hospital in 0..4 {
            assert_ok!(members.deal(hospital));
        }
        judge_all();
        members.confirm_all();
        members.learn();
        assert_eq!(current().members, hospitals(0..4));
        pass(PHASE);
        assert_noop!(begin(4), Error::<Test>::JoinedLately);
        pass(joined + 144 * PHASE - 1 - now());
        assert_noop!(begin(4), Error::<Test>::JoinedLately);
        pass(1);
        members.hold(4);
        assert_eq!(current().members, hospitals(0..5));
    });
}

#[test]
fn a_hospital_that_lost_its_seat_joins_again_as_soon_as_it_has_one() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        admit([HospitalId(4)]);
        members.hold(4);
        assert_eq!(Joined::<Test>::get().to_vec(), [(HospitalId(4), now())]);
        set_active(HospitalId(4), false);
        members.hold(0);
        assert!(Joined::<Test>::get().is_empty());
        set_active(HospitalId(4), true);
        members.hold(4);
        assert_eq!(current().members, hospitals(0..5));
    });
}

/// For example one that was away when the others judged, and that a dealer cheats: it could not complain.
#[test]
fn a_member_that_has_not_confirmed_within_a_phase_may_begin_once_in_a_day() {
    run(|| {
        let mut members = Members::default();
        let without_the_last = |members: &mut Members| {
            enrol_others();
            members.deal_all();
            judge_all();
            let result = members.result();
            for hospital in 0..3 {
                assert_ok!(confirm(hospital, result));
            }
            members.learn();
            assert_eq!(current().confirmed, set(&[0, 1, 2]));
        };
        assert_ok!(begin(0));
        without_the_last(&mut members);
        pass(PHASE - 1);
        assert_noop!(begin(3), Error::<Test>::TooEarly);
        pass(1);
        assert_noop!(begin(2), Error::<Test>::NothingToDo);
        assert_ok!(begin(3));
        assert_eq!(newest().reshares, Some(EpochId(0)));
        without_the_last(&mut members);
        let joined = now();
        pass(PHASE);
        assert_noop!(begin(3), Error::<Test>::JoinedLately);
        pass(joined + 144 * PHASE - now());
        members.hold(3);
        assert_eq!(current().confirmed, set(&[0, 1, 2, 3]));
    });
}

/// A hospital that joined lately may begin a ceremony that is due for another reason.
#[test]
fn who_joined_lately_begins_for_other_reasons() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        admit([HospitalId(4)]);
        members.hold(4);
        set_active(HospitalId(1), false);
        members.hold(4);
        assert_eq!(current().members, hospitals([0, 2, 3, 4]));
    });
}
