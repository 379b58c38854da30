//! The file with a checkpoint, which hospitals compare and users accept: a final block, and the authorities after it.
//!
//! The file is the same, byte for byte, at every hospital that makes it of the same block. So the hospitals compare its
//! SHA-256 and publish it. A reader believes a file only by that hash, and accepts only the one spelling that
//! [`Checkpoint::to_bytes`] has.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use epione_primitives::{BlockNumber, Hash};
use epione_proofs::CheckpointError;
use serde::{Deserialize, Serialize};
use sp_crypto_hashing::sha2_256;

/// Largest file in bytes. A hundred authorities have 13 kB.
const MAX_BYTES: u64 = 32 * 1024;

/// Why a file with a checkpoint is not used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointFault {
    #[error("the checkpoint {} cannot be read: {reason}", .path.display())]
    Unreadable { path: PathBuf, reason: io::Error },
    #[error("the file has more than {max} bytes, so it is no checkpoint", max = MAX_BYTES)]
    TooLarge,
    #[error(
        "the file's SHA-256 is {found:?}, and not {expected:?}: compare it again with what the hospitals publish, and \
         get their file"
    )]
    OtherHash { expected: Hash, found: Hash },
    #[error("the file is no checkpoint of this version: {0}")]
    Malformed(String),
    #[error(
        "the file is not spelled as `epione chain checkpoint` spells it: get the unchanged file from the hospitals"
    )]
    OtherSpelling,
    #[error(transparent)]
    Refused(#[from] CheckpointError),
}

impl From<serde_json::Error> for CheckpointFault {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// What the file contains, as JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    format: Format,
    /// The hash of the chain's first block.
    genesis: Hash,
    block: BlockNumber,
    hash: Hash,
    set: u64,
    ahead: u64,
    authorities: Vec<Voter>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Format {
    #[serde(rename = "epione-checkpoint-1")]
    One,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Voter {
    /// The Ed25519 key.
    key: Hash,
    weight: u64,
}

/// Where a client begins to verify, in the word of the hospitals, with the hash of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    inner: epione_proofs::Checkpoint,
    sha256: Hash,
}

impl Checkpoint {
    /// Reads a file, which must have this SHA-256.
    pub fn read(path: &Path, sha256: Hash) -> Result<Self, CheckpointFault> {
        let unreadable = |reason| CheckpointFault::Unreadable { path: path.into(), reason };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        Self::accept(&bytes, sha256)
    }

    /// Reads the bytes of a file, which must have this SHA-256.
    pub fn accept(bytes: &[u8], sha256: Hash) -> Result<Self, CheckpointFault> {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(CheckpointFault::TooLarge);
        }
        let found = Hash::from(sha2_256(bytes));
        if found != sha256 {
            return Err(CheckpointFault::OtherHash { expected: sha256, found });
        }
        let Written { format: Format::One, genesis, block, hash, set, ahead, authorities } =
            serde_json::from_slice(bytes)?;
        let authorities = authorities.into_iter().map(|Voter { key, weight }| (key, weight));
        let inner = epione_proofs::Checkpoint::new(genesis, block, hash, set, ahead, authorities)?;
        let checkpoint = Self::new(inner)?;
        if checkpoint.to_bytes()? == bytes {
            Ok(checkpoint)
        } else {
            Err(CheckpointFault::OtherSpelling)
        }
    }

    pub(super) fn new(inner: epione_proofs::Checkpoint) -> Result<Self, CheckpointFault> {
        let sha256 = Hash::from(sha2_256(&bytes_of(&inner)?));
        Ok(Self { inner, sha256 })
    }

    /// The file: the only bytes that [`accept`](Self::accept) accepts for this checkpoint.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointFault> {
        bytes_of(&self.inner)
    }

    /// The SHA-256 of the file.
    pub fn sha256(&self) -> Hash {
        self.sha256
    }

    /// The hash of the chain's first block.
    pub fn genesis(&self) -> Hash {
        self.inner.genesis()
    }

    /// The number of the checkpoint's block.
    pub fn number(&self) -> BlockNumber {
        self.inner.number()
    }

    /// The hash of the checkpoint's block.
    pub fn block_hash(&self) -> Hash {
        self.inner.hash()
    }

    /// The number of the authority set that votes after the block.
    pub fn set(&self) -> u64 {
        self.inner.authorities().set()
    }

    /// How many authorities vote after the block.
    pub fn authorities(&self) -> usize {
        self.inner.authorities().keys().len()
    }

    pub(super) fn inner(&self) -> &epione_proofs::Checkpoint {
        &self.inner
    }
}

fn bytes_of(checkpoint: &epione_proofs::Checkpoint) -> Result<Vec<u8>, CheckpointFault> {
    let authorities = checkpoint.authorities();
    let written = Written {
        format: Format::One,
        genesis: checkpoint.genesis(),
        block: checkpoint.number(),
        hash: checkpoint.hash(),
        set: authorities.set(),
        ahead: checkpoint.ahead(),
        authorities: authorities
            .keys()
            .into_iter()
            .map(|(key, weight)| Voter { key, weight })
            .collect(),
    };
    let mut bytes = serde_json::to_vec_pretty(&written)?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENESIS: Hash = Hash::repeat_byte(1);

    fn checkpoint(keys: impl IntoIterator<Item = u8>) -> Checkpoint {
        let authorities = keys.into_iter().map(|key| (Hash::repeat_byte(key), 1));
        let (hash, set, ahead) = (Hash::repeat_byte(2), 3, 1);
        let inner =
            epione_proofs::Checkpoint::new(GENESIS, 1_200, hash, set, ahead, authorities).unwrap();
        Checkpoint::new(inner).unwrap()
    }

    fn sha256(bytes: &[u8]) -> Hash {
        Hash::from(sha2_256(bytes))
    }

    /// Accepts bytes by their own hash, so that only their content counts.
    fn content(bytes: &[u8]) -> Result<Checkpoint, CheckpointFault> {
        Checkpoint::accept(bytes, sha256(bytes))
    }

    #[test]
    fn a_file_has_one_spelling_and_is_read_back() {
        let made = checkpoint([7, 5, 9]);
        let bytes = made.to_bytes().unwrap();
        // The order in which a node lists the authorities does not matter.
        assert_eq!(checkpoint([9, 7, 5]).to_bytes().unwrap(), bytes);
        assert_eq!(made.sha256(), sha256(&bytes));
        assert_eq!(Checkpoint::accept(&bytes, made.sha256()).unwrap(), made);
        let line = |key: &str, value: &str| format!("  \"{key}\": {value},\n");
        let text = String::from_utf8(bytes).unwrap();
        for expected in [
            line("format", "\"epione-checkpoint-1\""),
            line("genesis", &format!("\"{GENESIS:?}\"")),
            line("block", "1200"),
            line("set", "3"),
            line("ahead", "1"),
        ] {
            assert!(text.contains(&expected), "{expected} in {text}");
        }

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.json");
        std::fs::write(&path, &text).unwrap();
        assert_eq!(Checkpoint::read(&path, made.sha256()).unwrap(), made);
    }

    #[test]
    fn each_changed_byte_is_noticed_by_the_hash() {
        let made = checkpoint([5, 7, 9]);
        let bytes = made.to_bytes().unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let refused = Checkpoint::accept(&changed, made.sha256()).unwrap_err();
            assert!(matches!(refused, CheckpointFault::OtherHash { .. }), "{at}: {refused}");
        }
    }

    #[test]
    fn another_spelling_of_the_same_checkpoint_is_refused_even_with_its_own_hash() {
        let text = String::from_utf8(checkpoint([5, 7]).to_bytes().unwrap()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut twice = value.clone();
        let voters = twice["authorities"].as_array_mut().unwrap();
        voters.push(voters[0].clone());
        let mut reversed = value.clone();
        reversed["authorities"].as_array_mut().unwrap().reverse();
        for other in [
            value.to_string(),
            serde_json::to_string_pretty(&twice).unwrap(),
            serde_json::to_string_pretty(&reversed).unwrap(),
            text.trim_end().to_owned(),
            format!("{text} "),
            text.replace("\"block\": 1200", "\"block\":1200"),
        ] {
            let refused = content(other.as_bytes()).unwrap_err();
            assert!(matches!(refused, CheckpointFault::OtherSpelling), "{refused}: {other}");
        }
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        let text = String::from_utf8(checkpoint([5, 7]).to_bytes().unwrap()).unwrap();
        for wrong in [
            String::new(),
            "{}".into(),
            text.replace("epione-checkpoint-1", "epione-checkpoint-2"),
            text.replace("\"ahead\"", "\"behind\""),
            text.replace("\"block\": 1200", "\"block\": 4294967296"),
            text.replace("\"set\": 3", "\"set\": -1"),
        ] {
            let refused = content(wrong.as_bytes()).unwrap_err();
            assert!(matches!(refused, CheckpointFault::Malformed(_)), "{refused}: {wrong}");
        }
        for wrong in [
            text.replace("\"block\": 1200", "\"block\": 0"),
            text.replace("\"set\": 3", &format!("\"set\": {}", u64::MAX)),
            text.replace("\"weight\": 1", "\"weight\": 0"),
            String::from_utf8(checkpoint(0..100).to_bytes().unwrap()).unwrap().replace(
                "\n  ]",
                &format!(
                    ",\n    {{\n      \"key\": \"{:?}\",\n      \"weight\": 1\n    }}\n  ]",
                    Hash::repeat_byte(200)
                ),
            ),
        ] {
            let refused = content(wrong.as_bytes()).unwrap_err();
            assert!(matches!(refused, CheckpointFault::Refused(_)), "{refused}: {wrong}");
        }
        let large = vec![b' '; MAX_BYTES as usize + 1];
        assert!(matches!(content(&large).unwrap_err(), CheckpointFault::TooLarge));
        let largest = checkpoint(0..100).to_bytes().unwrap();
        assert!((largest.len() as u64) < MAX_BYTES, "{}", largest.len());
    }

    #[test]
    fn a_file_that_is_missing_or_too_large_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.json");
        let refused = Checkpoint::read(&path, GENESIS).unwrap_err().to_string();
        assert!(refused.contains("checkpoint.json"), "{refused}");
        std::fs::write(&path, vec![b' '; 2 * MAX_BYTES as usize]).unwrap();
        let refused = Checkpoint::read(&path, GENESIS).unwrap_err();
        assert!(matches!(refused, CheckpointFault::TooLarge), "{refused}");
    }
}
