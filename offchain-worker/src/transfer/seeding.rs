//! Before a large block is announced: the others are offered its segments, and fetch them at their own
//! pace, so that a ballot need not wait for a transfer.

use std::{sync::Arc, time::Duration};

use epione_primitives::{Hash, approval::approvals_needed, block::Segment};
use futures::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use super::{Courier, Offered, Peer, PeerFault, Roll, Roster, wire::MAX_NAMED};
use crate::metrics::Metrics;

/// What an announcer does for its large blocks.
#[derive(Clone, Copy, Debug)]
pub struct SeedingTerms {
    /// Blocks with fewer bytes of media are announced at once.
    pub from_bytes: u64,
    /// How long nothing may arrive anywhere before the block is announced all the same. Zero: nothing is
    /// offered.
    pub quiet: Duration,
    /// A block is not held back longer than this, nor much longer than its bytes take at [`SLOWEST`].
    pub longest: Duration,
    /// Between two questions to a hospital how far it is, or whether it takes the offer now.
    pub ask_every: Duration,
}

/// Bytes a second. Who is slower than this all the time is not waited for.
pub const SLOWEST: u64 = 1024 * 1024;

/// Why a block may be announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seeded {
    /// As many as must approve it hold all of it.
    Majority,
    /// Too few hospitals take offers, or there is no other.
    Declined,
    /// Nothing arrived anywhere for too long.
    Quiet,
    /// It was waited for long enough.
    Late,
}

impl Seeded {
    /// For the metric `seeding_seconds`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Majority => "majority",
            Self::Declined => "declined",
            Self::Quiet => "quiet",
            Self::Late => "late",
        }
    }
}

/// What became of one hospital's part.
enum Event {
    /// Something arrived there.
    News,
    HoldsAll,
    Declined,
}

/// Offers blocks to the other hospitals.
pub struct Seeder {
    roster: Arc<dyn Roster>,
    courier: Courier,
    metrics: Metrics,
    terms: SeedingTerms,
}

impl Seeder {
    pub fn new(
        roster: Arc<dyn Roster>,
        courier: Courier,
        metrics: Metrics,
        terms: SeedingTerms,
    ) -> Self {
        Self { roster, courier, metrics, terms }
    }

    /// Whether a block with so many bytes of media is to be offered before it is announced.
    pub fn offers(&self, bytes: u64) -> bool {
        bytes >= self.terms.from_bytes.max(1) && !self.terms.quiet.is_zero()
    }

    /// Offers a block's segments, and returns when it should be announced.
    pub async fn seed(&self, segments: &[Segment]) -> Seeded {
        let began = Instant::now();
        let seeded = self.offer(segments, began).await;
        let (seconds, reason) = (began.elapsed().as_secs_f64(), seeded.label());
        self.metrics.seeding_seconds.with_label_values(&[reason]).observe(seconds);
        tracing::info!(segments = segments.len(), seconds, reason, "a block was offered");
        seeded
    }

    async fn offer(&self, segments: &[Segment], began: Instant) -> Seeded {
        let bytes: u64 = segments.iter().map(|segment| u64::from(segment.length)).sum();
        let longest = self.terms.quiet * 2 + Duration::from_secs(bytes / SLOWEST);
        let end = began + longest.min(self.terms.longest);
        tokio::select! {
            roll = self.roll() => self.follow_all(&roll, segments, end).await,
            () = sleep_until(end) => Seeded::Late,
        }
    }

    /// Who is there to be offered something. The node may be away for a while.
    async fn roll(&self) -> Roll {
        loop {
            match self.roster.roll(None).await {
                Ok(roll) => return roll,
                Err(error) => tracing::debug!(%error, "nobody can be offered anything just now"),
            }
            sleep(self.terms.ask_every).await;
        }
    }

    async fn follow_all(&self, roll: &Roll, segments: &[Segment], end: Instant) -> Seeded {
        let others = u32::try_from(roll.peers.len()).unwrap_or(u32::MAX);
        let needed = approvals_needed(others.saturating_add(1)) as usize;
        let (mut left, mut whole) = (roll.peers.len(), 0);
        let (sender, mut events) = mpsc::channel(roll.peers.len().max(1));
        let follow = |peer| self.follow(roll.genesis, peer, segments, sender.clone());
        let mut followers: FuturesUnordered<_> = roll.peers.iter().map(follow).collect();
        let mut quiet = Instant::now() + self.terms.quiet;
        loop {
            if whole >= needed && needed > 0 {
                return Seeded::Majority;
            }
            if left < needed || needed == 0 {
                return Seeded::Declined;
            }
            tokio::select! {
                Some(event) = events.recv() => {
                    match event {
                        Event::News => {}
                        Event::HoldsAll => whole += 1,
                        Event::Declined => left -= 1,
                    }
                    if !matches!(event, Event::Declined) {
                        quiet = Instant::now() + self.terms.quiet;
                    }
                }
                Some(()) = followers.next() => {}
                () = sleep_until(quiet.min(end)) => {
                    return if quiet < end { Seeded::Quiet } else { Seeded::Late };
                }
            }
        }
    }

    /// Makes one hospital the offer, and asks until it holds everything.
    async fn follow(
        &self,
        genesis: Hash,
        peer: &Peer,
        segments: &[Segment],
        events: mpsc::Sender<Event>,
    ) {
        if !self.is_taken(genesis, peer, segments).await {
            return tell(&events, Event::Declined).await;
        }
        let mut lacking: Vec<[u8; 32]> = segments.iter().map(|segment| segment.hash).collect();
        loop {
            let asked = lacking.len().min(MAX_NAMED);
            if let Ok(held) = self.courier.held(genesis, peer, &lacking[..asked]).await {
                let before = lacking.len();
                let mut held = held.into_iter();
                lacking.retain(|_| !held.next().unwrap_or(false));
                let arrived = before - lacking.len();
                if lacking.is_empty() {
                    return tell(&events, Event::HoldsAll).await;
                }
                // Those that did not fit into this question come first in the next.
                let count = lacking.len();
                lacking.rotate_left((asked - arrived) % count);
                if arrived > 0 {
                    tell(&events, Event::News).await;
                }
            }
            sleep(self.terms.ask_every).await;
        }
    }

    /// Offers until the hospital takes it; false if it takes no offers.
    async fn is_taken(&self, genesis: Hash, peer: &Peer, segments: &[Segment]) -> bool {
        for part in segments.chunks(MAX_NAMED) {
            loop {
                let answer = self.courier.offer(genesis, peer, part).await;
                self.metrics.offers_made.with_label_values(&[label(&answer)]).inc();
                match answer {
                    Ok(Offered::Taken) => break,
                    Ok(Offered::Declined) => return false,
                    Ok(Offered::NoRoom) | Err(_) => sleep(self.terms.ask_every).await,
                }
            }
        }
        true
    }
}

async fn tell(events: &mpsc::Sender<Event>, event: Event) {
    // Who listened is gone only when nobody wants to know any more.
    events.send(event).await.ok();
}

fn label(answer: &Result<Offered, PeerFault>) -> &'static str {
    match answer {
        Ok(Offered::Taken) => "taken",
        Ok(Offered::NoRoom) => "no-room",
        Ok(Offered::Declined) => "declined",
        Err(fault) => fault.label(),
    }
}
