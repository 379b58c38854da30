//! Measures every call, and the removal of old entries.

use epione_primitives::{HospitalId, limits::DAY_BLOCKS};
use frame_benchmarking::v2::*;
use frame_support::{traits::Get, weights::Weight};
use frame_system::RawOrigin;

use crate::{Call, Config, CurrentLimits, Holder, Lane, Pallet, Usage, Used, pruning::MAX_PRUNED};

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn set_limits() {
        let limits = T::LeastLimits::get();

        #[extrinsic_call]
        _(RawOrigin::Root, limits);

        assert_eq!(CurrentLimits::<T>::get(), limits);
    }

    #[benchmark]
    fn prune(n: Linear<0, MAX_PRUNED>) {
        for number in 0..n {
            let holder = Holder::Hospital(HospitalId(number as u16));
            let usage = Usage { ref_time: 1, bytes: 1, ..Usage::default() };
            Used::<T>::insert(holder, Lane::User, usage);
        }
        frame_system::Pallet::<T>::set_block_number(DAY_BLOCKS.into());

        #[block]
        {
            Pallet::<T>::prune(Weight::MAX);
        }

        assert_eq!(Used::<T>::iter_keys().count(), 0);
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::externalities(), crate::mock::Test);
}
