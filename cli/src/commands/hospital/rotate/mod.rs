//! `epione hospital rotate`: new keys for a hospital, each without a pause of the hospital's service.

mod accounts;
mod session;
mod worker_keys;

use std::{fmt, path::PathBuf};

use clap::{Args, Subcommand};
use epione_client::Account;
use epione_primitives::{
    BlockNumber, HospitalId,
    hospital::{Duty, Hospital},
    limits::MAX_CONSENT_BLOCKS,
    naming::{NamedAccount, Naming},
};
use serde::Serialize;

use super::folder::Folder;
use crate::{
    commands::council::Era,
    context::{Context, Output},
    failure::Failure,
    identity::KeySource,
    show,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sets new session keys, with which the node makes blocks and votes for final ones
    Session(SessionArgs),
    /// Hands the governance to another key file
    Governance(GovernanceArgs),
    /// Gives the worker a new account
    Agent(RotateArgs),
    /// Gives the worker a new sealing key, to which the profiles of patients are then sealed
    Sealing(RotateArgs),
    /// Gives the worker a new TLS key
    Tls(RotateArgs),
}

#[derive(Debug, Args)]
pub struct RotateArgs {
    /// Folder of the hospital, which `epione hospital init` made
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Key file of the hospital's governance [default: governance.json in DIR]
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Sign without asking
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct SessionArgs {
    #[command(flatten)]
    pub rotate: RotateArgs,
    #[command(flatten)]
    pub era: Era,
}

#[derive(Debug, Args)]
pub struct GovernanceArgs {
    #[command(flatten)]
    pub rotate: RotateArgs,
    /// The new key file; the command creates it if it does not exist
    #[arg(long = "to", value_name = "NEW")]
    pub next: KeySource,
}

impl Command {
    pub(super) async fn run(&self, context: Context) -> Result<bool, Failure> {
        let json = context.common().json;
        let rotated = match self {
            Self::Session(args) => session::rotate(args, context).await,
            Self::Governance(args) => accounts::governance(args, context).await,
            Self::Agent(args) => accounts::agent(args, context).await,
            Self::Sealing(args) => worker_keys::sealing(args, context).await,
            Self::Tls(args) => worker_keys::tls(args, context).await,
        };
        show(&rotated?, json)
    }
}

/// Keys that were rotated, or prepared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotated {
    pub hospital: HospitalId,
    pub what: &'static str,
    /// The chain block from which on the new keys count; absent if only files were prepared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<BlockNumber>,
    /// Files with the previous keys, which are still needed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<PathBuf>,
    /// What to do now, in this order.
    pub steps: Vec<String>,
    /// The command that follows; absent when nothing is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Output for Rotated {}

impl fmt::Display for Rotated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hospital, what, .. } = self;
        match self.block {
            Some(block) => {
                write!(f, "from block {block} on, hospital {hospital} has a new {what}")?
            }
            None => write!(
                f,
                "the new {what} of hospital {hospital} is prepared, and not yet on the chain"
            )?,
        }
        for path in &self.keep {
            write!(f, "\nkeep {}", path.display())?;
        }
        for step in &self.steps {
            write!(f, "\n- {step}")?;
        }
        self.next.iter().try_for_each(|next| write!(f, "\nthen:\n  {next}"))
    }
}

/// A hospital whose keys are rotated.
struct Rotation {
    folder: Folder,
    context: Context,
    hospital: HospitalId,
    entry: Hospital,
    governance: Account,
    /// Where the governance's keys are.
    source: KeySource,
}

impl Rotation {
    async fn begin(args: &RotateArgs, context: Context) -> Result<Self, Failure> {
        let folder = Folder::open(&args.dir)?;
        let context = folder.aim(context)?;
        let source = folder.signer(args.signer.as_ref())?;
        let (hospital, governance) = context.own_governance(Some(&source), None).await?;
        let entry = context.chain().await?.finalized().await?.hospital(hospital).await?;
        let entry = entry.ok_or_else(|| {
            Failure::new(format!("the chain has no hospital {hospital}"), "use another node")
        })?;
        Ok(Self { folder, context, hospital, entry, governance, source })
    }

    /// The consent of an account to a duty at this hospital.
    async fn named(&self, duty: Duty, account: &Account) -> Result<NamedAccount, Failure> {
        let chain = self.context.chain().await?;
        let until = chain.finalized_head().await?.number.saturating_add(MAX_CONSENT_BLOCKS / 2);
        let naming = Naming::Hospital { hospital: self.hospital, duty, until };
        let consent = epione_client::naming::sign(account, chain.genesis_hash(), naming);
        Ok(NamedAccount { account: account.id(), until, consent })
    }

    fn rotated(&self, what: &'static str, block: Option<BlockNumber>) -> Rotated {
        let (keep, steps) = (Vec::new(), Vec::new());
        Rotated { hospital: self.hospital, what, block, keep, steps, next: None }
    }
}
