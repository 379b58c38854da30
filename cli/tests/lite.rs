//! The lite blockchain of a peer, on a real network with the program itself. Most steps share one network, because a
//! network takes long to start.

#![allow(clippy::unwrap_used)]

mod network;

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use network::{Network, eventually, proxy::Proxy};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const DOCTOR: &str = "//Doctor";
const PATIENT: &str = "//Patient";

#[test]
fn a_peer_copies_verifies_and_searches_the_chain_without_trusting_its_file_or_its_node() {
    let case = Case::begin(1);
    case.submit("diagnosis", "fracture of the left wrist");
    case.submit("prescription", "rest, and ice");
    case.committed("2");
    every_block_is_copied_once_and_the_file_is_private(&case);
    a_patient_searches_without_a_node(&case);
    a_doctor_searches_what_earlier_reads_saved(&case);
    others_find_nothing(&case);
    later_blocks_are_added(&case);
    an_altered_file_fails_at_its_height(&case);
    a_file_of_another_chain_is_refused(&case);
}

#[test]
fn a_copy_whose_node_dies_continues_from_the_node_of_another_hospital() {
    let case = Case::begin(4);
    case.submit("diagnosis", "fracture of the left wrist");
    case.submit("prescription", "rest, and ice");
    let hospitals = case.network.state().unwrap().hospitals;
    let there = ["--node", &hospitals[1].node_url];
    eventually("the other node has both blocks", || {
        case.network.try_run(&[&["block", "show", "2"], &there[..]].concat()).map(drop)
    });

    // The node dies when it is asked for the first sealed record: it has sent all blocks then, and no record.
    let proxy = Proxy::of(&hospitals[0].node_url);
    let node = Pid::from_raw(hospitals[0].node.as_ref().unwrap().pid as i32).unwrap();
    proxy.with(move |method, _| {
        let is_last = method == "liteBlocks_record";
        if is_last {
            // It may have died at the answer before.
            let _ = kill_process(node, Signal::KILL);
        }
        !is_last
    });
    let url = proxy.url();
    let (status, failure) = case.outcome(&["sync", "--as", PATIENT, "--node", &url]);
    assert_eq!(status, 1, "{failure}");
    assert!(failure["error"].as_str().unwrap().contains("no node answers"), "{failure}");
    let kept = case.lite(&["status"]);
    assert_eq!((&kept["height"], &kept["sealedRecords"]), (&json!(2), &json!(0)), "{kept}");

    let copied = case.lite(&[&["sync", "--as", PATIENT], &there[..]].concat());
    assert_eq!((&copied["added"], &copied["records"]), (&json!(0), &json!(2)), "{copied}");
    let verified = case.lite(&[&["verify"], &there[..]].concat());
    assert_eq!((&verified["passed"], &verified["sealedRecords"]), (&json!(true), &json!(2)));
    let found = case.lite(&["search", "--as", PATIENT]);
    assert_eq!(sections(&found).len(), 2, "{found}");
}

struct Case {
    network: Network,
    patient: String,
}

impl Case {
    fn begin(hospitals: u16) -> Self {
        let network = Network::of(hospitals);
        let [patient, _] = network.register_related(PATIENT, DOCTOR);
        Self { network, patient }
    }

    /// Submits a visit of one text, and waits until it is committed.
    fn submit(&self, kind: &str, text: &str) {
        let file = self.network.write("note.txt", text);
        let section = format!("{kind}={}", file.display());
        let submit = ["visit", "submit", "--as", DOCTOR, "--hospital", "0", "--wait"];
        let what = ["--patient", &self.patient, "--text", &section];
        self.network.run(&[&submit[..], &what[..]].concat());
    }

    /// Waits until this lite block is in a final state.
    fn committed(&self, height: &str) {
        eventually("the block is committed", || {
            self.network.try_run(&["block", "show", height]).map(drop)
        });
    }

    fn lite(&self, arguments: &[&str]) -> Value {
        self.network.run(&[&["lite"], arguments].concat())
    }

    /// Exit status and result.
    fn outcome(&self, arguments: &[&str]) -> (i32, Value) {
        self.network.outcome(&[&["lite"], arguments].concat())
    }

    fn file(&self) -> std::path::PathBuf {
        self.network.path().join("data/lite.sqlite")
    }
}

/// The sections of a search.
fn sections(found: &Value) -> &Vec<Value> {
    found["sections"].as_array().unwrap()
}

fn every_block_is_copied_once_and_the_file_is_private(case: &Case) {
    let (status, missing) = case.outcome(&["status"]);
    assert_eq!(status, 1);
    assert!(missing["help"].as_str().unwrap().contains("epione lite sync"), "{missing}");

    let copied = case.lite(&["sync", "--as", PATIENT]);
    assert_eq!((&copied["added"], &copied["height"]), (&json!(2), &json!(2)), "{copied}");
    assert_eq!(copied["records"], 2, "{copied}");
    let again = case.lite(&["sync", "--as", PATIENT]);
    assert_eq!((&again["added"], &again["records"]), (&json!(0), &json!(0)), "{again}");
    assert_eq!(fs::metadata(case.file()).unwrap().permissions().mode() & 0o777, 0o600);

    let status = case.lite(&["status"]);
    assert_eq!((&status["height"], &status["complete"]), (&json!(2), &json!(true)), "{status}");
    assert_eq!((&status["records"], &status["sealedRecords"]), (&json!(2), &json!(2)));
    let verified = case.lite(&["verify"]);
    assert_eq!((&verified["passed"], &verified["height"]), (&json!(true), &json!(2)));
    assert!(verified["compared"]["block"].as_u64().unwrap() > 0, "{verified}");
}

/// No node answers at this address.
const NOWHERE: [&str; 2] = ["--node", "ws://127.0.0.1:1"];

fn a_patient_searches_without_a_node(case: &Case) {
    let search =
        |more: &[&str]| case.lite(&[&["search", "--as", PATIENT], more, &NOWHERE[..]].concat());
    let all = search(&[]);
    let kinds: Vec<_> = sections(&all).iter().map(|section| section["kind"].clone()).collect();
    assert_eq!(kinds, ["prescription", "diagnosis"], "{all}");
    assert_eq!(sections(&search(&["--kind", "diagnosis"])).len(), 1);
    assert_eq!(sections(&search(&["--text", "WRIST"])).len(), 1);
    assert_eq!(sections(&search(&["--from", "2020-01-01"])).len(), 2);
    assert!(sections(&search(&["--to", "2020-01-01"])).is_empty());
    assert!(sections(&search(&["--modality", "CT"])).is_empty());
    let cut = search(&["--limit", "1"]);
    assert_eq!((sections(&cut).len(), &cut["more"]), (1, &json!(true)));

    let offline = [&["verify", "--offline"], &NOWHERE[..]].concat();
    assert_eq!(case.lite(&offline)["passed"], true);
    let (status, verified) = case.outcome(&[&["verify"], &NOWHERE[..]].concat());
    assert_eq!((status, &verified["passed"]), (1, &json!(false)), "{verified}");
    assert_eq!((&verified["height"], &verified["compared"]), (&json!(2), &Value::Null));
    let reason = verified["notCompared"]["error"].as_str().unwrap();
    assert!(reason.contains("no node answers"), "{verified}");
}

fn a_doctor_searches_what_earlier_reads_saved(case: &Case) {
    let out = case.network.file("read");
    let get = ["records", "get", "--as", DOCTOR, "--patient", &case.patient, "--all"];
    case.network.run(&[&get[..], &["--out", out.to_str().unwrap()]].concat());
    let file = case.network.file("doctor.sqlite");
    let here = ["--file", file.to_str().unwrap(), "--saved", out.to_str().unwrap()];
    let copied = case.lite(&[&["sync"], &here[..]].concat());
    assert_eq!((&copied["added"], &copied["records"]), (&json!(2), &json!(2)), "{copied}");
    let search = [&["search", "--kind", "diagnosis"], &here[..], &NOWHERE[..]].concat();
    let found = case.lite(&search);
    assert_eq!(sections(&found).len(), 1, "{found}");
    assert_eq!(sections(&found)[0]["patient"], json!(case.patient));
}

fn others_find_nothing(case: &Case) {
    let (status, failure) = case.outcome(&["search", "--as", DOCTOR]);
    assert_eq!(status, 1);
    assert!(failure["help"].as_str().unwrap().contains("lite sync --as"), "{failure}");
    // The file has nothing of what the sections say.
    let bytes = fs::read(case.file()).unwrap();
    for word in ["wrist", "fracture", "prescription"] {
        assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{word}");
    }
}

fn later_blocks_are_added(case: &Case) {
    case.submit("report", "healed");
    case.committed("3");
    // What the file has is right, although the chain has more by now.
    let (status, verified) = case.outcome(&["verify"]);
    assert_eq!((status, &verified["passed"]), (0, &json!(true)), "{verified}");
    assert_eq!((&verified["height"], &verified["compared"]["chainHeight"]), (&json!(2), &json!(3)));
    assert!(verified["completeAt"].as_u64() < verified["compared"]["block"].as_u64(), "{verified}");
    let command = verified["compared"]["sync"].as_str().unwrap();
    assert!(command.starts_with("epione lite sync"), "{verified}");
    let copied = case.lite(&["sync", "--as", PATIENT]);
    assert_eq!((&copied["added"], &copied["records"]), (&json!(1), &json!(1)), "{copied}");
    assert_eq!(case.lite(&["verify"])["height"], 3);
}

fn an_altered_file_fails_at_its_height(case: &Case) {
    let block = case.network.run(&["block", "show", "2"]);
    let hash = block["hashes"]["lite"].as_str().unwrap().trim_start_matches("0x");
    let hash = hex::decode(hash).unwrap();
    let altered = case.network.file("altered.sqlite");
    fs::copy(case.file(), &altered).unwrap();
    alter(&altered, &hash);
    let (status, verified) = case.outcome(&["verify", "--file", altered.to_str().unwrap()]);
    assert_eq!((status, &verified["passed"]), (1, &json!(false)), "{verified}");
    let height = verified["wrong"]["height"].as_u64().unwrap();
    assert!((2..=3).contains(&height), "{verified}");
    // The chain is not mixed with an altered file.
    let cut = case.network.file("cut.sqlite");
    let whole = fs::read(case.file()).unwrap();
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let (status, failure) = case.outcome(&["sync", "--file", cut.to_str().unwrap()]);
    assert_eq!(status, 1);
    assert!(failure["error"].as_str().unwrap().contains("damaged"), "{failure}");
}

/// Flips a bit of the first place where these bytes are.
fn alter(file: &Path, wanted: &[u8]) {
    let mut bytes = fs::read(file).unwrap();
    let place = bytes.windows(wanted.len()).position(|window| window == wanted).unwrap();
    bytes[place] ^= 1;
    fs::write(file, bytes).unwrap();
}

fn a_file_of_another_chain_is_refused(case: &Case) {
    let other = case.network.file("other.sqlite");
    fs::copy(case.file(), &other).unwrap();
    let genesis = case.lite(&["status"])["genesis"].as_str().unwrap().to_owned();
    alter(&other, &hex::decode(genesis.trim_start_matches("0x")).unwrap());
    let (status, failure) = case.outcome(&["sync", "--file", other.to_str().unwrap()]);
    assert_eq!(status, 1);
    assert!(failure["error"].as_str().unwrap().contains("belongs to the chain"), "{failure}");
}
