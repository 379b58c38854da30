//! The answers of the runtime API, computed from proven values as the pallets compute them. If a pallet's reading code
//! changes, the function of the same name here changes with it.

mod access;
mod consortium;
mod council;
mod credentials;
mod custody;
mod hospitals;
mod lite_blocks;
mod mandates;
mod openings;
mod profiles;
mod queries;
mod recoveries;
mod releases;
mod seats;
mod sharing;

pub(in crate::chain) use queries::claimed_pending;

use codec::DecodeAll;
use epione_primitives::{AccountId, Moment};
use epione_proofs::{StateError, StorageKey};

use super::{
    keys,
    known::{Gap, Known},
    state::VerifiedState,
};
use crate::chain::ChainError;

/// The bytes of TwoX-64 and of BLAKE2-128 before a map's key.
const TWOX_64: usize = 8;
const BLAKE2_128: usize = 16;

impl VerifiedState {
    /// The time of the block.
    pub(in crate::chain) async fn time(&self) -> Result<Moment, ChainError> {
        Ok(self.value(keys::now()).await?.unwrap_or_default())
    }

    /// The SCALE of the block's events.
    pub(in crate::chain) async fn events(&self) -> Result<Vec<u8>, ChainError> {
        Ok(self.bytes(keys::events()).await?.unwrap_or_default())
    }

    /// Number of transactions that an account has sent up to this block: the first field of its entry.
    pub(in crate::chain) async fn nonce(&self, account: &AccountId) -> Result<u32, ChainError> {
        let Some(entry) = self.bytes(keys::account(account)).await? else { return Ok(0) };
        let nonce = entry.get(..4).unwrap_or_default();
        u32::decode_all(&mut &*nonce).map_err(|error| ChainError::malformed("an account", error))
    }
}

/// Decodes the key of a map's entry after its hash.
fn after_hash<T: DecodeAll>(prefix: &StorageKey, hash: usize, key: &[u8]) -> Result<T, StateError> {
    let key = key.get(hash..).unwrap_or_default();
    T::decode_all(&mut &*key).map_err(|_| StateError::OtherType { key: prefix.clone() })
}
