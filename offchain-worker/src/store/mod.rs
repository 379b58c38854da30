//! The hospital's private cloud: segments as objects, named by the BLAKE3 hash of their bytes.
//!
//! A segment becomes visible as a whole, only after its bytes were checked against its name, and is durable when the
//! write returns. Nothing here trusts a disk: every read checks again. Layout: `segments/<hash>`, `staging/<random>`
//! for segments that are being written, `quarantine/<hash>-<time>` for damaged ones, and on S3 `owner`, which names the
//! hospital and its worker.

mod buffers;
mod claim;
mod error;
mod quarantine;
mod reserve;
mod s3;
mod traits;
mod writer;

pub use claim::{Claimant, Claimed, Mark, RENEWAL, SILENCE};
pub use error::{PutError, StoreError};
pub use reserve::{Claim, Reserve};
pub use s3::OpenError;
pub use writer::{SegmentWriter, Written};

use std::{fmt, path::Path as FsPath, sync::Arc, time::Duration};

use bytes::Bytes;
use epione_primitives::{block::Segment, limits::SEGMENT_BYTES};
use futures::{Stream, StreamExt, TryStreamExt, stream::BoxStream};
use http::Method;
use object_store::{
    GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt, local::LocalFileSystem,
    memory::InMemory, path::Path,
};
use url::Url;

use crate::config::{Config, S3Settings};
use buffers::{Buffer, Buffers};
use claim::Ownership;
use traits::Traits;

const SEGMENTS: &str = "segments";
const STAGING: &str = "staging";
const QUARANTINE: &str = "quarantine";
const OWNER: &str = "owner";
/// The object that tests whether writes work. Its name is always the same, so that no such objects accumulate.
const PROBE: &str = "probe";
/// How long a test of the storage may take.
const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// Object storage of one hospital. Clones share it.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn ObjectStore>,
    buffers: Buffers,
    traits: Arc<Traits>,
    ownership: Arc<Ownership>,
}

impl Store {
    /// The storage that a configuration names. A storage on S3 need not answer yet.
    pub fn open(config: &Config) -> Result<Self, OpenError> {
        match &config.store.s3 {
            Some(settings) => {
                let store = Self::s3(settings)?;
                store.await_claim();
                Ok(store)
            }
            None => {
                let path = config.store_path();
                Self::local(&path).map_err(|source| OpenError::Directory { path, source })
            }
        }
    }

    /// Names the storage of a configuration: the same id as long as the segments are at the same place.
    pub fn id_of(config: &Config) -> [u8; 32] {
        let path = config.store_path();
        let path = std::fs::canonicalize(&path).unwrap_or(path);
        let place = match &config.store.s3 {
            Some(S3Settings { endpoint, bucket, prefix, .. }) => {
                ["s3", endpoint.as_str(), bucket.as_str(), prefix.as_str()].join("\n").into_bytes()
            }
            None => [&b"directory\n"[..], path.as_os_str().as_encoded_bytes()].concat(),
        };
        blake3::hash(&place).into()
    }

    /// Segments as files below a directory, which is created if necessary. Partial segments of an earlier process are
    /// removed, so open the journal first: its lock keeps a second process out.
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
        // Bytes and names are flushed before a write returns.
        let directory = Some(directory.into());
        let traits = Traits { durable_writes: true, directory, ..Traits::default() };
        Ok(Self::with(Arc::new(backend), traits))
    }

    /// Segments in a bucket.
    pub fn s3(settings: &S3Settings) -> Result<Self, OpenError> {
        let (backend, traits) = s3::connect(settings)?;
        Ok(Self::with(backend, traits))
    }

    /// Segments in memory, for tests.
    pub fn in_memory() -> Self {
        Self::over(Arc::new(InMemory::new()))
    }

    /// Segments in any storage of this process that accepts an object in parts, one after another, renames objects, and
    /// has what it confirmed.
    pub fn over(backend: Arc<dyn ObjectStore>) -> Self {
        Self::with(backend, Traits { durable_writes: true, ..Traits::default() })
    }

    fn with(backend: Arc<dyn ObjectStore>, traits: Traits) -> Self {
        Self {
            backend,
            buffers: Buffers::default(),
            traits: Arc::new(traits),
            ownership: Arc::default(),
        }
    }

    /// Stores bytes from a source that should be those of `segment`, and replaces what may be stored under its name.
    /// Needs up to 2 MiB of memory, or a whole segment on S3. A failure changes nothing and leaves nothing behind. If
    /// the bytes are not those of the segment, the error is [`StoreError::Mismatch`].
    pub async fn put<S, E>(&self, segment: &Segment, source: S) -> Result<Written, PutError<E>>
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

    /// Begins a segment whose name is known only after its last byte.
    pub async fn writer(&self) -> Result<SegmentWriter, StoreError> {
        SegmentWriter::begin(self).await
    }

    /// A whole segment, at most 4 MiB, checked against its name. So its length is right, whatever an owner states. Its
    /// memory is reused when the last clone is dropped.
    pub async fn read(&self, hash: &[u8; 32]) -> Result<Bytes, StoreError> {
        let read = async {
            let found = self.backend.get(&segment_path(hash)).await?;
            let segment = segment_of(hash, found.meta.size)?;
            let buffer = self.buffers.take();
            match found.payload {
                GetResultPayload::File(file, _) => from_file(buffer, file, segment.length).await,
                GetResultPayload::Stream(stream) => from_stream(buffer, stream).await,
            }
        };
        let (buffer, found) = self.within(read).await?;
        if found == *hash { Ok(buffer.freeze()) } else { Err(StoreError::Damaged) }
    }

    /// The segment that the storage lists under a hash, by metadata alone. It proves nothing: see
    /// [`journal::verified`](crate::journal::verified).
    pub async fn find(&self, hash: &[u8; 32]) -> Result<Option<Segment>, StoreError> {
        let path = segment_path(hash);
        match self.within(async { Ok(self.backend.head(&path).await?) }).await {
            Ok(meta) => segment_of(hash, meta.size).map(Some),
            Err(StoreError::Missing) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether another machine, or another process, stores the segments, so that the way from there may fail too.
    fn is_remote(&self) -> bool {
        self.traits.shared
    }

    /// The free bytes of the disk of a directory. `None` if they are not known, as on S3.
    pub fn free_bytes(&self) -> Option<u64> {
        let directory = self.traits.directory.as_deref()?;
        match rustix::fs::statvfs(directory) {
            Ok(disk) => Some(disk.f_bavail.saturating_mul(disk.f_frsize)),
            Err(error) => {
                tracing::warn!(%error, "the free bytes of the storage could not be read");
                None
            }
        }
    }

    /// A URL at which anybody can read a segment from the storage itself, for this time in whole seconds. The reader
    /// has to check the bytes. `None` if the storage has no such URLs.
    pub async fn presigned(&self, hash: &[u8; 32], lifetime: Duration) -> Option<Url> {
        let links = self.traits.links.as_ref()?;
        if lifetime < Duration::from_secs(1) {
            return None;
        }
        match links.signed_url(Method::GET, &segment_path(hash), lifetime).await {
            Ok(url) => Some(url),
            Err(error) => {
                tracing::warn!(%error, "a link to the storage could not be created");
                None
            }
        }
    }

    /// Deletes a segment if it is stored. Only the journal's sweep knows which segments may be deleted.
    pub async fn delete(&self, hash: &[u8; 32]) -> Result<(), StoreError> {
        self.may_write()?;
        let path = segment_path(hash);
        unless_missing(self.within(async { Ok(self.backend.delete(&path).await?) }).await)
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

    /// Tests whether the storage accepts writes.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.may_write()?;
        let path = Path::from_iter([STAGING, PROBE]);
        let probe = async {
            self.backend.put(&path, Bytes::from_static(b"epione").into()).await?;
            Ok(self.backend.delete(&path).await?)
        };
        tokio::time::timeout(PROBE_LIMIT, self.within(probe))
            .await
            .unwrap_or(Err(StoreError::Unreachable(None)))
    }

    async fn put_object(&self, path: &Path, bytes: Bytes) -> Result<(), StoreError> {
        self.may_write()?;
        self.within(async { Ok(self.backend.put(path, bytes.into()).await.map(drop)?) }).await
    }

    /// An operation that exceeds the backend's deadline has failed.
    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match self.traits.deadline {
            Some(deadline) => tokio::time::timeout(deadline, work)
                .await
                .unwrap_or(Err(StoreError::Unreachable(None))),
            None => work.await,
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.backend)
    }
}

fn unless_missing(done: Result<(), StoreError>) -> Result<(), StoreError> {
    match done {
        Err(StoreError::Missing) => Ok(()),
        done => done,
    }
}

async fn from_file(
    mut buffer: Buffer,
    file: std::fs::File,
    length: u32,
) -> Result<(Buffer, [u8; 32]), StoreError> {
    blocking(move || {
        buffer.append_file(file, length)?;
        let hash = blake3::hash(buffer.as_ref()).into();
        Ok((buffer, hash))
    })
    .await
}

async fn from_stream(
    mut buffer: Buffer,
    mut stream: BoxStream<'static, object_store::Result<Bytes>>,
) -> Result<(Buffer, [u8; 32]), StoreError> {
    while let Some(chunk) = stream.try_next().await? {
        if !buffer.append(&chunk) {
            return Err(StoreError::Damaged);
        }
    }
    blocking(move || {
        let hash = blake3::hash(buffer.as_ref()).into();
        Ok((buffer, hash))
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Interrupted)?
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
    // An object that is too long or empty is listed too. Reading it reports the damage.
    Some(Segment { hash, length: u32::try_from(meta.size).unwrap_or(SEGMENT_BYTES) })
}

#[cfg(test)]
mod conformance;
#[cfg(test)]
pub(crate) mod faulty;
#[cfg(test)]
pub(crate) use s3::{proxy, server};
