//! How many requests the API accepts at once, of all callers together and of each, and for how long.
//!
//! A request takes a place after the worker has found its caller and received its body: a caller who sends slowly has
//! no place meanwhile.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use epione_client::api::{MAX_JSON_BYTES, MAX_PART_BYTES};
use epione_primitives::{
    AccountId, Hash, HospitalId, UserId, custody::ClaimId, opening::OpeningId, query::QueryId,
};

use super::{ApiError, AppState};
use crate::{
    config::Limits,
    shares::{Bounds, Place, Refused, Shares},
};

/// How many requests may wait for a place: of all callers together, and of one caller. A client may read `WAITING_EACH`
/// segments in parallel.
const WAITING: usize = 2_048;
const WAITING_EACH: usize = 128;
/// Those that wait to be found on the chain, and are not known yet.
const STRANGERS_WAITING: usize = 64;
/// Streams of changes of queries that are open at once: of all users together, and of one.
const STREAMS: usize = 512;
const STREAMS_EACH: usize = 4;
/// Counts of patients at once. Each reads much of the chain's state, and the requesters of one hospital have one of
/// them.
const COUNTS: usize = 2;
/// The memory for short bodies is this fraction of `receive_bytes`, in addition to it.
const SHORT_FRACTION: usize = 8;

/// Whose share a request uses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    Account(AccountId),
    /// Another hospital, which fetches segments, or whose requesters ask for counts.
    Hospital(HospitalId),
    /// Whoever holds links of a grant, until its requester is known.
    Grant(Hash),
    /// Whoever holds links of this user's grants.
    Requester(UserId),
    /// The requests that collect the grant of this query.
    Query(QueryId),
    /// The requests for this hospital's part of this opening.
    Opening(OpeningId),
    /// The requests for this hospital's part of this claim.
    Claim(ClaimId),
}

/// A place of a request in progress, given back when dropped.
pub(super) type Slot = Place<Holder>;

type Places = Arc<Shares<Holder>>;

/// Whose memory a body uses. Short bodies have memory of their own, so that visits and their media do not keep looks
/// and registrations waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// At most [`MAX_JSON_BYTES`].
    Short,
    Long,
}

impl Memory {
    /// For bodies of at most `limit` bytes.
    pub fn of(limit: usize) -> Self {
        if limit <= MAX_JSON_BYTES { Self::Short } else { Self::Long }
    }
}

/// Places for requests in progress.
pub(super) struct Slots {
    callers: Places,
    /// For accounts that the chain has not confirmed recently.
    strangers: Places,
    visits: Places,
    uploads: Places,
    segment_reads: Places,
    peer_reads: Places,
    transactions: Places,
    /// One for each query, and for each opening.
    transfers: Places,
    requests: Places,
    counts: Places,
    streams: Places,
    /// Counted in bytes.
    short_memory: Places,
    long_memory: Places,
}

impl Slots {
    /// `peer_reads` are segments served to other hospitals at once.
    pub fn new(limits: &Limits, peer_reads: usize) -> Self {
        // One place is left for the others.
        let all_but_one = |all: usize| all.saturating_sub(1).max(1);
        let quarter = |all: usize| all.div_ceil(4);
        let strangers = quarter(limits.requests);
        let memory = limits.receive_bytes;
        let short = memory / SHORT_FRACTION;
        Self {
            callers: queued(limits.requests, quarter(limits.requests)),
            strangers: Shares::new(Bounds {
                all: strangers,
                each: quarter(strangers),
                waiting: STRANGERS_WAITING,
                waiting_each: STRANGERS_WAITING,
            }),
            visits: queued(limits.visits, all_but_one(limits.visits)),
            uploads: Shares::new(Bounds::at_once(limits.uploads, all_but_one(limits.uploads))),
            segment_reads: queued(limits.segment_reads, all_but_one(limits.segment_reads)),
            peer_reads: Shares::new(Bounds::at_once(peer_reads, all_but_one(peer_reads))),
            transactions: queued(limits.transactions, quarter(limits.transactions)),
            transfers: queued(WAITING, 1),
            requests: queued(limits.requests, quarter(limits.requests)),
            counts: queued(COUNTS, 1),
            streams: Shares::new(Bounds::at_once(STREAMS, STREAMS_EACH)),
            short_memory: queued(short, quarter(short)),
            long_memory: queued(memory, quarter(memory).max(2 * MAX_PART_BYTES).min(memory)),
        }
    }

    /// The kinds of places of which none is free, by the names of their limits.
    pub fn full(&self) -> Vec<&'static str> {
        let all = [
            ("visits", self.visits.is_full()),
            ("segment_reads", self.segment_reads.is_full()),
            ("transactions", self.transactions.is_full()),
            ("requests", self.requests.is_full() || self.callers.is_full()),
            ("receive_bytes", self.short_memory.is_full() || self.long_memory.is_full()),
        ];
        all.into_iter().filter(|(_, full)| *full).map(|(name, _)| name).collect()
    }
}

/// Places for which requests may wait.
fn queued(all: usize, each: usize) -> Places {
    Shares::new(Bounds { all, each, waiting: WAITING, waiting_each: WAITING_EACH })
}

impl AppState {
    /// A place for finding the caller of a request on the chain; waits for one. Anybody can create accounts, so those
    /// that the chain has not confirmed recently have places of their own.
    pub(super) async fn caller_slot(&self, account: &AccountId) -> Result<Slot, ApiError> {
        let (holder, slots) = (Holder::Account(account.clone()), &self.shared.slots);
        let is_known = self.shared.accounts.is_known(account, Instant::now());
        let places = if is_known { &slots.callers } else { &slots.strangers };
        self.wait_for(places, holder, 1, self.short_wait()).await
    }

    /// Room for so many bytes of a request's body; waits for it.
    pub(super) async fn memory(
        &self,
        memory: Memory,
        holder: Holder,
        bytes: usize,
    ) -> Result<Slot, ApiError> {
        let slots = &self.shared.slots;
        let places = match memory {
            Memory::Short => &slots.short_memory,
            Memory::Long => &slots.long_memory,
        };
        self.wait_for(places, holder, bytes, self.short_wait()).await
    }

    /// Room for so many more bytes of the same body; waits for it.
    pub(super) async fn more_memory(
        &self,
        memory: &mut Slot,
        bytes: usize,
    ) -> Result<(), ApiError> {
        memory.grow(bytes, self.short_wait()).await.map_err(ApiError::from)
    }

    /// A place for sealing a visit without its media; waits for one.
    pub(super) async fn visit_slot(&self, holder: Holder) -> Result<Slot, ApiError> {
        self.wait_for(&self.shared.slots.visits, holder, 1, self.limits.request_timeout).await
    }

    /// A place for an upload, if one is free.
    pub(super) fn upload_slot(&self, holder: Holder) -> Result<Slot, Refused> {
        self.shared.slots.uploads.try_take(holder, 1)
    }

    /// A place for waiting until a transaction is finalized; waits for one.
    pub(super) async fn transaction_slot(&self, holder: Holder) -> Result<Slot, ApiError> {
        self.wait_for(&self.shared.slots.transactions, holder, 1, self.limits.request_timeout).await
    }

    /// The place for recording the transfer of a query; waits for it as long as recording one may take.
    pub(super) async fn transfer_slot(&self, query: QueryId) -> Result<Slot, ApiError> {
        let (places, limit) = (&self.shared.slots.transfers, self.limits.transaction_timeout);
        self.wait_for(places, Holder::Query(query), 1, limit).await
    }

    /// The place for recording that this hospital hands out its part of an opening; waits for it as long as recording
    /// may take.
    pub(super) async fn hand_out_slot(&self, opening: OpeningId) -> Result<Slot, ApiError> {
        let (places, limit) = (&self.shared.slots.transfers, self.limits.transaction_timeout);
        self.wait_for(places, Holder::Opening(opening), 1, limit).await
    }

    /// The same for a claim.
    pub(super) async fn claim_slot(&self, claim: ClaimId) -> Result<Slot, ApiError> {
        let (places, limit) = (&self.shared.slots.transfers, self.limits.transaction_timeout);
        self.wait_for(places, Holder::Claim(claim), 1, limit).await
    }

    /// A place for any other request; waits for one.
    pub(super) async fn request_slot(&self, holder: Holder) -> Result<Slot, ApiError> {
        self.wait_for(&self.shared.slots.requests, holder, 1, self.short_wait()).await
    }

    /// A place for counting patients; waits for one.
    pub(super) async fn count_slot(&self, holder: Holder) -> Result<Slot, ApiError> {
        self.wait_for(&self.shared.slots.counts, holder, 1, self.short_wait()).await
    }

    /// A place for a stream of changes of queries, if one is free.
    pub(super) fn stream_slot(&self, holder: Holder) -> Result<Slot, ApiError> {
        self.shared.slots.streams.try_take(holder, 1).map_err(ApiError::from)
    }

    /// A place for serving a segment to a reader; waits for one for most of the time that serving may take, because one
    /// reader requests many segments in parallel.
    pub(super) async fn segment_slot(&self, holder: Holder) -> Result<Slot, ApiError> {
        let limit = self.limits.segment_timeout;
        self.wait_for(&self.shared.slots.segment_reads, holder, 1, limit - limit / 10).await
    }

    /// A place for serving a segment to another hospital, if one is free. It does not wait, because the other hospital
    /// can ask elsewhere meanwhile.
    pub(super) fn peer_slot(&self, hospital: HospitalId) -> Result<Slot, ApiError> {
        self.shared.slots.peer_reads.try_take(Holder::Hospital(hospital), 1).map_err(|refused| {
            self.metrics.peers_put_off.inc();
            refused.into()
        })
    }

    /// How long a request whose time limit is `request_timeout` waits for a place.
    fn short_wait(&self) -> Duration {
        self.limits.request_timeout / 4
    }

    async fn wait_for(
        &self,
        places: &Places,
        holder: Holder,
        amount: usize,
        patience: Duration,
    ) -> Result<Slot, ApiError> {
        places.take(holder, amount, patience).await.map_err(ApiError::from)
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Own => Self::own_share(),
            Refused::All => Self::busy(),
        }
    }
}

/// Ends work that takes longer than a time limit.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(ApiError::timed_out()))
}
