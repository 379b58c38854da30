//! The keys of nodes: the keys that identify them to each other, and the keys of validators whose development keys the
//! node has no name for.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use sha2::{Digest, Sha256};
use sp_core::{Pair, ed25519, sr25519};
use tokio::process::Command;

use crate::{DevnetError, state::write_atomically};

/// Writes the key of a node, and returns its peer id, which the node's program derives from the key.
///
/// The key of a label is the same in every network, like all keys of a devnet.
pub async fn write(program: &Path, label: &str, path: &Path) -> Result<String, DevnetError> {
    let key: [u8; 32] = Sha256::digest(format!("epione devnet node {label}")).into();
    write_atomically(path, hex::encode(key).as_bytes())
        .map_err(|source| DevnetError::File { path: path.to_path_buf(), source })?;
    let output = Command::new(program)
        .args(["key", "inspect-node-key", "--file"])
        .arg(path)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| DevnetError::Start { program: PathBuf::from(program), source })?;
    let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() || id.is_empty() || id.contains(char::is_whitespace) {
        return Err(DevnetError::NodeCommand {
            command: "key inspect-node-key",
            status: output.status,
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    Ok(id)
}

/// Writes the keystore of the validator with the development keys of `//seed`, in the form that the node's `key insert`
/// writes: one file for each key, whose name is the key's type and its public half.
pub fn write_keystore(seed: &str, directory: &Path) -> Result<(), DevnetError> {
    let uri = format!("//{seed}");
    let underivable = |error| DevnetError::DevelopmentKey(format!("{error:?}"));
    let aura = sr25519::Pair::from_string(&uri, None).map_err(underivable)?.public();
    let grandpa = ed25519::Pair::from_string(&uri, None).map_err(underivable)?.public();
    std::fs::create_dir_all(directory)
        .map_err(|source| DevnetError::File { path: directory.to_path_buf(), source })?;
    for (kind, public) in [(b"aura", aura.0), (b"gran", grandpa.0)] {
        let path = directory.join(format!("{}{}", hex::encode(kind), hex::encode(public)));
        write_atomically(&path, format!("{uri:?}").as_bytes())
            .map_err(|source| DevnetError::File { path, source })?;
    }
    Ok(())
}
