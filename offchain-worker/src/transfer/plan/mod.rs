//! Which hospital to ask for which segment of a block, and when. It is pure: the caller reports what happened and the
//! time, and the plan returns what to do.
//!
//! Every hospital except the announcer needs the whole block. If no byte leaves the announcer twice, each link carries
//! the block about once. So the segments are dealt out: each fetching hospital has a share, which it fetches from the
//! announcer, and fetches the rest from any hospital that has it by then. All hospitals compute the same shares from
//! the block's order and the list of hospitals, without messages. If a hospital does not get its share in time, because
//! it is unreachable, slow or faulty, its share is dealt out among the others.

mod rules;

pub use rules::Rules;

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use epione_primitives::{HospitalId, block::Segment};
use tokio::time::Instant;

use super::{Peer, PeerFault, Roll, relay::Reserve};

/// The longest wait, if nothing happens, before shares are dealt out again.
const MAX_PATIENCE: Duration = Duration::from_secs(60);

/// How long a slow hospital is asked for no segment that another hospital has, apart from the announcer.
const SLOW_FOR: Duration = Duration::from_secs(60);

/// A hospital that took part in so many segments with wrong bytes remains suspect.
const SUSPICIONS: u32 = 3;

/// How many times the usual patience a suspect may need for a segment that another hospital has, and how long it may
/// need while it is not known how long a segment takes.
const SUSPECT_WAITS: u32 = 4;
const SUSPECT_LIMIT: Duration = Duration::from_secs(60);

/// Segments that one question names. That is 17 KB, which is little compared with a segment, even every second.
const NAMED: usize = 256;

/// A segment to fetch from a hospital.
#[derive(Clone, Debug)]
pub struct Errand {
    /// Its position in the plan.
    pub wanted: usize,
    pub segment: Segment,
    /// The peer's position in the plan.
    pub source: usize,
    pub peer: Peer,
    /// The hospitals that may continue the download if the peer breaks off or is slow.
    pub(super) reserve: Reserve,
    /// How long the peer may need before another hospital is asked for the rest.
    pub(super) patience: Duration,
    /// How long a suspect may need in all.
    pub(super) limit: Option<Duration>,
    begun: Instant,
}

/// The question which of these segments a hospital has.
#[derive(Clone, Debug)]
pub struct Question {
    pub source: usize,
    pub peer: Peer,
    /// Their positions in the plan.
    pub wanted: Vec<usize>,
    pub hashes: Vec<[u8; 32]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Underway,
    Here,
}

struct Wanted {
    segment: Segment,
    /// Its position in the block.
    index: usize,
    state: State,
    /// Whether one hospital may continue what another began.
    joint: bool,
    /// Used while it is under way. None if no other hospital may continue it.
    reserve: Option<Reserve>,
}

/// Whether a hospital has a segment, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holding {
    Unknown,
    /// It has announced the block.
    Assumed,
    /// It said so.
    Claimed,
}

struct Source {
    peer: Peer,
    dropped: bool,
    underway: usize,
    /// How often in a row it was busy.
    busy: u32,
    rests_until: Instant,
    /// When it was slow for the first time.
    slow_since: Option<Instant>,
    slow_until: Instant,
    /// It took part in a segment with wrong bytes, which another hospital may have sent. Until it is cleared, no other
    /// hospital continues what it sends, nor the reverse: if it sends wrong bytes again, it is known to be the sender.
    suspect: bool,
    /// How often it took part in such a segment.
    suspicions: u32,
    /// The longest time in which it sent a segment.
    slowest: Option<Duration>,
    asking: bool,
    answered: bool,
    ask_at: Instant,
    pause: Duration,
    /// Where the next question begins.
    cursor: usize,
    /// By position in the plan.
    holds: Vec<Holding>,
}

/// The state of fetching one block.
pub struct Plan {
    rules: Rules,
    wanted: Vec<Wanted>,
    sources: Vec<Source>,
    /// The announcer's position among the sources.
    origin: Option<usize>,
    announced: bool,
    own: Option<HospitalId>,
    /// All hospitals that need the block, including this one, in the order in which segments are dealt out.
    fetchers: Vec<HospitalId>,
    /// Hospitals whose shares are dealt out among the others.
    passed_over: HashSet<HospitalId>,
    direct: bool,
    last_news: Instant,
    /// When the announcer was last busy serving other hospitals.
    turned_away: Instant,
    rounds: u32,
}

impl Plan {
    /// `missing` are the segments that are not here, with their positions in the block. `first` has announced it.
    pub fn new(
        missing: Vec<(usize, Segment)>,
        roll: Roll,
        first: Option<HospitalId>,
        rules: Rules,
        now: Instant,
    ) -> Self {
        let origin = roll.peers.iter().position(|peer| Some(peer.hospital) == first);
        let others = roll.peers.iter().map(|peer| peer.hospital).filter(|id| Some(*id) != first);
        let fetchers: BTreeSet<_> = others.chain(roll.own).collect();
        let bytes: u64 = missing.iter().map(|(_, segment)| u64::from(segment.length)).sum();
        let count = missing.len();
        let source = |(position, peer)| {
            let holding =
                if Some(position) == origin { Holding::Assumed } else { Holding::Unknown };
            Source {
                peer,
                dropped: false,
                underway: 0,
                busy: 0,
                rests_until: now,
                slow_since: None,
                slow_until: now,
                suspect: false,
                suspicions: 0,
                slowest: None,
                asking: false,
                answered: false,
                ask_at: now,
                pause: rules.ask_every.0,
                cursor: 0,
                holds: vec![holding; count],
            }
        };
        let wanted = |(index, segment)| Wanted {
            segment,
            index,
            state: State::Open,
            joint: true,
            reserve: None,
        };
        Self {
            rules,
            wanted: missing.into_iter().map(wanted).collect(),
            sources: roll.peers.into_iter().enumerate().map(source).collect(),
            origin,
            announced: first.is_some(),
            own: roll.own,
            fetchers: fetchers.into_iter().collect(),
            passed_over: HashSet::new(),
            direct: bytes <= rules.small,
            last_news: now,
            turned_away: now,
            rounds: 0,
        }
    }

    /// Segments that are not here yet.
    pub fn missing(&self) -> usize {
        self.wanted.iter().filter(|wanted| wanted.state != State::Here).count()
    }

    pub fn is_announcer(&self, hospital: HospitalId) -> bool {
        self.origin.is_some_and(|origin| self.sources[origin].peer.hospital == hospital)
    }

    /// Whether there is something to fetch now.
    pub fn has_next(&self, now: Instant) -> bool {
        self.choose(now).is_some()
    }

    /// The next segment to fetch, which is under way from then on.
    pub fn next(&mut self, now: Instant) -> Option<Errand> {
        let (wanted, source) = self.choose(now)?;
        let shared = self.wanted[wanted].joint && !self.sources[source].suspect;
        let reserve = shared.then(|| Reserve::new(self.others(wanted, source, now)));
        let (patience, limit) = (self.errand_patience(), self.limit(wanted, source));
        self.sources[source].underway += 1;
        let it = &mut self.wanted[wanted];
        it.state = State::Underway;
        it.reserve = reserve.clone();
        let (segment, peer) = (it.segment, self.sources[source].peer.clone());
        let reserve = reserve.unwrap_or_default();
        Some(Errand { wanted, segment, source, peer, reserve, patience, limit, begun: now })
    }

    /// Nobody continues what a suspect sends. So its time is limited, if another hospital has the segment.
    fn limit(&self, wanted: usize, chosen: usize) -> Option<Duration> {
        let mut others = (0..self.sources.len()).filter(|source| *source != chosen);
        let is_limited =
            self.sources[chosen].suspect && others.any(|source| self.is_held(wanted, source));
        let known = self.slowest().is_some();
        let limit = if known { self.errand_patience() * SUSPECT_WAITS } else { SUSPECT_LIMIT };
        is_limited.then_some(limit)
    }

    fn others(&self, wanted: usize, chosen: usize, now: Instant) -> Vec<Peer> {
        let mut others: Vec<_> = (0..self.sources.len())
            .filter(|source| *source != chosen && self.is_held(wanted, *source))
            .filter(|source| !self.sources[*source].suspect)
            .collect();
        others.sort_by_key(|source| {
            let is_origin = Some(*source) == self.origin;
            (self.is_slow(*source, now), is_origin, self.sources[*source].underway)
        });
        others.into_iter().map(|source| self.sources[source].peer.clone()).collect()
    }

    /// A segment of this hospital's share, from the announcer. If there is none: the segment that the fewest hospitals
    /// have, from the least busy of them.
    fn choose(&self, now: Instant) -> Option<(usize, usize)> {
        if let Some(origin) = self.origin.filter(|origin| self.is_free(*origin, now)) {
            let mine = self.in_turn().find(|wanted| {
                self.is_open(*wanted) && self.is_held(*wanted, origin) && self.is_mine(*wanted)
            });
            if let Some(wanted) = mine {
                return Some((wanted, origin));
            }
        }
        let mut best: Option<(usize, usize, usize)> = None;
        for wanted in self.in_turn().filter(|wanted| self.is_open(*wanted)) {
            let holders = self.holders(wanted, now).count();
            if holders == 0 || best.is_some_and(|(fewest, ..)| fewest <= holders) {
                continue;
            }
            let free = self.holders(wanted, now).filter(|source| self.is_free(*source, now));
            let sources = self.sources.len();
            let least = free
                .min_by_key(|source| (self.sources[*source].underway, (source + wanted) % sources));
            if let Some(source) = least {
                best = Some((holders, wanted, source));
            }
        }
        best.map(|(_, wanted, source)| (wanted, source))
    }

    /// Every hospital begins at another position, so that not all fetch the same segments first.
    fn in_turn(&self) -> impl Iterator<Item = usize> {
        let count = self.wanted.len();
        let rank = self.own.and_then(|own| self.fetchers.iter().position(|id| *id == own));
        let begin = rank.unwrap_or(0) * count / self.fetchers.len().max(1);
        (0..count).map(move |step| (begin + step) % count)
    }

    fn is_open(&self, wanted: usize) -> bool {
        self.wanted[wanted].state == State::Open
    }

    fn is_held(&self, wanted: usize, source: usize) -> bool {
        let source = &self.sources[source];
        !source.dropped && source.holds[wanted] != Holding::Unknown
    }

    fn is_free(&self, source: usize, now: Instant) -> bool {
        let source = &self.sources[source];
        let limit = if source.busy > 0 || source.suspect { 1 } else { self.rules.per_peer };
        !source.dropped && source.rests_until <= now && source.underway < limit
    }

    fn is_slow(&self, source: usize, now: Instant) -> bool {
        self.sources[source].slow_until > now
    }

    /// The hospitals other than the announcer from which a segment may be fetched. A slow one only if no quick one of
    /// them has it, and the announcer does not have it or the slow one keeps its share. After wrong bytes, only if the
    /// announcer does not have it: one of them may have sent these, and nobody would continue its download.
    fn holders(&self, wanted: usize, now: Instant) -> impl Iterator<Item = usize> {
        let all = 0..self.sources.len();
        let others =
            all.filter(move |source| Some(*source) != self.origin && self.is_held(wanted, *source));
        let quick = others.clone().any(|source| !self.is_slow(source, now));
        let at_origin = self.origin.is_some_and(|origin| self.is_held(wanted, origin));
        let whole = !self.wanted[wanted].joint && at_origin;
        others.filter(move |source| {
            let hospital = &self.sources[*source].peer.hospital;
            let elsewhere = quick || (at_origin && self.passed_over.contains(hospital));
            !(whole || elsewhere && self.is_slow(*source, now))
        })
    }

    /// Whether this hospital fetches a segment from the announcer.
    fn is_mine(&self, wanted: usize) -> bool {
        let Some(own) = self.own else { return true };
        let wanted = &self.wanted[wanted];
        self.direct || !wanted.joint || self.assignee(wanted.index).is_none_or(|id| id == own)
    }

    /// The hospital whose share contains a position in the block.
    fn assignee(&self, index: usize) -> Option<HospitalId> {
        let count = self.fetchers.len();
        let dealt = *self.fetchers.get(index.checked_rem(count)?)?;
        if !self.passed_over.contains(&dealt) {
            return Some(dealt);
        }
        let left: Vec<_> =
            self.fetchers.iter().filter(|id| !self.passed_over.contains(id)).collect();
        // This formula spreads a share over all remaining hospitals, whatever their number.
        left.get((index / count + index).checked_rem(left.len())?).map(|id| **id)
    }

    /// The questions to ask now, which are under way from then on.
    pub fn questions(&mut self, now: Instant) -> Vec<Question> {
        if self.direct && self.origin_has_all() {
            return Vec::new();
        }
        let open: Vec<_> = (0..self.wanted.len()).filter(|wanted| self.is_open(*wanted)).collect();
        let mut questions = Vec::new();
        for (position, source) in self.sources.iter_mut().enumerate() {
            if source.dropped || source.asking || source.ask_at > now {
                continue;
            }
            let unknown: Vec<_> =
                open.iter().copied().filter(|w| source.holds[*w] == Holding::Unknown).collect();
            if unknown.is_empty() {
                continue;
            }
            let begin = unknown.partition_point(|wanted| *wanted < source.cursor);
            let turned = unknown[begin..].iter().chain(&unknown[..begin]);
            let wanted: Vec<_> = turned.take(NAMED).copied().collect();
            source.cursor = wanted.last().map_or(0, |last| last + 1);
            source.asking = true;
            let hashes = wanted.iter().map(|w| self.wanted[*w].segment.hash).collect();
            questions.push(Question {
                source: position,
                peer: source.peer.clone(),
                wanted,
                hashes,
            });
        }
        questions
    }

    fn origin_has_all(&self) -> bool {
        let held =
            |origin| (0..self.wanted.len()).all(|w| !self.is_open(w) || self.is_held(w, origin));
        self.origin.is_some_and(held)
    }

    /// Records which segments a hospital says it has.
    pub fn answered(&mut self, question: &Question, held: &[bool], now: Instant) {
        let source = &mut self.sources[question.source];
        let mut news = false;
        for (wanted, _) in question.wanted.iter().zip(held).filter(|(_, held)| **held) {
            if source.holds[*wanted] == Holding::Unknown {
                source.holds[*wanted] = Holding::Claimed;
                news = true;
                let it = &self.wanted[*wanted];
                let reserve = it.reserve.as_ref().filter(|_| it.state == State::Underway);
                if let Some(reserve) = reserve.filter(|_| !source.suspect) {
                    reserve.add_last(source.peer.clone());
                }
            }
        }
        source.answered = true;
        let (first, cap) = self.rules.ask_every;
        source.pause = if news { first } else { (source.pause * 3 / 2).min(cap) };
        source.asking = false;
        source.ask_at = now + source.pause;
        if news {
            self.last_news = now;
        }
    }

    /// The hospital is in maintenance: for a while it is asked for no segment that another one has, like a slow one. It
    /// is asked again which segments it has, so it is spared as long as it says so. The announcer is asked in any case:
    /// it finishes what it has announced.
    pub fn spare(&mut self, question: &Question, now: Instant) {
        let source = &mut self.sources[question.source];
        source.slow_until = source.slow_until.max(now + SLOW_FOR);
    }

    /// Records that a question was not answered. Returns whether the hospital is dropped.
    pub fn unanswered(&mut self, question: &Question, fault: &PeerFault, now: Instant) -> bool {
        let cap = self.rules.ask_every.1;
        let source = &mut self.sources[question.source];
        source.asking = false;
        source.ask_at = now + cap;
        fault.drops() && self.drop_source(question.source)
    }

    /// Returns whether it was not dropped before.
    fn drop_source(&mut self, source: usize) -> bool {
        let source = &mut self.sources[source];
        let news = !source.dropped;
        source.dropped = true;
        let hospital = source.peer.hospital;
        self.leave_reserves(hospital);
        self.passed_over.insert(hospital);
        news
    }

    fn leave_reserves(&self, hospital: HospitalId) {
        let reserves = self.wanted.iter().filter_map(|wanted| wanted.reserve.as_ref());
        reserves.for_each(|reserve| reserve.remove(hospital));
    }

    /// Records that a hospital took part in a segment with wrong bytes, which another one may have sent. Until a whole
    /// right segment comes from it alone, it is alone in its downloads. The announcer is asked for the whole of such a
    /// segment anyway, which shows whether it lies. If it were suspect, it could not continue what others send slowly.
    pub fn suspect(&mut self, hospital: HospitalId) {
        let is_other = !self.is_announcer(hospital);
        let found = self.sources.iter_mut().find(|it| is_other && it.peer.hospital == hospital);
        if let Some(source) = found {
            source.suspect = true;
            source.suspicions += 1;
            self.leave_reserves(hospital);
        }
    }

    /// Records that a hospital failed at an errand. Returns the resulting fault, and whether the hospital is dropped
    /// now.
    pub fn failed(
        &mut self,
        errand: &Errand,
        hospital: HospitalId,
        fault: PeerFault,
        now: Instant,
    ) -> (PeerFault, bool) {
        let Some(position) = self.sources.iter().position(|it| it.peer.hospital == hospital) else {
            return (fault, false);
        };
        let source = &mut self.sources[position];
        match fault {
            PeerFault::Absent if source.holds[errand.wanted] == Holding::Claimed => {
                (PeerFault::BrokenPromise, self.drop_source(position))
            }
            PeerFault::Absent => {
                source.holds[errand.wanted] = Holding::Unknown;
                source.ask_at = now + self.rules.ask_every.1;
                (PeerFault::Absent, false)
            }
            PeerFault::Busy => {
                let (first, cap) = self.rules.rest;
                source.rests_until = now + first.saturating_mul(1 << source.busy.min(16)).min(cap);
                source.busy += 1;
                if Some(position) == self.origin {
                    self.turned_away = now;
                }
                (PeerFault::Busy, false)
            }
            PeerFault::Slow => {
                // A hospital may be slow once. Segments that were under way at that time do not count again.
                let since = *source.slow_since.get_or_insert(now);
                source.slow_until = now + SLOW_FOR;
                if errand.begun > since {
                    self.passed_over.insert(hospital);
                }
                (PeerFault::Slow, false)
            }
            fault if fault.drops() => (fault, self.drop_source(position)),
            fault => (fault, false),
        }
    }

    /// Records that an errand has ended, and the segment is here. `took` is the time from the request to the last byte,
    /// if all of it came from the errand's peer.
    pub fn arrived(&mut self, errand: &Errand, took: Option<Duration>, now: Instant) {
        self.wanted[errand.wanted].state = State::Here;
        self.last_news = now;
        let source = &mut self.sources[errand.source];
        source.underway -= 1;
        if took.is_some() {
            source.busy = 0;
            source.slowest = source.slowest.max(took);
            source.suspect &= source.suspicions >= SUSPICIONS;
        }
    }

    /// Records that an errand has ended, and the segment must be fetched again: from a single hospital if `whole`.
    pub fn reopen(&mut self, errand: &Errand, whole: bool) {
        let wanted = &mut self.wanted[errand.wanted];
        wanted.state = State::Open;
        wanted.joint &= !whole;
        self.sources[errand.source].underway -= 1;
    }

    /// Deals out the shares of hospitals that are too late.
    pub fn settle(&mut self, now: Instant) {
        let Some(origin) = self.origin.filter(|origin| !self.sources[*origin].dropped) else {
            return;
        };
        // An announcer that is busy is serving other hospitals their shares: then nobody is late. And before the first
        // segment has arrived, it is not known how long one takes.
        let underway = self.wanted.iter().any(|wanted| wanted.state == State::Underway);
        let since = self.last_news.max(self.turned_away);
        if now < since + self.patience() || (self.slowest().is_none() && underway) {
            return;
        }
        let late: HashSet<_> = (0..self.wanted.len())
            .filter(|wanted| self.is_open(*wanted) && self.is_held(*wanted, origin))
            .filter(|wanted| !self.is_mine(*wanted) && self.holders(*wanted, now).next().is_none())
            .filter_map(|wanted| self.assignee(self.wanted[wanted].index))
            .collect();
        if !late.is_empty() {
            self.passed_over.extend(late);
            self.rounds += 1;
            self.last_news = now;
        }
    }

    /// The longest time in which any hospital sent a segment.
    fn slowest(&self) -> Option<Duration> {
        self.sources.iter().filter_map(|source| source.slowest).max()
    }

    /// Twice the time of the quickest hospital's slowest segment: hospitals that get slower and slower do not prolong
    /// it.
    fn errand_patience(&self) -> Duration {
        let quickest = self.sources.iter().filter_map(|source| source.slowest).min();
        self.rules.patience.max(quickest.unwrap_or_default() * 2)
    }

    fn patience(&self) -> Duration {
        let patience = self.rules.patience.max(self.slowest().unwrap_or_default() * 2);
        patience.saturating_mul(1 << self.rounds.min(16)).min(MAX_PATIENCE.max(patience))
    }

    /// Whether no further segment can be expected.
    pub fn is_hopeless(&self, now: Instant) -> bool {
        if self.wanted.iter().any(|wanted| wanted.state == State::Underway) {
            return false;
        }
        let somebody = (0..self.wanted.len()).any(|wanted| {
            let mut sources = 0..self.sources.len();
            self.is_open(wanted) && sources.any(|source| self.is_held(wanted, source))
        });
        if somebody {
            return now >= self.last_news + self.rules.give_up.max(self.patience());
        }
        let all_said = self.sources.iter().all(|source| source.dropped || source.answered);
        // Other hospitals may be about to receive segments from the announcer.
        let patience = if self.announced { self.patience() } else { Duration::ZERO };
        let waited = now >= self.last_news + patience;
        waited && (all_said || now >= self.last_news + self.rules.give_up)
    }
}

#[cfg(test)]
mod tests;
