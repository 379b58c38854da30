//! Reading hospitals: for other pallets through the port, for nodes and clients through the runtime API.

use alloc::vec::Vec;
use epione_primitives::{
    AccountId, Hash, HospitalId, Moment,
    hospital::{Duty, Hospital, HospitalStatus, Replacement},
    ports,
};
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use crate::{
    Accounts, Active, ActivePeriods, Admitted, Benched, Config, Hospitals, LeavingHospitals,
    Pallet, Replacements, Unready,
};

impl<T: Config> Pallet<T> {
    /// Every hospital ever admitted, ascending by id.
    pub fn hospitals() -> Vec<(HospitalId, Hospital)> {
        (0..Admitted::<T>::get())
            .map(HospitalId)
            .filter_map(|id| Hospitals::<T>::get(id).map(|hospital| (id, hospital)))
            .collect()
    }

    pub fn hospital(id: HospitalId) -> Option<Hospital> {
        Hospitals::<T>::get(id)
    }

    /// The hospital that an account belongs to, whatever the hospital's status, and the account's duty.
    pub fn hospital_of(account: AccountId) -> Option<(HospitalId, Duty)> {
        Accounts::<T>::get(account)
    }

    /// The active hospitals that do not validate since an offence, ascending.
    pub fn benched() -> Vec<HospitalId> {
        Benched::<T>::get().into_inner()
    }

    /// The active hospitals that do not validate until their workers say that they are ready, ascending.
    pub fn unready() -> Vec<HospitalId> {
        Unready::<T>::get().into_inner()
    }

    /// The governance account with which the council replaces that of a hospital.
    pub fn replacement(id: HospitalId) -> Option<Replacement> {
        Replacements::<T>::get(id)
    }

    fn account_of(account: &AccountId, duty: Duty) -> Option<HospitalId> {
        let (id, held) = Accounts::<T>::get(account)?;
        (held == duty).then_some(id)
    }

    fn active_by(account: &AccountId, duty: Duty) -> Option<HospitalId> {
        let id = Self::account_of(account, duty)?;
        Active::<T>::get().binary_search(&id).is_ok().then_some(id)
    }

    fn serving_by(account: &AccountId, duty: Duty) -> Option<HospitalId> {
        let id = Self::account_of(account, duty)?;
        let serves = Active::<T>::get().binary_search(&id).is_ok()
            || LeavingHospitals::<T>::get().binary_search(&id).is_ok();
        serves.then_some(id)
    }
}

impl<T: Config> ports::Hospitals for Pallet<T> {
    fn active_by_agent(account: &AccountId) -> Option<HospitalId> {
        Self::active_by(account, Duty::Agent)
    }

    fn active_by_governance(account: &AccountId) -> Option<HospitalId> {
        Self::active_by(account, Duty::Governance)
    }

    fn serving_by_agent(account: &AccountId) -> Option<HospitalId> {
        Self::serving_by(account, Duty::Agent)
    }

    fn serving_by_governance(account: &AccountId) -> Option<HospitalId> {
        Self::serving_by(account, Duty::Governance)
    }

    fn exists(hospital: HospitalId) -> bool {
        Hospitals::<T>::contains_key(hospital)
    }

    fn is_removed(hospital: HospitalId) -> bool {
        Hospitals::<T>::get(hospital).is_some_and(|known| known.status == HospitalStatus::Removed)
    }

    fn served_at(hospital: HospitalId, at: Moment) -> bool {
        ActivePeriods::<T>::get(hospital).iter().any(|period| period.contains(at))
    }

    fn active() -> Vec<HospitalId> {
        Active::<T>::get().into_inner()
    }

    fn unready() -> Vec<HospitalId> {
        Unready::<T>::get().into_inner()
    }

    fn serving() -> Vec<HospitalId> {
        let mut serving = Active::<T>::get().into_inner();
        serving.extend(LeavingHospitals::<T>::get());
        serving.sort();
        serving
    }

    fn recipient(hospital: HospitalId) -> Option<(AccountId, Hash)> {
        let known = Hospitals::<T>::get(hospital);
        let known = known.filter(|known| known.status == HospitalStatus::Active)?;
        Some((known.agent, BlakeTwo256::hash(&known.sealing_key)))
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn remove(hospital: HospitalId) {
        Hospitals::<T>::mutate_extant(hospital, |known| known.status = HospitalStatus::Removed);
        Active::<T>::mutate(|active| active.retain(|id| *id != hospital));
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(governance: AccountId, agent: AccountId) -> HospitalId {
        let id = Self::enrol(crate::benchmarking::largest(governance.clone(), agent))
            .expect("benchmarks admit at most MAX_HOSPITALS, each with new accounts");
        Self::change_council(&[governance], &[]);
        id
    }
}
