use epione_primitives::{
    HospitalId,
    consortium::{
        self, CeremonyId, Confirmation, Dealing, Epoch, EpochId, Failure, KeyId, PastCeremony,
        Phase, RevealedShare, SeatSet,
    },
};
use frame_support::{assert_err, assert_ok};

use super::ELSEWHERE;
use crate::{
    AnswersOf, Ceremony, Committee, Confirmed, Current, Dealings, Enrolments, Epochs, Joined,
    Joining, Kept as KeptCeremony, LastRequest, NextCeremony, NextKey, Past, RefreshRequested,
    RenewalDecided, Schedule, mock::*,
};

/// The ceremony that runs, and the one that made the current epoch.
const NEWEST: CeremonyId = CeremonyId(2);
const KEPT: CeremonyId = CeremonyId(1);

/// Runs a test that breaks a state with two epochs of a key, and a ceremony in which a dealer answered a complaint and
/// one member has confirmed; and expects this finding.
fn finds(expected: &'static str, breaks: impl FnOnce()) {
    externalities_of(4).execute_with(|| {
        let mut members = Members::default();
        members.hold(0);
        pass(REFRESH);
        members.hold(0);
        pass(REFRESH);
        assert_ok!(begin(0));
        enrol_others();
        members.deal_all();
        for hospital in [1, 2, 3] {
            assert_ok!(judge(hospital, &[]));
        }
        assert_ok!(judge(0, &[1]));
        assert_ok!(members.answer(1, 0));
        assert_ok!(confirm(2, members.result()));
        ConsortiumKey::check_state().unwrap();
        breaks();
        assert_err!(ConsortiumKey::check_state(), expected);
    });
}

fn change(change: impl FnOnce(&mut consortium::Ceremony)) {
    Ceremony::<Test>::mutate(|ceremony| change(ceremony.as_mut().unwrap()));
}

/// Changes the second epoch.
fn change_epoch(change: impl FnOnce(&mut Epoch)) {
    Epochs::<Test>::mutate(EpochId(1), |epoch| change(epoch.as_mut().unwrap()));
}

fn change_answer(change: impl FnOnce(&mut RevealedShare)) {
    AnswersOf::<Test>::mutate(NEWEST, 1, |answers| change(&mut answers[0]));
}

#[test]
fn a_schedule_or_a_committee_that_nobody_can_choose_is_found() {
    finds("the schedule is out of bounds", || {
        Schedule::<Test>::mutate(|schedule| schedule.phase = 1);
    });
    for wrong in [vec![1], vec![2, 1], vec![1, 1]] {
        finds("a committee is too small or does not ascend", || {
            Committee::<Test>::put(hospitals(wrong));
        });
    }
}

#[test]
fn a_ceremony_that_nobody_can_begin_is_found() {
    let number = "the newest ceremony does not have the last number";
    finds(number, || NextCeremony::<Test>::put(CeremonyId(9)));
    finds(number, || change(|it| it.id = CeremonyId(1)));
    let order = "the seats or the dealers do not ascend";
    finds(order, || change(|it| it.seats[0] = HospitalId(2)));
    finds(order, || change(|it| it.dealers[3] = HospitalId(2)));
    let thresholds = "the thresholds of a ceremony do not follow from its seats";
    finds(thresholds, || change(|it| it.threshold = 2));
    finds(thresholds, || change(|it| it.enrolled = set(&[0, 1, 2])));
    finds(thresholds, || change(|it| it.least = 1));
    finds(thresholds, || change(|it| it.least = 4));
    finds(thresholds, || change(|it| it.needed = 5));
    finds(thresholds, || change(|it| it.needed = 0));
    let strangers = "somebody took part who does not belong to the ceremony";
    finds(strangers, || change(|it| it.enrolled.insert(4)));
    finds(strangers, || change(|it| it.dealt.insert(4)));
    finds(strangers, || {
        change(|it| {
            it.enrolled = set(&[0, 1, 2]);
            it.threshold = 2;
        });
    });
    finds("the complaints are not about the dealers", || change(|it| it.complaints.truncate(3)));
    finds("the complaints are not about the dealers", || change(|it| it.answered.truncate(3)));
    let complaint = "a complaint is by a seat that did not judge, or about no dealing";
    finds(complaint, || change(|it| it.judged = set(&[1, 2, 3])));
    finds(complaint, || change(|it| it.dealt = set(&[0, 2, 3])));
    let many = "a seat accuses more dealers than may be faulty";
    finds(many, || change(|it| it.complaints[2] = set(&[0])));
    let answer = "an answer is to no complaint, or to more than may be wrong";
    finds(answer, || change(|it| it.complaints[1] = SeatSet::default()));
    finds(answer, || {
        change(|it| {
            it.complaints[1] = set(&[0, 1]);
            it.answered[1] = set(&[0, 1]);
        });
    });
}

#[test]
fn published_things_that_are_not_of_the_ceremony_are_found() {
    let keys = "the sealing keys differ from the enrolled seats";
    finds(keys, || Enrolments::<Test>::remove(NEWEST, 2));
    finds(keys, || Enrolments::<Test>::insert(NEWEST, 200, ELSEWHERE.mixing));
    let dealings = "the dealings differ from the dealers that dealt";
    finds(dealings, || Dealings::<Test>::remove(NEWEST, 2));
    finds(dealings, || Dealings::<Test>::remove(KEPT, 2));
    let a_dealing = || Dealings::<Test>::get(NEWEST, 2).unwrap();
    finds(dealings, || Dealings::<Test>::insert(NEWEST, 200, a_dealing()));
    let over = "something is stored of a ceremony that is over";
    finds(over, || Dealings::<Test>::insert(CeremonyId(0), 2, a_dealing()));
    finds(over, || Enrolments::<Test>::insert(CeremonyId(0), 2, ELSEWHERE.mixing));
    finds(over, KeptCeremony::<Test>::kill);
    let change_dealing = |change: fn(&mut Dealing)| {
        Dealings::<Test>::mutate(NEWEST, 2, |dealing| change(dealing.as_mut().unwrap()));
    };
    let points = "commitments are not as many points as the threshold";
    finds(points, || change_dealing(|it| it.commitments.truncate(2)));
    finds(points, || change_dealing(|it| it.commitments[1] = [0; 32]));
    finds("an answer has no dealer", || {
        let answers = AnswersOf::<Test>::get(NEWEST, 1);
        AnswersOf::<Test>::insert(NEWEST, 9, answers);
    });
    let answers = "the answers differ from the seats whose complaints are answered";
    finds(answers, || AnswersOf::<Test>::remove(NEWEST, 1));
    finds(answers, || change_answer(|it| it.seat = 2));
    let committed = "an answer is not what its dealer committed to";
    finds(committed, || change_answer(|it| it.share[0] ^= 1));
    finds(committed, || change_answer(|it| it.part[0] ^= 1));
}

#[test]
fn confirmations_that_nobody_can_send_are_found() {
    let other = "a confirmation is not of another enrolled seat";
    let add = |seat| {
        Confirmed::<Test>::mutate(|all| {
            all.try_push(Confirmation { seat, result: ELSEWHERE }).unwrap();
        });
    };
    finds(other, || add(2));
    finds(other, || add(4));
    let enough = "an epoch did not begin with enough equal confirmations";
    finds(enough, || [0, 1, 3].into_iter().for_each(add));
    finds(enough, || change(|it| it.phase = Phase::Activated));
    finds("a ceremony was confirmed before its last phase", || {
        change(|it| it.phase = Phase::Answer);
    });
}

#[test]
fn epochs_that_no_ceremony_made_are_found() {
    let count = "an epoch is not numbered up to the current one";
    finds(count, || Current::<Test>::put(EpochId(0)));
    finds(count, Current::<Test>::kill);
    finds("an epoch is missing", || {
        let epoch = Epochs::<Test>::take(EpochId(0)).unwrap();
        Epochs::<Test>::insert(EpochId(5), epoch);
    });
    finds("an epoch has another number", || change_epoch(|it| it.id = EpochId(0)));
    finds("an epoch began in the future", || change_epoch(|it| it.since = now() + 1));
    finds("an epoch began in the future", || change_epoch(|it| it.ceremony = CeremonyId(3)));
    let members = "an epoch has too few members, or they do not ascend";
    finds(members, || change_epoch(|it| it.members.truncate(2)));
    finds(members, || change_epoch(|it| it.members[0] = HospitalId(1)));
    let confirmed = "an epoch was confirmed by too few, or by somebody who is no member";
    finds(confirmed, || change_epoch(|it| it.confirmed = set(&[0, 1])));
    finds(confirmed, || change_epoch(|it| it.confirmed.insert(4)));
    let faulty = "as many members of an epoch may be faulty as no ceremony allows";
    finds(faulty, || change_epoch(|it| it.faulty = 0));
    finds(faulty, || change_epoch(|it| it.faulty = 11));
    finds("commitments are not as many points as the threshold", || {
        change_epoch(|it| it.commitments.truncate(2));
    });
    finds("a key is not the same or the next one", || change_epoch(|it| it.key = KeyId(2)));
    finds("the public key changed within the epochs of a key", || {
        change_epoch(|it| it.commitments[0] = it.commitments[1]);
    });
    let link = "an epoch lacks a link, or links another key";
    finds(link, || change_epoch(|it| it.link = None));
    finds(link, || change_epoch(|it| it.key = KeyId(1)));
    finds("epochs do not follow each other", || change_epoch(|it| it.ceremony = CeremonyId(0)));
    finds("epochs do not follow each other", || change_epoch(|it| it.since = 1));
    finds("the next key does not follow the current one", || NextKey::<Test>::put(KeyId(2)));
}

#[test]
fn past_ceremonies_that_did_not_happen_are_found() {
    let add = |id: u32, block| {
        let failed = Err(Failure::TooFewSeats);
        let past = PastCeremony { id: CeremonyId(id), outcome: failed, block };
        Past::<Test>::mutate(|all| all.try_push(past).unwrap());
    };
    finds("the past ceremonies do not ascend", || add(1, now()));
    finds("the past ceremonies do not ascend", || add(2, 1));
    let last = "the past ceremonies do not end with the newest one that is over";
    finds(last, || add(2, now()));
    finds(last, || {
        Confirmed::<Test>::kill();
        change(|it| it.phase = Phase::Failed(Failure::TooFewSeats));
    });
    finds("a past ceremony made another epoch", || {
        Past::<Test>::mutate(|all| all[0].outcome = Ok(EpochId(1)));
    });
}

#[test]
fn a_kept_ceremony_that_made_no_epoch_is_found() {
    let kept = "the ceremony of the current epoch is not kept";
    finds(kept, || {
        KeptCeremony::<Test>::mutate(|it| {
            it.as_mut().unwrap().phase = Phase::Failed(Failure::TooFewConfirmed);
        });
    });
}

#[test]
fn requests_and_joins_that_did_not_happen_are_found() {
    let future = "somebody requested or joined in the future";
    finds(future, || LastRequest::<Test>::insert(HospitalId(1), now() + 1));
    let join = |blocks: &[u32]| {
        let joins = blocks.iter().map(|block| (HospitalId(1), *block)).collect();
        Joined::<Test>::put(consortium::Joins::truncate_from(joins));
    };
    finds(future, || join(&[now() + 1]));
    finds(future, || join(&[9, 8]));
    finds("a hospital joins without a ceremony", || Joining::<Test>::put(HospitalId(9)));
}

#[test]
fn what_is_due_without_a_key_is_found() {
    let due = "new shares or a new key are due though there is no key";
    let each: [fn(); 2] =
        [|| RefreshRequested::<Test>::put(true), || RenewalDecided::<Test>::put(true)];
    for breaks in each {
        run(|| {
            breaks();
            assert_err!(ConsortiumKey::check_state(), due);
            RefreshRequested::<Test>::kill();
            RenewalDecided::<Test>::kill();
        });
    }
    run(|| {
        let answers = consortium::Answers::default();
        AnswersOf::<Test>::insert(NEWEST, 0, answers);
        let over = "something is stored of a ceremony that is over";
        assert_err!(ConsortiumKey::check_state(), over);
        AnswersOf::<Test>::remove(NEWEST, 0);
    });
}
