//! The chain has no currency.

use epione_primitives::AccountId;
use frame_support::traits::{
    fungible::{Dust, Inspect, InspectHold, Mutate, MutateHold, Unbalanced, UnbalancedHold},
    tokens::{DepositConsequence, Fortitude, Preservation, Provenance, WithdrawConsequence},
};
use sp_runtime::{DispatchError, DispatchResult, TokenError};

use crate::RuntimeHoldReason;

/// An empty currency, because pallet-session requires one for deposits on keys. The deposits are zero.
pub struct NoCurrency;

impl Inspect<AccountId> for NoCurrency {
    type Balance = u128;

    fn total_issuance() -> u128 {
        0
    }

    fn minimum_balance() -> u128 {
        0
    }

    fn total_balance(_: &AccountId) -> u128 {
        0
    }

    fn balance(_: &AccountId) -> u128 {
        0
    }

    fn reducible_balance(_: &AccountId, _: Preservation, _: Fortitude) -> u128 {
        0
    }

    fn can_deposit(_: &AccountId, _: u128, _: Provenance) -> DepositConsequence {
        DepositConsequence::UnknownAsset
    }

    fn can_withdraw(_: &AccountId, _: u128) -> WithdrawConsequence<u128> {
        WithdrawConsequence::UnknownAsset
    }
}

impl Unbalanced<AccountId> for NoCurrency {
    fn handle_dust(_: Dust<AccountId, Self>) {}

    fn write_balance(_: &AccountId, _: u128) -> Result<Option<u128>, DispatchError> {
        Err(TokenError::Unsupported.into())
    }

    fn set_total_issuance(_: u128) {}
}

impl Mutate<AccountId> for NoCurrency {}

impl InspectHold<AccountId> for NoCurrency {
    type Reason = RuntimeHoldReason;

    fn total_balance_on_hold(_: &AccountId) -> u128 {
        0
    }

    fn balance_on_hold(_: &RuntimeHoldReason, _: &AccountId) -> u128 {
        0
    }
}

impl UnbalancedHold<AccountId> for NoCurrency {
    fn set_balance_on_hold(_: &RuntimeHoldReason, _: &AccountId, amount: u128) -> DispatchResult {
        if amount == 0 { Ok(()) } else { Err(TokenError::Unsupported.into()) }
    }
}

impl MutateHold<AccountId> for NoCurrency {}
