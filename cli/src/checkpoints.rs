//! The checkpoints that the user accepted: where verification of a chain goes on after a change of the authorities by
//! force. Each is the word of the hospitals, whose hash the user compared; nothing is stored without the user's word.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use epione_client::chain::{Checkpoint, CheckpointFault};
use epione_primitives::Hash;
use serde::{Deserialize, Serialize};

use crate::{
    failure::Failure,
    home::{self, Kind},
    kept,
};

/// Largest file in bytes: more than a dozen chains.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// A checkpoint as it is stored: its hash, and the text of its file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    sha256: Hash,
    text: String,
}

impl Accepted {
    fn of(checkpoint: &Checkpoint) -> Result<Self, CheckpointFault> {
        let text = String::from_utf8_lossy(&checkpoint.to_bytes()?).into_owned();
        Ok(Self { sha256: checkpoint.sha256(), text })
    }

    fn read(&self) -> Result<Checkpoint, CheckpointFault> {
        Checkpoint::accept(self.text.as_bytes(), self.sha256)
    }
}

/// By the hash of the chain's first block, in hexadecimal.
type Known = BTreeMap<String, Accepted>;

/// The accepted checkpoints, one for each chain at most.
#[derive(Debug)]
pub struct Checkpoints {
    /// None if the environment names no home; then there are no entries.
    path: Option<PathBuf>,
    known: Known,
}

impl Checkpoints {
    /// Those of a devnet, or else the user's own.
    pub fn open(devnet: Option<&Path>) -> Result<Self, Failure> {
        let path = match devnet {
            Some(devnet) => Some(devnet.join("data/checkpoints.json")),
            None => home::folder(Kind::Config).map(|folder| folder.join("chains/checkpoints.json")),
        };
        match path {
            Some(path) => Self::read(path),
            None => Ok(Self { path: None, known: Known::new() }),
        }
    }

    fn read(path: PathBuf) -> Result<Self, Failure> {
        let known = kept::read(&path, MAX_FILE_BYTES)
            .map_err(|error| damaged(&path, &error.to_string()))?;
        Ok(Self { path: Some(path), known: known.unwrap_or_default() })
    }

    /// The checkpoint of the chain with this genesis block.
    pub fn of(&self, genesis: Hash) -> Result<Option<Checkpoint>, Failure> {
        let Some(accepted) = self.known.get(&key(genesis)) else { return Ok(None) };
        let path = self.path.as_deref().unwrap_or(Path::new(""));
        let checkpoint = accepted.read().map_err(|error| damaged(path, &error.to_string()))?;
        if checkpoint.genesis() != genesis {
            return Err(damaged(path, "a checkpoint belongs to another chain than its entry"));
        }
        Ok(Some(checkpoint))
    }

    /// Stores a checkpoint for its chain. It may replace one of an earlier block only.
    pub fn accept(&mut self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        let entry = Accepted::of(checkpoint).map_err(|error| unusable(&error))?;
        let key = key(checkpoint.genesis());
        let path = self.path()?;
        let replace = |known: &mut Known| -> Result<(), Failure> {
            let before = known.get(&key).map(Accepted::read).transpose();
            let before = before.map_err(|error| damaged(path, &error.to_string()))?;
            if let Some(before) = before.filter(|before| before != checkpoint) {
                check_later(&before, checkpoint)?;
            }
            known.insert(key, entry);
            Ok(())
        };
        let (known, accepted) = kept::change(path, MAX_FILE_BYTES, replace)
            .map_err(|error| Failure::file(path, &error))?;
        self.known = known;
        accepted
    }

    /// Removes the checkpoint of a chain. Returns whether there was one.
    pub fn forget(&mut self, genesis: Hash) -> Result<bool, Failure> {
        let path = self.path()?;
        let remove = |known: &mut Known| known.remove(&key(genesis)).is_some();
        let (known, removed) = kept::change(path, MAX_FILE_BYTES, remove)
            .map_err(|error| Failure::file(path, &error))?;
        self.known = known;
        Ok(removed)
    }

    fn path(&self) -> Result<&Path, Failure> {
        self.path.as_deref().ok_or_else(|| {
            Failure::new(
                "there is no folder for what is known about chains",
                "set HOME or XDG_CONFIG_HOME",
            )
        })
    }
}

fn key(genesis: Hash) -> String {
    hex::encode(genesis)
}

fn check_later(before: &Checkpoint, given: &Checkpoint) -> Result<(), Failure> {
    let (old, new) = (before.number(), given.number());
    let help = "use the newest checkpoint that the hospitals publish; only if they say that the accepted one is wrong, \
                remove it with `epione chain forget-checkpoint`, and accept theirs";
    if new < old {
        return Err(Failure::new(
            format!("a checkpoint of a later block is accepted already: block {old}, not {new}"),
            help,
        ));
    }
    if new == old {
        return Err(Failure::new(
            format!("another checkpoint of block {old} is accepted already"),
            help,
        ));
    }
    Ok(())
}

fn unusable(error: &CheckpointFault) -> Failure {
    Failure::new(error.to_string(), "get the file from the hospitals again")
}

fn damaged(path: &Path, reason: &str) -> Failure {
    Failure::new(
        format!("{}: {reason}", path.display()),
        "repair this file, or delete it and accept the checkpoints of your chains again",
    )
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    const GENESIS: Hash = Hash::repeat_byte(1);

    /// A checkpoint that is accepted by the hash of its own file.
    fn given(genesis: Hash, block: u32, key: u8) -> Checkpoint {
        let text = text(genesis, block, key);
        let refused = Checkpoint::accept(text.as_bytes(), Hash::zero()).unwrap_err();
        let CheckpointFault::OtherHash { found, .. } = refused else { panic!("{refused}") };
        Checkpoint::accept(text.as_bytes(), found).unwrap()
    }

    fn text(genesis: Hash, block: u32, key: u8) -> String {
        let (hash, key) = (Hash::repeat_byte(2), Hash::repeat_byte(key));
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

    #[test]
    fn an_accepted_checkpoint_holds_until_it_is_forgotten() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("chains/checkpoints.json");
        let open = || Checkpoints::read(path.clone()).unwrap();
        let checkpoint = given(GENESIS, 1_200, 7);
        assert_eq!(open().of(GENESIS).unwrap(), None);
        open().accept(&checkpoint).unwrap();
        open().accept(&checkpoint).unwrap();
        assert_eq!(open().of(GENESIS).unwrap(), Some(checkpoint));
        assert_eq!(open().of(Hash::repeat_byte(9)).unwrap(), None);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(open().forget(GENESIS).unwrap());
        assert!(!open().forget(GENESIS).unwrap());
        assert_eq!(open().of(GENESIS).unwrap(), None);
    }

    #[test]
    fn only_a_later_checkpoint_of_the_same_chain_replaces_one() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("checkpoints.json");
        let mut checkpoints = Checkpoints::read(path).unwrap();
        let first = given(GENESIS, 1_200, 7);
        checkpoints.accept(&first).unwrap();
        for other in [given(GENESIS, 1_199, 7), given(GENESIS, 1_200, 8)] {
            let refused = checkpoints.accept(&other).unwrap_err();
            assert!(refused.help.contains("forget-checkpoint"), "{refused}");
            assert_eq!(checkpoints.of(GENESIS).unwrap().as_ref(), Some(&first));
        }
        let later = given(GENESIS, 1_201, 8);
        checkpoints.accept(&later).unwrap();
        let elsewhere = given(Hash::repeat_byte(9), 5, 7);
        checkpoints.accept(&elsewhere).unwrap();
        assert_eq!(checkpoints.of(GENESIS).unwrap(), Some(later));
        assert_eq!(checkpoints.of(Hash::repeat_byte(9)).unwrap(), Some(elsewhere));
    }

    #[test]
    fn a_damaged_file_is_an_error_and_not_a_missing_checkpoint() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("checkpoints.json");
        Checkpoints::read(path.clone()).unwrap().accept(&given(GENESIS, 1_200, 7)).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        for content in ["", "{", &whole.replace("1200", "1201")] {
            fs::write(&path, content).unwrap();
            let read = Checkpoints::read(path.clone()).and_then(|it| it.of(GENESIS));
            let failure = read.unwrap_err();
            assert!(failure.error.contains("checkpoints.json"), "{failure}");
        }
    }
}
