//! What was used, as numbers.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use epione_primitives::{
    BlockNumber,
    limits::{DAY_BLOCKS, WEIGHT_WINDOW_BLOCKS},
    quota::Budget,
};
use scale_info::TypeInfo;

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
