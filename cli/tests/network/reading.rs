//! The commands of the program, and those of them to which a node lies.

use std::{collections::BTreeSet, process::Output};

use serde_json::Value;

use super::lane::{refusal, shown};

/// How the tests treat the answers of a node to a command.
pub enum Answers {
    /// Each is changed in turn.
    Changed,
    /// None is changed, because the command depends on none, or because each run would change the chain.
    Left(&'static str),
}

use Answers::{Changed, Left};

const NO_NODE: &str = "reads no node, only files of the user";
const DEVNET: &str = "is about the processes of a network on this machine, and proves nothing";
const SENDS: &str = "changes the chain by a call, after reads that other commands make, too";
const HELD: &str = "signs; `lies_to_senders.rs` changes each answer, and compares what is signed";
const OPENED: &str = "needs a key of several hospitals; `openings.rs` changes each answer";
const ASKS: &str = "has the hospital's worker change the chain; finds the worker as `visit status`";

/// Every command of the program. A new command that reads needs an entry in `readings` (`lies.rs`), too.
pub const COMMANDS: &[(&str, Answers)] = &[
    ("audit judge", Left(SENDS)),
    // Its reads have tests of their own, in epione-client's `evidence`.
    ("audit proof-chain", Left("proves records and queries as `disclose` proves a record")),
    ("audit reviews", Changed),
    ("audit who-looked", Changed),
    ("block show", Changed),
    ("block verify", Changed),
    ("chain accept-checkpoint", Left(NO_NODE)),
    // Its reads have tests of their own, in epione-client's `checkpoints`.
    ("chain checkpoint", Left("the operator's own node is believed, which the operator says")),
    ("chain forget-checkpoint", Left(NO_NODE)),
    ("chain list", Left(NO_NODE)),
    ("chain pin", Left(NO_NODE)),
    ("chain unpin", Left(NO_NODE)),
    ("completions", Left(NO_NODE)),
    ("consent export", Changed),
    ("consent give", Left(SENDS)),
    ("consent history", Changed),
    ("consent import", Left(SENDS)),
    ("consent list", Changed),
    ("consent show", Changed),
    ("consent withdraw", Left(SENDS)),
    ("consortium key history", Changed),
    ("consortium key refresh", Left(SENDS)),
    ("consortium key status", Changed),
    ("council apply-upgrade", Left(SENDS)),
    ("council close", Left(SENDS)),
    ("council complete-replacement", Left(SENDS)),
    ("council list", Changed),
    ("council object-to-replacement", Left(SENDS)),
    ("council propose admit", Left(SENDS)),
    ("council propose complete-recovery", Left(SENDS)),
    ("council propose consortium-key renew", Left(SENDS)),
    ("council propose consortium-key schedule", Left(SENDS)),
    ("council propose consortium-key seat", Left(SENDS)),
    ("council propose custodian appoint", Left(SENDS)),
    ("council propose custodian dismiss", Left(SENDS)),
    ("council propose disapprove", Left(SENDS)),
    ("council propose kill", Left(SENDS)),
    ("council propose name-attribute", Left(SENDS)),
    ("council propose note-stalled", Left(SENDS)),
    ("council propose reinstate", Left(SENDS)),
    ("council propose remark", Left(SENDS)),
    ("council propose remove", Left(SENDS)),
    ("council propose replace-governance", Left(SENDS)),
    ("council propose set-quotas", Left(SENDS)),
    ("council propose suspend", Left(SENDS)),
    ("council propose upgrade", Left(SENDS)),
    ("council show", Left("reads what `council list` reads")),
    ("council vote", Left(SENDS)),
    ("credential attributes", Changed),
    ("credential issue", Left(SENDS)),
    ("credential list", Changed),
    ("credential revoke", Left(SENDS)),
    ("devnet down", Left(DEVNET)),
    ("devnet status", Left(DEVNET)),
    ("devnet up", Left(DEVNET)),
    // Its reads have tests of their own, in epione-client's `record_proof` and `disclosure`, too.
    ("disclose", Left("takes minutes to refuse every answer; `lies_to_senders.rs` changes some")),
    ("discover", Changed),
    ("doctor", Left("runs the worker's program, and reports on the node that the worker uses")),
    ("genesis assemble", Left(NO_NODE)),
    ("genesis hash", Left(NO_NODE)),
    ("hospital consent", Changed),
    ("hospital init", Left(NO_NODE)),
    // The folder names the chain, and what it reads is proven from there, as in `hospital list`.
    ("hospital join", Left(SENDS)),
    ("hospital leave", Left(SENDS)),
    ("hospital list", Changed),
    ("hospital peers add", Left(NO_NODE)),
    ("hospital peers list", Left(NO_NODE)),
    ("hospital peers remove", Left(NO_NODE)),
    ("hospital ready", Left(SENDS)),
    ("hospital rotate agent", Left(SENDS)),
    ("hospital rotate governance", Left(SENDS)),
    ("hospital rotate sealing", Left(SENDS)),
    ("hospital rotate session", Left(SENDS)),
    ("hospital rotate tls", Left(SENDS)),
    ("hospital set-endpoint", Left(SENDS)),
    ("hospital set-sealing-key", Left(SENDS)),
    ("keys new", Left(NO_NODE)),
    ("keys renew-sealing", Left(NO_NODE)),
    ("keys show", Left(NO_NODE)),
    ("lite search", Left(NO_NODE)),
    ("lite status", Left(NO_NODE)),
    ("lite sync", Changed),
    ("lite verify", Changed),
    ("mandate appoint", Left(SENDS)),
    ("mandate authorize", Left(SENDS)),
    ("mandate dismiss", Left(SENDS)),
    ("mandate end-custody", Left(SENDS)),
    ("mandate entrust", Left(SENDS)),
    ("mandate list", Changed),
    ("mandate revoke", Left(SENDS)),
    ("name list", Changed),
    ("name remove", Left("reads only which chain it is, as `name list`")),
    ("name set", Changed),
    ("opening ask", Left(OPENED)),
    ("opening list", Changed),
    ("opening show", Left(OPENED)),
    ("policy check", Left(NO_NODE)),
    ("policy explain", Changed),
    // Of policies that are in force already: it sends nothing.
    ("policy set", Changed),
    ("policy show", Changed),
    ("query accept", Left(HELD)),
    ("query ask", Left(HELD)),
    // Of a query that was collected already: the worker does not change the chain again.
    ("query collect", Changed),
    ("query inbox", Changed),
    ("query refuse", Left(SENDS)),
    ("query sent", Changed),
    ("query show", Changed),
    ("query withdraw", Left(SENDS)),
    ("records get", Changed),
    ("records list", Changed),
    ("relate", Left(ASKS)),
    ("unrelate", Left(ASKS)),
    ("section history", Changed),
    ("section list", Changed),
    // Of sections that are in the slot already: it sends nothing.
    ("section share", Changed),
    ("section unshare", Left("is the same code as `section share`")),
    ("user confirm-keys", Left(ASKS)),
    ("user consent", Changed),
    ("user end", Left(ASKS)),
    ("user list", Changed),
    ("user recover complete", Left(ASKS)),
    ("user recover object", Left(SENDS)),
    ("user recover propose", Left(ASKS)),
    ("user recovery", Changed),
    ("user register", Left(ASKS)),
    ("user reinstate", Left(ASKS)),
    ("user rotate-keys", Left(SENDS)),
    ("user show", Changed),
    ("user suspend", Left(ASKS)),
    ("verify-disclosure", Left(NO_NODE)),
    ("verify-evidence", Left(NO_NODE)),
    ("visit status", Changed),
    ("visit submit", Left("has tests of its own, in `lies.rs` and `lies_to_senders.rs`")),
];

/// The commands of the program, without those that only group others.
pub fn commands(command: &clap::Command, path: &str, found: &mut BTreeSet<String>) {
    for below in command.get_subcommands() {
        let path = format!("{path} {}", below.get_name());
        match below.has_subcommands() {
            true => commands(below, &path, found),
            false => assert!(found.insert(path.trim_start().to_owned()), "{path}"),
        }
    }
}

/// A command that reads, and how its results differ from each other.
pub struct Reading {
    pub words: Vec<String>,
    /// JSON pointers to what depends on the newest block, or is random.
    varies: &'static [&'static str],
    /// The members of a result by which the command says that it could not read something. A command without them
    /// prints no result then.
    reports: &'static [&'static str],
}

impl Reading {
    pub fn of(words: &[&str]) -> Self {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Self { words, varies: &[], reports: &[] }
    }

    pub fn varying(self, varies: &'static [&'static str]) -> Self {
        Self { varies, ..self }
    }

    pub fn reporting(self, reports: &'static [&'static str]) -> Self {
        Self { reports, ..self }
    }

    /// The command in [`COMMANDS`].
    pub fn path(&self) -> &'static str {
        let is_path = |path: &str| {
            let words: Vec<&str> = path.split(' ').collect();
            self.words.len() >= words.len() && self.words[..words.len()] == words[..]
        };
        COMMANDS.iter().map(|(path, _)| *path).find(|path| is_path(path)).unwrap()
    }

    /// The result, without what varies.
    pub fn shown(&self, output: &Output) -> Value {
        let mut result = shown(output);
        for pointer in self.varies {
            if let Some(value) = result.pointer_mut(pointer) {
                *value = Value::Null;
            }
        }
        result
    }

    /// Checks that a command that failed has shown nothing that is not true.
    pub fn check_failure(&self, output: &Output, truth: &Value, what: &str) {
        if self.reports.is_empty() || output.stdout.is_empty() {
            refusal(output, what);
            return;
        }
        assert_eq!(output.status.code(), Some(1), "{what}: {output:?}");
        let result = self.shown(output);
        let says_so = self.reports.iter().any(|report| !result[report].is_null());
        assert!(says_so && self.is_part(&result, truth), "{what}: {result}");
    }

    /// Whether a result shows nothing but what is true, and what was not read.
    fn is_part(&self, result: &Value, truth: &Value) -> bool {
        match (result, truth) {
            (Value::Object(members), Value::Object(known)) => members.iter().all(|(name, it)| {
                self.reports.contains(&name.as_str())
                    || known.get(name).is_some_and(|known| self.is_part(it, known))
            }),
            (Value::Array(items), Value::Array(known)) => {
                items.iter().all(|it| known.iter().any(|known| self.is_part(it, known)))
            }
            _ => result == truth,
        }
    }
}
