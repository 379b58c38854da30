//! Who is debited, for how long, and when a budget is exhausted.

use epione_primitives::{
    UserId,
    hospital::Duty,
    limits::{DAY_BLOCKS, WEIGHT_WINDOW_BLOCKS},
};

use crate::{Debit, Exhausted, Holder, Lane, mock::*};

/// Checks and debits a transaction, as the transaction extension does.
fn spend(debit: &Debit) -> Result<(), Exhausted> {
    Quotas::check(debit)?;
    Quotas::debit(debit);
    Ok(())
}

#[test]
fn an_account_cannot_use_more_than_its_budget_of_weight() {
    run(|| {
        assert_eq!(spend(&debit(1, A, 60, 1)), Ok(()));
        assert_eq!(spend(&debit(1, A, 41, 1)), Err(Exhausted::Account));
        assert_eq!(spend(&debit(1, A, 40, 1)), Ok(()));
        assert_eq!(spend(&debit(1, A, 1, 1)), Err(Exhausted::Account));
    });
}

#[test]
fn an_account_cannot_use_more_than_its_budget_of_bytes() {
    run(|| {
        assert_eq!(spend(&debit(1, A, 1, 1_001)), Err(Exhausted::Account));
        assert_eq!(spend(&debit(1, A, 1, 1_000)), Ok(()));
        assert_eq!(spend(&debit(1, A, 1, 1)), Err(Exhausted::Account));
    });
}

#[test]
fn many_accounts_of_one_hospital_share_its_budget() {
    run(|| {
        for account in 1..=3 {
            assert_eq!(spend(&debit(account, A, 100, 1)), Ok(()));
        }
        for account in 4..=9 {
            assert_eq!(spend(&debit(account, A, 1, 1)), Err(Exhausted::Hospital));
        }
        assert_eq!(spend(&debit(10, B, 100, 1)), Ok(()));
    });
}

#[test]
fn what_needs_no_hospital_is_debited_to_its_signer_alone() {
    run(|| {
        for account in 1..=3 {
            assert_eq!(spend(&debit(account, A, 100, 1)), Ok(()));
        }
        let before = Quotas::usage(&Holder::Hospital(A), Lane::User);
        let alone = |ref_time| Debit { hospital: None, ..debit(4, A, ref_time, 1) };
        assert_eq!(spend(&alone(60)), Ok(()));
        assert_eq!(spend(&alone(41)), Err(Exhausted::Account));
        Quotas::refund(&alone(60), 10);
        assert_eq!(Quotas::usage(&Holder::User(UserId([4; 32])), Lane::User).ref_time, 50);
        assert_eq!(Quotas::usage(&Holder::Hospital(A), Lane::User), before);
    });
}

#[test]
fn an_account_cannot_renew_its_budget_by_changing_hospitals() {
    run(|| {
        assert_eq!(spend(&debit(1, A, 100, 1)), Ok(()));
        assert_eq!(spend(&debit(1, B, 1, 1)), Err(Exhausted::Account));
    });
}

#[test]
fn a_hospitals_duties_have_budgets_of_their_own() {
    run(|| {
        let by = |hospital, duty| {
            let signer = Holder::Duty(hospital, duty);
            Debit { signer, ..debit(0, hospital, 100, 1) }
        };
        assert_eq!(spend(&by(A, Duty::Agent)), Ok(()));
        assert_eq!(spend(&by(A, Duty::Agent)), Err(Exhausted::Account));
        assert_eq!(spend(&by(A, Duty::Governance)), Ok(()));
        assert_eq!(spend(&by(B, Duty::Agent)), Ok(()));
    });
}

#[test]
fn a_lane_cannot_use_up_another_lanes_budget() {
    run(|| {
        assert_eq!(spend(&debit(1, A, 100, 1_000)), Ok(()));
        for lane in Lane::ALL.into_iter().filter(|lane| *lane != Lane::User) {
            assert_eq!(spend(&Debit { lane, ..debit(1, A, 100, 1_000) }), Ok(()));
            assert_eq!(spend(&Debit { lane, ..debit(1, A, 1, 1) }), Err(Exhausted::Account));
        }
    });
}

#[test]
fn weight_can_be_used_again_in_the_next_window_and_bytes_cannot() {
    run(|| {
        System::set_block_number(WEIGHT_WINDOW_BLOCKS - 1);
        assert_eq!(spend(&debit(1, A, 100, 600)), Ok(()));
        System::set_block_number(WEIGHT_WINDOW_BLOCKS);
        assert_eq!(spend(&debit(1, A, 100, 401)), Err(Exhausted::Account));
        assert_eq!(spend(&debit(1, A, 100, 400)), Ok(()));
        System::set_block_number(DAY_BLOCKS - 1);
        assert_eq!(spend(&debit(1, A, 1, 1)), Err(Exhausted::Account));
        System::set_block_number(DAY_BLOCKS);
        assert_eq!(spend(&debit(1, A, 100, 1_000)), Ok(()));
    });
}

#[test]
fn unused_weight_is_refunded_and_bytes_are_not() {
    run(|| {
        let transaction = debit(1, A, 100, 500);
        assert_eq!(spend(&transaction), Ok(()));
        Quotas::refund(&transaction, 70);
        for holder in [Holder::User(UserId([1; 32])), Holder::Hospital(A)] {
            let usage = Quotas::usage(&holder, Lane::User);
            assert_eq!((usage.ref_time, usage.bytes), (30, 500));
        }
        assert_eq!(spend(&debit(1, A, 70, 500)), Ok(()));
        Quotas::refund(&transaction, u64::MAX);
        assert_eq!(Quotas::usage(&Holder::Hospital(A), Lane::User).ref_time, 0);
    });
}

#[test]
fn a_check_changes_nothing() {
    run(|| {
        for _ in 0..10 {
            assert_eq!(Quotas::check(&debit(1, A, 100, 1_000)), Ok(()));
        }
    });
}
