//! `epione hospital set-sealing-key`.

use std::fmt;

use clap::Args;
use epione_client::chain::calls::hospitals;
use epione_primitives::{BlockNumber, Hash, HospitalId};
use serde::Serialize;

use crate::{
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::KeySource,
};

#[derive(Debug, Args)]
pub struct SetSealingKeyArgs {
    /// The worker's new key file, created by `epione keys renew-sealing`; only its public half is read
    #[arg(long, value_name = "NEW")]
    pub keys: KeySource,
    /// Key file of the hospital's governance [default: the devnet's]
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Number or name of the hospital [default: the signer's]
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: Option<HospitalRef>,
}

/// A sealing key that is set on the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SealingKeySet {
    pub hospital: HospitalId,
    pub sealing_key_hash: Hash,
    /// The chain block from which on it is valid.
    pub block: BlockNumber,
}

impl Output for SealingKeySet {}

impl fmt::Display for SealingKeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "from block {} on, hospital {} has the sealing key {:?}",
            self.block, self.hospital, self.sealing_key_hash
        )?;
        write!(
            f,
            "next: set this key file as the keystore of its worker, and list the previous one \
             under earlier_keystores. Keep the previous one until every profile is sealed to the \
             new key (the metric epione_worker_profiles_to_rewrap counts the remaining profiles): \
             without the key file to which a profile is sealed, nobody can read it. With the new key, \
             each patient gets a fresh patient key: a thief of the previous key file cannot read \
             what is written after that"
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
            "create the new key file from the key file of the hospital's worker",
        )
        .with_command(context.command(["keys", "renew-sealing", "--help"])));
    }
    let call = hospitals::set_sealing_key(new.sealing.as_bytes());
    let block = chain.submit(&call, &governance).await?.block.number;
    Ok(SealingKeySet { hospital, sealing_key_hash: new.sealing.hash(), block })
}
