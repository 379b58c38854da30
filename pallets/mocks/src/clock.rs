//! A clock that moves only when a test moves it.

use epione_primitives::Moment;
use frame_support::{parameter_types, traits::Time};

parameter_types! {
    /// The chain's time, in milliseconds.
    pub static Now: Moment = 0;
}

/// Stands in for the timestamp pallet.
pub struct Clock;

impl Time for Clock {
    type Moment = Moment;

    fn now() -> Moment {
        Now::get()
    }
}

/// Moves the clock forward.
pub fn pass(millis: Moment) {
    Now::mutate(|now| *now += millis);
}
