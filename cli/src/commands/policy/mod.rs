//! `epione policy`: who may do what, as the hospital wrote it.

mod check;
mod explain;
mod set;
mod show;
mod source;

pub use check::{CheckArgs, Checked, check};
pub use explain::{ExplainArgs, Explained, explain};
pub use set::{Change, Changed, SetArgs, set};
pub use show::{ShowArgs, Shown, show};
pub use source::MAX_FILE_BYTES;

use clap::Subcommand;
use epione_primitives::HospitalId;

use crate::{
    context::{Context, HospitalRef},
    failure::Failure,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Checks a policy file, without a network
    Check(CheckArgs),
    /// Sets a policy file as the policies of a hospital
    Set(SetArgs),
    /// Prints the policies of a hospital as a policy file
    #[command(disable_version_flag = true)]
    Show(ShowArgs),
    /// Explains whether a user may do an action: names the policy that allows it, or the conditions that are not met
    Explain(ExplainArgs),
}

impl Command {
    pub(super) async fn run(&self, context: Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::Check(args) => crate::show(&check(args)?, json),
            Self::Set(args) => crate::show(&set(args, &context.with_devnet()?).await?, json),
            Self::Show(args) => crate::show(&show(args, &context.with_devnet()?).await?, json),
            Self::Explain(args) => {
                crate::show(&explain(args, &context.with_devnet()?).await?, json)
            }
        }
    }
}

/// The hospital that is named, or the devnet's first.
async fn hospital(named: Option<&HospitalRef>, context: &Context) -> Result<HospitalId, Failure> {
    match (named, context.devnet()) {
        (Some(named), _) => context.hospital(named).await,
        (None, Some(_)) => context.hospital(&HospitalRef::Id(HospitalId(0))).await,
        (None, None) => Err(Failure::usage(
            "no hospital is given",
            "give the hospital's number or name with --hospital",
        )),
    }
}

/// A version of a hospital's policies, for people.
fn version_name(version: u32) -> String {
    match version {
        0 => "version 0, the default policies".into(),
        version => format!("version {version}"),
    }
}
