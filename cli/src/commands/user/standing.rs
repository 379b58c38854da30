//! `epione user suspend`, `reinstate` and `end`: changes whether a registration is in force.

use std::fmt;

use clap::Args;
use epione_primitives::{HospitalId, UserId, profile::RegistrationStatus};
use serde::Serialize;

use crate::{
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::KeySource,
    wording::word,
};

#[derive(Debug, Args)]
pub struct StandingArgs {
    /// The user
    #[arg(long, value_name = "USER")]
    pub user: UserId,
    /// Key file of the hospital's governance [default: the devnet's]
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Number or name of the hospital [default: the signer's]
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: Option<HospitalRef>,
}

/// A change of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Suspend,
    Reinstate,
    End,
}

/// A changed registration. What the user read before stays with the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    pub user: UserId,
    pub hospital: HospitalId,
    pub status: RegistrationStatus,
}

impl Output for Standing {}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, hospital, status } = self;
        write!(f, "the registration of {user} at hospital {hospital} is {}", word(status))
    }
}

/// Changes a registration through the hospital's worker; returns when that is final.
pub async fn change(
    args: &StandingArgs,
    change: Change,
    context: &Context,
) -> Result<Standing, Failure> {
    let (hospital, governance) =
        context.governance(args.signer.as_ref(), args.hospital.as_ref()).await?;
    let worker = context.worker(hospital, governance).await?;
    let (changed, status) = match change {
        Change::Suspend => (worker.suspend(args.user).await, RegistrationStatus::Suspended),
        Change::Reinstate => (worker.reinstate(args.user).await, RegistrationStatus::Active),
        Change::End => (worker.end_registration(args.user).await, RegistrationStatus::Ended),
    };
    changed?;
    Ok(Standing { user: args.user, hospital, status })
}
