//! `epione genesis hash`.

use std::{
    fmt,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use clap::Args;
use epione_primitives::Hash;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{context::Output, failure::Failure, node_program::NodeProgram};

#[derive(Debug, Args)]
pub struct HashArgs {
    /// Chain specification, which `epione genesis assemble` wrote
    #[arg(value_name = "FILE")]
    pub chain: PathBuf,
    /// Folder of epione-node [default: the folder of this program, then PATH]
    #[arg(long, value_name = "DIR", env = "EPIONE_BIN_DIR")]
    pub bin_dir: Option<PathBuf>,
}

/// What identifies a chain specification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hashes {
    pub file: PathBuf,
    /// Hash of the chain's first block, which identifies the chain.
    pub genesis: Hash,
    /// SHA-256 of the file, as sha256sum prints it.
    pub sha256: String,
}

impl Hashes {
    pub(super) async fn of(file: &Path, node: &NodeProgram) -> Result<Self, Failure> {
        let genesis = node.genesis_hash(file).await?;
        let sha256 = sha256(file).map_err(|error| Failure::file(file, &error))?;
        Ok(Self { file: file.into(), genesis, sha256 })
    }
}

impl Output for Hashes {}

impl fmt::Display for Hashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "first block  {:?}", self.genesis)?;
        write!(f, "sha256       {}  {}", self.sha256, self.file.display())
    }
}

/// Computes the hashes of a chain specification.
pub async fn hashes(args: &HashArgs) -> Result<Hashes, Failure> {
    Hashes::of(&args.chain, &NodeProgram::find(args.bin_dir.as_deref())?).await
}

fn sha256(file: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(file)?, &mut Hashing(&mut hasher))?;
    Ok(hex::encode(hasher.finalize()))
}

/// Hashes what is written to it.
struct Hashing<'a>(&'a mut Sha256);

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_file_is_the_one_of_sha256sum() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chain.json");
        std::fs::write(&file, "abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&file).unwrap(), expected);
    }
}
