//! The designs that are compared, and what each costs a hospital in a day.

use serde::Serialize;

use crate::{
    assumptions::{
        AGENT_WAITING, BALLOT_BYTES, BALLOT_MEMBER_BYTES, CUSTODIANS, DAY, HEAD_BLOCKS,
        HEADER_BYTES, LINK, MAX_HOSPITALS, PEERS, POOL, PRECOMMIT_BYTES, REMOTE_READS, SLOT,
        STATE_BYTES, STORAGE_YEAR, VERIFY_VOTE, WORKDAY_SECONDS,
    },
    chain::{ROOM, announcement, finality, vote},
    workload::Visit,
};

/// The uncertain numbers, which the sensitivity changes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// Bits per second of a link.
    pub link: f64,
    /// How many times the assumed bytes and computation a vote of GRANDPA needs.
    pub finality_factor: f64,
    /// Looks of other hospitals at a visit's media, per visit.
    pub remote_reads: f64,
}

impl Default for Model {
    fn default() -> Self {
        Self { link: LINK, finality_factor: 1.0, remote_reads: REMOTE_READS }
    }
}

/// How hospitals share chains and media.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Design {
    pub name: &'static str,
    /// Hospitals of a region, each of which has a chain of its own. None: one chain.
    pub region: Option<usize>,
    /// Custodians of a block. None: every hospital of the chain.
    pub custodians: Option<usize>,
}

pub const FLAT: Design = Design { name: "flat", region: None, custodians: None };
pub const CUSTODY: Design = Design { name: "custody", region: None, custodians: Some(CUSTODIANS) };
pub const REGIONS: Design = Design { name: "regions of 50", region: Some(50), custodians: None };
pub const REGIONS_CUSTODY: Design =
    Design { name: "regions of 100, custody", region: Some(100), custodians: Some(CUSTODIANS) };
pub const DESIGNS: [Design; 4] = [FLAT, CUSTODY, REGIONS, REGIONS_CUSTODY];

impl Design {
    /// Hospitals of each chain, and the number of chains.
    pub fn chains(self, hospitals: usize) -> (usize, usize) {
        let members = self.region.map_or(hospitals, |region| region.min(hospitals));
        (members, hospitals.div_ceil(members))
    }

    /// Hospitals that store a block in addition to its announcer.
    pub fn receivers(self, members: usize) -> usize {
        self.custodians.unwrap_or(members).min(members - 1)
    }
}

/// The mean day of a hospital.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MeanDay {
    pub visits: f64,
    pub text: f64,
    pub media: f64,
    /// Lite blocks.
    pub batches: f64,
}

impl MeanDay {
    /// Workers pack so many seconds after a block's first visit.
    pub fn of(days: &[Vec<Visit>], pack: f64) -> Self {
        let hospitals = days.len() as f64;
        let sum = |of: fn(&Visit) -> u64| {
            days.iter().flatten().map(|visit| of(visit) as f64).sum::<f64>() / hospitals
        };
        let batches: usize = days.iter().map(|day| batches(day, pack)).sum();
        Self {
            visits: sum(|_| 1),
            text: sum(|visit| visit.text),
            media: sum(|visit| visit.media),
            batches: batches as f64 / hospitals,
        }
    }
}

/// How many lite blocks a worker makes of a day: each is packed some seconds after its first visit.
fn batches(day: &[Visit], pack: f64) -> usize {
    let (mut count, mut end) = (0, f64::NEG_INFINITY);
    for visit in day {
        if visit.at > end {
            count += 1;
            end = visit.at + pack;
        }
    }
    count
}

/// What a design costs each hospital on average, and how full its parts are in the working hours.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Load {
    pub chains: usize,
    pub members: usize,
    /// Bytes a day.
    pub media_received: f64,
    pub media_sent: f64,
    pub read: f64,
    pub gossip_sent: f64,
    pub finality_sent: f64,
    pub media_stored: f64,
    pub chain_stored: f64,
    /// Seconds from a block to its finality, in a chain and in the chain of heads.
    pub finality_seconds: f64,
    pub heads_seconds: Option<f64>,
    /// Votes of a block of a chain, in the working hours.
    pub votes_per_block: f64,
    pub used: Vec<Used>,
}

/// How much of a limit is used: 1 is all of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Used {
    pub limit: &'static str,
    pub share: f64,
}

impl Load {
    /// A network of so many hospitals. `day` is the mean day of a hospital.
    pub fn of(design: Design, hospitals: usize, day: &MeanDay, model: &Model) -> Self {
        let (members, chains) = design.chains(hospitals);
        let (m, receivers) = (members as f64, design.receivers(members) as f64);
        let media_received = day.media * receivers;
        // Of the looks of other hospitals, those at hospitals that do not store the media anyway.
        let elsewhere = 1.0 - (receivers + 1.0) / hospitals as f64;
        let read = model.remote_reads * day.media * elsewhere;
        let records = (day.visits / day.batches).round().max(1.0) as usize;
        let announcing = announcement(records, (day.text / day.batches) as u64);
        let voting = vote(receivers as usize + 1);
        let each =
            |announcing: f64, voting: f64| day.batches * m * (announcing + receivers * voting);
        let transactions = each(announcing.bytes, voting.bytes);
        let weight = each(announcing.weight, voting.weight);
        let final_in = finality(members, model);
        let links = PEERS.min(m - 1.0) / 2.0;
        let heads = Heads::of(members, chains, model);
        let blocks = DAY / SLOT;
        let working_blocks = WORKDAY_SECONDS / SLOT;
        let gossip_sent =
            transactions * (links + 1.0) + blocks * HEADER_BYTES * PEERS + heads.bytes;
        let finality_sent = final_in.bytes * final_in.rounds_per_day;
        let ballot = BALLOT_BYTES + BALLOT_MEMBER_BYTES * (receivers + 1.0);
        let state = m * (day.visits * STATE_BYTES + day.batches * ballot);
        let chain_stored = transactions + blocks * HEADER_BYTES + state + heads.bytes;
        let media_stored = day.media * (receivers + 1.0);
        let busy = |bytes: f64| bytes * 8.0 / WORKDAY_SECONDS / model.link;
        let votes_per_block = day.batches * m * receivers / working_blocks;
        let used = |limit, share| Used { limit, share };
        let used = vec![
            used(
                LINKS,
                busy(media_received + read + gossip_sent) + 8.0 * finality_sent / DAY / model.link,
            ),
            used(STORAGE, 365.0 * (media_stored + chain_stored) / STORAGE_YEAR),
            used(WEIGHT, (weight / working_blocks / ROOM.weight).max(heads.weight / ROOM.weight)),
            used(BYTES, (transactions / working_blocks).max(heads.block_bytes) / ROOM.bytes),
            used(WAITING, (votes_per_block + day.batches * m / working_blocks) / POOL),
            used(AGENT, votes_per_block / m / AGENT_WAITING),
            used(CODE, m / MAX_HOSPITALS as f64),
            used(FINALITY, final_in.seconds.max(heads.seconds.unwrap_or(0.0)) / SLOT),
        ];
        Self {
            chains,
            members,
            media_received,
            media_sent: media_received,
            read,
            gossip_sent,
            finality_sent,
            media_stored,
            chain_stored,
            finality_seconds: final_in.seconds,
            heads_seconds: heads.seconds,
            votes_per_block,
            used,
        }
    }

    /// Bytes that a hospital stores in a year.
    pub fn stored_in_a_year(&self) -> f64 {
        365.0 * (self.media_stored + self.chain_stored)
    }

    /// Whether links and blocks carry what the working hours bring. If not, visits wait longer and longer.
    pub fn keeps_up(&self) -> bool {
        [LINKS, WEIGHT, BYTES, AGENT].into_iter().all(|limit| self.share(limit) <= 1.0)
    }

    /// The share of one limit.
    pub fn share(&self, limit: &str) -> f64 {
        self.used.iter().find(|used| used.limit == limit).map_or(f64::NAN, |used| used.share)
    }
}

pub const LINKS: &str = "links in the working hours";
pub const STORAGE: &str = "storage, 100 TB a year";
pub const WEIGHT: &str = "weight of blocks";
pub const BYTES: &str = "bytes of blocks";
pub const WAITING: &str = "transactions in the pool";
pub const FINALITY: &str = "finality within a slot";
pub const AGENT: &str = "transactions of one agent";
pub const CODE: &str = "hospitals of a chain, in the code";
pub const LIMITS: [&str; 8] = [LINKS, STORAGE, WEIGHT, BYTES, WAITING, AGENT, CODE, FINALITY];

/// The chain of the regions' heads.
struct Heads {
    /// A day, for every hospital, which follows the chain.
    bytes: f64,
    block_bytes: f64,
    weight: f64,
    seconds: Option<f64>,
}

impl Heads {
    fn of(members: usize, regions: usize, model: &Model) -> Self {
        if regions < 2 {
            return Self { bytes: 0.0, block_bytes: 0.0, weight: 0.0, seconds: None };
        }
        let voters = (2.0 * members as f64 / 3.0).ceil();
        let head = HEADER_BYTES + voters * PRECOMMIT_BYTES;
        let per_block = regions as f64 / HEAD_BLOCKS;
        let block_bytes = per_block * head;
        let weight = per_block * (voters * VERIFY_VOTE + announcement(1, 0).weight);
        let bytes = DAY / SLOT * (HEADER_BYTES + block_bytes);
        Self { bytes, block_bytes, weight, seconds: Some(finality(regions, model).seconds) }
    }
}

/// The largest network, of at most a million hospitals, in which a limit is not exceeded. None: not even two fit.
pub fn largest(design: Design, limit: &str, day: &MeanDay, model: &Model) -> Option<usize> {
    let fits = |hospitals| Load::of(design, hospitals, day, model).share(limit) <= 1.0;
    let (mut fit, mut over) = (2, MOST + 1);
    if !fits(fit) {
        return None;
    }
    while over - fit > 1 {
        let middle = usize::midpoint(fit, over);
        if fits(middle) { fit = middle } else { over = middle }
    }
    Some(fit)
}

/// The largest network that is looked at.
pub const MOST: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const MEAN: MeanDay = MeanDay { visits: 500.0, text: 2.5e6, media: 4.4e9, batches: 500.0 };

    fn load(design: Design, hospitals: usize) -> Load {
        Load::of(design, hospitals, &MEAN, &Model::default())
    }

    #[test]
    fn four_hospitals_by_hand() {
        let flat = load(FLAT, 4);
        assert_eq!((flat.media_received, flat.media_stored), (3.0 * 4.4e9, 4.0 * 4.4e9));
        assert_eq!(flat.read, 0.0, "every hospital stores everything");
        // 500 announcements of each of 4 hospitals with 3 votes, in 12,000 blocks.
        assert!((flat.votes_per_block - 0.5).abs() < 1e-12);
        // 4 x 500 x (152 + 4,525 + 3 x 146) bytes on the chain, which 1.5 links and the block itself carry.
        let transactions = 2_000.0 * (4_677.0 + 438.0);
        let headers = 28_800.0 * 300.0;
        assert!((flat.gossip_sent - transactions * 2.5 - headers * 16.0).abs() < 1e-3);
        let state = 2_000.0 * (1_280.0 + 50.0 + 4.0 * 12.0);
        assert!((flat.chain_stored - transactions - headers - state).abs() < 1e-3);
    }

    #[test]
    fn all_bytes_that_hospitals_store_are_one_copy_for_each_that_should() {
        for design in DESIGNS {
            let load = load(design, 10_000);
            let copies = design.receivers(load.members) + 1;
            assert!((load.media_stored / MEAN.media - copies as f64).abs() < 1e-9);
            // Each copy but the announcer's was received once, and sent once.
            assert!((load.media_received + MEAN.media - load.media_stored).abs() < 1.0);
            assert_eq!(load.media_sent, load.media_received);
        }
    }

    #[test]
    fn a_small_network_of_regions_is_a_flat_one() {
        let (flat, regions) = (load(FLAT, 30), load(REGIONS, 30));
        assert_eq!((regions.chains, regions.members), (1, 30));
        assert_eq!(flat.gossip_sent, regions.gossip_sent);
        assert_eq!(regions.heads_seconds, None);
        assert_eq!(REGIONS.chains(10_000), (50, 200));
    }

    #[test]
    fn the_largest_network_is_where_a_limit_ends() {
        for limit in LIMITS {
            let Some(most) = largest(FLAT, limit, &MEAN, &Model::default()) else { continue };
            assert!(load(FLAT, most).share(limit) <= 1.0, "{limit}");
            assert!(most == MOST || load(FLAT, most + 1).share(limit) > 1.0, "{limit}");
        }
    }

    #[test]
    fn visits_of_the_same_five_seconds_are_one_batch() {
        let visit = |at| Visit { at, text: 1, media: 0 };
        let day = [0.0, 4.0, 5.0, 5.1, 20.0].map(visit);
        assert_eq!((batches(&day, 5.0), batches(&day, 20.0)), (3, 1));
    }
}
