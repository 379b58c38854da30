//! Fetches all segments of a block, from any hospitals that have them.

mod block;

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use epione_primitives::{Hash, HospitalId, block::Segment};
use futures::{StreamExt, TryStreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, timeout};

use super::{
    Arrivals, Courier, Holdings, Peer, Roll, Roster, RosterError,
    flights::{Flight, Flights},
    plan::{Errand, Plan, Rules},
    relay::{Exhausted, Log, Relay, SharedLog, Waits},
    shelf::Shelf,
    wire::MAX_NAMED,
};
use crate::{
    journal::{self, Journal, JournalError},
    metrics::Metrics,
    shares::{Bounds, Place, Shares},
    store::{PutError, Store, StoreError},
};
use block::BlockFetch;

/// Why not all segments could be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// `wanted` segments were missing before.
    #[error("{missing} of {wanted} segments could not be fetched from any hospital")]
    Unavailable { missing: usize, wanted: usize },
    /// The bytes with that name are stored here, so the stated length is wrong.
    #[error(
        "the length of a segment is stated as {claimed} bytes, but the segment has {found} bytes"
    )]
    Contradicted { claimed: u32, found: usize },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Roster(#[from] RosterError),
}

/// The bounds of fetching.
#[derive(Clone, Copy, Debug)]
pub struct FetchBounds {
    /// Segments at once, of all blocks together. Each may need memory for a whole segment.
    pub parallel: usize,
    /// For one segment from one hospital.
    pub segment_limit: Duration,
    /// How long a block waits for another block's download of the same segment, before it may download it itself.
    pub flight_patience: Duration,
    pub rules: Rules,
}

/// The right to download a segment.
type Slot = Place<Option<HospitalId>>;

/// Slots, of which one key gets `each`. The number of tasks bounds how many wait.
fn slots(parallel: usize, each: usize) -> Arc<Shares<Option<HospitalId>>> {
    Shares::new(Bounds { all: parallel, each, waiting: usize::MAX, waiting_each: usize::MAX })
}

/// Lookups in the store at once.
const LOOKS: usize = 16;
/// How long the storage may take to say whether it has an object. If it takes longer, it is not asked again for the
/// same block.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
/// Hospitals that are asked, at once, whether they have segments that may have to be fetched later, and for how long in
/// all. One that has answered, or does not answer in time, makes room for the next.
const ASKED: usize = 4;
const ASK_LIMIT: Duration = Duration::from_secs(5);
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Fetches segments into the store. There is one for the whole worker: its bounds apply to all blocks together. A
/// segment is in the store if this worker has verified it: see [`journal::verified`].
pub struct Fetcher {
    roster: Arc<dyn Roster>,
    courier: Courier,
    journal: Journal,
    store: Store,
    holdings: Holdings,
    metrics: Metrics,
    bounds: FetchBounds,
    /// Shared by the hospitals that announced the blocks; repairs have one share together.
    slots: Arc<Shares<Option<HospitalId>>>,
    /// For readers, who do not wait for a storage that fails while it holds the others.
    reader_slots: Arc<Shares<Option<HospitalId>>>,
    /// No segment is downloaded twice at once, unless the first download is slow.
    flights: Flights,
    /// What readers wait for.
    shelf: Shelf,
    /// Whether what arrives is stored; otherwise it is only in memory, for a reader.
    stores: bool,
}

impl Fetcher {
    pub fn new(
        roster: Arc<dyn Roster>,
        courier: Courier,
        journal: Journal,
        store: Store,
        holdings: Holdings,
        metrics: Metrics,
        bounds: FetchBounds,
    ) -> Self {
        // One announcing hospital leaves a slot for the others.
        let slots_of_one = bounds.parallel.saturating_sub(1).max(1);
        Self {
            roster,
            courier,
            journal,
            store,
            holdings,
            metrics,
            bounds,
            slots: slots(bounds.parallel, slots_of_one),
            reader_slots: slots(bounds.parallel, bounds.parallel),
            flights: Flights::default(),
            shelf: Shelf::default(),
            stores: true,
        }
    }

    /// Whether a block of this hospital would get a slot now.
    #[cfg(test)]
    pub(super) fn has_slot(&self, first: Option<HospitalId>) -> bool {
        self.slots.try_take(first, 1).is_ok()
    }

    /// Fetches a segment of at most 4 MiB into memory only, for a reader who waits while the storage fails. Readers of
    /// the same segment share one download.
    pub async fn obtain(&self, segment: Segment) -> Result<Bytes, FetchError> {
        self.shelf.read(&segment, || self.fetch_aside(segment)).await
    }

    async fn fetch_aside(&self, segment: Segment) -> Result<Bytes, FetchError> {
        let store = Store::in_memory();
        let aside = Self {
            roster: Arc::clone(&self.roster),
            courier: self.courier.clone(),
            journal: Journal::in_memory().await?,
            store: store.clone(),
            holdings: Holdings::new(store),
            metrics: self.metrics.clone(),
            bounds: self.bounds,
            slots: Arc::clone(&self.reader_slots),
            reader_slots: Arc::clone(&self.reader_slots),
            flights: Flights::default(),
            shelf: Shelf::default(),
            stores: false,
        };
        aside.fetch_missing(vec![(0, segment)], None, &Arrivals::default()).await?;
        Ok(aside.store.read(&segment.hash).await?)
    }

    /// Those of these segments of which no hospital says in time that it stores them. Each time, other hospitals are
    /// asked first, and the next ones while a segment is still missing.
    pub async fn missing_elsewhere(
        &self,
        segments: &[[u8; 32]],
    ) -> Result<Vec<[u8; 32]>, RosterError> {
        let Roll { genesis, mut peers, .. } = self.roster.roll(None).await?;
        turn(&mut peers);
        let mut missing: HashSet<[u8; 32]> = segments.iter().copied().collect();
        let mut next = peers.into_iter();
        let ask = |peer| self.held_by(genesis, peer, segments);
        let mut answers: FuturesUnordered<_> = next.by_ref().take(ASKED).map(ask).collect();
        let asking = async {
            while let Some(held) = answers.next().await {
                held.iter().for_each(|segment| {
                    missing.remove(segment);
                });
                if missing.is_empty() {
                    break;
                }
                answers.extend(next.next().map(ask));
            }
        };
        timeout(ASK_LIMIT, asking).await.ok();
        Ok(missing.into_iter().collect())
    }

    /// Those of these segments that a hospital says it stores, as far as it answers in time.
    async fn held_by(&self, genesis: Hash, peer: Peer, segments: &[[u8; 32]]) -> Vec<[u8; 32]> {
        let mut stored = Vec::new();
        for named in segments.chunks(MAX_NAMED) {
            let answer = timeout(ANSWER_LIMIT, self.courier.held(genesis, &peer, named)).await;
            let Ok(Ok(list)) = answer else { break };
            stored.extend(
                named.iter().zip(list.held).filter(|(_, held)| *held).map(|(hash, _)| *hash),
            );
        }
        stored
    }

    /// Fetches those segments that are not in the store. `segments` are all segments of a block, in its order, and
    /// `first` is the hospital that announced it; or segments of any blocks, without `first`. If some cannot be
    /// fetched, the others are kept, so that the next attempt has less to do.
    pub async fn fetch(
        &self,
        segments: &[Segment],
        first: Option<HospitalId>,
    ) -> Result<(), FetchError> {
        self.fetch_counting(segments, first, &Arrivals::default()).await
    }

    /// Like [`fetch`](Self::fetch). `arrived` counts what arrives.
    pub async fn fetch_counting(
        &self,
        segments: &[Segment],
        first: Option<HospitalId>,
        arrived: &Arrivals,
    ) -> Result<(), FetchError> {
        let missing = self.missing_at(segments, first).await?;
        if missing.is_empty() {
            return Ok(());
        }
        arrived.begin();
        self.fetch_missing(missing, first, arrived).await
    }

    /// Fetches segments that are not in the store, each with its position in the list.
    async fn fetch_missing(
        &self,
        missing: Vec<(usize, Segment)>,
        first: Option<HospitalId>,
        arrived: &Arrivals,
    ) -> Result<(), FetchError> {
        let wanted = missing.len();
        let roll = self.roster.roll(first).await?;
        let genesis = roll.genesis;
        let plan = Plan::new(missing, roll, first, self.bounds.rules, Instant::now());
        match BlockFetch::new(self, genesis, first, plan, arrived).run().await? {
            0 => Ok(()),
            missing => Err(FetchError::Unavailable { missing, wanted }),
        }
    }

    /// Those of these segments that are not in the store, each once. `first` is the hospital that announced them.
    pub async fn missing(
        &self,
        segments: &[Segment],
        first: Option<HospitalId>,
    ) -> Result<Vec<Segment>, FetchError> {
        let missing = self.missing_at(segments, first).await?;
        Ok(missing.into_iter().map(|(_, segment)| segment).collect())
    }

    /// The missing segments, with their positions in the list.
    async fn missing_at(
        &self,
        segments: &[Segment],
        first: Option<HospitalId>,
    ) -> Result<Vec<(usize, Segment)>, FetchError> {
        let answers = &AtomicBool::new(true);
        let mut known = HashSet::new();
        let each: Vec<_> = segments
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, segment)| known.insert(segment.hash))
            .collect();
        futures::stream::iter(each)
            .map(|(position, segment)| async move {
                let here = self.is_here(&segment, first, answers).await?;
                Ok::<_, FetchError>((!here).then_some((position, segment)))
            })
            .buffered(LOOKS)
            .try_filter_map(|missing| std::future::ready(Ok(missing)))
            .try_collect()
            .await
    }

    /// Whether the segment is here. If its bytes are, and have another length than stated, the statement is wrong.
    async fn is_here(
        &self,
        segment: &Segment,
        first: Option<HospitalId>,
        answers: &AtomicBool,
    ) -> Result<bool, FetchError> {
        let hash = segment.hash;
        let verified = self.journal.verified_length(hash).await?;
        if self.is_gone(&hash, answers).await {
            if verified.is_some() {
                self.journal.forget_verified(hash).await?;
            }
            return Ok(false);
        }
        let found = match verified {
            Some(length) => Some(length),
            None => {
                // The bytes need memory for a whole segment, as a download does.
                let _slot = self.slots.take(first, 1, Duration::MAX).await.ok();
                self.read_length(&hash).await?
            }
        };
        match found {
            None => Ok(false),
            Some(length) if length == segment.length => Ok(true),
            Some(length) => {
                let (claimed, found) = (segment.length, length as usize);
                Err(FetchError::Contradicted { claimed, found })
            }
        }
    }

    /// Whether the storage says that it has no such object. What it says only takes trust away: that it has one proves
    /// nothing. `answers` is whether it has answered in time so far.
    async fn is_gone(&self, hash: &[u8; 32], answers: &AtomicBool) -> bool {
        if !answers.load(Ordering::Relaxed) {
            return false;
        }
        match timeout(LOOK_LIMIT, self.store.find(hash)).await {
            Ok(Ok(found)) => found.is_none(),
            Ok(Err(error)) if error.concerns_one_object() => false,
            Ok(Err(_)) | Err(_) => {
                answers.store(false, Ordering::Relaxed);
                false
            }
        }
    }

    /// The length of the segment's bytes, read back now; none if the storage does not return them.
    async fn read_length(&self, hash: &[u8; 32]) -> Result<Option<u32>, FetchError> {
        match journal::read_back(&self.journal, &self.store, hash).await {
            Ok(bytes) => Ok(Some(bytes.len() as u32)),
            Err(error) if error.concerns_one_object() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Fetches one segment, and holds `_slot` and `_flight` until it is done.
    async fn download(
        &self,
        genesis: Hash,
        errand: Errand,
        _slot: Slot,
        _flight: Flight<'_>,
        arrived: &Arrivals,
    ) -> Done {
        let (log, segment) = (SharedLog::default(), errand.segment);
        let began = Instant::now();
        // Only what this worker has verified before: a download that has ended meanwhile did so.
        let result = match self.journal.verified_length(segment.hash).await {
            Ok(length) if length == Some(segment.length) => Fetched::Here,
            Ok(_) => self.relay(genesis, &errand, log.clone(), arrived).await,
            Err(error) => Fetched::Failed(error.into()),
        };
        Done { errand, result, took: began.elapsed(), log: log.take(), waited_in_vain: false }
    }

    async fn relay(
        &self,
        genesis: Hash,
        errand: &Errand,
        log: SharedLog,
        arrived: &Arrivals,
    ) -> Fetched {
        let segment = errand.segment;
        let longest = self.bounds.segment_limit;
        let limit = errand.limit.map_or(longest, |limit| limit.min(longest));
        let waits = Waits { limit, patience: errand.patience };
        let peers = (errand.peer.clone(), errand.reserve.clone());
        let relay = Relay::new(&self.courier, genesis, segment, peers, waits, (log, arrived));
        let write = self.store.put(&segment, relay.stream());
        match journal::complete_write(&self.journal, &self.store, write).await {
            Ok(()) => self.stored(&segment),
            Err(PutError::Source(Exhausted)) => Fetched::Missed,
            Err(PutError::Store(StoreError::Mismatch | StoreError::Length)) => Fetched::Wrong,
            Err(PutError::Store(error)) => Fetched::Failed(error.into()),
        }
    }

    /// Counts a segment that was stored now.
    fn stored(&self, segment: &Segment) -> Fetched {
        self.holdings.arrived(&segment.hash);
        if self.stores {
            self.metrics.segments_stored.inc();
            self.metrics.segment_bytes_stored.inc_by(u64::from(segment.length));
        }
        Fetched::New
    }

    /// Waits until another download of a segment has ended, but not for long, and checks whether the segment is here.
    async fn await_other(&self, errand: Errand) -> Done {
        let began = Instant::now();
        let ended =
            timeout(self.bounds.flight_patience, self.flights.wait(errand.segment.hash)).await;
        let waited_in_vain = ended.map(drop).is_err();
        let result = match self.journal.verified_length(errand.segment.hash).await {
            Ok(length) if length == Some(errand.segment.length) => Fetched::Here,
            Ok(_) => Fetched::Missed,
            Err(error) => Fetched::Failed(error.into()),
        };
        Done { errand, result, took: began.elapsed(), log: Log::default(), waited_in_vain }
    }
}

/// The result of an errand.
enum Fetched {
    New,
    /// Another download has stored it.
    Here,
    Missed,
    /// Other bytes arrived than the segment's.
    Wrong,
    /// The storage or the journal failed.
    Failed(FetchError),
}

struct Done {
    errand: Errand,
    result: Fetched,
    took: Duration,
    log: Log,
    /// Another download has not ended in time.
    waited_in_vain: bool,
}

/// Lets any of the hospitals be the first. Without random numbers, the order stays as it is.
fn turn(peers: &mut [Peer]) {
    let mut random = [0; 2];
    if !peers.is_empty() && getrandom::fill(&mut random).is_ok() {
        let first = usize::from(u16::from_le_bytes(random)) % peers.len();
        peers.rotate_left(first);
    }
}
