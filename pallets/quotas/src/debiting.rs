//! Checking, debiting and refunding a transaction.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use epione_primitives::{BlockNumber, HospitalId, UserId, hospital::Duty};
use scale_info::TypeInfo;
use sp_runtime::SaturatedConversion;

use crate::{Budget, Config, Cost, CurrentLimits, Lane, Pallet, Usage, Used};

/// The owner of a budget. No holder is an account: a user or a hospital can rotate to new accounts without limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Holder {
    /// A user, with any account.
    #[codec(index = 0)]
    User(UserId),
    /// All signers for which a hospital answers.
    #[codec(index = 1)]
    Hospital(HospitalId),
    /// A hospital's agent or governance, with any account.
    #[codec(index = 2)]
    Duty(HospitalId, Duty),
}

/// What is debited for a transaction, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debit {
    pub signer: Holder,
    /// The hospital that answers for the signer. None for a transaction that no hospital can keep out by using up its
    /// budget.
    pub hospital: Option<HospitalId>,
    pub lane: Lane,
    pub cost: Cost,
}

impl Debit {
    fn holders(&self) -> impl Iterator<Item = Holder> {
        [Some(self.signer), self.hospital.map(Holder::Hospital)].into_iter().flatten()
    }
}

/// Whose budget does not cover a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// The budget of the signer, which does not depend on the account.
    Account,
    Hospital,
}

impl<T: Config> Pallet<T> {
    /// Whether the budgets cover a transaction in the current block. Fails with the first budget that does not.
    pub fn check(debit: &Debit) -> Result<(), Exhausted> {
        let limits = CurrentLimits::<T>::get();
        let share = limits.of(debit.lane);
        let covered = |holder: Holder, budget: &Budget| {
            Self::usage(&holder, debit.lane).plus(debit.cost).is_within(budget)
        };
        let exhausted = |hospital| !covered(Holder::Hospital(hospital), &share.hospital);
        if !covered(debit.signer, &share.account) {
            Err(Exhausted::Account)
        } else if debit.hospital.is_some_and(exhausted) {
            Err(Exhausted::Hospital)
        } else {
            Ok(())
        }
    }

    /// Adds a transaction to what its signer and its hospital, if one answers for it, used.
    pub fn debit(debit: &Debit) {
        Self::change(debit, |usage| usage.plus(debit.cost));
    }

    /// Takes back the time, in picoseconds, that a transaction of the current block did not need.
    pub fn refund(debit: &Debit, unused_ref_time: u64) {
        if unused_ref_time > 0 {
            Self::change(debit, |usage| usage.minus(unused_ref_time));
        }
    }

    /// What a holder used in one lane, in the windows of the current block.
    pub fn usage(holder: &Holder, lane: Lane) -> Usage {
        Used::<T>::get(holder, lane).at(Self::now())
    }

    fn change(debit: &Debit, change: impl Fn(Usage) -> Usage) {
        for holder in debit.holders() {
            let usage = change(Self::usage(&holder, debit.lane));
            Used::<T>::insert(holder, debit.lane, usage);
        }
    }

    pub(crate) fn now() -> BlockNumber {
        frame_system::Pallet::<T>::block_number().saturated_into()
    }
}
