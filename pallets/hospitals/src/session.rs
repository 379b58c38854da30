//! The active hospitals as validators: who sits, and what an offence costs.

use alloc::vec::Vec;
use core::marker::PhantomData;
use epione_primitives::{
    AccountId, HospitalId,
    hospital::{Duty, HospitalStatus},
};
use frame_support::{traits::Contains, weights::Weight};
use pallet_session::historical;
use sp_runtime::{Perbill, traits::Convert};
use sp_staking::{
    SessionIndex,
    offence::{OffenceDetails, OnOffenceHandler},
};

use crate::{Accounts, Active, Config, Event, Hospitals, Pallet, Seated, WeightInfo};

/// A governance account's hospital, whatever its status. One storage read, as pallet-session asks;
/// that suspended hospitals do not transact is the transaction extension's concern.
pub struct ValidatorIdOf<T>(PhantomData<T>);

impl<T: Config> Convert<AccountId, Option<HospitalId>> for ValidatorIdOf<T> {
    fn convert(account: AccountId) -> Option<HospitalId> {
        match Accounts::<T>::get(account) {
            Some((hospital, Duty::Governance)) => Some(hospital),
            _ => None,
        }
    }
}

/// What identifies a validator beyond its id: nothing, since no stake is behind it.
pub struct FullIdentificationOf;

impl Convert<HospitalId, Option<()>> for FullIdentificationOf {
    fn convert(_: HospitalId) -> Option<()> {
        Some(())
    }
}

impl<T: Config> Pallet<T> {
    /// The active hospitals with session keys, and whether they differ from those last seated.
    /// `None` if there are none: the session pallet then keeps the validators that it has.
    fn plan() -> Option<(Vec<HospitalId>, bool)> {
        let mut set = Active::<T>::get();
        set.retain(T::SessionKeys::contains);
        if set.is_empty() {
            return None;
        }
        let changed = set != Seated::<T>::get();
        if changed {
            Seated::<T>::put(&set);
        }
        Some((set.into_inner(), changed))
    }

    /// Suspends a hospital that broke the rules of consensus, unless nobody else is active.
    fn punish(hospital: HospitalId) {
        let Some(entry) = Hospitals::<T>::get(hospital) else { return };
        if entry.status != HospitalStatus::Active {
            return;
        }
        let event = match Self::set_status(hospital, entry, HospitalStatus::Suspended) {
            Ok(()) => Event::Suspended { hospital },
            Err(_) => Event::OffenderKept { hospital },
        };
        Self::deposit_event(event);
    }
}

impl<T: Config> pallet_session::SessionManager<HospitalId> for Pallet<T> {
    fn new_session(_: SessionIndex) -> Option<Vec<HospitalId>> {
        Self::plan().and_then(|(set, changed)| changed.then_some(set))
    }

    /// The first two sessions are always given in full, so that both have a historical root.
    fn new_session_genesis(_: SessionIndex) -> Option<Vec<HospitalId>> {
        Self::plan().map(|(set, _)| set)
    }

    fn start_session(_: SessionIndex) {}

    fn end_session(_: SessionIndex) {}
}

impl<T: Config> historical::SessionManager<HospitalId, ()> for Pallet<T> {
    fn new_session(index: SessionIndex) -> Option<Vec<(HospitalId, ())>> {
        <Self as pallet_session::SessionManager<_>>::new_session(index).map(identified)
    }

    fn new_session_genesis(index: SessionIndex) -> Option<Vec<(HospitalId, ())>> {
        <Self as pallet_session::SessionManager<_>>::new_session_genesis(index).map(identified)
    }

    fn start_session(_: SessionIndex) {}

    fn end_session(_: SessionIndex) {}
}

fn identified(set: Vec<HospitalId>) -> Vec<(HospitalId, ())> {
    set.into_iter().map(|hospital| (hospital, ())).collect()
}

impl<T: Config, Reporter, Identification>
    OnOffenceHandler<Reporter, (HospitalId, Identification), Weight> for Pallet<T>
{
    fn on_offence(
        offenders: &[OffenceDetails<Reporter, (HospitalId, Identification)>],
        _: &[Perbill],
        _: SessionIndex,
    ) -> Weight {
        offenders.iter().fold(Weight::zero(), |weight, details| {
            Self::punish(details.offender.0);
            weight.saturating_add(T::WeightInfo::suspend())
        })
    }
}
