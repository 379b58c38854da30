//! A hospital ends its credential.

use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchError::BadOrigin;

use super::*;
use crate::{Error, Event};

#[test]
fn a_revoked_credential_ends_now_and_was_in_force_before() {
    run(|| {
        assert_ok!(issue(governance(ISSUER), DOCTOR, CARDIOLOGY, START + 50));
        assert_ok!(issue(governance(OTHER), DOCTOR, CARDIOLOGY, START + 50));
        pass(10);
        assert_ok!(revoke(governance(ISSUER), DOCTOR, CARDIOLOGY));
        let (user, attribute, issuer) = (DOCTOR, CARDIOLOGY, ISSUER);
        System::assert_last_event(Event::<Test>::Revoked { user, attribute, issuer }.into());
        for (at, expected) in [(START, true), (START + 9, true), (START + 10, false)] {
            assert_eq!(holds(DOCTOR, CARDIOLOGY, ISSUER, at), expected, "{at}");
        }
        // The other hospital's stays.
        assert!(holds(DOCTOR, CARDIOLOGY, OTHER, START + 49));
    });
}

#[test]
fn only_the_hospital_that_issued_a_credential_revokes_it() {
    run(|| {
        assert_ok!(issue(governance(ISSUER), DOCTOR, CARDIOLOGY, START + 50));
        let other = governance(OTHER);
        assert_noop!(revoke(other, DOCTOR, CARDIOLOGY), Error::<Test>::NotInForce);
        for origin in not_governance() {
            assert_noop!(revoke(origin, DOCTOR, CARDIOLOGY), Error::<Test>::NotGovernance);
        }
        for origin in [root(), RawOrigin::None.into()] {
            assert_noop!(revoke(origin, DOCTOR, CARDIOLOGY), BadOrigin);
        }
        assert!(holds(DOCTOR, CARDIOLOGY, ISSUER, START));
    });
}

#[test]
fn a_hospital_that_leaves_revokes_and_issues_nothing() {
    run(|| {
        assert_ok!(issue(governance(ISSUER), DOCTOR, CARDIOLOGY, START + 50));
        epione_mocks::set_leaving(ISSUER);
        let issued = issue(governance(ISSUER), DOCTOR, ONCOLOGY, START + 50);
        assert_noop!(issued, Error::<Test>::NotGovernance);
        assert_ok!(revoke(governance(ISSUER), DOCTOR, CARDIOLOGY));
    });
}

#[test]
fn what_is_not_in_force_is_not_revoked() {
    run(|| {
        let never = || revoke(governance(ISSUER), DOCTOR, CARDIOLOGY);
        assert_noop!(never(), Error::<Test>::NotInForce);
        assert_ok!(issue(governance(ISSUER), DOCTOR, CARDIOLOGY, START + 50));
        assert_noop!(revoke(governance(ISSUER), DOCTOR, ONCOLOGY), Error::<Test>::NotInForce);
        assert_ok!(never());
        assert_noop!(never(), Error::<Test>::NotInForce);
        assert_ok!(issue(governance(ISSUER), DOCTOR, CARDIOLOGY, START + 50));
        pass(50);
        assert_noop!(never(), Error::<Test>::NotInForce);
    });
}
