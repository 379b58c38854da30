//! Measures votes that do not decide among the maximum number of hospitals, closing a ballot, and a deadline that many
//! ballots share.

use alloc::vec::Vec;
use epione_primitives::{
    AccountId, Hash, HospitalId,
    approval::{BallotOutcome, RejectReason, approvals_needed},
    limits::{MAX_BALLOTS_PER_BLOCK, MAX_HOSPITALS},
    ports::{Ballots as _, Hospitals as _, OnBallotClosed as _},
};
use frame_benchmarking::v2::*;
use frame_system::{RawOrigin, pallet_prelude::BlockNumberFor};
use sp_runtime::{BoundedVec, SaturatedConversion};

use crate::{Ballots, Call, Config, Deadlines, Pallet};

/// Fills the chain with hospitals. Returns the added hospitals with their agents.
fn fill<T: Config>() -> Vec<(HospitalId, AccountId)> {
    (T::Hospitals::active().len() as u32..MAX_HOSPITALS)
        .map(|number| {
            let agent: AccountId = account("agent", number, 0);
            (T::Hospitals::set_up(account("governance", number, 0), agent.clone()), agent)
        })
        .collect()
}

/// The hash of what the hospitals verify.
const SUBJECT: Hash = Hash::repeat_byte(7);

fn outcome<T: Config>(id: T::Id) -> Option<BallotOutcome> {
    Ballots::<T>::get(id).and_then(|ballot| ballot.outcome)
}

#[benchmarks]
mod benchmarks {
    use super::*;

    /// Opens a ballot of the first hospital in `electors`. Returns its id and the other hospitals.
    fn opened<T: Config>(
        electors: &[(HospitalId, AccountId)],
    ) -> Result<(T::Id, &[(HospitalId, AccountId)]), BenchmarkError> {
        let [(opener, _), others @ ..] = electors else {
            return Err(BenchmarkError::Stop(
                "the chain already has the maximum number of hospitals",
            ));
        };
        let id = T::OnClosed::set_up(*opener);
        Pallet::<T>::open(id.clone(), SUBJECT, *opener)?;
        Ok((id, others))
    }

    #[benchmark]
    fn approve() -> Result<(), BenchmarkError> {
        let electors = fill::<T>();
        let (id, others) = opened::<T>(&electors)?;
        let needed = approvals_needed(MAX_HOSPITALS) as usize;
        for (_, agent) in &others[..needed - 2] {
            Pallet::<T>::approve(RawOrigin::Signed(agent.clone()).into(), id.clone(), SUBJECT)
                .map_err(|failed| failed.error)?;
        }
        let caller = others[needed - 2].1.clone();

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), id.clone(), SUBJECT);

        assert_eq!(Ballots::<T>::get(id).map(|ballot| ballot.approvals.len()), Some(needed - 1));
        Ok(())
    }

    #[benchmark]
    fn reject() -> Result<(), BenchmarkError> {
        let electors = fill::<T>();
        let (id, others) = opened::<T>(&electors)?;
        let decisive = (MAX_HOSPITALS - approvals_needed(MAX_HOSPITALS)) as usize;
        let reason = RejectReason::SegmentMissing;
        for (_, agent) in &others[..decisive - 2] {
            let origin = RawOrigin::Signed(agent.clone()).into();
            Pallet::<T>::reject(origin, id.clone(), SUBJECT, reason)
                .map_err(|failed| failed.error)?;
        }
        let caller = others[decisive - 2].1.clone();

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), id.clone(), SUBJECT, reason);

        assert_eq!(outcome::<T>(id), None);
        Ok(())
    }

    /// Withdraws a ballot whose deadline as many ballots share as can: what a decisive vote does, without the owner's
    /// work. The other places of the deadline's list have the same id, because only the length matters.
    #[benchmark]
    fn close() -> Result<(), BenchmarkError> {
        let electors = fill::<T>();
        let (id, others) = opened::<T>(&electors)?;
        for (_, agent) in &others[..approvals_needed(MAX_HOSPITALS) as usize - 1] {
            Pallet::<T>::approve(RawOrigin::Signed(agent.clone()).into(), id.clone(), SUBJECT)
                .map_err(|failed| failed.error)?;
        }
        let deadline = Ballots::<T>::get(&id).map_or(0, |ballot| ballot.deadline);
        let listed = alloc::vec![id.clone(); MAX_BALLOTS_PER_BLOCK as usize];
        Deadlines::<T>::insert(deadline, BoundedVec::truncate_from(listed));

        let withdrawn;

        #[block]
        {
            withdrawn = Pallet::<T>::withdraw(id.clone());
        }

        withdrawn?;
        assert_eq!(outcome::<T>(id), Some(BallotOutcome::Withdrawn));
        Ok(())
    }

    /// Without the owner's work. Stays below `MAX_BALLOTS_PER_BLOCK`, because creating so many ids takes too long. The
    /// cost is linear in the number of ballots.
    #[benchmark]
    fn expire(b: Linear<0, 32>) -> Result<(), BenchmarkError> {
        let electors = fill::<T>();
        let mut deadline = 0;
        for number in 0..b as usize {
            let (opener, _) = electors[number % electors.len()];
            let id = T::OnClosed::set_up(opener);
            Pallet::<T>::open(id.clone(), SUBJECT, opener)?;
            deadline = Ballots::<T>::get(id).map_or(0, |ballot| ballot.deadline);
        }
        let now: BlockNumberFor<T> = (deadline + 1).saturated_into();
        let closed;

        #[block]
        {
            closed = Pallet::<T>::close_expired(now);
        }

        assert_eq!(closed.len(), b as usize);
        assert!(Deadlines::<T>::get(deadline).is_empty());
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::externalities(2), crate::mock::Test);
}
