//! Compares the times of looks that verify what the node says with those of looks that believe it (`--trust-node`), on
//! a network of four hospitals.
//!
//! A look is the request, the grant with its receipt, and the bytes. Only whole looks have a limit: a doctor reads a
//! record for the first time, by a new receipt. The same doctor's second reading within the grant's lifetime gets the
//! same grant, so every look is at a record of its own. What is read without a receipt, such as a list or a record by
//! the patient's own key, is short, and is reported in milliseconds without a limit.
//!
//! Readings that verify and readings that believe take turns, so that both meet the same network.

mod commands;
mod parts;
mod report;
mod visits;

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use epione_devnet::{Devnet, HospitalState, Layout, State};
use serde::Serialize;

use crate::{
    client::Client, folder, machine::Stamp, people::Practice, programs::Programs, results,
};
use commands::{Command, Compared, Measuring};
use parts::Parts;

const HOSPITALS: u16 = 4;
/// The people of the records that are read for the first time. Those of the other readings have no name: the patient
/// has one record.
const NAME: &str = "Looks";

#[derive(Args, Clone, Debug)]
pub struct LooksArgs {
    /// How many whole looks there are in each of both ways, and how often each other reading runs. With fewer than 10,
    /// the limit of whole looks means nothing
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=50))]
    pub count: u16,
    /// Maximum ratio of the medians of whole looks, verified to believed
    #[arg(long, default_value_t = 1.3)]
    pub max_ratio: f64,
    /// Folder to work in; emptied first and at the end
    #[arg(long, value_name = "DIR", default_value = "target/soak/looks")]
    pub dir: PathBuf,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Looks {
    hospitals: u16,
    count: u16,
    /// Each with a new receipt: the only readings with a limit.
    whole: Compared,
    /// Of the same look in one process that is connected already.
    parts: PartsOfBoth,
    /// Without a receipt, with the file of the last verified block.
    usual: Vec<Compared>,
    /// Without a receipt and without that file.
    first_use: Vec<Compared>,
    max_ratio: f64,
}

/// The parts of looks that verify, and of looks that believe.
#[derive(Clone, Debug, Serialize)]
struct PartsOfBoth {
    verified: Parts,
    believed: Parts,
}

/// Whether a reading verifies what its node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Verified,
    Believed,
}

impl Way {
    /// Both, so that neither is always the second one.
    fn both(number: u16) -> [Self; 2] {
        let mut ways = [Self::Verified, Self::Believed];
        ways.rotate_left(usize::from(number % 2));
        ways
    }
}

/// Runs it, writes its result, and checks the limit.
pub async fn run(
    args: &LooksArgs,
    programs: &Programs,
    results: &Path,
    stamp: &Stamp,
) -> anyhow::Result<()> {
    ensure!(args.max_ratio > 0.0, "--max-ratio must be more than 0");
    folder::prepare(&args.dir)?;
    let measured = measure(args, programs).await.with_context(|| {
        format!("the logs of all processes are in {}/devnet/logs", args.dir.display())
    });
    folder::clear(&args.dir);
    let measured = measured?;
    let path = results::write(results, "looks", stamp, &measured, &measured.table())?;
    println!("the result is in {}", path.display());
    measured.check()
}

async fn measure(args: &LooksArgs, programs: &Programs) -> anyhow::Result<Looks> {
    let options = programs.network(&args.dir, HOSPITALS, Layout::default());
    let network = Devnet::up(&options, &|step| println!("{step}")).await?;
    let first = network.state().hospitals.first().context("the network has no hospital")?;
    let client = Client::new(programs, network.directory());
    let looks = looks(args, &client, (network.state(), first)).await?;
    network.down()?;
    Ok(looks)
}

async fn looks(
    args: &LooksArgs,
    client: &Client,
    (network, hospital): (&State, &HospitalState),
) -> anyhow::Result<Looks> {
    let LooksArgs { count, max_ratio, .. } = *args;
    let one = Practice::open(network, hospital).await?;
    visits::submit(client, &one, &args.dir, 1).await?;
    let many = Practice::open_named(network, hospital, NAME).await?;
    // One for each command in each way, one for each look within this process, and the first two, which are not
    // measured.
    let records = visits::submit(client, &many, &args.dir, 4 * usize::from(count) + 2).await?;
    let (of_commands, of_parts) = records.split_at(2 * usize::from(count) + 2);

    let measuring = Measuring::new(client, &args.dir, count);
    let whole = measuring.whole_looks(&many, of_commands).await?;
    let parts = parts::measure(&many, hospital, of_parts, &args.dir).await?;
    let (mut usual, mut first_use) = (Vec::new(), Vec::new());
    for command in Command::WITHOUT_RECEIPT {
        usual.push(measuring.usual(command, &one).await?);
        first_use.push(measuring.first_use(command, &one).await?);
    }
    Ok(Looks { hospitals: HOSPITALS, count, whole, parts, usual, first_use, max_ratio })
}
