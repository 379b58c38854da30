//! Measures every call for a record of the largest lite block.

use epione_primitives::{
    AccountId, HospitalId, RecordPointer, UserId,
    ports::{Records as _, Users as _},
    profile::Role,
    release::SectionSet,
};
use frame_benchmarking::{account, v2::*};
use frame_system::RawOrigin;

use crate::{Call, Config, Pallet, Shared};

const HOSPITAL: HospitalId = HospitalId(0);
const PATIENT: UserId = UserId([1; 32]);

/// Commits a record. Returns its pointer, and the account of its patient.
fn set_up<T: Config>() -> (RecordPointer, AccountId) {
    let patient: AccountId = account("patient", 0, 0);
    T::Users::set_up(HOSPITAL, PATIENT, Role::Patient, patient.clone());
    (T::Records::set_up(HOSPITAL, PATIENT, 1), patient)
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn share() {
        let (pointer, caller) = set_up::<T>();

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), pointer, SectionSet::ALL);

        assert_eq!(Shared::<T>::get(pointer), SectionSet::ALL);
    }

    #[benchmark]
    fn unshare() {
        let (pointer, caller) = set_up::<T>();
        Shared::<T>::insert(pointer, SectionSet::ALL);

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), pointer, SectionSet(1));

        assert_eq!(Shared::<T>::get(pointer), SectionSet::ALL.without(SectionSet(1)));
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::externalities(), crate::mock::Test);
}
