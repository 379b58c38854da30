//! `epione records get`: what is asked for, and of whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use clap::{Args, ValueEnum};
use epione_client::{
    reader::{self, Intent, Reader},
    signer::Account,
    worker::WorkerClient,
};
use epione_envelope::keystore::ActorKeys;
use epione_primitives::{
    HospitalId, RecordPointer, UserId, access, hospital::HospitalStatus, limits::MAX_PAGE, release,
};

use super::{ListArgs, PartArgs, Receipt, list};
use crate::{
    context::{Context, HospitalRef},
    failure::Failure,
    identity::{self, KeySource},
    invocation::Invocation,
    wording::legible,
};

#[derive(Debug, Args)]
pub struct GetArgs {
    /// The reader's key file
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    #[arg(long, value_name = "USER")]
    pub patient: UserId,
    /// A record: block height and index, as in 12/0; may be repeated
    #[arg(long = "pointer", value_name = "HEIGHT/INDEX", required_unless_present = "all")]
    pub pointers: Vec<RecordPointer>,
    /// Every record of the patient
    #[arg(long, conflicts_with = "pointers")]
    pub all: bool,
    /// With --all: how many at most, newest first [default: all]
    #[arg(long, value_name = "NUMBER", requires = "all", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Folder to write to; each record gets a folder of its own in it
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Why [default: patient-request for the patient, treatment for everybody else]
    #[arg(long, value_enum)]
    pub purpose: Option<Purpose>,
    /// Break the glass, where the hospital's policies let a doctor: the patient sees it first, and the
    /// other hospitals review it
    #[arg(long, value_enum, value_name = "REASON", conflicts_with = "purpose")]
    pub emergency: Option<Emergency>,
    /// The patient alone: open with one's own key, without any hospital's leave
    #[arg(long, conflicts_with_all = ["purpose", "emergency"])]
    pub own_key: bool,
    /// With --own-key: a key file from before a rotation, to which a hospital's profile of the patient
    /// may still be sealed; may be repeated
    #[arg(long, value_name = "FILE", requires = "own_key")]
    pub earlier_keys: Vec<KeySource>,
    /// Whose worker to ask [default: the record's hospital; with --own-key, any that answers]
    #[arg(long, value_name = "HOSPITAL")]
    pub from: Option<HospitalRef>,
    #[command(flatten)]
    pub part: PartArgs,
}

impl GetArgs {
    /// What to say when a signal ends it. `again` is the same command.
    pub(crate) fn when_interrupted(&self, again: &str) -> String {
        let out = self.out.display();
        if self.part.is_some() {
            return format!("nothing of the part was kept in {out}; to read it, run: {again}");
        }
        format!("what was read by then is kept in {out}; to go on from there, run: {again}")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Purpose {
    Treatment,
    PatientRequest,
    Research,
    Audit,
}

impl From<Purpose> for access::Purpose {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Treatment => Self::Treatment,
            Purpose::PatientRequest => Self::PatientRequest,
            Purpose::Research => Self::Research,
            Purpose::Audit => Self::Audit,
        }
    }
}

/// Why the glass is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Emergency {
    /// Life or limb is in danger
    LifeThreatening,
    /// The patient cannot be asked, and the treatment cannot wait
    UnableToConsent,
    /// Those who treat the patient cannot be reached
    CareTeamUnreachable,
    /// An outbreak, a disaster, or a danger to others
    PublicHealth,
}

impl From<Emergency> for release::EmergencyReason {
    fn from(reason: Emergency) -> Self {
        match reason {
            Emergency::LifeThreatening => Self::LifeThreatening,
            Emergency::UnableToConsent => Self::UnableToConsent,
            Emergency::CareTeamUnreachable => Self::CareTeamUnreachable,
            Emergency::PublicHealth => Self::PublicHealth,
        }
    }
}

/// The reader's keys, and who they are.
pub(super) async fn who(args: &GetArgs, context: &Context) -> Result<(ActorKeys, UserId), Failure> {
    let keys = context.keys(&args.signer)?;
    let user = context.user_of(&identity::account(&keys)).await?;
    if args.own_key && user != args.patient {
        return Err(Failure::usage(
            "--own-key opens the records of the key's owner only",
            "leave it out to ask the records' hospital for access",
        ));
    }
    Ok((keys, user))
}

/// Reads by the leave of the records' hospital, or of the one that is named.
pub(super) async fn granted_reader(
    args: &GetArgs,
    hospital: HospitalId,
    keys: &ActorKeys,
    context: &Context,
) -> Result<Reader, Failure> {
    let asked = match &args.from {
        Some(hospital) => context.hospital(hospital).await?,
        None => hospital,
    };
    let worker = context.worker(asked, identity::account(keys)).await?;
    reader(worker, keys, context).await
}

pub(super) fn intent(args: &GetArgs, user: UserId) -> Intent {
    let own = user == args.patient;
    let usual = if own { access::Purpose::PatientRequest } else { access::Purpose::Treatment };
    let emergency = args.emergency.map(release::EmergencyReason::from);
    let purpose = match emergency {
        Some(_) => access::Purpose::Emergency,
        None => args.purpose.map_or(usual, access::Purpose::from),
    };
    Intent { purpose, emergency }
}

async fn reader(
    worker: WorkerClient,
    keys: &ActorKeys,
    context: &Context,
) -> Result<Reader, Failure> {
    Ok(Reader::new(context.chain().await?.clone(), worker, keys.sealing.clone()))
}

/// Reads with the patient's own key, from a worker of these hospitals or of any other.
pub(super) async fn own_reader(
    args: &GetArgs,
    hospitals: impl Iterator<Item = HospitalId>,
    keys: &ActorKeys,
    context: &Context,
) -> Result<Reader, Failure> {
    let account = identity::account(keys);
    let worker = match &args.from {
        Some(hospital) => context.worker(context.hospital(hospital).await?, account).await?,
        None => any_worker(hospitals, account, context).await?,
    };
    let earlier = args.earlier_keys.iter().map(|source| Ok(context.keys(source)?.sealing));
    let earlier = earlier.collect::<Result<Vec<_>, Failure>>()?;
    Ok(reader(worker, keys, context).await?.with_earlier_sealing_keys(earlier))
}

/// The first worker that answers: of the records' own hospitals, then of the others.
async fn any_worker(
    first: impl Iterator<Item = HospitalId>,
    account: Account,
    context: &Context,
) -> Result<WorkerClient, Failure> {
    let mut candidates: Vec<_> = first.collect();
    let known = context.chain().await?.finalized().await?.hospitals().await?;
    let active = known.iter().filter(|(_, it)| it.status == HospitalStatus::Active);
    for (id, _) in active {
        if !candidates.contains(id) {
            candidates.push(*id);
        }
    }
    for hospital in candidates {
        let worker = context.worker(hospital, account.clone()).await?;
        if worker.info().await.is_ok_and(|info| info.hospital == hospital) {
            return Ok(worker);
        }
    }
    Err(Failure::new(
        "no hospital's worker answers",
        "try again later, or name one with --from HOSPITAL or --worker URL",
    ))
}

/// The newest receipts that the chain keeps of a user's look at these records.
pub(super) async fn receipts(
    patient: UserId,
    reader: UserId,
    pointers: &[RecordPointer],
    context: &Context,
) -> Result<Vec<Receipt>, Failure> {
    let snapshot = context.chain().await?.finalized().await?;
    let (mut missing, mut before) = (pointers.to_vec(), None);
    let mut receipts = Vec::new();
    // Others may have looked since.
    while !missing.is_empty() {
        let page = snapshot.receipts(patient, before, MAX_PAGE).await?;
        let Some((oldest, _)) = page.last() else { break };
        before = Some(*oldest);
        for (number, kept) in page {
            let covers = |pointer: &RecordPointer| {
                kept.release.records.iter().any(|record| record.pointer == *pointer)
            };
            if kept.release.requester == reader && missing.iter().any(covers) {
                missing.retain(|pointer| !covers(pointer));
                receipts.push(receipt(number, kept));
            }
        }
    }
    Ok(receipts)
}

fn receipt(number: u32, kept: release::Receipt) -> Receipt {
    let mut policies: Vec<_> = kept.policies.iter().map(|name| legible(name)).collect();
    policies.dedup();
    Receipt {
        receipt: number,
        hospital: kept.hospital,
        policies,
        version: kept.version,
        block: kept.block,
        review: kept.review,
    }
}

/// The records that are asked for.
pub(super) struct Wanted {
    /// By the hospitals that hold them, each once.
    pub by_hospital: BTreeMap<HospitalId, BTreeSet<RecordPointer>>,
    /// Those that the chain does not have.
    pub missing: BTreeSet<RecordPointer>,
    /// Whether there are older ones, which the limit left out.
    pub more: bool,
}

pub(super) async fn wanted(args: &GetArgs, context: &Context) -> Result<Wanted, Failure> {
    let mut wanted = Wanted { by_hospital: BTreeMap::new(), missing: BTreeSet::new(), more: false };
    if args.all {
        let listing = list(&ListArgs { patient: args.patient, limit: args.limit }, context).await?;
        if listing.records.is_empty() {
            return Err(Failure::new(
                format!("the chain holds no record of {}", args.patient),
                "check the patient's id; visits appear once they are committed",
            )
            .with_command(context.command(["user", "list", "--role", "patient"])));
        }
        wanted.more = listing.more;
        for record in listing.records {
            wanted.by_hospital.entry(record.hospital).or_default().insert(record.pointer);
        }
        return Ok(wanted);
    }
    let snapshot = context.chain().await?.finalized().await?;
    for pointer in args.pointers.iter().copied() {
        match reader::hospital_of(&snapshot, args.patient, pointer).await? {
            Some(hospital) => {
                wanted.by_hospital.entry(hospital).or_default().insert(pointer);
            }
            None => {
                wanted.missing.insert(pointer);
            }
        }
    }
    Ok(wanted)
}

pub(super) fn unknown(patient: UserId, pointer: RecordPointer, context: &Context) -> Failure {
    Failure::new(format!("the patient has no record {pointer}"), "see which there are")
        .with_command(list_command(patient, context))
}

fn list_command(patient: UserId, context: &Context) -> Invocation {
    context.command(["records", "list", "--patient"]).with([patient.to_string()])
}
