//! Hospitals found a chain, join it and leave it by commands alone, from empty folders, on real processes. No file is
//! edited, and no key is a development key.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    fs,
    path::{Path, PathBuf},
};

use codec::{Compact, Encode};
use epione_client::{
    Account,
    application::Application,
    chain::{Call, Chain},
};
use epione_devnet::{Binaries, Probe, Process, Reserved, reserve_ports};
use epione_envelope::keystore;
use epione_primitives::{Hash, HospitalId, hospital::Hospital};
use network::{
    Turn, eventually,
    place::{PASSWORD, Place, flags},
};
use serde_json::{Value, json};

const FOUNDERS: [&str; 4] = ["North", "South", "East", "West"];
/// Indices of `hospitals.admit` and `hospitals.remove`, which the runtime pins.
const ADMIT: [u8; 2] = [6, 0];
const REMOVE: [u8; 2] = [6, 3];
/// The weight that is declared for a motion's call.
const MOTION_WEIGHT: (Compact<u64>, Compact<u64>) = (Compact(300_000_000_000), Compact(4 << 20));

/// A hospital with its folder, and the processes that its files start.
struct Member {
    dir: PathBuf,
    node_url: String,
    operators: String,
    node: Process,
    worker: Process,
}

impl Member {
    fn word(&self) -> &str {
        self.dir.to_str().unwrap()
    }

    /// Starts the node anew, with the flags that the files have now.
    fn restart_node(&mut self, binaries: &Binaries) {
        self.node.stop().unwrap();
        self.node = node(&self.dir, binaries);
        self.node.start().unwrap();
    }

    fn governance(&self) -> Account {
        let keys = keystore::load(&self.dir.join("governance.json"), PASSWORD).unwrap();
        Account::from(&keys)
    }
}

fn node(dir: &Path, binaries: &Binaries) -> Process {
    let peers = dir.join("peers.env");
    let peers = if peers.exists() { flags(&peers) } else { Vec::new() };
    let flags = flags(&dir.join("node.env")).into_iter().chain(peers).collect();
    Process::new("node", &binaries.node, flags, &dir.with_extension("node.log"))
}

/// The hospitals of one test.
struct Consortium {
    place: Place,
    binaries: Binaries,
    members: Vec<Member>,
    runtime: tokio::runtime::Runtime,
    _reserved: Vec<Reserved>,
    _turn: Turn,
}

impl Consortium {
    /// Five hospitals with keys and settings, of which none runs.
    fn init() -> Self {
        let (turn, place) = (Turn::alone(), Place::new());
        let binaries = Binaries::find(None).unwrap();
        // Two rows of ports for each hospital: its node serves metrics, too.
        let (ports, reserved) = reserve_ports(10, None).unwrap();
        let names = FOUNDERS.iter().copied().chain(["Fifth"]);
        let members = names.zip(ports.chunks_exact(2)).map(|(name, ports)| {
            let (own, more) = (ports[0], ports[1]);
            let peers = format!("/ip4/127.0.0.1/tcp/{}", own.peers);
            let (rpc, metrics) = (own.rpc.to_string(), more.peers.to_string());
            let listen = format!("127.0.0.1:{}", own.worker);
            let operators = format!("127.0.0.1:{}", own.operators);
            let url = format!("https://{listen}");
            let addresses =
                ["--node-address", &peers, "--node-listen", &peers, "--listen", &listen];
            let more = ["--operators-listen", &operators, "--rpc-port", &rpc];
            let last = ["--node-metrics-port", &metrics];
            place.init(name, &url, &[&addresses[..], &more, &last].concat());
            let dir = place.path(name);
            let config = format!("--config={}", dir.join("worker.toml").display());
            let log = dir.with_extension("worker.log");
            let arguments = vec!["run".into(), config];
            Member {
                node_url: format!("ws://127.0.0.1:{rpc}"),
                operators: format!("http://{operators}"),
                node: Process::new("node", &binaries.node, Vec::new(), &log),
                worker: Process::new("worker", &binaries.worker, arguments, &log),
                dir,
            }
        });
        let members = members.collect();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        Self { place, binaries, members, runtime, _reserved: reserved, _turn: turn }
    }

    /// Installs the chain at a hospital, and starts the node from its files.
    fn install(&mut self, member: usize, genesis: &str) {
        let chain = self.place.text("chain.json");
        let dir = self.members[member].word().to_owned();
        let install = ["hospital", "join", "--dir", &dir, "--chain", &chain, "--genesis", genesis];
        let installed = self.place.run(&install);
        assert_eq!(installed["stage"], "installed", "{installed}");
        self.members[member].restart_node(&self.binaries);
    }

    /// Joins until a hospital has reached one of these stages.
    fn reaches(&self, member: usize, stages: &[&str]) -> Value {
        let dir = self.members[member].word();
        let mut reached = Value::Null;
        eventually(&format!("hospital {member} is {stages:?}"), || {
            let join = ["hospital", "join", "--dir", dir, "--once", "--yes"];
            reached = self.place.try_run(&join)?;
            let stage = reached["stage"].as_str().unwrap();
            if stages.contains(&stage) { Ok(()) } else { Err(reached.clone()) }
        });
        reached
    }

    fn worker_is_ready(&self, member: usize) {
        let probe = Probe::new().unwrap();
        let operators = &self.members[member].operators;
        eventually(&format!("the worker of hospital {member} is ready"), || {
            let is_ready = self.runtime.block_on(probe.worker_is_ready(operators));
            if is_ready { Ok(()) } else { Err("it is not") }
        });
    }

    async fn submit(&self, member: usize, name: &'static str, arguments: Vec<u8>) {
        let member = &self.members[member];
        let chain = Chain::connect(&member.node_url).await.unwrap();
        let call = Call { pallet: "Council", name, arguments };
        chain.submit(&call, &member.governance()).await.unwrap();
    }

    /// A member proposes a motion.
    fn propose(&self, motion: &[u8], member: usize) {
        let length = Compact(u32::try_from(motion.len()).unwrap()).encode();
        let proposal = [&Compact(3_u32).encode()[..], motion, &length].concat();
        self.runtime.block_on(self.submit(member, "propose", proposal));
    }

    /// These members vote for a motion, and the first of them closes it.
    fn decide(&self, index: u32, motion: &[u8], voters: [usize; 3]) {
        let length = Compact(u32::try_from(motion.len()).unwrap()).encode();
        let hash = Hash::from(sp_crypto_hashing::blake2_256(motion));
        let closed = [(hash, Compact(index), MOTION_WEIGHT).encode(), length].concat();
        self.runtime.block_on(async {
            for voter in voters {
                self.submit(voter, "vote", (hash, Compact(index), true).encode()).await;
            }
            self.submit(voters[0], "close", closed).await;
        });
    }

    /// A hospital's entry on the chain, as its own node says.
    fn entry(&self, member: usize) -> Hospital {
        let id = HospitalId(u16::try_from(member).unwrap());
        self.runtime.block_on(async {
            let chain = Chain::connect(&self.members[member].node_url).await.unwrap();
            chain.finalized().await.unwrap().hospital(id).await.unwrap().unwrap()
        })
    }

    /// New keys of a hospital, of every kind, each with the steps that the command names.
    fn rotate_every_key(&mut self, member: usize) {
        let dir = self.members[member].word().to_owned();
        let rotate = |place: &Place, which: &str, more: &[&str]| {
            let words = ["hospital", "rotate", which, "--dir", &dir, "--yes"];
            place.run(&[&words[..], more].concat())
        };
        let before = self.entry(member);
        let session = rotate(&self.place, "session", &[]);
        let kept = session["keep"].as_array().unwrap();
        assert!(kept.len() == 2 && session["block"].is_u64(), "{session}");
        assert_eq!(fs::read_dir(self.members[member].dir.join("keystore")).unwrap().count(), 4);

        rotate(&self.place, "tls", &[]);
        assert_ne!(self.entry(member).tls_key, before.tls_key);
        let prepared = rotate(&self.place, "sealing", &[]);
        assert!(prepared.get("block").is_none(), "{prepared}");
        assert_eq!(self.entry(member).sealing_key, before.sealing_key);
        self.restart_worker(member);
        rotate(&self.place, "sealing", &[]);
        assert_ne!(self.entry(member).sealing_key, before.sealing_key);

        let agent = rotate(&self.place, "agent", &[]);
        assert!(agent["next"].as_str().unwrap().contains("rotate tls"), "{agent}");
        assert_ne!(self.entry(member).agent, before.agent);
        self.restart_worker(member);
        rotate(&self.place, "tls", &[]);

        let next = self.place.text("next-governance.json");
        rotate(&self.place, "governance", &["--to", &next]);
        assert_ne!(self.entry(member).governance, before.governance);
        let former = ["hospital", "rotate", "session", "--dir", &dir, "--yes"];
        self.place.refusal(&former);
        rotate(&self.place, "session", &["--as", &next]);
        self.worker_is_ready(member);
    }

    fn restart_worker(&mut self, member: usize) {
        self.members[member].worker.stop().unwrap();
        self.members[member].worker.start().unwrap();
        self.worker_is_ready(member);
    }

    /// A visit of a patient at the fifth hospital, which all hospitals store.
    fn visit_at_the_fifth(&self, genesis: &str) {
        let fifth = &self.members[4];
        let at = ["--node", &fifth.node_url, "--genesis", genesis];
        let governance = fifth.dir.join("governance.json");
        let governance = governance.to_str().unwrap();
        let person = |role: &str| {
            let keys = self.place.text(&format!("{role}.json"));
            self.place.run(&["keys", "new", "--out", &keys]);
            let who = ["user", "register", "--role", role, "--name", "Synthetic", "--keys", &keys];
            let by = ["--as", governance, "--hospital", "4"];
            let registered = self.place.run(&[&who[..], &by, &at].concat());
            registered["user"].as_str().unwrap().to_owned()
        };
        let (patient, doctor) = (person("patient"), person("doctor"));
        let who = ["relate", "--patient", &patient, "--professional", &doctor];
        let by = ["--as", governance, "--hospital", "4"];
        self.place.run(&[&who[..], &by, &at].concat());
        let note = self.place.path("note.txt");
        fs::write(&note, "blood pressure 124/81").unwrap();
        let (text, keys) = (format!("report={}", note.display()), self.place.text("doctor.json"));
        let who = ["visit", "submit", "--as", &keys, "--hospital", "4", "--patient", &patient];
        let submitted = self.place.run(&[&who[..], &["--text", &text, "--wait"], &at].concat());
        assert!(submitted["stage"]["committed"].is_object(), "{submitted}");
    }
}

/// The steps of the test, in their order.
impl Consortium {
    /// Each founder makes the chain; the order of the files does not matter. Returns the hash of the first block.
    fn assemble(&mut self) -> String {
        let applications: Vec<_> =
            FOUNDERS.iter().map(|name| self.place.application(name)).collect();
        let first = self.place.assemble("chain.json", &applications).unwrap();
        let turned: Vec<_> = applications.iter().rev().cloned().collect();
        let second = self.place.assemble("again.json", &turned).unwrap();
        assert_eq!(first["genesis"], second["genesis"]);
        assert_eq!(first["sha256"], second["sha256"]);
        let read = |name| fs::read(self.place.path(name)).unwrap();
        assert!(read("chain.json") == read("again.json"), "the files are equal, byte for byte");
        let hashes = self.place.run(&["genesis", "hash", &self.place.text("chain.json")]);
        assert_eq!(hashes["genesis"], first["genesis"]);
        self.order_by_number(first["founders"].as_array().unwrap());
        first["genesis"].as_str().unwrap().to_owned()
    }

    /// The order of the governance accounts gives the founders their numbers.
    fn order_by_number(&mut self, founders: &[Value]) {
        let number = |member: &Member| {
            let name = member.dir.file_name().unwrap().to_str().unwrap();
            founders.iter().position(|founder| founder["name"] == name)
        };
        // The fifth is no founder.
        self.members.sort_by_key(|member| number(member).unwrap_or(usize::MAX));
    }

    fn found(&mut self, genesis: &str) {
        self.install(0, genesis);
        // The node of one founder alone makes no block final.
        let starting = self.reaches(0, &["starting"]);
        assert!(starting.get("hospital").is_none() && starting["next"].is_string(), "{starting}");
        for member in 1..4 {
            self.install(member, genesis);
        }
        for member in 0..4 {
            let seated = self.reaches(member, &["seated"]);
            assert_eq!(seated["hospital"], json!(member), "{seated}");
            assert!(seated.get("differs").is_none() && seated.get("next").is_none(), "{seated}");
            self.members[member].worker.start().unwrap();
        }
        (0..4).for_each(|member| self.worker_is_ready(member));
    }

    /// The members accept the node of the fifth, one after the other; then it reads the chain and applies. Returns its
    /// application.
    fn fifth_applies(&mut self, genesis: &str) -> Application {
        let application = self.place.application("Fifth");
        for member in 0..4 {
            let dir = self.members[member].word().to_owned();
            let add = ["hospital", "peers", "add", "--dir", &dir, &application];
            let added = self.place.run(&add);
            let peers = added["peers"].as_array().unwrap().len();
            assert_eq!((&added["changed"], peers), (&json!(true), 4));
            self.members[member].restart_node(&self.binaries);
            self.reaches(member, &["seated"]);
        }
        self.install(4, genesis);
        let applying = self.reaches(4, &["applying"]);
        assert_eq!(
            (&applying["hospital"], &applying["application"]),
            (&json!(4), &json!(application))
        );
        let consents = fs::read(&application).unwrap();
        // A second run changes nothing: the consents are still valid.
        let again = self.reaches(4, &["applying"]);
        assert_eq!((&again["done"], &again["until"]), (&json!([]), &applying["until"]));
        assert_eq!(fs::read(&application).unwrap(), consents);
        Application::parse(&consents).unwrap()
    }

    /// The fifth sets its session keys, and its worker reports that it is ready. The session after the next one has its
    /// seat: that would take twenty minutes.
    fn fifth_joins(&mut self, application: &Application, genesis: &str) {
        let (governance, agent) = application.admitted_accounts().unwrap();
        let statement = application.statement();
        let about = (&statement.name, governance, agent, &statement.worker_url);
        let admit = (ADMIT, about, &statement.sealing_key, statement.tls_key).encode();
        let file = self.place.application("Fifth");
        let signer = self.members[0].dir.join("governance.json");
        let propose = ["council", "propose", "admit", "--application", &file, "--yes"];
        let by = ["--as", signer.to_str().unwrap(), "--node", &self.members[0].node_url];
        let proposed = self.place.run(&[&propose[..], &by, &["--genesis", genesis]].concat());
        assert_eq!(proposed["hash"], json!(Hash::from(sp_crypto_hashing::blake2_256(&admit))));
        self.decide(0, &admit, [0, 1, 2]);
        self.keys_that_the_node_lacks_are_not_set(4);

        let admitted = self.reaches(4, &["unready", "ready", "queued", "seated"]);
        assert_eq!(admitted["hospital"], 4, "{admitted}");
        assert!(admitted["done"].to_string().contains("session keys"), "{admitted}");
        self.members[4].worker.start().unwrap();
        self.reaches(4, &["ready", "queued", "seated"]);
        let seat = self.runtime.block_on(async {
            let chain = Chain::connect(&self.members[4].node_url).await.unwrap();
            chain.finalized().await.unwrap().seat(HospitalId(4)).await.unwrap()
        });
        assert_eq!((seat.keys, seat.unready), (Some(statement.session), false));
        self.worker_is_ready(4);
    }

    /// A hospital whose keystore was lost gets no seat that it could not fill.
    fn keys_that_the_node_lacks_are_not_set(&self, member: usize) {
        let dir = &self.members[member].dir;
        let (keystore, away) = (dir.join("keystore"), dir.join("away"));
        fs::rename(&keystore, &away).unwrap();
        let join = ["hospital", "join", "--dir", dir.to_str().unwrap(), "--once", "--yes"];
        eventually("a hospital without its session keys is told", || {
            match self.place.try_run(&join) {
                Err(refused) if refused.to_string().contains("make no blocks") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        fs::rename(&away, &keystore).unwrap();
    }

    /// The first leaves; the others remove it.
    fn first_leaves(&self, genesis: &str) {
        let dir = self.members[0].word();
        let unconfirmed = self.place.refusal(&["hospital", "leave", "--dir", dir]);
        assert!(unconfirmed.contains("--yes"), "{unconfirmed}");
        let left = self.place.run(&["hospital", "leave", "--dir", dir, "--yes"]);
        assert_eq!((&left["hospital"], &left["remaining"]), (&json!(0), &json!(4)), "{left}");
        self.first_becomes("leaving", 1, genesis);
        self.place.refusal(&["hospital", "leave", "--dir", dir, "--yes"]);
        let remove = (REMOVE, HospitalId(0)).encode();
        self.propose(&remove, 1);
        self.decide(1, &remove, [1, 2, 3]);
        self.first_becomes("removed", 4, genesis);
    }

    /// The first hospital has this status, as another one sees it.
    fn first_becomes(&self, status: &str, seen_by: usize, genesis: &str) {
        let node = &self.members[seen_by].node_url;
        eventually(&format!("hospital 0 is {status}"), || {
            let list =
                self.place.try_run(&["hospital", "list", "--node", node, "--genesis", genesis])?;
            if list["hospitals"][0]["status"] == status { Ok(()) } else { Err(list) }
        });
    }
}

impl Drop for Consortium {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for member in &self.members {
                for log in ["node.log", "worker.log"] {
                    let path = member.dir.with_extension(log);
                    eprintln!("{}:\n{}", path.display(), epione_devnet::tail(&path, 15));
                }
            }
        }
    }
}

#[test]
fn four_hospitals_found_a_chain_a_fifth_joins_and_the_first_leaves() {
    let mut consortium = Consortium::init();
    let genesis = consortium.assemble();
    consortium.found(&genesis);
    let application = consortium.fifth_applies(&genesis);
    consortium.fifth_joins(&application, &genesis);
    consortium.visit_at_the_fifth(&genesis);
    consortium.first_leaves(&genesis);
    consortium.rotate_every_key(1);
}
