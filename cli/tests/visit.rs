//! Visits on a real network, with the program itself.

#![allow(clippy::unwrap_used)]

mod network;

use std::{fs, path::Path, process::Command, thread};

use epione_primitives::limits::MAX_PAGE;
use network::{Network, eventually};
use serde_json::{Value, json};

const DOCTOR: &str = "//Doctor";
const PATIENT: &str = "//Patient";

/// A patient, and a doctor who treats them.
fn patient_and_doctor(network: &Network) -> (String, String) {
    let [patient, doctor] = network.register_related(PATIENT, DOCTOR);
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

/// The checks of a verified block that are about signatures of hospitals.
fn signatures(verified: &Value) -> Vec<&str> {
    let checks = verified["checks"].as_array().unwrap();
    let names = checks.iter().map(|check| check["name"].as_str().unwrap());
    names.filter(|name| name.contains("signature")).collect()
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
fn a_visit_is_read_back_byte_for_byte_and_its_block_verifies() {
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
    assert_eq!(signatures(&verified), ["signatures of record 1/0", "announcer's signature"]);
    let missing = network.try_run(&["block", "verify", "9"]).unwrap_err();
    assert!(missing["help"].as_str().unwrap().contains("between 1 and 1"), "{missing}");
}

#[test]
fn the_same_command_resumes_a_visit_that_was_not_submitted() {
    let network = Network::of(1);
    let (patient, _) = patient_and_doctor(&network);
    let text = network.write("note.txt", "blood pressure 162/98");
    let media = network.write("scan.bin", vec![7; 5_000_000]);
    let argument = format!("observation={}", text.display());
    let arguments = submit(&patient, &["--text", &argument, "--media", media.to_str().unwrap()]);
    let kept = || {
        let Ok(files) = fs::read_dir(network.path().join("visits")) else { return Vec::new() };
        let visits = files.map(|file| fs::read(file.unwrap().path()).unwrap());
        visits.map(|json| serde_json::from_slice::<Value>(&json).unwrap()).collect()
    };

    let nobody = [&arguments[..], &["--worker", "https://127.0.0.1:1"]].concat();
    let failed = network.try_run(&nobody).unwrap_err();
    assert!(failed["help"].as_str().unwrap().contains("same command"), "{failed}");
    network.try_run(&nobody).unwrap_err();
    let [visit] = &kept()[..] else { panic!("one visit is kept") };
    let signed_at = &visit["signed"]["signedAt"];
    assert!(signed_at["number"].is_u64() && signed_at["hash"].is_string(), "{visit}");

    let submitted = network.run(&arguments);
    assert_eq!(submitted["recordId"], visit["signed"]["recordId"]);
    assert_eq!(submitted["resumed"], json!(true));
    // Acknowledged, but not yet shown as committed: it is the same visit.
    let [kept_now] = &kept()[..] else { panic!("one visit is kept") };
    assert_eq!(kept_now["acknowledged"]["recordId"], submitted["recordId"]);
    assert!(!kept_now.to_string().contains("162/98"), "{kept_now}");
    // After a timeout, or an interruption, the printed command shows the visit.
    let same = |visit: &Value| assert_eq!(visit["recordId"], submitted["recordId"], "{visit}");
    let is_committed = |visit: &Value| visit["stage"]["committed"].is_object();
    let hurried = [&arguments[..], &["--wait", "--timeout", "0"]].concat();
    let shown = network.try_run(&hurried).unwrap_or_else(|gave_up| {
        let [command] = &gave_up["commands"].as_array().unwrap()[..] else { panic!("{gave_up}") };
        network.run_printed(command.as_str().unwrap())
    });
    same(&shown);
    if !is_committed(&shown) {
        let committed = network.run(&[&arguments[..], &["--wait"]].concat());
        same(&committed);
        assert!(is_committed(&committed), "{committed}");
    }
    assert!(kept().is_empty());

    // It was shown as committed, so this machine keeps nothing of it: the worker recognizes it.
    let another = network.run(&arguments);
    same(&another);
    assert_eq!(another["resumed"], json!(true));
    assert!(kept().is_empty());
    let third = network.run(&[&arguments[..], &["--again"]].concat());
    assert_ne!(third["recordId"], submitted["recordId"]);
    assert_eq!(third["resumed"], json!(false));
    // `visit status` shows it as committed, too.
    let id = third["recordId"].as_str().unwrap();
    network.run(&["visit", "status", id, "--as", DOCTOR, "--hospital", "0", "--wait"]);
    assert!(kept().is_empty());
}

#[test]
fn a_visit_at_one_of_four_hospitals_is_approved_by_others_and_read_back() {
    let network = Network::of(4);
    let (patient, _) = patient_and_doctor(&network);
    // A cine of eight frames.
    let image = epione_cli::samples::images().remove(2);
    let path = network.write(image.name, &image.bytes);
    let submitted = network.run(&submit(&patient, &["--media", path.to_str().unwrap(), "--wait"]));
    assert_eq!(submitted["sections"][0]["mediaType"], json!("application/dicom"));

    let block = network.run(&["block", "show", "1"]);
    let approvals = block["ballot"]["approvals"].as_array().unwrap();
    assert!(approvals.len() >= 2, "{block}");
    // Each approval is a transaction that the hospital's agent signed.
    let verified = network.run(&["block", "verify", "1"]);
    assert_eq!(verified["passed"], json!(true), "{verified}");
    for approval in approvals {
        let name = format!("signature of hospital {}", approval["hospital"]);
        assert!(signatures(&verified).contains(&name.as_str()), "{verified}");
        assert!(approval["block"].is_u64(), "{block}");
    }
    let out = network.file("out");
    let retrieved = network.run(&get(&patient, DOCTOR, out.to_str().unwrap()));
    assert_eq!(contents(&retrieved), [&image.bytes[..]]);
    parts_are_read_without_the_rest(&network, &patient, &image.bytes);
    an_interrupted_read_resumes(&network, &patient, &out, &image.bytes);
    for hospital in ["0", "1", "2", "3"] {
        // Two approvals commit it; the third hospital may still be fetching.
        let verify = ["block", "verify", "1", "--segments", "--hospital", hospital];
        eventually("the block is whole at every hospital", || {
            let verified = network.finding(&verify);
            if verified["passed"] == json!(true) { Ok(()) } else { Err(verified) }
        });
    }
    let health = network.run(&["devnet", "status"]);
    assert_eq!(health["hospitals"].as_array().unwrap().len(), 4);
}

fn parts_are_read_without_the_rest(network: &Network, patient: &str, image: &[u8]) {
    let out = network.file("parts");
    let get = |who: &str, more: &[&str]| {
        let record = ["records", "get", "--as", who, "--patient", patient, "--pointer", "1/0"];
        network.try_run(&[&record[..], &["--out", out.to_str().unwrap()], more].concat())
    };
    let bytes = |part: &Value| fs::read(part["path"].as_str().unwrap()).unwrap();
    let pixels = &image[image.len() - 8 * 72 * 96 * 3..];

    let frame = get(DOCTOR, &["--frame", "3"]).unwrap();
    assert_eq!(frame["part"], json!({ "frame": { "number": 3, "of": 8 } }));
    assert_eq!(bytes(&frame), pixels[2 * 72 * 96 * 3..3 * 72 * 96 * 3]);
    assert!(frame["path"].as_str().unwrap().ends_with("/1-0-00-phantom-us-cine.dcm.frame-3"));
    assert_eq!(frame["receipts"].as_array().unwrap().len(), 1);
    let own = get(PATIENT, &["--range", "100-135", "--section", "0", "--own-key"]).unwrap();
    assert_eq!(bytes(&own), image[100..=135]);
    assert_eq!(own["receipts"], json!([]));

    let end = image.len().to_string();
    let beyond = format!("5-{end}");
    for (wrong, said) in [
        (&["--frame", "9"][..], "frames 1 to 8"),
        (&["--frame", "0"], "no frame 0"),
        (&["--range", &beyond], &*end),
        (&["--range", "0-9", "--section", "1"], "section 1"),
        (&["--range", "100-135"], "exists"),
    ] {
        let failure = get(PATIENT, &[wrong, &["--own-key"]].concat()).unwrap_err();
        let error = failure["error"].as_str().unwrap();
        assert!(error.contains(said), "{wrong:?}: {failure}");
    }
    assert_eq!(fs::read_dir(&out).unwrap().count(), 2);
}

/// As if the process had been killed before it gave the record's folder its name.
fn an_interrupted_read_resumes(network: &Network, patient: &str, out: &Path, image: &[u8]) {
    fs::rename(out.join("1-0"), out.join("1-0.partial")).unwrap();
    let retrieved = network.run(&get(patient, PATIENT, out.to_str().unwrap()));
    assert_eq!(contents(&retrieved), [image]);
    assert_eq!(fs::read_dir(out).unwrap().count(), 1);

    fs::rename(out.join("1-0"), out.join("1-0.partial")).unwrap();
    fs::write(out.join("1-0.partial/00-phantom-us-cine.dcm"), b"something else").unwrap();
    let other = network.try_run(&get(patient, PATIENT, out.to_str().unwrap())).unwrap_err();
    let error = other["error"].as_str().unwrap();
    assert!(error.contains("differs from the file"), "{other}");
    assert!(other["help"].as_str().unwrap().contains("1-0.partial"), "{other}");
}

#[test]
fn an_invalid_visit_is_explained_and_not_sent() {
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

    let rule = ["--text", &argument, "--never", "1"];
    let refused = network.try_run(&submit(&patient, &rule)).unwrap_err();
    assert!(refused["help"].as_str().unwrap().contains("numbered from 0"), "{refused}");
    let refused = network.try_run(&submit(&patient, &["--nurse", DOCTOR])).unwrap_err();
    assert!(refused["error"].as_str().unwrap().contains("author of the visit"), "{refused}");
    network.register("doctor", "//Surgeon");
    let refused = network.try_run(&submit(&patient, &["--nurse", "//Surgeon"])).unwrap_err();
    assert!(refused["error"].as_str().unwrap().contains("not a nurse"), "{refused}");

    // Not DICOM in spite of its name: kept as opaque media, with that media type.
    let disguised = network.write("holiday.dcm", "not an image at all");
    let kept = network.run(&submit(&patient, &["--media", disguised.to_str().unwrap(), "--wait"]));
    assert_eq!(kept["sections"][0]["mediaType"], json!("application/octet-stream"));
    assert_eq!(kept["sections"][0]["frames"], json!(0));
    assert!(kept["sections"][0]["framesNote"].to_string().contains("no DICOM header"), "{kept}");
    let out = network.file("out");
    let retrieved = network.run(&get(&patient, PATIENT, out.to_str().unwrap()));
    assert_eq!(contents(&retrieved), [b"not an image at all"]);
    let frame = ["--pointer", "1/0", "--frame", "1", "--out", out.to_str().unwrap()];
    let who = ["records", "get", "--as", PATIENT, "--patient", &patient];
    let none = network.try_run(&[&who[..], &frame].concat()).unwrap_err();
    assert!(none["error"].as_str().unwrap().contains("it has no DICOM header"), "{none}");
    assert!(none["help"].as_str().unwrap().contains("--range"), "{none}");

    the_reason_for_missing_frames_is_reported_when_submitting_and_reading(&network, &patient);

    // Existing files are verified, and nothing is overwritten.
    let twice = network.run(&get(&patient, PATIENT, out.to_str().unwrap()));
    assert_eq!(twice["records"][0]["alreadyThere"], json!(true));
    fs::remove_file(out.join("1-0/record.json")).unwrap();
    let (status, foreign) = network.outcome(&get(&patient, PATIENT, out.to_str().unwrap()));
    assert_eq!((status, foreign["records"].as_array().unwrap().len()), (1, 1), "{foreign}");
    assert!(foreign["failed"][0]["error"].as_str().unwrap().contains("exists"), "{foreign}");
}

/// Submits images of `samples/dicom` in one visit, and reads their frames one by one.
fn the_reason_for_missing_frames_is_reported_when_submitting_and_reading(
    network: &Network,
    patient: &str,
) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/dicom");
    let images = [
        ("single.dcm", 1, 1, ""),
        ("jpeg-fragments.dcm", 5, 5, ""),
        ("bits.dcm", 6, 6, ""),
        ("cut-last.dcm", 4, 5, "frames 1 to 4 are whole"),
        ("jpeg-accident.dcm", 0, 0, "does not have as many codestreams"),
        ("video.dcm", 0, 0, "it is video"),
        ("no-header.dcm", 0, 0, "it has no DICOM header"),
    ];
    let paths = images.map(|(name, ..)| folder.join(name).display().to_string());
    let mut arguments: Vec<_> = paths.iter().flat_map(|path| ["--media", path]).collect();
    arguments.push("--wait");
    let submitted = network.run(&submit(patient, &arguments));
    let pointer = &submitted["stage"]["committed"]["pointer"];
    let pointer = format!("{}/{}", pointer["height"], pointer["index"]);
    let out = network.file("frames");
    for (index, (name, count, stated, said)) in images.iter().enumerate() {
        let section = &submitted["sections"][index];
        assert_eq!(section["frames"], json!(count), "{section}");
        let note = section["framesNote"].as_str().unwrap_or_default();
        assert!(note.contains(said) && note.is_empty() == said.is_empty(), "{name}: {note}");
        let get = |frame: u32| {
            let (frame, section) = (frame.to_string(), index.to_string());
            let mut arguments = vec!["records", "get", "--as", PATIENT, "--patient", patient];
            arguments.extend(["--own-key", "--pointer", &pointer, "--section", &section]);
            arguments.extend(["--frame", &frame, "--out", out.to_str().unwrap()]);
            network.try_run(&arguments)
        };
        for frame in 1..=*count {
            let read = get(frame).unwrap();
            assert_eq!(read["part"], json!({ "frame": { "number": frame, "of": stated } }));
        }
        let refused = get(count + 1).unwrap_err();
        let error = refused["error"].as_str().unwrap();
        let beyond = format!(
            "the file has {}",
            if *count == 1 { "frame 1 only".into() } else { format!("frames 1 to {count} only") }
        );
        assert!(
            error.contains(if said.is_empty() { beyond.as_str() } else { said }),
            "{name}: {refused}"
        );
    }
}

#[test]
fn a_nurse_signs_too_and_the_author_says_what_may_be_disclosed() {
    let network = Network::of(1);
    let (patient, _) = patient_and_doctor(&network);
    let nurse = network.register("nurse", "//Nurse");
    let note = network.write("note.txt", "blood pressure 162/98");
    let [name, symptoms] = ["name", "symptoms"].map(|kind| format!("{kind}={}", note.display()));
    let sections = ["--text", &name, "--text", &symptoms, "--text", &symptoms];
    let rules = ["--mandatory", "0", "--together", "1,2", "--nurse", "//Nurse"];
    let arguments = submit(&patient, &[&sections[..], &rules, &["--wait"]].concat());
    let submitted = network.run(&arguments);
    assert_eq!((&submitted["nurse"], &submitted["cosigned"]), (&json!(nurse), &json!(false)));
    let extraction = json!({ "mandatory": [0], "never": [], "together": [[1, 2]] });
    assert_eq!(submitted["extraction"], extraction);
    assert!(submitted["stage"]["committed"].is_object(), "{submitted}");

    let out = network.file("out");
    let retrieved = network.run(&get(&patient, DOCTOR, out.to_str().unwrap()));
    let kinds: Vec<_> = retrieved["records"][0]["sections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|section| section["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["name", "symptoms", "symptoms"]);
    // Other rules make another visit.
    let other = submit(&patient, &[&sections[..], &rules[4..]].concat());
    assert_ne!(network.run(&other)["recordId"], submitted["recordId"]);
}

#[test]
fn content_from_a_pipe_is_kept_like_a_file() {
    let network = Network::of(1);
    let (patient, _) = patient_and_doctor(&network);
    let image = epione_cli::samples::images().remove(0).bytes;
    let pipe = network.file("ct.dcm");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = {
        let (pipe, image) = (pipe.clone(), image.clone());
        thread::spawn(move || fs::write(pipe, image).unwrap())
    };
    // A shell's <(...), standard input, and a pipe that has a name.
    let program = env!("CARGO_BIN_EXE_epione");
    let line = format!(
        "printf 'from a pipe' | {program} --json --devnet \"$1\" {} --text report=<(printf text) \
         --media \"$2\" --media <(printf 'of a process') --media - --wait",
        submit(&patient, &[]).join(" ")
    );
    let mut bash = Command::new("bash");
    bash.args(["-c", &line, "bash"]).arg(network.path()).arg(&pipe);
    let output = bash.output().unwrap();
    assert!(output.status.success(), "{}", network::stderr(&output));
    writer.join().unwrap();
    let submitted: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<_> =
        submitted["sections"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, [&Value::Null, &json!("ct.dcm"), &Value::Null, &Value::Null], "{submitted}");

    let out = network.file("out");
    let retrieved = network.run(&get(&patient, PATIENT, out.to_str().unwrap()));
    let expected: [&[u8]; 4] = [b"text", &image, b"of a process", b"from a pipe"];
    assert_eq!(contents(&retrieved), expected);
    // Into an empty folder.
    let parts = network.file("parts");
    let who = ["records", "get", "--as", PATIENT, "--patient", &patient, "--pointer", "1/0"];
    let range = ["--range", "0-3", "--section", "3", "--out", parts.to_str().unwrap()];
    let part = network.run(&[&who[..], &range].concat());
    assert_eq!(fs::read(part["path"].as_str().unwrap()).unwrap(), b"from");
}

/// More users than one answer of the chain contains, and names of the reader's own for some of them.
#[test]
fn users_are_listed_and_have_names_of_the_readers_own() {
    let network = Network::of(1);
    let (patient, doctor) = patient_and_doctor(&network);
    let others: Vec<_> = (0..MAX_PAGE).map(|number| format!("//Other//{number}")).collect();
    thread::scope(|scope| {
        // Each registration waits for a final block.
        for seeds in others.chunks(others.len() / 12) {
            let network = &network;
            scope
                .spawn(move || seeds.iter().for_each(|seed| drop(network.register("nurse", seed))));
        }
    });
    let everybody = network.run(&["user", "list"]);
    let users = everybody["users"].as_array().unwrap();
    assert_eq!(users.len(), others.len() + 2);
    let nurses = network.run(&["user", "list", "--role", "nurse", "--active", "--hospital", "0"]);
    assert_eq!(nurses["users"].as_array().unwrap().len(), others.len());

    let named = network.run(&["name", "set", "pat", "--keys", PATIENT]);
    assert_eq!(named, json!({ "name": "pat", "user": patient }));
    network.run(&["name", "set", "Dr. Ada", &doctor[..14]]);
    network.run(&["name", "set", "home", "--hospital", "alice"]);
    let shown = network.run(&["user", "show", "Dr. Ada"]);
    assert_eq!((&shown["user"], &shown["name"]), (&json!(doctor), &json!("Dr. Ada")));
    assert_eq!(shown["registrations"][0]["status"], json!("active"));
    network.run(&["user", "suspend", "--user", "Dr. Ada", "--hospital", "home"]);
    let shown = network.run(&["user", "show", &format!("{}…", &doctor[..14])]);
    assert_eq!(shown["registrations"][0]["status"], json!("suspended"));
    assert!(shown["registrations"][0]["periods"][0]["until"].is_u64(), "{shown}");

    let fails = |arguments: &[&str], said: &str| {
        let failure = network.try_run(arguments).unwrap_err();
        assert!(failure["error"].as_str().unwrap().contains(said), "{failure}");
        failure
    };
    let unknown = fails(&["user", "show", "Dr. Adda"], "did you mean Dr. Ada?");
    for command in unknown["commands"].as_array().unwrap() {
        network.run_printed(command.as_str().unwrap());
    }
    fails(&["user", "show", "home"], "your name for hospital 0");
    fails(&["user", "show", "0x12"], "too short");
    let nobody = format!("0x{}", "0".repeat(16));
    fails(&["user", "show", &nobody], "no user's id begins with");
    fails(&["user", "show", &format!("0x{}", "0".repeat(64))], "the chain has no user");
    fails(&["user", "list", "--hospital", "alise"], "did you mean Alice?");
    fails(&["name", "set", "alice", "--keys", PATIENT], "already the name of hospital 0");
    network.run(&["name", "remove", "pat"]);
    fails(&["records", "list", "--patient", "pat"], "neither a user id nor a name");
    assert_eq!(network.run(&["name", "list"])["names"].as_array().unwrap().len(), 2);
}

#[test]
fn a_reader_without_a_relationship_sees_the_condition_that_is_not_met() {
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

    // The patient begins and ends a relationship without the hospital.
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

    // A user whom the chain does not know receives no further information.
    let unknown = network.try_run(&get(&patient, "//Nobody", later.to_str().unwrap())).unwrap_err();
    assert!(unknown["error"].as_str().unwrap().contains("no user"), "{unknown}");
    // A doctor whose relationship the hospital ended cannot read any more.
    network.run(&["unrelate", "--patient", &patient, "--professional", &doctor]);
    network.try_run(&get(&patient, DOCTOR, later.to_str().unwrap())).unwrap_err();
}
