//! `epione consortium key refresh`: a hospital requests new shares of the consortium key.

use std::fmt;

use clap::Args;
use epione_client::chain::calls::consortium_key;
use epione_primitives::{
    BlockNumber, HospitalId,
    consortium::{Epoch, EpochId, KeyId},
    limits::PHASES_BETWEEN_OWN_REASONS,
};
use serde::Serialize;

use crate::{
    confirmation::confirm,
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::KeySource,
};

const STATUS: [&str; 3] = ["consortium", "key", "status"];

#[derive(Clone, Debug, Args)]
pub struct RefreshArgs {
    /// Key file of the hospital's governance [default: the devnet's]
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Number or name of the hospital [default: the signer's]
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: Option<HospitalRef>,
    /// Request without showing first what it means
    #[arg(long)]
    pub yes: bool,
}

/// A request for new shares, which the chain has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Requested {
    /// The hospital that requested.
    pub hospital: HospitalId,
    pub key: KeyId,
    /// The epoch that the new shares end.
    pub epoch: EpochId,
    /// The chain block that has the request.
    pub block: BlockNumber,
    /// The command that shows the ceremony.
    pub next: String,
}

impl Output for Requested {}

impl fmt::Display for Requested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hospital, key, epoch, block, next } = self;
        write!(
            f,
            "hospital {hospital} requested new shares of consortium key {key} in block {block}. The workers make them \
             on their own; until then, epoch {epoch} goes on\nnext, see for whom the ceremony waits:\n  {next}"
        )
    }
}

/// What the governance confirms.
fn statement(hospital: HospitalId, epoch: &Epoch) -> String {
    let Epoch { id, key, members, threshold, .. } = epoch;
    format!(
        "Hospital {hospital} requests new shares of consortium key {key}.\n  The {} members of epoch {id} replace \
         their shares, and the workers erase the earlier ones when enough members have confirmed the new ones.\n  At \
         least {threshold} members must take part. What was sealed to the key stays readable.\n  A hospital can \
         request this once in {PHASES_BETWEEN_OWN_REASONS} phases (a day, if a phase lasts for ten minutes).",
        members.len()
    )
}

/// Requests new shares.
pub async fn refresh(args: &RefreshArgs, context: &Context) -> Result<Requested, Failure> {
    let status = || context.command(STATUS);
    let (hospital, governance) =
        context.own_governance(args.signer.as_ref(), args.hospital.as_ref()).await?;
    let chain = context.chain().await?;
    let key = chain.finalized().await?.consortium_key().await?;
    let Some(epoch) = key.current else {
        return Err(Failure::new(
            "there is no consortium key of which shares could be renewed; nothing was sent",
            "wait until the workers have made one",
        )
        .with_command(status()));
    };
    if key.refresh_requested {
        return Err(Failure::new(
            "new shares are already requested; nothing was sent",
            "wait until the workers have made them",
        )
        .with_command(status()));
    }
    confirm(context, &statement(hospital, &epoch), args.yes).await?;
    let submitted = chain.submit(&consortium_key::refresh_key(), &governance).await;
    let submitted = submitted.map_err(|error| Failure::from(error).with_command(status()))?;
    let (block, next) = (submitted.block.number, status().to_string());
    Ok(Requested { hospital, key: epoch.key, epoch: epoch.id, block, next })
}

#[cfg(test)]
mod tests {
    use epione_primitives::{
        Hash,
        consortium::{CeremonyId, SeatSet, Seats},
    };

    use super::*;

    #[test]
    fn the_governance_reads_who_takes_part_and_that_nothing_is_lost() {
        let members = Seats::truncate_from((0..4).map(HospitalId).collect());
        let epoch = Epoch {
            id: EpochId(7),
            key: KeyId(1),
            ceremony: CeremonyId(9),
            members,
            threshold: 3,
            faulty: 1,
            commitments: Default::default(),
            mixing: Hash::zero(),
            link: None,
            since: 1,
            confirmed: SeatSet::first(4),
        };
        let said = statement(HospitalId(2), &epoch);
        for part in ["Hospital 2", "key 1", "4 members of epoch 7", "At least 3", "stays readable"]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
    }

    #[test]
    fn the_result_ends_with_a_command_that_runs() {
        let next = crate::invocation::Invocation::new(STATUS).to_string();
        let (hospital, key, epoch) = (HospitalId(2), KeyId(0), EpochId(7));
        let requested = Requested { hospital, key, epoch, block: 9, next };
        let said = requested.to_string();
        assert!(said.ends_with("\n  epione consortium key status"), "{said}");
    }
}
