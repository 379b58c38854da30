//! A chain in memory: hospitals with real keys, headers, votes, and states with proofs.

use std::collections::BTreeSet;

use codec::Encode;
use epione_primitives::{BlockNumber, ChainHeader, Hash};
use epione_proofs::StorageKey;
use finality_grandpa::{Commit, Message, Precommit, SignedPrecommit};
use sp_consensus_grandpa::{
    AuthorityId, AuthorityList, AuthoritySignature, ConsensusLog, GRANDPA_ENGINE_ID,
    GrandpaJustification, ScheduledChange, SetId, localized_payload,
};
use sp_core::{Blake2Hasher, Pair as _, ed25519};
use sp_runtime::generic::{Digest, DigestItem};
use sp_trie::{
    LayoutV1, MemoryDB, Recorder, StorageProof, Trie, TrieDBBuilder, TrieDBMutBuilder, TrieMut,
};

type Layout = LayoutV1<Blake2Hasher>;

/// The round of all votes.
const ROUND: u64 = 5;

fn hospital(number: u8) -> ed25519::Pair {
    ed25519::Pair::from_seed(&[number; 32])
}

/// The public key of the hospital with this number, as errors name it.
pub fn public_key(number: u8) -> Hash {
    hospital(number).public().into()
}

/// A list of authorities of equal weight.
pub fn list(hospitals: impl IntoIterator<Item = u8>) -> AuthorityList {
    hospitals.into_iter().map(|number| (hospital(number).public().into(), 1)).collect()
}

pub fn header(number: BlockNumber, parent: Hash, state: Hash) -> ChainHeader {
    ChainHeader {
        parent_hash: parent,
        number,
        state_root: state,
        extrinsics_root: Hash::repeat_byte(3),
        digest: Digest { logs: vec![DigestItem::Other(vec![1, 2, 3])] },
    }
}

/// A header without a state, for tests that read none.
pub fn block(number: BlockNumber) -> ChainHeader {
    header(number, Hash::repeat_byte(1), Hash::repeat_byte(2))
}

/// The child of a block.
pub fn child(parent: &ChainHeader) -> ChainHeader {
    header(parent.number + 1, parent.hash(), Hash::repeat_byte(2))
}

/// Adds GRANDPA's log to a header.
pub fn with_log(mut header: ChainHeader, log: ConsensusLog<BlockNumber>) -> ChainHeader {
    header.digest.push(DigestItem::Consensus(GRANDPA_ENGINE_ID, log.encode()));
    header
}

pub fn change(
    hospitals: impl IntoIterator<Item = u8>,
    delay: BlockNumber,
) -> ScheduledChange<BlockNumber> {
    ScheduledChange { next_authorities: list(hospitals), delay }
}

/// A block that hands over to these hospitals at once.
pub fn hand_over(number: BlockNumber, hospitals: impl IntoIterator<Item = u8>) -> ChainHeader {
    with_log(block(number), ConsensusLog::ScheduledChange(change(hospitals, 0)))
}

pub type Vote = SignedPrecommit<Hash, BlockNumber, AuthoritySignature, AuthorityId>;

/// A hospital's signed vote for a block, which it says has the number.
pub fn vote_for(set: SetId, number: u8, hash: Hash, block: BlockNumber) -> Vote {
    let precommit = Precommit::new(hash, block);
    let payload = localized_payload(ROUND, set, &Message::Precommit(precommit.clone()));
    let key = hospital(number);
    SignedPrecommit { precommit, signature: key.sign(&payload).into(), id: key.public().into() }
}

pub fn vote(set: SetId, number: u8, target: &ChainHeader) -> Vote {
    vote_for(set, number, target.hash(), target.number)
}

/// The encoded justification of `target`, by these votes.
pub fn justify(target: &ChainHeader, votes: Vec<Vote>, ancestry: Vec<ChainHeader>) -> Vec<u8> {
    GrandpaJustification::<ChainHeader> {
        round: ROUND,
        commit: Commit {
            target_hash: target.hash(),
            target_number: target.number,
            precommits: votes,
        },
        votes_ancestries: ancestry,
    }
    .encode()
}

/// The justification of `target` by the votes of these hospitals for it.
pub fn justified(
    set: SetId,
    hospitals: impl IntoIterator<Item = u8>,
    target: &ChainHeader,
) -> Vec<u8> {
    let votes = hospitals.into_iter().map(|number| vote(set, number, target)).collect();
    justify(target, votes, Vec::new())
}

/// A state with its root.
pub struct State {
    nodes: MemoryDB<Blake2Hasher>,
    pub root: Hash,
}

impl State {
    pub fn new(values: &[(StorageKey, Vec<u8>)]) -> Self {
        let mut nodes: MemoryDB<Blake2Hasher> = StorageProof::empty().into_memory_db();
        let mut root = Hash::default();
        {
            let mut trie = TrieDBMutBuilder::<Layout>::new(&mut nodes, &mut root).build();
            for (key, value) in values {
                trie.insert(key.as_bytes(), value).unwrap();
            }
        }
        Self { nodes, root }
    }

    /// The trie nodes that show the values of these keys, or their absence.
    pub fn proof(&self, keys: &[StorageKey]) -> Vec<Vec<u8>> {
        self.proof_of(keys.iter().map(StorageKey::as_bytes))
    }

    /// As [`proof`](Self::proof), of keys as a node receives them.
    pub fn proof_of<'a>(&self, keys: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
        let mut recorder = Recorder::<Layout>::new();
        {
            let trie = TrieDBBuilder::<Layout>::new(&self.nodes, &self.root)
                .with_recorder(&mut recorder)
                .build();
            for key in keys {
                trie.get(key).unwrap();
            }
        }
        let nodes: BTreeSet<Vec<u8>> =
            recorder.drain().into_iter().map(|record| record.data).collect();
        nodes.into_iter().collect()
    }
}

/// Each variant of the bytes with one byte changed: its lowest bit, its highest bit, or all bits.
pub fn flips(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..bytes.len()).flat_map(move |at| {
        [0x01, 0x80, 0xff].into_iter().map(move |mask| {
            let mut changed = bytes.to_vec();
            changed[at] ^= mask;
            (at, changed)
        })
    })
}
