//! `epione user rotate-keys`: new keys for the same user.
//!
//! The new account and the hash of the new sealing key are set on the chain; then every hospital seals the user's
//! profile to the new key, with a fresh patient key for what is written from then on. A hospital does so after a delay,
//! or when its staff has confirmed the keys. A run may end after any step: the next run reads from the chain which
//! steps are done.

use std::fmt;

use clap::Args;
use epione_client::{
    chain::{Chain, calls::profiles},
    naming,
    worker::WorkerError,
};
use epione_envelope::{keystore::ActorKeys, profile::ProfileBody, sealing_keys::SealingSuite};
use epione_primitives::{
    AccountId, Hash, HospitalId, UserId,
    naming::Naming,
    profile::{Profile, Registration, RegistrationStatus},
};
use serde::Serialize;

use crate::{
    commands::{
        keys,
        mandate::{self, Standing},
    },
    context::{Context, Output},
    failure::{AWAITING_CONFIRMATION, Failure},
    identity::{self, KeySource},
    invocation::Invocation,
    wording::legible,
};

#[derive(Debug, Args)]
pub struct RotateArgs {
    /// The current key file
    #[arg(long = "as", value_name = "OLD")]
    pub signer: KeySource,
    /// The new key file; the command creates it if it does not exist
    #[arg(long = "to", value_name = "NEW")]
    pub next: KeySource,
}

/// The result of a rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotated {
    pub user: UserId,
    pub account: AccountId,
    pub sealing_key_hash: Hash,
    /// Whether this run changed the chain; otherwise an earlier run did.
    pub rotated_now: bool,
    pub hospitals: Vec<Renewal>,
    /// The command with which the staff of a hospital that waits can confirm the keys; absent if no hospital waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
    /// What others may still do in the user's name: new keys end no mandate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mandates: Vec<Standing>,
}

/// The result at a hospital.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Renewal {
    pub hospital: HospitalId,
    pub outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The hospital sealed the profile to the new key.
    Renewed,
    /// It did so before this run.
    RenewedBefore,
    /// It waits for its delay, or until its staff confirms the keys: repeat the command then.
    AwaitingConfirmation,
    /// The registration has ended: its profile stays sealed to the earlier key.
    Ended,
    /// It did not: repeat the command.
    Failed,
}

impl Output for Rotated {
    /// Fails until every hospital has sealed the profile to the new key.
    fn passed(&self) -> bool {
        let is_done = |outcome| !matches!(outcome, Outcome::Failed | Outcome::AwaitingConfirmation);
        self.hospitals.iter().all(|renewal| is_done(renewal.outcome))
    }
}

impl fmt::Display for Rotated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = if self.rotated_now { "has new keys" } else { "already had the new keys" };
        writeln!(f, "user {} {done}: account {}", self.user, self.account)?;
        for renewal in &self.hospitals {
            write!(f, "hospital {}: ", renewal.hospital)?;
            match renewal.outcome {
                Outcome::Renewed => writeln!(f, "profile sealed to the new key")?,
                Outcome::RenewedBefore => writeln!(f, "profile was already sealed to the new key")?,
                Outcome::Ended => {
                    writeln!(
                        f,
                        "the registration has ended: keep the old key file to read its records"
                    )?;
                }
                Outcome::AwaitingConfirmation => {
                    let why = renewal.error.as_deref().unwrap_or("the keys are not confirmed");
                    writeln!(
                        f,
                        "profile NOT YET sealed to the new key: {}",
                        legible(why.as_bytes())
                    )?;
                }
                Outcome::Failed => {
                    let why = renewal.error.as_deref().unwrap_or("no answer");
                    writeln!(f, "profile NOT YET sealed to the new key: {why}")?;
                }
            }
        }
        if let Some(confirm) = &self.confirm {
            writeln!(
                f,
                "the staff of a hospital that waits can confirm the keys, when they know that you rotated them:\n  \
                 {confirm}"
            )?;
        }
        for mandate in &self.mandates {
            writeln!(f, "{mandate}")?;
        }
        if self.passed() {
            write!(f, "from now on, use the new key file")
        } else {
            write!(
                f,
                "keep both key files, and repeat the command until every hospital has the new key"
            )
        }
    }
}

/// Replaces a user's keys on the chain and at every hospital, where this is not done yet.
pub async fn rotate(args: &RotateArgs, context: &Context) -> Result<Rotated, Failure> {
    let old = context.keys(&args.signer)?;
    let new = next_keys(args, &old, context)?;
    let chain = context.chain().await?;
    let (user, profile) = subject(chain, &old, &new).await?;
    context.warn_of_recovery(user, &chain.finalized().await?).await?;
    let rotated_now = rotate_on_chain(chain, user, &profile, &old, &new).await?;

    let mut hospitals = Vec::new();
    for (hospital, registration) in chain.finalized().await?.registrations(user).await? {
        if registration.status == RegistrationStatus::Ended {
            hospitals.push(Renewal { hospital, outcome: Outcome::Ended, error: None });
            continue;
        }
        let renewed = renew(context, hospital, &registration, &new).await;
        hospitals.push(renewed.unwrap_or_else(|failure| {
            let (outcome, error) = (Outcome::Failed, Some(failure.error));
            Renewal { hospital, outcome, error }
        }));
    }
    let public = new.public();
    let sealing_key_hash = public.sealing.hash();
    let waits = hospitals.iter().any(|it| it.outcome == Outcome::AwaitingConfirmation);
    let confirm = waits.then(|| confirmation(args, user));
    let mandates = mandate::standing(user, &args.next, context).await?;
    Ok(Rotated {
        user,
        account: public.account,
        sealing_key_hash,
        rotated_now,
        hospitals,
        confirm,
        mandates,
    })
}

/// The command of a hospital's staff. They use their own node, and the public half of the new key file.
fn confirmation(args: &RotateArgs, user: UserId) -> String {
    let command = Invocation::new(["user", "confirm-keys", "--user", &user.to_string(), "--keys"]);
    command.with([&args.next]).to_string()
}

/// Opens the new key file, or makes it.
fn next_keys(args: &RotateArgs, old: &ActorKeys, context: &Context) -> Result<ActorKeys, Failure> {
    if let KeySource::File(path) = &args.next
        && !path.exists()
    {
        let new = ActorKeys::generate(old.account.scheme(), SealingSuite::XWing);
        keys::save(&new, path, context)?;
        return Ok(new);
    }
    context.keys(&args.next)
}

/// The user of the keys, before or after the rotation.
async fn subject(
    chain: &Chain,
    old: &ActorKeys,
    new: &ActorKeys,
) -> Result<(UserId, Profile), Failure> {
    let snapshot = chain.finalized().await?;
    let before = snapshot.user_of(&old.public().account).await?;
    let after = snapshot.user_of(&new.public().account).await?;
    let user = match (before, after) {
        (Some(user), None) | (None, Some(user)) => user,
        (Some(before), Some(after)) if before == after => before,
        (Some(_), Some(other)) => {
            return Err(Failure::usage(
                format!("the account of --to belongs to user {other}"),
                "give a key file that no user uses, or the name of a new file",
            ));
        }
        (None, None) => {
            return Err(Failure::new(
                "no user is registered with either account",
                "give the current key file with --as; an earlier rotation may have replaced these \
                 keys",
            ));
        }
    };
    let profile = snapshot.profile(user).await?.ok_or_else(|| {
        Failure::new(
            format!("the node has an account of user {user}, but no profile"),
            "use another node with --node URL",
        )
    })?;
    Ok((user, profile))
}

/// Replaces what is not replaced on the chain yet; returns whether anything was.
async fn rotate_on_chain(
    chain: &Chain,
    user: UserId,
    profile: &Profile,
    old: &ActorKeys,
    new: &ActorKeys,
) -> Result<bool, Failure> {
    let next = new.public();
    let account = identity::account(new);
    let naming = Naming::Rotation { user, version: profile.version };
    let consent = naming::sign(&account, chain.genesis_hash(), naming);
    let is_account_new = profile.account != next.account;
    let account_change = is_account_new.then_some((&next.account, &consent));
    let hash = next.sealing.hash();
    let sealing_change = (profile.sealing_key_hash != hash).then_some(hash);
    if account_change.is_none() && sealing_change.is_none() {
        return Ok(false);
    }
    let signer = if is_account_new { identity::account(old) } else { account };
    chain.submit(&profiles::rotate_keys(account_change, sealing_change), &signer).await?;
    Ok(true)
}

/// Has a hospital seal the profile to the new key, unless it already did, or waits.
async fn renew(
    context: &Context,
    hospital: HospitalId,
    registration: &Registration,
    new: &ActorKeys,
) -> Result<Renewal, Failure> {
    let done = |outcome| Renewal { hospital, outcome, error: None };
    let public = new.public();
    if let Some(bytes) = context.chain().await?.body(registration.body_hash).await?
        && let Ok(body) = ProfileBody::decode_exactly(&bytes)
        && *body.account() == public.account
        && body.sealing_key(&public.sealing.hash()).is_ok()
        && !body.is_withheld()
    {
        return Ok(done(Outcome::RenewedBefore));
    }
    let worker = context.worker(hospital, identity::account(new)).await?;
    match worker.renew_key(&public.sealing).await {
        Ok(()) => Ok(done(Outcome::Renewed)),
        Err(WorkerError::Problem(problem)) if problem.kind.ends_with(AWAITING_CONFIRMATION) => {
            let problem = *problem;
            let error = Some(problem.detail.unwrap_or(problem.title));
            Ok(Renewal { hospital, outcome: Outcome::AwaitingConfirmation, error })
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::mandate::Delegate;

    fn rotated(outcomes: &[Outcome]) -> Rotated {
        let waits = outcomes.contains(&Outcome::AwaitingConfirmation);
        let renewal = |(hospital, outcome): (u16, &Outcome)| Renewal {
            hospital: HospitalId(hospital),
            outcome: *outcome,
            error: (*outcome == Outcome::AwaitingConfirmation).then(|| "in 24h".to_owned()),
        };
        let args = RotateArgs {
            signer: KeySource::File("old.json".into()),
            next: KeySource::File("new keys.json".into()),
        };
        let user = UserId([1; 32]);
        Rotated {
            user,
            account: AccountId::new([2; 32]),
            sealing_key_hash: Hash::zero(),
            rotated_now: true,
            hospitals: (0..).zip(outcomes).map(renewal).collect(),
            confirm: waits.then(|| confirmation(&args, user)),
            mandates: Vec::new(),
        }
    }

    #[test]
    fn a_rotation_that_waits_is_not_done_and_says_how_it_goes_on() {
        let waiting = rotated(&[Outcome::Renewed, Outcome::AwaitingConfirmation]);
        assert!(!waiting.passed());
        let text = waiting.to_string();
        assert!(
            text.contains("hospital 1: profile NOT YET sealed to the new key: in 24h"),
            "{text}"
        );
        assert!(text.contains("epione user confirm-keys --user 0x0101"), "{text}");
        assert!(text.contains("--keys 'new keys.json'\n"), "{text}");
        assert!(text.ends_with("until every hospital has the new key"), "{text}");
        let json = serde_json::to_value(&waiting).unwrap();
        assert_eq!(json["hospitals"][1]["outcome"], "awaiting-confirmation");

        let done = rotated(&[Outcome::Renewed, Outcome::RenewedBefore, Outcome::Ended]);
        assert!(done.passed());
        assert!(!done.to_string().contains("confirm"), "{done}");
    }

    #[test]
    fn a_rotation_names_the_mandates_that_it_does_not_end() {
        let standing = |delegate, end: &str| Standing {
            delegate,
            until: "2030-01-01T00:00:00Z".into(),
            end: end.into(),
        };
        let user = Delegate::Representative(UserId([4; 32]));
        let mandates = vec![
            standing(user, "epione mandate dismiss"),
            standing(Delegate::Hospital(HospitalId(7)), "epione mandate revoke"),
        ];
        let rotated = Rotated { mandates, ..rotated(&[Outcome::Renewed]) };
        let text = rotated.to_string();
        for said in [
            "0x0404040404040404040404040404040404040404040404040404040404040404 still represents you until 2030-01-01",
            "new keys do not end that, but this does:\n  epione mandate dismiss\n",
            "hospital 7 still submits without your signature until 2030-01-01",
            "\n  epione mandate revoke\n",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        let json = serde_json::to_value(&rotated).unwrap();
        assert_eq!(json["mandates"][1]["hospital"], 7);
    }
}
