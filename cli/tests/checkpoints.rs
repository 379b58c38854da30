//! Checkpoints are accepted only by the hash that the hospitals publish, for the user's own chain. Without a network.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use epione_client::chain::{Checkpoint, CheckpointFault};
use epione_primitives::Hash;
use network::{epione, stderr};
use serde_json::{Value, json};
use tempfile::TempDir;

const GENESIS: Hash = Hash::repeat_byte(1);

/// A user's home, with files that hospitals published.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Writes a checkpoint of a chain, and returns its file and its SHA-256.
    fn publish(&self, genesis: Hash, block: u32) -> (PathBuf, String) {
        let text = text(genesis, block);
        let refused = Checkpoint::accept(text.as_bytes(), Hash::zero()).unwrap_err();
        let CheckpointFault::OtherHash { found, .. } = refused else { panic!("{refused}") };
        let file = self.0.path().join(format!("checkpoint-{block}.json"));
        fs::write(&file, text).unwrap();
        (file, hex::encode(found))
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = epione();
        command.env("HOME", self.0.path());
        command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_STATE_HOME");
        command.arg("--json").args(arguments).output().unwrap()
    }

    fn accept(&self, file: &Path, hash: &str) -> Output {
        let genesis = format!("{GENESIS:?}");
        let (file, command) = (file.to_str().unwrap(), ["chain", "accept-checkpoint"]);
        self.run(&[&command[..], &[file, "--hash", hash, "--genesis", &genesis]].concat())
    }

    fn stored(&self) -> PathBuf {
        self.0.path().join(".config/epione/chains/checkpoints.json")
    }
}

/// As `epione chain checkpoint` writes it.
fn text(genesis: Hash, block: u32) -> String {
    let (hash, key) = (Hash::repeat_byte(2), Hash::repeat_byte(3));
    format!(
        r#"{{
  "format": "epione-checkpoint-1",
  "genesis": "{genesis:?}",
  "block": {block},
  "hash": "{hash:?}",
  "set": 3,
  "ahead": 1,
  "authorities": [
    {{
      "key": "{key:?}",
      "weight": 1
    }}
  ]
}}
"#
    )
}

fn shown(output: &Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refusal(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    stderr(output)
}

#[test]
fn a_checkpoint_is_accepted_by_its_hash_until_it_is_forgotten() {
    let home = Home::new();
    let (file, hash) = home.publish(GENESIS, 1_200);
    let accepted = shown(&home.accept(&file, &hash));
    assert_eq!(accepted["sha256"], json!(hash));
    assert_eq!((&accepted["block"], &accepted["set"]), (&json!(1_200), &json!(3)));
    assert!(home.stored().exists());
    // An earlier one does not replace it, and a later one does.
    let (earlier, hash) = home.publish(GENESIS, 1_100);
    let said = refusal(&home.accept(&earlier, &hash));
    assert!(said.contains("forget-checkpoint"), "{said}");
    let (later, hash) = home.publish(GENESIS, 1_300);
    shown(&home.accept(&later, &hash));

    let genesis = format!("{GENESIS:?}");
    let forget = ["chain", "forget-checkpoint", "--genesis", &genesis];
    assert_eq!(shown(&home.run(&forget))["wasAccepted"], json!(true));
    assert_eq!(shown(&home.run(&forget))["wasAccepted"], json!(false));
}

#[test]
fn a_checkpoint_with_another_hash_or_of_another_chain_is_not_stored() {
    let home = Home::new();
    let (file, hash) = home.publish(GENESIS, 1_200);
    let said = refusal(&home.accept(&file, &"07".repeat(32)));
    assert!(said.contains(&hash) && said.contains("SHA-256"), "{said}");
    let (other, hash) = home.publish(Hash::repeat_byte(9), 1_300);
    let said = refusal(&home.accept(&other, &hash));
    assert!(said.contains(&format!("{GENESIS:?}")), "{said}");
    // Nobody has said which chain it must be.
    let unknown = ["chain", "accept-checkpoint", file.to_str().unwrap(), "--hash", &hash];
    let said = refusal(&home.run(&unknown));
    assert!(said.contains("--genesis"), "{said}");
    assert!(!home.stored().exists(), "nothing is stored");
}

#[test]
fn no_checkpoint_is_made_from_a_node_elsewhere_that_is_believed() {
    let home = Home::new();
    let out = home.0.path().join("made.json");
    let out = out.to_str().unwrap();
    let make = ["chain", "checkpoint", "--block", "7", "--out", out, "--trust-node"];
    // The name does not exist: the node is not asked.
    let made = home.run(&[&make[..], &["--node", "wss://node.hospital.invalid"]].concat());
    assert_eq!(made.status.code(), Some(2), "{made:?}");
    let said = refusal(&made);
    assert!(said.contains("another machine"), "{said}");
    assert!(!home.0.path().join("made.json").exists());
    // An existing file is not overwritten.
    fs::write(out, "mine").unwrap();
    let said = refusal(&home.run(&make));
    assert!(said.contains("exists already"), "{said}");
    assert_eq!(fs::read_to_string(out).unwrap(), "mine");
}
