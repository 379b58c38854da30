//! The keys that a worker holds: the agent's account key and the hospital's sealing key.

use std::{fs, io, path::PathBuf};

use epione_envelope::{
    development,
    keystore::{self, ActorKeys, KeystoreError},
};
use zeroize::Zeroizing;

use crate::config::Keystore;

/// Bytes of a password file, at most.
const MAX_PASSWORD_BYTES: u64 = 4_096;

#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("cannot read the password file {path}: {source}")]
    PasswordFile { path: PathBuf, source: io::Error },
    #[error("the password file {0} is longer than a password: is it the right file?")]
    LongPassword(PathBuf),
    #[error("cannot open the keystore {path}: {source}")]
    Keystore { path: PathBuf, source: KeystoreError },
    #[error("{0} is not the name of development keys: write it like \"//Alice\"")]
    Development(String),
    #[error("the configuration names no keys")]
    Absent,
}

/// Opens the keys that a configuration names. Slow on purpose: run it on a blocking thread.
pub fn load(config: &Keystore) -> Result<ActorKeys, KeysError> {
    if let Some(hospital) = &config.development {
        tracing::warn!(
            hospital,
            "DEVELOPMENT KEYS: everybody knows them, so nothing that this worker seals or signs is \
             protected. Never use them for real patients."
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
    keystore::load(path, password.trim_end_matches(['\r', '\n']))
        .map_err(|source| KeysError::Keystore { path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use epione_envelope::{
        account::{Scheme, Signer},
        keystore::Cost,
        sealing::SealingSuite,
    };

    use super::*;

    #[test]
    fn development_keys_are_the_hospital_s_agent_s() {
        let config =
            Keystore { path: None, password_file: None, development: Some("//Alice".into()) };
        let keys = load(&config).unwrap();
        let agent = development::keys("//Alice//agent").unwrap();
        assert_eq!(keys.account(), agent.account());
        assert_eq!(keys.sealing.public(), development::sealing_key("//Alice").public());
    }

    #[test]
    fn a_keystore_opens_with_its_password_file_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let (path, password_file) = (folder.path().join("k.json"), folder.path().join("password"));
        let keys = ActorKeys::generate(Scheme::Ed25519, SealingSuite::X25519);
        keystore::save(&keys, &path, "correct horse", Cost::Fast).unwrap();
        fs::write(&password_file, "correct horse\n").unwrap();
        let config = Keystore {
            path: Some(path),
            password_file: Some(password_file.clone()),
            development: None,
        };
        assert_eq!(load(&config).unwrap().account(), keys.account());
        fs::write(&password_file, "wrong").unwrap();
        assert!(matches!(load(&config), Err(KeysError::Keystore { .. })));
        fs::write(&password_file, vec![b'x'; 5_000]).unwrap();
        assert!(matches!(load(&config), Err(KeysError::LongPassword(_))));
        fs::remove_file(&password_file).unwrap();
        let error = load(&config).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("password"), "{error}");
    }
}
