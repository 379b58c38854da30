//! Handing out a part: everything is decided again.

use epione_mocks::{
    begin_epoch, end_custody, end_registration, governance_account, pass, remove_hospital,
    set_active, set_agent, set_hospital_sealing_key, without_key,
};
use epione_primitives::{
    AccountId, Hash,
    consortium::{EpochId, KeyId},
    custody::{ClaimId, ClaimedPatients},
    limits::{CLAIM_BLOCKS, CUSTODIAN_BLOCKS},
    opening::HandedOut,
};
use frame_support::{assert_noop, assert_ok};

use crate::{Error, Event, HandedOutBy, mock::*};

/// Checks that a change after the claim prevents every hospital from handing out its part.
fn prevents(error: Error<Test>, change: impl FnOnce()) {
    run(|| {
        let claim = claimed();
        assert_ok!(hand_out(THIRD, claim));
        change();
        let error = sp_runtime::DispatchError::from(error);
        // Also the one that has done so before: its worker asks again before each answer.
        assert_noop!(hand_out(THIRD, claim), error);
        let (key, epoch) = (KEY, EpochId(6));
        begin_epoch(key, epoch, [HEIR, THIRD, OUTSIDE]);
        assert_noop!(hand_out(OUTSIDE, claim), error);
    });
}

#[test]
fn each_member_records_its_part_once() {
    run(|| {
        let claim = claimed();
        pass_blocks(3);
        pass(9);
        for hospital in [THIRD, HEIR] {
            assert_ok!(hand_out(hospital, claim));
            let block = 4 + CUSTODIAN_BLOCKS;
            let handed = HandedOut { epoch: EpochId(6), block, at: START + 9 };
            assert_eq!(HandedOutBy::<Test>::get(claim, hospital), Some(handed));
            System::assert_last_event(Event::<Test>::HandedOut { claim, hospital }.into());
            assert_noop!(hand_out(hospital, claim), Error::<Test>::AlreadyHandedOut);
        }
    });
}

#[test]
fn only_agents_of_active_members_hand_out() {
    run(|| {
        let claim = claimed();
        assert_noop!(hand_out(OUTSIDE, claim), Error::<Test>::NotMember);
        assert_noop!(hand_out(DEPARTED, claim), Error::<Test>::NotAgent);
        let call = || crate::Call::<Test>::hand_out { claim };
        let governance = RuntimeOrigin::signed(governance_account(HEIR.0));
        for origin in [governance, user(PATIENT)] {
            assert_noop!(dispatch(call(), origin), Error::<Test>::NotAgent);
        }
        set_active(THIRD, false);
        assert_noop!(hand_out(THIRD, claim), Error::<Test>::NotAgent);
        set_active(THIRD, true);
        assert_noop!(hand_out(THIRD, ClaimId(1)), Error::<Test>::UnknownClaim);
        without_key();
        assert_noop!(hand_out(THIRD, claim), Error::<Test>::NoKey);
        begin_epoch(KEY, EpochId(6), [HEIR, THIRD]);
        epione_mocks::set_leaving(THIRD);
        assert_ok!(hand_out(THIRD, claim));
    });
}

#[test]
fn the_end_of_what_a_patient_entrusted_counts_from_the_next_block_on() {
    prevents(Error::NotEntrusted, || end_custody(OTHER_PATIENT, DEPARTED));
}

#[test]
fn the_end_of_the_registration_at_the_custodian_counts() {
    prevents(Error::NotRegistered, || end_registration(HEIR, PATIENT));
}

#[test]
fn the_dismissal_of_the_custodian_counts() {
    prevents(Error::NotCustodian, || {
        assert_ok!(dismiss());
    });
}

#[test]
fn another_custodian_counts() {
    prevents(Error::NotCustodian, || {
        assert_ok!(appoint(THIRD));
    });
}

#[test]
fn a_custodian_who_is_appointed_again_claims_again() {
    prevents(Error::TooEarly, || {
        assert_ok!(appoint(HEIR));
    });
    prevents(Error::NotCustodian, || {
        pass_blocks(1);
        assert_ok!(appoint(HEIR));
    });
}

#[test]
fn the_suspension_and_the_removal_of_the_custodian_count() {
    prevents(Error::CustodianChanged, || set_active(HEIR, false));
    prevents(Error::CustodianChanged, || epione_mocks::set_leaving(HEIR));
    prevents(Error::CustodianChanged, || remove_hospital(HEIR));
}

/// A custodian that is removed as well has patients who entrusted their keys there. They are no part of this claim.
#[test]
fn the_keys_at_a_custodian_that_is_removed_too_need_a_claim_of_their_own() {
    run(|| {
        inherit();
        epione_mocks::entrust(PATIENT, HEIR);
        remove_hospital(HEIR);
        epione_mocks::register(THIRD, PATIENT, 0);
        assert_ok!(appoint(THIRD));
        pass_blocks(CUSTODIAN_BLOCKS);
        // The council appointed a custodian of the first hospital only.
        assert_ok!(claim_as(THIRD, &[PATIENT]));
        let patients = ClaimedPatients::truncate_from(vec![PATIENT]);
        let at_heir = crate::Call::claim { departed: HEIR, patients };
        assert_noop!(dispatch(at_heir, agent(THIRD)), Error::<Test>::NotCustodian);
    });
}

#[test]
fn another_agent_or_sealing_key_of_the_custodian_counts() {
    prevents(Error::CustodianChanged, || set_agent(HEIR, AccountId::new([66; 32])));
    prevents(Error::CustodianChanged, || {
        set_hospital_sealing_key(HEIR, Hash::repeat_byte(66));
    });
}

#[test]
fn a_new_consortium_key_counts() {
    run(|| {
        let claim = claimed();
        begin_epoch(KeyId(3), EpochId(7), [HEIR, THIRD]);
        for hospital in [HEIR, THIRD] {
            assert_noop!(hand_out(hospital, claim), Error::<Test>::NotKept);
        }
    });
}

#[test]
fn a_claim_is_over_after_its_blocks() {
    prevents(Error::Over, || pass_blocks(CLAIM_BLOCKS + 1));
    run(|| {
        let claim = claimed();
        pass_blocks(CLAIM_BLOCKS);
        assert_ok!(hand_out(HEIR, claim));
    });
}
