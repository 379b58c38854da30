//! `epione audit`: who read a patient's records, and how emergencies were reviewed.

mod book;
mod handed_out;
pub mod noted;
pub mod reviews;
pub mod who_looked;

use clap::Subcommand;

use crate::{context::Context, failure::Failure, show};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists who read a patient's records: emergencies first, then newest first
    WhoLooked(who_looked::WhoLookedArgs),
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
            Self::Reviews(args) => show(&reviews::reviews(args, context).await?, json),
            Self::Judge(args) => show(&reviews::judge(args, context).await?, json),
        }
    }
}
