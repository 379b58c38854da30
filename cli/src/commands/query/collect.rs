//! `epione query collect`: the requester reads what the patient accepted.

use std::{fmt, path::PathBuf};

use clap::Args;
use epione_client::{
    api::WantedRecord,
    query::{Queries, QueryError, Status},
    reader::QueryFault,
};
use epione_primitives::{HospitalId, QueryId};
use serde::Serialize;

use super::{
    explained, part,
    show::{AcceptedPart, Transferred},
    statement,
};
use crate::{
    commands::records::{Retrieved, save_accepted},
    context::{Context, Output},
    failure::Failure,
    identity::{self, KeySource},
};

#[derive(Debug, Args)]
pub struct CollectArgs {
    /// The query's number
    #[arg(value_name = "QUERY")]
    pub query: u32,
    /// Your key file: the requester's
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// Folder to write to; each record gets its own folder in it
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// What was collected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Collected {
    pub query: QueryId,
    /// The hospital that kept the sealed keys.
    pub mailbox: HospitalId,
    pub accepted: Vec<WantedRecord>,
    /// RFC 3339.
    pub until: String,
    #[serde(flatten)]
    pub retrieved: Retrieved,
    /// The chain's record that the keys were handed out; the patient sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Transferred>,
}

impl Output for Collected {
    fn passed(&self) -> bool {
        self.retrieved.passed()
    }
}

impl fmt::Display for Collected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { query, mailbox, accepted, until, retrieved, transfer } = self;
        let accepted = part::in_words(accepted);
        writeln!(f, "query {query}: the patient accepted {accepted}; until {until}")?;
        if let Some(Transferred { at, block, .. }) = transfer {
            writeln!(f, "handed out by hospital {mailbox} at {at}, chain block {block}")?;
        }
        retrieved.fmt(f)
    }
}

/// Collects, verifies and saves what the patient accepted.
pub async fn collect(args: &CollectArgs, context: &Context) -> Result<Collected, Failure> {
    let queries = Queries::new(context.chain().await?.clone());
    let id = QueryId(args.query);
    let explained = |error: QueryError| explained(error, id, Some(&args.signer), context);
    let found = queries.show(id).await.map_err(explained)?;
    let user = context.user_of(&identity::account(&context.keys(&args.signer)?)).await?;
    if user != found.query.requester {
        return Err(explained(QueryFault::NotRequester { query: id, user }.into()));
    }
    let acceptance = found.acceptance()?;
    let patient = found.query.patient;
    let earlier: &[KeySource] = &[];
    let reader = statement::reader((&args.signer, earlier), acceptance.mailbox, context).await?;
    let records = &acceptance.records;
    let retrieved = save_accepted(&reader, (id, patient), records, &args.out, context).await?;
    let AcceptedPart { records, until, mailbox, .. } = acceptance.clone().into();
    let transfer = match found.status {
        Status::Collected => found.transfer.clone(),
        _ => queries.show(id).await?.transfer,
    };
    let transfer = transfer.map(Transferred::from);
    Ok(Collected { query: id, mailbox, accepted: records, until, retrieved, transfer })
}
