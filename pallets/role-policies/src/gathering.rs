//! The reading half of a decision, and the other questions that the runtime API asks.

use alloc::vec::Vec;
use epione_policies::{
    Facts,
    decision::{credentials, places},
    default_policies, evaluate,
};
use epione_primitives::{
    HospitalId, Moment,
    access::{AccessRequest, Action, Decision, Denial, Policy, PolicySet, SectionClass},
    limits::MAX_DECISIONS,
    ports::{AccessPolicies, Credentials, Hospitals, Mandates, Users},
    profile::Role,
};
use frame_support::{storage::unhashed, traits::Time};

use crate::{Config, LatestVersion, Pallet, PolicySets};

impl<T: Config> Pallet<T> {
    /// Decides by the relationships, registrations and policies in force at `at` (ms): now, if
    /// absent.
    ///
    /// Reads the hospital, two roles, one value of relationships, the hospital's newest version and one policy set; the
    /// patient's registration there, and the requester's there and at the hospitals that the set names, with the
    /// periods in which those served; the requester's credentials that the set names, with the periods in which
    /// their issuers served; whether the requester represents the patient, and for a submission whether the
    /// hospital is authorized; the requester's other registrations, if they are related to the patient, represent the
    /// patient, have a named credential, or read shared sections, but are registered at none of these; for a moment
    /// before the newest set, when one version began for each halving of their number; for a moment before the newest
    /// relationship of a kind, or the newest credential or mandate, one earlier one for each halving of their number.
    pub fn decide(request: AccessRequest, at: Option<Moment>) -> Decision {
        Self::answer(&request, at.unwrap_or_else(T::Time::now))
    }

    /// Decides each of at most [`MAX_DECISIONS`] requests now, in their order.
    pub fn decide_each(requests: Vec<AccessRequest>) -> Vec<Decision> {
        let now = T::Time::now();
        let bounded = requests.iter().take(MAX_DECISIONS as usize);
        bounded.map(|request| Self::answer(request, now)).collect()
    }

    /// A version of a hospital's policies, 0 being the default set; the newest, if absent. None if
    /// there is no such version or hospital.
    pub fn policies(hospital: HospitalId, version: Option<u32>) -> Option<(u32, PolicySet)> {
        if !T::Hospitals::exists(hospital) {
            return None;
        }
        let version = version.unwrap_or_else(|| LatestVersion::<T>::get(hospital));
        Self::version(hospital, version).map(|set| (version, set))
    }

    pub(crate) fn answer(request: &AccessRequest, at: Moment) -> Decision {
        let (version, set) = Self::policies_at(request.hospital, at);
        match Self::gather(request, at, &set.policies) {
            Ok(facts) => evaluate(&facts, version, &set),
            Err(denial) => Decision::Deny(denial),
        }
    }

    fn gather(request: &AccessRequest, at: Moment, policies: &[Policy]) -> Result<Facts, Denial> {
        let AccessRequest { requester, action, patient, hospital, class, purpose, cosigned } =
            *request;
        if !T::Hospitals::exists(hospital) {
            return Err(Denial::UnknownHospital);
        }
        let role = T::Users::role(requester).ok_or(Denial::UnknownRequester)?;
        if T::Users::role(patient) != Some(Role::Patient) {
            return Err(Denial::UnknownPatient);
        }
        let requester_at: Vec<_> = places(policies, role, hospital)
            .into_iter()
            .filter(|place| T::Users::registered(*place, requester, at))
            .filter(|place| T::Hospitals::served_at(*place, at))
            .collect();
        let mut related = Self::kinds_in_force((patient, requester, hospital), at);
        let mut represents_patient = T::Mandates::represents(requester, patient, at);
        let mut credentials = credentials(policies, role, hospital);
        credentials.retain(|(attribute, issuer)| {
            T::Credentials::holds(requester, *attribute, *issuer, at)
                && T::Hospitals::served_at(*issuer, at)
        });
        // None of these, and no consent, counts for a requester who is registered at no hospital that served then.
        let mut class = class;
        let is_registered = || {
            let mut hospitals = T::Users::hospitals(requester, at).into_iter();
            hospitals.any(|place| T::Hospitals::served_at(place, at))
        };
        let matters = !related.is_empty()
            || represents_patient
            || !credentials.is_empty()
            || class == SectionClass::Shared;
        if matters && requester_at.is_empty() && !is_registered() {
            related.clear();
            represents_patient = false;
            credentials.clear();
            class = SectionClass::Private;
        }
        Ok(Facts {
            role,
            action,
            class,
            purpose,
            cosigned: cosigned
                || action == Action::Submit && T::Mandates::authorizes(patient, hospital, at),
            at,
            hospital,
            requester_is_patient: requester == patient,
            requester_at,
            patient_registered: T::Users::registered(hospital, patient, at),
            credentials,
            represents_patient,
            related,
        })
    }

    /// The version in force at a moment: the last that had begun. Most questions are about the
    /// newest; versions began in order, so that any other is found by halving.
    fn policies_at(hospital: HospitalId, at: Moment) -> (u32, PolicySet) {
        let newest = LatestVersion::<T>::get(hospital);
        if let Some(set) = Self::version(hospital, newest).filter(|set| set.since <= at) {
            return (newest, set);
        }
        // The default set has always begun, and the newest has not.
        let (mut begun, mut later) = (0, newest);
        while later.saturating_sub(begun) > 1 {
            let middle = u32::midpoint(begun, later);
            if Self::since(hospital, middle).is_some_and(|since| since <= at) {
                begun = middle;
            } else {
                later = middle;
            }
        }
        match Self::version(hospital, begun) {
            Some(set) => (begun, set),
            None => (0, default_policies()),
        }
    }

    fn version(hospital: HospitalId, version: u32) -> Option<PolicySet> {
        match version {
            0 => Some(default_policies()),
            _ => PolicySets::<T>::get(hospital, version),
        }
    }

    /// When a stored version began. Decodes no further: a set begins with this moment, and is long.
    fn since(hospital: HospitalId, version: u32) -> Option<Moment> {
        unhashed::get(&PolicySets::<T>::hashed_key_for(hospital, version))
    }
}

impl<T: Config> AccessPolicies for Pallet<T> {
    fn decide(request: &AccessRequest, at: Moment) -> Decision {
        Self::answer(request, at)
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(hospital: HospitalId) {
        crate::benchmarking::set_largest_policies::<T>(hospital, 0);
    }
}
