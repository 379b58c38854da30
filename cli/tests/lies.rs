//! A node or a worker that lies to `epione`, on a real network with the program itself: a proxy between both changes
//! answers, holds them back, or repeats old ones.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    collections::{BTreeSet, VecDeque},
    fs,
    io::Read,
    net::TcpListener,
    path::Path,
    process::{Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::CommandFactory;
use codec::Encode;
use epione_cli::Cli;
use epione_envelope::{development, grant::AccessGrant, keys::ContentKey};
use network::{
    Network, epione, eventually,
    lane::{Lane, OUT, refusal, shown},
    lie::{change, erase, refuse},
    proxy::Proxy,
    reading::{Answers, COMMANDS, Reading, commands},
    stderr,
    worker::WorkerProxy,
};
use serde_json::{Value, json};

const DOCTOR: &str = "//Doctor";
const PATIENT: &str = "//Patient";
/// No command needs as many answers.
const MANY: usize = 400;
/// A node that does not answer is given up after 20 s.
const PATIENCE: Duration = Duration::from_secs(120);
/// Commands that run at the same time. Some of them only wait.
const LANES: usize = 3;

#[test]
fn every_command_is_lied_to_or_has_a_reason_why_not() {
    let mut found = BTreeSet::new();
    commands(&Cli::command(), "", &mut found);
    let listed: BTreeSet<String> = COMMANDS.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(listed, found);
    assert_eq!(listed.len(), COMMANDS.len());
    for (path, answers) in COMMANDS {
        assert!(!matches!(answers, Answers::Left("")), "{path} needs a reason");
    }
}

/// A network with a patient and the patient's doctor.
struct Case {
    network: Network,
    patient: String,
    doctor: String,
}

impl Case {
    fn begin() -> Self {
        let network = Network::of(1);
        let [patient, doctor] = network.register_related(PATIENT, DOCTOR);
        Self { network, patient, doctor }
    }

    /// Submits a visit, and waits until it is committed; returns its id.
    fn visit(&self, text: &str, more: &[&str]) -> String {
        let note = self.network.write("note.txt", text);
        let text = format!("report={}", note.display());
        let whose = ["visit", "submit", "--as", DOCTOR, "--patient", &self.patient];
        let visit = ["--hospital", "0", "--text", &text, "--wait"];
        let submitted = self.network.run(&[&whose[..], &visit, more].concat());
        submitted["recordId"].as_str().unwrap().to_owned()
    }

    /// The doctor reads a record into this folder. A later request for the same record gets the same grant.
    fn get<'a>(&'a self, record: &'a str, out: &'a str) -> Vec<&'a str> {
        let whose = ["records", "get", "--as", DOCTOR, "--patient", &self.patient];
        [&whose[..], &["--pointer", record, "--out", out]].concat()
    }

    /// Reads a record; returns the chain block of the receipt.
    fn read(&self, record: &str, more: &[&str]) -> String {
        let out = self.network.file(&format!("read-{}{}", record.replace('/', "-"), more.len()));
        let read = self.network.run(&[&self.get(record, out.to_str().unwrap())[..], more].concat());
        read["receipts"][0]["block"].to_string()
    }

    /// Runs a command that sends a call. Waits while the user's quota is used up.
    fn send(&self, words: &[&str]) {
        eventually("the user's quota suffices", || match self.network.try_run(words) {
            Err(failure) if failure.to_string().contains("try again in half a minute") => {
                Err(failure)
            }
            sent => {
                sent.unwrap_or_else(|failure| panic!("{words:?}: {failure}"));
                Ok(())
            }
        });
    }

    /// Adds to the policies of the hospital that its doctors may break the glass; returns the file with all policies.
    fn permit_emergencies(&self) -> String {
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/policies");
        let emergency = fs::read_to_string(samples.join("5-emergency.toml")).unwrap();
        let shown = self.network.run(&["policy", "show", "--hospital", "0"]);
        let policies = format!("{}\n{emergency}", shown["toml"].as_str().unwrap());
        let file = self.network.write("policies.toml", policies).display().to_string();
        self.network.run(&["policy", "set", &file, "--hospital", "0"]);
        file
    }
}

type Job<'a> = Box<dyn FnOnce(&Lane) + Send + 'a>;

#[test]
fn a_node_or_a_worker_that_lies_is_refused_or_changes_nothing() {
    let case = Case::begin();
    let policies = case.permit_emergencies();
    let visit = case.visit("blood pressure 162/98", &[]);
    let scan = case.network.write("scan.bin", vec![7; 100_000]).display().to_string();
    case.visit("no fracture", &["--media", &scan]);
    let block = case.read("1/0", &[]);
    case.read("2/0", &[]);
    case.read("1/0", &["--emergency", "life-threatening"]);
    let ask = ["query", "ask", "--as", DOCTOR, "--patient", &case.patient, "--record", "1/0"];
    let why = ["--purpose", "research", "--terms", "a study of hypertension", "--expires", "7d"];
    let ask = [&ask[..], &why].concat();
    case.send(&ask);
    case.send(&ask);
    case.send(&["query", "accept", "1", "--as", PATIENT, "--for", "7d", "--yes"]);
    let collected = case.network.file("collected").display().to_string();
    case.network.run(&["query", "collect", "1", "--as", DOCTOR, "--out", &collected]);
    let issue = ["credential", "issue", "--user", &case.doctor, "--hospital", "0"];
    case.network.run(&[&issue[..], &["--attribute", "cardiology", "--for", "30d"]].concat());
    let give =
        ["consent", "give", "--as", PATIENT, "--role", "researcher", "--purpose", "research"];
    let what = ["--kind", "report", "--slot", "0", "--for", "30d", "--yes"];
    case.send(&[&give[..], &what].concat());
    let copy = case.network.file("lite.sqlite").display().to_string();
    case.network.run(&["lite", "sync", "--file", &copy]);
    let readings = readings(&case, [&policies, &visit, &block, &copy]);
    let lied_to: BTreeSet<&str> = readings.iter().map(Reading::path).collect();
    let to_lie_to = COMMANDS.iter().filter(|(_, answers)| matches!(answers, Answers::Changed));
    assert_eq!(lied_to, to_lie_to.map(|(path, _)| *path).collect::<BTreeSet<_>>());

    let looked = who_looked();
    let looked = &looked;
    // Those that wait longest come first.
    let mut jobs: VecDeque<Job<'_>> = VecDeque::new();
    jobs.push_back(Box::new(|lane: &Lane| a_worker_that_lies_is_refused(&case, lane)));
    for held in ["chain_getFinalizedHead", "state_getReadProof"] {
        jobs.push_back(Box::new(move |lane: &Lane| {
            answers_that_are_held_back_end_a_command(lane, held)
        }));
    }
    for reading in &readings {
        jobs.push_back(Box::new(move |lane: &Lane| each_answer_is_changed(lane, reading, change)));
    }
    for lie in [erase as fn(&mut Value), refuse] {
        jobs.push_back(Box::new(move |lane: &Lane| each_answer_is_changed(lane, looked, lie)));
    }
    jobs.push_back(Box::new(an_old_head_is_refused));
    let jobs = Mutex::new(jobs);
    thread::scope(|scope| {
        for number in 0..LANES {
            let lane = Lane::new(&case.network, &format!("lane-{number}"));
            let next = || jobs.lock().unwrap().pop_front();
            scope.spawn(move || {
                while let Some(job) = next() {
                    job(&lane);
                }
            });
        }
    });
}

fn who_looked() -> Reading {
    Reading::of(&["audit", "who-looked", "--as", PATIENT, "--refused"])
        .varying(&["/looks/0/review/blocksLeft"])
}

/// The commands that read. Records, looks and grants stay as they are meanwhile.
fn readings(case: &Case, [policies, visit, block, copy]: [&str; 4]) -> Vec<Reading> {
    let Case { patient, doctor, .. } = case;
    let explain = ["policy", "explain", "--requester", doctor, "--patient", patient];
    let explain = [&explain[..], &["--hospital", "0", "--action", "read-text"]].concat();
    vec![
        Reading::of(&case.get("1/0", OUT)).reporting(&["failed", "receiptsFailure"]),
        who_looked(),
        Reading::of(&["audit", "reviews"]).varying(&["/reviews/0/blocksLeft"]),
        Reading::of(&["block", "show", "1"]),
        Reading::of(&["block", "verify", "1"]),
        Reading::of(&["consortium", "key", "history"]),
        Reading::of(&["consortium", "key", "status"]).varying(&["/block"]),
        Reading::of(&["council", "list"]).varying(&["/block"]),
        Reading::of(&["credential", "attributes"]),
        Reading::of(&["credential", "list", "--user", doctor]),
        Reading::of(&["discover", "--as", DOCTOR, "--kind", "report", "--purpose", "research"])
            .reporting(&["unanswered"]),
        Reading::of(&["consent", "export", "--patient", patient, "--slot", "0"]),
        Reading::of(&["consent", "history", "--patient", patient, "--slot", "0"]),
        Reading::of(&["consent", "list", "--patient", patient]),
        Reading::of(&["consent", "show", "--as", PATIENT, "--slot", "0"]),
        Reading::of(&["section", "history"]),
        Reading::of(&["section", "list", "--patient", patient, "--slot", "0"]),
        Reading::of(&[
            "section", "share", "--as", PATIENT, "--record", "1/0", "--slot", "0", "--yes",
        ]),
        Reading::of(&["hospital", "list"]),
        Reading::of(&["hospital", "consent", "--as", DOCTOR, "--hospital", "7", "--duty", "agent"])
            .varying(&["/until", "/consent"]),
        Reading::of(&["lite", "sync", "--as", PATIENT])
            .varying(&["/block"])
            .reporting(&["failed", "records"]),
        Reading::of(&["lite", "verify", "--file", copy])
            .varying(&["/compared/block"])
            .reporting(&["passed", "wrong", "notCompared"]),
        Reading::of(&["mandate", "list", "--as", PATIENT]),
        Reading::of(&["name", "list"]),
        Reading::of(&["name", "set", "ada", "--keys", DOCTOR]),
        Reading::of(&["opening", "list", "--patient", patient]),
        Reading::of(&[&explain[..], &["--at-block", block]].concat()),
        Reading::of(&["policy", "set", policies, "--hospital", "0"]),
        Reading::of(&["policy", "show", "--hospital", "0"]),
        Reading::of(&["query", "collect", "1", "--as", DOCTOR, "--out", OUT])
            .reporting(&["failed", "receiptsFailure"]),
        Reading::of(&["query", "inbox", "--as", PATIENT]),
        Reading::of(&["query", "inbox", "--as", PATIENT, "--all"]),
        Reading::of(&["query", "sent", "--as", DOCTOR]),
        Reading::of(&["query", "show", "0", "--as", PATIENT]).reporting(&["unopened"]),
        Reading::of(&["records", "list", "--patient", patient]).reporting(&["failed"]),
        Reading::of(&["user", "consent", "--as", PATIENT, "--hospital", "0"])
            .varying(&["/consent"]),
        Reading::of(&["user", "list"]),
        Reading::of(&["user", "recovery", doctor]),
        Reading::of(&["user", "show", doctor]),
        Reading::of(&["visit", "status", visit, "--as", DOCTOR, "--hospital", "0"]),
    ]
}

/// Runs a command once for each different answer of its node, of which that one is changed.
fn each_answer_is_changed(lane: &Lane, reading: &Reading, lie: fn(&mut Value)) {
    let words = &reading.words;
    lane.forget();
    lane.proxy.honest();
    let honest = lane.run(words);
    assert!(honest.status.success(), "{words:?}: {}", stderr(&honest));
    let truth = reading.shown(&honest);
    let mut refused = 0;
    for number in 0..MANY {
        lane.forget();
        lane.proxy.changing(number, lie);
        let output = lane.run(words);
        let Some(method) = lane.proxy.changed() else {
            // The hash of the first block, its header and the proof of its authorities at least were refused.
            assert!(refused > 2, "{words:?}: {refused} of {number} were refused");
            return;
        };
        let what = format!("{words:?}, answer {number} to {method}");
        if output.status.success() {
            assert_eq!(reading.shown(&output), truth, "{what}");
            continue;
        }
        reading.check_failure(&output, &truth, &what);
        assert!(!output.stdout.is_empty() || !lane.has_read("1/0"), "{what}");
        refused += 1;
    }
    panic!("{words:?} needs more than {MANY} answers");
}

/// A worker has the keys to sign grants. It sends other bytes, a grant for another record, and one that it did not put
/// on the chain.
fn a_worker_that_lies_is_refused(case: &Case, lane: &Lane) {
    const GRANTS: &str = "/v1/grants";
    lane.proxy.honest();
    let hospital = case.network.state().unwrap().hospitals.remove(0);
    let worker = WorkerProxy::of(&hospital);
    let get = |record| {
        lane.forget();
        let get = case.get(record, OUT);
        lane.run(&[&get[..], &["--worker", worker.url()]].concat())
    };
    let refused = |what: &str, said: &str| {
        let error = refusal(&get("2/0"), what);
        assert!(error.contains(said), "{what}: {error}");
        assert!(!lane.has_read("2/0"), "{what}");
    };
    let granted = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&granted);
    worker.with(move |path, body| {
        if path == GRANTS {
            *seen.lock().unwrap() = body.clone();
        }
    });
    // So the proxy does what the test is about.
    for record in ["2/0", "1/0"] {
        let read = get(record);
        assert!(read.status.success() && lane.has_read(record), "{record}: {}", stderr(&read));
    }
    let of_another_record = granted.lock().unwrap().clone();

    worker.with(|path, body| {
        if path.starts_with("/v1/segments/") {
            let middle = body.len() / 2;
            body[middle] ^= 1;
        }
    });
    refused("a segment with another byte", "wrong bytes");
    worker.with(move |path, body| {
        if path == GRANTS {
            *body = of_another_record.clone();
        }
    });
    refused("a grant for another record", "of record 1/0, which was not requested");
    worker.with(|path, body| {
        if path == GRANTS {
            replace_grant(body, |grant| {
                let middle = grant.len() / 2;
                grant[middle] ^= 1;
            });
        }
    });
    refused("a grant with another byte", "");
    worker.with(move |path, body| {
        if path == GRANTS {
            replace_grant(body, |grant| *grant = granted_again(grant, &hospital.agent));
        }
    });
    refused("a grant without a receipt", "has no receipt of grant");
}

/// Changes the grant in a worker's answer.
fn replace_grant(body: &mut Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) {
    let mut reply: Value = serde_json::from_slice(body).unwrap();
    let mut grant = BASE64_STANDARD.decode(reply["grant"].as_str().unwrap()).unwrap();
    change(&mut grant);
    reply["grant"] = json!(BASE64_STANDARD.encode(grant));
    *body = reply.to_string().into_bytes();
}

/// A grant on the same terms, with other keys, which the hospital's agent has signed.
fn granted_again(grant: &[u8], agent: &str) -> Vec<u8> {
    let grant = AccessGrant::decode_exactly(grant).unwrap();
    let keys: Vec<_> =
        grant.sections().iter().map(|section| (*section, ContentKey::generate())).collect();
    let doctor = development::keys(DOCTOR).unwrap();
    let agent = development::keys(agent).unwrap();
    let terms = grant.terms().clone();
    AccessGrant::seal(terms, &keys, doctor.sealing.public(), &agent).unwrap().encode()
}

/// A command whose node holds an answer back ends in time.
fn answers_that_are_held_back_end_a_command(lane: &Lane, held: &'static str) {
    lane.forget();
    lane.proxy.with(move |method, _| method != held);
    let begun = Instant::now();
    let said = refusal(&lane.run(&["hospital", "list"]), held);
    assert!(said.contains("no node answers at"), "{held}: {said}");
    assert!(begun.elapsed() < PATIENCE, "{held}: {:?}", begun.elapsed());
}

/// The node presents as its newest final block one that is older than what the client has verified.
fn an_old_head_is_refused(lane: &Lane) {
    const HEAD: &str = "chain_getFinalizedHead";
    let old: Arc<Mutex<Option<Value>>> = Arc::default();
    let (newest, first) = (Arc::new(Mutex::new(Value::Null)), Arc::clone(&old));
    let seen = Arc::clone(&newest);
    lane.proxy.with(move |method, message| {
        if method == HEAD {
            let head = message["result"].clone();
            first.lock().unwrap().get_or_insert_with(|| head.clone());
            *seen.lock().unwrap() = head;
        }
        true
    });
    eventually("the client has verified a later block", || {
        let output = lane.run(&["hospital", "list"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let (old, newest) = (old.lock().unwrap().clone(), newest.lock().unwrap().clone());
        if old.as_ref() == Some(&newest) { Err(newest) } else { Ok(()) }
    });
    let old = old.lock().unwrap().clone().unwrap();
    lane.proxy.with(move |method, message| {
        if method == HEAD {
            message["result"] = old.clone();
        }
        true
    });
    let said = refusal(&lane.run(&["hospital", "list"]), "an old head");
    assert!(said.contains("was final earlier"), "{said}");
}

/// A worker's address to which nothing may be sent. Counts the connections.
struct Trap {
    url: String,
    connections: Arc<AtomicUsize>,
}

impl Trap {
    /// With an address as long as the real one, so that only its value differs in the answers of a node.
    fn instead_of(worker_url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        assert_eq!(url.len(), worker_url.trim_end_matches('/').len(), "{url}, {worker_url}");
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
                // It hangs up after the first bytes.
                let _ = stream.read(&mut [0; 64]);
            }
        });
        Self { url, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Replaces bytes in everything that the node answers; counts how often.
fn replacing(proxy: &Proxy, real: &[u8], other: &[u8]) -> Arc<AtomicUsize> {
    let (real, other) = (hex::encode(real), hex::encode(other));
    let replaced = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&replaced);
    proxy.with(move |_, message| {
        let text = message.to_string();
        if text.contains(&real) {
            count.fetch_add(1, Ordering::SeqCst);
            *message = serde_json::from_str(&text.replace(&real, &other)).unwrap();
        }
        true
    });
    replaced
}

#[test]
fn a_visit_is_not_sent_to_a_worker_that_the_chain_does_not_name() {
    let case = Case::begin();
    case.visit("blood pressure 162/98", &[]);
    let lane = Lane::new(&case.network, "lane");
    let hospital = case.network.state().unwrap().hospitals.remove(0);
    let real = hospital.worker_url.trim_end_matches('/');
    let trap = Trap::instead_of(real);
    let note = case.network.write("other.txt", "what nobody else may read");
    let text = format!("report={}", note.display());
    let visit = ["visit", "submit", "--as", DOCTOR, "--patient", &case.patient];
    let visit = [&visit[..], &["--hospital", "0", "--text", &text, "--again"]].concat();

    let replaced = replacing(&lane.proxy, real.as_bytes(), trap.url.as_bytes());
    let said = refusal(&lane.run(&visit), "another worker");
    assert!(said.contains("not proven"), "{said}");
    assert!(replaced.load(Ordering::SeqCst) > 0, "the address was not in the node's answers");
    assert_eq!(trap.connections(), 0);

    let key = development::tls_key(&hospital.governance).unwrap().public();
    let replaced = replacing(&lane.proxy, &key, &[7; 32]);
    let said = refusal(&lane.run(&visit), "another TLS key");
    assert!(said.contains("not proven"), "{said}");
    assert!(replaced.load(Ordering::SeqCst) > 0, "the key was not in the node's answers");

    // Who trusts the node is deceived: so the proxy does what the test is about.
    replacing(&lane.proxy, real.as_bytes(), trap.url.as_bytes());
    let mut trusting = lane.command(&visit);
    trusting.arg("--trust-node").stdout(Stdio::null()).stderr(Stdio::null());
    let mut trusting = trusting.spawn().unwrap();
    eventually("the trap is connected", || match trap.connections() {
        0 => Err(trusting.try_wait().unwrap()),
        _ => Ok(()),
    });
    trusting.kill().unwrap();
    trusting.wait().unwrap();
}

/// A command of a user who has no devnet's folder, and whose files are in `home`.
fn of_user(home: &Path, node: &str, arguments: &[&str]) -> Output {
    let mut command = epione();
    command.env("XDG_CONFIG_HOME", home.join("config")).env("XDG_STATE_HOME", home.join("state"));
    command.args(["--json", "--node", node]).args(arguments).output().unwrap()
}

#[test]
fn an_unknown_chain_is_believed_only_after_the_user_has_pinned_it() {
    let network = Network::of(1);
    let state = network.state().unwrap();
    let (node, genesis) = (&state.hospitals[0].node_url, format!("{:?}", state.genesis.unwrap()));
    let home = network.file("home");
    let run = |arguments: &[&str]| of_user(&home, node, arguments);
    let list = ["hospital", "list"];

    let refused = run(&list);
    let said = refusal(&refused, "an unknown chain");
    assert!(said.contains(&genesis), "{said}");
    let failure: Value = serde_json::from_str(stderr(&refused).lines().last().unwrap()).unwrap();
    let address = url::Url::parse(node).unwrap();
    let command = format!("epione chain pin {genesis} --node {address}");
    assert_eq!(failure["commands"], json!([command]));
    assert!(!home.join("config/epione/chains/pins.json").exists(), "nothing is pinned unasked");

    let other = format!("0x{}", "07".repeat(32));
    let said = refusal(&run(&["--genesis", &other, "hospital", "list"]), "another chain");
    assert!(said.contains(&genesis) && said.contains(&other), "{said}");
    assert!(run(&["--genesis", &genesis, "hospital", "list"]).status.success());
    refusal(&run(&list), "a hash that was given once");

    let trusting = run(&["--trust-node", "hospital", "list"]);
    assert!(trusting.status.success(), "{}", stderr(&trusting));
    let warned = stderr(&trusting);
    assert_eq!(warned.matches("without proof").count(), 1, "{warned}");

    // What the failure printed.
    assert!(run(&["chain", "pin", &genesis]).status.success());
    let listed = run(&list);
    assert!(listed.status.success(), "{}", stderr(&listed));
    assert_eq!(shown(&run(&["chain", "list"]))[0]["genesis"], json!(genesis));
    let heads = fs::read_dir(home.join("state/epione/heads")).unwrap();
    assert_eq!(
        heads.flatten().filter(|entry| entry.path().extension() == Some("json".as_ref())).count(),
        1
    );

    let said = refusal(&run(&["chain", "pin", &other]), "another pin");
    assert!(said.contains(&genesis), "{said}");
    assert!(run(&["chain", "unpin"]).status.success());
    assert!(run(&["chain", "pin", &other]).status.success());
    let said = refusal(&run(&list), "a pin of another chain");
    assert!(said.contains(&genesis) && said.contains(&other), "{said}");
}
