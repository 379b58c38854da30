//! `epione council vote`: the vote of a hospital.

use std::fmt;

use clap::{ArgGroup, Args};
use epione_client::chain::calls::council;
use epione_primitives::{BlockNumber, Hash, HospitalId};
use serde::Serialize;

use super::{MotionRef, Shown, Signing, in_block, shown::sentence, state::Council};
use crate::{
    confirmation::confirm,
    context::{Context, Output},
    failure::Failure,
};

#[derive(Clone, Debug, Args)]
#[command(group(ArgGroup::new("vote").required(true).args(["approve", "reject"])))]
pub struct VoteArgs {
    /// Number or hash of the motion
    #[arg(value_name = "MOTION")]
    pub motion: MotionRef,
    /// Vote for the motion
    #[arg(long)]
    pub approve: bool,
    /// Vote against the motion
    #[arg(long)]
    pub reject: bool,
    #[command(flatten)]
    pub signing: Signing,
}

/// A vote that the chain has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Voted {
    /// The hospital that voted.
    pub hospital: HospitalId,
    pub number: u32,
    pub hash: Hash,
    pub approve: bool,
    /// The chain block that has the vote.
    pub block: BlockNumber,
    #[serde(rename = "final")]
    pub is_final: bool,
    /// How the motion stands after this block; none if somebody has closed it in the same block.
    pub motion: Option<Shown>,
    /// The command that goes on.
    pub next: String,
}

impl Output for Voted {}

impl fmt::Display for Voted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hospital, number, approve, block, is_final, motion, next, .. } = self;
        let side = if *approve { "for" } else { "against" };
        let block = in_block(*block, *is_final);
        writeln!(f, "hospital {hospital} voted {side} motion {number} in {block}")?;
        match motion {
            Some(motion) => writeln!(f, "{}", motion.lines())?,
            None => writeln!(f, "the motion was closed in the same block")?,
        }
        write!(f, "next:\n  {next}")
    }
}

/// Votes.
pub async fn vote(args: &VoteArgs, context: &Context) -> Result<Voted, Failure> {
    let VoteArgs { motion, approve, signing, .. } = args;
    let (approve, era) = (*approve, signing.era);
    let council = Council::read(era, context).await?;
    let motion = council.find(*motion, era, context)?;
    let (hospital, account) = council.member(signing, context).await?;
    if motion.vote_of(&account.id()) == Some(approve) {
        let side = if approve { "for" } else { "against" };
        return Err(Failure::new(
            format!(
                "{} has already voted {side} motion {}; nothing was sent",
                council.hospital(hospital),
                motion.number
            ),
            "wait for the votes of the others, or vote otherwise",
        )
        .with_command(era.show(motion.number, context)));
    }
    let shown = Shown::of(motion, &council);
    let side = if approve { "FOR" } else { "AGAINST" };
    let statement = format!(
        "{} votes {side} motion {} of the council. The motion, if it is accepted, will\n  {}\n{}",
        council.hospital(hospital),
        motion.number,
        sentence(motion, &council).lines(),
        shown.lines(),
    );
    confirm(context, &statement, signing.yes).await?;
    let (chain, birth) = (context.chain().await?, era.birth(context)?);
    let call = council::vote(motion.hash, motion.number, approve);
    let sent = chain.submit_from(birth, &call, &account).await;
    let sent =
        sent.map_err(|error| Failure::from(error).with_command(era.show(motion.number, context)))?;
    let after = Council::after(chain, sent.block).await?;
    let now = after.motions.iter().find(|it| it.hash == motion.hash);
    let number = motion.number.to_string();
    let next = match now.map(|it| it.standing(after.size(), after.at.number).can_close()) {
        Some(true) => signing.next(&["council", "close", &number], context),
        Some(false) => era.show(motion.number, context),
        None => era.list(context),
    };
    Ok(Voted {
        hospital,
        number: motion.number,
        hash: motion.hash,
        approve,
        block: sent.block.number,
        is_final: signing.era.is_final(),
        motion: now.map(|it| Shown::of(it, &after)),
        next: next.to_string(),
    })
}
