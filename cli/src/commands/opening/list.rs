//! `epione opening list` and `show`: who had which sections opened, for what purpose, and by which hospitals. The chain
//! shows all of it to everybody.

use std::{collections::BTreeMap, fmt};

use clap::{ArgGroup, Args};
use epione_client::{
    api::WantedRecord,
    chain::{Chain, ChainError, Snapshot},
    opening::{Found, Listed, Openings},
    query::Party,
};
use epione_primitives::{
    BlockNumber, HospitalId, UserId,
    access::Purpose,
    consortium::EpochId,
    limits::MAX_SLOTS,
    opening::{Opening, OpeningId},
    profile::Role,
    release::ReviewedEmergency,
    sharing::SlotId,
};
use serde::Serialize;

use crate::{
    commands::query::part::{in_words, wanted},
    context::{Context, Output},
    failure::Failure,
    identity::KeySource,
    listing,
    wording::{legible, moment, word},
};

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("whose").required(true).args(["patient", "signer"])))]
pub struct ListArgs {
    /// Whose records were opened: user id of the patient, its first digits, or a name that you set
    #[arg(long, value_name = "USER")]
    pub patient: Option<UserId>,
    /// Instead of --patient: the requester's key file, for what was opened for this requester; only its public half is
    /// read
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Maximum number, newest first [default: all]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The opening's number
    #[arg(value_name = "OPENING")]
    pub opening: u32,
}

/// An opening, as everybody can read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Described {
    pub opening: OpeningId,
    pub requester: UserId,
    pub role: Option<Role>,
    /// The hospital for which the requester asked.
    pub hospital: HospitalId,
    pub hospital_name: String,
    pub patient: UserId,
    pub purpose: Purpose,
    /// In an emergency: its reason and its review.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emergency: Option<ReviewedEmergency>,
    pub records: Vec<WantedRecord>,
    /// The slots whose standing consents included the requester, ascending.
    pub slots: Vec<SlotId>,
    /// RFC 3339.
    pub at: String,
    /// The chain block that has the decision.
    pub block: BlockNumber,
    /// The hospitals that recorded that they hand out their parts, ascending.
    pub handed_out: Vec<HandedOutPart>,
}

/// A hospital's record that it hands out its part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HandedOutPart {
    pub hospital: HospitalId,
    /// The epoch of the hospital's share of the consortium key.
    pub epoch: EpochId,
    /// RFC 3339.
    pub at: String,
    pub block: BlockNumber,
}

/// Openings, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listing {
    pub openings: Vec<Described>,
    /// Whether the limit left out older ones.
    pub more: bool,
}

impl Output for Described {}

impl Output for Listing {}

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { opening, requester, hospital, hospital_name, patient, purpose, .. } = self;
        let Self { at, block, .. } = self;
        let role = self.role.map_or_else(|| "user".into(), |role| word(&role));
        let slots: Vec<_> = self.slots.iter().map(SlotId::to_string).collect();
        writeln!(f, "opening {opening}  decided at {at}, chain block {block}")?;
        writeln!(f, "  {role} {requester}")?;
        writeln!(
            f,
            "  of hospital {hospital_name} ({hospital}) opens records of patient {patient}"
        )?;
        writeln!(f, "  for {}: {}", word(purpose), in_words(&self.records))?;
        if let Some(ReviewedEmergency { reason, review }) = self.emergency {
            writeln!(f, "  EMERGENCY: {}, under review {review}", word(&reason))?;
        }
        write!(f, "  by the standing consents of slots {}", slots.join(","))?;
        if self.handed_out.is_empty() {
            write!(f, "\n  no hospital has recorded that it hands out its part")?;
        }
        self.handed_out.iter().try_for_each(|HandedOutPart { hospital, at, block, .. }| {
            write!(f, "\n  hospital {hospital} handed out its part at {at}, chain block {block}")
        })
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.openings.is_empty() {
            return write!(f, "there is no opening");
        }
        self.openings.iter().try_for_each(|opening| writeln!(f, "{opening}"))?;
        if self.more { write!(f, "{}", listing::MORE) } else { Ok(()) }
    }
}

/// The requester of an opening, and the hospital for which they asked, as people know them.
#[derive(Clone)]
struct Asker {
    role: Option<Role>,
    hospital_name: String,
}

impl Asker {
    async fn of(opening: &Opening, state: &Snapshot) -> Result<Self, ChainError> {
        let profile = state.profile(opening.requester).await?;
        let hospital = state.hospital(opening.hospital).await?;
        Ok(Self {
            role: profile.map(|profile| profile.role),
            hospital_name: hospital.map(|it| legible(&it.name)).unwrap_or_default(),
        })
    }
}

impl Described {
    fn new(found: Found, asker: Asker) -> Self {
        let Found { id, opening, handed_out } = found;
        let Opening { requester, hospital, patient, records, purpose, emergency, .. } = opening;
        let Opening { slots, block, at, .. } = opening;
        let Asker { role, hospital_name } = asker;
        let handed_out = handed_out.into_iter().map(|(hospital, it)| HandedOutPart {
            hospital,
            epoch: it.epoch,
            at: moment(it.at),
            block: it.block,
        });
        Self {
            opening: id,
            requester,
            role,
            hospital,
            hospital_name,
            patient,
            purpose,
            emergency,
            records: wanted(&records),
            slots: (0..MAX_SLOTS).map(SlotId).filter(|slot| slots.contains(*slot)).collect(),
            at: moment(at),
            block,
            handed_out: handed_out.collect(),
        }
    }
}

/// Lists what was opened of a patient's records, or for a requester.
pub async fn list(args: &ListArgs, context: &Context) -> Result<Listing, Failure> {
    let party = match (&args.patient, &args.signer) {
        (Some(patient), _) => Party::Patient(*patient),
        (None, Some(keys)) => Party::Requester(context.user_with(&keys.public()?.account).await?),
        (None, None) => {
            return Err(Failure::usage("nobody is named", "pass --patient or --as"));
        }
    };
    let chain = context.chain().await?;
    let listed = Openings::new(chain.clone()).list(party, listing::asked(args.limit)).await?;
    let mut openings = described(listed, chain).await?;
    let more = listing::cut(&mut openings, args.limit);
    Ok(Listing { openings, more })
}

/// Shows an opening.
pub async fn show(args: &ShowArgs, context: &Context) -> Result<Described, Failure> {
    let chain = context.chain().await?;
    let found = Openings::new(chain.clone()).show(OpeningId(args.opening)).await?;
    let asker = Asker::of(&found.opening, &chain.finalized().await?).await?;
    Ok(Described::new(found, asker))
}

/// Adds the requesters' roles and their hospitals' names, each read once.
pub(in crate::commands) async fn described(
    listed: Listed,
    chain: &Chain,
) -> Result<Vec<Described>, ChainError> {
    let state = chain.at(listed.block.hash);
    let mut askers = BTreeMap::<(UserId, HospitalId), Asker>::new();
    let mut described = Vec::with_capacity(listed.openings.len());
    for found in listed.openings {
        let key = (found.opening.requester, found.opening.hospital);
        let asker = match askers.get(&key) {
            Some(known) => known.clone(),
            None => {
                let asker = Asker::of(&found.opening, &state).await?;
                askers.insert(key, asker.clone());
                asker
            }
        };
        described.push(Described::new(found, asker));
    }
    Ok(described)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use epione_primitives::{
        AccountId, Hash, RecordPointer,
        opening::HandedOut,
        query::QueriedRecords,
        release::{EmergencyReason, ReleasedRecord, ReviewId, SectionSet},
        sharing::SlotSet,
    };

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        list: ListArgs,
    }

    /// An opening of which hospitals 1 and 3 handed out their parts.
    fn opening() -> Described {
        let pointer = RecordPointer { height: 1, index: 0 };
        let records = vec![ReleasedRecord { pointer, sections: SectionSet(0b1010) }];
        let opening = Opening {
            requester: UserId([2; 32]),
            hospital: HospitalId(1),
            patient: UserId([1; 32]),
            records: QueriedRecords::truncate_from(records),
            purpose: Purpose::Research,
            emergency: None,
            slots: SlotSet(0b101),
            audience: AccountId::new([3; 32]),
            sealing_key: Hash::repeat_byte(4),
            block: 40,
            at: 0,
        };
        let handed_out = |block| HandedOut { epoch: EpochId(2), block, at: 0 };
        let handed_out = vec![(HospitalId(1), handed_out(42)), (HospitalId(3), handed_out(43))];
        let found = Found { id: OpeningId(7), opening, handed_out };
        let asker = Asker { role: Some(Role::Researcher), hospital_name: "Bob".into() };
        Described::new(found, asker)
    }

    #[test]
    fn an_opening_shows_who_what_why_when_and_the_hospitals_that_handed_out_their_parts() {
        let text = opening().to_string();
        for part in [
            "opening 7  decided at 1970-01-01T00:00:00Z, chain block 40",
            "researcher 0x0202",
            "of hospital Bob (1)",
            "for research: 1/0 sections 1,3",
            "slots 0,2",
            "hospital 1 handed out its part at 1970-01-01T00:00:00Z, chain block 42",
            "hospital 3 handed out",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let (reason, review) = (EmergencyReason::PublicHealth, ReviewId(3));
        let emergency = Some(ReviewedEmergency { reason, review });
        let urgent = Described { emergency, ..opening() }.to_string();
        assert!(urgent.contains("EMERGENCY: public health, under review 3"), "{urgent}");
        let none = Described { handed_out: Vec::new(), ..opening() };
        assert!(none.to_string().ends_with("no hospital has recorded that it hands out its part"));
    }

    #[test]
    fn the_json_names_the_hospitals_and_the_slots() {
        let json = serde_json::to_value(opening()).unwrap();
        assert_eq!(json["slots"], serde_json::json!([0, 2]));
        assert_eq!(json["handedOut"][1]["hospital"], 3);
        assert_eq!(json["handedOut"][0]["block"], 42);
    }

    #[test]
    fn a_list_is_of_one_patient_or_of_one_requester() {
        let patient = format!("0x{}", "01".repeat(32));
        let parse = |more: &[&str]| Line::try_parse_from([&["list"][..], more].concat());
        assert_eq!(parse(&["--as", "//R"]).unwrap().list.patient, None);
        assert!(parse(&["--patient", &patient, "--limit", "1"]).is_ok());
        for wrong in
            [&[][..], &["--as", "//R", "--patient", &patient], &["--as", "//R", "--limit", "0"]]
        {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
