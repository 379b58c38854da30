//! Lets the council dispatch calls as root.
//!
//! There is no sudo, and calls such as `system.authorize_upgrade` or `grandpa.note_stalled` require root. The runtime
//! lists the calls that the council may dispatch; the others are refused.

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
        dispatch::GetDispatchInfo,
        pallet_prelude::*,
        traits::{Contains, UnfilteredDispatchable},
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
        /// The calls that the council may dispatch. The others are refused.
        type Allowed: Contains<<Self as Config>::Call>;
        /// The calls that authorize an upgrade.
        type Authorization: Contains<<Self as Config>::Call>;
        /// The delay of upgrades, unless the genesis configuration has another one.
        #[pallet::constant]
        type UpgradeDelay: Get<BlockNumberFor<Self>>;
        type WeightInfo: super::WeightInfo;
    }

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    /// The block in which the council authorized an upgrade for the last time.
    #[pallet::storage]
    pub type AuthorizedAt<T: Config> = StorageValue<_, BlockNumberFor<T>>;

    /// Number of blocks between the authorization of an upgrade and the first block that may apply it.
    #[pallet::storage]
    pub type UpgradeDelay<T: Config> =
        StorageValue<_, BlockNumberFor<T>, ValueQuery, UsualDelay<T>>;

    #[pallet::type_value]
    pub fn UsualDelay<T: Config>() -> BlockNumberFor<T> {
        T::UpgradeDelay::get()
    }

    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// Another delay of upgrades in blocks, for networks on one machine.
        pub upgrade_delay: Option<u32>,
        #[serde(skip)]
        pub _config: PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            if let Some(delay) = self.upgrade_delay {
                UpgradeDelay::<T>::put(BlockNumberFor::<T>::from(delay));
            }
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A call was dispatched as root, with this result.
        #[codec(index = 0)]
        Dispatched { result: DispatchResult },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The council may not dispatch this call as root. Use `system.authorize_upgrade` for an upgrade, and one
        /// motion for each call.
        #[codec(index = 0)]
        CallRefused,
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Dispatches a call as root. Requires a council motion.
        ///
        /// Succeeds even if the dispatched call fails. The event contains that call's result. Fails with
        /// [`CallRefused`](Error::CallRefused).
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
            ensure!(T::Allowed::contains(&call), Error::<T>::CallRefused);
            let authorizes = T::Authorization::contains(&call);
            let result = call.dispatch_bypass_filter(RawOrigin::Root.into());
            if authorizes && result.is_ok() {
                AuthorizedAt::<T>::put(frame_system::Pallet::<T>::block_number());
            }
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
