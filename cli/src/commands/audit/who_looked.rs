//! `epione audit who-looked`: the receipts and refusals of a patient on the chain.

use std::fmt;

use clap::{ArgGroup, Args};
use epione_client::{api::WantedRecord, opening::Openings, query::Party};
use epione_policies::language::sentence;
use epione_primitives::{
    BlockNumber, Hash, HospitalId, UserId,
    access::{Denial, Purpose},
    profile::Role,
    release::{EmergencyReason, ReleasedRecord},
};
use serde::Serialize;

use super::{
    book::Book,
    handed_out::HandedOut,
    noted::NotedRead,
    reviews::Reviewed,
    urgent::{self, UrgentOpening},
};
use crate::{
    commands::opening,
    context::{Context, Output},
    failure::Failure,
    identity::KeySource,
    listing, table,
    wording::{numbers, word},
};

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("whose").required(true).args(["patient", "signer"])))]
pub struct WhoLookedArgs {
    /// The patient: user id, its first digits, or a name that you set
    #[arg(long, value_name = "USER")]
    pub patient: Option<UserId>,
    /// Instead of --patient: the patient's key file; only its public half is read
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Maximum number, newest first; emergencies, queries, openings and refusals are
    /// counted separately [default: all]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Also list refused requests, and the conditions that were not met
    #[arg(long)]
    pub refused: bool,
}

/// Everyone who read, according to the receipts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Looks {
    pub patient: UserId,
    /// What doctors had opened in emergencies by a consent for emergencies, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub emergency_openings: Vec<UrgentOpening>,
    /// Emergencies first, then the others; newest first in both.
    pub looks: Vec<Look>,
    /// The queries that the patient accepted; newest first. Those without a transfer: no hospital has recorded that it
    /// handed out the keys.
    pub queries: HandedOut,
    /// What else the hospitals opened together by a standing consent of the patient, newest first. Those that no
    /// hospital handed out: the chain permitted it, and a hospital can break the rule.
    pub openings: Vec<opening::Described>,
    /// What the patient noted of own readings, newest first. A reading with their own key leaves nothing on the chain
    /// unless the patient notes it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub own_reads: Vec<NotedRead>,
    /// Whether the limit left out older ones.
    pub more: bool,
    /// Only with --refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Vec<RefusedLook>>,
    /// Whether the limit left out older refusals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_refused: Option<bool>,
}

/// An access to records, what the requester signed, and the policies that allowed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Look {
    /// Number of the receipt among the patient's.
    pub receipt: u32,
    #[serde(flatten)]
    pub occasion: Occasion,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emergency: Option<EmergencyReason>,
    /// The policies that allowed it, each once.
    pub policies: Vec<String>,
    /// Version of the hospital's policy set; 0 is the default set.
    pub version: u32,
    /// What the requester signed that they request; without `sections`, all sections of a record.
    pub requested: Vec<WantedRecord>,
    /// What was granted.
    pub records: Vec<ReleasedRecord>,
    /// Hash of the request that the requester signed.
    pub request: Hash,
    /// Hash of the access grant.
    pub grant: Hash,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<Reviewed>,
}

/// A request that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedLook {
    /// Number of the refusal among the patient's.
    pub refusal: u32,
    #[serde(flatten)]
    pub occasion: Occasion,
    /// Whether it was a request for emergency access.
    pub emergency: bool,
    /// Hash of the request that the requester signed.
    pub request: Hash,
    /// The conditions that were not met, decided again for that time.
    pub denials: Vec<Denial>,
}

/// Who requested access, at which hospital, when and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Occasion {
    pub requester: UserId,
    pub role: Option<Role>,
    pub hospital: HospitalId,
    pub hospital_name: String,
    /// RFC 3339.
    pub at: String,
    /// The chain block in which it was decided.
    pub block: BlockNumber,
    pub purpose: Purpose,
}

impl Output for Looks {}

/// Lists a patient's receipts.
pub async fn who_looked(args: &WhoLookedArgs, context: &Context) -> Result<Looks, Failure> {
    let patient = match (&args.patient, &args.signer) {
        (Some(patient), _) => *patient,
        (None, Some(keys)) => context.user_with(&keys.public()?.account).await?,
        (None, None) => {
            return Err(Failure::usage("no patient is named", "pass --patient or --as"));
        }
    };
    let head = context.chain().await?.finalized_head().await?;
    let snapshot = context.chain().await?.at(head.hash);
    if snapshot.profile(patient).await?.is_none() {
        return Err(Failure::new(
            format!("the chain has no user {patient}"),
            "use the id of a registered patient",
        )
        .with_command(context.command(["user", "list", "--role", "patient"])));
    }
    let mut book = Book::open(snapshot, patient).await?;
    let asked = listing::asked(args.limit);
    let mut receipts = book.receipts(asked).await?;
    let (mut looks, urgent) = book.emergencies(asked, &receipts, head.number).await?;
    let emergencies = looks.len().saturating_add(urgent.len()) as u64;
    let more_emergencies = args.limit.is_some_and(|limit| emergencies > u64::from(limit));
    let mut queries = HandedOut::of(patient, asked, context).await?;
    let chain = context.chain().await?;
    // At the block of the emergencies: each opening is either among these or in the other list.
    let known = Openings::new(chain.clone());
    let mut opened = known.list_at(head, Party::Patient(patient), asked).await?;
    let more_openings = listing::cut(&mut opened.openings, args.limit);
    opened.openings.retain(|found| found.opening.emergency.is_none());
    let mut emergency_openings = urgent::opened(urgent, opened.block, chain).await?;
    let openings = opening::described(opened, chain).await?;
    let mut own_reads = book.own_reads(asked).await?;
    let more = listing::cut(&mut looks, args.limit)
        | listing::cut(&mut own_reads, args.limit)
        | listing::cut(&mut receipts, args.limit)
        | listing::cut(&mut queries.0, args.limit)
        | listing::cut(&mut emergency_openings, args.limit)
        | more_openings
        | more_emergencies;
    for (number, receipt) in receipts.into_iter().filter(|(_, receipt)| receipt.review.is_none()) {
        looks.push(book.look(number, receipt, None).await?);
    }
    let mut refused = if args.refused { Some(book.refusals(asked).await?) } else { None };
    let more_refused = refused.as_mut().map(|refused| listing::cut(refused, args.limit));
    let is_own = args.signer.is_some();
    let own_reads = own_reads.into_iter().map(|read| NotedRead::new(read, is_own)).collect();
    Ok(Looks {
        patient,
        emergency_openings,
        looks,
        queries,
        openings,
        own_reads,
        more,
        refused,
        more_refused,
    })
}

impl fmt::Display for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_alone =
            self.looks.is_empty() && self.queries.0.is_empty() && self.openings.is_empty();
        let is_alone = is_alone && self.emergency_openings.is_empty();
        if is_alone && self.own_reads.is_empty() {
            writeln!(f, "no one has read records of {}", self.patient)?;
        } else if is_alone {
            writeln!(f, "no one else has read records of {}", self.patient)?;
        }
        if !self.emergency_openings.is_empty() {
            writeln!(f, "EMERGENCIES, by the hospitals together, with a consent for emergencies:")?;
        }
        self.emergency_openings.iter().try_for_each(|urgent| writeln!(f, "{urgent}"))?;
        if !self.looks.is_empty() {
            let header = ["WHEN", "WHO", "WHERE", "WHY", "BY POLICY", "BLOCK", "RECEIPT"];
            let rows: Vec<_> = std::iter::once(header.map(String::from))
                .chain(self.looks.iter().map(Look::row))
                .collect();
            let lines = table::lines(&rows);
            let mut lines = lines.iter();
            writeln!(f, "{}", lines.next().map_or("", String::as_str))?;
            for (line, look) in lines.zip(&self.looks) {
                writeln!(f, "{line}\n    {}", look.detail())?;
                if let Some(review) = &look.review {
                    writeln!(f, "    {review}")?;
                }
            }
        }
        self.queries.fmt(f)?;
        if !self.openings.is_empty() {
            writeln!(f, "by the hospitals together, with a standing consent:")?;
        }
        self.openings.iter().try_for_each(|opening| writeln!(f, "{opening}"))?;
        self.own_reads.iter().try_for_each(|read| writeln!(f, "{read}"))?;
        if self.more {
            writeln!(f, "{}", listing::MORE)?;
        }
        self.refused.as_ref().map_or(Ok(()), |refused| fmt_refused(refused, f))?;
        if self.more_refused == Some(true) { writeln!(f, "{}", listing::MORE) } else { Ok(()) }
    }
}

fn fmt_refused(refused: &[RefusedLook], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if refused.is_empty() {
        return write!(f, "no request was refused");
    }
    writeln!(f, "refused:")?;
    let rows: Vec<_> = refused.iter().map(RefusedLook::row).collect();
    for (line, refused) in table::lines(&rows).iter().zip(refused) {
        writeln!(f, "{line}\n    by {}", refused.occasion.requester)?;
        for reason in refused.denials.iter().flat_map(sentence::denial) {
            writeln!(f, "    {reason}")?;
        }
    }
    Ok(())
}

impl Look {
    fn row(&self) -> [String; 7] {
        let why = match &self.emergency {
            Some(reason) => format!("EMERGENCY: {}", word(reason)),
            None => word(&self.occasion.purpose),
        };
        let policies = self.policies.join(", ");
        [
            self.occasion.at.clone(),
            self.occasion.who(),
            self.occasion.hospital_name.clone(),
            why,
            format!("{policies} (version {})", self.version),
            self.occasion.block.to_string(),
            self.receipt.to_string(),
        ]
    }

    /// The whole user id, what was granted, and what was requested in addition.
    fn detail(&self) -> String {
        let granted = self.records.iter().copied().map(WantedRecord::from);
        let granted: Vec<_> = granted.map(|record| of_record(&record)).collect();
        let requested: Vec<_> = self.requested.iter().map(of_record).collect();
        let read = format!("{} read {}", self.occasion.requester, granted.join("; "));
        if granted == requested {
            read
        } else {
            format!("{read} (requested: {})", requested.join("; "))
        }
    }
}

fn of_record(WantedRecord { pointer, sections }: &WantedRecord) -> String {
    match sections {
        Some(sections) => format!("{pointer} sections {}", numbers(*sections)),
        None => format!("{pointer} all sections"),
    }
}

impl RefusedLook {
    fn row(&self) -> [String; 6] {
        let why = if self.emergency { "EMERGENCY".into() } else { word(&self.occasion.purpose) };
        [
            self.occasion.at.clone(),
            self.occasion.who(),
            self.occasion.hospital_name.clone(),
            why,
            format!("block {}", self.occasion.block),
            format!("refusal {}", self.refusal),
        ]
    }
}

impl Occasion {
    /// Role and the first digits of the id.
    fn who(&self) -> String {
        let id = self.requester.to_string();
        let role = self.role.map_or_else(|| "user".into(), |role| word(&role));
        format!("{role} {}…", id.get(..10).unwrap_or(&id))
    }
}

#[cfg(test)]
mod tests {
    use epione_primitives::{
        RecordPointer,
        consortium::EpochId,
        opening::OpeningId,
        release::{
            OwnRead, ReleasedRecords, ReviewId, ReviewStatus, ReviewedEmergency, SectionSet,
        },
        sharing::SlotId,
    };

    use super::*;

    fn look(requested: Option<SectionSet>, granted: SectionSet) -> Look {
        let pointer = RecordPointer { height: 1, index: 0 };
        Look {
            receipt: 0,
            occasion: Occasion {
                requester: UserId([7; 32]),
                role: Some(Role::Researcher),
                hospital: HospitalId(0),
                hospital_name: "Alice".into(),
                at: "2026-11-29T01:25:06Z".into(),
                block: 42,
                purpose: Purpose::Research,
            },
            emergency: None,
            policies: vec!["research".into()],
            version: 1,
            requested: vec![WantedRecord { pointer, sections: requested }],
            records: vec![ReleasedRecord { pointer, sections: granted }],
            request: Hash::repeat_byte(1),
            grant: Hash::repeat_byte(2),
            review: None,
        }
    }

    #[test]
    fn what_was_requested_is_shown_if_less_was_granted() {
        let (one, three) = (SectionSet(0b10), SectionSet(0b111));
        let detail = |requested, granted| look(requested, granted).detail();
        assert!(detail(Some(one), one).ends_with(" read 1/0 sections 1"));
        let partly = detail(Some(three), one);
        assert!(
            partly.ends_with(" read 1/0 sections 1 (requested: 1/0 sections 0,1,2)"),
            "{partly}"
        );
        let all = detail(None, one);
        assert!(all.ends_with(" read 1/0 sections 1 (requested: 1/0 all sections)"), "{all}");
    }

    #[test]
    fn a_patient_who_only_noted_own_readings_is_not_no_one() {
        let pointer = RecordPointer { height: 1, index: 0 };
        let records = vec![ReleasedRecord { pointer, sections: SectionSet(1) }];
        let read = OwnRead { records: ReleasedRecords::truncate_from(records), block: 42, at: 0 };
        let mut looks = Looks {
            patient: UserId([1; 32]),
            emergency_openings: Vec::new(),
            looks: Vec::new(),
            queries: HandedOut(Vec::new()),
            openings: Vec::new(),
            own_reads: Vec::new(),
            more: false,
            refused: None,
            more_refused: None,
        };
        assert!(looks.to_string().starts_with("no one has read records of "), "{looks}");
        looks.own_reads.push(NotedRead::new((0, read), true));
        let text = looks.to_string();
        assert!(text.starts_with("no one else has read records of "), "{text}");
        assert!(text.contains("you, with your own key (noted)"), "{text}");
        looks.looks.push(look(None, SectionSet(1)));
        assert!(!looks.to_string().contains("no one"), "{looks}");
    }

    #[test]
    fn what_the_hospitals_opened_together_is_in_the_list() {
        let part = opening::HandedOutPart {
            hospital: HospitalId(2),
            epoch: EpochId(0),
            at: "2026-11-29T01:25:12Z".into(),
            block: 44,
        };
        let pointer = RecordPointer { height: 1, index: 0 };
        let opened = opening::Described {
            opening: OpeningId(7),
            requester: UserId([7; 32]),
            role: Some(Role::Researcher),
            hospital: HospitalId(1),
            hospital_name: "Bob".into(),
            patient: UserId([1; 32]),
            purpose: Purpose::Research,
            emergency: None,
            records: vec![WantedRecord { pointer, sections: Some(SectionSet(0b10)) }],
            slots: vec![SlotId(0)],
            at: "2026-11-29T01:25:06Z".into(),
            block: 42,
            handed_out: vec![part],
        };
        let looks = Looks {
            patient: UserId([1; 32]),
            emergency_openings: Vec::new(),
            looks: Vec::new(),
            queries: HandedOut(Vec::new()),
            openings: vec![opened],
            own_reads: Vec::new(),
            more: false,
            refused: None,
            more_refused: None,
        };
        let text = looks.to_string();
        assert!(
            text.starts_with("by the hospitals together, with a standing consent:\n"),
            "{text}"
        );
        assert!(text.contains("researcher 0x0707") && text.contains("hospital 2 handed out"));
        let json = serde_json::to_value(&looks).unwrap();
        assert_eq!(json["openings"][0]["opening"], 7);
        assert_eq!(json["openings"][0]["handedOut"][0]["hospital"], 2);
    }

    #[test]
    fn an_emergency_summary_that_was_opened_comes_first_with_its_review() {
        let (reason, review) = (EmergencyReason::LifeThreatening, ReviewId(4));
        let opened = opening::Described {
            opening: OpeningId(8),
            requester: UserId([6; 32]),
            role: Some(Role::Doctor),
            hospital: HospitalId(1),
            hospital_name: "Bob".into(),
            patient: UserId([1; 32]),
            purpose: Purpose::Emergency,
            emergency: Some(ReviewedEmergency { reason, review }),
            records: Vec::new(),
            slots: vec![SlotId(1)],
            at: "2026-11-29T01:25:06Z".into(),
            block: 42,
            handed_out: Vec::new(),
        };
        let reviewed = Reviewed {
            review,
            requester: opened.requester,
            patient: opened.patient,
            hospital: opened.hospital,
            receipt: None,
            opening: Some(opened.opening),
            reason,
            opened: opened.at.clone(),
            deadline: 100,
            blocks_left: Some(58),
            verdicts: Vec::new(),
            needed: 2,
            status: ReviewStatus::Open,
        };
        let looks = Looks {
            patient: UserId([1; 32]),
            emergency_openings: vec![UrgentOpening { opened, reviewed }],
            looks: vec![look(None, SectionSet(1))],
            queries: HandedOut(Vec::new()),
            openings: Vec::new(),
            own_reads: Vec::new(),
            more: false,
            refused: None,
            more_refused: None,
        };
        let text = looks.to_string();
        assert!(text.starts_with("EMERGENCIES, by the hospitals together"), "{text}");
        assert!(text.contains("\n  review 4: OPEN until block 100"), "{text}");
        assert!(text.find("opening 8") < text.find("WHEN"), "{text}");
        let json = serde_json::to_value(&looks).unwrap();
        assert_eq!(json["emergencyOpenings"][0]["opening"], 8);
        assert_eq!(json["emergencyOpenings"][0]["reviewed"]["review"], 4);
    }

    #[test]
    fn the_json_has_both_what_was_requested_and_what_was_granted() {
        let json = serde_json::to_value(look(None, SectionSet(1))).unwrap();
        assert_eq!(json["requested"][0].get("sections"), None);
        assert_eq!(json["records"][0]["sections"], serde_json::json!([0]));
        assert_eq!(json["requester"], format!("0x{}", "07".repeat(32)));
    }
}
