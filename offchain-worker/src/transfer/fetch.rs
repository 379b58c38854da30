//! All segments of a block, from whoever has them.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use epione_primitives::{HospitalId, block::Segment};
use futures::{StreamExt, stream::BoxStream};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::{Courier, Peer, PeerFault, Roll, Roster, RosterError};
use crate::{
    metrics::Metrics,
    store::{PutError, Store, StoreError},
};

/// Why not all segments are here now.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Of those that were missing.
    #[error("{missing} of {wanted} segments could not be had from any hospital")]
    Unavailable { missing: usize, wanted: usize },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Roster(#[from] RosterError),
}

/// Brings segments into the store. One for the whole worker: its bounds hold for all blocks together.
pub struct Fetcher {
    roster: Arc<dyn Roster>,
    courier: Courier,
    store: Store,
    metrics: Metrics,
    parallel: usize,
    segment_limit: Duration,
    slots: Semaphore,
    /// One download of a segment at a time.
    flights: Mutex<HashMap<[u8; 32], Arc<tokio::sync::Mutex<()>>>>,
}

/// The hospitals asked for one block, and those that turned out not to be up to it.
struct Pass {
    roll: Roll,
    dropped: Mutex<HashSet<HospitalId>>,
}

/// Why a download has no more bytes to give.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("no hospital is left to ask for the segment")]
    Exhausted,
    #[error("the hospital broke off, and another may not continue")]
    BrokenOff,
}

enum Missed {
    Unavailable,
    Store(StoreError),
}

impl Fetcher {
    /// `parallel` segments at once; each hospital has `segment_limit` for a segment.
    pub fn new(
        roster: Arc<dyn Roster>,
        courier: Courier,
        store: Store,
        metrics: Metrics,
        parallel: usize,
        segment_limit: Duration,
    ) -> Self {
        Self {
            roster,
            courier,
            store,
            metrics,
            parallel,
            segment_limit,
            slots: Semaphore::new(parallel),
            flights: Mutex::default(),
        }
    }

    /// Fetches those segments that are not in the store, `first` being asked first. Segments that were
    /// fetched stay when others fail, so that the next attempt has less to do.
    pub async fn fetch(
        &self,
        segments: &[Segment],
        first: Option<HospitalId>,
    ) -> Result<(), FetchError> {
        let missing = self.missing(segments).await?;
        if missing.is_empty() {
            return Ok(());
        }
        let roll = self.roster.roll(first).await?;
        let pass = Pass { roll, dropped: Mutex::default() };
        let wanted = missing.len();
        let mut results = futures::stream::iter(missing)
            .map(|segment| self.fetch_one(&pass, segment))
            .buffer_unordered(self.parallel);
        let mut unavailable = 0;
        while let Some(result) = results.next().await {
            match result {
                Ok(()) => {}
                Err(Missed::Unavailable) => unavailable += 1,
                Err(Missed::Store(error)) => return Err(error.into()),
            }
        }
        if unavailable == 0 {
            return Ok(());
        }
        Err(FetchError::Unavailable { missing: unavailable, wanted })
    }

    /// Those that the store does not list, each once.
    pub async fn missing(&self, segments: &[Segment]) -> Result<Vec<Segment>, StoreError> {
        let mut known = HashSet::new();
        let mut missing = Vec::new();
        for segment in segments {
            if known.insert(segment.hash) && !self.store.contains(segment).await? {
                missing.push(*segment);
            }
        }
        Ok(missing)
    }

    async fn fetch_one(&self, pass: &Pass, segment: Segment) -> Result<(), Missed> {
        let flight = Flight::of(self, segment.hash);
        let _alone = flight.turn.lock().await;
        let _slot = self.slots.acquire().await;
        self.fetch_alone(pass, segment).await
    }

    async fn fetch_alone(&self, pass: &Pass, segment: Segment) -> Result<(), Missed> {
        if self.store.contains(&segment).await.map_err(Missed::Store)? {
            return Ok(());
        }
        let mut asked = HashSet::new();
        let mut joint = true;
        loop {
            let relay = Relay::new(self, pass, segment, &asked, joint);
            let sources = relay.sources.clone();
            match self.store.put(&segment, relay.stream()).await {
                Ok(()) => {
                    self.metrics.segments_stored.inc();
                    self.metrics.segment_bytes_stored.inc_by(u64::from(segment.length));
                    self.count("ok");
                    return Ok(());
                }
                Err(PutError::Source(Ended::Exhausted)) => return Err(Missed::Unavailable),
                // Whoever broke off was dropped, so this comes to an end.
                Err(PutError::Source(Ended::BrokenOff)) => {}
                Err(PutError::Store(StoreError::Mismatch | StoreError::Length)) => {
                    let sources = sources.take();
                    match sources.as_slice() {
                        [one] => {
                            self.note(pass, *one, &PeerFault::WrongBytes);
                            asked.insert(*one);
                        }
                        // Which of them sent wrong bytes is not known: ask each for all of it.
                        _ => joint = false,
                    }
                }
                Err(PutError::Store(error)) => return Err(Missed::Store(error)),
            }
        }
    }

    fn note(&self, pass: &Pass, hospital: HospitalId, fault: &PeerFault) {
        self.count(fault.label());
        if fault.drops() {
            tracing::warn!(hospital = hospital.0, %fault, "a hospital is not asked again for this block");
            lock(&pass.dropped).insert(hospital);
        } else {
            tracing::debug!(hospital = hospital.0, %fault, "a hospital does not have a segment for us now");
        }
    }

    fn count(&self, result: &str) {
        self.metrics.peer_fetches.with_label_values(&[result]).inc();
    }
}

/// The right to wait for one's turn to fetch a segment.
struct Flight<'a> {
    fetcher: &'a Fetcher,
    hash: [u8; 32],
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl<'a> Flight<'a> {
    fn of(fetcher: &'a Fetcher, hash: [u8; 32]) -> Self {
        let turn = Arc::clone(lock(&fetcher.flights).entry(hash).or_default());
        Self { fetcher, hash, turn }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut flights = lock(&self.fetcher.flights);
        // The list's and this one: nobody else waits.
        if Arc::strong_count(&self.turn) == 2 {
            flights.remove(&self.hash);
        }
    }
}

/// Nothing that panics is done under these locks.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hospitals whose bytes a download consists of, in the order of their first byte.
#[derive(Clone, Default)]
struct Sources(Arc<Mutex<Vec<HospitalId>>>);

impl Sources {
    fn add(&self, hospital: HospitalId) {
        let mut sources = lock(&self.0);
        if !sources.contains(&hospital) {
            sources.push(hospital);
        }
    }

    fn take(&self) -> Vec<HospitalId> {
        std::mem::take(&mut lock(&self.0))
    }
}

/// The hospital that is sending.
struct Source {
    hospital: HospitalId,
    bytes: BoxStream<'static, Result<Bytes, PeerFault>>,
    deadline: Instant,
}

/// One download that goes on from hospital to hospital.
struct Relay<'a> {
    fetcher: &'a Fetcher,
    pass: &'a Pass,
    segment: Segment,
    /// In the order of asking.
    left: VecDeque<Peer>,
    /// Whether another hospital may continue where one broke off.
    joint: bool,
    offset: u32,
    current: Option<Source>,
    sources: Sources,
}

impl<'a> Relay<'a> {
    fn new(
        fetcher: &'a Fetcher,
        pass: &'a Pass,
        segment: Segment,
        asked: &HashSet<HospitalId>,
        joint: bool,
    ) -> Self {
        let left = pass
            .roll
            .peers
            .iter()
            .filter(|peer| !asked.contains(&peer.hospital))
            .cloned()
            .collect();
        Self {
            fetcher,
            pass,
            segment,
            left,
            joint,
            offset: 0,
            current: None,
            sources: Sources::default(),
        }
    }

    fn stream(self) -> BoxStream<'a, Result<Bytes, Ended>> {
        futures::stream::unfold(Some(self), |relay| async move {
            let mut relay = relay?;
            match relay.next().await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some(relay))),
                Ok(None) => None,
                Err(ended) => Some((Err(ended), None)),
            }
        })
        .boxed()
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Ended> {
        loop {
            let Some(source) = &mut self.current else {
                self.turn_to_next().await?;
                continue;
            };
            let item = timeout_at(source.deadline, source.bytes.next())
                .await
                .unwrap_or(Some(Err(PeerFault::Stalled)));
            let hospital = source.hospital;
            match item {
                Some(Ok(chunk)) => {
                    self.offset += u32::try_from(chunk.len()).unwrap_or(u32::MAX);
                    self.sources.add(hospital);
                    return Ok(Some(chunk));
                }
                Some(Err(fault)) => {
                    self.current = None;
                    self.fetcher.note(self.pass, hospital, &fault);
                    if !self.joint && self.offset > 0 {
                        return Err(Ended::BrokenOff);
                    }
                }
                None => return Ok(None),
            }
        }
    }

    async fn turn_to_next(&mut self) -> Result<(), Ended> {
        let peer = self.left.pop_front().ok_or(Ended::Exhausted)?;
        let hospital = peer.hospital;
        if lock(&self.pass.dropped).contains(&hospital) {
            return Ok(());
        }
        let deadline = Instant::now() + self.fetcher.segment_limit;
        let genesis = self.pass.roll.genesis;
        let opening = self.fetcher.courier.open(genesis, &peer, &self.segment, self.offset);
        match timeout_at(deadline, opening).await.unwrap_or(Err(PeerFault::Stalled)) {
            Ok(bytes) => self.current = Some(Source { hospital, bytes, deadline }),
            Err(fault) => self.fetcher.note(self.pass, hospital, &fault),
        }
        Ok(())
    }
}
