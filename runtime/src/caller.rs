//! Rejects transactions from unknown accounts, and calls that the signer's role may not make, before they reach
//! a block.
//!
//! The chain has no fees, so this check reserves its blocks for its members: an account can make only the
//! calls of its role. The pallets check again, in more detail.

use codec::{Decode, DecodeWithMemTracking, Encode};
use epione_primitives::{
    AccountId,
    hospital::{Duty, HospitalStatus},
    refusal::Refusal,
};
use frame_support::{pallet_prelude::TransactionSource, weights::Weight};
use scale_info::TypeInfo;
use sp_runtime::{
    impl_tx_ext_default,
    traits::{AsSystemOriginSigner, DispatchInfoOf, TransactionExtension, ValidateResult},
    transaction_validity::{InvalidTransaction, TransactionValidityError, ValidTransaction},
};

use crate::{Hospitals, Profiles, Runtime, RuntimeCall, RuntimeOrigin, governance, weights};

pub trait WeightInfo {
    /// Checking a signer and a call.
    fn check() -> Weight;
}

/// Rejects a signed transaction, with the code of a [`Refusal`], if its signer is unknown or the signer's
/// role may not make its call. It adds no bytes to a transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct CheckCaller;

/// The role of an account on chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Governance,
    Agent,
    User,
}

impl TransactionExtension<RuntimeCall> for CheckCaller {
    const IDENTIFIER: &'static str = "CheckCaller";
    type Implicit = ();
    type Val = ();
    type Pre = ();

    fn weight(&self, call: &RuntimeCall) -> Weight {
        weights::epione_runtime_caller::Measured::<Runtime>::check()
            .saturating_add(governance::weight(call))
    }

    fn validate(
        &self,
        origin: RuntimeOrigin,
        call: &RuntimeCall,
        _: &DispatchInfoOf<RuntimeCall>,
        _: usize,
        (): (),
        _: &impl Encode,
        _: TransactionSource,
    ) -> ValidateResult<(), RuntimeCall> {
        if let Some(signer) = origin.as_system_origin_signer() {
            check(signer, call).map_err(|refusal| {
                TransactionValidityError::from(InvalidTransaction::Custom(refusal.code()))
            })?;
        }
        Ok((ValidTransaction::default(), (), origin))
    }

    impl_tx_ext_default!(RuntimeCall; prepare);
}

pub(crate) fn check(signer: &AccountId, call: &RuntimeCall) -> Result<(), Refusal> {
    let caller = identify(signer)?;
    let batchable = |call: &RuntimeCall| {
        carries_no_body(call) && !governance::limits(call) && caller.makes(call)
    };
    match batched(call) {
        Some(calls) if calls.iter().all(batchable) => Ok(()),
        Some(_) => Err(Refusal::CallNotForBatch),
        None if caller.makes(call) => governance::check(signer, call),
        None => Err(Refusal::CallNotForRole),
    }
}

fn identify(signer: &AccountId) -> Result<Caller, Refusal> {
    let Some((hospital, duty)) = Hospitals::hospital_of(signer.clone()) else {
        return Profiles::user_of(signer.clone())
            .map(|_| Caller::User)
            .ok_or(Refusal::UnknownAccount);
    };
    match Hospitals::hospital(hospital) {
        Some(hospital) if hospital.status == HospitalStatus::Active => Ok(match duty {
            Duty::Governance => Caller::Governance,
            Duty::Agent => Caller::Agent,
        }),
        _ => Err(Refusal::HospitalNotActive),
    }
}

/// The calls of a batch.
fn batched(call: &RuntimeCall) -> Option<&[RuntimeCall]> {
    match call {
        RuntimeCall::Utility(
            pallet_utility::Call::batch { calls }
            | pallet_utility::Call::batch_all { calls }
            | pallet_utility::Call::force_batch { calls },
        ) => Some(calls),
        _ => None,
    }
}

/// A body in a batch would not be at the extrinsic's tail, or would displace another body from it.
fn carries_no_body(call: &RuntimeCall) -> bool {
    !matches!(
        call,
        RuntimeCall::LiteBlocks(pallet_lite_blocks::Call::announce { .. })
            | RuntimeCall::Profiles(
                pallet_profiles::Call::register { .. } | pallet_profiles::Call::update { .. }
            )
    )
}

impl Caller {
    /// Whether the role may make this call, apart from batches.
    fn makes(self, call: &RuntimeCall) -> bool {
        match self {
            Self::Governance => governance_makes(call),
            Self::Agent => agent_makes(call),
            Self::User => user_makes(call),
        }
    }
}

fn governance_makes(call: &RuntimeCall) -> bool {
    use pallet_collective::Call as Motion;
    use pallet_hospitals::Call as Hospital;
    matches!(
        call,
        // Not `purge_keys`: a chain whose validators have no keys stops.
        RuntimeCall::Session(pallet_session::Call::set_keys { .. })
            | RuntimeCall::Council(
                Motion::propose { .. }
                    | Motion::vote { .. }
                    | Motion::close { .. }
                    | Motion::release_proposal_cost { .. }
            )
            // Provides the code of an upgrade that the council has authorized.
            | RuntimeCall::System(frame_system::Call::apply_authorized_upgrade { .. })
            | RuntimeCall::RolePolicies(pallet_role_policies::Call::set_policies { .. })
            | RuntimeCall::Releases(pallet_releases::Call::judge { .. })
    ) || matches!(
        call,
        RuntimeCall::Hospitals(call) if !matches!(
            call,
            Hospital::admit { .. }
                | Hospital::suspend { .. }
                | Hospital::reinstate { .. }
                | Hospital::remove { .. }
        )
    )
}

fn agent_makes(call: &RuntimeCall) -> bool {
    use pallet_profiles::Call as Profile;
    use pallet_role_policies::Call as Policy;
    match call {
        RuntimeCall::LiteBlocks(_) | RuntimeCall::Approvals(_) => true,
        RuntimeCall::Profiles(call) => !matches!(call, Profile::rotate_keys { .. }),
        RuntimeCall::RolePolicies(call) => {
            matches!(call, Policy::relate { .. } | Policy::unrelate { .. })
        }
        RuntimeCall::Releases(call) => !matches!(call, pallet_releases::Call::judge { .. }),
        _ => false,
    }
}

fn user_makes(call: &RuntimeCall) -> bool {
    use pallet_role_policies::Call as Policy;
    matches!(
        call,
        RuntimeCall::Profiles(pallet_profiles::Call::rotate_keys { .. })
            | RuntimeCall::RolePolicies(Policy::relate { .. } | Policy::unrelate { .. })
    )
}
