use std::time::Duration;

use epione_client::api::VisitStage;
use epione_primitives::{
    AccountId, AnnouncementId, RecordId, RecordPointer, UserId, block::Segment,
};
use futures::stream;

use super::*;
use crate::store::{
    Store,
    faulty::{Faulty, Pauses},
};

fn segment(seed: u8) -> Segment {
    Segment { hash: [seed; 32], length: 10 }
}

fn visit(seed: u8, segments: Vec<Segment>) -> NewVisit {
    NewVisit {
        record_id: RecordId([seed; 16]),
        patient: UserId([1; 32]),
        author: UserId([2; 32]),
        fingerprint: [seed; 32],
        command: None,
        signed_at: seed.into(),
        record: vec![seed; 100],
        segments,
        queued_at: 1_000 + u64::from(seed),
    }
}

#[tokio::test]
async fn the_same_command_of_the_same_author_queues_one_visit_a_day() {
    let journal = Journal::in_memory().await.unwrap();
    let command = Command { id: [7; 16], content: [1; 32] };
    let at = |seed: u8, author: u8, queued_at| NewVisit {
        command: Some(command),
        author: UserId([author; 32]),
        queued_at,
        ..visit(seed, vec![])
    };
    let first = queue(&journal, at(1, 2, 1_000)).await;
    let Enqueued::New(first) = first else { panic!("{first:?}") };
    let later = 1_000 + commands::RECOGNIZED - 1;
    assert_eq!(queue(&journal, at(2, 2, later)).await, Enqueued::Known(first.clone()));
    let recalled = journal.recalled(UserId([2; 32]), command, later).await.unwrap();
    assert_eq!(recalled, Some(Recalled::Same(first)));
    // Other content is another visit, which must not be lost.
    let other =
        NewVisit { command: Some(Command { content: [2; 32], ..command }), ..at(5, 2, later) };
    assert_eq!(queue(&journal, other).await, Enqueued::OtherContent);
    assert_eq!(journal.visit(RecordId([5; 16])).await.unwrap(), None);
    // Another author cannot learn of the visit, or be given it.
    assert!(matches!(queue(&journal, at(3, 9, later)).await, Enqueued::New(_)));
    let next_day = later + 1;
    assert_eq!(journal.recalled(UserId([2; 32]), command, next_day).await.unwrap(), None);
    assert!(matches!(queue(&journal, at(4, 2, next_day)).await, Enqueued::New(_)));
}

#[tokio::test]
async fn a_command_from_a_clock_that_was_ahead_is_not_recognized_for_longer_than_a_day() {
    let journal = Journal::in_memory().await.unwrap();
    let command = Command { id: [7; 16], content: [1; 32] };
    let at =
        |seed: u8, queued_at| NewVisit { command: Some(command), queued_at, ..visit(seed, vec![]) };
    let (now, year) = (1_000_000_000, 365 * commands::RECOGNIZED);
    assert!(matches!(queue(&journal, at(1, now + year)).await, Enqueued::New(_)));
    // The clock is corrected.
    assert_eq!(journal.recalled(UserId([2; 32]), command, now).await.unwrap(), None);
    let second = queue(&journal, at(2, now)).await;
    let Enqueued::New(second) = second else { panic!("{second:?}") };
    // A clock that is set back by minutes forgets nothing.
    let earlier = now - commands::AHEAD;
    assert_eq!(queue(&journal, at(3, earlier)).await, Enqueued::Known(second));
    let rows: i64 = journal
        .read(|tx| tx.query_row("SELECT count(*) FROM commands", [], |row| row.get(0)))
        .await
        .unwrap();
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn the_command_of_a_visit_that_was_set_aside_submits_it_again() {
    let journal = Journal::in_memory().await.unwrap();
    let command = Command { id: [7; 16], content: [1; 32] };
    let by_command = |seed| NewVisit { command: Some(command), ..visit(seed, vec![]) };
    assert!(matches!(queue(&journal, by_command(1)).await, Enqueued::New(_)));
    assert!(matches!(queue(&journal, by_command(2)).await, Enqueued::Known(_)));
    let first = RecordId([1; 16]);
    assert!(set_aside(&journal, first, 5).await);
    assert_eq!(stage_of(&journal, 1).await, VisitStage::Outdated);
    assert!(matches!(queue(&journal, by_command(2)).await, Enqueued::New(_)));
    // The same visit, signed at the same block, stays set aside.
    assert!(matches!(queue(&journal, by_command(1)).await, Enqueued::Known(_)));
    let since = |since| journal.read(move |tx| visits::set_aside_since(tx, since));
    assert_eq!((since(5).await.unwrap(), since(6).await.unwrap()), (1, 0));
}

async fn queue(journal: &Journal, visit: NewVisit) -> Enqueued {
    let upload = journal.begin_upload();
    journal.reference(upload, &visit.segments).await.unwrap();
    let enqueued = journal.enqueue(visit, upload).await.unwrap();
    journal.release(upload, 9_000).await.unwrap();
    enqueued
}

async fn set_aside(journal: &Journal, record: RecordId, now: u64) -> bool {
    let outdated = visits::Aside::Outdated;
    let set = journal.write(move |tx| visits::set_aside(tx, record, outdated, "too old", now));
    set.await.unwrap()
}

#[tokio::test]
async fn the_media_of_a_visit_that_was_set_aside_are_released_after_a_while() {
    let journal = Journal::in_memory().await.unwrap();
    for seed in 1..=3 {
        queue(&journal, visit(seed, vec![segment(seed)])).await;
    }
    for (seed, at) in [(1, 100), (2, 200)] {
        assert!(set_aside(&journal, RecordId([seed; 16]), at).await);
    }
    let release = |before| journal.write(move |tx| visits::release_aside(tx, before, 10, 500));
    assert_eq!(release(100).await.unwrap(), 0);
    assert_eq!(release(150).await.unwrap(), 1);
    assert_eq!(release(150).await.unwrap(), 0);
    let owners = async |seed| journal.claims(segment(seed).hash).await.unwrap().len();
    assert_eq!([owners(1).await, owners(2).await, owners(3).await], [0, 1, 1]);
    // Its status and the sealed record stay, but it is not queued again.
    assert_eq!(stage_of(&journal, 1).await, VisitStage::Outdated);
    let back = journal.read(|tx| visits::aside_since(tx, 0)).await.unwrap();
    assert!(!back.contains(&RecordId([1; 16])), "{back:?}");
    let counts = journal.read(visits::counts).await.unwrap();
    assert_eq!((counts.queued, counts.aside), (1, 2));
    // A block that has it after all is its segments' owner.
    assert_eq!(journal.restore_committed(vec![committed(1, vec![])]).await.unwrap(), 1);
}

async fn stage_of(journal: &Journal, seed: u8) -> VisitStage {
    journal.visit(RecordId([seed; 16])).await.unwrap().unwrap().stage
}

async fn pack(journal: &Journal, batch: i64) -> usize {
    journal
        .write(move |tx| {
            let rows: Vec<i64> = visits::queued(tx, 100)?.iter().map(|visit| visit.row).collect();
            assert!(visits::set_packed(tx, &rows, batch, 2_000)?);
            Ok(rows.len())
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn a_repeated_visit_is_known_and_another_is_a_conflict() {
    let journal = Journal::in_memory().await.unwrap();
    let first = queue(&journal, visit(1, vec![segment(1)])).await;
    let Enqueued::New(first) = first else { panic!("{first:?}") };
    // Sealed again, with other keys and segments.
    let mut again = visit(1, vec![segment(2)]);
    again.record = vec![9; 90];
    again.queued_at = 5_000;
    assert_eq!(queue(&journal, again).await, Enqueued::Known(first));
    let mut other = visit(1, vec![]);
    other.fingerprint = [7; 32];
    assert_eq!(queue(&journal, other).await, Enqueued::Conflict);
    assert_eq!(journal.all_referenced(None, 10).await.unwrap(), [[1; 32]]);
}

#[tokio::test]
async fn a_visit_goes_from_queued_to_committed() {
    let journal = Journal::in_memory().await.unwrap();
    let mut arrivals = journal.arrivals();
    queue(&journal, visit(1, vec![segment(1), segment(2)])).await;
    queue(&journal, visit(2, vec![segment(3)])).await;
    assert!(arrivals.has_changed().unwrap());
    arrivals.mark_unchanged();
    let queued = journal.read(|c| visits::queued(c, 100)).await.unwrap();
    assert_eq!(
        queued.iter().map(|v| (v.segments, v.media_bytes)).collect::<Vec<_>>(),
        [(2, 20), (1, 10)]
    );
    assert_eq!(pack(&journal, 4).await, 2);
    assert_eq!(stage_of(&journal, 2).await, VisitStage::Packed);
    let sealed = journal.read(|c| visits::of_batch(c, 4)).await.unwrap();
    assert_eq!(sealed[1].record, vec![2; 100]);
    assert_eq!(sealed[0].segments, [segment(1), segment(2)]);

    let announcement = AnnouncementId(8);
    journal.write(move |tx| visits::set_announced(tx, 4, announcement, 3_000)).await.unwrap();
    assert_eq!(stage_of(&journal, 1).await, VisitStage::Announced { announcement });
    let held = [segment(1), segment(2), segment(3)];
    let changed = journal
        .write(move |tx| {
            references::add(tx, Owner::Announcement(announcement), &held)?;
            visits::set_committed(tx, 4, 5, 4_000)
        })
        .await
        .unwrap();
    assert_eq!(changed, 2);
    assert_eq!(
        stage_of(&journal, 2).await,
        VisitStage::Committed { pointer: RecordPointer { height: 5, index: 1 } }
    );
    assert_eq!(journal.write(|tx| visits::set_committed(tx, 4, 5, 4_000)).await.unwrap(), 0);
    assert_eq!(journal.write(|tx| visits::requeue(tx, 4, "late", 5_000)).await.unwrap(), 0);
    assert_eq!(journal.all_referenced(None, 10).await.unwrap(), held.map(|it| it.hash));
    assert_eq!(journal.all_referenced(Some([1; 32]), 1).await.unwrap(), [[2; 32]]);
    let counts = journal.read(visits::counts).await.unwrap();
    assert_eq!(counts, StageCounts { committed: 2, ..StageCounts::default() });
}

#[tokio::test]
async fn a_rejected_batch_is_queued_again_in_order() {
    let journal = Journal::in_memory().await.unwrap();
    queue(&journal, visit(1, vec![segment(1)])).await;
    pack(&journal, 1).await;
    queue(&journal, visit(2, vec![])).await;
    journal.write(|tx| visits::requeue(tx, 1, "rejected by 2 hospitals", 3_000)).await.unwrap();
    let queued = journal.read(|c| visits::queued(c, 100)).await.unwrap();
    assert_eq!(queued.iter().map(|v| v.record_id.0[0]).collect::<Vec<_>>(), [1, 2]);
    let first = journal.visit(RecordId([1; 16])).await.unwrap().unwrap();
    assert_eq!(first.last_failure.as_deref(), Some("rejected by 2 hospitals"));
    assert_eq!(first.queued_at, 1_001);
    let owner = Owner::Visit(RecordId([1; 16]));
    assert_eq!(journal.claims([1; 32]).await.unwrap(), [(owner, 10)]);
}

#[tokio::test]
async fn claims_are_ordered_by_trust() {
    let journal = Journal::in_memory().await.unwrap();
    let owners = [
        Owner::Offer(1),
        Owner::Announcement(AnnouncementId(256)),
        Owner::Announcement(AnnouncementId(3)),
        Owner::Visit(RecordId([9; 16])),
    ];
    for (owner, length) in owners.into_iter().zip(1..) {
        journal.reference(owner, &[Segment { hash: [1; 32], length }]).await.unwrap();
    }
    let lengths: Vec<_> =
        journal.claims([1; 32]).await.unwrap().into_iter().map(|(_, length)| length).collect();
    assert_eq!(lengths, [4, 3, 2, 1]);
    assert_eq!(journal.all_referenced(None, 10).await.unwrap(), [[1; 32]]);
}

#[tokio::test]
async fn packing_a_visit_twice_fails() {
    let journal = Journal::in_memory().await.unwrap();
    queue(&journal, visit(1, vec![])).await;
    pack(&journal, 1).await;
    assert!(!journal.write(|tx| visits::set_packed(tx, &[1], 2, 0)).await.unwrap());
}

#[tokio::test]
async fn acknowledged_visits_outlive_the_process_and_uploads_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep/journal.sqlite");
    let journal = Journal::open(&path).await.unwrap();
    queue(&journal, visit(1, vec![segment(1)])).await;
    let upload = journal.begin_upload();
    journal.reference(upload, &[segment(1), segment(2)]).await.unwrap();
    drop(journal);
    let journal = Journal::open(&path).await.unwrap();
    assert_eq!(stage_of(&journal, 1).await, VisitStage::Queued);
    assert_eq!(journal.all_referenced(None, 10).await.unwrap(), [[1; 32]]);
    let garbage = journal.read(|c| references::garbage(c, u64::MAX >> 1, 10)).await.unwrap();
    assert_eq!(garbage, [[2; 32]]);
}

#[tokio::test]
async fn a_second_process_is_locked_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.sqlite");
    let _first = Journal::open(&path).await.unwrap();
    assert!(matches!(Journal::open(&path).await, Err(JournalError::InUse)));
}

#[tokio::test]
async fn a_journal_of_a_newer_worker_is_not_changed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.sqlite");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let refused = Journal::open(&path).await.map(|_| ());
    assert!(matches!(refused, Err(JournalError::Newer { found: 99, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_look_at_the_journal_of_an_older_worker_does_not_convert_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.sqlite");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 1).unwrap();
    let looked = Journal::unchanged(&path).await.map(|_| ());
    assert!(matches!(looked, Err(JournalError::Older { found: 1, .. })), "{looked:?}");
    let version = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    let found = Connection::open(&path).unwrap().pragma_query_value(None, "user_version", version);
    assert_eq!(found.unwrap(), 1);
}

#[tokio::test]
async fn a_look_at_the_journal_of_a_stopped_worker_locks_it_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.sqlite");
    let journal = Journal::open(&path).await.unwrap();
    assert!(matches!(Journal::unchanged(&path).await, Err(JournalError::InUse)));
    let upload = journal.begin_upload();
    journal.reference(upload, &[Segment { hash: [1; 32], length: 10 }]).await.unwrap();
    drop(journal);
    for _ in 0..2 {
        let looked = Journal::unchanged(&path).await.unwrap();
        assert_eq!(looked.references_of(upload).await.unwrap().len(), 1);
        assert!(matches!(Journal::open(&path).await, Err(JournalError::InUse)));
    }
}

#[tokio::test]
async fn the_sweep_respects_the_grace_period() {
    let journal = Journal::in_memory().await.unwrap();
    let store = Store::in_memory();
    let mut segments = Vec::new();
    for content in [&b"one"[..], b"two", b"three"] {
        let segment = Segment { hash: blake3::hash(content).into(), length: content.len() as u32 };
        let source = stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from_static(content))]);
        store.put(&segment, source).await.unwrap();
        segments.push(segment);
    }
    let rejected = Owner::Announcement(AnnouncementId(1));
    journal.reference(rejected, &segments).await.unwrap();
    journal.reference(Owner::Visit(RecordId([1; 16])), &segments[..1]).await.unwrap();
    journal.release(rejected, 1_000).await.unwrap();
    assert_eq!(sweep(&journal, &store, 500, 1_400).await.unwrap(), 0);
    // It gains an owner within the grace period.
    journal.reference(Owner::Announcement(AnnouncementId(2)), &segments[1..2]).await.unwrap();
    assert_eq!(sweep(&journal, &store, 500, 1_500).await.unwrap(), 1);
    assert!(store.find(&segments[0].hash).await.unwrap().is_some());
    assert!(store.find(&segments[1].hash).await.unwrap().is_some());
    assert!(store.find(&segments[2].hash).await.unwrap().is_none());
    assert_eq!(sweep(&journal, &store, 500, 9_999).await.unwrap(), 0);
}

#[tokio::test]
async fn a_segment_that_a_sweep_deleted_is_not_counted_as_stored() {
    let (journal, store) = (Journal::in_memory().await.unwrap(), Store::in_memory());
    let content = &b"verified"[..];
    let segment = Segment { hash: blake3::hash(content).into(), length: content.len() as u32 };
    let owner = Owner::Announcement(AnnouncementId(1));
    journal.reference(owner, &[segment]).await.unwrap();
    let source = stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from_static(content))]);
    store.put(&segment, source).await.unwrap();
    assert_eq!(journal.verified_length(segment.hash).await.unwrap(), None, "it was only written");
    read_back(&journal, &store, &segment.hash).await.unwrap();
    let verified = journal.verified_length(segment.hash).await.unwrap();
    assert_eq!(verified, Some(segment.length));
    journal.release(owner, 0).await.unwrap();
    assert_eq!(sweep(&journal, &store, 0, 1).await.unwrap(), 1);
    assert_eq!(journal.verified_length(segment.hash).await.unwrap(), None);
}

#[tokio::test]
async fn after_a_change_of_storage_nothing_counts_as_stored() {
    let (journal, store) = (Journal::in_memory().await.unwrap(), Store::in_memory());
    let content = &b"verified"[..];
    let segment = Segment { hash: blake3::hash(content).into(), length: content.len() as u32 };
    let source = stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from_static(content))]);
    store.put(&segment, source).await.unwrap();
    assert!(!journal.bind_storage([1; 32]).await.unwrap());
    read_back(&journal, &store, &segment.hash).await.unwrap();
    assert!(!journal.bind_storage([1; 32]).await.unwrap());
    let verified = journal.verified_length(segment.hash).await.unwrap();
    assert_eq!(verified, Some(segment.length));
    assert!(journal.bind_storage([2; 32]).await.unwrap());
    assert_eq!(journal.verified_length(segment.hash).await.unwrap(), None);
}

/// A journal and a store that waits in every GET and DELETE, in which an upload owns the first of two segments.
async fn pausing() -> (Journal, Store, Arc<Pauses>, Owner, [Segment; 2]) {
    let journal = Journal::in_memory().await.unwrap();
    let (backend, pauses, objects) = Faulty::with_pauses();
    let mut segments = [segment(0); 2];
    for (segment, text) in segments.iter_mut().zip(["nobody needs this", "this is read"]) {
        let hash = blake3::hash(text.as_bytes()).into();
        *segment = Segment { hash, length: text.len() as u32 };
        let source = stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from(text))]);
        Store::over(objects.clone()).put(segment, source).await.unwrap();
    }
    let upload = journal.begin_upload();
    journal.reference(upload, &segments[..1]).await.unwrap();
    (journal, Store::over(backend), pauses, upload, segments)
}

#[tokio::test]
async fn a_read_during_a_deletion_does_not_count_the_deleted_segment_as_stored() {
    let (journal, store, pauses, upload, [segment, _]) = pausing().await;
    let (here, there) = (journal.clone(), store.clone());
    let deleting = tokio::spawn(async move { discard_owner(&here, &there, upload, 1).await });
    pauses.before_delete.reached().await;
    let (here, there) = (journal.clone(), store.clone());
    let reading = tokio::spawn(async move { read_back(&here, &there, &segment.hash).await });
    pauses.after_get.reached().await;
    pauses.before_delete.go_on();
    deleting.await.unwrap().unwrap();
    pauses.after_get.go_on();
    reading.await.unwrap().unwrap();
    assert_eq!(journal.verified_length(segment.hash).await.unwrap(), None);
}

#[tokio::test]
async fn a_reader_does_not_wait_for_a_storage_that_is_slow_to_delete() {
    let (journal, store, pauses, upload, [_, wanted]) = pausing().await;
    let (here, there) = (journal.clone(), store.clone());
    let deleting = tokio::spawn(async move { discard_owner(&here, &there, upload, 1).await });
    pauses.before_delete.reached().await;
    pauses.after_get.go_on();
    let reading = read_back(&journal, &store, &wanted.hash);
    tokio::time::timeout(Duration::from_secs(30), reading).await.unwrap().unwrap();
    pauses.before_delete.go_on();
    deleting.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_instance_keeps_its_id_and_differs_from_others() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.sqlite");
    let journal = Journal::open(&path).await.unwrap();
    let id = journal.instance().await.unwrap();
    drop(journal);
    assert_eq!(Journal::open(&path).await.unwrap().instance().await.unwrap(), id);
    assert_ne!(Journal::in_memory().await.unwrap().instance().await.unwrap(), id);
}

const HOUR: Moment = 3_600_000;

fn accounts() -> (AccountId, AccountId) {
    (AccountId::new([1; 32]), AccountId::new([2; 32]))
}

const MOST: u32 = 6;

async fn used(
    nonces: &Nonces,
    account: &AccountId,
    nonce: [u8; 16],
    time: u64,
    now: u64,
) -> NonceUse {
    nonces.first_use(account, nonce, time, now, MOST).await.unwrap()
}

#[tokio::test]
async fn an_account_that_floods_nonces_is_stopped_and_others_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("nonces.sqlite");
    let (alice, bob) = accounts();
    let nonces = Nonces::open(&path).await.unwrap();
    let now = crate::now();
    for seed in 1..=MOST as u8 {
        assert_eq!(used(&nonces, &alice, [seed; 16], now, now).await, NonceUse::First);
    }
    assert_eq!(used(&nonces, &alice, [9; 16], now, now).await, NonceUse::TooMany);
    assert_eq!(used(&nonces, &alice, [1; 16], now, now).await, NonceUse::Repeated);
    assert_eq!(used(&nonces, &bob, [9; 16], now, now).await, NonceUse::First);
    drop(nonces);
    let nonces = Nonces::open(&path).await.unwrap();
    assert_eq!(used(&nonces, &alice, [9; 16], now, now).await, NonceUse::TooMany);
    // Forgotten nonces do not count.
    let later = now + 3 * HOUR;
    assert_eq!(used(&nonces, &alice, [9; 16], later, later).await, NonceUse::First);
}

#[tokio::test]
async fn a_nonce_counts_once_per_account_even_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("nonces.sqlite");
    let (alice, bob) = accounts();
    let nonces = Nonces::open(&path).await.unwrap();
    let now = crate::now();
    assert_eq!(used(&nonces, &alice, [1; 16], now, now).await, NonceUse::First);
    assert_eq!(used(&nonces, &bob, [1; 16], now, now).await, NonceUse::First);
    drop(nonces);
    let nonces = Nonces::open(&path).await.unwrap();
    assert_eq!(used(&nonces, &alice, [1; 16], now, now + 60_000).await, NonceUse::Repeated);
    assert_eq!(used(&nonces, &alice, [2; 16], now, now + 60_000).await, NonceUse::First);
}

#[tokio::test]
async fn a_clock_that_was_an_hour_off_forgets_no_nonces() {
    let nonces = Nonces::in_memory().await.unwrap();
    let (alice, _) = accounts();
    let now = 100 * HOUR;
    assert_eq!(used(&nonces, &alice, [1; 16], now, now).await, NonceUse::First);
    for (seed, clock) in [(2, now + HOUR), (3, now - HOUR)] {
        assert_eq!(used(&nonces, &alice, [seed; 16], clock, clock).await, NonceUse::First);
        assert_eq!(used(&nonces, &alice, [seed; 16], clock, clock).await, NonceUse::Repeated);
        // The clock is corrected.
        assert_eq!(used(&nonces, &alice, [1; 16], now, now).await, NonceUse::Repeated);
        assert_eq!(used(&nonces, &alice, [10 * seed; 16], now, now).await, NonceUse::First);
    }
}

#[tokio::test]
async fn requests_before_the_oldest_nonce_are_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("nonces.sqlite");
    let nonces = Nonces::open(&path).await.unwrap();
    let (alice, bob) = accounts();
    let now = crate::now();
    assert_eq!(used(&nonces, &alice, [1; 16], now, now).await, NonceUse::First);
    // With a clock a day ahead, the nonce is forgotten.
    let ahead = now + 24 * HOUR;
    assert_eq!(used(&nonces, &bob, [9; 16], ahead, ahead).await, NonceUse::First);
    drop(nonces);
    let nonces = Nonces::open(&path).await.unwrap();
    assert_eq!(used(&nonces, &alice, [1; 16], now, now).await, NonceUse::Repeated);
    assert_eq!(used(&nonces, &alice, [1; 16], ahead, ahead).await, NonceUse::First);
}

#[tokio::test]
async fn a_new_database_rejects_earlier_requests() {
    let directory = tempfile::tempdir().unwrap();
    let nonces = Nonces::open(&directory.path().join("nonces.sqlite")).await.unwrap();
    let (alice, _) = accounts();
    let now = crate::now();
    assert_eq!(used(&nonces, &alice, [1; 16], now - 30_000, now).await, NonceUse::Repeated);
    assert_eq!(used(&nonces, &alice, [1; 16], now, now).await, NonceUse::First);
}

fn committed(seed: u8, segments: Vec<Segment>) -> CommittedVisit {
    CommittedVisit {
        pointer: RecordPointer { height: 7, index: seed.into() },
        announcement: AnnouncementId(3),
        record_id: RecordId([seed; 16]),
        patient: UserId([1; 32]),
        author: UserId([2; 32]),
        fingerprint: [seed; 32],
        segments,
        time: 5_000,
    }
}

#[tokio::test]
async fn restored_visits_are_known() {
    let journal = Journal::in_memory().await.unwrap();
    let restored = vec![committed(1, vec![segment(1)]), committed(2, vec![])];
    assert_eq!(journal.restore_committed(restored.clone()).await.unwrap(), 2);
    assert_eq!(journal.restore_committed(restored).await.unwrap(), 0);
    let pointer = RecordPointer { height: 7, index: 1 };
    assert_eq!(stage_of(&journal, 1).await, VisitStage::Committed { pointer });
    let again = queue(&journal, visit(1, vec![segment(9)])).await;
    assert!(matches!(again, Enqueued::Known(_)), "{again:?}");
    let queued = journal.read(|c| visits::queued(c, 10)).await.unwrap();
    assert_eq!(queued, []);
}

#[tokio::test]
async fn a_visit_accepted_again_is_not_announced_again() {
    let journal = Journal::in_memory().await.unwrap();
    // Sealed again, so that its segments are others.
    queue(&journal, visit(1, vec![segment(9)])).await;
    queue(&journal, visit(2, vec![])).await;
    let mut other = committed(2, vec![]);
    other.fingerprint = [77; 32];
    let shown = vec![committed(1, vec![segment(1)]), other];
    assert_eq!(journal.restore_committed(shown).await.unwrap(), 1);
    let queued = journal.read(|c| visits::queued(c, 10)).await.unwrap();
    assert_eq!(queued.iter().map(|visit| visit.record_id.0[0]).collect::<Vec<_>>(), [2]);
    assert!(journal.all_referenced(None, 10).await.unwrap().is_empty());
    // One that was set aside is committed after all.
    let aside = RecordId([3; 16]);
    queue(&journal, visit(3, vec![])).await;
    assert!(set_aside(&journal, aside, 5).await);
    assert_eq!(journal.restore_committed(vec![committed(3, vec![])]).await.unwrap(), 1);
    let restored = journal.visit(aside).await.unwrap().unwrap();
    assert!(matches!(restored.stage, VisitStage::Committed { .. }), "{restored:?}");
    assert_eq!(restored.last_failure, None);
    // A visit that is already packed is not changed: its batch decides.
    pack(&journal, 5).await;
    assert_eq!(journal.restore_committed(vec![committed(2, vec![])]).await.unwrap(), 0);
}

#[tokio::test]
async fn the_sweep_never_deletes_what_gains_an_owner() {
    let journal = Journal::in_memory().await.unwrap();
    let store = Store::in_memory();
    let content = &b"shared"[..];
    let segment = Segment { hash: blake3::hash(content).into(), length: content.len() as u32 };
    for round in 0..200_u64 {
        let source = stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from_static(content))]);
        store.put(&segment, source).await.unwrap();
        let rejected = Owner::Announcement(AnnouncementId(2 * round));
        journal.reference(rejected, &[segment]).await.unwrap();
        journal.release(rejected, 0).await.unwrap();
        // A block that will be committed becomes its owner while the sweep is running.
        let kept = Owner::Announcement(AnnouncementId(2 * round + 1));
        let needed = async {
            journal.reference(kept, &[segment]).await.unwrap();
            store.find(&segment.hash).await.unwrap().is_some()
        };
        let (held, swept) = tokio::join!(needed, sweep(&journal, &store, 0, 1));
        swept.unwrap();
        // Either it stays, or its new owner knows that it must be fetched.
        assert_eq!(store.find(&segment.hash).await.unwrap().is_some(), held, "round {round}");
        journal.release(kept, 0).await.unwrap();
        sweep(&journal, &store, 0, 1).await.unwrap();
    }
}
