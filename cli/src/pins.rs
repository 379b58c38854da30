//! Which chain the user expects behind a node's address: the hash of the chain's first block. The user compares it with
//! the hash that the hospitals publish, and stores it once; nothing is stored without the user's word. The node of a
//! devnet needs no entry, because the devnet's own file has the hash.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::{Path, PathBuf},
};

use epione_client::endpoint::without_userinfo;
use epione_primitives::Hash;

use crate::{
    failure::Failure,
    home::{self, Kind},
    kept,
};

/// Largest file in bytes.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// The expected chains by the addresses of nodes.
#[derive(Debug)]
pub struct Pins {
    /// None if the environment names no home; then there are no entries.
    path: Option<PathBuf>,
    known: BTreeMap<String, Hash>,
}

impl Pins {
    /// The user's own.
    pub fn open() -> Result<Self, Failure> {
        match home::folder(Kind::Config) {
            Some(folder) => Self::read(folder.join("chains/pins.json")),
            None => Ok(Self { path: None, known: BTreeMap::new() }),
        }
    }

    fn read(path: PathBuf) -> Result<Self, Failure> {
        let known = kept::read(&path, MAX_FILE_BYTES).map_err(|error| {
            Failure::new(
                format!("{}: {error}", path.display()),
                "repair this file, or delete it and pin the chains of your nodes again",
            )
        })?;
        Ok(Self { path: Some(path), known: known.unwrap_or_default() })
    }

    /// The addresses, each with the hash of its chain's first block.
    pub fn known(&self) -> &BTreeMap<String, Hash> {
        &self.known
    }

    /// The chain that is expected behind an address.
    pub fn of(&self, node: &str) -> Option<Hash> {
        self.known.get(&without_userinfo(node)).copied()
    }

    /// Stores the chain that is expected behind an address. Another one than before is refused.
    pub fn set(&mut self, node: &str, genesis: Hash) -> Result<(), Failure> {
        let node = without_userinfo(node);
        let set = |known: &mut BTreeMap<String, Hash>| match known.entry(node.clone()) {
            Entry::Occupied(before) => *before.get(),
            Entry::Vacant(place) => *place.insert(genesis),
        };
        let (known, pinned) =
            kept::change(self.path()?, MAX_FILE_BYTES, set).map_err(|error| self.failed(&error))?;
        self.known = known;
        if pinned == genesis {
            return Ok(());
        }
        Err(Failure::new(
            format!("{node} is already pinned to the chain whose first block is {pinned:?}"),
            "if the hospitals have started a new chain, remove this pin with `epione chain unpin`, and pin the new one",
        ))
    }

    /// Removes the entry of an address; returns it.
    pub fn remove(&mut self, node: &str) -> Result<Option<Hash>, Failure> {
        let node = without_userinfo(node);
        let remove = |known: &mut BTreeMap<String, Hash>| known.remove(&node);
        let (known, before) = kept::change(self.path()?, MAX_FILE_BYTES, remove)
            .map_err(|error| self.failed(&error))?;
        self.known = known;
        Ok(before)
    }

    fn path(&self) -> Result<&Path, Failure> {
        self.path.as_deref().ok_or_else(|| {
            Failure::new(
                "there is no folder for what is known about chains",
                "set HOME or XDG_CONFIG_HOME; or give the hash with --genesis at each command",
            )
        })
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        Failure::file(self.path.as_deref().unwrap_or(Path::new("")), error)
    }
}

/// The file with the last verified block of a chain: in the folder of a devnet, or else the user's; none if the
/// environment names no home.
pub fn head_file(genesis: Hash, devnet: Option<&Path>) -> Option<PathBuf> {
    let folder = match devnet {
        Some(devnet) => devnet.join("data/heads"),
        None => home::folder(Kind::State)?.join("heads"),
    };
    Some(folder.join(hex::encode(genesis)).with_extension("json"))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    const ONE: Hash = Hash::repeat_byte(1);
    const OTHER: Hash = Hash::repeat_byte(2);
    const NODE: &str = "wss://node.hospital.example";

    #[test]
    fn a_pin_holds_until_it_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("chains/pins.json");
        let open = || Pins::read(path.clone()).unwrap();
        assert_eq!(open().of(NODE), None);
        open().set(NODE, ONE).unwrap();
        open().set(NODE, ONE).unwrap();
        let refused = open().set("WSS://node.hospital.example:443/", OTHER).unwrap_err();
        assert!(refused.error.contains(&format!("{ONE:?}")), "{refused}");
        assert!(refused.help.contains("unpin"), "{refused}");
        assert_eq!(open().of("wss://node.hospital.example/"), Some(ONE));
        assert_eq!(open().of("wss://other.hospital.example"), None);
        assert_eq!(open().of("ws://node.hospital.example"), None);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        assert_eq!(open().remove(NODE).unwrap(), Some(ONE));
        open().set(NODE, OTHER).unwrap();
        assert_eq!(open().of(NODE), Some(OTHER));
    }

    #[test]
    fn a_password_in_an_address_is_not_stored() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("chains/pins.json");
        let mut pins = Pins::read(path.clone()).unwrap();
        pins.set("wss://ada:secret@node.hospital.example", ONE).unwrap();
        assert_eq!(pins.of("wss://ada:changed@node.hospital.example"), Some(ONE));
        assert!(!fs::read_to_string(path).unwrap().contains("secret"));
    }

    #[test]
    fn a_damaged_file_is_an_error_and_not_an_unknown_chain() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("pins.json");
        for content in ["", "{", r#"{"wss://node":"0x12"}"#] {
            fs::write(&path, content).unwrap();
            let failure = Pins::read(path.clone()).unwrap_err();
            assert!(failure.error.contains("pins.json"), "{failure}");
        }
    }
}
