//! The program `epione-node`, which has the runtime: it makes a chain's first block from a specification.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
};

use epione_devnet::Binaries;
use epione_primitives::Hash;
use tokio::process::Command;

use crate::{context::genesis_hash, failure::Failure};

/// Characters of the program's errors that are shown, at most.
const SHOWN: usize = 2_000;

pub struct NodeProgram(PathBuf);

impl NodeProgram {
    /// Looks for it in `directory` if given; otherwise in the folder of this program, then along PATH.
    pub fn find(directory: Option<&Path>) -> Result<Self, Failure> {
        Ok(Self(Binaries::find(directory)?.node))
    }

    /// The hash of the first block of the chain with this specification.
    pub async fn genesis_hash(&self, chain: &Path) -> Result<Hash, Failure> {
        let words = [OsStr::new("genesis-hash"), OsStr::new("--chain"), chain.as_os_str()];
        let printed = self.run(&words).await?;
        genesis_hash(printed.trim()).map_err(|_| {
            self.other_version(&format!("it printed {:?} instead of a hash", printed.trim()))
        })
    }

    /// Makes of a specification one that contains the state of the first block.
    pub async fn write_raw(&self, plain: &Path, raw: &Path) -> Result<(), Failure> {
        let chain = [OsStr::new("export-chain-spec"), OsStr::new("--chain"), plain.as_os_str()];
        let output = [OsStr::new("--raw"), OsStr::new("--output"), raw.as_os_str()];
        self.run(&[chain, output].concat()).await.map(drop)
    }

    /// What it prints.
    async fn run(&self, words: &[&OsStr]) -> Result<String, Failure> {
        let output = Command::new(&self.0)
            .args(words)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| Failure::file(&self.0, &error))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said: String = said.trim().chars().take(SHOWN).collect();
            return Err(self.other_version(&said));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn other_version(&self, said: &str) -> Failure {
        Failure::new(
            format!("{} failed: {said}", self.0.display()),
            "check the file that it read; use epione and epione-node of the same release",
        )
    }
}
