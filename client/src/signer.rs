//! The account that signs for a user or hospital: requests to workers, calls to the chain, sections of records.

use std::fmt;

use epione_envelope::{
    account::{AccountKey, Signer},
    development,
    keystore::ActorKeys,
};
use epione_primitives::{AccountId, Signature};

/// An account's key. Its debug text shows the address only.
#[derive(Clone)]
pub struct Account {
    key: AccountKey,
}

impl Account {
    /// A well-known key for local networks, such as `//Alice//agent`. Not secret.
    pub fn development(uri: &str) -> Result<Self, SignerError> {
        let keys = development::keys(uri).map_err(|_| SignerError { uri: uri.into() })?;
        Ok(Self { key: keys.account })
    }

    pub fn id(&self) -> AccountId {
        self.key.account()
    }

    pub fn sign(&self, message: &[u8]) -> Signature {
        self.key.sign(message)
    }
}

/// The URI of a development key is malformed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{uri} is not a development key: write it as //Alice or //Alice//agent")]
pub struct SignerError {
    pub uri: String,
}

impl From<AccountKey> for Account {
    fn from(key: AccountKey) -> Self {
        Self { key }
    }
}

impl From<&ActorKeys> for Account {
    fn from(keys: &ActorKeys) -> Self {
        Self { key: keys.account.clone() }
    }
}

impl Signer for Account {
    fn account(&self) -> AccountId {
        self.id()
    }

    fn sign(&self, message: &[u8]) -> Signature {
        self.key.sign(message)
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Account").field(&self.id()).finish()
    }
}
