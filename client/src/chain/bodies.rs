//! Bodies of records and profiles, which nodes store under their hash, outside the state.

use epione_primitives::Hash;
use sp_core::Bytes;
use sp_runtime::traits::{BlakeTwo256, Hash as _};
use subxt::rpcs::client::rpc_params;

use super::{Chain, ChainError};

/// Error codes of `bitswap_v1_get`: the node has no such body; it does not know yet whether it has.
const NOT_FOUND: i32 = -32810;
const TRY_LATER: i32 = -32812;

/// A CIDv1's fixed part: version 1, raw bytes, then a Blake2b-256 (0xb220 as a varint) of 32 bytes.
const CID_PREFIX: [u8; 6] = [0x01, 0x55, 0xa0, 0xe4, 0x02, 0x20];

impl Chain {
    /// The body that the node stores under a Blake2-256 hash; none if it has no such body. A node indexes bodies when
    /// it imports their block, final or not: check in finalized state that something names this body.
    pub async fn body(&self, hash: Hash) -> Result<Option<Vec<u8>>, ChainError> {
        let reply: Result<Bytes, ChainError> =
            self.request("bitswap_v1_get", rpc_params![cid(hash)]).await;
        match reply {
            Ok(Bytes(body)) => {
                let found = BlakeTwo256::hash(&body);
                if found == hash {
                    Ok(Some(body))
                } else {
                    Err(ChainError::WrongBody { expected: hash, found })
                }
            }
            Err(ChainError::Refused { code: NOT_FOUND, .. }) => Ok(None),
            Err(ChainError::Refused { code: TRY_LATER, .. }) => Err(ChainError::Syncing),
            Err(error) => Err(error),
        }
    }
}

/// The content identifier of bytes with this hash, as text: multibase `b`, then RFC 4648 base 32 in lower case without
/// padding.
pub(super) fn cid(hash: Hash) -> String {
    let bytes: Vec<u8> = CID_PREFIX.iter().chain(hash.as_bytes()).copied().collect();
    format!("b{}", base32(&bytes))
}

fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    bytes
        .chunks(5)
        .flat_map(|chunk| {
            let mut group = [0_u8; 8];
            group[3..3 + chunk.len()].copy_from_slice(chunk);
            let bits = u64::from_be_bytes(group);
            let digits = (chunk.len() * 8).div_ceil(5);
            (0..digits).map(move |digit| {
                let index = (bits >> (35 - 5 * digit)) & 31;
                char::from(ALPHABET[usize::try_from(index).unwrap_or(0)])
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn base32_matches_the_vectors_of_rfc_4648() {
        let vectors = [
            ("", ""),
            ("f", "my"),
            ("fo", "mzxq"),
            ("foo", "mzxw6"),
            ("foob", "mzxw6yq"),
            ("fooba", "mzxw6ytb"),
            ("foobar", "mzxw6ytboi"),
        ];
        for (plain, coded) in vectors {
            assert_eq!(base32(plain.as_bytes()), coded);
        }
    }

    /// Computed with Python's hashlib and base64.
    #[test]
    fn a_cid_is_version_1_of_raw_bytes_by_blake2b_256() {
        let known = "bafk2bzaceaizpbgbxxylu45xy6qz5njatss2hdabvtc4suedogctg65vmfiq2";
        assert_eq!(cid(BlakeTwo256::hash(b"epione")), known);
    }
}
