//! `epione query inbox` and `sent`: the queries to a patient, and those of a requester.
//!
//! The inbox reads the chain's list of the queries that wait for the patient's answer, whose length the chain bounds.
//! So a flood of queries that were withdrawn or answered neither hides one that waits, nor makes the command slow.

use std::{collections::BTreeMap, fmt, time::Duration};

use clap::Args;
use epione_client::{
    chain::{Chain, ChainError},
    query::{Listed, Party, Queries, QueryError},
    reader::ReadError,
};
use epione_primitives::{HospitalId, QueryId, UserId, limits::SLOT_MILLIS};
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
    /// Your key file: the patient's, or a representative's with --patient; only its public half is read
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// The patient whom you represent, if you are not the patient
    #[arg(long, value_name = "USER")]
    pub patient: Option<UserId>,
    /// Also lists the queries that you have answered, and those that were withdrawn or expired
    #[arg(long)]
    pub all: bool,
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
    /// Whether these are only the queries that wait for an answer.
    #[serde(skip)]
    only_pending: bool,
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
            let waiting = if self.only_pending { " that waits for your answer" } else { "" };
            return write!(f, "there is no query{waiting}");
        }
        self.queries.iter().try_for_each(|query| writeln!(f, "{query}"))?;
        if self.more { write!(f, "{}", listing::MORE) } else { Ok(()) }
    }
}

/// Lists what a patient is asked: what waits for an answer, or everything.
pub async fn inbox(args: &InboxArgs, context: &Context) -> Result<Listing, Failure> {
    let patient = asked_patient(args, context).await?;
    if args.all {
        return list(Party::Patient(patient), args.limit, context).await;
    }
    let queries = Queries::new(context.chain().await?.clone());
    let mut pending = queries.pending(patient).await?;
    let more = listing::cut(&mut pending.queries, args.limit);
    let queries = described(pending, context.chain().await?).await?;
    Ok(Listing { queries, more, only_pending: true })
}

/// Whose inbox it is: that of the user, or of a patient whom the user represents.
async fn asked_patient(args: &InboxArgs, context: &Context) -> Result<UserId, Failure> {
    let user = context.user_with(&args.signer.public()?.account).await?;
    let patient = args.patient.unwrap_or(user);
    let state = context.chain().await?.finalized().await?;
    if patient == user || state.representation(user, patient).await?.is_some() {
        return Ok(patient);
    }
    let list = context.command(["mandate", "list", "--patient"]).with([patient.to_string()]);
    let failure = Failure::new(
        format!("user {user} does not represent patient {patient}"),
        "the patient can appoint you, or renew the mandate",
    );
    Err(failure.with_command(list))
}

/// Lists what a requester asked.
pub async fn sent(args: &SentArgs, context: &Context) -> Result<Listing, Failure> {
    let requester = context.user_with(&args.signer.public()?.account).await?;
    list(Party::Requester(requester), args.limit, context).await
}

/// Prints what a patient is asked; with --watch also what comes later.
pub(super) async fn run_inbox(args: &InboxArgs, context: &Context) -> Result<bool, Failure> {
    let json = context.common().json;
    let listing = inbox(args, context).await?;
    if !args.watch {
        return show(&listing, json);
    }
    let patient = asked_patient(args, context).await?;
    let mut newest = listing.queries.first().map(|described| described.query);
    show(&listing, json)?;
    let chain = context.chain().await?;
    loop {
        tokio::time::sleep(PAUSE).await;
        match later(chain, patient, newest).await {
            Ok(found) => {
                for query in found {
                    let id = query.query;
                    show(&New(query), json)?;
                    newest = Some(id);
                }
            }
            Err(error) if is_transient(&error) => progress::warn(context, &error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The pending queries after the newest known one, oldest first.
async fn later(
    chain: &Chain,
    patient: UserId,
    newest: Option<QueryId>,
) -> Result<Vec<Described>, QueryError> {
    let mut listed = Queries::new(chain.clone()).pending(patient).await?;
    listed.queries.retain(|query| newest.is_none_or(|newest| query.id > newest));
    listed.queries.reverse();
    Ok(described(listed, chain).await?)
}

/// Whether the next look may succeed.
fn is_transient(error: &QueryError) -> bool {
    matches!(error, QueryError::Read(ReadError::Chain(error)) if error.is_transient())
}

async fn list(party: Party, limit: Option<u32>, context: &Context) -> Result<Listing, Failure> {
    let queries = Queries::new(context.chain().await?.clone());
    let listed = queries.list(party, listing::asked(limit)).await?;
    let mut queries = described(listed, context.chain().await?).await?;
    let more = listing::cut(&mut queries, limit);
    Ok(Listing { queries, more, only_pending: false })
}

/// Adds the requesters' roles and their hospitals' names, each read once.
pub(in crate::commands) async fn described(
    listed: Listed,
    chain: &Chain,
) -> Result<Vec<Described>, ChainError> {
    let state = chain.at(listed.block.hash);
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

#[cfg(test)]
mod tests {
    use epione_client::reader::QueryFault;

    use super::*;

    #[test]
    fn a_watch_goes_on_after_an_error_of_the_node_that_passes() {
        // What `later` reads about the requesters fails in the same way as the list itself.
        assert!(is_transient(&QueryError::from(ChainError::Syncing)));
        let lasting = ChainError::Malformed { what: "a list".into(), reason: "too short".into() };
        assert!(!is_transient(&QueryError::from(lasting)));
        assert!(!is_transient(&QueryError::from(QueryFault::Unknown(QueryId(7)))));
    }
}
