//! Hostile members against honest ones: a user, and the agent and the governance account of one of four hospitals.
//!
//! First, the doctors of the three honest hospitals submit visits and read them, undisturbed. Then they do the same
//! while the hostile members use every node and every worker: they fill blocks, announce and withdraw, vote on
//! everything, fabricate receipts, propose motions, hold connections open, and read again and again. At the end, the
//! honest hospitals expel them.
//!
//! The run checks that every visit commits and every look is granted, that the databases grow within a limit, and that
//! nothing of the expelled members gets in. Refusals of what the hostile members send are counted by their reason.

mod calls;
mod expulsion;
mod honest;
mod members;
mod sockets;
mod tally;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Args;
use epione_client::signer::Account;
use epione_devnet::{Devnet, HospitalState, Layout, State};
use serde::Serialize;

use crate::{
    disk, folder,
    machine::Stamp,
    people::Practice,
    programs::Programs,
    results::{self, Table, mib},
    times::Times,
};
use expulsion::Expulsion;
use honest::Measured;
use members::Attackers;
use tally::{Counts, Tally};

const HOSPITALS: u16 = 4;
/// The last of them is hostile.
const HONEST: usize = 3;
const MIB: u64 = 1 << 20;

#[derive(Args, Clone, Debug)]
pub struct HostileArgs {
    /// Length of both phases together, in minutes; a third of it is quiet
    #[arg(long, default_value_t = 10.0)]
    pub minutes: f64,
    /// Maximum factor between p99 of commits and looks in the two phases [default: p99 is only reported]
    #[arg(long)]
    pub max_ratio: Option<f64>,
    /// Maximum growth of the files of one hospital during the hostile phase, in MiB
    #[arg(long, default_value_t = 1_024)]
    pub max_growth_mib: u64,
    /// Seed of all random choices
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Folder to work in; emptied first
    #[arg(long, value_name = "DIR", default_value = "target/soak/hostile")]
    pub dir: PathBuf,
}

/// The result of a run in which the honest members were served.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Hostile {
    hospitals: u16,
    seed: u64,
    minutes: f64,
    quiet: Phase,
    hostile: Phase,
    commit_ratio: f64,
    look_ratio: f64,
    /// By hospital, during the hostile phase.
    growth_bytes: BTreeMap<String, u64>,
    outcomes: Counts,
}

#[derive(Clone, Debug, Serialize)]
struct Phase {
    commits: Latencies,
    looks: Latencies,
}

/// Times in seconds.
#[derive(Clone, Debug, Serialize)]
struct Latencies {
    count: usize,
    median: f64,
    p99: f64,
}

impl Latencies {
    fn of(times: Vec<Duration>) -> Self {
        let times = Times::of(times);
        Self { count: times.count(), median: times.percentile(50), p99: times.percentile(99) }
    }

    /// By how much p99 differs from that of an earlier phase.
    fn ratio(&self, earlier: &Self) -> f64 {
        self.p99 / earlier.p99.max(0.001)
    }
}

impl From<Measured> for Phase {
    fn from(Measured { commits, looks }: Measured) -> Self {
        Self { commits: Latencies::of(commits), looks: Latencies::of(looks) }
    }
}

/// Runs it, writes its result, and checks the limits.
pub async fn run(
    args: &HostileArgs,
    programs: &Programs,
    results: &Path,
    stamp: &Stamp,
) -> anyhow::Result<()> {
    ensure!(args.minutes > 0.0, "--minutes must be more than 0");
    folder::prepare(&args.dir)?;
    let measured = measure(args, programs).await.with_context(|| {
        format!("the logs of all processes are in {}/devnet/logs", args.dir.display())
    })?;
    folder::clear(&args.dir);
    let path = results::write(results, "hostile", stamp, &measured, &measured.table())?;
    println!("every visit committed and was read; the result is in {}", path.display());
    measured.check(args)
}

async fn measure(args: &HostileArgs, programs: &Programs) -> anyhow::Result<Hostile> {
    let options = programs.network(&args.dir, HOSPITALS, Layout::default());
    let mut network = Devnet::up(&options, &|step| println!("{step}")).await?;
    let members = network.state().hospitals.clone();
    let (honest, hostile) = members.split_at(HONEST);
    let hostile = hostile.first().context("there is no hostile hospital")?;
    let practices = Practice::open_all(network.state(), honest).await?;
    let attackers = attackers(&practices, network.state(), hostile).await?;
    let user = attackers.user.clone();

    let third = Duration::from_secs_f64(args.minutes * 60.0 / 3.0);
    println!("quiet phase: {} s", third.as_secs());
    let quiet = honest::work(&practices, "quiet", Instant::now() + third).await?;

    let tally = Arc::new(Tally::default());
    let read_before = honest::commit(&user, "a visit of the hostile user").await?;
    let before = sizes(&members);
    let attack = members::attack(attackers, &tally, args.seed).await?;
    println!("hostile phase: {} s", (2 * third).as_secs());
    let disturbed = honest::work(&practices, "hostile", Instant::now() + 2 * third).await?;
    attack.end().await;
    let growth_bytes = grown(&before, sizes(&members));
    let ended = network.ended();
    ensure!(ended.is_empty(), "ended unexpectedly: {}", ended.join(", "));

    println!("the honest hospitals expel the hostile members");
    Expulsion { honest, hospital: hostile, user: &user, read_before }.run().await?;
    network.down()?;
    let (quiet, disturbed) = (Phase::from(quiet), Phase::from(disturbed));
    Ok(Hostile {
        hospitals: HOSPITALS,
        seed: args.seed,
        minutes: args.minutes,
        commit_ratio: disturbed.commits.ratio(&quiet.commits),
        look_ratio: disturbed.looks.ratio(&quiet.looks),
        quiet,
        hostile: disturbed,
        growth_bytes,
        outcomes: tally.counts(),
    })
}

/// The hostile user is registered at the first hospital.
async fn attackers(
    practices: &[Practice],
    network: &State,
    hostile: &HospitalState,
) -> anyhow::Result<Attackers> {
    let home = network.hospitals.first().context("there are no hospitals")?;
    let victim = practices.last().context("there are no honest doctors")?.clone();
    Ok(Attackers {
        user: Practice::open_named(network, home, "Hostile").await?,
        hospital: Practice::open(network, hostile).await?,
        agent: Account::development(&hostile.agent)?,
        governance: Account::development(&hostile.governance)?,
        victim,
        members: network.hospitals.clone(),
    })
}

/// The bytes that the files of each hospital occupy: node, worker and store.
fn sizes(members: &[HospitalState]) -> BTreeMap<String, u64> {
    // A hospital's folder contains `worker/store`.
    let home = |member: &HospitalState| member.store.ancestors().nth(2).map(disk::used);
    members.iter().map(|it| (it.name.clone(), home(it).unwrap_or_default())).collect()
}

/// By how much each size is larger than before.
fn grown(
    before: &BTreeMap<String, u64>,
    mut sizes: BTreeMap<String, u64>,
) -> BTreeMap<String, u64> {
    for (name, size) in &mut sizes {
        *size = size.saturating_sub(before.get(name).copied().unwrap_or_default());
    }
    sizes
}

impl Hostile {
    fn check(&self, args: &HostileArgs) -> anyhow::Result<()> {
        for (name, growth) in &self.growth_bytes {
            ensure!(
                *growth <= args.max_growth_mib.saturating_mul(MIB),
                "the files of {name} grew by {}, which is more than {} MiB",
                mib(*growth),
                args.max_growth_mib
            );
        }
        let Some(most) = args.max_ratio else { return Ok(()) };
        for (what, ratio) in [("commits", self.commit_ratio), ("looks", self.look_ratio)] {
            ensure!(
                ratio <= most,
                "p99 of {what} was {ratio:.2} times that of the quiet phase, which is more than {most}"
            );
        }
        Ok(())
    }

    fn table(&self) -> Table {
        let title = format!("{} minutes with hostile members", self.minutes);
        let mut table = Table::new(&title, &["time", "quiet", "hostile", "ratio"]);
        let mut row = |what: &str, quiet: f64, hostile: f64| {
            let ratio = hostile / quiet.max(0.001);
            let seconds = |time: f64| format!("{time:.1} s");
            table.row([what.into(), seconds(quiet), seconds(hostile), format!("{ratio:.2}")]);
        };
        let (quiet, hostile) = (&self.quiet, &self.hostile);
        row("visit committed, median", quiet.commits.median, hostile.commits.median);
        row("visit committed, p99", quiet.commits.p99, hostile.commits.p99);
        row("look granted, median", quiet.looks.median, hostile.looks.median);
        row("look granted, p99", quiet.looks.p99, hostile.looks.p99);
        table.note(format!(
            "{} visits in the quiet phase, {} in the hostile phase: each committed and was read once.",
            quiet.commits.count, hostile.commits.count
        ));
        let growth: Vec<_> = self
            .growth_bytes
            .iter()
            .map(|(name, bytes)| format!("{name} {}", mib(*bytes)))
            .collect();
        table.note(format!("Growth during the hostile phase: {}.", growth.join(", ")));
        for (attack, outcomes) in &self.outcomes {
            let outcomes: Vec<_> =
                outcomes.iter().map(|(outcome, times)| format!("{outcome}: {times}")).collect();
            table.note(format!("{attack}: {}.", outcomes.join("; ")));
        }
        table.note(
            "At the end, three hospitals suspended the fourth by a motion, and ended the user's registration: no node \
             accepted a transaction of theirs.",
        );
        table.note(format!("Seed {}.", self.seed));
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p99_of_few_times_is_the_longest() {
        let times = |seconds: &[u64]| seconds.iter().copied().map(Duration::from_secs).collect();
        let measured = Latencies::of(times(&[4, 1, 3, 2]));
        assert_eq!((measured.count, measured.median, measured.p99), (4, 2.0, 4.0));
        let many: Vec<u64> = (1..=200).collect();
        let later = Latencies::of(times(&many));
        assert_eq!(later.p99, 198.0);
        assert_eq!(later.ratio(&measured), 49.5);
        assert_eq!(Latencies::of(Vec::new()).count, 0);
    }
}
