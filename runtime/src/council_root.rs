//! Lets the council dispatch calls as root.
//!
//! There is no sudo, and calls such as `system.authorize_upgrade` or `grandpa.note_stalled` require root.
//! The pallet adds no other rules.

use frame_support::weights::Weight;

pub use pallet::*;

pub trait WeightInfo {
    /// The weight in addition to the dispatched call's weight.
    fn dispatch() -> Weight;
}

#[frame_support::pallet]
pub mod pallet {
    use alloc::boxed::Box;
    use frame_support::{
        dispatch::GetDispatchInfo, pallet_prelude::*, traits::UnfilteredDispatchable,
    };
    use frame_system::{RawOrigin, pallet_prelude::*};

    use super::WeightInfo;

    #[pallet::config]
    pub trait Config: frame_system::Config {
        /// The origin that may dispatch calls as root.
        type CouncilOrigin: EnsureOrigin<Self::RuntimeOrigin>;
        type Call: Parameter
            + UnfilteredDispatchable<RuntimeOrigin = Self::RuntimeOrigin>
            + GetDispatchInfo;
        type WeightInfo: super::WeightInfo;
    }

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A call was dispatched as root, with this result.
        #[codec(index = 0)]
        Dispatched { result: DispatchResult },
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Dispatches a call as root. Requires a council motion.
        ///
        /// Succeeds even if the dispatched call fails. The event contains that call's result.
        #[pallet::call_index(0)]
        #[pallet::weight({
            let info = call.get_dispatch_info();
            (info.call_weight.saturating_add(<T as Config>::WeightInfo::dispatch()), info.class)
        })]
        pub fn dispatch(
            origin: OriginFor<T>,
            call: Box<<T as Config>::Call>,
        ) -> DispatchResultWithPostInfo {
            T::CouncilOrigin::ensure_origin(origin)?;
            let result = call.dispatch_bypass_filter(RawOrigin::Root.into());
            Self::deposit_event(Event::Dispatched {
                result: result.map(|_| ()).map_err(|failed| failed.error),
            });
            Ok(().into())
        }
    }
}

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking {
    use alloc::{boxed::Box, vec};
    use frame_benchmarking::v2::*;
    use frame_support::traits::EnsureOrigin;

    use super::*;

    #[benchmarks(where <T as Config>::Call: From<frame_system::Call<T>>)]
    mod benchmarks {
        use super::*;

        #[benchmark]
        fn dispatch() -> Result<(), BenchmarkError> {
            let origin = T::CouncilOrigin::try_successful_origin()
                .map_err(|()| BenchmarkError::Stop("the council has no origin"))?;
            let call: <T as Config>::Call =
                frame_system::Call::<T>::remark { remark: vec![] }.into();

            #[extrinsic_call]
            _(origin as T::RuntimeOrigin, Box::new(call));

            let dispatched = Event::<T>::Dispatched { result: Ok(()) };
            frame_system::Pallet::<T>::assert_last_event(dispatched.into());
            Ok(())
        }
    }
}
