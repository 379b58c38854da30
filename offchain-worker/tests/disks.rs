//! Disks that are full or read-only, as the store and the journal see them.
//!
//! The disks are real: small `tmpfs` mounts. Each test runs again in a process with a separate mount namespace, so that
//! neither root permissions nor cleanup are needed.

#![allow(clippy::unwrap_used)]

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use bytes::Bytes;
use epione_primitives::{RecordId, UserId, block::Segment};
use epione_worker::{
    journal::{Journal, JournalError, NewVisit},
    store::{PutError, Reserve, Store, StoreError},
};
use futures::stream;

/// The folder in which the process with its own mount namespace may mount a disk.
const FOLDER: &str = "EPIONE_TEST_DISK";

/// A disk for one test.
struct Disk(PathBuf);

impl Disk {
    /// None in the process that waited for the one with the disk, once that one has passed.
    fn new(test: &str, kib: u32) -> Option<Self> {
        let Some(folder) = env::var_os(FOLDER) else {
            run_inside(test);
            return None;
        };
        let disk = Self(folder.into());
        disk.mount(&format!("size={kib}k"));
        Some(disk)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn mount(&self, how: &str) {
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", how, "tmpfs"])
            .arg(&self.0)
            .status()
            .unwrap();
        assert!(done.success());
    }

    fn remount(&self, how: &str) {
        self.mount(&format!("remount,{how}"));
    }
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount"]);
    command
}

/// Runs a test again, with its own mount namespace. The mounts end with the process.
fn run_inside(test: &str) {
    let probe = unshare().args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output().unwrap();
    if !probe.status.success() {
        // Written directly, because the test harness would capture it. Kernels may deny mount namespaces to users.
        let said = String::from_utf8_lossy(&probe.stderr);
        let told = format!(
            "NOT TESTED: {test}: mount namespaces are not permitted here: {}\n",
            said.trim()
        );
        std::io::stderr().write_all(told.as_bytes()).unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = unshare()
        .arg(env::current_exe().unwrap())
        .args(["--exact", test])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
}

async fn put(store: &Store, bytes: &[u8]) -> Result<Segment, PutError<std::io::Error>> {
    let segment = Segment { hash: blake3::hash(bytes).into(), length: bytes.len() as u32 };
    let chunks: Vec<_> = bytes.chunks(65_536).map(|it| Ok(Bytes::copy_from_slice(it))).collect();
    store.put(&segment, stream::iter(chunks)).await?;
    Ok(segment)
}

#[tokio::test]
async fn a_store_on_a_full_disk_rejects_writes_until_there_is_space() {
    let Some(disk) = Disk::new("a_store_on_a_full_disk_rejects_writes_until_there_is_space", 1_024)
    else {
        return;
    };
    let store = Store::local(&disk.path().join("store")).unwrap();
    let kept = put(&store, &vec![1; 300_000]).await.unwrap();
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![0; 400_000]).unwrap();
    let refused = put(&store, &vec![2; 600_000]).await;
    assert!(matches!(refused, Err(PutError::Store(StoreError::Full))), "{refused:?}");
    assert_eq!(fs::read_dir(disk.path().join("store/staging")).unwrap().count(), 0);
    store.read(&kept.hash).await.unwrap();
    fs::remove_file(&ballast).unwrap();
    put(&store, &vec![2; 600_000]).await.unwrap();
}

#[tokio::test]
async fn a_store_on_a_read_only_disk_still_reads() {
    let Some(disk) = Disk::new("a_store_on_a_read_only_disk_still_reads", 1_024) else {
        return;
    };
    let store = Store::local(&disk.path().join("store")).unwrap();
    let kept = put(&store, b"kept").await.unwrap();
    disk.remount("ro");
    let refused = put(&store, b"more").await;
    assert!(matches!(refused, Err(PutError::Store(StoreError::ReadOnly))), "{refused:?}");
    assert!(matches!(store.probe().await, Err(StoreError::ReadOnly)));
    assert!(matches!(store.delete(&kept.hash).await, Err(StoreError::ReadOnly)));
    store.read(&kept.hash).await.unwrap();
    disk.remount("rw");
    store.probe().await.unwrap();
    put(&store, b"more").await.unwrap();
}

#[tokio::test]
async fn own_visits_are_stored_where_announced_blocks_have_no_room() {
    let Some(disk) = Disk::new("own_visits_are_stored_where_announced_blocks_have_no_room", 2_048)
    else {
        return;
    };
    let store = Store::local(&disk.path().join("store")).unwrap();
    let reserve = Reserve::new(&store, 1_000_000);
    assert!(reserve.claim(1_500_000).await.is_none());
    let claim = reserve.claim(900_000).await.unwrap();
    put(&store, &vec![1; 900_000]).await.unwrap();
    drop(claim);
    assert!(reserve.claim(500_000).await.is_none());
    // A segment of an own visit asks for no claim.
    put(&store, &vec![2; 500_000]).await.unwrap();
}

fn sealed(number: u8, bytes: usize) -> NewVisit {
    NewVisit {
        record_id: RecordId([number; 16]),
        patient: UserId([1; 32]),
        author: UserId([2; 32]),
        fingerprint: [number; 32],
        command: None,
        signed_at: 1,
        record: vec![number; bytes],
        segments: Vec::new(),
        queued_at: 1,
    }
}

#[tokio::test]
async fn a_journal_on_a_full_disk_acknowledges_nothing() {
    let Some(disk) = Disk::new("a_journal_on_a_full_disk_acknowledges_nothing", 2_048) else {
        return;
    };
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
async fn a_journal_on_a_read_only_disk_is_reported() {
    let Some(disk) = Disk::new("a_journal_on_a_read_only_disk_is_reported", 2_048) else { return };
    let path = disk.path().join("journal.sqlite");
    drop(Journal::open(&path).await.unwrap());
    disk.remount("ro");
    let refused = Journal::open(&path).await.map(drop);
    assert!(matches!(refused, Err(JournalError::ReadOnly)), "{refused:?}");
}
