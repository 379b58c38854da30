//! `epione consent withdraw`: the patient ends a consent before its time.

use std::fmt;

use clap::Args;
use epione_client::chain::calls::sharing;
use epione_primitives::{BlockNumber, UserId, sharing::SlotId};
use serde::Serialize;

use super::{give::slot, list::newest, shown::Status};
use crate::{
    context::{Context, Output},
    failure::Failure,
    identity::{self, KeySource},
    progress,
};

#[derive(Debug, Args)]
pub struct WithdrawArgs {
    /// Your key file: the patient's
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// Number of the slot, from 0 to 15
    #[arg(long, value_name = "SLOT", value_parser = slot)]
    pub slot: SlotId,
}

/// A consent that shares nothing any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Withdrawn {
    pub patient: UserId,
    pub slot: SlotId,
    pub version: u32,
    /// The chain block of the withdrawal; absent if the consent had ended before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<BlockNumber>,
}

impl Output for Withdrawn {}

impl fmt::Display for Withdrawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slot, version, block, .. } = self;
        let ended = match block {
            Some(block) => format!("you withdrew it in chain block {block}"),
            None => "it had ended before, so nothing was changed".into(),
        };
        write!(
            f,
            "slot {slot}, version {version}: {ended}. The sections stay in the slot: the next consent for it shares \
             them, unless you take them out with `epione section unshare --help`. What somebody has read, they may keep"
        )
    }
}

/// Withdraws the consent of a slot, if it is in force.
pub async fn withdraw(args: &WithdrawArgs, context: &Context) -> Result<Withdrawn, Failure> {
    let account = identity::account(&context.keys(&args.signer)?);
    let patient = context.user_of(&account).await?;
    let chain = context.chain().await?;
    let state = chain.finalized().await?;
    let known = state.consents(patient).await?;
    let newest = newest(known, (patient, args.slot), context)?;
    let block = match Status::of(&newest, state.time().await?) {
        Status::InForce => {
            let spinner = progress::waiting(context, "waiting until the change is finalized");
            let included = chain.submit(&sharing::withdraw(args.slot), &account).await;
            spinner.finish_and_clear();
            Some(included?.block.number)
        }
        Status::Ended | Status::Over => None,
    };
    Ok(Withdrawn { patient, slot: args.slot, version: newest.version, block })
}
