//! Measures sharing beside the literature: what each party computes and sends when visits are outsourced and queried,
//! for the numbers of Huang et al. (BCES, JPDC 2020); and what it takes to share sections, to read them, and to change
//! what is shared, beside two schemes that are rebuilt here for the comparison only (`schemes`).
//!
//! Parties, schemes and changes are measured within this process, by the functions that client and worker call, without
//! network and database. Only the response times are of a network of four hospitals, with nodes and workers.

mod effort;
mod outsourcing;
mod parties;
mod querying;
mod reading;
mod report;
mod responses;
mod schemes;
mod state;
mod updating;
mod wire;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow};
use clap::Args;
use epione_devnet::{Devnet, Layout};
use serde::Serialize;
use tokio::time::timeout;

use crate::{folder, machine::Stamp, programs::Programs, results};
use outsourcing::Outsourcing;
use parties::{Parties, Person};
use querying::Querying;
use reading::Reading;
use responses::Responses;
use updating::Update;

pub(crate) use wire::transaction;

const HOSPITALS: u16 = 4;
/// Numbers of outsourcings, of queries, and of shared sections.
static AXIS: [u16; 6] = [1, 10, 20, 30, 40, 50];
static USERS: [u16; 3] = [1, 8, 64];
/// The run fails after that.
const LIMIT: Duration = Duration::from_secs(8 * 60);

#[derive(Args, Clone, Debug)]
pub struct SharingArgs {
    /// How often each step is repeated; the results are medians
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=20))]
    pub repetitions: u16,
    /// Measure only the two smallest numbers of everything
    #[arg(long)]
    pub quick: bool,
    /// Folder to work in; emptied first and at the end
    #[arg(long, value_name = "DIR", default_value = "target/soak/sharing")]
    pub dir: PathBuf,
}

impl SharingArgs {
    fn axis(&self) -> &'static [u16] {
        if self.quick { &AXIS[..2] } else { &AXIS }
    }

    fn users(&self) -> &'static [u16] {
        if self.quick { &USERS[..2] } else { &USERS }
    }
}

/// The result.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Sharing {
    hospitals: u16,
    repetitions: u16,
    text_bytes: u64,
    /// Within this process.
    outsourcings: Vec<Outsourcing>,
    /// Within this process.
    queries: Vec<Querying>,
    /// Within this process.
    readings: Vec<Reading>,
    /// Within this process.
    updates: Vec<Update>,
    /// Records of the patient when a user is admitted or removed.
    records: u64,
    /// On the network.
    responses: Vec<Responses>,
}

/// Runs it, and writes its result.
pub async fn run(
    args: &SharingArgs,
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
    let path = results::write(results, "sharing", stamp, &measured, &measured.table())?;
    println!("the result is in {}", path.display());
    Ok(())
}

async fn measure(args: &SharingArgs, programs: &Programs) -> anyhow::Result<Sharing> {
    // Before the network is there, which would compete for the processor.
    let mut sharing = within_this_process(args).await?;
    let options = programs.network(&args.dir, HOSPITALS, Layout::default());
    let network = Devnet::up(&options, &|step| println!("{step}")).await?;
    let hospital = network.state().hospitals.first().context("the network has no hospital")?;
    let one = (network.state(), hospital);
    sharing.responses = responses::measure(one, &args.dir, args.axis(), args.repetitions).await?;
    network.down()?;
    Ok(sharing)
}

async fn within_this_process(args: &SharingArgs) -> anyhow::Result<Sharing> {
    let SharingArgs { repetitions, .. } = *args;
    let parties = Parties::new()?;
    let (mut outsourcings, mut queries) = (Vec::new(), Vec::new());
    for count in args.axis() {
        println!("{count} outsourcings and queries");
        outsourcings.push(outsourcing::measure(&parties, *count, repetitions).await?);
        queries.push(querying::measure(&parties, *count, repetitions)?);
    }
    let (mut readings, mut updates) = (Vec::new(), Vec::new());
    for sections in args.axis() {
        for users in args.users() {
            println!("{sections} shared sections for {users} users");
            let users = (0..*users).map(|number| Person::of(&format!("//Sharing//User-{number}")));
            let users = users.collect::<anyhow::Result<Vec<_>>>()?;
            readings.extend(reading::measure(&parties, *sections, &users, repetitions)?);
            updates.extend(updating::measure(&parties, *sections, &users)?);
        }
    }
    Ok(Sharing {
        hospitals: HOSPITALS,
        repetitions,
        text_bytes: parties::TEXT_BYTES,
        outsourcings,
        queries,
        readings,
        updates,
        records: updating::RECORDS,
        responses: Vec::new(),
    })
}
