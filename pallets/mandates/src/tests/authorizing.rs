use epione_mocks::Users;
use epione_primitives::{
    AccountId, HospitalId, Moment, limits::MAX_AUTHORIZATION_MILLIS, mandate::Mandate, ports,
};
use frame_support::{assert_noop, assert_ok};

use super::accounts_of_no_user;
use crate::{Authorizations, Call, EarlierAuthorizationCount, Error, Event, mock::*};

fn authorizes(hospital: HospitalId, at: Moment) -> bool {
    <Mandates as ports::Mandates>::authorizes(CHILD, hospital, at)
}

#[test]
fn a_hospital_is_authorized_until_the_end() {
    run(|| {
        assert!(!authorizes(HOME, BEGIN));
        assert_ok!(authorize(HOME, UNTIL));
        let event = Event::<Test>::Authorized { patient: CHILD, hospital: HOME, until: UNTIL };
        System::assert_last_event(event.into());
        for (at, expected) in
            [(0, false), (BEGIN - 1, false), (BEGIN, true), (UNTIL - 1, true), (UNTIL, false)]
        {
            assert_eq!(authorizes(HOME, at), expected, "{at}");
        }
        assert!(!authorizes(AWAY, BEGIN));
        assert!(!Mandates::authorized(OTHER_PATIENT, HOME, BEGIN));
    });
}

#[test]
fn nobody_but_a_patient_authorizes_and_revokes() {
    run(|| {
        let calls = [
            Call::<Test>::authorize { hospital: HOME, until: UNTIL },
            Call::revoke { hospital: HOME },
        ];
        for call in calls {
            for account in accounts_of_no_user() {
                let origin = RuntimeOrigin::signed(account);
                assert_noop!(dispatch(call.clone(), origin), Error::<Test>::NotPatient);
            }
            assert_noop!(dispatch(call, user(DOCTOR)), Error::<Test>::NotPatient);
        }
        Users::set_account(CHILD, AccountId::new([8; 32]));
        assert_noop!(authorize(HOME, UNTIL), Error::<Test>::NotPatient);
    });
}

#[test]
fn a_patient_authorizes_active_hospitals_at_which_they_are_registered() {
    run(|| {
        assert_noop!(authorize(NOWHERE, UNTIL), Error::<Test>::UnknownHospital);
        assert_noop!(authorize(AWAY, UNTIL), Error::<Test>::NotRegistered);
        set_active(HOME, false);
        assert_noop!(authorize(HOME, UNTIL), Error::<Test>::UnknownHospital);
        // It announces nothing any more.
        epione_mocks::set_leaving(HOME);
        assert_noop!(authorize(HOME, UNTIL), Error::<Test>::UnknownHospital);
        set_active(HOME, true);
        end_registration(HOME, CHILD);
        assert_noop!(authorize(HOME, UNTIL), Error::<Test>::NotRegistered);
        register(HOME, CHILD, 0);
        assert_ok!(authorize(HOME, UNTIL));
    });
}

#[test]
fn an_authorization_ends_later_and_within_the_longest_time() {
    run(|| {
        let longest = BEGIN + MAX_AUTHORIZATION_MILLIS;
        for until in [0, BEGIN, longest + 1, Moment::MAX] {
            assert_noop!(authorize(HOME, until), Error::<Test>::WrongUntil);
        }
        assert_ok!(authorize(HOME, BEGIN + 1));
        assert_ok!(authorize(HOME, longest));
    });
}

#[test]
fn to_authorize_again_replaces_the_end() {
    run(|| {
        assert_ok!(authorize(HOME, UNTIL));
        pass(100);
        assert_ok!(authorize(HOME, UNTIL + 500));
        let expected = Mandate { since: BEGIN, until: UNTIL + 500, ended: None };
        assert_eq!(Mandates::authorizations(CHILD), [(HOME, expected)]);
        assert_eq!(EarlierAuthorizationCount::<Test>::get(CHILD, HOME), 0);
    });
}

#[test]
fn a_patient_without_a_registration_in_force_revokes() {
    run(|| {
        assert_noop!(revoke(HOME), Error::<Test>::NotAuthorized);
        assert_ok!(authorize(HOME, UNTIL));
        end_registration(HOME, CHILD);
        set_active(HOME, false);
        pass(10);
        assert!(Mandates::can_revoke(CHILD, HOME));
        assert_ok!(revoke(HOME));
        assert!(!Mandates::can_revoke(CHILD, HOME));
        System::assert_last_event(Event::<Test>::Revoked { patient: CHILD, hospital: HOME }.into());
        assert!(authorizes(HOME, BEGIN + 9) && !authorizes(HOME, BEGIN + 10));
        assert_noop!(revoke(HOME), Error::<Test>::NotAuthorized);
    });
}

#[test]
fn decisions_about_the_past_follow_the_authorization_of_that_time() {
    run(|| {
        for _ in 0..5 {
            assert_ok!(authorize(HOME, UNTIL));
            pass(50);
            assert_ok!(revoke(HOME));
            pass(50);
        }
        assert_eq!(EarlierAuthorizationCount::<Test>::get(CHILD, HOME), 4);
        for offset in 0..500 {
            assert_eq!(authorizes(HOME, BEGIN + offset), offset % 100 < 50, "{offset}");
        }
    });
}

#[test]
fn authorizations_are_listed_by_hospital() {
    run(|| {
        register(AWAY, CHILD, 0);
        assert_ok!(authorize(AWAY, UNTIL));
        assert_ok!(authorize(HOME, UNTIL));
        assert_ok!(revoke(AWAY));
        let listed: Vec<_> =
            Mandates::authorizations(CHILD).into_iter().map(|(hospital, _)| hospital).collect();
        assert_eq!(listed, [HOME, AWAY], "those that ended are listed, too");
        assert!(Authorizations::<Test>::get(CHILD, AWAY).unwrap().ended.is_some());
        assert!(Mandates::authorizations(OTHER_PATIENT).is_empty());
    });
}
