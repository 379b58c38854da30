//! What patients let others do in their names for a period.

use std::{cell::RefCell, collections::BTreeMap};

use epione_primitives::{HospitalId, Moment, UserId, mandate::Mandate, ports};

thread_local! {
    static REPRESENTATIVES: RefCell<BTreeMap<(UserId, UserId), Mandate>> = Default::default();
    static AUTHORIZATIONS: RefCell<BTreeMap<(UserId, HospitalId), Mandate>> = Default::default();
}

pub(crate) fn forget() {
    REPRESENTATIVES.set(BTreeMap::new());
    AUTHORIZATIONS.set(BTreeMap::new());
}

/// Makes a user a representative of a patient from `since` until `until`.
pub fn add_representative(patient: UserId, user: UserId, since: Moment, until: Moment) {
    let mandate = Mandate { since, until, ended: None };
    REPRESENTATIVES.with_borrow_mut(|all| all.insert((patient, user), mandate));
}

/// Lets a hospital submit without the patient's signature from `since` until `until`.
pub fn authorize(patient: UserId, hospital: HospitalId, since: Moment, until: Moment) {
    let mandate = Mandate { since, until, ended: None };
    AUTHORIZATIONS.with_borrow_mut(|all| all.insert((patient, hospital), mandate));
}

/// Stands in for pallet-mandates.
pub struct Mandates;

impl ports::Mandates for Mandates {
    fn represents(user: UserId, patient: UserId, at: Moment) -> bool {
        REPRESENTATIVES.with_borrow(|all| {
            all.get(&(patient, user)).is_some_and(|mandate| mandate.in_force(at))
        })
    }

    fn authorizes(patient: UserId, hospital: HospitalId, at: Moment) -> bool {
        AUTHORIZATIONS.with_borrow(|all| {
            all.get(&(patient, hospital)).is_some_and(|mandate| mandate.in_force(at))
        })
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(patient: UserId, user: UserId, hospital: HospitalId) {
        add_representative(patient, user, 0, Moment::MAX);
        authorize(patient, hospital, 0, Moment::MAX);
    }
}
