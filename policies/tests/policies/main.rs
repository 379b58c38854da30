//! What policies mean, which are refused, and the language in which they are written.

#![allow(clippy::unwrap_used)]

mod conditions;
mod evaluate;
mod flaws;
mod mistakes;
mod round_trip;
mod samples;

use std::{fs, path::PathBuf};

use epione_policies::language::{self, Mistakes};
use epione_primitives::{
    HospitalId, Moment,
    access::{
        Action, Conclusion, Condition, Decision, Denial, FailedPolicy, Place, Policies, Policy,
        Purpose,
        RelationshipKind::{self, *},
        SectionClass,
    },
    profile::Role,
};
use sp_core::{Get, bounded::BoundedVec};

/// A day in 2026, in milliseconds.
const NOW: Moment = 1_790_000_000_000;
/// The hospital whose records are requested.
const HOME: HospitalId = HospitalId(0);
const AWAY: HospitalId = HospitalId(1);

/// Every sample, the classic four first.
const SAMPLES: [&str; 7] = [
    "1-own-records",
    "2-recognised-doctor",
    "3-family-doctor",
    "4-referral-doctor",
    "5-emergency",
    "6-cosigned",
    "hospital",
];

fn sample_path(name: &str) -> PathBuf {
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../samples/policies");
    PathBuf::from(samples).join(format!("{name}.toml"))
}

fn sample(name: &str) -> Policies {
    let text = fs::read_to_string(sample_path(name)).unwrap();
    compile(&text).unwrap_or_else(|mistakes| panic!("{name}: {:#?}", mistakes.first))
}

fn compile(text: &str) -> Result<Policies, Mistakes> {
    language::compile("p.toml", text, NOW)
}

fn list<Item: Clone, Bound: Get<u32>>(items: &[Item]) -> BoundedVec<Item, Bound> {
    BoundedVec::try_from(items.to_vec()).map_err(|_| "the list is too long").unwrap()
}

/// A policy for all records, without conditions or an end.
fn policy(name: &str, roles: &[Role], conclusion: Conclusion) -> Policy {
    Policy {
        name: list(name.as_bytes()),
        summary: list(b"a policy of a test"),
        hospitals: BoundedVec::default(),
        roles: list(roles),
        conditions: BoundedVec::default(),
        conclusion,
        expires: None,
    }
}

fn allows(actions: &[Action]) -> Conclusion {
    Conclusion::Allows(list(actions))
}

fn recognises(kinds: &[RelationshipKind]) -> Conclusion {
    Conclusion::Recognises(list(kinds))
}

fn related(kinds: &[RelationshipKind]) -> Condition {
    Condition::Related(list(kinds))
}

fn registered_here() -> Condition {
    Condition::RequesterRegistered(Place::Here)
}

#[test]
fn every_sample_is_tested() {
    let folder = sample_path("x").parent().unwrap().to_owned();
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    found.sort();
    assert_eq!(found, SAMPLES);
}
