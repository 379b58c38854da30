//! The simulation of one chain: visits, lite blocks, announcements, votes and commits as events in order of time.

mod pool;

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, VecDeque},
};

use self::pool::{Pool, Votes};
use crate::{
    assumptions::{
        BALLOT_BLOCKS, CHECK_RECORD, MAX_PENDING, OFFER_FROM, OFFER_WAIT, PACK_BODY, PACK_MEDIA,
        PACK_RECORDS, PACK_SECONDS, SEALED_TEXT, SEGMENT, SLOT,
    },
    chain::{Finality, approvals_needed, finality, gossip},
    design::Model,
    draw::custodians,
    links::Links,
    random::Random,
    swarm::Tails,
    workload::Visit,
};

/// The stream of random numbers for draws and readers, apart from those of hospitals.
const DRAWS: u64 = u64::MAX;
/// Seconds after the last visit in which the simulation still runs: a ballot, an offer, and some blocks.
const DRAIN: f64 = 900.0;

/// What to simulate.
pub struct Setting<'a> {
    pub model: &'a Model,
    pub tails: &'a Tails,
    /// Custodians of each block; none: all hospitals.
    pub custodians: Option<usize>,
    pub seed: u64,
    /// Visits after these seconds are left out.
    pub end: f64,
    /// Only visits from here on are counted.
    pub begin: f64,
}

/// What happened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Seconds from each counted visit until it was committed in a best block, ascending. Infinite if it was not.
    pub commits: Vec<f64>,
    pub announcements: u64,
    pub expired: u64,
    /// Votes in blocks, and those among them that were not needed.
    pub votes: u64,
    pub late_votes: u64,
    /// The most votes of one block, and the largest shares of a block's weight and bytes.
    pub most_votes: u64,
    pub most_weight: f64,
    pub most_bytes: f64,
    /// The most transactions that waited for a block.
    pub most_waiting: u64,
    pub sent: Vec<f64>,
    pub received: Vec<f64>,
    /// Bytes for which each hospital was drawn as custodian.
    pub entrusted: Vec<f64>,
    pub finality_seconds: f64,
}

impl Outcome {
    /// The value below which this share of the commits is.
    pub fn quantile(&self, share: f64) -> f64 {
        let index = (share * self.commits.len() as f64).ceil() as usize;
        self.commits.get(index.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }
}

/// Who stores a block in addition to its announcer, and votes on it.
#[derive(Clone, Debug, Default)]
enum Receivers {
    #[default]
    AllOthers,
    Drawn(Vec<usize>),
}

/// A lite block.
#[derive(Default)]
struct Block {
    announcer: usize,
    visits: Vec<Visit>,
    text: u64,
    media: u64,
    receivers: Receivers,
    /// When those that have the media already could vote, as (slot, number).
    ready: Vec<(u64, u64)>,
    approvals: usize,
    committed: Option<u64>,
    expired: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Visit { hospital: usize, index: usize },
    Pack { hospital: usize, batch: usize },
    Announce(usize),
    Final(usize),
    Expire(usize),
    Slot(u64),
}

/// An event, in order of time and then of creation.
struct Timed {
    at: f64,
    number: u64,
    event: Event,
}

impl PartialEq for Timed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Timed {}
impl PartialOrd for Timed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Timed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.total_cmp(&other.at).then(self.number.cmp(&other.number))
    }
}

#[derive(Default)]
struct Hospital {
    queue: Vec<Visit>,
    /// How many batches were packed.
    batches: usize,
    open: usize,
    waiting: VecDeque<usize>,
}

struct Engine<'a> {
    setting: &'a Setting<'a>,
    days: &'a [Vec<Visit>],
    now: f64,
    numbers: u64,
    events: BinaryHeap<Reverse<Timed>>,
    hospitals: Vec<Hospital>,
    blocks: Vec<Block>,
    links: Links,
    pool: Pool,
    /// Bytes that the chain gave each hospital to store.
    entrusted: Vec<f64>,
    random: Random,
    finality: Finality,
    gossip: f64,
    outcome: Outcome,
}

/// Simulates one chain of the hospitals with these days.
pub fn run(setting: &Setting, days: &[Vec<Visit>]) -> Outcome {
    let count = days.len();
    let finality = finality(count, setting.model);
    let mut engine = Engine {
        setting,
        days,
        now: 0.0,
        numbers: 0,
        events: BinaryHeap::new(),
        hospitals: (0..count).map(|_| Hospital::default()).collect(),
        blocks: Vec::new(),
        links: Links::new(count, setting.model.link, setting.tails.clone()),
        pool: Pool::default(),
        entrusted: vec![0.0; count],
        random: Random::new(setting.seed, DRAWS),
        finality,
        gossip: gossip(count),
        outcome: Outcome { finality_seconds: finality.seconds, ..Outcome::default() },
    };
    (0..count).for_each(|hospital| engine.await_visit(hospital, 0));
    engine.schedule(SLOT, Event::Slot(1));
    while let Some(Reverse(timed)) = engine.events.pop() {
        engine.now = timed.at;
        engine.handle(timed.event);
    }
    engine.finish()
}

impl Engine<'_> {
    fn schedule(&mut self, at: f64, event: Event) {
        self.numbers += 1;
        self.events.push(Reverse(Timed { at, number: self.numbers, event }));
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Visit { hospital, index } => self.visit(hospital, index),
            Event::Pack { hospital, batch } => {
                if self.hospitals[hospital].batches == batch {
                    self.pack(hospital);
                }
            }
            Event::Announce(block) => self.announce(block),
            Event::Final(block) => self.vote(block),
            Event::Expire(block) => self.expire(block),
            Event::Slot(slot) => self.slot(slot),
        }
    }

    fn await_visit(&mut self, hospital: usize, index: usize) {
        if let Some(visit) = self.days[hospital].get(index).filter(|it| it.at < self.setting.end) {
            self.schedule(visit.at, Event::Visit { hospital, index });
        }
    }

    fn visit(&mut self, hospital: usize, index: usize) {
        let visit = self.days[hospital][index];
        let queue = &self.hospitals[hospital].queue;
        let media: u64 = queue.iter().map(|it| it.media).sum();
        let text: u64 = queue.iter().map(|it| it.text).sum();
        let body = SEALED_TEXT * (text + visit.text) as f64;
        let fits = queue.len() < PACK_RECORDS
            && media + visit.media <= PACK_MEDIA
            && body <= PACK_BODY as f64;
        if !fits {
            self.pack(hospital);
        }
        let it = &mut self.hospitals[hospital];
        it.queue.push(visit);
        let (first, batch) = (it.queue.len() == 1, it.batches);
        if first {
            self.schedule(self.now + PACK_SECONDS, Event::Pack { hospital, batch });
        }
        self.await_visit(hospital, index + 1);
    }

    fn pack(&mut self, announcer: usize) {
        let it = &mut self.hospitals[announcer];
        it.batches += 1;
        let visits = std::mem::take(&mut it.queue);
        if visits.is_empty() {
            return;
        }
        let (text, media) =
            visits.iter().fold((0, 0), |sum, it| (sum.0 + it.text, sum.1 + it.media));
        let receivers = self.receivers(announcer, media as f64);
        let number = self.blocks.len();
        let block = Block { announcer, visits, text, media, receivers, ..Block::default() };
        self.blocks.push(block);
        let announced_at = if media >= OFFER_FROM { self.offer(number) } else { self.now };
        self.schedule(announced_at, Event::Announce(number));
    }

    fn receivers(&mut self, announcer: usize, media: f64) -> Receivers {
        let Some(k) = self.setting.custodians.filter(|k| k + 1 < self.hospitals.len()) else {
            return Receivers::AllOthers;
        };
        let drawn = custodians(&mut self.random, &self.entrusted, announcer, k);
        drawn.iter().for_each(|it| self.entrusted[*it] += media);
        Receivers::Drawn(drawn)
    }

    /// The number of receivers of a block.
    fn count_of(&self, number: usize) -> usize {
        match &self.blocks[number].receivers {
            Receivers::AllOthers => self.hospitals.len() - 1,
            Receivers::Drawn(drawn) => drawn.len(),
        }
    }

    /// Offers a block. Returns when the worker announces it: when enough hospitals have it, or after the longest delay.
    fn offer(&mut self, number: usize) -> f64 {
        let mut ready = self.spread(number);
        let needed = approvals_needed(ready.len() + 1);
        let longest = self.now + 2.0 * OFFER_WAIT + self.blocks[number].media as f64 / 1_048_576.0;
        let majority = match needed.checked_sub(1) {
            Some(index) => *ready.select_nth_unstable_by(index, f64::total_cmp).1,
            None => self.now,
        };
        self.blocks[number].ready = self.by_slot(ready);
        majority.min(longest)
    }

    /// Sends a block's media to its receivers, and what another hospital reads of them. Returns when each receiver has
    /// all.
    fn spread(&mut self, number: usize) -> Vec<f64> {
        let Block { announcer, media, ref receivers, .. } = self.blocks[number];
        let (bytes, all) = (media as f64, self.hospitals.len());
        match receivers {
            Receivers::AllOthers => {
                let others: Vec<usize> = (0..all).filter(|it| *it != announcer).collect();
                self.links.spread(self.now, announcer, &others, bytes)
            }
            Receivers::Drawn(drawn) => {
                let ready = self.links.spread(self.now, announcer, drawn, bytes);
                let reader = self.random.within(0, all as u64 - 1) as usize;
                if reader != announcer && !drawn.contains(&reader) {
                    let holder = drawn[self.random.within(0, drawn.len() as u64 - 1) as usize];
                    let read = bytes * self.setting.model.remote_reads;
                    self.links.read(self.now, holder, reader, read);
                }
                ready
            }
        }
    }

    /// How many could vote in which slot, if the announcement was final.
    fn by_slot(&self, mut times: Vec<f64>) -> Vec<(u64, u64)> {
        times.sort_unstable_by(f64::total_cmp);
        let mut slots: Vec<(u64, u64)> = Vec::new();
        for time in times {
            let slot = self.slot_after(time);
            match slots.last_mut() {
                Some((last, count)) if *last == slot => *count += 1,
                _ => slots.push((slot, 1)),
            }
        }
        slots
    }

    /// The first slot whose author has what is sent at a time.
    fn slot_after(&self, time: f64) -> u64 {
        ((time + self.gossip) / SLOT).ceil() as u64
    }

    fn announce(&mut self, number: usize) {
        let hospital = &mut self.hospitals[self.blocks[number].announcer];
        if hospital.open >= MAX_PENDING {
            hospital.waiting.push_back(number);
            return;
        }
        hospital.open += 1;
        let slot = self.slot_after(self.now);
        self.pool.announcements.entry(slot).or_default().push(number);
    }

    /// The announcement is final: every receiver checks it, and votes as soon as it has all media.
    fn vote(&mut self, number: usize) {
        let block = &self.blocks[number];
        let checked = self.now + CHECK_RECORD * block.visits.len() as f64;
        let first = self.slot_after(checked);
        let mut ready = std::mem::take(&mut self.blocks[number].ready);
        let block = &self.blocks[number];
        if block.media == 0 {
            ready = vec![(first, self.count_of(number) as u64)];
        } else if block.media < OFFER_FROM {
            let times = self.spread(number);
            ready = self.by_slot(times);
        }
        for (slot, count) in ready {
            self.pool.arrive(slot.max(first), Votes { block: number, count });
        }
    }

    fn expire(&mut self, number: usize) {
        if self.blocks[number].committed.is_none() {
            self.blocks[number].expired = true;
            self.outcome.expired += 1;
            self.close(number);
        }
    }

    /// The hospital may announce another block.
    fn close(&mut self, number: usize) {
        let announcer = self.blocks[number].announcer;
        let hospital = &mut self.hospitals[announcer];
        hospital.open -= 1;
        if let Some(next) = hospital.waiting.pop_front() {
            self.announce(next);
        }
    }

    fn finish(mut self) -> Outcome {
        for block in &self.blocks {
            let at = block.committed.map_or(f64::INFINITY, |slot| slot as f64 * SLOT);
            let counted = block.visits.iter().filter(|visit| visit.at >= self.setting.begin);
            self.outcome.commits.extend(counted.map(|visit| at - visit.at));
        }
        self.outcome.commits.sort_unstable_by(f64::total_cmp);
        self.outcome.sent = self.links.sent;
        self.outcome.received = self.links.received;
        self.outcome.entrusted = self.entrusted;
        self.outcome
    }
}

/// Tails for this model's links.
pub fn tails(model: &Model) -> Tails {
    Tails::measure(model.link / 8.0, SEGMENT)
}

#[cfg(test)]
mod tests;
