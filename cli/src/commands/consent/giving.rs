//! Gives a consent and places the sections that it covers. Every step that is so already is left out, so a run that was
//! interrupted is finished by the same command.

use std::fmt;

use epione_client::{
    chain::{Snapshot, calls::sharing},
    consent::{self, Coverage, Names, Unopened, missing, sentences},
    reader::Reader,
    signer::Account,
};
use epione_primitives::{
    BlockNumber, Moment, RecordPointer, UserId,
    hospital::HospitalStatus,
    limits::{MAX_RELEASED_RECORDS, MAX_SLOTS},
    release::ReleasedRecord,
    sharing::{Consent, ConsentVersion, Placements, SlotId},
};
use serde::Serialize;

use super::shown::{amount, in_slot, names};
use crate::{
    confirmation::confirm,
    context::{Context, Output},
    failure::Failure,
    identity::{self, KeySource},
    progress,
    wording::{counted, legible},
};

/// Who gives, and with which keys the records are opened.
pub(super) struct Giver<'a> {
    pub signer: &'a KeySource,
    pub earlier: &'a [KeySource],
    /// Whether the patient has confirmed on the command line.
    pub yes: bool,
}

/// What is to be given.
pub(super) struct Wanted {
    /// The slot; none for the slot that has this consent already, or the first free one.
    pub slot: Option<SlotId>,
    pub consent: Consent,
    /// By how much the end of a consent in force may differ from the wanted one and still be the same.
    pub same_end: Moment,
}

/// A consent that is in force, and the sections that are in its slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Given {
    pub slot: SlotId,
    pub version: u32,
    /// Whether it was in force before this run, which then gave nothing.
    pub before: bool,
    /// The chain block of the last call; absent if everything was so already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<BlockNumber>,
    pub sentences: Vec<String>,
    /// The records and sections that this run placed.
    pub placed_records: usize,
    pub placed_sections: usize,
    /// Everything that is in the slot now.
    pub records: Vec<ReleasedRecord>,
    /// The records that do not open: their sections were not placed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// The command that ends the consent.
    pub undo: String,
}

/// A record whose kinds the patient's client does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    pub pointer: RecordPointer,
    pub reason: String,
}

impl From<Unopened> for Skipped {
    fn from(Unopened { pointer, reason }: Unopened) -> Self {
        Self { pointer, reason }
    }
}

impl Output for Given {
    /// Fails if a record was skipped.
    fn passed(&self) -> bool {
        self.skipped.is_empty()
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slot, version, before, block, sentences, placed_records, .. } = self;
        sentences.iter().try_for_each(|sentence| writeln!(f, "{sentence}"))?;
        let given = match before {
            true => "you had given it before",
            false => "you have given it",
        };
        write!(f, "slot {slot}, version {version}: {given}")?;
        if let Some(block) = block {
            write!(f, ", last change in chain block {block}")?;
        }
        let sections = counted(self.placed_sections as u64, "section", "sections");
        let records = counted(*placed_records as u64, "record", "records");
        writeln!(
            f,
            "\nplaced now: {sections} of {records}; in the slot: {}",
            amount(&self.records)
        )?;
        for Skipped { pointer, reason } in &self.skipped {
            let reason = legible(reason.as_bytes());
            writeln!(f, "record {pointer} does not open and was SKIPPED: {reason}")?;
        }
        write!(f, "to end this: {}", self.undo)
    }
}

/// Gives a consent, unless the slot has it, and places what is missing.
pub(super) async fn give(
    giver: &Giver<'_>,
    wanted: Wanted,
    context: &Context,
) -> Result<Given, Failure> {
    let account = identity::account(&context.keys(giver.signer)?);
    let patient = context.user_of(&account).await?;
    let chain = context.chain().await?;
    let state = chain.finalized().await?;
    let now = state.time().await?;
    consent::check(&wanted.consent, now)?;
    let names = names(&state, context).await?;
    let known = state.consents(patient).await?;
    let found = found(&known, &wanted, now);
    let slot = match found {
        Some((slot, _)) => slot,
        None => slot_for(&wanted, &known, (&state, patient, now)).await?,
    };
    // Of a consent that is in force already, its own end counts.
    let consent = found.map_or(&wanted.consent, |(_, version)| &version.consent);
    // What changes in the slot from now on, the patient does not see in the statement.
    let seen = state.slot_height(patient, slot).await?;
    let in_slot_before = in_slot(&state, patient, slot).await?;
    let coverage = covered(giver, (&account, patient), consent, context).await?;
    let calls = missing(&coverage.records, &placements(&state, &coverage).await?, slot);
    if found.is_none() || !calls.is_empty() {
        let statement = statement((slot, consent), &names, (&coverage, &in_slot_before));
        confirm(context, &statement, giver.yes).await?;
    }
    let spinner = progress::waiting(context, "waiting until the consent is finalized");
    let given = match found {
        Some(_) => None,
        None => Some(chain.submit(&sharing::give(slot, consent, seen), &account).await?.block),
    };
    spinner.finish_and_clear();
    let spinner = progress::waiting(context, "placing sections");
    let placed = consent::place(chain, &account, (slot, &coverage.records), |done, all| {
        spinner.becomes(format!("placing sections of records: {done} of {all}"));
    });
    let placed = placed.await;
    spinner.finish_and_clear();
    let placed = placed?;
    let state = chain.finalized().await?;
    let version = match found {
        Some((_, version)) => version.version,
        None => newest(&state.consents(patient).await?, slot)?,
    };
    let skipped = coverage.unopened.into_iter();
    Ok(Given {
        slot,
        version,
        before: given.is_none(),
        block: placed.block.or(given.map(|block| block.number)),
        sentences: sentences(slot, consent, &names),
        placed_records: placed.records,
        placed_sections: placed.sections,
        records: in_slot(&state, patient, slot).await?,
        skipped: skipped.map(Skipped::from).collect(),
        undo: undo(giver.signer, slot, context),
    })
}

/// The command that ends the consent.
fn undo(signer: &KeySource, slot: SlotId, context: &Context) -> String {
    let undo = context.command(["consent", "withdraw"]).with(["--as"]).with([signer]);
    undo.with(["--slot", &slot.to_string()]).to_string()
}

/// The slot that has the wanted consent in force, and the version.
fn found<'c>(
    known: &'c [(SlotId, ConsentVersion)],
    wanted: &Wanted,
    now: Moment,
) -> Option<(SlotId, &'c ConsentVersion)> {
    let is_wanted = |slot: SlotId, version: &ConsentVersion| {
        let Consent { until, .. } = version.consent;
        let same = Consent { until, ..wanted.consent.clone() } == version.consent;
        let ends_then = until.abs_diff(wanted.consent.until) <= wanted.same_end;
        version.in_force(now) && same && ends_then && wanted.slot.is_none_or(|it| it == slot)
    };
    known
        .iter()
        .find(|(slot, version)| is_wanted(*slot, version))
        .map(|(slot, version)| (*slot, version))
}

/// The wanted slot, or the first one in which nothing is and no consent is in force. What is in a slot is shared by the
/// next consent of the slot, too, so a slot with sections is never chosen for the patient.
async fn slot_for(
    wanted: &Wanted,
    known: &[(SlotId, ConsentVersion)],
    (state, patient, now): (&Snapshot, UserId, Moment),
) -> Result<SlotId, Failure> {
    if let Some(slot) = wanted.slot {
        return Ok(slot);
    }
    for slot in (0..MAX_SLOTS).map(SlotId) {
        let is_used = known.iter().any(|(it, version)| *it == slot && version.in_force(now));
        if !is_used && state.placed_in(patient, slot, None, 1).await?.is_empty() {
            return Ok(slot);
        }
    }
    Err(Failure::new(
        format!("none of your {MAX_SLOTS} slots is free"),
        "give a slot another consent with --slot, or withdraw one and take its sections out: `epione consent list \
         --help`, `epione section unshare --help`",
    ))
}

/// What the consent covers, by the patient's own keys.
async fn covered(
    giver: &Giver<'_>,
    (account, patient): (&Account, UserId),
    consent: &Consent,
    context: &Context,
) -> Result<Coverage, Failure> {
    let chain = context.chain().await?;
    let known = chain.finalized().await?.hospitals().await?;
    let active = known.iter().find(|(_, it)| it.status == HospitalStatus::Active);
    let (hospital, _) = active.ok_or_else(|| {
        Failure::new("the chain has no active hospital", "try again when a hospital is active")
    })?;
    // Texts are opened without a worker; a reader has one nevertheless.
    let worker = context.worker(*hospital, account.clone()).await?;
    let earlier = giver.earlier.iter().map(|source| Ok(context.keys(source)?.sealing));
    let earlier = earlier.collect::<Result<Vec<_>, Failure>>()?;
    let sealing = context.keys(giver.signer)?.sealing;
    let reader = Reader::new(chain.clone(), worker, sealing).with_earlier_sealing_keys(earlier);
    let spinner = progress::waiting(context, "opening your records to find what is covered");
    let wanted = (consent.kinds, consent.recorded);
    let coverage = Coverage::of(chain, &reader, patient, wanted).await;
    spinner.finish_and_clear();
    Ok(coverage?)
}

/// The placements of the covered records, in their order.
async fn placements(state: &Snapshot, coverage: &Coverage) -> Result<Vec<Placements>, Failure> {
    let pointers: Vec<_> = coverage.records.iter().map(|record| record.pointer).collect();
    let mut placements = Vec::with_capacity(pointers.len());
    for page in pointers.chunks(MAX_RELEASED_RECORDS as usize) {
        placements.extend(state.placements(page).await?.into_iter().take(page.len()));
    }
    Ok(placements)
}

/// What the patient confirms.
fn statement(
    (slot, consent): (SlotId, &Consent),
    names: &Names,
    (coverage, before): (&Coverage, &[ReleasedRecord]),
) -> String {
    let mut lines = sentences(slot, consent, names);
    if !before.is_empty() {
        lines.push(format!("In the slot already, and shared by this consent: {}.", amount(before)));
    }
    if !coverage.records.is_empty() {
        lines.push(format!("Covered now: {}.", amount(&coverage.records)));
    }
    for it in &coverage.unopened {
        let reason = legible(it.reason.as_bytes());
        lines.push(format!("Record {} does not open, and is skipped: {reason}", it.pointer));
    }
    lines.join("\n")
}

/// The newest version of a slot.
fn newest(known: &[(SlotId, ConsentVersion)], slot: SlotId) -> Result<u32, Failure> {
    let found = known.iter().find(|(it, _)| *it == slot);
    found.map(|(_, version)| version.version).ok_or_else(|| {
        Failure::new(
            format!("the node does not have the consent of slot {slot}, which is final"),
            "use another node with --node URL",
        )
    })
}

#[cfg(test)]
mod tests {
    use epione_primitives::{
        HospitalId,
        access::Purpose,
        release::SectionSet,
        sharing::{KindSet, RecordedPeriod, Term},
    };

    use super::*;

    fn consent(until: Moment) -> Consent {
        Consent {
            audience: vec![Term::Hospital(HospitalId(1))].try_into().unwrap(),
            purposes: vec![Purpose::Research].try_into().unwrap(),
            kinds: KindSet(0b10),
            recorded: RecordedPeriod::default(),
            until,
        }
    }

    fn version(until: Moment) -> ConsentVersion {
        ConsentVersion { version: 4, consent: consent(until), since: 10, block: 7, ended: None }
    }

    fn wanted(slot: Option<u8>, until: Moment, same_end: Moment) -> Wanted {
        Wanted { slot: slot.map(SlotId), consent: consent(until), same_end }
    }

    #[test]
    fn a_rerun_finds_only_the_consent_that_it_would_give() {
        let known = [(SlotId(0), version(90)), (SlotId(3), version(100))];
        let found = |wanted: &Wanted, now| found(&known, wanted, now).map(|(slot, _)| slot.0);
        assert_eq!(found(&wanted(None, 100, 0), 50), Some(3));
        assert_eq!(found(&wanted(None, 105, 5), 50), Some(3));
        assert_eq!(found(&wanted(None, 105, 4), 50), None);
        assert_eq!(found(&wanted(Some(3), 100, 0), 50), Some(3));
        assert_eq!(found(&wanted(Some(0), 100, 0), 50), None);
        assert_eq!(found(&wanted(None, 100, 0), 100), None, "it is over");
        let other = Consent { kinds: KindSet(0b100), ..consent(100) };
        let other = Wanted { consent: other, ..wanted(None, 100, 0) };
        assert_eq!(found(&other, 50), None);
    }

    #[test]
    fn the_statement_says_what_is_shared_already_and_what_is_skipped() {
        let record = |height| ReleasedRecord {
            pointer: RecordPointer { height, index: 0 },
            sections: SectionSet(0b11),
        };
        let unopened = Unopened {
            pointer: RecordPointer { height: 9, index: 0 },
            reason: "another\nkey".into(),
        };
        let coverage = Coverage { records: vec![record(1), record(2)], unopened: vec![unopened] };
        let shown = |coverage: &Coverage, before: &[ReleasedRecord]| {
            statement((SlotId(2), &consent(100)), &Names::default(), (coverage, before))
        };
        let text = shown(&coverage, &[record(1)]);
        for line in [
            "You let every requester who is registered at hospital 1 read, for research, the sections in slot 2",
            "\nIn the slot already, and shared by this consent: 2 sections of 1 record.",
            "\nCovered now: 4 sections of 2 records.",
            "\nRecord 9/0 does not open, and is skipped: another",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(!text.contains("\nkey"), "{text}");
        let empty = shown(&Coverage::default(), &[]);
        assert!(!empty.contains("already") && !empty.contains("Covered"), "{empty}");
    }

    #[test]
    fn a_skipped_record_makes_the_command_fail() {
        let mut given = Given {
            slot: SlotId(2),
            version: 1,
            before: false,
            block: Some(7),
            sentences: vec!["You let nobody read.".into()],
            placed_records: 1,
            placed_sections: 2,
            records: Vec::new(),
            skipped: Vec::new(),
            undo: "epione consent withdraw".into(),
        };
        assert!(given.passed());
        let text = given.to_string();
        assert!(
            text.contains("slot 2, version 1: you have given it, last change in chain block 7")
        );
        assert!(text.contains("placed now: 2 sections of 1 record"), "{text}");
        let pointer = RecordPointer { height: 9, index: 0 };
        given.skipped.push(Skipped { pointer, reason: "another key".into() });
        assert!(!given.passed());
        assert!(given.to_string().contains("record 9/0 does not open and was SKIPPED"));
    }
}
