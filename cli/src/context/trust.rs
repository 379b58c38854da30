//! Which chain a run is about, and what is believed of it: the hash of the chain's first block, by the devnet's file,
//! by --genesis or by a pin, and the file with the last verified block.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use epione_client::{
    chain::{ChainError, Pinned},
    endpoint::without_userinfo,
    private,
};
use epione_primitives::Hash;
use serde::Serialize;

use super::Context;
use crate::{
    checkpoints::Checkpoints,
    failure::Failure,
    invocation::Invocation,
    pins::{self, Pins},
    progress,
};

/// How long a node may take to reach the last verified block, which another hospital's node may have proven.
const CATCH_UP: Duration = Duration::from_secs(20);

/// The hash of a chain's first block, in hexadecimal.
pub fn genesis_hash(text: &str) -> Result<Hash, String> {
    let mut hash = Hash::zero();
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), hash.as_bytes_mut())
        .map_err(|_| "it must have 64 hexadecimal digits, with or without 0x".to_owned())?;
    Ok(hash)
}

impl Context {
    /// The chain that this run is about, if somebody has said it.
    pub(super) fn known_chain(&self, url: &str) -> Result<Option<Known>, Failure> {
        if let Some(state) = &self.devnet {
            let genesis = state.genesis.ok_or_else(not_started)?;
            return match self.common.genesis {
                Some(given) if given != genesis => Err(Failure::usage(
                    format!("the first block of the devnet is {genesis:?}, not {given:?}"),
                    "leave out --genesis or EPIONE_GENESIS, or --devnet or EPIONE_DEVNET",
                )),
                _ => Ok(Some(Known { genesis, by: KnownBy::Devnet })),
            };
        }
        if let Some(genesis) = self.common.genesis {
            return Ok(Some(Known { genesis, by: KnownBy::Option }));
        }
        let pinned = Pins::open()?.of(url);
        Ok(pinned.map(|genesis| Known { genesis, by: KnownBy::Pin }))
    }

    /// The genesis hash of the chain that this run is about, and who said it; none if nobody has. Asks no node. A pin
    /// counts only if the user named its node: otherwise the user has not chosen this chain.
    pub fn known_genesis(&self) -> Result<Option<(Hash, GenesisFrom)>, Failure> {
        let url = self.node_url();
        let from = |Known { genesis, by }: Known| match by {
            KnownBy::Devnet => Some((genesis, GenesisFrom::Devnet)),
            KnownBy::Option => Some((genesis, GenesisFrom::Option)),
            KnownBy::Pin if self.common.node.is_none() => None,
            KnownBy::Pin => Some((genesis, GenesisFrom::Pin(without_userinfo(url)))),
        };
        Ok(self.known_chain(url)?.and_then(from))
    }

    /// What is believed of a chain: its genesis block, and the checkpoint that the user accepted, if there is one. The
    /// last verified block is kept for the next run, if there is a place for it.
    pub(super) fn pinned(&self, genesis: Hash) -> Result<Pinned, Failure> {
        let devnet = self.devnet.as_ref().and(self.common.devnet.as_deref());
        let pinned = Pinned::new(genesis).with_patience(CATCH_UP);
        let pinned = match Checkpoints::open(devnet)?.of(genesis)? {
            Some(checkpoint) => pinned.beginning_at(checkpoint),
            None => pinned,
        };
        Ok(match prepared(pins::head_file(genesis, devnet)) {
            Ok(file) => pinned.remembering(file),
            Err(reason) => {
                progress::warn(
                    self,
                    &format!(
                        "the last verified block is not kept ({reason}), so the next run cannot notice a node that \
                         goes back to an earlier block"
                    ),
                );
                pinned
            }
        })
    }
}

/// The chain that a run is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) genesis: Hash,
    by: KnownBy,
}

/// From where the user has the genesis hash that a result depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GenesisFrom {
    /// The file of a network for development.
    Devnet,
    /// The option --genesis, or EPIONE_GENESIS.
    Option,
    /// What the user pinned for the node at this address.
    Pin(String),
}

impl fmt::Display for GenesisFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Devnet => write!(f, "--devnet, a network for development"),
            Self::Option => write!(f, "--genesis or EPIONE_GENESIS"),
            Self::Pin(node) => write!(f, "your pin of {node}"),
        }
    }
}

/// Who said which chain it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KnownBy {
    /// The devnet's own file.
    Devnet,
    /// The user, with --genesis or EPIONE_GENESIS.
    Option,
    /// The user, with `epione chain pin`.
    Pin,
}

impl Known {
    /// The node says that it belongs to another chain.
    pub(super) fn is_another(self, url: &str, found: Hash) -> Failure {
        let (url, expected) = (without_userinfo(url), self.genesis);
        let other = ChainError::OtherChain { url: url.clone(), expected, found }.to_string();
        match self.by {
            KnownBy::Devnet => Failure::new(
                format!("the node at {url} is not a node of the devnet that --devnet names"),
                "leave out --node, or use a node of that devnet",
            ),
            KnownBy::Option => {
                Failure::new(other, "correct --genesis or EPIONE_GENESIS, or choose another --node")
            }
            KnownBy::Pin => Failure::new(
                other,
                "choose another --node; only if the hospitals have announced a new chain, remove the pin and pin the \
                 hash that they publish",
            )
            .with_command(Invocation::new(["chain", "unpin", "--node", &url])),
        }
    }
}

/// The file for the last verified block, after its folder was made; or why there can be none.
fn prepared(file: Option<PathBuf>) -> Result<PathBuf, String> {
    let file = file.ok_or("there is no home folder: set HOME or XDG_STATE_HOME")?;
    let folder = file.parent().unwrap_or(Path::new("."));
    private::folder(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(file)
}

/// Nobody has said which chain the node must belong to.
pub(super) fn unknown_chain(url: &str, claimed: Hash) -> Failure {
    let (url, hash) = (without_userinfo(url), format!("{claimed:?}"));
    Failure::new(
        format!(
            "the node at {url} says that the first block of its chain is {hash}, and nobody has confirmed that this is \
             the hospitals' chain"
        ),
        "compare this hash with the one that your hospital publishes; only if they are equal, run the command below, \
         and then your command again",
    )
    .with_command(Invocation::new(["chain", "pin", &hash, "--node", &url]))
}

fn not_started() -> Failure {
    Failure::new(
        "the devnet that --devnet names has not started: none of its nodes has answered",
        "wait until it has started, then run the command again",
    )
    .with_command(Invocation::new(["devnet", "status"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_genesis_hash_has_64_digits() {
        let digits = "07".repeat(32);
        for good in [digits.clone(), format!("0x{digits}")] {
            assert_eq!(genesis_hash(&good), Ok(Hash::repeat_byte(7)));
        }
        for wrong in ["", "0x", "07", &format!("{digits}07"), &"zz".repeat(32)] {
            genesis_hash(wrong).unwrap_err();
        }
    }

    #[test]
    fn a_block_that_cannot_be_kept_has_a_reason() {
        let reason = prepared(None).unwrap_err();
        assert!(reason.contains("HOME"), "{reason}");
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("heads/one.json");
        assert_eq!(prepared(Some(file.clone())), Ok(file.clone()));
        std::fs::write(&file, "").unwrap();
        let reason = prepared(Some(file.join("two.json"))).unwrap_err();
        assert!(reason.contains("one.json"), "{reason}");
    }

    #[test]
    fn an_unknown_chain_is_not_believed_and_the_command_that_pins_it_is_printed() {
        let failure = unknown_chain("wss://node.example", Hash::repeat_byte(7));
        let hash = format!("{:?}", Hash::repeat_byte(7));
        assert!(failure.error.contains(&hash), "{failure}");
        assert!(failure.help.contains("compare") && failure.help.contains("only if"), "{failure}");
        let command = format!("epione chain pin {hash} --node wss://node.example/");
        assert_eq!(failure.commands[..], [command]);
    }

    #[test]
    fn another_chain_than_the_pinned_one_is_not_pinned_by_a_printed_command() {
        let (genesis, found) = (Hash::repeat_byte(7), Hash::repeat_byte(8));
        for by in [KnownBy::Option, KnownBy::Pin] {
            let failure = Known { genesis, by }.is_another("wss://node.example", found);
            assert!(failure.error.contains(&format!("{found:?}")), "{failure}");
            assert!(failure.error.contains(&format!("{genesis:?}")), "{failure}");
            let pins = |command: &String| command.contains(&format!("{found:?}"));
            assert!(!failure.commands.iter().any(pins), "{failure}");
        }
    }

    #[test]
    fn the_password_in_an_address_is_not_printed() {
        let (url, hash) = ("wss://ada:secret@node.example", Hash::repeat_byte(7));
        let mut printed = vec![unknown_chain(url, hash)];
        for by in [KnownBy::Devnet, KnownBy::Option, KnownBy::Pin] {
            printed.push(Known { genesis: hash, by }.is_another(url, Hash::repeat_byte(8)));
        }
        for failure in printed {
            let text = failure.to_string();
            assert!(!text.contains("secret"), "{text}");
        }
    }
}
