//! Which segments are stored here, remembered so that not every question of another hospital reaches the storage: while
//! a block spreads, all hospitals ask each other several times a second, and remote storage charges for every request.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt, TryStreamExt};
use tokio::time::{Instant, timeout};

use crate::store::{Store, StoreError};

/// How long it is remembered that a segment is here. If it is deleted or found damaged meanwhile, a request for it
/// fails.
const HERE: Duration = Duration::from_secs(30);
/// How long it is remembered that a segment is not here, unless it arrives.
const AWAY: Duration = Duration::from_secs(1);
/// Segments remembered.
const REMEMBERED: usize = 16_384;
/// Lookups in the storage at once, for one question.
const LOOKS: usize = 16;

/// Whether a segment is here, and when that was found out, by hash.
type Known = HashMap<[u8; 32], (bool, Instant)>;

/// Remembers which segments are stored. Clones share the memory.
#[derive(Clone)]
pub struct Holdings {
    store: Store,
    known: Arc<Mutex<Known>>,
}

impl Holdings {
    pub fn new(store: Store) -> Self {
        Self { store, known: Arc::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a segment was verified and stored.
    pub fn arrived(&self, hash: &[u8; 32]) {
        self.remember(hash, true, Instant::now());
    }

    /// Which of these segments are stored, in their order. Stored segments were verified when they arrived.
    pub async fn held(&self, hashes: &[[u8; 32]]) -> Result<Vec<bool>, StoreError> {
        self.held_at(hashes, Instant::now()).await
    }

    /// The same, as far as the storage answers within a time limit; none for the others.
    pub async fn held_within(&self, hashes: &[[u8; 32]], limit: Duration) -> Vec<Option<bool>> {
        let now = Instant::now();
        let mut held = vec![None; hashes.len()];
        let mut answers = futures::stream::iter(hashes.iter().copied().enumerate())
            .map(|(index, hash)| async move { (index, self.holds(hash, now).await) })
            .buffer_unordered(LOOKS);
        let all = async {
            while let Some((index, answer)) = answers.next().await {
                held[index] = answer.ok();
            }
        };
        timeout(limit, all).await.ok();
        held
    }

    async fn held_at(&self, hashes: &[[u8; 32]], now: Instant) -> Result<Vec<bool>, StoreError> {
        futures::stream::iter(hashes.iter().copied())
            .map(|hash| self.holds(hash, now))
            .buffered(LOOKS)
            .try_collect()
            .await
    }

    async fn holds(&self, hash: [u8; 32], now: Instant) -> Result<bool, StoreError> {
        if let Some(held) = self.recall(&hash, now) {
            return Ok(held);
        }
        let held = match self.store.find(&hash).await {
            Ok(found) => found.is_some(),
            Err(StoreError::Damaged) => false,
            Err(error) => return Err(error),
        };
        // It may have arrived during the lookup.
        Ok(self.recall(&hash, now).filter(|held| *held).unwrap_or_else(|| {
            self.remember(&hash, held, now);
            held
        }))
    }

    fn recall(&self, hash: &[u8; 32], now: Instant) -> Option<bool> {
        let (held, since) = *self.known().get(hash)?;
        is_fresh(held, since, now).then_some(held)
    }

    fn remember(&self, hash: &[u8; 32], held: bool, now: Instant) {
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            known.retain(|_, (held, since)| is_fresh(*held, *since, now));
            if known.len() >= REMEMBERED {
                known.clear();
            }
        }
        known.insert(*hash, (held, now));
    }
}

fn is_fresh(held: bool, since: Instant, now: Instant) -> bool {
    now < since + if held { HERE } else { AWAY }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use epione_primitives::block::Segment;
    use futures::stream;

    use super::*;

    async fn put(store: &Store, bytes: &'static [u8]) -> [u8; 32] {
        let segment = Segment { hash: blake3::hash(bytes).into(), length: bytes.len() as u32 };
        let source = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(bytes))]);
        store.put(&segment, source).await.unwrap();
        segment.hash
    }

    #[tokio::test]
    async fn answers_are_in_the_order_of_the_question() {
        let store = Store::in_memory();
        let (first, second) = (put(&store, b"a").await, put(&store, b"b").await);
        let holdings = Holdings::new(store);
        let held = holdings.held(&[second, [0; 32], first]).await.unwrap();
        assert_eq!(held, [true, false, true]);
    }

    #[tokio::test]
    async fn what_a_storage_says_in_time_is_kept() {
        let store = Store::in_memory();
        let here = put(&store, b"here").await;
        let holdings = Holdings::new(store);
        holdings.arrived(&[7; 32]);
        let hashes = [here, [0; 32], [7; 32]];
        let answers = holdings.held_within(&hashes, Duration::from_secs(60)).await;
        assert_eq!(answers, [Some(true), Some(false), Some(true)]);
        assert!(holdings.held_within(&[], Duration::ZERO).await.is_empty());
    }

    #[tokio::test]
    async fn an_arrived_segment_is_known_at_once() {
        let store = Store::in_memory();
        let holdings = Holdings::new(store.clone());
        let hash = blake3::hash(b"late").into();
        assert_eq!(holdings.held(&[hash]).await.unwrap(), [false]);
        put(&store, b"late").await;
        holdings.arrived(&hash);
        assert_eq!(holdings.held(&[hash]).await.unwrap(), [true]);
    }

    #[tokio::test]
    async fn other_changes_of_the_storage_are_noticed_after_a_while() {
        let store = Store::in_memory();
        let gone = put(&store, b"gone").await;
        let holdings = Holdings::new(store.clone());
        let come = blake3::hash(b"come").into();
        let now = Instant::now();
        assert_eq!(holdings.held_at(&[gone, come], now).await.unwrap(), [true, false]);
        store.delete(&gone).await.unwrap();
        put(&store, b"come").await;
        assert_eq!(holdings.held_at(&[gone, come], now + AWAY).await.unwrap(), [true, true]);
        assert_eq!(holdings.held_at(&[gone, come], now + HERE).await.unwrap(), [false, true]);
    }

    #[tokio::test]
    async fn the_memory_is_bounded() {
        let holdings = Holdings::new(Store::in_memory());
        for index in 0..(REMEMBERED as u64 + 10) {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&index.to_le_bytes());
            holdings.arrived(&hash);
        }
        assert!(holdings.known().len() <= REMEMBERED);
    }
}
