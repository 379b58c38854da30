//! Repair of segments that are missing or damaged here.

use std::sync::Arc;

use bytes::Bytes;
use epione_primitives::block::Segment;
use futures::{FutureExt, future::BoxFuture};

use super::{FetchError, Fetcher};
use crate::{
    journal::{self, Journal, SweepError},
    repair::{Repair, RepairError},
    store::Store,
};

/// Stated lengths that are tried for one segment. Those of committed blocks come first, so wrong ones do no harm.
const LENGTHS: usize = 8;

/// Repairs from the other hospitals' workers.
pub struct PeerRepair {
    fetcher: Arc<Fetcher>,
    journal: Journal,
    store: Store,
}

impl PeerRepair {
    pub fn new(fetcher: Arc<Fetcher>, journal: Journal, store: Store) -> Self {
        Self { fetcher, journal, store }
    }

    async fn restore(&self, hash: [u8; 32]) -> Result<(), RepairError> {
        let lengths = self.claimed_lengths(hash).await?;
        match journal::read_back(&self.journal, &self.store, &hash).await {
            // Another repair was faster.
            Ok(_) => return Ok(()),
            Err(error) if self.store.shows_damage(&hash, &error).await => {
                // If another repair was faster, the fetch below finds the segment.
                self.quarantine(&hash).await?;
            }
            // Writing the object again replaces it.
            Err(error) if error.concerns_one_object() => {}
            // If the storage does not accept the segment either, the error is that of writing it.
            Err(error) => {
                tracing::warn!(%error, segment = hex::encode(hash), "a stored segment cannot be read");
            }
        }
        for length in lengths {
            match self.fetcher.fetch(&[Segment { hash, length }], None).await {
                Ok(()) => {
                    tracing::info!(bytes = length, "a segment was repaired from another hospital");
                    return Ok(());
                }
                // The segment has arrived meanwhile, with another length.
                Err(FetchError::Contradicted { .. }) => return Ok(()),
                Err(FetchError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(%error, length, "a segment could not be repaired now");
                }
            }
        }
        Err(RepairError::Unavailable)
    }

    async fn quarantine(&self, hash: &[u8; 32]) -> Result<(), RepairError> {
        match journal::quarantine(&self.journal, &self.store, hash).await {
            Ok(_) => Ok(()),
            Err(SweepError::Store(error)) => Err(error.into()),
            Err(SweepError::Journal(error)) => {
                tracing::error!(%error, "a segment cannot be repaired, because the journal failed");
                Err(RepairError::Unavailable)
            }
        }
    }

    async fn fetch_aside(&self, hash: [u8; 32]) -> Result<Bytes, RepairError> {
        for length in self.claimed_lengths(hash).await? {
            match self.fetcher.obtain(Segment { hash, length }).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => {
                    tracing::warn!(%error, length, "a segment could not be fetched for a reader now");
                }
            }
        }
        Err(RepairError::Unavailable)
    }

    /// The lengths that a segment's owners state, the most trustworthy first. Which one is right is not known before
    /// the bytes arrive.
    async fn claimed_lengths(&self, hash: [u8; 32]) -> Result<Vec<u32>, RepairError> {
        let claims = self.journal.claims(hash).await.map_err(|error| {
            tracing::error!(%error, "a segment cannot be repaired, because the journal failed");
            RepairError::Unavailable
        })?;
        let mut lengths = Vec::new();
        for (_, length) in claims {
            if lengths.len() < LENGTHS && !lengths.contains(&length) {
                lengths.push(length);
            }
        }
        if lengths.is_empty() { Err(RepairError::UnknownSegment) } else { Ok(lengths) }
    }
}

impl Repair for PeerRepair {
    fn repair(&self, segment: [u8; 32]) -> BoxFuture<'_, Result<(), RepairError>> {
        self.restore(segment).boxed()
    }

    fn obtain(&self, segment: [u8; 32]) -> BoxFuture<'_, Result<Bytes, RepairError>> {
        self.fetch_aside(segment).boxed()
    }

    fn missing_elsewhere(&self, segments: Vec<[u8; 32]>) -> BoxFuture<'_, Vec<[u8; 32]>> {
        async move {
            match self.fetcher.missing_elsewhere(&segments).await {
                Ok(missing) => missing,
                Err(error) => {
                    tracing::warn!(%error, "no other hospital was asked whether it has segments");
                    segments
                }
            }
        }
        .boxed()
    }
}
