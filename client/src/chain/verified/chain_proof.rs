//! A proof for somebody who has no node: values of the state after one final block, and after blocks before it. The
//! verifier knows the hash of the genesis block, and nothing else.
//!
//! As the proof of a record, it begins with the first authorities, follows each change of them to the final block, and
//! goes back from there by the hashes of earlier blocks in the state.

use std::collections::{BTreeMap, BTreeSet};

use codec::{Decode, DecodeWithMemTracking, Encode};
use epione_envelope::record::Authorship;
use epione_primitives::{AccountId, BlockNumber, ChainHeader, Hash, Moment, block::SignedAt};
use epione_proofs::{ProvenState, StateError, StorageKey, extrinsic};
use sp_core::{ConstU32, bounded::BoundedVec};

use super::{
    Doubt, ProofFault,
    finality::{claimed_hash, header_of, read_proof},
    keys,
    record_proof::{
        Justified, MAX_HAND_OVERS, MAX_STEPS, Stated, Steps, final_block, many_hand_overs,
        many_steps, member, time_of, verified_head, way_back,
    },
};
use crate::chain::{Chain, ChainError, Signers};

/// Values that are requested from a node at once.
const KEYS_AT_ONCE: usize = 256;

/// Values to show of the states after chosen blocks.
#[derive(Debug, Default)]
pub(crate) struct Wanted(BTreeMap<BlockNumber, BTreeSet<StorageKey>>);

impl Wanted {
    /// Adds values of the state after a block.
    pub(crate) fn add(&mut self, block: BlockNumber, keys: impl IntoIterator<Item = StorageKey>) {
        self.0.entry(block).or_default().extend(keys);
    }
}

/// Proves values of the states after a final block and after blocks before it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking)]
pub(crate) struct ChainProof {
    /// The genesis block, and its authorities.
    genesis: Stated,
    hand_overs: BoundedVec<Justified, ConstU32<MAX_HAND_OVERS>>,
    head: Justified,
    /// Trie nodes of the state after the head.
    nodes: Vec<Vec<u8>>,
    /// Blocks before the head, descending, each named by the state of the one before it in this list.
    back: BoundedVec<Stated, ConstU32<MAX_STEPS>>,
}

/// A proof that is collected: its final block is chosen, and its state can be read.
pub(crate) struct Proving<'a> {
    chain: &'a Chain,
    genesis: Stated,
    hand_overs: Vec<Justified>,
    head: Justified,
}

impl<'a> Proving<'a> {
    /// Chooses the newest final block.
    pub(crate) async fn begin(chain: &'a Chain) -> Result<Self, ChainError> {
        let (genesis, hand_overs, head) = final_block(chain).await?;
        Ok(Self { chain, genesis, hand_overs, head })
    }

    /// The number of the final block.
    pub(crate) fn head(&self) -> BlockNumber {
        self.head.header.number
    }

    /// A value of the state after the final block.
    pub(crate) async fn value<T: Decode>(&self, key: StorageKey) -> Result<Option<T>, ChainError> {
        let (chain, header) = (self.chain, &self.head.header);
        let nodes = read_proof(chain, header.hash(), std::slice::from_ref(&key)).await?;
        let state = ProvenState::new(header.state_root, nodes).map_err(|it| chain.doubt(it))?;
        state.value(&key).map_err(|error| chain.doubt(error))
    }

    /// A value of the state after an earlier block, if the node has no other chain than the one that is proven.
    pub(crate) async fn claimed<T: Decode>(
        &self,
        block: BlockNumber,
        key: &StorageKey,
    ) -> Result<Option<T>, ChainError> {
        let chain = self.chain;
        let header = header_of(chain, claimed_hash(chain, block).await?).await?;
        let nodes = read_proof(chain, header.hash(), std::slice::from_ref(key)).await?;
        let state = ProvenState::new(header.state_root, nodes).map_err(|it| chain.doubt(it))?;
        state.value(key).map_err(|error| chain.doubt(error))
    }

    /// Collects the proof of these values. Values of later blocks than the final one are left out.
    pub(crate) async fn finish(
        self,
        mut wanted: Wanted,
        progress: &Steps<'_>,
    ) -> Result<ChainProof, ChainError> {
        let Self { chain, genesis, hand_overs, head } = self;
        let header = &head.header;
        let mut newest = wanted.0.remove(&header.number).unwrap_or_default();
        newest.insert(keys::now());
        let way = way(header.number, wanted).map_err(|doubt| chain.doubt(doubt))?;
        newest.extend(way.first().map(|(number, _)| keys::block_hash(*number)));
        let nodes = nodes_of(chain, header.hash(), newest).await?;
        let state = ProvenState::new(header.state_root, nodes.clone())
            .map_err(|error| chain.doubt(error))?;
        let back = walk(chain, (header.number, state), way, progress).await?;
        Ok(ChainProof {
            genesis,
            hand_overs: hand_overs.try_into().map_err(|_| chain.doubt(many_hand_overs()))?,
            head,
            nodes,
            back: back.try_into().map_err(|_| chain.doubt(many_steps()))?,
        })
    }
}

type Way = Vec<(BlockNumber, BTreeSet<StorageKey>)>;

/// The blocks over which the proof goes back, with the values to show of each.
fn way(head: BlockNumber, Wanted(wanted): Wanted) -> Result<Way, Doubt> {
    let (mut way, mut from) = (Way::new(), head);
    for (number, values) in wanted.into_iter().rev().filter(|(number, _)| *number < head) {
        let mut steps = way_back(from, number)?;
        // The last step is the block itself.
        steps.pop();
        way.extend(steps.into_iter().map(|step| (step, BTreeSet::new())));
        way.push((number, values));
        from = number;
    }
    if way.len() > MAX_STEPS as usize { Err(many_steps()) } else { Ok(way) }
}

async fn walk(
    chain: &Chain,
    (mut from, mut state): (BlockNumber, ProvenState),
    way: Way,
    progress: &Steps<'_>,
) -> Result<Vec<Stated>, ChainError> {
    let (mut back, steps) = (Vec::new(), way.len());
    let mut way = way.into_iter().peekable();
    while let Some((number, mut values)) = way.next() {
        progress(back.len() + 1, steps);
        let hash: Option<Hash> =
            state.value(&keys::block_hash(number)).map_err(|error| chain.doubt(error))?;
        let hash = hash.ok_or_else(|| chain.doubt(Doubt::NoAncestor { number, from }))?;
        let header = header_of(chain, hash).await?;
        values.extend(way.peek().map(|(next, _)| keys::block_hash(*next)));
        let nodes = nodes_of(chain, hash, values).await?;
        state = ProvenState::new(header.state_root, nodes.clone())
            .map_err(|error| chain.doubt(error))?;
        from = number;
        back.push(Stated { header, nodes });
    }
    Ok(back)
}

/// The trie nodes of many values, each once.
async fn nodes_of(
    chain: &Chain,
    block: Hash,
    values: BTreeSet<StorageKey>,
) -> Result<Vec<Vec<u8>>, ChainError> {
    let values: Vec<StorageKey> = values.into_iter().collect();
    let mut nodes = BTreeSet::new();
    for values in values.chunks(KEYS_AT_ONCE) {
        nodes.extend(read_proof(chain, block, values).await?);
    }
    Ok(nodes.into_iter().collect())
}

impl ChainProof {
    /// The header of a block that the proof shows. It is verified only by [`open`](Self::open).
    pub(super) fn header(&self, number: BlockNumber) -> Option<&ChainHeader> {
        let back = self.back.iter().map(|stated| &stated.header);
        std::iter::once(&self.head.header).chain(back).find(|header| header.number == number)
    }

    /// All its trie nodes.
    pub(crate) fn trie_nodes(&self) -> impl Iterator<Item = &Vec<u8>> {
        let back = self.back.iter().flat_map(|stated| &stated.nodes);
        self.genesis.nodes.iter().chain(&self.nodes).chain(back)
    }

    /// Verifies the proof for the chain with this genesis block.
    pub(crate) fn open(self, genesis: Hash) -> Result<ProvenChain, ProofFault> {
        let head = verified_head(genesis, self.genesis, &self.hand_overs, &self.head)?;
        let newest = ProvenBlock::new(&self.head.header, self.nodes)?;
        let time = time_of(&newest.state)?;
        let mut from = head.number();
        let mut blocks = BTreeMap::from([(from, newest)]);
        for Stated { header, nodes } in self.back {
            let number = header.number;
            let later = blocks.get(&from).filter(|_| number < from);
            let later = later.ok_or(ProofFault::NotEarlier { number })?;
            let named: Option<Hash> = later.state.value(&keys::block_hash(number))?;
            if named != Some(header.hash()) {
                return Err(ProofFault::NotEarlier { number });
            }
            blocks.insert(number, ProvenBlock::new(&header, nodes)?);
            from = number;
        }
        let head = SignedAt { number: head.number(), hash: head.hash() };
        Ok(ProvenChain { head, time, blocks })
    }
}

/// A final block, and a part of the state after it.
struct ProvenBlock {
    hash: Hash,
    extrinsics_root: Hash,
    state: ProvenState,
}

impl ProvenBlock {
    fn new(header: &ChainHeader, nodes: Vec<Vec<u8>>) -> Result<Self, ProofFault> {
        let state = ProvenState::new(header.state_root, nodes)?;
        Ok(Self { hash: header.hash(), extrinsics_root: header.extrinsics_root, state })
    }
}

/// What a proof shows of a chain. What it leaves out is a fault, and not an absence.
pub(crate) struct ProvenChain {
    /// The final block.
    pub head: SignedAt,
    /// Its time.
    pub time: Moment,
    blocks: BTreeMap<BlockNumber, ProvenBlock>,
}

impl ProvenChain {
    fn block(&self, number: BlockNumber) -> Result<&ProvenBlock, ProofFault> {
        self.blocks.get(&number).ok_or(ProofFault::NotShown { number })
    }

    /// A value of the state after the final block.
    pub(crate) fn newest<T: Decode>(&self, key: &StorageKey) -> Result<Option<T>, ProofFault> {
        self.after(self.head.number, key)
    }

    /// A value of the state after a block.
    pub(crate) fn after<T: Decode>(
        &self,
        block: BlockNumber,
        key: &StorageKey,
    ) -> Result<Option<T>, ProofFault> {
        Ok(self.block(block)?.state.value(key)?)
    }

    /// The time of a block.
    pub(crate) fn time_of(&self, block: BlockNumber) -> Result<Moment, ProofFault> {
        time_of(&self.block(block)?.state)
    }

    /// How many transactions an account had sent up to a block: the first field of its entry.
    pub(crate) fn sent_by(
        &self,
        block: BlockNumber,
        account: &AccountId,
    ) -> Result<u32, ProofFault> {
        let key = keys::account(account);
        let Some(entry) = self.block(block)?.state.read(&key)? else { return Ok(0) };
        let nonce = u32::decode(&mut entry.as_slice());
        nonce.map_err(|_| StateError::OtherType { key }.into())
    }

    /// The extrinsic with this index in a block.
    pub(super) fn extrinsic(
        &self,
        number: BlockNumber,
        index: u32,
        nodes: Vec<Vec<u8>>,
    ) -> Result<Vec<u8>, ProofFault> {
        let root = self.block(number)?.extrinsics_root;
        extrinsic(root, index, nodes)?.ok_or(ProofFault::NoExtrinsic { number, index })
    }

    /// Those who must have signed a record, by the state after the block that it names; none if the chain has another
    /// block with this number, or if it is after the final block.
    pub(crate) fn signers(&self, authorship: &Authorship) -> Result<Option<Signers>, ProofFault> {
        let Authorship { hospital, author, nurse, patient, signed_at, .. } = *authorship;
        if signed_at.number > self.head.number {
            return Ok(None);
        }
        let ProvenBlock { hash, state, .. } = self.block(signed_at.number)?;
        if *hash != signed_at.hash {
            return Ok(None);
        }
        let nurse = nurse.map(|nurse| member(state, hospital, nurse)).transpose()?.flatten();
        let author = member(state, hospital, author)?;
        Ok(Some(Signers { author, nurse, patient: member(state, hospital, patient)? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::verified::finality::KNOWN_ANCESTORS;

    #[test]
    fn the_way_passes_every_wanted_block_and_has_no_step_that_is_too_long() {
        let mut wanted = Wanted::default();
        for block in [3, 4, 40, 90, 99, 200] {
            wanted.add(block, [keys::now()]);
        }
        let way = way(100, wanted).unwrap();
        assert_eq!(way.len(), 5 + (90 - 40 - 1) / 4 + (40 - 4 - 1) / 4 + (99 - 90 - 1) / 4);
        let shown: Vec<_> =
            way.iter().filter(|(_, keys)| !keys.is_empty()).map(|(number, _)| *number).collect();
        // Block 200 is after the final one.
        assert_eq!(shown, [99, 90, 40, 4, 3]);
        let mut from = 100;
        for (number, _) in way {
            assert!(number < from && from - number <= KNOWN_ANCESTORS, "{from} to {number}");
            from = number;
        }
    }

    #[test]
    fn a_way_that_no_verifier_accepts_is_refused() {
        let mut wanted = Wanted::default();
        let half = MAX_STEPS / 2 * KNOWN_ANCESTORS;
        wanted.add(1, [keys::now()]);
        wanted.add(half, [keys::now()]);
        let head = 2 * half + 3 * KNOWN_ANCESTORS;
        assert_eq!(way(head, wanted).unwrap_err(), many_steps());
    }
}
