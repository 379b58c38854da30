//! The program `epione-worker`: its commands and what it prints.
//!
//! It is part of the library so that the async functions are compiled once, and not again in the program.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use epione_envelope::tls;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{
    api,
    config::{self, Config},
    journal::{
        Journal, JournalError,
        inherited::{self, InheritedKey},
    },
    keys::{self, TlsKeys},
    upkeep, worker,
};

/// The exit code if segments are missing that could not be recovered.
const NOT_WHOLE: u8 = 2;

#[derive(Parser)]
#[command(version, about = "The off-chain worker of a hospital in an Epione chain")]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the worker until Ctrl-C or SIGTERM stops it.
    Run(ConfigFile),
    /// Check once for missing and damaged segments, and recover them from other hospitals. If a worker is running, it
    /// does the check; otherwise this program does. The exit code is 2 if segments could not be repaired.
    Scrub(ScrubOptions),
    /// Rebuild a worker whose journal and storage were lost, from its keys, its node and the other hospitals. The exit
    /// code is 2 if segments could not be recovered.
    Rebuild(ReportOptions),
    /// List the patients of removed hospitals whose keys this hospital has opened as their custodian. Stop the worker
    /// before: it has locked its journal.
    Inherited(ConfigFile),
    /// Check a configuration without running the worker.
    CheckConfig(ConfigFile),
    /// Print the worker's public TLS key, for `epione hospital set-endpoint`. Other hospitals and clients identify the
    /// worker by this key.
    TlsKey(TlsKeyOptions),
    /// Print the OpenAPI description of the HTTP API.
    Openapi,
    /// Print an example configuration: every key with its comment and its default.
    ExampleConfig,
}

#[derive(clap::Args)]
struct TlsKeyOptions {
    #[command(flatten)]
    file: ConfigFile,
    /// Number of the key. To replace the key in use, choose a higher number
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(..i64::from(tls::GENERATIONS)))]
    generation: u16,
}

#[derive(clap::Args)]
struct ScrubOptions {
    #[command(flatten)]
    report: ReportOptions,
    /// Segments to read per minute. Default: as fast as the storage allows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
}

#[derive(clap::Args)]
struct ReportOptions {
    #[command(flatten)]
    file: ConfigFile,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct ConfigFile {
    /// Configuration file (TOML); `epione-worker example-config` prints an example
    #[arg(long, env = "EPIONE_WORKER_CONFIG")]
    config: PathBuf,
}

/// Parses the command line and runs the command.
#[tokio::main]
pub async fn run() -> ExitCode {
    let command = Options::parse().command;
    // Commands that end print their results: they log warnings only.
    let level = if matches!(command, Command::Run(_)) { "info" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match execute(command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn execute(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(file) => {
            let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
            let shutdown = async move {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => {}
                    _ = terminate.recv() => {}
                }
            };
            worker::run(Config::read(&file.config)?, shutdown).await?;
        }
        Command::Scrub(ScrubOptions { report, rate }) => {
            let config = Config::read(&report.file.config)?;
            let found = upkeep::scrub(config, rate, progress()).await?;
            return show(&report, &found, &found.lines(), found.is_whole());
        }
        Command::Rebuild(report) => {
            let config = Config::read(&report.file.config)?;
            let rebuilt = upkeep::rebuild(config, progress()).await?;
            return show(&report, &rebuilt, &rebuilt.lines(), rebuilt.scrub.is_whole());
        }
        Command::Inherited(file) => {
            let config = Config::read(&file.config)?;
            list_inherited(&config.journal_path())
                .await?
                .iter()
                .for_each(|line| println!("{line}"));
        }
        Command::CheckConfig(file) => {
            Config::read(&file.config)?;
            println!("{}: valid", file.config.display());
        }
        Command::TlsKey(options) => {
            let config = Config::read(&options.file.config)?;
            let keys = TlsKeys::new(&config.keystore, &keys::load(&config.keystore)?)?;
            println!("{}", hex::encode(keys.generation(options.generation).public()));
        }
        Command::Openapi => {
            println!("{}", api::description().to_pretty_json()?);
        }
        Command::ExampleConfig => print!("{}", config::example()),
    }
    Ok(ExitCode::SUCCESS)
}

/// A line for each inherited key. A running worker has locked its journal also for readers: it needs no shared memory
/// then, and no second process can change what it relies on.
async fn list_inherited(journal: &Path) -> anyhow::Result<Vec<String>> {
    anyhow::ensure!(
        journal.exists(),
        "there is no journal {}: check `data_dir` in the configuration",
        journal.display()
    );
    let journal = Journal::open(journal).await.map_err(|error| match error {
        JournalError::InUse => anyhow::anyhow!(
            "the worker is running and has locked its journal: stop it, run this again, then start it. While it runs, \
             its log has a line \"inherited a patient's keys\" for each patient"
        ),
        error => error.into(),
    })?;
    let keys = journal.read(inherited::all).await?;
    let line = |key: InheritedKey| {
        let InheritedKey { departed, patient, versions, claim, .. } = key;
        format!("hospital {departed}: patient {patient}, {versions} versions, claim {claim}")
    };
    Ok(keys.into_iter().map(line).collect())
}

/// Prints progress to standard error, without repeating a line.
fn progress() -> impl FnMut(String) {
    let mut last = String::new();
    move |now| {
        if now != last {
            eprintln!("{now}");
            last = now;
        }
    }
}

fn show(
    options: &ReportOptions,
    report: &impl Serialize,
    lines: &[String],
    whole: bool,
) -> anyhow::Result<ExitCode> {
    if options.json {
        println!("{}", serde_json::to_string_pretty(report)?);
    } else {
        lines.iter().for_each(|line| println!("{line}"));
    }
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::from(NOT_WHOLE) })
}

#[cfg(test)]
mod tests {
    use epione_primitives::{Hash, HospitalId, UserId, custody::ClaimId};

    use super::*;

    #[tokio::test]
    async fn inherited_keys_are_listed_and_a_running_worker_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        let missing = list_inherited(&path).await.unwrap_err().to_string();
        assert!(missing.contains("data_dir"), "{missing}");
        assert!(!path.exists(), "it creates no journal");

        let journal = Journal::open(&path).await.unwrap();
        let key = InheritedKey {
            departed: HospitalId(3),
            patient: UserId([7; 32]),
            profile: Hash::zero(),
            versions: 2,
            claim: ClaimId(5),
            sealed: vec![1; 40],
        };
        journal.write(move |tx| inherited::keep(tx, &key)).await.unwrap();
        let running = list_inherited(&path).await.unwrap_err().to_string();
        assert!(running.contains("stop it"), "{running}");
        drop(journal);
        let lines = list_inherited(&path).await.unwrap();
        let expected = format!("hospital 3: patient {}, 2 versions, claim 5", UserId([7; 32]));
        assert_eq!(lines, [expected]);
    }
}
