//! The state after a final block, read by storage proofs.

use codec::{Decode, Encode};
use epione_proofs::{ProvenState, StorageKey};
use sp_core::Bytes;
use subxt::rpcs::client::rpc_params;

use super::{
    Doubt,
    finality::{Block, read_proof, read_proof_of},
    known::{Gap, Known},
};
use crate::chain::{Chain, ChainError};

/// Keys of one request for a proof. The values of lite blocks' entries have up to 55 kB each.
const KEYS_PER_REQUEST: usize = 64;
/// Requests after which a computation gives up. The longest one follows the links between a patient's records.
const MAX_ROUNDS: u32 = 256;
/// Values that one computation may need.
const MAX_VALUES: usize = 16 * 1_024;

/// The state after one final block. No value is believed without proof.
#[derive(Clone, Debug)]
pub(in crate::chain) struct VerifiedState {
    chain: Chain,
    block: Block,
}

impl VerifiedState {
    pub(super) fn new(chain: Chain, block: Block) -> Self {
        Self { chain, block }
    }

    pub(super) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The block after which this is the state.
    pub(super) fn head(&self) -> Block {
        self.block
    }

    /// The value of one key.
    pub(super) async fn value<T: Decode>(&self, key: StorageKey) -> Result<Option<T>, ChainError> {
        let state = self.prove(std::slice::from_ref(&key)).await?;
        state.value(&key).map_err(|error| self.chain.doubt(error))
    }

    /// The SCALE of the value of one key.
    pub(super) async fn bytes(&self, key: StorageKey) -> Result<Option<Vec<u8>>, ChainError> {
        let state = self.prove(std::slice::from_ref(&key)).await?;
        state.read(&key).map_err(|error| self.chain.doubt(error))
    }

    /// The SCALE of the values of up to [`MAX_KEYS`](epione_proofs::MAX_KEYS) keys, in their order, by one proof.
    pub(super) async fn proven_at_once(
        &self,
        keys: &[StorageKey],
    ) -> Result<Vec<Option<Vec<u8>>>, ChainError> {
        let state = self.prove(keys).await?;
        state.read_all(keys).map_err(|error| self.chain.doubt(error))
    }

    /// Computes a result from values, which are requested when the computation needs them. `hints` are keys that it
    /// will probably need.
    pub(super) async fn compute<T>(
        &self,
        hints: impl IntoIterator<Item = StorageKey>,
        compute: impl Fn(&mut Known) -> Result<T, Gap>,
    ) -> Result<T, ChainError> {
        let mut known = Known::default();
        let mut next: Vec<StorageKey> = hints.into_iter().collect();
        for _ in 0..MAX_ROUNDS {
            if known.len() + next.len() > MAX_VALUES {
                break;
            }
            self.learn(&mut known, next).await?;
            match compute(&mut known) {
                Ok(result) => return Ok(result),
                Err(Gap::Wrong(error)) => return Err(self.chain.doubt(error)),
                Err(Gap::Missing) => next = known.take_missing(),
            }
        }
        Err(self.chain.doubt(Doubt::TooLong))
    }

    /// At most `limit` entries of a map, after the entry with the key `after`: the rest of each key after the prefix,
    /// and the value. The node only says for which keys it should send proofs; the proof shows whether it left out one.
    pub(super) async fn entries(
        &self,
        prefix: &StorageKey,
        after: Option<&StorageKey>,
        limit: u32,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, ChainError> {
        let from = after.map(StorageKey::to_string);
        let params = rpc_params![prefix.to_string(), limit, from.clone(), self.block.hash];
        let listed: Vec<Bytes> = self.chain.request("state_getKeysPaged", params).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let listed = listed.into_iter().take(limit).map(|Bytes(key)| hexadecimal(&key));
        let keys: Vec<String> =
            [prefix.to_string()].into_iter().chain(from).chain(listed).collect();
        let proof = read_proof_of(&self.chain, self.block.hash, &keys).await?;
        ProvenState::new(self.block.state_root, proof)
            .and_then(|state| state.entries(prefix, after, limit))
            .map_err(|error| self.chain.doubt(error))
    }

    /// What the node answers to a call of the runtime API, without proof. Use it only to choose which keys to prove.
    /// None if the node gives no answer that can be read.
    pub(super) async fn unverified_hint<T: Decode>(
        &self,
        method: &str,
        arguments: impl Encode,
    ) -> Option<T> {
        let params = rpc_params![method, Bytes(arguments.encode()), self.block.hash];
        let Bytes(answer) = self.chain.request("state_call", params).await.ok()?;
        T::decode(&mut answer.as_slice()).ok()
    }

    async fn learn(&self, known: &mut Known, keys: Vec<StorageKey>) -> Result<(), ChainError> {
        for keys in keys.chunks(KEYS_PER_REQUEST) {
            let state = self.prove(keys).await?;
            let values = state.read_all(keys).map_err(|error| self.chain.doubt(error))?;
            for (key, value) in keys.iter().zip(values) {
                known.learn(key.clone(), value);
            }
        }
        Ok(())
    }

    async fn prove(&self, keys: &[StorageKey]) -> Result<ProvenState, ChainError> {
        let Block { hash, state_root, .. } = self.block;
        let proof = read_proof(&self.chain, hash, keys).await?;
        ProvenState::new(state_root, proof).map_err(|error| self.chain.doubt(error))
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}
