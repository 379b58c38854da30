//! `epione mandate`: whom a patient lets act in the patient's name.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::{ArgGroup, Args, Subcommand};
use epione_client::chain::{Call, Snapshot, calls::mandates};
use epione_primitives::{
    BlockNumber, HospitalId, Moment, UserId,
    limits::{MAX_AUTHORIZATION_MILLIS, MAX_CUSTODY_MILLIS, MAX_PAGE, MAX_REPRESENTATION_MILLIS},
    mandate::Mandate,
};
use serde::Serialize;

use super::{query::time, relation::span};
use crate::{
    confirmation::confirm,
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::{self, KeySource},
    progress, show,
    wording::moment,
};

/// Most pages of representatives that are listed. A patient may appoint and dismiss for years.
const MAX_PAGES: usize = 64;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lets somebody act for you until a time: answer queries, and read your records where a hospital's policies let
    /// representatives read
    ///
    /// For a child's parents or a guardian. You can dismiss them at any time, without a hospital's help. If they act
    /// for you already, the mandate ends at the new time instead. Everybody can read on the chain who represents you.
    Appoint(AppointArgs),
    /// Ends somebody's mandate to act for you; or, as the representative, lays it down
    ///
    /// What they accepted for you and no hospital has handed out yet is not handed out any more.
    Dismiss(DismissArgs),
    /// Lets a hospital submit records of your visits without your signature until a time
    ///
    /// It matters where the hospital's policies require that the patient signs.
    Authorize(AuthorizeArgs),
    /// Ends the authorization of a hospital
    Revoke(RevokeArgs),
    /// Entrusts your patient keys at a hospital to the hospitals together until a time, in case it is removed one day
    ///
    /// The hospital's worker keeps them under the consortium key. If the hospitals remove it, and two thirds of them
    /// appoint a custodian at which you are registered, they open the keys for the custodian, a day later at the
    /// earliest. As many hospitals as the threshold of the consortium key says can also open them together at any time,
    /// without a trace: then they read all your records at this hospital from before the end. You can end it at any
    /// time, without a hospital's help. What a custodian has opened stays open to it.
    Entrust(EntrustArgs),
    /// Ends what you entrusted at a hospital
    EndCustody(RevokeArgs),
    /// Lists who represents a patient, which hospitals submit without the patient's signature, and where the patient
    /// entrusts keys
    List(ListArgs),
}

impl Command {
    /// Whether the command changes nothing.
    pub(super) fn is_reading(&self) -> bool {
        matches!(self, Self::List(_))
    }

    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::Appoint(args) => show(&appoint(args, context).await?, json),
            Self::Dismiss(args) => show(&dismiss(args, context).await?, json),
            Self::Authorize(args) => show(&authorize(args, context).await?, json),
            Self::Revoke(args) => show(&revoke(args, context).await?, json),
            Self::Entrust(args) => show(&entrust(args, context).await?, json),
            Self::EndCustody(args) => show(&end_custody(args, context).await?, json),
            Self::List(args) => show(&list(args, context).await?, json),
        }
    }
}

/// When a mandate ends.
#[derive(Clone, Copy, Debug, Args)]
#[command(group(ArgGroup::new("end").required(true).args(["until", "span"])))]
pub struct End {
    /// Day or time in UTC at which it ends, as 2027-01-31 or 2027-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<Moment>,
    /// Instead of --until: time from now, such as 30d, 12h or 45m
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    pub span: Option<Duration>,
}

#[derive(Clone, Debug, Args)]
pub struct AppointArgs {
    /// Your key file: the patient's
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// Who acts for you
    #[arg(long, value_name = "USER")]
    pub representative: UserId,
    #[command(flatten)]
    pub end: End,
}

#[derive(Clone, Debug, Args)]
pub struct DismissArgs {
    /// Your key file: the patient's, or the representative's
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// Who acts for you; leave it out if that is you
    #[arg(long, value_name = "USER", required_unless_present = "patient")]
    pub representative: Option<UserId>,
    /// For whom you act, if you are the representative
    #[arg(long, value_name = "USER", conflicts_with = "representative")]
    pub patient: Option<UserId>,
}

#[derive(Clone, Debug, Args)]
pub struct AuthorizeArgs {
    /// Your key file: the patient's
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// Number or name of the hospital
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: HospitalRef,
    #[command(flatten)]
    pub end: End,
}

#[derive(Clone, Debug, Args)]
pub struct EntrustArgs {
    /// Your key file: the patient's
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// Number or name of the hospital
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: HospitalRef,
    #[command(flatten)]
    pub end: End,
    /// Signs without asking you to confirm
    #[arg(long)]
    pub yes: bool,
}

#[derive(Clone, Debug, Args)]
pub struct RevokeArgs {
    /// Your key file: the patient's
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// Number or name of the hospital
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: HospitalRef,
}

#[derive(Clone, Debug, Args)]
#[command(group(ArgGroup::new("whose").required(true).args(["signer", "patient"])))]
pub struct ListArgs {
    /// The patient's key file; only its public half is read
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Instead of --as: the patient
    #[arg(long, value_name = "USER")]
    pub patient: Option<UserId>,
}

/// Who acts for a patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Delegate {
    Representative(UserId),
    Hospital(HospitalId),
    /// The hospitals together, for the patient keys at this one.
    KeysAt(HospitalId),
}

/// A mandate that began or ended on the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    pub patient: UserId,
    #[serde(flatten)]
    pub delegate: Delegate,
    /// RFC 3339; absent if the mandate was ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The chain block that has it.
    pub block: BlockNumber,
}

/// What a patient lets others do, with what ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listing {
    pub patient: UserId,
    /// The newest mandate of each, representatives first.
    pub mandates: Vec<Listed>,
    /// Whether representatives were left out, because there are too many.
    pub more: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    #[serde(flatten)]
    pub delegate: Delegate,
    /// RFC 3339.
    pub since: String,
    pub until: String,
    /// When one of the two ended it before that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    pub in_force: bool,
}

impl Output for Changed {}

impl Output for Listing {}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { patient, delegate, until, block } = self;
        match (delegate, until) {
            (Delegate::Representative(user), Some(until)) => {
                write!(f, "user {user} represents patient {patient} until {until}")
            }
            (Delegate::Representative(user), None) => {
                write!(f, "user {user} no longer represents patient {patient}")
            }
            (Delegate::Hospital(hospital), Some(until)) => write!(
                f,
                "hospital {hospital} submits without the signature of patient {patient} until {until}"
            ),
            (Delegate::Hospital(hospital), None) => write!(
                f,
                "hospital {hospital} no longer submits without the signature of patient {patient}"
            ),
            (Delegate::KeysAt(hospital), Some(until)) => write!(
                f,
                "patient {patient} entrusts the patient keys at hospital {hospital} until {until}"
            ),
            (Delegate::KeysAt(hospital), None) => write!(
                f,
                "patient {patient} no longer entrusts the patient keys at hospital {hospital}"
            ),
        }?;
        write!(f, " (chain block {block})")
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { patient, mandates, more } = self;
        if mandates.is_empty() {
            return write!(f, "nobody acts for patient {patient}");
        }
        write!(f, "for patient {patient}:")?;
        for Listed { delegate, since, until, ended, in_force } in mandates {
            match delegate {
                Delegate::Representative(user) => write!(f, "\n  representative {user}")?,
                Delegate::Hospital(hospital) => {
                    write!(f, "\n  hospital {hospital} submits without the patient's signature")?;
                }
                Delegate::KeysAt(hospital) => {
                    write!(f, "\n  the patient keys at hospital {hospital} are entrusted")?;
                }
            }
            match (ended, in_force) {
                (Some(ended), _) => write!(f, ", from {since}, ended at {ended}")?,
                (None, true) => write!(f, ", from {since} until {until}")?,
                (None, false) => write!(f, ", from {since}, over since {until}")?,
            }
        }
        if *more { write!(f, "\nthere are more representatives than are listed") } else { Ok(()) }
    }
}

/// Lets a user act for the patient.
pub async fn appoint(args: &AppointArgs, context: &Context) -> Result<Changed, Failure> {
    let until = args.end.within(MAX_REPRESENTATION_MILLIS, "20 years")?;
    let delegate = Delegate::Representative(args.representative);
    let call = mandates::appoint(args.representative, until);
    by_patient(&args.signer, call, (delegate, Some(until)), context).await
}

/// Ends a representative's mandate.
pub async fn dismiss(args: &DismissArgs, context: &Context) -> Result<Changed, Failure> {
    let account = identity::account(&context.keys(&args.signer)?);
    let user = context.user_of(&account).await?;
    let patient = args.patient.unwrap_or(user);
    let representative = args.representative.unwrap_or(user);
    let call = mandates::dismiss(patient, representative);
    let spinner = progress::waiting(context, "waiting until the change is finalized");
    let submitted = context.chain().await?.submit(&call, &account).await;
    spinner.finish_and_clear();
    let (delegate, block) = (Delegate::Representative(representative), submitted?.block.number);
    Ok(Changed { patient, delegate, until: None, block })
}

/// Lets a hospital submit without the patient's signature.
pub async fn authorize(args: &AuthorizeArgs, context: &Context) -> Result<Changed, Failure> {
    let until = args.end.within(MAX_AUTHORIZATION_MILLIS, "366 days")?;
    let hospital = context.hospital(&args.hospital).await?;
    let call = mandates::authorize(hospital, until);
    by_patient(&args.signer, call, (Delegate::Hospital(hospital), Some(until)), context).await
}

/// Ends a hospital's authorization.
pub async fn revoke(args: &RevokeArgs, context: &Context) -> Result<Changed, Failure> {
    let hospital = context.hospital(&args.hospital).await?;
    let call = mandates::revoke(hospital);
    by_patient(&args.signer, call, (Delegate::Hospital(hospital), None), context).await
}

/// Entrusts the patient keys at a hospital, after the patient has confirmed what that means.
pub async fn entrust(args: &EntrustArgs, context: &Context) -> Result<Changed, Failure> {
    let until = args.end.within(MAX_CUSTODY_MILLIS, "20 years")?;
    let hospital = context.hospital(&args.hospital).await?;
    confirm(context, &entrusting(hospital, until), args.yes).await?;
    let call = mandates::entrust(hospital, until);
    by_patient(&args.signer, call, (Delegate::KeysAt(hospital), Some(until)), context).await
}

/// What the patient confirms.
fn entrusting(hospital: HospitalId, until: Moment) -> String {
    let until = moment(until);
    format!(
        "You entrust your patient keys at hospital {hospital} to all hospitals together until {until}. If they remove \
         hospital {hospital}, and two thirds of them appoint a custodian at which you are registered, they open the \
         keys for the custodian, a day later at the earliest. With the keys, the custodian reads all your records at \
         hospital {hospital} from before the end.\n\
         As many hospitals as the threshold of the consortium key says (`epione consortium key status`) can also open \
         the keys together at any time, without the chain's decision, and without a trace.\n\
         You can end it at any time, without a hospital's help. What was opened by then stays open."
    )
}

/// Ends what a patient entrusted at a hospital.
pub async fn end_custody(args: &RevokeArgs, context: &Context) -> Result<Changed, Failure> {
    let hospital = context.hospital(&args.hospital).await?;
    let call = mandates::end_custody(hospital);
    by_patient(&args.signer, call, (Delegate::KeysAt(hospital), None), context).await
}

/// Sends a patient's call.
async fn by_patient(
    signer: &KeySource,
    call: Call,
    (delegate, until): (Delegate, Option<Moment>),
    context: &Context,
) -> Result<Changed, Failure> {
    let account = identity::account(&context.keys(signer)?);
    let patient = context.user_of(&account).await?;
    let spinner = progress::waiting(context, "waiting until the change is finalized");
    let submitted = context.chain().await?.submit(&call, &account).await;
    spinner.finish_and_clear();
    let block = submitted?.block.number;
    Ok(Changed { patient, delegate, until: until.map(moment), block })
}

/// A mandate that is in force after its patient changed keys, and the command that ends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    #[serde(flatten)]
    pub delegate: Delegate,
    /// RFC 3339.
    pub until: String,
    pub end: String,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { delegate, until, end } = self;
        match delegate {
            Delegate::Representative(user) => write!(f, "user {user} still represents you")?,
            Delegate::Hospital(hospital) => {
                write!(f, "hospital {hospital} still submits without your signature")?;
            }
            Delegate::KeysAt(hospital) => {
                write!(f, "your patient keys at hospital {hospital} are still entrusted")?;
            }
        }
        write!(f, " until {until}; new keys do not end that, but this does:\n  {end}")
    }
}

/// What others may do in a user's name now. Those who had the user's keys may have let them.
pub(super) async fn standing(
    user: UserId,
    signer: &KeySource,
    context: &Context,
) -> Result<Vec<Standing>, Failure> {
    let state = context.chain().await?.finalized().await?;
    let now = state.time().await?;
    let (representatives, _) = representatives(&state, user).await?;
    let hospitals = state.authorizations(user).await?;
    let representatives =
        representatives.into_iter().map(|(user, it)| (Delegate::Representative(user), it));
    let hospitals = hospitals.into_iter().map(|(hospital, it)| (Delegate::Hospital(hospital), it));
    let keys = state.entrusted_at(user).await?.into_iter();
    let keys = keys.map(|(hospital, it)| (Delegate::KeysAt(hospital), it));
    let in_force =
        representatives.chain(hospitals).chain(keys).filter(|(_, mandate)| mandate.in_force(now));
    let standing = in_force.map(|(delegate, mandate)| {
        let (verb, option, whom) = match delegate {
            Delegate::Representative(user) => ("dismiss", "--representative", user.to_string()),
            Delegate::Hospital(hospital) => ("revoke", "--hospital", hospital.to_string()),
            Delegate::KeysAt(hospital) => ("end-custody", "--hospital", hospital.to_string()),
        };
        let end = context.command(["mandate", verb]).with([option.to_owned(), whom]);
        let end = end.with(["--as"]).with([signer]).to_string();
        Standing { delegate, until: moment(mandate.until), end }
    });
    Ok(standing.collect())
}

/// Lists what a patient lets others do.
pub async fn list(args: &ListArgs, context: &Context) -> Result<Listing, Failure> {
    let patient = match (&args.signer, args.patient) {
        (Some(signer), _) => context.user_with(&signer.public()?.account).await?,
        (None, Some(patient)) => patient,
        (None, None) => return Err(Failure::usage("whose mandates?", "pass --as or --patient")),
    };
    let state = context.chain().await?.finalized().await?;
    let now = state.time().await?;
    let (representatives, more) = representatives(&state, patient).await?;
    let hospitals = state.authorizations(patient).await?.into_iter();
    let hospitals = hospitals.map(|(hospital, it)| (Delegate::Hospital(hospital), it));
    let keys = state.entrusted_at(patient).await?.into_iter();
    let hospitals = hospitals.chain(keys.map(|(hospital, it)| (Delegate::KeysAt(hospital), it)));
    let all = representatives.into_iter().map(|(user, it)| (Delegate::Representative(user), it));
    let mandates = all.chain(hospitals).map(|(delegate, it)| listed(delegate, it, now)).collect();
    Ok(Listing { patient, mandates, more })
}

/// Every representative of a patient, and whether there are more than are listed.
async fn representatives(
    state: &Snapshot,
    patient: UserId,
) -> Result<(Vec<(UserId, Mandate)>, bool), Failure> {
    let mut all: Vec<(UserId, Mandate)> = Vec::new();
    for _ in 0..MAX_PAGES {
        let after = all.last().map(|(user, _)| *user);
        let page = state.representatives(patient, after, MAX_PAGE).await?;
        if page.is_empty() {
            return Ok((all, false));
        }
        all.extend(page);
    }
    Ok((all, true))
}

fn listed(delegate: Delegate, mandate: Mandate, now: Moment) -> Listed {
    Listed {
        delegate,
        since: moment(mandate.since),
        until: moment(mandate.until),
        ended: mandate.ended.map(moment),
        in_force: mandate.in_force(now),
    }
}

impl End {
    /// The end, if the chain permits it.
    fn within(&self, longest: u64, in_words: &str) -> Result<Moment, Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let end = match self.span {
            Some(span) => now.saturating_add(span),
            None => Duration::from_millis(self.until.unwrap_or_default()),
        };
        let is_possible = now < end && end <= now.saturating_add(Duration::from_millis(longest));
        let end = Moment::try_from(end.as_millis()).ok().filter(|_| is_possible);
        end.ok_or_else(|| {
            Failure::usage(
                format!("a mandate must end in the future, and at most {in_words} from now"),
                "choose another end with --until or --for; nothing was sent",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_mandate_ends_in_the_future_and_within_the_longest_time() {
        let within = |end: End| end.within(30 * 86_400_000, "30 days").is_ok();
        let lasting = |span| within(End { until: None, span: Some(span) });
        assert!(lasting(DAY) && lasting(29 * DAY));
        assert!(!lasting(31 * DAY) && !lasting(Duration::MAX));
        let until = |until| within(End { until: Some(until), span: None });
        assert!(!until(0) && !until(1_000) && !until(Moment::MAX));
    }

    #[test]
    fn a_patient_who_entrusts_keys_reads_what_hospitals_can_do_with_them() {
        let statement = entrusting(HospitalId(3), 3_000_000);
        for part in [
            "at hospital 3",
            "until 1970-01-01T00:50:00Z",
            "all your records",
            "without a trace",
            "stays open",
        ] {
            assert!(statement.contains(part), "{part}: {statement}");
        }
    }

    #[test]
    fn an_ended_mandate_says_when_it_ended() {
        let mandate = Mandate { since: 0, until: 3_000_000, ended: None };
        let user = Delegate::Representative(UserId([1; 32]));
        let shown = |mandate, now| {
            let mandates = vec![listed(user, mandate, now)];
            Listing { patient: UserId([2; 32]), mandates, more: false }.to_string()
        };
        let text = shown(mandate, 1_000);
        assert!(text.contains("until 1970-01-01T00:50:00Z"), "{text}");
        let text = shown(mandate, 3_000_000);
        assert!(text.contains("over since 1970-01-01T00:50:00Z"), "{text}");
        let text = shown(Mandate { ended: Some(1_000), ..mandate }, 2_000);
        assert!(text.contains("ended at 1970-01-01T00:00:01Z"), "{text}");
    }
}
