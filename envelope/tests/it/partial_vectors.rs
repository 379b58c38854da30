//! The committed test vector of a hospital's part of an opening.

use codec::Encode;
use epione_envelope::{
    opening::{PartialContent, PartialContext, SealedPartial},
    sealing_keys::{SealingKeyPair, SealingSuite},
};
use epione_primitives::{AccountId, Hash, HospitalId, consortium::EpochId, opening::OpeningId};
use serde_json::json;

use crate::{
    fixture::genesis,
    oracle,
    vectors::{array, bytes, signers, vector},
};

const CONTEXT: PartialContext = PartialContext {
    genesis: Hash::repeat_byte(0x99),
    opening: OpeningId(0x0102_0304),
    hospital: HospitalId(0x0506),
    epoch: EpochId(0x0708_090a),
};
/// The seed of the requester's sealing key.
const SEED: [u8; 32] = [0xe1; 32];

fn content() -> PartialContent {
    let (values, mixing) = (vec![[0x11; 32], [0x12; 32]], vec![[0x21; 32], [0x22; 32]]);
    PartialContent { values, proof: [0x31; 64], mixing }
}

#[test]
fn sealed_partial_vectors() {
    assert_eq!(CONTEXT.genesis, genesis());
    let keys = SealingKeyPair::from_seed(SealingSuite::XWing, &SEED);
    let make = || {
        let [agent, ..] = signers();
        let sealed = SealedPartial::seal(&CONTEXT, &content(), keys.public(), &agent).unwrap();
        json!({
            "genesis": hex::encode(genesis()), "opening": CONTEXT.opening,
            "hospital": CONTEXT.hospital, "epoch": CONTEXT.epoch,
            "agent": hex::encode(agent.public()), "seed": hex::encode(SEED),
            "values": content().values.iter().map(hex::encode).collect::<Vec<_>>(),
            "proof": hex::encode(content().proof),
            "mixing": content().mixing.iter().map(hex::encode).collect::<Vec<_>>(),
            "proof_context": hex::encode(CONTEXT.proof_context(keys.public().hash())),
            "sealed": hex::encode(sealed.encode()),
        })
    };
    let vector = vector("sealed-partial.json", make);
    assert_eq!(array::<32>(&vector["seed"]), SEED);
    let encoded = bytes(&vector["sealed"]);
    let sealed = SealedPartial::decode_exactly(&encoded).unwrap();
    assert_eq!(sealed.encode(), encoded);
    let account = AccountId::new(array(&vector["agent"]));
    let opened = sealed.open(&CONTEXT, &keys, &account).unwrap();
    assert!(opened == content());

    let (id, epoch) = (CONTEXT.opening.0.to_le_bytes(), CONTEXT.epoch.0.to_le_bytes());
    let hospital = CONTEXT.hospital.0.to_le_bytes();
    let by_hand = [&genesis().0[..], &id, &hospital, &epoch].concat();
    // Suite and epoch; then the wrap.
    assert_eq!(encoded[..5], [&[1][..], &epoch].concat());
    let by_oracle = oracle::open_wrap(&keys, &by_hand, &account, &encoded[5..]).unwrap();
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
        [&b"epione/partial"[..], &genesis().0, &id, &epoch, &hospital, &key.0].concat();
    assert_eq!(bytes(&vector["proof_context"]), proof_context);
    assert_eq!(CONTEXT.proof_context(key), proof_context);
}
