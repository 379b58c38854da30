//! The hospitals open a shared section together while the hospital of the record and the patient are away, on a real
//! network of four hospitals with the program itself.

#![allow(clippy::unwrap_used)]

mod network;

use std::{fs, path::Path};

use codec::DecodeAll;
use epione_devnet::ProcessRecord;
use epione_primitives::{
    HospitalId, RecordPointer, UserId,
    access::Purpose,
    query::QueriedRecords,
    release::{EmergencyReason, ReleasedRecord, SectionSet},
};
use network::{
    Network, eventually,
    lane::{Lane, nothing_else_is_signed, refusal, shown},
    lie::change,
    stderr,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const DOCTOR: &str = "//Doctor";
const PATIENT: &str = "//Patient";
/// Of the second hospital, which confirms the attribute.
const RESEARCHER: &str = "//Researcher";
/// Of the third hospital, without the attribute.
const RIVAL: &str = "//Rival";
/// A doctor of the second hospital, who has no relationship with the patient.
const SURGEON: &str = "//Surgeon";
const NOTE: &str = "blood pressure 162/98";

/// The network, and a patient whose record 1/0, of a report and a diagnosis, is at the first hospital. The report is
/// shared by a standing consent, and the diagnosis is the patient's emergency summary.
struct Case {
    network: Network,
    patient: String,
    researcher: String,
    surgeon: String,
    /// The node of the second hospital.
    node: String,
}

impl Case {
    fn begin() -> Self {
        let network = Network::of(4);
        let patient = network.register("patient", PATIENT);
        let doctor = network.register("doctor", DOCTOR);
        let researcher = network.register_at("1", "researcher", RESEARCHER);
        network.register_at("2", "researcher", RIVAL);
        let surgeon = network.register_at("1", "doctor", SURGEON);
        network.relate(&patient, &doctor);
        let node = network.state().unwrap().hospitals[1].node_url.clone();
        let case = Self { network, patient, researcher, surgeon, node };
        case.visit();
        let who = ["credential", "issue", "--user", &case.researcher, "--hospital", "1"];
        case.run(&[&who[..], &["--attribute", "cardiology", "--for", "30d"]].concat());
        let give = ["consent", "give", "--as", PATIENT, "--standing", "--role", "researcher"];
        let whom = ["--attribute", "cardiology@1", "--purpose", "research", "--kind", "report"];
        let what = ["--slot", "0", "--for", "30d", "--yes"];
        let given = case.run(&[&give[..], &whom, &what].concat());
        assert_eq!(given["records"][0]["sections"], json!([0]), "{given}");
        case.give_the_emergency_summary();
        case
    }

    fn give_the_emergency_summary(&self) {
        let give = ["consent", "give", "--as", PATIENT, "--role", "doctor", "--kind", "diagnosis"];
        let what = ["--purpose", "emergency", "--slot", "1", "--for", "30d", "--yes"];
        let refused = self.try_run(&[&give[..], &what].concat()).unwrap_err();
        assert!(refused["help"].as_str().unwrap().contains("--standing"), "{refused}");
        let given = self.run(&[&give[..], &what, &["--standing"]].concat());
        assert_eq!(given["records"][0]["sections"], json!([1]), "{given}");
    }

    fn visit(&self) {
        let report = format!("report={}", self.network.write("report.txt", NOTE).display());
        let diagnosis =
            format!("diagnosis={}", self.network.write("diagnosis.txt", "I10").display());
        let visit = ["visit", "submit", "--as", DOCTOR, "--patient", &self.patient];
        let what = ["--hospital", "0", "--text", &report, "--text", &diagnosis, "--wait"];
        let submitted = self.network.run(&[&visit[..], &what].concat());
        assert!(submitted["stage"]["committed"].is_object(), "{submitted}");
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

    fn ask(&self, who: &str, record: &str) -> Result<Value, Value> {
        let ask = ["opening", "ask", "--as", who, "--patient", &self.patient];
        self.try_run(&[&ask[..], &["--record", record, "--purpose", "research"]].concat())
    }

    /// The surgeon asks for the emergency summary.
    fn ask_in_emergency(&self, who: &str) -> Result<Value, Value> {
        let ask = ["opening", "ask", "--as", who, "--patient", &self.patient, "--record", "1/0"];
        let why = ["--purpose", "emergency", "--reason", "life-threatening"];
        self.try_run(&[&ask[..], &why].concat())
    }

    /// Waits until the first hospital has wrapped the emergency summary.
    fn first_emergency(&self) {
        eventually("the summary is wrapped", || match self.ask_in_emergency(SURGEON) {
            Ok(opening) => {
                assert_eq!(opening["emergency"]["review"], 0, "{opening}");
                Ok(())
            }
            Err(failure) if failure.to_string().contains("has not wrapped") => Err(failure),
            Err(failure) => panic!("{failure}"),
        });
    }

    /// Waits until the hospitals have a key, and the first one has wrapped the section; returns the opening.
    fn first_opening(&self) -> Value {
        let mut asked = Value::Null;
        eventually("the section is wrapped", || match self.ask(RESEARCHER, "1/0") {
            Ok(opening) => {
                asked = opening;
                Ok(())
            }
            Err(failure) if failure.to_string().contains("consortium key") => Err(failure),
            Err(failure) => panic!("{failure}"),
        });
        asked
    }

    fn get(&self, who: &str, opening: &str, out: &Path) -> Result<Value, Value> {
        let get = ["records", "get", "--as", who, "--patient", &self.patient];
        let what = ["--opening", opening, "--out", out.to_str().unwrap()];
        self.try_run(&[&get[..], &what].concat())
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
}

#[test]
fn a_researcher_reads_a_shared_section_while_the_hospital_that_wrote_it_is_down() {
    let case = Case::begin();
    let first = case.first_opening();
    assert_eq!(
        first["records"],
        json!([{ "pointer": { "height": 1, "index": 0 }, "sections": [0] }])
    );
    let command = first["get"].as_str().unwrap();
    assert!(command.contains("records get") && command.contains("--opening 0"), "{first}");
    case.first_emergency();
    case.kill_the_first_hospital();
    those_without_the_attribute_are_told_what_is_missing(&case);
    let opening = the_other_hospitals_open_the_section(&case);
    everybody_sees_who_opened_what_and_which_hospitals_helped(&case, &opening);
    a_node_that_lies_changes_nothing_that_is_shown_or_asked(&case, &opening);
    the_next_block_after_a_revocation_refuses(&case, &opening);
    a_doctor_opens_the_emergency_summary_and_the_others_judge(&case);
}

fn those_without_the_attribute_are_told_what_is_missing(case: &Case) {
    let refused = case.ask(RIVAL, "1/0").unwrap_err();
    let error = refused["error"].as_str().unwrap();
    let leaf =
        "consent 0 requires a requester who has the attribute cardiology, confirmed by hospital 1";
    assert!(error.contains(leaf), "{refused}");
    assert!(!error.contains("has the role"), "the rival is a researcher: {refused}");
    // A section that the patient does not share.
    let refused = case.ask(RESEARCHER, "1/0:1").unwrap_err();
    let error = refused["error"].as_str().unwrap();
    assert!(
        error.contains("do not share section 1 of record 1/0: they share section 0"),
        "{refused}"
    );
}

fn the_other_hospitals_open_the_section(case: &Case) -> String {
    let opening = case.ask(RESEARCHER, "1/0").unwrap()["opening"].to_string();
    let out = case.network.file("opened");
    let refused = case.get(RIVAL, &opening, &out).unwrap_err();
    assert!(refused["error"].as_str().unwrap().contains("is not for user"), "{refused}");
    assert!(!out.exists());
    let read = case.get(RESEARCHER, &opening, &out).unwrap();
    assert_eq!(read["hospitals"], json!([1, 2, 3]), "{read}");
    let faults = read["faults"].as_array().unwrap();
    assert!(faults.iter().all(|fault| fault["hospital"] == 0 && fault["isBreach"] == false));
    let files = fs::read_dir(out.join("1-0")).unwrap();
    let texts: Vec<_> = files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(texts.iter().any(|text| text == NOTE.as_bytes()), "{read}");
    assert!(!texts.iter().any(|text| text == b"I10"), "the other section stays sealed");
    // Nothing is missing, so no hospital is asked again.
    let again = case.get(RESEARCHER, &opening, &out).unwrap();
    assert_eq!(again["hospitals"], json!([]), "{again}");
    opening
}

fn everybody_sees_who_opened_what_and_which_hospitals_helped(case: &Case, opening: &str) {
    let looked = case.run(&["audit", "who-looked", "--as", PATIENT]);
    let opened = &looked["openings"][0];
    assert_eq!(opened["opening"].to_string(), opening, "{looked}");
    assert_eq!(opened["requester"], case.researcher.as_str());
    let handed_out = opened["handedOut"].as_array().unwrap();
    let hospitals: Vec<_> = handed_out.iter().map(|part| part["hospital"].clone()).collect();
    assert_eq!(hospitals, [1, 2, 3].map(Value::from));
    let listed = case.run(&["opening", "list", "--as", RESEARCHER]);
    assert_eq!(listed["openings"].as_array().unwrap().len(), 2, "{listed}");
    let of_patient = case.run(&["opening", "list", "--patient", &case.patient, "--limit", "1"]);
    assert_eq!((&of_patient["openings"][0], &of_patient["more"]), (opened, &json!(true)));
    assert_eq!(case.run(&["opening", "show", opening]), *opened);
    // Nobody asked the patient, who finds it beside the queries all the same.
    let inbox = case.run(&["query", "inbox", "--as", PATIENT, "--all"]);
    assert_eq!(inbox["openings"][0], *opened, "{inbox}");
    assert_eq!(inbox["openings"].as_array().unwrap().len(), 3, "with the emergency: {inbox}");
    let pending = case.run(&["query", "inbox", "--as", PATIENT]);
    assert!(pending.get("openings").is_none(), "{pending}");

    let file = case.network.file("evidence.epione").display().to_string();
    let proven = ["audit", "proof-chain", "--opening", opening, "--out", &file];
    let proven = case.run(&proven);
    assert_eq!(proven["complete"], true, "{proven}");
    // The requester's call, and those of three hospitals.
    assert_eq!(proven["transactions"][0]["proofs"].as_array().unwrap().len(), 4, "{proven}");
    let genesis = proven["genesis"].as_str().unwrap();
    let verify = ["verify-evidence", &file, "--opening", opening, "--genesis", genesis];
    assert_eq!(case.run(&verify)["complete"], true);
}

/// Each answer of the node to the commands is changed.
fn a_node_that_lies_changes_nothing_that_is_shown_or_asked(case: &Case, opening: &str) {
    /// The command needs fewer answers.
    const MOST: usize = 400;
    type Call = ([u8; 2], HospitalId, UserId, QueriedRecords, Purpose, Option<EmergencyReason>);
    let lane = Lane::at(&case.network, 1, "lied-to");
    let show = ["opening", "show", opening];
    lane.proxy.honest();
    let honest = lane.run(&show);
    assert!(honest.status.success(), "{}", stderr(&honest));
    let (truth, mut refused, mut is_over) = (shown(&honest), 0, false);
    for number in 0..MOST {
        lane.forget();
        lane.proxy.changing(number, change);
        let output = lane.run(&show);
        let Some(method) = lane.proxy.changed() else {
            is_over = true;
            break;
        };
        let what = format!("opening show, answer {number} to {method}");
        if output.status.success() {
            assert_eq!(shown(&output), truth, "{what}");
        } else {
            refusal(&output, &what);
            refused += 1;
        }
    }
    assert!(is_over && refused > 2, "{refused} answers were refused");

    let patient: UserId = serde_json::from_value(json!(case.patient)).unwrap();
    let pointer = RecordPointer { height: 1, index: 0 };
    let records = vec![ReleasedRecord { pointer, sections: SectionSet(1) }];
    let records = QueriedRecords::try_from(records).unwrap();
    let ask = ["opening", "ask", "--as", RESEARCHER, "--patient", &case.patient];
    let ask = [&ask[..], &["--record", "1/0", "--purpose", "research"]].concat();
    let ask: Vec<_> = ask.iter().map(|word| (*word).to_owned()).collect();
    nothing_else_is_signed(&lane, &ask, change, |transaction, what| {
        let at = transaction.windows(32).position(|bytes| *bytes == patient.0).unwrap();
        // Before the patient, there are the numbers of pallet and call, and that of the hospital.
        let signed = Call::decode_all(&mut &transaction[at - 4..]).unwrap();
        let (_, hospital, of, wanted, purpose, emergency) = signed;
        assert_eq!((hospital, of, purpose), (HospitalId(1), patient, Purpose::Research), "{what}");
        assert_eq!((wanted, emergency), (records.clone(), None), "{what}");
    });
}

fn the_next_block_after_a_revocation_refuses(case: &Case, opening: &str) {
    let revoke = ["credential", "revoke", "--user", &case.researcher, "--hospital", "1"];
    case.run(&[&revoke[..], &["--attribute", "cardiology"]].concat());
    let refused = case.ask(RESEARCHER, "1/0").unwrap_err();
    assert!(refused["error"].as_str().unwrap().contains("attribute cardiology"), "{refused}");
    // What was decided before is not handed out any more.
    let out = case.network.file("after");
    let refused = case.get(RESEARCHER, opening, &out).unwrap_err();
    let error = refused["error"].as_str().unwrap();
    assert!(error.contains("0 of the 3 hospitals") && error.contains("hospital 2: "), "{refused}");
    assert!(!out.exists());
}

/// The hospital of the record and the patient are away. The surgeon has no relationship with the patient.
fn a_doctor_opens_the_emergency_summary_and_the_others_judge(case: &Case) {
    let refused = case.ask_in_emergency(RIVAL).unwrap_err();
    assert!(refused["error"].as_str().unwrap().contains("the role doctor"), "{refused}");
    let asked = case.ask_in_emergency(SURGEON).unwrap();
    assert_eq!(asked["records"][0]["sections"], json!([1]), "{asked}");
    let (opening, review) = (asked["opening"].to_string(), asked["emergency"]["review"].clone());
    let out = case.network.file("summary");
    let read = case.get(SURGEON, &opening, &out).unwrap();
    assert_eq!(read["hospitals"], json!([1, 2, 3]), "{read}");
    let files = fs::read_dir(out.join("1-0")).unwrap();
    let texts: Vec<_> = files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(texts.iter().any(|text| text == b"I10"), "{read}");

    let looked = case.run(&["audit", "who-looked", "--as", PATIENT]);
    let first = &looked["emergencyOpenings"][0];
    assert_eq!(first["opening"].to_string(), opening, "{looked}");
    assert_eq!(first["requester"], case.surgeon.as_str());
    assert_eq!(first["reviewed"]["status"], "open");
    let open = case.run(&["audit", "reviews", "--open"]);
    let listed = &open["reviews"][0];
    assert_eq!((&listed["review"], listed["opening"].to_string()), (&review, opening.clone()));
    assert_eq!(listed["reason"], "life-threatening");

    let id = review.to_string();
    let judge = |hospital: &str| {
        case.try_run(&["audit", "judge", "--review", &id, "--unjustified", "--hospital", hospital])
    };
    let own = judge("1").unwrap_err();
    assert!(own.to_string().contains("OwnReview"), "{own}");
    judge("2").unwrap();
    let closed = judge("3").unwrap();
    assert_eq!(closed["status"]["closed"]["justified"], false, "{closed}");
    // Nothing of this opening is handed out any more, and the doctor gets no other one.
    let refused = case.get(SURGEON, &opening, &case.network.file("refused")).unwrap_err();
    assert!(refused.to_string().contains("unjustified"), "{refused}");
    let barred = case.ask_in_emergency(SURGEON).unwrap_err();
    assert!(barred.to_string().contains("UnjustifiedLately"), "{barred}");
}
