//! The node's database keeps a body while a block of the chain has it, although a block that was discarded had the same
//! body. The database is configured as the node's is.

use std::{
    thread,
    time::{Duration, Instant},
};

use epione_primitives::{ChainHeader, Hash, OpaqueBlock};
use sc_client_api::{
    Backend as _, BlockImportOperation as _, NewBlockState, blockchain::Backend as _,
};
use sc_client_db::{Backend, BlocksPruning, DatabaseSettings, DatabaseSource, PruningMode};
use sp_core::storage::{StateVersion, Storage};
use sp_io::hashing::blake2_256;
use sp_runtime::{OpaqueExtrinsic, traits::Header as _};
use sp_state_machine::IndexOperation;
use tempfile::TempDir;

use crate::process::PATIENCE;

/// More blocks than a test imports.
const CANONICALIZATION_DELAY: u64 = 4_096;

const COMMON: &[u8] = b"the body of two blocks";
const OTHER: &[u8] = b"the body of one block";
const DISCARDED: &[u8] = b"the body of a discarded block";

/// A database on the disk, with a genesis block.
struct Database {
    backend: Backend<OpaqueBlock>,
    genesis: ChainHeader,
    _folder: TempDir,
}

impl Database {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = DatabaseSettings {
            trie_cache_maximum_size: None,
            state_pruning: Some(PruningMode::ArchiveCanonical),
            source: DatabaseSource::ParityDb { path: folder.path().into() },
            blocks_pruning: BlocksPruning::KeepFinalized,
            pruning_filters: Vec::new(),
            metrics_registry: None,
        };
        let backend = Backend::<OpaqueBlock>::new(settings, CANONICALIZATION_DELAY).unwrap();
        let top = [(b"key".to_vec(), b"value".to_vec())].into();
        let mut operation = backend.begin_operation().unwrap();
        let state = operation
            .set_genesis_state(Storage { top, ..Storage::default() }, true, StateVersion::V1)
            .unwrap();
        let genesis = ChainHeader::new(0, Hash::zero(), state, Hash::zero(), Default::default());
        operation
            .set_block_data(genesis.clone(), Some(vec![]), None, None, NewBlockState::Final, true)
            .unwrap();
        backend.commit_operation(operation).unwrap();
        Self { backend, genesis, _folder: folder }
    }

    /// Imports a block. Each of its extrinsics has one of these bodies at its tail. `fork` tells siblings apart.
    fn import(
        &self,
        parent: &ChainHeader,
        fork: u8,
        bodies: &[&[u8]],
        state: NewBlockState,
    ) -> ChainHeader {
        let header = ChainHeader::new(
            parent.number + 1,
            Hash::repeat_byte(fork),
            self.genesis.state_root,
            parent.hash(),
            Default::default(),
        );
        let index = (0..).zip(bodies).map(|(extrinsic, body)| IndexOperation::Insert {
            extrinsic,
            hash: blake2_256(body).to_vec(),
            size: body.len() as u32,
        });
        let extrinsics = bodies
            .iter()
            .map(|body| OpaqueExtrinsic::from_blob([&b"a call and "[..], *body].concat()));
        let mut operation = self.backend.begin_operation().unwrap();
        self.backend.begin_state_operation(&mut operation, parent.hash()).unwrap();
        operation.update_transaction_index(index.collect()).unwrap();
        operation
            .set_block_data(header.clone(), Some(extrinsics.collect()), None, None, state, true)
            .unwrap();
        self.backend.commit_operation(operation).unwrap();
        header
    }

    fn finalize(&self, block: &ChainHeader) {
        self.backend.finalize_block(block.hash(), None).unwrap();
    }

    /// Whether the database has exactly this body.
    fn has(&self, body: &[u8]) -> bool {
        let kept = self.backend.blockchain().indexed_transaction(blake2_256(body).into()).unwrap();
        kept.is_some_and(|bytes| bytes == body)
    }

    /// Waits until a body is gone: the database removes it in the background.
    fn loses(&self, body: &[u8]) {
        let begun = Instant::now();
        while self.has(body) {
            assert!(begun.elapsed() < PATIENCE, "the body of a discarded block was kept");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_body_survives_when_a_fork_with_the_same_body_is_discarded() {
    let database = Database::new();
    let first = database.import(&database.genesis, 1, &[COMMON], NewBlockState::Best);
    let sibling = [COMMON, DISCARDED];
    database.import(&database.genesis, 2, &sibling, NewBlockState::Normal);
    let second = database.import(&first, 1, &[OTHER], NewBlockState::Best);
    assert!(database.has(COMMON) && database.has(DISCARDED));

    database.finalize(&first);
    database.finalize(&second);
    database.loses(DISCARDED);
    assert!(database.has(COMMON) && database.has(OTHER));
}

#[test]
fn a_body_survives_when_a_later_block_with_the_same_body_is_reverted() {
    let database = Database::new();
    let first = database.import(&database.genesis, 1, &[COMMON], NewBlockState::Best);
    database.import(&first, 1, &[COMMON, DISCARDED], NewBlockState::Best);
    assert!(database.has(COMMON) && database.has(DISCARDED));

    let (reverted, _) = database.backend.revert(1, false).unwrap();
    assert_eq!(reverted, 1);
    database.loses(DISCARDED);
    assert!(database.has(COMMON));
}

/// A hospital can use the bytes of another one's announcement for a profile, in the same block.
#[test]
fn a_body_that_a_block_has_twice_survives_the_revert_of_another() {
    let database = Database::new();
    let first = database.import(&database.genesis, 1, &[COMMON, COMMON], NewBlockState::Best);
    database.import(&first, 1, &[COMMON, COMMON, DISCARDED], NewBlockState::Best);
    database.backend.revert(1, false).unwrap();
    database.loses(DISCARDED);
    assert!(database.has(COMMON));
}
