//! Every broken invariant is detected.

use epione_primitives::limits::WEIGHT_WINDOW_BLOCKS;

use crate::{Budget, CurrentLimits, Share, mock::*};

fn after(damage: impl FnOnce()) -> &'static str {
    externalities().execute_with(|| {
        System::set_block_number(WEIGHT_WINDOW_BLOCKS);
        Quotas::debit(&debit(1, A, 1, 1));
        Quotas::check_state().unwrap();
        damage();
        Quotas::check_state().unwrap_err().into()
    })
}

#[test]
fn limits_that_are_too_low_are_found() {
    let low = Share { account: Budget { ref_time: 0, bytes: 0 }, ..SHARE };
    assert!(after(|| CurrentLimits::<Test>::put(same(low))).contains("a limit is below"));
}

#[test]
fn a_window_in_the_future_is_found() {
    assert!(after(|| System::set_block_number(1)).contains("has not begun"));
}
