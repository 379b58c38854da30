//! `epione lite sync`: copies lite blocks, and the sealed records that the user may read.

use std::{collections::BTreeSet, fmt, path::PathBuf};

use clap::Args;
use epione_client::{
    chain::Chain,
    lite::{self, Fetched, Store},
};
use epione_primitives::{BlockNumber, RecordPointer};
use serde::Serialize;

use super::{Counter, FileArgs};
use crate::{
    commands::records::{FailedRecord, saved_in},
    context::{Context, Output},
    failure::Failure,
    identity::KeySource,
    progress,
    wording::counted,
};

#[derive(Debug, Args)]
pub struct SyncArgs {
    /// A patient's key file, to also copy the patient's sealed records; only its public half is read
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// A folder in which `epione records get` saved records, to also copy these sealed records; may be repeated
    #[arg(long, value_name = "DIR")]
    pub saved: Vec<PathBuf>,
    #[command(flatten)]
    pub file: FileArgs,
}

/// What was copied.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Copied {
    pub file: PathBuf,
    /// Lite blocks that were added.
    pub added: u32,
    /// Height of the newest lite block.
    pub height: u32,
    /// The final chain block from whose state they were read.
    pub block: BlockNumber,
    /// Whether it was proven that this block is final.
    pub proven: bool,
    /// Sealed records that were added.
    pub records: u32,
    /// The records that could not be copied, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedRecord>,
}

impl Output for Copied {
    /// Fails if a record cannot be copied.
    fn passed(&self) -> bool {
        self.failed.is_empty()
    }
}

impl fmt::Display for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for FailedRecord { pointer, failure } in &self.failed {
            writeln!(f, "{pointer}  NOT COPIED: {}", failure.error)?;
        }
        let blocks = counted(self.added, "lite block", "lite blocks");
        let records = counted(self.records, "sealed record", "sealed records");
        writeln!(f, "{blocks} and {records} added to {}", self.file.display())?;
        let proof = match self.proven {
            true => "proven to be final",
            false => "final, as the node says: nothing was proven",
        };
        write!(
            f,
            "complete up to lite block {}, by chain block {}, {proof}",
            self.height, self.block
        )
    }
}

/// Copies what the file lacks.
pub(super) async fn copied(args: &SyncArgs, context: &Context) -> Result<Copied, Failure> {
    let path = args.file.prepared(context)?;
    let chain = context.chain().await?;
    let mut store = Store::create(&path, chain.genesis_hash())?;
    let mut counter = Counter::new(progress::waiting(context, "copying the lite blocks"));
    let synced = lite::sync(chain, &mut store, |height, newest| {
        counter.reached("copying lite block", height, newest);
    })
    .await?;
    counter.end();
    let wanted = wanted(args, context, chain, &mut store).await?;
    let fetched = fetched(context, chain, &mut store, wanted).await?;
    let failed = fetched.failed.into_iter();
    let failed = failed.map(|(pointer, error)| FailedRecord { pointer, failure: error.into() });
    Ok(Copied {
        file: path,
        added: synced.added,
        height: synced.height,
        block: synced.source.number,
        proven: synced.source.proven,
        records: fetched.added,
        failed: failed.collect(),
    })
}

/// The records that the user may read: a patient's own ones, and those that were saved.
async fn wanted(
    args: &SyncArgs,
    context: &Context,
    chain: &Chain,
    store: &mut Store,
) -> Result<Vec<RecordPointer>, Failure> {
    let mut wanted = BTreeSet::new();
    if let Some(source) = &args.signer {
        let account = source.public()?.account;
        let user = context.user_with(&account).await?;
        for hospital in lite::keep_profiles(chain, store, &account, user).await? {
            progress::warn(
                context,
                &format!(
                    "the node does not have the profile with the patient's keys at hospital {hospital}, so records of \
                     that hospital cannot be searched: rerun the command with another node, --node URL"
                ),
            );
        }
        wanted.extend(store.records_of(user)?);
    }
    for folder in &args.saved {
        wanted.extend(saved_in(folder)?.into_iter().map(|saved| saved.pointer));
    }
    Ok(wanted.into_iter().collect())
}

async fn fetched(
    context: &Context,
    chain: &Chain,
    store: &mut Store,
    wanted: Vec<RecordPointer>,
) -> Result<Fetched, Failure> {
    let mut counter = Counter::new(progress::waiting(context, "copying the sealed records"));
    let fetched = lite::fetch(chain, store, wanted, |done, all| {
        counter.reached("copying sealed record", done, all);
    })
    .await?;
    counter.end();
    Ok(fetched)
}
