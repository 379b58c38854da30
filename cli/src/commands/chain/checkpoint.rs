//! `epione chain checkpoint`, `accept-checkpoint` and `forget-checkpoint`: after a change of the authorities by force,
//! the hospitals say from which block on their chain is verified.

use std::{
    fmt,
    fs::OpenOptions,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;
use epione_client::{
    chain::{Checkpoint, CheckpointFault},
    endpoint::is_loopback,
};
use epione_primitives::{BlockNumber, Hash};
use serde::Serialize;
use url::Url;

use crate::{
    checkpoints::Checkpoints,
    context::{Context, Output, genesis_hash},
    failure::Failure,
};

#[derive(Debug, Args)]
pub struct CheckpointArgs {
    /// The block after which verification begins: final, after the change by force took effect, and the same at every
    /// hospital
    #[arg(long, value_name = "NUMBER")]
    pub block: BlockNumber,
    /// File to write; it must not exist yet
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

#[derive(Debug, Args)]
pub struct AcceptCheckpointArgs {
    /// Checkpoint that the hospitals publish
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// SHA-256 of the file, as the hospitals publish it: 64 hexadecimal digits. Compare it by another way than the one
    /// on which you got the file
    #[arg(long, value_name = "HASH", value_parser = genesis_hash)]
    pub hash: Hash,
}

/// What a checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    pub file: PathBuf,
    /// SHA-256 of the file, as sha256sum prints it.
    pub sha256: String,
    /// Hash of the chain's first block.
    pub genesis: Hash,
    pub block: BlockNumber,
    pub hash: Hash,
    /// The number of the authority set that votes after the block.
    pub set: u64,
    /// How many authorities it has.
    pub authorities: usize,
}

impl About {
    fn new(file: &Path, checkpoint: &Checkpoint) -> Self {
        Self {
            file: file.into(),
            sha256: hex::encode(checkpoint.sha256()),
            genesis: checkpoint.genesis(),
            block: checkpoint.number(),
            hash: checkpoint.block_hash(),
            set: checkpoint.set(),
            authorities: checkpoint.authorities(),
        }
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, sha256, genesis, block, hash, set, authorities } = self;
        writeln!(f, "first block  {genesis:?}")?;
        writeln!(f, "block        {block}  {hash:?}")?;
        writeln!(f, "authorities  {authorities}, as set {set}")?;
        writeln!(f, "sha256       {sha256}  {}", file.display())
    }
}

/// A checkpoint that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Made(pub About);

impl Output for Made {}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        write!(
            f,
            "next: compare the SHA-256 with every hospital, by telephone or on paper. Only if all are equal, publish \
             the file and its SHA-256"
        )
    }
}

/// Makes a checkpoint of the node's chain.
pub async fn checkpoint(args: &CheckpointArgs, context: &Context) -> Result<Made, Failure> {
    let out = &args.out;
    if out.exists() {
        return Err(Failure::usage(
            format!("{} exists already, and is not overwritten", out.display()),
            "choose another name: --out FILE",
        ));
    }
    check_own(context)?;
    let checkpoint = context.chain().await?.checkpoint(args.block).await?;
    let bytes = checkpoint.to_bytes().map_err(|error| unusable(&error))?;
    write_new(out, &bytes).map_err(|error| Failure::file(out, &error))?;
    Ok(Made(About::new(out, &checkpoint)))
}

/// Others will believe the checkpoint: a node is believed only if it is the operator's own, on this machine.
fn check_own(context: &Context) -> Result<(), Failure> {
    let common = context.common();
    let own = Url::parse(context.node_url()).is_ok_and(|url| is_loopback(&url));
    if !common.trust_node || own || (common.devnet.is_some() && common.node.is_none()) {
        return Ok(());
    }
    Err(Failure::usage(
        "a checkpoint is not made from a node on another machine that is believed without proof",
        "run the command on the machine of your own node, or through a tunnel to it, with --node ws://127.0.0.1:PORT",
    ))
}

/// Writes a file that does not exist yet.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A checkpoint that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Accepted(pub About);

impl Output for Accepted {}

impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        write!(
            f,
            "from now on, what a node of this chain says is believed if it follows from block {}: you believe the \
             hospitals' word for the authorities after it",
            self.0.block
        )
    }
}

/// Stores a checkpoint for the chain of this run. Asks no node.
pub fn accept(args: &AcceptCheckpointArgs, context: &Context) -> Result<Accepted, Failure> {
    let genesis = known(context)?;
    let checkpoint = Checkpoint::read(&args.file, args.hash).map_err(|error| unusable(&error))?;
    let found = checkpoint.genesis();
    if found != genesis {
        return Err(Failure::new(
            format!(
                "the checkpoint is of the chain whose first block is {found:?}, and yours is {genesis:?}"
            ),
            "get the checkpoint of your chain from the hospitals",
        ));
    }
    open(context)?.accept(&checkpoint)?;
    Ok(Accepted(About::new(&args.file, &checkpoint)))
}

/// Whether a checkpoint was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forgotten {
    pub genesis: Hash,
    pub was_accepted: bool,
}

impl Output for Forgotten {}

impl fmt::Display for Forgotten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let genesis = self.genesis;
        if self.was_accepted {
            write!(f, "the checkpoint of the chain {genesis:?} is not accepted any more")
        } else {
            write!(f, "no checkpoint of the chain {genesis:?} was accepted")
        }
    }
}

/// Removes the checkpoint of the chain of this run.
pub fn forget(context: &Context) -> Result<Forgotten, Failure> {
    let genesis = known(context)?;
    let was_accepted = open(context)?.forget(genesis)?;
    Ok(Forgotten { genesis, was_accepted })
}

fn open(context: &Context) -> Result<Checkpoints, Failure> {
    let devnet = context.devnet().and(context.common().devnet.as_deref());
    Checkpoints::open(devnet)
}

/// The chain of this run, which the user must have named.
fn known(context: &Context) -> Result<Hash, Failure> {
    let known = context.known_genesis()?.map(|(genesis, _)| genesis);
    known.ok_or_else(|| {
        Failure::usage(
            "nobody has said of which chain the checkpoint must be",
            "give the hash of the chain's first block with --genesis, or with --node a node whose chain you pinned",
        )
    })
}

fn unusable(error: &CheckpointFault) -> Failure {
    Failure::new(
        error.to_string(),
        "nothing was changed; get the file and its SHA-256 from the hospitals, on two different ways",
    )
}
