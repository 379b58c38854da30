//! With whom a consent shares.

use epione_mocks::{end_registration, register};
use epione_primitives::{
    Word,
    access::Purpose,
    profile::Role,
    sharing::{Consent, SlotId, Term},
};
use frame_support::{BoundedVec, assert_ok};

use crate::mock::*;

fn give_to(audience: &[Term]) {
    assert_ok!(give(user(PATIENT), SLOT, consent(audience)));
}

#[test]
fn a_requester_outside_the_audience_is_not_admitted() {
    run(|| {
        give_to(&[Term::User(INSURER)]);
        assert!(is_admitted(INSURER));
        for other in [DOCTOR, OTHER_PATIENT, PATIENT] {
            assert!(!is_admitted(other));
        }
    });
}

#[test]
fn another_purpose_is_not_admitted_and_an_emergency_never() {
    run(|| {
        give_to(&[Term::User(INSURER)]);
        for purpose in Purpose::ALL.iter().copied() {
            let admitted = !admitting_for(PATIENT, INSURER, purpose).is_empty();
            let expected = matches!(purpose, Purpose::Treatment | Purpose::Research);
            assert_eq!(admitted, expected, "{purpose:?}");
        }
    });
}

/// Breaking the glass at the hospital of the record is not decided by a consent.
#[test]
fn a_consent_for_emergencies_admits_only_what_hospitals_open_together() {
    run(|| {
        let purposes = BoundedVec::truncate_from(vec![Purpose::Emergency]);
        let summary = Consent { purposes, ..standing_consent(&[Term::Role(Role::Doctor)]) };
        assert_ok!(give(user(PATIENT), SLOT, summary));
        for purpose in Purpose::ALL.iter().copied() {
            let expected =
                if purpose == Purpose::Emergency { slots(&[SLOT.0]) } else { slots(&[]) };
            assert_eq!(standing_for(DOCTOR, purpose), expected, "{purpose:?}");
            assert!(admitting_for(PATIENT, DOCTOR, purpose).is_empty(), "{purpose:?}");
        }
        assert!(standing_for(INSURER, Purpose::Emergency).is_empty());
        assert_ok!(withdraw(user(PATIENT), SLOT));
        assert!(standing_for(DOCTOR, Purpose::Emergency).is_empty());
    });
}

#[test]
fn a_hospital_in_the_audience_means_its_registered_users_while_it_is_active() {
    run(|| {
        give_to(&[Term::Hospital(AWAY)]);
        assert!(is_admitted(INSURER) && !is_admitted(DOCTOR));
        register(AWAY, DOCTOR, START);
        assert!(is_admitted(DOCTOR));
        set_active(AWAY, false);
        assert!(!is_admitted(INSURER));
        set_active(AWAY, true);
        end_registration(AWAY, INSURER);
        assert!(!is_admitted(INSURER), "the registration has ended");
    });
}

#[test]
fn a_role_in_the_audience_means_every_user_of_the_role() {
    run(|| {
        give_to(&[Term::Role(Role::Insurer)]);
        assert!(is_admitted(INSURER) && !is_admitted(DOCTOR));
    });
}

#[test]
fn a_credential_counts_only_of_its_issuer_while_that_is_active() {
    run(|| {
        give_to(&[Term::Credential { attribute: CARDIOLOGY, issuer: AWAY }]);
        assert!(!is_admitted(DOCTOR));
        confirm(DOCTOR, CARDIOLOGY, HOME);
        assert!(!is_admitted(DOCTOR), "another hospital confirms it");
        confirm(DOCTOR, CARDIOLOGY, AWAY);
        assert!(is_admitted(DOCTOR));
        set_active(AWAY, false);
        assert!(!is_admitted(DOCTOR));
        set_active(AWAY, true);
        revoke(DOCTOR, CARDIOLOGY, AWAY);
        assert!(!is_admitted(DOCTOR));
    });
}

#[test]
fn all_terms_of_a_conjunction_must_hold_for_the_same_requester() {
    run(|| {
        let credential = Term::Credential { attribute: CARDIOLOGY, issuer: HOME };
        give_to(&[Term::Hospital(AWAY), credential, Term::AtLeast { met: 2, of: 2 }]);
        confirm(DOCTOR, CARDIOLOGY, HOME);
        // Two users do not pool what each of them has.
        assert!(!is_admitted(DOCTOR) && !is_admitted(INSURER));
        confirm(INSURER, CARDIOLOGY, HOME);
        assert!(is_admitted(INSURER));
    });
}

#[test]
fn each_slot_admits_by_its_own_consent() {
    run(|| {
        for (number, requester) in [(0, DOCTOR), (7, INSURER), (15, DOCTOR)] {
            assert_ok!(give(user(PATIENT), SlotId(number), consent(&[Term::User(requester)])));
        }
        assert_eq!(admitting(DOCTOR), slots(&[0, 15]));
        assert_eq!(admitting(INSURER), slots(&[7]));
        let research = Purpose::Research;
        assert!(admitting_for(OTHER_PATIENT, DOCTOR, research).is_empty());
    });
}

/// No hospital vouches any more for somebody who is registered nowhere, so no leaf of an audience includes them.
#[test]
fn a_requester_who_is_registered_at_no_active_hospital_is_not_admitted() {
    let confirmed = Term::Credential { attribute: CARDIOLOGY, issuer: AWAY };
    let audiences: [&[Term]; 4] = [
        &[Term::User(DOCTOR)],
        &[Term::Role(Role::Doctor)],
        &[confirmed],
        &[Term::Role(Role::Doctor), confirmed, Term::AtLeast { met: 1, of: 2 }],
    ];
    for audience in audiences {
        run(|| {
            confirm(DOCTOR, CARDIOLOGY, AWAY);
            give_to(audience);
            assert!(is_admitted(DOCTOR), "{audience:?}");
            set_active(HOME, false);
            assert!(!is_admitted(DOCTOR), "the only hospital is suspended: {audience:?}");
            set_active(HOME, true);
            assert!(is_admitted(DOCTOR), "{audience:?}");
            end_registration(HOME, DOCTOR);
            assert!(!is_admitted(DOCTOR), "the only registration has ended: {audience:?}");
            register(AWAY, DOCTOR, START);
            assert!(is_admitted(DOCTOR), "another hospital vouches for the user: {audience:?}");
        });
    }
}
