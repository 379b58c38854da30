//! Removing what accounts used in windows that have passed.

use epione_primitives::limits::{DAY_BLOCKS, WEIGHT_WINDOW_BLOCKS};
use frame_support::{traits::Hooks as _, weights::Weight};

use crate::{Exhausted, Holder, Lane, PruneCursor, Used, WeightInfo, mock::*, pruning::MAX_PRUNED};

fn entries() -> u32 {
    Used::<Test>::iter_keys().count() as u32
}

fn idle() -> Weight {
    Quotas::on_idle(System::block_number(), Weight::MAX)
}

fn idle_for(blocks: u32) {
    for _ in 0..blocks {
        idle();
    }
}

#[test]
fn registering_and_using_new_accounts_in_a_loop_leaves_nothing_behind() {
    run(|| {
        let accounts = 3 * MAX_PRUNED as u8;
        (0..accounts).for_each(|account| Quotas::debit(&debit(account, A, 1, 1)));
        // One entry for each account, and one for their hospital.
        assert_eq!(entries(), u32::from(accounts) + 1);
        System::set_block_number(DAY_BLOCKS);
        assert_eq!(idle(), <() as WeightInfo>::prune(MAX_PRUNED));
        assert_eq!(entries(), u32::from(accounts) + 1 - MAX_PRUNED, "a block is bounded");
        idle_for(3);
        assert_eq!((entries(), PruneCursor::<Test>::get()), (0, None));
        assert_eq!(idle(), <() as WeightInfo>::prune(0));
    });
}

#[test]
fn an_account_cannot_renew_its_budget_by_waiting_for_the_removal() {
    run(|| {
        Quotas::debit(&debit(1, A, 100, 1_000));
        System::set_block_number(WEIGHT_WINDOW_BLOCKS);
        idle_for(3);
        assert_eq!(Quotas::check(&debit(1, A, 1, 1)), Err(Exhausted::Account));
        System::set_block_number(DAY_BLOCKS - 1);
        idle_for(3);
        assert_eq!(Quotas::check(&debit(1, A, 1, 1)), Err(Exhausted::Account));
        assert_eq!(Quotas::usage(&Holder::Hospital(A), Lane::User).bytes, 1_000);
        assert_eq!(entries(), 2);
    });
}

#[test]
fn entries_in_use_do_not_stop_the_search() {
    run(|| {
        (0..20).for_each(|account| Quotas::debit(&debit(account, A, 1, 1)));
        System::set_block_number(DAY_BLOCKS);
        (10..20).for_each(|account| Quotas::debit(&debit(account, A, 1, 1)));
        idle_for(4);
        assert_eq!(entries(), 11);
    });
}

#[test]
fn a_full_block_removes_nothing() {
    run(|| {
        Quotas::debit(&debit(1, A, 1, 1));
        System::set_block_number(DAY_BLOCKS);
        assert_eq!(Quotas::on_idle(DAY_BLOCKS, Weight::zero()), Weight::zero());
        assert_eq!(entries(), 2);
        let one = <() as WeightInfo>::prune(1);
        assert_eq!(Quotas::on_idle(DAY_BLOCKS, one), one);
        assert_eq!(entries(), 1);
    });
}
