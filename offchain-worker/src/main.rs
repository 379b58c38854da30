//! `epione-worker`: the off-chain worker of a hospital.

use std::{io::IsTerminal, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Parser, Subcommand};
use epione_worker::{api, config::Config, worker};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[derive(Parser)]
#[command(version, about = "The off-chain worker of a hospital in an Epione chain")]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the worker until it is told to stop (Ctrl-C or SIGTERM).
    Run(ConfigFile),
    /// Check a configuration without running anything.
    CheckConfig(ConfigFile),
    /// Print the OpenAPI description of the HTTP API.
    Openapi,
}

#[derive(clap::Args)]
struct ConfigFile {
    /// TOML; see worker.example.toml.
    #[arg(long, env = "EPIONE_WORKER_CONFIG")]
    config: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match run(Options::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run(file) => {
            let mut terminate = signal(SignalKind::terminate()).context("no signals here")?;
            let shutdown = async move {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => {}
                    _ = terminate.recv() => {}
                }
            };
            worker::run(Config::read(&file.config)?, shutdown).await
        }
        Command::CheckConfig(file) => {
            Config::read(&file.config)?;
            println!("{}: valid", file.config.display());
            Ok(())
        }
        Command::Openapi => {
            println!("{}", api::description().to_pretty_json()?);
            Ok(())
        }
    }
}
