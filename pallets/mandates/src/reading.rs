//! Reading mandates: for other pallets through the port, for nodes and clients through the runtime API.

use alloc::vec::Vec;
use epione_primitives::{HospitalId, Moment, UserId, limits::MAX_PAGE, mandate::Mandate, ports};
use frame_support::traits::Time as _;

use crate::{Authorizations, Config, Custodies, Pallet, Representatives};

impl<T: Config> Pallet<T> {
    /// The newest mandate of each of a patient's representatives, in force or not, in the order of the chain's storage,
    /// after `after`: at most `limit` and [`MAX_PAGE`]. Those whom the patient appoints between two calls may be sorted
    /// before `after`.
    pub fn representatives(
        patient: UserId,
        after: Option<UserId>,
        limit: u32,
    ) -> Vec<(UserId, Mandate)> {
        let all = match after {
            None => Representatives::<T>::iter_prefix(patient),
            Some(last) => {
                let key = Representatives::<T>::hashed_key_for(patient, last);
                Representatives::<T>::iter_prefix_from(patient, key)
            }
        };
        all.take(limit.min(MAX_PAGE) as usize).collect()
    }

    /// The newest mandate of each hospital that a patient authorized, in force or not, ascending.
    pub fn authorizations(patient: UserId) -> Vec<(HospitalId, Mandate)> {
        let mut all: Vec<_> = Authorizations::<T>::iter_prefix(patient).collect();
        all.sort_unstable_by_key(|(hospital, _)| *hospital);
        all
    }

    /// The mandate by which a user represents a patient now.
    pub fn representation_now(user: UserId, patient: UserId) -> Option<Mandate> {
        Self::representation_at(user, patient, T::Time::now())
    }

    /// Whether a dismissal of a patient's representative by this user succeeds now.
    pub fn can_dismiss(user: UserId, patient: UserId, representative: UserId) -> bool {
        (user == patient || user == representative)
            && Self::representation_now(representative, patient).is_some()
    }

    /// Whether a revocation of the hospital's authorization by this user succeeds now.
    pub fn can_revoke(user: UserId, hospital: HospitalId) -> bool {
        Self::authorized(user, hospital, T::Time::now())
    }

    /// Whether this user ends with success now what is entrusted at the hospital.
    pub fn can_end_custody(user: UserId, hospital: HospitalId) -> bool {
        let newest = Custodies::<T>::get(hospital, user);
        newest.is_some_and(|newest| newest.in_force(T::Time::now()))
    }
}

impl<T: Config> ports::Mandates for Pallet<T> {
    fn representation(user: UserId, patient: UserId, at: Moment) -> Option<Mandate> {
        Self::representation_at(user, patient, at)
    }

    fn authorizes(patient: UserId, hospital: HospitalId, at: Moment) -> bool {
        Self::authorized(patient, hospital, at)
    }

    fn entrusts(patient: UserId, hospital: HospitalId) -> bool {
        Self::can_end_custody(patient, hospital)
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(patient: UserId, user: UserId, hospital: HospitalId) {
        let mandate = Mandate { since: 0, until: Moment::MAX, ended: None };
        Representatives::<T>::insert(patient, user, mandate);
        Authorizations::<T>::insert(patient, hospital, mandate);
        Custodies::<T>::insert(hospital, patient, mandate);
    }
}
