//! The committed test vector of a hospital's part of a claim.

use codec::Encode;
use epione_envelope::{
    custody::{ClaimPartContext, SealedClaimPart},
    opening::PartialContent,
    sealing_keys::{SealingKeyPair, SealingSuite},
};
use epione_primitives::{AccountId, HospitalId, consortium::EpochId, custody::ClaimId};
use serde_json::json;

use crate::{
    fixture::genesis,
    oracle,
    vectors::{array, bytes, signers, vector},
};

/// The seed of the custodian's sealing key.
const SEED: [u8; 32] = [0xe2; 32];

fn context() -> ClaimPartContext {
    ClaimPartContext {
        genesis: genesis(),
        claim: ClaimId(0x0102_0304),
        departed: HospitalId(0x0506),
        hospital: HospitalId(0x0708),
        epoch: EpochId(0x090a_0b0c),
    }
}

/// For two patients.
fn content() -> PartialContent {
    let (values, mixing) = (vec![[0x13; 32], [0x14; 32]], vec![[0x23; 32], [0x24; 32]]);
    PartialContent { values, proof: [0x32; 64], mixing }
}

#[test]
fn sealed_claim_part_vectors() {
    let context = context();
    let keys = SealingKeyPair::from_seed(SealingSuite::XWing, &SEED);
    let make = || {
        let [agent, ..] = signers();
        let sealed = SealedClaimPart::seal(&context, &content(), keys.public(), &agent).unwrap();
        json!({
            "genesis": hex::encode(genesis()), "claim": context.claim,
            "departed": context.departed, "hospital": context.hospital, "epoch": context.epoch,
            "agent": hex::encode(agent.public()), "seed": hex::encode(SEED),
            "values": content().values.iter().map(hex::encode).collect::<Vec<_>>(),
            "proof": hex::encode(content().proof),
            "mixing": content().mixing.iter().map(hex::encode).collect::<Vec<_>>(),
            "proof_context": hex::encode(context.proof_context(keys.public().hash())),
            "sealed": hex::encode(sealed.encode()),
        })
    };
    let vector = vector("sealed-claim-part.json", make);
    assert_eq!(array::<32>(&vector["seed"]), SEED);
    let encoded = bytes(&vector["sealed"]);
    let sealed = SealedClaimPart::decode_exactly(&encoded).unwrap();
    assert_eq!(sealed.encode(), encoded);
    let account = AccountId::new(array(&vector["agent"]));
    let opened = sealed.open(&context, &keys, &account).unwrap();
    assert!(opened == content());

    let (id, epoch) = (context.claim.0.to_le_bytes(), context.epoch.0.to_le_bytes());
    let (departed, hospital) = (context.departed.0.to_le_bytes(), context.hospital.0.to_le_bytes());
    assert_eq!(vector["claim"], json!(context.claim));
    assert_eq!(vector["departed"], json!(context.departed));
    assert_eq!(vector["hospital"], json!(context.hospital));
    let by_hand = [&genesis().0[..], &id, &departed, &hospital, &epoch].concat();
    // Suite and epoch; then the wrap.
    assert_eq!(encoded[..5], [&[1_u8][..], &epoch[..]].concat());
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
        [&b"epione/custody-part"[..], &genesis().0, &id, &epoch, &hospital, &key.0].concat();
    assert_eq!(bytes(&vector["proof_context"]), proof_context);
    assert_eq!(context.proof_context(key), proof_context);
}
