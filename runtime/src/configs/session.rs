//! Sessions: when the validators change, and which hospitals are validators.

pub use epione_primitives::limits::SESSION_BLOCKS;

use alloc::vec::Vec;
use epione_primitives::{AccountId, HospitalId};
use frame_support::traits::ConstU32;
use pallet_hospitals::Validators;
use pallet_session::{
    KeyOwner, NextKeys, PeriodicSessions, SessionHandler, SessionManager, historical,
};
use sp_core::crypto::KeyTypeId;
use sp_runtime::traits::OpaqueKeys;
use sp_staking::SessionIndex;

use crate::{
    Historical, Hospitals, LiteBlocks, Runtime, RuntimeEvent, Session, SessionKeys,
    configs::{SESSIONS_REMEMBERED, currency::NoCurrency},
    weights,
};

type Period = PeriodicSessions<ConstU32<SESSION_BLOCKS>, ConstU32<0>>;

impl pallet_session::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type ValidatorId = HospitalId;
    type ValidatorIdOf = pallet_hospitals::ValidatorIdOf<Runtime>;
    type ShouldEndSession = Period;
    type NextSessionRotation = Period;
    type SessionManager = historical::NoteHistoricalRoot<Runtime, Rotation>;
    type SessionHandler = Handover;
    type Keys = SessionKeys;
    type DisablingStrategy = pallet_session::disabling::UpToLimitDisablingStrategy;
    type WeightInfo = weights::pallet_session::Measured<Runtime>;
    type Currency = NoCurrency;
    type KeyDeposit = ();
}

impl historical::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type FullIdentification = ();
    type FullIdentificationOf = pallet_hospitals::FullIdentificationOf;
}

impl pallet_hospitals::Config for Runtime {
    type AdmitOrigin = crate::configs::CouncilMajority;
    type Validators = SessionValidators;
    type OnInactive = LiteBlocks;
    type OnInactiveWeight = pallet_lite_blocks::WithdrawalWeight<Runtime>;
    type MembershipChanged = crate::Council;
    type Time = crate::Timestamp;
    type WeightInfo = weights::pallet_hospitals::Measured<Runtime>;
}

/// The validators of pallet-session. Aura accepts no blocks of a disabled one.
pub struct SessionValidators;

impl Validators for SessionValidators {
    fn session() -> SessionIndex {
        Session::current_index()
    }

    fn current() -> Vec<HospitalId> {
        Session::validators()
    }

    fn has_keys(hospital: HospitalId) -> bool {
        NextKeys::<Runtime>::contains_key(hospital)
    }

    fn disable(hospital: HospitalId) {
        let disabled = Session::disabled_validators().len();
        let enabled = Session::validators().len().saturating_sub(disabled);
        if enabled > 1
            && let Some(index) = Session::validator_id_to_index(&hospital)
        {
            Session::disable_index(index);
        }
    }

    fn enable(hospital: HospitalId) {
        if let Some(index) = Session::validator_id_to_index(&hospital) {
            Session::reenable_index(index);
        }
    }

    /// Deletes the keys directly: the pallet's own call needs the account that set them, which may have been rotated.
    fn purge_keys(hospital: HospitalId) {
        let Some(keys) = NextKeys::<Runtime>::take(hospital) else { return };
        for id in SessionKeys::key_ids() {
            KeyOwner::<Runtime>::remove((*id, keys.get_raw(*id).to_vec()));
        }
    }
}

/// Passes the validators' keys to Aura and GRANDPA.
///
/// Both require validators to be accounts, but use only their keys. So all validators get the same account here.
pub struct Handover;

type Consensus = <SessionKeys as OpaqueKeys>::KeyTypeIdProviders;

fn of_accounts<Keys: OpaqueKeys>(validators: &[(HospitalId, Keys)]) -> Vec<(AccountId, Keys)> {
    validators.iter().map(|(_, keys)| (AccountId::new([0; 32]), keys.clone())).collect()
}

impl SessionHandler<HospitalId> for Handover {
    const KEY_TYPE_IDS: &'static [KeyTypeId] =
        <Consensus as SessionHandler<AccountId>>::KEY_TYPE_IDS;

    fn on_genesis_session<Keys: OpaqueKeys>(validators: &[(HospitalId, Keys)]) {
        <Consensus as SessionHandler<AccountId>>::on_genesis_session(&of_accounts(validators));
    }

    fn on_new_session<Keys: OpaqueKeys>(
        changed: bool,
        validators: &[(HospitalId, Keys)],
        queued: &[(HospitalId, Keys)],
    ) {
        <Consensus as SessionHandler<AccountId>>::on_new_session(
            changed,
            &of_accounts(validators),
            &of_accounts(queued),
        );
    }

    fn on_before_session_ending() {
        <Consensus as SessionHandler<AccountId>>::on_before_session_ending();
    }

    fn on_disabled(validator: u32) {
        <Consensus as SessionHandler<AccountId>>::on_disabled(validator);
    }
}

/// The validators of pallet-hospitals, with the historical roots that equivocation proofs need.
///
/// A rotated key counts as a change of the set. Otherwise the session's historical root would still
/// contain the old key. Roots older than [`SESSIONS_REMEMBERED`] are deleted.
pub struct Rotation;

impl Rotation {
    /// The same validators, if the next session's keys of one of them differ from its queued keys.
    fn rekeyed() -> Option<Vec<HospitalId>> {
        let queued = pallet_session::QueuedKeys::<Runtime>::get();
        let changed = queued
            .iter()
            .any(|(hospital, keys)| NextKeys::<Runtime>::get(hospital).as_ref() != Some(keys));
        let kept: Vec<_> = queued
            .into_iter()
            .map(|(hospital, _)| hospital)
            .filter(|hospital| SessionValidators::has_keys(*hospital))
            .collect();
        (changed && !kept.is_empty()).then_some(kept)
    }
}

impl SessionManager<HospitalId> for Rotation {
    fn new_session(index: SessionIndex) -> Option<Vec<HospitalId>> {
        <Hospitals as SessionManager<_>>::new_session(index).or_else(Self::rekeyed)
    }

    fn new_session_genesis(index: SessionIndex) -> Option<Vec<HospitalId>> {
        <Hospitals as SessionManager<_>>::new_session_genesis(index)
    }

    /// A change of the set enables all validators, so those that may not validate are disabled again.
    fn start_session(index: SessionIndex) {
        <Hospitals as SessionManager<_>>::start_session(index);
        Session::validators()
            .into_iter()
            .filter(|hospital| !Hospitals::may_validate(*hospital))
            .for_each(SessionValidators::disable);
    }

    fn end_session(index: SessionIndex) {
        <Hospitals as SessionManager<_>>::end_session(index);
        if let Some(oldest) = index.checked_sub(SESSIONS_REMEMBERED) {
            Historical::prune_up_to(oldest);
        }
    }
}

impl historical::SessionManager<HospitalId, ()> for Rotation {
    fn new_session(index: SessionIndex) -> Option<Vec<(HospitalId, ())>> {
        <Self as SessionManager<_>>::new_session(index).map(identified)
    }

    fn new_session_genesis(index: SessionIndex) -> Option<Vec<(HospitalId, ())>> {
        <Self as SessionManager<_>>::new_session_genesis(index).map(identified)
    }

    fn start_session(index: SessionIndex) {
        <Self as SessionManager<_>>::start_session(index);
    }

    fn end_session(index: SessionIndex) {
        <Self as SessionManager<_>>::end_session(index);
    }
}

fn identified(hospitals: Vec<HospitalId>) -> Vec<(HospitalId, ())> {
    hospitals.into_iter().map(|hospital| (hospital, ())).collect()
}
