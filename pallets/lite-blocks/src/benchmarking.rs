//! Measures every call at its maximum size, and closing a ballot with and without approval.

use alloc::vec;
use epione_primitives::{
    RecordId, RecordPointer, UserId,
    approval::BallotOutcome,
    block::{AnnouncedEntry, Entry, Range, Segment, Segments, segments_root},
    limits::MAX_ENTRIES,
    ports::OnBallotClosed,
    profile::Role,
};
use frame_benchmarking::{account, v2::*};
use frame_support::{traits::Get, weights::Weight};
use frame_system::RawOrigin;
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use super::*;
use crate::pruning::MAX_PRUNED;

fn patient(index: u32) -> UserId {
    UserId(BlakeTwo256::hash_of(&index).0)
}

/// The id of the record with this index in the block with this number.
fn record(block: u64, index: u32) -> RecordId {
    let mut id = [0; 16];
    id.copy_from_slice(&BlakeTwo256::hash_of(&(b"record", block, index)).0[..16]);
    RecordId(id)
}

/// One segment of one byte for each record.
fn segments(records: u32) -> Segments {
    let list = vec![Segment { hash: [7; 32], length: 1 }; records as usize];
    Segments { root: segments_root(&list), count: records, bytes: records.into() }
}

/// One record for each of as many patients. Each has one byte, except the last, which fills the body. Blocks with
/// different numbers have different records.
fn entries(block: u64, records: u32, body_bytes: u32) -> AnnouncedEntries {
    let last = records.saturating_sub(1);
    let entry = |index| AnnouncedEntry {
        record: record(block, index),
        hash: Hash::repeat_byte(3),
        patient: patient(index),
        text: Range { offset: index, length: if index == last { body_bytes - last } else { 1 } },
        media: Range { offset: index, length: 1 },
    };
    AnnouncedEntries::truncate_from((0..records).map(entry).collect())
}

/// Admits two hospitals, so an announcement needs a ballot. Returns the announcer.
fn hospital<T: Config>() -> HospitalId {
    T::Hospitals::set_up(account("governance", 1, 0), account("agent", 1, 0));
    T::Hospitals::set_up(account("governance", 0, 0), account("agent", 0, 0))
}

/// Stores an announcement without opening its ballot.
pub(crate) fn announced<T: Config>(announcer: HospitalId, records: u32) -> AnnouncementId {
    let next = NextId::<T>::get();
    let announcement = Announcement {
        announcer,
        body_hash: BlakeTwo256::hash_of(&(b"body", next)),
        body_bytes: MAX_BODY_BYTES,
        records: records.saturated_into(),
        segments: segments(records),
        announced_at: 0,
        stage: Stage::Announced,
    };
    Pallet::<T>::store(announcement, entries(next.0, records, MAX_BODY_BYTES))
        .expect("a benchmark does not use all ids")
}

/// Stores the largest block as if the hospital had announced it and the chain had committed it. Returns the
/// pointer of its last record, which is the patient's. Does not maintain the chain of hashes.
pub(crate) fn store_largest<T: Config>(
    announcer: HospitalId,
    patient: UserId,
    height: u32,
) -> RecordPointer {
    let last = RecordPointer { height, index: (MAX_ENTRIES - 1) as u16 };
    let entry = |(announced, index): (AnnouncedEntry, u16)| Entry {
        record: announced.record,
        hash: announced.hash,
        patient: if index == last.index { patient } else { announced.patient },
        text: announced.text,
        media: announced.media,
        previous: Some(RecordPointer { height: height.saturating_sub(1), index }),
    };
    let announced = entries(height.into(), MAX_ENTRIES, MAX_BODY_BYTES).into_iter().zip(0_u16..);
    let header = Header {
        height,
        previous_lite: Hash::repeat_byte(1),
        previous_cloud: Hash::repeat_byte(2),
        announcer,
        announcement: AnnouncementId(height.into()),
        time: 1,
        records: MAX_ENTRIES as u16,
        body_hash: BlakeTwo256::hash_of(&(b"body", height)),
        body_bytes: MAX_BODY_BYTES,
        segments: segments(MAX_ENTRIES),
    };
    Entries::<T>::insert(height, block::Entries::truncate_from(announced.map(entry).collect()));
    Headers::<T>::insert(height, header);
    Height::<T>::mutate(|newest| *newest = height.max(*newest));
    last
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn announce(
        e: Linear<1, MAX_ENTRIES>,
        b: Linear<MAX_ENTRIES, MAX_BODY_BYTES>,
    ) -> Result<(), BenchmarkError> {
        let announcer = hospital::<T>();
        for index in 0..e {
            let account: AccountId = account("patient", index, 0);
            T::Users::set_up(announcer, patient(index), Role::Patient, account);
        }
        let header = AnnouncedHeader { announcer, segments: segments(e) };
        let body = vec![42; b as usize];
        T::Bodies::set_up(&body);
        let agent: AccountId = account("agent", 0, 0);
        let id = NextId::<T>::get();

        #[extrinsic_call]
        _(RawOrigin::Signed(agent), header, entries(id.0, e, b), body);

        let stage = Announcements::<T>::get(id).map(|announcement| announcement.stage);
        assert_eq!(stage, Some(Stage::Announced));
        Ok(())
    }

    #[benchmark]
    fn withdraw(e: Linear<1, MAX_ENTRIES>) -> Result<(), BenchmarkError> {
        let announcer = hospital::<T>();
        let id = announced::<T>(announcer, e);
        T::Ballots::open(id, Hash::zero(), announcer)?;
        let agent: AccountId = account("agent", 0, 0);

        #[extrinsic_call]
        _(RawOrigin::Signed(agent), id);

        let stage = Announcements::<T>::get(id).map(|announcement| announcement.stage);
        assert_eq!(stage, Some(Stage::Withdrawn));
        Ok(())
    }

    #[benchmark]
    fn commit(e: Linear<1, MAX_ENTRIES>) {
        let id = announced::<T>(hospital::<T>(), e);
        let height = Height::<T>::get();

        #[block]
        {
            Pallet::<T>::on_ballot_closed(id, BallotOutcome::Approved);
        }

        assert_eq!(Height::<T>::get(), height + 1);
    }

    #[benchmark]
    fn discard(e: Linear<1, MAX_ENTRIES>) {
        let id = announced::<T>(hospital::<T>(), e);

        #[block]
        {
            Pallet::<T>::on_ballot_closed(id, BallotOutcome::Rejected);
        }

        assert!(!PendingEntries::<T>::contains_key(id));
    }

    #[benchmark]
    fn prune(n: Linear<0, MAX_PRUNED>) -> Result<(), BenchmarkError> {
        let announcer = hospital::<T>();
        for _ in 0..n {
            let id = announced::<T>(announcer, 1);
            T::Ballots::open(id, Hash::zero(), announcer)?;
            T::Ballots::withdraw(id)?;
            let announcement = Announcements::<T>::get(id)
                .ok_or(BenchmarkError::Stop("an announcement was not stored"))?;
            Pallet::<T>::discard(id, announcement, Stage::Withdrawn);
        }
        let now = T::RetentionBlocks::get().saturating_add(1).saturated_into();

        #[block]
        {
            Pallet::<T>::prune(now, Weight::MAX);
        }

        assert_eq!(Announcements::<T>::iter_keys().count(), 0);
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::externalities(), crate::mock::Test);
}
