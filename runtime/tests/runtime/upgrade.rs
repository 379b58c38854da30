//! An upgrade with real code: this runtime's WebAssembly, which names the next version.

use codec::Encode;
use epione_runtime::{
    Executive, Runtime, RuntimeCall, RuntimeEvent, System, UncheckedExtrinsic, VERSION, WASM_BINARY,
};
use frame_support::storage::unhashed;
use sp_core::storage::well_known_keys::CODE;
use sp_maybe_compressed_blob::{CODE_BLOB_BOMB_LIMIT, compress_weakly, decompress};
use sp_runtime::{
    DigestItem,
    traits::{BlakeTwo256, Hash as _},
    transaction_validity::InvalidTransaction,
};

use crate::{
    chain::{apply, local, validate},
    council::{UPGRADE_DELAY, pass},
};

/// The beginning of the version that the code's custom section `runtime_version` contains.
fn version(spec_version: u32) -> Vec<u8> {
    let built = VERSION;
    (&*built.spec_name, &*built.impl_name, built.authoring_version, spec_version).encode()
}

/// This runtime's code, compressed as wasm-builder compresses it, with this version.
fn code(spec_version: u32) -> Vec<u8> {
    let built = WASM_BINARY.unwrap();
    let mut code = decompress(built, CODE_BLOB_BOMB_LIMIT).unwrap().into_owned();
    let (old, new) = (version(VERSION.spec_version), version(spec_version));
    let places = code.windows(old.len()).enumerate().filter(|(_, bytes)| *bytes == old);
    let places: Vec<_> = places.map(|(place, _)| place).collect();
    assert!(!places.is_empty(), "the code does not contain its version");
    for place in places {
        code[place..place + new.len()].copy_from_slice(&new);
    }
    compress_weakly(&code, CODE_BLOB_BOMB_LIMIT).unwrap()
}

/// The council authorizes this code.
fn authorize(code: &[u8]) {
    let code_hash = BlakeTwo256::hash(code);
    let authorize = frame_system::Call::authorize_upgrade { code_hash };
    pass(epione_runtime::council_root::Call::dispatch { call: Box::new(authorize.into()) });
}

fn provide(code: &[u8]) -> RuntimeCall {
    RuntimeCall::System(frame_system::Call::apply_authorized_upgrade { code: code.to_vec() })
}

fn was_rejected(code: &[u8], error: frame_system::Error<Runtime>) -> bool {
    let rejected = frame_system::Event::RejectedInvalidAuthorizedUpgrade {
        code_hash: BlakeTwo256::hash(code),
        error: error.into(),
    };
    let rejected = RuntimeEvent::System(rejected);
    System::events().iter().any(|record| record.event == rejected)
}

#[test]
fn authorized_code_of_the_next_version_becomes_the_chains_code() {
    local(|chain| {
        let code = code(VERSION.spec_version + 1);
        authorize(&code);
        chain.reach(1 + UPGRADE_DELAY);
        apply("Bob", provide(&code)).unwrap().unwrap();
        assert_eq!(unhashed::get_raw(CODE), Some(code));
        assert!(System::authorized_upgrade().is_none());
        let header = chain.next_block();
        assert!(header.digest.logs.contains(&DigestItem::RuntimeEnvironmentUpdated));
    });
}

/// frame-system accepts an authorized upgrade from anybody, without a signature, and before everything else.
#[test]
fn nobody_can_apply_an_upgrade_early_by_sending_it_without_a_signature() {
    local(|chain| {
        let code = code(VERSION.spec_version + 1);
        authorize(&code);
        for block in [2, 1 + UPGRADE_DELAY] {
            chain.reach(block);
            let bare = UncheckedExtrinsic::new_bare(provide(&code));
            assert_eq!(validate(bare.clone()), Err(InvalidTransaction::Call.into()));
            assert_eq!(Executive::apply_extrinsic(bare), Err(InvalidTransaction::Call.into()));
            assert_eq!(unhashed::get_raw(CODE), Some(Vec::new()), "the initial code");
        }
        apply("Bob", provide(&code)).unwrap().unwrap();
        assert_eq!(unhashed::get_raw(CODE), Some(code));
    });
}

#[test]
fn authorized_code_of_the_same_version_is_not_applied() {
    local(|chain| {
        let code = code(VERSION.spec_version);
        authorize(&code);
        chain.reach(1 + UPGRADE_DELAY);
        apply("Bob", provide(&code)).unwrap().unwrap();
        assert!(was_rejected(&code, frame_system::Error::SpecVersionNeedsToIncrease));
        assert_eq!(unhashed::get_raw(CODE), Some(Vec::new()), "the initial code");
    });
}

#[test]
fn authorized_bytes_that_are_not_code_are_not_applied() {
    local(|chain| {
        let bytes = b"not WebAssembly";
        authorize(bytes);
        chain.reach(1 + UPGRADE_DELAY);
        apply("Bob", provide(bytes)).unwrap().unwrap();
        assert!(was_rejected(bytes, frame_system::Error::FailedToExtractRuntimeVersion));
        assert_eq!(unhashed::get_raw(CODE), Some(Vec::new()), "the initial code");
    });
}
