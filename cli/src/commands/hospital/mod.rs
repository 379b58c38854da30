//! `epione hospital`: lists the hospitals, changes a hospital's own entry on the chain, and signs consents for
//! accounts. One command per file.

mod consent;
mod endpoint;
mod list;
mod sealing_key;

pub use consent::{AccountConsent, ConsentArgs, consent};
pub use endpoint::{EndpointSet, SetEndpointArgs, StorageOrigin, TlsKey, set_endpoint};
pub use list::{HospitalList, Listed, list};
pub use sealing_key::{SealingKeySet, SetSealingKeyArgs, set_sealing_key};

use clap::Subcommand;

use crate::{context::Context, failure::Failure, show};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the hospitals: which are active, benched, suspended or removed
    List,
    /// Sets the hospital's sealing key on the chain; its worker must already have the new key
    SetSealingKey(SetSealingKeyArgs),
    /// Sets the address of the hospital's worker, its TLS key, and its storage's origin, on the chain
    SetEndpoint(SetEndpointArgs),
    /// Signs the consent of a key file's account to become an account of a hospital
    Consent(ConsentArgs),
}

impl Command {
    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::List => show(&list(context).await?, json),
            Self::SetSealingKey(args) => show(&set_sealing_key(args, context).await?, json),
            Self::SetEndpoint(args) => show(&set_endpoint(args, context).await?, json),
            Self::Consent(args) => show(&consent(args, context).await?, json),
        }
    }
}
