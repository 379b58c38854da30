//! The active hospitals as validators, and the punishment of offences.

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

/// The hospital of a governance account, whatever the hospital's status. One storage read, as pallet-session
/// requires. The transaction extension rejects suspended hospitals.
pub struct ValidatorIdOf<T>(PhantomData<T>);

impl<T: Config> Convert<AccountId, Option<HospitalId>> for ValidatorIdOf<T> {
    fn convert(account: AccountId) -> Option<HospitalId> {
        match Accounts::<T>::get(account) {
            Some((hospital, Duty::Governance)) => Some(hospital),
            _ => None,
        }
    }
}

/// Additional identification of a validator: none, because there is no stake.
pub struct FullIdentificationOf;

impl Convert<HospitalId, Option<()>> for FullIdentificationOf {
    fn convert(_: HospitalId) -> Option<()> {
        Some(())
    }
}

impl<T: Config> Pallet<T> {
    /// The active hospitals with session keys, and whether they differ from the last seated set.
    /// `None` if there are none: the session pallet then keeps the current validators.
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

    /// Suspends a hospital that broke the rules of consensus, unless no other hospital is active.
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

    /// The session pallet always receives the sets of the first two sessions, so both have a historical root.
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
