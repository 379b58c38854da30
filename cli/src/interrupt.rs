//! Signals that end a command early, such as Ctrl-C.

use std::process::exit;

use tokio::signal::unix::{SignalKind, signal};

use crate::{failure::Failure, invocation::Invocation, progress};

/// Returns when a signal is to end this process, and which signal.
pub async fn signalled() -> SignalKind {
    let arrival = async |kind| match signal(kind) {
        Ok(mut signals) => {
            signals.recv().await;
            kind
        }
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        kind = arrival(SignalKind::interrupt()) => kind,
        kind = arrival(SignalKind::terminate()) => kind,
        kind = arrival(SignalKind::hangup()) => kind,
    }
}

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
