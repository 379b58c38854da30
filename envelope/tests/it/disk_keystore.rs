//! Keystore files.

use std::fs;

use epione_envelope::{
    account::{Scheme, Signer, verify},
    keystore::{self, ActorKeys, Cost, KeystoreError},
    sealing_keys::SealingSuite,
};
use tempfile::TempDir;

fn saved(cost: Cost) -> (TempDir, std::path::PathBuf, ActorKeys) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("doctor.json");
    let keys = ActorKeys::generate(Scheme::Ed25519, SealingSuite::XWing);
    keystore::save(&keys, &path, "correct horse", cost).unwrap();
    (folder, path, keys)
}

#[test]
fn keys_open_with_the_right_password() {
    for (scheme, suite) in
        [(Scheme::Sr25519, SealingSuite::X25519), (Scheme::Ed25519, SealingSuite::XWing)]
    {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("keys.json");
        let keys = ActorKeys::generate(scheme, suite);
        keystore::save(&keys, &path, "pässword", Cost::Fast).unwrap();
        let loaded = keystore::load(&path, "pässword").unwrap();
        assert_eq!(loaded.public(), keys.public());
        assert_eq!(loaded.account.seed(), keys.account.seed());
        assert_eq!(loaded.sealing.seed(), keys.sealing.seed());
        assert_eq!(keystore::read_public(&path).unwrap(), keys.public());
        assert!(verify(&loaded.sign(b"message"), b"message", &keys.account()));
    }
}

#[test]
fn a_new_sealing_key_keeps_the_account_and_the_old_file() {
    let (folder, path, keys) = saved(Cost::Fast);
    for suite in [SealingSuite::XWing, SealingSuite::X25519] {
        let renewed = keys.with_new_sealing_key(suite);
        assert_eq!(renewed.account(), keys.account());
        assert_eq!(renewed.sealing.suite(), suite);
        assert_ne!(renewed.sealing.seed(), keys.sealing.seed());
        let new_path = folder.path().join(format!("renewed-{}.json", suite.byte()));
        keystore::save(&renewed, &new_path, "password", Cost::Fast).unwrap();
        assert_eq!(keystore::load(&new_path, "password").unwrap().public(), renewed.public());
    }
    assert_eq!(keystore::load(&path, "correct horse").unwrap().public(), keys.public());
}

#[test]
fn a_file_of_interactive_cost_opens() {
    let (_folder, path, keys) = saved(Cost::Interactive);
    assert_eq!(keystore::load(&path, "correct horse").unwrap().public(), keys.public());
}

#[test]
fn a_wrong_password_and_a_damaged_file_give_one_error() {
    let (_folder, path, keys) = saved(Cost::Fast);
    let wrong = keystore::load(&path, "wrong").err().unwrap();
    assert!(matches!(wrong, KeystoreError::Refused { .. }));

    let text = fs::read_to_string(&path).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let other = ActorKeys::generate(Scheme::Ed25519, SealingSuite::XWing).public();
    let swap = |field: &str, value: serde_json::Value| {
        let mut json = json.clone();
        json[field] = value;
        json.to_string()
    };
    let flip = |field: &str| {
        let text = json[field].as_str().unwrap();
        let last = if text.ends_with('0') { "1" } else { "0" };
        swap(field, format!("{}{last}", &text[..text.len() - 1]).into())
    };
    let damaged = [
        flip("sealed"),
        flip("salt"),
        flip("nonce"),
        swap("sealed", "".into()),
        swap("account", serde_json::to_value(&other.account).unwrap()),
        swap("sealing_key", hex::encode(other.sealing.as_bytes()).into()),
        swap("scheme", "sr25519".into()),
        swap("scrypt", serde_json::json!({ "log_n": 11, "r": 8, "p": 1 })),
    ];
    for damaged in damaged {
        fs::write(&path, damaged).unwrap();
        let error = keystore::load(&path, "correct horse").err().unwrap();
        assert!(matches!(error, KeystoreError::Refused { .. }), "{error}");
    }
    fs::write(&path, text).unwrap();
    assert_eq!(keystore::load(&path, "correct horse").unwrap().public(), keys.public());
}

#[test]
fn files_of_another_format_are_refused_before_key_derivation() {
    let (_folder, path, _) = saved(Cost::Fast);
    let text = fs::read_to_string(&path).unwrap();
    let edits = [
        String::new(),
        "{}".into(),
        text.replace("epione-keystore", "something"),
        text.replace("\"suite\": 1", "\"suite\": 2"),
        text.replace("\"log_n\": 12", "\"log_n\": 63"),
        text.replace("\"log_n\": 12", "\"log_n\": 21"),
        text.replace("\"r\": 8", "\"r\": 4294967295"),
        text.replace("\"p\": 1", "\"p\": 4294967295"),
        text.replace("\"sealing_key\": \"01", "\"sealing_key\": \"07"),
        text.replace("\"sealing_key\": \"01", "\"sealing_key\": \"zz"),
        format!("{text}{}", " ".repeat(20_000)),
    ];
    for edited in edits {
        fs::write(&path, edited).unwrap();
        let error = keystore::load(&path, "correct horse").err().unwrap();
        assert!(matches!(error, KeystoreError::Format { .. }), "{error}");
    }
}

#[test]
fn keys_are_never_overwritten_and_no_temporary_file_stays() {
    let (folder, path, keys) = saved(Cost::Fast);
    let other = ActorKeys::generate(Scheme::Ed25519, SealingSuite::XWing);
    let error = keystore::save(&other, &path, "password", Cost::Fast).err().unwrap();
    assert!(matches!(error, KeystoreError::Exists { .. }));
    assert_eq!(keystore::load(&path, "correct horse").unwrap().public(), keys.public());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn a_file_that_others_may_read_or_change_is_not_opened() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let (folder, path, keys) = saved(Cost::Fast);
    let link = folder.path().join("link.json");
    symlink(&path, &link).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o602, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        for path in [&path, &link] {
            let error = keystore::load(path, "correct horse").err().unwrap();
            assert!(matches!(error, KeystoreError::Exposed { .. }), "{mode:o}: {error}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
            let shared = keystore::load_shared(path, "correct horse").unwrap();
            assert_eq!(shared.public(), keys.public());
            assert_eq!(keystore::read_public(path).unwrap(), keys.public());
        }
    }
    for mode in [0o400, 0o600, 0o700] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(keystore::load(&path, "correct horse").unwrap().public(), keys.public());
    }
}

#[test]
fn a_missing_file_or_folder_is_named() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("missing/keys.json");
    let keys = ActorKeys::generate(Scheme::Ed25519, SealingSuite::XWing);
    let error = keystore::save(&keys, &missing, "", Cost::Fast).err().unwrap();
    assert!(error.to_string().contains("missing/keys.json"));
    let error = keystore::load(&missing, "").err().unwrap();
    assert!(matches!(error, KeystoreError::Io { .. }));
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, path, _) = saved(Cost::Fast);
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_file_contains_no_secret_in_plaintext() {
    let (_folder, path, keys) = saved(Cost::Fast);
    let text = fs::read_to_string(path).unwrap();
    for seed in [keys.account.seed(), keys.sealing.seed()] {
        assert!(!text.contains(&hex::encode(seed)[..16]));
    }
}
