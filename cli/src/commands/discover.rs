//! `epione discover`: asks hospitals how many patients share something with the requester.

use std::fmt;

use clap::Args;
use epione_client::{
    api::{CountRequest, Month},
    worker::WorkerClient,
};
use epione_envelope::record::SectionKind;
use epione_primitives::{HospitalId, access::Purpose, hospital::Hospital};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::{
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::{self, KeySource},
    progress, table,
    wording::{counted, legible},
    words::argument,
};

#[derive(Debug, Args)]
pub struct DiscoverArgs {
    /// Your key file: the requester's
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// Kind of section; may be repeated: a section of one of the kinds counts [default: any kind]
    #[arg(long = "kind", value_name = "KIND", value_parser = argument::<SectionKind>())]
    pub kinds: Vec<SectionKind>,
    /// Only DICOM files of this imaging modality, as DICOM spells it, such as CT
    #[arg(long, value_name = "CODE")]
    pub modality: Option<String>,
    /// Only records that were signed in this month or later (UTC), as in 2026-01
    #[arg(long, value_name = "MONTH")]
    pub from: Option<Month>,
    /// Only records that were signed in this month or earlier (UTC), as in 2026-06
    #[arg(long, value_name = "MONTH")]
    pub to: Option<Month>,
    /// What you want to read the sections for: the consents of patients name purposes
    #[arg(long, value_name = "PURPOSE", value_parser = argument::<Purpose>())]
    pub purpose: Purpose,
    /// Number or name of a hospital to ask; may be repeated [default: all active hospitals]
    #[arg(long = "hospital", value_name = "HOSPITAL")]
    pub hospitals: Vec<HospitalRef>,
}

impl DiscoverArgs {
    fn question(&self) -> Result<CountRequest, Failure> {
        if self.purpose == Purpose::Emergency {
            return Err(Failure::usage(
                "no consent shares sections for emergencies",
                "give another --purpose, such as research",
            ));
        }
        if self.from.zip(self.to).is_some_and(|(from, to)| from > to) {
            return Err(Failure::usage("--from is after --to", "exchange the two months"));
        }
        let Self { kinds, modality, from, to, purpose, .. } = self;
        let (kinds, modality) = (kinds.clone(), modality.clone());
        Ok(CountRequest { kinds, modality, from: *from, to: *to, purpose: *purpose })
    }
}

/// The answer of a hospital.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answered {
    pub hospital: HospitalId,
    pub name: String,
    /// The hospital tells no smaller number of patients.
    pub floor: u32,
    /// At least so many. Absent: fewer patients than the floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patients: Option<u32>,
}

/// A hospital that did not answer, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unanswered {
    pub hospital: HospitalId,
    pub name: String,
    pub reason: String,
}

/// The answers of the hospitals, by their numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Discovered {
    pub hospitals: Vec<Answered>,
    /// The sum: at least so many. A patient of several hospitals is counted at each.
    pub total: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<Unanswered>,
}

impl Discovered {
    fn new(mut hospitals: Vec<Answered>, mut unanswered: Vec<Unanswered>) -> Self {
        hospitals.sort_by_key(|answered| answered.hospital);
        unanswered.sort_by_key(|unanswered| unanswered.hospital);
        let numbers = hospitals.iter().filter_map(|answered| answered.patients);
        let total = numbers.fold(0, u32::saturating_add);
        Self { hospitals, total, unanswered }
    }
}

impl Output for Discovered {
    /// Fails if a hospital did not answer.
    fn passed(&self) -> bool {
        self.unanswered.is_empty()
    }
}

impl fmt::Display for Discovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Unanswered { hospital, name, reason } in &self.unanswered {
            writeln!(f, "hospital {hospital} ({name}) DID NOT ANSWER: {reason}")?;
        }
        let heading = ["HOSPITAL", "NAME", "PATIENTS"].map(String::from);
        let rows = self.hospitals.iter().map(|answered| {
            let patients = match answered.patients {
                Some(patients) => format!("at least {patients}"),
                None => format!("fewer than {}", answered.floor),
            };
            [answered.hospital.to_string(), answered.name.clone(), patients]
        });
        let rows: Vec<_> = std::iter::once(heading).chain(rows).collect();
        writeln!(f, "{}", table::lines(&rows).join("\n"))?;
        write!(
            f,
            "together at least {}; a patient of several hospitals is counted at each",
            counted(self.total, "patient", "patients")
        )
    }
}

/// Asks hospitals how many patients share something with the requester.
pub async fn discover(args: &DiscoverArgs, context: &Context) -> Result<Discovered, Failure> {
    let question = args.question()?;
    let account = identity::account(&context.keys(&args.signer)?);
    let asked = hospitals(args, context).await?;
    let step = progress::waiting(context, "asking the hospitals");
    let (mut answered, mut unanswered) = (Vec::new(), Vec::new());
    let mut underway = JoinSet::new();
    for (hospital, entry) in asked {
        let name = legible(&entry.name);
        match context.worker(hospital, account.clone()).await {
            Ok(worker) => {
                underway.spawn(ask(worker, question.clone(), hospital, name));
            }
            Err(failure) => {
                unanswered.push(Unanswered { hospital, name, reason: failure.error });
            }
        }
    }
    while let Some(ended) = underway.join_next().await {
        match ended.map_err(|error| Failure::new(error.to_string(), "try again"))? {
            Ok(answer) => answered.push(answer),
            Err(silent) => unanswered.push(silent),
        }
    }
    step.finish_and_clear();
    Ok(Discovered::new(answered, unanswered))
}

/// The hospitals of the arguments, each once; otherwise all active and leaving ones.
async fn hospitals(
    args: &DiscoverArgs,
    context: &Context,
) -> Result<Vec<(HospitalId, Hospital)>, Failure> {
    let mut known = context.chain().await?.finalized().await?.hospitals().await?;
    if args.hospitals.is_empty() {
        known.retain(|(_, hospital)| hospital.status.serves());
        return Ok(known);
    }
    let mut wanted = Vec::new();
    for hospital in &args.hospitals {
        wanted.push(context.hospital(hospital).await?);
    }
    known.retain(|(id, _)| wanted.contains(id));
    Ok(known)
}

async fn ask(
    worker: WorkerClient,
    question: CountRequest,
    hospital: HospitalId,
    name: String,
) -> Result<Answered, Unanswered> {
    match worker.count(&question).await {
        Ok(reply) => Ok(Answered { hospital, name, floor: reply.floor, patients: reply.patients }),
        Err(error) => {
            Err(Unanswered { hospital, name, reason: legible(error.to_string().as_bytes()) })
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: DiscoverArgs,
    }

    fn parsed(more: &[&str]) -> Result<DiscoverArgs, clap::Error> {
        let words = ["discover", "--as", "researcher.json"].iter().chain(more);
        Cli::try_parse_from(words).map(|cli| cli.args)
    }

    fn answered(hospital: u16, patients: Option<u32>) -> Answered {
        Answered { hospital: HospitalId(hospital), name: "A".into(), floor: 10, patients }
    }

    #[test]
    fn the_arguments_become_the_question() {
        let args = parsed(&[
            "--kind",
            "diagnosis",
            "--kind",
            "report",
            "--modality",
            "CT",
            "--from",
            "2026-01",
            "--to",
            "2026-06",
            "--purpose",
            "research",
            "--hospital",
            "3",
            "--hospital",
            "Charite",
        ]);
        let args = args.unwrap_or_else(|error| panic!("{error}"));
        let question = args.question().unwrap();
        let json = r#"{"kinds":["diagnosis","report"],"modality":"CT","from":"2026-01","to":"2026-06","purpose":"research"}"#;
        assert_eq!(serde_json::to_string(&question).unwrap(), json);
        let named = [HospitalRef::Id(HospitalId(3)), HospitalRef::Name("Charite".into())];
        assert_eq!(args.hospitals, named);
    }

    #[test]
    fn what_no_hospital_can_answer_is_refused_at_once() {
        for wrong in [
            &["--kind", "diagnosis"][..],
            &["--purpose", "curiosity"],
            &["--purpose", "research", "--kind", "poem"],
            &["--purpose", "research", "--from", "2026-01-05"],
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
        for wrong in [
            &["--purpose", "emergency"][..],
            &["--purpose", "research", "--from", "2026-02", "--to", "2026-01"],
        ] {
            let args = parsed(wrong).unwrap_or_else(|error| panic!("{error}"));
            assert!(args.question().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn lower_bounds_are_added_and_a_hospital_without_an_answer_is_named() {
        let found = vec![answered(2, Some(20)), answered(0, None), answered(1, Some(10))];
        let complete = Discovered::new(found.clone(), Vec::new());
        assert!(complete.passed());
        assert_eq!(complete.total, 30);
        let text = complete.to_string();
        assert!(text.contains("fewer than 10") && text.contains("at least 20"), "{text}");
        assert!(text.ends_with("counted at each"), "{text}");
        assert!(!serde_json::to_string(&complete).unwrap().contains("unanswered"));

        let silent =
            Unanswered { hospital: HospitalId(7), name: "B".into(), reason: "away".into() };
        let partial = Discovered::new(found, vec![silent]);
        assert!(!partial.passed());
        let text = partial.to_string();
        assert!(text.starts_with("hospital 7 (B) DID NOT ANSWER: away\n"), "{text}");
        let json = serde_json::to_value(&partial).unwrap();
        assert_eq!(json["unanswered"][0]["hospital"], 7);
        assert_eq!(json["hospitals"][2]["patients"], 20);
    }
}
