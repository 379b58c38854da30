//! `epione query refuse` and `withdraw`: a party ends a query.

use std::fmt;

use clap::Args;
use epione_client::query::{Queries, Status};
use epione_primitives::{BlockNumber, QueryId};
use serde::Serialize;

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
    /// Your key file
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
}

impl Output for Answered {}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { query, status, block } = self;
        match status {
            Status::Refused => write!(f, "query {query} is refused from chain block {block} on"),
            Status::Canceled => {
                write!(f, "query {query} is taken back from chain block {block} on")
            }
            _ => write!(
                f,
                "the acceptance of query {query} is withdrawn from chain block {block} on; what the requester has \
                 read, they may keep"
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
    // Says which query there is not, before anything is signed.
    queries.show(id).await?;
    let spinner = progress::waiting(context, "waiting until the change is finalized");
    let block = match withdraws {
        true => queries.withdraw(id, &account).await,
        false => queries.refuse(id, &account).await,
    };
    spinner.finish_and_clear();
    let block = block?.number;
    Ok(Answered { query: id, status: queries.show(id).await?.status, block })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_withdrawal_does_not_promise_that_the_requester_forgets() {
        let answered = |status| Answered { query: QueryId(7), status, block: 9 }.to_string();
        assert!(answered(Status::Withdrawn).contains("they may keep"));
        assert_eq!(answered(Status::Refused), "query 7 is refused from chain block 9 on");
        assert_eq!(answered(Status::Canceled), "query 7 is taken back from chain block 9 on");
    }
}
