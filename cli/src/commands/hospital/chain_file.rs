//! The chain specification in the folder of a hospital: it is installed once, after its hash was compared.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::Path,
};

use epione_client::private;
use epione_primitives::Hash;
use serde::{Deserialize, de::IgnoredAny};
use sha2::{Digest, Sha256};

use super::{folder::Folder, peers};
use crate::{
    commands::genesis::is_chain_id, failure::Failure, invocation::Invocation,
    node_program::NodeProgram,
};

/// Bytes of a specification, at most: a runtime has 2 MB in hexadecimal.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// What is read of a specification here.
#[derive(Deserialize)]
struct Spec {
    id: String,
    #[serde(rename = "bootNodes")]
    nodes: Vec<String>,
    #[serde(rename = "chainType", default)]
    kind: Option<String>,
    /// Runtimes that a node executes instead of the chain's own ones.
    #[serde(rename = "codeSubstitutes", default)]
    substitutes: BTreeMap<String, IgnoredAny>,
    /// Servers to which a node reports.
    #[serde(rename = "telemetryEndpoints", default)]
    telemetry: Option<IgnoredAny>,
    #[serde(rename = "protocolId", default)]
    protocol: Option<String>,
    /// Nodes connect with those only that have the same.
    #[serde(rename = "forkId", default)]
    fork: Option<IgnoredAny>,
}

/// The chain of a folder.
pub struct Installed {
    pub genesis: Hash,
    /// Whether this run installed it.
    pub now: bool,
    /// Whether this run wrote the list of nodes again, which was missing.
    pub again: bool,
}

/// Installs the chain that `--chain` names, unless the folder has one.
pub async fn install(
    folder: &Folder,
    given: Option<&Path>,
    expected: Option<Hash>,
    bin_dir: Option<&Path>,
) -> Result<Installed, Failure> {
    if folder.chain().is_file() {
        let genesis = folder.genesis()?;
        if let Some(path) = given {
            same(path, &folder.chain())?;
        }
        return match expected {
            Some(hash) if hash != genesis => Err(another(hash, genesis)),
            _ => Ok(Installed { genesis, now: false, again: restore_peers(folder)? }),
        };
    }
    let path = given.ok_or_else(|| {
        Failure::usage(
            "the hospital has no chain yet, and --chain is not given",
            "get chain.json and its hash from the founders or from a member, and give both: --chain chain.json \
             --genesis HASH",
        )
    })?;
    // Read once: what is installed is what was checked.
    let content = bytes(path)?;
    let spec = parse(path, &content)?;
    let found = genesis_hash(folder, &content, bin_dir).await?;
    match expected {
        Some(hash) if hash == found => {}
        Some(hash) => return Err(another(hash, found)),
        None => {
            let sha256 = hex::encode(Sha256::digest(&content));
            return Err(Failure::usage(
                format!(
                    "the hash of the first block of {} is {found:?}, and the SHA-256 of the file is {sha256}",
                    path.display()
                ),
                "compare both, by telephone or on paper, with those that the other hospitals have (epione genesis hash \
                 chain.json); only if they are equal, run the command below",
            )
            .with_command(confirmed(folder, path, found)));
        }
    }
    must_be_unused(folder, found)?;
    write(folder, &content, &spec, found)?;
    Ok(Installed { genesis: found, now: true, again: false })
}

/// Checks that the session keys were not made for another chain. The vote of a validator names round and set of
/// validators, and not the chain: who collected votes of a first try could report them, in a second one with the same
/// keys, as votes for two blocks. That is an offence, and would bench every honest founder.
fn must_be_unused(folder: &Folder, genesis: Hash) -> Result<(), Failure> {
    match folder.worker_settings()?.genesis()? {
        Some(before) if before != genesis => Err(Failure::new(
            format!(
                "the keys in {} are in use for the chain {before:?}, and votes for two chains with one set of keys are \
                 an offence",
                folder.path().display()
            ),
            "make new keys for the other chain, in another folder, and a new application",
        )
        .with_command(Invocation::new(["hospital", "init", "--help"]))),
        _ => Ok(()),
    }
}

/// The hash of the first block, by the node's program, which reads a file.
async fn genesis_hash(
    folder: &Folder,
    content: &[u8],
    bin_dir: Option<&Path>,
) -> Result<Hash, Failure> {
    let unwritable = |error: io::Error| Failure::file(folder.path(), &error);
    let mut staged = tempfile::NamedTempFile::new_in(folder.path()).map_err(unwritable)?;
    staged.write_all(content).map_err(unwritable)?;
    NodeProgram::find(bin_dir)?.genesis_hash(staged.path()).await
}

/// The command that installs the chain with this hash.
fn confirmed(folder: &Folder, path: &Path, genesis: Hash) -> Invocation {
    let chain = [Path::new("--chain"), path];
    folder.command("join").with(chain).with(["--genesis", &format!("{genesis:?}")])
}

fn another(expected: Hash, found: Hash) -> Failure {
    Failure::new(
        format!("the first block of this chain is {found:?}, not {expected:?}"),
        "this is not the chain that the hash is of: get chain.json and the hash again, and ask the others which is \
         right before you start anything",
    )
}

/// Checks that a file is the one that is installed.
fn same(given: &Path, installed: &Path) -> Result<(), Failure> {
    if bytes(given)? == bytes(installed)? {
        return Ok(());
    }
    Err(Failure::new(
        format!("{} is another file than the installed {}", given.display(), installed.display()),
        "leave out --chain; for another chain, make another folder: epione hospital init --help",
    ))
}

fn parse(path: &Path, content: &[u8]) -> Result<Spec, Failure> {
    let wrong = |error: String| {
        Failure::new(
            format!(
                "{} is not a chain specification of `genesis assemble`: {error}",
                path.display()
            ),
            "get the file again from the founders or from a member",
        )
    };
    let spec: Spec = serde_json::from_slice(content).map_err(|error| wrong(error.to_string()))?;
    if spec.kind.as_deref() != Some("Live") {
        return Err(wrong("it is for development only".into()));
    }
    // The hash of the first block does not cover them.
    if !spec.substitutes.is_empty() || spec.telemetry.is_some() {
        return Err(wrong("it replaces the runtime, or makes the node report to servers".into()));
    }
    if spec.fork.is_some() || spec.protocol.as_ref() != Some(&spec.id) {
        return Err(wrong("it would keep the node apart from those of the other hospitals".into()));
    }
    if !is_chain_id(&spec.id) {
        return Err(wrong("its id would lead the node's database into another folder".into()));
    }
    match spec.nodes.iter().find(|node| !peers::is_peer(node)) {
        Some(node) => Err(wrong(format!("{node} is not the address of a node with its id"))),
        None => Ok(spec),
    }
}

/// Writes the list of nodes, without which the node does not start, if it is missing. Returns whether it was.
fn restore_peers(folder: &Folder) -> Result<bool, Failure> {
    if folder.peers().exists() {
        return Ok(false);
    }
    let chain = folder.chain();
    write_peers(folder, &parse(&chain, &bytes(&chain)?)?)?;
    Ok(true)
}

fn write_peers(folder: &Folder, spec: &Spec) -> Result<(), Failure> {
    let own = folder.application()?.peer();
    let others: Vec<_> = spec.nodes.iter().filter(|node| **node != own).cloned().collect();
    peers::write(&folder.peers(), &others)
}

/// The chain itself comes last: with it, the chain is installed.
fn write(folder: &Folder, content: &[u8], spec: &Spec, genesis: Hash) -> Result<(), Failure> {
    // An earlier run may have ended before it had installed its chain, which may be another one.
    write_peers(folder, spec)?;
    folder.worker_settings()?.set_genesis(genesis)?;
    let chain = folder.chain();
    private::replace(&chain, content).map_err(|error| Failure::file(&chain, &error))
}

fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: io::Error| Failure::file(path, &error);
    if fs::metadata(path).map_err(unreadable)?.len() > MAX_BYTES {
        return Err(unreadable(io::Error::other("it is too long for a chain specification")));
    }
    fs::read(path).map_err(unreadable)
}
