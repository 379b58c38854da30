//! A node that lies to commands that sign, send or disclose, on a real network with the program itself. A proxy between
//! both changes answers, holds them back, or repeats old ones. It also holds back every transaction, and shows the test
//! what the command has signed: so each command runs many times on the same chain.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use codec::DecodeAll;
use epione_envelope::{
    account::Signer,
    development,
    query::{ExpectedQuery, QueryGrant, SealedTerms},
};
use epione_primitives::{
    BlockNumber, Hash, HospitalId, Moment, QueryId, UserId, access::Purpose, query::QueriedRecords,
};
use network::{
    Network, epione, eventually,
    lane::{BUNDLE, Lane, nothing_else_is_signed, refusal, shown},
    lie::{change, erase, refuse},
    stderr,
};
use serde_json::{Value, json};

const DOCTOR: &str = "//Doctor";
const PATIENT: &str = "//Patient";
const NOTE: &str = "blood pressure 162/98";
const TERMS: &str = "a study of hypertension";
/// Answers that are changed of a command that needs many, evenly spread.
const SAMPLES: usize = 24;
/// More than the blocks that are made during the test.
const BLOCKS: BlockNumber = 400;
/// How long a patient's acceptance lasts.
const ACCESS: Duration = Duration::from_secs(30 * 86_400);

/// A network with a patient, whose record 1/0 has one text, and the patient's doctor, whose query 0 is pending.
struct Case {
    network: Network,
    patient: String,
    doctor: String,
    genesis: Hash,
    /// The end of the acceptance, and the same in words.
    until: (Moment, String),
}

impl Case {
    fn begin() -> Self {
        let network = Network::of(1);
        let genesis = network.state().unwrap().genesis.unwrap();
        let [patient, doctor] = network.register_related(PATIENT, DOCTOR);
        let end = SystemTime::now() + ACCESS;
        let words = humantime::format_rfc3339_seconds(end).to_string();
        let end = humantime::parse_rfc3339(&words).unwrap();
        let until = end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        let until = (Moment::try_from(until).unwrap(), words);
        let case = Self { network, patient, doctor, genesis, until };
        let mut visit = case.visit();
        visit.push("--wait".into());
        case.network.run(&words_of(&visit));
        case.network.run(&words_of(&case.ask()));
        case
    }

    /// A doctor submits a visit, which is none of an earlier run.
    fn visit(&self) -> Vec<String> {
        let text = format!("report={}", self.network.write("note.txt", NOTE).display());
        let whose = ["visit", "submit", "--as", DOCTOR, "--patient", &self.patient];
        strings(&[&whose[..], &["--hospital", "0", "--text", &text, "--again"]].concat())
    }

    fn ask(&self) -> Vec<String> {
        let ask = ["query", "ask", "--as", DOCTOR, "--patient", &self.patient, "--record", "1/0:0"];
        strings(&[&ask[..], &["--purpose", "research", "--terms", TERMS]].concat())
    }

    fn accept(&self) -> Vec<String> {
        let accept = ["query", "accept", "0", "--as", PATIENT, "--mailbox", "0", "--yes"];
        strings(&[&accept[..], &["--until", &self.until.1]].concat())
    }

    fn disclose(&self) -> Vec<String> {
        let disclose = ["disclose", "--as", PATIENT, "--record", "1/0", "--sections", "0"];
        let whom = ["--for", "Example Insurance", "--purpose", "claim 7", "--out", BUNDLE];
        strings(&[&disclose[..], &whom].concat())
    }

    /// What a recipient, who knows no network, reads in the disclosure of a lane.
    fn examined(&self, lane: &Lane) -> Value {
        let mut command = epione();
        command.env("XDG_CONFIG_HOME", self.network.file("recipient"));
        command.args(["--json", "verify-disclosure"]).arg(lane.file("bundle"));
        let output = command.arg(format!("--genesis={:?}", self.genesis)).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let examined = shown(&output);
        let parts = ["record", "patient", "author", "recipient", "purpose", "sections"];
        parts.iter().map(|part| examined[part].clone()).collect()
    }
}

fn user(id: &str) -> UserId {
    serde_json::from_value(json!(id)).unwrap()
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn words_of(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// What a requester has signed, with the text that the patient reads.
#[derive(Debug, PartialEq)]
struct Asked {
    call: [u8; 2],
    hospital: HospitalId,
    patient: UserId,
    patient_key: Hash,
    records: QueriedRecords,
    purpose: Purpose,
    terms: String,
}

/// The call `Queries.ask` at the end of a transaction, and when the query expires.
fn asked(case: &Case, transaction: &[u8]) -> (Asked, BlockNumber) {
    type Call = ([u8; 2], HospitalId, UserId, Hash, QueriedRecords, Purpose, BlockNumber, Vec<u8>);
    let (patient, requester) = (user(&case.patient), user(&case.doctor));
    let at = transaction.windows(32).position(|bytes| *bytes == patient.0).unwrap();
    // Before the patient, there are the numbers of pallet and call, and that of the hospital.
    let (call, hospital, patient, patient_key, records, purpose, expires, terms) =
        Call::decode_all(&mut &transaction[at - 4..]).unwrap();
    let (doctor, keys) = (development::keys(DOCTOR).unwrap(), development::keys(PATIENT).unwrap());
    let terms = SealedTerms::decode_exactly(&terms).unwrap();
    let account = doctor.account();
    let terms = terms.open(case.genesis, requester, patient, &account, &keys.sealing).unwrap();
    let terms = terms.to_string();
    (Asked { call, hospital, patient, patient_key, records, purpose, terms }, expires)
}

/// What a patient has signed, without the hash of the sealed grant, and the places of the keys in the grant.
#[derive(Debug, PartialEq)]
struct Accepted {
    call: [u8; 2],
    query: QueryId,
    considered: Hash,
    records: QueriedRecords,
    until: Moment,
    mailbox: HospitalId,
    granted: Vec<String>,
}

/// The call `Queries.accept` at the end of a transaction, and the sealed grant that it names, which only the requester
/// opens.
fn accepted(case: &Case, lane: &Lane, transaction: &[u8]) -> Accepted {
    type Call = ([u8; 2], QueryId, Hash, QueriedRecords, Hash, Moment, HospitalId);
    // Of one record.
    const BYTES: usize = 2 + 4 + 32 + (1 + 4 + 2 + 8) + 32 + 8 + 2;
    let at = transaction.len() - BYTES;
    let (call, query, considered, records, grant, until, mailbox) =
        Call::decode_all(&mut &transaction[at..]).unwrap();
    let folder = lane.file("data/grants").join(hex::encode(case.genesis));
    let sealed = fs::read(folder.join(format!("{query}-{}.grant", hex::encode(grant)))).unwrap();
    let sealed = QueryGrant::decode_exactly(&sealed).unwrap();
    assert_eq!(sealed.hash(), grant);
    let (patient, doctor) =
        (development::keys(PATIENT).unwrap(), development::keys(DOCTOR).unwrap());
    let expected = ExpectedQuery {
        genesis: case.genesis,
        query,
        patient: user(&case.patient),
        acceptor: &patient.account(),
        audience: &doctor.account(),
        purpose: Purpose::Research,
        until: case.until.0,
        now: case.until.0 - 1,
    };
    let keys = sealed.open(&expected, &doctor.sealing).unwrap();
    let granted = keys.iter().map(|(place, _)| format!("{place:?}")).collect();
    Accepted { call, query, considered, records, until, mailbox, granted }
}

/// The answers to change of a command that needs `counted` ones.
fn samples(counted: usize) -> impl Iterator<Item = usize> {
    let count = SAMPLES.min(counted);
    (0..count).map(move |number| number * counted / count)
}

/// A disclosure shows the same, or there is none.
fn nothing_else_is_disclosed(case: &Case, lane: &Lane) {
    let words = case.disclose();
    lane.forget();
    lane.proxy.counting();
    let honest = lane.run(&words);
    assert!(honest.status.success(), "{}", stderr(&honest));
    let (truth, examined) = (shown(&honest), case.examined(lane));
    let mut refused = 0;
    for number in samples(lane.proxy.counted()) {
        lane.forget();
        lane.proxy.changing(number, change);
        let output = lane.run(&words);
        let what = format!("a disclosure, answer {number} to {:?}", lane.proxy.changed());
        if output.status.success() {
            assert_eq!((shown(&output), case.examined(lane)), (truth.clone(), examined.clone()));
            continue;
        }
        refusal(&output, &what);
        assert!(!lane.file("bundle").exists(), "{what}");
        refused += 1;
    }
    assert!(refused > 2, "{refused} disclosures were refused");
}

/// A visit is submitted as it is, or not at all. Returns how many were submitted.
fn nothing_else_is_submitted(case: &Case, lane: &Lane) -> usize {
    let words = case.visit();
    let submitted = |lane: &Lane, what: &str| {
        let output = lane.run(&words);
        if !output.status.success() {
            refusal(&output, what);
            return None;
        }
        let mut submitted = shown(&output);
        for varies in ["recordId", "stage", "queuedAt", "since"] {
            submitted[varies] = Value::Null;
        }
        Some(submitted)
    };
    lane.forget();
    lane.proxy.counting();
    let truth = submitted(lane, "the truth").unwrap();
    let counted = lane.proxy.counted();
    let (mut count, mut refused) = (1, 0);
    for (number, lie) in
        samples(counted).zip([change as fn(&mut Value), erase, refuse].into_iter().cycle())
    {
        lane.forget();
        lane.proxy.changing(number, lie);
        let what = format!("a visit, answer {number}");
        match submitted(lane, &what) {
            Some(submitted) => {
                assert_eq!(submitted, truth, "{what} to {:?}", lane.proxy.changed());
                count += 1;
            }
            None => refused += 1,
        }
    }
    assert!(refused > 2, "{refused} visits were refused");
    count
}

/// A node that presents a final block as its newest one, which is older than what the client has verified.
fn nothing_is_signed_by_an_old_head(case: &Case, lane: &Lane) {
    const HEAD: &str = "chain_getFinalizedHead";
    lane.forget();
    lane.proxy.hold_transactions();
    let heads: Arc<Mutex<Vec<Value>>> = Arc::default();
    let seen = Arc::clone(&heads);
    lane.proxy.with(move |method, message| {
        if method == HEAD {
            seen.lock().unwrap().push(message["result"].clone());
        }
        true
    });
    eventually("the client has verified a later block", || {
        assert!(lane.run(&["hospital", "list"]).status.success());
        let heads = heads.lock().unwrap();
        if heads.first() == heads.last() { Err(heads.len()) } else { Ok(()) }
    });
    let old = heads.lock().unwrap()[0].clone();
    lane.proxy.with(move |method, message| {
        if method == HEAD {
            message["result"] = old.clone();
        }
        true
    });
    for words in [case.ask(), case.accept(), case.disclose(), case.visit()] {
        let said = refusal(&lane.run(&words), "an old head");
        assert!(said.contains("was final earlier"), "{words:?}: {said}");
        assert!(lane.proxy.held().is_empty(), "{words:?}");
    }
    assert!(!lane.file("bundle").exists());
}

/// A node that does not prove anything any more.
fn nothing_is_signed_without_proofs(case: &Case, lane: &Lane) {
    lane.forget();
    lane.proxy.hold_transactions();
    let held_back = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&held_back);
    lane.proxy.with(move |method, _| {
        let is_proof = method == "state_getReadProof";
        count.fetch_add(usize::from(is_proof), Ordering::SeqCst);
        !is_proof
    });
    refusal(&lane.run(&case.accept()), "no proofs");
    assert!(held_back.load(Ordering::SeqCst) > 0, "the node was not asked for a proof");
    assert!(lane.proxy.held().is_empty());
}

/// The chain has the visits that were submitted, and all have the doctor's own text. A command may fail after the
/// worker has acknowledged its visit.
fn the_chain_has_what_was_submitted(case: &Case, visits: usize) {
    eventually("the submitted visits are committed", || {
        let listed = case.network.run(&["records", "list", "--patient", &case.patient]);
        let count = listed["records"].as_array().unwrap().len();
        if count >= visits { Ok(()) } else { Err(count) }
    });
    let out = case.network.file("own");
    let get = ["records", "get", "--as", PATIENT, "--patient", &case.patient, "--own-key", "--all"];
    case.network.run(&[&get[..], &["--out", out.to_str().unwrap()]].concat());
    let records: Vec<_> = fs::read_dir(out).unwrap().map(|record| record.unwrap()).collect();
    assert!(records.len() >= visits, "{records:?}");
    for record in records {
        let files = fs::read_dir(record.path()).unwrap().map(|file| file.unwrap().path());
        let texts: Vec<_> = files.filter(|file| file.extension() == Some("txt".as_ref())).collect();
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert_eq!(fs::read_to_string(&texts[0]).unwrap(), NOTE);
    }
}

#[test]
fn a_node_that_lies_changes_nothing_that_is_signed_sent_or_disclosed() {
    let case = Case::begin();
    let lane = |name: &str| Lane::new(&case.network, name);
    let visits = AtomicUsize::new(1);
    thread::scope(|scope| {
        scope.spawn(|| {
            let lane = lane("asking");
            let truth = Mutex::new(None);
            nothing_else_is_signed(&lane, &case.ask(), change, |transaction, what| {
                let (signed, expires) = asked(&case, transaction);
                let mut truth = truth.lock().unwrap();
                let (known, first) = truth.get_or_insert_with(|| asked(&case, transaction));
                assert_eq!(signed, *known, "{what}");
                assert_eq!(signed.terms, TERMS, "{what}");
                assert!(expires.abs_diff(*first) < BLOCKS, "{what}: {expires}, {first}");
            });
            nothing_is_signed_by_an_old_head(&case, &lane);
        });
        scope.spawn(|| {
            let lane = lane("accepting");
            let truth = Mutex::new(None);
            for lie in [change as fn(&mut Value), erase] {
                nothing_else_is_signed(&lane, &case.accept(), lie, |transaction, what| {
                    let signed = accepted(&case, &lane, transaction);
                    let is_whole = (signed.until, signed.granted.len()) == (case.until.0, 1);
                    assert!(is_whole, "{what}: {signed:?}");
                    let mut truth = truth.lock().unwrap();
                    let known = truth.get_or_insert_with(|| accepted(&case, &lane, transaction));
                    assert_eq!(signed, *known, "{what}");
                });
            }
        });
        scope.spawn(|| {
            let lane = lane("disclosing");
            nothing_else_is_disclosed(&case, &lane);
            nothing_is_signed_without_proofs(&case, &lane);
        });
        scope.spawn(|| {
            let submitted = nothing_else_is_submitted(&case, &lane("submitting"));
            visits.fetch_add(submitted, Ordering::SeqCst);
        });
    });
    the_chain_has_what_was_submitted(&case, visits.into_inner());
}
