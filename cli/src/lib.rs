//! `epione`: what doctors, patients and operators do from a terminal, and a local network to try it on.
//!
//! Each command is a file in [`commands`]: its arguments, and `run`, which returns what to print.
//! [`devnet`] starts and ends hospitals as processes; [`demo`] tells the main job as a story on one.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod commands;
pub mod context;
pub mod demo;
pub mod devnet;
pub mod failure;
pub mod identity;
pub mod interrupt;
pub mod policy;
pub mod progress;
pub mod samples;
pub mod table;
pub mod unfinished;

use std::process::ExitCode;

use clap::{Parser, error::ErrorKind};

use crate::{
    commands::Command,
    context::{Common, Context, Output},
    failure::{Failure, USAGE},
};

/// Patient records, shared among hospitals: client and operator's tool
#[derive(Debug, Parser)]
#[command(name = "epione", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Parses the command line, does what it says, prints the result.
pub async fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    let json = cli.common.json;
    let context = Context::new(cli.common);
    if let Some(help) = cli.command.when_interrupted() {
        interrupt::ends_with(help, json);
    }
    let teller = progress::Teller::new(&context);
    match teller.during(cli.command.run(context)).await {
        Ok(passed) if passed => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(failure::FAILED),
        Err(failure) => {
            eprintln!("{}", failure.render(json));
            ExitCode::from(failure.status())
        }
    }
}

/// Prints a result; returns whether it is as it should be.
fn show(output: &impl Output, json: bool) -> Result<bool, Failure> {
    use std::io::Write;
    let text = if json {
        serde_json::to_string_pretty(output)
            .map_err(|error| Failure::new(error.to_string(), "this is a defect: report it"))?
    } else {
        output.to_string()
    };
    progress::clear();
    // Whoever closed the pipe has read enough.
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
    Ok(output.passed())
}

/// Help and version go where clap sends them; misuse has the form of every other error.
fn misused(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args().any(|argument| argument == "--json");
    let is_answer = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if is_answer || !wants_json {
        // Nowhere to write to: nothing to tell either.
        let _ = error.print();
        return ExitCode::from(if is_answer { 0 } else { USAGE });
    }
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let failure = Failure::usage(first, "run the command with --help");
    eprintln!("{}", failure.render(true));
    ExitCode::from(USAGE)
}
