//! Who may open what, at the moment of the question.

use epione_mocks::{
    Users, add_credential, begin_epoch, end_registration, pass, set_active, without_key,
};
use epione_primitives::{
    AccountId, Hash, HospitalId, RecordPointer, Word,
    access::Purpose,
    consortium::{EpochId, KeyId},
    opening::{Opening, OpeningId, WrapLabel},
    sharing::{Consent, SlotSet, Term},
};
use frame_support::{assert_noop, assert_ok};

use crate::{Error, Event, OpeningCount, mock::*};

const BOTH: [(RecordPointer, u64); 1] = [(FIRST, 0b11)];

fn refused(error: Error<Test>) {
    assert_noop!(ask(&BOTH), error);
}

#[test]
fn a_requester_whom_the_standing_consent_includes_opens_what_is_placed_and_wrapped() {
    run(|| {
        share_and_wrap();
        pass_blocks(4);
        pass(12);
        assert_ok!(ask(&[(FIRST, 0b10)]));
        let expected = Opening {
            requester: RESEARCHER,
            hospital: AWAY,
            patient: PATIENT,
            records: records(&[(FIRST, 0b10)]),
            purpose: Purpose::Research,
            emergency: None,
            slots: SlotSet(1 << SLOT.0),
            audience: epione_mocks::user_account(RESEARCHER),
            sealing_key: Hash::from(RESEARCHER.0),
            block: 5,
            at: START + 12,
        };
        assert_eq!(opening(OpeningId(0)), expected);
        let (requester, patient) = (RESEARCHER, PATIENT);
        System::assert_last_event(
            Event::<Test>::Opened { opening: OpeningId(0), requester, patient }.into(),
        );
        assert_ok!(ask(&BOTH));
        assert_eq!(OpeningCount::<Test>::get(), 2);
    });
}

#[test]
fn nobody_outside_the_audience_is_admitted() {
    run(|| {
        share_and_wrap();
        for other in [CARDIOLOGIST, REVIEWED, PUPPET] {
            assert_noop!(ask_as(other, &BOTH), Error::<Test>::NotAdmitted);
        }
    });
}

/// Each has one of the two attributes. Together they have both, and neither gets anything, whoever asks and in whatever
/// order.
#[test]
fn two_users_do_not_pool_their_attributes() {
    run(|| {
        share_and_wrap();
        for asking in [CARDIOLOGIST, REVIEWED, CARDIOLOGIST] {
            assert_noop!(ask_as(asking, &BOTH), Error::<Test>::NotAdmitted);
        }
        // The account of one with the sealing key of the other is still one of them.
        Users::set_sealing_key(CARDIOLOGIST, Hash::from(REVIEWED.0));
        assert_noop!(ask_as(CARDIOLOGIST, &BOTH), Error::<Test>::NotAdmitted);
        add_credential(CARDIOLOGIST, ETHICS, HOME, 0, u64::MAX);
        assert_ok!(ask_as(CARDIOLOGIST, &BOTH));
    });
}

/// A hospital confirms what its puppet lacks. The consent names other issuers, so that nothing comes of it.
#[test]
fn a_puppet_whose_own_hospital_confirms_the_attributes_is_not_admitted() {
    run(|| {
        share_and_wrap();
        for issuer in [THIRD, OUTSIDE] {
            add_credential(PUPPET, CARDIOLOGY, issuer, 0, u64::MAX);
            add_credential(PUPPET, ETHICS, issuer, 0, u64::MAX);
        }
        // A named issuer is named for one attribute only.
        add_credential(PUPPET, CARDIOLOGY, HOME, 0, u64::MAX);
        add_credential(PUPPET, ETHICS, AWAY, 0, u64::MAX);
        assert_noop!(ask_as(PUPPET, &BOTH), Error::<Test>::NotAdmitted);
        add_credential(PUPPET, CARDIOLOGY, AWAY, 0, u64::MAX);
        assert_noop!(ask_as(PUPPET, &BOTH), Error::<Test>::NotAdmitted);
        add_credential(PUPPET, ETHICS, HOME, 0, u64::MAX);
        assert_ok!(ask_as(PUPPET, &BOTH));
    });
}

#[test]
fn an_attribute_that_ended_or_whose_issuer_is_suspended_counts_no_more() {
    run(|| {
        share_and_wrap();
        add_credential(RESEARCHER, ETHICS, HOME, 0, START + 10);
        assert_ok!(ask(&BOTH));
        pass(10);
        refused(Error::NotAdmitted);
        add_credential(RESEARCHER, ETHICS, HOME, 0, u64::MAX);
        assert_ok!(ask(&BOTH));
        set_active(HOME, false);
        refused(Error::NotAdmitted);
    });
}

#[test]
fn a_consent_that_is_withdrawn_over_or_replaced_admits_nobody() {
    run(|| {
        share_and_wrap();
        withdraw(SLOT);
        refused(Error::NotAdmitted);
        give(PATIENT, SLOT, standing(&[Term::User(CARDIOLOGIST)]));
        refused(Error::NotAdmitted);
        give(PATIENT, SLOT, Consent { standing: false, ..standing(&AUDIENCE) });
        refused(Error::NotAdmitted);
        give(PATIENT, SLOT, standing(&AUDIENCE));
        assert_ok!(ask(&BOTH));
        pass(UNTIL - START);
        refused(Error::NotAdmitted);
    });
}

#[test]
fn another_purpose_is_not_admitted() {
    run(|| {
        share_and_wrap();
        for purpose in Purpose::ALL.iter().copied() {
            let records = records(&BOTH);
            let (hospital, patient) = (AWAY, PATIENT);
            let emergency = (purpose == Purpose::Emergency).then_some(REASON);
            let call = crate::Call::<Test>::ask { hospital, patient, records, purpose, emergency };
            let asked = move || dispatch(call, user(RESEARCHER));
            match purpose {
                Purpose::Research => {
                    assert_ok!(asked());
                }
                Purpose::Emergency => {
                    assert_noop!(asked(), Error::<Test>::NotDoctor);
                }
                _ => {
                    assert_noop!(asked(), Error::<Test>::NotAdmitted);
                }
            }
        }
    });
}

#[test]
fn a_section_that_is_not_placed_is_not_opened() {
    run(|| {
        share_and_wrap();
        for bits in [0b100, 0b101, u64::MAX] {
            assert_noop!(ask(&[(FIRST, bits)]), Error::<Test>::NotPlaced);
        }
        assert_noop!(ask(&[(FIRST, 1), (SECOND, 1)]), Error::<Test>::NotPlaced);
        // The wrap stays, and is useless.
        remove(SLOT, FIRST, 0b10);
        refused(Error::NotPlaced);
        assert_ok!(ask(&[(FIRST, 0b01)]));
    });
}

#[test]
fn a_section_in_a_slot_whose_consent_does_not_stand_or_admit_is_not_opened() {
    run(|| {
        share_and_wrap();
        place(PATIENT, OTHER_SLOT, FIRST, 0b100);
        let third = [(FIRST, 0b100)];
        give(PATIENT, OTHER_SLOT, standing(&AUDIENCE));
        assert_ok!(wrap(&WrapLabel { slot: OTHER_SLOT, ..label(0) }, 0b100));
        assert_ok!(ask(&third));
        give(PATIENT, OTHER_SLOT, Consent { standing: false, ..standing(&AUDIENCE) });
        assert_noop!(ask(&third), Error::<Test>::NotPlaced);
        give(PATIENT, OTHER_SLOT, standing(&[Term::User(CARDIOLOGIST)]));
        assert_noop!(ask(&third), Error::<Test>::NotPlaced);
    });
}

#[test]
fn a_section_without_a_wrap_under_the_current_key_is_not_opened() {
    run(|| {
        share();
        refused(Error::NotWrapped);
        assert_ok!(wrap(&label(0), 0b11));
        place(PATIENT, SLOT, FIRST, 0b100);
        assert_noop!(ask(&[(FIRST, 0b111)]), Error::<Test>::NotWrapped);
        assert_ok!(ask(&BOTH));
        begin_epoch(KEY, EpochId(6), [HOME, AWAY]);
        assert_ok!(ask(&BOTH));
        begin_epoch(KeyId(3), EpochId(7), [HOME, AWAY]);
        refused(Error::NotWrapped);
        without_key();
        refused(Error::NoKey);
        begin_epoch(KeyId(3), EpochId(7), [HOME, AWAY]);
    });
}

#[test]
fn several_slots_open_their_sections_together() {
    run(|| {
        share_and_wrap();
        give(PATIENT, OTHER_SLOT, standing(&[Term::User(RESEARCHER)]));
        place(PATIENT, OTHER_SLOT, FIRST, 0b110);
        place(PATIENT, OTHER_SLOT, SECOND, 0b1);
        let other = WrapLabel { slot: OTHER_SLOT, ..label(0) };
        assert_ok!(wrap(&other, 0b110));
        assert_ok!(wrap(&WrapLabel { pointer: SECOND, ..other }, 0b1));
        assert_ok!(ask(&[(FIRST, 0b111), (SECOND, 0b1)]));
        let slots = SlotSet(1 << SLOT.0 | 1 << OTHER_SLOT.0);
        assert_eq!(opening(OpeningId(0)).slots, slots);
    });
}

/// Both patients use the slot with the same number, and the sections of the other one are placed and wrapped there.
#[test]
fn the_consent_of_one_patient_opens_no_records_of_another() {
    run(|| {
        share_and_wrap();
        give(PUPPET, SLOT, standing(&[Term::User(RESEARCHER)]));
        place(PUPPET, SLOT, PUPPETS, 0b1);
        let of_puppet = WrapLabel { patient: PUPPET, pointer: PUPPETS, ..label(0) };
        assert_ok!(wrap(&of_puppet, 0b1));
        assert_noop!(ask(&[(PUPPETS, 0b1)]), Error::<Test>::RecordOfAnotherPatient);
        assert_noop!(ask(&[(FIRST, 1), (PUPPETS, 1)]), Error::<Test>::RecordOfAnotherPatient);
        // A puppet's generous consent does not open the records of the victim.
        let (patient, purpose) = (PUPPET, Purpose::Research);
        let records = records(&BOTH);
        let (hospital, emergency) = (AWAY, None);
        let stolen = crate::Call::<Test>::ask { hospital, patient, records, purpose, emergency };
        let foreign = Error::<Test>::RecordOfAnotherPatient;
        assert_noop!(dispatch(stolen, user(RESEARCHER)), foreign);
        assert_noop!(ask(&[(UNCOMMITTED, 1)]), Error::<Test>::UnknownRecord);
    });
}

#[test]
fn a_patient_asks_for_no_opening_of_own_records() {
    run(|| {
        give(PATIENT, SLOT, standing(&[Term::User(PATIENT)]));
        place(PATIENT, SLOT, FIRST, 0b11);
        assert_ok!(wrap(&label(0), 0b11));
        assert_noop!(ask_as(PATIENT, &BOTH), Error::<Test>::OwnRecords);
    });
}

#[test]
fn records_out_of_order_without_sections_or_with_too_many_are_refused() {
    run(|| {
        share_and_wrap();
        let wrong: [&[(RecordPointer, u64)]; 4] =
            [&[], &[(FIRST, 0)], &[(FIRST, 0b01), (FIRST, 0b10)], &[(SECOND, 1), (FIRST, 1)]];
        for named in wrong {
            assert_noop!(ask(named), Error::<Test>::InvalidRecords);
        }
        let beyond = [(FIRST, u64::MAX), (SECOND, 1)];
        assert_noop!(ask(&beyond), Error::<Test>::TooManySections);
        let most = [(FIRST, u64::MAX >> 1), (SECOND, 1)];
        place(PATIENT, SLOT, FIRST, u64::MAX);
        place(PATIENT, SLOT, SECOND, 1);
        assert_ok!(wrap(&label(0), u64::MAX));
        assert_ok!(wrap(&WrapLabel { pointer: SECOND, ..label(0) }, 1));
        assert_ok!(ask(&most));
        assert_noop!(ask(&beyond), Error::<Test>::TooManySections);
    });
}

#[test]
fn a_requester_asks_for_an_active_hospital_at_which_the_registration_is_in_force() {
    run(|| {
        share_and_wrap();
        for hospital in [HOME, OUTSIDE, HospitalId(9)] {
            let (records, purpose) = (records(&BOTH), Purpose::Research);
            let (patient, emergency) = (PATIENT, None);
            let call = crate::Call::<Test>::ask { hospital, patient, records, purpose, emergency };
            assert_noop!(dispatch(call, user(RESEARCHER)), Error::<Test>::NotInForce);
        }
        set_active(AWAY, false);
        refused(Error::NotInForce);
        set_active(AWAY, true);
        assert_ok!(ask(&BOTH));
        end_registration(AWAY, RESEARCHER);
        refused(Error::NotInForce);
    });
}

#[test]
fn only_the_current_account_of_a_user_asks() {
    run(|| {
        share_and_wrap();
        let retired = user(RESEARCHER);
        Users::set_account(RESEARCHER, AccountId::new([77; 32]));
        let stranger = RuntimeOrigin::signed(AccountId::new([78; 32]));
        for origin in [retired, stranger, agent(HOME)] {
            assert_noop!(dispatch(question(&BOTH), origin), Error::<Test>::NotUser);
        }
        let current = RuntimeOrigin::signed(AccountId::new([77; 32]));
        assert_ok!(dispatch(question(&BOTH), current));
    });
}
