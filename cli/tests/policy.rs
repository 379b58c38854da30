//! `epione policy` as users run it.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use epione_cli::commands::policy::MAX_FILE_BYTES;
use serde_json::{Value, json};

use crate::network::{Network, epione, stderr};

fn sample_path(name: &str) -> PathBuf {
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../samples/policies");
    PathBuf::from(samples).join(format!("{name}.toml"))
}

fn check(path: &str) -> Output {
    epione().args(["--json", "policy", "check", path]).output().unwrap()
}

fn failure(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(1), "{}", stderr(output));
    serde_json::from_str(&stderr(output)).unwrap()
}

#[test]
fn every_sample_is_checked_without_a_network() {
    for entry in fs::read_dir(sample_path("x").parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        let output = check(path.to_str().unwrap());
        assert!(output.status.success(), "{}", stderr(&output));
        let checked: Value = serde_json::from_slice(&output.stdout).unwrap();
        let policies = checked["policies"].as_array().unwrap();
        assert!(policies.iter().all(|policy| policy["gloss"].as_str().unwrap().len() > 20));
    }
    let path = sample_path("4-referral-doctor");
    let output = epione().args(["policy", "check"]).arg(&path).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("2 policies, no mistakes"), "{said}");
    assert!(said.contains("registered at hospital 1"), "{said}");
    assert!(said.contains("until 2100-01-01T00:00:00Z"), "{said}");
}

#[test]
fn mistakes_are_told_with_file_line_and_field() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mine.toml");
    fs::write(&path, "[[policy]]\nname = \"x\"\ncolour = 1\n").unwrap();
    let refused = failure(&check(path.to_str().unwrap()));
    let mistakes = refused["mistakes"].as_array().unwrap();
    assert_eq!(mistakes.len(), 4, "{refused}");
    let unknown = mistakes.iter().find(|mistake| mistake["field"] == "colour").unwrap();
    assert_eq!((&unknown["line"], &unknown["column"]), (&json!(3), &json!(1)));

    let output = epione().args(["policy", "check"]).arg(&path).output().unwrap();
    let said = stderr(&output);
    assert!(said.starts_with("error: ") && said.contains("has 4 mistakes"), "{said}");
    let place = format!("{}:3:1: policy 1 \"x\", field colour: is not known", path.display());
    assert!(said.contains(&place), "{said}");
    assert!(said.trim_end().ends_with("help: correct the file; nothing was stored"), "{said}");
}

#[test]
fn files_that_are_no_text_or_too_long_or_not_there_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mine.toml");
    fs::write(&path, b"[[policy]]\nname = \"caf\xe9\"\n").unwrap();
    let refused = failure(&check(path.to_str().unwrap()));
    let mistake = &refused["mistakes"][0];
    assert!(mistake["problem"].as_str().unwrap().contains("UTF-8"), "{refused}");
    assert_eq!((&mistake["line"], &mistake["column"]), (&json!(2), &json!(12)));

    let limit = usize::try_from(MAX_FILE_BYTES).unwrap();
    let sample = fs::read_to_string(sample_path("5-emergency")).unwrap();
    fs::write(&path, format!("{sample}#{}", "x".repeat(limit - sample.len() - 1))).unwrap();
    assert!(check(path.to_str().unwrap()).status.success());
    fs::write(&path, format!("{sample}#{}", "x".repeat(limit - sample.len()))).unwrap();
    let refused = failure(&check(path.to_str().unwrap()));
    assert!(refused["error"].as_str().unwrap().contains("longer than 65536 bytes"), "{refused}");

    let absent = directory.path().join("absent.toml");
    let refused = failure(&check(absent.to_str().unwrap()));
    assert!(refused["error"].as_str().unwrap().contains("absent.toml"), "{refused}");
}

/// Runs `epione policy check -` on a text.
fn check_input(text: &str) -> Output {
    let mut child = epione()
        .args(["policy", "check", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// A command in a network, whatever its outcome.
fn policy(network: &Network, arguments: &[&str]) -> Command {
    let mut command = epione();
    command.arg("--devnet").arg(network.path()).arg("policy").args(arguments);
    command
}

fn explain(network: &Network, request: &[&str], more: &[&str]) -> (Option<i32>, Value) {
    let arguments = [&["explain", "--hospital", "0"], request, more].concat();
    let output = policy(network, &arguments).arg("--json").output().unwrap();
    let explained = serde_json::from_slice(&output.stdout);
    (output.status.code(), explained.unwrap_or_else(|_| panic!("{}", stderr(&output))))
}

#[test]
fn policies_are_set_shown_and_explained_also_for_the_past() {
    let network = Network::of(1);
    let users = [("0", "patient", "//Patient"), ("0", "doctor", "//Doctor")];
    let [patient, doctor] = network.register_all(users);
    for plain in [&["show"][..], &["show", "--toml"]] {
        let output = policy(&network, plain).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("\"related professional\""), "{text}");
        let checked = check_input(&text);
        assert!(checked.status.success(), "{}", stderr(&checked));
    }

    let read = ["--requester", &doctor, "--patient", &patient, "--action", "read-text"];
    let (status, refused) = explain(&network, &read, &[]);
    assert_eq!((status, &refused["allowed"]), (Some(1), &json!(false)), "{refused}");
    let considered = refused["considered"].as_array().unwrap();
    let treating = considered.iter().find(|one| one["name"] == "related professional").unwrap();
    assert!(treating["failed"][0].as_str().unwrap().contains("treating"), "{refused}");
    network.relate(&patient, &doctor);
    let (status, allowed) = explain(&network, &read, &[]);
    assert_eq!(status, Some(0), "{allowed}");
    assert_eq!(allowed["policy"]["name"], "related professional");
    assert_eq!(allowed["policy"]["version"], json!(0));
    let then = allowed["at"].as_u64().unwrap();

    let bad = network.write("bad.toml", "[[policy]]\nname = \"x\"\n");
    network.try_run(&["policy", "set", bad.to_str().unwrap()]).unwrap_err();
    let hospital = sample_path("hospital");
    let refused = network.try_run(&["policy", "set", hospital.to_str().unwrap()]).unwrap_err();
    assert!(refused["error"].as_str().unwrap().contains("hospital 1"), "{refused}");
    assert_eq!(network.run(&["policy", "show"])["version"], json!(0), "nothing is stored");

    let sample = sample_path("1-own-records");
    let set = network.run(&["policy", "set", sample.to_str().unwrap()]);
    assert_eq!((&set["version"], &set["same"]), (&json!(1), &json!(false)), "{set}");
    assert!(set["changes"].as_array().unwrap().len() > 3, "{set}");
    let again = network.run(&["policy", "set", sample.to_str().unwrap()]);
    assert_eq!((&again["version"], &again["same"]), (&json!(1), &json!(true)), "{again}");
    let shown = network.run(&["policy", "show"]);
    assert_eq!((&shown["version"], &shown["since"]), (&json!(1), &set["since"]));
    let first = network.run(&["policy", "show", "--version", "0"]);
    assert!(first["toml"].as_str().unwrap().contains("doctor refers"), "{first}");
    let none = network.try_run(&["policy", "show", "--version", "9"]).unwrap_err();
    assert!(none["help"].as_str().unwrap().contains("0 to 1"), "{none}");

    // Now nobody but patients may read; before, the doctor might.
    let (status, refused) = explain(&network, &read, &[]);
    assert_eq!(status, Some(1), "{refused}");
    assert!(refused["reason"].as_str().unwrap().contains("no policy allows a doctor"), "{refused}");
    let time = humantime::format_rfc3339_millis(
        std::time::UNIX_EPOCH + std::time::Duration::from_millis(then),
    );
    let (status, past) = explain(&network, &read, &["--at", &time.to_string()]);
    assert_eq!((status, &past["policy"]), (Some(0), &allowed["policy"]), "{past}");
    let (status, born) = explain(&network, &read, &["--at-block", "1"]);
    assert_eq!((status, &born["allowed"]), (Some(1), &json!(false)), "{born}");
    let beyond = policy(&network, &["explain", "--hospital", "0"])
        .args(read)
        .args(["--at-block", "4000000000"])
        .output()
        .unwrap();
    assert!(stderr(&beyond).contains("no finalized block 4000000000"), "{}", stderr(&beyond));
}
