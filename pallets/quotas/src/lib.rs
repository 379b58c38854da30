//! How much of the chain each user, each duty and each hospital may use: their quotas.
//!
//! The chain has no fees. A transaction is debited instead: its weight for a window of
//! [`WEIGHT_WINDOW_BLOCKS`], its bytes for a window of [`DAY_BLOCKS`]. Its signer is debited, and so is
//! the hospital that answers for the signer, if one has to ([`Debit`]). All users of one hospital therefore share one
//! budget, and more users do not give a hospital more of the chain. Signers are users and duties of hospitals, not
//! accounts ([`Holder`]), so a new account renews no budget.
//!
//! Each [`Lane`] has its own budgets. Users cannot use up what their hospital's worker needs, other users' calls cannot
//! use up what a doctor in an emergency, a rotation of keys or the end of an access needs, and an agent's announcements
//! cannot use up what its votes need.
//!
//! A window that has passed is reset when its holder is debited next. If the holder is not debited any more, a later
//! block removes the entry ([`pruning`]). A check reads the limits and two entries, whatever the number of accounts.
//! The runtime's transaction extension calls [`Pallet::check`] before a transaction enters the pool, [`Pallet::debit`]
//! before its dispatch and [`Pallet::refund`] afterwards.
//!
//! Invariants, which `try_state` checks:
//! 1. [`CurrentLimits`] is nowhere below [`Config::LeastLimits`];
//! 2. no window in [`Used`] is later than the current one.
//!
//! [`WEIGHT_WINDOW_BLOCKS`]: epione_primitives::limits::WEIGHT_WINDOW_BLOCKS
//! [`DAY_BLOCKS`]: epione_primitives::limits::DAY_BLOCKS

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod budget;
mod debiting;
mod invariants;
#[cfg(test)]
mod mock;
pub mod pruning;
#[cfg(test)]
mod tests;
pub mod weights;

pub use budget::{Cost, Usage};
pub use debiting::{Debit, Exhausted, Holder};
pub use epione_primitives::quota::{Budget, Lane, Limits, Share};
pub use pallet::*;
pub use weights::WeightInfo;

#[frame_support::pallet]
#[allow(clippy::large_enum_variant)] // The only call and the only event have the limits.
pub mod pallet {
    use epione_primitives::AccountId;
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;

    use crate::{Holder, Lane, Limits, Usage, WeightInfo};

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId = AccountId> {
        /// The limits until the council sets others.
        type DefaultLimits: Get<Limits>;

        /// The lowest limits that the council can set. They keep the chain in operation: each lane can send its
        /// largest transaction, votes are not starved, and the council can raise the limits again.
        type LeastLimits: Get<Limits>;

        type WeightInfo: WeightInfo;
    }

    #[pallet::type_value]
    pub fn InitialLimits<T: Config>() -> Limits {
        T::DefaultLimits::get()
    }

    /// The limits in force.
    #[pallet::storage]
    pub type CurrentLimits<T: Config> = StorageValue<_, Limits, ValueQuery, InitialLimits<T>>;

    /// What users, duties and hospitals used in their last windows, by lane.
    #[pallet::storage]
    pub type Used<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, Holder, Twox64Concat, Lane, Usage, ValueQuery>;

    /// The entry of [`Used`] at which a block stopped looking for entries to remove. None at the beginning.
    #[pallet::storage]
    pub type PruneCursor<T: Config> = StorageValue<_, (Holder, Lane)>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// The council set new limits, which are in force immediately.
        #[codec(index = 0)]
        LimitsSet { limits: Limits },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// A limit is so low that a lane could not send its largest transaction or enough votes. The lowest limits are
        /// in docs/operations.md.
        #[codec(index = 0)]
        LimitTooLow,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        /// Removes entries whose windows have passed, if the block has weight left.
        fn on_idle(_: BlockNumberFor<T>, remaining: Weight) -> Weight {
            Self::prune(remaining)
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::check_state()
        }
    }

    #[pallet::call(weight(<T as Config>::WeightInfo))]
    impl<T: Config> Pallet<T> {
        /// Sets the limits of all lanes. What was used in the current windows still counts. Requires Root, which is a
        /// motion of the council.
        ///
        /// Fails with [`LimitTooLow`](Error::LimitTooLow).
        #[pallet::call_index(0)]
        pub fn set_limits(origin: OriginFor<T>, limits: Limits) -> DispatchResult {
            ensure_root(origin)?;
            ensure!(limits.covers(&T::LeastLimits::get()), Error::<T>::LimitTooLow);
            CurrentLimits::<T>::put(limits);
            Self::deposit_event(Event::LimitsSet { limits });
            Ok(())
        }
    }
}
