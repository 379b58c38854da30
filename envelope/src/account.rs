//! Account keys. They sign, and never seal.

use codec::{Decode, Encode};
use epione_primitives::{AccountId, Signature};
use serde::{Deserialize, Serialize};
use sp_core::{Pair as _, ed25519, sr25519};
use sp_runtime::{MultiSignature, traits::Verify};
use zeroize::Zeroizing;

use crate::random;

/// Signs as one account.
pub trait Signer {
    fn account(&self) -> AccountId;
    fn sign(&self, message: &[u8]) -> Signature;
}

/// How an account signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    Sr25519,
    Ed25519,
}

#[derive(Clone)]
enum Pair {
    Sr25519(Box<sr25519::Pair>),
    Ed25519(Box<ed25519::Pair>),
}

/// The private key of an account.
#[derive(Clone)]
pub struct AccountKey {
    seed: Zeroizing<[u8; 32]>,
    pair: Pair,
}

impl AccountKey {
    pub fn generate(scheme: Scheme) -> Self {
        Self::from_seed(scheme, &Zeroizing::new(random::bytes()))
    }

    pub fn from_seed(scheme: Scheme, seed: &[u8; 32]) -> Self {
        let pair = match scheme {
            Scheme::Sr25519 => Pair::Sr25519(Box::new(sr25519::Pair::from_seed(seed))),
            Scheme::Ed25519 => Pair::Ed25519(Box::new(ed25519::Pair::from_seed(seed))),
        };
        Self { seed: Zeroizing::new(*seed), pair }
    }

    pub fn scheme(&self) -> Scheme {
        match self.pair {
            Pair::Sr25519(_) => Scheme::Sr25519,
            Pair::Ed25519(_) => Scheme::Ed25519,
        }
    }

    /// The secret seed, for signing with another library.
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// The public key, which is also the account.
    pub fn public(&self) -> [u8; 32] {
        match &self.pair {
            Pair::Sr25519(pair) => pair.public().0,
            Pair::Ed25519(pair) => pair.public().0,
        }
    }
}

impl Signer for AccountKey {
    fn account(&self) -> AccountId {
        AccountId::new(self.public())
    }

    fn sign(&self, message: &[u8]) -> Signature {
        match &self.pair {
            Pair::Sr25519(pair) => pair.sign(message).into(),
            Pair::Ed25519(pair) => pair.sign(message).into(),
        }
    }
}

/// Whether the account signed the message. Only sr25519 and ed25519 signatures are accepted.
pub fn verify(signature: &Signature, message: &[u8], account: &AccountId) -> bool {
    matches!(signature, MultiSignature::Sr25519(_) | MultiSignature::Ed25519(_))
        && signature.verify(message, account)
}
