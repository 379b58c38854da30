use epione_primitives::{
    Moment, UserId,
    limits::{MAX_AUTHORIZATION_MILLIS, MAX_REPRESENTATION_MILLIS},
    mandate::Mandate,
};
use frame_support::{assert_err, assert_ok};

use crate::{
    Acting, ActingOf, Authorizations, EarlierAuthorizationCount, EarlierAuthorizations,
    EarlierRepresentationCount, EarlierRepresentations, Representatives, mock::*,
};

/// Runs a test that breaks a state in which the mother, whose earlier mandate is over, and the father represent the
/// child, and HOME is authorized again; and expects this finding.
fn finds(expected: &'static str, breaks: impl FnOnce()) {
    externalities().execute_with(|| {
        assert_ok!(appoint(MOTHER, BEGIN + 5));
        assert_ok!(authorize(HOME, BEGIN + 5));
        pass(10);
        assert_ok!(appoint(MOTHER, UNTIL));
        assert_ok!(appoint(FATHER, UNTIL));
        assert_ok!(authorize(HOME, UNTIL));
        Mandates::check_state().unwrap();
        breaks();
        assert_err!(Mandates::check_state(), expected);
    });
}

fn change_mothers(change: impl FnOnce(&mut Mandate)) {
    Representatives::<Test>::mutate(CHILD, MOTHER, |newest| change(newest.as_mut().unwrap()));
}

fn change_earlier(change: impl FnOnce(&mut Mandate)) {
    EarlierRepresentations::<Test>::mutate((CHILD, MOTHER, 0), |earlier| {
        change(earlier.as_mut().unwrap());
    });
}

/// Changes the list of the child's representatives.
fn change_list(change: impl FnOnce(&mut Vec<(UserId, Moment)>)) {
    ActingOf::<Test>::mutate(CHILD, |acting| {
        let mut list = acting.to_vec();
        change(&mut list);
        *acting = Acting::truncate_from(list);
    });
}

#[test]
fn mandates_that_nobody_can_give_are_found() {
    finds("a mandate was never in force", || change_mothers(|it| it.until = it.since));
    finds("a mandate is longer than the longest", || {
        change_mothers(|it| it.until = Now::get() + MAX_REPRESENTATION_MILLIS + 1);
    });
    finds("a mandate is longer than the longest", || {
        let until = Now::get() + MAX_AUTHORIZATION_MILLIS + 1;
        let mandate = Mandate { since: BEGIN + 10, until, ended: None };
        Authorizations::<Test>::insert(CHILD, HOME, mandate);
    });
    let outside: [fn(&mut Mandate); 2] =
        [|it| it.ended = Some(it.since - 1), |it| it.ended = Some(it.until)];
    for breaks in outside {
        finds("a mandate was ended while it was not in force", || change_mothers(breaks));
    }
    let future: [fn(&mut Mandate); 2] =
        [|it| it.since = BEGIN + 11, |it| it.ended = Some(BEGIN + 11)];
    for breaks in future {
        finds("a mandate began or ended in the future", || change_mothers(breaks));
    }
    finds("a user represents themselves", || {
        let mandate = Mandate { since: BEGIN, until: UNTIL, ended: None };
        Representatives::<Test>::insert(CHILD, CHILD, mandate);
    });
}

#[test]
fn earlier_mandates_with_gaps_or_out_of_order_are_found() {
    finds("an earlier mandate is missing", || {
        EarlierRepresentations::<Test>::remove((CHILD, MOTHER, 0));
    });
    finds("an earlier mandate is missing", || {
        EarlierAuthorizations::<Test>::remove((CHILD, HOME, 0));
    });
    finds("an earlier mandate is not counted", || {
        EarlierRepresentationCount::<Test>::remove(CHILD, MOTHER);
    });
    finds("an earlier mandate is not counted", || {
        EarlierAuthorizationCount::<Test>::remove(CHILD, HOME);
    });
    finds("two mandates overlap", || change_earlier(|it| it.until = UNTIL));
    finds("mandates are not in order", || change_mothers(|it| it.since = BEGIN - 1));
}

#[test]
fn lists_of_others_than_the_representatives_in_force_are_found() {
    finds("a representative in force is not listed", || change_list(|list| list.truncate(0)));
    finds("a representative in force is not listed", || change_list(|list| list[0].1 += 1));
    finds("a representative is listed twice", || change_list(|list| list.push((MOTHER, UNTIL))));
    let somebody = "somebody is listed who is not a representative";
    finds(somebody, || change_list(|list| list.push((DOCTOR, UNTIL))));
    finds(somebody, || change_mothers(|it| it.ended = Some(BEGIN + 10)));
    finds("an empty list of representatives is stored", || {
        ActingOf::<Test>::mutate(OTHER_PATIENT, |_| ());
    });
}
