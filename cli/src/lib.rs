//! `epione`: the command line of doctors, patients and operators, with a local network for trials.
//!
//! Each command is a file or folder in [`commands`]: its arguments, its result, and the function that runs it.
//! [`devnet`] starts and stops hospitals as processes; [`demo`] shows the main use of Epione on such a network.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod arguments;
pub mod commands;
pub mod context;
pub mod demo;
pub mod denial;
pub mod devnet;
pub mod failure;
pub mod home;
pub mod identity;
pub mod interrupt;
pub mod invocation;
pub mod listing;
pub mod names;
pub mod piped;
pub mod policy;
pub mod progress;
pub mod samples;
pub mod similar;
pub mod table;
pub mod users;
pub mod wording;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    arguments::Refused,
    commands::Command,
    context::{Common, Output},
    failure::{Failure, USAGE},
};

/// Patient records, shared among hospitals: client and operator's tool
#[derive(Debug, Parser)]
#[command(name = "epione", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = REACHING)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

const REACHING: &str = "\
Give a node of the chain with --node or EPIONE_NODE, or the directory of a network on this machine with --devnet
or EPIONE_DEVNET; start such a network with: epione devnet up --detach
A USER is a user id, its first digits, or a name of your own (epione name set --help).";

/// Parses the command line, runs the command, and prints the result. The runtime is started here, so that the async
/// functions are compiled with the library and not again in each program.
#[tokio::main]
pub async fn run() -> ExitCode {
    let (cli, context) = match arguments::parse(std::env::args_os().collect()).await {
        Ok(parsed) => parsed,
        Err(Refused::Misused(error)) => return misused(&error),
        Err(Refused::Failed { failure, json }) => return failed(&failure, json),
    };
    let json = context.common().json;
    if let Some(help) = cli.command.when_interrupted() {
        interrupt::ends_with(help, json);
    }
    let teller = progress::Teller::new(&context);
    match teller.during(cli.command.run(context)).await {
        Ok(passed) if passed => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(failure::FAILED),
        Err(failure) => failed(&failure, json),
    }
}

fn failed(failure: &Failure, json: bool) -> ExitCode {
    eprintln!("{}", failure.render(json));
    ExitCode::from(failure.status())
}

/// Prints a result; returns whether it is good.
fn show(output: &impl Output, json: bool) -> Result<bool, Failure> {
    use std::io::Write;
    let text = if json {
        serde_json::to_string_pretty(output)
            .map_err(|error| Failure::new(error.to_string(), "this is a defect: report it"))?
    } else {
        output.to_string()
    };
    progress::clear();
    // The reader may have closed the pipe early.
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
    Ok(output.passed())
}

/// Prints help and version as clap does; misuse with --json in the form of every other failure.
fn misused(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    let is_answer = arguments::is_answer(error);
    if is_answer || !wants_json {
        // If the output is closed, there is nowhere to report that.
        let _ = error.print();
        return ExitCode::from(if is_answer { 0 } else { USAGE });
    }
    failed(&arguments::misuse(error), true)
}
