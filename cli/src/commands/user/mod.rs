//! `epione user`: registrations and keys of users.

pub mod confirmation;
pub mod directory;
pub mod recovery;
pub mod rotation;
pub mod standing;

use std::{
    fmt,
    io::{self, BufRead, IsTerminal},
};

use clap::{ArgGroup, Args, Subcommand};
use epione_client::{api::RegisterUser, naming};
use epione_envelope::{keystore::ActorKeys, sealing_keys::SealingPublicKey};
use epione_primitives::{AccountId, BlockNumber, Hash, HospitalId, UserId, profile::Role};
use serde::Serialize;

use standing::Change;

use crate::{
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::{self, KeySource},
    invocation::Invocation,
    progress, show,
    words::argument,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Registers a person at a hospital; prints the user id
    Register(RegisterArgs),
    /// Lists all users on the chain, and where they are registered
    List(directory::ListArgs),
    /// Shows one user: account, role and registrations
    Show(directory::ShowArgs),
    /// Signs your consent that a hospital may register you; prints what its staff passes to `user register`
    ///
    /// With --recover, you have lost your keys, and consent with new ones; the staff passes the output to `user recover
    /// propose`.
    Consent(ConsentArgs),
    /// Suspends a user's registration at a hospital, until it is reinstated
    Suspend(standing::StandingArgs),
    /// Ends the suspension of a registration
    Reinstate(standing::StandingArgs),
    /// Ends a registration permanently; a new one needs the user's consent
    End(standing::StandingArgs),
    /// Replaces your keys, on the chain and at every hospital; repeat it until every hospital has your new key
    RotateKeys(rotation::RotateArgs),
    /// Confirms, as a hospital's staff, that new keys are the user's; the hospital then does not wait for its delay
    ///
    /// A thief of an account key can rotate keys, too. So a hospital seals a profile to new keys only after a delay (a
    /// day, unless its worker's configuration says otherwise), or when its governance has confirmed them. Before you
    /// confirm, check in person or by a known telephone number that the user rotated their keys, and get the new public
    /// sealing key from them: `epione keys show --json` prints it.
    ConfirmKeys(confirmation::ConfirmArgs),
    /// Gives new keys to a user who lost the present ones, or objects to it
    #[command(subcommand)]
    Recover(recovery::Command),
    /// Shows the new keys that a hospital proposed for a user, and when they become the user's
    Recovery(recovery::ShowArgs),
}

impl Command {
    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::Register(args) => show(&register(args, context).await?, json),
            Self::List(args) => show(&directory::list(args, context).await?, json),
            Self::Show(args) => show(&directory::show(args, context).await?, json),
            Self::Consent(args) => show(&consent(args, context).await?, json),
            Self::Suspend(args) => {
                show(&standing::change(args, Change::Suspend, context).await?, json)
            }
            Self::Reinstate(args) => {
                show(&standing::change(args, Change::Reinstate, context).await?, json)
            }
            Self::End(args) => show(&standing::change(args, Change::End, context).await?, json),
            Self::RotateKeys(args) => show(&rotation::rotate(args, context).await?, json),
            Self::ConfirmKeys(args) => show(&confirmation::confirm(args, context).await?, json),
            Self::Recover(command) => command.run(context).await,
            Self::Recovery(args) => show(&recovery::recovery(args, context).await?, json),
        }
    }
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("who").required(true).args(["keys", "account"])))]
pub struct RegisterArgs {
    /// Key file of the hospital's governance [default: the devnet's]
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Number or name of the hospital [default: the signer's]
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: Option<HospitalRef>,
    /// The person's role
    #[arg(long, value_parser = argument::<Role>())]
    pub role: Role,
    /// The person's name; sealed before it leaves the hospital. Other accounts of this machine can see the arguments of
    /// a command (ps). With -, the command reads the name from standard input, or asks for it
    #[arg(long)]
    pub name: String,
    /// The person's key file. It signs the person's consent. With --consent, only its public half is read
    #[arg(long, value_name = "FILE")]
    pub keys: Option<KeySource>,
    /// Instead of --keys: the person's account (SS58 address)
    #[arg(long, value_name = "ADDRESS", requires_all = ["sealing_key", "consent"])]
    pub account: Option<AccountId>,
    /// With --account: the public sealing key in hexadecimal, as `epione keys show --json` prints it
    #[arg(long, value_name = "HEX", requires = "account")]
    pub sealing_key: Option<String>,
    /// User id that `epione user consent` printed for that person
    #[arg(long, value_name = "USER", requires = "consent")]
    pub user: Option<UserId>,
    /// With --user: the consent that the same command printed
    #[arg(long, value_name = "HEX", requires = "user")]
    pub consent: Option<String>,
}

/// A registration that is final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    pub user: UserId,
    pub hospital: HospitalId,
    pub role: Role,
    pub account: AccountId,
    pub body_hash: Hash,
}

impl Output for Registered {}

impl fmt::Display for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.user)
    }
}

/// Registers a user through the hospital's worker.
pub async fn register(args: &RegisterArgs, context: &Context) -> Result<Registered, Failure> {
    let name = given_name(&args.name).await?;
    let (account, sealing_key) = match (&args.keys, &args.account, &args.sealing_key) {
        (Some(keys), _, _) => {
            let public = keys.public()?;
            (public.account, hex::encode(public.sealing.as_bytes()))
        }
        (None, Some(account), Some(key)) => {
            (account.clone(), hex::encode(read_sealing_key(key)?.as_bytes()))
        }
        _ => return Err(Failure::usage("the person's keys are not given", "pass --keys FILE")),
    };
    let (hospital, governance) =
        context.governance(args.signer.as_ref(), args.hospital.as_ref()).await?;
    let (user, consent) = given_or_signed(args, hospital, context).await?;
    let worker = context.worker(hospital, governance).await?;
    let registered = worker
        .register(&RegisterUser {
            user,
            consent,
            role: args.role,
            account: account.clone(),
            sealing_key,
            name,
        })
        .await?;
    Ok(Registered {
        user: registered.user,
        hospital: registered.hospital,
        role: args.role,
        account,
        body_hash: registered.body_hash,
    })
}

/// Longest line that is read as a name, in bytes.
const MAX_NAME_LINE: u64 = 4_096;

/// The name that is given; for `-`, the first line of standard input.
async fn given_name(name: &str) -> Result<String, Failure> {
    if name != "-" {
        return Ok(name.into());
    }
    if io::stdin().is_terminal() {
        progress::line("The person's name, then Enter:");
    }
    // Reading has its own thread, so that a signal still ends the command.
    let read = tokio::task::spawn_blocking(|| name_from(io::stdin().lock()));
    read.await.map_err(|error| Failure::new(error.to_string(), "this is a bug: report it"))?
}

fn name_from(input: impl BufRead) -> Result<String, Failure> {
    let refuse = |problem: String| {
        Failure::usage(
            format!("the name on standard input {problem}"),
            "write the name as one line of UTF-8",
        )
    };
    let mut line = String::new();
    let length = input
        .take(MAX_NAME_LINE + 1)
        .read_line(&mut line)
        .map_err(|error| refuse(format!("cannot be read: {error}")))?;
    if length as u64 > MAX_NAME_LINE {
        return Err(refuse(format!("is longer than {MAX_NAME_LINE} bytes")));
    }
    match line.trim() {
        "" => Err(refuse("is empty".into())),
        name => Ok(name.into()),
    }
}

/// The consent that the person gave before; or a new one, if the person's keys are at hand.
async fn given_or_signed(
    args: &RegisterArgs,
    hospital: HospitalId,
    context: &Context,
) -> Result<(UserId, String), Failure> {
    match (args.user, &args.consent, &args.keys) {
        (Some(user), Some(consent), _) => Ok((user, consent.clone())),
        (_, _, Some(keys)) => {
            let Consented { user, consent, .. } =
                signed(&context.keys(keys)?, hospital, context).await?;
            Ok((user, consent))
        }
        _ => Err(Failure::usage(
            "the person's consent is not given",
            "the person runs this command with their key file, and you pass what it prints",
        )
        .with_command(context.command(["user", "consent", "--help"]))),
    }
}

pub(super) fn read_sealing_key(text: &str) -> Result<SealingPublicKey, Failure> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    let wrong = |reason: String| {
        Failure::usage(
            format!("--sealing-key is not a public sealing key: {reason}"),
            "copy sealingKey from the output of the person's `keys show --json`",
        )
        .with_command(Invocation::new(["keys", "show", "--help"]))
    };
    let bytes = hex::decode(text).map_err(|error| wrong(error.to_string()))?;
    SealingPublicKey::from_bytes(&bytes).map_err(|error| wrong(error.to_string()))
}

#[derive(Debug, Args)]
pub struct ConsentArgs {
    /// Your key file
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// Number or name of the hospital that may register you
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: HospitalRef,
    /// You are this user, and lost your keys: the hospital may propose those of --as as your new keys
    #[arg(long, value_name = "USER")]
    pub recover: Option<UserId>,
}

/// A signature that lets one hospital register one user on one chain, or propose new keys for the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Consented {
    pub user: UserId,
    pub hospital: HospitalId,
    pub consent: String,
    /// The last block in which a consent to new keys is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<BlockNumber>,
}

impl Output for Consented {}

impl fmt::Display for Consented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--user {} --consent {}", self.user, self.consent)?;
        if let Some(until) = self.until {
            write!(f, " --until {until}")?;
        }
        Ok(())
    }
}

/// Signs a consent. The id of a user whom no hospital has registered follows from the keys.
pub async fn consent(args: &ConsentArgs, context: &Context) -> Result<Consented, Failure> {
    let hospital = context.hospital(&args.hospital).await?;
    let keys = context.keys(&args.signer)?;
    match args.recover {
        Some(user) => recovery::consented(&keys, hospital, user, context).await,
        None => signed(&keys, hospital, context).await,
    }
}

/// The consent of these keys' holder to a registration at a hospital.
async fn signed(
    keys: &ActorKeys,
    hospital: HospitalId,
    context: &Context,
) -> Result<Consented, Failure> {
    let account = identity::account(keys);
    let chain = context.chain().await?;
    let snapshot = chain.finalized().await?;
    let new = || UserId::of(&account.id(), keys.sealing.public().hash());
    let user = snapshot.user_of(&account.id()).await?.unwrap_or_else(new);
    context.warn_of_recovery(user, &snapshot).await?;
    let replaced = snapshot.registration(hospital, user).await?;
    let version = replaced.map_or(0, |registration| registration.version);
    let genesis = chain.genesis_hash();
    let consent = naming::registration(&account, genesis, hospital, user, version);
    Ok(Consented { user, hospital, consent, until: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_first_line_of_standard_input() {
        assert_eq!(name_from(&b"  Ada Byron \r\nignored"[..]).unwrap(), "Ada Byron");
        assert_eq!(name_from(&b"Ada"[..]).unwrap(), "Ada");
        let endless = vec![b'a'; 10_000];
        for wrong in [&b""[..], b"\n", b"\xff\n", &endless[..]] {
            let refused = name_from(wrong).unwrap_err();
            assert!(refused.error.contains("standard input"), "{refused}");
        }
    }
}
