//! `epione records get`: records into files, by a hospital's leave or with the patient's own key.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use clap::{Args, ValueEnum};
use epione_client::{
    reader::{Intent, OpenRecord, Reader},
    signer::Account,
    worker::WorkerClient,
};
use epione_envelope::keystore::ActorKeys;
use epione_primitives::{
    BlockNumber, HospitalId, RecordPointer, UserId, access, hospital::HospitalStatus, release,
};
use serde::Serialize;

use super::{ListArgs, PartArgs, files, files::RetrievedRecord, list};
use crate::{
    context::{Context, HospitalRef, Output},
    failure::{Failure, legible},
    identity::{self, KeySource},
    invocation::Invocation,
    progress,
};

#[derive(Debug, Args)]
pub struct GetArgs {
    /// The reader's key file
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    #[arg(long, value_name = "USER")]
    pub patient: UserId,
    /// A record: block height and index, as in 12/0; may be repeated
    #[arg(long = "pointer", value_name = "HEIGHT/INDEX", value_parser = pointer, required_unless_present = "all")]
    pub pointers: Vec<RecordPointer>,
    /// Every record of the patient
    #[arg(long, conflicts_with = "pointers")]
    pub all: bool,
    /// With --all: how many at most, newest first
    #[arg(long, default_value_t = 64)]
    pub limit: u32,
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

fn pointer(text: &str) -> Result<RecordPointer, String> {
    let parse = || {
        let (height, index) = text.split_once('/')?;
        Some(RecordPointer { height: height.parse().ok()?, index: index.parse().ok()? })
    };
    parse().ok_or_else(|| format!("{text:?} is not a record: write it as HEIGHT/INDEX, as in 12/0"))
}

/// Records that were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Retrieved {
    pub patient: UserId,
    pub records: Vec<RetrievedRecord>,
    /// What the chain keeps of it, one receipt for each grant; none for one's own key.
    pub receipts: Vec<Receipt>,
}

/// A receipt, as its reader wants to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Number among the patient's.
    pub receipt: u32,
    pub hospital: HospitalId,
    /// That allowed it, each once.
    pub policies: Vec<String>,
    /// Of the hospital's policy set; 0 is the default set.
    pub version: u32,
    /// Of the chain.
    pub block: BlockNumber,
    /// Of an emergency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<release::ReviewId>,
}

impl Output for Retrieved {}

impl fmt::Display for Retrieved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for record in &self.records {
            let by = if record.record.cosigned { "author and patient" } else { "author" };
            let directory = record.directory.display();
            writeln!(f, "{}  signed by its {by}  {directory}", record.record.pointer)?;
            for section in &record.sections {
                match &section.file {
                    Some(file) => writeln!(
                        f,
                        "  {:<13} {:>10} bytes  sha256 {}  {}",
                        section.kind,
                        file.bytes,
                        file.sha256.get(..16).unwrap_or_default(),
                        file.name
                    )?,
                    None => writeln!(f, "  {:<13} not granted", section.kind)?,
                }
            }
        }
        for receipt in &self.receipts {
            writeln!(f, "{receipt}")?;
        }
        write!(f, "{} records, every byte verified", self.records.len())
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { receipt, hospital, policies, version, block, review } = self;
        let policies = policies.join("\", \"");
        write!(
            f,
            "receipt {receipt}: allowed at hospital {hospital} by \"{policies}\" (version \
             {version}), chain block {block}"
        )?;
        match review {
            Some(review) => write!(f, "; an emergency, under review {review}"),
            None => Ok(()),
        }
    }
}

/// Reads records. Nothing unverified is written.
pub async fn get(args: &GetArgs, context: &Context) -> Result<Retrieved, Failure> {
    let (keys, user) = who(args, context).await?;
    let mut by_hospital: BTreeMap<HospitalId, Vec<RecordPointer>> = BTreeMap::new();
    for (hospital, pointer) in wanted(args, context).await? {
        by_hospital.entry(hospital).or_default().push(pointer);
    }
    if args.own_key {
        return with_own_key(args, &keys, by_hospital, context).await;
    }
    let intent = intent(args, user);
    let mut retrieved =
        Retrieved { patient: args.patient, records: Vec::new(), receipts: Vec::new() };
    for (hospital, pointers) in by_hospital {
        let reader = granted_reader(args, hospital, &keys, context).await?;
        for record in &granted(&reader, args.patient, &pointers, intent, context).await? {
            retrieved.records.push(files::save(&reader, record, &args.out, context).await?);
        }
        retrieved.receipts.extend(receipts(args.patient, user, &pointers, context).await?);
    }
    Ok(retrieved)
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

pub(super) async fn granted(
    reader: &Reader,
    patient: UserId,
    pointers: &[RecordPointer],
    intent: Intent,
    context: &Context,
) -> Result<Vec<OpenRecord>, Failure> {
    let spinner = progress::waiting(context, "asking for access");
    let open = reader.open(patient, pointers, intent).await;
    spinner.finish_and_clear();
    Ok(open?)
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

/// Reads a patient's records from the chain and any worker's store.
async fn with_own_key(
    args: &GetArgs,
    keys: &ActorKeys,
    by_hospital: BTreeMap<HospitalId, Vec<RecordPointer>>,
    context: &Context,
) -> Result<Retrieved, Failure> {
    let reader = own_reader(args, by_hospital.keys().copied(), keys, context).await?;
    let pointers: Vec<_> = by_hospital.into_values().flatten().collect();
    let mut records = Vec::with_capacity(pointers.len());
    for record in &opened(&reader, args.patient, &pointers, context).await? {
        records.push(files::save(&reader, record, &args.out, context).await?);
    }
    Ok(Retrieved { patient: args.patient, records, receipts: Vec::new() })
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

pub(super) async fn opened(
    reader: &Reader,
    patient: UserId,
    pointers: &[RecordPointer],
    context: &Context,
) -> Result<Vec<OpenRecord>, Failure> {
    let spinner = progress::waiting(context, "opening with one's own key");
    let open = reader.open_own(patient, pointers).await;
    spinner.finish_and_clear();
    Ok(open?)
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
    let newest = snapshot.receipts(patient, None, RECENT_RECEIPTS).await?;
    let mut missing = pointers.to_vec();
    let mut receipts = Vec::new();
    for (number, receipt) in newest {
        let release = &receipt.release;
        let covers = |pointer: &RecordPointer| {
            release.records.iter().any(|record| record.pointer == *pointer)
        };
        if release.requester != reader || !missing.iter().any(covers) {
            continue;
        }
        missing.retain(|pointer| !covers(pointer));
        let mut policies: Vec<_> = receipt.policies.iter().map(|name| legible(name)).collect();
        policies.dedup();
        receipts.push(Receipt {
            receipt: number,
            hospital: receipt.hospital,
            policies,
            version: receipt.version,
            block: receipt.block,
            review: receipt.review,
        });
    }
    Ok(receipts)
}

/// Others may have looked since.
const RECENT_RECEIPTS: u32 = 32;

/// The records that are asked for, with the hospitals that hold them.
pub(super) async fn wanted(
    args: &GetArgs,
    context: &Context,
) -> Result<Vec<(HospitalId, RecordPointer)>, Failure> {
    let limit = if args.all { args.limit } else { u32::MAX };
    let listing = list(&ListArgs { patient: args.patient, limit }, context).await?;
    let known: BTreeMap<_, _> =
        listing.records.iter().map(|record| (record.pointer, record.hospital)).collect();
    if args.all {
        if known.is_empty() {
            return Err(Failure::new(
                format!("the chain holds no record of {}", args.patient),
                "check the patient's id; visits appear once they are committed",
            )
            .with_command(context.command(["user", "list", "--role", "patient"])));
        }
        return Ok(known.into_iter().map(|(pointer, hospital)| (hospital, pointer)).collect());
    }
    let wanted = args.pointers.iter().map(|pointer| {
        let hospital = known.get(pointer).ok_or_else(|| {
            Failure::new(format!("the patient has no record {pointer}"), "see which there are")
                .with_command(list_command(args.patient, context))
        })?;
        Ok((*hospital, *pointer))
    });
    wanted.collect()
}

fn list_command(patient: UserId, context: &Context) -> Invocation {
    context.command(["records", "list", "--patient"]).with([patient.to_string()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_a_height_and_an_index() {
        assert_eq!(pointer("12/3"), Ok(RecordPointer { height: 12, index: 3 }));
        for wrong in ["", "12", "12/", "a/b", "1/2/3", "1/70000"] {
            assert!(pointer(wrong).is_err(), "{wrong}");
        }
    }
}
