//! Visits on a real network, through the program itself.

#![allow(clippy::unwrap_used)]

mod network;

use std::fs;

use network::Network;
use serde_json::{Value, json};

const DOCTOR: &str = "//Doctor";
const PATIENT: &str = "//Patient";

/// A patient, and a doctor who treats them.
fn patient_and_doctor(network: &Network) -> (String, String) {
    let patient = network.register("patient", PATIENT);
    let doctor = network.register("doctor", DOCTOR);
    network.relate(&patient, &doctor);
    (patient, doctor)
}

fn submit<'a>(patient: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments =
        vec!["visit", "submit", "--as", DOCTOR, "--hospital", "0", "--patient", patient];
    arguments.extend(more);
    arguments
}

fn get<'a>(patient: &'a str, who: &'a str, out: &'a str) -> Vec<&'a str> {
    vec!["records", "get", "--as", who, "--patient", patient, "--all", "--out", out]
}

/// The bytes of the first record's sections, in order.
fn contents(retrieved: &Value) -> Vec<Vec<u8>> {
    let record = &retrieved["records"][0];
    let folder = record["directory"].as_str().unwrap();
    let sections = record["sections"].as_array().unwrap();
    let files = sections.iter().map(|section| section["file"]["name"].as_str().unwrap());
    files.map(|name| fs::read(format!("{folder}/{name}")).unwrap()).collect()
}

#[test]
fn a_visit_comes_back_byte_for_byte_and_its_block_verifies() {
    let network = Network::of(1);
    let (patient, doctor) = patient_and_doctor(&network);
    let text = r#"{"resourceType":"Condition","code":{"text":"größer"}}"#;
    let media: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
    let text_path = network.write("condition.json", text);
    let media_path = network.write("video.mp4", &media);
    let text_argument = format!("diagnosis={}", text_path.display());
    let submitted = network.run(&submit(
        &patient,
        &["--text", &text_argument, "--media", media_path.to_str().unwrap(), "--wait"],
    ));
    assert_eq!(submitted["author"], json!(doctor));
    assert_eq!(
        submitted["stage"]["committed"]["pointer"],
        json!({ "height": 1, "index": 0 }),
        "{submitted}"
    );

    let again = network.run(&[
        "visit",
        "status",
        submitted["recordId"].as_str().unwrap(),
        "--as",
        PATIENT,
        "--hospital",
        "alice",
    ]);
    assert_eq!(again["stage"], submitted["stage"]);

    for (who, folder) in [(DOCTOR, "doctor"), (PATIENT, "patient")] {
        let out = network.file(folder);
        let retrieved = network.run(&get(&patient, who, out.to_str().unwrap()));
        assert_eq!(contents(&retrieved), [text.as_bytes(), &media]);
    }

    let listed = network.run(&["records", "list", "--patient", &patient]);
    assert_eq!(listed["records"][0]["author"], json!(doctor));
    let block = network.run(&["block", "show", "1"]);
    assert_eq!(block["header"]["height"], json!(1));
    let verified = network.run(&["block", "verify", "1", "--segments"]);
    assert_eq!(verified["passed"], json!(true), "{verified}");
    let missing = network.try_run(&["block", "verify", "9"]).unwrap_err();
    assert!(missing["help"].as_str().unwrap().contains("between 1 and 1"), "{missing}");
}

#[test]
fn a_visit_at_one_of_four_hospitals_is_approved_by_others_and_read_back() {
    let network = Network::of(4);
    let (patient, _) = patient_and_doctor(&network);
    let image = epione_cli::samples::images().remove(0);
    let path = network.write(image.name, &image.bytes);
    let submitted = network.run(&submit(&patient, &["--media", path.to_str().unwrap(), "--wait"]));
    assert_eq!(submitted["sections"][0]["mediaType"], json!("application/dicom"));

    let block = network.run(&["block", "show", "1"]);
    assert!(block["ballot"]["approvals"].as_array().unwrap().len() >= 2, "{block}");
    let out = network.file("out");
    let retrieved = network.run(&get(&patient, DOCTOR, out.to_str().unwrap()));
    assert_eq!(contents(&retrieved), [image.bytes]);
    for hospital in ["0", "1", "2", "3"] {
        let verified = network.run(&["block", "verify", "1", "--segments", "--hospital", hospital]);
        assert_eq!(verified["passed"], json!(true), "{verified}");
    }
    let health = network.run(&["devnet", "status"]);
    assert_eq!(health["hospitals"].as_array().unwrap().len(), 4);
}

#[test]
fn what_is_wrong_with_a_visit_is_said_and_nothing_is_sent() {
    let network = Network::of(1);
    let (patient, _) = patient_and_doctor(&network);

    let none = network.try_run(&submit(&patient, &[])).unwrap_err();
    assert!(none["error"].as_str().unwrap().contains("at least one section"), "{none}");

    let empty = network.write("empty.dcm", "");
    let refused =
        network.try_run(&submit(&patient, &["--media", empty.to_str().unwrap()])).unwrap_err();
    assert!(refused["error"].as_str().unwrap().contains("is empty"), "{refused}");

    let absent = network.file("absent.json");
    let argument = format!("report={}", absent.display());
    let refused = network.try_run(&submit(&patient, &["--text", &argument])).unwrap_err();
    assert!(refused["error"].as_str().unwrap().contains("absent.json"), "{refused}");

    let latin1 = network.write("latin1.txt", [0x67, 0x72, 0xf6]);
    let argument = format!("report={}", latin1.display());
    let refused = network.try_run(&submit(&patient, &["--text", &argument])).unwrap_err();
    assert!(refused["error"].as_str().unwrap().contains("UTF-8"), "{refused}");

    // Not DICOM whatever its name says: kept, as opaque media, and its type says so.
    let disguised = network.write("holiday.dcm", "not an image at all");
    let kept = network.run(&submit(&patient, &["--media", disguised.to_str().unwrap(), "--wait"]));
    assert_eq!(kept["sections"][0]["mediaType"], json!("application/octet-stream"));
    let out = network.file("out");
    let retrieved = network.run(&get(&patient, PATIENT, out.to_str().unwrap()));
    assert_eq!(contents(&retrieved), [b"not an image at all"]);

    // Nothing is overwritten.
    let twice = network.try_run(&get(&patient, PATIENT, out.to_str().unwrap())).unwrap_err();
    assert!(twice["error"].as_str().unwrap().contains("exists"), "{twice}");
}

#[test]
fn a_reader_without_a_relationship_is_told_the_condition_that_failed() {
    let network = Network::of(1);
    let (patient, doctor) = patient_and_doctor(&network);
    let stranger = network.register("doctor", "//Stranger");
    let text = network.write("note.txt", "blood pressure 162/98");
    let argument = format!("observation={}", text.display());
    network.run(&submit(&patient, &["--text", &argument, "--wait"]));

    let out = network.file("out");
    let refused = network.try_run(&get(&patient, "//Stranger", out.to_str().unwrap())).unwrap_err();
    let denial = refused["denial"]["failed"].to_string();
    assert!(denial.contains("related") && denial.contains("treating"), "{refused}");
    assert!(!out.exists(), "nothing is written");

    // The patient lets them in, and out again, without the hospital.
    let relation = [
        "--patient",
        &patient,
        "--professional",
        &stranger,
        "--hospital",
        "0",
        "--as-user",
        PATIENT,
    ];
    network.run(&[&["relate"], &relation[..]].concat());
    let retrieved = network.run(&get(&patient, "//Stranger", out.to_str().unwrap()));
    assert_eq!(contents(&retrieved), [b"blood pressure 162/98"]);
    network.run(&[&["unrelate"], &relation[..]].concat());
    let later = network.file("later");
    network.try_run(&get(&patient, "//Stranger", later.to_str().unwrap())).unwrap_err();

    // A stranger to the chain learns nothing.
    let unknown = network.try_run(&get(&patient, "//Nobody", later.to_str().unwrap())).unwrap_err();
    assert!(unknown["error"].as_str().unwrap().contains("no user"), "{unknown}");
    // And a doctor whose relationship was ended by the hospital reads no more.
    network.run(&["unrelate", "--patient", &patient, "--professional", &doctor]);
    network.try_run(&get(&patient, DOCTOR, later.to_str().unwrap())).unwrap_err();
}
