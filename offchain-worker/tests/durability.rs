//! Losses that an operator has to live with: damaged and deleted segments, a worker's whole disk, a node
//! that comes back with an older database, a disk that is full or read-only.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use bytes::Bytes;
use epione_client::submit::{Visit, VisitBuilder};
use epione_envelope::record::SectionKind;
use epione_primitives::{RecordId, UserId, access::SectionClass, block::Segment};
use epione_worker::{
    journal::{Journal, JournalError, NewVisit},
    store::{PutError, Store, StoreError},
};
use futures::stream;
use network::{Hospital, Network, Tuning, eventually, people::People, program};
use serde_json::Value;

const FILES: u32 = 20;

fn content(seed: u32) -> Vec<u8> {
    let mut bytes = vec![0; 1_000 + seed as usize];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// A visit of many small files, each a segment of its own.
async fn visit(people: &People, hospital: &Hospital, folder: &Path, number: u32) -> Visit {
    let genesis = hospital.chain().await.genesis_hash();
    let (patient, author) = (people.patient, people.doctor.user);
    let mut visit = VisitBuilder::new(genesis, patient, hospital.id, author);
    for seed in number * FILES..(number + 1) * FILES {
        let file = folder.join(format!("{seed}.bin"));
        fs::write(&file, content(seed)).unwrap();
        visit = visit.file(SectionKind::Media, SectionClass::Private, &file);
    }
    visit.build(&people.doctor.account).await.unwrap()
}

/// Runs one of the worker's commands for a hospital.
fn command(hospital: &Hospital, name: &str) -> Output {
    let config = hospital.home().join("worker.toml");
    Command::new(program("epione-worker"))
        .args([name, "--json", "--config"])
        .arg(config)
        .output()
        .unwrap()
}

/// Its report, if it says that all is whole.
fn whole(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Damages every twentieth segment and deletes every tenth; returns how many of each.
fn spoil(hospital: &Hospital, segments: &[Segment]) -> (u64, u64) {
    let (mut damaged, mut deleted) = (0, 0);
    for (index, segment) in segments.iter().enumerate() {
        let path = hospital.stored(segment);
        match index % 20 {
            3 => {
                let mut bytes = fs::read(&path).unwrap();
                bytes[index] ^= 4;
                fs::write(&path, bytes).unwrap();
                damaged += 1;
            }
            7 | 17 => {
                fs::remove_file(&path).unwrap();
                deleted += 1;
            }
            _ => {}
        }
    }
    (damaged, deleted)
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_a_lost_disk_and_an_older_node_are_survived() {
    let mut network = Network::start(3, Tuning::default()).await;
    let folder = network.folder.path().to_owned();

    // A copy of a node's database, made early.
    let old = network.hospitals[2].home().join("old");
    let database = network.hospitals[2].home().join("node");
    network.hospitals[2].node.kill();
    copy(&database, &old);
    network.hospitals[2].node.start();

    let people = People::register(&network.hospitals[0]).await;
    let mut visits = Vec::new();
    for number in 0..3 {
        let visit = visit(&people, &network.hospitals[0], &folder, number).await;
        people.submit(&network.hospitals[0], &visit).await;
        visits.push(visit);
    }
    for visit in &visits {
        people.is_committed(&network.hospitals[0], visit.record_id()).await;
    }
    let segments = network.segments().await;
    assert_eq!(segments.len(), 3 * FILES as usize);
    for hospital in &network.hospitals {
        hospital.comes_to_hold(&segments).await;
    }

    scrubs_mend(&mut network.hospitals[0], &segments);
    network.hospitals[0].worker_is_ready().await;
    rebuild_brings_all_back(&mut network.hospitals[0], &segments);
    network.hospitals[0].worker_is_ready().await;

    // The worker knows what it had committed, and takes none of it in a second time.
    for visit in &visits {
        people.submit(&network.hospitals[0], visit).await;
        people.is_committed(&network.hospitals[0], visit.record_id()).await;
    }
    an_older_node_is_waited_for(&mut network, &old, &database).await;
    let committed = network.committed().await;
    assert_eq!(committed.len(), visits.len());
    assert!(committed.values().all(|places| places.len() == 1), "{committed:?}");
}

/// Beside the running worker, and in its place.
fn scrubs_mend(hospital: &mut Hospital, segments: &[Segment]) {
    for running in [true, false] {
        if !running {
            hospital.worker.kill();
        }
        let (damaged, deleted) = spoil(hospital, segments);
        let report = whole(&command(hospital, "scrub"));
        assert_eq!(report["segments"], segments.len(), "{report}");
        assert_eq!(report["damaged"], damaged, "{report}");
        assert_eq!(report["missing"], deleted, "{report}");
        assert_eq!(report["repaired"], damaged + deleted, "{report}");
        assert_eq!(report["unknown_to_journal"], 0, "{report}");
        assert!(segments.iter().all(|segment| hospital.holds(segment)));
    }
    hospital.worker.start();
}

fn rebuild_brings_all_back(hospital: &mut Hospital, segments: &[Segment]) {
    let refused = command(hospital, "rebuild");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("running"), "{said}");
    hospital.worker.kill();
    hospital.lose_everything();
    let report = whole(&command(hospital, "rebuild"));
    assert_eq!(report["visits_restored"], 3, "{report}");
    assert_eq!(report["scrub"]["segments"], segments.len(), "{report}");
    assert!(report["not_restored"].as_array().unwrap().len() > 1, "{report}");
    assert!(segments.iter().all(|segment| hospital.holds(segment)));
    hospital.worker.start();
}

/// A node whose database is an older copy, and that cannot catch up at first.
async fn an_older_node_is_waited_for(network: &mut Network, old: &Path, database: &Path) {
    for hospital in &mut network.hospitals {
        hospital.node.kill();
    }
    fs::remove_dir_all(database).unwrap();
    copy(old, database);
    network.hospitals[2].node.start();
    let hospital = &network.hospitals[2];
    eventually("the worker sees that its node is behind", async || {
        let behind = hospital.metric("epione_worker_node_behind_blocks").await > 0;
        (behind && hospital.get("readyz").await?.0 == 503).then_some(())
    })
    .await;
    assert_eq!(hospital.metric("epione_worker_node_connected").await, 0);
    for hospital in &mut network.hospitals[..2] {
        hospital.node.start();
    }
    for hospital in &network.hospitals {
        hospital.worker_is_ready().await;
    }
    let hospital = &network.hospitals[2];
    assert_eq!(hospital.metric("epione_worker_node_behind_blocks").await, 0);
}

/// A disk of its own for a test; only the superuser may make one.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new(kib: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={kib}k");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .output()
            .is_ok_and(|output| output.status.success());
        if !mounted {
            eprintln!("not tried: this account may not mount a disk of its own");
        }
        mounted.then_some(Self(folder))
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    fn remount(&self, how: &str) {
        let how = format!("remount,{how}");
        let done = Command::new("mount").args(["-o", &how]).arg(self.0.path()).status().unwrap();
        assert!(done.success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0.path()).status().ok();
    }
}

async fn put(store: &Store, bytes: &[u8]) -> Result<Segment, PutError<std::io::Error>> {
    let segment = Segment { hash: blake3::hash(bytes).into(), length: bytes.len() as u32 };
    let chunks: Vec<_> = bytes.chunks(65_536).map(|it| Ok(Bytes::copy_from_slice(it))).collect();
    store.put(&segment, stream::iter(chunks)).await?;
    Ok(segment)
}

#[tokio::test]
async fn a_store_on_a_full_disk_refuses_keeps_what_it_has_and_goes_on_when_there_is_room() {
    let Some(disk) = Disk::new(1_024) else { return };
    let store = Store::local(&disk.path().join("store")).unwrap();
    let kept = put(&store, &vec![1; 300_000]).await.unwrap();
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![0; 400_000]).unwrap();
    let refused = put(&store, &vec![2; 600_000]).await;
    assert!(matches!(refused, Err(PutError::Store(StoreError::Full))), "{refused:?}");
    assert_eq!(fs::read_dir(disk.path().join("store/staging")).unwrap().count(), 0);
    store.read(&kept).await.unwrap();
    fs::remove_file(&ballast).unwrap();
    put(&store, &vec![2; 600_000]).await.unwrap();
}

#[tokio::test]
async fn a_store_on_a_read_only_disk_says_so_and_still_reads() {
    let Some(disk) = Disk::new(1_024) else { return };
    let store = Store::local(&disk.path().join("store")).unwrap();
    let kept = put(&store, b"kept").await.unwrap();
    disk.remount("ro");
    let refused = put(&store, b"more").await;
    assert!(matches!(refused, Err(PutError::Store(StoreError::ReadOnly))), "{refused:?}");
    assert!(matches!(store.probe().await, Err(StoreError::ReadOnly)));
    assert!(matches!(store.delete(&kept.hash).await, Err(StoreError::ReadOnly)));
    store.read(&kept).await.unwrap();
    disk.remount("rw");
    store.probe().await.unwrap();
    put(&store, b"more").await.unwrap();
}

fn sealed(number: u8, bytes: usize) -> NewVisit {
    NewVisit {
        record_id: RecordId([number; 16]),
        patient: UserId([1; 32]),
        author: UserId([2; 32]),
        fingerprint: [number; 32],
        record: vec![number; bytes],
        segments: Vec::new(),
        queued_at: 1,
    }
}

#[tokio::test]
async fn a_journal_on_a_full_disk_acknowledges_nothing_that_it_does_not_keep() {
    let Some(disk) = Disk::new(2_048) else { return };
    let path = disk.path().join("journal.sqlite");
    let journal = Journal::open(&path).await.unwrap();
    journal.enqueue(sealed(1, 100_000), journal.begin_upload()).await.unwrap();
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![0; 1_200_000]).unwrap();
    let refused = journal.enqueue(sealed(2, 900_000), journal.begin_upload()).await;
    assert!(matches!(refused, Err(JournalError::Full)), "{refused:?}");
    assert!(journal.visit(RecordId([1; 16])).await.unwrap().is_some());
    assert!(journal.visit(RecordId([2; 16])).await.unwrap().is_none());
    fs::remove_file(&ballast).unwrap();
    journal.enqueue(sealed(2, 500_000), journal.begin_upload()).await.unwrap();
    drop(journal);
    let journal = Journal::open(&path).await.unwrap();
    for number in [1, 2] {
        assert!(journal.visit(RecordId([number; 16])).await.unwrap().is_some(), "{number}");
    }
}

#[tokio::test]
async fn a_journal_on_a_read_only_disk_says_so() {
    let Some(disk) = Disk::new(2_048) else { return };
    let path = disk.path().join("journal.sqlite");
    drop(Journal::open(&path).await.unwrap());
    disk.remount("ro");
    let refused = Journal::open(&path).await.map(drop);
    assert!(matches!(refused, Err(JournalError::ReadOnly)), "{refused:?}");
}
