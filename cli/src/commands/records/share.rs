//! `epione records share` and `unshare`: a patient decides which sections of a record are shared. The chain stores
//! that, and the policies of the record's hospital decide who may read shared sections.

use std::fmt;

use clap::{ArgGroup, Args};
use epione_client::{
    chain::{Snapshot, calls::sharing},
    reader::{self, VerifiedRecord},
};
use epione_policies::language::sentence;
use epione_primitives::{
    BlockNumber, HospitalId, RecordPointer, UserId,
    access::{Action, Conclusion, Condition, Policy},
    limits::MAX_SECTIONS,
    release::SectionSet,
};
use serde::Serialize;

use super::wanted::unknown;
use crate::{
    context::{Context, Output},
    failure::Failure,
    identity::{self, KeySource},
    names::Bearer,
    progress,
    wording::{legible, numbers},
};

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["sections", "all_sections"])))]
pub struct ShareArgs {
    /// Your key file: the patient's
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// The record, by block height and index, as in 12/0
    #[arg(long, value_name = "HEIGHT/INDEX")]
    pub record: RecordPointer,
    /// Numbers of sections, counted from 0, as in 0,2 or 0-3; `epione records get --own-key` prints them
    #[arg(long, value_name = "SECTIONS", value_parser = parse_numbers)]
    pub sections: Option<SectionSet>,
    /// Every section of the record
    #[arg(long)]
    pub all_sections: bool,
}

/// Which change of the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Share,
    Unshare,
}

/// The classes of a record's sections after the command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SharedRecord {
    pub record: RecordPointer,
    pub patient: UserId,
    pub hospital: HospitalId,
    pub hospital_name: String,
    /// The sections whose class this command changed.
    pub changed: SectionSet,
    pub shared: SectionSet,
    pub private: SectionSet,
    /// The chain block from which on that is so; absent if nothing was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<BlockNumber>,
    /// Version of the hospital's policies; 0 is the default policies.
    pub version: u32,
    /// The policies that let others read shared sections, but not private ones.
    pub policies: Vec<SharedPolicy>,
    /// The command that undoes the change; absent if nothing was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
}

/// A policy that applies to shared sections only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SharedPolicy {
    pub policy: String,
    /// What it says, in a sentence.
    pub gloss: String,
}

impl Output for SharedRecord {}

impl fmt::Display for SharedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { record, hospital, hospital_name, version, .. } = self;
        let from = match self.block {
            Some(block) => format!("from block {block} on"),
            None => "nothing was changed".into(),
        };
        writeln!(
            f,
            "record {record} at {hospital_name} ({hospital}), {from}: {}, {}",
            of_class(self.shared, "shared"),
            of_class(self.private, "private")
        )?;
        if !self.shared.is_empty() {
            if self.policies.is_empty() {
                writeln!(
                    f,
                    "the policies of hospital {hospital} (version {version}) let nobody read shared sections who may \
                     not read private ones"
                )?;
            } else {
                writeln!(
                    f,
                    "the policies of hospital {hospital} (version {version}) let others read the shared sections:"
                )?;
            }
            for SharedPolicy { policy, gloss } in &self.policies {
                writeln!(f, "  {policy}: {gloss}")?;
            }
        }
        write!(
            f,
            "what somebody read before, they may keep; the command `audit who-looked` lists who read"
        )?;
        self.undo.iter().try_for_each(|command| write!(f, "\nto undo this: {command}"))
    }
}

fn of_class(sections: SectionSet, class: &str) -> String {
    match sections.iter().count() {
        0 => format!("no section is {class}"),
        1 => format!("section {} is {class}", numbers(sections)),
        _ => format!("sections {} are {class}", numbers(sections)),
    }
}

/// Changes the class of sections of the signer's record.
pub async fn share(
    args: &ShareArgs,
    change: Change,
    context: &Context,
) -> Result<SharedRecord, Failure> {
    let account = identity::account(&context.keys(&args.signer)?);
    let patient = context.user_of(&account).await?;
    let chain = context.chain().await?;
    let state = chain.finalized().await?;
    let hospital = reader::hospital_of(&state, patient, args.record).await?;
    let hospital = hospital.ok_or_else(|| unknown(patient, args.record, context))?;
    let existing = VerifiedRecord::of(chain, patient, args.record).await?.sections();
    let named = chosen(args, existing)?;
    let before = class_shared(&state, args.record, existing).await?;
    let changed = match change {
        Change::Share => named.without(before),
        Change::Unshare => named.intersection(before),
    };
    let (state, block) = if changed.is_empty() {
        (state, None)
    } else {
        let call = match change {
            Change::Share => sharing::share(args.record, changed),
            Change::Unshare => sharing::unshare(args.record, changed),
        };
        let spinner = progress::waiting(context, "waiting until the change is finalized");
        let included = chain.submit(&call, &account).await;
        spinner.finish_and_clear();
        let block = included?.block;
        (chain.at(block.hash), Some(block.number))
    };
    let shared = class_shared(&state, args.record, existing).await?;
    let (version, policies) = policies(&state, hospital).await?;
    Ok(SharedRecord {
        record: args.record,
        patient,
        hospital,
        hospital_name: name_of(hospital, &state, context).await?,
        changed,
        shared,
        private: existing.without(shared),
        block,
        version,
        policies,
        undo: block.map(|_| undo(args, change, changed, context)),
    })
}

/// The named sections, all of which exist.
fn chosen(args: &ShareArgs, existing: SectionSet) -> Result<SectionSet, Failure> {
    let named = if args.all_sections { existing } else { args.sections.unwrap_or_default() };
    let missing = named.without(existing);
    if missing.is_empty() {
        return Ok(named);
    }
    Err(Failure::usage(
        format!("record {} has no section {}", args.record, numbers(missing)),
        format!("choose some of its sections: {}", numbers(existing)),
    ))
}

/// The existing sections that are shared.
async fn class_shared(
    state: &Snapshot,
    record: RecordPointer,
    existing: SectionSet,
) -> Result<SectionSet, Failure> {
    let shared = state.shared(&[record]).await?.first().copied().unwrap_or_default();
    Ok(shared.intersection(existing))
}

/// The version of a hospital's policies, and those of them that are for shared sections.
async fn policies(
    state: &Snapshot,
    hospital: HospitalId,
) -> Result<(u32, Vec<SharedPolicy>), Failure> {
    let Some((version, set)) = state.policies(hospital, None).await? else {
        return Ok((0, Vec::new()));
    };
    let now = state.time().await?;
    let is_over = |policy: &Policy| policy.expires.is_some_and(|end| end <= now);
    let opening = set.policies.iter().filter(|it| is_for_shared(it, hospital) && !is_over(it));
    let said =
        |it: &Policy| SharedPolicy { policy: sentence::name(it), gloss: sentence::policy(it) };
    Ok((version, opening.map(said).collect()))
}

/// Whether a policy lets others read shared sections at a hospital.
fn is_for_shared(policy: &Policy, hospital: HospitalId) -> bool {
    let Conclusion::Allows(actions) = &policy.conclusion else { return false };
    let reads = |action: &Action| {
        matches!(action, Action::ReadText | Action::ReadMedia | Action::BreakGlass)
    };
    actions.iter().any(reads)
        && policy.conditions.contains(&Condition::SectionShared)
        && (policy.hospitals.is_empty() || policy.hospitals.contains(&hospital))
}

/// The user's own name for a hospital, or its name on the chain.
async fn name_of(
    hospital: HospitalId,
    state: &Snapshot,
    context: &Context,
) -> Result<String, Failure> {
    if let Some(own) = context.address_book().await?.name_of(Bearer::Hospital(hospital)) {
        return Ok(own.to_string());
    }
    let entry = state.hospital(hospital).await?;
    Ok(entry.map_or_else(String::new, |entry| legible(&entry.name)))
}

fn undo(args: &ShareArgs, change: Change, changed: SectionSet, context: &Context) -> String {
    let other = match change {
        Change::Share => "unshare",
        Change::Unshare => "share",
    };
    let command = context.command(["records", other]).with(["--as"]).with([&args.signer]);
    let record = args.record.to_string();
    command.with(["--record", &record, "--sections", &numbers(changed)]).to_string()
}

/// Parses numbers and ranges of numbers, separated by commas.
pub(in crate::commands) fn parse_numbers(text: &str) -> Result<SectionSet, String> {
    let wrong = || {
        format!(
            "{text:?} does not name sections: write their numbers, from 0 to {}, as in 0,2 or 0-3",
            MAX_SECTIONS - 1
        )
    };
    let mut sections = SectionSet::default();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u16>().map_err(|_| wrong());
        let (first, last) = (number(first)?, number(last)?);
        if first > last || last >= MAX_SECTIONS {
            return Err(wrong());
        }
        (first..=last).for_each(|section| {
            sections.insert(section);
        });
    }
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use epione_policies::language;

    use super::*;
    use crate::samples;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        share: ShareArgs,
    }

    fn parse(more: &[&str]) -> Result<ShareArgs, clap::Error> {
        let begin = ["share", "--as", "//Patient", "--record", "1/0"];
        Line::try_parse_from([&begin[..], more].concat()).map(|line| line.share)
    }

    fn set(sections: &[u16]) -> SectionSet {
        let mut set = SectionSet::default();
        assert!(sections.iter().all(|section| set.insert(*section)));
        set
    }

    #[test]
    fn sections_are_numbers_and_ranges() {
        for (text, sections) in [
            ("0", &[0][..]),
            ("2,0", &[0, 2]),
            ("0-3,7", &[0, 1, 2, 3, 7]),
            ("63", &[63]),
            ("1, 1", &[1]),
        ] {
            assert_eq!(parse_numbers(text), Ok(set(sections)), "{text}");
        }
        for wrong in ["", ",", "0,", "64", "0-64", "3-1", "-1", "a", "report", "0--1", "65536"] {
            let refused = parse_numbers(wrong).unwrap_err();
            assert!(refused.contains("from 0 to 63"), "{wrong}: {refused}");
        }
    }

    #[test]
    fn nothing_is_shared_unless_sections_are_named() {
        assert!(parse(&[]).is_err());
        assert!(parse(&["--sections", "0", "--all-sections"]).is_err());
        assert_eq!(parse(&["--sections", "0,2"]).unwrap().sections, Some(set(&[0, 2])));
        assert!(parse(&["--all-sections"]).unwrap().all_sections);
    }

    #[test]
    fn a_section_that_the_record_does_not_have_is_refused() {
        let existing = set(&[0, 1]);
        let chosen = |more: &[&str]| chosen(&parse(more).unwrap(), existing);
        assert_eq!(chosen(&["--all-sections"]).unwrap(), existing);
        assert_eq!(chosen(&["--sections", "1"]).unwrap(), set(&[1]));
        let refused = chosen(&["--sections", "1,2"]).unwrap_err();
        assert!(refused.error.contains("has no section 2"), "{refused}");
        assert!(refused.help.ends_with("0,1"), "{refused}");
    }

    #[test]
    fn only_policies_for_shared_sections_at_this_hospital_are_listed() {
        let policies = language::compile("hospital.toml", samples::HOSPITAL_POLICIES, 0).unwrap();
        let listed = |hospital| {
            let opening = policies.iter().filter(move |it| is_for_shared(it, HospitalId(hospital)));
            opening.map(sentence::name).collect::<Vec<_>>()
        };
        assert_eq!(listed(0), ["research"]);
        let mut elsewhere =
            policies.iter().find(|it| is_for_shared(it, HospitalId(0))).unwrap().clone();
        elsewhere.hospitals = vec![HospitalId(1)].try_into().unwrap();
        assert!(!is_for_shared(&elsewhere, HospitalId(0)));
        assert!(is_for_shared(&elsewhere, HospitalId(1)));
    }

    #[test]
    fn the_result_says_what_is_shared_and_who_may_then_read() {
        let gloss = "a researcher may read text if the section is shared".to_owned();
        let mut shared = SharedRecord {
            record: RecordPointer { height: 1, index: 0 },
            patient: UserId([1; 32]),
            hospital: HospitalId(0),
            hospital_name: "Alice".into(),
            changed: set(&[0, 2]),
            shared: set(&[0, 2]),
            private: set(&[1]),
            block: Some(57),
            version: 1,
            policies: vec![SharedPolicy { policy: "research".into(), gloss }],
            undo: Some("epione records unshare".into()),
        };
        let text = shared.to_string();
        assert!(
            text.starts_with(
                "record 1/0 at Alice (0), from block 57 on: sections 0,2 are shared, section 1 is private\n"
            ),
            "{text}"
        );
        assert!(text.contains("  research: a researcher may read text"), "{text}");
        assert!(text.ends_with("to undo this: epione records unshare"), "{text}");
        shared.policies.clear();
        assert!(shared.to_string().contains("let nobody read shared sections"), "{shared}");
        (shared.block, shared.undo, shared.shared) = (None, None, SectionSet::default());
        let text = shared.to_string();
        assert!(text.contains("nothing was changed: no section is shared"), "{text}");
        assert!(!text.contains("policies"), "{text}");
    }
}
