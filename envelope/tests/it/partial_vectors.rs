//! The committed test vector of a hospital's part of an opening.

use codec::Encode;
use epione_envelope::{
    opening::{PartialContent, PartialContext, SealedPartial, wraps_hash},
    sealing_keys::{SealingKeyPair, SealingSuite},
};
use epione_primitives::{AccountId, Hash, HospitalId, consortium::EpochId, opening::OpeningId};
use serde_json::json;
use sp_core::{Blake2Hasher, Hasher};

use crate::{
    fixture::genesis,
    oracle,
    vectors::{array, bytes, signers, vector},
};

/// The hashes of the bodies in which the wraps of the two sections are.
const BODIES: [Hash; 2] = [Hash::repeat_byte(0x41), Hash::repeat_byte(0x42)];
/// The seed of the requester's sealing key.
const SEED: [u8; 32] = [0xe1; 32];

fn context() -> PartialContext {
    PartialContext {
        genesis: genesis(),
        opening: OpeningId(0x0102_0304),
        hospital: HospitalId(0x0506),
        epoch: EpochId(0x0708_090a),
        wraps: wraps_hash(&BODIES),
    }
}

fn content() -> PartialContent {
    let (values, mixing) = (vec![[0x11; 32], [0x12; 32]], vec![[0x21; 32], [0x22; 32]]);
    PartialContent { values, proof: [0x31; 64], mixing }
}

#[test]
fn sealed_partial_vectors() {
    let context = context();
    let keys = SealingKeyPair::from_seed(SealingSuite::XWing, &SEED);
    let make = || {
        let [agent, ..] = signers();
        let sealed = SealedPartial::seal(&context, &content(), keys.public(), &agent).unwrap();
        json!({
            "genesis": hex::encode(genesis()), "opening": context.opening,
            "hospital": context.hospital, "epoch": context.epoch,
            "bodies": BODIES.map(hex::encode), "wraps": hex::encode(context.wraps),
            "agent": hex::encode(agent.public()), "seed": hex::encode(SEED),
            "values": content().values.iter().map(hex::encode).collect::<Vec<_>>(),
            "proof": hex::encode(content().proof),
            "mixing": content().mixing.iter().map(hex::encode).collect::<Vec<_>>(),
            "proof_context": hex::encode(context.proof_context(keys.public().hash())),
            "sealed": hex::encode(sealed.encode()),
        })
    };
    let vector = vector("sealed-partial.json", make);
    assert_eq!(array::<32>(&vector["seed"]), SEED);
    let encoded = bytes(&vector["sealed"]);
    let sealed = SealedPartial::decode_exactly(&encoded).unwrap();
    assert_eq!(sealed.encode(), encoded);
    let account = AccountId::new(array(&vector["agent"]));
    let opened = sealed.open(&context, &keys, &account).unwrap();
    assert!(opened == content());

    let (id, epoch) = (context.opening.0.to_le_bytes(), context.epoch.0.to_le_bytes());
    let (hospital, wraps) = (context.hospital.0.to_le_bytes(), bytes(&vector["wraps"]));
    let named = [b"epione/partial-wraps".to_vec(), BODIES.to_vec().encode()].concat();
    assert_eq!(wraps, Blake2Hasher::hash(&named).0);
    assert_eq!(vector["bodies"], json!(BODIES.map(hex::encode)));
    let by_hand = [&genesis().0[..], &id, &hospital, &epoch, &wraps[..]].concat();
    // Suite, epoch and wraps; then the wrap.
    assert_eq!(encoded[..37], [&[1][..], &epoch, &wraps[..]].concat());
    let by_oracle = oracle::open_wrap(&keys, &by_hand, &account, &encoded[37..]).unwrap();
    let laid_out = [
        bytes(&vector["values"][0]),
        bytes(&vector["values"][1]),
        bytes(&vector["proof"]),
        bytes(&vector["mixing"][0]),
        bytes(&vector["mixing"][1]),
    ];
    assert_eq!(by_oracle, laid_out.concat());
    let key = keys.public().hash();
    let proof_context =
        [&b"epione/partial"[..], &genesis().0, &id, &epoch, &hospital, &wraps[..], &key.0].concat();
    assert_eq!(bytes(&vector["proof_context"]), proof_context);
    assert_eq!(context.proof_context(key), proof_context);
}
