//! The invariants of this pallet's state, which the crate documentation lists.

use epione_primitives::{
    HospitalId,
    hospital::{Duty, HospitalStatus},
};
use frame_support::ensure;
use sp_runtime::TryRuntimeError;

use crate::{
    Accounts, Active, ActivePeriods, Admitted, Authored, Benched, Config, Hospitals,
    LeavingHospitals, Pallet, Present, ReinstatedIn, Replacements, Seated, Unready,
    Validators as _, Watched,
};

impl<T: Config> Pallet<T> {
    pub fn check_state() -> Result<(), TryRuntimeError> {
        let admitted = Admitted::<T>::get();
        let hospitals = Self::hospitals();
        ensure!(
            hospitals.len() == usize::from(admitted)
                && Hospitals::<T>::iter_keys().count() == hospitals.len(),
            "hospital ids do not range from 0 to the number of admitted hospitals"
        );

        let active: alloc::vec::Vec<_> = hospitals
            .iter()
            .filter(|(_, hospital)| hospital.status == HospitalStatus::Active)
            .map(|(id, _)| *id)
            .collect();
        ensure!(
            Active::<T>::get().into_inner() == active,
            "the active set differs from the hospitals whose status is active"
        );
        ensure!(active.is_empty() == (admitted == 0), "no hospital is active");
        let leaving: alloc::vec::Vec<_> = hospitals
            .iter()
            .filter(|(_, hospital)| hospital.status == HospitalStatus::Leaving)
            .map(|(id, _)| *id)
            .collect();
        ensure!(
            LeavingHospitals::<T>::get().into_inner() == leaving,
            "the leaving set differs from the hospitals whose status is leaving"
        );

        let present =
            hospitals.iter().filter(|(_, known)| known.status != HospitalStatus::Removed).count();
        ensure!(
            u32::try_from(present) == Ok(Present::<T>::get()),
            "the number of hospitals that are not removed is wrong"
        );

        for (id, hospital) in &hospitals {
            let periods = ActivePeriods::<T>::get(id);
            let serves = hospital.status.serves();
            let open = periods.iter().filter(|period| period.until.is_none()).count();
            ensure!(
                open == usize::from(serves)
                    && periods.last().is_some_and(|last| last.until.is_none() == serves),
                "a hospital's periods disagree with its status"
            );
            for (account, duty) in
                [(&hospital.governance, Duty::Governance), (&hospital.agent, Duty::Agent)]
            {
                ensure!(
                    Accounts::<T>::get(account) == Some((*id, duty)),
                    "a hospital's account is not listed under the hospital"
                );
                ensure!(
                    frame_system::Pallet::<T>::providers(account) > 0,
                    "a hospital's account has no provider"
                );
            }
        }
        ensure!(
            Accounts::<T>::iter_keys().count() == hospitals.len().saturating_mul(2),
            "an account is listed that belongs to no hospital"
        );

        let seated = Seated::<T>::get();
        ensure!(
            seated.is_sorted_by(|a, b| a < b)
                && seated.iter().all(|HospitalId(number)| *number < admitted),
            "the seated validators are not ascending ids of admitted hospitals"
        );
        let benched = Benched::<T>::get();
        ensure!(
            benched.is_sorted_by(|a, b| a < b) && benched.iter().all(|id| active.contains(id)),
            "the benched hospitals are not ascending ids of active hospitals"
        );
        Self::check_liveness(&active)?;
        ensure!(
            Replacements::<T>::iter_keys().all(|id| {
                let known = Hospitals::<T>::get(id);
                known.is_some_and(|known| known.status != HospitalStatus::Removed)
            }),
            "the governance account of a removed or unknown hospital is to be replaced"
        );
        let session = T::Validators::session();
        ensure!(
            ReinstatedIn::<T>::iter()
                .all(|(HospitalId(number), since)| number < admitted && since <= session),
            "a hospital was reinstated that was never admitted, or in a session that has not begun"
        );
        Ok(())
    }

    /// Who is ready, who is watched, and who made blocks. `active` is ascending.
    fn check_liveness(active: &[HospitalId]) -> Result<(), TryRuntimeError> {
        for set in [Unready::<T>::get(), Watched::<T>::get()] {
            ensure!(
                set.is_sorted_by(|a, b| a < b) && set.iter().all(|id| active.contains(id)),
                "the unready or the watched hospitals are not ascending ids of active hospitals"
            );
        }
        ensure!(
            Authored::<T>::iter()
                .all(|(hospital, blocks)| Hospitals::<T>::contains_key(hospital) && blocks > 0),
            "blocks are counted for no hospital, or none are counted for one"
        );
        Ok(())
    }
}
