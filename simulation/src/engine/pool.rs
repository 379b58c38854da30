//! The transactions that wait for a block, and what each block takes of them: votes first, then announcements.

use std::collections::{BTreeMap, VecDeque};

use super::{BALLOT_BLOCKS, DRAIN, Engine, Event};
use crate::{
    assumptions::SLOT,
    chain::{Cost, ROOM, announcement, approvals_needed, vote},
};

/// Votes in one ballot, which arrive together.
#[derive(Clone, Copy, Debug)]
pub struct Votes {
    pub block: usize,
    pub count: u64,
}

#[derive(Default)]
pub struct Pool {
    /// By the slot in which they arrive.
    pub announcements: BTreeMap<u64, Vec<usize>>,
    votes: BTreeMap<u64, Vec<Votes>>,
    waiting_announcements: VecDeque<usize>,
    waiting_votes: VecDeque<Votes>,
}

impl Pool {
    pub fn arrive(&mut self, slot: u64, votes: Votes) {
        self.votes.entry(slot).or_default().push(votes);
    }

    fn waiting(&self) -> u64 {
        let votes: u64 = self.waiting_votes.iter().map(|votes| votes.count).sum();
        votes + self.waiting_announcements.len() as u64
    }
}

impl Engine<'_> {
    /// Makes the chain's next block.
    pub(super) fn slot(&mut self, slot: u64) {
        self.collect(slot);
        self.outcome.most_waiting = self.outcome.most_waiting.max(self.pool.waiting());
        let before = self.outcome.votes;
        let room = self.include_votes(slot, ROOM);
        let room = self.include_announcements(slot, room);
        self.outcome.most_votes = self.outcome.most_votes.max(self.outcome.votes - before);
        let used = |all: f64, left: f64| (all - left) / all;
        self.outcome.most_weight = self.outcome.most_weight.max(used(ROOM.weight, room.weight));
        self.outcome.most_bytes = self.outcome.most_bytes.max(used(ROOM.bytes, room.bytes));
        if self.now < self.setting.end + DRAIN {
            self.schedule((slot + 1) as f64 * SLOT, Event::Slot(slot + 1));
        }
    }

    /// Moves what has arrived into the pool. A hospital that knows that a ballot is closed does not vote in it.
    fn collect(&mut self, slot: u64) {
        let pool = &mut self.pool;
        while let Some(entry) = pool.announcements.first_entry().filter(|it| *it.key() <= slot) {
            pool.waiting_announcements.extend(entry.remove());
        }
        while let Some(entry) = pool.votes.first_entry().filter(|it| *it.key() <= slot) {
            let sent_after = (*entry.key() - 1) as f64 * SLOT;
            let knows = |votes: &Votes| {
                let block = &self.blocks[votes.block];
                let closed = block.committed.map(|at| at as f64 * SLOT + self.finality.seconds);
                block.expired || closed.is_some_and(|closed| closed <= sent_after)
            };
            pool.waiting_votes.extend(entry.remove().into_iter().filter(|votes| !knows(votes)));
        }
    }

    fn include_votes(&mut self, slot: u64, mut room: Cost) -> Cost {
        while let Some(Votes { block, count }) = self.pool.waiting_votes.pop_front() {
            let each = vote(self.count_of(block) + 1);
            let included = room.fits(each).min(count);
            room = room.less(each, included);
            self.count(slot, block, included);
            if included < count {
                let left = Votes { block, count: count - included };
                self.pool.waiting_votes.push_front(left);
                break;
            }
        }
        room
    }

    fn count(&mut self, slot: u64, number: usize, votes: u64) {
        self.outcome.votes += votes;
        let needed = approvals_needed(self.count_of(number) + 1);
        let block = &mut self.blocks[number];
        if block.committed.is_some() || block.expired {
            self.outcome.late_votes += votes;
            return;
        }
        block.approvals += votes as usize;
        if block.approvals >= needed {
            self.outcome.late_votes += (block.approvals - needed) as u64;
            block.committed = Some(slot);
            self.close(number);
        }
    }

    fn include_announcements(&mut self, slot: u64, mut room: Cost) -> Cost {
        while let Some(number) = self.pool.waiting_announcements.pop_front() {
            let block = &self.blocks[number];
            let each = announcement(block.visits.len(), block.text);
            if room.fits(each) == 0 {
                self.pool.waiting_announcements.push_front(number);
                break;
            }
            room = room.less(each, 1);
            self.outcome.announcements += 1;
            self.schedule(self.now + self.finality.seconds, Event::Final(number));
            let deadline = (slot + BALLOT_BLOCKS) as f64 * SLOT;
            self.schedule(deadline, Event::Expire(number));
        }
        room
    }
}
