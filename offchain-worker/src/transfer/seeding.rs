//! Offers a large block's segments to the other hospitals before the block is announced. They fetch the segments ahead,
//! so that the ballot need not wait for a transfer.

use std::{sync::Arc, time::Duration};

use epione_primitives::{Hash, approval::approvals_needed, block::Segment};
use futures::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use super::{Courier, Offered, Peer, PeerFault, Roll, Roster, wire::MAX_NAMED};
use crate::metrics::Metrics;

/// When and for how long an announcer offers its blocks.
#[derive(Clone, Copy, Debug)]
pub struct SeedingTerms {
    /// Blocks with fewer bytes of media are announced at once.
    pub from_bytes: u64,
    /// If nothing has arrived anywhere for this long, the block is announced. Zero: nothing is offered.
    pub quiet: Duration,
    /// A block is not delayed for longer than this, nor for much longer than its transfer takes at [`SLOWEST`].
    pub longest: Duration,
    /// Between two questions to a hospital, how much it has or whether it accepts the offer now.
    pub ask_every: Duration,
}

/// Bytes per second. A hospital that is always slower than this is not awaited.
pub const SLOWEST: u64 = 1024 * 1024;

/// Why a block may be announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seeded {
    /// As many hospitals as must approve the block have all of it.
    Majority,
    /// Too few hospitals accept offers, or there is no other hospital.
    Declined,
    /// Nothing arrived anywhere for too long.
    Quiet,
    /// The longest delay is over.
    Late,
}

impl Seeded {
    /// The label for the metric `seeding_seconds`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Majority => "majority",
            Self::Declined => "declined",
            Self::Quiet => "quiet",
            Self::Late => "late",
        }
    }
}

/// What happened at one hospital.
enum Event {
    /// Segments have arrived.
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
        tracing::info!(segments = segments.len(), seconds, reason, "offering a block has ended");
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

    /// The hospitals to which the block is offered. Waits while the node does not answer.
    async fn roll(&self) -> Roll {
        loop {
            match self.roster.roll(None).await {
                Ok(roll) => return roll,
                Err(error) => tracing::debug!(%error, "the other hospitals are not known now"),
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

    /// Offers the block to one hospital, and asks until the hospital has all of it.
    async fn follow(
        &self,
        genesis: Hash,
        peer: &Peer,
        segments: &[Segment],
        events: mpsc::Sender<Event>,
    ) {
        if !self.is_accepted(genesis, peer, segments).await {
            return report(&events, Event::Declined).await;
        }
        let mut missing: Vec<[u8; 32]> = segments.iter().map(|segment| segment.hash).collect();
        loop {
            let asked = missing.len().min(MAX_NAMED);
            if let Ok(list) = self.courier.held(genesis, peer, &missing[..asked]).await {
                let before = missing.len();
                let mut held = list.held.into_iter();
                missing.retain(|_| !held.next().unwrap_or(false));
                let arrived = before - missing.len();
                if missing.is_empty() {
                    return report(&events, Event::HoldsAll).await;
                }
                // The next question begins with those that did not fit into this one.
                let count = missing.len();
                missing.rotate_left((asked - arrived) % count);
                if arrived > 0 {
                    report(&events, Event::News).await;
                }
            }
            sleep(self.terms.ask_every).await;
        }
    }

    /// Offers the block until the hospital accepts it; false if it accepts no offers.
    async fn is_accepted(&self, genesis: Hash, peer: &Peer, segments: &[Segment]) -> bool {
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

async fn report(events: &mpsc::Sender<Event>, event: Event) {
    // The receiver is dropped only when the result is not needed any more.
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
