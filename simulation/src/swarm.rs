//! One block over shaped links, segment by segment, as `offchain-worker/src/transfer/plan` deals it out: each hospital
//! fetches its share from the announcer, and the rest from any hospital that has it, the rarest segment first.
//!
//! A link is divided equally among the transfers that use it. Left out: TCP, TLS, busy answers, slow hospitals, and the
//! part of a segment that another hospital continues.

use crate::assumptions::{ASK, PARALLEL, PER_PEER};

/// The announcer, among the sources.
const ANNOUNCER: usize = 0;
/// Bytes that are left of a transfer, because of rounding, when it is complete.
const NOTHING: f64 = 1e-6;

/// What became of a block.
#[derive(Clone, Debug)]
pub struct Spread {
    /// Seconds until each other hospital had the whole block, ascending.
    pub whole: Vec<f64>,
    /// Bytes that each hospital sent; the announcer is the first.
    pub sent: Vec<f64>,
    pub received: Vec<f64>,
}

struct Transfer {
    segment: usize,
    source: usize,
    target: usize,
    left: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Open,
    Underway,
    /// Since when others may know it.
    Here(f64),
}

struct Swarm {
    now: f64,
    /// Bytes per second of each link, in each direction.
    link: f64,
    segment_bytes: f64,
    /// By hospital and segment.
    states: Vec<Vec<State>>,
    sending: Vec<usize>,
    receiving: Vec<usize>,
    transfers: Vec<Transfer>,
    spread: Spread,
}

/// A block of so many segments for `others` hospitals in addition to the announcer.
pub fn spread(others: usize, segments: usize, segment_bytes: f64, link: f64) -> Spread {
    let hospitals = others + 1;
    let mut states = vec![vec![State::Open; segments]; hospitals];
    states[ANNOUNCER] = vec![State::Here(f64::NEG_INFINITY); segments];
    let spread =
        Spread { whole: Vec::new(), sent: vec![0.0; hospitals], received: vec![0.0; hospitals] };
    let mut swarm = Swarm {
        now: 0.0,
        link,
        segment_bytes,
        states,
        sending: vec![0; hospitals],
        receiving: vec![0; hospitals],
        transfers: Vec::new(),
        spread,
    };
    while swarm.spread.whole.len() < others {
        swarm.begin_all();
        swarm.advance();
    }
    swarm.spread
}

impl Swarm {
    /// Begins every transfer for which there is a place. Hospitals take turns, so that none takes all places.
    fn begin_all(&mut self) {
        let mut any = true;
        while any {
            any = false;
            for target in 1..self.states.len() {
                if self.receiving[target] < PARALLEL
                    && let Some((segment, source)) = self.choose(target)
                {
                    self.begin(segment, source, target);
                    any = true;
                }
            }
        }
    }

    fn begin(&mut self, segment: usize, source: usize, target: usize) {
        self.states[target][segment] = State::Underway;
        self.sending[source] += 1;
        self.receiving[target] += 1;
        self.transfers.push(Transfer { segment, source, target, left: self.segment_bytes });
    }

    /// The next segment for a hospital, and from where.
    fn choose(&self, target: usize) -> Option<(usize, usize)> {
        let segments = self.states[target].len();
        let others = self.states.len() - 1;
        let begin = (target - 1) * segments / others;
        let in_turn = || (0..segments).map(|step| (begin + step) % segments);
        let open = |segment: &usize| self.states[target][*segment] == State::Open;
        if self.is_free(ANNOUNCER, target) {
            let mine = in_turn().filter(open).find(|segment| segment % others == target - 1);
            if let Some(segment) = mine {
                return Some((segment, ANNOUNCER));
            }
        }
        let mut best: Option<(usize, usize, usize)> = None;
        for segment in in_turn().filter(open) {
            let holders = || (1..=others).filter(move |source| self.is_known(*source, segment));
            let count = holders().count();
            if count == 0 || best.is_some_and(|(fewest, ..)| fewest <= count) {
                continue;
            }
            let free = holders().filter(|source| self.is_free(*source, target));
            let turn = |source: &usize| (self.sending[*source], (source + segment) % (others + 1));
            if let Some(source) = free.min_by_key(turn) {
                best = Some((count, segment, source));
            }
        }
        best.map(|(_, segment, source)| (segment, source))
    }

    /// Whether others know that a hospital has a segment: they ask it now and then.
    fn is_known(&self, source: usize, segment: usize) -> bool {
        matches!(self.states[source][segment], State::Here(since) if since + ASK <= self.now)
    }

    fn is_free(&self, source: usize, target: usize) -> bool {
        let both = |it: &&Transfer| it.source == source && it.target == target;
        self.sending[source] < PARALLEL && self.transfers.iter().filter(both).count() < PER_PEER
    }

    fn rate(&self, transfer: &Transfer) -> f64 {
        let sharing = self.sending[transfer.source].max(self.receiving[transfer.target]);
        self.link / sharing as f64
    }

    /// Moves the time to the next end of a transfer, or to when a hospital's segment becomes known.
    fn advance(&mut self) {
        let ends = self.transfers.iter().map(|it| it.left / self.rate(it));
        let known = self.states[1..].iter().flatten().filter_map(|state| match state {
            State::Here(since) if since + ASK > self.now => Some(since + ASK - self.now),
            _ => None,
        });
        let step = ends.chain(known).fold(f64::INFINITY, f64::min);
        assert!(step.is_finite(), "something is missing, and nothing is under way");
        let moved: Vec<f64> = self.transfers.iter().map(|it| step * self.rate(it)).collect();
        for (transfer, moved) in self.transfers.iter_mut().zip(moved) {
            transfer.left -= moved;
            self.spread.sent[transfer.source] += moved;
            self.spread.received[transfer.target] += moved;
        }
        self.now += step;
        let (ended, left) = std::mem::take(&mut self.transfers)
            .into_iter()
            .partition::<Vec<_>, _>(|it| it.left <= NOTHING);
        self.transfers = left;
        for Transfer { segment, source, target, .. } in ended {
            self.sending[source] -= 1;
            self.receiving[target] -= 1;
            self.states[target][segment] = State::Here(self.now);
            if self.states[target].iter().all(|state| matches!(state, State::Here(_))) {
                self.spread.whole.push(self.now);
            }
        }
    }
}

/// How many seconds longer than one link a block takes until all have it, by the number of hospitals (its logarithm).
#[derive(Clone, Debug)]
pub struct Tails(Vec<(f64, f64)>);

impl Tails {
    /// Blocks of 16 segments for 3 to 63 other hospitals, which is more than a video, over this link.
    pub fn measure(link: f64, segment_bytes: f64) -> Self {
        let one = segment_bytes / link;
        let tail = |others: usize| {
            let spread = spread(others, 16, segment_bytes, link);
            let last = spread.whole.last().copied().unwrap_or(0.0);
            ((others as f64).log2(), (last - 16.0 * one).max(0.0))
        };
        Self([3, 7, 15, 31, 63].map(tail).to_vec())
    }

    /// No time: for tests whose numbers are computed by hand.
    #[cfg(test)]
    pub fn none() -> Self {
        Self(vec![(0.0, 0.0), (1.0, 0.0)])
    }

    /// Seconds for so many other hospitals. Beyond those that were measured, it grows as between the last two: with the
    /// logarithm of their number.
    pub fn seconds(&self, others: usize) -> f64 {
        let at = (others.max(1) as f64).log2();
        let points = &self.0;
        let after = points.iter().position(|(x, _)| *x >= at).unwrap_or(points.len() - 1).max(1);
        let ((x, y), (next_x, next_y)) = (points[after - 1], points[after]);
        (y + (at - x) * (next_y - y) / (next_x - x)).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_segment_for_one_hospital_takes_one_link() {
        let spread = spread(1, 1, 1_000.0, 100.0);
        assert!((spread.whole[0] - 10.0).abs() < 1e-9, "{spread:?}");
    }

    #[test]
    fn every_byte_that_was_sent_was_received_and_no_more_than_needed() {
        for (others, segments) in [(3, 64), (7, 5), (15, 64), (31, 1)] {
            let spread = spread(others, segments, 4e6, 2.5e6);
            let (sent, received): (f64, f64) =
                (spread.sent.iter().sum(), spread.received.iter().sum());
            let block = segments as f64 * 4e6;
            assert!((sent - received).abs() < 1.0, "{others}: {sent} {received}");
            assert!((received - block * others as f64).abs() < 1.0, "{others}: {received}");
            assert_eq!(spread.received[ANNOUNCER], 0.0);
            // Each segment leaves the announcer once.
            assert!((spread.sent[ANNOUNCER] - block).abs() < 1.0, "{:?}", spread.sent);
        }
    }

    #[test]
    fn nobody_is_quicker_than_one_link() {
        let spread = spread(15, 64, 4e6, 2.5e6);
        let one_link = 64.0 * 4e6 / 2.5e6;
        assert!(spread.whole.iter().all(|whole| *whole >= one_link), "{:?}", spread.whole);
        assert!(spread.whole.is_sorted() && spread.whole.len() == 15);
    }

    #[test]
    fn tails_grow_with_the_number_of_hospitals() {
        let tails = Tails(vec![(1.0, 2.0), (2.0, 3.0), (3.0, 5.0)]);
        assert!((tails.seconds(2) - 2.0).abs() < 1e-9);
        assert!((tails.seconds(4) - 3.0).abs() < 1e-9);
        assert!((tails.seconds(16) - 7.0).abs() < 1e-9, "two more for each doubling");
    }
}
