//! Kills processes at random under load, and then checks that nothing acknowledged was lost.
//!
//! A run consists of rounds, each with disorder and then calm. During disorder, doctors submit visits while workers
//! and nodes are killed as by `kill -9`, cut off from the network, and lose segments, at no more than one of the four
//! hospitals at a time. During calm, everything runs, and the run checks that every visit ever acknowledged is
//! committed exactly once, that the visits of the round are read back byte for byte, and that every store has every
//! segment undamaged.

mod disorder;
mod tally;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Args;
use epione_devnet::{Devnet, Layout};
use serde::Serialize;

use crate::{
    dice::Dice,
    folder,
    machine::Stamp,
    namespaces,
    people::Practice,
    programs::Programs,
    results::{self, Table, mib},
    topology::Topology,
    visits::{
        board::Board,
        calm::Calm,
        load::{self, Terms},
    },
};
use disorder::Disorder;
use tally::Tally;

const HOSPITALS: u16 = 4;
/// How long a doctor retries one visit: longer than any hospital stays down or cut off.
const PATIENCE: Duration = Duration::from_secs(900);

#[derive(Args, Clone, Debug)]
pub struct CrashesArgs {
    /// Length of the disorder of all rounds together, in minutes
    #[arg(long, default_value_t = 60.0)]
    pub minutes: f64,
    /// Length of the disorder of one round, in minutes
    #[arg(long, default_value_t = 5.0)]
    pub round: f64,
    /// Seed of all random choices; repeats the choices of an earlier run [default: random, and printed]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Average pause of each doctor between two visits, in milliseconds
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(100..))]
    pub pause_ms: u64,
    /// The longest that a hospital stays down or cut off, in milliseconds
    #[arg(long, default_value_t = 15_000, value_parser = clap::value_parser!(u64).range(100..))]
    pub down_ms: u64,
    /// Do not cut the network, even if this machine allows it
    #[arg(long)]
    pub no_cuts: bool,
    /// Folder to work in; emptied first
    #[arg(long, value_name = "DIR", default_value = "target/soak/crashes")]
    pub dir: PathBuf,
}

/// The result of a run in which nothing was lost.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Crashes {
    hospitals: u16,
    seed: u64,
    minutes: f64,
    rounds: u32,
    /// Why the network was not cut; absent if it was.
    no_cuts_because: Option<String>,
    visits_acknowledged: usize,
    visits_committed: usize,
    media_bytes: u64,
    blocks: u32,
    segments: usize,
    #[serde(flatten)]
    tally: Tally,
}

/// Runs it and writes its result.
pub async fn run(
    args: &CrashesArgs,
    programs: &Programs,
    results: &Path,
    stamp: &Stamp,
) -> anyhow::Result<()> {
    ensure!(args.minutes > 0.0 && args.round > 0.0, "--minutes and --round must be more than 0");
    let no_cuts = no_cuts(args);
    if no_cuts.is_none() && !namespaces::is_inside() {
        return Err(namespaces::enter());
    }
    if let Some(reason) = &no_cuts {
        println!("the network will not be cut: {reason}");
    }
    let seed = args.seed.unwrap_or_else(|| u64::from(std::process::id()) ^ now_millis());
    println!("seed {seed}");
    folder::prepare(&args.dir)?;
    let outcome = endure(args, programs, seed, no_cuts).await;
    let crashes = outcome.with_context(|| {
        format!("seed {seed}; the logs of all processes are in {}/devnet/logs", args.dir.display())
    })?;
    folder::clear(&args.dir);
    let path = results::write(results, "crashes", stamp, &crashes, &crashes.table())?;
    println!("nothing was lost; the result is in {}", path.display());
    Ok(())
}

/// Why the network is not cut; `None` if it is.
fn no_cuts(args: &CrashesArgs) -> Option<String> {
    if args.no_cuts {
        return Some("--no-cuts was given".into());
    }
    if namespaces::is_inside() {
        return None;
    }
    namespaces::available().err().map(|error| format!("{error:#}"))
}

fn now_millis() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |elapsed| elapsed.as_millis() as u64)
}

async fn endure(
    args: &CrashesArgs,
    programs: &Programs,
    seed: u64,
    no_cuts: Option<String>,
) -> anyhow::Result<Crashes> {
    let links = no_cuts.is_none().then(|| Topology::build(HOSPITALS, None, true)).transpose()?;
    let mut layout = links.as_ref().map(Topology::layout).unwrap_or_default();
    settings(&mut layout)?;
    let options = programs.network(&args.dir, HOSPITALS, layout);
    let mut network = Devnet::up(&options, &|step| println!("{step}")).await?;
    let state = network.state();
    let practices = Practice::open_all(state, &state.hospitals).await?;
    let board = Arc::new(Board::default());
    let mut calm = Calm::new(practices.clone(), board.clone(), &args.dir);
    let mut tally = Tally::default();
    let mut dice = Dice::new(seed, "disorder");
    let total = Duration::from_secs_f64(args.minutes * 60.0);
    let (mut spent, mut rounds) = (Duration::ZERO, 0);
    while spent < total {
        rounds += 1;
        let length = Duration::from_secs_f64(args.round * 60.0).min(total - spent);
        let until = Instant::now() + length;
        let terms = Terms {
            seed,
            round: rounds,
            pause_ms: args.pause_ms,
            folder: args.dir.clone(),
            patience: PATIENCE,
        };
        let load = load::start(&practices, &board, &terms);
        let mut disorder = Disorder {
            network: &mut network,
            links: links.as_ref(),
            practices: &practices,
            board: &board,
            dice: &mut dice,
            tally: &mut tally,
            down: args.down_ms,
            segments: calm.segments(),
        };
        disorder.cause_faults(until).await?;
        load.finish().await?;
        println!("round {rounds}: {}", tally.line());
        calm.check(&mut network).await.with_context(|| format!("after round {rounds}"))?;
        spent += length;
    }
    calm.check_everything(&mut network, &mut dice).await?;
    let crashes = Crashes {
        hospitals: HOSPITALS,
        seed,
        minutes: args.minutes,
        rounds,
        no_cuts_because: no_cuts,
        visits_acknowledged: board.acknowledged().len(),
        visits_committed: calm.records(),
        media_bytes: board.acknowledged().iter().map(|visit| visit.bytes).sum(),
        blocks: calm.height(),
        segments: calm.segments().len(),
        tally,
    };
    network.down()?;
    Ok(crashes)
}

/// Workers scrub often enough that damage is repaired within minutes, and give up a transfer from a killed hospital
/// sooner than over a real network.
fn settings(layout: &mut Layout) -> anyhow::Result<()> {
    let settings = "[scrub]\nsegments_per_minute = 6000\nevery = \"1min\"\n[transfer]\nstall_timeout = \"5s\"\n";
    layout.worker_settings = toml::from_str(settings)?;
    Ok(())
}

impl Crashes {
    fn table(&self) -> Table {
        let title = format!("{} minutes of crashes at random", self.minutes);
        let mut table = Table::new(&title, &["fault at a hospital", "while", "times"]);
        for (what, stage, times) in self.tally.rows() {
            table.row([what, stage, times.to_string()]);
        }
        let Self { seed, rounds, visits_acknowledged, visits_committed, blocks, segments, .. } =
            self;
        table.note(format!(
            "{visits_acknowledged} visits with {} of media were acknowledged. {visits_committed} visits are committed, \
             each once, in {blocks} blocks. After each of {rounds} rounds, the visits of the round were read back byte \
             for byte. At the end, each of {HOSPITALS} hospitals had every one of {segments} segments undamaged.",
            mib(self.media_bytes)
        ));
        table.note(
            "A fault counts once for every activity of the hospital at that moment: the rows of a fault can add up \
             to more than its total.",
        );
        if let Some(reason) = &self.no_cuts_because {
            table.note(format!("The network was not cut: {reason}."));
        }
        table.note(format!("Seed {seed}."));
        table
    }
}
