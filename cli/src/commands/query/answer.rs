//! `epione query refuse` and `withdraw`: a party ends a query.

use std::fmt;

use clap::Args;
use epione_client::query::{Found, Queries, QueryError, Status, answer_in_words};
use epione_primitives::{BlockNumber, QueryId, UserId, query::Answer};
use serde::Serialize;

use super::explained;
use crate::{
    context::{Context, Output},
    failure::Failure,
    identity::{self, KeySource},
    progress,
};

#[derive(Debug, Args)]
pub struct AnswerArgs {
    /// The query's number
    #[arg(value_name = "QUERY")]
    pub query: u32,
    /// Your key file; to act for a patient whom you represent, your own
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
}

/// A query that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answered {
    pub query: QueryId,
    pub status: Status,
    /// The chain block from which on that is so.
    pub block: BlockNumber,
    /// The patient, if a representative ended it now.
    #[serde(rename = "inNameOf", skip_serializing_if = "Option::is_none")]
    pub in_name_of: Option<UserId>,
    /// Who ended it, if it was over before this run, which then changed nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

impl Output for Answered {}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { query, status, block, in_name_of, before } = self;
        if let Some(before) = before {
            return write!(f, "query {query} was over before, so nothing was changed: {before}");
        }
        if let Some(patient) = in_name_of {
            write!(f, "in the name of patient {patient}, ")?;
        }
        match status {
            Status::Refused => write!(f, "you refused query {query} in chain block {block}"),
            Status::Canceled => write!(f, "you withdrew query {query} in chain block {block}"),
            _ => write!(
                f,
                "you withdrew the acceptance of query {query} in chain block {block}; what the requester has read, \
                 they may keep"
            ),
        }
    }
}

/// Refuses a query, as its patient.
pub async fn refuse(args: &AnswerArgs, context: &Context) -> Result<Answered, Failure> {
    end(args, context, false).await
}

/// Withdraws a query, as its requester, or its acceptance, as its patient; as either, an expired query.
pub async fn withdraw(args: &AnswerArgs, context: &Context) -> Result<Answered, Failure> {
    end(args, context, true).await
}

async fn end(args: &AnswerArgs, context: &Context, withdraws: bool) -> Result<Answered, Failure> {
    let account = identity::account(&context.keys(&args.signer)?);
    let queries = Queries::new(context.chain().await?.clone());
    let id = QueryId(args.query);
    let explained = |error: QueryError| explained(error, id, Some(&args.signer), context);
    let found = queries.show(id).await.map_err(explained)?;
    let user = context.user_of(&account).await?;
    if let Some(before) = ended_before(&found, user, withdraws) {
        return Ok(before);
    }
    let spinner = progress::waiting(context, "waiting until the change is finalized");
    let block = match withdraws {
        true => queries.withdraw(id, &account).await,
        false => queries.refuse(id, &account).await,
    };
    spinner.finish_and_clear();
    let found = queries.show(id).await;
    match (block, found) {
        (Ok(block), found) => {
            let Found { status, query, .. } = found.map_err(explained)?;
            let is_party = user == query.patient || user == query.requester;
            let in_name_of = (!is_party).then_some(query.patient);
            Ok(Answered { query: id, status, block: block.number, in_name_of, before: None })
        }
        // An earlier run's call may have come first.
        (Err(error), Ok(found)) => {
            ended_before(&found, user, withdraws).ok_or_else(|| explained(error))
        }
        (Err(error), Err(_)) => Err(explained(error)),
    }
}

/// What a party wants to be so, if it is so already.
fn ended_before(found: &Found, user: UserId, withdraws: bool) -> Option<Answered> {
    let query = &found.query;
    let is_party = |by: UserId| user == by || user == query.patient;
    let block = match *query.answer.as_ref()? {
        Answer::Refused { by, block, .. } if !withdraws && is_party(by) => block,
        Answer::Withdrawn { by, block, .. }
            if withdraws && (is_party(by) || user == query.requester) =>
        {
            block
        }
        _ => return None,
    };
    let before = answer_in_words(query);
    Some(Answered { query: found.id, status: found.status, block, in_name_of: None, before })
}

#[cfg(test)]
mod tests {
    use epione_primitives::{Hash, HospitalId, access::Purpose, query::Query};

    use super::*;

    const PATIENT: UserId = UserId([1; 32]);
    const REQUESTER: UserId = UserId([2; 32]);

    #[test]
    fn a_withdrawal_does_not_promise_that_the_requester_forgets() {
        let by = |status, in_name_of| {
            Answered { query: QueryId(7), status, block: 9, in_name_of, before: None }.to_string()
        };
        let answered = |status| by(status, None);
        let represented = format!("in the name of patient {PATIENT}, you refused query 7");
        assert!(by(Status::Refused, Some(PATIENT)).starts_with(&represented));
        assert!(answered(Status::Withdrawn).contains("they may keep"));
        assert_eq!(answered(Status::Refused), "you refused query 7 in chain block 9");
        assert_eq!(answered(Status::Canceled), "you withdrew query 7 in chain block 9");
    }

    #[test]
    fn a_party_who_has_what_they_want_changes_nothing() {
        let found = |answer: Option<Answer>, status| {
            let query = Query {
                requester: REQUESTER,
                hospital: HospitalId(5),
                patient: PATIENT,
                patient_key: Hash::repeat_byte(7),
                records: Default::default(),
                purpose: Purpose::Research,
                terms: Hash::repeat_byte(4),
                expires: 100,
                block: 10,
                at: 0,
                answer,
            };
            Found { id: QueryId(7), query, transfer: None, status }
        };
        let refused_by = |by| found(Some(Answer::Refused { by, block: 9, at: 1 }), Status::Refused);
        let refused = refused_by(PATIENT);
        let withdrawn = Answer::Withdrawn { by: REQUESTER, block: 9, at: 1, acceptance: None };
        let withdrawn = found(Some(withdrawn), Status::Canceled);
        // A representative's refusal is done for the patient and for the representative, and says who did it.
        for party in [PATIENT, UserId([4; 32])] {
            let again = ended_before(&refused_by(UserId([4; 32])), party, false);
            let said = again.unwrap().to_string();
            assert!(said.contains("refused in the name of the patient in chain block 9"), "{said}");
        }
        let again = ended_before(&refused, PATIENT, false).unwrap().to_string();
        assert!(again.contains("the patient refused in chain block 9"), "{again}");
        for party in [PATIENT, REQUESTER] {
            let again = ended_before(&withdrawn, party, true).unwrap().to_string();
            assert!(again.contains("the requester withdrew the query in chain block 9"), "{again}");
        }
        assert_eq!(ended_before(&refused, REQUESTER, false), None);
        assert_eq!(ended_before(&refused, UserId([4; 32]), false), None);
        assert_eq!(ended_before(&refused, PATIENT, true), None);
        assert_eq!(ended_before(&withdrawn, PATIENT, false), None);
        assert_eq!(ended_before(&withdrawn, UserId([3; 32]), true), None);
        assert_eq!(ended_before(&found(None, Status::Pending), PATIENT, true), None);
    }
}
