//! The program `epione-worker`: its commands and what it prints.
//!
//! It is part of the library so that the async functions are compiled once, and not again in the program.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use epione_envelope::tls;
use epione_primitives::{Hash, Moment};
use serde::Serialize;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};
use tracing_subscriber::EnvFilter;
use url::Url;

use crate::{
    api,
    config::{self, Config},
    control::{self, WorkerStatus},
    doctor::{self, Patient, clock::SystemClock},
    journal::{
        Journal, JournalError,
        inherited::{self, InheritedKey},
    },
    keys::{self, TlsKeys},
    maintenance::{self, Switch},
    now, upkeep, worker,
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
    /// Check what the hospital needs to take part, and say what to do: clocks, node, keys, storage, disks, and the ways
    /// to the other hospitals' workers and back. It changes nothing. The exit code is 1 if there is a problem.
    Doctor(DoctorOptions),
    /// Switch maintenance mode on or off, or show it. In maintenance mode the worker takes no new visits and finishes
    /// those that it has; everything else goes on. The mode stays on when the worker is restarted.
    Maintenance(MaintenanceOptions),
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
struct DoctorOptions {
    #[command(flatten)]
    report: ReportOptions,
    /// Another node than the configuration's node_url
    #[arg(long, value_name = "URL")]
    node: Option<Url>,
    /// Hash of the chain's first block, as the hospitals publish it
    #[arg(long, value_name = "HASH", value_parser = genesis_hash)]
    genesis: Option<Hash>,
    /// Folder with the node's session keys (keystore/ in its chain's folder). Only the names of its files are read
    #[arg(long, value_name = "DIR")]
    keystore: Option<PathBuf>,
    /// The node's --base-path, to check its disk
    #[arg(long, value_name = "DIR")]
    node_data: Option<PathBuf>,
}

#[derive(clap::Args)]
struct MaintenanceOptions {
    /// What to do
    #[arg(value_enum)]
    to: MaintenanceStep,
    #[command(flatten)]
    report: ReportOptions,
    /// With `on`: return only when no visit waits to be committed and no upload is open
    #[arg(long)]
    wait: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum MaintenanceStep {
    On,
    Off,
    Status,
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
        Command::Doctor(options) => return examine(options).await,
        Command::Maintenance(options) => {
            let MaintenanceOptions { to, report, wait } = options;
            let config = Config::read(&report.file.config)?;
            let seen = maintain(&config, to, wait, progress()).await?;
            return show(&report, &seen, &seen.lines(), true);
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

/// 64 hexadecimal digits, with or without 0x.
fn genesis_hash(text: &str) -> Result<Hash, String> {
    let mut hash = Hash::zero();
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), hash.as_bytes_mut())
        .map_err(|_| "it must have 64 hexadecimal digits, with or without 0x".to_owned())?;
    Ok(hash)
}

async fn examine(options: DoctorOptions) -> anyhow::Result<ExitCode> {
    let DoctorOptions { report: options, node, genesis, keystore, node_data } = options;
    let (config, config_path) = (Config::read(&options.file.config)?, options.file.config.clone());
    let patient = Patient { config, config_path, node, keystore, node_data, genesis };
    let report = doctor::examine(&patient, &SystemClock).await;
    show(&options, &report, &report.lines(), true)?;
    Ok(if report.healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Maintenance mode, as a command leaves it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MaintenanceState {
    /// Since when it is on (Unix time in milliseconds); absent if it is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Moment>,
    /// What the worker has under way; absent if no worker runs, or if it has not begun its work.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<Underway>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Underway {
    waiting_visits: u64,
    open_uploads: u64,
}

impl MaintenanceState {
    fn lines(&self) -> Vec<String> {
        let mode = match self.since {
            Some(since) => {
                format!("maintenance is on since {}: no new visits", maintenance::moment(since))
            }
            None => "maintenance is off".into(),
        };
        let work = match &self.worker {
            None => "no worker runs, or it has not begun its work".into(),
            Some(Underway { waiting_visits: 0, open_uploads: 0 }) => {
                "nothing is under way: the worker can be stopped".into()
            }
            Some(Underway { waiting_visits, open_uploads }) => format!(
                "visits that wait to be committed: {waiting_visits}; open uploads: {open_uploads}. A worker that is \
                 stopped keeps the visits and announces them after its next start; clients begin the uploads again"
            ),
        };
        vec![mode, work]
    }
}

/// Between two questions to the worker.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// For the worker to see the switch.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

async fn maintain(
    config: &Config,
    to: MaintenanceStep,
    wait: bool,
    mut report: impl FnMut(String),
) -> anyhow::Result<MaintenanceState> {
    let switch = Switch::of(&config.data_dir);
    let unusable = || format!("cannot use the switch in {}", config.data_dir.display());
    match to {
        MaintenanceStep::On => {
            switch.on(now()).with_context(unusable)?;
        }
        MaintenanceStep::Off => {
            switch.off().with_context(unusable)?;
        }
        MaintenanceStep::Status => {}
    }
    let since = switch.since().with_context(unusable)?;
    let begun = Instant::now();
    loop {
        let status = control::status(&config.control_path()).await?;
        let Some(status) = status else { return Ok(MaintenanceState { since, worker: None }) };
        let has_seen = status.maintenance.is_some() == since.is_some();
        let waits_for_work = wait && to == MaintenanceStep::On && !status.is_idle();
        if has_seen && !waits_for_work {
            let WorkerStatus { waiting_visits, open_uploads, .. } = status;
            return Ok(MaintenanceState {
                since,
                worker: Some(Underway { waiting_visits, open_uploads }),
            });
        }
        anyhow::ensure!(
            has_seen || begun.elapsed() < SEEN_WITHIN,
            "the running worker does not see the switch in {}: does it use the same data_dir?",
            config.data_dir.display()
        );
        if has_seen {
            report(format!(
                "waiting for {} visits and {} uploads",
                status.waiting_visits, status.open_uploads
            ));
        }
        sleep(ASK_EVERY).await;
    }
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
    use epione_primitives::{HospitalId, UserId, custody::ClaimId};

    use super::*;

    #[tokio::test]
    async fn maintenance_is_switched_also_while_no_worker_runs() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::parse(&format!(
            "public_url = \"http://127.0.0.1:1\"\ndata_dir = {:?}\nkeystore.development = \"//Alice\"",
            folder.path()
        ))
        .unwrap();
        let step = async |to| maintain(&config, to, true, |_| {}).await.unwrap();
        assert_eq!(step(MaintenanceStep::Status).await.lines()[0], "maintenance is off");
        let on = step(MaintenanceStep::On).await;
        assert!(on.since.is_some() && on.worker.is_none());
        assert!(on.lines()[0].starts_with("maintenance is on since 20"), "{:?}", on.lines());
        assert_eq!(step(MaintenanceStep::Status).await.since, on.since);
        assert_eq!(step(MaintenanceStep::Off).await.since, None);
        assert_eq!(Switch::of(folder.path()).since().unwrap(), None);
    }

    #[test]
    fn doctor_and_maintenance_have_these_arguments() {
        for arguments in [
            &["doctor", "--config", "w", "--json"][..],
            &["doctor", "--config", "w", "--node", "ws://127.0.0.1:1", "--keystore", "k"],
            &["doctor", "--config", "w", "--node-data", "n", "--genesis", "0x01"],
            &["maintenance", "on", "--wait", "--config", "w"],
            &["maintenance", "off", "--config", "w"],
            &["maintenance", "status", "--json", "--config", "w"],
        ] {
            let line = [&["epione-worker"][..], arguments].concat();
            let parsed = Options::try_parse_from(line);
            let is_valid = !arguments.contains(&"--genesis");
            assert_eq!(parsed.is_ok(), is_valid, "{arguments:?}");
        }
        let genesis = format!("0x{}", "01".repeat(32));
        let line = ["epione-worker", "doctor", "--config", "w", "--genesis", &genesis];
        assert!(Options::try_parse_from(line).is_ok());
        assert!(
            Options::try_parse_from(["epione-worker", "maintenance", "--config", "w"]).is_err()
        );
    }

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
