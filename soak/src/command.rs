//! The program `epione-soak`: its arguments, and its end.

use std::{path::PathBuf, pin::pin, process::ExitCode};

use clap::{Parser, Subcommand};
use epione_devnet::signalled;

use crate::{
    consortium, crashes, drills, hostile, large, links, lite, looks, machine::Stamp,
    programs::Programs, sharing,
};

#[derive(Parser)]
#[command(version, about = "Long runs of whole networks, with measurements", max_term_width = 100)]
struct Options {
    #[command(subcommand)]
    run: Run,
    /// Folder of epione-node, epione-worker, epione-s3-server and epione [default: this program's folder, then PATH]
    #[arg(long, global = true, value_name = "DIR", env = "EPIONE_BIN_DIR")]
    bin_dir: Option<PathBuf>,
    /// Folder for the results
    #[arg(long, global = true, value_name = "DIR", default_value = "benchmarks/results")]
    results: PathBuf,
}

#[derive(Subcommand)]
enum Run {
    /// Submits, commits, repairs and reads back gigabytes in bounded memory
    Large(large::LargeArgs),
    /// Measures how long a block takes over narrow links, for networks of several sizes
    Links(links::LinksArgs),
    /// Kills processes at random under load, and checks that nothing acknowledged is lost
    Crashes(crashes::CrashesArgs),
    /// Lets something go wrong for a consortium, does what its runbook says, and checks that everything held
    Drill(drills::DrillArgs),
    /// Lists the names of the drills
    Drills,
    /// Attacks with a hostile user and a hostile hospital, and checks that the honest ones are served
    Hostile(hostile::HostileArgs),
    /// Copies, verifies and searches ten thousand lite blocks as a peer, also after the copy was killed
    Lite(lite::LiteArgs),
    /// Compares the times of looks that verify what the node says with those that believe it
    Looks(looks::LooksArgs),
    /// Measures what each party of a sharing computes and sends, beside other ways to share
    Sharing(sharing::SharingArgs),
    /// Measures the ceremonies of the consortium key, and standing looks
    Consortium(consortium::ConsortiumArgs),
}

/// Parses the command line and runs what it selects.
#[tokio::main]
pub async fn run() -> ExitCode {
    let options = Options::parse();
    let mut stop = pin!(signalled());
    // A run that is dropped takes its network and its links down.
    let outcome = tokio::select! {
        outcome = execute(&options) => outcome,
        _ = &mut stop => Err(anyhow::anyhow!("interrupted; the network was stopped")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn execute(options: &Options) -> anyhow::Result<()> {
    let programs = Programs::find(options.bin_dir.as_deref())?;
    let stamp = Stamp::take(command());
    match &options.run {
        Run::Large(args) => large::run(args, &programs, &options.results, &stamp).await,
        Run::Links(args) => links::run(args, &programs, &options.results, &stamp).await,
        Run::Crashes(args) => crashes::run(args, &programs, &options.results, &stamp).await,
        Run::Drill(args) => drills::run(args, &programs, &options.results, &stamp).await,
        Run::Drills => {
            drills::list();
            Ok(())
        }
        Run::Hostile(args) => hostile::run(args, &programs, &options.results, &stamp).await,
        Run::Lite(args) => lite::run(args, &programs, &options.results, &stamp).await,
        Run::Looks(args) => looks::run(args, &programs, &options.results, &stamp).await,
        Run::Sharing(args) => sharing::run(args, &programs, &options.results, &stamp).await,
        Run::Consortium(args) => consortium::run(args, &programs, &options.results, &stamp).await,
    }
}

/// The command as it was typed, without the folder of this program.
fn command() -> String {
    let words = std::env::args().skip(1);
    ["epione-soak".to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}
