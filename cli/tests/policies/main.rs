//! The policy language: what it means, what it refuses, and the commands that use it.

#![allow(clippy::unwrap_used)]

mod bad;
mod classics;
#[path = "../network/mod.rs"]
mod network;
mod program;
mod round_trip;

use std::{fs, path::PathBuf};

use epione_cli::policy::{self, Mistakes};
use epione_primitives::{Moment, access::Policies};

/// A day in 2026, in milliseconds.
const NOW: Moment = 1_790_000_000_000;

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
    compile(&text).unwrap_or_else(|mistakes| panic!("{name}: {:#?}", mistakes.told))
}

fn compile(text: &str) -> Result<Policies, Mistakes> {
    policy::compile("p.toml", text, NOW)
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
