//! `epione hospital consent`: signs the consent to become an account of a hospital.

use std::fmt;

use clap::Args;
use codec::Encode;
use epione_primitives::{
    AccountId, BlockNumber, HospitalId, hospital::Duty, limits::MAX_CONSENT_BLOCKS, naming::Naming,
};
use serde::{Deserialize, Serialize};

use crate::{
    context::{Context, Output},
    failure::Failure,
    identity::{self, KeySource},
    words::argument,
};

#[derive(Debug, Args)]
pub struct ConsentArgs {
    /// The key file
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// Number of the hospital; a hospital that applies for admission gets the next number of the chain
    #[arg(long, value_name = "NUMBER")]
    pub hospital: u16,
    /// The account's duty
    #[arg(long, value_parser = argument::<Duty>())]
    pub duty: Duty,
}

/// A named account, as `hospitals.admit` and `hospitals.rotateAccounts` need it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountConsent {
    pub hospital: HospitalId,
    pub duty: Duty,
    pub account: AccountId,
    /// The last chain block in which the consent is valid.
    pub until: BlockNumber,
    /// SCALE of a `MultiSignature`, in hexadecimal.
    pub consent: String,
}

impl Output for AccountConsent {}

impl fmt::Display for AccountConsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "account {}", self.account)?;
        writeln!(f, "until   {}", self.until)?;
        write!(f, "consent 0x{}", self.consent)
    }
}

/// Signs the consent to become an account of a hospital, for as long as the chain accepts.
pub async fn consent(args: &ConsentArgs, context: &Context) -> Result<AccountConsent, Failure> {
    let account = identity::account(&context.keys(&args.signer)?);
    let chain = context.chain().await?;
    let until = chain.finalized_head().await?.number.saturating_add(MAX_CONSENT_BLOCKS);
    let (hospital, duty) = (HospitalId(args.hospital), args.duty);
    let naming = Naming::Hospital { hospital, duty, until };
    let signature = epione_client::naming::sign(&account, chain.genesis_hash(), naming);
    let consent = hex::encode(signature.encode());
    Ok(AccountConsent { hospital, duty, account: account.id(), until, consent })
}
