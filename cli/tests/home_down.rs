//! A patient's hospital is gone: its node and its worker do not run. A doctor of another hospital reads the patient's
//! history by the patient's permission alone, on a real network of four hospitals with the program itself.

#![allow(clippy::unwrap_used)]

mod network;

use std::{fs, path::Path};

use epione_devnet::ProcessRecord;
use network::{Network, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const DOCTOR: &str = "//Doctor";
const PATIENT: &str = "//Patient";
/// Of the second hospital.
const SUCCESSOR: &str = "//Successor";
const NOTE: &str = "blood pressure 162/98";
const LATER: &str = "blood pressure 131/84";
/// Three segments.
const SCAN_BYTES: usize = 9 << 20;

/// The network, and a patient with the records 1/0, of a text and a scan, and 2/0, of a text, at the first hospital.
struct Case {
    network: Network,
    patient: String,
    successor: String,
    scan: Vec<u8>,
    /// The node of the second hospital.
    node: String,
}

impl Case {
    fn begin() -> Self {
        let network = Network::of(4);
        let [patient, doctor, successor] = network.register_all([
            ("0", "patient", PATIENT),
            ("0", "doctor", DOCTOR),
            ("1", "doctor", SUCCESSOR),
        ]);
        network.relate(&patient, &doctor);
        let node = network.state().unwrap().hospitals[1].node_url.clone();
        let case = Self { network, patient, successor, scan: scan(), node };
        let scan = case.network.write("scan.bin", &case.scan);
        case.visit(NOTE, &["--media", scan.to_str().unwrap()]);
        case.visit(LATER, &[]);
        case
    }

    fn visit(&self, text: &str, more: &[&str]) {
        let text = format!("report={}", self.network.write("note.txt", text).display());
        let visit = ["visit", "submit", "--as", DOCTOR, "--patient", &self.patient];
        let rest = ["--hospital", "0", "--text", &text, "--wait"];
        let submitted = self.network.run(&[&visit[..], &rest, more].concat());
        assert!(submitted["stage"]["committed"].is_object(), "{submitted}");
    }

    /// Every other hospital has stored each segment. Until then, the first one is needed.
    fn all_is_stored(&self) {
        let stored = |hospital: usize| {
            let state = self.network.state().unwrap();
            let files = fs::read_dir(state.hospitals[hospital].store.join("segments"));
            files.map_or(0, |files| files.flatten().count())
        };
        let segments = stored(0);
        assert!(segments > 2, "{segments}");
        eventually("the other hospitals have every segment", || {
            let others: Vec<_> = (1..4).map(stored).collect();
            if others.iter().all(|count| *count >= segments) { Ok(()) } else { Err(others) }
        });
    }

    fn kill_the_first_hospital(&self) {
        let first = self.network.state().unwrap().hospitals.remove(0);
        for process in [first.worker.unwrap(), first.node.unwrap()] {
            let pid = Pid::from_raw(i32::try_from(process.pid).unwrap()).unwrap();
            kill_process(pid, Signal::KILL).unwrap();
            let is_over = |process: &ProcessRecord| !process.is_running();
            eventually("the process ends", || {
                if is_over(&process) { Ok(()) } else { Err(process.pid) }
            });
        }
    }

    /// Runs a command by the node of the second hospital. Waits while the user's quota is used up.
    fn try_run(&self, words: &[&str]) -> Result<Value, Value> {
        let words = [words, &["--node", &self.node]].concat();
        let mut outcome = Err(Value::Null);
        eventually("the user's quota suffices", || {
            outcome = self.network.try_run(&words);
            match &outcome {
                Err(failure) if failure.to_string().contains("try again in half a minute") => {
                    Err(failure.clone())
                }
                _ => Ok(()),
            }
        });
        outcome
    }

    fn run(&self, words: &[&str]) -> Value {
        self.try_run(words).unwrap_or_else(|failure| panic!("{words:?}: {failure}"))
    }

    /// The doctor asks for both records; returns the number of the query.
    fn ask(&self) -> String {
        let ask = ["query", "ask", "--as", SUCCESSOR, "--patient", &self.patient];
        let what = ["--record", "1/0", "--record", "2/0", "--purpose", "treatment"];
        let asked = self.run(&[&ask[..], &what, &["--terms", "your new doctor"]].concat());
        asked["query"].to_string()
    }

    fn accept(&self, query: &str, more: &[&str]) -> Result<Value, Value> {
        let accept = ["query", "accept", query, "--as", PATIENT, "--for", "30d", "--yes"];
        self.try_run(&[&accept[..], more].concat())
    }

    /// The doctor collects everything, and every byte is what the first doctor wrote.
    fn collects(&self, query: &str) {
        let out = self.network.file(&format!("collected-{query}"));
        let collect = ["query", "collect", query, "--as", SUCCESSOR];
        let collected = self.run(&[&collect[..], &["--out", out.to_str().unwrap()]].concat());
        assert_eq!(collected["mailbox"], json!(1), "{collected}");
        self.has_everything(&out);
    }

    fn has_everything(&self, out: &Path) {
        let content = |record: &str| -> Vec<Vec<u8>> {
            let files = fs::read_dir(out.join(record)).unwrap();
            files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
        };
        let first = content("1-0");
        assert!(first.iter().any(|file| file == NOTE.as_bytes()), "the text of the first record");
        assert!(first.contains(&self.scan), "the scan of the first record");
        let second = content("2-0");
        assert!(second.iter().any(|file| file == LATER.as_bytes()), "the text of the second one");
    }
}

/// Bytes of which no two segments are equal.
fn scan() -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(SCAN_BYTES).collect()
}

#[test]
fn a_doctor_elsewhere_reads_a_history_while_the_hospital_that_wrote_it_is_down() {
    let case = Case::begin();
    case.all_is_stored();
    case.kill_the_first_hospital();
    let query = the_patient_is_told_which_hospital_can_keep_the_keys(&case);
    case.collects(&query);
    the_look_is_on_the_chain(&case);
    the_patient_reads_with_the_own_key(&case);
    another_hospital_of_the_patient_keeps_the_keys_by_itself(&case);
}

/// The patient has only the hospital that is down: nothing is signed, and the command that helps is printed.
fn the_patient_is_told_which_hospital_can_keep_the_keys(case: &Case) -> String {
    let query = case.ask();
    let refused = case.accept(&query, &[]).unwrap_err();
    let error = refused["error"].as_str().unwrap();
    assert!(error.contains("none of your hospitals can keep the sealed keys now"), "{refused}");
    assert!(error.contains("hospital 0: "), "{refused}");
    let command = refused["commands"][0].as_str().unwrap();
    assert!(command.contains("query accept") && command.ends_with("--mailbox 1"), "{refused}");
    assert_eq!(case.run(&["query", "show", &query])["status"], "pending");
    let accepted = case.accept(&query, &["--mailbox", "1"]).unwrap();
    assert_eq!(accepted["mailbox"], json!(1), "{accepted}");
    query
}

/// The patient sees that the doctor collected, although the hospital of the records does not run.
fn the_look_is_on_the_chain(case: &Case) {
    let looked = case.run(&["audit", "who-looked", "--as", PATIENT]);
    assert!(looked["queries"].to_string().contains(&case.successor), "{looked}");
}

fn the_patient_reads_with_the_own_key(case: &Case) {
    let out = case.network.file("own");
    let get = ["records", "get", "--as", PATIENT, "--patient", &case.patient, "--own-key", "--all"];
    let read = case.run(&[&get[..], &["--out", out.to_str().unwrap()]].concat());
    assert_eq!(read["records"].as_array().unwrap().len(), 2, "{read}");
    case.has_everything(&out);
}

/// The patient registers at the second hospital. From then on, its worker is chosen without being named.
fn another_hospital_of_the_patient_keeps_the_keys_by_itself(case: &Case) {
    let who = ["--role", "patient", "--name", "Synthetic patient", "--keys", PATIENT];
    case.run(&[&["user", "register", "--hospital", "1"], &who[..]].concat());
    let query = case.ask();
    let accepted = case.accept(&query, &[]).unwrap();
    assert_eq!(accepted["mailbox"], json!(1), "{accepted}");
    case.collects(&query);
}
