//! Each invariant finds the state that breaks it.

use epione_primitives::{
    HospitalId, UserId,
    consortium::EpochId,
    custody::{Appointment, Claim, ClaimId, ClaimedPatients, Kept},
    limits::CLAIM_BLOCKS,
    opening::HandedOut,
};

use crate::{Appointments, ClaimCount, Claims, HandedOutBy, KeptKeys, mock::*};

/// Checks that a change of the state after a claim is found, for this reason.
fn finds(reason: &'static str, change: impl FnOnce()) {
    externalities().execute_with(|| {
        let claim = claimed();
        hand_out(HEIR, claim).unwrap();
        Custody::check_state().unwrap();
        change();
        assert_eq!(Custody::check_state(), Err(reason.into()));
    });
}

fn change_kept(change: impl FnOnce(&mut Kept)) {
    KeptKeys::<Test>::mutate(DEPARTED, PATIENT, |kept| change(kept.as_mut().unwrap()));
}

fn change_claim(change: impl FnOnce(&mut Claim)) {
    Claims::<Test>::mutate(ClaimId(0), |claim| change(claim.as_mut().unwrap()));
}

fn change_part(change: impl FnOnce(&mut HandedOut)) {
    HandedOutBy::<Test>::mutate(ClaimId(0), HEIR, |part| change(part.as_mut().unwrap()));
}

#[test]
fn wrong_kept_keys_are_found() {
    finds("a key is kept of a user who was never registered at the hospital", || {
        let kept = KeptKeys::<Test>::get(DEPARTED, PATIENT).unwrap();
        KeptKeys::<Test>::insert(DEPARTED, UserId([9; 32]), kept);
    });
    finds("a kept key is for a later key or epoch", || {
        change_kept(|kept| kept.epoch = EpochId(7));
    });
    finds("a key is kept in the future", || change_kept(|kept| kept.block = u32::MAX));
}

#[test]
fn wrong_appointments_are_found() {
    let wrong = "a custodian is of no removed hospital, or is no hospital";
    for (departed, custodian) in [(THIRD, HEIR), (DEPARTED, NOWHERE)] {
        finds(wrong, || {
            Appointments::<Test>::insert(departed, Appointment { custodian, since: 1 });
        });
    }
    finds("a custodian is appointed in the future", || {
        let later = Appointment { custodian: HEIR, since: u32::MAX };
        Appointments::<Test>::insert(DEPARTED, later);
    });
}

#[test]
fn wrong_claims_are_found() {
    finds("a claim is missing", || ClaimCount::<Test>::put(2));
    finds("a claim has an id that was not assigned yet", || {
        let claim = Claims::<Test>::get(ClaimId(0)).unwrap();
        Claims::<Test>::insert(ClaimId(7), claim);
    });
    finds("the patients of a claim do not ascend", || {
        change_claim(|claim| claim.patients = ClaimedPatients::default());
    });
    let nobody = "a claim is about no removed hospital, or by no hospital";
    finds(nobody, || change_claim(|claim| claim.departed = HospitalId(2)));
    finds(nobody, || change_claim(|claim| claim.custodian = NOWHERE));
    finds("a claim is in the future", || change_claim(|claim| claim.at = START + 1));
}

#[test]
fn wrong_parts_are_found() {
    finds("a part belongs to no claim", || {
        let part = HandedOutBy::<Test>::get(ClaimId(0), HEIR).unwrap();
        HandedOutBy::<Test>::insert(ClaimId(3), HEIR, part);
    });
    let outside = "a part was handed out before its claim, or after the claim was over";
    finds(outside, || change_part(|part| part.block = 1));
    finds(outside, || {
        change_part(|part| part.block += CLAIM_BLOCKS + 1);
        pass_blocks(CLAIM_BLOCKS + 1);
    });
    finds("a part was handed out in the future", || change_part(|part| part.block += 1));
    finds("a part is of a later epoch", || change_part(|part| part.epoch = EpochId(7)));
}
