//! A segment that this hospital should hold and does not, or not intact.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};

use super::{FetchError, Fetcher};
use crate::{
    journal::Journal,
    repair::{Repair, RepairError},
    store::{Store, StoreError},
};

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
        let segment = self
            .journal
            .referenced(hash)
            .await
            .map_err(|error| {
                tracing::error!(%error, "a segment cannot be repaired: the journal does not answer");
                RepairError::Unavailable
            })?
            .ok_or(RepairError::UnknownSegment)?;
        match self.store.check(&segment).await {
            // Somebody else was faster.
            Ok(_) => return Ok(()),
            Err(StoreError::Missing) => {}
            Err(StoreError::Damaged) => self.store.quarantine(&hash).await?,
            Err(error) => return Err(error.into()),
        }
        match self.fetcher.fetch(&[segment], None).await {
            Ok(()) => {
                tracing::info!(
                    bytes = segment.length,
                    "a segment was repaired from another hospital"
                );
                Ok(())
            }
            Err(FetchError::Store(error)) => Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "a segment could not be repaired now");
                Err(RepairError::Unavailable)
            }
        }
    }
}

impl Repair for PeerRepair {
    fn repair(&self, segment: [u8; 32]) -> BoxFuture<'_, Result<(), RepairError>> {
        self.restore(segment).boxed()
    }
}
