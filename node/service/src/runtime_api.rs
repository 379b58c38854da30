//! The stand-in for the runtime: the runtime APIs that the node calls, without their implementation.
//!
//! The client needs a type for the runtime's API, which a macro derives from an implementation. With the
//! runtime's own type, the node could only compile after the runtime. The derived [`RuntimeApi`] executes
//! every call in the WebAssembly of the chain, so the functions here are never called. A test in `node/tests`
//! compares the APIs and their versions with the runtime's.

// The macro extends the lifetime of the client that makes the calls.
#![allow(unsafe_code)]

use epione_primitives::{
    AccountId, AnnouncementId, Hash, HospitalId, Nonce, OpaqueBlock as Block, RecordId,
    RecordPointer, UserId,
    block::{AnnouncedEntry, Announcement, BlockHashes, Entry, Header as LiteHeader},
};
use sp_api::impl_runtime_apis;
use sp_consensus_aura::{SlotDuration, sr25519::AuthorityId as AuraId};
use sp_consensus_grandpa::{
    AuthorityId as GrandpaId, AuthorityList, EquivocationProof, OpaqueKeyOwnershipProof, SetId,
};
use sp_core::{OpaqueMetadata, crypto::KeyTypeId};
use sp_inherents::{CheckInherentsResult, InherentData};
use sp_runtime::{
    ApplyExtrinsicResult, ExtrinsicInclusionMode,
    traits::{Block as BlockT, NumberFor},
    transaction_validity::{TransactionSource, TransactionValidity},
};
use sp_session::OpaqueGeneratedSessionKeys;
use sp_version::RuntimeVersion;

/// The type for which the macro wants an implementation.
pub struct StandIn;

fn only_in_wasm() -> ! {
    unreachable!("the node executes the runtime only as WebAssembly, never this stand-in")
}

impl_runtime_apis! {
    impl sp_api::Core<Block> for StandIn {
        fn version() -> RuntimeVersion {
            only_in_wasm()
        }

        fn execute_block(_: <Block as BlockT>::LazyBlock) {
            only_in_wasm()
        }

        fn initialize_block(_: &<Block as BlockT>::Header) -> ExtrinsicInclusionMode {
            only_in_wasm()
        }
    }

    impl sp_api::Metadata<Block> for StandIn {
        fn metadata() -> OpaqueMetadata {
            only_in_wasm()
        }

        fn metadata_at_version(_: u32) -> Option<OpaqueMetadata> {
            only_in_wasm()
        }

        fn metadata_versions() -> Vec<u32> {
            only_in_wasm()
        }
    }

    impl sp_block_builder::BlockBuilder<Block> for StandIn {
        fn apply_extrinsic(_: <Block as BlockT>::Extrinsic) -> ApplyExtrinsicResult {
            only_in_wasm()
        }

        fn finalize_block() -> <Block as BlockT>::Header {
            only_in_wasm()
        }

        fn inherent_extrinsics(_: InherentData) -> Vec<<Block as BlockT>::Extrinsic> {
            only_in_wasm()
        }

        fn check_inherents(
            _: <Block as BlockT>::LazyBlock,
            _: InherentData,
        ) -> CheckInherentsResult {
            only_in_wasm()
        }
    }

    impl sp_transaction_pool::runtime_api::TaggedTransactionQueue<Block> for StandIn {
        fn validate_transaction(
            _: TransactionSource,
            _: <Block as BlockT>::Extrinsic,
            _: <Block as BlockT>::Hash,
        ) -> TransactionValidity {
            only_in_wasm()
        }
    }

    impl sp_consensus_aura::AuraApi<Block, AuraId> for StandIn {
        fn slot_duration() -> SlotDuration {
            only_in_wasm()
        }

        fn authorities() -> Vec<AuraId> {
            only_in_wasm()
        }
    }

    impl sp_consensus_grandpa::GrandpaApi<Block> for StandIn {
        fn grandpa_authorities() -> AuthorityList {
            only_in_wasm()
        }

        fn current_set_id() -> SetId {
            only_in_wasm()
        }

        fn submit_report_equivocation_unsigned_extrinsic(
            _: EquivocationProof<<Block as BlockT>::Hash, NumberFor<Block>>,
            _: OpaqueKeyOwnershipProof,
        ) -> Option<()> {
            only_in_wasm()
        }

        fn generate_key_ownership_proof(_: SetId, _: GrandpaId) -> Option<OpaqueKeyOwnershipProof> {
            only_in_wasm()
        }
    }

    impl sp_session::SessionKeys<Block> for StandIn {
        fn generate_session_keys(_: Vec<u8>, _: Option<Vec<u8>>) -> OpaqueGeneratedSessionKeys {
            only_in_wasm()
        }

        fn decode_session_keys(_: Vec<u8>) -> Option<Vec<(Vec<u8>, KeyTypeId)>> {
            only_in_wasm()
        }
    }

    impl frame_system_rpc_runtime_api::AccountNonceApi<Block, AccountId, Nonce> for StandIn {
        fn account_nonce(_: AccountId) -> Nonce {
            only_in_wasm()
        }
    }

    impl epione_primitives::api::LiteBlocksApi<Block> for StandIn {
        fn height() -> u32 {
            only_in_wasm()
        }

        fn header(_: u32) -> Option<(LiteHeader, BlockHashes)> {
            only_in_wasm()
        }

        fn entries(_: u32) -> Vec<Entry> {
            only_in_wasm()
        }

        fn announcement(_: AnnouncementId) -> Option<(Announcement, Vec<AnnouncedEntry>)> {
            only_in_wasm()
        }

        fn open_announcements() -> Vec<AnnouncementId> {
            only_in_wasm()
        }

        fn next_announcement() -> AnnouncementId {
            only_in_wasm()
        }

        fn announcement_of(_: HospitalId, _: Hash) -> Option<AnnouncementId> {
            only_in_wasm()
        }

        fn announcement_with(_: HospitalId, _: RecordId) -> Option<AnnouncementId> {
            only_in_wasm()
        }

        fn history(
            _: UserId,
            _: Option<RecordPointer>,
            _: u32,
        ) -> Vec<(RecordPointer, Entry, Hash)> {
            only_in_wasm()
        }

        fn record(_: RecordPointer) -> Option<(Entry, Hash)> {
            only_in_wasm()
        }
    }
}
