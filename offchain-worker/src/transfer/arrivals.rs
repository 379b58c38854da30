//! What has arrived of a block while it is fetched.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::store::Claim;

/// Counts what arrives of a block. Shared by its downloads.
#[derive(Default)]
pub struct Arrivals {
    bytes: AtomicU64,
    ended: AtomicU64,
    begun: AtomicBool,
    /// What the block may use of the disk.
    claim: Option<Claim>,
}

impl Arrivals {
    /// Of a block that may use these bytes of the disk.
    pub fn within(claim: Claim) -> Self {
        Self { claim: Some(claim), ..Self::default() }
    }

    /// What is missing is known: downloads begin.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    /// Bytes have arrived, of a segment that may be incomplete.
    pub(crate) fn receive(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The download of a segment has ended: it is stored, or no hospital could supply it.
    pub(crate) fn end_segment(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// A segment of so many bytes is in the store.
    pub(super) fn store(&self, bytes: u64) {
        if let Some(claim) = &self.claim {
            claim.arrived(bytes);
        }
    }

    /// Whether downloads have begun. Before, the worker checks what it has.
    pub fn have_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Bytes that have arrived, also of segments that are incomplete.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Downloads of segments that have ended.
    pub fn ended_segments(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }
}
