//! `epione records get --opening`: reads what the hospitals open together, into the same folders as other records.

use std::{fmt, fs};

use epione_client::{
    opening::Openings,
    reader::{OpenedTogether, OpeningFault, PartFault, Reader},
    signer::Account,
    worker::WorkerClient,
};
use epione_primitives::{HospitalId, consortium::Epoch, opening::OpeningId};
use serde::Serialize;

use super::{
    GetArgs, Retrieved,
    accepted::{incomplete, save},
    get::make_folder,
};
use crate::{
    context::{Context, Output},
    failure::Failure,
    identity, progress,
    wording::legible,
};

/// What was read of an opening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Opened {
    pub opening: OpeningId,
    /// The hospitals whose parts opened the sections, ascending; none if nothing was missing in the folder.
    pub hospitals: Vec<HospitalId>,
    /// The hospitals whose parts did not count, as far as they had answered, ascending.
    pub faults: Vec<HospitalFault>,
    #[serde(flatten)]
    pub retrieved: Retrieved,
}

/// Why a hospital's part did not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HospitalFault {
    pub hospital: HospitalId,
    pub reason: String,
    /// Whether it sent something that it must not send. Otherwise it only did not help.
    pub is_breach: bool,
}

impl HospitalFault {
    fn new((hospital, fault): (HospitalId, PartFault)) -> Self {
        Self { hospital, is_breach: fault.is_breach(), reason: fault.to_string() }
    }
}

impl Output for Opened {
    fn passed(&self) -> bool {
        self.retrieved.passed()
    }
}

impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { opening, hospitals, faults, retrieved } = self;
        if !hospitals.is_empty() {
            let hospitals: Vec<_> = hospitals.iter().map(HospitalId::to_string).collect();
            writeln!(f, "opening {opening}: opened by hospitals {}", hospitals.join(", "))?;
        }
        for HospitalFault { hospital, reason, is_breach } in faults {
            let reason = legible(reason.as_bytes());
            let what = if *is_breach { "WRONG PART of" } else { "no part of" };
            writeln!(f, "{what} hospital {hospital}: {reason}")?;
        }
        retrieved.fmt(f)
    }
}

/// Collects the hospitals' parts for what is not in the folder yet, and saves it. Nothing unverified is written. If
/// nothing is missing, no hospital is asked.
pub async fn get_opened(args: &GetArgs, context: &Context) -> Result<Opened, Failure> {
    let id = OpeningId(args.opening.unwrap_or_default());
    let keys = context.keys(&args.signer)?;
    let account = identity::account(&keys);
    let chain = context.chain().await?;
    let opening = Openings::new(chain.clone()).show(id).await?.opening;
    let user = context.user_of(&account).await?;
    if user != opening.requester {
        return Err(OpeningFault::NotRequester { opening: id, user }.into());
    }
    if opening.patient != args.patient {
        return Err(Failure::usage(
            format!("opening {id} is of records of patient {}", opening.patient),
            "give this patient with --patient, or another number with --opening",
        ));
    }
    let is_new = make_folder(&args.out)?;
    let mut retrieved = Retrieved::of(args.patient, false);
    let (mut records, mut folders) = (Vec::new(), Vec::new());
    for wanted in &opening.records {
        match incomplete(args.patient, wanted, &args.out, context, &mut retrieved).await {
            Ok(Some((record, folder))) => {
                records.push(record);
                folders.push((wanted.pointer, folder));
            }
            Ok(None) => {}
            Err(failure) => retrieved.fails(wanted.pointer, failure),
        }
    }
    let (mut hospitals, mut faults) = (Vec::new(), Vec::new());
    if !records.is_empty() {
        let epoch = chain.finalized().await?.current_epoch().await?.ok_or(OpeningFault::NoKey)?;
        let (workers, unusable) = workers(&epoch, &account, context).await?;
        faults = unusable;
        let first = workers.first().cloned().ok_or_else(no_worker)?;
        let reader = Reader::new(chain.clone(), first, keys.sealing.clone());
        let spinner = progress::waiting(context, "collecting the hospitals' parts");
        let opened = reader.open_standing(id, records, &workers).await;
        spinner.finish_and_clear();
        match opened {
            Ok(OpenedTogether { reader, records, hospitals: used, faults: dropped }) => {
                hospitals = used;
                faults.extend(dropped.0.into_iter().map(HospitalFault::new));
                save(&reader, Ok(records), folders, context, &mut retrieved).await;
            }
            Err(error) => {
                save(&reader, Err(error.into()), folders, context, &mut retrieved).await;
            }
        }
    }
    if is_new {
        // Removed only if it is empty: no record was read.
        let _ = fs::remove_dir(&args.out);
    }
    faults.sort_by_key(|fault| fault.hospital);
    Ok(Opened { opening: id, hospitals, faults, retrieved: retrieved.conclude()? })
}

/// The workers of all members of the key, and the members whose workers cannot be asked.
async fn workers(
    epoch: &Epoch,
    account: &Account,
    context: &Context,
) -> Result<(Vec<WorkerClient>, Vec<HospitalFault>), Failure> {
    let chain = context.chain().await?;
    let (mut workers, mut faults) = (Vec::new(), Vec::new());
    for hospital in &epoch.members {
        match WorkerClient::for_hospital(chain, *hospital, account.clone()).await {
            Ok(worker) => workers.push(worker.with_waits(context.waits().clone())),
            Err(error) => {
                let fault = PartFault::NoAnswer(error.to_string());
                faults.push(HospitalFault::new((*hospital, fault)));
            }
        }
    }
    Ok((workers, faults))
}

fn no_worker() -> Failure {
    Failure::new(
        "no member of the consortium key has a worker that can be asked",
        "look at the hospitals' entries with `epione hospital list`, and tell the hospitals",
    )
}

#[cfg(test)]
mod tests {
    use epione_primitives::UserId;

    use super::*;

    fn opened(faults: Vec<HospitalFault>) -> Opened {
        let retrieved = Retrieved::of(UserId([1; 32]), false);
        let hospitals = [1, 2, 3].map(HospitalId).to_vec();
        Opened { opening: OpeningId(7), hospitals, faults, retrieved }
    }

    #[test]
    fn a_hospital_that_lied_is_told_apart_from_one_that_did_not_answer() {
        let faults = vec![
            HospitalFault::new((HospitalId(0), PartFault::NoAnswer("connection refused".into()))),
            HospitalFault::new((HospitalId(4), PartFault::Proof)),
        ];
        let opened = opened(faults);
        let text = opened.to_string();
        for line in [
            "opening 7: opened by hospitals 1, 2, 3\n",
            "no part of hospital 0: gave no part: connection refused\n",
            "WRONG PART of hospital 4: the proof",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        let json = serde_json::to_value(&opened).unwrap();
        assert_eq!(json["faults"][0]["isBreach"], false);
        assert_eq!(json["faults"][1]["isBreach"], true);
        assert_eq!(json["hospitals"], serde_json::json!([1, 2, 3]));
        assert!(json["records"].is_array());
    }
}
