//! A hospital confirms an attribute of a user.

use epione_primitives::{
    HospitalId,
    credential::{AttributeId, Credential},
    limits::{MAX_CREDENTIAL_MILLIS, MAX_PAGE},
};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchError::BadOrigin;

use super::*;
use crate::{EarlierCount, Error, Event};

#[test]
fn a_credential_is_in_force_from_its_block_until_its_end() {
    run(|| {
        let until = START + 50;
        assert_ok!(issue(governance(ISSUER), DOCTOR, CARDIOLOGY, until));
        let (user, attribute, issuer) = (DOCTOR, CARDIOLOGY, ISSUER);
        System::assert_last_event(Event::<Test>::Issued { user, attribute, issuer, until }.into());
        for (at, expected) in [
            (START - 1, false),
            (START, true),
            (until - 1, true),
            (until, false),
            (until + 1, false),
        ] {
            assert_eq!(holds(DOCTOR, CARDIOLOGY, ISSUER, at), expected, "{at}");
        }
        assert!(!holds(DOCTOR, ONCOLOGY, ISSUER, START));
        assert!(!holds(DOCTOR, CARDIOLOGY, OTHER, START));
        assert!(!holds(INSURER, CARDIOLOGY, ISSUER, START));
    });
}

/// The mock registers nobody with the issuer.
#[test]
fn a_hospital_confirms_users_who_are_registered_elsewhere() {
    run(|| {
        assert_ok!(issue(governance(ISSUER), DOCTOR, CARDIOLOGY, START + 1));
        assert_ok!(issue(governance(OTHER), DOCTOR, CARDIOLOGY, START + 1));
        assert!(holds(DOCTOR, CARDIOLOGY, OTHER, START));
    });
}

#[test]
fn only_the_governance_of_an_active_hospital_issues() {
    run(|| {
        for origin in not_governance() {
            assert_noop!(
                issue(origin, DOCTOR, CARDIOLOGY, START + 1),
                Error::<Test>::NotGovernance
            );
        }
        for origin in [root(), RawOrigin::None.into()] {
            assert_noop!(issue(origin, DOCTOR, CARDIOLOGY, START + 1), BadOrigin);
        }
    });
}

#[test]
fn user_and_attribute_exist() {
    run(|| {
        let origin = || governance(ISSUER);
        assert_noop!(issue(origin(), STRANGER, CARDIOLOGY, START + 1), Error::<Test>::UnknownUser);
        assert_noop!(issue(origin(), DOCTOR, UNNAMED, START + 1), Error::<Test>::UnknownAttribute);
        assert_ok!(name_attribute(root(), name("pharmacy")));
        assert_ok!(issue(origin(), DOCTOR, UNNAMED, START + 1));
    });
}

#[test]
fn the_end_is_later_than_now_and_not_too_late() {
    run(|| {
        let origin = || governance(ISSUER);
        for until in [0, START - 1, START] {
            assert_noop!(issue(origin(), DOCTOR, CARDIOLOGY, until), Error::<Test>::EndPassed);
        }
        let last = START + MAX_CREDENTIAL_MILLIS;
        for until in [last + 1, u64::MAX] {
            assert_noop!(issue(origin(), DOCTOR, CARDIOLOGY, until), Error::<Test>::EndTooLate);
        }
        assert_ok!(issue(origin(), DOCTOR, CARDIOLOGY, last));
    });
}

#[test]
fn a_renewal_replaces_the_credential_in_force() {
    run(|| {
        let origin = || governance(ISSUER);
        assert_ok!(issue(origin(), DOCTOR, CARDIOLOGY, START + 50));
        pass(10);
        // The new one may end earlier.
        assert_ok!(issue(origin(), DOCTOR, CARDIOLOGY, START + 20));
        let expected = Credential { since: START + 10, until: START + 20, revoked: None };
        assert_eq!(newest(DOCTOR, CARDIOLOGY, ISSUER), Some(expected));
        assert_eq!(EarlierCount::<Test>::get((DOCTOR, CARDIOLOGY, ISSUER)), 1);
        for (at, expected) in [(START, true), (START + 19, true), (START + 20, false)] {
            assert_eq!(holds(DOCTOR, CARDIOLOGY, ISSUER, at), expected, "{at}");
        }
    });
}

#[test]
fn a_users_credentials_are_listed_by_pages() {
    run(|| {
        let mut expected = Vec::new();
        for issuer in [ISSUER, OTHER] {
            for attribute in [CARDIOLOGY, ONCOLOGY] {
                assert_ok!(issue(governance(issuer), DOCTOR, attribute, START + 5));
                let credential = newest(DOCTOR, attribute, issuer).unwrap();
                expected.push((attribute, issuer, credential));
            }
        }
        assert_ok!(issue(governance(ISSUER), INSURER, CARDIOLOGY, START + 5));
        let mut listed = Vec::new();
        let mut after = None;
        loop {
            let page = Credentials::credentials(DOCTOR, after, 3);
            let Some((attribute, issuer, _)) = page.last() else { break };
            after = Some((*attribute, *issuer));
            listed.extend(page);
        }
        listed.sort_by_key(|(attribute, issuer, _)| (*issuer, *attribute));
        assert_eq!(listed, expected);
        assert!(Credentials::credentials(STRANGER, None, u32::MAX).is_empty());
        assert!(Credentials::credentials(DOCTOR, None, 0).is_empty());
    });
}

#[test]
fn a_page_is_bounded() {
    run(|| {
        for number in 2..MAX_PAGE as u16 + 2 {
            assert_ok!(name_attribute(root(), name(&format!("a{number}"))));
        }
        for number in 0..MAX_PAGE as u16 + 2 {
            assert_ok!(issue(governance(ISSUER), DOCTOR, AttributeId(number), START + 5));
        }
        let page: Vec<(AttributeId, HospitalId, Credential)> =
            Credentials::credentials(DOCTOR, None, u32::MAX);
        assert_eq!(page.len(), MAX_PAGE as usize);
    });
}
