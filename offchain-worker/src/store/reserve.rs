//! The last bytes of a disk, which only this hospital's own visits may use. Segments of other hospitals that no
//! committed block needs are not fetched into them, so a hospital that announces or offers much does not keep the
//! others from accepting visits.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tokio::task::spawn_blocking;

use super::Store;

/// The reserve of one disk. Clones share it.
#[derive(Clone)]
pub struct Reserve {
    inner: Arc<Inner>,
}

struct Inner {
    /// The free bytes of the disk now, if they are known.
    free: Box<dyn Fn() -> Option<u64> + Send + Sync>,
    kept: u64,
    /// Bytes that were permitted, and may not all be on the disk yet.
    claimed: Mutex<u64>,
}

/// Bytes that may be fetched. Those that are not on the disk yet count until it is dropped.
pub struct Claim {
    inner: Arc<Inner>,
    left: AtomicU64,
}

impl Inner {
    fn claimed(&self) -> MutexGuard<'_, u64> {
        // No code under this lock panics.
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reserve {
    /// The last `kept` bytes of the disk of a storage. If the storage does not know its free bytes, as on S3, nothing
    /// is kept.
    pub fn new(store: &Store, kept: u64) -> Self {
        let store = store.clone();
        Self::of(move || store.free_bytes(), kept)
    }

    pub(crate) fn of(free: impl Fn() -> Option<u64> + Send + Sync + 'static, kept: u64) -> Self {
        let inner = Inner { free: Box::new(free), kept, claimed: Mutex::new(0) };
        Self { inner: Arc::new(inner) }
    }

    /// Permits to fetch so many bytes, unless they would leave less than the reserve.
    pub async fn claim(&self, bytes: u64) -> Option<Claim> {
        let free = if bytes > 0 { self.free().await? } else { None };
        let mut claimed = self.inner.claimed();
        let all = claimed.saturating_add(bytes);
        if free.is_some_and(|free| all.saturating_add(self.inner.kept) > free) {
            return None;
        }
        *claimed = all;
        drop(claimed);
        Some(Claim { inner: Arc::clone(&self.inner), left: bytes.into() })
    }

    /// The free bytes of the disk, if they are known. None if the worker is stopping. A disk that hangs blocks no other
    /// task meanwhile.
    async fn free(&self) -> Option<Option<u64>> {
        let inner = Arc::clone(&self.inner);
        spawn_blocking(move || (inner.free)()).await.ok()
    }
}

impl Claim {
    /// So many of the bytes are on the disk now, where they count as used.
    pub fn arrived(&self, bytes: u64) {
        let mut claimed = self.inner.claimed();
        let left = self.left.load(Ordering::Relaxed);
        let bytes = bytes.min(left);
        self.left.store(left - bytes, Ordering::Relaxed);
        *claimed = claimed.saturating_sub(bytes);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let left = *self.left.get_mut();
        let mut claimed = self.inner.claimed();
        *claimed = claimed.saturating_sub(left);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;

    #[tokio::test]
    async fn blocks_of_other_hospitals_cannot_take_the_last_bytes_of_the_disk() {
        let free = Arc::new(AtomicU64::new(150));
        let disk = Arc::clone(&free);
        let reserve = Reserve::of(move || Some(disk.load(Relaxed)), 100);
        assert!(reserve.claim(51).await.is_none());
        let first = reserve.claim(30).await.unwrap();
        // What is being fetched counts, although it is not on the disk yet.
        assert!(reserve.claim(21).await.is_none());
        let second = reserve.claim(20).await.unwrap();
        free.store(120, Relaxed);
        drop(first);
        assert!(reserve.claim(1).await.is_none());
        drop(second);
        assert!(reserve.claim(20).await.is_some());
        // A block whose segments are all here needs nothing.
        free.store(0, Relaxed);
        assert!(reserve.claim(0).await.is_some());
    }

    #[tokio::test]
    async fn bytes_that_have_arrived_are_not_counted_twice() {
        let free = Arc::new(AtomicU64::new(150));
        let disk = Arc::clone(&free);
        let reserve = Reserve::of(move || Some(disk.load(Relaxed)), 100);
        let claim = reserve.claim(40).await.unwrap();
        assert!(reserve.claim(11).await.is_none());
        free.store(120, Relaxed);
        claim.arrived(30);
        let second = reserve.claim(10).await.unwrap();
        assert!(reserve.claim(1).await.is_none());
        // More than was claimed is not given back.
        claim.arrived(30);
        drop((claim, second));
        assert!(reserve.claim(20).await.is_some());
        assert!(reserve.claim(21).await.is_none());
    }

    #[tokio::test]
    async fn a_storage_that_does_not_know_its_free_bytes_has_no_reserve() {
        let reserve = Reserve::new(&Store::in_memory(), u64::MAX);
        assert!(reserve.claim(u64::MAX).await.is_some());
    }
}
