//! Measures the check of a transaction's signer.

use codec::Encode;
use core::marker::PhantomData;

use epione_primitives::{
    AccountId, Hash, UserId,
    ports::{Hospitals as _, Users as _},
    profile::Role,
};
use frame_benchmarking::{account, v2::*};
use frame_support::dispatch::GetDispatchInfo;

use crate::{Hospitals, Profiles, Quotas, Runtime, RuntimeCall, caller};

pub trait Config: frame_system::Config {}

impl Config for Runtime {}

pub struct Pallet<T>(PhantomData<T>);

#[benchmarks]
mod benchmarks {
    use super::*;

    /// The signer is a user, whose account is looked up among the hospitals' accounts first, and whose hospital is
    /// debited too.
    #[benchmark]
    fn check() {
        let hospital = Hospitals::set_up(account("governance", 0, 0), account("agent", 0, 0));
        let user: AccountId = account("user", 0, 0);
        Profiles::set_up(hospital, UserId([1; 32]), Role::Doctor, user.clone());
        let sealing_key_hash = Some(Hash::repeat_byte(1));
        let call = RuntimeCall::Profiles(pallet_profiles::Call::rotate_keys {
            account: None,
            sealing_key_hash,
        });
        let (info, length) = (call.get_dispatch_info(), call.encoded_size());
        let checked;

        #[block]
        {
            checked = caller::check(&user, &call, &info, length);
            if let Ok(debit) = &checked {
                Quotas::debit(debit);
                Quotas::refund(debit, 1);
            }
        }

        assert!(checked.is_ok());
    }
}
