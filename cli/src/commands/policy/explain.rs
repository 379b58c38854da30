use std::fmt;

use clap::Args;
use epione_client::chain::{Chain, Snapshot};
use epione_policies::language::sentence;
use epione_primitives::{
    BlockNumber, HospitalId, Moment, UserId, Word,
    access::{
        AccessRequest, Action, Decision, Denial, FailedPolicy, PolicyName, Purpose, SectionClass,
    },
};
use serde::Serialize;

use super::version_name;
use crate::{
    context::{Context, HospitalRef, Output},
    failure::Failure,
    wording::{legible, moment},
    words::argument,
};

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The requester: user id, its first digits, or a name that you set
    #[arg(long, value_name = "USER")]
    pub requester: UserId,
    /// The patient: user id, its first digits, or a name that you set
    #[arg(long, value_name = "USER")]
    pub patient: UserId,
    /// Number or name of the hospital that has the records
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: HospitalRef,
    /// The action
    #[arg(long, value_parser = argument::<Action>())]
    pub action: Action,
    /// Class of the sections
    #[arg(long, value_parser = argument::<SectionClass>(), default_value = "private")]
    pub class: SectionClass,
    /// The purpose [default: the usual purpose of the action]
    #[arg(long, value_parser = argument::<Purpose>())]
    pub purpose: Option<Purpose>,
    /// Assume that the patient signed the submitted record
    #[arg(long)]
    pub cosigned: bool,
    /// Decide by the state at this chain block
    #[arg(long, value_name = "N", conflicts_with = "at")]
    pub at_block: Option<BlockNumber>,
    /// Decide by the state at this time (UTC), such as 2026-11-20T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<Moment>,
}

/// A decision, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    pub request: AccessRequest,
    /// The moment for which it was decided: Unix time in milliseconds.
    pub at: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<BlockNumber>,
    pub allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Allowing>,
    /// Why it is refused, if that is not a matter of policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The policies that were considered and do not apply.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub considered: Vec<Considered>,
}

/// The policy that allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Allowing {
    pub name: String,
    /// Of the hospital's policies.
    pub version: u32,
    pub summary: String,
}

/// A policy that does not allow, and what is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Considered {
    pub name: String,
    pub failed: Vec<String>,
}

impl From<&FailedPolicy> for Considered {
    fn from(failed: &FailedPolicy) -> Self {
        Self {
            name: legible(&failed.policy),
            failed: failed.conditions.iter().map(sentence::unmet).collect(),
        }
    }
}

impl Output for Explained {
    fn passed(&self) -> bool {
        self.allowed
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AccessRequest { requester, action, patient, hospital, class, purpose, .. } =
            &self.request;
        writeln!(
            f,
            "{}: {requester} {} {} (patient {patient}, hospital {hospital})",
            if self.allowed { "allowed" } else { "refused" },
            if self.allowed { "may" } else { "may not" },
            action.spoken(),
        )?;
        let block = self.block.map_or(String::new(), |block| format!(" (block {block})"));
        writeln!(
            f,
            "  {} sections, for {}, at {}{block}",
            class.spoken(),
            purpose.spoken(),
            moment(self.at)
        )?;
        if let Some(Allowing { name, version, summary }) = &self.policy {
            writeln!(f, "  by policy \"{name}\", {}", version_name(*version))?;
            writeln!(f, "  {summary}")?;
        }
        if let Some(reason) = &self.reason {
            writeln!(f, "  {reason}")?;
        }
        for policy in &self.considered {
            writeln!(f, "  policy \"{}\" does not apply:", policy.name)?;
            for failed in &policy.failed {
                writeln!(f, "    {failed}")?;
            }
        }
        Ok(())
    }
}

/// Asks the chain for a decision.
pub async fn explain(args: &ExplainArgs, context: &Context) -> Result<Explained, Failure> {
    let hospital = context.hospital(&args.hospital).await?;
    let chain = context.chain().await?;
    let snapshot = chain.finalized().await?;
    let at = match (args.at_block, args.at) {
        (Some(number), _) => made(chain, number).await?,
        (None, Some(at)) => at,
        (None, None) => snapshot.time().await?,
    };
    let request = AccessRequest {
        requester: args.requester,
        action: args.action,
        patient: args.patient,
        hospital,
        class: args.class,
        purpose: args.purpose.unwrap_or_else(|| usual_purpose(args)),
        cosigned: args.cosigned,
    };
    let decision = snapshot.decide(&request, Some(at)).await?;
    let mut explained = Explained {
        request,
        at,
        block: args.at_block,
        allowed: decision.is_allowed(),
        policy: None,
        reason: None,
        considered: Vec::new(),
    };
    match &decision {
        Decision::Allow { version, policy } => {
            explained.policy = Some(allowing(&snapshot, hospital, *version, policy).await?);
        }
        Decision::Deny(Denial::Failed(failed)) => {
            explained.considered = failed.iter().map(Considered::from).collect();
        }
        Decision::Deny(denial) => explained.reason = Some(sentence::denial(denial).join("; ")),
    }
    Ok(explained)
}

/// When a block was made.
async fn made(chain: &Chain, number: BlockNumber) -> Result<Moment, Failure> {
    match chain.time_at(number).await? {
        Some(at) => Ok(at),
        None => {
            let newest = chain.finalized_head().await?.number;
            Err(Failure::new(
                format!("there is no finalized block {number}"),
                format!("choose one up to {newest}"),
            ))
        }
    }
}

async fn allowing(
    snapshot: &Snapshot,
    hospital: HospitalId,
    version: u32,
    name: &PolicyName,
) -> Result<Allowing, Failure> {
    let set = snapshot.policies(hospital, Some(version)).await?;
    let policies = set.map(|(_, set)| set.policies).unwrap_or_default();
    let policy = policies.iter().find(|policy| policy.name == *name);
    let summary = policy.map_or(String::new(), |policy| legible(&policy.summary));
    Ok(Allowing { name: legible(name), version, summary })
}

fn usual_purpose(args: &ExplainArgs) -> Purpose {
    match args.action {
        Action::BreakGlass => Purpose::Emergency,
        Action::ReadText | Action::ReadMedia if args.requester == args.patient => {
            Purpose::PatientRequest
        }
        _ => Purpose::Treatment,
    }
}

/// A time in UTC, as RFC 3339 writes it.
fn time(text: &str) -> Result<Moment, String> {
    let wrong = || format!("{text:?} is not a time: write it in UTC, as in 2026-11-20T12:00:00Z");
    let time = humantime::parse_rfc3339_weak(text).map_err(|_| wrong())?;
    let since = time.duration_since(std::time::UNIX_EPOCH).map_err(|_| wrong())?;
    Moment::try_from(since.as_millis()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_utc() {
        assert_eq!(time("1970-01-01T00:00:02Z"), Ok(2_000));
        assert_eq!(time("1970-01-01 00:00:02"), Ok(2_000));
        for wrong in ["now", "2026-11-20", "2026-11-20T12:00:00+01:00", ""] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
