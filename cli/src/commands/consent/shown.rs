//! A consent as a result: for people in sentences, for programs with its audience as a tree.

use std::fmt;

use epione_client::{
    chain::Snapshot,
    consent::{Formula, Names, Tree, kinds_in, sentences},
};
use epione_envelope::record::SectionKind;
use epione_primitives::{
    BlockNumber, Moment, RecordPointer, UserId,
    access::Purpose,
    limits::MAX_PAGE,
    release::{ReleasedRecord, SectionSet},
    sharing::{Consent, ConsentVersion, RecordedPeriod, SlotId},
};
use serde::Serialize;

use crate::{
    context::Context,
    failure::Failure,
    identity::KeySource,
    invocation::Invocation,
    names::Bearer,
    wording::{counted, moment, numbers},
};

/// What a patient has signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    pub slot: SlotId,
    pub version: u32,
    pub status: Status,
    pub audience: Tree,
    pub purposes: Vec<Purpose>,
    pub kinds: Vec<SectionKind>,
    pub recorded: RecordedPeriod,
    /// Unix time in milliseconds, like all moments here.
    pub since: Moment,
    pub until: Moment,
    /// Whether the hospitals open the sections together while the patient is away.
    pub standing: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Moment>,
    /// The chain block in which it began.
    pub block: BlockNumber,
    pub sentences: Vec<String>,
}

/// Whether a consent shares anything now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    InForce,
    /// Withdrawn, or replaced by a later version.
    Ended,
    /// Its time is over.
    Over,
}

impl Status {
    pub(super) fn of(version: &ConsentVersion, now: Moment) -> Self {
        match version.ended {
            Some(ended) if ended <= now => Self::Ended,
            _ if version.in_force(now) => Self::InForce,
            _ => Self::Over,
        }
    }
}

impl Shown {
    pub(super) fn new(slot: SlotId, version: ConsentVersion, names: &Names, now: Moment) -> Self {
        let status = Status::of(&version, now);
        let said = sentences(slot, &version.consent, names);
        let ConsentVersion { version, consent, since, block, ended } = version;
        let Consent { audience, purposes, kinds, recorded, until, standing } = consent;
        // Malformed terms, which the chain does not store, include nobody.
        let formula = Formula::of(&audience).unwrap_or_else(|| Formula::AtLeast(1, Vec::new()));
        Self {
            slot,
            version,
            status,
            audience: Tree::of_formula(&formula, &|id| names.attributes.get(&id).cloned()),
            purposes: purposes.into_inner(),
            kinds: kinds_in(kinds).collect(),
            recorded,
            since,
            until,
            standing,
            ended,
            block,
            sentences: said,
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slot, version, status, since, until, ended, block, sentences, .. } = self;
        let (since, until) = (moment(*since), moment(*until));
        let status = match (status, ended) {
            (Status::InForce, _) => format!("in force until {until}"),
            (Status::Ended, Some(ended)) => format!("ended at {}", moment(*ended)),
            (Status::Ended | Status::Over, _) => format!("over since {until}"),
        };
        write!(
            f,
            "slot {slot}  version {version}  {status}  given in chain block {block} at {since}"
        )?;
        sentences.iter().try_for_each(|sentence| write!(f, "\n  {sentence}"))
    }
}

/// The names for sentences: the chain's, and the user's own.
pub(in crate::commands) async fn names(
    state: &Snapshot,
    context: &Context,
) -> Result<Names, Failure> {
    let mut names = Names::of(state).await?;
    for (name, bearer) in context.address_book().await?.names() {
        if let Bearer::User(user) = bearer {
            names.users.entry(*user).or_insert_with(|| name.to_string());
        }
    }
    Ok(names)
}

/// Everything that is in a slot, ascending by pointer, read page by page.
pub(in crate::commands) async fn in_slot(
    state: &Snapshot,
    patient: UserId,
    slot: SlotId,
) -> Result<Vec<ReleasedRecord>, Failure> {
    let mut records: Vec<ReleasedRecord> = Vec::new();
    let mut after: Option<RecordPointer> = None;
    loop {
        let page: Vec<(RecordPointer, SectionSet)> =
            state.placed_in(patient, slot, after, MAX_PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        if records.len() >= MAX_PLACED {
            return Err(Failure::new(
                format!("slot {slot} has more than {MAX_PLACED} records"),
                "use another node with --node URL",
            ));
        }
        after = Some(*last);
        let placed = page.into_iter();
        records.extend(placed.map(|(pointer, sections)| ReleasedRecord { pointer, sections }));
    }
    records.sort_unstable_by_key(|record| record.pointer);
    Ok(records)
}

/// Maximum number of records in a slot that are listed.
const MAX_PLACED: usize = 65_536;

/// The number of sections and records, as sentences have it.
pub(in crate::commands) fn amount(records: &[ReleasedRecord]) -> String {
    let sections: usize = records.iter().map(|record| record.sections.iter().count()).sum();
    format!(
        "{} of {}",
        counted(sections as u64, "section", "sections"),
        counted(records.len() as u64, "record", "records")
    )
}

/// The command that places these sections in a slot, or takes them out: `verb` is share or unshare.
pub(in crate::commands) fn changing(
    verb: &str,
    signer: &KeySource,
    (slot, records): (SlotId, &[ReleasedRecord]),
    context: &Context,
) -> Invocation {
    let command = context.command(["section", verb]).with(["--as"]).with([signer]);
    let command = command.with(["--slot", &slot.to_string()]);
    let named = records.iter().map(|it| format!("{}:{}", it.pointer, numbers(it.sections)));
    named.fold(command, |command, named| command.with(["--record", &named]))
}

#[cfg(test)]
mod tests {
    use epione_primitives::{
        HospitalId,
        sharing::{KindSet, Term},
    };

    use super::*;

    fn version() -> ConsentVersion {
        ConsentVersion {
            version: 3,
            consent: Consent {
                audience: vec![Term::Hospital(HospitalId(1))].try_into().unwrap(),
                purposes: vec![Purpose::Research].try_into().unwrap(),
                kinds: KindSet(0b10),
                recorded: RecordedPeriod::default(),
                until: 2_000,
                standing: false,
            },
            since: 1_000,
            block: 7,
            ended: None,
        }
    }

    #[test]
    fn the_status_follows_from_end_and_withdrawal() {
        let status = |ended, now| Status::of(&ConsentVersion { ended, ..version() }, now);
        assert_eq!(status(None, 1_999), Status::InForce);
        assert_eq!(status(None, 2_000), Status::Over);
        assert_eq!(status(Some(1_500), 1_500), Status::Ended);
    }

    #[test]
    fn a_consent_is_shown_in_sentences_and_as_a_tree() {
        let shown = Shown::new(SlotId(2), version(), &Names::default(), 1_500);
        let text = shown.to_string();
        assert!(
            text.starts_with("slot 2  version 3  in force until 1970-01-01T00:00:02Z"),
            "{text}"
        );
        assert!(text.contains("\n  You let every requester who is registered at hospital 1 read"));
        let json = serde_json::to_value(&shown).unwrap();
        assert_eq!(json["audience"], serde_json::json!({ "hospital": 1 }));
        assert_eq!(json["kinds"], serde_json::json!(["diagnosis"]));
        assert_eq!(json["status"], "in-force");
    }

    #[test]
    fn an_amount_counts_sections_and_records() {
        let pointer = RecordPointer { height: 1, index: 0 };
        let record = ReleasedRecord { pointer, sections: SectionSet(0b101) };
        assert_eq!(amount(&[record]), "2 sections of 1 record");
        assert_eq!(amount(&[]), "0 sections of 0 records");
    }
}
