//! `epione user rotate-keys`: new keys for the same user.
//!
//! The new account and the hash of the new sealing key are set on the chain; then every hospital seals the user's
//! profile to the new key. A run may end after any step: the next run reads from the chain which steps are done.

use std::fmt;

use clap::Args;
use epione_client::{
    chain::{Chain, calls::profiles},
    consent,
};
use epione_envelope::{keystore::ActorKeys, profile::ProfileBody, sealing_keys::SealingSuite};
use epione_primitives::{
    AccountId, Hash, HospitalId, UserId,
    consent::Naming,
    profile::{Profile, Registration, RegistrationStatus},
};
use serde::Serialize;

use crate::{
    commands::keys,
    context::{Context, Output},
    failure::Failure,
    identity::{self, KeySource},
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
    /// The registration has ended: its profile stays sealed to the earlier key.
    Ended,
    /// It did not: repeat the command.
    Failed,
}

impl Output for Rotated {
    fn passed(&self) -> bool {
        self.hospitals.iter().all(|renewal| renewal.outcome != Outcome::Failed)
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
                Outcome::Failed => {
                    let why = renewal.error.as_deref().unwrap_or("no answer");
                    writeln!(f, "profile NOT YET sealed to the new key: {why}")?;
                }
            }
        }
        if self.passed() {
            write!(f, "from now on, use the new key file")
        } else {
            write!(
                f,
                "keep both key files, and repeat the command when those hospitals can be reached"
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
    let rotated_now = rotate_on_chain(chain, user, &profile, &old, &new).await?;

    let mut hospitals = Vec::new();
    for (hospital, registration) in chain.finalized().await?.registrations(user).await? {
        if registration.status == RegistrationStatus::Ended {
            hospitals.push(Renewal { hospital, outcome: Outcome::Ended, error: None });
            continue;
        }
        let renewed = renew(context, hospital, &registration, &new).await;
        hospitals.push(match renewed {
            Ok(outcome) => Renewal { hospital, outcome, error: None },
            Err(failure) => {
                Renewal { hospital, outcome: Outcome::Failed, error: Some(failure.error) }
            }
        });
    }
    let public = new.public();
    let sealing_key_hash = public.sealing.hash();
    Ok(Rotated { user, account: public.account, sealing_key_hash, rotated_now, hospitals })
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
    let consent = consent::sign(&account, chain.genesis_hash(), naming);
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

/// Has a hospital seal the profile to the new key, unless it already did.
async fn renew(
    context: &Context,
    hospital: HospitalId,
    registration: &Registration,
    new: &ActorKeys,
) -> Result<Outcome, Failure> {
    let public = new.public();
    if let Some(bytes) = context.chain().await?.body(registration.body_hash).await?
        && let Ok(body) = ProfileBody::decode_exactly(&bytes)
        && *body.account() == public.account
        && body.sealing_key(&public.sealing.hash()).is_ok()
    {
        return Ok(Outcome::RenewedBefore);
    }
    let worker = context.worker(hospital, identity::account(new)).await?;
    worker.renew_key(&public.sealing).await?;
    Ok(Outcome::Renewed)
}
