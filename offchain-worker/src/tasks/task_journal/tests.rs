use std::collections::HashSet;

use epione_client::api::VisitStage;
use epione_envelope::body::Packed;
use epione_primitives::{
    HospitalId, RecordId, RecordPointer, UserId,
    block::{AnnouncedEntry, AnnouncedHeader, Range, Segment, Segments, record_hash},
};

use super::*;
use crate::journal::{NewVisit, Owner, visits};

const IDENTITY: Identity = Identity { genesis: Hash::repeat_byte(7), hospital: HospitalId(2) };
const ID: AnnouncementId = AnnouncementId(9);

async fn task_journal() -> (Journal, TaskJournal) {
    let journal = Journal::in_memory().await.unwrap();
    let task_journal = TaskJournal::open(journal.clone()).await.unwrap();
    task_journal.bind(IDENTITY).await.unwrap();
    (journal, task_journal)
}

fn segment(seed: u8) -> Segment {
    Segment { hash: [seed; 32], length: 10 }
}

async fn queue(journal: &Journal, seed: u8) {
    let upload = journal.begin_upload();
    let visit = NewVisit {
        record_id: RecordId([seed; 16]),
        patient: UserId([1; 32]),
        author: UserId([2; 32]),
        fingerprint: [seed; 32],
        command: None,
        signed_at: 10 * BlockNumber::from(seed),
        record: vec![seed; 100],
        segments: vec![segment(seed)],
        queued_at: 1_000,
    };
    journal.reference(upload, &visit.segments).await.unwrap();
    journal.enqueue(visit, upload).await.unwrap();
}

fn packed(records: u32) -> Packed {
    let entry = |index: u32| AnnouncedEntry {
        record: RecordId([index as u8; 16]),
        hash: record_hash(&[3; 100]),
        patient: UserId([1; 32]),
        text: Range { offset: index * 100, length: 100 },
        media: Range { offset: index, length: 1 },
    };
    Packed {
        header: AnnouncedHeader { announcer: HospitalId(2), segments: Segments::default() },
        entries: (0..records).map(entry).collect::<Vec<_>>().try_into().unwrap(),
        body: vec![3; 100 * records as usize],
    }
}

async fn pack(task_journal: &TaskJournal, now: u64) -> i64 {
    let queue = task_journal.queue(10, now).await.unwrap();
    let rows: Vec<i64> = queue.iter().map(|visit| visit.row).collect();
    task_journal.pack(packed(rows.len() as u32), rows, now).await.unwrap()
}

async fn stage(journal: &Journal, seed: u8) -> VisitStage {
    journal.visit(RecordId([seed; 16])).await.unwrap().unwrap().stage
}

fn hold(times: u32) -> u64 {
    1_000 * u64::from(times)
}

#[tokio::test]
async fn a_journal_stays_with_the_first_chain_and_hospital() {
    let (_, task_journal) = task_journal().await;
    task_journal.bind(Identity { hospital: HospitalId(3), ..IDENTITY }).await.unwrap();
    assert_eq!(task_journal.identity().await.unwrap(), Some(IDENTITY));
}

#[tokio::test]
async fn every_committed_height_becomes_one_job() {
    let (_, task_journal) = task_journal().await;
    task_journal.observe(ChainProgress { block: 10, height: 2 }, vec![]).await.unwrap();
    task_journal.finish(Job::Keep(1)).await.unwrap();
    task_journal.observe(ChainProgress { block: 11, height: 4 }, vec![]).await.unwrap();
    let due = task_journal.due(JobKind::Keep, 0, 10).await.unwrap();
    assert_eq!(due, [2, 3, 4].map(|height| (Job::Keep(height), 0)));
    assert_eq!(task_journal.progress().await.unwrap(), ChainProgress { block: 11, height: 4 });
}

#[tokio::test]
async fn an_older_block_does_not_revert_progress() {
    let (_, task_journal) = task_journal().await;
    task_journal.observe(ChainProgress { block: 10, height: 2 }, vec![]).await.unwrap();
    task_journal.observe(ChainProgress { block: 5, height: 1 }, vec![]).await.unwrap();
    assert_eq!(task_journal.progress().await.unwrap(), ChainProgress { block: 10, height: 2 });
    assert_eq!(task_journal.due(JobKind::Keep, 0, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_ballot_with_a_vote_is_due_again_when_it_ends() {
    let (_, task_journal) = task_journal().await;
    let job = Job::Ballot(ID);
    task_journal.observe(ChainProgress { block: 1, height: 0 }, vec![ID]).await.unwrap();
    assert_eq!(task_journal.due(JobKind::Ballot, 0, 10).await.unwrap(), [(job, 0)]);
    task_journal.wait(job).await.unwrap();
    task_journal.observe(ChainProgress { block: 2, height: 0 }, vec![ID]).await.unwrap();
    assert_eq!(task_journal.due(JobKind::Ballot, u64::MAX >> 1, 10).await.unwrap(), []);
    task_journal.observe(ChainProgress { block: 3, height: 0 }, vec![]).await.unwrap();
    assert_eq!(task_journal.due(JobKind::Ballot, 0, 10).await.unwrap(), [(job, 0)]);
}

#[tokio::test]
async fn a_job_without_a_result_is_due_again() {
    let (_, task_journal) = task_journal().await;
    task_journal.observe(ChainProgress { block: 1, height: 1 }, vec![]).await.unwrap();
    task_journal.start(Job::Keep(1), 500).await.unwrap();
    assert_eq!(task_journal.due(JobKind::Keep, 499, 10).await.unwrap(), []);
    assert_eq!(task_journal.due(JobKind::Keep, 500, 10).await.unwrap(), [(Job::Keep(1), 1)]);
}

#[tokio::test]
async fn a_clock_set_back_does_not_delay_jobs() {
    let (_, task_journal) = task_journal().await;
    let (hour, now) = (3_600_000, 100_000_000);
    task_journal.observe(ChainProgress { block: 1, height: 1 }, vec![]).await.unwrap();
    task_journal.start(Job::Keep(1), now + 15_000).await.unwrap();
    assert_eq!(task_journal.due(JobKind::Keep, now, 10).await.unwrap(), []);
    assert_eq!(task_journal.due(JobKind::Keep, now - hour, 10).await.unwrap(), [(Job::Keep(1), 1)]);
}

#[tokio::test]
async fn a_block_that_is_processed_twice_changes_nothing() {
    let (_, task_journal) = task_journal().await;
    let seen = ChainProgress { block: 10, height: 2 };
    task_journal.observe(seen, vec![ID]).await.unwrap();
    task_journal.finish(Job::Keep(1)).await.unwrap();
    task_journal.wait(Job::Ballot(ID)).await.unwrap();
    task_journal.observe(seen, vec![ID]).await.unwrap();
    assert_eq!(task_journal.due(JobKind::Keep, 0, 10).await.unwrap(), [(Job::Keep(2), 0)]);
    assert_eq!(task_journal.due(JobKind::Ballot, 0, 10).await.unwrap(), []);
    assert_eq!(task_journal.keeps().await.unwrap(), [2].into());
    assert_eq!(task_journal.progress().await.unwrap(), seen);
}

#[tokio::test]
async fn a_batch_is_kept_with_its_bytes_until_it_is_committed() {
    let (journal, task_journal) = task_journal().await;
    queue(&journal, 1).await;
    queue(&journal, 2).await;
    let id = pack(&task_journal, 5).await;
    assert_eq!(stage(&journal, 1).await, VisitStage::Packed);
    assert_eq!(task_journal.queue(10, 5).await.unwrap(), []);

    let batch = task_journal.batches().await.unwrap().pop().unwrap();
    let whole = packed(2);
    assert_eq!((batch.id, &batch.header, &batch.entries), (id, &whole.header, &whole.entries));
    assert_eq!(task_journal.body(id).await.unwrap(), whole.body);

    assert!(task_journal.announced(id, ID, 6).await.unwrap());
    assert!(!task_journal.announced(id, ID, 7).await.unwrap());
    assert_eq!(stage(&journal, 2).await, VisitStage::Announced { announcement: ID });

    assert_eq!(task_journal.committed(id, ID, 4, 8).await.unwrap(), 2);
    let pointer = RecordPointer { height: 4, index: 1 };
    assert_eq!(stage(&journal, 2).await, VisitStage::Committed { pointer });
    assert_eq!(task_journal.batches().await.unwrap(), []);
    let kept = journal.references_of(Owner::Announcement(ID)).await.unwrap();
    assert_eq!(kept, [segment(1), segment(2)]);
    // A second time, as after a crash.
    assert_eq!(task_journal.committed(id, ID, 4, 9).await.unwrap(), 0);
}

#[tokio::test]
async fn the_visits_of_a_failed_batch_are_queued_again_in_order() {
    let (journal, task_journal) = task_journal().await;
    queue(&journal, 1).await;
    queue(&journal, 2).await;
    let id = pack(&task_journal, 5).await;
    task_journal.announced(id, ID, 6).await.unwrap();
    assert_eq!(task_journal.failed(id, "no".into(), 7, Some(hold)).await.unwrap(), 2);
    let queued = task_journal.queue(10, 7).await.unwrap();
    assert_eq!(queued.iter().map(|v| v.record_id.0[0]).collect::<Vec<_>>(), [1, 2]);
    let visit = journal.visit(RecordId([1; 16])).await.unwrap().unwrap();
    assert_eq!(visit.last_failure.as_deref(), Some("no"));
    assert_eq!(task_journal.batches().await.unwrap(), []);
    assert_ne!(pack(&task_journal, 8).await, id);
}

#[tokio::test]
async fn outdated_visits_are_set_aside_and_shown() {
    let (journal, task_journal) = task_journal().await;
    // Signed at the blocks 10 to 40; the third is in a batch.
    queue(&journal, 3).await;
    let batch = pack(&task_journal, 5).await;
    for seed in [1, 2, 4] {
        queue(&journal, seed).await;
    }
    task_journal.hold(2, 6, hold, "damaged").await.unwrap();
    let record = |seed: u8| RecordId([seed; 16]);
    let aside = task_journal.set_outdated_aside(10, 7, "too old").await.unwrap();
    assert_eq!(aside, [], "block 10 is not before block 10");
    let aside = task_journal.set_outdated_aside(40, 7, "too old").await.unwrap();
    assert_eq!(aside, [record(1), record(2)]);
    for seed in [1, 2] {
        let visit = journal.visit(record(seed)).await.unwrap().unwrap();
        assert_eq!((visit.stage, visit.since), (VisitStage::Outdated, 7));
        assert_eq!(visit.last_failure.as_deref(), Some("too old"));
        // What the hospital acknowledged is not deleted.
        assert_eq!(journal.claims([seed; 32]).await.unwrap(), [(Owner::Visit(record(seed)), 10)]);
    }
    assert_eq!(stage(&journal, 3).await, VisitStage::Packed);
    let queued = task_journal.queue(10, 500_000).await.unwrap();
    assert_eq!(queued.iter().map(|visit| visit.record_id).collect::<Vec<_>>(), [record(4)]);
    assert_eq!(task_journal.set_outdated_aside(40, 8, "too old").await.unwrap(), []);

    // When its batch has failed, the third is outdated, too.
    task_journal.failed(batch, "rejected".into(), 9, None).await.unwrap();
    assert_eq!(task_journal.set_outdated_aside(40, 9, "too old").await.unwrap(), [record(3)]);
    let counts = journal.read(visits::counts).await.unwrap();
    assert_eq!((counts.queued, counts.aside), (1, 3));
}

#[tokio::test]
async fn a_visit_that_was_set_aside_too_early_is_queued_again() {
    let (journal, task_journal) = task_journal().await;
    for seed in [1, 2] {
        queue(&journal, seed).await;
    }
    // As if the newest block had a much higher number.
    let aside = task_journal.set_outdated_aside(40, 7, "too old").await.unwrap();
    assert_eq!(aside.len(), 2);
    assert_eq!(task_journal.take_back(30, 8, "in time").await.unwrap(), []);
    let second = RecordId([2; 16]);
    assert_eq!(task_journal.take_back(20, 8, "in time").await.unwrap(), [second]);
    let queued = task_journal.queue(10, 9).await.unwrap();
    assert_eq!(queued.iter().map(|visit| visit.record_id).collect::<Vec<_>>(), [second]);
    assert_eq!(stage(&journal, 1).await, VisitStage::Outdated);
}

#[tokio::test]
async fn outdated_visits_can_be_held_back_instead_and_the_age_of_a_batch_is_known() {
    let (journal, task_journal) = task_journal().await;
    for seed in [2, 1, 3] {
        queue(&journal, seed).await;
    }
    let rows = task_journal.outdated(30, 7).await.unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        task_journal.hold(row, 7, |_| 100, "the clocks differ").await.unwrap();
    }
    assert_eq!(task_journal.outdated(30, 8).await.unwrap(), Vec::<i64>::new());
    assert_eq!(task_journal.outdated(30, 200).await.unwrap().len(), 2);
    assert_eq!(task_journal.queue(10, 8).await.unwrap().len(), 1);
    // The clock was ahead, and is set back: no visit is held back for longer than an hour.
    let rows = task_journal.outdated(30, 200).await.unwrap();
    for row in rows {
        task_journal.hold(row, 3 * 3_600_000, |_| 100, "the clocks differ").await.unwrap();
    }
    assert_eq!(task_journal.outdated(30, 8).await.unwrap().len(), 2);
    let batch = pack(&task_journal, 200).await;
    assert_eq!(task_journal.first_signed(batch).await.unwrap(), Some(10));
    assert_eq!(task_journal.first_signed(batch + 1).await.unwrap(), None);
}

#[tokio::test]
async fn a_visit_that_is_set_aside_stays_so() {
    let (journal, task_journal) = task_journal().await;
    queue(&journal, 1).await;
    let record = RecordId([1; 16]);
    let set =
        |record, now, reason| task_journal.set_aside(record, visits::Aside::Repeated, now, reason);
    assert!(set(record, 5, "repeated").await.unwrap());
    assert!(!set(record, 6, "again").await.unwrap());
    assert!(!set(RecordId([9; 16]), 6, "unknown").await.unwrap());
    // Not even if the chain is younger than it seemed.
    assert_eq!(task_journal.take_back(0, 7, "in time").await.unwrap(), []);
    let visit = journal.visit(record).await.unwrap().unwrap();
    assert_eq!((visit.since, visit.last_failure.as_deref()), (5, Some("repeated")));
    assert_eq!(task_journal.queue(10, 500_000).await.unwrap(), []);
}

#[tokio::test]
async fn only_a_visit_that_failed_alone_is_held_back() {
    let (journal, task_journal) = task_journal().await;
    queue(&journal, 1).await;
    let id = pack(&task_journal, 0).await;
    task_journal.failed(id, "no".into(), 100, Some(hold)).await.unwrap();
    queue(&journal, 2).await;
    let rows = |queue: Vec<crate::journal::QueuedVisit>| {
        queue.iter().map(|visit| visit.record_id.0[0]).collect::<Vec<_>>()
    };
    assert_eq!(rows(task_journal.queue(10, 1_099).await.unwrap()), [2]);
    assert_eq!(rows(task_journal.queue(1, 1_099).await.unwrap()), [2]);
    assert_eq!(rows(task_journal.queue(10, 1_100).await.unwrap()), [1, 2]);
    // The clock was set back meanwhile.
    let hour = 3_600_000;
    let mut held = task_journal.queue(10, 0).await.unwrap();
    assert_eq!(rows(held), [2]);
    task_journal.hold(1, 2 * hour, hold, "damaged").await.unwrap();
    let visit = journal.visit(RecordId([1; 16])).await.unwrap().unwrap();
    assert_eq!(visit.last_failure.as_deref(), Some("damaged"));
    held = task_journal.queue(10, 2 * hour).await.unwrap();
    assert_eq!(rows(held), [2]);
    assert_eq!(rows(task_journal.queue(10, 500_000).await.unwrap()), [1, 2]);
}

#[tokio::test]
async fn a_transaction_with_unknown_outcome_is_remembered() {
    let (journal, task_journal) = task_journal().await;
    queue(&journal, 1).await;
    let id = pack(&task_journal, 0).await;
    task_journal.set_sent(id, Some(80)).await.unwrap();
    assert_eq!(task_journal.batches().await.unwrap()[0].sent_until, Some(80));
    task_journal.set_sent(id, None).await.unwrap();
    assert_eq!(task_journal.batches().await.unwrap()[0].sent_until, None);
}

#[tokio::test]
async fn segments_of_open_ballots_are_not_due_yet() {
    let (journal, task_journal) = task_journal().await;
    let other = AnnouncementId(10);
    journal.reference(Owner::Announcement(ID), &[segment(1), segment(2)]).await.unwrap();
    journal.reference(Owner::Announcement(other), &[segment(2)]).await.unwrap();
    queue(&journal, 3).await;
    let due = async |seed: u8, open: &[AnnouncementId]| {
        task_journal.is_due([seed; 32], open.into()).await.unwrap()
    };
    assert!(!due(1, &[ID]).await);
    assert!(due(1, &[other]).await);
    assert!(due(2, &[ID]).await);
    assert!(!due(2, &[ID, other]).await);
    assert!(due(3, &[ID, other]).await);
}

#[tokio::test]
async fn every_committed_block_is_looked_at_again_and_open_jobs_stay() {
    let (_, task_journal) = task_journal().await;
    task_journal.keep_again().await.unwrap();
    assert!(task_journal.keeps().await.unwrap().is_empty());
    let seen = ChainProgress { block: 9, height: 3 };
    task_journal.observe(seen, Vec::new()).await.unwrap();
    for height in [1, 3] {
        task_journal.finish(Job::Keep(height)).await.unwrap();
    }
    task_journal.start(Job::Keep(2), 7_000).await.unwrap();
    task_journal.keep_again().await.unwrap();
    assert_eq!(task_journal.keeps().await.unwrap(), HashSet::from([1, 2, 3]));
    let due = task_journal.due(JobKind::Keep, 7_000, 9).await.unwrap();
    assert_eq!(due, [(Job::Keep(1), 0), (Job::Keep(2), 1), (Job::Keep(3), 0)]);
}

#[tokio::test]
async fn blocks_that_cannot_be_fetched_are_named_after_many_attempts() {
    let (_, task_journal) = task_journal().await;
    assert_eq!(task_journal.fetching().await.unwrap(), Fetching::default());
    let seen = ChainProgress { block: 9, height: 2 };
    task_journal.observe(seen, vec![ID]).await.unwrap();
    for _ in 0..PERSISTENT {
        task_journal.start(Job::Ballot(ID), 1_000).await.unwrap();
        assert!(task_journal.fetching().await.unwrap().persistent.is_empty());
        task_journal.start(Job::Keep(2), 1_000).await.unwrap();
    }
    let fetching = task_journal.fetching().await.unwrap();
    assert_eq!(fetching, Fetching { blocks: 2, persistent: vec![2] });
}
