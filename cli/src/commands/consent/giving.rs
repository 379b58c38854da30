//! Gives a consent and places the sections that it covers. Every step that is so already is left out, so a run that was
//! interrupted is finished by the same command.

use std::{collections::BTreeMap, fmt};

use epione_client::{
    chain::calls::sharing,
    consent::{
        self, Coverage, Names, Unopened, Unwrappable, audience_in_words, fhir::instant, missing,
        placements_of, purposes_in_words, sentences,
    },
    reader::Reader,
    signer::Account,
};
use epione_primitives::{
    BlockNumber, RecordPointer, UserId,
    hospital::HospitalStatus,
    release::{ReleasedRecord, SectionSet},
    sharing::{Consent, ConsentVersion, SlotId},
};
use serde::Serialize;

use super::{
    choosing::{Wanted, found, slot_for},
    shown::{amount, changing, in_slot, names},
};
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
    /// What is in the slot now, but neither was there before nor is covered: the patient has not confirmed it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unconfirmed: Vec<ReleasedRecord>,
    /// The command that takes it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove: Option<String>,
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
    /// Fails if a record was skipped, or if something is in the slot that the patient has not confirmed.
    fn passed(&self) -> bool {
        self.skipped.is_empty() && self.unconfirmed.is_empty()
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
        if let Some(remove) = &self.remove {
            writeln!(
                f,
                "WARNING: {} were placed in the slot meanwhile, which you have not confirmed; to take them out: \
                 {remove}",
                amount(&self.unconfirmed)
            )?;
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
    let placements = placements_of(&state, &coverage.records).await?;
    let calls = missing(&coverage.records, &placements, slot);
    if found.is_none() || !calls.is_empty() {
        let replaced = known.iter().find(|(it, version)| *it == slot && version.in_force(now));
        let replaced = replaced.map(|(_, version)| version).filter(|_| found.is_none());
        let mut statement =
            statement((slot, consent), replaced, &names, (&coverage, &in_slot_before));
        if consent.standing {
            let unwrappable = Unwrappable::of(&state, patient).await?;
            statement.extend(unwrappable.sentence(&names).map(|sentence| format!("\n{sentence}")));
        }
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
    let records = in_slot(&state, patient, slot).await?;
    let unconfirmed = unconfirmed(&records, &in_slot_before, &coverage.records);
    let remove = || changing("unshare", giver.signer, (slot, &unconfirmed), context).to_string();
    let remove = (!unconfirmed.is_empty()).then(remove);
    let skipped = coverage.unopened.into_iter();
    Ok(Given {
        slot,
        version,
        before: given.is_none(),
        block: placed.block.or(given.map(|block| block.number)),
        sentences: sentences(slot, consent, &names),
        placed_records: placed.changed.len(),
        placed_sections: placed.sections(),
        records,
        skipped: skipped.map(Skipped::from).collect(),
        unconfirmed,
        remove,
        undo: undo(giver.signer, slot, context),
    })
}

/// The command that ends the consent.
fn undo(signer: &KeySource, slot: SlotId, context: &Context) -> String {
    let undo = context.command(["consent", "withdraw"]).with(["--as"]).with([signer]);
    undo.with(["--slot", &slot.to_string()]).to_string()
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

/// What is in a slot, but neither was there before nor is covered.
fn unconfirmed(
    records: &[ReleasedRecord],
    before: &[ReleasedRecord],
    covered: &[ReleasedRecord],
) -> Vec<ReleasedRecord> {
    let mut confirmed: BTreeMap<RecordPointer, SectionSet> = BTreeMap::new();
    for ReleasedRecord { pointer, sections } in before.iter().chain(covered) {
        let all = confirmed.entry(*pointer).or_default();
        *all = all.union(*sections);
    }
    let others = records.iter().map(|record| {
        let confirmed = confirmed.get(&record.pointer).copied().unwrap_or_default();
        ReleasedRecord { sections: record.sections.without(confirmed), ..*record }
    });
    others.filter(|record| !record.sections.is_empty()).collect()
}

/// What the patient confirms.
fn statement(
    (slot, consent): (SlotId, &Consent),
    replaced: Option<&ConsentVersion>,
    names: &Names,
    (coverage, before): (&Coverage, &[ReleasedRecord]),
) -> String {
    let mut lines = sentences(slot, consent, names);
    if let Some(ConsentVersion { version, consent, .. }) = replaced {
        lines.push(format!(
            "This replaces version {version} of the slot's consent. Until now, every requester who {} can read the \
             sections in the slot, for {}, until {}.",
            audience_in_words(&consent.audience, names),
            purposes_in_words(&consent.purposes),
            instant(consent.until)
        ));
    }
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
        HospitalId, Moment,
        access::Purpose,
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
            standing: false,
        }
    }

    fn version(until: Moment) -> ConsentVersion {
        ConsentVersion { version: 4, consent: consent(until), since: 10, block: 7, ended: None }
    }

    #[test]
    fn what_was_placed_without_the_patients_word_is_told() {
        let record = |height, sections| ReleasedRecord {
            pointer: RecordPointer { height, index: 0 },
            sections: SectionSet(sections),
        };
        let (before, covered) = ([record(1, 0b001)], [record(1, 0b010), record(2, 0b1)]);
        let others = |records: &[ReleasedRecord]| unconfirmed(records, &before, &covered);
        assert!(others(&[record(1, 0b011), record(2, 0b1)]).is_empty());
        assert!(others(&[record(1, 0b001)]).is_empty());
        let more = [record(1, 0b111), record(2, 0b1), record(3, 0b10)];
        assert_eq!(others(&more), [record(1, 0b100), record(3, 0b10)]);
    }

    #[test]
    fn the_statement_says_which_consent_ends_and_who_could_read_until_now() {
        let shown = |replaced: Option<&ConsentVersion>| {
            let (coverage, before) = (Coverage::default(), Vec::new());
            let names = Names::default();
            statement((SlotId(2), &consent(100)), replaced, &names, (&coverage, &before))
        };
        let audience = vec![Term::Hospital(HospitalId(7))].try_into().unwrap();
        let former = Consent { audience, ..consent(90) };
        let text = shown(Some(&ConsentVersion { consent: former, ..version(90) }));
        let line = "\nThis replaces version 4 of the slot's consent. Until now, every requester who is registered at \
                    hospital 7 can read the sections in the slot, for research, until 1970-01-01T00:00:00.090Z.";
        assert!(text.contains(line), "{text}");
        assert!(!shown(None).contains("replaces"));
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
            statement((SlotId(2), &consent(100)), None, &Names::default(), (coverage, before))
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
            unconfirmed: Vec::new(),
            remove: None,
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
        given.skipped.clear();
        given.unconfirmed.push(ReleasedRecord { pointer, sections: SectionSet(0b11) });
        given.remove = Some("epione section unshare".into());
        assert!(!given.passed());
        let text = given.to_string();
        assert!(text.contains("WARNING: 2 sections of 1 record were placed"), "{text}");
        assert!(text.contains("to take them out: epione section unshare"), "{text}");
    }
}
