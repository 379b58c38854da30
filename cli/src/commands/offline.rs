//! What the commands have in common that verify a file without a node: the chain that the file must be about, and the
//! age of its proof.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use epione_primitives::{Hash, Moment};
use humantime::format_duration;
use tokio::task::spawn_blocking;

use crate::{
    context::{Context, GenesisFrom},
    failure::Failure,
    interrupt::this_command,
    progress,
};

/// The genesis block of the hospitals' chain, and who said so; none if nobody has. Warns if it is a devnet's.
fn known_chain(context: &Context) -> Result<Option<(Hash, GenesisFrom)>, Failure> {
    let known = context.known_genesis()?;
    if matches!(known, Some((_, GenesisFrom::Devnet))) {
        progress::warn(
            context,
            "the chain is that of --devnet, a network for development with public keys: the result shows nothing about \
             the hospitals' chain",
        );
    }
    Ok(known)
}

/// Verifies a file, on a thread that may take long. `verify` gets the genesis block of the hospitals' chain, and who
/// said so; none if nobody has.
pub(super) async fn verified<T: Send + 'static>(
    context: &Context,
    what: &'static str,
    verify: impl FnOnce(Option<(Hash, GenesisFrom)>) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let known = known_chain(context)?;
    let spinner = progress::waiting(context, what);
    let verified = spawn_blocking(move || verify(known)).await;
    spinner.finish_and_clear();
    verified.map_err(|error| Failure::new(error.to_string(), "this is a bug: report it"))?
}

/// Nobody has said which chain is the hospitals'. The file names the genesis block `claimed`.
pub(super) fn unknown_chain(file: impl fmt::Display, claimed: Hash) -> Failure {
    let hash = format!("{claimed:?}");
    Failure::usage(
        format!(
            "{file} says that the first block of its chain is {hash}, and nobody has confirmed that this is the \
             hospitals' chain"
        ),
        "compare this hash with the one that the hospitals publish; only if they are equal, run the command below",
    )
    .with_command(this_command().with(["--genesis", &hash]))
}

/// The time by this machine's clock.
pub(super) fn now() -> Result<Moment, Failure> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok();
    since.and_then(|since| since.as_millis().try_into().ok()).ok_or_else(|| {
        Failure::new(
            "this machine's clock shows no valid time, so the age of the proof is unknown",
            "set the clock, then run the command again",
        )
    })
}

/// An age in words, in whole seconds.
pub(super) fn in_seconds(age: Duration) -> impl fmt::Display {
    format_duration(Duration::from_secs(age.as_secs()))
}

/// Fails if a proof is older than --max-age permits. `advice` says what to do then.
pub(super) fn check_age(age: Duration, max: Option<Duration>, advice: &str) -> Result<(), Failure> {
    match max {
        Some(max) if age > max => {
            let (age, max) = (in_seconds(age), format_duration(max));
            let error = format!("its proof is {age} old, and --max-age permits {max}");
            Err(Failure::new(error, advice))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_that_is_older_than_the_verifier_permits_is_refused() {
        let second = Duration::from_secs(1);
        check_age(second * 9, None, "ask again").unwrap();
        check_age(second, Some(second), "ask again").unwrap();
        let refused = check_age(second * 2, Some(second), "ask again").unwrap_err();
        assert!(refused.error.contains("2s old") && refused.status() == 1, "{refused}");
        assert_eq!(refused.help, "ask again");
    }

    #[test]
    fn a_chain_that_nobody_has_confirmed_is_not_believed() {
        let failure = unknown_chain("evidence.epione", Hash::repeat_byte(7));
        let hash = format!("{:?}", Hash::repeat_byte(7));
        assert!(failure.error.starts_with("evidence.epione says"), "{failure}");
        assert!(failure.error.contains(&hash) && failure.help.contains("compare"), "{failure}");
        assert!(failure.commands[0].ends_with(&format!("--genesis {hash}")), "{failure}");
        assert_eq!(failure.status(), 2);
    }
}
