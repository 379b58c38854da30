//! Measures every call.

use frame_benchmarking::v2::*;
use frame_support::traits::Get;
use frame_system::RawOrigin;

use crate::{Call, Config, CurrentLimits, Pallet};

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

    impl_benchmark_test_suite!(Pallet, crate::mock::externalities(), crate::mock::Test);
}
