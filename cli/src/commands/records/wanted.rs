//! Which records are requested, and at which hospital each was written.

use std::collections::{BTreeMap, BTreeSet};

use epione_client::reader;
use epione_primitives::{HospitalId, RecordPointer, UserId};

use super::{FailedRecord, GetArgs, ListArgs, list};
use crate::{context::Context, failure::Failure};

/// The requested records.
#[derive(Default)]
pub(super) struct Wanted {
    /// Grouped by the hospital at which they were written, each once.
    pub by_hospital: BTreeMap<HospitalId, BTreeSet<RecordPointer>>,
    /// Records that the chain does not have, or that belong to another patient.
    pub unknown: BTreeSet<RecordPointer>,
    /// Records that cannot be read, and why.
    pub failed: Vec<FailedRecord>,
    /// Whether the limit left out older ones.
    pub more: bool,
}

impl Wanted {
    pub async fn of(args: &GetArgs, context: &Context) -> Result<Self, Failure> {
        if args.all { Self::all(args, context).await } else { Self::named(args, context).await }
    }

    /// The newest records of the patient, up to the limit.
    async fn all(args: &GetArgs, context: &Context) -> Result<Self, Failure> {
        let listing = list(&ListArgs { patient: args.patient, limit: args.limit }, context).await?;
        if listing.records.is_empty() && listing.failed.is_empty() {
            return Err(no_records(args.patient, context));
        }
        let mut wanted = Self { more: listing.more, failed: listing.failed, ..Self::default() };
        for record in listing.records {
            wanted.by_hospital.entry(record.hospital).or_default().insert(record.pointer);
        }
        Ok(wanted)
    }

    /// The records of --pointer. No other record is read.
    async fn named(args: &GetArgs, context: &Context) -> Result<Self, Failure> {
        let mut wanted = Self::default();
        let state = context.chain().await?.finalized().await?;
        for pointer in args.pointers.iter().copied() {
            match reader::hospital_of(&state, args.patient, pointer).await? {
                Some(hospital) => {
                    wanted.by_hospital.entry(hospital).or_default().insert(pointer);
                }
                None => {
                    wanted.unknown.insert(pointer);
                }
            }
        }
        Ok(wanted)
    }
}

fn no_records(patient: UserId, context: &Context) -> Failure {
    Failure::new(
        format!("the chain has no record of {patient}"),
        "check the patient's id; a visit becomes a record when it is committed",
    )
    .with_command(context.command(["user", "list", "--role", "patient"]))
}

/// The patient has no record with this pointer.
pub(in crate::commands) fn unknown(
    patient: UserId,
    pointer: RecordPointer,
    context: &Context,
) -> Failure {
    let list = context.command(["records", "list"]).with(["--patient", &patient.to_string()]);
    Failure::new(
        format!("the patient has no record {pointer}"),
        "choose one of the patient's records",
    )
    .with_command(list)
}
