//! Whose consents a command is about. They are public, so no key is needed to read them.

use clap::Args;
use epione_primitives::UserId;

use crate::{context::Context, failure::Failure, identity::KeySource};

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Whose {
    /// The patient: user id, its first digits, or a name that you set
    #[arg(long, value_name = "USER")]
    pub patient: Option<UserId>,
    /// Instead of --patient: the patient's key file; only its public half is read
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
}

impl Whose {
    pub(in crate::commands) async fn patient(&self, context: &Context) -> Result<UserId, Failure> {
        match (&self.patient, &self.signer) {
            (Some(patient), _) => Ok(*patient),
            (None, Some(keys)) => context.user_with(&keys.public()?.account).await,
            (None, None) => Err(Failure::usage("no patient is named", "pass --patient or --as")),
        }
    }
}
