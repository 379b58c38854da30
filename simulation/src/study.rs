//! Which networks are simulated, and what is found.

use serde::Serialize;

use crate::{
    assumptions::{Assumption, CUSTODIANS, HEAD_BLOCKS, PACK_SECONDS, SLOT, table},
    chain::approvals_needed,
    check::Check,
    design::{
        CUSTODY, DESIGNS, Design, FLAT, LIMITS, LINKS, Load, MOST, MeanDay, Model, WEIGHT, largest,
    },
    draw::probability_of_bad,
    engine::{self, Outcome, Setting},
    swarm::Tails,
    workload::{Visit, day},
};

/// The simulated time: visits from the tenth minute to the thirtieth of the working day are counted.
const BEGIN: f64 = 600.0;
const END: f64 = 1_800.0;
/// Five hours of the working day, for networks at the end of what the blocks carry, where waits need time to grow.
const LONG_END: f64 = 5.0 * 3_600.0;
const EDGES: [(Design, usize); 5] =
    [(FLAT, 250), (FLAT, 300), (FLAT, 350), (CUSTODY, 8_000), (CUSTODY, 9_500)];
/// Chains of a network of regions that are simulated. They are equal but for their hospitals.
const SIMULATED_CHAINS: usize = 3;
/// For the sensitivity.
const MEGABITS: [f64; 4] = [100.0, 300.0, 1_000.0, 10_000.0];
const FINALITY_FACTORS: [f64; 4] = [0.5, 1.0, 2.0, 4.0];
const READS: [f64; 4] = [0.0, 0.1, 1.0, 5.0];
const PACKS: [f64; 4] = [PACK_SECONDS, 60.0, 300.0, 900.0];
/// The network whose custodians are drawn in the table of their safety.
const DRAWN_FROM: u64 = 1_000;

/// All results.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Study {
    pub seed: u64,
    pub assumptions: Vec<Assumption>,
    pub mean_day: MeanDay,
    pub checks: Vec<Check>,
    pub networks: Vec<Network>,
    pub edges: Vec<Edge>,
    pub ends: Vec<End>,
    pub links: Vec<LinkCase>,
    pub finality: Vec<FinalityCase>,
    pub reads: Vec<ReadCase>,
    pub packing: Vec<PackCase>,
    pub custodians: Vec<Safety>,
}

/// A design with so many hospitals.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    pub design: Design,
    pub hospitals: usize,
    pub load: Load,
    pub times: Times,
    /// Seconds from a commit until the chain of heads has it, and is final.
    pub anchored: Option<f64>,
}

/// What was simulated of a network, in its working hours.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Times {
    pub visits: usize,
    /// Seconds from a visit to its commit. None: it was not committed within the simulated time.
    pub median: Option<f64>,
    pub p95: Option<f64>,
    /// The share of the visits that were not committed.
    pub lost: f64,
    pub announcements: u64,
    pub expired: u64,
    pub votes: u64,
    pub late_votes: u64,
    pub most_votes: u64,
    pub most_weight: f64,
    pub most_bytes: f64,
    pub most_waiting: u64,
    /// Bytes of the custodian with the most, in times of the mean. None without custody.
    pub fullest: Option<f64>,
}

/// Five hours of a network.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    pub design: Design,
    pub hospitals: usize,
    pub times: Times,
}

/// The largest network of a design under one limit.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct End {
    pub limit: &'static str,
    /// By design, in their order. None: no network. [`MOST`]: none that was looked at exceeds the limit.
    pub largest: Vec<Option<usize>>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkCase {
    pub megabits: f64,
    pub largest: Vec<Option<usize>>,
    /// The flat network of 100 hospitals, and that with custody of 1,000.
    pub flat: Times,
    pub custody: Times,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FinalityCase {
    pub factor: f64,
    /// Seconds to finality, and bytes that a hospital sends for it in a day, with 1,000 validators.
    pub seconds: f64,
    pub sent: f64,
    pub largest: Option<usize>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadCase {
    pub reads: f64,
    /// Bytes that a hospital receives in a day for looks, and for custody, in a network of 1,000.
    pub read: f64,
    pub kept: f64,
    pub largest: Option<usize>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PackCase {
    /// Seconds after the first visit of a lite block.
    pub seconds: f64,
    /// Lite blocks of a hospital and day.
    pub batches: f64,
    /// By design, the largest network whose blocks have the weight.
    pub largest: Vec<Option<usize>>,
}

/// How probable bad draws of custodians are.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Safety {
    pub custodians: u64,
    pub needed: u64,
    /// Of 1,000 hospitals: 100, 200 and 333 are bad. The needed approvals may all be theirs; all custodians are theirs.
    pub approved_by_bad: [f64; 3],
    pub all_bad: [f64; 3],
}

impl Study {
    pub fn run(sizes: &[usize], seed: u64, checks: Vec<Check>, say: &dyn Fn(&str)) -> Self {
        let most = sizes.iter().copied().max().unwrap_or(0).max(1_000);
        let days: Vec<Vec<Visit>> = (0..most).map(|hospital| day(seed, hospital)).collect();
        let mean_day = MeanDay::of(&days, PACK_SECONDS);
        let model = Model::default();
        let tails = engine::tails(&model);
        let mut networks = Vec::new();
        for (design, hospitals) in pairs(sizes) {
            say(&format!("{}, {hospitals} hospitals", design.name));
            let times = simulate(design, &model, &tails, seed, &days[..hospitals], END);
            let load =
                Load::of(design, hospitals, &MeanDay::of(&days[..hospitals], PACK_SECONDS), &model);
            let anchored = anchored(&load);
            networks.push(Network { design, hospitals, load, times, anchored });
        }
        let reached = sizes.iter().copied().max().unwrap_or(0);
        let mut edges = Vec::new();
        for (design, hospitals) in EDGES.into_iter().filter(|(_, count)| *count <= reached) {
            say(&format!("{}, {hospitals} hospitals, five hours", design.name));
            let times = simulate(design, &model, &tails, seed, &days[..hospitals], LONG_END);
            edges.push(Edge { design, hospitals, times });
        }
        let end = |limit| End {
            limit,
            largest: DESIGNS.map(|design| largest(design, limit, &mean_day, &model)).to_vec(),
        };
        say("sensitivity");
        Self {
            seed,
            assumptions: table(),
            mean_day,
            checks,
            networks,
            edges,
            ends: LIMITS.map(end).to_vec(),
            links: MEGABITS.map(|megabits| link_case(megabits, seed, &days, &mean_day)).to_vec(),
            finality: FINALITY_FACTORS.map(|factor| finality_case(factor, &mean_day)).to_vec(),
            reads: READS.map(|reads| read_case(reads, &mean_day)).to_vec(),
            packing: PACKS.map(|seconds| pack_case(seconds, &days)).to_vec(),
            custodians: [3, 5, CUSTODIANS as u64, 15, 31].map(safety).to_vec(),
        }
    }
}

fn pairs(sizes: &[usize]) -> impl Iterator<Item = (Design, usize)> {
    DESIGNS.into_iter().flat_map(|design| sizes.iter().map(move |hospitals| (design, *hospitals)))
}

/// Simulates a network's chains, or some of them if there are many, with the visits until `end`.
fn simulate(
    design: Design,
    model: &Model,
    tails: &Tails,
    seed: u64,
    days: &[Vec<Visit>],
    end: f64,
) -> Times {
    let custodians = design.custodians;
    let setting = Setting { model, tails, custodians, seed, begin: BEGIN, end };
    let (members, _) = design.chains(days.len());
    let chains = days.chunks(members).take(SIMULATED_CHAINS);
    Times::of(&chains.map(|days| engine::run(&setting, days)).collect::<Vec<_>>())
}

impl Times {
    fn of(outcomes: &[Outcome]) -> Self {
        let mut commits: Vec<f64> =
            outcomes.iter().flat_map(|outcome| outcome.commits.iter().copied()).collect();
        commits.sort_unstable_by(f64::total_cmp);
        let visits = commits.len();
        let lost = commits.iter().filter(|commit| commit.is_infinite()).count();
        let all = Outcome { commits, ..Outcome::default() };
        let finite = |share| Some(all.quantile(share)).filter(|seconds| seconds.is_finite());
        let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum();
        let most = |of: fn(&Outcome) -> f64| outcomes.iter().map(of).fold(0.0, f64::max);
        let largest = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).max().unwrap_or(0);
        Self {
            visits,
            median: finite(0.5),
            p95: finite(0.95),
            lost: lost as f64 / visits.max(1) as f64,
            announcements: sum(|outcome| outcome.announcements),
            expired: sum(|outcome| outcome.expired),
            votes: sum(|outcome| outcome.votes),
            late_votes: sum(|outcome| outcome.late_votes),
            most_votes: largest(|outcome| outcome.most_votes),
            most_weight: most(|outcome| outcome.most_weight),
            most_bytes: most(|outcome| outcome.most_bytes),
            most_waiting: largest(|outcome| outcome.most_waiting),
            fullest: outcomes.iter().filter_map(fullest).reduce(f64::max),
        }
    }
}

fn fullest(outcome: &Outcome) -> Option<f64> {
    let all: f64 = outcome.entrusted.iter().sum();
    let most = outcome.entrusted.iter().copied().fold(0.0, f64::max);
    (all > 0.0).then(|| most * outcome.entrusted.len() as f64 / all)
}

/// A commit becomes final in its region, waits for the next head, and becomes final in the chain of heads.
fn anchored(load: &Load) -> Option<f64> {
    let heads = load.heads_seconds?;
    Some(load.finality_seconds + HEAD_BLOCKS * SLOT / 2.0 + SLOT / 2.0 + heads)
}

fn link_case(megabits: f64, seed: u64, days: &[Vec<Visit>], mean_day: &MeanDay) -> LinkCase {
    let model = Model { link: megabits * 1e6, ..Model::default() };
    let tails = engine::tails(&model);
    let times =
        |design, hospitals: usize| simulate(design, &model, &tails, seed, &days[..hospitals], END);
    LinkCase {
        megabits,
        largest: DESIGNS.map(|design| largest(design, LINKS, mean_day, &model)).to_vec(),
        flat: times(FLAT, 100),
        custody: times(CUSTODY, 1_000),
    }
}

fn finality_case(finality_factor: f64, mean_day: &MeanDay) -> FinalityCase {
    let model = Model { finality_factor, ..Model::default() };
    let load = Load::of(CUSTODY, 1_000, mean_day, &model);
    FinalityCase {
        factor: finality_factor,
        seconds: load.finality_seconds,
        sent: load.finality_sent,
        largest: largest(CUSTODY, crate::design::FINALITY, mean_day, &model),
    }
}

fn read_case(remote_reads: f64, mean_day: &MeanDay) -> ReadCase {
    let model = Model { remote_reads, ..Model::default() };
    let load = Load::of(CUSTODY, 1_000, mean_day, &model);
    ReadCase {
        reads: remote_reads,
        read: load.read,
        kept: load.media_received,
        largest: largest(CUSTODY, LINKS, mean_day, &model),
    }
}

fn pack_case(seconds: f64, days: &[Vec<Visit>]) -> PackCase {
    let (mean_day, model) = (MeanDay::of(days, seconds), Model::default());
    PackCase {
        seconds,
        batches: mean_day.batches,
        largest: DESIGNS.map(|design| largest(design, WEIGHT, &mean_day, &model)).to_vec(),
    }
}

fn safety(custodians: u64) -> Safety {
    let needed = approvals_needed(custodians as usize + 1) as u64;
    let bad = [DRAWN_FROM / 10, DRAWN_FROM / 5, DRAWN_FROM / 3];
    let of = |least| bad.map(|bad| probability_of_bad(DRAWN_FROM, bad, custodians, least));
    Safety { custodians, needed, approved_by_bad: of(needed), all_bad: of(custodians) }
}

/// Whether no network that was looked at exceeds the limit.
pub fn is_unlimited(largest: usize) -> bool {
    largest == MOST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_results_are_those_of_the_program() {
        let committed = include_str!("../../benchmarks/results/scale.json");
        let committed: serde_json::Value = serde_json::from_str(committed).unwrap();
        let networks = committed["result"]["networks"].as_array().unwrap();
        for network in Study::run(&[30, 100], 1, Vec::new(), &|_| ()).networks {
            let same = networks.iter().find(|other| {
                other["design"]["name"] == network.design.name
                    && other["hospitals"] == network.hospitals
            });
            let same = same.unwrap_or_else(|| panic!("{network:?} is not in scale.json"));
            let values = [
                ("times", "p95", network.times.p95.unwrap()),
                ("times", "votes", network.times.votes as f64),
                ("load", "gossipSent", network.load.gossip_sent),
                ("load", "mediaStored", network.load.media_stored),
            ];
            for (part, name, value) in values {
                let committed = same[part][name].as_f64().unwrap();
                // Machines round logarithms in different ways.
                assert!(
                    (value / committed - 1.0).abs() < 0.001,
                    "{name} of {network:?}: {committed}"
                );
            }
        }
    }

    #[test]
    fn a_study_repeats_itself_and_covers_every_design() {
        let study = || Study::run(&[8, 30], 1, Vec::new(), &|_| ());
        let (one, other) = (study(), study());
        let text = |study: &Study| serde_json::to_string(study).unwrap();
        assert_eq!(text(&one), text(&other));
        assert_eq!(one.networks.len(), 2 * DESIGNS.len());
        assert!(one.networks.iter().all(|network| network.times.lost == 0.0));
        assert!(one.networks.iter().all(|network| network.times.median < network.times.p95));
    }

    #[test]
    fn narrower_links_never_carry_more_hospitals() {
        let study = Study::run(&[8], 1, Vec::new(), &|_| ());
        let flat: Vec<_> = study.links.iter().map(|case| case.largest[0]).collect();
        assert!(flat.is_sorted(), "{flat:?}");
    }
}
