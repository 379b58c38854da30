//! `epione opening ask`: a requester has sections opened by the hospitals, in an emergency under review.

use std::fmt;

use clap::Args;
use epione_client::{
    api::WantedRecord,
    opening::{NewOpening, Openings},
};
use epione_primitives::{
    BlockNumber, HospitalId, UserId,
    access::Purpose,
    limits::OPENING_BLOCKS,
    opening::OpeningId,
    release::{EmergencyReason, ReviewedEmergency},
};
use serde::Serialize;

use crate::{
    commands::{
        query::{
            Part, asking_hospital,
            part::{in_words, merged, wanted},
        },
        records::Emergency,
    },
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::{self, KeySource},
    progress,
    wording::word,
    words::argument,
};

#[derive(Debug, Args)]
pub struct AskArgs {
    /// Your key file: the requester's
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// Hospital for which you ask: your registration must be in force there, and the patient sees it [default: the only
    /// one at which it is]
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: Option<HospitalRef>,
    /// The patient: user id, its first digits, or a name that you set
    #[arg(long, value_name = "USER")]
    pub patient: UserId,
    /// A record, by block height and index, and the numbers of sections, as in 1/0:3,5 or 1/0:0-2; without numbers,
    /// every section that the patient shares with you. May be repeated
    #[arg(long = "record", value_name = "HEIGHT/INDEX[:SECTIONS]", required = true)]
    pub records: Vec<Part>,
    /// What you want to read it for. With emergency, the patient's emergency summary, for doctors only: the other
    /// hospitals review it, and the patient's list of accesses shows it first
    #[arg(long, value_name = "PURPOSE", value_parser = argument::<Purpose>())]
    pub purpose: Purpose,
    /// Why you read in an emergency, with --purpose emergency
    #[arg(long, value_enum, value_name = "REASON", required_if_eq("purpose", "emergency"))]
    pub reason: Option<Emergency>,
}

impl AskArgs {
    /// The reason of the emergency, if it is one.
    fn emergency(&self) -> Result<Option<EmergencyReason>, Failure> {
        match (self.purpose, self.reason) {
            (Purpose::Emergency, reason) => Ok(reason.map(EmergencyReason::from)),
            (_, None) => Ok(None),
            (_, Some(_)) => Err(Failure::usage(
                "only an emergency has a reason",
                "leave out --reason, or pass --purpose emergency; nothing was sent",
            )),
        }
    }
}

/// An opening on which the chain has decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Asked {
    pub opening: OpeningId,
    /// The hospital for which the requester asks.
    pub hospital: HospitalId,
    pub patient: UserId,
    /// The sections that the hospitals open.
    pub records: Vec<WantedRecord>,
    pub purpose: Purpose,
    /// In an emergency: its reason and its review.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emergency: Option<ReviewedEmergency>,
    /// The chain block that has the decision.
    pub block: BlockNumber,
    /// The last chain block in which the hospitals hand out their parts.
    pub until: BlockNumber,
    /// Reads the records.
    pub get: String,
}

impl Output for Asked {}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { opening, hospital, patient, records, purpose, block, until, get, .. } = self;
        let (records, purpose) = (in_words(records), word(purpose));
        writeln!(f, "opening {opening}, chain block {block}: the hospitals open for you")?;
        writeln!(f, "  {records}, of patient {patient}, for {purpose}")?;
        writeln!(f, "  as a user of hospital {hospital}")?;
        if let Some(ReviewedEmergency { reason, review }) = self.emergency {
            let reason = word(&reason);
            writeln!(f, "EMERGENCY: {reason}; the other hospitals review it as review {review}")?;
        }
        writeln!(f, "they hand out their parts until chain block {until}, about ten minutes")?;
        write!(f, "to read: {get}")
    }
}

/// Asks the chain for an opening.
pub async fn ask(args: &AskArgs, context: &Context) -> Result<Asked, Failure> {
    let (records, emergency) = (merged(&args.records)?, args.emergency()?);
    let account = identity::account(&context.keys(&args.signer)?);
    let chain = context.chain().await?;
    let user = context.user_of(&account).await?;
    let state = chain.finalized().await?;
    let hospital = asking_hospital((args.hospital.as_ref(), user), &state, context).await?;
    let (patient, purpose) = (args.patient, args.purpose);
    let new = NewOpening { hospital, patient, records, purpose, emergency };
    let spinner = progress::waiting(context, "waiting until the opening is finalized");
    let asked = Openings::new(chain.clone()).ask(&new, &account).await;
    spinner.finish_and_clear();
    let asked = asked?;
    let get = context
        .command(["records", "get"])
        .with(["--as"])
        .with([&args.signer])
        .with(["--patient".to_owned(), patient.to_string()])
        .with(["--opening".to_owned(), asked.id.to_string()])
        .with(["--out".to_owned(), format!("opening-{}", asked.id)]);
    let block = asked.block.number;
    Ok(Asked {
        opening: asked.id,
        hospital,
        patient,
        records: wanted(&asked.records),
        purpose,
        emergency: asked.emergency,
        block,
        until: block.saturating_add(OPENING_BLOCKS),
        get: get.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use epione_primitives::{
        RecordPointer,
        release::{ReviewId, SectionSet},
    };

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        ask: AskArgs,
    }

    fn parse(more: &[&str]) -> Result<AskArgs, clap::Error> {
        let patient = format!("0x{}", "01".repeat(32));
        let begin = ["ask", "--as", "//R", "--patient", &patient];
        Line::try_parse_from([&begin[..], more].concat()).map(|line| line.ask)
    }

    #[test]
    fn an_opening_needs_a_record_and_a_purpose_and_an_emergency_a_reason() {
        assert!(parse(&["--record", "1/0:3,5", "--purpose", "research"]).is_ok());
        assert!(parse(&["--record", "1/0", "--record", "2/0", "--purpose", "payment"]).is_ok());
        let reason = ["--record", "1/0", "--reason", "unable-to-consent", "--purpose"];
        let emergency = parse(&[&reason[..], &["emergency"]].concat()).unwrap();
        assert_eq!(emergency.emergency().unwrap(), Some(EmergencyReason::UnableToConsent));
        let research = parse(&[&reason[..], &["research"]].concat()).unwrap();
        assert!(research.emergency().unwrap_err().error.contains("only an emergency"));
        for wrong in [
            &["--record", "1/0"][..],
            &["--purpose", "research"],
            &["--record", "1", "--purpose", "research"],
            &["--record", "1/0", "--purpose", "emergency"],
            &["--record", "1/0:64", "--purpose", "research"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_result_names_the_sections_the_end_and_the_next_command() {
        let pointer = RecordPointer { height: 1, index: 0 };
        let asked = Asked {
            opening: OpeningId(7),
            hospital: HospitalId(2),
            patient: UserId([1; 32]),
            records: vec![WantedRecord { pointer, sections: Some(SectionSet(0b1010)) }],
            purpose: Purpose::Research,
            emergency: None,
            block: 40,
            until: 240,
            get: "epione records get --opening 7".into(),
        };
        let text = asked.to_string();
        for part in ["opening 7", "1/0 sections 1,3", "for research", "chain block 240"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.ends_with("to read: epione records get --opening 7"), "{text}");
        let json = serde_json::to_value(&asked).unwrap();
        assert_eq!(json["opening"], 7);
        assert_eq!(json["until"], 240);
        assert_eq!(json["records"][0]["sections"], serde_json::json!([1, 3]));
        assert_eq!(json.get("emergency"), None);

        let (reason, review) = (EmergencyReason::LifeThreatening, ReviewId(4));
        let emergency = Some(ReviewedEmergency { reason, review });
        let asked = Asked { purpose: Purpose::Emergency, emergency, ..asked };
        let text = asked.to_string();
        let said = "EMERGENCY: life threatening; the other hospitals review it as review 4";
        assert!(text.contains(said), "{text}");
        let json = serde_json::to_value(&asked).unwrap();
        assert_eq!(json["emergency"]["review"], 4);
    }
}
