//! Access to records on a real network of two hospitals, with the program itself. All steps share one network, because
//! a network takes long to start.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    fs,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use network::{Network, epione, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const DOCTOR: &str = "//Doctor";
const PATIENT: &str = "//Patient";
const STRANGER: &str = "//Stranger";
/// A doctor of the second hospital.
const SPECIALIST: &str = "//Specialist";
/// The duration of a referral that ends during the test, and of one that does not.
const SHORT: &str = "45s";
const LONG: &str = "30d";
const NOTE: &str = "blood pressure 162/98";

/// The network, the ids of its users, and the submitted image.
struct Case {
    network: Network,
    patient: String,
    doctor: String,
    stranger: String,
    specialist: String,
    image: Vec<u8>,
}

impl Case {
    fn begin() -> Self {
        let network = Network::of(2);
        let hospitals = network.run(&["hospital", "list"]);
        assert_eq!(hospitals["hospitals"][1]["status"], json!("active"));
        assert_eq!(hospitals["hospitals"][1]["benched"], json!(false));
        assert_eq!(hospitals["hospitals"][1]["unready"], json!(false));
        let [patient, doctor, stranger, specialist] = network.register_all([
            ("0", "patient", PATIENT),
            ("0", "doctor", DOCTOR),
            ("0", "doctor", STRANGER),
            ("1", "doctor", SPECIALIST),
        ]);
        let image = epione_cli::samples::images().remove(1).bytes;
        let case = Self { network, patient, doctor, stranger, specialist, image };
        case.relate(&case.doctor, &["--kind", "family-doctor"]).unwrap();
        case.visit();
        case
    }

    fn relate(&self, professional: &str, more: &[&str]) -> Result<Value, Value> {
        let relate = ["relate", "--patient", &self.patient, "--professional", professional];
        self.network.try_run(&[&relate[..], more].concat())
    }

    /// A text and an image, signed by doctor and patient.
    fn visit(&self) {
        let note = self.network.write("note.txt", NOTE);
        let note = format!("observation={}", note.display());
        let image = self.network.write("image.dcm", &self.image);
        let submit = ["visit", "submit", "--as", DOCTOR, "--hospital", "0", "--wait"];
        let sections = ["--text", &note, "--media", image.to_str().unwrap()];
        let submit = [&submit[..], &sections, &["--patient", &self.patient]].concat();
        let foreign = [&submit[..], &["--cosign", STRANGER]].concat();
        let refused = self.network.try_run(&foreign).unwrap_err();
        assert!(text(&refused["error"]).contains("not the patient"), "{refused}");
        let submitted = self.network.run(&[&submit[..], &["--cosign", PATIENT]].concat());
        assert_eq!(submitted["cosigned"], json!(true));
        assert!(submitted["stage"]["committed"].is_object(), "{submitted}");
    }

    /// Reads everything into a new folder.
    fn read(&self, who: &str, more: &[&str]) -> Result<Value, Value> {
        let out = (0..).map(|n| self.network.file(&format!("out-{n}"))).find(|it| !it.exists());
        let out = out.unwrap();
        let get = ["records", "get", "--as", who, "--patient", &self.patient, "--all", "--out"];
        let get = [&get[..], &[out.to_str().unwrap()], more].concat();
        let read = self.network.try_run(&get)?;
        assert_eq!(contents(&read), [NOTE.as_bytes(), &self.image]);
        Ok(read)
    }

    fn who_looked(&self, more: &[&str]) -> Value {
        let list = ["audit", "who-looked", "--patient", &self.patient];
        self.network.run(&[&list[..], more].concat())
    }

    fn fails(&self, arguments: &[&str], said: &str) {
        let failure = self.network.try_run(arguments).unwrap_err();
        let failure = failure.to_string();
        assert!(failure.contains(said), "{arguments:?}: {failure}");
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The bytes of the first record's sections, in order.
fn contents(retrieved: &Value) -> Vec<Vec<u8>> {
    let record = &retrieved["records"][0];
    let folder = Path::new(text(&record["directory"]));
    let sections = record["sections"].as_array().unwrap();
    sections.iter().map(|it| fs::read(folder.join(text(&it["file"]["name"]))).unwrap()).collect()
}

#[test]
fn every_access_is_allowed_by_a_policy_and_leaves_a_receipt() {
    let case = Case::begin();
    accesses_and_refusals_are_listed(&case);
    let until = a_treating_doctor_refers_the_patient(&case);
    a_suspended_doctor_cannot_read_until_reinstated(&case);
    a_referral_ends_by_the_chains_clock(&case, until);
    a_referral_gives_access_at_the_records_own_hospital_only(&case);
    an_emergency_is_flagged_and_judged_by_the_other_hospital(&case);
    the_patients_own_key_needs_no_permission(&case);
    a_patient_notes_an_own_reading(&case);
    staff_register_an_absent_person_only_with_their_consent(&case);
    let keys = rotated_keys_read_old_records_and_an_interrupted_rotation_resumes(&case);
    a_revoked_permission_ends_at_the_next_final_block(&case, &keys);
    a_registration_ends_permanently(&case);
    a_hospitals_sealing_key_is_set_by_its_governance(&case);
    the_patients_own_key_needs_no_worker_of_the_records_hospital(&case, &keys);
}

fn accesses_and_refusals_are_listed(case: &Case) {
    assert_eq!(case.who_looked(&[])["looks"], json!([]));
    let read = case.read(DOCTOR, &[]).unwrap();
    assert_eq!(read["records"][0]["cosigned"], json!(true));
    let receipt = &read["receipts"][0];
    assert_eq!(receipt["policies"], json!(["related professional"]), "{read}");
    assert_eq!(receipt["version"], json!(0));

    let looked = case.who_looked(&[]);
    let look = &looked["looks"][0];
    assert_eq!(look["requester"], json!(case.doctor));
    assert_eq!(look["receipt"], receipt["receipt"]);
    assert_eq!(look["block"], receipt["block"]);
    assert_eq!((text(&look["role"]), text(&look["purpose"])), ("doctor", "treatment"));
    assert_eq!(look["hospitalName"], json!("Alice"));
    let records = json!([{ "pointer": { "height": 1, "index": 0 }, "sections": [0, 1] }]);
    assert_eq!(look["records"], records);
    assert!(text(&look["at"]).ends_with('Z') && look.get("review").is_none(), "{look}");
    assert!(looked.get("refused").is_none());
    let by_key = case.network.run(&["audit", "who-looked", "--as", PATIENT]);
    assert_eq!(by_key, looked, "the patient needs no id, and no password");

    case.read(STRANGER, &[]).unwrap_err();
    let refused = case.who_looked(&["--refused"])["refused"][0].clone();
    assert_eq!(refused["requester"], json!(case.stranger), "{refused}");
    assert!(refused["denials"].to_string().contains("related"), "{refused}");
    let nobody = format!("0x{}", "22".repeat(32));
    case.fails(&["audit", "who-looked", "--patient", &nobody], "has no user");
    case.fails(&["audit", "who-looked", "--as", "//Nobody"], "no user");
}

/// A reading with the own key leaves nothing on the chain, unless the patient wants it. Each reading is noted once.
fn a_patient_notes_an_own_reading(case: &Case) {
    let noted = || case.network.run(&["audit", "who-looked", "--as", PATIENT])["ownReads"].clone();
    let unnoted = case.read(PATIENT, &["--own-key"]).unwrap();
    assert!(unnoted.get("notes").is_none() && noted().is_null(), "{unnoted}");
    let out = case.network.file("noted");
    let get = ["records", "get", "--as", PATIENT, "--patient", &case.patient, "--all"];
    let get = [&get[..], &["--own-key", "--note", "--out", out.to_str().unwrap()]].concat();
    let read = case.network.run(&get);
    let records = json!([{ "pointer": { "height": 1, "index": 0 }, "sections": [0, 1] }]);
    let note = &read["notes"][0];
    assert_eq!(note["records"], records, "{read}");
    let first = noted();
    assert_eq!(first.as_array().unwrap().len(), 1, "{first}");
    assert_eq!((&first[0]["records"], &first[0]["block"]), (&records, &note["block"]));
    assert_eq!(first[0]["note"], json!(0));

    let (status, again) = case.network.outcome(&get);
    assert_eq!(status, 1, "{again}");
    assert!(text(&again["noteFailure"]["error"]).starts_with("earlier runs"), "{again}");
    // As after a run whose note failed.
    let kept = Path::new(text(&read["records"][0]["directory"])).join("record.json");
    let mut folder: Value = serde_json::from_slice(&fs::read(&kept).unwrap()).unwrap();
    assert!(folder.get("unnoted").is_none(), "{folder}");
    folder["unnoted"] = json!([0, 1]);
    fs::write(&kept, folder.to_string()).unwrap();
    let made_up = case.network.run(&get);
    assert_eq!(made_up["notes"][0]["records"], records, "{made_up}");
    assert_eq!(noted().as_array().unwrap().len(), 2);
    assert!(!fs::read_to_string(&kept).unwrap().contains("unnoted"));
}

fn refer(case: &Case, by: &str, expires: &str) -> Result<Value, Value> {
    let refer = ["--kind", "referral", "--expires", expires, "--hospital", "0", "--as-user", by];
    case.relate(&case.specialist, &refer)
}

/// Returns the end of the referral, in milliseconds.
fn a_treating_doctor_refers_the_patient(case: &Case) -> u64 {
    case.read(SPECIALIST, &[]).unwrap_err();
    let refused = refer(case, STRANGER, SHORT).unwrap_err();
    let failed = "the call failed on the chain: RolePolicies::NotAllowedToRelate";
    assert!(text(&refused["error"]).starts_with(failed), "{refused}");
    assert!(text(&refused["help"]).contains("epione policy show"), "{refused}");
    refer(case, DOCTOR, SHORT).unwrap()["expires"].as_u64().unwrap()
}

/// The policies' decision about the specialist, now or at a given time.
fn explained(case: &Case, more: &[&str]) -> Value {
    let explain = ["policy", "explain", "--hospital", "0", "--action", "read-text"];
    let who = ["--requester", &case.specialist, "--patient", &case.patient];
    case.network.finding(&[&explain[..], &who, more].concat())
}

fn a_referral_ends_by_the_chains_clock(case: &Case, until: u64) {
    eventually("the referral is over by the chain's clock", || {
        let now = explained(case, &[]);
        if now["at"].as_u64().unwrap() >= until { Ok(()) } else { Err(now) }
    });
    let refused = case.read(SPECIALIST, &[]).unwrap_err();
    assert!(refused["denial"].to_string().contains("referral"), "{refused}");
    for (moment, allowed) in [(until - 1, true), (until, false)] {
        let time = UNIX_EPOCH + Duration::from_millis(moment);
        let time = humantime::format_rfc3339_millis(time).to_string();
        let then = explained(case, &["--at", &time]);
        assert_eq!(then["allowed"], json!(allowed), "{then}");
    }
}

fn a_referral_gives_access_at_the_records_own_hospital_only(case: &Case) {
    refer(case, DOCTOR, LONG).unwrap();
    let read = case.read(SPECIALIST, &[]).unwrap();
    assert_eq!(read["receipts"][0]["policies"], json!(["referred doctor reads"]));
    let elsewhere = case.read(SPECIALIST, &["--from", "1"]).unwrap_err();
    assert!(elsewhere["denial"].to_string().contains("patient-registered"), "{elsewhere}");
}

fn a_suspended_doctor_cannot_read_until_reinstated(case: &Case) {
    let change = |verb| ["user", verb, "--user", &case.doctor];
    let suspended = case.network.run(&change("suspend"));
    assert_eq!(suspended["status"], json!("suspended"));
    let refused = case.read(DOCTOR, &[]).unwrap_err();
    assert!(refused["denial"].to_string().contains("requester-registered"), "{refused}");
    case.network.try_run(&change("suspend")).unwrap_err();
    case.network.run(&change("reinstate"));
    case.read(DOCTOR, &[]).unwrap();
    case.network.try_run(&change("reinstate")).unwrap_err();
    let nobody = format!("0x{}", "22".repeat(32));
    case.network.try_run(&["user", "suspend", "--user", &nobody]).unwrap_err();
}

fn an_emergency_is_flagged_and_judged_by_the_other_hospital(case: &Case) {
    let emergency = ["--emergency", "life-threatening"];
    let refused = case.read(STRANGER, &emergency).unwrap_err();
    assert!(refused["denial"].to_string().contains("break-glass"), "{refused}");
    set_policies(case);
    assert_eq!(case.network.run(&["audit", "reviews"])["reviews"], json!([]));
    let read = case.read(STRANGER, &emergency).unwrap();
    assert_eq!(read["receipts"][0]["policies"], json!(["break glass"]));
    // A later access without emergency is below it in the list.
    case.read(DOCTOR, &[]).unwrap();
    let first = case.who_looked(&["--limit", "4"])["looks"][0].clone();
    assert_eq!(first["requester"], json!(case.stranger), "{first}");
    assert_eq!(first["emergency"], json!("life-threatening"));
    assert_eq!(first["review"]["status"], json!("open"));
    let review = first["review"]["review"].to_string();
    let open = case.network.run(&["audit", "reviews", "--open"]);
    assert_eq!(open["reviews"][0]["receipt"], first["receipt"]);
    assert_eq!(open["reviews"][0]["needed"], json!(1));

    let judge = |hospital, review| {
        let judge = ["audit", "judge", "--unjustified", "--hospital", hospital, "--review", review];
        case.network.try_run(&judge)
    };
    judge("0", &review).unwrap_err();
    let unknown = judge("1", "99").unwrap_err();
    assert!(text(&unknown["error"]).contains("no review 99"), "{unknown}");
    let judged = judge("1", &review).unwrap();
    assert_eq!(judged["by"], json!(1));
    assert_eq!(judged["status"]["closed"]["justified"], json!(false), "{judged}");
    judge("1", &review).unwrap_err();
    let open = case.network.run(&["audit", "reviews", "--open"]);
    assert_eq!(open["reviews"], json!([]));
}

/// The sample policies that the test needs.
fn set_policies(case: &Case) {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/policies");
    let read = |name: &str| fs::read_to_string(samples.join(name)).unwrap();
    let files = ["1-own-records.toml", "3-family-doctor.toml", "5-emergency.toml"];
    let set = case.network.write("policies.toml", files.map(read).join("\n"));
    let changed = case.network.run(&["policy", "set", set.to_str().unwrap(), "--hospital", "0"]);
    assert_eq!(changed["version"], json!(1), "{changed}");
}

fn staff_register_an_absent_person_only_with_their_consent(case: &Case) {
    let newcomer = "//Newcomer";
    let keys = case.network.run(&["keys", "show", newcomer]);
    let who = ["--role", "nurse", "--name", "Synthetic", "--account", text(&keys["account"])];
    let register = |hospital, consent: &Value| {
        let key = ["--sealing-key", text(&keys["sealingKey"]), "--hospital", hospital];
        let given = ["--user", text(&consent["user"]), "--consent", text(&consent["consent"])];
        case.network.try_run(&[&["user", "register"], &who[..], &key, &given].concat())
    };
    let consent_of =
        |signer| case.network.run(&["user", "consent", "--as", signer, "--hospital", "0"]);
    let refused = register("0", &consent_of("//Thief")).unwrap_err();
    assert!(text(&refused["error"]).contains("has not consented"), "{refused}");
    let consent = consent_of(newcomer);
    let replayed = register("1", &consent).unwrap_err();
    assert!(text(&replayed["error"]).contains("has not consented"), "{replayed}");
    let registered = register("0", &consent).unwrap();
    assert_eq!(registered["user"], consent["user"]);
}

fn the_patients_own_key_needs_no_permission(case: &Case) {
    let before = case.who_looked(&[]);
    let read = case.read(PATIENT, &["--own-key", "--from", "1"]).unwrap();
    assert_eq!(read["receipts"], json!([]));
    assert_eq!(case.who_looked(&[]), before);
    let refused = case.read(DOCTOR, &["--own-key"]).unwrap_err();
    assert!(text(&refused["error"]).contains("of the key's owner"), "{refused}");
}

/// Returns the new key file.
fn rotated_keys_read_old_records_and_an_interrupted_rotation_resumes(case: &Case) -> String {
    let consent = case.network.run(&["user", "consent", "--as", PATIENT, "--hospital", "1"]);
    let consent = ["--user", &case.patient, "--consent", text(&consent["consent"])];
    let register =
        ["user", "register", "--hospital", "1", "--role", "patient", "--name", "Synthetic"];
    case.network.run(&[&register[..], &["--keys", PATIENT], &consent].concat());

    let password = case.network.write("password", "only for a test\n");
    let password = password.to_str().unwrap();
    let keys = case.network.file("patient-2.json");
    let keys = keys.to_str().unwrap();
    let rotate =
        |to| ["user", "rotate-keys", "--as", PATIENT, "--password-file", password, "--to", to];
    case.fails(&rotate(DOCTOR), "belongs to user");
    // As if the connection broke after the chain had the new keys.
    let output = epione()
        .args(["--json", "--worker", "http://127.0.0.1:9", "--devnet"])
        .arg(case.network.path())
        .args(rotate(keys))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", network::stderr(&output));
    let rotated: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rotated["rotatedNow"], json!(true));
    assert!(outcomes(&rotated).iter().all(|outcome| outcome == "failed"), "{rotated}");

    // A thief of the patient's account could have rotated: the hospitals wait until their staff confirms.
    let (status, rotated) = case.network.outcome(&rotate(keys));
    assert_eq!((status, &rotated["rotatedNow"]), (1, &json!(false)), "{rotated}");
    assert_eq!(outcomes(&rotated), ["awaiting-confirmation"; 2], "{rotated}");
    case.read(keys, &["--password-file", password, "--own-key"]).unwrap_err();
    let confirm = |keys, hospital| {
        let confirm = ["user", "confirm-keys", "--user", &case.patient, "--keys", keys];
        case.network.try_run(&[&confirm[..], &["--hospital", hospital]].concat())
    };
    let thief = confirm("//Thief", "0").unwrap_err();
    assert!(text(&thief["error"]).contains("another sealing key"), "{thief}");
    for hospital in ["0", "1"] {
        assert_eq!(confirm(keys, hospital).unwrap()["user"], json!(case.patient));
    }
    let again = case.network.run(&rotate(keys));
    assert_eq!(outcomes(&again), ["renewed-before", "renewed-before"], "{again}");

    case.read(PATIENT, &[]).unwrap_err();
    case.read(keys, &["--password-file", password]).unwrap();
    case.read(keys, &["--password-file", password, "--own-key"]).unwrap();
    keys.into()
}

fn outcomes(rotated: &Value) -> Vec<String> {
    let hospitals = rotated["hospitals"].as_array().unwrap();
    hospitals.iter().map(|hospital| text(&hospital["outcome"]).to_owned()).collect()
}

fn a_revoked_permission_ends_at_the_next_final_block(case: &Case, keys: &str) {
    let password = case.network.file("password");
    case.read(DOCTOR, &[]).unwrap();
    let unrelate = ["unrelate", "--patient", &case.patient, "--professional", &case.doctor];
    let by = ["--kind", "family-doctor", "--hospital", "0", "--as-user", keys, "--password-file"];
    case.network.run(&[&unrelate[..], &by, &[password.to_str().unwrap()]].concat());
    let refused = case.read(DOCTOR, &[]).unwrap_err();
    assert!(refused["denial"].to_string().contains("family-doctor"), "{refused}");
}

fn a_registration_ends_permanently(case: &Case) {
    let change = |verb| ["user", verb, "--user", &case.stranger];
    let ended = case.network.run(&change("end"));
    assert_eq!(ended["status"], json!("ended"));
    case.network.try_run(&change("end")).unwrap_err();
    case.network.try_run(&change("reinstate")).unwrap_err();
    let refused = case.read(STRANGER, &["--emergency", "public-health"]).unwrap_err();
    assert!(refused["denial"].to_string().contains("requester-registered"), "{refused}");
}

fn a_hospitals_sealing_key_is_set_by_its_governance(case: &Case) {
    let set = |keys, more: &[&str]| {
        case.network.try_run(&[&["hospital", "set-sealing-key", "--keys", keys], more].concat())
    };
    let refused = set(DOCTOR, &[]).unwrap_err();
    assert!(text(&refused["error"]).contains("not the agent"), "{refused}");
    let refused = set("//Bob//agent", &["--as", "//Bob", "--hospital", "0"]).unwrap_err();
    assert!(text(&refused["error"]).contains("not the governance"), "{refused}");
    let password = case.network.file("password");
    let renewed = case.network.file("agent.json");
    let renew = ["keys", "renew-sealing", "//Bob//agent", "--out", renewed.to_str().unwrap()];
    let renewed =
        case.network.run(&[&renew[..], &["--password-file", password.to_str().unwrap()]].concat());
    let file = text(&renewed["file"]);
    let done = set(file, &["--hospital", "1"]).unwrap();
    assert_eq!(done["sealingKeyHash"], renewed["sealingKeyHash"]);
}

/// The patient reads although the worker of the records' hospital does not run.
fn the_patients_own_key_needs_no_worker_of_the_records_hospital(case: &Case, keys: &str) {
    let state = case.network.state().unwrap();
    let worker = state.hospitals[0].worker.as_ref().unwrap();
    let pid = Pid::from_raw(i32::try_from(worker.pid).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    eventually("the worker ends", || if worker.is_running() { Err(worker.pid) } else { Ok(()) });
    let password = case.network.file("password");
    let own = ["--own-key", "--password-file", password.to_str().unwrap()];
    let read = case.read(keys, &own).unwrap();
    assert_eq!(read["receipts"], json!([]));
}
