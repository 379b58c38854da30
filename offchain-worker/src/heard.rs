//! When other hospitals' workers last sent a request: a hospital that cannot be reached from here, but sends requests,
//! is not down.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use epione_primitives::{HospitalId, Moment};

/// The last request of each hospital's agent, since this process began. At most one entry for each hospital of the
/// chain. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Heard(Arc<Mutex<BTreeMap<HospitalId, Moment>>>);

impl Heard {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<HospitalId, Moment>> {
        // No code under this lock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request of a hospital's agent was accepted.
    pub fn note(&self, hospital: HospitalId, now: Moment) {
        self.lock().insert(hospital, now);
    }

    pub fn all(&self) -> BTreeMap<HospitalId, Moment> {
        self.lock().clone()
    }
}
