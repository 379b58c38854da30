//! `epione audit who-looked`: the receipts and refusals of a patient on the chain.

use std::{collections::BTreeMap, fmt};

use clap::{ArgGroup, Args};
use epione_client::{
    api::WantedRecord,
    chain::{ChainError, Snapshot},
};
use epione_policies::language::sentence;
use epione_primitives::{
    BlockNumber, Hash, HospitalId, UserId,
    access::{AccessRequest, Action, Decision, Denial, Purpose, SectionClass},
    profile::Role,
    release::{EmergencyReason, Receipt, RefusedAccess, Release, ReleasedRecord},
};
use serde::Serialize;

use super::{
    handed_out::HandedOut,
    reviews::{Judges, Reviewed},
};
use crate::{
    context::{Context, Output},
    failure::Failure,
    identity::KeySource,
    listing, table,
    wording::{legible, moment, numbers, word},
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
    /// Maximum number, newest first; emergencies, queries and refusals are counted separately [default: all]
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
    /// Emergencies first, then the others; newest first in both.
    pub looks: Vec<Look>,
    /// The queries that the patient accepted, and whose sealed keys were handed out; newest first.
    pub queries: HandedOut,
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
    let mut looks = book.emergencies(asked, &receipts, head.number).await?;
    let mut queries = HandedOut::of(patient, context).await?;
    let more = listing::cut(&mut looks, args.limit)
        | listing::cut(&mut receipts, args.limit)
        | listing::cut(&mut queries.0, args.limit);
    for (number, receipt) in receipts.into_iter().filter(|(_, receipt)| receipt.review.is_none()) {
        looks.push(book.look(number, receipt, None).await?);
    }
    let mut refused = if args.refused { Some(book.refusals(asked).await?) } else { None };
    let more_refused = refused.as_mut().map(|refused| listing::cut(refused, args.limit));
    Ok(Looks { patient, looks, queries, more, refused, more_refused })
}

/// A patient's receipts at one block, with the names and roles that appear in them.
struct Book {
    snapshot: Snapshot,
    patient: UserId,
    hospitals: BTreeMap<HospitalId, String>,
    /// The hospitals that judge emergencies.
    judges: Judges,
    roles: BTreeMap<UserId, Option<Role>>,
}

impl Book {
    async fn open(snapshot: Snapshot, patient: UserId) -> Result<Self, Failure> {
        let known = snapshot.hospitals().await?;
        let hospitals = known.iter().map(|(id, hospital)| (*id, legible(&hospital.name))).collect();
        let judges = Judges::of(&known);
        Ok(Self { snapshot, patient, hospitals, judges, roles: BTreeMap::new() })
    }

    /// The newest receipts.
    async fn receipts(&self, limit: u32) -> Result<Vec<(u32, Receipt)>, ChainError> {
        pages(limit, async |before, limit| {
            self.snapshot.receipts(self.patient, before, limit).await
        })
        .await
    }

    /// The newest emergencies, each with its receipt, which may be older than `receipts`.
    async fn emergencies(
        &mut self,
        limit: u32,
        receipts: &[(u32, Receipt)],
        head: BlockNumber,
    ) -> Result<Vec<Look>, Failure> {
        let emergencies = pages(limit, async |before, limit| {
            let page = self.snapshot.emergencies(self.patient, before, limit).await?;
            Ok(page.into_iter().map(|(number, id, review)| (number, (id, review))).collect())
        })
        .await?;
        let mut looks = Vec::with_capacity(emergencies.len());
        for (_, (id, review)) in emergencies {
            let number = review.receipt;
            let at_hand = receipts.iter().find(|(known, _)| *known == number).cloned();
            let found = match at_hand {
                Some(found) => Some(found),
                None => {
                    let before = Some(number.saturating_add(1));
                    self.snapshot.receipts(self.patient, before, 1).await?.into_iter().next()
                }
            };
            let (number, receipt) = found.ok_or_else(|| {
                Failure::new(
                    format!("the node has emergency {id}, but not its receipt {number}"),
                    "use another node with --node URL",
                )
            })?;
            let reviewed = Reviewed::new(id, review, &self.judges, head);
            looks.push(self.look(number, receipt, Some(reviewed)).await?);
        }
        Ok(looks)
    }

    async fn look(
        &mut self,
        number: u32,
        receipt: Receipt,
        review: Option<Reviewed>,
    ) -> Result<Look, ChainError> {
        let Receipt { release, hospital, version, policies, block, at, .. } = receipt;
        let Release { request, records, grant, .. } = release;
        let mut named: Vec<String> = Vec::new();
        for policy in policies {
            let name = legible(&policy);
            if !named.contains(&name) {
                named.push(name);
            }
        }
        let occasion = Occasion {
            requester: request.requester,
            role: self.role(request.requester).await?,
            hospital,
            hospital_name: self.name(hospital),
            at: moment(at),
            block,
            purpose: request.purpose,
        };
        Ok(Look {
            receipt: number,
            occasion,
            emergency: request.emergency,
            policies: named,
            version,
            requested: request.records.iter().copied().map(WantedRecord::from).collect(),
            records: records.into_inner(),
            request: request.hash(),
            grant,
            review,
        })
    }

    async fn refusals(&mut self, limit: u32) -> Result<Vec<RefusedLook>, ChainError> {
        let refusals = pages(limit, async |before, limit| {
            self.snapshot.refusals(self.patient, before, limit).await
        })
        .await?;
        let mut looks = Vec::with_capacity(refusals.len());
        for (number, refused) in refusals {
            let denials = self.why(&refused).await?;
            let RefusedAccess { requester, hospital, purpose, emergency, .. } = refused;
            let RefusedAccess { request, block, at, .. } = refused;
            let occasion = Occasion {
                requester,
                role: self.role(requester).await?,
                hospital,
                hospital_name: self.name(hospital),
                at: moment(at),
                block,
                purpose,
            };
            looks.push(RefusedLook { refusal: number, occasion, emergency, request, denials });
        }
        Ok(looks)
    }

    /// Which conditions a refused requester did not meet at that time. The chain keeps relationships, registrations and
    /// policies with their times, so it can decide again.
    async fn why(&self, refused: &RefusedAccess) -> Result<Vec<Denial>, ChainError> {
        let actions: &[Action] = if refused.emergency {
            &[Action::BreakGlass]
        } else {
            &[Action::ReadText, Action::ReadMedia]
        };
        let mut denials = Vec::new();
        for action in actions {
            for class in [SectionClass::Private, SectionClass::Shared] {
                let request = AccessRequest {
                    requester: refused.requester,
                    action: *action,
                    patient: refused.patient,
                    hospital: refused.hospital,
                    class,
                    purpose: refused.purpose,
                    cosigned: false,
                };
                let decision = self.snapshot.decide(&request, Some(refused.at)).await?;
                if let Decision::Deny(denial) = decision
                    && !denials.contains(&denial)
                {
                    denials.push(denial);
                }
            }
        }
        Ok(denials)
    }

    fn name(&self, hospital: HospitalId) -> String {
        self.hospitals.get(&hospital).cloned().unwrap_or_default()
    }

    async fn role(&mut self, user: UserId) -> Result<Option<Role>, ChainError> {
        if let Some(role) = self.roles.get(&user) {
            return Ok(*role);
        }
        let role = self.snapshot.profile(user).await?.map(|profile| profile.role);
        self.roles.insert(user, role);
        Ok(role)
    }
}

/// The newest entries of a list of the chain, which is read in pages.
async fn pages<T>(
    limit: u32,
    page: impl AsyncFn(Option<u32>, u32) -> Result<Vec<(u32, T)>, ChainError>,
) -> Result<Vec<(u32, T)>, ChainError> {
    let mut all: Vec<(u32, T)> = Vec::new();
    loop {
        let left = limit.saturating_sub(u32::try_from(all.len()).unwrap_or(limit));
        if left == 0 {
            return Ok(all);
        }
        let next = page(all.last().map(|(number, _)| *number), left).await?;
        if next.is_empty() {
            return Ok(all);
        }
        all.extend(next);
    }
}

impl fmt::Display for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.looks.is_empty() && self.queries.0.is_empty() {
            writeln!(f, "no one has read records of {}", self.patient)?;
        }
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
    use epione_primitives::{RecordPointer, release::SectionSet};

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
    fn the_json_has_both_what_was_requested_and_what_was_granted() {
        let json = serde_json::to_value(look(None, SectionSet(1))).unwrap();
        assert_eq!(json["requested"][0].get("sections"), None);
        assert_eq!(json["records"][0]["sections"], serde_json::json!([0]));
        assert_eq!(json["requester"], format!("0x{}", "07".repeat(32)));
    }
}
