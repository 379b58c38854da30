//! Fetches what other hospitals offer ahead of their announcements, until each offer expires.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use epione_primitives::HospitalId;
use tokio::{
    task::{Id, JoinError, JoinSet},
    time::{sleep, timeout},
};

use super::{TaskError, disk_budget::bytes};
use crate::{
    backoff::Backoff,
    journal::{Journal, JournalError, offers::Offer},
    metrics::Metrics,
    millis, now,
    store::Reserve,
    transfer::{Arrivals, Fetcher},
};

/// How often the journal is read for open offers.
const POLL: Duration = Duration::from_millis(500);
const RETRY: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(60));
/// Offers fetched at once.
const AT_ONCE: usize = 8;
/// Offers of one hospital fetched at once: a hospital that does not supply its segments must not delay the others'.
const OF_ONE: usize = 2;

/// Fetches offers.
pub struct OfferFetcher {
    pub journal: Journal,
    pub fetcher: Arc<Fetcher>,
    pub metrics: Metrics,
    /// What offers leave free for this hospital's own visits.
    pub reserve: Reserve,
    /// How long an offer is kept.
    pub lifetime: Duration,
}

/// A running attempt to fetch an offer.
struct Attempt {
    offer: i64,
    hospital: HospitalId,
}

/// Running attempts, and offers that wait after failures.
#[derive(Default)]
struct Attempts {
    tasks: JoinSet<Result<(), JournalError>>,
    underway: HashMap<Id, Attempt>,
    /// Failures in a row, and when the next attempt may begin.
    setbacks: HashMap<i64, (u32, Instant)>,
}

impl Attempts {
    fn may_begin(&self, offer: &Offer) -> bool {
        let of_same = self.underway.values().filter(|it| it.hospital == offer.hospital).count();
        let known = self.underway.values().any(|attempt| attempt.offer == offer.id);
        let rests = self.setbacks.get(&offer.id).is_some_and(|(_, until)| Instant::now() < *until);
        self.underway.len() < AT_ONCE && of_same < OF_ONE && !known && !rests
    }

    fn begin(&mut self, fetcher: &Arc<OfferFetcher>, offer: Offer) {
        let attempt = Attempt { offer: offer.id, hospital: offer.hospital };
        let (failures, _) = self.setbacks.get(&offer.id).copied().unwrap_or((0, Instant::now()));
        // For the case that it fails. If it succeeds, the offer is not open any more.
        let pause = RETRY.after(failures + 1);
        self.setbacks.insert(offer.id, (failures + 1, Instant::now() + pause));
        let fetcher = Arc::clone(fetcher);
        let task = self.tasks.spawn(async move { fetcher.fetch(&offer).await });
        self.underway.insert(task.id(), attempt);
    }

    fn end(&mut self, ended: Result<(Id, Result<(), JournalError>), JoinError>) {
        let id = match ended {
            Ok((id, Ok(()))) => id,
            Ok((id, Err(error))) => {
                tracing::warn!(%error, "the journal did not accept the result of an offer");
                id
            }
            Err(error) => {
                tracing::error!(%error, "fetching an offer panicked");
                error.id()
            }
        };
        if let Some(attempt) = self.underway.remove(&id)
            && let Some((failures, until)) = self.setbacks.get_mut(&attempt.offer)
        {
            *until = Instant::now() + RETRY.after(*failures);
        }
    }
}

/// Fetches offers. Never returns.
pub async fn run(fetcher: Arc<OfferFetcher>) {
    let mut attempts = Attempts::default();
    loop {
        let pause = match look(&fetcher, &mut attempts).await {
            Ok(()) => POLL,
            Err(error) => {
                fetcher.metrics.task_failures.with_label_values(&["offers"]).inc();
                tracing::warn!(%error, "the journal could not be read for open offers; retrying");
                RETRY.cap
            }
        };
        tokio::select! {
            Some(ended) = attempts.tasks.join_next_with_id() => attempts.end(ended),
            () = sleep(pause) => {}
        }
    }
}

async fn look(fetcher: &Arc<OfferFetcher>, attempts: &mut Attempts) -> Result<(), JournalError> {
    let expired = fetcher.journal.expire_offers(millis(fetcher.lifetime), now()).await?;
    if expired > 0 {
        fetcher.metrics.offers_received.with_label_values(&["expired"]).inc_by(expired as u64);
        tracing::info!(expired, "offers have expired without an announcement");
    }
    let open = fetcher.journal.open_offers().await?;
    attempts.setbacks.retain(|id, _| open.iter().any(|offer| offer.id == *id));
    for offer in open {
        if attempts.may_begin(&offer) {
            attempts.begin(fetcher, offer);
        }
    }
    fetcher.metrics.offered_bytes.reset();
    for (hospital, bytes) in fetcher.journal.offered_bytes().await? {
        let gauge = fetcher.metrics.offered_bytes.with_label_values(&[&hospital.to_string()]);
        gauge.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
    Ok(())
}

impl OfferFetcher {
    /// Attempts to fetch an offer until the offer expires.
    async fn fetch(&self, offer: &Offer) -> Result<(), JournalError> {
        let left = Duration::from_millis(offer.expires.saturating_sub(now()));
        match timeout(left, self.fetch_segments(offer)).await {
            Ok(Ok(())) => {
                self.journal.fulfil_offer(offer.id).await?;
                self.metrics.offers_received.with_label_values(&["fulfilled"]).inc();
                let (hospital, segments) = (offer.hospital.0, offer.segments.len());
                tracing::info!(hospital, segments, "fetched the segments that a hospital offers");
            }
            Ok(Err(error)) => self.report(offer, &error),
            Err(_) => {}
        }
        Ok(())
    }

    async fn fetch_segments(&self, offer: &Offer) -> Result<(), TaskError> {
        let missing = self.fetcher.missing(&offer.segments, Some(offer.hospital)).await?;
        let claim = self.reserve.claim(bytes(&missing)).await.ok_or(TaskError::Reserved)?;
        let (segments, arrived) = (&offer.segments, Arrivals::within(claim));
        Ok(self.fetcher.fetch_counting(segments, Some(offer.hospital), &arrived).await?)
    }

    fn report(&self, offer: &Offer, error: &TaskError) {
        self.metrics.task_failures.with_label_values(&["offers"]).inc();
        tracing::warn!(
            hospital = offer.hospital.0, %error,
            "the segments that a hospital offers could not be fetched now; retrying later"
        );
    }
}
