//! The fetch of one block: which segment is downloaded next, from which hospital, and what follows from the result.

use std::{collections::HashSet, sync::Arc, time::Duration};

use epione_primitives::{Hash, HospitalId};
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, sleep};

use super::{
    super::{
        Arrivals, HeldList, PeerFault,
        flights::Flight,
        plan::{Errand, Plan, Question},
    },
    Done, FetchError, Fetched, Fetcher, Slot,
};
use crate::shares::Refused;

/// How often a waiting block is checked.
const TICK: Duration = Duration::from_millis(100);

type Answered = (Question, Result<HeldList, PeerFault>);

/// The fetch of one block.
pub(super) struct BlockFetch<'a> {
    fetcher: &'a Fetcher,
    genesis: Hash,
    /// Whose share of the slots it uses.
    first: Option<HospitalId>,
    plan: Plan,
    arrived: &'a Arrivals,
    downloads: FuturesUnordered<BoxFuture<'a, Done>>,
    answers: FuturesUnordered<BoxFuture<'a, Answered>>,
    /// Segments whose downloads for other blocks are slow.
    delayed: HashSet<[u8; 32]>,
    /// This block's request for a slot, if it needs one.
    slot: Option<BoxFuture<'static, Result<Slot, Refused>>>,
}

impl<'a> BlockFetch<'a> {
    pub fn new(
        fetcher: &'a Fetcher,
        genesis: Hash,
        first: Option<HospitalId>,
        plan: Plan,
        arrived: &'a Arrivals,
    ) -> Self {
        Self {
            fetcher,
            genesis,
            first,
            plan,
            arrived,
            downloads: FuturesUnordered::new(),
            answers: FuturesUnordered::new(),
            delayed: HashSet::new(),
            slot: None,
        }
    }

    /// Returns how many segments could not be fetched.
    pub async fn run(mut self) -> Result<usize, FetchError> {
        loop {
            let now = Instant::now();
            self.plan.settle(now);
            let missing = self.plan.missing();
            if missing == 0 || self.plan.is_hopeless(now) {
                return Ok(missing);
            }
            self.ask(now);
            if self.slot.is_none() && self.plan.has_next(now) {
                let (slots, first) = (Arc::clone(&self.fetcher.slots), self.first);
                self.slot =
                    Some(Box::pin(async move { slots.take(first, 1, Duration::MAX).await }));
            }
            tokio::select! {
                Some(slot) = granted(&mut self.slot) => self.begin(slot),
                Some(done) = self.downloads.next() => self.conclude(done)?,
                Some((question, answer)) = self.answers.next() => self.note(&question, answer),
                () = sleep(TICK) => {}
            }
        }
    }

    fn ask(&mut self, now: Instant) {
        for question in self.plan.questions(now) {
            let (courier, genesis) = (&self.fetcher.courier, self.genesis);
            self.answers.push(Box::pin(async move {
                let answer = courier.held(genesis, &question.peer, &question.hashes).await;
                (question, answer)
            }));
        }
    }

    fn note(&mut self, question: &Question, answer: Result<HeldList, PeerFault>) {
        let now = Instant::now();
        match answer {
            Ok(list) => {
                self.plan.answered(question, &list.held, now);
                if list.maintenance {
                    self.plan.spare(question, now);
                }
            }
            Err(fault) => {
                self.fetcher.metrics.peer_fetches.with_label_values(&[fault.label()]).inc();
                let dropped = self.plan.unanswered(question, &fault, now);
                self.report(question.peer.hospital, &fault, dropped);
            }
        }
    }

    fn begin(&mut self, slot: Slot) {
        let Some(errand) = self.plan.next(Instant::now()) else { return };
        let fetcher = self.fetcher;
        self.downloads.push(match self.flight(errand.segment.hash) {
            Some(flight) => {
                Box::pin(fetcher.download(self.genesis, errand, slot, flight, self.arrived))
            }
            None => Box::pin(fetcher.await_other(errand)),
        });
    }

    /// The right to download a segment. A hospital that sends slowly to the block of one announcer does not hold up the
    /// blocks of the others: after a while, each of these may download the segment once more.
    fn flight(&self, hash: [u8; 32]) -> Option<Flight<'a>> {
        let flights = &self.fetcher.flights;
        let second = || match self.first {
            Some(announcer) if self.delayed.contains(&hash) => {
                flights.try_begin((hash, Some(announcer)))
            }
            _ => None,
        };
        flights.try_begin((hash, None)).or_else(second)
    }

    fn conclude(&mut self, done: Done) -> Result<(), FetchError> {
        let Done { errand, result, took, log, waited_in_vain } = done;
        let now = Instant::now();
        if waited_in_vain {
            self.delayed.insert(errand.segment.hash);
        } else {
            self.arrived.end_segment();
        }
        for (hospital, fault) in log.faults {
            self.blame(&errand, hospital, fault, now);
        }
        if matches!(result, Fetched::New | Fetched::Here) {
            self.arrived.store(errand.segment.length.into());
        }
        match result {
            Fetched::New => {
                self.count(&log.bytes);
                let alone =
                    matches!(log.bytes.as_slice(), [(one, _)] if *one == errand.peer.hospital);
                self.plan.arrived(&errand, alone.then_some(took), now);
            }
            Fetched::Here => self.plan.arrived(&errand, None, now),
            Fetched::Missed => self.plan.reopen(&errand, false),
            Fetched::Wrong => {
                // If several hospitals took part, it is not known which of them sent wrong bytes. So the segment is
                // fetched again, as a whole from one hospital, and each of them is alone in its next downloads.
                match log.bytes.as_slice() {
                    [(one, _)] => self.blame(&errand, *one, PeerFault::WrongBytes, now),
                    several => several.iter().for_each(|(one, _)| self.plan.suspect(*one)),
                }
                self.plan.reopen(&errand, true);
            }
            Fetched::Failed(error) => return Err(error),
        }
        Ok(())
    }

    fn count(&self, bytes: &[(HospitalId, u64)]) {
        let metrics = &self.fetcher.metrics;
        metrics.peer_fetches.with_label_values(&["ok"]).inc();
        for (hospital, bytes) in bytes {
            let from = if self.plan.is_announcer(*hospital) { "announcer" } else { "other" };
            metrics.peer_bytes.with_label_values(&[from]).inc_by(*bytes);
        }
    }

    fn blame(&mut self, errand: &Errand, hospital: HospitalId, fault: PeerFault, now: Instant) {
        let (fault, dropped) = self.plan.failed(errand, hospital, fault, now);
        self.fetcher.metrics.peer_fetches.with_label_values(&[fault.label()]).inc();
        self.report(hospital, &fault, dropped);
    }

    fn report(&self, hospital: HospitalId, fault: &PeerFault, dropped: bool) {
        let hospital = hospital.0;
        if dropped {
            self.fetcher.metrics.peers_dropped.with_label_values(&[fault.label()]).inc();
            tracing::warn!(hospital, %fault, "a hospital is dropped as a source for this block");
        } else {
            tracing::debug!(hospital, %fault, "a hospital could not supply a segment now");
        }
    }
}

/// The slot, when the request for it is granted.
async fn granted(slot: &mut Option<BoxFuture<'static, Result<Slot, Refused>>>) -> Option<Slot> {
    let granted = slot.as_mut()?.await.ok();
    *slot = None;
    granted
}
