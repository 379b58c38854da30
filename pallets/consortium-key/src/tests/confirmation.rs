use epione_primitives::{
    Hash, HospitalId,
    consortium::{CeremonyId, CeremonyResult, EpochId, Failure, KeyId, PastCeremony, Phase},
};
use frame_support::{assert_noop, assert_ok};

use super::ELSEWHERE;
use crate::{Call, Confirmed, Error, Event, Past, WeightInfo as _, mock::*};

/// A ceremony of four hospitals in which all have dealt and nobody complained.
fn judged() -> Members {
    let members = Members::default();
    assert_ok!(begin(0));
    enrol_others();
    members.deal_all();
    judge_all();
    assert_eq!(newest().phase, Phase::Confirm);
    members
}

#[test]
fn as_many_equal_results_as_the_threshold_begin_an_epoch() {
    run(|| {
        let mut members = judged();
        let result = members.result();
        assert_ok!(confirm(3, result));
        assert_ok!(confirm(0, result));
        assert_noop!(confirm(0, result), Error::<Test>::AlreadyConfirmed);
        assert_eq!(newest().phase, Phase::Confirm);
        pass(2);
        assert_ok!(confirm(1, result));
        assert_eq!(newest().phase, Phase::Activated);

        let epoch = current();
        assert_eq!((epoch.id, epoch.key, epoch.ceremony), (EpochId(0), KeyId(0), CeremonyId(0)));
        assert_eq!((epoch.members.clone(), epoch.threshold), (hospitals(0..4), 3));
        assert_eq!((epoch.mixing, epoch.link, epoch.since), (result.mixing, None, now()));
        assert_eq!(epoch.confirmed, set(&[0, 1, 3]));
        let past = PastCeremony { id: CeremonyId(0), outcome: Ok(EpochId(0)), block: now() };
        assert_eq!(Past::<Test>::get().to_vec(), [past]);
        let (ceremony, epoch, key) = (CeremonyId(0), EpochId(0), KeyId(0));
        let event = Event::<Test>::Activated { ceremony, epoch, key };
        System::assert_last_event(event.into());
        members.learn();
    });
}

#[test]
fn a_confirmation_that_does_not_decide_is_refunded() {
    run(|| {
        let result = judged().result();
        let call = Call::confirm { ceremony: newest().id, result };
        for hospital in [0, 1] {
            let weight = post_info(call.clone(), agent(hospital)).unwrap().actual_weight;
            assert_eq!(weight, Some(<()>::confirm()));
        }
        let refused = post_info(call.clone(), agent(0)).unwrap_err();
        assert_eq!(refused.post_info.actual_weight, Some(<()>::confirm()));
        let weight = post_info(call.clone(), agent(2)).unwrap().actual_weight;
        assert_eq!(weight, Some(<()>::activate()));
        let late = post_info(call, agent(3)).unwrap().actual_weight;
        assert_eq!(late, Some(<()>::confirm()));
    });
}

#[test]
fn unequal_results_begin_nothing() {
    run(|| {
        let members = judged();
        let result = members.result();
        let other = CeremonyResult { mixing: Hash::repeat_byte(1), link: None };
        assert_ok!(confirm(0, result));
        assert_ok!(confirm(1, other));
        assert_ok!(confirm(2, ELSEWHERE));
        assert_ok!(confirm(3, result));
        assert_eq!(Confirmed::<Test>::get().len(), 4);
        assert_eq!(newest().phase, Phase::Confirm);
        for (hospital, again) in [(0, other), (1, result), (2, result)] {
            assert_noop!(confirm(hospital, again), Error::<Test>::AlreadyConfirmed);
        }
        pass_phase();
        assert_eq!(newest().phase, Phase::Failed(Failure::TooFewConfirmed));
        assert_noop!(confirm(3, result), Error::<Test>::WrongPhase);
        // The next one succeeds.
        Members::default().hold(2);
        assert_eq!((current().id, current().ceremony), (EpochId(0), CeremonyId(1)));
    });
}

/// One liar among four changes nothing, and has no confirmed share.
#[test]
fn a_wrong_result_does_not_stop_the_others() {
    run(|| {
        let members = judged();
        assert_ok!(confirm(2, ELSEWHERE));
        for hospital in [0, 1, 3] {
            assert_ok!(confirm(hospital, members.result()));
        }
        assert_eq!(current().confirmed, set(&[0, 1, 3]));
        assert_noop!(confirm(2, ELSEWHERE), Error::<Test>::WrongResult);
        assert_ok!(confirm(2, members.result()));
        assert_eq!(current().confirmed, set(&[0, 1, 2, 3]));
    });
}

#[test]
fn a_member_that_was_away_confirms_late_and_once() {
    run(|| {
        let mut members = judged();
        let result = members.result();
        for hospital in [0, 1, 2] {
            assert_ok!(confirm(hospital, result));
        }
        pass(100 * PHASE);
        let wrong = CeremonyResult { link: Some([0; 40]), ..result };
        for wrong in [ELSEWHERE, wrong] {
            assert_noop!(confirm(3, wrong), Error::<Test>::WrongResult);
        }
        assert_ok!(confirm(3, result));
        let (ceremony, hospital) = (CeremonyId(0), HospitalId(3));
        System::assert_last_event(Event::<Test>::Confirmed { ceremony, hospital }.into());
        assert_eq!(current().confirmed, set(&[0, 1, 2, 3]));
        assert_noop!(confirm(3, result), Error::<Test>::AlreadyConfirmed);
        assert_noop!(confirm(0, result), Error::<Test>::AlreadyConfirmed);
        // Not when the next epoch has begun.
        members.learn();
        pass(REFRESH);
        members.hold(0);
        let call = Call::confirm { ceremony: CeremonyId(0), result };
        assert_noop!(dispatch(call, agent(3)), Error::<Test>::AnotherCeremony);
    });
}

/// The next ceremony takes nothing from a member that was away.
#[test]
fn a_member_confirms_late_while_another_ceremony_runs() {
    run(|| {
        let mut members = judged();
        let result = members.result();
        for hospital in [0, 1, 2] {
            assert_ok!(confirm(hospital, result));
        }
        members.learn();
        pass(REFRESH);
        assert_ok!(begin(0));
        enrol_others();
        let call = Call::confirm { ceremony: CeremonyId(0), result };
        assert_ok!(dispatch(call.clone(), agent(3)));
        assert_eq!((current().id, current().confirmed), (EpochId(0), set(&[0, 1, 2, 3])));
        assert_noop!(dispatch(call, agent(3)), Error::<Test>::AlreadyConfirmed);
        assert_eq!(Confirmed::<Test>::get().len(), 0, "it is none of the running ceremony");
        // The running one goes on.
        members.deal_all();
        judge_all();
        members.confirm_all();
        members.learn();
        assert_eq!(current().id, EpochId(1));
    });
}

#[test]
fn nobody_confirms_what_is_not_judged() {
    run(|| {
        let members = Members::default();
        assert_ok!(begin(0));
        assert_noop!(confirm(0, ELSEWHERE), Error::<Test>::WrongPhase);
        enrol_others();
        assert_noop!(confirm(0, ELSEWHERE), Error::<Test>::WrongPhase);
        members.deal_all();
        assert_noop!(confirm(0, members.result()), Error::<Test>::WrongPhase);
    });
}

#[test]
fn the_result_has_a_link_if_there_is_something_to_link() {
    run(|| {
        let mut members = judged();
        let linked = CeremonyResult { link: Some([1; 40]), ..members.result() };
        assert_noop!(confirm(0, linked), Error::<Test>::WrongResult);
        members.confirm_all();
        members.learn();
        pass(REFRESH);
        assert_ok!(begin(0));
        enrol_others();
        members.deal_all();
        judge_all();
        let unlinked = CeremonyResult { link: None, ..members.result() };
        assert_noop!(confirm(0, unlinked), Error::<Test>::WrongResult);
        assert_ok!(confirm(0, members.result()));
    });
}

#[test]
fn hospitals_without_a_seat_confirm_nothing() {
    run(|| {
        let members = judged();
        admit([HospitalId(5)]);
        assert_noop!(confirm(5, members.result()), Error::<Test>::NotSeat);
    });
}
