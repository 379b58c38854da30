//! The hospital's private cloud: segments as objects, under the BLAKE3 of their bytes.
//!
//! A segment becomes visible at once and whole, only after its bytes turned out to be what its name
//! says, and is durable when a write returns. Nothing here trusts what a disk gives back: reading
//! checks again. Layout: `segments/<hash>`, `staging/<random>` for what is being written,
//! `quarantine/<hash>` for what was found damaged.

mod error;
mod writer;

pub use error::{PutError, StoreError};
pub use writer::SegmentWriter;

use std::{path::Path as FsPath, sync::Arc};

use bytes::{Bytes, BytesMut};
use epione_primitives::{block::Segment, limits::SEGMENT_BYTES};
use futures::{Stream, StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    ObjectMeta, ObjectStore, ObjectStoreExt, local::LocalFileSystem, memory::InMemory, path::Path,
};

const SEGMENTS: &str = "segments";
const STAGING: &str = "staging";
const QUARANTINE: &str = "quarantine";

/// Object storage of one hospital. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    backend: Arc<dyn ObjectStore>,
}

impl Store {
    /// Segments as files below a directory, which is made if need be. What an earlier process left
    /// half written is removed: open the journal first, which keeps a second process out.
    pub fn local(directory: &FsPath) -> Result<Self, StoreError> {
        let staging = directory.join(STAGING);
        match std::fs::remove_dir_all(&staging) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        for folder in [SEGMENTS, STAGING, QUARANTINE] {
            std::fs::create_dir_all(directory.join(folder))?;
        }
        let backend = LocalFileSystem::new_with_prefix(directory)?.with_fsync(true);
        Ok(Self::over(Arc::new(backend)))
    }

    /// Segments in memory, for tests.
    pub fn in_memory() -> Self {
        Self::over(Arc::new(InMemory::new()))
    }

    /// Segments in any object storage.
    pub fn over(backend: Arc<dyn ObjectStore>) -> Self {
        Self { backend }
    }

    /// Stores bytes from anywhere that should be `segment`, in place of what may be stored under its
    /// name. Holds a few MiB. On failure nothing changes and nothing is left behind; bytes that are
    /// not the segment's give [`StoreError::Mismatch`].
    pub async fn put<S, E>(&self, segment: &Segment, source: S) -> Result<(), PutError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Send,
    {
        let mut writer = self.writer().await.map_err(PutError::Store)?;
        match writer.fill(segment, source).await {
            Ok(()) => writer.finish(segment).await.map_err(PutError::Store),
            Err(error) => {
                writer.abort().await;
                Err(error)
            }
        }
    }

    /// Begins a segment whose name is known only when its last byte comes.
    pub async fn writer(&self) -> Result<SegmentWriter, StoreError> {
        SegmentWriter::begin(Arc::clone(&self.backend)).await
    }

    /// The whole segment, at most 16 MiB, checked against its hash and length.
    pub async fn read(&self, segment: &Segment) -> Result<Bytes, StoreError> {
        if !segment.has_valid_length() {
            return Err(StoreError::Damaged);
        }
        let found = self.backend.get(&segment_path(&segment.hash)).await?;
        if found.meta.size != u64::from(segment.length) {
            return Err(StoreError::Damaged);
        }
        let mut bytes = BytesMut::with_capacity(segment.length as usize);
        let mut stream = found.into_stream();
        while let Some(chunk) = stream.try_next().await? {
            if bytes.len() + chunk.len() > segment.length as usize {
                return Err(StoreError::Damaged);
            }
            bytes.extend_from_slice(&chunk);
        }
        let (bytes, hash) = hashed(bytes.freeze()).await?;
        if bytes.len() == segment.length as usize && hash == segment.hash {
            Ok(bytes)
        } else {
            Err(StoreError::Damaged)
        }
    }

    /// The segment stored under a hash, by its metadata alone.
    pub async fn find(&self, hash: &[u8; 32]) -> Result<Option<Segment>, StoreError> {
        match self.backend.head(&segment_path(hash)).await {
            Ok(meta) => segment_of(hash, meta.size).map(Some),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether something of the segment's name and length is stored, by its metadata alone.
    pub async fn contains(&self, segment: &Segment) -> Result<bool, StoreError> {
        match self.find(&segment.hash).await {
            Ok(found) => Ok(found.as_ref() == Some(segment)),
            Err(StoreError::Damaged) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Moves a damaged segment out of sight, where somebody may look at it.
    pub async fn quarantine(&self, hash: &[u8; 32]) -> Result<(), StoreError> {
        let aside = Path::from_iter([QUARANTINE, &hex::encode(hash)]);
        match self.backend.rename(&segment_path(hash), &aside).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes a segment, if it is there. Only the journal's sweep knows what may be deleted.
    pub async fn delete(&self, hash: &[u8; 32]) -> Result<(), StoreError> {
        match self.backend.delete(&segment_path(hash)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Every stored segment, by metadata alone, in no particular order.
    pub fn list(&self) -> BoxStream<'static, Result<Segment, StoreError>> {
        self.backend
            .list(Some(&Path::from(SEGMENTS)))
            .filter_map(|found| async {
                match found {
                    Ok(meta) => listed(&meta).map(Ok),
                    Err(error) => Some(Err(error.into())),
                }
            })
            .boxed()
    }

    /// Whether the storage takes writes.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let path = writer::staging_path()?;
        self.backend.put(&path, Bytes::from_static(b"epione").into()).await?;
        Ok(self.backend.delete(&path).await?)
    }
}

fn segment_path(hash: &[u8; 32]) -> Path {
    Path::from_iter([SEGMENTS, &hex::encode(hash)])
}

fn segment_of(hash: &[u8; 32], size: u64) -> Result<Segment, StoreError> {
    u32::try_from(size)
        .ok()
        .map(|length| Segment { hash: *hash, length })
        .filter(Segment::has_valid_length)
        .ok_or(StoreError::Damaged)
}

fn listed(meta: &ObjectMeta) -> Option<Segment> {
    let mut hash = [0; 32];
    hex::decode_to_slice(meta.location.filename()?, &mut hash).ok()?;
    // What is too long or empty cannot be read as a segment either: it is listed as far as it goes.
    Some(Segment { hash, length: u32::try_from(meta.size).unwrap_or(SEGMENT_BYTES) })
}

async fn hashed(bytes: Bytes) -> Result<(Bytes, [u8; 32]), StoreError> {
    tokio::task::spawn_blocking(move || {
        let hash = blake3::hash(&bytes).into();
        (bytes, hash)
    })
    .await
    .map_err(|_| StoreError::Interrupted)
}

#[cfg(test)]
mod conformance;
#[cfg(test)]
pub(crate) mod faulty;
