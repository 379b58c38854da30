//! Hospitals that may or may not have a segment.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::{FutureExt, future::BoxFuture, stream};

use crate::{
    repair::{Repair, RepairError},
    store::Store,
};

/// Another hospital's copies of segments.
pub struct FakePeers {
    pub store: Store,
    pub copies: Mutex<HashMap<[u8; 32], bytes::Bytes>>,
    /// How many times they were asked whether they have segments.
    pub asked: AtomicUsize,
}

impl FakePeers {
    fn copy(&self, segment: &[u8; 32]) -> Result<bytes::Bytes, RepairError> {
        match self.copies.lock().unwrap().get(segment) {
            Some(bytes) if bytes.is_empty() => Err(RepairError::Unavailable),
            Some(bytes) => Ok(bytes.clone()),
            None => Err(RepairError::UnknownSegment),
        }
    }
}

impl Repair for FakePeers {
    fn obtain(&self, segment: [u8; 32]) -> BoxFuture<'_, Result<bytes::Bytes, RepairError>> {
        let right = |bytes: &bytes::Bytes| blake3::hash(bytes) == segment;
        let copy = self.copy(&segment);
        let copy =
            copy.and_then(|it| if right(&it) { Ok(it) } else { Err(RepairError::Unavailable) });
        async move { copy }.boxed()
    }

    fn repair(&self, segment: [u8; 32]) -> BoxFuture<'_, Result<(), RepairError>> {
        async move {
            let bytes = self.copy(&segment)?;
            let segment =
                epione_primitives::block::Segment { hash: segment, length: bytes.len() as u32 };
            let source = stream::iter([Ok::<_, std::io::Error>(bytes)]);
            let written = self.store.put(&segment, source).await;
            written.map(drop).map_err(|_| RepairError::Unavailable)
        }
        .boxed()
    }

    fn missing_elsewhere(&self, mut segments: Vec<[u8; 32]>) -> BoxFuture<'_, Vec<[u8; 32]>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        segments.retain(|segment| self.copy(segment).is_err());
        async move { segments }.boxed()
    }
}
