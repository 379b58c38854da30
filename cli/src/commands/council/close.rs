//! `epione council close`: ends a motion that is decided, or whose time is over.

use std::fmt;

use clap::Args;
use epione_client::{
    chain::{MotionOutcome, calls::council},
    council::Standing,
};
use epione_primitives::{BlockNumber, Hash};
use serde::Serialize;

use super::{MotionRef, Shown, Signing, in_block, shown::sentence, state::Council};
use crate::{
    confirmation::confirm,
    context::{Context, Output},
    failure::{self, Failure},
};

#[derive(Clone, Debug, Args)]
pub struct CloseArgs {
    /// Number or hash of the motion
    #[arg(value_name = "MOTION")]
    pub motion: MotionRef,
    #[command(flatten)]
    pub signing: Signing,
}

/// What a motion's call came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum CallOutcome {
    /// It took effect.
    Executed,
    /// The motion had enough votes, but the call failed and changed nothing.
    Failed { error: String, help: String },
    /// The motion had too few votes. Its call was not dispatched.
    Disapproved,
}

impl From<MotionOutcome> for CallOutcome {
    fn from(outcome: MotionOutcome) -> Self {
        match outcome {
            MotionOutcome::Executed => Self::Executed,
            MotionOutcome::Disapproved => Self::Disapproved,
            MotionOutcome::Failed(failed) => {
                Self::Failed { error: failed.to_string(), help: failure::of_call(&failed).into() }
            }
        }
    }
}

impl fmt::Display for CallOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Executed => f.write_str("its call took effect"),
            Self::Failed { error, help } => write!(
                f,
                "THE CALL FAILED: {error}\n  {help}; then propose it again: the motion is over"
            ),
            Self::Disapproved => {
                f.write_str("it had too few votes, so its call was not dispatched")
            }
        }
    }
}

/// A motion that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Closed {
    pub number: u32,
    pub hash: Hash,
    pub summary: String,
    /// Votes for it, and against it; at its end, members without a vote count as against.
    pub ayes: u32,
    pub nays: u32,
    #[serde(flatten)]
    pub outcome: CallOutcome,
    /// The chain block in which it was closed.
    pub block: BlockNumber,
    #[serde(rename = "final")]
    pub is_final: bool,
    /// Why what is left of the motion on the chain could not be removed. It changes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_over: Option<String>,
    /// The command that goes on.
    pub next: String,
}

impl Output for Closed {
    fn passed(&self) -> bool {
        !matches!(self.outcome, CallOutcome::Failed { .. })
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, summary, ayes, nays, outcome, block, is_final, left_over, next, .. } =
            self;
        let block = in_block(*block, *is_final);
        writeln!(
            f,
            "motion {number} ({summary}) was closed in {block}, {ayes} for it, {nays} against"
        )?;
        writeln!(f, "{outcome}")?;
        if let Some(reason) = left_over {
            writeln!(f, "what is left of it stays on the chain, and changes nothing: {reason}")?;
        }
        write!(f, "next:\n  {next}")
    }
}

/// Nothing is decided yet.
fn too_early(shown: &Shown, standing: Standing) -> Failure {
    let number = shown.number;
    match standing {
        Standing::Outgrown { missing } => Failure::new(
            format!(
                "motion {number} has the votes of its threshold, but the council has grown: {missing} more for it are \
                 missing, and its call would fail; nothing was sent"
            ),
            "wait for more votes for it",
        ),
        _ => Failure::new(
            format!(
                "motion {number} is not decided: {} of {} votes for it, until block {}; nothing was sent",
                shown.ayes.len(),
                shown.needed,
                shown.end
            ),
            "wait for the votes of the others",
        ),
    }
}

/// Closes a motion.
pub async fn close(args: &CloseArgs, context: &Context) -> Result<Closed, Failure> {
    let CloseArgs { motion, signing } = args;
    let era = signing.era;
    let council = Council::read(era, context).await?;
    let motion = council.find(*motion, era, context)?;
    let shown = Shown::of(motion, &council);
    let standing = motion.standing(council.size(), council.at.number);
    if !standing.can_close() {
        return Err(too_early(&shown, standing).with_command(era.show(motion.number, context)));
    }
    let (_, account) = council.member(signing, context).await?;
    let said = sentence(motion, &council);
    let effect = match standing {
        Standing::Approved => "This dispatches its call, which will",
        _ => "This ends it, and changes nothing else. Its call would",
    };
    let statement = format!("{}\n{effect}\n  {}", shown.lines(), said.lines());
    confirm(context, &statement, signing.yes).await?;

    let (chain, birth) = (context.chain().await?, era.birth(context)?);
    let call = council::close(motion.hash, motion.number, &motion.call);
    let sent = chain.submit_from(birth, &call, &account).await;
    let sent =
        sent.map_err(|error| Failure::from(error).with_command(era.show(motion.number, context)))?;
    let closing = chain.closing(&sent).await?;
    let released = chain.submit_from(birth, &council::release_cost(motion.hash), &account).await;
    Ok(Closed {
        number: motion.number,
        hash: motion.hash,
        summary: said.headline,
        ayes: closing.ayes,
        nays: closing.nays,
        outcome: closing.outcome.into(),
        block: sent.block.number,
        is_final: era.is_final(),
        left_over: released.err().map(|error| error.to_string()),
        next: era.list(context).to_string(),
    })
}
