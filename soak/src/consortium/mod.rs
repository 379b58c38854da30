//! Measures the consortium key: what its ceremonies cost each member for several numbers of members, what wraps, parts
//! and mixing links cost, and pairing operations beside them, which attribute-based encryption needs; and on a network
//! of four hospitals, how long the first ceremony takes, and how much longer a standing look takes than a look at what
//! the patient has accepted before.
//!
//! Ceremonies and arithmetic are measured within this process, by the functions that workers and clients call, without
//! network, chain and database. Only whole standing looks have a limit.

mod arithmetic;
mod ceremony;
mod curve;
mod looks;
mod network;
mod pairings;
mod report;
mod spread;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow};
use clap::Args;
use epione_devnet::{Devnet, Layout};
use epione_primitives::BlockNumber;
use serde::Serialize;
use tokio::time::timeout;

use crate::{folder, machine::Stamp, people, programs::Programs, results};
use arithmetic::Arithmetic;
use ceremony::Costs;
use looks::Compared;
use network::{Activation, Case};
use pairings::{Pairings, REPORTED, Reported};

const HOSPITALS: u16 = 4;
/// Numbers of members.
static MEMBERS: [u16; 3] = [4, 16, 30];
/// Single operations take so little time that each is repeated more often than a ceremony.
const OPERATIONS: u16 = 20;
/// The run fails after that.
const LIMIT: Duration = Duration::from_secs(60 * 60);

#[derive(Args, Clone, Debug)]
pub struct ConsortiumArgs {
    /// How often each ceremony is repeated, and a twentieth of how often each single operation is
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=20))]
    pub repetitions: u16,
    /// How many looks there are in each way on the network. With fewer than 5, the limit means nothing
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=50))]
    pub count: u16,
    /// How many chain blocks more the median of standing looks may take than that of looks at what was accepted before
    #[arg(long, default_value_t = 2)]
    pub max_blocks: BlockNumber,
    /// Measure only the smallest number of members within this process
    #[arg(long)]
    pub quick: bool,
    /// Folder to work in; emptied first and at the end
    #[arg(long, value_name = "DIR", default_value = "target/soak/consortium")]
    pub dir: PathBuf,
}

impl ConsortiumArgs {
    fn members(&self) -> &'static [u16] {
        if self.quick { &MEMBERS[..1] } else { &MEMBERS }
    }
}

/// The result. Times are in milliseconds, unless a field says otherwise.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Consortium {
    hospitals: u16,
    repetitions: u16,
    /// Repetitions of each single operation.
    operations: u16,
    count: u16,
    max_blocks: BlockNumber,
    /// Within this process.
    ceremonies: Vec<Costs>,
    /// Within this process.
    arithmetic: Arithmetic,
    /// Within this process.
    pairings: Pairings,
    /// On another machine, by a paper.
    reported: Reported,
    /// On the network.
    activation: Activation,
    /// On the network.
    looks: Compared,
}

/// Runs it, writes its result, and checks the limit.
pub async fn run(
    args: &ConsortiumArgs,
    programs: &Programs,
    results: &Path,
    stamp: &Stamp,
) -> anyhow::Result<()> {
    folder::prepare(&args.dir)?;
    let measured = timeout(LIMIT, measure(args, programs)).await;
    let late = || anyhow!("it took more than {} s", LIMIT.as_secs());
    let measured = measured.unwrap_or_else(|_| Err(late())).with_context(|| {
        format!("the logs of all processes are in {}/devnet/logs", args.dir.display())
    });
    folder::clear(&args.dir);
    let measured = measured?;
    let path = results::write(results, "consortium", stamp, &measured, &measured.table())?;
    println!("the result is in {}", path.display());
    measured.check()
}

async fn measure(args: &ConsortiumArgs, programs: &Programs) -> anyhow::Result<Consortium> {
    let ConsortiumArgs { repetitions, count, max_blocks, .. } = *args;
    // Before the network is there, which would compete for the processor.
    let mut ceremonies = Vec::new();
    for members in args.members() {
        println!("ceremonies of {members} members");
        ceremonies.extend(ceremony::measure(*members, repetitions)?);
    }
    let operations = repetitions * OPERATIONS;
    println!("wraps, parts, mixing links and pairings");
    let arithmetic = arithmetic::measure(args.members(), operations)?;
    let pairings = pairings::measure(operations)?;

    let options = programs.network(&args.dir, HOSPITALS, Layout::default());
    let network = Devnet::up(&options, &|step| println!("{step}")).await?;
    let first = network.state().hospitals.first().context("the network has no hospital")?;
    let chain = people::verified(network.state(), first).await?;
    println!("waiting until the hospitals have a key");
    let activation = network::activation(&chain).await?;
    println!("{activation:?}");
    let case = Case::prepare(network.state(), &args.dir).await?;
    let looks = looks::measure(&case, count).await?;
    network.down()?;
    Ok(Consortium {
        hospitals: HOSPITALS,
        repetitions,
        operations,
        count,
        max_blocks,
        ceremonies,
        arithmetic,
        pairings,
        reported: REPORTED,
        activation,
        looks,
    })
}
