//! The worker's keys: the agent's account key, the hospital's sealing key, and the worker's TLS keys.

use std::{fmt, fs, io, path::PathBuf};

use epione_envelope::{
    account::AccountKey,
    development,
    keystore::{self, ActorKeys, KeystoreError},
    tls::{self, GENERATIONS},
};
use zeroize::Zeroizing;

use crate::config::Keystore;

/// Bytes of a password file, at most.
const MAX_PASSWORD_BYTES: u64 = 4_096;

#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("cannot read the password file {path}: {source}")]
    PasswordFile { path: PathBuf, source: io::Error },
    #[error(
        "the password file {0} is too long for a password: check that password_file names the right file"
    )]
    LongPassword(PathBuf),
    #[error("cannot open the keystore {path}: {source}")]
    Keystore { path: PathBuf, source: KeystoreError },
    #[error("{0} is not a name of development keys: use a name such as \"//Alice\"")]
    Development(String),
    #[error("the configuration names no keys")]
    Absent,
}

/// Opens the keys that a configuration names. Opening a keystore is slow on purpose: call this on a blocking thread.
pub fn load(config: &Keystore) -> Result<ActorKeys, KeysError> {
    if let Some(hospital) = &config.development {
        tracing::warn!(
            hospital,
            "DEVELOPMENT KEYS: everybody knows these keys, so nothing that this worker seals or signs is protected. \
             Never use them for real patients."
        );
        return development::keys(&format!("{hospital}//agent"))
            .map_err(|_| KeysError::Development(hospital.clone()));
    }
    let (Some(path), Some(password_file)) = (&config.path, &config.password_file) else {
        return Err(KeysError::Absent);
    };
    let unreadable = |source| KeysError::PasswordFile { path: password_file.clone(), source };
    if fs::metadata(password_file).map_err(unreadable)?.len() > MAX_PASSWORD_BYTES {
        return Err(KeysError::LongPassword(password_file.clone()));
    }
    let password = Zeroizing::new(fs::read_to_string(password_file).map_err(unreadable)?);
    let open = if config.allow_shared_file { keystore::load_shared } else { keystore::load };
    open(path, password.trim_end_matches(['\r', '\n']))
        .map_err(|source| KeysError::Keystore { path: path.clone(), source })
}

/// The Ed25519 keys that a worker can prove in TLS. They are derived from the keystore, which has to be kept anyway.
/// The chain names the one that is in use.
#[derive(Clone)]
pub struct TlsKeys {
    /// The current keystore's comes first.
    roots: Vec<Root>,
}

#[derive(Clone)]
struct Root {
    agent: AccountKey,
    /// Replaces generation 0: the key that the presets of local networks name.
    development: Option<AccountKey>,
}

impl fmt::Debug for TlsKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsKeys of {} keystores", self.roots.len())
    }
}

impl TlsKeys {
    /// `keys` is the content of the configuration's keystore.
    pub fn new(config: &Keystore, keys: &ActorKeys) -> Result<Self, KeysError> {
        Ok(Self { roots: vec![Root::new(config, keys)?] })
    }

    /// Adds the keys of a previous keystore, so that the worker can prove a key that the chain still names after the
    /// agent's account was changed.
    pub fn and_earlier(&mut self, config: &Keystore, keys: &ActorKeys) -> Result<(), KeysError> {
        self.roots.push(Root::new(config, keys)?);
        Ok(())
    }

    /// A key of the current keystore. Generation 0 is the first one in use.
    pub fn generation(&self, generation: u16) -> AccountKey {
        self.roots[0].generation(generation)
    }

    /// The key with this public half, and its generation.
    pub fn find(&self, public: &[u8; 32]) -> Option<(u16, AccountKey)> {
        self.roots.iter().find_map(|root| {
            let mut all = (0..GENERATIONS).map(|n| (n, root.generation(n)));
            all.find(|(_, key)| key.public() == *public)
        })
    }
}

impl Root {
    fn new(config: &Keystore, keys: &ActorKeys) -> Result<Self, KeysError> {
        let development = config.development.as_ref().map(|hospital| {
            development::tls_key(hospital).map_err(|_| KeysError::Development(hospital.clone()))
        });
        Ok(Self { agent: keys.account.clone(), development: development.transpose()? })
    }

    fn generation(&self, generation: u16) -> AccountKey {
        match &self.development {
            Some(key) if generation == 0 => key.clone(),
            _ => tls::key(&self.agent, generation),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use epione_envelope::{
        account::{Scheme, Signer},
        keystore::Cost,
        sealing_keys::SealingSuite,
    };

    use super::*;

    #[test]
    fn development_keys_are_those_of_the_agent() {
        let config = development("//Alice");
        let keys = load(&config).unwrap();
        let agent = development::keys("//Alice//agent").unwrap();
        assert_eq!(keys.account(), agent.account());
        assert_eq!(keys.sealing.public(), development::sealing_key("//Alice").public());
    }

    fn development(name: &str) -> Keystore {
        Keystore { development: Some(name.into()), ..stored() }
    }

    fn stored() -> Keystore {
        Keystore { path: None, password_file: None, allow_shared_file: false, development: None }
    }

    #[test]
    fn a_tls_key_of_any_keystore_is_found() {
        let stored = stored();
        let [now, before] =
            [(); 2].map(|()| ActorKeys::generate(Scheme::Sr25519, SealingSuite::X25519));
        let mut keys = TlsKeys::new(&stored, &now).unwrap();
        let old = TlsKeys::new(&stored, &before).unwrap().generation(3).public();
        assert!(keys.find(&old).is_none());
        keys.and_earlier(&stored, &before).unwrap();
        assert_eq!(keys.find(&old).unwrap().0, 3);
        for generation in [0, 1, GENERATIONS - 1] {
            let public = keys.generation(generation).public();
            assert_eq!(keys.find(&public).unwrap().0, generation);
        }
        assert!(keys.find(&keys.generation(GENERATIONS).public()).is_none());
        assert_ne!(keys.generation(0).public(), now.account.public());
        assert!(!format!("{keys:?}").contains(&hex::encode(now.account.seed())));
    }

    #[test]
    fn the_first_development_tls_key_is_the_presets_key() {
        let alice = development("//Alice");
        let keys = TlsKeys::new(&alice, &load(&alice).unwrap()).unwrap();
        let named = development::tls_key("//Alice").unwrap().public();
        assert_eq!(keys.generation(0).public(), named);
        assert_ne!(keys.generation(1).public(), named);
    }

    /// Deployed workers' keys depend on this: another result would cut them off from the network.
    #[test]
    fn the_tls_key_of_a_keystore_never_changes() {
        let stored = stored();
        let mut keys = ActorKeys::generate(Scheme::Ed25519, SealingSuite::X25519);
        keys.account = AccountKey::from_seed(Scheme::Ed25519, &[7; 32]);
        let first = TlsKeys::new(&stored, &keys).unwrap().generation(0);
        let expected = "07d5fc2626a63aea30f26ef28b9cd7ea3d3b7b1e1a87d78b491159bf093b4b73";
        assert_eq!(hex::encode(first.public()), expected);
    }

    #[test]
    fn a_keystore_opens_only_with_its_password_file_and_only_if_nobody_else_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, password_file) = (folder.path().join("k.json"), folder.path().join("password"));
        let keys = ActorKeys::generate(Scheme::Ed25519, SealingSuite::X25519);
        keystore::save(&keys, &path, "correct horse", Cost::Fast).unwrap();
        fs::write(&password_file, "correct horse\n").unwrap();
        let config = Keystore {
            path: Some(path.clone()),
            password_file: Some(password_file.clone()),
            ..stored()
        };
        assert_eq!(load(&config).unwrap().account(), keys.account());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = load(&config).map(|_| ()).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
        let shared = Keystore { allow_shared_file: true, ..config.clone() };
        assert_eq!(load(&shared).unwrap().account(), keys.account());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&password_file, "wrong").unwrap();
        assert!(matches!(load(&config), Err(KeysError::Keystore { .. })));
        fs::write(&password_file, vec![b'x'; 5_000]).unwrap();
        assert!(matches!(load(&config), Err(KeysError::LongPassword(_))));
        fs::remove_file(&password_file).unwrap();
        let error = load(&config).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("password"), "{error}");
    }
}
