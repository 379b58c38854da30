use std::{collections::BTreeSet, fmt};

use clap::Args;
use epione_client::chain::Snapshot;
use epione_policies::{conditions::credentials, language};
use epione_primitives::{
    HospitalId, Moment,
    access::{Policies, PolicySet},
};
use serde::Serialize;

use super::{hospital, version_name};
use crate::{
    commands::credential::{Named, names},
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
    /// The names of the attributes that the policies require.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<Named>,
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
        for Named { attribute, name } in &self.attributes {
            heading += &format!("\n# attribute {attribute} is {name}");
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
    let attributes = required(&policies, &snapshot).await?;
    Ok(Shown { hospital, version, since, policies, attributes, toml, plain: args.toml })
}

/// The attributes that policies require, with their names.
async fn required(policies: &Policies, snapshot: &Snapshot) -> Result<Vec<Named>, Failure> {
    let conditions = policies.iter().flat_map(|policy| &policy.conditions);
    let required: BTreeSet<_> =
        conditions.flat_map(credentials).map(|(attribute, _)| attribute).collect();
    if required.is_empty() {
        return Ok(Vec::new());
    }
    let named = names(snapshot).await?.into_iter();
    Ok(named
        .filter(|(attribute, _)| required.contains(attribute))
        .map(|(attribute, name)| Named { attribute, name })
        .collect())
}
