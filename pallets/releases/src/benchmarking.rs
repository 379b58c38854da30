//! Measures every call at its maximum size.

use alloc::vec::Vec;
use epione_primitives::{
    RecordPointer,
    access::{Action, Purpose, SectionClass},
    limits::{
        MAX_EMERGENCIES_PER_DAY, MAX_ENTRIES, MAX_HOSPITALS, MAX_REFUSALS_PER_DAY,
        MAX_RELEASED_RECORDS, MAX_RIGHTS,
    },
    opening::OpeningId,
    profile::Role,
    release::{EmergencyReason, ReleasedRecord, ReviewStatus, ReviewSubject, Right, SectionSet},
};
use frame_benchmarking::{account, v2::*};
use frame_support::traits::Get;
use frame_system::RawOrigin;
use sp_runtime::{
    BoundedVec, KeyTypeId, SaturatedConversion,
    traits::{BlakeTwo256, Hash as _},
};

use super::*;
use crate::review::{MAX_EXPIRIES, Verdict};

const KEYS: KeyTypeId = KeyTypeId(*b"bnch");
const PATIENT: UserId = UserId([1; 32]);
const DOCTOR: UserId = UserId([2; 32]);
const NURSE: UserId = UserId([3; 32]);
/// The last record of the largest lite block.
const LAST: u16 = MAX_ENTRIES as u16 - 1;
const SHARED: SectionSet = SectionSet(1);
const CLASSES: [SectionClass; 2] = [SectionClass::Private, SectionClass::Shared];

/// A new account whose key is in the keystore.
fn keyed_account() -> AccountId {
    AccountId::new(sp_io::crypto::sr25519_generate(KEYS, None).0)
}

/// The signature of the requester, whose key is in the keystore.
fn sign<T: Config>(request: &Request) -> Result<Signature, BenchmarkError> {
    let account = T::Users::account(request.requester)
        .ok_or(BenchmarkError::Stop("the requester has no account"))?;
    let public = <[u8; 32]>::from(account).into();
    sp_io::crypto::sr25519_sign(KEYS, &public, &request.signed_bytes(Pallet::<T>::genesis()))
        .map(Signature::from)
        .ok_or(BenchmarkError::Stop("the keystore does not contain a key that it generated"))
}

/// Admits a hospital with the largest policy set, and registers a patient and two professionals there. Each
/// professional can be refused, and can break the glass, once more today, and the hospital can record one more receipt.
/// Returns the hospital and its agent.
fn set_up<T: Config>() -> (HospitalId, AccountId) {
    let agent: AccountId = account("agent", 0, 0);
    let hospital = T::Hospitals::set_up(account("governance", 0, 0), agent.clone());
    T::Users::set_up(hospital, PATIENT, Role::Patient, account("patient", 0, 0));
    T::Users::set_up(hospital, DOCTOR, Role::Doctor, keyed_account());
    T::Users::set_up(hospital, NURSE, Role::Nurse, keyed_account());
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
        openings: 0,
    };
    Usages::<T>::insert(hospital, usage);
    (hospital, agent)
}

/// A request for as many records as possible, each in a different lite block.
fn request<T: Config>(
    hospital: HospitalId,
    requester: UserId,
    purpose: Purpose,
    emergency: Option<EmergencyReason>,
) -> Request {
    let whole = |height| ReleasedRecord {
        pointer: RecordPointer { height, index: LAST },
        sections: SectionSet::ALL,
    };
    Request {
        requester,
        patient: PATIENT,
        hospital,
        records: BoundedVec::truncate_from((1..=MAX_RELEASED_RECORDS).map(whole).collect()),
        purpose,
        emergency,
        at: T::Time::now(),
        nonce: [1; 16],
    }
}

/// Commits one of the requested records. Some of its sections are shared with the doctor, except in an emergency: the
/// patient has given each slot the largest consent.
fn shared_record<T: Config>(hospital: HospitalId, height: u32) -> RecordPointer {
    let pointer = T::Records::set_up(hospital, PATIENT, height);
    T::Sharing::set_up(PATIENT, pointer, SHARED, DOCTOR, false);
    pointer
}

/// A release of this many of the requested records.
fn release<T: Config>(
    hospital: HospitalId,
    records: u32,
    rights: impl Iterator<Item = Right>,
    emergency: Option<EmergencyReason>,
) -> Result<Release, BenchmarkError> {
    let granted = |height| {
        let pointer = shared_record::<T>(hospital, height);
        ReleasedRecord { pointer, sections: SectionSet::ALL }
    };
    let purpose = if emergency.is_some() { Purpose::Emergency } else { Purpose::Research };
    let request = request::<T>(hospital, DOCTOR, purpose, emergency);
    Ok(Release {
        signature: sign::<T>(&request)?,
        request,
        records: BoundedVec::truncate_from((1..=records).map(granted).collect()),
        rights: BoundedVec::truncate_from(rights.collect()),
        grant: BlakeTwo256::hash_of(&ReceiptCount::<T>::get(PATIENT)),
    })
}

fn rights(actions: &[Action]) -> impl Iterator<Item = Right> {
    actions.iter().flat_map(|action| CLASSES.map(|class| Right { action: *action, class }))
}

/// Stores an open review with these verdicts, of an opening: the registrations of its requester are looked up.
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
        subject: ReviewSubject::Opening(OpeningId(0)),
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
    fn record(
        r: Linear<1, MAX_RELEASED_RECORDS>,
        p: Linear<1, MAX_RIGHTS>,
    ) -> Result<(), BenchmarkError> {
        let (hospital, agent) = set_up::<T>();
        let rights = rights(&[Action::ReadText, Action::ReadMedia]).take(p as usize);
        let release = release::<T>(hospital, r, rights, None)?;
        let grant = release.grant;

        #[extrinsic_call]
        _(RawOrigin::Signed(agent), release);

        assert!(Pallet::<T>::receipt(grant).is_some());
        Ok(())
    }

    #[benchmark]
    fn record_emergency(
        r: Linear<1, MAX_RELEASED_RECORDS>,
        p: Linear<1, 2>,
    ) -> Result<(), BenchmarkError> {
        let (hospital, agent) = set_up::<T>();
        let rights = rights(&[Action::BreakGlass]).take(p as usize);
        let release = release::<T>(hospital, r, rights, Some(EmergencyReason::PublicHealth))?;
        let grant = release.grant;

        #[extrinsic_call]
        record(RawOrigin::Signed(agent), release);

        assert!(Pallet::<T>::receipt(grant).is_some_and(|receipt| receipt.review.is_some()));
        Ok(())
    }

    /// An upper bound of any refusal. First of a doctor: the last policy of the set allows the doctor
    /// everything, so every right is decided and nothing is recorded. Then of a nurse: the first right is
    /// denied, so the refusal is recorded. Both signatures are verified. Each record has private and shared sections.
    #[benchmark]
    fn refuse() -> Result<(), BenchmarkError> {
        let (hospital, agent) = set_up::<T>();
        let asked = |requester| request::<T>(hospital, requester, Purpose::Treatment, None);
        let (allowed, denied) = (asked(DOCTOR), asked(NURSE));
        for height in 1..=MAX_RELEASED_RECORDS {
            shared_record::<T>(hospital, height);
        }
        let signatures = (sign::<T>(&allowed)?, sign::<T>(&denied)?);
        let before = RefusalCount::<T>::get(PATIENT);
        let origin = RawOrigin::Signed(agent);
        let decided;
        let recorded;

        #[block]
        {
            decided = Pallet::<T>::refuse(origin.clone().into(), allowed, signatures.0);
            recorded = Pallet::<T>::refuse(origin.into(), denied, signatures.1);
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
    fn note(r: Linear<1, MAX_RELEASED_RECORDS>) -> Result<(), BenchmarkError> {
        let (hospital, _) = set_up::<T>();
        let whole = |height| ReleasedRecord {
            pointer: T::Records::set_up(hospital, PATIENT, height),
            sections: SectionSet::ALL,
        };
        let records = BoundedVec::truncate_from((1..=r).map(whole).collect());
        let patient =
            T::Users::account(PATIENT).ok_or(BenchmarkError::Stop("the patient has no account"))?;

        #[extrinsic_call]
        _(RawOrigin::Signed(patient), records);

        assert_eq!(OwnReadCount::<T>::get(PATIENT), 1);
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
