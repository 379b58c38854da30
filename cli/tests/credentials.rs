//! Credentials on a real network of three hospitals, with the program itself: two hospitals confirm a doctor, the third
//! is a puppet.

#![allow(clippy::unwrap_used)]

mod network;

use network::Network;
use serde_json::{Value, json};

const DOCTOR: &str = "//Doctor";
const PATIENT: &str = "//Patient";
/// A doctor of the puppet hospital.
const SPECIALIST: &str = "//Specialist";
const ATTRIBUTE: &str = "cardiology";
/// The condition that the specialist lacks.
const CONDITION: &str = "attribute 0 from 2 of the hospitals 0 and 1";

struct Case {
    network: Network,
    patient: String,
    specialist: String,
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

impl Case {
    /// A committed record of hospital 0, whose policies let cardiologists read whom hospitals 0 and 1 confirm.
    fn begin() -> Self {
        let network = Network::of(3);
        let [patient, doctor, specialist] = network.register_all([
            ("0", "patient", PATIENT),
            ("0", "doctor", DOCTOR),
            ("2", "doctor", SPECIALIST),
        ]);
        network.relate(&patient, &doctor);
        let note = network.write("note.txt", "blood pressure 162/98");
        let note = format!("report={}", note.display());
        let whose = ["visit", "submit", "--as", DOCTOR, "--patient", &patient];
        network.run(&[&whose[..], &["--hospital", "0", "--text", &note, "--wait"]].concat());
        let case = Self { network, patient, specialist };
        case.set_policy(0).unwrap();
        case
    }

    /// Adds a policy for this attribute to the policies in force.
    fn set_policy(&self, attribute: u16) -> Result<Value, Value> {
        let shown = self.network.run(&["policy", "show", "--hospital", "0", "--version", "0"]);
        let policies = format!(
            "{}\n[[policy]]\nname = \"cardiologist reads\"\n\
             summary = \"Confirmed cardiologists read.\"\ntype = \"operation\"\n\
             roles = [\"doctor\"]\nactions = [\"read-text\"]\n[policy.when]\n\
             requester-has = [{{ attribute = {attribute}, issuers = [0, 1], at-least = 2 }}]\n",
            text(&shown["toml"])
        );
        let file = self.network.write("policies.toml", policies).display().to_string();
        self.network.try_run(&["policy", "set", &file, "--hospital", "0"])
    }

    fn change(&self, verb: &str, hospital: &str, more: &[&str]) -> Result<Value, Value> {
        let change = ["credential", verb, "--user", &self.specialist, "--hospital", hospital];
        self.network.try_run(&[&change[..], &["--attribute", ATTRIBUTE], more].concat())
    }

    fn issue(&self, hospital: &str, length: &str) -> Value {
        self.change("issue", hospital, &["--for", length]).unwrap()
    }

    fn credentials(&self) -> Vec<Value> {
        let list = self.network.run(&["credential", "list", "--user", &self.specialist]);
        list["credentials"].as_array().unwrap().clone()
    }

    fn explained(&self) -> Value {
        let explain = ["policy", "explain", "--hospital", "0", "--action", "read-text"];
        let who = ["--requester", &self.specialist, "--patient", &self.patient];
        self.network.finding(&[&explain[..], &who].concat())
    }

    /// The chain's present decision about the specialist.
    fn decides(&self, allowed: bool) {
        let explained = self.explained();
        assert_eq!(explained["allowed"], json!(allowed), "{explained}");
        if allowed {
            assert_eq!(explained["policy"]["name"], json!("cardiologist reads"), "{explained}");
        } else {
            assert!(explained["considered"].to_string().contains(CONDITION), "{explained}");
        }
    }

    /// The specialist looks at the record.
    fn look(&self) -> Result<Value, Value> {
        let out = (0..).map(|n| self.network.file(&format!("out-{n}"))).find(|it| !it.exists());
        let out = out.unwrap().display().to_string();
        let get = ["records", "get", "--as", SPECIALIST, "--patient", &self.patient];
        self.network.try_run(&[&get[..], &["--pointer", "1/0", "--out", &out]].concat())
    }
}

#[test]
fn a_policy_lets_exactly_those_read_whom_the_named_hospitals_confirm() {
    let case = Case::begin();
    attributes_are_listed_with_their_numbers(&case);
    mistaken_attributes_are_refused(&case);
    two_of_two_hospitals_must_confirm_and_a_puppet_does_not_count(&case);
    a_revoked_credential_ends_the_next_look(&case);
    a_credential_that_is_issued_again_counts_until_it_is_revoked(&case);
}

fn attributes_are_listed_with_their_numbers(case: &Case) {
    let listed = case.network.run(&["credential", "attributes"]);
    assert_eq!(listed["attributes"][0], json!({ "attribute": 0, "name": "cardiology" }));
    assert_eq!(listed["attributes"].as_array().unwrap().len(), 6, "{listed}");
    let shown = case.network.run(&["policy", "show", "--hospital", "0"]);
    assert_eq!(shown["attributes"], json!([{ "attribute": 0, "name": "cardiology" }]), "{shown}");
}

fn mistaken_attributes_are_refused(case: &Case) {
    let issue = ["credential", "issue", "--user", &case.specialist, "--for", "1d"];
    let mistyped = [&issue[..], &["--attribute", "cardiologie"]].concat();
    let refused = case.network.try_run(&mistyped).unwrap_err();
    assert!(text(&refused["error"]).contains("did you mean cardiology?"), "{refused}");
    let refused = case.network.try_run(&[&issue[..], &["--attribute", "6"]].concat()).unwrap_err();
    assert!(text(&refused["error"]).contains("attribute 6"), "{refused}");
    let refused = case.set_policy(6).unwrap_err();
    assert!(text(&refused["error"]).contains("requires attribute 6"), "{refused}");

    let nobody = format!("0x{}", "22".repeat(32));
    let issue = ["credential", "issue", "--user", &nobody, "--for", "1d"];
    let refused = case.network.try_run(&[&issue[..], &["--attribute", "0"]].concat()).unwrap_err();
    assert!(text(&refused["error"]).contains("Credentials::UnknownUser"), "{refused}");
    let refused = case.change("issue", "0", &["--for", "400d"]).unwrap_err();
    assert!(text(&refused["error"]).contains("Credentials::EndTooLate"), "{refused}");
    let refused = case.change("revoke", "0", &[]).unwrap_err();
    assert!(text(&refused["error"]).contains("Credentials::NotInForce"), "{refused}");
    // An account that is not the hospital's governance.
    let refused = case.change("revoke", "0", &["--as", "//Bob"]).unwrap_err();
    assert!(text(&refused["error"]).contains("not the governance"), "{refused}");
}

fn two_of_two_hospitals_must_confirm_and_a_puppet_does_not_count(case: &Case) {
    case.decides(false);
    for hospital in ["2", "0"] {
        let issued = case.issue(hospital, "30d");
        assert_eq!(issued["issuer"].to_string(), hospital, "{issued}");
        case.decides(false);
    }
    case.look().unwrap_err();
    case.issue("1", "30d");
    case.decides(true);
    let read = case.look().unwrap();
    assert_eq!(read["receipts"][0]["policies"], json!(["cardiologist reads"]), "{read}");
    let listed = case.credentials();
    let issuers: Vec<_> = listed.iter().map(|it| it["issuer"].as_u64().unwrap()).collect();
    assert_eq!(issuers, [0, 1, 2]);
    assert!(listed.iter().all(|it| it["counts"] == json!(true)), "{listed:?}");
}

fn a_revoked_credential_ends_the_next_look(case: &Case) {
    case.change("revoke", "1", &[]).unwrap();
    case.decides(false);
    let refused = case.look().unwrap_err();
    assert!(refused["denial"].to_string().contains("requester-has"), "{refused}");
    let listed = case.credentials();
    assert_eq!(listed[1]["counts"], json!(false), "{listed:?}");
    assert!(listed[1]["revoked"].is_u64(), "{listed:?}");
}

/// That one ends by the chain's clock is shown in the tests of the pallets: here it would be a race with the network.
fn a_credential_that_is_issued_again_counts_until_it_is_revoked(case: &Case) {
    case.issue("1", "10m");
    case.decides(true);
    case.look().unwrap();
    case.change("revoke", "1", &[]).unwrap();
    case.decides(false);
    let refused = case.look().unwrap_err();
    assert!(refused["denial"].to_string().contains("requester-has"), "{refused}");
}
