//! Drills: something goes wrong for a consortium, its operators do what the runbook says, and everything must hold.
//!
//! Each drill is a real network under a load of visits (`frame`), a cause and a recovery: one small file for each.
//! All of them end with the same checks: nothing acknowledged is lost, and no final block is forked (`watch`).

mod consensus;
mod departure;
mod equivocation;
mod frame;
mod join_and_leave;
mod name;
mod partition;
mod report;
mod restored_node;
mod rotation;
mod seat;
mod silent_validator;
mod stalled_finality;
mod two_of_four_away;
mod two_workers;
mod upgrade;
mod watch;
mod yesterdays_disk;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::{folder, machine::Stamp, namespaces, programs::Programs, results};
use departure::Way;
use frame::{Drill, Offences, Setting};
pub use name::Name;
use report::Outcome;

#[derive(Args, Clone, Debug)]
pub struct DrillArgs {
    /// Which drill; `epione-soak drills` lists them
    #[arg(value_enum)]
    pub name: Name,
    /// Seed of all random choices
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Average pause of each doctor between two visits, in milliseconds
    #[arg(long, default_value_t = 6_000, value_parser = clap::value_parser!(u64).range(100..))]
    pub pause_ms: u64,
    /// Folder to work in; emptied first
    #[arg(long, value_name = "DIR", default_value = "target/soak/drill")]
    pub dir: PathBuf,
}

/// Prints the names of all drills, one a line.
pub fn list() {
    for name in Name::value_variants() {
        println!("{name}");
    }
}

/// Runs a drill, in separate namespaces if it cuts links, and writes its result if everything held.
pub async fn run(
    args: &DrillArgs,
    programs: &Programs,
    results: &Path,
    stamp: &Stamp,
) -> anyhow::Result<()> {
    let setting = setting(args.name);
    if setting.places.is_some() && !namespaces::is_inside() {
        return Err(namespaces::enter());
    }
    folder::prepare(&args.dir)?;
    println!("{}: {}", args.name, args.name.cause());
    let outcome = perform(args, &setting, programs).await.with_context(|| {
        format!(
            "{}; the logs of all processes are in {}/devnet/logs",
            args.name,
            args.dir.display()
        )
    })?;
    folder::clear(&args.dir);
    let (results, name) = (results.join("drills"), args.name.to_string());
    let path = results::write(&results, &name, stamp, &outcome, &outcome.table(args.name))?;
    println!("everything held; the result is in {}", path.display());
    Ok(())
}

fn setting(name: Name) -> Setting {
    match name {
        Name::Partition31 | Name::Partition22 => partition::setting(),
        Name::TwoWorkers => two_workers::setting(),
        Name::StalledFinality7 => stalled_finality::setting(),
        Name::Equivocation => equivocation::setting(),
        Name::JoinAndLeave => join_and_leave::setting(),
        Name::Upgrade => upgrade::setting(),
        Name::TwoOfFourAway
        | Name::RestoredNode
        | Name::YesterdaysDisk
        | Name::SilentValidator
        | Name::Rotation
        | Name::Departure
        | Name::DepartureDead => Setting::default(),
    }
}

async fn perform(
    args: &DrillArgs,
    setting: &Setting,
    programs: &Programs,
) -> anyhow::Result<Outcome> {
    let mut drill = Drill::begin(setting, args, programs).await?;
    match args.name {
        Name::Partition31 => partition::three_and_one(&mut drill).await?,
        Name::Partition22 => partition::two_and_two(&mut drill).await?,
        Name::TwoOfFourAway => two_of_four_away::run(&mut drill).await?,
        Name::TwoWorkers => two_workers::run(&mut drill).await?,
        Name::RestoredNode => restored_node::run(&mut drill, args.seed).await?,
        Name::YesterdaysDisk => yesterdays_disk::run(&mut drill, &args.dir).await?,
        Name::StalledFinality7 => stalled_finality::run(&mut drill).await?,
        Name::SilentValidator => silent_validator::run(&mut drill).await?,
        Name::Equivocation => equivocation::run(&mut drill).await?,
        Name::Rotation => rotation::run(&mut drill, programs).await?,
        Name::JoinAndLeave => join_and_leave::run(&mut drill).await?,
        Name::Departure => {
            departure::run(&mut drill, programs, &args.dir, Way::InGoodOrder).await?;
        }
        Name::Upgrade => upgrade::run(&mut drill).await?,
        Name::DepartureDead => departure::run(&mut drill, programs, &args.dir, Way::Dead).await?,
    }
    let offences = if args.name == Name::Equivocation { Offences::Some } else { Offences::None };
    drill.end(offences).await
}
