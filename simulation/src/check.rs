//! What the simulation says of networks that were measured, beside the measurement.

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::{
    assumptions::SLOT,
    chain::{approvals_needed, finality},
    design::Model,
    swarm::{Spread, spread},
};

/// Seconds after which the workers of these runs packed a visit.
const LINKS_PACK: f64 = 0.5;
const HOSTILE_PACK: f64 = 1.0;
/// Seconds between two questions whether the visit is committed, in the hostile run.
const HOSTILE_POLL: f64 = 0.2;
/// The mean time until the next block.
const NEXT_BLOCK: f64 = SLOT / 2.0;
/// Full segments of the block of the run over links. It had one more, of some KB.
const SEGMENTS: usize = 64;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    pub what: String,
    pub hospitals: usize,
    pub measured: f64,
    pub simulated: f64,
    /// The simulated value divided by the measured one, less one.
    pub off: f64,
}

fn check(what: &str, hospitals: usize, measured: f64, simulated: f64) -> Check {
    Check { what: what.into(), hospitals, measured, simulated, off: simulated / measured - 1.0 }
}

#[derive(Deserialize)]
struct LinksFile {
    result: LinksResult,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LinksResult {
    megabits_per_second: f64,
    networks: Vec<Network>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Network {
    hospitals: usize,
    nodes: usize,
    pre_seeding: bool,
    block_bytes: f64,
    acknowledged_to_committed: f64,
    acknowledged_to_held_by_all: f64,
    announced_to_committed: f64,
    announcer_sent_bytes: f64,
}

#[derive(Deserialize)]
struct HostileFile {
    result: HostileResult,
}

#[derive(Deserialize)]
struct HostileResult {
    hospitals: usize,
    quiet: Quiet,
}

#[derive(Deserialize)]
struct Quiet {
    commits: Commits,
}

#[derive(Deserialize)]
struct Commits {
    median: f64,
}

/// Compares the simulation with `links.json` and `hostile.json`.
pub fn all(links: &str, hostile: &str) -> anyhow::Result<Vec<Check>> {
    let links: LinksFile = serde_json::from_str(links).context("links.json has another form")?;
    let hostile: HostileFile =
        serde_json::from_str(hostile).context("hostile.json has another form")?;
    let bytes_per_second = links.result.megabits_per_second * 1e6 / 8.0;
    let mut checks = Vec::new();
    for network in &links.result.networks {
        checks.extend(of_links(network, bytes_per_second));
    }
    let HostileResult { hospitals, quiet } = hostile.result;
    let final_after = finality(hospitals, &Model::default()).seconds;
    let simulated = HOSTILE_PACK + NEXT_BLOCK + SLOT + final_after + HOSTILE_POLL / 2.0;
    let what = "a visit without media, committed and final, s";
    checks.push(check(what, hospitals, quiet.commits.median, simulated));
    Ok(checks)
}

fn of_links(network: &Network, link: f64) -> Vec<Check> {
    let hospitals = network.hospitals;
    let segment = network.block_bytes / SEGMENTS as f64;
    let Spread { whole, sent, .. } = spread(hospitals - 1, SEGMENTS, segment, link);
    let majority = whole[approvals_needed(hospitals) - 1];
    let last = whole[whole.len() - 1];
    let final_after = finality(network.nodes, &Model::default()).seconds;
    // With offers, the announcement waits for the media; without, the media wait for the announcement.
    let (spreading_at, announced_to_committed) = if network.pre_seeding {
        (LINKS_PACK, SLOT)
    } else {
        let announced = LINKS_PACK + NEXT_BLOCK;
        (announced + final_after, final_after + majority + NEXT_BLOCK)
    };
    let committed = match network.pre_seeding {
        true => LINKS_PACK + majority + NEXT_BLOCK + SLOT,
        false => LINKS_PACK + NEXT_BLOCK + announced_to_committed,
    };
    let way = if network.pre_seeding { "offered" } else { "not offered" };
    let row = |what: &str, measured, simulated| {
        check(&format!("256 MiB, {way}: {what}"), hospitals, measured, simulated)
    };
    vec![
        row("visit to committed, s", network.acknowledged_to_committed, committed),
        row("visit to stored by all, s", network.acknowledged_to_held_by_all, spreading_at + last),
        row("announced to committed, s", network.announced_to_committed, announced_to_committed),
        row("sent by the announcer, MB", network.announcer_sent_bytes / 1e6, sent[0] / 1e6),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINKS: &str = include_str!("../../benchmarks/results/links.json");
    const HOSTILE: &str = include_str!("../../benchmarks/results/hostile.json");

    #[test]
    fn the_simulation_is_within_a_quarter_of_every_measurement() {
        let checks = all(LINKS, HOSTILE).unwrap();
        assert!(checks.len() >= 25, "six networks with four values each, and a visit");
        for Check { what, hospitals, measured, simulated, off } in checks {
            assert!(
                off.abs() < 0.25,
                "{what} of {hospitals} hospitals: measured {measured}, simulated {simulated}"
            );
        }
    }

    #[test]
    fn another_form_of_the_results_is_an_error() {
        assert!(all("{}", HOSTILE).is_err());
        assert!(all(LINKS, "{}").is_err());
    }
}
