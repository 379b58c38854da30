//! The committed vectors, `vectors/chain.json`: a chain with two changes of authorities, and a head with a proof of its
//! state. Each justification names the verifiers that accept it: this one, and smoldot, another light client. Other
//! implementations can use the file, too.
//!
//! To write them again: `EPIONE_WRITE_VECTORS=1 cargo test --release --workspace --locked --test false_proofs vectors`.

use std::{fs, path::PathBuf};

use codec::Encode;
use epione_primitives::{ChainHeader, Hash};
use epione_proofs::{Authorities, FinalizedHead, ProvenState, StorageKey};
use serde_json::{Value, json};

use crate::chain::{State, block, child, hand_over, header, justified, justify, list, vote};

/// A justification of the head, and which verifier accepts it.
struct Case {
    name: &'static str,
    justification: Vec<u8>,
    epione: bool,
    smoldot: bool,
}

/// A key by its names, its bytes, and its value in the head's state.
struct Shown {
    pallet: &'static str,
    item: &'static str,
    map_keys: Vec<(&'static str, Vec<u8>)>,
    key: StorageKey,
    value: Option<Vec<u8>>,
}

struct Chain {
    genesis: ChainHeader,
    genesis_proof: Vec<Vec<u8>>,
    hand_overs: [(ChainHeader, Vec<u8>); 2],
    head: ChainHeader,
    cases: Vec<Case>,
    shown: Vec<Shown>,
    proof: Vec<Vec<u8>>,
}

fn lite_block(height: u32, value: Option<Vec<u8>>) -> Shown {
    Shown {
        pallet: "LiteBlocks",
        item: "Headers",
        map_keys: vec![("twox_64_concat", height.encode())],
        key: StorageKey::value("LiteBlocks", "Headers").twox_64_concat(&height),
        value,
    }
}

/// Values that fit into the trie node of their key, a value that does not, and a height that has no lite block.
fn shown() -> Vec<Shown> {
    let (hospital, user) = (1u16, [7u8; 32]);
    vec![
        Shown {
            pallet: "Timestamp",
            item: "Now",
            map_keys: vec![],
            key: FinalizedHead::time_key(),
            value: Some(1_800_000_000_000u64.encode()),
        },
        Shown {
            pallet: "Profiles",
            item: "Members",
            map_keys: vec![
                ("twox_64_concat", hospital.encode()),
                ("blake2_128_concat", user.encode()),
            ],
            key: StorageKey::value("Profiles", "Members")
                .twox_64_concat(&hospital)
                .blake2_128_concat(&user),
            value: Some(vec![9]),
        },
        lite_block(7, Some(vec![7; 40])),
        lite_block(99, None),
    ]
}

/// The last authorities are the hospitals 2 to 5, so that three of them are enough.
fn cases(head: &ChainHeader) -> Vec<Case> {
    let case = |name, justification, epione, smoldot| Case { name, justification, epione, smoldot };
    let (next, last) = (child(head), child(&child(head)));
    let fork = header(head.number, Hash::zero(), Hash::zero());
    let votes = |targets: &[(u8, &ChainHeader)]| {
        targets.iter().map(|(hospital, target)| vote(2, *hospital, target)).collect::<Vec<_>>()
    };
    let on_three_blocks = votes(&[(2, head), (3, &next), (4, &last)]);
    let of_three = votes(&[(2, head), (3, head), (4, head)]);
    let both = vec![next.clone(), last.clone()];
    vec![
        case("three of four authorities", justify(head, of_three.clone(), vec![]), true, true),
        case("votes for descendants", justify(head, on_three_blocks.clone(), both), true, true),
        case("two of four authorities", justified(2, 2..4, head), false, false),
        case("keys of no authority", justified(2, 10..14, head), false, false),
        case("votes in the set before", justified(1, 2..6, head), false, false),
        case("votes for another block", justified(2, 2..6, &block(head.number)), false, false),
        case(
            "a header is missing",
            justify(head, on_three_blocks, vec![last.clone()]),
            false,
            false,
        ),
        case(
            "a vote for another branch",
            justify(head, votes(&[(2, head), (3, head), (4, &fork)]), vec![]),
            false,
            false,
        ),
        // smoldot refuses the evidence against an authority that voted twice, which GRANDPA accepts.
        case(
            "an authority voted twice",
            justify(
                head,
                votes(&[(2, head), (3, head), (4, head), (4, &next)]),
                vec![next.clone()],
            ),
            true,
            false,
        ),
        // smoldot ignores headers that no vote needs, which GRANDPA refuses.
        case(
            "a header that no vote needs",
            justify(head, of_three, vec![next.clone()]),
            false,
            true,
        ),
        // The votes make the child final, and so the head. But GRANDPA justifies the last final block only.
        case(
            "the child is final",
            justify(head, votes(&[(2, &next), (3, &next), (4, &next)]), vec![next.clone()]),
            false,
            true,
        ),
    ]
}

fn chain() -> Chain {
    let genesis_state = State::new(&[(Authorities::key(), list(0..4).encode())]);
    let (to_second, to_third) = (hand_over(10, 1..6), hand_over(20, 2..6));
    let shown = shown();
    let values: Vec<_> = (0..16)
        .map(|height| lite_block(height, Some(vec![height as u8; 40])))
        .chain(self::shown().into_iter().filter(|shown| shown.item != "Headers"))
        .filter_map(|shown| Some((shown.key, shown.value?)))
        .collect();
    let state = State::new(&values);
    let keys: Vec<_> = shown.iter().map(|shown| shown.key.clone()).collect();
    let head = header(21, Hash::repeat_byte(1), state.root);
    Chain {
        genesis: header(0, Hash::zero(), genesis_state.root),
        genesis_proof: genesis_state.proof(&[Authorities::key()]),
        hand_overs: [
            (to_second.clone(), justified(0, 0..3, &to_second)),
            (to_third.clone(), justified(1, 2..6, &to_third)),
        ],
        cases: cases(&head),
        head,
        shown,
        proof: state.proof(&keys),
    }
}

/// The authorities after both changes.
fn followed(chain: &Chain) -> Authorities {
    let genesis = &chain.genesis;
    let proof = chain.genesis_proof.clone();
    let first = Authorities::genesis(genesis.hash(), genesis, proof).unwrap();
    chain.hand_overs.iter().fold(first, |authorities, (header, justification)| {
        authorities.follow(header, justification).unwrap()
    })
}

fn nodes(proof: &[Vec<u8>]) -> Vec<String> {
    proof.iter().map(hex::encode).collect()
}

fn case_json(case: &Case) -> Value {
    json!({
        "name": case.name,
        "justification": hex::encode(&case.justification),
        "epione": case.epione,
        "smoldot": case.smoldot,
    })
}

fn shown_json(shown: &Shown) -> Value {
    let map_keys: Vec<Value> = shown
        .map_keys
        .iter()
        .map(|(hasher, key)| json!({ "hasher": hasher, "key": hex::encode(key) }))
        .collect();
    json!({
        "pallet": shown.pallet,
        "item": shown.item,
        "map_keys": map_keys,
        "key": hex::encode(shown.key.as_bytes()),
        "value": shown.value.as_ref().map(hex::encode),
    })
}

/// Bytes are hexadecimal. Authorities are encoded as `proofs/wasm` does it.
fn vectors() -> Value {
    let chain = chain();
    let authorities = followed(&chain);
    let hand_overs: Vec<Value> = chain
        .hand_overs
        .iter()
        .map(|(header, justification)| {
            json!({
                "header": hex::encode(header.encode()),
                "justification": hex::encode(justification),
            })
        })
        .collect();
    json!({
        "genesis": {
            "hash": hex::encode(chain.genesis.hash()),
            "header": hex::encode(chain.genesis.encode()),
            "proof": nodes(&chain.genesis_proof),
        },
        "hand_overs": hand_overs,
        "authorities": hex::encode(
            (authorities.set(), authorities.after(), authorities.list()).encode()
        ),
        "head": {
            "header": hex::encode(chain.head.encode()),
            "hash": hex::encode(chain.head.hash()),
            "number": chain.head.number,
            "state_root": hex::encode(chain.head.state_root),
        },
        "justifications": chain.cases.iter().map(case_json).collect::<Vec<_>>(),
        "proof": nodes(&chain.proof),
        "values": chain.shown.iter().map(shown_json).collect::<Vec<_>>(),
    })
}

#[test]
fn the_committed_vectors_are_those_of_this_code() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join("chain.json");
    if std::env::var_os("EPIONE_WRITE_VECTORS").is_some() {
        fs::write(&path, format!("{:#}\n", vectors())).unwrap();
    }
    let committed: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(committed, vectors());
}

#[test]
fn the_verifier_accepts_the_vectors_that_it_should() {
    let chain = chain();
    let authorities = followed(&chain);
    for Case { name, justification, epione, .. } in &chain.cases {
        let verified = FinalizedHead::verify(&authorities, chain.head.clone(), justification);
        assert_eq!(verified.is_ok(), *epione, "{name}: {verified:?}");
    }
    let state = ProvenState::new(chain.head.state_root, chain.proof.clone()).unwrap();
    for Shown { key, value, .. } in &chain.shown {
        assert_eq!(state.read(key).as_ref(), Ok(value), "{key}");
    }
}
