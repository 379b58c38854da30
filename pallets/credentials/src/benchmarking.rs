//! Measures every call, with the longest name, and a credential that replaces one in force.

use epione_primitives::{
    AccountId, HospitalId, Moment, UserId,
    credential::{AttributeId, AttributeName, Credential},
    limits::MAX_ATTRIBUTE_NAME_BYTES,
    ports::{Credentials as _, Hospitals as _, Users as _},
    profile::Role,
};
use frame_benchmarking::{account, v2::*};
use frame_support::traits::Time as _;
use frame_system::RawOrigin;

use crate::{AttributeCount, Attributes, ByName, Call, Config, Credentials, EarlierCount, Pallet};

const USER: UserId = UserId([1; 32]);
const ATTRIBUTE: AttributeId = AttributeId(0);

fn longest_name() -> AttributeName {
    AttributeName::truncate_from(alloc::vec![b'a'; MAX_ATTRIBUTE_NAME_BYTES as usize])
}

/// A hospital with its governance account, a user, an attribute, and a credential in force.
fn set_up<T: Config>() -> (HospitalId, AccountId) {
    let governance: AccountId = account("governance", 0, 0);
    let hospital = T::Hospitals::set_up(governance.clone(), account("agent", 0, 0));
    T::Users::set_up(hospital, USER, Role::Doctor, account("doctor", 0, 0));
    AttributeCount::<T>::put(1);
    Attributes::<T>::insert(ATTRIBUTE, longest_name());
    ByName::<T>::insert(longest_name(), ATTRIBUTE);
    Pallet::<T>::set_up(USER, ATTRIBUTE, hospital);
    (hospital, governance)
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn name_attribute() {
        let next = AttributeCount::<T>::get();

        #[extrinsic_call]
        _(RawOrigin::Root, longest_name());

        assert_eq!(AttributeCount::<T>::get(), next + 1);
    }

    #[benchmark]
    fn issue() {
        let (hospital, governance) = set_up::<T>();
        let until: Moment = T::Time::now() + 1_000;

        #[extrinsic_call]
        _(RawOrigin::Signed(governance), USER, ATTRIBUTE, until);

        assert_eq!(EarlierCount::<T>::get((USER, ATTRIBUTE, hospital)), 1);
    }

    #[benchmark]
    fn revoke() {
        let (hospital, governance) = set_up::<T>();

        #[extrinsic_call]
        _(RawOrigin::Signed(governance), USER, ATTRIBUTE);

        let revoked: Option<Credential> = Credentials::<T>::get((USER, ATTRIBUTE, hospital));
        assert!(revoked.is_some_and(|credential| credential.revoked.is_some()));
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::externalities(), crate::mock::Test);
}
