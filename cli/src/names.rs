//! The user's address book: the user's own names for users and hospitals of one chain. It never leaves this machine.
//! There is a file for each chain in the user's configuration folder; the file for a devnet is part of the devnet's
//! data, and is removed with them.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use epione_primitives::{Hash, HospitalId, UserId};
use serde::{Deserialize, Serialize};

use crate::{
    failure::Failure,
    home::{self, Kind},
    kept,
    similar::did_you_mean,
    wording::controls,
};

/// Longest name in characters.
const MAX_NAME_CHARS: usize = 64;
/// Largest address book in bytes.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// A name that cannot be confused with a number or an id, and is safe to print on a terminal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| Err(format!("a name must {what}"));
        if !text.starts_with(char::is_alphabetic) {
            return wrong("begin with a letter");
        }
        if text.chars().count() > MAX_NAME_CHARS {
            return wrong(&format!("have at most {MAX_NAME_CHARS} characters"));
        }
        if text.ends_with(' ') || text.contains(controls) {
            return wrong("be one line of visible characters, without a space at its end");
        }
        if text.parse::<UserId>().is_ok() {
            return wrong("not be a user id");
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The user or hospital that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bearer {
    User(UserId),
    Hospital(HospitalId),
}

/// All names for one chain.
#[derive(Debug)]
pub struct AddressBook {
    /// None if the environment names no home; then there are no names.
    path: Option<PathBuf>,
    names: BTreeMap<Name, Bearer>,
}

impl AddressBook {
    /// The names for the chain with this first block: those in the folder of a devnet, or else the user's; none if
    /// there is no file.
    pub fn open(genesis: Hash, devnet: Option<&Path>) -> Result<Self, Failure> {
        let folder = match devnet {
            Some(devnet) => Some(devnet.join("data/names")),
            None => home::folder(Kind::Config).map(|folder| folder.join("names")),
        };
        match folder {
            Some(folder) => Self::read(&folder, genesis),
            None => Ok(Self { path: None, names: BTreeMap::new() }),
        }
    }

    fn read(folder: &Path, genesis: Hash) -> Result<Self, Failure> {
        let path = folder.join(hex::encode(genesis)).with_extension("json");
        let names = kept::read(&path, MAX_FILE_BYTES).map_err(|error| {
            Failure::new(
                format!("{}: {error}", path.display()),
                "repair this address book, or delete it and set its names again",
            )
        })?;
        Ok(Self { path: Some(path), names: names.unwrap_or_default() })
    }

    pub fn names(&self) -> &BTreeMap<Name, Bearer> {
        &self.names
    }

    /// The user or hospital with this name.
    pub fn bearer(&self, name: &str) -> Option<Bearer> {
        self.names.iter().find(|(known, _)| known.as_str() == name).map(|(_, bearer)| *bearer)
    }

    /// The first name of a user or hospital.
    pub fn name_of(&self, bearer: Bearer) -> Option<&Name> {
        self.names.iter().find(|(_, known)| **known == bearer).map(|(name, _)| name)
    }

    /// A suggestion for the end of a message about an unknown name; empty if no name is similar.
    pub fn did_you_mean(&self, name: &str) -> String {
        did_you_mean(name, self.names.keys().map(Name::as_str))
    }

    /// Sets a name; returns its earlier meaning.
    pub fn set(&mut self, name: Name, bearer: Bearer) -> Result<Option<Bearer>, Failure> {
        self.change(|names| names.insert(name, bearer))
    }

    /// Removes a name; returns its meaning.
    pub fn remove(&mut self, name: &Name) -> Result<Option<Bearer>, Failure> {
        self.change(|names| names.remove(name))
    }

    /// Reads the file again and changes it, while no other process does so.
    fn change<T>(
        &mut self,
        change: impl FnOnce(&mut BTreeMap<Name, Bearer>) -> T,
    ) -> Result<T, Failure> {
        let path = self.path.as_deref().ok_or_else(|| {
            Failure::new("there is no folder for your names", "set HOME or XDG_CONFIG_HOME")
        })?;
        let (names, before) = kept::change(path, MAX_FILE_BYTES, change)
            .map_err(|error| Failure::file(path, &error))?;
        self.names = names;
        Ok(before)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_is_neither_a_number_nor_an_id_nor_unsafe() {
        for good in ["ada", "Dr. Müller-Lüdenscheidt", "病院", "decade", "a1", "नमस्ते"]
        {
            assert_eq!(name(good).as_str(), good);
        }
        let id = "ab".repeat(32);
        let long = "x".repeat(65);
        for wrong in
            ["", "7", "0xab", " a", "a ", "a\nb", "a\u{202e}b", "a\x1b[2J", "-a", &id, &long]
        {
            assert!(wrong.parse::<Name>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn names_belong_to_a_chain_and_only_their_owner_may_read_them() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("names");
        let (one, other) = (Hash::repeat_byte(1), Hash::repeat_byte(2));
        let open = |genesis| AddressBook::read(&folder, genesis).unwrap();
        let ada = Bearer::User(UserId([1; 32]));
        let mut book = open(one);
        // By another process, meanwhile.
        open(one).set(name("home"), Bearer::Hospital(HospitalId(3))).unwrap();
        assert_eq!(book.set(name("ada"), ada).unwrap(), None);
        assert_eq!(book.set(name("ada"), ada).unwrap(), Some(ada));

        let book = open(one);
        assert_eq!(book.bearer("ada"), Some(ada));
        assert_eq!(book.bearer("home"), Some(Bearer::Hospital(HospitalId(3))));
        assert_eq!(book.name_of(ada), Some(&name("ada")));
        assert_eq!(book.did_you_mean("adda"), "; did you mean ada?");
        assert!(open(other).names().is_empty());
        let file = fs::read_dir(&folder).unwrap().next().unwrap().unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);

        assert_eq!(open(one).remove(&name("ada")).unwrap(), Some(ada));
        assert_eq!(open(one).bearer("ada"), None);
    }

    #[test]
    fn a_damaged_book_is_named_and_not_overwritten() {
        let place = tempfile::tempdir().unwrap();
        let genesis = Hash::repeat_byte(1);
        let path = place.path().join(hex::encode(genesis)).with_extension("json");
        for content in ["{", r#"{"a\u001b[2J":{"hospital":1}}"#, r#"{"ada":{"user":"0x12"}}"#] {
            fs::write(&path, content).unwrap();
            let failure = AddressBook::read(place.path(), genesis).unwrap_err();
            assert!(failure.error.contains(&*path.to_string_lossy()), "{failure}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
    }
}
