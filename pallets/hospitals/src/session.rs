//! The hospitals that are ready as validators, and the bench for those that committed an offence.

use alloc::vec::Vec;
use core::marker::PhantomData;
use epione_primitives::{AccountId, HospitalId, hospital::Duty};
use frame_support::weights::Weight;
use pallet_session::historical;
use sp_runtime::{Perbill, traits::Convert};
use sp_staking::{
    SessionIndex,
    offence::{OffenceDetails, OnOffenceHandler},
};

use crate::{
    Accounts, Active, Benched, Config, Event, HospitalSet, Pallet, ReinstatedIn, Seated, Unready,
    WeightInfo,
};

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

/// The validators of the session pallet. Implemented by the runtime.
pub trait Validators {
    /// The index of the current session.
    fn session() -> SessionIndex;
    /// The validators of the current session.
    fn current() -> Vec<HospitalId>;
    /// Whether a hospital has session keys. The others cannot validate yet.
    fn has_keys(hospital: HospitalId) -> bool;
    /// Lets a validator make no more blocks in this session, unless no other validator would be left.
    fn disable(hospital: HospitalId);
    /// Lets a disabled validator make blocks again.
    fn enable(hospital: HospitalId);
    /// Deletes the session keys of a hospital.
    fn purge_keys(hospital: HospitalId);
}

/// For runtimes without sessions.
impl Validators for () {
    fn session() -> SessionIndex {
        0
    }

    fn current() -> Vec<HospitalId> {
        Vec::new()
    }

    fn has_keys(_: HospitalId) -> bool {
        true
    }

    fn disable(_: HospitalId) {}

    fn enable(_: HospitalId) {}

    fn purge_keys(_: HospitalId) {}
}

impl<T: Config> Pallet<T> {
    /// Whether a hospital may make blocks: it is active and not benched.
    pub fn may_validate(hospital: HospitalId) -> bool {
        Active::<T>::get().binary_search(&hospital).is_ok()
            && Benched::<T>::get().binary_search(&hospital).is_err()
    }

    /// Whether an offence of this session would count: the hospital may validate, and was not reinstated in this
    /// session or later. Without this, a key that was rotated out would bench the hospital again and again.
    pub fn answers_for(hospital: HospitalId, session: SessionIndex) -> bool {
        Self::may_validate(hospital)
            && ReinstatedIn::<T>::get(hospital).is_none_or(|reinstated| session > reinstated)
    }

    /// The hospitals that may validate, are ready and have session keys, ascending.
    pub(crate) fn able() -> HospitalSet {
        let (benched, unready) = (Benched::<T>::get(), Unready::<T>::get());
        let mut set = Active::<T>::get();
        set.retain(|hospital| {
            benched.binary_search(hospital).is_err()
                && unready.binary_search(hospital).is_err()
                && T::Validators::has_keys(*hospital)
        });
        set
    }

    /// Whether a hospital other than this one is [`able`](Self::able) to validate. Without it, the chain would stop.
    pub(crate) fn another_validates(hospital: HospitalId) -> bool {
        Self::able().into_iter().any(|other| other != hospital)
    }

    /// The hospitals that are able to validate, and whether they differ from the last seated set. `None` if there are
    /// none: the session pallet then keeps the current validators.
    fn plan() -> Option<(Vec<HospitalId>, bool)> {
        let set = Self::able();
        if set.is_empty() {
            return None;
        }
        let changed = set != Seated::<T>::get();
        if changed {
            Seated::<T>::put(&set);
        }
        Some((set.into_inner(), changed))
    }

    /// Benches a hospital that broke the rules of consensus in this session, unless a third of the hospitals would
    /// be benched with it, or no other could validate. Further offences of a benched hospital change nothing.
    fn bench(hospital: HospitalId, session: SessionIndex) {
        if !Self::answers_for(hospital, session) {
            return;
        }
        let mut benched = Benched::<T>::get();
        let Err(position) = benched.binary_search(&hospital) else { return };
        let full = benched.len() >= Active::<T>::get().len().saturating_sub(1) / 3;
        let needed = !Self::another_validates(hospital);
        if full || needed || benched.try_insert(position, hospital).is_err() {
            Self::deposit_event(Event::OffenderKept { hospital });
            return;
        }
        Benched::<T>::put(benched);
        Self::stop_watching(hospital);
        T::Validators::disable(hospital);
        Self::deposit_event(Event::Benched { hospital });
    }

    /// Takes a hospital from the bench. Returns whether it was benched.
    pub(crate) fn leave_bench(hospital: HospitalId) -> bool {
        Benched::<T>::mutate(|benched| {
            let position = benched.binary_search(&hospital);
            position.map(|position| benched.remove(position)).is_ok()
        })
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

    fn start_session(_: SessionIndex) {
        Self::watch(&T::Validators::current());
    }

    fn end_session(_: SessionIndex) {
        Self::unseat_silent();
    }
}

impl<T: Config> historical::SessionManager<HospitalId, ()> for Pallet<T> {
    fn new_session(index: SessionIndex) -> Option<Vec<(HospitalId, ())>> {
        <Self as pallet_session::SessionManager<_>>::new_session(index).map(identified)
    }

    fn new_session_genesis(index: SessionIndex) -> Option<Vec<(HospitalId, ())>> {
        <Self as pallet_session::SessionManager<_>>::new_session_genesis(index).map(identified)
    }

    fn start_session(index: SessionIndex) {
        <Self as pallet_session::SessionManager<HospitalId>>::start_session(index);
    }

    fn end_session(index: SessionIndex) {
        <Self as pallet_session::SessionManager<HospitalId>>::end_session(index);
    }
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
        session: SessionIndex,
    ) -> Weight {
        offenders.iter().fold(Weight::zero(), |weight, details| {
            Self::bench(details.offender.0, session);
            weight.saturating_add(T::WeightInfo::suspend())
        })
    }
}
