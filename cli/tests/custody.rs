//! A hospital is removed, and its machines are gone. Its custodian grants the records of a patient who entrusted the
//! patient keys, and of nobody else, on a real network of four hospitals with the program itself. All steps share one
//! network, because a network takes long to start.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    fs,
    path::{Path, PathBuf},
};

use codec::{Compact, Encode};
use epione_client::{
    chain::{Call, Chain},
    signer::Account,
};
use epione_devnet::ProcessRecord;
use epione_envelope::development;
use epione_primitives::{HospitalId, UserId, ports::HashedBody};
use network::{Network, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// The hospital that is removed, and its custodian.
const DEPARTED: u16 = 3;
const CUSTODIAN: u16 = 1;
/// Entrusts the keys at the hospital that is removed.
const PATIENT: &str = "//Patient";
/// Entrusts nothing.
const RELUCTANT: &str = "//Reluctant";
/// Of the hospital that is removed.
const DOCTOR: &str = "//Doctor";
/// Of the custodian.
const SUCCESSOR: &str = "//Successor";
const NOTE: &str = "blood pressure 162/98";
const OTHER_NOTE: &str = "allergic to penicillin";
/// Three segments.
const SCAN_BYTES: usize = 9 << 20;

/// Indices of `hospitals.remove`, and of `custody.appoint` and `custody.dismiss` in `councilRoot.dispatch`, which the
/// runtime pins.
const REMOVE: [u8; 2] = [6, 3];
const APPOINT: [u8; 4] = [16, 0, 25, 1];
const DISMISS: [u8; 4] = [16, 0, 25, 2];
/// The weight that is declared for a motion's call.
const MOTION_WEIGHT: (Compact<u64>, Compact<u64>) = (Compact(300_000_000_000), Compact(4 << 20));

/// The council, whose members send calls through the first hospital's node.
struct Council {
    runtime: Runtime,
    chain: Chain,
    members: Vec<Account>,
}

impl Council {
    fn of(network: &Network) -> Self {
        let (runtime, state) = (Runtime::new().unwrap(), network.state().unwrap());
        let chain = runtime.block_on(Chain::connect(&state.hospitals[0].node_url)).unwrap();
        let member = |uri: &str| Account::development(uri).unwrap();
        let members = state.hospitals.iter().map(|it| member(&it.governance)).collect();
        Self { runtime, chain, members }
    }

    /// Passes the motion with this index by the votes of so many members, which are so many as it needs.
    fn passes(&self, motion: Vec<u8>, index: u32, votes: u32) {
        let length = Compact(u32::try_from(motion.len()).unwrap()).encode();
        let hash = HashedBody::new(&motion).hash();
        let proposed = [Compact(votes).encode(), motion, length.clone()].concat();
        self.submit(0, "propose", proposed);
        for member in 0..votes as usize {
            self.submit(member, "vote", (hash, Compact(index), true).encode());
        }
        let closed = (hash, Compact(index), MOTION_WEIGHT).encode();
        self.submit(0, "close", [closed, length].concat());
    }

    fn submit(&self, member: usize, name: &'static str, arguments: Vec<u8>) {
        let call = Call { pallet: "Council", name, arguments };
        self.runtime.block_on(self.chain.submit(&call, &self.members[member])).unwrap();
    }

    /// Whether the hospital that is removed has kept a user's key under the consortium key.
    fn has_kept_key_of(&self, uri: &str) -> bool {
        let account = Account::development(uri).unwrap().id();
        let user = UserId::of(&account, development::sealing_key(uri).public().hash());
        let kept = async {
            let state = self.chain.finalized().await?;
            state.kept_key(HospitalId(DEPARTED), user).await
        };
        self.runtime.block_on(kept).unwrap().is_some()
    }
}

/// The network; the record 1/0 of a text and a scan, of the patient, and 2/0 of a text, of the reluctant one, both at
/// the hospital that is removed.
struct Case {
    network: Network,
    council: Council,
    patient: String,
    reluctant: String,
    scan: Vec<u8>,
}

impl Case {
    fn begin() -> Self {
        let network = Network::of(4);
        let [patient, reluctant, doctor, _] = network.register_all([
            ("3", "patient", PATIENT),
            ("3", "patient", RELUCTANT),
            ("3", "doctor", DOCTOR),
            ("1", "doctor", SUCCESSOR),
        ]);
        let council = Council::of(&network);
        let case = Self { network, council, patient, reluctant, scan: scan() };
        for patient in [&case.patient, &case.reluctant] {
            case.relate("3", patient, &doctor);
        }
        let scan = case.network.write("scan.bin", &case.scan);
        case.visit(&case.patient, NOTE, &["--media", scan.to_str().unwrap()]);
        case.visit(&case.reluctant, OTHER_NOTE, &[]);
        case
    }

    fn relate(&self, hospital: &str, patient: &str, professional: &str) {
        let who = ["--patient", patient, "--professional", professional];
        self.network.run(&[&["relate", "--hospital", hospital], &who[..]].concat());
    }

    fn visit(&self, patient: &str, text: &str, more: &[&str]) {
        let text = format!("report={}", self.network.write("note.txt", text).display());
        let visit = ["visit", "submit", "--as", DOCTOR, "--patient", patient];
        let rest = ["--hospital", "3", "--text", &text, "--wait"];
        let submitted = self.network.run(&[&visit[..], &rest, more].concat());
        assert!(submitted["stage"]["committed"].is_object(), "{submitted}");
    }

    /// Runs a command that sends a call. Waits while the user's quota is used up.
    fn send(&self, words: &[&str]) -> Value {
        let mut outcome = Err(Value::Null);
        eventually("the user's quota suffices", || {
            outcome = self.network.try_run(words);
            match &outcome {
                Err(failure) if failure.to_string().contains("try again in half a minute") => {
                    Err(failure.clone())
                }
                _ => Ok(()),
            }
        });
        outcome.unwrap_or_else(|failure| panic!("{words:?}: {failure}"))
    }

    /// Reads a record into a new folder; returns the folder and what the command printed.
    fn read(&self, by: &str, patient: &str, more: &[&str]) -> Result<(PathBuf, Value), Value> {
        let mut names = (0..).map(|number| self.network.file(&format!("read-{number}")));
        let out = names.find(|folder| !folder.exists()).unwrap();
        let get = ["records", "get", "--as", by, "--patient", patient];
        let rest = ["--out", out.to_str().unwrap()];
        let read = self.network.try_run(&[&get[..], more, &rest].concat())?;
        Ok((out, read))
    }

    /// Every other hospital has stored each segment. Until then, the one that is removed is needed.
    fn all_is_stored(&self) {
        let stored = |hospital: u16| {
            let state = self.network.state().unwrap();
            let files = fs::read_dir(state.hospitals[usize::from(hospital)].store.join("segments"));
            files.map_or(0, |files| files.flatten().count())
        };
        let segments = stored(DEPARTED);
        assert!(segments > 2, "{segments}");
        eventually("the other hospitals have every segment", || {
            let others: Vec<_> = (0..DEPARTED).map(stored).collect();
            if others.iter().all(|count| *count >= segments) { Ok(()) } else { Err(others) }
        });
    }

    fn kill_the_departed(&self) {
        let departed = self.network.state().unwrap().hospitals.remove(usize::from(DEPARTED));
        for process in [departed.worker.unwrap(), departed.node.unwrap()] {
            let pid = Pid::from_raw(i32::try_from(process.pid).unwrap()).unwrap();
            kill_process(pid, Signal::KILL).unwrap();
            let is_over = |process: &ProcessRecord| !process.is_running();
            eventually("the process ends", || {
                if is_over(&process) { Ok(()) } else { Err(process.pid) }
            });
        }
    }

    /// The entry of the removed hospital in the list.
    fn listed(&self) -> Value {
        self.network.run(&["hospital", "list"])["hospitals"][usize::from(DEPARTED)].clone()
    }

    /// Checks that the folder has the patient's text and scan, byte for byte.
    fn has_record_of_the_patient(&self, out: &Path) {
        let files = contents(&out.join("1-0"));
        assert!(files.iter().any(|file| file == NOTE.as_bytes()), "the text");
        assert!(files.contains(&self.scan), "the scan");
    }

    /// The proofs of a look at the patient's record.
    fn is_proven(&self, receipt: &Value, hospital: u16) {
        let number = receipt.to_string();
        let prove = ["audit", "proof-chain", "--patient", &self.patient, "--receipt", &number];
        let (status, made) = self.network.outcome(&prove);
        assert_eq!(status, 0, "{made}");
        let transaction = &made["transactions"][0];
        for step in transaction["proofs"].as_array().unwrap() {
            assert_eq!(step["verdict"]["is"], "proven", "{made}");
        }
        let policies = format!("policies of hospital {hospital}");
        assert!(transaction["note"].as_str().unwrap().contains(&policies), "{made}");
    }
}

fn contents(folder: &Path) -> Vec<Vec<u8>> {
    let files = fs::read_dir(folder).unwrap();
    files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
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

fn fails(outcome: Result<(PathBuf, Value), Value>, said: &str) {
    let failure = outcome.unwrap_err().to_string();
    assert!(failure.contains(said), "{said}: {failure}");
}

#[test]
fn the_custodian_of_a_removed_hospital_grants_the_records_of_those_who_entrusted_their_keys() {
    let case = Case::begin();
    let before = the_hospital_that_will_leave_grants_and_keeps(&case);
    case.all_is_stored();
    case.kill_the_departed();
    nobody_answers_for_a_removed_hospital_without_a_custodian(&case);
    the_custodian_is_appointed(&case);
    let after = a_doctor_of_the_custodian_reads_the_record(&case);
    a_patient_who_entrusted_nothing_is_refused_with_words(&case);
    patients_read_with_the_own_key(&case);
    case.is_proven(&before, DEPARTED);
    case.is_proven(&after, CUSTODIAN);
    a_dismissal_ends_it(&case);
}

/// Returns the number of the receipt.
fn the_hospital_that_will_leave_grants_and_keeps(case: &Case) -> Value {
    let (out, read) = case.read(DOCTOR, &case.patient, &["--pointer", "1/0"]).unwrap();
    case.has_record_of_the_patient(&out);
    assert_eq!(read["receipts"][0]["hospital"], json!(DEPARTED), "{read}");
    assert!(read.get("custodians").is_none(), "{read}");
    eventually("the workers have made a key", || {
        let status = case.network.run(&["consortium", "key", "status"]);
        if status["key"].is_null() { Err(status) } else { Ok(()) }
    });
    case.send(&["mandate", "entrust", "--as", PATIENT, "--hospital", "3", "--for", "1d", "--yes"]);
    eventually("the patient's key is kept", || {
        if case.council.has_kept_key_of(PATIENT) { Ok(()) } else { Err("not yet") }
    });
    assert!(!case.council.has_kept_key_of(RELUCTANT));
    read["receipts"][0]["receipt"].clone()
}

fn nobody_answers_for_a_removed_hospital_without_a_custodian(case: &Case) {
    case.council.passes((REMOVE, HospitalId(DEPARTED)).encode(), 0, 3);
    let listed = case.listed();
    assert_eq!(listed["status"], "removed", "{listed}");
    assert!(listed.get("custodian").is_none(), "{listed}");
    let nobody = "hospital 3 was removed, and no hospital answers for its records";
    fails(case.read(SUCCESSOR, &case.patient, &["--pointer", "1/0"]), nobody);
}

fn the_custodian_is_appointed(case: &Case) {
    let both = (APPOINT, HospitalId(DEPARTED), HospitalId(CUSTODIAN));
    case.council.passes(both.encode(), 1, 2);
    let custodian = case.listed()["custodian"].clone();
    assert_eq!(custodian["custodian"], json!(CUSTODIAN), "{custodian}");
    // Both are registered at the custodian, where the doctor treats them.
    let users = case.network.register_all([("1", "patient", PATIENT), ("1", "patient", RELUCTANT)]);
    assert_eq!(users, [case.patient.clone(), case.reluctant.clone()]);
    let account = Account::development(SUCCESSOR).unwrap().id();
    let key = development::sealing_key(SUCCESSOR).public().hash();
    let successor = UserId::of(&account, key).to_string();
    for patient in users {
        case.relate("1", &patient, &successor);
    }
    eventually("the custodian answers", || {
        let listed = case.listed();
        if listed["custodian"]["answers"] == json!(true) { Ok(()) } else { Err(listed) }
    });
}

/// Returns the number of the receipt.
fn a_doctor_of_the_custodian_reads_the_record(case: &Case) -> Value {
    let mut outcome = Err(Value::Null);
    eventually("the custodian has opened the patient's key", || {
        outcome = case.read(SUCCESSOR, &case.patient, &["--pointer", "1/0"]);
        match &outcome {
            Ok(_) => Ok(()),
            Err(failure) => Err(failure.clone()),
        }
    });
    let (out, read) = outcome.unwrap();
    case.has_record_of_the_patient(&out);
    assert_eq!(read["records"][0]["hospital"], json!(DEPARTED), "{read}");
    assert_eq!(read["receipts"][0]["hospital"], json!(CUSTODIAN), "{read}");
    assert_eq!(read["custodians"][0]["custodian"], json!(CUSTODIAN), "{read}");
    let list = case.network.run(&["records", "list", "--patient", &case.patient]);
    assert_eq!(list["custodians"], read["custodians"], "{list}");
    read["receipts"][0]["receipt"].clone()
}

fn a_patient_who_entrusted_nothing_is_refused_with_words(case: &Case) {
    let refused = case.read(SUCCESSOR, &case.reluctant, &["--pointer", "2/0"]);
    fails(refused, "the patient did not entrust it");
    let looked = case.network.run(&["audit", "who-looked", "--patient", &case.reluctant]);
    assert_eq!(looked["looks"], json!([]), "{looked}");
}

fn patients_read_with_the_own_key(case: &Case) {
    let own = |by, patient, record| {
        case.read(by, patient, &["--own-key", "--pointer", record]).unwrap().0
    };
    case.has_record_of_the_patient(&own(PATIENT, &case.patient, "1/0"));
    let out = own(RELUCTANT, &case.reluctant, "2/0");
    assert!(contents(&out.join("2-0")).iter().any(|file| file == OTHER_NOTE.as_bytes()));
}

fn a_dismissal_ends_it(case: &Case) {
    case.council.passes((DISMISS, HospitalId(DEPARTED)).encode(), 2, 2);
    let nobody = "no hospital answers for its records";
    fails(case.read(SUCCESSOR, &case.patient, &["--pointer", "1/0"]), nobody);
    // Nor does the custodian's worker, if it is named. Its own node may have finalized the dismissal later.
    eventually("the worker of the former custodian refuses", || {
        let named = case.read(SUCCESSOR, &case.patient, &["--pointer", "1/0", "--from", "1"]);
        match named {
            Err(failure) if failure.to_string().contains("whose custodian it is") => Ok(()),
            Err(failure) => Err(failure),
            Ok((_, read)) => Err(read),
        }
    });
}
