//! Ctrl-C: what a command leaves that is ended before it is done, and how to go on.

use std::process::exit;

use tokio::signal::unix::{SignalKind, signal};

use crate::{failure::Failure, progress};

/// Resolves when the user or the system wants this process to end; tells by which signal.
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
    command(std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()))
}

fn command(words: impl Iterator<Item = String>) -> String {
    words.fold("epione".into(), |command, word| command + " " + &quoted(&word))
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_words_that_were_given() {
        let words = ["records", "get", "--out", "it's here", "$HOME", "", "ä\n", "*"];
        let printed = command(words.into_iter().map(String::from));
        let shell = format!("epione() {{ printf '%s|' \"$@\"; }}; {printed}");
        let output = std::process::Command::new("sh").args(["-c", &shell]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), words.join("|") + "|");
    }
}
