//! Ctrl-C: what a command leaves that is ended before it is done, and how to go on.

use std::process::exit;

pub use epione_devnet::signalled;

use crate::{failure::Failure, invocation::Invocation, progress};

/// Has a signal end this process at once, with these words. From a task of its own: the command may be
/// reading a password.
pub fn ends_with(help: String, json: bool) {
    tokio::spawn(async move {
        let kind = signalled().await;
        progress::clear();
        eprintln!("{}", Failure::new("interrupted", help).render(json));
        // As a shell tells that a signal ended a process.
        exit(128 + kind.as_raw_value());
    });
}

/// The command that runs, as a shell takes it.
pub fn this_command() -> String {
    Invocation::new(std::env::args_os().skip(1)).to_string()
}
