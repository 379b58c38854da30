//! A place in which one command at a time runs, with a proxy of its own between the command and a node.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;

use super::{Network, epione, proxy::Proxy, stderr};

/// The folder of a lane, in the words of a command.
const LANE: &str = "{lane}";
/// The folder to which a lane's command writes records.
pub const OUT: &str = "{lane}/read";
/// The folder to which a lane's command writes a disclosure.
pub const BUNDLE: &str = "{lane}/bundle";

/// No command needs as many answers.
const MANY: usize = 400;

/// A folder and a proxy with which one command at a time runs.
pub struct Lane {
    folder: PathBuf,
    pub proxy: Proxy,
}

impl Lane {
    pub fn new(network: &Network, name: &str) -> Self {
        Self::at(network, 0, name)
    }

    /// The proxy is between the command and the node of this hospital.
    pub fn at(network: &Network, hospital: usize, name: &str) -> Self {
        let (folder, state) = (network.file(name), network.state().unwrap());
        fs::create_dir(&folder).unwrap();
        state.write(&folder).unwrap();
        Self { folder, proxy: Proxy::of(&state.hospitals[hospital].node_url) }
    }

    /// A command that reaches the node through the proxy.
    pub fn command(&self, words: &[impl AsRef<str>]) -> Command {
        let folder = self.folder.to_str().unwrap();
        let mut command = epione();
        command.args(["--json", "--devnet", folder, "--node", &self.proxy.url()]);
        command.args(words.iter().map(|word| word.as_ref().replace(LANE, folder)));
        command
    }

    pub fn run(&self, words: &[impl AsRef<str>]) -> Output {
        self.command(words).output().unwrap()
    }

    /// A file of the lane.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What the commands know from earlier runs, and what they saved, is lost.
    pub fn forget(&self) {
        for folder in ["data", "read", "bundle"] {
            let _ = fs::remove_dir_all(self.folder.join(folder));
        }
    }

    /// Whether the record's folder has its final name: then everything in it should be verified.
    pub fn has_read(&self, record: &str) -> bool {
        self.folder.join("read").join(record.replace('/', "-")).exists()
    }
}

/// The result that a command printed.
pub fn shown(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The failure that a command printed. It shows nothing else, and has not panicked.
pub fn refusal(output: &Output, what: &str) -> String {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{what}: {output:?}");
    assert!(output.stdout.is_empty(), "{what}: {output:?}");
    let failure: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert!(!failure["help"].as_str().unwrap().is_empty(), "{what}: {failure}");
    failure["error"].as_str().unwrap().to_owned()
}

/// Runs a command that sends, once for each different answer of its node, of which that one is changed. It fails
/// always, because no transaction reaches the node. `check` examines what it has signed, if it has signed anything.
pub fn nothing_else_is_signed(
    lane: &Lane,
    words: &[String],
    lie: fn(&mut Value),
    check: impl Fn(&[u8], &str),
) {
    let run = |what: &str| {
        refusal(&lane.run(words), what);
        lane.proxy.held()
    };
    lane.forget();
    lane.proxy.hold_transactions();
    lane.proxy.honest();
    let honest = run("the truth");
    assert_eq!(honest.len(), 1, "{words:?} signs one transaction");
    check(&honest[0], "the truth");
    let mut refused = 0;
    for number in 0..MANY {
        lane.forget();
        lane.proxy.changing(number, lie);
        let held = run(&format!("{words:?}, answer {number}"));
        let Some(method) = lane.proxy.changed() else {
            // The hash of the first block, its header and the proof of its authorities at least were refused.
            assert!(refused > 2, "{words:?}: {refused} of {number} were refused");
            assert_eq!(held.len(), 1, "{words:?} without a lie");
            return;
        };
        refused += usize::from(held.is_empty());
        held.iter().for_each(|held| check(held, &format!("answer {number} to {method}")));
    }
    panic!("{words:?} needs more than {MANY} answers");
}
