//! `epione council propose`: a motion.

use std::fmt;

use clap::Args;
use epione_client::{
    chain::calls,
    council::{Proposal, needed},
};
use epione_primitives::{BlockNumber, Hash, HospitalId, limits::MAX_MOTION_BYTES};
use serde::Serialize;
use serde_json::Value;
use sp_crypto_hashing::blake2_256;

use super::{Signing, What, close::CallOutcome, in_block, sentence::Sentence, state::Council};
use crate::{
    confirmation::confirm,
    context::{Context, Output},
    failure::Failure,
    wording::counted,
};

/// Live motions of a hospital.
const MAX_MOTIONS: usize = 2;

#[derive(Clone, Debug, Args)]
pub struct ProposeArgs {
    #[command(flatten)]
    pub signing: Signing,
    #[command(subcommand)]
    pub what: What,
}

/// A motion that the chain has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposed {
    /// The hospital that proposed it.
    pub hospital: HospitalId,
    /// None if the call was dispatched at once, because the only member proposed it.
    pub number: Option<u32>,
    pub hash: Hash,
    pub summary: String,
    pub call: Value,
    /// The votes that it needs, of so many members.
    pub threshold: u32,
    pub members: u32,
    /// What the call came to, if it was dispatched at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<CallOutcome>,
    /// The chain block that has it.
    pub block: BlockNumber,
    #[serde(rename = "final")]
    pub is_final: bool,
    /// The command that goes on.
    pub next: String,
}

impl Output for Proposed {
    fn passed(&self) -> bool {
        !matches!(self.result, Some(CallOutcome::Failed { .. }))
    }
}

impl fmt::Display for Proposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hospital, number, hash, summary, threshold, members, result, .. } = self;
        let block = in_block(self.block, self.is_final);
        match (number, result) {
            (Some(number), _) => write!(
                f,
                "hospital {hospital} proposed motion {number} in {block}: {summary}\n  hash: {hash:?}\n  it needs {} \
                 for it, of {}; a proposal is no vote\nnext, vote for it, too, and tell its number to the others:",
                counted(*threshold, "vote", "votes"),
                counted(*members, "member", "members"),
            )?,
            (None, Some(result)) => {
                write!(
                    f,
                    "hospital {hospital}, the only member, decided in {block}: {summary}\n{result}\nnext:"
                )?;
            }
            (None, None) => write!(f, "hospital {hospital} proposed in {block}: {summary}\nnext:")?,
        }
        write!(f, "\n  {}", self.next)
    }
}

/// What the governance confirms.
pub(super) fn statement(hospital: &str, said: &Sentence, threshold: u32, members: u32) -> String {
    // The collective dispatches at once what needs the vote of its proposer only.
    if threshold < 2 {
        return format!(
            "{hospital}, the only member of the council, decides that it will AT ONCE\n  {}",
            said.lines()
        );
    }
    format!(
        "{hospital} proposes that the council will\n  {}\nThis needs {} for it, of {}.",
        said.lines(),
        counted(threshold, "vote", "votes"),
        counted(members, "member", "members"),
    )
}

/// Refuses what the chain would refuse.
fn check(
    hash: Hash,
    call: &[u8],
    hospital: HospitalId,
    council: &Council,
    args: &ProposeArgs,
    context: &Context,
) -> Result<(), Failure> {
    let era = args.signing.era;
    if call.len() > MAX_MOTION_BYTES as usize {
        return Err(Failure::usage(
            format!(
                "the call has {} bytes, and a motion has at most {MAX_MOTION_BYTES}; nothing was sent",
                call.len()
            ),
            "shorten it",
        ));
    }
    if let Some(same) = council.motions.iter().find(|motion| motion.hash == hash) {
        return Err(Failure::new(
            format!("this is proposed already, as motion {}; nothing was sent", same.number),
            "vote for that motion",
        )
        .with_command(era.show(same.number, context)));
    }
    let own = |motion: &&epione_client::chain::Motion| {
        motion.proposer.as_ref().is_some_and(|(_, proposer)| *proposer == hospital)
    };
    if council.motions.iter().filter(own).count() >= MAX_MOTIONS {
        return Err(Failure::new(
            format!(
                "{} already has {MAX_MOTIONS} live motions; nothing was sent",
                council.hospital(hospital)
            ),
            "wait until one of them is closed; one without enough votes can be closed when its time is over",
        )
        .with_command(era.list(context)));
    }
    Ok(())
}

/// Proposes a motion.
pub async fn propose(args: &ProposeArgs, context: &Context) -> Result<Proposed, Failure> {
    let ProposeArgs { signing, what } = args;
    let era = signing.era;
    let council = Council::read(era, context).await?;
    let proposal: Proposal = what.proposal(signing, &council, context).await?;
    let (hospital, account) = council.member(signing, context).await?;
    let call = proposal.encode();
    let hash = Hash::from(blake2_256(&call));
    check(hash, &call, hospital, &council, args, context)?;

    let (members, said) = (council.size(), Sentence::of(&proposal, &council));
    let threshold = needed(&call, members);
    let statement = statement(&council.hospital(hospital), &said, threshold, members);
    confirm(context, &statement, signing.yes).await?;

    let (chain, birth) = (context.chain().await?, era.birth(context)?);
    let sent = chain.submit_from(birth, &calls::council::propose(threshold, &call), &account).await;
    let sent = sent.map_err(|error| Failure::from(error).with_command(era.list(context)))?;
    let number = sent.proposed_motion();
    let (result, next) = match number {
        Some(number) => {
            let number = number.to_string();
            (None, signing.next(&["council", "vote", &number, "--approve"], context))
        }
        None => (Some(chain.motion_outcome(&sent).await?.into()), era.list(context)),
    };
    Ok(Proposed {
        hospital,
        number,
        hash,
        summary: said.headline,
        call: proposal.to_json(),
        threshold,
        members,
        result,
        block: sent.block.number,
        is_final: era.is_final(),
        next: next.to_string(),
    })
}
