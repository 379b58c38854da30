//! Patients whom others represent, and who authorized hospitals.

use std::{cell::RefCell, collections::BTreeSet};

use epione_primitives::{HospitalId, Moment, UserId, ports};

thread_local! {
    /// Representatives with their patients.
    static REPRESENTATIVES: RefCell<BTreeSet<(UserId, UserId)>> = Default::default();
    static AUTHORIZATIONS: RefCell<BTreeSet<(UserId, HospitalId)>> = Default::default();
}

pub(crate) fn forget() {
    REPRESENTATIVES.set(BTreeSet::new());
    AUTHORIZATIONS.set(BTreeSet::new());
}

/// Makes a user a representative of a patient.
pub fn add_representative(user: UserId, patient: UserId) {
    REPRESENTATIVES.with_borrow_mut(|all| all.insert((user, patient)));
}

/// Ends what [`add_representative`] began.
pub fn remove_representative(user: UserId, patient: UserId) {
    REPRESENTATIVES.with_borrow_mut(|all| all.remove(&(user, patient)));
}

/// Authorizes a hospital to submit records of a patient without the patient's signature.
pub fn authorize(patient: UserId, hospital: HospitalId) {
    AUTHORIZATIONS.with_borrow_mut(|all| all.insert((patient, hospital)));
}

/// Stands in for pallet-mandates. What a test states holds at every moment.
pub struct Mandates;

impl ports::Mandates for Mandates {
    fn represents(user: UserId, patient: UserId, _: Moment) -> bool {
        REPRESENTATIVES.with_borrow(|all| all.contains(&(user, patient)))
    }

    fn authorizes(patient: UserId, hospital: HospitalId, _: Moment) -> bool {
        AUTHORIZATIONS.with_borrow(|all| all.contains(&(patient, hospital)))
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(patient: UserId, user: UserId, hospital: HospitalId) {
        add_representative(user, patient);
        authorize(patient, hospital);
    }
}
