//! What a chain does with announcements and votes: its limits, its finality, and the bytes of its nodes.

use crate::assumptions::{
    ANNOUNCE_ENTRY_WEIGHT, ANNOUNCE_WEIGHT, ANNOUNCEMENT_BYTES, APPROVE_WEIGHT,
    BALLOT_MEMBER_BYTES, BASE_WEIGHT, BLOCK_BYTES, BLOCK_SECONDS, BYTE_WEIGHT, CALLER_WEIGHT,
    EXTENSIONS_WEIGHT, FINALITY_REST, FINALITY_VOTE_BYTES, GOSSIP_PERIOD, LUCKY_PEERS,
    NORMAL_SHARE, ONE_WAY, PEERS, READ_WEIGHT, SEALED_TEXT, SLOT, VERIFY_VOTE, WRITE_WEIGHT,
};
use crate::design::Model;

/// Computation and bytes of a transaction, or of what a block has left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Seconds of weight.
    pub weight: f64,
    pub bytes: f64,
}

/// What the ordinary transactions of a block may have.
pub const ROOM: Cost =
    Cost { weight: NORMAL_SHARE * BLOCK_SECONDS, bytes: NORMAL_SHARE * BLOCK_BYTES };

impl Cost {
    /// How many of these fit.
    pub fn fits(self, each: Self) -> u64 {
        (self.weight / each.weight).min(self.bytes / each.bytes).max(0.0) as u64
    }

    pub fn less(self, each: Self, count: u64) -> Self {
        let count = count as f64;
        Self { weight: self.weight - count * each.weight, bytes: self.bytes - count * each.bytes }
    }
}

/// The weight of every signed transaction: an empty extrinsic and the extensions.
const SIGNED: f64 =
    BASE_WEIGHT + CALLER_WEIGHT + EXTENSIONS_WEIGHT + 8.0 * READ_WEIGHT + 3.0 * WRITE_WEIGHT;

/// A vote in a ballot with so many members.
pub fn vote(electorate: usize) -> Cost {
    let ballot = BALLOT_MEMBER_BYTES * electorate as f64 * BYTE_WEIGHT;
    let weight = SIGNED + APPROVE_WEIGHT + 3.0 * READ_WEIGHT + WRITE_WEIGHT + ballot;
    Cost { weight, bytes: crate::assumptions::VOTE_BYTES }
}

/// An announcement of so many records, whose texts have so many bytes before they are sealed.
pub fn announcement(records: usize, text: u64) -> Cost {
    let (records, body) = (records as f64, SEALED_TEXT * text as f64);
    let reads = (9.0 + 2.0 * records) * READ_WEIGHT;
    let writes = (7.0 + records) * WRITE_WEIGHT;
    let call = ANNOUNCE_WEIGHT + records * ANNOUNCE_ENTRY_WEIGHT + body * BYTE_WEIGHT;
    Cost { weight: SIGNED + call + reads + writes, bytes: ANNOUNCEMENT_BYTES + body }
}

/// Approvals that a ballot needs in addition to its opener's: `epione_primitives::approval::approvals_needed`.
pub fn approvals_needed(electorate: usize) -> usize {
    electorate.div_ceil(2).min(electorate.saturating_sub(1))
}

/// Seconds until a transaction has reached the author of the next block.
pub fn gossip(validators: usize) -> f64 {
    hops(validators, PEERS) * ONE_WAY
}

/// Steps until everybody has a message that each node passes on to so many others. Counted, because a quotient of
/// logarithms is rounded differently by different machines.
fn hops(validators: usize, fanout: f64) -> f64 {
    let (mut steps, mut reached) = (1.0, fanout);
    while reached < validators as f64 {
        steps += 1.0;
        reached *= fanout;
    }
    steps
}

/// How a chain's blocks become final.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finality {
    /// Seconds between a block and its finality.
    pub seconds: f64,
    /// Seconds of computation of each node for the votes of a round.
    pub verify: f64,
    /// Bytes that each node sends, and receives, in a round.
    pub bytes: f64,
    pub rounds_per_day: f64,
}

/// How a chain with so many validators becomes final.
pub fn finality(validators: usize, model: &Model) -> Finality {
    let votes = 2.0 * validators as f64 * model.finality_factor;
    let verify = votes * VERIFY_VOTE;
    let bytes = votes * FINALITY_VOTE_BYTES * LUCKY_PEERS.min(validators as f64 - 1.0);
    // Four nodes were measured on one machine, without a network between them.
    let network = 2.0 * hops(validators, LUCKY_PEERS) * ONE_WAY;
    let seconds = 2.0 * GOSSIP_PERIOD + FINALITY_REST + network + verify + 8.0 * bytes / model.link;
    let rounds_per_day = crate::assumptions::DAY / seconds.max(SLOT);
    Finality { seconds, verify, bytes, rounds_per_day }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPROVAL: &str = include_str!("../../primitives/src/approval.rs");

    #[test]
    fn a_vote_of_four_hospitals_weighs_half_a_millisecond_by_hand() {
        // 108.157 + 40 + 17.7 + 8 x 8 + 3 x 50 = 379.857; 40 + 3 x 8 + 50 = 114; 48 bytes at 2.818 ns = 0.135.
        let by_hand = (379.857 + 114.0 + 0.135_264) * 1e-6;
        let vote = vote(4);
        assert!((vote.weight - by_hand).abs() < 1e-12, "{vote:?}");
        // 1.5 s and 6 MiB of a block.
        assert_eq!(ROOM, Cost { weight: 1.5, bytes: 6_291_456.0 });
        assert_eq!(ROOM.fits(vote), 3_036);
    }

    #[test]
    fn an_announcement_weighs_as_its_parts_by_hand() {
        // 379.857 + 172.942 + 7 + 4,525 x 0.002818 + 11 x 8 + 8 x 50 microseconds.
        let one = announcement(1, 5_000);
        assert!((one.weight - 1_060.550_45e-6).abs() < 1e-9, "{one:?}");
        assert!((one.bytes - 4_677.0).abs() < 1e-9, "{one:?}");
    }

    #[test]
    fn the_needed_approvals_are_those_of_the_chain() {
        let needed = [2, 3, 4, 5, 8, 9, 100].map(approvals_needed);
        assert_eq!(needed, [1, 2, 2, 3, 4, 5, 50]);
        assert!(APPROVAL.contains("electorate.div_ceil(2).min(electorate.saturating_sub(1))"));
    }

    #[test]
    fn a_message_reaches_sixteen_nodes_in_two_steps_of_four() {
        let steps = [2, 4, 5, 16, 17, 64, 65].map(|validators| hops(validators, 4.0));
        assert_eq!(steps, [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0]);
    }

    #[test]
    fn finality_gets_slower_with_every_validator() {
        let times = [4, 30, 100, 1_000, 10_000]
            .map(|validators| finality(validators, &Model::default()).seconds);
        assert!(times.is_sorted(), "{times:?}");
        let bytes = |validators| finality(validators, &Model::default()).bytes;
        // 2 x 100 votes of 190 bytes to 4 peers.
        assert!((bytes(100) - 152_000.0).abs() < 1e-6);
    }
}
