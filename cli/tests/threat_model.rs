//! Every promise of docs/threat-model.md names tests that hold it, and they exist.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const MODEL: &str = include_str!("../../docs/threat-model.md");
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A name of fewer words is a term, such as a call.
const FEWEST_WORDS: usize = 3;
/// Names that look like tests.
const OTHERS: [&str; 2] = ["bitswap_v1_get", "own_visits_reserve_bytes"];

/// The texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The tests that a text names.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    quoted(text).filter(move |name| {
        name.chars().all(is_part)
            && name.split('_').count() >= FEWEST_WORDS
            && !OTHERS.contains(name)
    })
}

/// The paragraphs about what keeps the promises, each with its list.
fn promises() -> Vec<String> {
    let (_, rest) = MODEL.split_once("\n## What keeps the promises\n").unwrap();
    let section = rest.split("\n## ").next().unwrap();
    section.split("\n\n**").skip(1).map(|promise| format!("**{promise}")).collect()
}

/// All source files below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
            sources(&path, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

/// The names of the functions that are tests in a source file.
fn tests_in(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim_start) {
        let declared = line.trim_start_matches("async ").strip_prefix("fn ");
        match declared.and_then(|rest| rest.split('(').next()) {
            Some(name) if is_test => names.push(name.to_owned()),
            Some(_) => {}
            None => {
                is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
                continue;
            }
        }
        is_test = false;
    }
    names
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let mut files = Vec::new();
    sources(Path::new(ROOT), &mut files);
    let existing: BTreeSet<String> =
        files.iter().flat_map(|file| tests_in(&fs::read_to_string(file).unwrap())).collect();
    let missing: Vec<_> = named(MODEL).filter(|name| !existing.contains(*name)).collect();
    assert!(missing.is_empty(), "docs/threat-model.md names tests that do not exist: {missing:?}");
    assert!(named(MODEL).count() > 100);

    let moved: Vec<_> = quoted(MODEL)
        .filter(|text| text.ends_with(".rs"))
        .filter(|path| !files.iter().any(|file| file.ends_with(path)))
        .collect();
    assert!(moved.is_empty(), "docs/threat-model.md names files that do not exist: {moved:?}");
}

#[test]
fn every_promise_names_its_tests() {
    let promises = promises();
    assert!(promises.len() > 20);
    for promise in promises {
        assert!(named(&promise).next().is_some(), "no test is named for this: {promise}");
    }
}
