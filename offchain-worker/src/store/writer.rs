//! Writes one segment. A staged segment is written in parts, hashed meanwhile, and then renamed to its name. A whole
//! one is collected in memory and stored by one request.

use std::{pin::pin, sync::Arc};

use bytes::{Bytes, BytesMut};
use epione_primitives::{block::Segment, limits::SEGMENT_BYTES};
use futures::{Stream, StreamExt};
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, path::Path};

use super::{
    PutError, STAGING, Store, StoreError, buffers::Buffer, segment_path, traits::Publishing,
};

/// Bytes that are collected before they are written to the disk.
const PART_BYTES: usize = 1024 * 1024;

/// A segment that is being written. If it is dropped, nothing is visible; [`abort`](Self::abort) also cleans up
/// immediately.
#[derive(Debug)]
pub struct SegmentWriter {
    sink: Sink,
    is_durable: bool,
    hasher: blake3::Hasher,
    length: u32,
}

/// The proof that a writer hashed the bytes of a segment, compared them with its name, and stored them. Nothing but
/// [`SegmentWriter::finish`] makes one: a file that is found in the storage has none.
#[derive(Debug)]
pub struct Written {
    segment: Segment,
    is_durable: bool,
}

impl Written {
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Whether the storage has the bytes of every write that it confirmed, so that they need not be read back.
    pub fn is_durable(&self) -> bool {
        self.is_durable
    }
}

#[derive(Debug)]
enum Sink {
    Staged(Staged),
    Whole { store: Store, buffer: Buffer },
}

impl SegmentWriter {
    pub(super) async fn begin(store: &Store) -> Result<Self, StoreError> {
        store.may_write()?;
        let sink = match store.traits.publishing {
            Publishing::Whole => Sink::Whole { store: store.clone(), buffer: store.buffers.take() },
            Publishing::Staged => Sink::Staged(Staged::begin(Arc::clone(&store.backend)).await?),
        };
        let is_durable = store.traits.durable_writes;
        Ok(Self { sink, is_durable, hasher: blake3::Hasher::new(), length: 0 })
    }

    /// Appends bytes. The error is [`StoreError::Length`] if the segment becomes too long.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        let length = u32::try_from(bytes.len())
            .ok()
            .and_then(|more| self.length.checked_add(more))
            .filter(|length| *length <= SEGMENT_BYTES)
            .ok_or(StoreError::Length)?;
        self.length = length;
        self.hasher.update(&bytes);
        match &mut self.sink {
            Sink::Staged(staged) => staged.write(bytes).await,
            Sink::Whole { buffer, .. } => {
                buffer.append(&bytes).then_some(()).ok_or(StoreError::Length)
            }
        }
    }

    /// Makes the segment visible and durable, if the written bytes are those of `segment`.
    pub async fn finish(self, segment: &Segment) -> Result<Written, StoreError> {
        let written = Segment { hash: self.hasher.finalize().into(), length: self.length };
        let wrong = if !written.has_valid_length() {
            StoreError::Length
        } else if written != *segment {
            StoreError::Mismatch
        } else {
            self.sink.publish(segment).await?;
            return Ok(Written { segment: written, is_durable: self.is_durable });
        };
        self.sink.abort().await;
        Err(wrong)
    }

    /// Discards the segment. If it cannot be cleaned up now, this happens when the store is next opened.
    pub async fn abort(self) {
        self.sink.abort().await;
    }

    pub(super) async fn fill<S, E>(
        &mut self,
        segment: &Segment,
        source: S,
    ) -> Result<(), PutError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Send,
    {
        let mut source = pin!(source);
        while let Some(chunk) = source.next().await {
            let chunk = chunk.map_err(PutError::Source)?;
            if chunk.len() > segment.length.saturating_sub(self.length) as usize {
                return Err(PutError::Store(StoreError::Mismatch));
            }
            self.write(chunk).await.map_err(PutError::Store)?;
        }
        Ok(())
    }
}

impl Sink {
    async fn publish(self, segment: &Segment) -> Result<(), StoreError> {
        match self {
            Self::Staged(mut staged) => {
                let published = staged.publish(segment).await;
                if published.is_err() {
                    staged.abort().await;
                }
                published
            }
            Self::Whole { store, buffer } => {
                store.put_object(&segment_path(&segment.hash), buffer.freeze()).await
            }
        }
    }

    async fn abort(self) {
        if let Self::Staged(staged) = self {
            staged.abort().await;
        }
    }
}

/// The parts that were written so far, under a staging name.
#[derive(Debug)]
struct Staged {
    backend: Arc<dyn ObjectStore>,
    path: Path,
    upload: Box<dyn MultipartUpload>,
    part: BytesMut,
}

impl Staged {
    async fn begin(backend: Arc<dyn ObjectStore>) -> Result<Self, StoreError> {
        let path = staging_path()?;
        let upload = backend.put_multipart(&path).await?;
        Ok(Self { backend, path, upload, part: BytesMut::new() })
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        if self.part.is_empty() && bytes.len() >= PART_BYTES {
            return Ok(self.upload.put_part(bytes.into()).await?);
        }
        self.part.extend_from_slice(&bytes);
        if self.part.len() >= PART_BYTES { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        let part = self.part.split().freeze();
        Ok(self.upload.put_part(part.into()).await?)
    }

    async fn publish(&mut self, segment: &Segment) -> Result<(), StoreError> {
        if !self.part.is_empty() {
            self.flush().await?;
        }
        self.upload.complete().await?;
        Ok(self.backend.rename(&self.path, &segment_path(&segment.hash)).await?)
    }

    async fn abort(mut self) {
        let aborted = self.upload.abort().await;
        let deleted = self.backend.delete(&self.path).await;
        if let (Err(error), Err(_)) = (aborted, deleted) {
            tracing::debug!(%error, "a staged segment could not be cleaned up");
        }
    }
}

fn staging_path() -> Result<Path, StoreError> {
    let mut name = [0; 16];
    getrandom::fill(&mut name)
        .map_err(|error| StoreError::Backend(std::io::Error::from(error).into()))?;
    Ok(Path::from_iter([STAGING, &hex::encode(name)]))
}
