//! What may be used and what was used, as numbers.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use epione_primitives::{
    BlockNumber,
    limits::{DAY_BLOCKS, WEIGHT_WINDOW_BLOCKS},
};
use scale_info::TypeInfo;

/// What a transaction is for. When blocks are full, the transactions of a later lane come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Lane {
    /// Users' own calls, except questions in emergencies, rotations of keys and calls that end access.
    #[codec(index = 0)]
    User,
    /// An agent's calls, except votes: announcements, registrations, relationships, receipts. Of a governance account,
    /// only issued credentials.
    #[codec(index = 2)]
    Record,
    /// Doctors' questions for openings in emergencies, which must get through although other users of the hospital use
    /// up its budget. They come before an agent's calls, and after what ends access.
    #[codec(index = 6)]
    Emergency,
    /// Users' rotations of their keys, which must get through after a theft.
    #[codec(index = 1)]
    Rotation,
    /// Users' calls that end access to records, which must get through although a hospital wants to keep the access.
    /// They come as early as rotations, and have budgets of their own: a patient who ends a lot can still rotate keys.
    #[codec(index = 5)]
    Ending,
    /// An agent's votes in ballots.
    #[codec(index = 3)]
    Vote,
    /// A governance account's other calls, among them those of the council.
    #[codec(index = 4)]
    Governance,
}

impl Lane {
    pub const ALL: [Self; 7] = [
        Self::User,
        Self::Record,
        Self::Emergency,
        Self::Rotation,
        Self::Ending,
        Self::Vote,
        Self::Governance,
    ];
}

/// What a [`Holder`](crate::Holder) may use in one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Budget {
    /// Computation in a window of `WEIGHT_WINDOW_BLOCKS`, in picoseconds.
    #[codec(compact)]
    pub ref_time: u64,
    /// Bytes of transactions, and of what they leave in the state, in a window of `DAY_BLOCKS`.
    #[codec(compact)]
    pub bytes: u64,
}

impl Budget {
    /// Whether no part of it is below `least`.
    pub fn covers(&self, least: &Self) -> bool {
        self.ref_time >= least.ref_time && self.bytes >= least.bytes
    }
}

/// The budgets of one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Share {
    /// Of each user or duty, with all its accounts together.
    pub account: Budget,
    /// Of each hospital, for all signers together for which it answers.
    pub hospital: Budget,
}

/// The budgets of all lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Limits {
    pub users: Share,
    pub emergencies: Share,
    pub rotations: Share,
    pub endings: Share,
    pub records: Share,
    pub votes: Share,
    pub governance: Share,
}

impl Limits {
    pub fn of(&self, lane: Lane) -> &Share {
        match lane {
            Lane::User => &self.users,
            Lane::Emergency => &self.emergencies,
            Lane::Rotation => &self.rotations,
            Lane::Ending => &self.endings,
            Lane::Record => &self.records,
            Lane::Vote => &self.votes,
            Lane::Governance => &self.governance,
        }
    }

    /// Whether no limit is below its counterpart in `least`.
    pub fn covers(&self, least: &Self) -> bool {
        Lane::ALL.into_iter().all(|lane| {
            let (share, least) = (self.of(lane), least.of(lane));
            share.account.covers(&least.account) && share.hospital.covers(&least.hospital)
        })
    }
}

/// What a transaction uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// In picoseconds.
    pub ref_time: u64,
    pub bytes: u64,
}

/// What a holder used in one lane, in the last windows in which it used anything. Windows are numbered from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Usage {
    pub weight_window: u32,
    /// In picoseconds.
    pub ref_time: u64,
    pub byte_window: u32,
    pub bytes: u64,
}

impl Usage {
    /// What counts in the windows of this block: nothing of earlier windows.
    pub fn at(self, block: BlockNumber) -> Self {
        let (weight_window, byte_window) = windows(block);
        Self {
            weight_window,
            ref_time: if weight_window == self.weight_window { self.ref_time } else { 0 },
            byte_window,
            bytes: if byte_window == self.byte_window { self.bytes } else { 0 },
        }
    }

    /// Whether anything of it counts in the windows of this block.
    pub fn counts_at(self, block: BlockNumber) -> bool {
        self.at(block) != Self::default().at(block)
    }

    /// The usage after another transaction.
    pub fn plus(self, cost: Cost) -> Self {
        Self {
            ref_time: self.ref_time.saturating_add(cost.ref_time),
            bytes: self.bytes.saturating_add(cost.bytes),
            ..self
        }
    }

    /// The usage if a transaction of the current window needed less time than was debited.
    pub fn minus(self, unused_ref_time: u64) -> Self {
        Self { ref_time: self.ref_time.saturating_sub(unused_ref_time), ..self }
    }

    pub fn is_within(&self, budget: &Budget) -> bool {
        self.ref_time <= budget.ref_time && self.bytes <= budget.bytes
    }
}

/// The numbers of the windows for weight and for bytes that contain a block.
pub(crate) fn windows(block: BlockNumber) -> (u32, u32) {
    (block / WEIGHT_WINDOW_BLOCKS, block / DAY_BLOCKS)
}
