//! Queries on a real network of two hospitals, with the program itself: a researcher of one hospital asks a patient of
//! the other. All steps share one network, because a network takes long to start.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use network::{Network, epione, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const DOCTOR: &str = "//Doctor";
const PATIENT: &str = "//Patient";
const NEIGHBOUR: &str = "//Neighbour";
/// Of the second hospital.
const RESEARCHER: &str = "//Researcher";
/// Of the first hospital.
const RIVAL: &str = "//Rival";
const NOTE: &str = "blood pressure 162/98";
const TERMS: &str = "a study of hypertension\nwe keep it for a year";

/// The network, the patient with the record 1/0 of two texts and an image, and a neighbour with the record 2/0.
struct Case {
    network: Network,
    patient: String,
    researcher: String,
    rival: String,
    image: Vec<u8>,
}

impl Case {
    fn begin() -> Self {
        let network = Network::of(2);
        let [patient, neighbour, doctor, researcher, rival] = network.register_all([
            ("0", "patient", PATIENT),
            ("0", "patient", NEIGHBOUR),
            ("0", "doctor", DOCTOR),
            ("1", "researcher", RESEARCHER),
            ("0", "researcher", RIVAL),
        ]);
        network.relate(&patient, &doctor);
        network.relate(&neighbour, &doctor);
        let image = epione_cli::samples::images().remove(1).bytes;
        let case = Self { network, patient, researcher, rival, image };
        let scan = case.network.write("image.dcm", &case.image);
        let note = case.network.write("note.txt", NOTE);
        let (observation, report) =
            (format!("observation={}", note.display()), format!("report={}", note.display()));
        let texts = ["--text", &observation, "--text", &report];
        let whole = [&texts[..], &["--media", scan.to_str().unwrap()]].concat();
        case.visit(&case.patient, &whole);
        case.visit(&neighbour, &texts[..2]);
        case
    }

    fn visit(&self, patient: &str, sections: &[&str]) {
        let submit = ["visit", "submit", "--as", DOCTOR, "--hospital", "0", "--wait"];
        let submit = [&submit[..], &["--patient", patient], sections].concat();
        let submitted = self.network.run(&submit);
        assert!(submitted["stage"]["committed"].is_object(), "{submitted}");
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

    fn ask(&self, who: &str, records: &[&str], more: &[&str]) -> Result<u64, Value> {
        let mut ask = vec!["query", "ask", "--as", who, "--patient", &self.patient];
        ask.extend(["--purpose", "research", "--terms", TERMS]);
        for record in records {
            ask.extend(["--record", *record]);
        }
        ask.extend(more);
        Ok(self.send(&ask)?["query"].as_u64().unwrap())
    }

    fn accept(&self, query: u64, more: &[&str]) -> Result<Value, Value> {
        let query = query.to_string();
        let accept = ["query", "accept", &query, "--as", PATIENT, "--yes"];
        self.send(&[&accept[..], more].concat())
    }

    /// A command about one query.
    fn about(&self, verb: &str, query: u64, who: &str) -> Result<Value, Value> {
        self.send(&["query", verb, &query.to_string(), "--as", who])
    }

    fn collect(&self, query: u64, who: &str, out: &Path) -> Result<Value, Value> {
        let out = ["--out", out.to_str().unwrap()];
        let collect = ["query", "collect", &query.to_string(), "--as", who];
        self.network.try_run(&[&collect[..], &out].concat())
    }

    fn out(&self) -> PathBuf {
        (0..).map(|n| self.network.file(&format!("out-{n}"))).find(|it| !it.exists()).unwrap()
    }

    /// Collects into a new folder, which must fail and leave nothing.
    fn is_refused(&self, query: u64, who: &str, said: &str) {
        let out = self.out();
        let refused = self.collect(query, who, &out).unwrap_err();
        assert!(refused.to_string().contains(said), "{said}: {refused}");
        assert!(!out.exists(), "{said}");
    }

    fn status(&self, query: u64) -> String {
        let shown = self.network.run(&["query", "show", &query.to_string()]);
        text(&shown["status"]).to_owned()
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
fn a_patient_answers_a_query_and_only_the_requester_reads_what_was_accepted() {
    let case = Case::begin();
    nothing_is_asked_that_the_patient_does_not_have(&case);
    let query = the_inbox_shows_a_query_as_soon_as_it_is_final(&case);
    only_the_patient_sees_what_is_sealed(&case, query);
    only_the_patient_accepts_and_only_what_was_asked_for(&case, query);
    the_requester_collects_exactly_what_was_accepted(&case, query);
    a_withdrawn_acceptance_is_not_collected_again(&case, query);
    a_query_is_answered_once(&case);
    let ends = a_query_and_an_acceptance_begin_that_end_soon(&case);
    an_acceptance_ends_with_the_registration_for_which_the_requester_asked(&case);
    a_requester_has_at_most_two_pending_queries_to_one_patient(&case);
    neither_a_query_nor_an_acceptance_outlives_its_end(&case, ends);
    an_acceptance_is_for_the_keys_of_that_time(&case);
}

fn nothing_is_asked_that_the_patient_does_not_have(case: &Case) {
    fails(case.ask(RESEARCHER, &["2/0"], &[]), "not a record of patient");
    fails(case.ask(RESEARCHER, &["1/0:0,3"], &[]), "has no section 3: it has sections 0,1,2");
    fails(case.ask(RESEARCHER, &["9/0"], &[]), "no record 9/0");
    fails(case.ask("//Nobody", &["1/0"], &[]), "no user is registered with this account");
    fails(case.ask(RESEARCHER, &["1/0"], &["--hospital", "0"]), "NotInForce");
    fails(case.ask(PATIENT, &["1/0"], &[]), "UnknownPatient");
    assert_eq!(case.network.run(&["query", "sent", "--as", RESEARCHER])["queries"], json!([]));
}

/// A running `inbox --watch`, and what it has printed.
struct Watch {
    child: Child,
    printed: Arc<Mutex<String>>,
}

impl Watch {
    fn begin(case: &Case) -> Self {
        let mut command = epione();
        command.arg("--json").arg("--devnet").arg(case.network.path());
        command.args(["query", "inbox", "--as", PATIENT, "--watch"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = child.stdout.take().unwrap();
        let printed = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&printed);
        thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(read @ 1..) = output.read(&mut bytes) {
                kept.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
        });
        Self { child, printed }
    }

    fn prints(&self, said: &str) {
        eventually(said, || {
            let printed = self.printed.lock().unwrap();
            if printed.contains(said) { Ok(()) } else { Err(printed.clone()) }
        });
    }

    /// Presses Ctrl-C.
    fn end(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(130));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn the_inbox_shows_a_query_as_soon_as_it_is_final(case: &Case) -> u64 {
    let watch = Watch::begin(case);
    watch.prints("\"queries\": []");
    let query = case.ask(RESEARCHER, &["1/0:2", "1/0:0"], &[]).unwrap();
    watch.prints(&format!("\"query\": {query}"));
    watch.end();
    let inbox = case.network.run(&["query", "inbox", "--as", PATIENT]);
    assert_eq!(inbox, case.network.run(&["query", "sent", "--as", RESEARCHER]));
    let asked = &inbox["queries"][0];
    assert_eq!((asked["query"].as_u64(), text(&asked["status"])), (Some(query), "pending"));
    assert_eq!(asked["requester"], json!(case.researcher));
    assert_eq!((text(&asked["role"]), text(&asked["purpose"])), ("researcher", "research"));
    assert_eq!((&asked["hospital"], &asked["hospitalName"]), (&json!(1), &json!("Bob")));
    let records = json!([{ "pointer": { "height": 1, "index": 0 }, "sections": [0, 2] }]);
    assert_eq!(asked["records"], records);
    let others = case.network.run(&["query", "inbox", "--as", NEIGHBOUR]);
    assert_eq!(others["queries"], json!([]));
    query
}

fn only_the_patient_sees_what_is_sealed(case: &Case, query: u64) {
    let public = case.network.run(&["query", "show", &query.to_string()]);
    assert_eq!(public.get("terms"), None);
    let own = case.about("show", query, PATIENT).unwrap();
    assert_eq!(own["terms"], json!(TERMS));
    assert_eq!(own["inForce"], json!(true));
    let sections = own["content"][0]["sections"].as_array().unwrap();
    let kinds: Vec<_> =
        sections.iter().map(|it| (it["section"].clone(), text(&it["kind"]))).collect();
    assert_eq!(kinds, [(json!(0), "observation"), (json!(2), "media")]);
    fails(case.about("show", query, NEIGHBOUR), "only its patient");
    // A person reads what is public before the failure.
    let mut show = epione();
    show.arg("--devnet").arg(case.network.path());
    show.args(["query", "show", &query.to_string(), "--as", NEIGHBOUR]);
    let output = show.output().unwrap();
    let (public, failure) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(public.contains(&format!("query {query}  pending")), "{public}");
    assert!(failure.contains("only its patient") && !output.status.success(), "{failure}");
    fails(case.about("show", query, RESEARCHER), "only its patient");
    fails(case.about("show", 999, PATIENT), "no query 999");
    // A query of somebody else may be one to this user, or one of this user.
    let unknown = case.about("show", 999, PATIENT).unwrap_err();
    for (command, list) in unknown["commands"].as_array().unwrap().iter().zip(["inbox", "sent"]) {
        let is_complete = text(command).starts_with(&format!("epione query {list} --devnet "))
            && text(command).ends_with(&format!("--as {PATIENT}"));
        assert!(is_complete, "{unknown}");
        case.network.run_printed(text(command));
    }
}

fn only_the_patient_accepts_and_only_what_was_asked_for(case: &Case, query: u64) {
    case.is_refused(query, RESEARCHER, "has not answered");
    let number = query.to_string();
    let unread = ["query", "accept", &number, "--as", PATIENT, "--for", "1d"];
    let (status, refused) = case.network.outcome(&unread);
    assert_eq!(status, 2, "{refused}");
    assert!(text(&refused["help"]).contains("--yes"), "{refused}");
    for other in [NEIGHBOUR, RIVAL, RESEARCHER] {
        let accept = ["query", "accept", &number, "--as", other, "--for", "1d", "--yes"];
        fails(case.network.try_run(&accept), "only its patient");
    }
    let day = ["--for", "1d"];
    fails(case.accept(query, &[&day[..], &["--record", "1/0:1"]].concat()), "section 1");
    fails(case.accept(query, &[&day[..], &["--record", "2/0"]].concat()), "of record 2/0");
    fails(case.accept(query, &["--until", "2020-01-01"]), "in the future");
    fails(case.accept(query, &["--for", "400d"]), "366 days");
    assert_eq!(case.status(query), "pending");

    let part = ["--record", "1/0:2", "--mailbox", "1"];
    let accepted = case.accept(query, &[&day[..], &part].concat()).unwrap();
    assert_eq!(accepted["mailbox"], json!(1));
    assert_eq!((&accepted["hospital"], &accepted["hospitalName"]), (&json!(1), &json!("Bob")));
    assert_eq!(accepted["content"][0]["sections"][0]["kind"], json!("media"));
    let left_out = json!([{ "pointer": { "height": 1, "index": 0 }, "sections": [0] }]);
    assert_eq!(accepted["leftOut"], left_out);
    assert_eq!(case.status(query), "accepted");
    // It counts before a hospital has recorded that it handed out the keys.
    let looked = case.network.run(&["audit", "who-looked", "--as", PATIENT, "--limit", "1"]);
    let handed = &looked["queries"][0];
    assert_eq!((handed["query"].as_u64(), handed.get("transfer")), (Some(query), None));
    assert_eq!(looked["more"], json!(false));
    // The same command again reports what is so. Another one is not what the patient accepted.
    let again = case.accept(query, &[&day[..], &part].concat()).unwrap();
    assert_eq!((&again["brought"], &again["answered"]), (&json!(false), &accepted["block"]));
    fails(case.accept(query, &["--for", "2d"]), "has an answer already: the patient accepted");
    fails(
        case.accept(query, &[&day[..], &["--record", "1/0:0"]].concat()),
        "has an answer already",
    );
    let other = ["query", "accept", &number, "--as", NEIGHBOUR, "--for", "1d", "--yes"];
    fails(case.network.try_run(&other), "only its patient");
}

fn the_requester_collects_exactly_what_was_accepted(case: &Case, query: u64) {
    // Another institution has the same acceptance, and its own keys.
    case.is_refused(query, RIVAL, "only its requester");
    case.is_refused(query, PATIENT, "only its requester");
    let out = case.out();
    let collected = case.collect(query, RESEARCHER, &out).unwrap();
    let sections = &collected["records"][0]["sections"];
    let file = out.join("1-0").join(text(&sections[2]["file"]["name"]));
    assert!(fs::read(file).unwrap() == case.image);
    for hidden in [0, 1] {
        assert_eq!(sections[hidden].get("file"), None, "{collected}");
        assert_eq!(sections[hidden].get("kind"), None, "{collected}");
    }
    assert_eq!(collected["transfer"]["hospital"], json!(1));
    assert_eq!(case.status(query), "collected");

    // Nothing is missing, so that nothing is collected again.
    let again = case.collect(query, RESEARCHER, &out).unwrap();
    assert_eq!(again["records"][0]["alreadyThere"], json!(true));
    assert_eq!(again["transfer"], collected["transfer"]);

    let looked = case.network.run(&["audit", "who-looked", "--as", PATIENT]);
    let handed = &looked["queries"][0];
    assert_eq!(
        (handed["query"].as_u64(), &handed["requester"]),
        (Some(query), &json!(case.researcher))
    );
    assert_eq!(handed["transfer"], collected["transfer"]);
    assert_eq!(looked["looks"], json!([]));
}

fn a_withdrawn_acceptance_is_not_collected_again(case: &Case, query: u64) {
    fails(case.about("withdraw", query, RIVAL), "NotParty");
    let withdrawn = case.about("withdraw", query, PATIENT).unwrap();
    assert_eq!(withdrawn["status"], json!("withdrawn"));
    let again = case.about("withdraw", query, PATIENT).unwrap();
    assert_eq!((&again["status"], &again["block"]), (&json!("withdrawn"), &withdrawn["block"]));
    case.is_refused(query, RESEARCHER, "withdrew the acceptance");
    fails(case.accept(query, &["--for", "1d"]), "has an answer already");
    let shown = case.network.run(&["query", "show", &query.to_string()]);
    assert_eq!(shown["accepted"]["mailbox"], json!(1), "{shown}");
    let own = case.about("show", query, PATIENT).unwrap();
    assert_eq!((own.get("terms"), &own["termsRemoved"]), (None, &json!(true)));
}

fn a_query_is_answered_once(case: &Case) {
    let query = case.ask(RIVAL, &["1/0"], &[]).unwrap();
    fails(case.about("refuse", query, RIVAL), "NotPatient");
    let refused = case.about("refuse", query, PATIENT).unwrap();
    assert_eq!((&refused["status"], refused.get("before")), (&json!("refused"), None));
    let again = case.about("refuse", query, PATIENT).unwrap();
    assert_eq!((&again["status"], &again["block"]), (&refused["status"], &refused["block"]));
    assert!(text(&again["before"]).contains("the patient refused"), "{again}");
    case.is_refused(query, RIVAL, "was refused");
    fails(case.accept(query, &["--for", "1d"]), "has an answer already");
    fails(case.about("withdraw", query, RIVAL), "NotPending");

    let query = case.ask(RIVAL, &["1/0"], &[]).unwrap();
    assert_eq!(case.about("withdraw", query, RIVAL).unwrap()["status"], json!("canceled"));
    case.is_refused(query, RIVAL, "was withdrawn before");
    fails(case.accept(query, &["--for", "1d"]), "has an answer already");

    // Queries that nobody can answer any more do not fill the inbox.
    let inbox = |more: &[&str]| {
        let inbox = ["query", "inbox", "--as", PATIENT];
        let inbox = case.network.run(&[&inbox[..], more].concat());
        let queries = inbox["queries"].as_array().unwrap();
        queries.iter().map(|it| text(&it["status"]).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(inbox(&[]), Vec::<String>::new());
    assert_eq!(inbox(&["--all"]), ["canceled", "refused", "withdrawn"]);
    assert_eq!(inbox(&["--all", "--limit", "1"]), ["canceled"]);
    let (older, newer) = (case.ask(RIVAL, &["1/0"], &[]), case.ask(RIVAL, &["1/0"], &[]));
    assert_eq!(inbox(&[]), ["pending", "pending"]);
    assert_eq!(inbox(&["--limit", "1"]), ["pending"]);
    for query in [older, newer] {
        case.about("withdraw", query.unwrap(), RIVAL).unwrap();
    }
    assert_eq!(inbox(&[]), Vec::<String>::new());
}

fn an_acceptance_ends_with_the_registration_for_which_the_requester_asked(case: &Case) {
    case.network.register_at("1", "researcher", RIVAL);
    eventually("the requester has to choose a hospital", || match case.ask(RIVAL, &["9/0"], &[]) {
        Err(failure) if failure.to_string().contains("in force at hospitals 0, 1") => Ok(()),
        other => Err(other),
    });
    let query = case.ask(RIVAL, &["1/0:0"], &["--hospital", "0"]).unwrap();
    let pending = case.ask(RIVAL, &["1/0:0"], &["--hospital", "0"]).unwrap();
    let accepted = case.accept(query, &["--for", "1d"]).unwrap();
    assert_eq!(accepted["hospital"], json!(0));
    case.network.run(&["user", "end", "--user", &case.rival]);
    // The registration at the other hospital is in force, and does not count.
    case.is_refused(query, RIVAL, "is not in force");
    assert_eq!(case.about("show", pending, PATIENT).unwrap()["inForce"], json!(false));
    fails(case.accept(pending, &["--for", "1d"]), "is not in force at hospital 0");
    case.about("withdraw", pending, RIVAL).unwrap();
    assert_eq!(case.status(query), "accepted");
}

fn a_requester_has_at_most_two_pending_queries_to_one_patient(case: &Case) {
    // For the only hospital that is left.
    let queries: Vec<_> = (0..2).map(|_| case.ask(RIVAL, &["1/0:0"], &[]).unwrap()).collect();
    fails(case.ask(RIVAL, &["1/0:0"], &[]), "TooManyOfRequester");
    case.about("withdraw", queries[0], RIVAL).unwrap();
    case.ask(RIVAL, &["1/0:0"], &[]).unwrap();
    let listed = case.network.run(&["query", "sent", "--as", RIVAL, "--limit", "3"]);
    assert_eq!((listed["queries"].as_array().unwrap().len(), &listed["more"]), (3, &json!(true)));
}

/// A pending query, and an accepted one.
fn a_query_and_an_acceptance_begin_that_end_soon(case: &Case) -> [u64; 2] {
    fails(case.ask(RESEARCHER, &["1/0:0"], &["--expires", "59s"]), "from 1 minute to 30 days");
    let expires = case.ask(RESEARCHER, &["1/0:0"], &["--expires", "1m"]).unwrap();
    let accepted = case.ask(RESEARCHER, &["1/0:0"], &[]).unwrap();
    case.accept(accepted, &["--for", "45s"]).unwrap();
    [expires, accepted]
}

fn neither_a_query_nor_an_acceptance_outlives_its_end(case: &Case, [query, accepted]: [u64; 2]) {
    eventually("the query expires", || match case.status(query).as_str() {
        "expired" => Ok(()),
        other => Err(other.to_owned()),
    });
    fails(case.accept(query, &["--for", "1d"]), "has expired");
    // The patient may also have the chain forget its terms.
    fails(case.about("withdraw", query, RIVAL), "NotParty");
    assert_eq!(case.about("withdraw", query, PATIENT).unwrap()["status"], json!("canceled"));

    eventually("the acceptance ends", || match case.status(accepted).as_str() {
        "over" => Ok(()),
        other => Err(other.to_owned()),
    });
    case.is_refused(accepted, RESEARCHER, "ended at");
}

fn an_acceptance_is_for_the_keys_of_that_time(case: &Case) {
    let accepted = case.ask(RESEARCHER, &["1/0:0"], &[]).unwrap();
    case.accept(accepted, &["--for", "1d"]).unwrap();
    let pending = case.ask(RESEARCHER, &["1/0:0"], &[]).unwrap();
    assert_eq!(case.about("show", pending, PATIENT).unwrap()["terms"], json!(TERMS));
    let password = case.network.write("password", "only for a test\n");
    let (password, keys) = (password.to_str().unwrap(), case.network.file("researcher-2.json"));
    let keys = keys.to_str().unwrap();
    let rotate = ["user", "rotate-keys", "--as", RESEARCHER, "--to", keys];
    // The hospital has not confirmed the new keys yet.
    let (_, rotated) =
        case.network.outcome(&[&rotate[..], &["--password-file", password]].concat());
    assert_eq!(rotated["rotatedNow"], json!(true), "{rotated}");

    let collect = |query: u64, who: &str| {
        let (query, out) = (query.to_string(), case.out());
        let collect = ["query", "collect", &query, "--as", who, "--out", out.to_str().unwrap()];
        let collect = [&collect[..], &["--password-file", password]].concat();
        case.network.try_run(&collect)
    };
    fails(collect(accepted, keys), "have changed your account or sealing key");
    collect(accepted, RESEARCHER).unwrap_err();
    fails(
        case.accept(pending, &["--for", "1d"]),
        "has sealed a profile to the present sealing key",
    );
    assert_eq!(
        (case.status(accepted), case.status(pending)),
        ("accepted".into(), "pending".into())
    );

    // When the hospital has confirmed the new keys, the patient accepts for these: the command shows the query anew.
    let confirm = ["user", "confirm-keys", "--user", &case.researcher, "--keys", keys];
    case.network.run(&[&confirm[..], &["--hospital", "1"]].concat());
    eventually("the patient accepts", || case.accept(pending, &["--for", "1d"]).map(drop));
    collect(pending, keys).unwrap();
    fails(collect(accepted, keys), "have changed your account or sealing key");
}
