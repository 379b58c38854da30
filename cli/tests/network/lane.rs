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

/// A folder and a proxy with which one command at a time runs.
pub struct Lane {
    folder: PathBuf,
    pub proxy: Proxy,
}

impl Lane {
    pub fn new(network: &Network, name: &str) -> Self {
        let (folder, state) = (network.file(name), network.state().unwrap());
        fs::create_dir(&folder).unwrap();
        state.write(&folder).unwrap();
        Self { folder, proxy: Proxy::of(&state.hospitals[0].node_url) }
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
