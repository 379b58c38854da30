//! A node that lies to `epione`, on a real network with the program itself: a proxy between both changes answers, holds
//! them back, or repeats old ones.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    fs,
    io::Read,
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use epione_envelope::development;
use network::{
    Network, epione, eventually,
    proxy::{Proxy, result},
    stderr,
};
use serde_json::{Value, json};

const DOCTOR: &str = "//Doctor";
const PATIENT: &str = "//Patient";
/// No command needs as many answers.
const MANY: usize = 400;
/// A node that does not answer is given up after 20 s.
const PATIENCE: Duration = Duration::from_secs(120);

/// A network with a record that a doctor has read, and a proxy of its node.
struct Case {
    network: Network,
    proxy: Proxy,
    patient: String,
}

impl Case {
    fn begin() -> Self {
        let network = Network::of(1);
        let patient = network.register("patient", PATIENT);
        let doctor = network.register("doctor", DOCTOR);
        network.relate(&patient, &doctor);
        let proxy = Proxy::of(&network.state().unwrap().hospitals[0].node_url);
        let case = Self { network, proxy, patient };
        case.visit();
        case
    }

    /// Submits a visit, waits until it is committed, and reads it.
    fn visit(&self) {
        let note = self.network.write("note.txt", "blood pressure 162/98");
        let (text, out) = (format!("report={}", note.display()), self.network.file("read"));
        let whose = ["--as", DOCTOR, "--patient", &self.patient];
        let visit = ["--hospital", "0", "--text", &text, "--wait"];
        self.network.run(&[&["visit", "submit"], &whose[..], &visit].concat());
        let out = ["--all", "--out", out.to_str().unwrap()];
        self.network.run(&[&["records", "get"], &whose[..], &out].concat());
    }

    /// A command that reaches the node through the proxy.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = epione();
        command.arg("--json").arg("--devnet").arg(self.network.path());
        command.args(["--node", &self.proxy.url()]).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What the commands know of the chain from earlier runs is lost.
    fn forget(&self) {
        let _ = fs::remove_dir_all(self.network.path().join("data/heads"));
    }
}

fn shown(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The failure that a command printed. It shows nothing else, and has not panicked.
fn refusal(output: &Output, what: &str) -> String {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{what}: {output:?}");
    assert!(output.stdout.is_empty(), "{what}: {output:?}");
    let failure: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert!(!failure["help"].as_str().unwrap().is_empty(), "{what}: {failure}");
    failure["error"].as_str().unwrap().to_owned()
}

#[test]
fn a_node_that_changes_an_answer_is_refused_or_changes_nothing() {
    let case = Case::begin();
    let who_looked = ["audit", "who-looked", "--as", PATIENT, "--refused"];
    for lie in [change, erase, refuse] {
        each_answer_is_changed(&case, &who_looked, lie);
    }
    for command in [
        &["records", "list", "--patient", &case.patient][..],
        &["hospital", "list"],
        &["policy", "show", "--hospital", "0"],
        &["block", "show", "1"],
        &["block", "verify", "1"],
    ] {
        each_answer_is_changed(&case, command, change);
    }
    answers_that_are_held_back_end_a_command_in_time(&case);
    an_old_head_is_refused(&case);
}

/// Runs a command once for each answer of its node, of which that one is changed.
fn each_answer_is_changed(case: &Case, command: &[&str], lie: fn(&mut Value)) {
    case.forget();
    case.proxy.honest();
    let honest = case.run(command);
    assert!(honest.status.success(), "{command:?}: {}", stderr(&honest));
    let truth = shown(&honest);
    let mut refused = 0;
    for number in 0..MANY {
        case.forget();
        case.proxy.changing(number, lie);
        let output = case.run(command);
        let Some(method) = case.proxy.changed() else {
            // The proofs at least were refused.
            assert!(number > 5 && refused > 2, "{command:?}: {refused} of {number} were refused");
            return;
        };
        let what = format!("{command:?}, answer {number} to {method}");
        match output.status.success() {
            true => assert_eq!(shown(&output), truth, "{what}"),
            false => {
                refusal(&output, &what);
                refused += 1;
            }
        }
    }
    panic!("{command:?} needs more than {MANY} answers");
}

/// Changes one character of the longest text, or a number.
fn change(message: &mut Value) {
    if let Some(result) = result(message) {
        change_value(result);
    }
}

fn change_value(value: &mut Value) {
    match value {
        Value::Null => *value = json!("0x00"),
        Value::Bool(truth) => *truth = !*truth,
        Value::Number(number) => {
            let more = number.as_u64().unwrap_or_default() + 1;
            *value = json!(more);
        }
        Value::String(text) => *text = changed(text),
        Value::Array(items) => match items.iter_mut().max_by_key(|item| item.to_string().len()) {
            Some(longest) => change_value(longest),
            None => items.push(json!("0x00")),
        },
        Value::Object(members) => {
            let longest = members.values_mut().max_by_key(|member| member.to_string().len());
            longest.into_iter().for_each(change_value);
        }
    }
}

fn changed(text: &str) -> String {
    let at = text.chars().count() * 2 / 3;
    let other = |c| if c == '1' { '2' } else { '1' };
    text.chars().enumerate().map(|(index, c)| if index == at { other(c) } else { c }).collect()
}

/// The node says that there is nothing.
fn erase(message: &mut Value) {
    if let Some(result) = result(message) {
        *result = Value::Null;
    }
}

/// The node refuses the request.
fn refuse(message: &mut Value) {
    let Some(message) = message.as_object_mut() else { return };
    if message.remove("result").is_some() {
        message.insert("error".into(), json!({ "code": -32_000, "message": "not today" }));
    }
}

fn answers_that_are_held_back_end_a_command_in_time(case: &Case) {
    for held in ["chain_getFinalizedHead", "state_getReadProof"] {
        case.proxy.with(move |method, _| method != held);
        let begun = Instant::now();
        let said = refusal(&case.run(&["hospital", "list"]), held);
        assert!(said.contains("no node answers at"), "{held}: {said}");
        assert!(begun.elapsed() < PATIENCE, "{held}: {:?}", begun.elapsed());
    }
    case.proxy.honest();
}

/// The node presents as its newest final block one that is older than what the client has verified.
fn an_old_head_is_refused(case: &Case) {
    const HEAD: &str = "chain_getFinalizedHead";
    let old: Arc<Mutex<Option<Value>>> = Arc::default();
    let (newest, first) = (Arc::new(Mutex::new(Value::Null)), Arc::clone(&old));
    let seen = Arc::clone(&newest);
    case.proxy.with(move |method, message| {
        if method == HEAD {
            let head = message["result"].clone();
            first.lock().unwrap().get_or_insert_with(|| head.clone());
            *seen.lock().unwrap() = head;
        }
        true
    });
    eventually("the client has verified a later block", || {
        let output = case.run(&["hospital", "list"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let (old, newest) = (old.lock().unwrap().clone(), newest.lock().unwrap().clone());
        if old.as_ref() == Some(&newest) { Err(newest) } else { Ok(()) }
    });
    let old = old.lock().unwrap().clone().unwrap();
    case.proxy.with(move |method, message| {
        if method == HEAD {
            message["result"] = old.clone();
        }
        true
    });
    let said = refusal(&case.run(&["hospital", "list"]), "an old head");
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
    let hospital = case.network.state().unwrap().hospitals.remove(0);
    let real = hospital.worker_url.trim_end_matches('/');
    let trap = Trap::instead_of(real);
    let note = case.network.write("other.txt", "what nobody else may read");
    let text = format!("report={}", note.display());
    let visit = ["visit", "submit", "--as", DOCTOR, "--patient", &case.patient];
    let visit = [&visit[..], &["--hospital", "0", "--text", &text, "--again"]].concat();

    let replaced = replacing(&case.proxy, real.as_bytes(), trap.url.as_bytes());
    let said = refusal(&case.run(&visit), "another worker");
    assert!(said.contains("not proven"), "{said}");
    assert!(replaced.load(Ordering::SeqCst) > 0, "the address was not in the node's answers");
    assert_eq!(trap.connections(), 0);

    let key = development::tls_key(&hospital.governance).unwrap().public();
    let replaced = replacing(&case.proxy, &key, &[7; 32]);
    let said = refusal(&case.run(&visit), "another TLS key");
    assert!(said.contains("not proven"), "{said}");
    assert!(replaced.load(Ordering::SeqCst) > 0, "the key was not in the node's answers");

    // Who trusts the node is deceived: so the proxy does what the test is about.
    replacing(&case.proxy, real.as_bytes(), trap.url.as_bytes());
    let mut trusting = case.command(&visit);
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
