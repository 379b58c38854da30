//! Sessions: when the validators change, and which hospitals are validators.

use alloc::vec::Vec;
use epione_primitives::{AccountId, BlockNumber, HospitalId};
use frame_support::traits::{ConstU32, Contains};
use pallet_session::{PeriodicSessions, SessionHandler, SessionManager, historical};
use sp_core::crypto::KeyTypeId;
use sp_runtime::traits::OpaqueKeys;
use sp_staking::SessionIndex;

use crate::{
    Historical, Hospitals, Runtime, RuntimeEvent, SessionKeys,
    configs::{SESSIONS_REMEMBERED, currency::NoCurrency},
    weights,
};

/// Number of chain blocks in a session: ten minutes.
pub const SESSION_BLOCKS: BlockNumber = 200;

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
    type SessionKeys = WithSessionKeys;
    type MembershipChanged = crate::Council;
    type WeightInfo = weights::pallet_hospitals::Measured<Runtime>;
}

/// The hospitals that have session keys, so they can validate.
pub struct WithSessionKeys;

impl Contains<HospitalId> for WithSessionKeys {
    fn contains(hospital: &HospitalId) -> bool {
        pallet_session::NextKeys::<Runtime>::contains_key(hospital)
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
        let changed = queued.iter().any(|(hospital, keys)| {
            pallet_session::NextKeys::<Runtime>::get(hospital).as_ref() != Some(keys)
        });
        let kept: Vec<_> = queued
            .into_iter()
            .map(|(hospital, _)| hospital)
            .filter(WithSessionKeys::contains)
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

    fn start_session(index: SessionIndex) {
        <Hospitals as SessionManager<_>>::start_session(index);
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
