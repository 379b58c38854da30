//! `epione query inbox` and `sent`: the queries to a patient, and those of a requester. With `--all`, the inbox also
//! has what hospitals opened together, for which nobody asked the patient: who looked, and who asked, in one list.
//!
//! The inbox reads the chain's list of the queries that wait for the patient's answer, whose length the chain bounds.
//! So a flood of queries that were withdrawn or answered neither hides one that waits, nor makes the command slow.

use std::{cmp::Reverse, collections::BTreeMap, fmt, time::Duration};

use clap::Args;
use epione_client::{
    chain::{Chain, ChainError},
    opening::Openings,
    query::{Listed, Party, Queries, QueryError},
    reader::ReadError,
};
use epione_primitives::{BlockNumber, HospitalId, QueryId, UserId, limits::SLOT_MILLIS};
use serde::Serialize;

use super::show::{Asker, Described};
use crate::{
    commands::opening,
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
    /// Also lists the queries that you have answered, those that were withdrawn or expired, and what hospitals opened
    /// together by a standing consent of yours
    #[arg(long)]
    pub all: bool,
    /// Maximum number, newest first; queries and openings are counted separately [default: all]
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
    /// What hospitals opened together of the patient's records, newest first; absent if it was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openings: Option<Vec<opening::Described>>,
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
        let openings = self.openings.as_deref().unwrap_or_default();
        if self.queries.is_empty() && openings.is_empty() {
            return match (self.only_pending, &self.openings) {
                (true, _) => write!(f, "there is no query that waits for your answer"),
                (false, None) => write!(f, "there is no query"),
                (false, Some(_)) => write!(f, "there is no query and no opening"),
            };
        }
        let queries = self.queries.iter().map(|it| (it.block, it as &dyn fmt::Display));
        let openings = openings.iter().map(|it| (it.block, it as &dyn fmt::Display));
        let mut entries: Vec<(BlockNumber, &dyn fmt::Display)> = queries.chain(openings).collect();
        entries.sort_by_key(|(block, _)| Reverse(*block));
        entries.iter().try_for_each(|(_, entry)| writeln!(f, "{entry}"))?;
        if self.more { write!(f, "{}", listing::MORE) } else { Ok(()) }
    }
}

/// Lists what a patient is asked: what waits for an answer, or everything.
pub async fn inbox(args: &InboxArgs, context: &Context) -> Result<Listing, Failure> {
    let patient = asked_patient(args, context).await?;
    if args.all {
        let mut whole = list(Party::Patient(patient), args.limit, context).await?;
        let (chain, asked) = (context.chain().await?, listing::asked(args.limit));
        let opened = Openings::new(chain.clone()).list(Party::Patient(patient), asked).await?;
        let mut openings = opening::described(opened, chain).await?;
        whole.more |= listing::cut(&mut openings, args.limit);
        whole.openings = Some(openings);
        return Ok(whole);
    }
    let queries = Queries::new(context.chain().await?.clone());
    let mut pending = queries.pending(patient).await?;
    let more = listing::cut(&mut pending.queries, args.limit);
    let queries = described(pending, context.chain().await?).await?;
    Ok(Listing { queries, openings: None, more, only_pending: true })
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
    Ok(Listing { queries, openings: None, more, only_pending: false })
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
    use epione_primitives::{access::Purpose, opening::OpeningId};

    use super::*;

    /// An opening of which the chain decided in this block.
    fn opening_in(block: BlockNumber) -> opening::Described {
        opening::Described {
            opening: OpeningId(block),
            requester: UserId([2; 32]),
            role: None,
            hospital: HospitalId(1),
            hospital_name: "Bob".into(),
            patient: UserId([1; 32]),
            purpose: Purpose::Research,
            emergency: None,
            records: Vec::new(),
            slots: Vec::new(),
            at: "1970-01-01T00:00:00Z".into(),
            block,
            handed_out: Vec::new(),
        }
    }

    fn listing_of(openings: Option<Vec<opening::Described>>) -> Listing {
        Listing { queries: Vec::new(), openings, more: false, only_pending: false }
    }

    #[test]
    fn the_whole_inbox_has_what_hospitals_opened_newest_first() {
        let listing = listing_of(Some(vec![opening_in(40), opening_in(50)]));
        let text = listing.to_string();
        let at = |opening: &str| text.find(opening).unwrap();
        assert!(at("opening 50 ") < at("opening 40 "), "{text}");
        let json = serde_json::to_value(&listing).unwrap();
        assert_eq!(json["openings"][1]["opening"], 50);
        let none = listing_of(Some(Vec::new()));
        assert_eq!(none.to_string(), "there is no query and no opening");
        let not_asked = listing_of(None);
        assert_eq!(not_asked.to_string(), "there is no query");
        assert!(serde_json::to_value(&not_asked).unwrap().get("openings").is_none());
    }

    #[test]
    fn a_watch_goes_on_after_an_error_of_the_node_that_passes() {
        // What `later` reads about the requesters fails in the same way as the list itself.
        assert!(is_transient(&QueryError::from(ChainError::Syncing)));
        let lasting = ChainError::Malformed { what: "a list".into(), reason: "too short".into() };
        assert!(!is_transient(&QueryError::from(lasting)));
        assert!(!is_transient(&QueryError::from(QueryFault::Unknown(QueryId(7)))));
    }
}
