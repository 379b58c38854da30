//! A motion, for people and programs.

use std::fmt;

use clap::Args;
use epione_client::{chain::Motion, council::Standing};
use epione_primitives::{AccountId, BlockNumber, Hash, HospitalId, Moment};
use serde::Serialize;
use serde_json::Value;

use super::{
    Era, MotionRef,
    sentence::Sentence,
    state::{Council, apart},
};
use crate::{
    commands::consortium::lasting,
    context::{Context, Output},
    failure::Failure,
    wording::{counted, moment},
};

#[derive(Clone, Debug, Args)]
pub struct ShowArgs {
    /// Number or hash of the motion
    #[arg(value_name = "MOTION")]
    pub motion: MotionRef,
    #[command(flatten)]
    pub era: Era,
}

/// A member, or an account that was one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Voter {
    pub account: AccountId,
    /// The hospital whose governance it is now.
    pub hospital: Option<HospitalId>,
    pub name: Option<String>,
}

impl fmt::Display for Voter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.hospital) {
            (Some(name), Some(hospital)) => write!(f, "{} ({hospital})", apart(name.as_bytes())),
            _ => self.account.fmt(f),
        }
    }
}

/// A motion on which the council votes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    pub number: u32,
    pub hash: Hash,
    /// The hospital that proposed it.
    pub proposer: Option<HospitalId>,
    /// What the call does, and what else to know about it.
    pub summary: String,
    pub details: Vec<String>,
    /// Pallet, call and arguments; none if this version does not know the call.
    pub call: Option<Value>,
    /// SCALE of the call, in hexadecimal.
    pub encoded: String,
    pub ayes: Vec<Voter>,
    pub nays: Vec<Voter>,
    /// Members who have not voted.
    pub silent: Vec<Voter>,
    pub threshold: u32,
    /// The votes that the call needs now: more than the threshold if the council has grown.
    pub needed: u32,
    pub members: u32,
    /// `open`, `approved`, `outgrown`, `rejected` or `expired`.
    pub standing: &'static str,
    /// Votes for the motion that are missing.
    pub missing: u32,
    /// From this block on, it can be closed without enough votes.
    pub end: BlockNumber,
    /// The time of this block if no slot stays empty, in Unix milliseconds.
    pub ends_at: Moment,
    /// The block of the state that was read.
    pub block: BlockNumber,
    #[serde(skip)]
    proposed_by: String,
}

/// The voters by the numbers of their hospitals, and former members last. The chain has them in another order.
fn voters<'a>(accounts: impl IntoIterator<Item = &'a AccountId>, council: &Council) -> Vec<Voter> {
    let mut voters: Vec<_> = accounts.into_iter().map(|it| council.voter(it)).collect();
    voters.sort_by_key(|voter| (voter.hospital.is_none(), voter.hospital));
    voters
}

impl Shown {
    pub(super) fn of(motion: &Motion, council: &Council) -> Self {
        let proposal = motion.proposal();
        let said = sentence(motion, council);
        let standing = motion.standing(council.size(), council.at.number);
        let silent = council.members.iter().filter(|member| motion.vote_of(member).is_none());
        let proposer = motion.proposer.as_ref().map(|(_, hospital)| *hospital);
        Self {
            number: motion.number,
            hash: motion.hash,
            proposer,
            summary: said.headline,
            details: said.details,
            call: proposal.map(|proposal| proposal.to_json()),
            encoded: format!("0x{}", hex::encode(&motion.call)),
            ayes: voters(&motion.ayes, council),
            nays: voters(&motion.nays, council),
            silent: voters(silent, council),
            threshold: motion.threshold,
            needed: motion.needed(council.size()),
            members: council.size(),
            standing: word(standing),
            missing: match standing {
                Standing::Open { missing } | Standing::Outgrown { missing } => missing,
                Standing::Approved | Standing::Rejected | Standing::Expired => 0,
            },
            end: motion.end,
            ends_at: council.time_of(motion.end),
            block: council.at.number,
            proposed_by: proposer
                .map_or_else(|| "nobody who is known".into(), |it| council.hospital(it)),
        }
    }

    /// The first lines: what it is about, its votes, and what closing would do.
    pub(super) fn lines(&self) -> String {
        let Self { number, summary, proposed_by, needed, members, .. } = self;
        let names = |voters: &[Voter]| match voters {
            [] => "nobody".to_owned(),
            voters => voters.iter().map(Voter::to_string).collect::<Vec<_>>().join(", "),
        };
        format!(
            "motion {number}, proposed by {proposed_by}: {summary}\n  for: {}; against: {}; no vote yet: {}\n  {} of \
             {needed} votes that it needs, of {}; {}",
            names(&self.ayes),
            names(&self.nays),
            names(&self.silent),
            self.ayes.len(),
            counted(*members, "member", "members"),
            self.what_is_missing(),
        )
    }

    fn what_is_missing(&self) -> String {
        match self.standing {
            "approved" => "it can be closed, which dispatches its call".into(),
            "rejected" => {
                "it cannot get enough votes any more: it can be closed, which ends it".into()
            }
            "expired" => "its time is over: it can be closed, which ends it".into(),
            "outgrown" => format!(
                "the council has grown since the proposal: {} more for it are missing, or its call fails",
                self.missing
            ),
            _ => format!("{} for it missing; {}", votes(self.missing), self.time_left()),
        }
    }

    fn time_left(&self) -> String {
        let left = self.end.saturating_sub(self.block);
        format!("it is open until block {} ({}, {})", self.end, lasting(left), moment(self.ends_at))
    }
}

/// `1 vote`, `2 votes`.
fn votes(number: u32) -> String {
    counted(number, "vote", "votes")
}

/// What a motion's call does, in words.
pub(super) fn sentence(motion: &Motion, council: &Council) -> Sentence {
    match motion.proposal() {
        Some(proposal) => Sentence::of(&proposal, council),
        None => Sentence::unknown(&motion.call),
    }
}

/// A standing as JSON spells it.
fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Open { .. } => "open",
        Standing::Approved => "approved",
        Standing::Outgrown { .. } => "outgrown",
        Standing::Rejected => "rejected",
        Standing::Expired => "expired",
    }
}

impl Output for Shown {}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.lines())?;
        for detail in &self.details {
            writeln!(f, "  {detail}")?;
        }
        writeln!(f, "  hash: {:?}", self.hash)?;
        match &self.call {
            Some(call) => write!(f, "  call: {call}"),
            None => write!(f, "  call: {}", self.encoded),
        }
    }
}

/// Shows a motion.
pub async fn show(args: &ShowArgs, context: &Context) -> Result<Shown, Failure> {
    let council = Council::read(args.era, context).await?;
    Ok(Shown::of(council.find(args.motion, args.era, context)?, &council))
}
