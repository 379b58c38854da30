//! The download of a segment, which another hospital continues if one breaks off.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use epione_primitives::{Hash, HospitalId, block::Segment};
use futures::{StreamExt, stream::BoxStream};
use tokio::time::{Instant, timeout_at};

use super::{Arrivals, Courier, Peer, PeerFault};

/// No hospital remains that can continue this download.
#[derive(Debug, thiserror::Error)]
#[error("no other hospital can continue the segment")]
pub(super) struct Exhausted;

/// How the hospitals behaved that took part in a download.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Bytes from each hospital, in the order of their first bytes.
    pub bytes: Vec<(HospitalId, u64)>,
    pub faults: Vec<(HospitalId, PeerFault)>,
}

/// The log while it is being written.
#[derive(Clone, Default)]
pub(super) struct SharedLog(Arc<Mutex<Log>>);

impl SharedLog {
    fn write(&self, act: impl FnOnce(&mut Log)) {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn received(&self, hospital: HospitalId, bytes: u64) {
        self.write(|log| match log.bytes.iter_mut().find(|(id, _)| *id == hospital) {
            Some((_, sum)) => *sum += bytes,
            None => log.bytes.push((hospital, bytes)),
        });
    }

    fn failed(&self, hospital: HospitalId, fault: PeerFault) {
        self.write(|log| log.faults.push((hospital, fault)));
    }

    pub fn take(&self) -> Log {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The hospitals that may continue a download. More may be added meanwhile. Clones share the list.
#[derive(Clone, Debug, Default)]
pub(super) struct Reserve(Arc<Mutex<VecDeque<Peer>>>);

impl Reserve {
    pub fn new(peers: impl IntoIterator<Item = Peer>) -> Self {
        Self(Arc::new(Mutex::new(peers.into_iter().collect())))
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Peer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next hospital to ask.
    pub fn next(&self) -> Option<Peer> {
        self.lock().pop_front()
    }

    /// Adds a hospital that has the segment. It is asked before those that were added earlier.
    pub fn add(&self, peer: Peer) {
        self.lock().push_front(peer);
    }

    pub fn remove(&self, hospital: HospitalId) {
        self.lock().retain(|peer| peer.hospital != hospital);
    }
}

/// The hospital that is sending.
struct SendingHospital {
    hospital: HospitalId,
    bytes: BoxStream<'static, Result<Bytes, PeerFault>>,
    deadline: Instant,
}

/// The bytes of one segment, from one hospital after another.
pub(super) struct Relay<'a> {
    courier: &'a Courier,
    genesis: Hash,
    segment: Segment,
    first: Option<Peer>,
    /// Asked only to continue.
    reserve: Reserve,
    /// For each hospital.
    limit: Duration,
    offset: u32,
    current: Option<SendingHospital>,
    log: SharedLog,
    arrived: &'a Arrivals,
}

impl<'a> Relay<'a> {
    pub fn new(
        courier: &'a Courier,
        genesis: Hash,
        segment: Segment,
        (first, reserve): (Peer, Reserve),
        limit: Duration,
        (log, arrived): (SharedLog, &'a Arrivals),
    ) -> Self {
        let (first, offset, current) = (Some(first), 0, None);
        Self { courier, genesis, segment, first, reserve, limit, offset, current, log, arrived }
    }

    pub fn stream(self) -> BoxStream<'a, Result<Bytes, Exhausted>> {
        futures::stream::unfold(Some(self), |relay| async move {
            let mut relay = relay?;
            match relay.next().await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some(relay))),
                Ok(None) => None,
                Err(exhausted) => Some((Err(exhausted), None)),
            }
        })
        .boxed()
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Exhausted> {
        loop {
            let Some(sending) = &mut self.current else {
                self.turn_to_next().await?;
                continue;
            };
            let item = timeout_at(sending.deadline, sending.bytes.next())
                .await
                .unwrap_or(Some(Err(PeerFault::Stalled)));
            let hospital = sending.hospital;
            match item {
                Some(Ok(chunk)) => {
                    self.offset += u32::try_from(chunk.len()).unwrap_or(u32::MAX);
                    self.log.received(hospital, chunk.len() as u64);
                    self.arrived.receive(chunk.len() as u64);
                    return Ok(Some(chunk));
                }
                Some(Err(fault)) => {
                    self.current = None;
                    self.fail(hospital, fault)?;
                }
                None => return Ok(None),
            }
        }
    }

    async fn turn_to_next(&mut self) -> Result<(), Exhausted> {
        let peer = self.first.take().or_else(|| self.reserve.next()).ok_or(Exhausted)?;
        let deadline = Instant::now() + self.limit;
        let opening = self.courier.open(self.genesis, &peer, &self.segment, self.offset);
        match timeout_at(deadline, opening).await.unwrap_or(Err(PeerFault::Stalled)) {
            Ok(bytes) => {
                self.current = Some(SendingHospital { hospital: peer.hospital, bytes, deadline });
                Ok(())
            }
            Err(fault) => self.fail(peer.hospital, fault),
        }
    }

    /// If nothing was received, there is nothing to continue: the plan decides which hospital to ask instead.
    fn fail(&self, hospital: HospitalId, fault: PeerFault) -> Result<(), Exhausted> {
        self.log.failed(hospital, fault);
        if self.offset == 0 { Err(Exhausted) } else { Ok(()) }
    }
}
