//! `epione section share` and `unshare`: the patient places single sections in a slot, or takes them out.

use std::{collections::BTreeMap, fmt};

use clap::Args;
use epione_client::{consent, reader::VerifiedRecord};
use epione_primitives::{
    BlockNumber, RecordPointer, UserId,
    release::{ReleasedRecord, SectionSet},
    sharing::SlotId,
};
use serde::Serialize;

use crate::{
    commands::{
        consent::{amount, in_slot, slot},
        query::Part,
    },
    context::{Context, Output},
    failure::Failure,
    identity::{self, KeySource},
    progress,
    wording::{self, counted, numbers},
};

#[derive(Debug, Args)]
pub struct ShareArgs {
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

/// Places sections in a slot.
pub async fn share(args: &ShareArgs, context: &Context) -> Result<Shared, Failure> {
    change(args, true, context).await
}

/// Takes sections out of a slot.
pub async fn unshare(args: &ShareArgs, context: &Context) -> Result<Shared, Failure> {
    change(args, false, context).await
}

async fn change(args: &ShareArgs, places: bool, context: &Context) -> Result<Shared, Failure> {
    let account = identity::account(&context.keys(&args.signer)?);
    let patient = context.user_of(&account).await?;
    let chain = context.chain().await?;
    let mut records = Vec::new();
    for (pointer, sections) in merged(&args.records) {
        let existing = VerifiedRecord::of(chain, patient, pointer).await?.sections();
        records.push(chosen(pointer, sections, existing)?);
    }
    let spinner = progress::waiting(context, "waiting until the change is finalized");
    let followed = |done: usize, all: usize| {
        spinner.becomes(format!("waiting until the change is finalized: {done} of {all} records"));
    };
    let changed = match places {
        true => consent::place(chain, &account, (args.slot, &records), followed).await,
        false => consent::remove(chain, &account, (args.slot, &records), followed).await,
    };
    spinner.finish_and_clear();
    let changed = changed?;
    let state = chain.finalized().await?;
    let now = state.time().await?;
    let consents = state.consents(patient).await?;
    let undo = || {
        let verb = if places { "unshare" } else { "share" };
        let command = context.command(["section", verb]).with(["--as"]).with([&args.signer]);
        let command = command.with(["--slot", &args.slot.to_string()]);
        let named = records.iter().map(|it| format!("{}:{}", it.pointer, numbers(it.sections)));
        named.fold(command, |command, named| command.with(["--record", &named])).to_string()
    };
    Ok(Shared {
        patient,
        slot: args.slot,
        changed_records: changed.records,
        changed_sections: changed.sections,
        block: changed.block,
        in_force: consents.iter().any(|(slot, it)| *slot == args.slot && it.in_force(now)),
        records: in_slot(&state, patient, args.slot).await?,
        undo: changed.block.map(|_| undo()),
    })
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
        assert_eq!((args.records.len(), args.slot), (2, SlotId(3)));
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
