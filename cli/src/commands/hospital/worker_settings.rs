//! The worker's configuration file, as far as commands write it. `epione-worker example-config` shows every setting.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use epione_client::private;
use epione_primitives::Hash;
use serde::Serialize;
use toml::{Table, Value};
use url::Url;

use crate::{context::genesis_hash, failure::Failure};

/// Bytes of a configuration, at most.
const MAX_BYTES: u64 = 1024 * 1024;
/// Earlier keystores that a worker accepts.
const MAX_EARLIER: usize = 8;
const HEADING: &str = "\
# Configuration of the hospital's worker. `epione hospital` writes this file; you may add settings, which stay.
# `epione-worker example-config` prints every setting with its default.

";

/// A key file of a worker, and the file with its password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Keystore {
    pub path: PathBuf,
    pub password_file: PathBuf,
}

/// Where a worker stores segments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// A directory.
    Path(PathBuf),
    S3(Bucket),
}

/// A bucket of an S3-compatible storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bucket {
    pub endpoint: Url,
    pub bucket: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
}

/// What the configuration of a new hospital contains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewSettings {
    pub node_url: String,
    pub listen: SocketAddr,
    pub public_url: String,
    pub operators_listen: SocketAddr,
    pub data_dir: PathBuf,
    pub keystore: Keystore,
    pub store: Store,
}

impl NewSettings {
    pub fn to_text(&self) -> Result<String, Failure> {
        let table = Table::try_from(self).map_err(unwritable)?;
        text(&table)
    }
}

/// A configuration file that exists.
#[derive(Debug)]
pub struct WorkerSettings {
    path: PathBuf,
    table: Table,
}

impl WorkerSettings {
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let unreadable = |error: io::Error| Failure::file(path, &error);
        if fs::metadata(path).map_err(unreadable)?.len() > MAX_BYTES {
            return Err(unreadable(io::Error::other("it is too long for a configuration")));
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let table = toml::from_str(&text)
            .map_err(|error| unreadable(io::Error::other(format!("it is not TOML: {error}"))))?;
        Ok(Self { path: path.into(), table })
    }

    pub fn node_url(&self) -> Result<String, Failure> {
        self.text("node_url")
    }

    pub fn keystore(&self) -> Result<Keystore, Failure> {
        let part = |key: &str| {
            let value = self.table.get("keystore").and_then(|keystore| keystore.get(key));
            value.and_then(Value::as_str).map(PathBuf::from).ok_or_else(|| self.lacks(key))
        };
        Ok(Keystore { path: part("path")?, password_file: part("password_file")? })
    }

    pub fn genesis(&self) -> Result<Option<Hash>, Failure> {
        let Some(value) = self.table.get("genesis") else { return Ok(None) };
        let hash = value.as_str().and_then(|text| genesis_hash(text).ok());
        hash.map(Some).ok_or_else(|| self.lacks("genesis"))
    }

    pub fn set_genesis(&mut self, genesis: Hash) -> Result<(), Failure> {
        self.table.insert("genesis".into(), format!("{genesis:?}").into());
        self.write()
    }

    /// Makes the worker use another key file from its next start on, and keep what the present one opens and proves.
    pub fn replace_keystore(&mut self, next: &Keystore) -> Result<(), Failure> {
        let before = Table::try_from(self.keystore()?).map_err(unwritable)?;
        let after = Table::try_from(next).map_err(unwritable)?;
        let earlier = self.table.entry("earlier_keystores").or_insert(Value::Array(Vec::new()));
        let Some(earlier) = earlier.as_array_mut() else {
            return Err(self.lacks("earlier_keystores"));
        };
        if earlier.len() >= MAX_EARLIER {
            return Err(Failure::new(
                format!("{} already has {MAX_EARLIER} earlier keystores", self.path.display()),
                "remove those to which no profile is sealed any more: docs/operations.md, \"TLS and keys\"",
            ));
        }
        earlier.insert(0, Value::Table(before));
        self.table.insert("keystore".into(), Value::Table(after));
        self.write()
    }

    fn text(&self, key: &str) -> Result<String, Failure> {
        let value = self.table.get(key).and_then(Value::as_str);
        value.map(str::to_owned).ok_or_else(|| self.lacks(key))
    }

    fn lacks(&self, key: &str) -> Failure {
        Failure::new(
            format!("{} has no valid {key}", self.path.display()),
            "correct it; `epione-worker example-config` shows every setting",
        )
    }

    fn write(&self) -> Result<(), Failure> {
        private::replace(&self.path, text(&self.table)?.as_bytes())
            .map_err(|error| Failure::file(&self.path, &error))
    }
}

fn text(table: &Table) -> Result<String, Failure> {
    Ok(format!("{HEADING}{}", toml::to_string(table).map_err(unwritable)?))
}

fn unwritable(error: toml::ser::Error) -> Failure {
    Failure::new(
        format!("the worker's configuration cannot be written: {error}"),
        "use paths of letters and digits",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keystore(name: &str) -> Keystore {
        Keystore { path: name.into(), password_file: format!("{name}.password").into() }
    }

    fn settings(store: Store) -> NewSettings {
        NewSettings {
            node_url: "ws://127.0.0.1:9944/".into(),
            listen: "127.0.0.1:8600".parse().unwrap(),
            public_url: "https://worker.example".into(),
            operators_listen: "127.0.0.1:8601".parse().unwrap(),
            data_dir: "/srv/h/worker".into(),
            keystore: keystore("/srv/h/agent.json"),
            store,
        }
    }

    #[test]
    fn a_store_is_a_directory_or_a_bucket() {
        let text = settings(Store::Path("/srv/segments".into())).to_text().unwrap();
        let table: Table = toml::from_str(&text).unwrap();
        assert_eq!(table["store"]["path"].as_str(), Some("/srv/segments"));
        let bucket = Bucket {
            endpoint: Url::parse("https://s3.example").unwrap(),
            bucket: "epione".into(),
            region: None,
            credentials_file: Some("/etc/s3.toml".into()),
        };
        let table: Table = toml::from_str(&settings(Store::S3(bucket)).to_text().unwrap()).unwrap();
        assert_eq!(table["store"]["s3"]["bucket"].as_str(), Some("epione"));
        assert!(table["store"].get("path").is_none());
    }

    #[test]
    fn changes_keep_the_settings_of_the_operator() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker.toml");
        let text = settings(Store::Path("/srv/segments".into())).to_text().unwrap();
        fs::write(&path, text + "[pack]\nmax_age = \"1s\"\n").unwrap();
        let mut read = WorkerSettings::read(&path).unwrap();
        assert_eq!(read.genesis().unwrap(), None);
        read.set_genesis(Hash::repeat_byte(7)).unwrap();
        read.replace_keystore(&keystore("/srv/h/agent-2.json")).unwrap();
        read.replace_keystore(&keystore("/srv/h/agent-3.json")).unwrap();

        let read = WorkerSettings::read(&path).unwrap();
        assert_eq!(read.genesis().unwrap(), Some(Hash::repeat_byte(7)));
        assert_eq!(read.keystore().unwrap(), keystore("/srv/h/agent-3.json"));
        assert_eq!(read.node_url().unwrap(), "ws://127.0.0.1:9944/");
        assert_eq!(read.table["pack"]["max_age"].as_str(), Some("1s"));
        let earlier = read.table["earlier_keystores"].as_array().unwrap();
        let paths: Vec<_> = earlier.iter().map(|it| it["path"].as_str().unwrap()).collect();
        assert_eq!(paths, ["/srv/h/agent-2.json", "/srv/h/agent.json"]);
    }

    #[test]
    fn a_worker_has_at_most_eight_earlier_keystores() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker.toml");
        fs::write(&path, settings(Store::Path("/srv/s".into())).to_text().unwrap()).unwrap();
        let mut read = WorkerSettings::read(&path).unwrap();
        for number in 0..MAX_EARLIER {
            read.replace_keystore(&keystore(&format!("/srv/h/{number}.json"))).unwrap();
        }
        let refused = read.replace_keystore(&keystore("/srv/h/more.json")).unwrap_err();
        assert!(refused.error.contains("8 earlier keystores"), "{refused}");
    }
}
