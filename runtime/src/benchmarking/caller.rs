//! Measures the check of a transaction's signer.

use core::marker::PhantomData;

use epione_primitives::{
    AccountId, Hash, UserId,
    ports::{Hospitals as _, Users as _},
    profile::Role,
};
use frame_benchmarking::{account, v2::*};

use crate::{Hospitals, Profiles, Runtime, RuntimeCall, caller};

pub trait Config: frame_system::Config {}

impl Config for Runtime {}

pub struct Pallet<T>(PhantomData<T>);

#[benchmarks]
mod benchmarks {
    use super::*;

    /// The signer is a user, whose account is looked up among the hospitals' accounts first.
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
        let checked;

        #[block]
        {
            checked = caller::check(&user, &call);
        }

        assert_eq!(checked, Ok(()));
    }
}
