//! `epione chain`: which chain a node must prove to belong to, and from which block on.

mod checkpoint;

pub use checkpoint::{AcceptCheckpointArgs, CheckpointArgs};

use std::fmt;

use clap::{Args, Subcommand};
use epione_client::endpoint::without_userinfo;
use epione_primitives::Hash;
use serde::Serialize;

use crate::{
    context::{Context, Output, genesis_hash},
    failure::Failure,
    pins::Pins,
    show,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Stores the hash of the first block of the chain that the node must belong to. Compare the hash with the one that
    /// your hospital publishes
    Pin(PinArgs),
    /// Lists the stored hashes with the addresses of their nodes
    List,
    /// Removes what is stored for the node
    Unpin,
    /// Writes a checkpoint for others, after the council changed the authorities by force
    ///
    /// Each hospital makes it of the same block at its own node, with --trust-node. All files are equal, byte for byte:
    /// the hospitals compare the SHA-256, and publish file and SHA-256.
    Checkpoint(CheckpointArgs),
    /// Verifies a chain from a checkpoint on, which the hospitals published after they changed the authorities by force
    ///
    /// You then believe the hospitals' word for the authorities after one block, as no votes prove them. The checkpoint
    /// must be of your chain, and of the same history as what you verified before.
    AcceptCheckpoint(AcceptCheckpointArgs),
    /// Removes the checkpoint of a chain that you accepted
    ForgetCheckpoint,
}

impl Command {
    pub(super) async fn run(&self, context: Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::Pin(args) => show(&pin(args, &context)?, json),
            Self::List => show(&list()?, json),
            Self::Unpin => show(&unpin(&context)?, json),
            Self::Checkpoint(args) => {
                show(&checkpoint::checkpoint(args, &context.with_devnet()?).await?, json)
            }
            Self::AcceptCheckpoint(args) => {
                show(&checkpoint::accept(args, &context.with_devnet()?)?, json)
            }
            Self::ForgetCheckpoint => show(&checkpoint::forget(&context.with_devnet()?)?, json),
        }
    }
}

#[derive(Debug, Args)]
pub struct PinArgs {
    /// The hash of the chain's first block, 64 hexadecimal digits
    #[arg(value_name = "HASH", value_parser = genesis_hash)]
    pub first_block: Hash,
}

/// A node's address, and the chain that it must belong to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pin {
    pub node: String,
    pub genesis: Hash,
}

/// A chain that was pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Pinned(pub Pin);

impl Output for Pinned {}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pin { node, genesis } = &self.0;
        write!(f, "what {node} says is believed if it follows from the first block {genesis:?}")
    }
}

/// The address of the command's node, without a password. A devnet's file says which chain it is, so nothing is stored
/// for its node.
fn node(context: &Context) -> Result<String, Failure> {
    let common = context.common();
    if common.devnet.is_some() && common.node.is_none() {
        return Err(Failure::usage(
            "the chain of a devnet is known by the devnet's own file",
            "give the address of another node with --node URL",
        ));
    }
    Ok(without_userinfo(context.node_url()))
}

fn pin(args: &PinArgs, context: &Context) -> Result<Pinned, Failure> {
    let (node, genesis) = (node(context)?, args.first_block);
    Pins::open()?.set(&node, genesis)?;
    Ok(Pinned(Pin { node, genesis }))
}

/// All pinned chains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Pinnings(pub Vec<Pin>);

impl Output for Pinnings {}

impl fmt::Display for Pinnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return write!(f, "no chain is pinned");
        }
        self.0.iter().try_for_each(|Pin { node, genesis }| writeln!(f, "{genesis:?}  {node}"))
    }
}

fn list() -> Result<Pinnings, Failure> {
    let pins = Pins::open()?;
    let known = pins.known().iter();
    Ok(Pinnings(
        known.map(|(node, genesis)| Pin { node: node.clone(), genesis: *genesis }).collect(),
    ))
}

/// The chain that was pinned before, if there was one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unpinned {
    pub node: String,
    pub before: Option<Hash>,
}

impl Output for Unpinned {}

impl fmt::Display for Unpinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.before {
            Some(before) => write!(f, "{} is not pinned any more (before: {before:?})", self.node),
            None => write!(f, "{} was not pinned", self.node),
        }
    }
}

fn unpin(context: &Context) -> Result<Unpinned, Failure> {
    let node = node(context)?;
    let before = Pins::open()?.remove(&node)?;
    Ok(Unpinned { node, before })
}
