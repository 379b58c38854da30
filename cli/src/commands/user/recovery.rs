//! `epione user recover` and `epione user recovery`: new keys for a user who lost the present ones.
//!
//! The user makes a key file at the hospital and consents with it. The staff proposes the keys and, after the chain's
//! delay, completes the recovery. Meanwhile the user's present account and every hospital of the user can object.

use std::fmt;

use clap::{ArgGroup, Args, Subcommand};
use epione_client::{api::ProposedKeys, chain::calls::profiles, naming};
use epione_envelope::keystore::ActorKeys;
use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId, UserId,
    limits::{MAX_CONSENT_BLOCKS, SLOT_MILLIS},
    profile::{Objection, Profile, Recovery},
};
use serde::Serialize;

use super::{Consented, read_sealing_key};
use crate::{
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::{self, KeySource},
    invocation::Invocation,
    progress, show,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Proposes new keys, as a hospital's staff, for a user who lost the present ones
    ///
    /// Check in person who the user is. The keys become the user's when you complete the recovery: after three days, if
    /// nobody objects. The user's present account can object, and every hospital at which the user is registered. If
    /// the present keys may be stolen, suspend the user's registration first.
    Propose(ProposeArgs),
    /// Makes the proposed keys the user's keys, when the delay has passed
    Complete(WhomArgs),
    /// Objects to new keys: to your own as a user, or to those of a user of your hospital
    ///
    /// After an objection, only the council of the hospitals can complete the recovery.
    Object(ObjectArgs),
}

impl Command {
    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::Propose(args) => show(&propose(args, context).await?, json),
            Self::Complete(args) => show(&complete(args, context).await?, json),
            Self::Object(args) => show(&object(args, context).await?, json),
        }
    }
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("new_keys").required(true).args(["keys", "account"])))]
pub struct ProposeArgs {
    /// The user who lost the keys
    #[arg(long, value_name = "USER")]
    pub user: UserId,
    /// The user's new key file; only its public half is read
    #[arg(long, value_name = "FILE")]
    pub keys: Option<KeySource>,
    /// Instead of --keys: the user's new account (SS58 address)
    #[arg(long, value_name = "ADDRESS", requires = "sealing_key")]
    pub account: Option<AccountId>,
    /// With --account: the new public sealing key in hexadecimal, as `epione keys show --json` prints it
    #[arg(long, value_name = "HEX", requires = "account")]
    pub sealing_key: Option<String>,
    /// The consent that `epione user consent --recover` printed for the user
    #[arg(long, value_name = "HEX")]
    pub consent: String,
    /// The last block in which the consent is valid, as `epione user consent --recover` printed it
    #[arg(long, value_name = "BLOCK")]
    pub until: BlockNumber,
    /// Key file of the hospital's governance [default: the devnet's]
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Number or name of the hospital [default: the signer's]
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: Option<HospitalRef>,
}

#[derive(Debug, Args)]
pub struct WhomArgs {
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

#[derive(Debug, Args)]
pub struct ObjectArgs {
    /// The user [default: the user of --as]
    #[arg(long, value_name = "USER")]
    pub user: Option<UserId>,
    /// Your key file: the user's, or that of the hospital's governance [default: the devnet's]
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Number or name of the hospital that objects [default: the signer's]
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: Option<HospitalRef>,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The user: user id, its first digits, or a name that you set
    #[arg(value_name = "USER")]
    pub user: UserId,
}

/// The keys that are proposed for a user, if there are any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposed {
    pub user: UserId,
    /// Lapsed keys stay until others are proposed.
    pub recovery: Option<Recovery>,
    /// What the council names if it completes the recovery: Blake2-256 of the hospital, the keys and the version.
    pub decision: Option<Hash>,
    /// The block of the state that was read.
    #[serde(skip)]
    block: BlockNumber,
}

impl Output for Proposed {}

impl fmt::Display for Proposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, block, .. } = self;
        let Some(recovery) = self.recovery.as_ref().filter(|recovery| recovery.stands(*block))
        else {
            return write!(f, "no new keys are proposed for user {user}");
        };
        let Recovery { hospital, account, due, lapses, .. } = recovery;
        writeln!(f, "hospital {hospital} proposed new keys for user {user}: account {account}")?;
        match recovery.objection {
            Some(Objection::User) => {
                write!(f, "the user's present account objected\n{}", council(*user, recovery))
            }
            Some(Objection::Hospital(other)) => {
                write!(f, "hospital {other} objected\n{}", council(*user, recovery))
            }
            None if due <= block => {
                write!(f, "hospital {hospital} can complete the recovery, before block {lapses}")
            }
            None => write!(
                f,
                "hospital {hospital} can complete the recovery from block {due} on (in about {}), if nobody objects",
                blocks(due.saturating_sub(*block))
            ),
        }
    }
}

/// What the council dispatches after an objection, if it decides for the recovery.
fn council(user: UserId, recovery: &Recovery) -> String {
    let decision = recovery.decision();
    let propose = ["council", "propose", "complete-recovery"];
    let propose = Invocation::new(propose).with([user.to_string()]);
    format!(
        "the council can complete the recovery: profiles.completeRecovery({user}, {decision:?}), which a hospital's \
         governance proposes with `{propose}`"
    )
}

/// How long this many blocks take.
fn blocks(count: BlockNumber) -> String {
    let minutes = u64::from(count).saturating_mul(SLOT_MILLIS).div_ceil(60_000);
    match minutes {
        0..=120 => format!("{minutes} minutes"),
        _ => format!("{} hours", minutes.div_ceil(60)),
    }
}

/// Keys that became a user's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recovered {
    pub user: UserId,
    pub hospital: HospitalId,
    pub account: AccountId,
}

impl Output for Recovered {}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, account, .. } = self;
        let mandates = Invocation::new(["mandate", "list", "--patient", &user.to_string()]);
        write!(
            f,
            "user {user} has the new keys: account {account}\n\
             now the user runs `epione user rotate-keys --as NEW --to NEW` with the new key file, so that every \
             hospital seals the profile to the new keys; the staff can confirm them: `epione user confirm-keys \
             --help`.\n\
             New keys end no mandate: `{mandates}` shows who acts for the user"
        )
    }
}

/// Who objected to the keys that were proposed for a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Objected {
    pub user: UserId,
    pub objection: Objection,
}

impl Output for Objected {}

impl fmt::Display for Objected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the objection is final: only the council can give user {} these keys", self.user)
    }
}

/// Proposes new keys through the hospital's worker; returns when that is final.
pub async fn propose(args: &ProposeArgs, context: &Context) -> Result<Proposed, Failure> {
    let (account, sealing_key) = match (&args.keys, &args.account, &args.sealing_key) {
        (Some(keys), _, _) => {
            let public = keys.public()?;
            (public.account, public.sealing)
        }
        (None, Some(account), Some(key)) => (account.clone(), read_sealing_key(key)?),
        _ => return Err(Failure::usage("the new keys are not given", "pass --keys FILE")),
    };
    let (hospital, governance) =
        context.own_governance(args.signer.as_ref(), args.hospital.as_ref()).await?;
    let worker = context.worker(hospital, governance).await?;
    let keys = ProposedKeys {
        user: args.user,
        account,
        sealing_key: hex::encode(sealing_key.as_bytes()),
        until: args.until,
        consent: args.consent.clone(),
    };
    let spinner = progress::waiting(context, "waiting until the proposal is finalized");
    let proposed = worker.propose_recovery(&keys).await;
    spinner.finish_and_clear();
    proposed?;
    of_user(args.user, context).await
}

/// Completes a recovery through the hospital's worker; returns when that is final.
pub async fn complete(args: &WhomArgs, context: &Context) -> Result<Recovered, Failure> {
    let user = args.user;
    let (hospital, governance) =
        context.own_governance(args.signer.as_ref(), args.hospital.as_ref()).await?;
    let worker = context.worker(hospital, governance).await?;
    let spinner = progress::waiting(context, "waiting until the recovery is finalized");
    let completed = worker.complete_recovery(user).await;
    spinner.finish_and_clear();
    completed?;
    let Profile { account, .. } = profile(user, context).await?;
    Ok(Recovered { user, hospital, account })
}

/// Objects as the user, on the chain; or as a hospital, through its worker. Returns when that is final.
pub async fn object(args: &ObjectArgs, context: &Context) -> Result<Objected, Failure> {
    if let Some(signer) = &args.signer {
        let chain = context.chain().await?;
        let own = chain.finalized().await?.user_of(&signer.public()?.account).await?;
        if let Some(user) = own {
            if args.user.is_some_and(|named| named != user) {
                return Err(Failure::usage(
                    format!(
                        "--as is the key file of user {user}, who objects only to their own new keys"
                    ),
                    "leave out --user, or sign with the key file of a hospital's governance",
                ));
            }
            let account = identity::account(&context.keys(signer)?);
            chain.submit(&profiles::object(user), &account).await?;
            return Ok(Objected { user, objection: Objection::User });
        }
    }
    let user = args.user.ok_or_else(|| {
        Failure::usage(
            "the user is not given",
            "pass --user USER, or sign as the user with --as FILE",
        )
    })?;
    let (hospital, governance) =
        context.own_governance(args.signer.as_ref(), args.hospital.as_ref()).await?;
    context.worker(hospital, governance).await?.object_to_recovery(user).await?;
    Ok(Objected { user, objection: Objection::Hospital(hospital) })
}

/// Shows the keys that are proposed for a user.
pub async fn recovery(args: &ShowArgs, context: &Context) -> Result<Proposed, Failure> {
    profile(args.user, context).await?;
    of_user(args.user, context).await
}

async fn of_user(user: UserId, context: &Context) -> Result<Proposed, Failure> {
    let chain = context.chain().await?;
    let head = chain.finalized_head().await?;
    let recovery = chain.at(head.hash).recovery(user).await?;
    let decision = recovery.as_ref().map(Recovery::decision);
    Ok(Proposed { user, recovery, decision, block: head.number })
}

async fn profile(user: UserId, context: &Context) -> Result<Profile, Failure> {
    let profile = context.chain().await?.finalized().await?.profile(user).await?;
    profile.ok_or_else(|| {
        Failure::new(format!("the chain has no user {user}"), "use the id of a registered user")
            .with_command(context.command(["user", "list"]))
    })
}

/// Signs with new keys the consent to the recovery of a user by a hospital.
pub(super) async fn consented(
    keys: &ActorKeys,
    hospital: HospitalId,
    user: UserId,
    context: &Context,
) -> Result<Consented, Failure> {
    let account = identity::account(keys);
    let chain = context.chain().await?;
    if let Some(owner) = chain.finalized().await?.user_of(&account.id()).await? {
        return Err(Failure::usage(
            format!("this key file already belongs to user {owner}"),
            "make a new key file for the recovery",
        )
        .with_command(context.command(["keys", "new", "--help"])));
    }
    let version = profile(user, context).await?.version;
    let sealing_key = keys.sealing.public().hash();
    let genesis = chain.genesis_hash();
    let until = chain.finalized_head().await?.number.saturating_add(MAX_CONSENT_BLOCKS);
    let consent = naming::recovery(&account, genesis, hospital, user, sealing_key, version, until);
    Ok(Consented { user, hospital, consent, until: Some(until) })
}

#[cfg(test)]
mod tests {
    use epione_primitives::Hash;

    use super::*;

    fn shown(block: BlockNumber, objection: Option<Objection>) -> String {
        let recovery = Recovery {
            hospital: HospitalId(3),
            account: AccountId::new([2; 32]),
            sealing_key_hash: Hash::zero(),
            version: 1,
            due: 1_000,
            lapses: 2_000,
            objection,
        };
        let decision = Some(recovery.decision());
        Proposed { user: UserId([1; 32]), recovery: Some(recovery), decision, block }.to_string()
    }

    #[test]
    fn a_recovery_says_who_can_do_what_and_when() {
        assert!(shown(960, None).contains("from block 1000 on (in about 2 minutes)"));
        assert!(shown(1_000, None).contains("can complete the recovery, before block 2000"));
        assert!(shown(1_999, Some(Objection::User)).contains("present account objected"));
        let other = Some(Objection::Hospital(HospitalId(5)));
        assert!(shown(5, other).contains("hospital 5 objected"));
        assert!(shown(5, other).contains("profiles.completeRecovery(0x0101"));
        assert!(!shown(5, None).contains("council"));
        assert!(shown(2_000, None).starts_with("no new keys are proposed"));
        assert_eq!(blocks(86_400), "72 hours");
    }
}
