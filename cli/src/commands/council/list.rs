//! `epione council list`: the live motions.

use std::fmt;

use clap::Args;
use epione_primitives::BlockNumber;
use serde::Serialize;

use super::{Era, Shown, Voter, state::Council};
use crate::{
    context::{Context, Output},
    failure::Failure,
};

#[derive(Clone, Copy, Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub era: Era,
}

/// The members, and all live motions, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Motions {
    /// The block of the state that was read.
    pub block: BlockNumber,
    pub members: Vec<Voter>,
    pub motions: Vec<Shown>,
    /// The command that shows the oldest motion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Output for Motions {}

impl fmt::Display for Motions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { block, members, motions, next } = self;
        let names: Vec<_> = members.iter().map(Voter::to_string).collect();
        write!(f, "the council after block {block}: {}", names.join(", "))?;
        if motions.is_empty() {
            write!(f, "\nno motion is live")?;
        }
        for motion in motions {
            write!(f, "\n{}", motion.lines())?;
        }
        match next {
            Some(next) => write!(f, "\nto see a motion's call with all arguments:\n  {next}"),
            None => Ok(()),
        }
    }
}

/// Lists the live motions.
pub async fn list(args: &ListArgs, context: &Context) -> Result<Motions, Failure> {
    let council = Council::read(args.era, context).await?;
    let motions = council.motions.iter().map(|motion| Shown::of(motion, &council)).collect();
    let first = council.motions.first();
    Ok(Motions {
        block: council.at.number,
        members: council.members.iter().map(|member| council.voter(member)).collect(),
        motions,
        next: first.map(|motion| args.era.show(motion.number, context).to_string()),
    })
}
