//! `epione hospital`: what a hospital changes about itself on the chain.

use std::fmt;

use clap::{Args, Subcommand};
use epione_client::chain::calls::hospitals;
use epione_primitives::{BlockNumber, Hash, HospitalId};
use serde::Serialize;

use crate::{
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::KeySource,
    progress, show,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Tells the chain the hospital's new sealing key, which its worker must have by then
    SetSealingKey(SetSealingKeyArgs),
}

impl Command {
    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::SetSealingKey(args) => show(&set_sealing_key(args, context).await?, json),
        }
    }
}

#[derive(Debug, Args)]
pub struct SetSealingKeyArgs {
    /// The worker's new key file, made by `epione keys renew-sealing`; only its public half is read
    #[arg(long, value_name = "NEW")]
    pub keys: KeySource,
    /// The hospital's governance keystore [default: the devnet's]
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Number or name of the hospital [default: the signer's]
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: Option<HospitalRef>,
}

/// A sealing key that the chain now names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SealingKeySet {
    pub hospital: HospitalId,
    pub sealing_key_hash: Hash,
    /// Of the chain, from which on it holds.
    pub block: BlockNumber,
}

impl Output for SealingKeySet {}

impl fmt::Display for SealingKeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "from block {} on, the sealing key of hospital {} is {:?}",
            self.block, self.hospital, self.sealing_key_hash
        )?;
        write!(
            f,
            "its worker needs this key file as keystore, and the one before it under \
             earlier_keystores until every profile is sealed to the new key (its metrics count what \
             is left); nothing can be read of a profile whose key file is lost"
        )
    }
}

/// Sets a hospital's sealing key.
pub async fn set_sealing_key(
    args: &SetSealingKeyArgs,
    context: &Context,
) -> Result<SealingKeySet, Failure> {
    let new = args.keys.public()?;
    let (hospital, governance) =
        context.own_governance(args.signer.as_ref(), args.hospital.as_ref()).await?;
    let chain = context.chain().await?;
    let entry = chain.finalized().await?.hospital(hospital).await?;
    if entry.is_some_and(|entry| entry.agent != new.account) {
        return Err(Failure::usage(
            format!("the account of --keys is not the agent of hospital {hospital}"),
            "make the file with: epione keys renew-sealing WORKER_KEYSTORE --out NEW",
        ));
    }
    let spinner = progress::waiting(context, "waiting until it is final");
    let included =
        chain.submit(&hospitals::set_sealing_key(new.sealing.as_bytes()), &governance).await;
    spinner.finish_and_clear();
    let block = included?.block.number;
    Ok(SealingKeySet { hospital, sealing_key_hash: new.sealing.hash(), block })
}
