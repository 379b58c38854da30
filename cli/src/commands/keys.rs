//! `epione keys`: key files.

use std::{fmt, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use epione_envelope::{
    account::{Scheme, Signer},
    keystore::{self, ActorKeys, Cost},
    sealing::SealingSuite,
};
use epione_primitives::{AccountId, Hash};
use serde::Serialize;

use crate::{
    context::{Context, Output},
    failure::Failure,
    identity::{self, KeySource},
    show,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes an account key and a sealing key, in a new file under a password
    New(NewArgs),
    /// Shows the public half of a key file
    Show(ShowArgs),
}

impl Command {
    pub(super) fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::New(args) => show(&new(args, context)?, json),
            Self::Show(args) => show(&public(args)?, json),
        }
    }
}

#[derive(Debug, Args)]
pub struct NewArgs {
    /// File to write; it must not exist
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Curve of the account key
    #[arg(long, value_enum, default_value_t = Curve::Sr25519)]
    pub scheme: Curve,
    /// Not random but derived from a well-known phrase, such as //Alice: for local networks only
    #[arg(long, value_name = "//SEED", conflicts_with = "scheme")]
    pub development: Option<String>,
}

/// Curve of an account key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Curve {
    Sr25519,
    Ed25519,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Key file, or a development key such as //Alice
    #[arg(value_name = "FILE")]
    pub keys: KeySource,
}

/// The public half of an actor's keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicHalf {
    pub account: AccountId,
    pub scheme: Scheme,
    /// Suite byte first, in hexadecimal.
    pub sealing_key: String,
    pub sealing_key_hash: Hash,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
}

impl Output for PublicHalf {}

impl fmt::Display for PublicHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            writeln!(f, "file         {}", file.display())?;
        }
        writeln!(f, "account      {} ({:?})", self.account, self.scheme)?;
        write!(
            f,
            "sealing key  {:?} (hash; {} bytes)",
            self.sealing_key_hash,
            self.sealing_key.len() / 2
        )
    }
}

/// Makes a key file.
pub fn new(args: &NewArgs, context: &Context) -> Result<PublicHalf, Failure> {
    let keys = match &args.development {
        Some(uri) => identity::development_keys(uri)?,
        None => {
            let scheme = match args.scheme {
                Curve::Sr25519 => Scheme::Sr25519,
                Curve::Ed25519 => Scheme::Ed25519,
            };
            ActorKeys::generate(scheme, SealingSuite::XWing)
        }
    };
    if args.out.exists() {
        return Err(Failure::new(
            format!("{} exists", args.out.display()),
            "choose another --out; key files are never overwritten",
        ));
    }
    let password = identity::new_password(context.common().password_file.as_deref())?;
    keystore::save(&keys, &args.out, &password, Cost::Interactive)?;
    Ok(PublicHalf {
        account: keys.account.account(),
        scheme: keys.account.scheme(),
        sealing_key: hex::encode(keys.sealing.public().as_bytes()),
        sealing_key_hash: keys.sealing.public().hash(),
        file: Some(args.out.clone()),
    })
}

/// Reads the public half of a key file.
pub fn public(args: &ShowArgs) -> Result<PublicHalf, Failure> {
    let public = args.keys.public()?;
    Ok(PublicHalf {
        account: public.account,
        scheme: public.scheme,
        sealing_key: hex::encode(public.sealing.as_bytes()),
        sealing_key_hash: public.sealing.hash(),
        file: match &args.keys {
            KeySource::File(path) => Some(path.clone()),
            KeySource::Development(_) => None,
        },
    })
}
