//! `epione hospital leave`: a hospital stops validating, announcing and voting, and serves its patients until the
//! council removes it.

use std::{fmt, path::PathBuf};

use clap::Args;
use epione_client::chain::calls::hospitals;
use epione_primitives::{BlockNumber, HospitalId};
use serde::Serialize;

use super::folder::Folder;
use crate::{
    confirmation::confirm,
    context::{Context, Output},
    failure::Failure,
    identity::KeySource,
    wording::legible,
};

/// What a hospital that leaves can expect, and what its operators do.
const AFTERWARDS: [&str; 4] = [
    "it makes no blocks, announces nothing, and neither approves nor votes in the council",
    "it still hands out records to its patients and to those whom they permit: keep node and worker running",
    "the council removes it (hospitals.remove), and can appoint a custodian for its patients' keys (custody.appoint)",
    "patients whose keys nobody keeps can still open their records with their own key files: tell them",
];

#[derive(Debug, Args)]
pub struct LeaveArgs {
    /// Folder of the hospital, which `epione hospital init` made [default: the node and the chain are given]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Key file of the hospital's governance [default: governance.json in DIR, or the devnet's]
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Sign without asking
    #[arg(long)]
    pub yes: bool,
}

/// A hospital that leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Left {
    pub hospital: HospitalId,
    pub name: String,
    /// The chain block from which on it leaves.
    pub block: BlockNumber,
    /// Shows the hospital's status.
    pub next: String,
}

impl Output for Left {}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hospital, name, block, next } = self;
        writeln!(f, "from block {block} on, hospital {hospital} ({name}) leaves:")?;
        AFTERWARDS.iter().try_for_each(|line| writeln!(f, "- {line}"))?;
        writeln!(f, "stop node and worker when the hospital is removed. To see its status:")?;
        write!(f, "  {next}")
    }
}

/// Leaves the chain.
pub async fn leave(args: &LeaveArgs, context: Context) -> Result<Left, Failure> {
    let (context, signer) = match &args.dir {
        Some(dir) => {
            let folder = Folder::open(dir)?;
            (folder.aim(context)?, Some(folder.governance(args.signer.as_ref())))
        }
        None => (context, args.signer.clone()),
    };
    let (hospital, governance) = context.own_governance(signer.as_ref(), None).await?;
    let chain = context.chain().await?;
    let entry = chain.finalized().await?.hospital(hospital).await?;
    let name = entry.map(|entry| legible(&entry.name)).unwrap_or_default();
    let asked = format!(
        "hospital {hospital} ({name}) leaves the chain: it stops validating, announcing and voting at once. Only the \
         council can change that: by removing it, or by suspending and reinstating it"
    );
    confirm(&context, &asked, args.yes).await?;
    let block = chain.submit(&hospitals::leave(), &governance).await?.block.number;
    let next = context.command(["hospital", "list"]).to_string();
    Ok(Left { hospital, name, block, next })
}
