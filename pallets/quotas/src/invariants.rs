//! The invariants of this pallet's state, which the crate documentation lists.

use frame_support::{ensure, traits::Get};
use sp_runtime::TryRuntimeError;

use crate::{Config, CurrentLimits, Pallet, Used, budget::windows};

impl<T: Config> Pallet<T> {
    pub fn check_state() -> Result<(), TryRuntimeError> {
        ensure!(
            CurrentLimits::<T>::get().covers(&T::LeastLimits::get()),
            "a limit is below the lowest that the council can set"
        );
        let (weight_window, byte_window) = windows(Self::now());
        ensure!(
            Used::<T>::iter_values().all(|usage| {
                usage.weight_window <= weight_window && usage.byte_window <= byte_window
            }),
            "something was used in a window that has not begun"
        );
        Ok(())
    }
}
