//! Consents on a real network of two hospitals, with the program itself: a patient of the first hospital shares
//! sections with researchers of the second one. All steps share one network, because a network takes long to start.

#![allow(clippy::unwrap_used)]

mod network;

use std::{collections::BTreeSet, path::PathBuf, thread, time::Duration};

use codec::{Decode, Encode};
use epione_primitives::{
    limits::MAX_PLACED_RECORDS,
    sharing::{SharedChange, SlotId},
};
use network::{
    Network, epione, eventually,
    proxy::{Proxy, result},
    stderr,
};
use serde_json::{Value, json};

const DOCTOR: &str = "//Doctor";
const PATIENT: &str = "//Patient";
const NEIGHBOUR: &str = "//Neighbour";
/// Of the second hospital.
const RESEARCHER: &str = "//Researcher";
/// Of the first hospital.
const RIVAL: &str = "//Rival";
/// Lets every researcher read what patients share with them.
const ELSEWHERE: &str = r#"
[[policy]]
name = "research elsewhere"
summary = "Researchers of all hospitals read the texts that patients share with them."
type = "operation"
roles = ["researcher"]
actions = ["read-text"]

[policy.when]
section-shared = true
purpose = ["research"]
"#;
/// As many records as two calls place.
const RECORDS: u32 = 2 * MAX_PLACED_RECORDS;

struct Case {
    network: Network,
    patient: String,
    researcher: String,
}

impl Case {
    fn begin() -> Self {
        let network = Network::of(2);
        let [patient, neighbour, doctor, researcher, _] = network.register_all([
            ("0", "patient", PATIENT),
            ("0", "patient", NEIGHBOUR),
            ("0", "doctor", DOCTOR),
            ("1", "researcher", RESEARCHER),
            ("0", "researcher", RIVAL),
        ]);
        network.relate(&patient, &doctor);
        network.relate(&neighbour, &doctor);
        let case = Self { network, patient, researcher };
        case.visit(&case.patient, &["diagnosis", "report", "observation"]);
        case.visit(&neighbour, &["report"]);
        // The researcher of the second hospital is not registered here, as the hospital's own policy requires.
        let shown = case.network.run(&["policy", "show", "--hospital", "0"]);
        let policies = format!("{}\n{ELSEWHERE}", shown["toml"].as_str().unwrap());
        let file = case.network.write("policies.toml", policies).display().to_string();
        case.network.run(&["policy", "set", &file, "--hospital", "0"]);
        case
    }

    fn visit(&self, patient: &str, kinds: &[&str]) {
        let note = self.network.write("note.txt", "blood pressure 162/98").display().to_string();
        let texts: Vec<_> = kinds.iter().map(|kind| format!("{kind}={note}")).collect();
        let mut submit = vec!["visit", "submit", "--as", DOCTOR, "--hospital", "0", "--wait"];
        submit.extend(["--patient", patient]);
        for text in &texts {
            submit.extend(["--text", text]);
        }
        let submitted = self.network.run(&submit);
        assert!(submitted["stage"]["committed"].is_object(), "{submitted}");
    }

    /// Runs a command that sends a call. Waits while the user's quota is used up.
    fn send(&self, arguments: &[&str]) -> Result<Value, Value> {
        loop {
            match self.network.try_run(arguments) {
                Err(failure) if failure.to_string().contains("try again in half a minute") => {
                    thread::sleep(Duration::from_secs(3));
                }
                outcome => return outcome,
            }
        }
    }

    fn give(&self, more: &[&str]) -> Result<Value, Value> {
        let give = ["consent", "give", "--as", PATIENT, "--purpose", "research", "--yes"];
        self.send(&[&give[..], more].concat())
    }

    fn section(&self, verb: &str, record: &str, slot: &str) -> Result<Value, Value> {
        let line = ["section", verb, "--as", PATIENT, "--record", record, "--slot", slot];
        let confirmed: &[&str] = if verb == "share" { &["--yes"] } else { &[] };
        self.send(&[&line[..], confirmed].concat())
    }

    fn out(&self) -> PathBuf {
        (0..).map(|n| self.network.file(&format!("out-{n}"))).find(|it| !it.exists()).unwrap()
    }

    /// Reads sections of a record for research.
    fn get(&self, who: &str, record: &str, purpose: &str) -> Result<Value, Value> {
        let out = self.out();
        let get = ["records", "get", "--as", who, "--patient", &self.patient, "--pointer", record];
        let out = ["--purpose", purpose, "--out", out.to_str().unwrap()];
        self.network.try_run(&[&get[..], &out].concat())
    }

    /// The sections that somebody reads of record 1/0.
    fn read(&self, who: &str) -> Vec<u64> {
        let read = self.get(who, "1/0", "research").unwrap();
        let sections = read["records"][0]["sections"].as_array().unwrap();
        let has_file = |section: &&Value| section["file"].is_object();
        sections.iter().filter(has_file).map(|it| it["index"].as_u64().unwrap()).collect()
    }

    fn block(&self) -> Value {
        self.network.run(&["block", "show", "1"])
    }
}

fn fails(outcome: Result<Value, Value>, said: &str) {
    let failure = outcome.unwrap_err().to_string();
    assert!(failure.contains(said), "{said}: {failure}");
}

#[test]
fn a_consent_shares_what_the_patient_placed_with_its_audience_until_it_ends() {
    let case = Case::begin();
    let before = case.block();
    nothing_is_given_that_the_chain_would_refuse(&case);
    without_a_consent_nobody_reads(&case);
    the_audience_reads_what_is_placed_and_nothing_else(&case);
    one_call_gives_the_slot_another_audience(&case);
    a_withdrawn_consent_shares_nothing(&case);
    a_resource_is_exported_and_imported(&case);
    many_records_are_placed_in_several_calls(&case);
    the_log_is_verified_by_everybody(&case);
    a_log_without_a_change_is_refused(&case);
    assert_eq!(case.block(), before, "a consent changes no record");
}

fn nothing_is_given_that_the_chain_would_refuse(case: &Case) {
    let role = ["--role", "researcher"];
    let give = |more: &[&str]| case.give(&[&role[..], more].concat());
    fails(give(&["--until", "2020-01-01"]), "must end in the future");
    fails(give(&["--for", "400d"]), "366 days");
    fails(give(&["--for", "367d"]), "366 days");
    fails(give(&["--for", "1d", "--purpose", "emergency"]), "emergencies");
    fails(give(&["--for", "1d", "--purpose", "research"]), "named twice");
    fails(give(&["--for", "1d", "--attribute", "no-such-thing@0"]), "no attribute");
    let unread = ["consent", "give", "--as", PATIENT, "--role", "doctor", "--for", "1d"];
    let unread = [&unread[..], &["--purpose", "research"]].concat();
    let (status, refused) = case.network.outcome(&unread);
    assert_eq!(status, 2, "{refused}");
    assert!(refused["help"].as_str().unwrap().contains("--yes"), "{refused}");
    let listed = case.network.run(&["consent", "list", "--as", PATIENT]);
    assert_eq!(listed["consents"], json!([]));
}

fn without_a_consent_nobody_reads(case: &Case) {
    fails(case.section("share", "2/0", "2"), "not a record of patient");
    fails(case.section("share", "1/0:0,7", "2"), "has no section 7");
    let shared = case.section("share", "1/0:0", "2").unwrap();
    assert_eq!((&shared["inForce"], &shared["changedSections"]), (&json!(false), &json!(1)));
    case.get(RESEARCHER, "1/0", "research").unwrap_err();
    let again = case.section("share", "1/0:0", "2").unwrap();
    assert_eq!((again.get("block"), &again["changedSections"]), (None, &json!(0)));
}

fn the_audience_reads_what_is_placed_and_nothing_else(case: &Case) {
    let line = [
        "--role",
        "researcher",
        "--hospital",
        "1",
        "--kind",
        "report",
        "--for",
        "30d",
        "--slot",
        "2",
    ];
    let given = case.give(&line).unwrap();
    assert_eq!((&given["slot"], &given["version"]), (&json!(2), &json!(1)));
    assert_eq!((&given["before"], &given["placedSections"]), (&json!(false), &json!(1)));
    let placed = json!([{ "pointer": { "height": 1, "index": 0 }, "sections": [0, 1] }]);
    assert_eq!(given["records"], placed);
    assert_eq!(case.read(RESEARCHER), [0, 1]);
    // Another purpose, and a researcher of another hospital.
    case.get(RESEARCHER, "1/0", "audit").unwrap_err();
    case.get(RIVAL, "1/0", "research").unwrap_err();
    // The same command again changes nothing.
    let again = case.give(&line).unwrap();
    assert_eq!((&again["before"], again.get("block")), (&json!(true), None));
    assert_eq!(again["version"], json!(1));
    only_what_was_changed_is_undone(case);
    let taken = case.section("unshare", "1/0:0", "2").unwrap();
    assert_eq!(taken["records"][0]["sections"], json!([1]));
    assert_eq!(case.read(RESEARCHER), [1]);
    let listed = case.network.run(&["section", "list", "--patient", &case.patient, "--slot", "2"]);
    assert_eq!(listed["records"], taken["records"]);
    assert_eq!(listed["inForce"], json!(true));
}

/// Section 2 was never in the slot, so the undo of a command that names it must not share it; nor take out section 1,
/// which was in the slot before.
fn only_what_was_changed_is_undone(case: &Case) {
    let taken = case.section("unshare", "1/0:0,2", "2").unwrap();
    assert_eq!(taken["changedSections"], json!(1));
    let undo = taken["undo"].as_str().unwrap();
    assert!(undo.contains("section share"), "{undo}");
    assert!(undo.contains("1/0:0") && !undo.contains("1/0:0,2"), "{undo}");
    let line = ["section", "share", "--as", PATIENT, "--record", "1/0:0", "--slot", "2"];
    let (status, refused) = case.network.outcome(&line);
    assert_eq!(status, 2, "a consent shares it, so the patient confirms: {refused}");
    assert!(refused["help"].as_str().unwrap().contains("--yes"), "{refused}");
    let placed = case.section("share", "1/0:0,1", "2").unwrap();
    assert_eq!(placed["records"][0]["sections"], json!([0, 1]));
    let undo = placed["undo"].as_str().unwrap();
    assert!(undo.contains("1/0:0") && !undo.contains("1/0:0,1"), "{undo}");
}

fn one_call_gives_the_slot_another_audience(case: &Case) {
    let changes = |case: &Case| case.network.run(&["section", "history"])["head"].as_u64().unwrap();
    let before = changes(case);
    let line = ["--role", "researcher", "--hospital", "0", "--for", "30d", "--slot", "2"];
    let given = case.give(&line).unwrap();
    assert_eq!((&given["version"], &given["placedSections"]), (&json!(2), &json!(0)));
    assert_eq!(changes(case), before + 1);
    assert_eq!(case.read(RIVAL), [1]);
    case.get(RESEARCHER, "1/0", "research").unwrap_err();
    let slot = ["--patient", &case.patient, "--slot", "2"];
    let versions = case.network.run(&[&["consent", "history"], &slot[..]].concat());
    let statuses: Vec<_> =
        versions["consents"].as_array().unwrap().iter().map(|it| it["status"].clone()).collect();
    assert_eq!(statuses, [json!("in-force"), json!("ended")]);
    let shown = case.network.run(&[&["consent", "show"], &slot[..]].concat());
    let tree = json!({ "at-least": 2, "of": [{ "hospital": 0 }, { "role": "researcher" }] });
    assert_eq!(shown["audience"], tree);
}

fn a_withdrawn_consent_shares_nothing(case: &Case) {
    let withdraw = ["consent", "withdraw", "--as", PATIENT, "--slot", "2"];
    let withdrawn = case.send(&withdraw).unwrap();
    assert!(withdrawn["block"].is_u64(), "{withdrawn}");
    case.get(RIVAL, "1/0", "research").unwrap_err();
    assert_eq!(case.send(&withdraw).unwrap().get("block"), None);
    fails(case.send(&["consent", "withdraw", "--as", PATIENT, "--slot", "9"]), "never given");
    // A slot with sections is not chosen for another audience.
    let longest = case.give(&["--user", &case.researcher, "--for", "366d"]).unwrap();
    assert_eq!((&longest["slot"], &longest["records"]), (&json!(0), &json!([])));
    // A shorter one is another one: the same command with an earlier end does not find the longer one.
    let given = case.give(&["--user", &case.researcher, "--for", "1d", "--slot", "0"]).unwrap();
    assert_eq!((&given["slot"], &given["before"]), (&json!(0), &json!(false)));
}

fn a_resource_is_exported_and_imported(case: &Case) {
    let export = ["consent", "export", "--patient", &case.patient, "--slot", "0"];
    let resource = case.network.run(&export);
    assert_eq!(resource["resourceType"], "Consent");
    let import = |resource: &Value, who: &str| {
        let file = case.network.write("consent.json", resource.to_string()).display().to_string();
        case.send(&["consent", "import", "--as", who, "--file", &file, "--yes"])
    };
    // It is in force already.
    assert_eq!(import(&resource, PATIENT).unwrap()["before"], json!(true));
    fails(import(&resource, NEIGHBOUR), "is one of patient");
    let mut denying = resource.clone();
    denying["provision"]["provision"][0]["type"] = json!("deny");
    fails(import(&denying, PATIENT), "Consent.provision.provision[0].type");
    case.send(&["consent", "withdraw", "--as", PATIENT, "--slot", "0"]).unwrap();
    a_file_does_not_choose_a_slot_with_sections(case, &resource);
    let given = import(&resource, PATIENT).unwrap();
    assert_eq!((&given["slot"], &given["version"]), (&json!(0), &json!(3)));
    let again = case.network.run(&export);
    assert_eq!(
        again["provision"]["provision"][0]["actor"],
        resource["provision"]["provision"][0]["actor"]
    );
}

/// Somebody hands the patient a file, and hopes that it shares what is in another slot.
fn a_file_does_not_choose_a_slot_with_sections(case: &Case, resource: &Value) {
    let text = resource.to_string();
    let other = text.replace(&format!("{}/0", case.patient), &format!("{}/2", case.patient));
    let mut other: Value = serde_json::from_str(&other).unwrap();
    other["provision"]["provision"][0]["modifierExtension"][0]["valueString"] = json!("2");
    let file = case.network.write("other.json", other.to_string()).display().to_string();
    let import = ["consent", "import", "--as", PATIENT, "--file", &file, "--yes"];
    fails(case.network.try_run(&import), "names slot 2, which has sections");
    let shown = case.network.run(&["consent", "show", "--as", PATIENT, "--slot", "2"]);
    assert_eq!(shown["status"], "ended", "nothing was given: {shown}");
}

fn many_records_are_placed_in_several_calls(case: &Case) {
    for number in 1..RECORDS {
        // Not the same visit again, which the worker would recognize.
        let note = case.network.write("note.txt", format!("blood pressure 162/{number}"));
        let text = format!("diagnosis={}", note.display());
        let submit = ["visit", "submit", "--as", DOCTOR, "--hospital", "0", "--text", &text];
        case.network.run(&[&submit[..], &["--patient", &case.patient]].concat());
    }
    eventually("all visits are committed", || {
        let listed = case.network.run(&["records", "list", "--patient", &case.patient]);
        let number = listed["records"].as_array().map_or(0, Vec::len);
        if number as u64 == u64::from(RECORDS) { Ok(()) } else { Err(number) }
    });
    let before = case.network.run(&["section", "history"])["head"].as_u64().unwrap();
    let line = ["--role", "insurer", "--kind", "diagnosis", "--for", "1d", "--slot", "5"];
    let given = case.give(&line).unwrap();
    let number = json!(RECORDS);
    assert_eq!((&given["placedRecords"], &given["placedSections"]), (&number, &number));
    // The consent, and one change for each record.
    let after = case.network.run(&["section", "history"])["head"].as_u64().unwrap();
    assert_eq!(after, before + 1 + u64::from(RECORDS));
    let blocks: BTreeSet<_> = case.network.run(&["section", "history"])["changes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["slot"] == json!(5) && !it["change"]["placed"].is_null())
        .map(|it| it["block"].as_u64().unwrap())
        .collect();
    assert_eq!(blocks.len(), 2, "{blocks:?}");
}

fn the_log_is_verified_by_everybody(case: &Case) {
    let all = case.network.run(&["section", "history"]);
    let head = all["head"].as_u64().unwrap();
    assert_eq!(
        (&all["verified"], all["changes"].as_array().unwrap().len() as u64),
        (&json!(head), head)
    );
    let from = head.to_string();
    let last = case.network.run(&["section", "history", "--from", &from]);
    assert_eq!((&last["verified"], &last["hash"]), (&json!(1), &all["hash"]));
    let beyond = (head + 1).to_string();
    fails(case.network.try_run(&["section", "history", "--from", &beyond]), "there is no change");
    let nobody = ["section", "history", "--patient", &case.researcher];
    assert_eq!(case.network.run(&nobody)["changes"], json!([]));
}

/// A node that leaves out a change, alters one, or moves one. The client believes this node without proofs, so that
/// only the hash chain is left to notice it.
fn a_log_without_a_change_is_refused(case: &Case) {
    type Lie = fn(&mut Vec<SharedChange>);
    let proxy = Proxy::of(&case.network.state().unwrap().hospitals.remove(0).node_url);
    let run = || {
        let mut command = epione();
        command.args(["--json", "section", "history", "--trust-node", "--node", &proxy.url()]);
        command.arg("--devnet").arg(case.network.path()).output().unwrap()
    };
    let honest = run();
    assert!(honest.status.success(), "{}", stderr(&honest));
    let lies: [(&str, Lie); 4] = [
        ("dropped", |changes| {
            changes.remove(1);
        }),
        ("hidden", |changes| changes.clear()),
        ("altered", |changes| changes[1].slot = SlotId(15)),
        ("swapped", |changes| changes.swap(1, 2)),
    ];
    for (what, lie) in lies {
        proxy.with(move |method, message| {
            if method == "SharingApi_shared_changes"
                && let Some(answer) = result(message)
            {
                let bytes = hex::decode(answer.as_str().unwrap().trim_start_matches("0x")).unwrap();
                let mut changes = Vec::<SharedChange>::decode(&mut &bytes[..]).unwrap();
                // A later page may have fewer changes.
                if changes.len() > 2 {
                    lie(&mut changes);
                }
                *answer = json!(format!("0x{}", hex::encode(changes.encode())));
            }
            true
        });
        let refused = run();
        assert!(!refused.status.success() && refused.stdout.is_empty(), "{what}: {refused:?}");
        assert!(stderr(&refused).contains("is not the chain's"), "{what}: {}", stderr(&refused));
    }
}
