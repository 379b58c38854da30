//! What the signer of a transaction signs: the call, the transaction's extensions, and what the extensions imply: the
//! versions of the runtime, and the hashes of the first block and of the block at which the lifetime begins. Of a
//! payload over 256 bytes, the Blake2-256 is signed.
//!
//! [`signable`] builds it, both to sign a new transaction and to verify one that a block contains.

use codec::{Compact, Decode, DecodeAll};
use epione_primitives::{AccountId, BlockNumber, Hash, Signature, limits::MAX_BATCH_CALLS};
use serde::Deserialize;
use sp_runtime::{MultiAddress, generic::Era, traits::Verify};
use subxt::{
    SubstrateConfig,
    client::OnlineClientAtBlockImpl,
    config::DefaultExtrinsicParamsBuilder,
    error::ExtrinsicError,
    ext::{
        scale_decode::visitor::{IgnoreVisitor, decode_with_visitor},
        scale_encode,
        scale_type_resolver::TypeResolver,
    },
    extrinsics::Extrinsic,
    rpcs::client::rpc_params,
    transactions::{Payload, SignableTransaction},
};

use super::{
    BlockRef, Call, Chain, ChainError, SubxtHash,
    error::{unknown_block, unknown_number},
    events::At,
    extrinsics::Extrinsics,
};
use crate::signer::Account;

/// The numbers of `batch`, `batch_all` and `force_batch` of the pallet Utility in the runtime.
const BATCHES: [[u8; 2]; 3] = [[15, 0], [15, 2], [15, 4]];

/// The blocks in which a transaction may be included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetime {
    /// The block before the first one.
    pub birth: BlockRef,
    /// Number of blocks.
    pub blocks: u64,
}

/// A call by its names. The arguments are SCALE.
#[derive(Clone, Copy, Debug)]
pub(super) struct NamedCall<'a> {
    pallet: &'a str,
    name: &'a str,
    arguments: &'a [u8],
}

impl<'a> From<&'a Call> for NamedCall<'a> {
    fn from(Call { pallet, name, arguments }: &'a Call) -> Self {
        Self { pallet, name, arguments }
    }
}

pub(super) type Signable<'call> = SignableTransaction<
    'call,
    SubstrateConfig,
    OnlineClientAtBlockImpl<SubstrateConfig>,
    NamedCall<'call>,
>;

/// A call with the extensions of its transaction, for the runtime that the state after block `at` contains.
pub(super) fn signable<'call>(
    at: &At,
    call: &'call NamedCall<'call>,
    lifetime: Lifetime,
    nonce: u64,
) -> Result<Signable<'call>, ExtrinsicError> {
    let Lifetime { birth, blocks } = lifetime;
    let params = DefaultExtrinsicParamsBuilder::<SubstrateConfig>::new()
        .mortal_from_unchecked(blocks, birth.number.into(), SubxtHash::from(birth.hash.0))
        .nonce(nonce)
        .build();
    at.transactions().create_signable_offline(call, params)
}

/// A transaction of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCall {
    pub signer: AccountId,
    pub signature: Signature,
    /// What the signer must have signed if the transaction is theirs.
    pub payload: Vec<u8>,
}

impl SignedCall {
    /// Whether the signer's key made the signature over call, extensions and chain.
    pub fn is_authentic(&self) -> bool {
        self.signature.verify(&self.payload[..], &self.signer)
    }
}

impl Chain {
    /// The encoded extrinsics of a block, in their order.
    pub async fn extrinsics(&self, block: Hash) -> Result<Vec<Vec<u8>>, ChainError> {
        let extrinsics = self.claimed_extrinsics(block).await?;
        self.check_extrinsics(block, &extrinsics).await?;
        Ok(extrinsics)
    }

    /// The extrinsics of a block, as the node says.
    pub(super) async fn claimed_extrinsics(&self, block: Hash) -> Result<Vec<Vec<u8>>, ChainError> {
        #[derive(Deserialize)]
        struct Reply {
            block: Body,
        }
        #[derive(Deserialize)]
        struct Body {
            extrinsics: Extrinsics,
        }
        let reply: Option<Reply> = self.request("chain_getBlock", rpc_params![block]).await?;
        let Extrinsics(extrinsics) = reply.ok_or_else(|| unknown_block(block))?.block.extrinsics;
        Ok(extrinsics)
    }

    /// The signed transactions with exactly this call, alone or in a batch, among the extrinsics of the finalized block
    /// with this number. Their signatures are not verified, and their calls may have failed. An extrinsic that cannot
    /// be decoded is none of them.
    pub async fn signed_calls(
        &self,
        call: &Call,
        block: BlockNumber,
        extrinsics: &[Vec<u8>],
    ) -> Result<Vec<SignedCall>, ChainError> {
        let Some(parent) = block.checked_sub(1) else { return Ok(Vec::new()) };
        if !extrinsics.iter().any(|bytes| has(bytes, &call.arguments)) {
            return Ok(Vec::new());
        }
        // The state after the parent contains the runtime that executed the block.
        let parent = self.canonical_hash(parent).await?.ok_or_else(|| unknown_number(parent))?;
        let at = self.within_limit(self.client_at(parent)).await?;
        let mut found = Vec::new();
        for sent in self.find(&at, call, extrinsics).await? {
            let Ok(number) = BlockNumber::try_from(sent.era.birth(block.into())) else { continue };
            let Some(hash) = self.canonical_hash(number).await? else { continue };
            let lifetime = Lifetime { birth: BlockRef { hash, number }, blocks: sent.blocks };
            let payload = signable(&at, &sent.call(), lifetime, sent.nonce)
                .and_then(|signable| signable.signer_payload())
                .map_err(unreadable)?;
            let Sent { signer, signature, .. } = sent;
            found.push(SignedCall { signer, signature, payload });
        }
        Ok(found)
    }

    async fn find(
        &self,
        at: &At,
        call: &Call,
        extrinsics: &[Vec<u8>],
    ) -> Result<Vec<Sent>, ChainError> {
        let wanted = at.transactions().call_data(&NamedCall::from(call)).map_err(unreadable)?;
        if self.is_verified() {
            self.check_call(call, &wanted)?;
        }
        let candidates = extrinsics.iter().filter(|bytes| has(bytes, &wanted)).cloned().collect();
        let candidates = at.extrinsics().from_bytes(candidates).await;
        let is_pinned = self.is_verified();
        let having = candidates.iter().flatten().filter(|it| contains(at, it, &wanted, is_pinned));
        Ok(having.filter_map(|extrinsic| Sent::read(&extrinsic)).collect())
    }
}

fn unreadable(error: ExtrinsicError) -> ChainError {
    ChainError::malformed("a block's transactions", error)
}

type InBlock<'a> = Extrinsic<'a, SubstrateConfig, OnlineClientAtBlockImpl<SubstrateConfig>>;

/// A signed transaction of a block, taken apart.
struct Sent {
    pallet: String,
    name: String,
    arguments: Vec<u8>,
    signer: AccountId,
    signature: Signature,
    era: Era,
    /// For how many blocks it is valid.
    blocks: u64,
    nonce: u64,
}

impl Sent {
    /// None if nobody signed it, or not in a form that this chain accepts.
    fn read(extrinsic: &InBlock<'_>) -> Option<Self> {
        let address = MultiAddress::<AccountId, ()>::decode_all(&mut extrinsic.address_bytes()?);
        let Ok(MultiAddress::Id(signer)) = address else { return None };
        let signature = Signature::decode_all(&mut extrinsic.signature_bytes()?).ok()?;
        let extensions = extrinsic.transaction_extensions()?;
        let era = extensions.iter().find(|extension| extension.name() == "CheckMortality")?;
        let era = Era::decode_all(&mut era.bytes()).ok()?;
        let Era::Mortal(blocks, _) = era else { return None };
        Some(Self {
            pallet: extrinsic.pallet_name().into(),
            name: extrinsic.call_name().into(),
            arguments: extrinsic.call_data_field_bytes().to_vec(),
            signer,
            signature,
            era,
            blocks,
            nonce: extensions.nonce()?,
        })
    }

    fn call(&self) -> NamedCall<'_> {
        let Self { pallet, name, arguments, .. } = self;
        NamedCall { pallet, name, arguments }
    }
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    part.is_empty() || bytes.windows(part.len()).any(|it| it == part)
}

/// Whether an extrinsic's call is the wanted one, or a batch with it. The chain accepts no batch within a batch. If
/// numbers are pinned, metadata that names another call a batch changes nothing. The metadata still says where each
/// call of a batch ends. But the bytes of the wanted call are in a batch that its signer signed.
fn contains(at: &At, extrinsic: &InBlock<'_>, wanted: &[u8], is_pinned: bool) -> bool {
    let encoded = extrinsic.call_data_bytes();
    let arguments = match is_pinned {
        true => batch_arguments(encoded),
        false => is_named_batch(extrinsic).then(|| extrinsic.call_data_field_bytes()),
    };
    let in_batch = |arguments| batched(at, arguments).is_some_and(|calls| calls.contains(&wanted));
    encoded == wanted || arguments.is_some_and(in_batch)
}

fn is_named_batch(extrinsic: &InBlock<'_>) -> bool {
    extrinsic.pallet_name() == "Utility"
        && matches!(extrinsic.call_name(), "batch" | "batch_all" | "force_batch")
}

/// The arguments of an encoded call if its numbers are those of a batch.
pub(crate) fn batch_arguments(encoded: &[u8]) -> Option<&[u8]> {
    let (numbers, arguments) = encoded.split_at_checked(2)?;
    BATCHES.iter().any(|batch| batch == numbers).then_some(arguments)
}

/// The encoded calls of a batch.
fn batched<'a>(at: &At, mut arguments: &'a [u8]) -> Option<Vec<&'a [u8]>> {
    let Compact(count) = Compact::<u32>::decode(&mut arguments).ok()?;
    if count > MAX_BATCH_CALLS {
        return None;
    }
    let metadata = at.metadata_ref();
    let a_call = metadata.outer_enums().call_enum_ty();
    let mut calls = Vec::new();
    for _ in 0..count {
        let before = arguments;
        let ignored = IgnoreVisitor::new();
        decode_with_visitor(&mut arguments, a_call, metadata.types(), ignored).ok()?;
        calls.push(&before[..before.len() - arguments.len()]);
    }
    Some(calls)
}

impl Payload for NamedCall<'_> {
    type CallData = Self;

    fn pallet_name(&self) -> &str {
        self.pallet
    }

    fn call_name(&self) -> &str {
        self.name
    }

    fn call_data(&self) -> &Self {
        self
    }
}

/// The arguments are SCALE already. A body of 2 MiB as a tree of values would take a hundred MiB.
impl scale_encode::EncodeAsFields for NamedCall<'_> {
    fn encode_as_fields_to<R: TypeResolver>(
        &self,
        _: &mut dyn scale_encode::FieldIter<'_, R::TypeId>,
        _: &R,
        out: &mut Vec<u8>,
    ) -> Result<(), scale_encode::Error> {
        out.extend_from_slice(self.arguments);
        Ok(())
    }
}

impl subxt::transactions::Signer<SubstrateConfig> for Account {
    fn account_id(&self) -> subxt::utils::AccountId32 {
        subxt::utils::AccountId32(self.id().into())
    }

    fn sign(&self, payload: &[u8]) -> subxt::utils::MultiSignature {
        match Account::sign(self, payload) {
            Signature::Ed25519(signature) => subxt::utils::MultiSignature::Ed25519(signature.0),
            Signature::Sr25519(signature) => subxt::utils::MultiSignature::Sr25519(signature.0),
            Signature::Ecdsa(signature) => subxt::utils::MultiSignature::Ecdsa(signature.0),
            Signature::Eth(signature) => subxt::utils::MultiSignature::Ecdsa(signature.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_known_by_its_numbers() {
        for batch in BATCHES {
            let encoded = [&batch[..], &[4, 13, 0]].concat();
            assert_eq!(batch_arguments(&encoded), Some(&[4, 13, 0][..]));
        }
        // `as_derivative`, `dispatch_as`, `with_weight`, and calls of other pallets.
        for other in [[15, 1], [15, 3], [15, 5], [14, 0], [16, 2], [13, 0]] {
            assert_eq!(batch_arguments(&[&other[..], &[4, 13, 0]].concat()), None, "{other:?}");
        }
        assert_eq!(batch_arguments(&[15, 0]), Some(&[][..]));
        assert_eq!(batch_arguments(&[15]), None);
        assert_eq!(batch_arguments(&[]), None);
    }

    #[test]
    fn a_part_is_found_wherever_it_is() {
        for part in [&b"abc"[..], b"a", b"b", b"c", b"bc", b""] {
            assert!(has(b"abc", part), "{part:?}");
        }
        assert!(!has(b"abc", b"ac") && !has(b"abc", b"abcd") && !has(b"", b"a"));
    }
}
