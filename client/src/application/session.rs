//! A validator's session keys, and the proof that `session.set_keys` requires.
//!
//! They are made here and written as files, and not by the node's RPC method `author_rotateKeysWithOwner`: that method
//! is unsafe, so no node would have to answer unsafe methods, not even on loopback.

use codec::{Decode, DecodeAll, Encode};
use epione_envelope::{
    Zeroizing,
    account::{self, AccountKey, Scheme, Signer},
};
use epione_primitives::{AccountId, Hash, Signature};
use serde::{Deserialize, Serialize};

/// What the SDK puts before the owner in the message of a proof of possession (`sp_core::proof_of_possession`).
const POSSESSION: &[u8; 4] = b"POP_";
/// An sr25519 and an ed25519 signature.
type Proof = ([u8; 64], [u8; 64]);

/// The public session keys of a validator, in the order of the runtime's `SessionKeys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[derive(Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionKeys {
    /// The sr25519 key with which the validator makes blocks.
    pub aura: Hash,
    /// The ed25519 key with which it votes for final blocks.
    pub grandpa: Hash,
}

impl SessionKeys {
    /// Whether both keys signed for this owner: the check of `session.set_keys`.
    pub fn are_proven_by(&self, proof: &[u8], owner: &AccountId) -> bool {
        let Ok((aura, grandpa)) = Proof::decode_all(&mut &proof[..]) else { return false };
        let message = statement(owner);
        let aura = Signature::Sr25519(aura.into());
        let grandpa = Signature::Ed25519(grandpa.into());
        account::verify(&aura, &message, &AccountId::new(self.aura.0))
            && account::verify(&grandpa, &message, &AccountId::new(self.grandpa.0))
    }

    /// The names of the files of a node's keystore that contain the keys: the key's type, then its public half.
    pub fn file_names(&self) -> [String; 2] {
        [(b"aura", self.aura), (b"gran", self.grandpa)]
            .map(|(kind, key)| format!("{}{}", hex::encode(kind), hex::encode(key)))
    }
}

/// The secret session keys of a validator.
pub struct SessionPair {
    aura: AccountKey,
    grandpa: AccountKey,
}

impl SessionPair {
    pub fn generate() -> Self {
        Self {
            aura: AccountKey::generate(Scheme::Sr25519),
            grandpa: AccountKey::generate(Scheme::Ed25519),
        }
    }

    #[cfg(test)]
    pub(super) fn of_seeds([aura, grandpa]: [&[u8; 32]; 2]) -> Self {
        Self {
            aura: AccountKey::from_seed(Scheme::Sr25519, aura),
            grandpa: AccountKey::from_seed(Scheme::Ed25519, grandpa),
        }
    }

    pub fn public(&self) -> SessionKeys {
        SessionKeys { aura: self.aura.public().into(), grandpa: self.grandpa.public().into() }
    }

    /// The proof that the owner has both keys. The owner is the account that signs `session.set_keys`.
    pub fn prove(&self, owner: &AccountId) -> Vec<u8> {
        let message = statement(owner);
        let raw = |key: &AccountKey| key.sign(&message).encode().split_off(1);
        [raw(&self.aura), raw(&self.grandpa)].concat()
    }

    /// The files of a node's keystore with these keys: name and content. The content is the secret in the form that
    /// the SDK's `LocalKeystore` reads: a secret URI, as a JSON string.
    pub fn files(&self) -> [(String, Zeroizing<String>); 2] {
        let secret = |key: &AccountKey| {
            let digits = Zeroizing::new(hex::encode(key.seed()));
            Zeroizing::new(format!("\"0x{}\"", *digits))
        };
        let [aura, grandpa] = self.public().file_names();
        [(aura, secret(&self.aura)), (grandpa, secret(&self.grandpa))]
    }
}

fn statement(owner: &AccountId) -> Vec<u8> {
    [&POSSESSION[..], &owner.encode()].concat()
}

#[cfg(test)]
mod tests {
    use sp_core::{Pair, ed25519, proof_of_possession::ProofOfPossessionVerifier, sr25519};

    use super::*;

    #[test]
    fn the_sdk_accepts_the_proof() {
        let (pair, owner) = (SessionPair::generate(), AccountId::new([7; 32]));
        let (aura, grandpa) = Proof::decode_all(&mut &pair.prove(&owner)[..]).unwrap();
        let keys = pair.public();
        assert!(sr25519::Pair::verify_proof_of_possession(
            &owner.encode(),
            &aura.into(),
            &sr25519::Public::from_raw(keys.aura.0),
        ));
        assert!(ed25519::Pair::verify_proof_of_possession(
            &owner.encode(),
            &grandpa.into(),
            &ed25519::Public::from_raw(keys.grandpa.0),
        ));
    }

    #[test]
    fn a_proof_counts_for_its_keys_and_its_owner_only() {
        let [pair, other] = [(); 2].map(|()| SessionPair::generate());
        let [owner, stranger] = [1, 2].map(|n| AccountId::new([n; 32]));
        let proof = pair.prove(&owner);
        assert!(pair.public().are_proven_by(&proof, &owner));
        assert!(!pair.public().are_proven_by(&proof, &stranger));
        assert!(!other.public().are_proven_by(&proof, &owner));
        assert!(!pair.public().are_proven_by(&proof[1..], &owner));
        assert!(!pair.public().are_proven_by(&[&proof[..], &[0]].concat(), &owner));
        let mixed = [&proof[..64], &other.prove(&owner)[64..]].concat();
        assert!(!pair.public().are_proven_by(&mixed, &owner));
    }

    #[test]
    fn the_nodes_keystore_reads_the_files() {
        let pair = SessionPair::generate();
        let [(aura_name, aura), (grandpa_name, grandpa)] = pair.files();
        let uri: String = serde_json::from_str(&aura).unwrap();
        let public = sr25519::Pair::from_string(&uri, None).unwrap().public();
        assert_eq!(public.0, pair.public().aura.0);
        assert_eq!(aura_name, format!("61757261{}", hex::encode(public.0)));
        let uri: String = serde_json::from_str(&grandpa).unwrap();
        let public = ed25519::Pair::from_string(&uri, None).unwrap().public();
        assert_eq!(public.0, pair.public().grandpa.0);
        assert_eq!(grandpa_name, format!("6772616e{}", hex::encode(public.0)));
    }
}
