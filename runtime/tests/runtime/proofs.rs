//! What `epione-proofs` assumes about the runtime: where values are stored, and how authorities change.

#[path = "../../../client/src/chain/verified/numbers.rs"]
mod numbers;

use std::collections::BTreeMap;

use codec::{Decode, Encode};
use epione_primitives::{Hash, RecordPointer};
use epione_proofs::{Authorities, FinalizedHead, StorageKey};
use epione_runtime::{Grandpa, Header, Hospitals, Runtime, genesis};
use frame_support::__private::metadata::{
    RuntimeMetadata, RuntimeMetadataPrefixed, v14::RuntimeMetadataV14,
};
use scale_info::TypeDef;
use sp_consensus_grandpa::localized_payload;
use sp_core::{Pair, ed25519};
use sp_runtime::{BuildStorage, Digest, traits::Header as _};

use crate::chain::{A, B, configuration, council, local, record};

/// The justification of a block by all hospitals of the preset `local` in set 0, as GRANDPA's types encode it.
fn justification(header: &Header) -> Vec<u8> {
    const PRECOMMIT: u8 = 1;
    const ROUND: u64 = 1;
    const SET: u64 = 0;
    let target = (header.hash(), header.number);
    let message = localized_payload(ROUND, SET, &(PRECOMMIT, target));
    let votes: Vec<_> = ["//Alice", "//Bob", "//Charlie", "//Dave"]
        .into_iter()
        .map(|seed| {
            let key = ed25519::Pair::from_string(seed, None).unwrap();
            (target, key.sign(&message), key.public())
        })
        .collect();
    (ROUND, target, votes, Vec::<Header>::new()).encode()
}

#[test]
fn the_keys_that_a_client_computes_are_those_of_the_runtime() {
    assert_eq!(Authorities::key().as_bytes(), pallet_grandpa::Authorities::<Runtime>::hashed_key());
    assert_eq!(
        FinalizedHead::time_key().as_bytes(),
        pallet_timestamp::Now::<Runtime>::hashed_key()
    );
    assert_eq!(
        StorageKey::value("LiteBlocks", "Headers").twox_64_concat(&7u32).as_bytes(),
        pallet_lite_blocks::Headers::<Runtime>::hashed_key_for(7u32)
    );
    let body = Hash::repeat_byte(1);
    assert_eq!(
        StorageKey::value("LiteBlocks", "AnnouncementOf")
            .twox_64_concat(&A)
            .blake2_128_concat(&body)
            .as_bytes(),
        pallet_lite_blocks::AnnouncementOf::<Runtime>::hashed_key_for(A, body)
    );
    let (record, pointer) = (record(1, 0), RecordPointer { height: 7, index: 1 });
    assert_eq!(
        StorageKey::value("LiteBlocks", "AnnouncementWith")
            .twox_64_concat(&A)
            .blake2_128_concat(&record)
            .as_bytes(),
        pallet_lite_blocks::AnnouncementWith::<Runtime>::hashed_key_for(A, record)
    );
    assert_eq!(
        StorageKey::value("Sharing", "Shared").twox_64_concat(&pointer).as_bytes(),
        pallet_sharing::Shared::<Runtime>::hashed_key_for(pointer)
    );
}

fn metadata() -> RuntimeMetadataV14 {
    let opaque = Runtime::metadata_at_version(14).unwrap();
    match RuntimeMetadataPrefixed::decode(&mut &opaque[..]).unwrap().1 {
        RuntimeMetadata::V14(metadata) => metadata,
        _ => panic!("the metadata does not have version 14"),
    }
}

/// The numbers of the variants of an enum, by their names.
fn variants(metadata: &RuntimeMetadataV14, ty: u32) -> BTreeMap<String, u8> {
    let TypeDef::Variant(def) = &metadata.types.resolve(ty).unwrap().type_def else {
        panic!("type {ty} is not an enum")
    };
    def.variants.iter().map(|variant| (variant.name.to_string(), variant.index)).collect()
}

#[test]
fn the_numbers_that_a_client_knows_are_those_of_the_runtime() {
    let metadata = metadata();
    let pallet = |name: &str| metadata.pallets.iter().find(|it| it.name == name).unwrap();
    for (name, call, numbers) in numbers::CALLS {
        let pallet = pallet(name);
        let calls = variants(&metadata, pallet.calls.as_ref().unwrap().ty.id);
        assert_eq!([pallet.index, calls[call]], numbers, "{name}.{call}");
    }
    for (name, event, numbers) in numbers::EVENTS {
        let pallet = pallet(name);
        let events = variants(&metadata, pallet.event.as_ref().unwrap().ty.id);
        assert_eq!([pallet.index, events[event]], numbers, "{name}.{event}");
    }
}

#[test]
fn the_genesis_state_proves_the_first_authorities() {
    let storage = configuration(genesis::LOCAL).build_storage().unwrap();
    let mut state = sp_io::TestExternalities::new(storage);
    let root = *state.backend.root();
    let (authorities, proof) = state.execute_and_prove(Grandpa::grandpa_authorities);
    let header = Header::new(0, Hash::zero(), root, Hash::zero(), Digest::default());
    let proof = proof.into_iter_nodes().collect();
    let first = Authorities::genesis(header.hash(), &header, proof).unwrap();
    assert_eq!(first, Authorities::restore(0, 0, authorities).unwrap());
}

#[test]
fn a_client_follows_the_change_after_a_suspension() {
    local(|chain| {
        let first = Authorities::restore(0, 0, Grandpa::grandpa_authorities()).unwrap();
        Hospitals::suspend(council(), B).unwrap();
        while Grandpa::current_set_id() == 0 {
            chain.next_block();
        }
        let header = chain.next_block();
        let next = first.follow(&header, &justification(&header)).unwrap();
        let expected = Authorities::restore(1, header.number, Grandpa::grandpa_authorities());
        assert_eq!(next, expected.unwrap());
        assert_eq!(next.list().len(), 3);
    });
}
