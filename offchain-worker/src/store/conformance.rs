//! What every backend must do, tested on each of them.

use bytes::Bytes;
use epione_primitives::{block::Segment, limits::SEGMENT_BYTES};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};

use super::{PutError, Store, StoreError, faulty::Faulty, segment_path, server::Server};

type Chunks = Vec<Result<Bytes, &'static str>>;

fn pattern(bytes: usize, seed: u8) -> Vec<u8> {
    (0..bytes).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed) ^ (at >> 8) as u8).collect()
}

fn segment_of(bytes: &[u8]) -> Segment {
    Segment { hash: blake3::hash(bytes).into(), length: bytes.len() as u32 }
}

fn chunks(bytes: &[u8], size: usize) -> Chunks {
    bytes.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect()
}

async fn put(
    store: &Store,
    segment: &Segment,
    source: Chunks,
) -> Result<(), PutError<&'static str>> {
    store.put(segment, stream::iter(source)).await.map(drop)
}

async fn objects(store: &Store) -> usize {
    store.backend.list(None).count().await
}

async fn stored_segments_are_read_back(store: Store) {
    for size in [1, 100, 70_000, SEGMENT_BYTES as usize] {
        let bytes = pattern(size, 1);
        let segment = segment_of(&bytes);
        assert!(store.find(&segment.hash).await.unwrap().is_none());
        assert!(matches!(store.read(&segment.hash).await, Err(StoreError::Missing)));
        put(&store, &segment, chunks(&bytes, 65_536)).await.unwrap();
        assert_eq!(store.find(&segment.hash).await.unwrap(), Some(segment));
        assert_eq!(store.read(&segment.hash).await.unwrap(), bytes);
    }
    assert_eq!(store.list().try_collect::<Vec<_>>().await.unwrap().len(), 4);
    assert_eq!(objects(&store).await, 4, "nothing remains in staging");
}

async fn a_writer_learns_the_name_at_the_end(store: Store) {
    let bytes = pattern(3 * 1024 * 1024, 2);
    let mut writer = store.writer().await.unwrap();
    for chunk in bytes.chunks(1_000_000) {
        writer.write(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    let segment = segment_of(&bytes);
    writer.finish(&segment).await.unwrap();
    assert_eq!(store.read(&segment.hash).await.unwrap(), bytes);
}

async fn wrong_bytes_are_rejected_and_leave_nothing(store: Store) {
    let bytes = pattern(100_000, 3);
    let segment = segment_of(&bytes);
    let mut flipped = bytes.clone();
    flipped[50_000] ^= 1;
    let mut longer = bytes.clone();
    longer.push(0);
    for wrong in [flipped, longer, bytes[..99_999].to_vec()] {
        let refused = put(&store, &segment, chunks(&wrong, 4_096)).await;
        assert!(matches!(refused, Err(PutError::Store(StoreError::Mismatch))), "{refused:?}");
    }
    let refused = put(&store, &segment, Vec::new()).await;
    assert!(matches!(refused, Err(PutError::Store(StoreError::Length))), "{refused:?}");
    assert!(store.find(&segment.hash).await.unwrap().is_none());
    assert_eq!(objects(&store).await, 0);
}

async fn a_source_that_fails_leaves_nothing(store: Store) {
    let bytes = pattern(100_000, 4);
    let segment = segment_of(&bytes);
    let mut source = chunks(&bytes, 40_000);
    source[2] = Err("gone");
    let failed = put(&store, &segment, source).await;
    assert!(matches!(failed, Err(PutError::Source("gone"))));
    assert_eq!(objects(&store).await, 0);
}

async fn damage_is_found_quarantined_and_repaired(store: Store) {
    let bytes = pattern(100_000, 5);
    let segment = segment_of(&bytes);
    put(&store, &segment, chunks(&bytes, 65_536)).await.unwrap();
    let mut flipped = bytes.clone();
    flipped[7] ^= 0x80;
    for damaged in [flipped, bytes[..10].to_vec(), Vec::new()] {
        let path = segment_path(&segment.hash);
        store.backend.put(&path, Bytes::from(damaged).into()).await.unwrap();
        assert!(matches!(store.read(&segment.hash).await, Err(StoreError::Damaged)));
        store.quarantine(&segment.hash).await.unwrap();
        store.quarantine(&segment.hash).await.unwrap();
        assert!(matches!(store.read(&segment.hash).await, Err(StoreError::Missing)));
        put(&store, &segment, chunks(&bytes, 65_536)).await.unwrap();
        assert_eq!(store.read(&segment.hash).await.unwrap(), bytes);
    }
}

async fn storing_again_repairs_in_place(store: Store) {
    let bytes = pattern(1_000, 6);
    let segment = segment_of(&bytes);
    let path = segment_path(&segment.hash);
    store.backend.put(&path, Bytes::from_static(b"damaged").into()).await.unwrap();
    put(&store, &segment, chunks(&bytes, 100)).await.unwrap();
    assert_eq!(store.read(&segment.hash).await.unwrap(), bytes);
}

async fn deleting_twice_succeeds(store: Store) {
    let bytes = pattern(1_000, 7);
    let segment = segment_of(&bytes);
    put(&store, &segment, chunks(&bytes, 100)).await.unwrap();
    store.delete(&segment.hash).await.unwrap();
    store.delete(&segment.hash).await.unwrap();
    assert!(matches!(store.read(&segment.hash).await, Err(StoreError::Missing)));
}

async fn empty_and_too_long_segments_are_rejected(store: Store) {
    let mut writer = store.writer().await.unwrap();
    writer.write(Bytes::from(vec![0; SEGMENT_BYTES as usize])).await.unwrap();
    assert!(matches!(writer.write(Bytes::from_static(b"x")).await, Err(StoreError::Length)));
    writer.abort().await;
    let empty = store.writer().await.unwrap();
    assert!(matches!(empty.finish(&segment_of(&[])).await, Err(StoreError::Length)));
    assert_eq!(objects(&store).await, 0);
}

async fn a_probe_leaves_nothing(store: Store) {
    store.probe().await.unwrap();
    assert_eq!(objects(&store).await, 0);
}

macro_rules! conformance {
    ($($behaviour:ident),* $(,)?) => {
        mod local {
            $(#[tokio::test]
            async fn $behaviour() {
                let directory = tempfile::tempdir().unwrap();
                super::$behaviour(super::Store::local(directory.path()).unwrap()).await;
            })*
        }
        mod memory {
            $(#[tokio::test]
            async fn $behaviour() {
                super::$behaviour(super::Store::in_memory()).await;
            })*
        }
        mod s3 {
            $(#[tokio::test]
            async fn $behaviour() {
                let server = crate::store::server::Server::start();
                super::$behaviour(server.store()).await;
            })*
        }
    };
}

conformance! {
    stored_segments_are_read_back,
    a_writer_learns_the_name_at_the_end,
    wrong_bytes_are_rejected_and_leave_nothing,
    a_source_that_fails_leaves_nothing,
    damage_is_found_quarantined_and_repaired,
    storing_again_repairs_in_place,
    deleting_twice_succeeds,
    empty_and_too_long_segments_are_rejected,
    a_probe_leaves_nothing,
}

#[tokio::test]
async fn only_writes_to_this_machine_are_durable() {
    let (directory, server) = (tempfile::tempdir().unwrap(), Server::start());
    let bytes = pattern(100_000, 9);
    let segment = segment_of(&bytes);
    for (store, is_durable) in [
        (Store::local(directory.path()).unwrap(), true),
        (Store::in_memory(), true),
        (server.store(), false),
    ] {
        let written = store.put(&segment, stream::iter(chunks(&bytes, 65_536))).await.unwrap();
        assert_eq!((*written.segment(), written.is_durable()), (segment, is_durable), "{store:?}");
    }
}

#[tokio::test]
async fn a_full_storage_is_reported_and_keeps_no_partial_segment() {
    let (backend, room, inner) = Faulty::with_room(60_000);
    let store = Store::over(backend);
    let bytes = pattern(100_000, 8);
    let segment = segment_of(&bytes);
    let refused = put(&store, &segment, chunks(&bytes, 10_000)).await;
    assert!(matches!(refused, Err(PutError::Store(StoreError::Full))), "{refused:?}");
    assert_eq!(inner.list(None).count().await, 0);
    room.set(u64::MAX);
    put(&store, &segment, chunks(&bytes, 10_000)).await.unwrap();
}

#[tokio::test]
async fn opening_a_directory_removes_partial_segments() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::local(directory.path()).unwrap();
    store
        .backend
        .put(&Path::from("staging/half"), Bytes::from_static(b"half").into())
        .await
        .unwrap();
    std::fs::write(directory.path().join("staging/crashed#1"), b"half").unwrap();
    Store::local(directory.path()).unwrap();
    assert_eq!(std::fs::read_dir(directory.path().join("staging")).unwrap().count(), 0);
}
