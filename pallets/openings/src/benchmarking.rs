//! Measures every call at its largest: each record is in another one of the largest lite blocks, all hospitals are
//! active, the requester is registered at as many as possible, each of the patient's slots has the largest consent,
//! which admits the requester, and wraps, of which only those of the last slot are under the current key.

use alloc::vec::Vec;
use epione_primitives::{
    AccountId, HospitalId, RecordPointer, UserId,
    access::Purpose,
    consortium::KeyId,
    limits::{
        MAX_HOSPITALS, MAX_OPENED_SECTIONS, MAX_QUERIED_RECORDS, MAX_REGISTRATIONS_IN_FORCE,
        MAX_SECTIONS, MAX_SLOTS,
    },
    opening::{OpeningId, WrapLabel, Wrapped, WrapsBytes},
    ports::{
        Bodies as _, ConsortiumKey as _, Hospitals as _, Records as _, Sharing as _, Users as _,
    },
    profile::Role,
    query::QueriedRecords,
    release::{EmergencyReason, ReleasedRecord, SectionSet},
    sharing::SlotId,
};
use epione_threshold::{MixingSecret, Share, Wrap};
use frame_benchmarking::{account, v2::*};
use frame_support::BoundedVec;
use frame_system::RawOrigin;

use crate::{Call, Config, HandedOutBy, OpeningCount, Openings, Pallet, Wraps};

const PATIENT: UserId = UserId([1; 32]);
const REQUESTER: UserId = UserId([2; 32]);
const LAST: SlotId = SlotId(MAX_SLOTS - 1);
const EVERY_SECTION: u32 = MAX_SECTIONS as u32;

struct World {
    hospital: HospitalId,
    agent: AccountId,
    requester: AccountId,
}

/// Admits as many hospitals as possible. Returns them with their agents: those that an earlier run of the same test
/// admitted, too.
fn hospitals<T: Config>() -> Vec<(HospitalId, AccountId)> {
    let admitted = |number| {
        let agent: AccountId = account("agent", number, 0);
        let hospital = T::Hospitals::active_by_agent(&agent).or_else(|| {
            let has_room = T::Hospitals::active().len() < MAX_HOSPITALS as usize;
            has_room.then(|| T::Hospitals::set_up(account("governance", number, 0), agent.clone()))
        });
        Some((hospital?, agent))
    };
    (0..MAX_HOSPITALS).filter_map(admitted).collect()
}

/// Registers a patient at the last hospital, which has a share of the key, and a requester at as many as possible, the
/// last of which is that one.
fn set_up<T: Config>() -> Result<World, BenchmarkError> {
    let mut hospitals = hospitals::<T>();
    let Some((hospital, agent)) = hospitals.pop() else {
        return Err(BenchmarkError::Stop("the chain already has the maximum number of hospitals"));
    };
    let requester: AccountId = account("requester", 0, 0);
    T::Users::set_up(hospital, PATIENT, Role::Patient, account("patient", 0, 0));
    let others = MAX_REGISTRATIONS_IN_FORCE as usize - 1;
    let others = hospitals.into_iter().take(others).map(|(other, _)| other);
    for registered in others.chain([hospital]) {
        T::Users::set_up(registered, REQUESTER, Role::Doctor, requester.clone());
    }
    T::ConsortiumKey::set_up(hospital);
    Ok(World { hospital, agent, requester })
}

/// The first sections of a record.
fn first(count: u32) -> SectionSet {
    SectionSet(u64::MAX >> EVERY_SECTION.saturating_sub(count.max(1)))
}

/// Commits a record of the patient, and shares these sections of it, for emergencies or for every other purpose.
fn record<T: Config>(
    hospital: HospitalId,
    height: u32,
    sections: SectionSet,
    emergency: bool,
) -> RecordPointer {
    let pointer = T::Records::set_up(hospital, PATIENT, height);
    T::Sharing::set_up(PATIENT, pointer, sections, REQUESTER, emergency);
    pointer
}

/// Records with as many sections together as one opening has, and their wraps.
fn records<T: Config>(
    hospital: HospitalId,
    count: u32,
    emergency: bool,
) -> Result<QueriedRecords, BenchmarkError> {
    let (key, epoch) =
        T::ConsortiumKey::current().ok_or(BenchmarkError::Stop("the epoch did not begin"))?;
    let sections = first(MAX_OPENED_SECTIONS / count);
    let block = Pallet::<T>::block();
    let wrapped = |key| Wrapped { sections, key, epoch, hospital, body: Default::default(), block };
    let each = |height| {
        let pointer = record::<T>(hospital, height, sections, emergency);
        for slot in (0..MAX_SLOTS).map(SlotId) {
            let key = if slot == LAST { key } else { KeyId(u32::MAX) };
            Wraps::<T>::insert(pointer, slot, wrapped(key));
        }
        ReleasedRecord { pointer, sections }
    };
    Ok(BoundedVec::truncate_from((1..=count).map(each).collect()))
}

/// The wraps of these sections, bound to their labels.
fn wraps<T: Config>(
    hospital: HospitalId,
    pointer: RecordPointer,
    sections: SectionSet,
) -> Result<WrapsBytes, BenchmarkError> {
    let (key, epoch) =
        T::ConsortiumKey::current().ok_or(BenchmarkError::Stop("the epoch did not begin"))?;
    let mut one = [0; 32];
    one[0] = 1;
    let public = Share::decode(&one)
        .and_then(|share| share.public())
        .ok_or(BenchmarkError::Stop("1 is no secret key"))?;
    let mixing = MixingSecret::from_bytes([2; 32]);
    let wrap = |section| {
        let (genesis, patient, slot) = (Pallet::<T>::genesis(), PATIENT, LAST);
        let label = WrapLabel { genesis, key, epoch, hospital, patient, slot, pointer, section };
        Wrap::make(&public, &mixing, &label.bytes(), &[3; 32]).encode()
    };
    Ok(BoundedVec::truncate_from(sections.iter().flat_map(wrap).collect()))
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn wrap(s: Linear<1, EVERY_SECTION>) -> Result<(), BenchmarkError> {
        let World { hospital, agent, .. } = set_up::<T>()?;
        let sections = first(s);
        let pointer = record::<T>(hospital, 1, sections, false);
        let wraps = wraps::<T>(hospital, pointer, sections)?;
        T::Bodies::set_up(&wraps);

        #[extrinsic_call]
        _(RawOrigin::Signed(agent), PATIENT, LAST, pointer, sections, wraps);

        assert!(Wraps::<T>::contains_key(pointer, LAST));
        Ok(())
    }

    #[benchmark]
    fn ask(r: Linear<1, MAX_QUERIED_RECORDS>) -> Result<(), BenchmarkError> {
        let World { hospital, requester, .. } = set_up::<T>()?;
        let records = records::<T>(hospital, r, false)?;
        let id = OpeningId(OpeningCount::<T>::get());

        #[extrinsic_call]
        _(RawOrigin::Signed(requester), hospital, PATIENT, records, Purpose::Research, None);

        assert!(Openings::<T>::contains_key(id));
        Ok(())
    }

    #[benchmark]
    fn ask_emergency(r: Linear<1, MAX_QUERIED_RECORDS>) -> Result<(), BenchmarkError> {
        let World { hospital, requester, .. } = set_up::<T>()?;
        let records = records::<T>(hospital, r, true)?;
        let id = OpeningId(OpeningCount::<T>::get());
        let (purpose, reason) = (Purpose::Emergency, Some(EmergencyReason::PublicHealth));

        #[extrinsic_call]
        ask(RawOrigin::Signed(requester), hospital, PATIENT, records, purpose, reason);

        assert!(Openings::<T>::get(id).is_some_and(|opening| opening.emergency.is_some()));
        Ok(())
    }

    #[benchmark]
    fn hand_out(r: Linear<1, MAX_QUERIED_RECORDS>) -> Result<(), BenchmarkError> {
        let World { hospital, agent, requester } = set_up::<T>()?;
        let records = records::<T>(hospital, r, true)?;
        let id = OpeningId(OpeningCount::<T>::get());
        let origin = RawOrigin::Signed(requester).into();
        let (purpose, reason) = (Purpose::Emergency, Some(EmergencyReason::PublicHealth));
        Pallet::<T>::ask(origin, hospital, PATIENT, records, purpose, reason)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(agent), id);

        assert!(HandedOutBy::<T>::contains_key(id, hospital));
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::externalities(), crate::mock::Test);
}
