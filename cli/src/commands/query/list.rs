//! `epione query inbox` and `sent`: the queries to a patient, and those of a requester.

use std::{collections::BTreeMap, fmt, time::Duration};

use clap::Args;
use epione_client::{
    query::{Listed, Party, Queries, QueryError},
    reader::ReadError,
};
use epione_primitives::{
    HospitalId, QueryId, UserId,
    limits::{MAX_PENDING_QUERIES_OF_PATIENT, SLOT_MILLIS},
};
use serde::Serialize;

use super::show::{Asker, Described};
use crate::{
    context::{Context, Output},
    failure::Failure,
    identity::KeySource,
    listing, progress, show,
};

/// Pause between two looks at the chain: a block.
const PAUSE: Duration = Duration::from_millis(SLOT_MILLIS);

#[derive(Debug, Args)]
pub struct InboxArgs {
    /// Your key file: the patient's; only its public half is read
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// Maximum number, newest first [default: all]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Prints each new query when it is final, until you press Ctrl-C
    #[arg(long)]
    pub watch: bool,
}

#[derive(Debug, Args)]
pub struct SentArgs {
    /// Your key file: the requester's; only its public half is read
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// Maximum number, newest first [default: all]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

/// Queries, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listing {
    pub queries: Vec<Described>,
    /// Whether the limit left out older ones.
    pub more: bool,
}

impl Output for Listing {}

/// A query that a watching command prints when it is final.
#[derive(Serialize)]
#[serde(transparent)]
struct New(Described);

impl Output for New {}

impl fmt::Display for New {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.queries.is_empty() {
            return write!(f, "there is no query");
        }
        self.queries.iter().try_for_each(|query| writeln!(f, "{query}"))?;
        if self.more { write!(f, "{}", listing::MORE) } else { Ok(()) }
    }
}

/// Lists what a patient is asked.
pub async fn inbox(args: &InboxArgs, context: &Context) -> Result<Listing, Failure> {
    let patient = context.user_with(&args.signer.public()?.account).await?;
    list(Party::Patient(patient), args.limit, context).await
}

/// Lists what a requester asked.
pub async fn sent(args: &SentArgs, context: &Context) -> Result<Listing, Failure> {
    let requester = context.user_with(&args.signer.public()?.account).await?;
    list(Party::Requester(requester), args.limit, context).await
}

/// Prints what a patient is asked; with --watch also what comes later.
pub(super) async fn run_inbox(args: &InboxArgs, context: &Context) -> Result<bool, Failure> {
    let json = context.common().json;
    if !args.watch {
        return show(&inbox(args, context).await?, json);
    }
    let patient = context.user_with(&args.signer.public()?.account).await?;
    let party = Party::Patient(patient);
    let listing = list(party, args.limit, context).await?;
    let mut newest = listing.queries.first().map(|described| described.query);
    show(&listing, json)?;
    let queries = Queries::new(context.chain().await?.clone());
    loop {
        tokio::time::sleep(PAUSE).await;
        match later(&queries, party, newest).await {
            Ok(found) => {
                for query in described(found, context).await? {
                    newest = Some(query.query);
                    show(&New(query), json)?;
                }
            }
            Err(error) if is_transient(&error) => progress::warn(context, &error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The queries after the newest known one, oldest first.
async fn later(
    queries: &Queries,
    party: Party,
    newest: Option<QueryId>,
) -> Result<Listed, QueryError> {
    let is_new = |id: QueryId| newest.is_none_or(|newest| id > newest);
    let mut listed = queries.list(party, 1).await?;
    if listed.queries.iter().any(|query| is_new(query.id)) {
        // More than these are not pending at once.
        listed = queries.list(party, MAX_PENDING_QUERIES_OF_PATIENT).await?;
    }
    listed.queries.retain(|query| is_new(query.id));
    listed.queries.reverse();
    Ok(listed)
}

/// Whether the next look may succeed.
fn is_transient(error: &QueryError) -> bool {
    matches!(error, QueryError::Read(ReadError::Chain(error)) if error.is_transient())
}

async fn list(party: Party, limit: Option<u32>, context: &Context) -> Result<Listing, Failure> {
    let queries = Queries::new(context.chain().await?.clone());
    let listed = queries.list(party, listing::asked(limit)).await?;
    let mut queries = described(listed, context).await?;
    let more = listing::cut(&mut queries, limit);
    Ok(Listing { queries, more })
}

/// Adds the requesters' roles and their hospitals' names, each read once.
pub(in crate::commands) async fn described(
    listed: Listed,
    context: &Context,
) -> Result<Vec<Described>, Failure> {
    let state = context.chain().await?.at(listed.block.hash);
    let mut askers = BTreeMap::<(UserId, HospitalId), Asker>::new();
    let mut described = Vec::with_capacity(listed.queries.len());
    for found in listed.queries {
        let key = (found.query.requester, found.query.hospital);
        let asker = match askers.get(&key) {
            Some(known) => known.clone(),
            None => {
                let asker = Asker::of(&found.query, &state).await?;
                askers.insert(key, asker.clone());
                asker
            }
        };
        described.push(Described::new(found, asker));
    }
    Ok(described)
}
