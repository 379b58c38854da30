//! Lets the council act with the chain's highest authority.
//!
//! Without this, nobody could: there is no sudo, and `system.authorize_upgrade` or
//! `grandpa.note_stalled` accept nothing less. It adds no rule of its own.

pub use pallet::*;

#[frame_support::pallet]
pub mod pallet {
    use alloc::boxed::Box;
    use frame_support::{
        dispatch::GetDispatchInfo, pallet_prelude::*, traits::UnfilteredDispatchable,
    };
    use frame_system::{RawOrigin, pallet_prelude::*};

    #[pallet::config]
    pub trait Config: frame_system::Config {
        /// Whose decision stands for the highest authority.
        type CouncilOrigin: EnsureOrigin<Self::RuntimeOrigin>;
        type Call: Parameter
            + UnfilteredDispatchable<RuntimeOrigin = Self::RuntimeOrigin>
            + GetDispatchInfo;
    }

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A call was dispatched with the highest authority.
        #[codec(index = 0)]
        Dispatched { result: DispatchResult },
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Dispatches a call with the highest authority. Only a council motion can.
        ///
        /// Succeeds whatever the call's own result, which the event carries.
        #[pallet::call_index(0)]
        #[pallet::weight({
            let info = call.get_dispatch_info();
            (info.call_weight.saturating_add(T::DbWeight::get().writes(1)), info.class)
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
