//! smoldot's verifiers with the interface of `epione-proofs-wasm`, so that a test asks both the same questions.
//!
//! smoldot is a light client with its own decoders, tries and hashes. Both use the crate ed25519-zebra, so the
//! comparison says nothing about Ed25519. smoldot leaves one check to its caller: that the voted blocks descend from
//! the final one. So this crate does it, with the headers as smoldot decodes them.

#![cfg(target_family = "wasm")]
#![no_std]

extern crate alloc;

#[macro_use]
#[path = "../../wasm/src/abi.rs"]
mod abi;

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};

use codec::{Decode, DecodeAll, Encode};
use smoldot::{
    finality::{
        decode::{GrandpaJustificationRef, decode_grandpa_justification},
        verify::{JustificationVerifyConfig, verify_justification},
    },
    header,
    trie::proof_decode,
};

type Answer = Result<Vec<u8>, String>;
type Hash = [u8; 32];
/// Number of the set, the block that handed over to it, and the keys with their weights.
type Authorities = (u64, u32, Vec<(Hash, u64)>);

/// Bytes of a block number.
const NUMBER_BYTES: usize = 4;

exported! {
    verify_head => self::verify,
    read_state => self::read,
}

/// As `verify_head` of `epione-proofs-wasm`.
fn verify(input: &[u8]) -> Answer {
    let ((set, _, list), header, justification) =
        input_of::<(Authorities, Vec<u8>, Vec<u8>)>(input)?;
    let hash = header::hash_from_scale_encoded_header(&header);
    let header = header::decode(&header, NUMBER_BYTES).map_err(|error| error.to_string())?;
    let decoded = decode_grandpa_justification(&justification, NUMBER_BYTES)
        .map_err(|error| error.to_string())?;
    if *decoded.target_hash != hash || decoded.target_number != header.number {
        return Err("the justification is of another block".into());
    }
    verify_justification(JustificationVerifyConfig {
        justification: &justification[..],
        block_number_bytes: NUMBER_BYTES,
        authorities_set_id: set,
        authorities_list: list.iter().map(|(key, _)| &key[..]),
        randomness_seed: [0; 32],
    })
    .map_err(|error| error.to_string())?;
    if !votes_descend(&decoded) {
        return Err("a voted block does not descend from the final one".into());
    }
    let number = u32::try_from(header.number).map_err(|error| error.to_string())?;
    Ok((hash, number, *header.state_root).encode())
}

/// Whether each voted block is the final one, or leads to it by the parents of the justification's headers.
fn votes_descend(justification: &GrandpaJustificationRef) -> bool {
    let parents: BTreeMap<Hash, Hash> = justification
        .votes_ancestries
        .clone()
        .map(|header| (header.hash(NUMBER_BYTES), *header.parent_hash))
        .collect();
    justification.precommits.iter().all(|vote| {
        let mut block = *vote.target_hash;
        // A hash cannot be its own ancestor, so that the walk ends.
        while block != *justification.target_hash {
            match parents.get(&block) {
                Some(parent) => block = *parent,
                None => return false,
            }
        }
        true
    })
}

/// As `read_state` of `epione-proofs-wasm`, with keys in bytes (`Vec<u8>`).
fn read(input: &[u8]) -> Answer {
    let (root, nodes, keys) = input_of::<(Hash, Vec<Vec<u8>>, Vec<Vec<u8>>)>(input)?;
    let proof =
        proof_decode::decode_and_verify_proof(proof_decode::Config { proof: nodes.encode() })
            .map_err(|error| error.to_string())?;
    let mut values = Vec::new();
    for key in &keys {
        let value = proof.storage_value(&root, key).map_err(|error| error.to_string())?;
        values.push(value.map(|(bytes, _)| bytes.to_vec()));
    }
    Ok(values.encode())
}

fn input_of<T: Decode>(mut input: &[u8]) -> Result<T, String> {
    T::decode_all(&mut input).map_err(|error| format!("the call's input is malformed: {error}"))
}
