//! Signals that end a command early, such as Ctrl-C.

use std::{
    process::exit,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub use epione_devnet::signalled;
use tokio::{signal::unix::SignalKind, sync::oneshot, time::timeout};

use crate::{failure::Failure, identity, invocation::Invocation, progress};

/// How long a command may take to notice a signal. Only a command that blocks, as at a password prompt, takes longer.
const GRACE: Duration = Duration::from_millis(500);

/// The failure that a signal makes of the running command; none if the command handles signals itself. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Interruption(Arc<Mutex<Option<Failure>>>);

impl Interruption {
    /// Sets what is printed if a signal arrives from now on.
    pub fn set(&self, failure: Option<Failure>) {
        *self.lock() = failure;
    }

    /// What to print. It is returned once, so that it is printed once.
    pub fn take(&self, kind: SignalKind) -> Option<Failure> {
        self.lock().take().map(|failure| failure.ended_by(kind))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Failure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a command until it ends, or until a signal arrives. In both cases its destructors run, which remove
    /// temporary files.
    pub async fn during<T>(&self, json: bool, work: impl Future<Output = T>) -> Result<T, Failure> {
        let (sender, arrival) = oneshot::channel();
        let mut first = Box::pin(signalled());
        // Polls it once, so that signals are handled before the command begins.
        tokio::select! {
            biased;
            _ = &mut first => {}
            () = std::future::ready(()) => {}
        }
        tokio::spawn(self.clone().watch(json, first, sender));
        let interrupted = async {
            let kind = arrival.await.ok()?;
            self.take(kind)
        };
        tokio::select! {
            biased;
            Some(failure) = interrupted => Err(failure),
            done = work => Ok(done),
        }
    }

    /// Notifies [`Self::during`] of a signal. Runs in its own task: it ends the process if the command does not notice,
    /// or at a second signal.
    async fn watch(
        self,
        json: bool,
        first: impl Future<Output = SignalKind>,
        sender: oneshot::Sender<SignalKind>,
    ) {
        let mut kind = first.await;
        while self.lock().is_none() {
            kind = signalled().await;
        }
        // The command may have ended just now.
        let _ = sender.send(kind);
        let mut second = std::pin::pin!(signalled());
        let blocks = match timeout(GRACE, &mut second).await {
            Ok(_) => true,
            Err(_) => self.lock().is_some(),
        };
        if !blocks {
            second.await;
        }
        identity::restore_terminal();
        if let Some(failure) = self.take(kind) {
            progress::clear();
            progress::line(&failure.render(json));
        }
        exit(128 + kind.as_raw_value());
    }
}

/// The command of this run.
pub fn this_command() -> Invocation {
    Invocation::new(std::env::args_os().skip(1))
}

/// The command of this run without a flag.
pub fn this_command_without(flag: &str) -> Invocation {
    Invocation::new(std::env::args_os().skip(1).filter(|word| word != flag))
}
