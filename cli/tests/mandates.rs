//! Mandates on a real network of two hospitals, with the program itself: parents answer for a child, and a hospital
//! submits without the child's signature. All steps share one network, because a network takes long to start.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use network::{Network, eventually};
use serde_json::{Value, json};

const DOCTOR: &str = "//Doctor";
const CHILD: &str = "//Child";
const MOTHER: &str = "//Mother";
const FATHER: &str = "//Father";
/// Of the second hospital.
const RESEARCHER: &str = "//Researcher";
const NOTE: &str = "growth as expected";

/// The network, and the child with the record 1/0 of one text.
struct Case {
    network: Network,
    child: String,
    mother: String,
    father: String,
}

impl Case {
    fn begin() -> Self {
        let network = Network::of(2);
        let [child, mother, father, doctor, _] = network.register_all([
            ("0", "patient", CHILD),
            ("0", "patient", MOTHER),
            ("0", "patient", FATHER),
            ("0", "doctor", DOCTOR),
            ("1", "researcher", RESEARCHER),
        ]);
        network.relate(&child, &doctor);
        let case = Self { network, child, mother, father };
        let submitted = case.visit(NOTE).unwrap();
        assert!(submitted["stage"]["committed"].is_object(), "{submitted}");
        case
    }

    /// The doctor submits a text that the child has not signed.
    fn visit(&self, said: &str) -> Result<Value, Value> {
        let note = self.network.write("note.txt", said);
        let note = format!("observation={}", note.display());
        let submit = ["visit", "submit", "--as", DOCTOR, "--hospital", "0", "--wait"];
        self.send(&[&submit[..], &["--patient", &self.child, "--text", &note]].concat())
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

    fn appoint(&self, representative: &str, span: &str) -> Value {
        let appoint = ["mandate", "appoint", "--as", CHILD, "--representative", representative];
        self.send(&[&appoint[..], &["--for", span]].concat()).unwrap()
    }

    fn ask(&self) -> String {
        let ask = ["query", "ask", "--as", RESEARCHER, "--patient", &self.child];
        let terms = ["--purpose", "research", "--terms", "a study of growth", "--record", "1/0"];
        let asked = self.send(&[&ask[..], &terms].concat()).unwrap();
        asked["query"].as_u64().unwrap().to_string()
    }

    fn accept(&self, query: &str, who: &str, more: &[&str]) -> Result<Value, Value> {
        let accept = ["query", "accept", query, "--as", who, "--yes", "--for", "1d"];
        self.send(&[&accept[..], more].concat())
    }

    /// The text that the researcher collects.
    fn collect(&self, query: &str) -> Result<String, Value> {
        let out = self.out();
        let collect = ["query", "collect", query, "--as", RESEARCHER];
        let collected =
            self.network.try_run(&[&collect[..], &["--out", out.to_str().unwrap()]].concat())?;
        let name = text(&collected["records"][0]["sections"][0]["file"]["name"]);
        Ok(fs::read_to_string(out.join("1-0").join(name)).unwrap())
    }

    fn out(&self) -> PathBuf {
        (0..).map(|n| self.network.file(&format!("out-{n}"))).find(|it| !it.exists()).unwrap()
    }

    /// Whether a user represents the child.
    fn represents(&self, user: &str) -> bool {
        let listed = self.network.run(&["mandate", "list", "--patient", &self.child]);
        let mandates = listed["mandates"].as_array().unwrap();
        let of_user = |mandate: &&Value| mandate["representative"] == json!(user);
        mandates.iter().find(of_user).is_some_and(|mandate| mandate["inForce"] == json!(true))
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn fails(outcome: Result<impl std::fmt::Debug, Value>, said: &str) {
    let failure = outcome.unwrap_err().to_string();
    assert!(failure.contains(said), "{said}: {failure}");
}

#[test]
fn representatives_answer_and_patients_end_their_mandates() {
    let case = Case::begin();
    nobody_answers_without_a_mandate(&case);
    a_parent_answers_in_the_name_of_the_child(&case);
    a_dismissed_parents_acceptance_is_not_handed_out(&case);
    let query = a_mandate_begins_that_ends_soon(&case);
    a_hospital_submits_without_the_signature_while_it_is_authorized(&case);
    a_mandate_ends_at_its_time(&case, &query);
    a_child_who_is_of_age_answers_with_keys_that_the_parents_do_not_have(&case);
}

fn nobody_answers_without_a_mandate(case: &Case) {
    let inbox = ["query", "inbox", "--as", MOTHER, "--patient", &case.child];
    fails(case.network.try_run(&inbox), "does not represent patient");
    let query = case.ask();
    fails(case.accept(&query, MOTHER, &[]), "only its patient");
    case.send(&["query", "refuse", &query, "--as", CHILD]).unwrap();
    let none = case.network.run(&["mandate", "list", "--as", CHILD]);
    assert_eq!(none["mandates"], json!([]));
    let themselves = ["mandate", "appoint", "--as", CHILD, "--representative", &case.child];
    fails(case.send(&[&themselves[..], &["--for", "1d"]].concat()), "RepresentsThemselves");
}

fn a_parent_answers_in_the_name_of_the_child(case: &Case) {
    let appointed = case.appoint(&case.mother, "30d");
    assert_eq!(appointed["representative"], json!(case.mother));
    assert!(case.represents(&case.mother) && !case.represents(&case.father));

    let query = case.ask();
    let inbox = ["query", "inbox", "--as", MOTHER, "--patient", &case.child];
    let inbox = case.network.run(&inbox);
    assert_eq!(inbox["queries"][0]["query"].to_string(), query);
    let shown = case.network.run(&["query", "show", &query, "--as", MOTHER]);
    assert_eq!(shown.get("terms"), None, "the terms are sealed to the child");
    assert_eq!(shown["content"][0]["sections"][0]["kind"], json!("observation"));

    let accepted = case.accept(&query, MOTHER, &[]).unwrap();
    assert_eq!(accepted["inNameOf"], json!(case.child), "{accepted}");
    let shown = case.network.run(&["query", "show", &query]);
    assert_eq!(shown["accepted"]["by"], json!(case.mother));
    assert_eq!(case.collect(&query).unwrap(), NOTE);

    // The child sees that the mother looked.
    let looked = case.network.run(&["audit", "who-looked", "--as", CHILD]);
    let looks = looked["looks"].as_array().unwrap();
    assert!(looks.iter().any(|look| look["requester"] == json!(case.mother)), "{looked}");
}

fn a_dismissed_parents_acceptance_is_not_handed_out(case: &Case) {
    let query = case.ask();
    case.accept(&query, MOTHER, &[]).unwrap();
    let dismiss = ["mandate", "dismiss", "--as", CHILD, "--representative", &case.mother];
    case.send(&dismiss).unwrap();
    assert!(!case.represents(&case.mother));
    fails(case.collect(&query), "the mandate of that time has ended");
    let shown = case.network.run(&["query", "show", &query]);
    assert_eq!(shown["status"], json!("ended-with-mandate"));
    fails(case.send(&dismiss), "NotRepresentative");
    // To appoint her again does not revive what she accepted before.
    case.appoint(&case.mother, "1d");
    fails(case.collect(&query), "the mandate of that time has ended");
    let second = case.ask();
    fails(case.accept(&second, MOTHER, &["--record", "1/0"]), "your mandate to act");
    let refused = case.send(&["query", "refuse", &second, "--as", MOTHER]).unwrap();
    assert_eq!(refused["inNameOf"], json!(case.child), "{refused}");
    case.send(&dismiss).unwrap();
    fails(case.send(&["query", "withdraw", &query, "--as", MOTHER]), "NotParty");
    case.send(&["query", "withdraw", &query, "--as", CHILD]).unwrap();
}

/// Returns a query for the father.
fn a_mandate_begins_that_ends_soon(case: &Case) -> String {
    let query = case.ask();
    case.appoint(&case.father, "45s");
    assert!(case.represents(&case.father));
    query
}

fn a_mandate_ends_at_its_time(case: &Case, query: &str) {
    eventually("the mandate ends", || match case.represents(&case.father) {
        true => Err("in force"),
        false => Ok(()),
    });
    fails(case.accept(query, FATHER, &[]), "only its patient");
    case.send(&["query", "refuse", query, "--as", CHILD]).unwrap();

    // A representative lays the mandate down.
    case.appoint(&case.father, "1d");
    case.send(&["mandate", "dismiss", "--as", FATHER, "--patient", &case.child]).unwrap();
    assert!(!case.represents(&case.father));
}

fn a_hospital_submits_without_the_signature_while_it_is_authorized(case: &Case) {
    let before = case.network.run(&["policy", "show", "--hospital", "0"]);
    let samples = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../samples/policies"));
    let cosigned = samples.join("6-cosigned.toml");
    let set = |file: &Path| {
        let set = ["policy", "set", file.to_str().unwrap(), "--hospital", "0"];
        case.network.run(&set);
    };
    set(&cosigned);
    fails(case.visit("not signed"), "sign");
    let about = |verb: &'static str| ["mandate", verb, "--as", CHILD, "--hospital", "0"];
    case.send(&[&about("authorize")[..], &["--for", "1d"]].concat()).unwrap();
    let submitted = case.visit("authorized").unwrap();
    assert!(submitted["stage"]["committed"].is_object(), "{submitted}");
    assert_eq!(submitted["cosigned"], json!(false));
    case.send(&about("revoke")).unwrap();
    fails(case.visit("revoked"), "sign");
    set(&case.network.write("before.toml", text(&before["toml"])));
}

fn a_child_who_is_of_age_answers_with_keys_that_the_parents_do_not_have(case: &Case) {
    let password = case.network.write("password", "only for a test\n");
    let (password, keys) = (password.to_str().unwrap(), case.network.file("child-2.json"));
    let keys = keys.to_str().unwrap();
    case.appoint(&case.father, "1d");
    let rotate = ["user", "rotate-keys", "--as", CHILD, "--to", keys];
    let (_, rotated) =
        case.network.outcome(&[&rotate[..], &["--password-file", password]].concat());
    assert_eq!(rotated["rotatedNow"], json!(true), "{rotated}");
    // New keys end no mandate, so the command says who acts still, and how to end it.
    assert_eq!(rotated["mandates"][0]["representative"], json!(case.father), "{rotated}");
    assert!(text(&rotated["mandates"][0]["end"]).contains("mandate dismiss"), "{rotated}");
    let dismiss = ["mandate", "dismiss", "--as", keys, "--representative", &case.father];
    case.send(&[&dismiss[..], &["--password-file", password]].concat()).unwrap();
    let confirm = ["user", "confirm-keys", "--user", &case.child, "--keys", keys];
    case.network.run(&[&confirm[..], &["--hospital", "0"]].concat());

    let query = case.ask();
    // The parents have a copy of the earlier key file.
    case.accept(&query, CHILD, &[]).unwrap_err();
    eventually("the child accepts", || {
        case.accept(&query, keys, &["--password-file", password]).map(drop)
    });
    assert_eq!(case.collect(&query).unwrap(), NOTE);
}
