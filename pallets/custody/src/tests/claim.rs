//! Claims: the chain decides at once.

use epione_mocks::{
    agent_account, begin_epoch, end_custody, end_registration, governance_account, set_active,
    without_key,
};
use epione_primitives::{
    Hash, UserId,
    consortium::{EpochId, KeyId},
    custody::{Claim, ClaimId, ClaimedPatients},
    limits::CUSTODIAN_BLOCKS,
};
use frame_support::{assert_noop, assert_ok};

use crate::{Claims, Error, Event, mock::*};

#[test]
fn the_custodian_claims_the_keys_of_patients_who_entrusted_them() {
    run(|| {
        inherit();
        assert_ok!(claim(&[PATIENT, OTHER_PATIENT]));
        let expected = Claim {
            departed: DEPARTED,
            custodian: HEIR,
            patients: ClaimedPatients::truncate_from(vec![PATIENT, OTHER_PATIENT]),
            audience: agent_account(HEIR.0),
            sealing_key: Hash::from_low_u64_be(1),
            block: 1 + CUSTODIAN_BLOCKS,
            at: START,
        };
        assert_eq!(Claims::<Test>::get(ClaimId(0)), Some(expected));
        let claim_id = ClaimId(0);
        let event = Event::<Test>::Claimed { claim: claim_id, departed: DEPARTED, custodian: HEIR };
        System::assert_last_event(event.into());
        assert_ok!(claim(&[PATIENT]));
        assert!(Claims::<Test>::contains_key(ClaimId(1)));
    });
}

#[test]
fn nothing_is_claimed_before_the_council_decided_and_the_delay_is_over() {
    run(|| {
        assert_noop!(claim(&[PATIENT]), Error::<Test>::NotRemoved);
        depart();
        assert_noop!(claim(&[PATIENT]), Error::<Test>::NotCustodian);
        assert_ok!(appoint(HEIR));
        for passed in [0, CUSTODIAN_BLOCKS - 1] {
            pass_blocks(passed);
            assert_noop!(claim(&[PATIENT]), Error::<Test>::TooEarly);
        }
        pass_blocks(1);
        assert_ok!(claim(&[PATIENT]));
    });
}

#[test]
fn no_other_hospital_claims() {
    run(|| {
        inherit();
        for other in [THIRD, OUTSIDE] {
            assert_noop!(claim_as(other, &[PATIENT]), Error::<Test>::NotCustodian);
        }
        assert_noop!(claim_as(DEPARTED, &[PATIENT]), Error::<Test>::NotAgent);
        let patients = ClaimedPatients::truncate_from(vec![PATIENT]);
        let call = || crate::Call::claim { departed: DEPARTED, patients: patients.clone() };
        let governance = RuntimeOrigin::signed(governance_account(HEIR.0));
        for origin in [governance, user(PATIENT)] {
            assert_noop!(dispatch(call(), origin), Error::<Test>::NotAgent);
        }
        set_active(HEIR, false);
        assert_noop!(claim(&[PATIENT]), Error::<Test>::NotAgent);
        // A hospital that leaves inherits nothing.
        epione_mocks::set_leaving(HEIR);
        assert_noop!(claim(&[PATIENT]), Error::<Test>::NotAgent);
        set_active(HEIR, true);
        assert_ok!(appoint(THIRD));
        assert_noop!(claim(&[PATIENT]), Error::<Test>::NotCustodian);
        assert_ok!(dismiss());
        assert_noop!(claim(&[PATIENT]), Error::<Test>::NotCustodian);
    });
}

#[test]
fn only_keys_that_are_entrusted_now_are_claimed() {
    run(|| {
        inherit();
        assert_noop!(claim(&[RELUCTANT]), Error::<Test>::NotEntrusted);
        let all = [PATIENT, OTHER_PATIENT, RELUCTANT];
        assert_noop!(claim(&all), Error::<Test>::NotEntrusted);
        end_custody(PATIENT, DEPARTED);
        assert_noop!(claim(&[PATIENT]), Error::<Test>::NotEntrusted);
        // What is entrusted at another hospital is another key.
        epione_mocks::entrust(PATIENT, HEIR);
        assert_noop!(claim(&[PATIENT]), Error::<Test>::NotEntrusted);
        assert_ok!(claim(&[OTHER_PATIENT]));
    });
}

#[test]
fn only_keys_of_patients_who_are_registered_at_the_custodian_are_claimed() {
    run(|| {
        inherit();
        end_registration(HEIR, PATIENT);
        assert_noop!(claim(&[PATIENT]), Error::<Test>::NotRegistered);
        assert_noop!(claim(&[PATIENT, OTHER_PATIENT]), Error::<Test>::NotRegistered);
        assert_ok!(claim(&[OTHER_PATIENT]));
    });
}

#[test]
fn only_keys_under_the_present_consortium_key_are_claimed() {
    run(|| {
        inherit();
        epione_mocks::entrust(RELUCTANT, DEPARTED);
        assert_noop!(claim(&[RELUCTANT]), Error::<Test>::NotKept);
        begin_epoch(KeyId(3), EpochId(7), [HEIR, THIRD]);
        assert_noop!(claim(&[PATIENT]), Error::<Test>::NotKept);
        without_key();
        assert_noop!(claim(&[PATIENT]), Error::<Test>::NoKey);
        begin_epoch(KEY, EpochId(6), [HEIR, THIRD]);
        assert_ok!(claim(&[PATIENT]));
    });
}

#[test]
fn patients_are_named_once_and_ascending() {
    run(|| {
        inherit();
        let wrong: [&[UserId]; 3] = [&[], &[PATIENT, PATIENT], &[OTHER_PATIENT, PATIENT]];
        for patients in wrong {
            assert_noop!(claim(patients), Error::<Test>::InvalidPatients);
        }
    });
}
