//! Custodians of removed hospitals.

use std::{cell::RefCell, collections::BTreeMap};

use epione_primitives::{
    HospitalId,
    ports::{self, Hospitals as _},
};

use crate::Hospitals;

thread_local! {
    static APPOINTED: RefCell<BTreeMap<HospitalId, HospitalId>> = Default::default();
}

pub(crate) fn forget() {
    APPOINTED.set(BTreeMap::new());
}

/// Makes a hospital the custodian of a removed one. The delay is over.
pub fn appoint_custodian(departed: HospitalId, custodian: HospitalId) {
    APPOINTED.with_borrow_mut(|appointed| appointed.insert(departed, custodian));
}

/// Dismisses the custodian of a removed hospital.
pub fn dismiss_custodian(departed: HospitalId) {
    APPOINTED.with_borrow_mut(|appointed| appointed.remove(&departed));
}

/// Stands in for pallet-custody.
pub struct Custodians;

impl ports::Custodians for Custodians {
    fn custodian_of(departed: HospitalId) -> Option<HospitalId> {
        let appointed = APPOINTED.with_borrow(|appointed| appointed.get(&departed).copied())?;
        Hospitals::active().contains(&appointed).then_some(appointed)
    }
}
