//! The keys of local networks, which are also in the runtime's genesis presets.

use std::{fs, path::Path};

use epione_envelope::{account::Signer, development, sealing_keys::SealingPublicKey};
use epione_primitives::AccountId;
use sp_core::Pair;

#[test]
fn accounts_are_those_that_substrate_derives() {
    for uri in ["//Alice", "//Alice//agent", "//Dave//governance", "//anybody"] {
        let pair = sp_core::sr25519::Pair::from_string(uri, None).unwrap();
        let keys = development::keys(uri).unwrap();
        assert_eq!(keys.account(), AccountId::from(pair.public()));
    }
}

#[test]
fn a_hospitals_accounts_share_a_sealing_key_and_others_have_their_own() {
    let public = |uri| development::keys(uri).unwrap().sealing.public().clone();
    assert_eq!(public("//Alice//agent"), public("//Alice"));
    assert_eq!(public("//Alice//governance"), public("//Alice"));
    assert_ne!(public("//Alice//doctor"), public("//Alice"));
    assert_ne!(public("//Bob"), public("//Alice"));
}

#[test]
fn tls_keys_are_those_of_the_presets() {
    for hospital in ["//Alice", "//Dave"] {
        let pair = sp_core::ed25519::Pair::from_string(&format!("{hospital}//tls"), None).unwrap();
        assert_eq!(development::tls_key(hospital).unwrap().public(), pair.public().0);
    }
    assert!(development::tls_key("Alice").is_err());
}

#[test]
fn other_uris_are_refused() {
    for uri in ["", "//", "Alice", "/Alice", "//Alice/soft", "//Alice///password", "bottom drive"] {
        assert!(development::keys(uri).is_err(), "{uri}");
    }
}

/// To rewrite the files: `EPIONE_WRITE_DEVELOPMENT_KEYS=1 cargo test -p epione-envelope --release`.
#[test]
fn the_runtimes_files_contain_the_development_sealing_keys() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/src/dev-sealing-keys");
    for (name, uri) in
        [("alice", "//Alice"), ("bob", "//Bob"), ("charlie", "//Charlie"), ("dave", "//Dave")]
    {
        let key = development::sealing_key(uri);
        let text = format!("{}\n", hex::encode(key.public().as_bytes()));
        let path = folder.join(name).with_extension("hex");
        if std::env::var_os("EPIONE_WRITE_DEVELOPMENT_KEYS").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &text).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "{}", path.display());
        let parsed = SealingPublicKey::from_bytes(&hex::decode(text.trim()).unwrap());
        assert_eq!(&parsed.unwrap(), key.public());
    }
}
