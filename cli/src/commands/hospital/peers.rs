//! `epione hospital peers`: the nodes with which a hospital's node connects, and no others.
//!
//! The file is one setting, for systemd and for a shell: flags of `epione-node`.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use epione_client::{application::NodeAddress, private};
use epione_primitives::limits::MAX_HOSPITALS;
use serde::Serialize;

use super::{application, folder::Folder};
use crate::{
    context::{Context, Output},
    failure::Failure,
    invocation::Invocation,
    show,
};

/// Bytes of the file, at most: each peer has less than 400.
const MAX_BYTES: u64 = 64 * 1024;
const VARIABLE: &str = "EPIONE_NODE_PEERS";
const RESERVED: &str = "--reserved-nodes=";
/// What separates the id of a node from its address.
const PEER: &str = "/p2p/";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the nodes with which the hospital's node connects
    List(FolderArgs),
    /// Adds the nodes of hospitals, from their applications
    Add(AddArgs),
    /// Removes the node of a hospital that left
    Remove(RemoveArgs),
}

impl Command {
    pub(super) fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::List(args) => show(&list(args)?, json),
            Self::Add(args) => show(&add(args)?, json),
            Self::Remove(args) => show(&remove(args)?, json),
        }
    }
}

#[derive(Debug, Args)]
pub struct FolderArgs {
    /// Folder of the hospital, which `epione hospital init` made
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
}

#[derive(Debug, Args)]
pub struct AddArgs {
    #[command(flatten)]
    pub folder: FolderArgs,
    /// Applications of the hospitals (application.json)
    #[arg(value_name = "APPLICATION", required = true)]
    pub applications: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct RemoveArgs {
    #[command(flatten)]
    pub folder: FolderArgs,
    /// The node's id, as the list shows it after /p2p/
    #[arg(value_name = "PEER")]
    pub peer: String,
}

/// The nodes with which a node connects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Peers {
    /// Multiaddresses, each with the id of the node.
    pub peers: Vec<String>,
    /// Whether this run changed the list.
    pub changed: bool,
}

impl Output for Peers {}

impl fmt::Display for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.peers.is_empty() {
            writeln!(f, "the node connects with no other node")?;
        }
        self.peers.iter().try_for_each(|peer| writeln!(f, "{peer}"))?;
        if self.changed {
            write!(
                f,
                "next, as root: restart the node (systemctl restart epione-node), one hospital after the other"
            )?;
        }
        Ok(())
    }
}

fn list(args: &FolderArgs) -> Result<Peers, Failure> {
    let peers = read(&Folder::open(&args.dir)?.peers())?;
    Ok(Peers { peers, changed: false })
}

fn add(args: &AddArgs) -> Result<Peers, Failure> {
    let folder = Folder::open(&args.folder.dir)?;
    let own = folder.application()?.peer();
    let mut peers = read(&folder.peers())?;
    let mut changed = false;
    for path in &args.applications {
        let peer = application::read(path)?.peer();
        if peer == own || peers.contains(&peer) {
            continue;
        }
        // A node that moved keeps its id.
        peers.retain(|known| id(known) != id(&peer));
        peers.push(peer);
        changed = true;
    }
    if changed {
        write(&folder.peers(), &peers)?;
    }
    Ok(Peers { peers, changed })
}

fn remove(args: &RemoveArgs) -> Result<Peers, Failure> {
    let folder = Folder::open(&args.folder.dir)?;
    let mut peers = read(&folder.peers())?;
    let before = peers.len();
    peers.retain(|known| id(known) != args.peer);
    if peers.len() == before {
        return Err(Failure::usage(
            format!("the node does not connect with {}", args.peer),
            "give the id of a listed node",
        )
        .with_command(
            Invocation::new(["hospital", "peers", "list", "--dir"]).with([folder.path()]),
        ));
    }
    write(&folder.peers(), &peers)?;
    Ok(Peers { peers, changed: true })
}

/// Writes the flags with which a node connects with these nodes only.
pub(super) fn write(path: &Path, peers: &[String]) -> Result<(), Failure> {
    if peers.len() > MAX_HOSPITALS as usize {
        return Err(Failure::new(
            format!("there would be more than {MAX_HOSPITALS} nodes"),
            "remove the nodes of hospitals that left",
        ));
    }
    let flags: Vec<_> = peers.iter().map(|peer| format!(" {RESERVED}{peer}")).collect();
    let text = format!(
        "# The nodes with which this hospital's node connects. `epione hospital peers --help` says how to change it.\n\
         {VARIABLE}=\"--reserved-only{}\"\n",
        flags.concat()
    );
    private::replace(path, text.as_bytes()).map_err(|error| Failure::file(path, &error))
}

/// The nodes that a file names.
fn read(path: &Path) -> Result<Vec<String>, Failure> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Failure::new(
            format!("{} does not exist", path.display()),
            "join the chain, or join again, which writes it",
        )
        .with_command(written_by(path)),
        _ => Failure::file(path, &error),
    };
    if fs::metadata(path).map_err(unreadable)?.len() > MAX_BYTES {
        return Err(unreadable(io::Error::other("it is too long for a list of nodes")));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    parse(&text).ok_or_else(|| {
        Failure::new(
            format!("{} is not a list of nodes that this program wrote", path.display()),
            "delete it, and join again, which writes it",
        )
        .with_command(written_by(path))
    })
}

/// The command that writes a missing list.
fn written_by(path: &Path) -> Invocation {
    Invocation::new(["hospital", "join", "--dir"]).with(path.parent())
}

fn parse(text: &str) -> Option<Vec<String>> {
    let prefix = format!("{VARIABLE}=\"");
    let line = text.lines().find_map(|line| line.strip_prefix(&prefix))?;
    let mut words = line.strip_suffix('"')?.split(' ');
    if words.next() != Some("--reserved-only") {
        return None;
    }
    let peer = |word: &str| {
        let peer = word.strip_prefix(RESERVED)?;
        is_peer(peer).then(|| peer.to_owned())
    };
    words.map(peer).collect()
}

/// Whether a text is the address of a node with the node's id, and nothing else that a shell could read.
pub(super) fn is_peer(text: &str) -> bool {
    let Some((address, id)) = text.split_once(PEER) else { return false };
    address.parse::<NodeAddress>().is_ok()
        && (40..=64).contains(&id.len())
        && id.chars().all(|c| c.is_ascii_alphanumeric())
}

fn id(peer: &str) -> &str {
    peer.split_once(PEER).map_or(peer, |(_, id)| id)
}

#[cfg(test)]
mod tests {
    use epione_client::application::peer_id;

    use super::*;

    #[test]
    fn a_list_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peers.env");
        let peers: Vec<_> = [1, 2]
            .map(|n| format!("/dns/node-{n}.example/tcp/30333/p2p/{}", peer_id(&[n; 32])))
            .into();
        for peers in [&peers[..], &[]] {
            write(&path, peers).unwrap();
            assert_eq!(read(&path).unwrap(), peers);
        }
    }

    #[test]
    fn a_list_with_other_flags_is_refused() {
        let peer = format!("/dns/node.example/tcp/30333/p2p/{}", peer_id(&[7; 32]));
        let line = |flags: &str| format!("{VARIABLE}=\"{flags}\"\n");
        assert_eq!(parse(&line("--reserved-only")), Some(Vec::new()));
        let good = format!("--reserved-only {RESERVED}{peer}");
        assert_eq!(parse(&line(&good)), Some(vec![peer.clone()]));
        for wrong in [
            String::new(),
            "--reserved-only".into(),
            line(""),
            line(&format!("{RESERVED}{peer}")),
            line(&format!("{good} --rpc-methods=unsafe")),
            line(&format!("--reserved-only {RESERVED}{peer};reboot")),
            line(&format!("--reserved-only {RESERVED}/dns/node.example/tcp/30333")),
        ] {
            assert_eq!(parse(&wrong), None, "{wrong}");
        }
    }
}
