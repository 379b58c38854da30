//! `epione visit`: submits visits and shows their status.

mod extraction;
mod line;
mod section;
mod status;
mod submission;
mod template;
mod unfinished;
mod votes;

pub use line::SectionLine;
pub use section::{MediaSection, TextSection};
pub use status::{Followed, StatusArgs, WaitArgs, status};
pub use submission::{SubmitArgs, Submitted, submit};

use clap::Subcommand;

use crate::{context::Context, failure::Failure, show};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Signs a visit and sends it to the hospital's worker
    Submit(Box<SubmitArgs>),
    /// Shows the status of a visit
    Status(StatusArgs),
}

impl Command {
    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::Submit(args) => show(&submit(args, context).await?, json),
            Self::Status(args) => show(&status(args, context).await?, json),
        }
    }
}
