//! What counts as stored after a write.

use std::io;

use futures::stream;
use object_store::{ObjectStoreExt, memory::InMemory, path::Path};

use super::*;
use crate::{
    journal::{discard_owner, quarantine},
    store::{
        PutError,
        faulty::Faulty,
        proxy::{Fault, Proxy},
        server::Server,
    },
};

const CONTENT: &[u8] = b"the bytes of a segment";

fn named(content: &[u8]) -> Segment {
    Segment { hash: blake3::hash(content).into(), length: content.len() as u32 }
}

/// Writes bytes as those of a segment.
async fn write(
    journal: &Journal,
    store: &Store,
    segment: &Segment,
    bytes: &'static [u8],
) -> Result<(), PutError<io::Error>> {
    let source = stream::iter([Ok::<_, io::Error>(Bytes::from_static(bytes))]);
    complete_write(journal, store, store.put(segment, source)).await
}

/// Changes the bytes of a segment in the storage.
async fn damage(objects: &InMemory, segment: &Segment) {
    let path = Path::from(format!("segments/{}", hex::encode(segment.hash)));
    objects.put(&path, Bytes::from_static(b"damaged").into()).await.unwrap();
}

async fn is_verified(journal: &Journal, segment: &Segment) -> bool {
    let length = journal.verified_length(segment.hash).await.unwrap();
    assert!(length.is_none_or(|length| length == segment.length), "{length:?}");
    length.is_some()
}

#[tokio::test]
async fn a_durable_write_counts_without_a_read() {
    let (journal, segment) = (Journal::in_memory().await.unwrap(), named(CONTENT));
    let (backend, _, _) = Faulty::with_room(u64::MAX);
    let store = Store::over(backend.clone());
    write(&journal, &store, &segment, CONTENT).await.unwrap();
    assert!(is_verified(&journal, &segment).await);
    assert_eq!(backend.reads(), 0);
    // The storage can take it back.
    store.delete(&segment.hash).await.unwrap();
    read_back(&journal, &store, &segment.hash).await.unwrap_err();
    assert!(!is_verified(&journal, &segment).await);
}

#[tokio::test]
async fn a_write_to_s3_counts_only_after_it_was_read_back() {
    let (server, journal) = (Server::start(), Journal::in_memory().await.unwrap());
    let proxy = Proxy::before(&server).await;
    let store = Store::s3(&proxy.settings(&server)).unwrap();
    let segment = named(CONTENT);
    write(&journal, &store, &segment, CONTENT).await.unwrap();
    assert!(is_verified(&journal, &segment).await);
    assert_eq!(proxy.requests(), 2, "a PUT and a GET");
    proxy.set(Fault::LostWrites);
    let lost = named(b"lost");
    let failed = write(&journal, &store, &lost, b"lost").await;
    assert!(matches!(failed, Err(PutError::Store(StoreError::NotKept))), "{failed:?}");
    assert!(!is_verified(&journal, &lost).await);
}

#[tokio::test]
async fn wrong_bytes_do_not_count() {
    let (journal, store) = (Journal::in_memory().await.unwrap(), Store::in_memory());
    let segment = named(CONTENT);
    let failed = write(&journal, &store, &segment, b"other bytes, same size").await;
    assert!(matches!(failed, Err(PutError::Store(StoreError::Mismatch))), "{failed:?}");
    assert!(!is_verified(&journal, &segment).await);
}

#[tokio::test]
async fn a_write_does_not_count_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let store = Store::local(&folder.path().join("store")).unwrap();
    let segment = named(CONTENT);
    let journal = Journal::open(&path).await.unwrap();
    write(&journal, &store, &segment, CONTENT).await.unwrap();
    assert!(is_verified(&journal, &segment).await);
    drop(journal);
    let journal = Journal::open(&path).await.unwrap();
    assert!(!is_verified(&journal, &segment).await);
    read_back(&journal, &store, &segment.hash).await.unwrap();
    drop(journal);
    let journal = Journal::open(&path).await.unwrap();
    assert!(is_verified(&journal, &segment).await);
}

#[tokio::test]
async fn a_write_to_another_storage_does_not_count() {
    let (journal, store) = (Journal::in_memory().await.unwrap(), Store::in_memory());
    let segment = named(CONTENT);
    write(&journal, &store, &segment, CONTENT).await.unwrap();
    journal.bind_storage([1; 32]).await.unwrap();
    assert!(!is_verified(&journal, &segment).await);
}

#[tokio::test]
async fn a_segment_that_is_deleted_before_its_write_is_noted_does_not_count() {
    let (journal, store) = (Journal::in_memory().await.unwrap(), Store::in_memory());
    let (segment, upload) = (named(CONTENT), journal.begin_upload());
    journal.reference(upload, &[segment]).await.unwrap();
    let source = stream::iter([Ok::<_, io::Error>(Bytes::from_static(CONTENT))]);
    let write = async {
        let written = store.put(&segment, source).await?;
        discard_owner(&journal, &store, upload, 1).await.unwrap();
        Ok::<_, PutError<io::Error>>(written)
    };
    let failed = complete_write(&journal, &store, write).await;
    assert!(matches!(failed, Err(PutError::Store(StoreError::NotKept))), "{failed:?}");
    assert!(!is_verified(&journal, &segment).await);
}

#[tokio::test]
async fn a_write_that_overlaps_a_deletion_is_read_back() {
    let journal = Journal::in_memory().await.unwrap();
    let (backend, _, _) = Faulty::with_room(u64::MAX);
    let store = Store::over(backend.clone());
    let (segment, upload) = (named(CONTENT), journal.begin_upload());
    journal.reference(upload, &[named(b"another")]).await.unwrap();
    let source = stream::iter([Ok::<_, io::Error>(Bytes::from_static(CONTENT))]);
    let write = async {
        discard_owner(&journal, &store, upload, 1).await.unwrap();
        store.put(&segment, source).await
    };
    complete_write(&journal, &store, write).await.unwrap();
    assert!(is_verified(&journal, &segment).await);
    assert_eq!(backend.reads(), 1);
}

#[tokio::test]
async fn a_segment_that_was_repaired_meanwhile_is_not_moved_to_the_quarantine() {
    let journal = Journal::in_memory().await.unwrap();
    let (backend, _, objects) = Faulty::with_room(u64::MAX);
    let (store, segment) = (Store::over(backend), named(CONTENT));
    write(&journal, &store, &segment, CONTENT).await.unwrap();
    damage(&objects, &segment).await;
    // Two readers find the damage. The second one goes on only after the first one's repair.
    for _ in 0..2 {
        let read = read_back(&journal, &store, &segment.hash).await;
        assert!(matches!(read, Err(StoreError::Damaged)), "{read:?}");
    }
    assert!(quarantine(&journal, &store, &segment.hash).await.unwrap());
    write(&journal, &store, &segment, CONTENT).await.unwrap();
    assert!(!quarantine(&journal, &store, &segment.hash).await.unwrap());
    assert_eq!(store.read(&segment.hash).await.unwrap(), CONTENT);
    assert!(is_verified(&journal, &segment).await);
    // A segment that is not stored is not damaged.
    store.delete(&segment.hash).await.unwrap();
    assert!(!quarantine(&journal, &store, &segment.hash).await.unwrap());
}

#[tokio::test]
async fn a_segment_that_is_moved_to_the_quarantine_does_not_count() {
    let journal = Journal::in_memory().await.unwrap();
    let (backend, _, objects) = Faulty::with_room(u64::MAX);
    let (store, segment) = (Store::over(backend), named(CONTENT));
    // Damage that no read has found yet.
    write(&journal, &store, &segment, CONTENT).await.unwrap();
    damage(&objects, &segment).await;
    assert!(quarantine(&journal, &store, &segment.hash).await.unwrap());
    assert!(!is_verified(&journal, &segment).await);
    // Or the object is moved away before its write is noted.
    let source = stream::iter([Ok::<_, io::Error>(Bytes::from_static(CONTENT))]);
    let overtaken = async {
        let written = store.put(&segment, source).await?;
        damage(&objects, &segment).await;
        assert!(quarantine(&journal, &store, &segment.hash).await.unwrap());
        Ok::<_, PutError<io::Error>>(written)
    };
    let failed = complete_write(&journal, &store, overtaken).await;
    assert!(matches!(failed, Err(PutError::Store(StoreError::NotKept))), "{failed:?}");
    assert!(!is_verified(&journal, &segment).await);
}

#[tokio::test]
async fn the_memory_of_writes_is_bounded() {
    let (journal, store) = (Journal::in_memory().await.unwrap(), Store::in_memory());
    let [earliest, later] = [1, 2].map(|seed| Segment { hash: [seed; 32], length: 9 });
    journal
        .write(move |tx| {
            for (row, segment) in [(1, earliest), (WRITES, later)] {
                tx.execute(
                    "INSERT INTO written (row, segment, length, at) VALUES (?1, ?2, ?3, 0)",
                    params![row, segment.hash, segment.length],
                )?;
            }
            Ok(())
        })
        .await
        .unwrap();
    let segment = named(CONTENT);
    write(&journal, &store, &segment, CONTENT).await.unwrap();
    assert!(!is_verified(&journal, &earliest).await);
    assert!(is_verified(&journal, &later).await && is_verified(&journal, &segment).await);
}
