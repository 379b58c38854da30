//! New keys for a patient who lost the phone, on a real network of two hospitals, with the program itself. The delay of
//! recoveries is a minute there.

#![allow(clippy::unwrap_used)]

mod network;

use std::path::Path;

use network::{Network, epione, eventually, stderr};
use serde_json::{Value, json};

const DOCTOR: &str = "//Doctor";
/// Lost the phone.
const LOSER: &str = "//Loser";
/// Lost nothing, and is registered at both hospitals.
const VICTIM: &str = "//Victim";
const NOTE: &str = "blood pressure 162/98";

struct Case {
    network: Network,
    doctor: String,
    loser: String,
    victim: String,
    /// The file with the password of new key files.
    password: String,
}

impl Case {
    fn begin() -> Self {
        let network = Network::of(2);
        let [loser, victim, doctor] = network.register_all([
            ("0", "patient", LOSER),
            ("0", "patient", VICTIM),
            ("0", "doctor", DOCTOR),
        ]);
        assert_eq!(network.register_at("1", "patient", VICTIM), victim);
        network.relate(&loser, &doctor);
        let note = network.write("note.txt", NOTE);
        let text = format!("observation={}", note.display());
        let submit = ["visit", "submit", "--as", DOCTOR, "--hospital", "0", "--wait"];
        let submit = [&submit[..], &["--patient", &loser, "--text", &text]].concat();
        let submitted = network.run(&submit);
        assert!(submitted["stage"]["committed"].is_object(), "{submitted}");
        let password = network.write("password", "only for a test\n");
        let password = password.to_str().unwrap().to_owned();
        Self { network, doctor, loser, victim, password }
    }

    /// A command with a new key file.
    fn try_with<'a>(&'a self, arguments: &[&'a str]) -> Result<Value, Value> {
        self.network.try_run(&[arguments, &["--password-file", &self.password]].concat())
    }

    fn new_keys(&self, name: &str) -> String {
        let file = self.network.file(name).to_str().unwrap().to_owned();
        self.try_with(&["keys", "new", "--out", &file]).unwrap();
        file
    }

    /// The first hospital proposes new keys for a user, with the consent of their holder.
    fn propose(&self, user: &str, keys: &str) -> Value {
        let consent =
            self.try_with(&["user", "consent", "--as", keys, "--hospital", "0", "--recover", user]);
        let consent = consent.unwrap();
        let until = consent["until"].as_u64().unwrap().to_string();
        let consent = consent["consent"].as_str().unwrap();
        let propose = ["user", "recover", "propose", "--user", user, "--keys", keys];
        let agreed = ["--consent", consent, "--until", &until, "--hospital", "0"];
        self.network.run(&[&propose[..], &agreed].concat())
    }

    fn complete(&self, user: &str) -> Result<Value, Value> {
        self.network.try_run(&["user", "recover", "complete", "--user", user, "--hospital", "0"])
    }

    fn recovery(&self, user: &str) -> Value {
        self.network.run(&["user", "recovery", user])["recovery"].clone()
    }

    /// What a command prints in addition to its result.
    fn warned(&self, arguments: &[&str]) -> String {
        let mut command = epione();
        command.arg("--devnet").arg(self.network.path()).args(arguments);
        stderr(&command.output().unwrap())
    }

    fn read(&self, keys: &str, out: &Path) -> Result<Value, Value> {
        let out = out.to_str().unwrap();
        let get = ["records", "get", "--as", keys, "--patient", &self.loser, "--all", "--own-key"];
        self.try_with(&[&get[..], &["--out", out]].concat())
    }
}

fn inbox(keys: &str) -> [&str; 4] {
    ["query", "inbox", "--as", keys]
}

fn refused(outcome: Result<Value, Value>, why: &str) {
    let failure = outcome.unwrap_err().to_string();
    assert!(failure.contains(why), "{failure}");
}

#[test]
fn a_patient_who_lost_the_phone_reads_with_new_keys_and_one_who_did_not_objects() {
    let case = Case::begin();
    assert_eq!(case.recovery(&case.loser), Value::Null);
    assert!(!case.warned(&inbox(LOSER)).contains("proposed new keys"));
    let (new, others) = (case.new_keys("new.json"), case.new_keys("hospital-0.json"));

    let proposed = case.propose(&case.loser, &new);
    assert_eq!(proposed["recovery"]["hospital"], json!(0), "{proposed}");
    assert_eq!(case.recovery(&case.loser), proposed["recovery"]);
    refused(case.complete(&case.loser), "RecoveryTooEarly");
    case.propose(&case.victim, &others);

    let (victim, doctor) = (case.victim.as_str(), case.doctor.as_str());
    let whom = ["--patient", victim, "--professional", doctor, "--hospital", "0"];
    let kind = ["--kind", "family-doctor", "--as-user", VICTIM];
    for command in [
        &inbox(VICTIM)[..],
        &["user", "consent", "--as", VICTIM, "--hospital", "1"],
        &[&["relate"][..], &whom, &kind].concat()[..],
        &[&["unrelate"][..], &whom, &kind].concat()[..],
        &["user", "rotate-keys", "--as", VICTIM, "--to", VICTIM],
    ] {
        let warning = case.warned(command);
        assert!(warning.contains("hospital 0 proposed new keys"), "{command:?}: {warning}");
        assert!(warning.contains("user recover object"), "{command:?}: {warning}");
    }
    // A user objects for nobody else, and not with the new keys.
    let object =
        |more: &[&str]| case.try_with(&[&["user", "recover", "object"][..], more].concat());
    refused(object(&["--as", VICTIM, "--user", &case.loser]), "only to their own new keys");
    object(&["--as", &others]).unwrap_err();
    let objected = object(&["--as", VICTIM]).unwrap();
    assert_eq!(objected["user"], json!(case.victim), "{objected}");
    assert_eq!(case.recovery(&case.victim)["objection"], json!("user"));
    // The second hospital comes too late: there is an objection already.
    let also = object(&["--user", &case.victim, "--hospital", "1"]);
    refused(also, "RecoveryObjected");
    refused(object(&["--user", &case.loser, "--hospital", "1"]), "NotRegistered");
    assert!(!case.warned(&inbox(VICTIM)).contains("proposed new keys"));

    eventually("the recovery is complete", || case.complete(&case.loser).map(drop));
    refused(case.complete(&case.victim), "RecoveryObjected");
    assert_eq!(case.recovery(&case.loser), Value::Null);

    // The keys wait until the staff confirms them, as after a rotation.
    let before = case.network.file("before");
    case.read(&new, &before).unwrap_err();
    let rotate = ["user", "rotate-keys", "--as", &new, "--to", &new, "--password-file"];
    let rotate = [&rotate[..], &[case.password.as_str()]].concat();
    let (status, waits) = case.network.outcome(&rotate);
    assert_eq!((status, &waits["rotatedNow"]), (1, &json!(false)), "{waits}");
    assert_eq!(waits["hospitals"][0]["outcome"], json!("awaiting-confirmation"), "{waits}");
    let confirm = ["user", "confirm-keys", "--user", &case.loser, "--keys", &new];
    case.network.run(&[&confirm[..], &["--hospital", "0"]].concat());
    let read = case.read(&new, &case.network.file("after")).unwrap();
    assert_eq!(read["records"].as_array().map(Vec::len), Some(1), "{read}");
    case.read(LOSER, &case.network.file("old")).unwrap_err();
}
