//! Calls that accounts signed, as a block has them, for somebody who has no node.
//!
//! An extrinsic is proven by the root of extrinsics in the header of its block. What its signer signed contains, in
//! addition to the call, the versions of the runtime, the genesis block, and the block at which the transaction's
//! lifetime began. The file that proves it names versions and block. They need no proof: with wrong ones, the
//! signature does not verify, and shows nothing.

use codec::{Compact, Decode, DecodeWithMemTracking, Encode};
use epione_primitives::{AccountId, BlockNumber, Hash, Signature};
use epione_proofs::prove_extrinsics;
use serde::Deserialize;
use sp_runtime::{
    MultiAddress,
    generic::Era,
    traits::{BlakeTwo256, Hash as _},
};
use subxt::rpcs::client::rpc_params;

use super::{
    Doubt, ProofFault,
    chain_proof::{ChainProof, ProvenChain},
    finality::claimed_hash,
    numbers::{SPEC_VERSION, TRANSACTION_VERSION},
};
use crate::chain::{Chain, ChainError, SignedCall, error::unknown_number};

/// The first byte of an extrinsic that an account signed: format 4.
const SIGNED: u8 = 0x84;
/// Larger payloads are hashed before they are signed.
const MAX_PLAIN_PAYLOAD: usize = 256;
/// A signed extrinsic of a block.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking)]
pub(crate) struct Sent {
    block: BlockNumber,
    /// Its position in the block.
    index: u32,
    /// Trie nodes from the root of the block's extrinsics down to it, with the extrinsic itself.
    nodes: Vec<Vec<u8>>,
    /// The versions that the signer signed.
    spec_version: u32,
    transaction_version: u32,
    /// The block at which the lifetime began, which the signer signed.
    birth: Hash,
}

/// A proven extrinsic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignedInBlock {
    pub block: BlockNumber,
    pub signer: AccountId,
    /// The call, as the signer signed it.
    pub call: Vec<u8>,
    /// Whether the signer's key made the signature, for the versions and the birth that the file names.
    pub is_authentic: bool,
    spec_version: u32,
    transaction_version: u32,
    /// The Blake2-256 of the extrinsic, by which explorers name it.
    pub hash: Hash,
}

impl SignedInBlock {
    /// Whether this version of epione knows what the call means.
    pub(crate) fn is_of_known_encoding(&self) -> bool {
        self.transaction_version == TRANSACTION_VERSION
    }

    /// Whether this version of epione knows, too, what the runtime did with the call.
    pub(crate) fn is_of_known_runtime(&self) -> bool {
        self.is_of_known_encoding() && self.spec_version == SPEC_VERSION
    }
}

/// An extrinsic, taken apart.
struct Extrinsic<'a> {
    signer: AccountId,
    signature: Signature,
    era: Era,
    nonce: u32,
    call: &'a [u8],
}

impl<'a> Extrinsic<'a> {
    /// None if no account signed it, or not in a form that this chain accepts.
    fn read(mut bytes: &'a [u8]) -> Option<Self> {
        let Compact(length) = Compact::<u32>::decode(&mut bytes).ok()?;
        if usize::try_from(length).ok()? != bytes.len() || u8::decode(&mut bytes).ok()? != SIGNED {
            return None;
        }
        let address = MultiAddress::<AccountId, ()>::decode(&mut bytes).ok()?;
        let MultiAddress::Id(signer) = address else { return None };
        let signature = Signature::decode(&mut bytes).ok()?;
        let era = Era::decode(&mut bytes).ok()?;
        let Compact(nonce) = Compact::<u32>::decode(&mut bytes).ok()?;
        Some(Self { signer, signature, era, nonce, call: bytes })
    }

    /// The number of the block at which the lifetime of a transaction in this block began.
    fn birth(&self, block: BlockNumber) -> BlockNumber {
        BlockNumber::try_from(self.era.birth(block.into())).unwrap_or(block)
    }

    /// Whether the signer signed this call for these versions and blocks.
    fn is_authentic(&self, genesis: Hash, sent: &Sent) -> bool {
        let Self { signer, signature, era, nonce, call } = self;
        let mut payload = call.to_vec();
        (era, Compact(*nonce)).encode_to(&mut payload);
        (sent.spec_version, sent.transaction_version, genesis, sent.birth).encode_to(&mut payload);
        if payload.len() > MAX_PLAIN_PAYLOAD {
            payload = BlakeTwo256::hash(&payload).as_bytes().to_vec();
        }
        let (signer, signature) = (signer.clone(), signature.clone());
        SignedCall { signer, signature, payload }.is_authentic()
    }
}

impl Sent {
    /// Block, and position in the block.
    pub(crate) fn place(&self) -> (BlockNumber, u32) {
        (self.block, self.index)
    }

    pub(crate) fn trie_nodes(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.nodes.iter()
    }

    /// Bytes of its trie nodes.
    pub(crate) fn bytes(&self) -> u64 {
        self.nodes.iter().map(|node| node.len() as u64).sum()
    }

    /// Verifies that the block has this extrinsic, and whether its signer signed it.
    pub(crate) fn open(
        mut self,
        chain: &ProvenChain,
        genesis: Hash,
    ) -> Result<SignedInBlock, ProofFault> {
        let (block, index) = (self.block, self.index);
        let nodes = std::mem::take(&mut self.nodes);
        let bytes = chain.extrinsic(block, index, nodes)?;
        let unsigned = ProofFault::NoExtrinsic { number: block, index };
        let extrinsic = Extrinsic::read(&bytes).ok_or(unsigned)?;
        Ok(SignedInBlock {
            block,
            signer: extrinsic.signer.clone(),
            call: extrinsic.call.to_vec(),
            is_authentic: extrinsic.is_authentic(genesis, &self),
            spec_version: self.spec_version,
            transaction_version: self.transaction_version,
            hash: BlakeTwo256::hash(&bytes),
        })
    }
}

/// The versions of a runtime.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    spec_version: u32,
    transaction_version: u32,
}

impl Chain {
    /// The wanted ones of the extrinsics that accounts signed in a block that the proof shows, in their order. None if
    /// they are more than `max`. The caller verifies them.
    pub(crate) async fn sent(
        &self,
        proof: &ChainProof,
        block: BlockNumber,
        is_wanted: impl Fn(&AccountId, &[u8]) -> bool,
        max: usize,
    ) -> Result<Option<Vec<Sent>>, ChainError> {
        let header = proof.header(block).ok_or_else(|| unknown_number(block))?;
        let extrinsics = self.claimed_extrinsics(header.hash()).await?;
        let mut found = Vec::new();
        for (index, bytes) in (0..).zip(&extrinsics) {
            let read = Extrinsic::read(bytes).filter(|it| is_wanted(&it.signer, it.call));
            found.extend(read.map(|extrinsic| (index, extrinsic.birth(block))));
        }
        if found.len() > max {
            return Ok(None);
        }
        let indices: Vec<u32> = found.iter().map(|(index, _)| *index).collect();
        let proven = prove_extrinsics(header.extrinsics_root, &extrinsics, &indices);
        let other = || self.doubt(Doubt::OtherExtrinsics { block: header.hash() });
        let proven = proven.ok_or_else(other)?;
        if found.is_empty() {
            return Ok(Some(Vec::new()));
        }
        // The state after the parent has the runtime that executed the block.
        let Versions { spec_version, transaction_version } =
            self.request("state_getRuntimeVersion", rpc_params![header.parent_hash]).await?;
        let mut sent = Vec::new();
        for ((index, birth), nodes) in found.into_iter().zip(proven) {
            let birth = claimed_hash(self, birth).await?;
            sent.push(Sent { block, index, nodes, spec_version, transaction_version, birth });
        }
        Ok(Some(sent))
    }
}
