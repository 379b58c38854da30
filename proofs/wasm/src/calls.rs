//! What the module can verify. Inputs and results are in SCALE, the encoding of the chain.
//!
//! Three types are encoded as follows:
//!
//! - authorities: number of the set (`u64`), the block that handed over to it (`u32`), and the list of keys with their
//!   weights (`Vec<([u8; 32], u64)>`);
//! - proof: the trie nodes that `state_getReadProof` returns (`Vec<Vec<u8>>`);
//! - key: the names of pallet and item (`String`, `String`), and for a map its [`MapKey`]s.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use codec::{Decode, DecodeAll, Encode, Output};
use epione_primitives::{BlockNumber, ChainHeader, Hash};
use epione_proofs::{Authorities, FinalizedHead, ProvenState, StorageKey};
use sp_consensus_grandpa::{AuthorityList, SetId};

/// A result in SCALE, or the text of an error.
pub type Answer = Result<Vec<u8>, String>;

type EncodedAuthorities = (SetId, BlockNumber, AuthorityList);
type Proof = Vec<Vec<u8>>;
type Key = (String, String, Vec<MapKey>);

/// A key of a map, in SCALE, and how the map hashes it.
#[derive(Decode)]
pub enum MapKey {
    #[codec(index = 0)]
    Twox64Concat(Vec<u8>),
    #[codec(index = 1)]
    Blake2_128Concat(Vec<u8>),
}

/// The authorities of the genesis block, whose hash the client knows.
///
/// Input: the hash, the encoded header (`Vec<u8>`), and the proof of the key `Grandpa`, `Authorities` in its state.
/// Result: authorities.
pub fn verify_genesis(input: &[u8]) -> Answer {
    let (expected, header, proof) = input_of::<(Hash, Vec<u8>, Proof)>(input)?;
    answer_authorities(Authorities::genesis(expected, &header_of(&header)?, proof))
}

/// The next authorities, from a block that changes them.
///
/// Input: authorities, the block's encoded header (`Vec<u8>`), and its justification (`Vec<u8>`). Result: authorities.
pub fn follow(input: &[u8]) -> Answer {
    let (authorities, header, justification) =
        input_of::<(EncodedAuthorities, Vec<u8>, Vec<u8>)>(input)?;
    answer_authorities(restored(authorities)?.follow(&header_of(&header)?, &justification))
}

/// A block that the authorities made final.
///
/// Input: as for [`follow`]. Result: hash (`[u8; 32]`), number (`u32`) and state root (`[u8; 32]`) of the block.
pub fn verify_head(input: &[u8]) -> Answer {
    let (authorities, header, justification) =
        input_of::<(EncodedAuthorities, Vec<u8>, Vec<u8>)>(input)?;
    let authorities = restored(authorities)?;
    let head =
        FinalizedHead::verify(&authorities, header_of(&header)?, &justification).map_err(text)?;
    Ok((head.hash(), head.number(), head.state_root()).encode())
}

/// The bytes of a key, of which a client asks a node for the proof.
///
/// Input: a key. Result: the bytes, without a length.
pub fn storage_key(input: &[u8]) -> Answer {
    Ok(key_of(input_of::<Key>(input)?).as_bytes().to_vec())
}

/// The values of keys in the state with a root, which must be from [`verify_head`].
///
/// Input: root (`[u8; 32]`), proof, and keys. Result: the values, in the order of the keys (`Vec<Option<Vec<u8>>>`).
pub fn read_state(input: &[u8]) -> Answer {
    let (root, proof, keys) = input_of::<(Hash, Proof, Vec<Key>)>(input)?;
    let keys: Vec<StorageKey> = keys.into_iter().map(key_of).collect();
    let values = ProvenState::new(root, proof).and_then(|state| state.read_all(&keys));
    Ok(values.map_err(text)?.encode())
}

fn input_of<T: Decode>(mut input: &[u8]) -> Result<T, String> {
    T::decode_all(&mut input).map_err(|error| format!("the call's input is malformed: {error}"))
}

fn header_of(mut encoded: &[u8]) -> Result<ChainHeader, String> {
    ChainHeader::decode_all(&mut encoded)
        .map_err(|_| "the node's header is not a header of this chain: use another node".into())
}

fn restored((set, after, list): EncodedAuthorities) -> Result<Authorities, String> {
    Authorities::restore(set, after, list).map_err(text)
}

fn answer_authorities(verified: Result<Authorities, impl ToString>) -> Answer {
    let authorities = verified.map_err(text)?;
    Ok((authorities.set(), authorities.after(), authorities.list()).encode())
}

fn key_of((pallet, item, map_keys): Key) -> StorageKey {
    map_keys.into_iter().fold(StorageKey::value(&pallet, &item), |key, map_key| match map_key {
        MapKey::Twox64Concat(bytes) => key.twox_64_concat(&Encoded(bytes)),
        MapKey::Blake2_128Concat(bytes) => key.blake2_128_concat(&Encoded(bytes)),
    })
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// A value that the caller has encoded already.
struct Encoded(Vec<u8>);

impl Encode for Encoded {
    fn size_hint(&self) -> usize {
        self.0.len()
    }

    fn encode_to<T: Output + ?Sized>(&self, output: &mut T) {
        output.write(&self.0);
    }
}
