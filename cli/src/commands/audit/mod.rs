//! `epione audit`: who read a patient's records, how emergencies were reviewed, and what proves formal transactions.

mod book;
mod handed_out;
pub mod noted;
pub mod proof_chain;
pub mod reviews;
mod urgent;
pub mod who_looked;

use clap::Subcommand;

use crate::{context::Context, failure::Failure, show};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists who read a patient's records: emergencies first, then newest first
    WhoLooked(who_looked::WhoLookedArgs),
    /// Verifies the proofs of records, queries, looks and openings: who signed what, in which chain block; writes them
    /// as evidence
    ///
    /// A record has four proofs: its patient authorized it, its hospital stored it, the other hospitals received and
    /// approved it, and the chain committed it. A query has three: the requester asked, the patient accepted, and a
    /// hospital recorded that it handed out the keys. A look has two: the requester signed the request, and the
    /// hospital recorded what it released. An opening has one of the requester, who asked, and one of each hospital
    /// that recorded that it handed out its part. Fails if a proof is missing or wrong, and names who is responsible.
    ProofChain(proof_chain::ProofChainArgs),
    /// Lists emergencies and their reviews by the other hospitals; fails if one was not judged in time
    Reviews(reviews::ReviewsArgs),
    /// Votes, as a hospital, on whether another hospital's emergency was justified
    Judge(reviews::JudgeArgs),
}

impl Command {
    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::WhoLooked(args) => show(&who_looked::who_looked(args, context).await?, json),
            Self::ProofChain(args) => show(&proof_chain::proof_chain(args, context).await?, json),
            Self::Reviews(args) => show(&reviews::reviews(args, context).await?, json),
            Self::Judge(args) => show(&reviews::judge(args, context).await?, json),
        }
    }
}
