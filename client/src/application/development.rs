//! Keys that everybody has: those that Substrate's tools derive from the phrase that they all ship with. A chain of
//! hospitals must contain none of them.

use std::{collections::BTreeSet, sync::LazyLock};

use epione_envelope::development;
use sp_core::{Pair, crypto::DEV_PHRASE, ed25519, sr25519};

/// The names from which tools derive keys, as in `//Alice`.
const NAMES: [&str; 16] = [
    "Alice", "Bob", "Charlie", "Dave", "Eve", "Ferdie", "One", "Two", "Three", "Four", "Five",
    "Six", "Seven", "Eight", "Nine", "Ten",
];
/// What follows a name, for a hospital's duties and in Substrate's own presets.
const PARTS: [&str; 5] = ["", "//agent", "//governance", "//tls", "//stash"];

/// The public development keys.
pub(super) struct PublicKnowledge {
    /// Of accounts, session keys, TLS and nodes.
    keys: BTreeSet<[u8; 32]>,
    sealing: BTreeSet<Vec<u8>>,
}

impl PublicKnowledge {
    /// Derived once: it takes as long as a hundred passwords.
    pub(super) fn get() -> &'static Self {
        static KNOWN: LazyLock<PublicKnowledge> = LazyLock::new(PublicKnowledge::collect);
        &KNOWN
    }

    fn collect() -> Self {
        let named =
            NAMES.iter().flat_map(|name| PARTS.iter().map(move |part| format!("//{name}{part}")));
        let uris: Vec<_> = named.chain([DEV_PHRASE.to_owned()]).collect();
        let keys = uris.iter().flat_map(|uri| {
            let sr25519 = sr25519::Pair::from_string(uri, None).map(|pair| pair.public().0);
            let ed25519 = ed25519::Pair::from_string(uri, None).map(|pair| pair.public().0);
            [sr25519.ok(), ed25519.ok()].into_iter().flatten()
        });
        let sealing = NAMES.iter().map(|name| {
            development::sealing_key(&format!("//{name}")).public().as_bytes().to_vec()
        });
        Self { keys: keys.collect(), sealing: sealing.collect() }
    }

    pub(super) fn has(&self, key: &[u8; 32]) -> bool {
        self.keys.contains(key)
    }

    pub(super) fn has_sealing_key(&self, key: &[u8]) -> bool {
        self.sealing.contains(key)
    }
}

#[cfg(test)]
mod tests {
    use epione_envelope::account::Signer;

    use super::*;

    #[test]
    fn the_keys_of_the_presets_are_public_knowledge() {
        let known = PublicKnowledge::get();
        assert_eq!(known.keys.len(), 2 * (NAMES.len() * PARTS.len() + 1));
        for uri in ["//Alice", "//Dave//agent"] {
            let keys = development::keys(uri).unwrap();
            assert!(known.has(keys.account.account().as_ref()), "{uri}");
            assert!(known.has_sealing_key(keys.sealing.public().as_bytes()), "{uri}");
        }
        assert!(known.has(&development::tls_key("//Bob").unwrap().public()));
        let grandpa = ed25519::Pair::from_string("//Charlie", None).unwrap().public();
        assert!(known.has(&grandpa.0));
        assert!(!known.has(&[7; 32]));
    }
}
