//! The keys by which nodes know each other on the network. Not the validators' keys.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::{DevnetError, state::write_atomically};

/// Writes the key of a node, and asks the node's program under which peer id others know it.
///
/// The same in every network, like all keys of a devnet.
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
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(DevnetError::ChainSpec(format!("epione-node tells no peer id: {said}")));
    }
    Ok(id)
}
