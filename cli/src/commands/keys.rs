//! `epione keys`: makes and shows key files.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueEnum};
use epione_envelope::{
    account::Scheme,
    keystore::{self, ActorKeys, Cost, PublicKeys},
    sealing_keys::SealingSuite,
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
    /// Creates an account key and a sealing key, in a new file that a password protects
    New(NewArgs),
    /// Shows the public half of a key file
    Show(ShowArgs),
    /// Creates a new key file with the same account and a new sealing key, for a hospital's worker
    RenewSealing(RenewSealingArgs),
}

impl Command {
    pub(super) fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::New(args) => show(&new(args, context)?, json),
            Self::Show(args) => show(&public(args)?, json),
            Self::RenewSealing(args) => show(&renew_sealing(args, context)?, json),
        }
    }
}

#[derive(Debug, Args)]
pub struct NewArgs {
    /// File to write; it must not exist yet
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Curve of the account key
    #[arg(long, value_enum, default_value_t = Curve::Sr25519)]
    pub scheme: Curve,
    /// Derive the keys from a public phrase, such as //Alice, instead of randomly: for local networks only
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

/// The public half of a key file.
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

impl PublicHalf {
    fn of(keys: &PublicKeys, file: Option<PathBuf>) -> Self {
        Self {
            account: keys.account.clone(),
            scheme: keys.scheme,
            sealing_key: hex::encode(keys.sealing.as_bytes()),
            sealing_key_hash: keys.sealing.hash(),
            file,
        }
    }
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
    save(&keys, &args.out, context)
}

/// Writes a new key file with a new password.
pub(super) fn save(keys: &ActorKeys, out: &Path, context: &Context) -> Result<PublicHalf, Failure> {
    if out.exists() {
        return Err(Failure::new(
            format!("{} already exists", out.display()),
            "choose another name: key files are never overwritten",
        ));
    }
    let password = identity::new_password(context.common().password_file.as_deref())?;
    keystore::save(keys, out, &password, Cost::Interactive)?;
    Ok(PublicHalf::of(&keys.public(), Some(out.to_path_buf())))
}

/// Reads the public half of a key file.
pub fn public(args: &ShowArgs) -> Result<PublicHalf, Failure> {
    let file = match &args.keys {
        KeySource::File(path) => Some(path.clone()),
        KeySource::Development(_) => None,
    };
    Ok(PublicHalf::of(&args.keys.public()?, file))
}

#[derive(Debug, Args)]
pub struct RenewSealingArgs {
    /// Key file with the account
    #[arg(value_name = "FILE")]
    pub keys: KeySource,
    /// File to write; it must not exist yet
    #[arg(long, value_name = "NEW")]
    pub out: PathBuf,
}

/// A key file with a new sealing key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Renewed(pub PublicHalf);

impl Output for Renewed {}

impl fmt::Display for Renewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.0.file.as_deref().unwrap_or(Path::new("NEW"));
        writeln!(f, "{}", self.0)?;
        write!(
            f,
            "next: set it as the worker's keystore, and list the previous one under \
             earlier_keystores; restart the worker; then set the sealing key of {} on the chain, \
             with the key file of the hospital's governance: see epione hospital set-sealing-key \
             --help",
            file.display()
        )
    }
}

/// Makes a key file with the account of another key file.
pub fn renew_sealing(args: &RenewSealingArgs, context: &Context) -> Result<Renewed, Failure> {
    let keys = args.keys.open(context.common().password_file.as_deref())?;
    let renewed = keys.with_new_sealing_key(SealingSuite::XWing);
    save(&renewed, &args.out, context).map(Renewed)
}
