//! Bounds the lifetime of transactions, so that no old one can be included.

use codec::{Decode, DecodeWithMemTracking, Encode};
use epione_primitives::{Hash, limits::MAX_LIFETIME_BLOCKS, refusal::Refusal};
use frame_support::{dispatch::DispatchInfo, pallet_prelude::TransactionSource, weights::Weight};
use frame_system::CheckMortality;
use scale_info::TypeInfo;
use sp_runtime::{
    generic::Era,
    impl_tx_ext_default,
    traits::{TransactionExtension, ValidateResult},
    transaction_validity::{TransactionValidityError, ValidTransaction},
};

use crate::{Runtime, RuntimeCall, RuntimeOrigin, caller::rejection};

/// Rejects a transaction that is immortal or valid for more than [`MAX_LIFETIME_BLOCKS`]. After its lifetime, its
/// signature is not valid any more.
///
/// It does not set the longevity in the pool: of two transactions with the same priority, the pool takes the one with
/// the shorter longevity first, so a short lifetime would come before the others of its lane. [`crate::lanes`] sets the
/// same longevity for all.
///
/// It has the name and the encoding of the SDK's `CheckMortality`, which signing programs know.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct CheckLifetime(pub Era);

impl CheckLifetime {
    fn mortality(&self) -> CheckMortality<Runtime> {
        CheckMortality::from(self.0)
    }
}

impl TransactionExtension<RuntimeCall> for CheckLifetime {
    const IDENTIFIER: &'static str = "CheckMortality";
    type Implicit = Hash;
    type Val = ();
    type Pre = ();

    fn implicit(&self) -> Result<Hash, TransactionValidityError> {
        TransactionExtension::<RuntimeCall>::implicit(&self.mortality())
    }

    fn weight(&self, call: &RuntimeCall) -> Weight {
        TransactionExtension::<RuntimeCall>::weight(&self.mortality(), call)
    }

    fn validate(
        &self,
        origin: RuntimeOrigin,
        _: &RuntimeCall,
        _: &DispatchInfo,
        _: usize,
        _: Hash,
        _: &impl Encode,
        _: TransactionSource,
    ) -> ValidateResult<(), RuntimeCall> {
        match self.0 {
            Era::Mortal(period, _) if period <= u64::from(MAX_LIFETIME_BLOCKS) => {
                Ok((ValidTransaction::default(), (), origin))
            }
            Era::Mortal(..) | Era::Immortal => Err(rejection(Refusal::LifetimeTooLong)),
        }
    }

    impl_tx_ext_default!(RuntimeCall; prepare);
}
