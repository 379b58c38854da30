//! Bounds how many transactions of one account wait in the pool.

use codec::{Decode, DecodeWithMemTracking, Encode};
use epione_primitives::{
    AccountId, Nonce,
    limits::{
        LARGE_TRANSACTION_BYTES, MAX_AGENT_NONCE_LEAD, MAX_GOVERNANCE_NONCE_LEAD,
        MAX_LARGE_NONCE_LEAD, MAX_USER_NONCE_LEAD,
    },
    refusal::Refusal,
};
use frame_support::{dispatch::DispatchInfo, pallet_prelude::TransactionSource, weights::Weight};
use frame_system::{CheckNonce, ExtensionsWeightInfo as _};
use scale_info::TypeInfo;
use sp_runtime::{
    traits::{AsSystemOriginSigner, TransactionExtension, ValidateResult},
    transaction_validity::{TransactionValidityError, ValidTransaction},
};

use crate::{
    Runtime, RuntimeCall, RuntimeOrigin, System,
    caller::{Caller, rejection},
};

/// Checks and increments the nonce, as the SDK's `CheckNonce` does. In addition it rejects a nonce that exceeds
/// the account's nonce by more than the account's role may, and for a large transaction by more than two.
///
/// It has the name and the encoding of the SDK's `CheckNonce`, which signing programs know.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct CheckInFlight(#[codec(compact)] pub Nonce);

impl TransactionExtension<RuntimeCall> for CheckInFlight {
    const IDENTIFIER: &'static str = "CheckNonce";
    type Implicit = ();
    /// None for a transaction without a signer.
    type Val = Option<AccountId>;
    type Pre = ();

    fn weight(&self, _: &RuntimeCall) -> Weight {
        // In addition to the nonce, the account's role is read.
        let role = <Runtime as frame_system::Config>::DbWeight::get().reads(1);
        <Runtime as frame_system::Config>::ExtensionsWeightInfo::check_nonce().saturating_add(role)
    }

    fn validate(
        &self,
        origin: RuntimeOrigin,
        _: &RuntimeCall,
        _: &DispatchInfo,
        length: usize,
        (): (),
        _: &impl Encode,
        _: TransactionSource,
    ) -> ValidateResult<Option<AccountId>, RuntimeCall> {
        let Some(signer) = origin.as_system_origin_signer() else {
            return Ok((ValidTransaction::default(), None, origin));
        };
        let last = System::account_nonce(signer).saturating_add(lead(Caller::of(signer), length));
        if self.0 > last {
            return Err(rejection(Refusal::TooManyInFlight));
        }
        let nonce = CheckNonce::<Runtime>::validate_nonce_for_account(signer, self.0)?;
        let validity = ValidTransaction {
            requires: nonce.requires,
            provides: nonce.provides,
            ..ValidTransaction::default()
        };
        let signer = signer.clone();
        Ok((validity, Some(signer), origin))
    }

    fn prepare(
        self,
        signer: Option<AccountId>,
        _: &RuntimeOrigin,
        _: &RuntimeCall,
        _: &DispatchInfo,
        _: usize,
    ) -> Result<(), TransactionValidityError> {
        signer.map_or(Ok(()), |signer| {
            CheckNonce::<Runtime>::prepare_nonce_for_account(&signer, self.0)
        })
    }
}

/// How far the nonce of a transaction of this many bytes may be ahead of its account's nonce.
fn lead(caller: Caller, length: usize) -> Nonce {
    let lead = match caller {
        Caller::Governance => MAX_GOVERNANCE_NONCE_LEAD,
        Caller::Agent => MAX_AGENT_NONCE_LEAD,
        Caller::User => MAX_USER_NONCE_LEAD,
    };
    if length > LARGE_TRANSACTION_BYTES as usize { lead.min(MAX_LARGE_NONCE_LEAD) } else { lead }
}
