//! `epione query show`: a query and its answer. The chain shows everybody the requester, the patient and the sections'
//! numbers. Only the patient can open the terms. The patient and representatives can see what the sections are.

use std::fmt;

use clap::Args;
use epione_client::{
    api::WantedRecord,
    chain::{ChainError, Snapshot},
    query::{Found, Queries, QueryError, Status, answer_in_words},
};
use epione_primitives::{
    BlockNumber, Hash, HospitalId, QueryId, UserId,
    access::Purpose,
    profile::Role,
    query::{Acceptance, Answer, Query, Transfer},
};
use serde::Serialize;

use super::{
    explained, part,
    statement::{self, Asking},
};
use crate::{
    context::{Context, Output},
    failure::Failure,
    identity::KeySource,
    show as print,
    wording::{legible, moment, word},
};

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The query's number
    #[arg(value_name = "QUERY")]
    pub query: u32,
    /// Your key file, if you are the patient: also shows the terms, and what the sections are; or if you represent the
    /// patient
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// With --as: a key file from before a rotation; may be repeated
    #[arg(long, value_name = "FILE", requires = "signer")]
    pub earlier_keys: Vec<KeySource>,
}

/// A query, as everybody can read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Described {
    pub query: QueryId,
    pub status: Status,
    pub requester: UserId,
    pub role: Option<Role>,
    /// The hospital for which the requester asks.
    pub hospital: HospitalId,
    pub hospital_name: String,
    pub patient: UserId,
    pub purpose: Purpose,
    /// What is asked for; without `sections`, all sections of a record.
    pub records: Vec<WantedRecord>,
    /// RFC 3339.
    pub at: String,
    /// The chain block that has the query.
    pub block: BlockNumber,
    /// The patient can accept before this chain block.
    pub expires: BlockNumber,
    /// The chain block that has the answer, or the withdrawal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered: Option<BlockNumber>,
    /// What the patient accepted, also after it was withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<AcceptedPart>,
    /// Who handed out the sealed grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Transferred>,
    /// Who answered or ended the query, and how.
    #[serde(skip)]
    answer: Option<String>,
}

/// What a patient accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedPart {
    /// The patient, or who represented the patient then.
    pub by: UserId,
    pub records: Vec<WantedRecord>,
    /// RFC 3339. From then on, nothing is handed out.
    pub until: String,
    /// The hospital whose worker keeps the sealed grant.
    pub mailbox: HospitalId,
    /// Hash of the sealed grant.
    pub grant: Hash,
    pub block: BlockNumber,
}

/// A hospital's record that it handed out the sealed grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Transferred {
    pub hospital: HospitalId,
    /// RFC 3339.
    pub at: String,
    pub block: BlockNumber,
}

/// A query, and for its patient what is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    #[serde(flatten)]
    pub described: Described,
    /// Present if the patient looks at a pending query.
    #[serde(flatten)]
    pub asking: Option<Asking>,
    /// Whether somebody who looks with a key file is too late for the terms: the query has an answer.
    #[serde(rename = "termsRemoved", skip_serializing_if = "std::ops::Not::not")]
    pub terms_removed: bool,
}

impl Output for Shown {
    fn passed(&self) -> bool {
        self.asking.as_ref().is_none_or(|asking| asking.unopened.is_empty())
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.described.fmt(f)?;
        if self.terms_removed {
            write!(f, "\n  the query has an answer, so the chain no longer stores its terms")?;
        }
        self.asking.as_ref().map_or(Ok(()), |asking| write!(f, "\n{asking}"))
    }
}

/// The requester of a query, and the hospital for which they ask, as people know them.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) role: Option<Role>,
    pub(super) hospital_name: String,
}

impl Asker {
    pub(super) async fn of(query: &Query, state: &Snapshot) -> Result<Self, ChainError> {
        let profile = state.profile(query.requester).await?;
        let hospital = state.hospital(query.hospital).await?;
        Ok(Self {
            role: profile.map(|profile| profile.role),
            hospital_name: hospital.map(|it| legible(&it.name)).unwrap_or_default(),
        })
    }
}

impl Described {
    pub(super) fn new(found: Found, asker: Asker) -> Self {
        let Found { id, query, transfer, status } = found;
        let Asker { role, hospital_name } = asker;
        let in_words = answer_in_words(&query);
        let Query { requester, hospital, patient, records, purpose, .. } = query;
        let Query { expires, block, at, answer, .. } = query;
        let (answered, acceptance) = match answer {
            None => (None, None),
            Some(Answer::Accepted(acceptance)) => (Some(acceptance.block), Some(acceptance)),
            Some(Answer::Refused { block, .. }) => (Some(block), None),
            Some(Answer::Withdrawn { block, acceptance, .. }) => (Some(block), acceptance),
        };
        Self {
            query: id,
            status,
            requester,
            role,
            hospital,
            hospital_name,
            patient,
            purpose,
            records: part::wanted(&records),
            at: moment(at),
            block,
            expires,
            answered,
            accepted: acceptance.map(AcceptedPart::from),
            transfer: transfer.map(Transferred::from),
            answer: in_words,
        }
    }

    fn role(&self) -> String {
        self.role.map_or_else(|| "user".into(), |role| word(&role))
    }
}

impl From<Acceptance> for AcceptedPart {
    fn from(acceptance: Acceptance) -> Self {
        let Acceptance { by, records, grant, until, mailbox, block, .. } = acceptance;
        Self { by, records: part::wanted(&records), until: moment(until), mailbox, grant, block }
    }
}

impl From<Transfer> for Transferred {
    fn from(Transfer { hospital, block, at, .. }: Transfer) -> Self {
        Self { hospital, at: moment(at), block }
    }
}

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { query, status, requester, patient, purpose, at, block, expires, .. } = self;
        let Self { hospital, hospital_name, .. } = self;
        writeln!(f, "query {query}  {}  asked at {at}, chain block {block}", word(status))?;
        writeln!(f, "  {} {requester}", self.role())?;
        writeln!(f, "  of hospital {hospital_name} ({hospital}) asks patient {patient}")?;
        write!(f, "  for {}: {}", word(purpose), part::in_words(&self.records))?;
        if *status == Status::Pending {
            write!(f, "\n  the patient can accept before chain block {expires}")?;
        }
        if let Some(AcceptedPart { by, records, until, mailbox, block, .. }) = &self.accepted {
            let records = part::in_words(records);
            let who = match by == patient {
                true => "the patient".to_owned(),
                false => format!("user {by}, in the name of the patient,"),
            };
            write!(f, "\n  {who} accepted in chain block {block}: {records}; until {until}")?;
            write!(f, "\n  hospital {mailbox} keeps the sealed keys")?;
            if self.transfer.is_none() {
                write!(f, "\n  accepted; no hospital has recorded that it handed out the keys")?;
            }
        }
        if let Some(Transferred { hospital, at, block }) = &self.transfer {
            write!(f, "\n  handed out by hospital {hospital} at {at}, chain block {block}")?;
        }
        match (status, &self.answer) {
            (Status::Refused | Status::Canceled | Status::Withdrawn, Some(answer)) => {
                write!(f, "\n  {answer}")
            }
            (Status::EndedWithMandate, _) => write!(
                f,
                "\n  the mandate by which it was accepted has ended: nothing is handed out any more"
            ),
            _ => Ok(()),
        }
    }
}

/// Prints a query, and what is sealed to its patient. What everybody can read is also printed if the rest does not
/// open.
pub(super) async fn run(args: &ShowArgs, context: &Context) -> Result<bool, Failure> {
    let json = context.common().json;
    let chain = context.chain().await?;
    let (queries, id) = (Queries::new(chain.clone()), QueryId(args.query));
    let explained = |error: QueryError| explained(error, id, args.signer.as_ref(), context);
    let found = queries.show(id).await.map_err(explained)?;
    let asker = Asker::of(&found.query, &chain.finalized().await?).await?;
    let described = Described::new(found.clone(), asker);
    let terms_removed = args.signer.is_some() && found.query.answer.is_some();
    let asking = match &args.signer {
        Some(signer) if found.status == Status::Pending => {
            asking((signer, &args.earlier_keys[..]), &found, context).await.map(Some)
        }
        _ => Ok(None),
    };
    match asking {
        Ok(asking) => print(&Shown { described, asking, terms_removed }, json),
        Err(failure) => {
            // In JSON, the failure is the only result.
            if !json {
                print(&Shown { described, asking: None, terms_removed }, json)?;
            }
            Err(failure)
        }
    }
}

/// What is sealed to the patient of a pending query.
async fn asking(
    (signer, earlier): (&KeySource, &[KeySource]),
    found: &Found,
    context: &Context,
) -> Result<Asking, Failure> {
    let queries = Queries::new(context.chain().await?.clone());
    let hospital = statement::hospital_of(found, None, context).await?;
    let reader = statement::reader((signer, earlier), hospital, context).await?;
    let considered = queries.consider(found.id, &reader).await;
    let considered =
        considered.map_err(|error| explained(error, found.id, Some(signer), context))?;
    Asking::of(&considered, context).await
}

#[cfg(test)]
mod tests {
    use epione_primitives::{
        AccountId, RecordPointer,
        release::{ReleasedRecord, SectionSet},
    };
    use serde_json::json;

    use super::*;

    fn found(answer: Option<Answer>, transfer: Option<Transfer>, status: Status) -> Found {
        let pointer = RecordPointer { height: 1, index: 0 };
        let record = ReleasedRecord { pointer, sections: SectionSet::ALL };
        let query = Query {
            requester: UserId([2; 32]),
            hospital: HospitalId(5),
            patient: UserId([1; 32]),
            patient_key: Hash::repeat_byte(7),
            records: vec![record].try_into().unwrap(),
            purpose: Purpose::Research,
            terms: Hash::repeat_byte(4),
            expires: 100,
            block: 10,
            at: 0,
            answer,
        };
        Found { id: QueryId(7), query, transfer, status }
    }

    fn acceptance() -> Acceptance {
        let pointer = RecordPointer { height: 1, index: 0 };
        let record = ReleasedRecord { pointer, sections: SectionSet(0b101) };
        Acceptance {
            by: UserId([1; 32]),
            records: vec![record].try_into().unwrap(),
            grant: Hash::repeat_byte(1),
            until: 2_000,
            audience: AccountId::new([5; 32]),
            sealing_key: Hash::repeat_byte(9),
            mailbox: HospitalId(3),
            block: 20,
            at: 1_000,
        }
    }

    fn asker(role: Option<Role>) -> Asker {
        Asker { role, hospital_name: "Bob".into() }
    }

    #[test]
    fn a_pending_query_says_who_asks_for_what_and_until_when() {
        let found = found(None, None, Status::Pending);
        let described = Described::new(found, asker(Some(Role::Researcher)));
        let text = described.to_string();
        let requester = format!("  researcher 0x{}\n", "02".repeat(32));
        for part in [
            "query 7  pending",
            &requester,
            "of hospital Bob (5) asks patient",
            "for research: 1/0 all sections",
            "block 100",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let json = serde_json::to_value(&described).unwrap();
        assert_eq!(json["status"], "pending");
        assert_eq!((&json["hospital"], &json["hospitalName"]), (&json!(5), &json!("Bob")));
        assert_eq!(json["records"][0].get("sections"), None);
        assert_eq!(json.get("accepted"), None);
    }

    #[test]
    fn an_acceptance_stays_visible_after_its_withdrawal() {
        let transfer =
            Transfer { hospital: HospitalId(3), grant: Hash::repeat_byte(1), block: 25, at: 1_500 };
        let (by, acceptance) = (UserId([1; 32]), Some(acceptance()));
        let answer = Answer::Withdrawn { by, block: 30, at: 1_800, acceptance };
        let found = found(Some(answer), Some(transfer), Status::Withdrawn);
        let described = Described::new(found, asker(None));
        let text = described.to_string();
        for part in [
            "the patient accepted in chain block 20: 1/0 sections 0,2; until 1970-01-01T00:00:02Z",
            "hospital 3 keeps the sealed keys",
            "handed out by hospital 3 at 1970-01-01T00:00:01Z, chain block 25",
            "the patient withdrew the acceptance in chain block 30",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("no hospital has recorded"), "{text}");
        let json = serde_json::to_value(&described).unwrap();
        assert_eq!(json["accepted"]["records"][0]["sections"], json!([0, 2]));
        assert_eq!(json["transfer"]["hospital"], 3);
    }

    #[test]
    fn an_acceptance_says_that_it_ended_with_the_mandate() {
        let by_other = Acceptance { by: UserId([4; 32]), ..acceptance() };
        let found = found(Some(Answer::Accepted(by_other)), None, Status::EndedWithMandate);
        let text = Described::new(found, asker(None)).to_string();
        assert!(text.starts_with("query 7  ended with mandate"), "{text}");
        assert!(text.contains("in the name of the patient, accepted in chain block 20"), "{text}");
        assert!(text.ends_with("has ended: nothing is handed out any more"), "{text}");
    }

    #[test]
    fn an_acceptance_without_a_transfer_is_not_told_as_a_look() {
        let described =
            |answer, status| Described::new(found(Some(answer), None, status), asker(None));
        let accepted = described(Answer::Accepted(acceptance()), Status::Accepted);
        let text = accepted.to_string();
        let said = "accepted; no hospital has recorded that it handed out the keys";
        assert!(text.contains(said), "{text}");
        let shown = Shown { described: accepted, asking: None, terms_removed: true };
        assert!(shown.to_string().contains("no longer stores its terms") && shown.passed());
        assert_eq!(serde_json::to_value(&shown).unwrap()["termsRemoved"], json!(true));

        let (at, acceptance) = (1_800, None);
        let withdrawn = Answer::Withdrawn { by: UserId([2; 32]), block: 30, at, acceptance };
        let text = described(withdrawn, Status::Canceled).to_string();
        assert!(text.ends_with("\n  the requester withdrew the query in chain block 30"), "{text}");
        let refused =
            |by| described(Answer::Refused { by, block: 30, at }, Status::Refused).to_string();
        let by_patient = refused(UserId([1; 32]));
        assert!(by_patient.ends_with("\n  the patient refused in chain block 30"), "{by_patient}");
        let by_other = refused(UserId([4; 32]));
        let said = "refused in the name of the patient in chain block 30";
        assert!(by_other.ends_with(said), "{by_other}");
    }
}
