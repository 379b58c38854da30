//! Names of values in the chain's state. A client computes the key of what it wants, so that the node cannot choose.

use alloc::vec::Vec;
use core::fmt;

use codec::{Compact, Encode};
use sp_crypto_hashing::{blake2_128, twox_64, twox_128};

/// The key of a value in the chain's state, as FRAME computes it.
///
/// ```
/// use epione_proofs::StorageKey;
///
/// let header = StorageKey::value("LiteBlocks", "Headers").twox_64_concat(&7u32);
/// assert_eq!(
///     header.to_string(),
///     "0x95fd4627337526abc3dc9665225b99bcaf3385e35cc12fed4c74164ad01ecbbf0e0d969b0e48cab707000000"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StorageKey(Vec<u8>);

impl StorageKey {
    /// The key of a storage value, or the prefix of a map: TwoX-128 of the pallet's name and of the item's name. The
    /// pallet's name is the one in the runtime's composition, such as `LiteBlocks`.
    pub fn value(pallet: &str, item: &str) -> Self {
        let mut key = twox_128(pallet.as_bytes()).to_vec();
        key.extend(twox_128(item.as_bytes()));
        Self(key)
    }

    /// The key of an extrinsic in the trie of its block.
    pub(crate) fn extrinsic(index: u32) -> Self {
        Self(Compact(index).encode())
    }

    /// Adds a map's key that is hashed with `Twox64Concat`.
    #[must_use]
    pub fn twox_64_concat(self, key: &impl Encode) -> Self {
        let key = key.encode();
        self.extended(&twox_64(&key), &key)
    }

    /// Adds a map's key that is hashed with `Blake2_128Concat`.
    #[must_use]
    pub fn blake2_128_concat(self, key: &impl Encode) -> Self {
        let key = key.encode();
        self.extended(&blake2_128(&key), &key)
    }

    /// Adds a map's key that is not hashed: `Identity`.
    #[must_use]
    pub fn identity(self, key: &impl Encode) -> Self {
        self.extended(&[], &key.encode())
    }

    fn extended(mut self, hash: &[u8], key: &[u8]) -> Self {
        self.0.extend_from_slice(hash);
        self.0.extend_from_slice(key);
        self
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Hexadecimal, as `state_getReadProof` expects it.
impl fmt::Display for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
