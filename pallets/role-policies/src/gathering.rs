//! The reading half of a decision, and the other questions that the runtime API asks.

use alloc::vec::Vec;
use epione_primitives::{
    HospitalId, Moment, UserId,
    access::{AccessRequest, Decision, Denial, PolicySet, Relationship},
    ports::{Hospitals, Users},
    profile::Role,
};
use frame_support::traits::Time;

use crate::{
    Config, LatestVersion, Pallet, PolicySets, Relationships,
    decision::{Facts, evaluate},
    policies::default_policies,
};

impl<T: Config> Pallet<T> {
    /// Decides by the relationships, registrations and policies in force at `at` (ms): now, if
    /// absent.
    ///
    /// Reads the hospital, two roles, two registrations, one value of relationships and one policy
    /// set; for a moment before the newest set, one set for each halving of the number of versions.
    pub fn decide(request: AccessRequest, at: Option<Moment>) -> Decision {
        let at = at.unwrap_or_else(T::Time::now);
        match Self::gather(&request, at) {
            Ok(facts) => {
                let (version, set) = Self::policies_at(request.hospital, at);
                evaluate(&facts, version, &set)
            }
            Err(denial) => Decision::Deny(denial),
        }
    }

    /// Every relationship of a patient, closed ones included, with its professional.
    pub fn relationships(patient: UserId) -> Vec<(UserId, Relationship)> {
        Relationships::<T>::iter_prefix((patient,))
            .flat_map(|((professional, _), relationships)| {
                relationships.into_iter().map(move |relationship| (professional, relationship))
            })
            .collect()
    }

    /// The newest policy set of a hospital and its version; 0 is the default set.
    pub fn policies(hospital: HospitalId) -> (u32, PolicySet) {
        let version = LatestVersion::<T>::get(hospital);
        match PolicySets::<T>::get(hospital, version) {
            Some(set) => (version, set),
            None => (0, default_policies()),
        }
    }

    fn gather(request: &AccessRequest, at: Moment) -> Result<Facts, Denial> {
        let AccessRequest { requester, action, patient, hospital, class, purpose } = *request;
        if !T::Hospitals::exists(hospital) {
            return Err(Denial::UnknownHospital);
        }
        let role = T::Users::role(requester).ok_or(Denial::UnknownRequester)?;
        if T::Users::role(patient) != Some(Role::Patient) {
            return Err(Denial::UnknownPatient);
        }
        let related = Relationships::<T>::get((patient, requester, hospital))
            .iter()
            .filter(|known| known.in_force(at))
            .map(|known| known.kind)
            .collect();
        Ok(Facts {
            role,
            action,
            class,
            purpose,
            at,
            requester_is_patient: requester == patient,
            requester_registered: T::Users::registered(hospital, requester, at),
            patient_registered: T::Users::registered(hospital, patient, at),
            related,
        })
    }

    /// The version in force at a moment: the last that had begun. Versions begin in order, so it is
    /// found by halving, the newest first since most questions are about now.
    fn policies_at(hospital: HospitalId, at: Moment) -> (u32, PolicySet) {
        let mut begun = (0, default_policies());
        let mut newest = LatestVersion::<T>::get(hospital);
        let mut candidate = newest;
        while begun.0 < newest {
            match PolicySets::<T>::get(hospital, candidate) {
                Some(set) if set.since <= at => begun = (candidate, set),
                _ => newest = candidate.saturating_sub(1),
            }
            candidate = begun.0 + newest.saturating_sub(begun.0).div_ceil(2);
        }
        begun
    }
}
