//! The last bytes of a disk, which only this hospital's own visits may use. Segments of other hospitals that no
//! committed block needs are not fetched into them, so a hospital that announces or offers much does not keep the
//! others from accepting visits.

use std::sync::{Arc, Mutex, PoisonError};

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

/// Bytes that may be fetched. They count until it is dropped.
pub struct Claim {
    inner: Arc<Inner>,
    bytes: u64,
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
    pub fn claim(&self, bytes: u64) -> Option<Claim> {
        let mut claimed = self.inner.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        let all = claimed.saturating_add(bytes);
        let exceeds = |free: u64| all.saturating_add(self.inner.kept) > free;
        if bytes > 0 && (self.inner.free)().is_some_and(exceeds) {
            return None;
        }
        *claimed = all;
        Some(Claim { inner: Arc::clone(&self.inner), bytes })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claimed = self.inner.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        *claimed = claimed.saturating_sub(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;

    #[test]
    fn blocks_of_other_hospitals_cannot_take_the_last_bytes_of_the_disk() {
        let free = Arc::new(AtomicU64::new(150));
        let disk = Arc::clone(&free);
        let reserve = Reserve::of(move || Some(disk.load(Relaxed)), 100);
        assert!(reserve.claim(51).is_none());
        let first = reserve.claim(30).unwrap();
        // What is being fetched counts, although it is not on the disk yet.
        assert!(reserve.claim(21).is_none());
        let second = reserve.claim(20).unwrap();
        free.store(120, Relaxed);
        drop(first);
        assert!(reserve.claim(1).is_none());
        drop(second);
        assert!(reserve.claim(20).is_some());
        // A block whose segments are all here needs nothing.
        free.store(0, Relaxed);
        assert!(reserve.claim(0).is_some());
    }

    #[test]
    fn a_storage_that_does_not_know_its_free_bytes_has_no_reserve() {
        let reserve = Reserve::new(&Store::in_memory(), u64::MAX);
        assert!(reserve.claim(u64::MAX).is_some());
    }
}
