//! Handing out a part: everything is decided again.

use epione_mocks::{
    Users, add_credential, begin_epoch, end_registration, governance_account, pass, set_active,
    set_leaving, without_key,
};
use epione_primitives::{
    AccountId, Hash,
    consortium::{EpochId, KeyId},
    limits::OPENING_BLOCKS,
    opening::{HandedOut, OpeningId, WrapLabel},
    sharing::{Consent, Term},
};
use frame_support::{assert_noop, assert_ok};

use crate::{Error, Event, HandedOutBy, mock::*};

/// Checks that a change after the opening prevents every hospital from handing out its part.
fn prevents(error: Error<Test>, change: impl FnOnce()) {
    run(|| {
        let opening = opened();
        assert_ok!(hand_out(THIRD, opening));
        change();
        let error = sp_runtime::DispatchError::from(error);
        for hospital in [HOME, AWAY] {
            assert_noop!(hand_out(hospital, opening), error);
        }
        // Also the one that has done so before: its worker asks again before each answer.
        assert_noop!(hand_out(THIRD, opening), error);
    });
}

#[test]
fn each_member_records_its_part_once() {
    run(|| {
        let opening = opened();
        pass_blocks(3);
        pass(9);
        for hospital in [THIRD, HOME, AWAY] {
            assert_ok!(hand_out(hospital, opening));
            let handed = HandedOut { epoch: EPOCH, block: 4, at: START + 9 };
            assert_eq!(HandedOutBy::<Test>::get(opening, hospital), Some(handed));
            System::assert_last_event(Event::<Test>::HandedOut { opening, hospital }.into());
            assert_noop!(hand_out(hospital, opening), Error::<Test>::AlreadyHandedOut);
        }
    });
}

#[test]
fn only_agents_of_active_members_hand_out() {
    run(|| {
        let opening = opened();
        assert_noop!(hand_out(OUTSIDE, opening), Error::<Test>::NotMember);
        let call = || crate::Call::<Test>::hand_out { opening };
        let governance = RuntimeOrigin::signed(governance_account(HOME.0));
        for origin in [governance, user(RESEARCHER), user(PATIENT)] {
            assert_noop!(dispatch(call(), origin), Error::<Test>::NotAgent);
        }
        set_active(THIRD, false);
        assert_noop!(hand_out(THIRD, opening), Error::<Test>::NotAgent);
        // A hospital that leaves has its share until the others make new ones.
        set_leaving(THIRD);
        assert_ok!(hand_out(THIRD, opening));
        // A hospital that left has no share any more.
        begin_epoch(KEY, EpochId(6), [HOME, AWAY]);
        set_active(THIRD, true);
        assert_noop!(hand_out(THIRD, opening), Error::<Test>::NotMember);
        assert_ok!(hand_out(HOME, opening));
        assert_eq!(HandedOutBy::<Test>::get(opening, HOME).unwrap().epoch, EpochId(6));
        assert_noop!(hand_out(HOME, OpeningId(1)), Error::<Test>::UnknownOpening);
        without_key();
        assert_noop!(hand_out(AWAY, opening), Error::<Test>::NoKey);
        begin_epoch(KEY, EpochId(6), [HOME, AWAY]);
    });
}

#[test]
fn a_withdrawal_counts_from_the_next_block_on() {
    prevents(Error::NotAdmitted, || withdraw(SLOT));
}

#[test]
fn the_end_of_the_consent_counts() {
    prevents(Error::NotAdmitted, || pass(UNTIL - START));
}

#[test]
fn a_new_version_without_the_requester_counts() {
    prevents(Error::NotAdmitted, || {
        give(PATIENT, SLOT, standing(&[Term::User(CARDIOLOGIST)]));
    });
}

#[test]
fn a_new_version_that_does_not_stand_counts() {
    prevents(Error::NotAdmitted, || {
        give(PATIENT, SLOT, Consent { standing: false, ..standing(&AUDIENCE) });
    });
}

#[test]
fn the_end_of_an_attribute_counts() {
    prevents(Error::NotAdmitted, || {
        add_credential(RESEARCHER, ETHICS, HOME, 0, START);
    });
}

#[test]
fn the_suspension_of_the_issuer_of_an_attribute_counts() {
    run(|| {
        let opening = opened();
        set_active(HOME, false);
        assert_noop!(hand_out(AWAY, opening), Error::<Test>::NotAdmitted);
    });
}

#[test]
fn a_removed_section_counts() {
    prevents(Error::NotPlaced, || remove(SLOT, FIRST, 0b10));
}

#[test]
fn another_sealing_key_of_the_requester_counts() {
    prevents(Error::RequesterChanged, || {
        Users::set_sealing_key(RESEARCHER, Hash::repeat_byte(66));
    });
}

#[test]
fn another_account_of_the_requester_counts() {
    prevents(Error::RequesterChanged, || {
        Users::set_account(RESEARCHER, AccountId::new([66; 32]));
    });
}

#[test]
fn the_suspension_of_the_requester_counts() {
    prevents(Error::NotInForce, || end_registration(AWAY, RESEARCHER));
}

#[test]
fn the_suspension_of_the_requesters_hospital_counts() {
    run(|| {
        let opening = opened();
        set_active(AWAY, false);
        assert_noop!(hand_out(HOME, opening), Error::<Test>::NotInForce);
    });
}

#[test]
fn a_new_consortium_key_counts() {
    prevents(Error::NotWrapped, || begin_epoch(KeyId(3), EpochId(7), [HOME, AWAY, THIRD]));
}

#[test]
fn an_opening_is_over_after_its_blocks() {
    prevents(Error::Over, || pass_blocks(OPENING_BLOCKS + 1));
    run(|| {
        let opening = opened();
        pass_blocks(OPENING_BLOCKS);
        assert_ok!(hand_out(HOME, opening));
    });
}

/// Members whose moments differ would otherwise choose the wraps of different slots.
#[test]
fn the_end_of_one_of_several_slots_ends_the_opening() {
    run(|| {
        share_and_wrap();
        give(PATIENT, OTHER_SLOT, standing(&[Term::User(RESEARCHER)]));
        place(PATIENT, OTHER_SLOT, FIRST, 0b11);
        assert_ok!(wrap(&WrapLabel { slot: OTHER_SLOT, ..label(0) }, 0b11));
        assert_ok!(ask(&[(FIRST, 0b11)]));
        let opening = OpeningId(0);
        assert_ok!(hand_out(HOME, opening));
        withdraw(SLOT);
        assert_noop!(hand_out(AWAY, opening), Error::<Test>::NotAdmitted);
        // The other consent still admits, so the requester asks again.
        assert_ok!(ask(&[(FIRST, 0b11)]));
        assert_ok!(hand_out(AWAY, OpeningId(1)));
    });
}

/// A slot whose consent began after the opening adds nothing to it.
#[test]
fn a_later_consent_revives_no_opening() {
    run(|| {
        let opening = opened();
        give(PATIENT, OTHER_SLOT, standing(&AUDIENCE));
        place(PATIENT, OTHER_SLOT, FIRST, 0b11);
        assert_ok!(wrap(&WrapLabel { slot: OTHER_SLOT, ..label(0) }, 0b11));
        withdraw(SLOT);
        assert_noop!(hand_out(HOME, opening), Error::<Test>::NotAdmitted);
    });
}
