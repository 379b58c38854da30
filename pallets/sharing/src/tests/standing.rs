//! Consents that stand while the patient is away.

use epione_mocks::end_registration;
use epione_primitives::{
    Word,
    access::Purpose,
    sharing::{Consent, SlotId, Term},
};
use frame_support::assert_ok;

use crate::mock::*;

const ORDINARY: SlotId = SlotId(4);
const FOR_INSURERS: [Term; 1] = [Term::Credential { attribute: CARDIOLOGY, issuer: AWAY }];

/// Gives [`SLOT`] a standing consent, and [`ORDINARY`] one that does not stand, with the same terms.
fn give_both() {
    confirm(INSURER, CARDIOLOGY, AWAY);
    assert_ok!(give(user(PATIENT), SLOT, standing_consent(&FOR_INSURERS)));
    assert_ok!(give(user(PATIENT), ORDINARY, consent(&FOR_INSURERS)));
}

fn stands_for_research() -> bool {
    !standing_for(INSURER, Purpose::Research).is_empty()
}

#[test]
fn only_the_consents_that_stand_admit_while_the_patient_is_away() {
    run(|| {
        give_both();
        assert_eq!(admitting(INSURER), slots(&[3, 4]), "in person, both admit");
        assert_eq!(standing_for(INSURER, Purpose::Research), slots(&[3]));
        assert!(is_standing(SLOT) && !is_standing(ORDINARY) && !is_standing(SlotId(5)));
        assert!(!is_standing(SlotId(16)), "there is no such slot");
    });
}

#[test]
fn a_standing_consent_admits_whom_it_names_for_its_purposes_only() {
    run(|| {
        give_both();
        assert!(standing_for(DOCTOR, Purpose::Research).is_empty());
        for purpose in Purpose::ALL.iter().copied() {
            let expected = matches!(purpose, Purpose::Treatment | Purpose::Research);
            assert_eq!(!standing_for(INSURER, purpose).is_empty(), expected, "{purpose:?}");
        }
    });
}

#[test]
fn a_standing_consent_ends_as_any_other() {
    run(|| {
        give_both();
        assert_ok!(withdraw(user(PATIENT), SLOT));
        assert!(!stands_for_research() && !is_standing(SLOT));
        assert_ok!(give(user(PATIENT), SLOT, standing_consent(&FOR_INSURERS)));
        assert!(stands_for_research() && is_standing(SLOT));
        pass(1_000);
        assert!(!stands_for_research() && !is_standing(SLOT), "its end has come");
    });
}

#[test]
fn the_next_version_decides_whether_the_consent_stands() {
    run(|| {
        give_both();
        assert_ok!(give(user(PATIENT), SLOT, consent(&FOR_INSURERS)));
        assert!(!stands_for_research() && !is_standing(SLOT));
        let later = Consent { standing: true, ..consent(&[Term::User(DOCTOR)]) };
        assert_ok!(give(user(PATIENT), SLOT, later));
        assert!(is_standing(SLOT) && !stands_for_research(), "it is for somebody else");
    });
}

#[test]
fn a_standing_consent_admits_nobody_without_the_attribute_or_a_registration() {
    run(|| {
        give_both();
        revoke(INSURER, CARDIOLOGY, AWAY);
        assert!(!stands_for_research());
        confirm(INSURER, CARDIOLOGY, AWAY);
        assert!(stands_for_research());
        end_registration(AWAY, INSURER);
        assert!(!stands_for_research(), "no hospital vouches for the requester");
    });
}
