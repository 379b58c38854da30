use std::fmt;

use clap::Args;
use epione_policies::language;
use epione_primitives::{
    HospitalId, Moment,
    access::{Policies, PolicySet},
};
use serde::Serialize;

use super::{hospital, version_name};
use crate::{
    context::{Context, HospitalRef, Output},
    failure::Failure,
    wording::moment,
};

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Number or name of the hospital [default: the devnet's first]
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: Option<HospitalRef>,
    /// An earlier version; 0 is the default policies [default: the newest]
    #[arg(long, value_name = "N")]
    pub version: Option<u32>,
    /// Print only the file, without the comments that explain it
    #[arg(long)]
    pub toml: bool,
}

/// A version of a hospital's policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    pub hospital: HospitalId,
    pub version: u32,
    /// Unix time in milliseconds.
    pub since: Moment,
    pub policies: Policies,
    /// The same as a policy file.
    pub toml: String,
    #[serde(skip)]
    plain: bool,
}

impl Output for Shown {}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.plain {
            return f.write_str(&self.toml);
        }
        let mut heading = format!("hospital {}, {}", self.hospital, version_name(self.version));
        if self.version > 0 {
            heading += &format!(", since {}", moment(self.since));
        }
        f.write_str(&language::commented(&heading, &self.policies))
    }
}

/// Reads a version of a hospital's policies.
pub async fn show(args: &ShowArgs, context: &Context) -> Result<Shown, Failure> {
    let hospital = hospital(args.hospital.as_ref(), context).await?;
    let snapshot = context.chain().await?.finalized().await?;
    let Some((version, set)) = snapshot.policies(hospital, args.version).await? else {
        let newest = snapshot.policies(hospital, None).await?.map_or(0, |(newest, _)| newest);
        return Err(Failure::new(
            format!("hospital {hospital} has no such version of its policies"),
            format!("choose a --version from 0 to {newest}"),
        ));
    };
    let PolicySet { since, policies } = set;
    let toml = language::to_toml(&policies);
    Ok(Shown { hospital, version, since, policies, toml, plain: args.toml })
}
