//! Every broken invariant is detected.

use epione_primitives::{
    HospitalId,
    hospital::{Duty, HospitalStatus, Replacement},
};

use crate::{
    Accounts, Active, ActivePeriods, Admitted, Authored, Benched, HospitalSet,
    Hospitals as Entries, LeavingHospitals, Present, Replacements, Seated, Unready, Watched,
    mock::*,
};

/// The error after `damage`.
fn after(damage: impl FnOnce()) -> &'static str {
    externalities(2).execute_with(|| {
        damage();
        Hospitals::check_state().unwrap_err().into()
    })
}

#[test]
fn a_gap_among_the_ids_is_found() {
    assert!(after(|| Admitted::<Test>::put(3)).contains("do not range from 0"));
}

#[test]
fn an_active_set_that_disagrees_with_a_status_is_found() {
    let damage = || {
        Entries::<Test>::mutate(HospitalId(0), |hospital| {
            hospital.as_mut().unwrap().status = HospitalStatus::Suspended;
        });
    };
    assert!(after(damage).contains("the active set"));
}

#[test]
fn a_chain_without_an_active_hospital_is_found() {
    let damage = || {
        for id in [HospitalId(0), HospitalId(1)] {
            Entries::<Test>::mutate(id, |hospital| {
                hospital.as_mut().unwrap().status = HospitalStatus::Removed;
            });
        }
        Active::<Test>::kill();
    };
    assert!(after(damage).contains("no hospital is active"));
}

#[test]
fn accounts_that_disagree_are_found() {
    assert!(after(|| Accounts::<Test>::remove(agent(0))).contains("not listed"));
    let extra = || Accounts::<Test>::insert(stranger(0), (HospitalId(0), Duty::Agent));
    assert!(after(extra).contains("belongs to no hospital"));
}

#[test]
fn an_account_without_its_provider_reference_is_found() {
    let damage = || {
        System::dec_providers(&agent(0)).unwrap();
    };
    assert!(after(damage).contains("no provider"));
}

#[test]
fn a_seated_hospital_that_was_not_admitted_is_found() {
    let damage = || Seated::<Test>::put(crate::HospitalSet::truncate_from(vec![HospitalId(9)]));
    assert!(after(damage).contains("seated"));
}

#[test]
fn a_wrong_number_of_hospitals_is_found() {
    assert!(after(|| Present::<Test>::put(1)).contains("not removed"));
}

#[test]
fn periods_that_disagree_with_a_status_are_found() {
    assert!(after(|| ActivePeriods::<Test>::remove(HospitalId(1))).contains("periods"));
}

#[test]
fn a_reinstatement_in_a_session_that_has_not_begun_is_found() {
    let damage = || crate::ReinstatedIn::<Test>::insert(HospitalId(0), 1);
    assert!(after(damage).contains("reinstated"));
}

#[test]
fn a_benched_hospital_that_is_not_active_is_found() {
    let damage = || Benched::<Test>::put(crate::HospitalSet::truncate_from(vec![HospitalId(9)]));
    assert!(after(damage).contains("benched"));
}

#[test]
fn a_leaving_set_that_disagrees_with_a_status_is_found() {
    let damage = || LeavingHospitals::<Test>::put(HospitalSet::truncate_from(vec![HospitalId(1)]));
    assert!(after(damage).contains("the leaving set"));
}

#[test]
fn an_unready_or_watched_hospital_that_is_not_active_is_found() {
    let set = || HospitalSet::truncate_from(vec![HospitalId(9)]);
    assert!(after(|| Unready::<Test>::put(set())).contains("unready"));
    assert!(after(|| Watched::<Test>::put(set())).contains("watched"));
}

#[test]
fn blocks_of_no_hospital_are_found() {
    assert!(after(|| Authored::<Test>::insert(HospitalId(9), 1)).contains("blocks"));
    assert!(after(|| Authored::<Test>::insert(HospitalId(0), 0)).contains("blocks"));
}

#[test]
fn a_replacement_at_a_hospital_that_was_not_admitted_is_found() {
    let replacement = Replacement { governance: stranger(0), from: 0 };
    let damage = || Replacements::<Test>::insert(HospitalId(9), replacement);
    assert!(after(damage).contains("is to be replaced"));
}
