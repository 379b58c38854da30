//! Measures every call at its maximum size.

use alloc::vec::Vec;
use epione_primitives::{
    access::{Action, SectionClass},
    limits::{
        MAX_EMERGENCIES_PER_DAY, MAX_HOSPITALS, MAX_REFUSALS_PER_DAY, MAX_RELEASED_RECORDS,
        MAX_RIGHTS,
    },
    profile::Role,
    release::{EmergencyReason, ReleasedRecord, ReviewStatus, Right, SectionSet},
};
use frame_benchmarking::{account, v2::*};
use frame_support::traits::Get;
use frame_system::RawOrigin;
use sp_runtime::{
    BoundedVec, SaturatedConversion,
    traits::{BlakeTwo256, Hash as _},
};

use super::*;
use crate::review::{MAX_EXPIRIES, Verdict};

const PATIENT: UserId = UserId([1; 32]);
const DOCTOR: UserId = UserId([2; 32]);
const NURSE: UserId = UserId([3; 32]);
const CLASSES: [SectionClass; 2] = [SectionClass::Private, SectionClass::Shared];

/// Admits a hospital with the largest policy set, and registers a patient and two professionals there. Each
/// professional can be refused, and can break the glass, once more today, and the hospital can record one more receipt.
/// Returns the hospital and its agent.
fn set_up<T: Config>() -> (HospitalId, AccountId) {
    let agent: AccountId = account("agent", 0, 0);
    let hospital = T::Hospitals::set_up(account("governance", 0, 0), agent.clone());
    T::Users::set_up(hospital, PATIENT, Role::Patient, account("patient", 0, 0));
    T::Users::set_up(hospital, DOCTOR, Role::Doctor, account("doctor", 0, 0));
    T::Users::set_up(hospital, NURSE, Role::Nurse, account("nurse", 0, 0));
    T::Policies::set_up(hospital);
    let tally = Tally {
        refusals: MAX_REFUSALS_PER_DAY - 1,
        emergencies: MAX_EMERGENCIES_PER_DAY - 1,
        ..Tally::default().on(T::Time::now())
    };
    Tallies::<T>::insert(hospital, DOCTOR, tally);
    Tallies::<T>::insert(hospital, NURSE, tally);
    let usage = Usage {
        since: Pallet::<T>::block(),
        receipts: T::MaxReceipts::get() - 1,
        emergencies: T::MaxEmergencies::get() - 1,
        refusals: T::MaxRefusals::get() - 1,
        visitors: 0,
    };
    Usages::<T>::insert(hospital, usage);
    (hospital, agent)
}

/// A release of this many records, each in a different lite block.
fn release<T: Config>(
    hospital: HospitalId,
    records: u32,
    rights: impl Iterator<Item = Right>,
    emergency: Option<EmergencyReason>,
) -> Release {
    let whole = |height| ReleasedRecord {
        pointer: T::Records::set_up(hospital, PATIENT, height),
        sections: SectionSet(u64::MAX),
    };
    Release {
        requester: DOCTOR,
        patient: PATIENT,
        records: BoundedVec::truncate_from((1..=records).map(whole).collect()),
        rights: BoundedVec::truncate_from(rights.collect()),
        purpose: Purpose::Emergency,
        emergency,
        grant: BlakeTwo256::hash_of(&ReceiptCount::<T>::get(PATIENT)),
    }
}

fn rights(actions: &[Action]) -> impl Iterator<Item = Right> {
    actions.iter().flat_map(|action| CLASSES.map(|class| Right { action: *action, class }))
}

/// Stores an open review with these verdicts.
fn reviewed<T: Config>(
    hospital: HospitalId,
    deadline: BlockNumber,
    verdicts: impl Iterator<Item = Verdict>,
) -> ReviewId {
    let id = NextReview::<T>::get();
    NextReview::<T>::put(ReviewId(id.0 + 1));
    let review = Review {
        requester: DOCTOR,
        patient: PATIENT,
        hospital,
        receipt: 0,
        reason: EmergencyReason::LifeThreatening,
        opened: T::Time::now(),
        deadline,
        verdicts: BoundedVec::truncate_from(verdicts.collect()),
        status: ReviewStatus::Open,
    };
    Reviews::<T>::insert(id, review);
    id
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn record(r: Linear<1, MAX_RELEASED_RECORDS>, p: Linear<1, MAX_RIGHTS>) {
        let (hospital, agent) = set_up::<T>();
        let rights = rights(&[Action::ReadText, Action::ReadMedia]).take(p as usize);
        let release = release::<T>(hospital, r, rights, None);
        let grant = release.grant;

        #[extrinsic_call]
        _(RawOrigin::Signed(agent), release);

        assert!(Pallet::<T>::receipt(grant).is_some());
    }

    #[benchmark]
    fn record_emergency(r: Linear<1, MAX_RELEASED_RECORDS>, p: Linear<1, 2>) {
        let (hospital, agent) = set_up::<T>();
        let rights = rights(&[Action::BreakGlass]).take(p as usize);
        let release = release::<T>(hospital, r, rights, Some(EmergencyReason::PublicHealth));
        let grant = release.grant;

        #[extrinsic_call]
        record(RawOrigin::Signed(agent), release);

        assert!(Pallet::<T>::receipt(grant).is_some_and(|receipt| receipt.review.is_some()));
    }

    /// An upper bound of any refusal. First of a doctor: the last policy of the set allows the doctor
    /// everything, so every right is decided and nothing is recorded. Then of a nurse: the first right is
    /// denied, so the refusal is recorded.
    #[benchmark]
    fn refuse() -> Result<(), BenchmarkError> {
        let (_, agent) = set_up::<T>();
        let before = RefusalCount::<T>::get(PATIENT);
        let origin = RawOrigin::Signed(agent);
        let decided;
        let recorded;

        #[block]
        {
            let purpose = Purpose::Treatment;
            decided = Pallet::<T>::refuse(origin.clone().into(), DOCTOR, PATIENT, purpose, false);
            recorded = Pallet::<T>::refuse(origin.into(), NURSE, PATIENT, purpose, false);
        }

        assert_eq!(decided, Err(Error::<T>::NotRefused.into()));
        recorded?;
        assert_eq!(RefusalCount::<T>::get(PATIENT), before + 1);
        Ok(())
    }

    /// The verdict of the last of the maximum number of hospitals. The others disagree with each other.
    #[benchmark]
    fn judge() -> Result<(), BenchmarkError> {
        let added: Vec<_> = (T::Hospitals::active().len() as u32..MAX_HOSPITALS)
            .map(|number| {
                let governance: AccountId = account("judge", number, 0);
                let agent = account("agent", number, 0);
                (T::Hospitals::set_up(governance.clone(), agent), governance)
            })
            .collect();
        let [(hospital, _), .., (last, governance)] = added.as_slice() else {
            return Err(BenchmarkError::Stop(
                "the chain already has the maximum number of hospitals",
            ));
        };
        let verdicts = T::Hospitals::active()
            .into_iter()
            .filter(|other| other != hospital && other != last)
            .enumerate()
            .map(|(number, other)| (other, number % 2 == 0));
        let id = reviewed::<T>(*hospital, BlockNumber::MAX, verdicts);

        #[extrinsic_call]
        _(RawOrigin::Signed(governance.clone()), id, true);

        let status = Reviews::<T>::get(id).map(|review| review.status);
        assert!(matches!(status, Some(ReviewStatus::Closed { justified: true, .. })));
        Ok(())
    }

    #[benchmark]
    fn expire(n: Linear<0, MAX_EXPIRIES>) {
        let verdicts = || (0..MAX_HOSPITALS as u16).map(|id| (HospitalId(id), true));
        ExpiryCursor::<T>::put(NextReview::<T>::get());
        for _ in 0..n {
            reviewed::<T>(HospitalId(0), 0, verdicts());
        }
        reviewed::<T>(HospitalId(0), BlockNumber::MAX, verdicts());
        let processed;

        #[block]
        {
            processed = Pallet::<T>::expire(1_u32.saturated_into());
        }

        assert_eq!(processed, n);
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::externalities(), crate::mock::Test);
}
