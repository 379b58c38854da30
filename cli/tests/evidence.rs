//! Evidence on a real network of two hospitals, with the program itself: a visit that the patient signed, a query that
//! the patient accepted, and the files that an auditor verifies without the network. All steps share one network,
//! because a network takes long to start.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use network::{Network, epione, stderr};
use serde_json::{Value, json};

const DOCTOR: &str = "//Doctor";
const PATIENT: &str = "//Patient";
/// Of the second hospital.
const RESEARCHER: &str = "//Researcher";

struct Case {
    network: Network,
    patient: String,
    researcher: String,
    genesis: String,
}

impl Case {
    /// Two committed records, of which the patient signed the first.
    fn begin() -> Self {
        let network = Network::of(2);
        let [patient, doctor, researcher] = network.register_all([
            ("0", "patient", PATIENT),
            ("0", "doctor", DOCTOR),
            ("1", "researcher", RESEARCHER),
        ]);
        network.relate(&patient, &doctor);
        let genesis = format!("{:?}", network.state().unwrap().genesis.unwrap());
        let case = Self { network, patient, researcher, genesis };
        case.visit(&["--cosign", PATIENT]);
        case.visit(&[]);
        case
    }

    fn visit(&self, more: &[&str]) {
        let note = self.network.write("note.txt", "blood pressure 162/98");
        let text = format!("report={}", note.display());
        let submit = ["visit", "submit", "--as", DOCTOR, "--hospital", "0", "--wait"];
        let what = ["--patient", &self.patient, "--text", &text];
        let submitted = self.network.run(&[&submit[..], &what, more].concat());
        assert!(submitted["stage"]["committed"].is_object(), "{submitted}");
    }

    /// Runs a command that sends a call. Waits while the user's quota is used up.
    fn send(&self, arguments: &[&str]) -> Value {
        loop {
            match self.network.try_run(arguments) {
                Ok(result) => return result,
                Err(failure) if failure.to_string().contains("try again in half a minute") => {
                    thread::sleep(Duration::from_secs(3));
                }
                Err(failure) => panic!("{arguments:?}: {failure}"),
            }
        }
    }

    fn ask(&self) -> String {
        let ask = ["query", "ask", "--as", RESEARCHER, "--patient", &self.patient];
        let what = ["--record", "1/0", "--purpose", "research", "--terms", "a study"];
        self.send(&[&ask[..], &what].concat())["query"].to_string()
    }

    fn proof_chain(&self, arguments: &[&str]) -> (i32, Value) {
        self.network.outcome(&[&["audit", "proof-chain"], arguments].concat())
    }

    /// Exit status and result of an auditor's program, which knows no network.
    fn verify(&self, file: &Path, genesis: Option<&str>, more: &[&str]) -> (i32, Value) {
        let mut command = epione();
        // The auditor's machine has pinned no chain.
        command.env("XDG_CONFIG_HOME", self.network.file("auditor"));
        command.args(["--json", "verify-evidence"]).arg(file).args(more);
        let output =
            command.args(genesis.map(|hash| format!("--genesis={hash}"))).output().unwrap();
        let said =
            if output.stdout.is_empty() { stderr(&output).into_bytes() } else { output.stdout };
        (output.status.code().unwrap(), serde_json::from_slice(&said).unwrap())
    }
}

fn error(refused: &Value) -> &str {
    refused["error"].as_str().unwrap()
}

/// The steps of a transaction, and what each is.
fn steps(transaction: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let proofs = transaction["proofs"].as_array().unwrap();
    proofs.iter().map(|it| (text(&it["step"]), text(&it["verdict"]["is"]))).collect()
}

fn are(steps: &[(String, String)], expected: &[(&str, &str)]) {
    let steps: Vec<_> = steps.iter().map(|(step, is)| (step.as_str(), is.as_str())).collect();
    assert_eq!(steps, expected);
}

#[test]
fn an_auditor_verifies_records_and_queries_without_the_network() {
    let case = Case::begin();
    let record = a_record_is_proven(&case);
    a_record_that_its_patient_did_not_sign_is_incomplete(&case);
    nothing_is_made_of_what_the_chain_does_not_have(&case);
    let look = a_look_is_proven(&case);
    let pending = case.ask();
    let query = a_query_is_proven_as_far_as_it_was_answered(&case, &pending);
    let all = all_records_queries_and_looks_of_a_patient(&case, &look);

    // From here on, there is no network.
    epione_devnet::down(&case.network.path()).unwrap();
    for (file, complete) in [(&record, true), (&query, true), (&all, false)] {
        let (status, examined) = case.verify(file, Some(&case.genesis), &[]);
        assert_eq!((status == 0, &examined["complete"]), (complete, &json!(complete)));
        assert_eq!(
            (&examined["genesis"], &examined["genesisFrom"]),
            (&json!(case.genesis), &json!("option"))
        );
    }
    all_of_a_patient_is_told_from_what_somebody_chose(&case, &all, &query, &look);
    evidence_about_something_else_or_an_old_proof_is_refused(&case, &query, &pending);
    nobody_has_confirmed_the_chain(&case, &record);
    what_was_changed_on_the_way_proves_nothing(&case, &query);
}

fn a_record_is_proven(case: &Case) -> PathBuf {
    let out = case.network.file("record.epione");
    let file = out.to_str().unwrap();
    let (status, made) = case.proof_chain(&["--record", "1/0", "--out", file]);
    assert_eq!(status, 0, "{made}");
    let transaction = &made["transactions"][0];
    let proven = ["authorization", "store", "receive", "commit"].map(|step| (step, "proven"));
    are(&steps(transaction), &proven);
    let by = |step: usize| &transaction["proofs"][step]["by"];
    assert_eq!(by(0), &json!({ "user": case.patient }));
    assert_eq!((by(1), by(2)), (&json!({ "hospital": 0 }), &json!({ "hospital": 1 })));
    assert_eq!(made["evidence"]["bytes"], json!(fs::metadata(&out).unwrap().len()));
    assert!(made["evidence"]["verify"].as_str().unwrap().contains("verify-evidence"), "{made}");
    let (status, again) = case.proof_chain(&["--record", "1/0", "--out", file]);
    assert!(status == 1 && error(&again).contains("already exists"), "{again}");
    out
}

fn a_record_that_its_patient_did_not_sign_is_incomplete(case: &Case) {
    let (status, made) = case.proof_chain(&["--record", "2/0"]);
    assert_eq!((status, &made["complete"]), (1, &json!(false)), "{made}");
    let transaction = &made["transactions"][0];
    let expected = [
        ("authorization", "missing"),
        ("store", "proven"),
        ("receive", "proven"),
        ("commit", "proven"),
    ];
    are(&steps(transaction), &expected);
    let verdict = &transaction["proofs"][0]["verdict"];
    assert!(verdict["reason"].as_str().unwrap().contains("did not sign the record"), "{verdict}");
}

fn nothing_is_made_of_what_the_chain_does_not_have(case: &Case) {
    let out = case.network.file("nothing.epione");
    for subject in [["--record", "9/0"], ["--query", "77"], ["--patient", case.researcher.as_str()]]
    {
        let (status, refused) =
            case.proof_chain(&[&subject[..], &["--out", out.to_str().unwrap()]].concat());
        assert_eq!(status, 1, "{refused}");
        let said = error(&refused);
        assert!(said.contains("the chain has no") || said.contains("neither records"), "{said}");
    }
    assert!(!out.exists());
}

/// Returns the number of its receipt.
fn a_look_is_proven(case: &Case) -> Value {
    let folder = case.network.file("looked");
    let get = ["records", "get", "--as", DOCTOR, "--patient", &case.patient];
    let what = ["--pointer", "1/0", "--out", folder.to_str().unwrap()];
    case.network.run(&[&get[..], &what].concat());
    let looks = case.network.run(&["audit", "who-looked", "--patient", &case.patient]);
    let number = looks["looks"][0]["receipt"].clone();
    let (status, made) =
        case.proof_chain(&["--patient", case.patient.as_str(), "--receipt", &number.to_string()]);
    assert_eq!(status, 0, "{made}");
    let transaction = &made["transactions"][0];
    are(&steps(transaction), &["request", "release"].map(|step| (step, "proven")));
    assert!(transaction["note"].as_str().unwrap().contains("policies of hospital 0"), "{made}");
    number
}

/// Returns the file about the query after it was accepted and collected.
fn a_query_is_proven_as_far_as_it_was_answered(case: &Case, query: &str) -> PathBuf {
    let (status, made) = case.proof_chain(&["--query", query]);
    assert_eq!(status, 1, "{made}");
    let expected = [("query", "proven"), ("accept", "missing"), ("transfer", "missing")];
    are(&steps(&made["transactions"][0]), &expected);

    case.send(&["query", "accept", query, "--as", PATIENT, "--for", "7d", "--yes"]);
    let (status, made) = case.proof_chain(&["--query", query]);
    assert_eq!(status, 1, "{made}");
    let expected = [("query", "proven"), ("accept", "proven"), ("transfer", "missing")];
    are(&steps(&made["transactions"][0]), &expected);

    let folder = case.network.file("collected");
    let collect = ["query", "collect", query, "--as", RESEARCHER];
    case.network.run(&[&collect[..], &["--out", folder.to_str().unwrap()]].concat());
    let out = case.network.file("query.epione");
    let (status, made) = case.proof_chain(&["--query", query, "--out", out.to_str().unwrap()]);
    assert_eq!(status, 0, "{made}");
    let transaction = &made["transactions"][0];
    are(&steps(transaction), &["query", "accept", "transfer"].map(|step| (step, "proven")));
    let by = |step: usize| &transaction["proofs"][step]["by"];
    assert_eq!(by(0), &json!({ "user": case.researcher }));
    assert_eq!(by(1), &json!({ "user": case.patient }));
    let hash = |step: usize| &transaction["proofs"][step]["hash"];
    assert_eq!(hash(1), hash(2));
    let mut command = epione();
    command.arg("--devnet").arg(case.network.path()).args([
        "audit",
        "proof-chain",
        "--query",
        query,
    ]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let first = format!("query {query} of patient {}: complete\n", case.patient);
    assert!(text.starts_with(&first) && text.contains("  transfer  proven  hospital "), "{text}");
    out
}

fn all_records_queries_and_looks_of_a_patient(case: &Case, look: &Value) -> PathBuf {
    let second = case.ask();
    let out = case.network.file("all.epione");
    let arguments = ["--patient", &case.patient, "--out", out.to_str().unwrap()];
    let (status, made) = case.proof_chain(&arguments);
    assert_eq!(status, 1, "{made}");
    let subjects: Vec<_> =
        made["transactions"].as_array().unwrap().iter().map(|it| it["subject"].clone()).collect();
    let record = |height: u32| json!({ "record": { "height": height, "index": 0 } });
    let second: u32 = second.parse().unwrap();
    let query = |id: u32| json!({ "query": id });
    let look = json!({ "look": { "patient": case.patient, "number": look } });
    assert_eq!(subjects, [record(1), record(2), query(second - 1), query(second), look]);
    assert_eq!(made["allOf"], json!(case.patient));
    out
}

/// Only the file about all of the patient shows that there are no others.
fn all_of_a_patient_is_told_from_what_somebody_chose(
    case: &Case,
    all: &Path,
    chosen: &Path,
    look: &Value,
) {
    let patient = ["--patient", case.patient.as_str()];
    let number = look.to_string();
    let receipt = [&patient[..], &["--receipt", number.as_str()]].concat();
    // Incomplete, since a query waits for its answer.
    for accepted in [&patient[..], &receipt] {
        let (status, examined) = case.verify(all, Some(&case.genesis), accepted);
        assert_eq!((status, &examined["allOf"]), (1, &json!(case.patient)), "{examined}");
    }
    let (status, refused) = case.verify(chosen, Some(&case.genesis), &patient);
    assert!(status == 1 && error(&refused).contains("not shown that these are all"), "{refused}");
    let (status, refused) = case.verify(chosen, Some(&case.genesis), &receipt);
    assert!(status == 1 && error(&refused).contains("and not about look"), "{refused}");
}

fn evidence_about_something_else_or_an_old_proof_is_refused(case: &Case, file: &Path, query: &str) {
    let verify = |more: &[&str]| case.verify(file, Some(&case.genesis), more);
    assert_eq!(verify(&["--query", query]).0, 0);
    for other in [["--query", "77"], ["--record", "1/0"]] {
        let (status, refused) = verify(&other);
        assert_eq!(status, 1, "{refused}");
        let about = format!("it is about query {query}, and not about");
        assert!(error(&refused).contains(&about), "{refused}");
    }
    network::eventually("the proof is older than a second", || {
        let (status, said) = verify(&["--max-age", "1s"]);
        let refused = status == 1 && said["error"].to_string().contains("--max-age permits 1s");
        if refused { Ok(()) } else { Err(said) }
    });
    assert_eq!(verify(&["--max-age", "1d"]).0, 0);
}

fn nobody_has_confirmed_the_chain(case: &Case, file: &Path) {
    let (status, asked) = case.verify(file, None, &[]);
    assert_eq!(status, 2, "{asked}");
    assert!(error(&asked).contains(&case.genesis), "{asked}");
    assert!(asked["help"].as_str().unwrap().contains("the hospitals publish"), "{asked}");
    let other = format!("0x{}", "07".repeat(32));
    let (status, refused) = case.verify(file, Some(&other), &[]);
    assert_eq!(status, 1);
    assert!(error(&refused).contains("about the chain"), "{refused}");
}

/// Each part of the file is changed in turn.
fn what_was_changed_on_the_way_proves_nothing(case: &Case, file: &Path) {
    let whole = fs::read(file).unwrap();
    let changed = case.network.file("changed.epione");
    for part in 0..24 {
        let mut bytes = whole.clone();
        bytes[whole.len() * part / 24] ^= 0x80;
        fs::write(&changed, &bytes).unwrap();
        let (status, said) = case.verify(&changed, Some(&case.genesis), &[]);
        let truth = case.verify(file, Some(&case.genesis), &[]).1;
        let same = said["transactions"] == truth["transactions"];
        assert!(status == 1 || status == 0 && same, "part {part}: {said}");
    }
    fs::write(&changed, &whole[..whole.len() / 2]).unwrap();
    let (status, refused) = case.verify(&changed, Some(&case.genesis), &[]);
    assert!(status == 1 && error(&refused).contains("damaged"), "{refused}");
}
