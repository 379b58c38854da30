//! What a member proposes, on the command line.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use epione_client::council::{Admission, Proposal};
use epione_primitives::{
    BlockNumber, Hash, UserId,
    consortium::{Schedule, Seats},
    credential::is_attribute_name,
    hospital::Duty,
    limits::{MAX_ATTRIBUTE_NAME_BYTES, MAX_SEATS, SESSION_BLOCKS},
};
use sp_core::{ConstU32, bounded::BoundedVec};
use url::Url;

use super::{MotionRef, Signing, consents, quotas, quotas::QuotaChange, state::Council, upgrade};
use crate::{
    commands::{
        hospital::{TlsKey, read_application, tls_key, worker_url},
        user::read_sealing_key,
    },
    context::{Context, HospitalRef, genesis_hash},
    failure::Failure,
};

/// What the council shall decide.
#[derive(Clone, Debug, Subcommand)]
pub enum What {
    /// Admit a hospital (more than half of the members)
    Admit(AdmitArgs),
    /// Suspend a hospital until the council reinstates it (more than half)
    Suspend(WhichArgs),
    /// Reinstate a hospital that is suspended or benched (more than half)
    Reinstate(WhichArgs),
    /// Remove a hospital for ever (more than half)
    Remove(WhichArgs),
    /// Give a hospital that lost its governance key another governance account (two thirds)
    ReplaceGovernance(ReplaceGovernanceArgs),
    /// Appoint or dismiss the custodian of a removed hospital (two thirds)
    #[command(subcommand)]
    Custodian(Custodian),
    /// Decide about the consortium key: its seats, a new key, how long its phases last
    #[command(subcommand)]
    ConsortiumKey(ConsortiumKey),
    /// Name an attribute that hospitals can then confirm of users (two thirds)
    NameAttribute(NameAttributeArgs),
    /// Complete a recovery of a user's keys in spite of an objection (two thirds)
    CompleteRecovery(CompleteRecoveryArgs),
    /// Set quotas; those that are not named stay (two thirds)
    SetQuotas(SetQuotasArgs),
    /// Authorize a new runtime by the hash of its code (two thirds)
    Upgrade(UpgradeArgs),
    /// Resume finality, which has stalled, with the next set of authorities (two thirds)
    NoteStalled(NoteStalledArgs),
    /// Say something that changes nothing (two thirds)
    Remark(RemarkArgs),
    /// End another motion without its vote (more than half)
    Disapprove(EndArgs),
    /// End another motion without its vote (two thirds)
    Kill(EndArgs),
}

#[derive(Clone, Debug, Args)]
pub struct AdmitArgs {
    /// Application of the hospital, to which `epione hospital join` added its consents: it has everything below
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["name", "governance", "agent", "url", "tls_key", "sealing_key"]
    )]
    pub application: Option<PathBuf>,
    #[command(flatten)]
    pub described: Described,
}

/// A hospital without an application.
#[derive(Clone, Debug, Args)]
pub struct Described {
    /// Name of the hospital
    #[arg(long, value_name = "NAME", required_unless_present = "application")]
    pub name: Option<String>,
    /// Consent of its governance account: a file with what `epione hospital consent --json --duty governance` printed
    #[arg(long, value_name = "CONSENT", required_unless_present = "application")]
    pub governance: Option<PathBuf>,
    /// Consent of its agent account: a file with what `epione hospital consent --json --duty agent` printed
    #[arg(long, value_name = "CONSENT", required_unless_present = "application")]
    pub agent: Option<PathBuf>,
    /// Address of its worker: https://host:port
    #[arg(
        long,
        value_name = "URL",
        value_parser = worker_url,
        required_unless_present = "application"
    )]
    pub url: Option<Url>,
    /// Public key that `epione-worker tls-key` prints, in 64 hexadecimal digits
    #[arg(
        long,
        value_name = "HEX",
        value_parser = tls_key,
        required_unless_present = "application"
    )]
    pub tls_key: Option<TlsKey>,
    /// Public sealing key of its worker in hexadecimal, as `epione keys show --json` prints it
    #[arg(long, value_name = "HEX", required_unless_present = "application")]
    pub sealing_key: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct WhichArgs {
    /// Number or name of the hospital about which the council decides
    #[arg(value_name = "WHICH")]
    pub which: HospitalRef,
}

#[derive(Clone, Debug, Args)]
pub struct ReplaceGovernanceArgs {
    /// Number or name of the hospital about which the council decides
    #[arg(value_name = "WHICH")]
    pub which: HospitalRef,
    /// Consent of the new account: a file with what `epione hospital consent --json --duty governance` printed
    #[arg(long, value_name = "CONSENT")]
    pub consent: PathBuf,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Custodian {
    /// Appoint the custodian of a removed hospital, who can claim the patient keys that were entrusted there
    Appoint(AppointArgs),
    /// Dismiss the custodian of a removed hospital
    Dismiss(DismissArgs),
}

#[derive(Clone, Debug, Args)]
pub struct AppointArgs {
    /// Number or name of the removed hospital
    #[arg(long, value_name = "WHICH")]
    pub departed: HospitalRef,
    /// Number or name of the hospital that becomes its custodian
    #[arg(long, value_name = "WHICH")]
    pub custodian: HospitalRef,
}

#[derive(Clone, Debug, Args)]
pub struct DismissArgs {
    /// Number or name of the removed hospital
    #[arg(long, value_name = "WHICH")]
    pub departed: HospitalRef,
}

#[derive(Clone, Debug, Subcommand)]
pub enum ConsortiumKey {
    /// Choose the hospitals that have seats in the ceremonies (two thirds)
    Seat(SeatArgs),
    /// Make a new key in the next ceremony; what is sealed to the present one is lost (two thirds)
    Renew,
    /// Change how long phases last, and after how long shares are renewed (more than half)
    Schedule(ScheduleArgs),
}

#[derive(Clone, Debug, Args)]
pub struct SeatArgs {
    /// Numbers or names of the hospitals
    #[arg(value_name = "WHICH", required_unless_present = "all", conflicts_with = "all")]
    pub seats: Vec<HospitalRef>,
    /// Give every active hospital a seat
    #[arg(long)]
    pub all: bool,
}

#[derive(Clone, Debug, Args)]
pub struct ScheduleArgs {
    /// Longest time of a phase, in chain blocks of 3 seconds
    #[arg(long, value_name = "BLOCKS")]
    pub phase: BlockNumber,
    /// Age of shares at which they are renewed, in chain blocks
    #[arg(long, value_name = "BLOCKS")]
    pub refresh: BlockNumber,
}

#[derive(Clone, Debug, Args)]
pub struct NameAttributeArgs {
    /// The name: lower-case letters, digits and hyphens
    #[arg(value_name = "NAME", value_parser = attribute_name)]
    pub name: String,
}

#[derive(Clone, Debug, Args)]
pub struct CompleteRecoveryArgs {
    /// The user for whom a hospital proposed new keys
    #[arg(value_name = "USER")]
    pub user: UserId,
}

#[derive(Clone, Debug, Args)]
pub struct SetQuotasArgs {
    /// A quota and its new value, such as records.account.bytes=4294967296; repeat for several
    #[arg(long = "set", value_name = "QUOTA=VALUE", required = true)]
    pub changes: Vec<QuotaChange>,
}

#[derive(Clone, Debug, Args)]
pub struct UpgradeArgs {
    /// File with the code of the new runtime (WebAssembly), of which only the hash is sent
    #[arg(long, value_name = "CODE", required_unless_present = "hash", conflicts_with = "hash")]
    pub code: Option<PathBuf>,
    /// Instead of --code: Blake2-256 of the code
    #[arg(long, value_name = "HASH", value_parser = genesis_hash)]
    pub hash: Option<Hash>,
    /// Have the chain not compare name and version with those of the present runtime
    #[arg(long)]
    pub without_checks: bool,
}

#[derive(Clone, Copy, Debug, Args)]
pub struct NoteStalledArgs {
    /// Number of blocks between the announcement of the new set and its first vote: from 1 to 199
    #[arg(long, value_name = "BLOCKS")]
    pub delay: BlockNumber,
    /// The highest block that is final on any node, on which all hospitals agree
    #[arg(long, value_name = "NUMBER")]
    pub block: BlockNumber,
}

#[derive(Clone, Debug, Args)]
pub struct RemarkArgs {
    /// The text
    #[arg(value_name = "TEXT")]
    pub text: String,
}

#[derive(Clone, Debug, Args)]
pub struct EndArgs {
    /// Number or hash of the motion to end
    #[arg(value_name = "MOTION")]
    pub motion: MotionRef,
}

fn attribute_name(text: &str) -> Result<String, String> {
    let fits = text.len() <= MAX_ATTRIBUTE_NAME_BYTES as usize;
    if fits && is_attribute_name(text.as_bytes()) {
        return Ok(text.into());
    }
    Err(format!(
        "a name begins with a lower-case letter, has lower-case letters, digits and hyphens, and at most \
         {MAX_ATTRIBUTE_NAME_BYTES} of them"
    ))
}

impl What {
    /// The call. Names are looked up, and what the chain would refuse is refused.
    pub(super) async fn proposal(
        &self,
        signing: &Signing,
        council: &Council,
        context: &Context,
    ) -> Result<Proposal, Failure> {
        let find = |which| context.hospital(which);
        Ok(match self {
            Self::Admit(args) => Proposal::Admit(Box::new(admission(args, council)?)),
            Self::Suspend(args) => Proposal::Suspend { hospital: find(&args.which).await? },
            Self::Reinstate(args) => Proposal::Reinstate { hospital: find(&args.which).await? },
            Self::Remove(args) => Proposal::Remove { hospital: find(&args.which).await? },
            Self::ReplaceGovernance(args) => {
                let hospital = find(&args.which).await?;
                let duty = Duty::Governance;
                let governance = consents::read(&args.consent, hospital, duty, council)?;
                Proposal::ReplaceGovernance { hospital, governance: Box::new(governance) }
            }
            Self::Custodian(Custodian::Appoint(args)) => Proposal::AppointCustodian {
                departed: find(&args.departed).await?,
                custodian: find(&args.custodian).await?,
            },
            Self::Custodian(Custodian::Dismiss(args)) => {
                Proposal::DismissCustodian { departed: find(&args.departed).await? }
            }
            Self::ConsortiumKey(ConsortiumKey::Seat(args)) if args.all => {
                Proposal::Seat { committee: None }
            }
            Self::ConsortiumKey(ConsortiumKey::Seat(args)) => {
                let mut seats = Vec::with_capacity(args.seats.len());
                for seat in &args.seats {
                    seats.push(find(seat).await?);
                }
                seats.sort_unstable();
                seats.dedup();
                let seats = Seats::try_from(seats)
                    .map_err(|_| too_long("a committee", "seats", MAX_SEATS))?;
                Proposal::Seat { committee: Some(seats) }
            }
            Self::ConsortiumKey(ConsortiumKey::Renew) => Proposal::Renew,
            Self::ConsortiumKey(ConsortiumKey::Schedule(args)) => {
                Proposal::Schedule(schedule(args)?)
            }
            Self::NameAttribute(args) => {
                Proposal::NameAttribute { name: bounded(&args.name, "the name")? }
            }
            Self::CompleteRecovery(args) => recovery(args.user, council, context).await?,
            Self::SetQuotas(args) => {
                let limits = quotas::changed(&council.limits, &args.changes)?;
                Proposal::SetLimits(Box::new(limits))
            }
            Self::Upgrade(args) => {
                let code_hash = match (&args.code, args.hash) {
                    (Some(file), _) => upgrade::new_code(file)?,
                    (None, Some(hash)) => hash,
                    (None, None) => {
                        return Err(Failure::usage(
                            "no code is given",
                            "give the file with --code, or its hash with --hash",
                        ));
                    }
                };
                Proposal::AuthorizeUpgrade { code_hash, checks: !args.without_checks }
            }
            Self::NoteStalled(args) => {
                let finalized = context.chain().await?.finalized_head().await?.number;
                stalled(args, finalized, council.at.number)?
            }
            Self::Remark(args) => Proposal::Remark { text: args.text.clone().into_bytes() },
            Self::Disapprove(args) => {
                let motion = council.find(args.motion, signing.era, context)?.hash;
                Proposal::Disapprove { motion }
            }
            Self::Kill(args) => {
                let motion = council.find(args.motion, signing.era, context)?.hash;
                Proposal::Kill { motion }
            }
        })
    }
}

/// The hospital as `hospitals.admit` needs it, with consents that the chain accepts now.
pub(super) fn admission(args: &AdmitArgs, council: &Council) -> Result<Admission, Failure> {
    match &args.application {
        Some(file) => applied(file, council),
        None => described(&args.described, council),
    }
}

fn applied(file: &Path, council: &Council) -> Result<Admission, Failure> {
    let application = read_application(file)?;
    let [governance, agent] = consents::of(&application, file, council.next_hospital(), council)?;
    let statement = application.statement();
    Ok(Admission {
        name: bounded(&statement.name, "the name")?,
        governance,
        agent,
        worker_url: bounded(&statement.worker_url, "the URL")?,
        sealing_key: sealing_key(statement.sealing_key.clone())?,
        tls_key: statement.tls_key.0,
    })
}

fn described(args: &Described, council: &Council) -> Result<Admission, Failure> {
    let Described { name, governance, agent, url, tls_key, sealing_key: key } = args;
    let (Some(name), Some(governance), Some(agent)) = (name, governance, agent) else {
        return Err(incomplete());
    };
    let (Some(url), Some(tls_key), Some(key)) = (url, tls_key, key) else {
        return Err(incomplete());
    };
    let next = council.next_hospital();
    let url = url.as_str().trim_end_matches('/');
    Ok(Admission {
        name: bounded(name, "the name")?,
        governance: consents::read(governance, next, Duty::Governance, council)?,
        agent: consents::read(agent, next, Duty::Agent, council)?,
        worker_url: bounded(url, "the URL")?,
        sealing_key: sealing_key(read_sealing_key(key)?.as_bytes().to_vec())?,
        tls_key: tls_key.0,
    })
}

fn incomplete() -> Failure {
    Failure::usage("the hospital is not described completely", "give its --application FILE")
}

fn sealing_key<const MAX: u32>(bytes: Vec<u8>) -> Result<BoundedVec<u8, ConstU32<MAX>>, Failure> {
    BoundedVec::try_from(bytes)
        .map_err(|_| Failure::usage("the sealing key is too long", "copy sealingKey again"))
}

/// A text that the chain stores.
fn bounded<const MAX: u32>(
    text: &str,
    what: &str,
) -> Result<BoundedVec<u8, ConstU32<MAX>>, Failure> {
    BoundedVec::try_from(text.as_bytes().to_vec()).map_err(|_| too_long(what, "bytes", MAX))
}

fn schedule(args: &ScheduleArgs) -> Result<Schedule, Failure> {
    let schedule = Schedule { phase: args.phase, refresh: args.refresh };
    if schedule.is_valid() {
        return Ok(schedule);
    }
    Err(Failure::usage(
        "the chain does not accept these times",
        "a phase lasts from 10 to 28800 blocks; shares are renewed after ten phases at least, and after 366 days at \
         most",
    ))
}

/// The authorities of the next session, which vote for blocks after `args.block`. The own node's newest final block is
/// `finalized`, and its newest block is `newest`.
fn stalled(
    args: &NoteStalledArgs,
    finalized: BlockNumber,
    newest: BlockNumber,
) -> Result<Proposal, Failure> {
    let NoteStalledArgs { delay, block } = *args;
    if !(1..SESSION_BLOCKS).contains(&delay) {
        return Err(Failure::usage(
            format!(
                "--delay is {delay}, and it is from 1 to {}; nothing was sent",
                SESSION_BLOCKS - 1
            ),
            "a change of the validators during a longer delay would be lost: 40 blocks are two minutes",
        ));
    }
    // The new authorities could vote for another branch than the one that is final already.
    if block < finalized {
        return Err(Failure::usage(
            format!(
                "block {block} is not the highest final one: block {finalized} is final, too; nothing was sent"
            ),
            "ask every hospital for the newest final block of its node, and name the highest of all",
        ));
    }
    if block > newest {
        return Err(Failure::usage(
            format!("the chain has no block {block}, the newest one is {newest}; nothing was sent"),
            "name the highest block that is final on any node",
        ));
    }
    Ok(Proposal::NoteStalled { delay, best_finalized: block })
}

/// The recovery about which the council decides, as it is now.
async fn recovery(user: UserId, council: &Council, context: &Context) -> Result<Proposal, Failure> {
    let snapshot = context.chain().await?.at(council.at.hash);
    let recovery = snapshot.recovery(user).await?.ok_or_else(|| {
        Failure::new(
            format!("no hospital has proposed new keys for user {user}; nothing was sent"),
            "check the user's id",
        )
        .with_command(context.command(["user", "recovery", &user.to_string()]))
    })?;
    Ok(Proposal::CompleteRecovery { user, decision: Some(recovery.decision()) })
}

fn too_long(what: &str, of: &str, limit: u32) -> Failure {
    Failure::usage(format!("{what} has more than {limit} {of}"), "shorten it; nothing was sent")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stalled_finality_goes_on_after_the_highest_final_block_and_within_a_session() {
        let stalled = |delay, block| stalled(&NoteStalledArgs { delay, block }, 700, 900);
        for (delay, block) in [(1, 700), (40, 700), (199, 900)] {
            let proposed = Proposal::NoteStalled { delay, best_finalized: block };
            assert_eq!(stalled(delay, block).unwrap(), proposed);
        }
        for (delay, block, why) in [
            (0, 700, "--delay"),
            (200, 700, "--delay"),
            (40, 699, "block 700 is final"),
            (40, 901, "no block 901"),
        ] {
            let refused = stalled(delay, block).unwrap_err();
            assert!(refused.error.contains(why), "{why}: {refused}");
        }
    }
}
