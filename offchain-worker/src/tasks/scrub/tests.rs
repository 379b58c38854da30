//! Passes over a store on disk, with another hospital's real API on loopback to repair from. Only the chain is a fake.

use std::{
    collections::HashSet,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use epione_client::Endpoint;
use epione_primitives::{AnnouncementId, HospitalId, RecordId, UserId, block::Segment};
use futures::{FutureExt, future::BoxFuture, stream};
use tempfile::TempDir;
use tokio::sync::watch;

use super::*;
use crate::{
    api::tests::{fake, world::World},
    journal::{Journal, NewVisit, Owner, sweep, visits},
    metrics::Metrics,
    store::{
        Store,
        proxy::{Fault, Proxy},
        server::Server,
    },
    tasks::task_journal::TaskJournal,
    transfer::{
        Courier, FetchBounds, Fetcher, Holdings, Peer, PeerRepair, Roll, Roster, RosterError,
        Rules, Timings,
    },
};

const HOUR: u64 = 3_600_000;

/// The state of the chain in a test.
#[derive(Default)]
struct Facts {
    blocks: Vec<Needed>,
    open: Vec<AnnouncementId>,
    failed: HashSet<AnnouncementId>,
}

#[derive(Default)]
struct FakeBlocks(Mutex<Facts>);

impl Blocks for FakeBlocks {
    fn height(&self) -> Result<u32, TaskError> {
        Ok(self.0.lock().unwrap().blocks.len() as u32)
    }

    fn open(&self) -> Arc<[AnnouncementId]> {
        self.0.lock().unwrap().open.clone().into()
    }

    fn block(&self, height: u32) -> BoxFuture<'_, Result<Option<Needed>, TaskError>> {
        let block = self.0.lock().unwrap().blocks[height as usize - 1].clone();
        async { Ok(Some(block)) }.boxed()
    }

    fn has_failed(&self, id: AnnouncementId) -> BoxFuture<'_, Result<bool, TaskError>> {
        let failed = self.0.lock().unwrap().failed.contains(&id);
        async move { Ok(failed) }.boxed()
    }
}

struct OtherHospitals(Vec<Peer>);

impl Roster for OtherHospitals {
    fn roll(&self, _: Option<HospitalId>) -> BoxFuture<'_, Result<Roll, RosterError>> {
        let roll =
            Roll { genesis: fake::genesis(), own: Some(fake::ELSEWHERE), peers: self.0.clone() };
        async { Ok(roll) }.boxed()
    }
}

/// A hospital's store and journal, and another hospital to repair from.
struct Site {
    folder: TempDir,
    store: Store,
    journal: Journal,
    blocks: Arc<FakeBlocks>,
    scrubber: Scrubber,
    other: World,
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::local(folder.path()).unwrap();
        Self::with(folder, store).await
    }

    async fn with(folder: TempDir, store: Store) -> Self {
        let journal = Journal::in_memory().await.unwrap();
        let task_journal = TaskJournal::open(journal.clone()).await.unwrap();
        let metrics = Metrics::new().unwrap();
        let other = World::new().await;
        let endpoint = Endpoint::new(other.base.clone(), [0; 32]).unwrap();
        let peer = Peer { hospital: fake::HOSPITAL, endpoint };
        let timings = Timings { connect: Duration::from_secs(5), stall: Duration::from_secs(5) };
        let fetcher = Arc::new(Fetcher::new(
            Arc::new(OtherHospitals(vec![peer])),
            Courier::new(other.other_agent.account(), timings),
            journal.clone(),
            store.clone(),
            Holdings::new(store.clone()),
            metrics.clone(),
            FetchBounds {
                parallel: 4,
                segment_limit: Duration::from_secs(20),
                flight_patience: Duration::from_secs(20),
                rules: Rules::default(),
            },
        ));
        let blocks = Arc::new(FakeBlocks::default());
        let scrubber = Scrubber {
            blocks: blocks.clone(),
            journal: journal.clone(),
            task_journal,
            store: store.clone(),
            repair: Arc::new(PeerRepair::new(fetcher, journal.clone(), store.clone())),
            metrics,
            parallel: 4,
            orphan_grace: 24 * HOUR,
            progress: watch::Sender::new(ScrubProgress::Idle),
        };
        Self { folder, store, journal, blocks, scrubber, other }
    }

    fn path(&self, segment: &Segment) -> PathBuf {
        self.folder.path().join("segments").join(hex::encode(segment.hash))
    }

    /// Puts a segment into the store, as if it had been stored before.
    fn hold(&self, content: &[u8]) -> Segment {
        let segment = segment(content);
        fs::write(self.path(&segment), content).unwrap();
        segment
    }

    /// A committed lite block that the journal knows.
    async fn commit(&self, id: u64, segments: &[Segment]) {
        self.commit_unknown(id, segments);
        self.journal.reference(Owner::Announcement(AnnouncementId(id)), segments).await.unwrap();
    }

    fn commit_unknown(&self, id: u64, segments: &[Segment]) {
        let announcement = AnnouncementId(id);
        let block = Needed { announcement, segments: segments.to_vec() };
        self.blocks.0.lock().unwrap().blocks.push(block);
    }

    async fn pass(&self) -> ScrubReport {
        self.scrubber.pass(None).await.unwrap()
    }
}

fn segment(content: &[u8]) -> Segment {
    Segment { hash: blake3::hash(content).into(), length: content.len() as u32 }
}

fn content(seed: u32) -> Vec<u8> {
    let mut bytes = vec![0; 300 + seed as usize % 700];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

async fn give(world: &World, content: &[u8]) {
    put(&world.store, content).await;
}

async fn put(store: &Store, content: &[u8]) -> Segment {
    let segment = segment(content);
    let source = stream::iter([Ok::<_, std::io::Error>(Bytes::copy_from_slice(content))]);
    store.put(&segment, source).await.unwrap();
    segment
}

/// A site whose segments are on an S3 server behind a proxy, with some segments that both hospitals have.
async fn behind_proxy(server: &Server, segments: u32) -> (Site, Proxy, Vec<Segment>) {
    let (site, proxy, held) = alone_behind_proxy(server, segments).await;
    for seed in 0..segments {
        give(&site.other, &content(seed)).await;
    }
    (site, proxy, held)
}

/// The same, but nobody else has the segments.
async fn alone_behind_proxy(server: &Server, segments: u32) -> (Site, Proxy, Vec<Segment>) {
    let proxy = Proxy::before(server).await;
    let store = Store::s3(&proxy.settings(server)).unwrap();
    let site = Site::with(tempfile::tempdir().unwrap(), store).await;
    let mut held = Vec::new();
    for seed in 0..segments {
        held.push(put(&site.store, &content(seed)).await);
    }
    site.commit(1, &held).await;
    (site, proxy, held)
}

#[tokio::test]
async fn one_archived_object_does_not_end_a_pass() {
    let server = Server::start();
    let (site, proxy, held) = behind_proxy(&server, 5).await;
    proxy.set(Fault::Archived(Some(held[2].hash)));
    let report = site.pass().await;
    assert!(report.is_whole(), "{report:?}");
    let counts = (report.segments, report.unreadable, report.repaired, report.missing);
    assert_eq!(counts, (5, 1, 1, 0), "{report:?}");
    assert_eq!(site.pass().await.unreadable, 0);
}

#[tokio::test]
async fn a_pass_goes_on_when_the_storage_cuts_every_answer() {
    let server = Server::start();
    let (site, proxy, _) = behind_proxy(&server, 2).await;
    proxy.set(Fault::CutBodies);
    let report = site.pass().await;
    // Nothing is called repaired that cannot be read back.
    let counts = (report.segments, report.unreadable, report.repaired, report.unrepaired.count);
    assert_eq!(counts, (2, 2, 0, 2), "{report:?}");
    proxy.heal();
    assert!(site.pass().await.is_whole());
}

#[tokio::test]
async fn a_storage_that_cuts_every_answer_does_not_cost_the_only_copy() {
    let server = Server::start();
    let (site, proxy, held) = alone_behind_proxy(&server, 2).await;
    proxy.set(Fault::CutBodies);
    assert_eq!(site.pass().await.unrepaired.count, 2);
    let folder = server.objects();
    for segment in &held {
        assert!(folder.join("segments").join(hex::encode(segment.hash)).exists());
    }
    proxy.heal();
    let report = site.pass().await;
    assert!(report.is_whole(), "{report:?}");
    assert_eq!((report.missing, report.damaged, report.repaired), (0, 0, 0), "{report:?}");
}

#[tokio::test]
async fn a_head_that_lies_does_not_hide_a_missing_segment() {
    let server = Server::start();
    let (site, proxy, held) = behind_proxy(&server, 2).await;
    fs::remove_file(server.objects().join("segments").join(hex::encode(held[0].hash))).unwrap();
    proxy.set(Fault::LyingHead(held[0].length));
    let report = site.pass().await;
    assert_eq!((report.missing, report.repaired), (1, 1), "{report:?}");
    site.store.read(&held[0].hash).await.unwrap();
}

#[tokio::test]
async fn a_pass_ends_when_the_storage_stands_still() {
    let server = Server::start();
    let (site, proxy, _) = behind_proxy(&server, 2).await;
    proxy.set(Fault::Stalled);
    let ended = site.scrubber.pass(None).await;
    assert!(matches!(ended, Err(TaskError::Store(_))), "{ended:?}");
}

#[tokio::test]
async fn one_pass_repairs_a_damaged_store() {
    const SEGMENTS: u32 = 1_000;
    let site = Site::new().await;
    let mut segments = Vec::new();
    for seed in 0..SEGMENTS {
        segments.push(site.hold(&content(seed)));
        give(&site.other, &content(seed)).await;
    }
    for (id, block) in (0..).zip(segments.chunks(90)) {
        site.commit(id, block).await;
    }
    for (index, segment) in segments.iter().enumerate() {
        let path = site.path(segment);
        if index % 100 == 7 {
            let mut bytes = fs::read(&path).unwrap();
            let at = index % bytes.len();
            bytes[at] ^= 1 << (index % 8);
            fs::write(&path, bytes).unwrap();
        } else if index % 20 == 3 {
            fs::remove_file(&path).unwrap();
        }
    }
    let report = site.pass().await;
    assert!(report.is_whole(), "{report:?}");
    let counts = (report.segments, report.missing, report.damaged, report.repaired);
    assert_eq!(counts, (1_000, 50, 10, 60), "{report:?}");
    assert_eq!((report.blocks, report.drift(), report.orphans.count), (12, 0, 0), "{report:?}");
    for segment in &segments {
        site.store.read(&segment.hash).await.unwrap();
    }
    assert_eq!(site.scrubber.metrics.scrub_repaired.get(), 60);
    assert!(site.scrubber.metrics.scrub_finished_at.get() > 0);
    let again = site.pass().await;
    assert_eq!((again.missing, again.damaged, again.repaired), (0, 0, 0), "{again:?}");
    assert_eq!(site.scrubber.metrics.scrub_repaired.get(), 0);
}

#[tokio::test]
async fn a_lost_segment_is_reported_until_a_hospital_has_it() {
    let site = Site::new().await;
    let lost = segment(&content(1));
    site.commit(1, &[lost, site.hold(&content(2))]).await;
    let report = site.pass().await;
    assert!(!report.is_whole());
    assert_eq!(report.unrepaired, Names { count: 1, names: vec![hex::encode(lost.hash)] });
    assert_eq!((report.segments, report.missing, report.repaired), (2, 1, 0), "{report:?}");
    assert_eq!(site.scrubber.metrics.scrub_unrepaired.get(), 1);
    give(&site.other, &content(1)).await;
    // The other hospital remembers for a second that it did not have the segment.
    let mut passes = 1;
    while !site.pass().await.is_whole() {
        passes += 1;
        assert!(passes < 1_000, "the segment is never repaired");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(site.scrubber.metrics.scrub_unrepaired.get(), 0);
}

#[tokio::test]
async fn segments_unknown_to_the_journal_are_fetched() {
    let site = Site::new().await;
    let (here, gone) = (site.hold(&content(1)), segment(&content(2)));
    give(&site.other, &content(2)).await;
    site.commit_unknown(1, &[here, gone]);
    let report = site.pass().await;
    assert!(report.is_whole(), "{report:?}");
    assert_eq!((report.unknown_to_journal, report.missing, report.repaired), (2, 1, 1));
    assert_eq!(report.orphans.count, 0, "{report:?}");
    assert_eq!(site.pass().await.drift(), 0);
}

#[tokio::test]
async fn a_failed_block_is_released_but_not_shared_segments() {
    let site = Site::new().await;
    let (own, shared) = (site.hold(&content(1)), site.hold(&content(2)));
    let (rejected, unheard_of) = (AnnouncementId(7), AnnouncementId(8));
    site.journal.reference(Owner::Announcement(rejected), &[own, shared]).await.unwrap();
    // A ballot that the node does not know, because its database is an older copy: nothing is released.
    let later = site.hold(&content(3));
    site.journal.reference(Owner::Announcement(unheard_of), &[later]).await.unwrap();
    site.commit(9, &[shared]).await;
    site.blocks.0.lock().unwrap().failed.insert(rejected);
    let report = site.pass().await;
    assert_eq!(report.held_in_vain, 1, "{report:?}");
    let now = crate::now();
    assert_eq!(sweep(&site.journal, &site.store, 1_000, now).await.unwrap(), 0);
    assert_eq!(sweep(&site.journal, &site.store, 1_000, now + 10_000).await.unwrap(), 1);
    assert!(!site.path(&own).exists());
    assert!(site.path(&shared).exists() && site.path(&later).exists());
    assert!(site.pass().await.is_whole());
}

#[tokio::test]
async fn orphans_are_deleted_after_the_grace_period() {
    let site = Site::new().await;
    let [stray, sought] = [site.hold(&content(1)), site.hold(&content(2))];
    // An upload owns its segments before they become visible.
    let upload = site.journal.begin_upload();
    let uploading = segment(&content(3));
    site.journal.reference(upload, &[uploading]).await.unwrap();
    site.hold(&content(3));
    let report = site.pass().await;
    let mut names = [hex::encode(stray.hash), hex::encode(sought.hash)];
    names.sort();
    let mut listed = report.orphans.names.clone();
    listed.sort();
    assert_eq!((report.orphans.count, listed), (2, names.to_vec()));
    // The journal knows them now.
    assert_eq!(site.pass().await.orphans.count, 0);
    site.commit(1, &[sought]).await;
    let now = crate::now();
    assert_eq!(sweep(&site.journal, &site.store, 0, now + 23 * HOUR).await.unwrap(), 0);
    assert_eq!(sweep(&site.journal, &site.store, 0, now + 25 * HOUR).await.unwrap(), 1);
    assert!(!site.path(&stray).exists());
    assert!(site.path(&sought).exists() && site.path(&uploading).exists());
}

#[tokio::test]
async fn no_orphans_are_listed_while_blocks_are_fetched() {
    let site = Site::new().await;
    site.hold(&content(1));
    let identity = crate::chain::Identity { genesis: fake::genesis(), hospital: HospitalId(0) };
    let task_journal = &site.scrubber.task_journal;
    task_journal.bind(identity).await.unwrap();
    let progress = crate::tasks::task_journal::ChainProgress { block: 5, height: 1 };
    task_journal.observe(progress, vec![]).await.unwrap();
    assert_eq!(site.pass().await.orphans.count, 0);
    task_journal.finish(crate::tasks::task_journal::Job::Keep(1)).await.unwrap();
    assert_eq!(site.pass().await.orphans.count, 1);
}

#[tokio::test]
async fn segments_on_their_way_are_not_missing() {
    let site = Site::new().await;
    let open = AnnouncementId(3);
    site.blocks.0.lock().unwrap().open.push(open);
    site.journal.reference(Owner::Announcement(open), &[segment(&content(1))]).await.unwrap();
    let upload = site.journal.begin_upload();
    site.journal.reference(upload, &[segment(&content(2))]).await.unwrap();
    let report = site.pass().await;
    assert_eq!((report.missing, report.unrepaired.count), (0, 0), "{report:?}");
    // A queued visit's segment is missing, although no other hospital can have it.
    let visit = Owner::Visit(RecordId([1; 16]));
    site.journal.reference(visit, &[segment(&content(3))]).await.unwrap();
    assert_eq!(site.pass().await.unrepaired.count, 1);
}

#[tokio::test]
async fn a_wrong_length_in_an_announcement_does_no_damage() {
    let site = Site::new().await;
    let stored = site.hold(&content(1));
    site.commit(1, &[stored]).await;
    let lie = Segment { length: stored.length + 1, ..stored };
    let open = AnnouncementId(3);
    site.blocks.0.lock().unwrap().open.push(open);
    site.journal.reference(Owner::Announcement(open), &[lie]).await.unwrap();
    let report = site.pass().await;
    assert_eq!((report.damaged, report.missing), (0, 0), "{report:?}");
    assert!(site.path(&stored).exists());
}

async fn queue(journal: &Journal, seed: u8) {
    let visit = NewVisit {
        record_id: RecordId([seed; 16]),
        patient: UserId([1; 32]),
        author: UserId([2; 32]),
        fingerprint: [seed; 32],
        command: None,
        signed_at: 10,
        record: vec![seed; 100],
        segments: Vec::new(),
        queued_at: 1_000,
    };
    journal.enqueue(visit, journal.begin_upload()).await.unwrap();
}

#[tokio::test]
async fn a_clock_that_is_ahead_or_a_node_that_is_away_releases_no_media() {
    let journal = Journal::in_memory().await.unwrap();
    let (record, outdated) = (RecordId([1; 16]), visits::Aside::Outdated);
    queue(&journal, 1).await;
    let media = segment(b"media");
    journal.reference(Owner::Visit(record), &[media]).await.unwrap();
    let set = journal.write(move |tx| visits::set_aside(tx, record, outdated, "too old", 5_000));
    assert!(set.await.unwrap());
    let late = 5_000 + 15 * 24 * HOUR;
    let owners = async || journal.claims(media.hash).await.unwrap().len();
    for head in [None, Some(5_000), Some(late - HOUR), Some(late + HOUR)] {
        release_aside(&journal, head, late).await.unwrap();
        assert_eq!(owners().await, 1, "{head:?}");
    }
    release_aside(&journal, Some(late - 6_000), late).await.unwrap();
    assert_eq!(owners().await, 0);
}

#[tokio::test]
async fn visits_that_were_set_aside_are_reported_for_a_day() {
    let metrics = Metrics::new().unwrap();
    let journal = Journal::in_memory().await.unwrap();
    for seed in [1, 2, 3] {
        queue(&journal, seed).await;
    }
    let set_aside = |seed: u8, at| {
        let record = RecordId([seed; 16]);
        let outdated = visits::Aside::Outdated;
        journal.write(move |tx| visits::set_aside(tx, record, outdated, "too old", at))
    };
    assert!(set_aside(1, 5_000).await.unwrap() && set_aside(2, 6_000).await.unwrap());
    for (now, aside) in
        [(6_000, 2), (DAY_MILLIS + 5_000, 2), (DAY_MILLIS + 5_001, 1), (DAY_MILLIS + 6_001, 0)]
    {
        count_visits(&metrics, &journal, now).await.unwrap();
        assert_eq!((metrics.queued_visits.get(), metrics.visits_set_aside.get()), (1, aside));
    }
}

#[test]
fn a_storage_that_another_worker_claimed_is_reported_as_lost() {
    let metrics = Metrics::new().unwrap();
    let reported = |probed: Result<(), StoreError>| {
        note_storage(&metrics, &probed);
        (metrics.store_writable.get(), metrics.store_lost.get())
    };
    assert_eq!(reported(Ok(())), (1, 0));
    assert_eq!(reported(Err(StoreError::Foreign { owner: "another worker".into() })), (0, 1));
    assert_eq!(reported(Err(StoreError::Full)), (0, 0));
}
