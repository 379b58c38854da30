//! Reading a segment to serve it, without holding it in memory: all of it is read and checked first, then
//! the parts that are wanted are read once more, and checked once more.

use std::{fs::File, io::Read, ops::Range};

use bytes::Bytes;
use epione_primitives::block::Segment;
use futures::{Stream, TryStreamExt, stream};
use object_store::{GetResultPayload, ObjectStoreExt};

use super::{Store, StoreError, blocking, segment_of, segment_path};

/// Bytes that are read at a time the second time.
const GROUP_BYTES: u32 = 1024 * 1024;
/// And the first time, from a file.
const FILE_BYTES: usize = 256 * 1024;

/// A stored segment whose bytes were those of its name.
pub struct Checked {
    store: Store,
    segment: Segment,
    /// Hashes of its groups, by which they are known again.
    groups: Vec<blake3::Hash>,
}

impl Store {
    /// Checks a stored segment against its name. Its length is that of the bytes which have this name,
    /// whatever anybody says of it.
    pub async fn check(&self, hash: &[u8; 32]) -> Result<Checked, StoreError> {
        let outlined = self.within(async {
            let found = self.backend.get(&segment_path(hash)).await?;
            let segment = segment_of(hash, found.meta.size)?;
            let mut outline = Outline::default();
            let outline = match found.payload {
                GetResultPayload::File(file, _) => {
                    let file = file.take(segment.length.into());
                    blocking(move || outline.of_file(file)).await?
                }
                GetResultPayload::Stream(mut stream) => {
                    while let Some(chunk) = stream.try_next().await? {
                        outline.update(&chunk);
                    }
                    outline
                }
            };
            Ok((segment, outline))
        });
        let (segment, outline) = outlined.await?;
        let (found, groups) = outline.finish();
        if found.as_bytes() != hash {
            return Err(StoreError::Damaged);
        }
        Ok(Checked { store: self.clone(), segment, groups })
    }
}

impl Checked {
    pub fn length(&self) -> u32 {
        self.segment.length
    }

    /// The bytes of a range within the segment, in pieces of at most a MiB, each checked. Gives
    /// [`StoreError::Damaged`] where the storage has other bytes than before.
    pub fn read(self, range: Range<u32>) -> impl Stream<Item = Result<Bytes, StoreError>> + Send {
        stream::try_unfold((self, range), |(checked, mut range)| async move {
            if range.is_empty() {
                return Ok(None);
            }
            let piece = checked.piece(&range).await?;
            range.start += piece.len() as u32;
            Ok(Some((piece, (checked, range))))
        })
    }

    /// The beginning of a range, as far as its first group goes.
    async fn piece(&self, range: &Range<u32>) -> Result<Bytes, StoreError> {
        let index = range.start / GROUP_BYTES;
        let begin = index * GROUP_BYTES;
        let end = begin.saturating_add(GROUP_BYTES).min(self.segment.length);
        let expected = *self.groups.get(index as usize).ok_or(StoreError::Length)?;
        let path = segment_path(&self.segment.hash);
        let group = self.store.within(async {
            let span = u64::from(begin)..u64::from(end);
            Ok(self.store.backend.get_range(&path, span).await?)
        });
        let group = group.await?;
        let group = blocking(move || {
            (blake3::hash(&group) == expected).then_some(group).ok_or(StoreError::Damaged)
        });
        let wanted = (range.start - begin) as usize..(range.end.min(end) - begin) as usize;
        Ok(group.await?.slice(wanted))
    }
}

/// The hash of all that was read, and of each group of it.
#[derive(Default)]
struct Outline {
    whole: blake3::Hasher,
    group: blake3::Hasher,
    /// Bytes of the last group so far.
    filled: usize,
    groups: Vec<blake3::Hash>,
}

impl Outline {
    fn update(&mut self, mut bytes: &[u8]) {
        self.whole.update(bytes);
        while !bytes.is_empty() {
            let (next, rest) = bytes.split_at(bytes.len().min(GROUP_BYTES as usize - self.filled));
            self.group.update(next);
            self.filled += next.len();
            if self.filled == GROUP_BYTES as usize {
                self.end_group();
            }
            bytes = rest;
        }
    }

    fn of_file(mut self, mut file: std::io::Take<File>) -> Result<Self, StoreError> {
        let mut buffer = vec![0; FILE_BYTES];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(self),
                read => self.update(&buffer[..read]),
            }
        }
    }

    fn end_group(&mut self) {
        self.groups.push(self.group.finalize());
        self.group.reset();
        self.filled = 0;
    }

    fn finish(mut self) -> (blake3::Hash, Vec<blake3::Hash>) {
        if self.filled > 0 {
            self.end_group();
        }
        (self.whole.finalize(), self.groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use epione_primitives::limits::SEGMENT_BYTES;

    const GROUP: usize = GROUP_BYTES as usize;

    async fn stored(bytes: usize) -> (Store, Segment, Bytes) {
        let mut content = vec![0; bytes];
        blake3::Hasher::new().finalize_xof().fill(&mut content);
        let segment = Segment { hash: blake3::hash(&content).into(), length: bytes as u32 };
        let store = Store::in_memory();
        let content = Bytes::from(content);
        let source = stream::iter([Ok::<_, std::io::Error>(content.clone())]);
        store.put(&segment, source).await.unwrap();
        (store, segment, content)
    }

    async fn collected(checked: Checked, range: Range<u32>) -> Result<BytesMut, StoreError> {
        let pieces = std::pin::pin!(checked.read(range));
        pieces
            .try_fold(BytesMut::new(), |mut all, piece| {
                assert!(piece.len() <= GROUP);
                all.extend_from_slice(&piece);
                std::future::ready(Ok(all))
            })
            .await
    }

    #[tokio::test]
    async fn any_range_is_read() {
        for bytes in [1, 1_000, GROUP, GROUP + 1, 3 * GROUP - 1, SEGMENT_BYTES as usize] {
            let (store, segment, content) = stored(bytes).await;
            let last = bytes - 1;
            for range in [0..bytes, 0..1, last..bytes, bytes / 3..bytes / 2, bytes / 2..last] {
                let checked = store.check(&segment.hash).await.unwrap();
                let read = collected(checked, range.start as u32..range.end as u32).await.unwrap();
                assert_eq!(read, content.slice(range.clone()), "{range:?} of {bytes}");
            }
        }
    }

    #[tokio::test]
    async fn what_changed_since_it_was_checked_is_not_given_out() {
        let (store, segment, content) = stored(3 * GROUP).await;
        let path = segment_path(&segment.hash);
        let mut changed = content.to_vec();
        changed[2 * GROUP] ^= 1;
        for later in [Bytes::from(changed), content.slice(..2 * GROUP + 1)] {
            store.backend.put(&path, content.clone().into()).await.unwrap();
            let whole = store.check(&segment.hash).await.unwrap();
            let first = store.check(&segment.hash).await.unwrap();
            store.backend.put(&path, later.into()).await.unwrap();
            let pieces: Vec<_> = futures::StreamExt::collect(whole.read(0..segment.length)).await;
            assert!(pieces[..2].iter().all(|piece| piece.as_ref().is_ok_and(|p| p.len() == GROUP)));
            assert!(pieces[2].is_err(), "{:?}", pieces[2]);
            let untouched = collected(first, 5..GROUP_BYTES).await.unwrap();
            assert_eq!(untouched, content.slice(5..GROUP));
        }
    }
}
