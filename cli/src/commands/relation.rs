//! `epione relate` and `unrelate`: relationships between professionals and patients.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use clap::Args;
use epione_client::{api::Relation, chain::calls::role_policies};
use epione_primitives::{HospitalId, Moment, UserId, Word, access::RelationshipKind};
use serde::Serialize;

use crate::{
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::{self, KeySource},
    wording::moment,
    words::argument,
};

/// A relationship, and the signer who changes it.
#[derive(Clone, Debug, Args)]
pub struct UnrelateArgs {
    /// The patient
    #[arg(long, value_name = "USER")]
    pub patient: UserId,
    /// The professional: a doctor, nurse, pharmacist or allied professional
    #[arg(long, value_name = "USER")]
    pub professional: UserId,
    /// Kind of the relationship
    #[arg(long, value_parser = argument::<RelationshipKind>(), default_value = "treating")]
    pub kind: RelationshipKind,
    /// Number or name of the hospital whose records the relationship is for [default: the signer's]
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: Option<HospitalRef>,
    /// Key file of the hospital's governance [default: the devnet's]
    #[arg(long = "as", value_name = "FILE", conflicts_with = "as_user")]
    pub signer: Option<KeySource>,
    /// Sign as a user instead of the hospital: key file of the patient, or of a doctor whom the hospital's policies
    /// allow this. The call goes directly to the chain
    #[arg(long, alias = "as-patient", value_name = "FILE", requires = "hospital")]
    pub as_user: Option<KeySource>,
}

#[derive(Clone, Debug, Args)]
pub struct RelateArgs {
    #[command(flatten)]
    pub relation: UnrelateArgs,
    /// Time from now until it ends automatically, such as 30d, 12h, 45m or 90s; required for a referral
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub expires: Option<Duration>,
}

/// A relationship that began or ended on the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    pub patient: UserId,
    pub professional: UserId,
    pub hospital: HospitalId,
    pub kind: RelationshipKind,
    pub in_force: bool,
    /// Unix time in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Moment>,
}

impl Output for Changed {}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.in_force { "related" } else { "no longer related" };
        write!(
            f,
            "{} is {verb} ({}) to patient {} at hospital {}",
            self.professional,
            self.kind.spoken(),
            self.patient,
            self.hospital
        )?;
        self.expires.map_or(Ok(()), |expires| write!(f, ", until {}", moment(expires)))
    }
}

/// Begins a relationship.
pub async fn relate(args: &RelateArgs, context: &Context) -> Result<Changed, Failure> {
    if args.relation.kind == RelationshipKind::Referral && args.expires.is_none() {
        return Err(Failure::usage(
            "a referral needs an expiry",
            "pass --expires with a time from now, such as 30d",
        ));
    }
    let expires = args.expires.map(|span| from_now(span, "--expires")).transpose()?;
    change(&args.relation, expires, true, context).await
}

/// Ends a relationship.
pub async fn unrelate(args: &UnrelateArgs, context: &Context) -> Result<Changed, Failure> {
    change(args, None, false, context).await
}

async fn change(
    args: &UnrelateArgs,
    expires: Option<Moment>,
    begins: bool,
    context: &Context,
) -> Result<Changed, Failure> {
    let kind = args.kind;
    let (patient, professional) = (args.patient, args.professional);
    let hospital = match (&args.as_user, &args.hospital) {
        (Some(source), Some(hospital)) => {
            let hospital = context.hospital(hospital).await?;
            let user = identity::account(&context.keys(source)?);
            context.user_of(&user).await?;
            let call = if begins {
                role_policies::relate(patient, professional, hospital, kind, expires)
            } else {
                role_policies::unrelate(patient, professional, hospital, kind)
            };
            context.chain().await?.submit(&call, &user).await?;
            hospital
        }
        _ => {
            let (hospital, governance) =
                context.governance(args.signer.as_ref(), args.hospital.as_ref()).await?;
            let worker = context.worker(hospital, governance).await?;
            let relation = Relation { patient, professional, kind, expires };
            if begins {
                worker.relate(&relation).await?;
            } else {
                worker.unrelate(&relation).await?;
            }
            hospital
        }
    };
    Ok(Changed { patient, professional, hospital, kind, in_force: begins, expires })
}

/// The moment after a time from now, which the user gave with `option`.
pub(super) fn from_now(span: Duration, option: &str) -> Result<Moment, Failure> {
    let too_far = || {
        let error = format!("{option} is too far in the future");
        Failure::usage(error, "choose a shorter time")
    };
    let at = SystemTime::now().checked_add(span).ok_or_else(too_far)?;
    let since = at.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| too_far())?;
    since.as_millis().try_into().map_err(|_| too_far())
}

/// Parses a number and its unit.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("{text:?} is not a time: write a whole number and d, h, m or s, as in 30d");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        'd' => 86_400,
        'h' => 3_600,
        'm' => 60,
        's' => 1,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number
        .checked_mul(seconds)
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_is_too_far_names_its_option() {
        let refused = from_now(Duration::MAX, "--for").unwrap_err();
        assert!(refused.error.contains("--for is too far"), "{refused}");
        assert!(from_now(Duration::from_secs(1), "--for").is_ok());
    }

    #[test]
    fn spans_have_a_number_and_a_unit() {
        assert_eq!(span("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(span("90s"), Ok(Duration::from_secs(90)));
        for wrong in ["", "d", "30", "-1d", "0s", "1.5h", "99999999999999999999d", "3é"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
