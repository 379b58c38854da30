//! The signals that end a program: a program that starts a network has to take it down on each of them.

use tokio::signal::unix::{SignalKind, signal};

/// Waits until the user or the system asks this process to end, and returns the signal.
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
