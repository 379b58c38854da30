//! `epione lite sync`: copies lite blocks, and the sealed records that the user may read.

use std::{collections::BTreeSet, fmt, path::PathBuf};

use clap::Args;
use epione_client::{
    chain::Chain,
    lite::{self, Fetched, Profiles, Store},
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
    let own = own(args, context, chain, &mut store).await?;
    let wanted = wanted(args, &store, own.as_ref())?;
    let fetched = fetched(context, chain, &mut store, own.as_ref(), wanted).await?;
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

/// Copies the profiles of the patient.
async fn own(
    args: &SyncArgs,
    context: &Context,
    chain: &Chain,
    store: &mut Store,
) -> Result<Option<Profiles>, Failure> {
    let Some(source) = &args.signer else { return Ok(None) };
    let account = source.public()?.account;
    let user = context.user_with(&account).await?;
    let profiles = lite::keep_profiles(chain, store, &account, user).await?;
    for hospital in &profiles.absent {
        progress::warn(
            context,
            &format!(
                "the node does not have the profile with the patient's keys at hospital {hospital}, so records of \
                 that hospital cannot be searched: rerun the command with another node, --node URL"
            ),
        );
    }
    Ok(Some(profiles))
}

/// The records that the user may read: a patient's own ones, and those that were saved.
fn wanted(
    args: &SyncArgs,
    store: &Store,
    own: Option<&Profiles>,
) -> Result<Vec<RecordPointer>, Failure> {
    let mut wanted = BTreeSet::new();
    if let Some(own) = own {
        wanted.extend(store.records_of(own.user)?);
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
    own: Option<&Profiles>,
    wanted: Vec<RecordPointer>,
) -> Result<Fetched, Failure> {
    let mut counter = Counter::new(progress::waiting(context, "copying the sealed records"));
    let fetched = lite::fetch(chain, store, own, wanted, |done, all| {
        counter.reached("copying sealed record", done, all);
    })
    .await?;
    counter.end();
    Ok(fetched)
}
