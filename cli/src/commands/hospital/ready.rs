//! `epione hospital ready`: says that a hospital is ready to validate, in place of its worker, which says so only while
//! blocks become final.

use std::fmt;

use clap::Args;
use epione_client::chain::{Snapshot, calls::hospitals};
use epione_primitives::{AccountId, BlockNumber, HospitalId, hospital::Duty};
use serde::Serialize;

use crate::{
    commands::council::{Era, in_block},
    confirmation::confirm,
    context::{Context, Output},
    failure::Failure,
    identity::{self, KeySource},
};

#[derive(Debug, Args)]
pub struct ReadyArgs {
    /// Key file of the hospital's agent, which is the worker's keystore
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    #[command(flatten)]
    pub era: Era,
    /// Sign without asking
    #[arg(long)]
    pub yes: bool,
}

/// A hospital that validates from the session after the next one on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ready {
    pub hospital: HospitalId,
    /// The chain block in which it said so.
    pub block: BlockNumber,
    #[serde(rename = "final")]
    pub is_final: bool,
    /// Shows the hospital's status.
    pub next: String,
}

impl Output for Ready {}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hospital, block, is_final, next } = self;
        write!(
            f,
            "hospital {hospital} is ready since {}. It validates from the session after the next one on, if the chain \
             has the session keys of its node\nto see its status:\n  {next}",
            in_block(*block, *is_final)
        )
    }
}

/// The unready hospital whose agent has this account.
async fn unready(state: &Snapshot, account: &AccountId) -> Result<HospitalId, Failure> {
    let Some((hospital, Duty::Agent)) = state.hospital_of(account).await? else {
        return Err(Failure::usage(
            "this is not the account of a hospital's agent",
            "sign with the worker's keystore: --as FILE",
        ));
    };
    if state.unready().await?.contains(&hospital) {
        return Ok(hospital);
    }
    Err(Failure::new(
        format!("hospital {hospital} is not unready; nothing was sent"),
        "if it makes no blocks nevertheless, look at its status: `epione hospital list`",
    ))
}

/// Says that the hospital is ready.
pub async fn ready(args: &ReadyArgs, context: &Context) -> Result<Ready, Failure> {
    let ReadyArgs { signer, era, yes } = args;
    let birth = era.birth(context)?;
    let account = identity::account(&context.keys(signer)?);
    let chain = context.chain().await?;
    let newest = chain.newest_for(birth).await?;
    let hospital = unready(&chain.at(newest.hash), &account.id()).await?;
    let asked = format!(
        "hospital {hospital} says that it is ready to validate: its node is at the newest block, and its worker has \
         every committed segment.\n  If its node makes no block in a whole session, it loses its place again"
    );
    confirm(context, &asked, *yes).await?;
    let sent = chain.submit_from(birth, &hospitals::ready(), &account).await?;
    let next = context.command(["hospital", "list"]).to_string();
    Ok(Ready { hospital, block: sent.block.number, is_final: era.is_final(), next })
}
