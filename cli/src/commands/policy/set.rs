use std::{collections::BTreeSet, fmt, path::PathBuf};

use clap::Args;
use epione_client::chain::{Snapshot, calls::role_policies};
use epione_policies::{
    conditions::{credentials, places},
    language::sentence,
};
use epione_primitives::{
    HospitalId, Moment,
    access::{Policies, Policy, PolicySet},
};
use serde::Serialize;

use super::{source::PolicyFile, version_name};
use crate::{
    commands::credential::names,
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::KeySource,
    wording::moment,
};

#[derive(Debug, Args)]
pub struct SetArgs {
    /// Policy file (TOML); - for standard input
    pub file: PathBuf,
    /// The hospital's governance keystore [default: the devnet's]
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Number or name of the hospital [default: the signer's]
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: Option<HospitalRef>,
}

/// What became of a policy between two versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "camelCase")]
pub enum Change {
    Added { policy: String, gloss: String },
    Changed { policy: String, gloss: String },
    Removed { policy: String },
}

/// The policies that are in force now, and how they differ from those before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    pub hospital: HospitalId,
    pub version: u32,
    /// Unix time in milliseconds.
    pub since: Moment,
    /// Whether the file said what was in force already: then nothing was sent.
    pub same: bool,
    pub changes: Vec<Change>,
    /// How many policies stay as they were.
    pub kept: usize,
    /// Policies that do not apply to this hospital's records.
    pub idle: Vec<String>,
}

impl Output for Changed {}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changes {
            match change {
                Change::Added { policy, gloss } => writeln!(f, "+ {policy}: {gloss}")?,
                Change::Changed { policy, gloss } => writeln!(f, "~ {policy}: {gloss}")?,
                Change::Removed { policy } => writeln!(f, "- {policy}")?,
            }
        }
        match self.kept {
            0 => {}
            1 => writeln!(f, "= 1 policy as before")?,
            kept => writeln!(f, "= {kept} policies as before")?,
        }
        for policy in &self.idle {
            writeln!(
                f,
                "note: policy \"{policy}\" applies only to other hospitals, and has no effect here"
            )?;
        }
        let (hospital, since) = (self.hospital, moment(self.since));
        if self.same {
            let version = version_name(self.version);
            return write!(
                f,
                "nothing was changed: hospital {hospital} has these policies already ({version})"
            );
        }
        write!(f, "hospital {hospital} uses version {} of its policies since {since}", self.version)
    }
}

/// Compiles a file by the chain's clock, and has the chain put it into force.
pub async fn set(args: &SetArgs, context: &Context) -> Result<Changed, Failure> {
    let source = PolicyFile::read(&args.file)?;
    // Before any password is asked for.
    source.compile(0)?;
    let (hospital, governance) =
        context.own_governance(args.signer.as_ref(), args.hospital.as_ref()).await?;
    let chain = context.chain().await?;
    let snapshot = chain.finalized().await?;
    let policies = source.compile(snapshot.time().await?)?;
    ensure_known(&policies, &snapshot).await?;
    let (before, known) = newest(&snapshot, hospital).await?;
    let same = known.policies == policies;
    let (version, since) = if same {
        (before, known.since)
    } else {
        let included = chain.submit(&role_policies::set_policies(&policies), &governance).await?;
        let (version, set) = newest(&chain.at(included.block.hash), hospital).await?;
        (version, set.since)
    };
    let changes = changes(&known.policies, &policies);
    let idle =
        |policy: &&Policy| !policy.hospitals.is_empty() && !policy.hospitals.contains(&hospital);
    Ok(Changed {
        hospital,
        version,
        since,
        same,
        kept: policies.iter().filter(|policy| known.policies.contains(policy)).count(),
        idle: policies.iter().filter(idle).map(sentence::name).collect(),
        changes,
    })
}

async fn newest(snapshot: &Snapshot, hospital: HospitalId) -> Result<(u32, PolicySet), Failure> {
    snapshot.policies(hospital, None).await?.ok_or_else(|| {
        Failure::new(format!("the chain has no hospital {hospital}"), "choose another --hospital")
    })
}

/// The chain would refuse a number mistyped without saying which.
async fn ensure_known(policies: &Policies, snapshot: &Snapshot) -> Result<(), Failure> {
    let known: BTreeSet<_> = snapshot.hospitals().await?.into_iter().map(|(id, _)| id).collect();
    for policy in policies {
        let places = policy.conditions.iter().flat_map(places).copied();
        let issuers = policy.conditions.iter().flat_map(credentials).map(|(_, issuer)| issuer);
        let mut named = policy.hospitals.iter().copied().chain(places).chain(issuers);
        if let Some(unknown) = named.find(|id| !known.contains(id)) {
            return Err(Failure::new(
                format!(
                    "policy \"{}\" names hospital {unknown}, which the chain does not know",
                    sentence::name(policy)
                ),
                "correct the number; nothing was stored",
            ));
        }
    }
    ensure_named(policies, snapshot).await
}

/// The chain would accept the number of an attribute without a name, which nobody can confirm.
async fn ensure_named(policies: &Policies, snapshot: &Snapshot) -> Result<(), Failure> {
    let required = |policy: &Policy| -> Vec<_> {
        policy.conditions.iter().flat_map(credentials).map(|(attribute, _)| attribute).collect()
    };
    if policies.iter().all(|policy| required(policy).is_empty()) {
        return Ok(());
    }
    let names = names(snapshot).await?;
    for policy in policies {
        if let Some(unknown) = required(policy).into_iter().find(|it| !names.contains_key(it)) {
            return Err(Failure::new(
                format!(
                    "policy \"{}\" requires attribute {unknown}, which the council has not named",
                    sentence::name(policy)
                ),
                "correct the number: `epione credential attributes` lists all; nothing was stored",
            ));
        }
    }
    Ok(())
}

/// What changes, in the order of the new policies; those that are gone come last.
fn changes(before: &Policies, after: &Policies) -> Vec<Change> {
    let named = |policies: &Policies, name: &[u8]| {
        policies.iter().any(|policy| policy.name.as_slice() == name)
    };
    let new = after.iter().filter(|policy| !before.contains(policy)).map(|policy| {
        let (name, said) = (sentence::name(policy), sentence::policy(policy));
        if named(before, &policy.name) {
            Change::Changed { policy: name, gloss: said }
        } else {
            Change::Added { policy: name, gloss: said }
        }
    });
    let gone = before
        .iter()
        .filter(|policy| !named(after, &policy.name))
        .map(|policy| Change::Removed { policy: sentence::name(policy) });
    new.chain(gone).collect()
}
