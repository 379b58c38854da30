//! The hash of a chain's first block, from its specification alone. Founders compare it before anything runs.

use epione_primitives::{Hash, OpaqueBlock as Block};
use sc_chain_spec::{construct_genesis_block, resolve_state_version_from_wasm};
use sc_executor::WasmExecutor;
use sp_runtime::{
    BuildStorage,
    traits::{BlakeTwo256, Block as _, Hash as _},
};

use crate::chain_spec::ChainSpec;

/// The hash of the block that a node makes from this specification at its first start.
///
/// Fails if the specification contains no valid genesis.
pub fn hash(spec: &ChainSpec) -> sc_cli::Result<Hash> {
    let storage = spec.build_storage()?;
    if !storage.children_default.is_empty() {
        return Err("the genesis has child tries, which this chain does not use".into());
    }
    let executor = WasmExecutor::<sp_io::SubstrateHostFunctions>::builder().build();
    let version = resolve_state_version_from_wasm::<_, BlakeTwo256>(&storage, &executor)?;
    let root = BlakeTwo256::trie_root(storage.top.into_iter().collect(), version);
    Ok(construct_genesis_block::<Block>(root, version).hash())
}
