//! How much of the chain each user, each duty and each hospital may use.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

use crate::limits::{BLOCK_PICOSECONDS, WEIGHT_WINDOW_BLOCKS};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
/// The computation of ordinary transactions in a window, in picoseconds: three quarters of each block.
const WINDOW: u64 = BLOCK_PICOSECONDS / 4 * 3 * (WEIGHT_WINDOW_BLOCKS as u64);
/// A millisecond of computation.
const MILLIS: u64 = 1_000_000_000;

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

/// What a user, a duty or a hospital may use in one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "camelCase")]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Share {
    /// Of each user or duty, with all its accounts together.
    pub account: Budget,
    /// Of each hospital, for all signers together for which it answers.
    pub hospital: Budget,
}

impl Share {
    /// The same budget for a duty and its hospital, because the hospital has only one such account at a time.
    pub const fn alone(budget: Budget) -> Self {
        Self { account: budget, hospital: budget }
    }
}

/// The budgets of all lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The limits until the council decides otherwise. The reasons are in `docs/adr/028-quotas-and-lanes.md`.
    pub const USUAL: Self = Self {
        // A call of a user needs about 2 ms, and an opening of the most records nearly 9 ms.
        // A hundred hospitals, all of whose users attack, use a quarter of the chain.
        users: Share {
            account: Budget { ref_time: 10 * MILLIS, bytes: 256 * KIB },
            hospital: Budget { ref_time: WINDOW / 400, bytes: 16 * MIB },
        },
        // One opening of the most records in an emergency in a window, or two smaller ones, of each doctor. The chain
        // permits three of a doctor in a day; the bytes are enough for thirty questions, with those that it refuses.
        emergencies: Share {
            account: Budget { ref_time: 15 * MILLIS, bytes: 96 * KIB },
            hospital: Budget { ref_time: WINDOW / 400, bytes: 4 * MIB },
        },
        // Two rotations in a window, but few in a day: only thousands of users can use up what all users of their
        // hospital have for rotations.
        rotations: Share {
            account: Budget { ref_time: 3 * MILLIS, bytes: 8 * KIB },
            hospital: Budget { ref_time: WINDOW / 800, bytes: 16 * MIB },
        },
        // Two of the largest removals of placed sections in a window, or five withdrawals. What ends access has to
        // exist, so nobody fills blocks with it. 2,000 records can be removed in a day.
        endings: Share {
            account: Budget { ref_time: 15 * MILLIS, bytes: 64 * KIB },
            hospital: Budget { ref_time: WINDOW / 400, bytes: 16 * MIB },
        },
        // A day of a large hospital needs about 100 MiB: 1,000 visits of 7 KB, 10,000 registrations, 20,000 receipts.
        // This is enough for 255 of the largest bodies.
        records: Share::alone(Budget { ref_time: WINDOW / 5, bytes: 512 * MIB }),
        // 70 votes in a window if each is debited as if it commits the largest block; undecisive votes need less.
        votes: Share::alone(Budget { ref_time: WINDOW / 4, bytes: 64 * MIB }),
        // Includes the code of upgrades, and three motions with the largest weight.
        governance: Share::alone(Budget { ref_time: WINDOW / 10, bytes: 64 * MIB }),
    };

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
