//! `epione`: the command line of doctors, patients and operators, with a local network for trials.
//!
//! Each command is a file or folder in [`commands`]: its arguments, its result, and the function that runs it.
//! [`demo`] shows the main use of Epione on a network of [`epione_devnet`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod arguments;
pub mod checkpoints;
pub mod commands;
pub mod confirmation;
pub mod context;
pub mod demo;
pub mod failure;
pub mod home;
pub mod identity;
pub mod interrupt;
pub mod invocation;
pub mod kept;
pub mod listing;
pub mod names;
pub mod node_program;
pub mod pins;
pub mod piped;
pub mod progress;
pub mod samples;
pub mod similar;
pub mod table;
pub mod users;
pub mod wording;
pub mod words;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use tokio::signal::unix::SignalKind;

use crate::{
    arguments::{Arguments, Refused},
    commands::Command,
    context::{Common, Output},
    failure::{Failure, USAGE},
};

/// Client and operator's tool for patient records that hospitals share
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
Answers of a node are believed if they are proven from the chain's first block: epione chain pin --help
A USER is a user id, its first digits, or a name that you set (epione name set --help).";

/// Parses the command line, runs the command, and prints the result. The runtime is started here, so that the async
/// functions are compiled with the library and not again in each program.
#[tokio::main]
pub async fn run() -> ExitCode {
    let arguments = match Arguments::read(std::env::args_os().collect()) {
        Ok(arguments) => arguments,
        Err(error) => return misused(&error),
    };
    let json = arguments.context().common().json;
    let teller = progress::Teller::new(arguments.context());
    let interruption = arguments.context().interruption().clone();
    let help = format!("nothing was changed; to try again, run: {}", interrupt::this_command());
    interruption.set(Some(Failure::new("interrupted", help)));
    match interruption.during(json, teller.during(execute(arguments))).await {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        Ok(Ok(false)) => ExitCode::from(failure::FAILED),
        Ok(Err(Refused::Misused(error))) => misused(&error),
        Ok(Err(Refused::Failed(failure))) => {
            let at_prompt = failure.is_interruption();
            let kind = SignalKind::interrupt();
            let interrupted = at_prompt.then(|| interruption.take(kind)).flatten();
            failed(&interrupted.unwrap_or(*failure), json)
        }
        Err(interrupted) => {
            let _ = failed(&interrupted, json);
            // Threads that still block, as on a pipe without a writer, do not delay the end.
            std::process::exit(interrupted.status().into())
        }
    }
}

/// Finds the users that the arguments name, and runs the command.
async fn execute(arguments: Arguments) -> Result<bool, Refused> {
    let (cli, context) = arguments.resolve().await?;
    let help = cli.command.when_interrupted();
    context.interruption().set(help.map(|help| Failure::new("interrupted", help)));
    Ok(cli.command.run(context).await?)
}

fn failed(failure: &Failure, json: bool) -> ExitCode {
    progress::clear();
    progress::line(&failure.render(json));
    ExitCode::from(failure.status())
}

/// Prints a result; returns whether it is good.
fn show(output: &impl Output, json: bool) -> Result<bool, Failure> {
    let text = if json {
        let json = serde_json::to_string_pretty(output)
            .map_err(|error| Failure::new(error.to_string(), "this is a bug: report it"))?;
        wording::escaped(&json)
    } else {
        // Every result passes here, so that no name needs care of its own.
        wording::printable(&output.to_string())
    };
    progress::clear();
    let mut stdout = io::stdout();
    printed(writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush()))?;
    Ok(output.passed())
}

/// Whether the result was written. The reader may have closed the pipe early, such as `head`: that is no failure.
fn printed(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(
            format!("the result cannot be written to standard output: {error}"),
            "the command succeeded, but its result was not written: free space there, or choose \
             another file for the output",
        )),
        _ => Ok(()),
    }
}

/// Prints help and version as clap does; misuse with --json in the form of every other failure.
fn misused(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    if arguments::is_answer(error) {
        let written = error.print().and_then(|()| io::stdout().flush());
        return match printed(written) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failed(&failure, wants_json),
        };
    }
    // clap prints arguments as they are, with the controls in them.
    let is_legible =
        std::env::args_os().all(|argument| !argument.to_string_lossy().contains(wording::controls));
    if !wants_json && is_legible && arguments::is_printable(error) {
        // If standard error is closed, there is nowhere to report that.
        let _ = error.print();
        return ExitCode::from(USAGE);
    }
    failed(&arguments::misuse(error), wants_json)
}
