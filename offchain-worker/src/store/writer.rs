//! Writing one segment: staged, hashed on the way, then renamed to its name.

use std::{mem, pin::pin, sync::Arc};

use bytes::Bytes;
use epione_primitives::{block::Segment, limits::SEGMENT_BYTES};
use futures::{Stream, StreamExt};
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, path::Path};

use super::{PutError, STAGING, StoreError, segment_path};

/// Bytes of a part: what S3 asks of all but the last.
const PART_BYTES: usize = 5 * 1024 * 1024;

/// A segment that is being written. Dropped, it leaves nothing visible; [`abort`](Self::abort) also
/// cleans up at once.
#[derive(Debug)]
pub struct SegmentWriter {
    backend: Arc<dyn ObjectStore>,
    path: Path,
    upload: Box<dyn MultipartUpload>,
    part: Vec<Bytes>,
    part_bytes: usize,
    hasher: blake3::Hasher,
    length: u32,
}

impl SegmentWriter {
    pub(super) async fn begin(backend: Arc<dyn ObjectStore>) -> Result<Self, StoreError> {
        let path = staging_path()?;
        let upload = backend.put_multipart(&path).await?;
        Ok(Self {
            backend,
            path,
            upload,
            part: Vec::new(),
            part_bytes: 0,
            hasher: blake3::Hasher::new(),
            length: 0,
        })
    }

    /// Appends bytes; gives [`StoreError::Length`] beyond what a segment may hold.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        let length = u32::try_from(bytes.len())
            .ok()
            .and_then(|more| self.length.checked_add(more))
            .filter(|length| *length <= SEGMENT_BYTES)
            .ok_or(StoreError::Length)?;
        self.length = length;
        self.hasher.update(&bytes);
        self.part_bytes += bytes.len();
        self.part.push(bytes);
        if self.part_bytes >= PART_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Makes the segment visible and durable, if what was written is `segment`.
    pub async fn finish(mut self, segment: &Segment) -> Result<(), StoreError> {
        let written = Segment { hash: self.hasher.finalize().into(), length: self.length };
        let published = if !written.has_valid_length() {
            Err(StoreError::Length)
        } else if written != *segment {
            Err(StoreError::Mismatch)
        } else {
            self.publish(segment).await
        };
        if published.is_err() {
            self.abort().await;
        }
        published
    }

    /// Gives the segment up. What cannot be cleaned up now goes when the store is next opened.
    pub async fn abort(mut self) {
        let aborted = self.upload.abort().await;
        let deleted = self.backend.delete(&self.path).await;
        if let (Err(error), Err(_)) = (aborted, deleted) {
            tracing::debug!(%error, "a staged segment was not cleaned up");
        }
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

    async fn flush(&mut self) -> Result<(), StoreError> {
        self.part_bytes = 0;
        let part: PutPayload = mem::take(&mut self.part).into_iter().collect();
        Ok(self.upload.put_part(part).await?)
    }

    async fn publish(&mut self, segment: &Segment) -> Result<(), StoreError> {
        if self.part_bytes > 0 {
            self.flush().await?;
        }
        self.upload.complete().await?;
        Ok(self.backend.rename(&self.path, &segment_path(&segment.hash)).await?)
    }
}

pub(super) fn staging_path() -> Result<Path, StoreError> {
    let mut name = [0; 16];
    getrandom::fill(&mut name)
        .map_err(|error| StoreError::Backend(std::io::Error::from(error).into()))?;
    Ok(Path::from_iter([STAGING, &hex::encode(name)]))
}
