use epione_mocks::{Users, add_user};
use epione_primitives::{
    AccountId, Moment,
    limits::{MAX_PAGE, MAX_REPRESENTATION_MILLIS},
    mandate::Mandate,
    ports,
    profile::Role,
};
use frame_support::{assert_noop, assert_ok};

use super::accounts_of_no_user;
use crate::{ActingOf, Call, EarlierRepresentationCount, Error, Event, Representatives, mock::*};

fn represents(user: epione_primitives::UserId, at: Moment) -> bool {
    <Mandates as ports::Mandates>::represents(user, CHILD, at)
}

#[test]
fn a_representative_acts_from_the_appointment_until_its_end() {
    run(|| {
        assert!(!represents(MOTHER, BEGIN));
        assert_ok!(appoint(MOTHER, UNTIL));
        let event =
            Event::<Test>::Appointed { patient: CHILD, representative: MOTHER, until: UNTIL };
        System::assert_last_event(event.into());
        let expected = Mandate { since: BEGIN, until: UNTIL, ended: None };
        assert_eq!(Mandates::representatives(CHILD, None, 9), [(MOTHER, expected)]);
        for (at, expected) in
            [(0, false), (BEGIN - 1, false), (BEGIN, true), (UNTIL - 1, true), (UNTIL, false)]
        {
            assert_eq!(represents(MOTHER, at), expected, "{at}");
        }
        assert!(!represents(FATHER, BEGIN));
        assert_eq!(Mandates::representation_at(MOTHER, OTHER_PATIENT, BEGIN), None);
        assert_eq!(Mandates::representation_at(CHILD, MOTHER, BEGIN), None, "it is not mutual");
    });
}

#[test]
fn nobody_but_a_patient_appoints() {
    run(|| {
        let call = Call::<Test>::appoint { representative: MOTHER, until: UNTIL };
        for account in accounts_of_no_user() {
            let origin = RuntimeOrigin::signed(account);
            assert_noop!(dispatch(call.clone(), origin), Error::<Test>::NotPatient);
        }
        assert_noop!(dispatch(call.clone(), user(DOCTOR)), Error::<Test>::NotPatient);
        Users::set_account(CHILD, AccountId::new([8; 32]));
        assert_noop!(dispatch(call.clone(), user(CHILD)), Error::<Test>::NotPatient);
        assert_ok!(dispatch(call, RuntimeOrigin::signed(AccountId::new([8; 32]))));
    });
}

#[test]
fn a_representative_is_another_registered_user() {
    run(|| {
        assert_noop!(appoint(CHILD, UNTIL), Error::<Test>::RepresentsThemselves);
        assert_noop!(appoint(STRANGER, UNTIL), Error::<Test>::UnknownRepresentative);
        add_user(STRANGER, Role::Doctor);
        assert_noop!(appoint(STRANGER, UNTIL), Error::<Test>::RepresentativeNotRegistered);
        end_registration(AWAY, MOTHER);
        assert_noop!(appoint(MOTHER, UNTIL), Error::<Test>::RepresentativeNotRegistered);
        assert_ok!(appoint(DOCTOR, UNTIL));
    });
}

#[test]
fn a_representation_ends_later_and_within_the_longest_time() {
    run(|| {
        let longest = BEGIN + MAX_REPRESENTATION_MILLIS;
        for until in [0, BEGIN, longest + 1, Moment::MAX] {
            assert_noop!(appoint(MOTHER, until), Error::<Test>::WrongUntil);
        }
        assert_ok!(appoint(MOTHER, BEGIN + 1));
        assert_ok!(appoint(FATHER, longest));
    });
}

#[test]
fn to_appoint_again_replaces_the_end_and_changes_no_answer_about_the_past() {
    run(|| {
        assert_ok!(appoint(MOTHER, UNTIL));
        pass(100);
        for until in [UNTIL + 500, BEGIN + 200] {
            assert_ok!(appoint(MOTHER, until));
            let expected = Mandate { since: BEGIN, until, ended: None };
            assert_eq!(Representatives::<Test>::get(CHILD, MOTHER), Some(expected));
            assert_eq!(ActingOf::<Test>::get(CHILD).to_vec(), [(MOTHER, until)]);
            assert!(represents(MOTHER, BEGIN) && represents(MOTHER, BEGIN + 100));
        }
        assert_eq!(EarlierRepresentationCount::<Test>::get(CHILD, MOTHER), 0);
        assert!(!represents(MOTHER, BEGIN + 200));
    });
}

/// What a representative did by a mandate is judged by that mandate: a new appointment is another one.
#[test]
fn a_renewal_keeps_the_beginning_of_the_mandate_and_a_new_appointment_does_not() {
    run(|| {
        let since = |at| Mandates::representation_at(MOTHER, CHILD, at).map(|it| it.since);
        assert_ok!(appoint(MOTHER, UNTIL));
        pass(10);
        assert_ok!(appoint(MOTHER, UNTIL + 1));
        assert_eq!(since(BEGIN + 10), Some(BEGIN));
        assert_ok!(dismiss(CHILD, MOTHER));
        pass(10);
        assert_eq!(since(BEGIN + 20), None);
        assert_ok!(appoint(MOTHER, UNTIL));
        assert_eq!((since(BEGIN + 20), since(BEGIN + 9)), (Some(BEGIN + 20), Some(BEGIN)));
    });
}

#[test]
fn decisions_about_the_past_follow_the_mandate_of_that_time() {
    run(|| {
        // In force in the first half of each hundred milliseconds.
        for _ in 0..9 {
            assert_ok!(appoint(MOTHER, Now::get() + 50));
            pass(100);
        }
        assert_eq!(EarlierRepresentationCount::<Test>::get(CHILD, MOTHER), 8);
        assert!(!represents(MOTHER, BEGIN - 1));
        for offset in 0..900 {
            let expected = offset % 100 < 50;
            assert_eq!(represents(MOTHER, BEGIN + offset), expected, "{offset}");
        }
    });
}

#[test]
fn patient_and_representative_end_the_mandate_and_nobody_else() {
    for party in [CHILD, MOTHER] {
        run(|| {
            assert_ok!(appoint(MOTHER, UNTIL));
            pass(10);
            for stranger in [FATHER, OTHER_PATIENT, DOCTOR] {
                assert_noop!(dismiss(stranger, MOTHER), Error::<Test>::NotParty);
                assert!(!Mandates::can_dismiss(stranger, CHILD, MOTHER));
            }
            for account in accounts_of_no_user() {
                let call = Call::dismiss { patient: CHILD, representative: MOTHER };
                let origin = RuntimeOrigin::signed(account);
                assert_noop!(dispatch(call, origin), Error::<Test>::NotParty);
            }
            assert!(Mandates::can_dismiss(party, CHILD, MOTHER));
            assert_ok!(dismiss(party, MOTHER));
            let event = Event::<Test>::Dismissed { patient: CHILD, representative: MOTHER };
            System::assert_last_event(event.into());
            assert!(represents(MOTHER, BEGIN + 9) && !represents(MOTHER, BEGIN + 10));
            assert!(!ActingOf::<Test>::contains_key(CHILD));
            assert!(!Mandates::can_dismiss(party, CHILD, MOTHER));
            assert_noop!(dismiss(party, MOTHER), Error::<Test>::NotRepresentative);
        });
    }
}

#[test]
fn nobody_needs_a_registration_in_force_to_end_a_mandate() {
    run(|| {
        assert_ok!(appoint(MOTHER, UNTIL));
        assert_ok!(appoint(FATHER, UNTIL));
        for (hospital, member) in [(HOME, CHILD), (AWAY, MOTHER), (AWAY, FATHER)] {
            end_registration(hospital, member);
            set_active(hospital, false);
        }
        assert_ok!(dismiss(CHILD, MOTHER));
        assert_ok!(dismiss(FATHER, FATHER));
    });
}

#[test]
fn a_mandate_that_is_over_is_not_ended_again() {
    run(|| {
        assert_noop!(dismiss(CHILD, MOTHER), Error::<Test>::NotRepresentative);
        assert_ok!(appoint(MOTHER, UNTIL));
        pass(UNTIL - BEGIN);
        assert_noop!(dismiss(CHILD, MOTHER), Error::<Test>::NotRepresentative);
    });
}

#[test]
fn only_representatives_in_force_take_places() {
    run(|| {
        assert_ok!(appoint(FATHER, BEGIN + 5));
        for guardian in GUARDIANS {
            assert_ok!(appoint(guardian, UNTIL));
        }
        assert_noop!(appoint(MOTHER, UNTIL), Error::<Test>::TooManyRepresentatives);
        assert_ok!(appoint(FATHER, BEGIN + 6));
        pass(6);
        assert_ok!(appoint(MOTHER, UNTIL));
        assert_noop!(appoint(FATHER, UNTIL), Error::<Test>::TooManyRepresentatives);
        assert_ok!(dismiss(MOTHER, MOTHER));
        assert_ok!(appoint(FATHER, UNTIL));
    });
}

#[test]
fn representatives_are_listed_page_by_page() {
    run(|| {
        let all = [MOTHER, FATHER, GUARDIANS[0]];
        for representative in all {
            assert_ok!(appoint(representative, UNTIL));
        }
        assert_ok!(dismiss(CHILD, FATHER));
        let whole = Mandates::representatives(CHILD, None, MAX_PAGE);
        assert_eq!(whole.len(), all.len(), "those whose mandates ended are listed, too");
        let mut paged = Vec::new();
        while let [next] = Mandates::representatives(CHILD, paged.last().copied(), 1)[..] {
            paged.push(next.0);
        }
        let users: Vec<_> = whole.into_iter().map(|(user, _)| user).collect();
        assert_eq!(paged, users);
        assert!(Mandates::representatives(CHILD, None, 0).is_empty());
        assert!(Mandates::representatives(OTHER_PATIENT, None, MAX_PAGE).is_empty());
    });
}
