mod decide;
mod evaluate;
mod invariants;
mod relate;
mod set_policies;
mod unrelate;

use crate::{Event, mock::Test};

/// The only event of the test so far.
fn assert_only_event(event: Event<Test>) {
    let events: Vec<_> =
        frame_system::Pallet::<Test>::events().into_iter().map(|record| record.event).collect();
    assert_eq!(events, [event.into()]);
}
