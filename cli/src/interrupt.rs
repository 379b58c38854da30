//! Signals that end a command early, such as Ctrl-C.

use std::process::exit;

pub use epione_devnet::signalled;

use crate::{failure::Failure, invocation::Invocation, progress};

/// Ends this process at a signal, and prints this help. Runs in its own task, because the command may be reading a
/// password.
pub fn ends_with(help: String, json: bool) {
    tokio::spawn(async move {
        let kind = signalled().await;
        progress::clear();
        eprintln!("{}", Failure::new("interrupted", help).render(json));
        // The exit status with which a shell reports that a signal ended a process.
        exit(128 + kind.as_raw_value());
    });
}

/// The command of this run, quoted for a shell.
pub fn this_command() -> String {
    Invocation::new(std::env::args_os().skip(1)).to_string()
}
