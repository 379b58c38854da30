//! `epione council`: the hospitals decide together. A hospital's governance proposes, votes and closes; everybody lists
//! and shows.
//!
//! | module | |
//! | --- | --- |
//! | [`state`] | the council after one block: members, motions, and the names of hospitals |
//! | [`sentence`] | a proposal in words |
//! | [`shown`] | a motion: its call, its votes, and what is missing |
//! | [`proposing`], [`choosing`] | a proposal from arguments, and sending it |

mod choosing;
mod close;
mod consents;
mod list;
mod proposing;
mod quotas;
mod replacement;
mod sentence;
mod shown;
mod state;
mod upgrade;
mod vote;

pub use choosing::What;
pub use close::{CloseArgs, Closed, close};
pub use list::{ListArgs, Motions, list};
pub use proposing::{ProposeArgs, Proposed, propose};
pub use replacement::{
    CompleteReplacementArgs, ObjectArgs, Replaced, complete_replacement, object_to_replacement,
};
pub use shown::{ShowArgs, Shown, Voter, show as show_motion};
pub use upgrade::{Applied, ApplyUpgradeArgs, apply_upgrade};
pub use vote::{VoteArgs, Voted, vote};

use std::{ffi::OsStr, fmt, fs::File, io::Read, path::Path, str::FromStr};

use clap::{Args, Subcommand, ValueEnum};
use epione_client::chain::Birth;
use epione_primitives::{BlockNumber, Hash};

use crate::{
    context::{Context, HospitalRef, genesis_hash},
    failure::Failure,
    identity::KeySource,
    invocation::Invocation,
    show,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the motions on which the hospitals vote, with votes and what is missing
    List(ListArgs),
    /// Shows a motion: its call in words and as JSON, who voted how, and what is missing
    Show(ShowArgs),
    /// Proposes a motion, as the governance of a hospital
    ///
    /// The command computes the votes that the motion needs: more than half of the members, or two thirds for what
    /// needs root. A proposal is no vote: vote for it, too. A hospital has at most two live motions.
    Propose(Box<ProposeArgs>),
    /// Votes for or against a motion, as the governance of a hospital; a later vote replaces an earlier one
    Vote(VoteArgs),
    /// Closes a motion that has enough votes, or whose time is over, and says what its call came to
    Close(CloseArgs),
    /// Replaces the runtime by code whose hash the council authorized at least a day ago
    ApplyUpgrade(ApplyUpgradeArgs),
    /// Gives a hospital the governance account on which the council decided, after the delay
    CompleteReplacement(CompleteReplacementArgs),
    /// Keeps your hospital's governance account, although the council decided for another one
    ObjectToReplacement(ObjectArgs),
}

impl Command {
    /// Whether the command changes nothing.
    pub(super) fn is_reading(&self) -> bool {
        matches!(self, Self::List(_) | Self::Show(_))
    }

    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::List(args) => show(&list(args, context).await?, json),
            Self::Show(args) => show(&show_motion(args, context).await?, json),
            Self::Propose(args) => show(&propose(args, context).await?, json),
            Self::Vote(args) => show(&vote(args, context).await?, json),
            Self::Close(args) => show(&close(args, context).await?, json),
            Self::ApplyUpgrade(args) => show(&apply_upgrade(args, context).await?, json),
            Self::CompleteReplacement(args) => {
                show(&complete_replacement(args, context).await?, json)
            }
            Self::ObjectToReplacement(args) => {
                show(&object_to_replacement(args, context).await?, json)
            }
        }
    }
}

/// The block after which a command reads, and at which the lifetimes of its transactions begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EraFrom {
    /// The newest final block
    #[default]
    Finalized,
    /// The newest block, while finality stalls
    Best,
}

impl From<EraFrom> for Birth {
    fn from(era: EraFrom) -> Self {
        match era {
            EraFrom::Finalized => Self::Finalized,
            EraFrom::Best => Self::Best,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Era {
    /// The block from which on transactions are valid, and after which the command reads. While finality stalls, the
    /// last final block is too old: use best, with --trust-node and a node that you run yourself
    #[arg(long, global = true, value_enum, value_name = "BLOCK", default_value_t)]
    pub era_from: EraFrom,
}

impl Era {
    /// Nothing proves a block that is not final.
    pub(super) fn birth(self, context: &Context) -> Result<Birth, Failure> {
        if self.era_from == EraFrom::Best && !context.common().trust_node {
            return Err(Failure::usage(
                "--era-from best reads blocks that are not final, and nothing proves them",
                "add --trust-node, and use it only while finality stalls, with a node that you run yourself",
            ));
        }
        Ok(self.era_from.into())
    }

    /// Whether what a command sends is final when the command ends.
    pub(super) fn is_final(self) -> bool {
        self.era_from == EraFrom::Finalized
    }

    /// The command with this option.
    fn complete(self, command: Invocation) -> Invocation {
        match self.era_from {
            EraFrom::Finalized => command,
            EraFrom::Best => command.with(["--era-from", "best"]),
        }
    }

    /// The command that shows a motion.
    fn show(self, number: u32, context: &Context) -> Invocation {
        let number = number.to_string();
        self.complete(context.command(["council", "show", &number]))
    }

    /// The command that lists all motions.
    fn list(self, context: &Context) -> Invocation {
        self.complete(context.command(["council", "list"]))
    }
}

/// Who signs, and how.
#[derive(Clone, Debug, Default, Args)]
pub struct Signing {
    /// Key file of the hospital's governance [default: the devnet's]
    #[arg(long = "as", global = true, value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Number or name of the hospital that signs [default: the signer's]
    #[arg(long = "hospital", global = true, value_name = "HOSPITAL")]
    pub own: Option<HospitalRef>,
    #[command(flatten)]
    pub era: Era,
    /// Sign without showing first what it means
    #[arg(long, global = true)]
    pub yes: bool,
}

impl Signing {
    /// A command that the same member runs next.
    fn next(&self, words: &[&str], context: &Context) -> Invocation {
        let mut command = self.era.complete(context.command(words));
        if let Some(signer) = &self.signer {
            command = command.with([OsStr::new("--as"), signer.as_ref()]);
        }
        match &self.own {
            Some(own) => command.with(["--hospital", &own.to_string()]),
            None => command,
        }
    }
}

/// A result's block: `block 7`, and whether it is final.
pub(super) fn in_block(block: BlockNumber, is_final: bool) -> String {
    match is_final {
        true => format!("block {block}"),
        false => {
            format!(
                "block {block}, which is not final: another branch of the chain can still leave it out"
            )
        }
    }
}

/// A motion on the command line: its number, or its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MotionRef {
    Number(u32),
    Hash(Hash),
}

impl FromStr for MotionRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(number) = text.parse() {
            return Ok(Self::Number(number));
        }
        let hash = genesis_hash(text);
        hash.map(Self::Hash)
            .map_err(|_| "a motion is a number, or a hash with 64 hexadecimal digits".into())
    }
}

impl fmt::Display for MotionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Hash(hash) => write!(f, "{hash:?}"),
        }
    }
}

/// Reads a file of at most `limit` bytes.
fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|error| Failure::file(path, &error))?;
    if bytes.len() as u64 > limit {
        return Err(Failure::new(
            format!("{} is longer than {limit} bytes", path.display()),
            "check that it is the right file",
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
