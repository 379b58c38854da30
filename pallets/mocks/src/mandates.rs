//! Patients whom others represent, and who authorized hospitals.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use epione_primitives::{HospitalId, Moment, UserId, mandate::Mandate, ports};

thread_local! {
    /// Representatives with their patients.
    static REPRESENTATIVES: RefCell<BTreeMap<(UserId, UserId), Mandate>> = Default::default();
    static AUTHORIZATIONS: RefCell<BTreeMap<(UserId, HospitalId), Mandate>> = Default::default();
    /// Patients with the hospitals at which they entrust their patient keys.
    static ENTRUSTED: RefCell<BTreeSet<(UserId, HospitalId)>> = Default::default();
}

pub(crate) fn forget() {
    REPRESENTATIVES.set(BTreeMap::new());
    AUTHORIZATIONS.set(BTreeMap::new());
    ENTRUSTED.set(BTreeSet::new());
}

fn mandate(since: Moment, until: Moment) -> Mandate {
    Mandate { since, until, ended: None }
}

/// Makes a user a representative of a patient, at every moment.
pub fn add_representative(user: UserId, patient: UserId) {
    represent_between(user, patient, 0, Moment::MAX);
}

/// Makes a user a representative of a patient from `since` until `until`.
pub fn represent_between(user: UserId, patient: UserId, since: Moment, until: Moment) {
    REPRESENTATIVES.with_borrow_mut(|all| all.insert((user, patient), mandate(since, until)));
}

/// Ends what [`add_representative`] began.
pub fn remove_representative(user: UserId, patient: UserId) {
    REPRESENTATIVES.with_borrow_mut(|all| all.remove(&(user, patient)));
}

/// Authorizes a hospital to submit records of a patient without the patient's signature, at every moment.
pub fn authorize(patient: UserId, hospital: HospitalId) {
    authorize_between(patient, hospital, 0, Moment::MAX);
}

/// Authorizes a hospital from `since` until `until`.
pub fn authorize_between(patient: UserId, hospital: HospitalId, since: Moment, until: Moment) {
    AUTHORIZATIONS.with_borrow_mut(|all| all.insert((patient, hospital), mandate(since, until)));
}

/// Lets a patient entrust the patient keys at a hospital.
pub fn entrust(patient: UserId, hospital: HospitalId) {
    ENTRUSTED.with_borrow_mut(|all| all.insert((patient, hospital)));
}

/// Ends what [`entrust`] began.
pub fn end_custody(patient: UserId, hospital: HospitalId) {
    ENTRUSTED.with_borrow_mut(|all| all.remove(&(patient, hospital)));
}

/// Stands in for pallet-mandates.
pub struct Mandates;

impl ports::Mandates for Mandates {
    fn representation(user: UserId, patient: UserId, at: Moment) -> Option<Mandate> {
        REPRESENTATIVES.with_borrow(|all| {
            all.get(&(user, patient)).copied().filter(|mandate| mandate.in_force(at))
        })
    }

    fn authorizes(patient: UserId, hospital: HospitalId, at: Moment) -> bool {
        AUTHORIZATIONS.with_borrow(|all| {
            all.get(&(patient, hospital)).is_some_and(|mandate| mandate.in_force(at))
        })
    }

    fn entrusts(patient: UserId, hospital: HospitalId) -> bool {
        ENTRUSTED.with_borrow(|all| all.contains(&(patient, hospital)))
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(patient: UserId, user: UserId, hospital: HospitalId) {
        add_representative(user, patient);
        authorize(patient, hospital);
        entrust(patient, hospital);
    }
}
