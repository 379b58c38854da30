//! `epione section share` and `unshare`: the patient places single sections in a slot, or takes them out.

use std::{collections::BTreeMap, fmt};

use clap::Args;
use epione_client::{
    chain::Snapshot,
    consent::{self, Names, missing, placements_of, sentences},
    reader::VerifiedRecord,
};
use epione_primitives::{
    BlockNumber, RecordPointer, UserId,
    release::{ReleasedRecord, SectionSet},
    sharing::{ConsentVersion, SlotId},
};
use serde::Serialize;

use crate::{
    commands::{
        consent::{amount, changing, in_slot, names, slot},
        query::Part,
    },
    confirmation::confirm,
    context::{Context, Output},
    failure::Failure,
    identity::{self, KeySource},
    progress,
    wording::{self, counted, numbers},
};

#[derive(Debug, Args)]
pub struct ShareArgs {
    #[command(flatten)]
    pub sections: SectionArgs,
    /// Shares without asking you to confirm
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct SectionArgs {
    /// Your key file: the patient's
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// A record, and the numbers of sections, as in 1/0:3,5; without numbers, every section. May be repeated; `epione
    /// records get --own-key` prints the numbers
    #[arg(long = "record", value_name = "HEIGHT/INDEX[:SECTIONS]", required = true)]
    pub records: Vec<Part>,
    /// Number of the slot, from 0 to 15
    #[arg(long, value_name = "SLOT", value_parser = slot)]
    pub slot: SlotId,
}

/// What is in a slot after the command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shared {
    pub patient: UserId,
    pub slot: SlotId,
    /// The number of records and of their sections that this run placed or took out.
    pub changed_records: usize,
    pub changed_sections: usize,
    /// The chain block of the last change; absent if nothing was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<BlockNumber>,
    /// Whether a consent of the slot is in force.
    pub in_force: bool,
    /// Everything that is in the slot.
    pub records: Vec<ReleasedRecord>,
    /// The command that undoes the change; absent if nothing was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
}

impl Output for Shared {}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slot, changed_records, changed_sections, block, records, .. } = self;
        match block {
            Some(block) => writeln!(
                f,
                "changed in slot {slot}, last in chain block {block}: {} of {}",
                counted(*changed_sections as u64, "section", "sections"),
                counted(*changed_records as u64, "record", "records")
            )?,
            None => writeln!(f, "slot {slot}: nothing was changed, it was so already")?,
        }
        writeln!(f, "in the slot: {}", amount(records))?;
        let consent = match self.in_force {
            true => "the consent of the slot shares them",
            false => "no consent of the slot is in force, so nobody may read them by it",
        };
        write!(f, "{consent}; what somebody has read, they may keep")?;
        self.undo.iter().try_for_each(|command| write!(f, "\nto undo this: {command}"))
    }
}

/// Places sections in a slot, after the patient has confirmed who may read them then.
pub async fn share(args: &ShareArgs, context: &Context) -> Result<Shared, Failure> {
    change(&args.sections, Change::Share { yes: args.yes }, context).await
}

/// Takes sections out of a slot.
pub async fn unshare(args: &SectionArgs, context: &Context) -> Result<Shared, Failure> {
    change(args, Change::Unshare, context).await
}

#[derive(Clone, Copy)]
enum Change {
    Share {
        /// Whether the patient has confirmed on the command line.
        yes: bool,
    },
    Unshare,
}

async fn change(args: &SectionArgs, change: Change, context: &Context) -> Result<Shared, Failure> {
    let account = identity::account(&context.keys(&args.signer)?);
    let patient = context.user_of(&account).await?;
    let chain = context.chain().await?;
    let mut records = Vec::new();
    for (pointer, sections) in merged(&args.records) {
        let existing = VerifiedRecord::of(chain, patient, pointer).await?.sections();
        records.push(chosen(pointer, sections, existing)?);
    }
    if let Change::Share { yes } = change {
        confirmed(&chain.finalized().await?, (patient, args.slot), &records, yes, context).await?;
    }
    let spinner = progress::waiting(context, "waiting until the change is finalized");
    let followed = |done: usize, all: usize| {
        spinner.becomes(format!("waiting until the change is finalized: {done} of {all} records"));
    };
    let changed = match change {
        Change::Share { .. } => {
            consent::place(chain, &account, (args.slot, &records), followed).await
        }
        Change::Unshare => consent::remove(chain, &account, (args.slot, &records), followed).await,
    };
    spinner.finish_and_clear();
    let changed = changed?;
    let state = chain.finalized().await?;
    let in_force = in_force(&state, patient, args.slot).await?.is_some();
    let opposite = match change {
        Change::Share { .. } => "unshare",
        Change::Unshare => "share",
    };
    Ok(Shared {
        patient,
        slot: args.slot,
        changed_records: changed.changed.len(),
        changed_sections: changed.sections(),
        block: changed.block,
        in_force,
        records: in_slot(&state, patient, args.slot).await?,
        undo: changed.block.map(|_| {
            // Only what this run changed: what was so before stays so.
            changing(opposite, &args.signer, (args.slot, &changed.changed), context).to_string()
        }),
    })
}

/// The consent of a slot, if it is in force.
async fn in_force(
    state: &Snapshot,
    patient: UserId,
    slot: SlotId,
) -> Result<Option<ConsentVersion>, Failure> {
    let now = state.time().await?;
    let consents = state.consents(patient).await?.into_iter();
    let mut found = consents.filter(|(it, version)| *it == slot && version.in_force(now));
    Ok(found.next().map(|(_, version)| version))
}

/// Waits until the patient confirms what is shared, if a consent shares it and something is not in the slot yet.
async fn confirmed(
    state: &Snapshot,
    (patient, slot): (UserId, SlotId),
    records: &[ReleasedRecord],
    yes: bool,
    context: &Context,
) -> Result<(), Failure> {
    let Some(version) = in_force(state, patient, slot).await? else { return Ok(()) };
    let left = missing(records, &placements_of(state, records).await?, slot).concat();
    if left.is_empty() {
        return Ok(());
    }
    let names = names(state, context).await?;
    confirm(context, &statement((slot, &version), &left, &names), yes).await
}

/// What the patient confirms.
fn statement(
    (slot, version): (SlotId, &ConsentVersion),
    records: &[ReleasedRecord],
    names: &Names,
) -> String {
    let mut lines = sentences(slot, &version.consent, names);
    lines.push(format!(
        "You place in the slot, so that this consent shares it: {}.",
        amount(records)
    ));
    let named = records
        .iter()
        .map(|it| format!("  record {}: {}", it.pointer, wording::sections(it.sections)));
    lines.extend(named);
    lines.join("\n")
}

/// The named records, ascending. One that is named twice is there once, with the sections of both.
fn merged(parts: &[Part]) -> BTreeMap<RecordPointer, SectionSet> {
    let mut records: BTreeMap<RecordPointer, SectionSet> = BTreeMap::new();
    for Part(ReleasedRecord { pointer, sections }) in parts {
        let all = records.entry(*pointer).or_default();
        *all = all.union(*sections);
    }
    records
}

/// The named sections of a record, all of which exist.
fn chosen(
    pointer: RecordPointer,
    named: SectionSet,
    existing: SectionSet,
) -> Result<ReleasedRecord, Failure> {
    let sections = if named == SectionSet::ALL { existing } else { named };
    let missing = sections.without(existing);
    if missing.is_empty() {
        return Ok(ReleasedRecord { pointer, sections });
    }
    Err(Failure::usage(
        format!("record {pointer} has no {}", wording::sections(missing)),
        format!("choose some of its sections: {}; nothing was changed", numbers(existing)),
    ))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use epione_primitives::{
        HospitalId,
        access::Purpose,
        sharing::{Consent, KindSet, RecordedPeriod, Term},
    };

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        share: ShareArgs,
    }

    fn parse(more: &[&str]) -> Result<ShareArgs, clap::Error> {
        Line::try_parse_from([&["share", "--as", "//Patient"][..], more].concat())
            .map(|line| line.share)
    }

    #[test]
    fn a_record_and_a_slot_are_named() {
        let args = parse(&["--record", "1/0:0,1", "--record", "2/0", "--slot", "3"]).unwrap();
        assert_eq!((args.sections.records.len(), args.sections.slot), (2, SlotId(3)));
        for wrong in [
            &["--record", "1/0"][..],
            &["--slot", "3"],
            &["--record", "1/0", "--slot", "16"],
            &["--record", "1/0:64", "--slot", "3"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_section_that_the_record_does_not_have_is_refused() {
        let pointer = RecordPointer { height: 1, index: 0 };
        let chosen = |named| chosen(pointer, SectionSet(named), SectionSet(0b11));
        assert_eq!(chosen(u64::MAX).unwrap().sections, SectionSet(0b11));
        assert_eq!(chosen(0b10).unwrap().sections, SectionSet(0b10));
        let refused = chosen(0b110).unwrap_err();
        assert!(refused.error.contains("record 1/0 has no section 2"), "{refused}");
        assert!(refused.help.contains("0,1"), "{refused}");
    }

    #[test]
    fn records_that_are_named_twice_are_there_once_in_the_chains_order() {
        let parts = ["2/0:1", "1/0:0", "2/0:3"].map(|text| text.parse::<Part>().unwrap());
        let merged: Vec<_> = merged(&parts).into_iter().collect();
        let pointer = |height| RecordPointer { height, index: 0 };
        assert_eq!(merged, [(pointer(1), SectionSet(1)), (pointer(2), SectionSet(0b1010))]);
    }

    #[test]
    fn the_patient_confirms_who_reads_what_is_placed() {
        let consent = Consent {
            audience: vec![Term::Hospital(HospitalId(7))].try_into().unwrap(),
            purposes: vec![Purpose::Research].try_into().unwrap(),
            kinds: KindSet::default(),
            recorded: RecordedPeriod::default(),
            until: 90,
            standing: false,
        };
        let version = ConsentVersion { version: 4, consent, since: 10, block: 7, ended: None };
        let pointer = RecordPointer { height: 1, index: 0 };
        let records = [ReleasedRecord { pointer, sections: SectionSet(0b101) }];
        let text = statement((SlotId(2), &version), &records, &Names::default());
        for line in [
            "You let every requester who is registered at hospital 7 read, for research, the sections in slot 2",
            "\nYou place in the slot, so that this consent shares it: 2 sections of 1 record.",
            "\n  record 1/0: sections 0,2",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[test]
    fn the_result_says_whether_a_consent_shares_the_sections() {
        let pointer = RecordPointer { height: 1, index: 0 };
        let mut shared = Shared {
            patient: UserId([1; 32]),
            slot: SlotId(2),
            changed_records: 1,
            changed_sections: 2,
            block: Some(57),
            in_force: true,
            records: vec![ReleasedRecord { pointer, sections: SectionSet(0b111) }],
            undo: Some("epione section unshare".into()),
        };
        let text = shared.to_string();
        assert!(
            text.starts_with("changed in slot 2, last in chain block 57: 2 sections of 1 record\n")
        );
        assert!(text.contains("in the slot: 3 sections of 1 record\nthe consent"), "{text}");
        assert!(text.ends_with("to undo this: epione section unshare"), "{text}");
        (shared.block, shared.in_force, shared.undo) = (None, false, None);
        let text = shared.to_string();
        assert!(text.contains("nothing was changed") && text.contains("no consent"), "{text}");
    }
}
