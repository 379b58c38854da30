//! Segments that are fetched into memory for readers who wait. Those who wait for the same one share its download.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use epione_primitives::block::Segment;
use tokio::sync::OnceCell;

type Name = ([u8; 32], u32);
type Cells = HashMap<Name, Arc<OnceCell<Bytes>>>;

/// The segments for which readers wait now. Nothing stays here when the last of them is gone.
#[derive(Default)]
pub(super) struct Shelf(Mutex<Cells>);

/// Removes a segment with its last reader, when dropped.
struct Reader<'a> {
    shelf: &'a Shelf,
    name: Name,
}

impl Shelf {
    /// A segment. The first of its readers fetches it; if that reader leaves or fails, the next one does.
    pub async fn read<E, F>(&self, segment: &Segment, fetch: impl FnOnce() -> F) -> Result<Bytes, E>
    where
        F: Future<Output = Result<Bytes, E>>,
    {
        let name = (segment.hash, segment.length);
        // Before the cell, so that it is dropped after it.
        let _reader = Reader { shelf: self, name };
        let cell = Arc::clone(self.lock().entry(name).or_default());
        cell.get_or_try_init(fetch).await.cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Cells> {
        // No code under this lock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut cells = self.shelf.lock();
        // If only the list refers to it, nobody waits for it.
        if cells.get(&self.name).is_some_and(|cell| Arc::strong_count(cell) == 1) {
            cells.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;

    use super::*;

    const SEGMENT: Segment = Segment { hash: [1; 32], length: 3 };

    #[tokio::test]
    async fn nothing_stays_when_the_last_reader_is_gone() {
        let shelf = Shelf::default();
        let bytes = shelf.read(&SEGMENT, async || Ok::<_, ()>(Bytes::from_static(b"abc"))).await;
        assert_eq!(bytes, Ok(Bytes::from_static(b"abc")));
        assert!(shelf.lock().is_empty());
        let failed = shelf.read(&SEGMENT, async || Err::<Bytes, _>("gone")).await;
        assert_eq!(failed, Err("gone"));
        assert!(shelf.lock().is_empty());
        let endless = shelf.read(&SEGMENT, std::future::pending::<Result<Bytes, ()>>);
        let left = tokio::time::timeout(std::time::Duration::from_millis(20), endless).await;
        assert!(left.is_err() && shelf.lock().is_empty());
    }

    #[tokio::test]
    async fn the_next_reader_fetches_what_the_first_could_not() {
        let shelf = Shelf::default();
        // Each pauses, so that the others come meanwhile.
        let first = shelf.read(&SEGMENT, async || {
            yield_now().await;
            Err::<Bytes, _>("gone")
        });
        let second = shelf.read(&SEGMENT, async || {
            yield_now().await;
            Ok::<_, &str>(Bytes::from_static(b"abc"))
        });
        let third = shelf.read(&SEGMENT, async || Err::<Bytes, _>("asked a third time"));
        let (first, second, third) = tokio::join!(first, second, third);
        assert_eq!(first, Err("gone"));
        assert_eq!((second.as_deref(), third.as_deref()), (Ok(&b"abc"[..]), Ok(&b"abc"[..])));
    }
}
