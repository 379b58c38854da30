//! The runtime APIs for nodes, workers and clients.

// The macro exports the runtime's entry points under fixed names.
#![allow(unsafe_code)]

use alloc::vec::Vec;
use epione_primitives::{
    AccountId, AnnouncementId, Hash, HospitalId, Moment, Nonce, RecordId, RecordPointer, UserId,
    access::{
        AccessRequest, Decision, Parties, PolicySet, Purpose, Relationship, RelationshipKind,
    },
    approval::Ballot,
    block::{AnnouncedEntry, Announcement, BlockHashes, Entry, Header as LiteHeader},
    credential::{AttributeId, AttributeName, Credential},
    hospital::{Duty, Hospital, Replacement},
    limits::SLOT_MILLIS,
    mandate::Mandate,
    opening::{HandedOut, Opening, OpeningId, Wrapped},
    ports,
    profile::{Profile, Recovery, Registration},
    query::{Query, QueryId, SealedTermsBytes, Transfer},
    release::{OwnRead, Receipt, RefusedAccess, Review, ReviewId, SectionSet, Tally},
    sharing::{ConsentVersion, Placements, SharedChange, SlotId, SlotSet},
};
use frame_support::genesis_builder_helper::{build_state, get_preset};
use frame_support::traits::KeyOwnerProofSystem;
use sp_api::impl_runtime_apis;
use sp_consensus_aura::sr25519::AuthorityId as AuraId;
use sp_consensus_grandpa::AuthorityId as GrandpaId;
use sp_core::{OpaqueMetadata, crypto::KeyTypeId};
use sp_inherents::{CheckInherentsResult, InherentData};
use sp_runtime::{
    ApplyExtrinsicResult, ExtrinsicInclusionMode,
    traits::Block as BlockT,
    transaction_validity::{TransactionSource, TransactionValidity},
};
use sp_session::OpaqueGeneratedSessionKeys;
use sp_version::RuntimeVersion;

use crate::{
    Approvals, Block, Credentials, Executive, Grandpa, Historical, Hospitals, InherentDataExt,
    LiteBlocks, Mandates, Openings, Profiles, Queries, Releases, RolePolicies, Runtime,
    RuntimeGenesisConfig, SessionKeys, Sharing, System, VERSION, genesis,
};

impl_runtime_apis! {
    impl sp_api::Core<Block> for Runtime {
        fn version() -> RuntimeVersion {
            VERSION
        }

        fn execute_block(block: <Block as BlockT>::LazyBlock) {
            Executive::execute_block(block);
        }

        fn initialize_block(header: &<Block as BlockT>::Header) -> ExtrinsicInclusionMode {
            Executive::initialize_block(header)
        }
    }

    impl sp_api::Metadata<Block> for Runtime {
        fn metadata() -> OpaqueMetadata {
            OpaqueMetadata::new(Runtime::metadata().into())
        }

        fn metadata_at_version(version: u32) -> Option<OpaqueMetadata> {
            Runtime::metadata_at_version(version)
        }

        fn metadata_versions() -> Vec<u32> {
            Runtime::metadata_versions()
        }
    }

    impl frame_support::view_functions::runtime_api::RuntimeViewFunction<Block> for Runtime {
        fn execute_view_function(
            id: frame_support::view_functions::ViewFunctionId,
            input: Vec<u8>,
        ) -> Result<Vec<u8>, frame_support::view_functions::ViewFunctionDispatchError> {
            Runtime::execute_view_function(id, input)
        }
    }

    impl sp_block_builder::BlockBuilder<Block> for Runtime {
        fn apply_extrinsic(extrinsic: <Block as BlockT>::Extrinsic) -> ApplyExtrinsicResult {
            Executive::apply_extrinsic(extrinsic)
        }

        fn finalize_block() -> <Block as BlockT>::Header {
            Executive::finalize_block()
        }

        fn inherent_extrinsics(data: InherentData) -> Vec<<Block as BlockT>::Extrinsic> {
            data.create_extrinsics()
        }

        fn check_inherents(
            block: <Block as BlockT>::LazyBlock,
            data: InherentData,
        ) -> CheckInherentsResult {
            data.check_extrinsics(&block)
        }
    }

    impl sp_transaction_pool::runtime_api::TaggedTransactionQueue<Block> for Runtime {
        fn validate_transaction(
            source: TransactionSource,
            tx: <Block as BlockT>::Extrinsic,
            block_hash: <Block as BlockT>::Hash,
        ) -> TransactionValidity {
            Executive::validate_transaction(source, tx, block_hash)
        }
    }

    impl sp_offchain::OffchainWorkerApi<Block> for Runtime {
        fn offchain_worker(header: &<Block as BlockT>::Header) {
            Executive::offchain_worker(header);
        }
    }

    impl sp_consensus_aura::AuraApi<Block, AuraId> for Runtime {
        fn slot_duration() -> sp_consensus_aura::SlotDuration {
            sp_consensus_aura::SlotDuration::from_millis(SLOT_MILLIS)
        }

        fn authorities() -> Vec<AuraId> {
            pallet_aura::Authorities::<Runtime>::get().into_inner()
        }
    }

    impl sp_session::SessionKeys<Block> for Runtime {
        fn generate_session_keys(
            owner: Vec<u8>,
            seed: Option<Vec<u8>>,
        ) -> OpaqueGeneratedSessionKeys {
            SessionKeys::generate(&owner, seed).into()
        }

        fn decode_session_keys(encoded: Vec<u8>) -> Option<Vec<(Vec<u8>, KeyTypeId)>> {
            SessionKeys::decode_into_raw_public_keys(&encoded)
        }
    }

    impl sp_consensus_grandpa::GrandpaApi<Block> for Runtime {
        fn grandpa_authorities() -> sp_consensus_grandpa::AuthorityList {
            Grandpa::grandpa_authorities()
        }

        fn current_set_id() -> sp_consensus_grandpa::SetId {
            pallet_grandpa::CurrentSetId::<Runtime>::get()
        }

        fn submit_report_equivocation_unsigned_extrinsic(
            equivocation_proof: sp_consensus_grandpa::EquivocationProof<
                <Block as BlockT>::Hash,
                sp_runtime::traits::NumberFor<Block>,
            >,
            key_owner_proof: sp_consensus_grandpa::OpaqueKeyOwnershipProof,
        ) -> Option<()> {
            let key_owner_proof = key_owner_proof.decode()?;
            Grandpa::submit_unsigned_equivocation_report(equivocation_proof, key_owner_proof)
        }

        fn generate_key_ownership_proof(
            _: sp_consensus_grandpa::SetId,
            authority_id: GrandpaId,
        ) -> Option<sp_consensus_grandpa::OpaqueKeyOwnershipProof> {
            use codec::Encode;
            Historical::prove((sp_consensus_grandpa::KEY_TYPE, authority_id))
                .map(|proof| proof.encode())
                .map(sp_consensus_grandpa::OpaqueKeyOwnershipProof::new)
        }
    }

    impl frame_system_rpc_runtime_api::AccountNonceApi<Block, AccountId, Nonce> for Runtime {
        fn account_nonce(account: AccountId) -> Nonce {
            System::account_nonce(account)
        }
    }

    impl sp_genesis_builder::GenesisBuilder<Block> for Runtime {
        fn build_state(config: Vec<u8>) -> sp_genesis_builder::Result {
            build_state::<RuntimeGenesisConfig>(config)
        }

        fn get_preset(id: &Option<sp_genesis_builder::PresetId>) -> Option<Vec<u8>> {
            get_preset::<RuntimeGenesisConfig>(id, genesis::preset)
        }

        fn preset_names() -> Vec<sp_genesis_builder::PresetId> {
            genesis::names()
        }
    }

    impl epione_primitives::api::HospitalsApi<Block> for Runtime {
        fn hospitals() -> Vec<(HospitalId, Hospital)> {
            Hospitals::hospitals()
        }

        fn hospital(id: HospitalId) -> Option<Hospital> {
            Hospitals::hospital(id)
        }

        fn hospital_of(account: AccountId) -> Option<(HospitalId, Duty)> {
            Hospitals::hospital_of(account)
        }

        fn benched() -> Vec<HospitalId> {
            Hospitals::benched()
        }

        fn unready() -> Vec<HospitalId> {
            Hospitals::unready()
        }

        fn replacement(hospital: HospitalId) -> Option<Replacement> {
            Hospitals::replacement(hospital)
        }
    }

    impl epione_primitives::api::ProfilesApi<Block> for Runtime {
        fn user_of(account: AccountId) -> Option<UserId> {
            Profiles::user_of(account)
        }

        fn profile(user: UserId) -> Option<Profile> {
            Profiles::profile(user)
        }

        fn registration(hospital: HospitalId, user: UserId) -> Option<Registration> {
            Profiles::registration(hospital, user)
        }

        fn registrations(user: UserId) -> Vec<(HospitalId, Registration)> {
            Profiles::registrations(user)
        }

        fn members(
            hospital: HospitalId,
            after: Option<UserId>,
            limit: u32,
        ) -> Vec<(UserId, Registration)> {
            Profiles::members(hospital, after, limit)
        }

        fn recovery(user: UserId) -> Option<Recovery> {
            Profiles::recovery(user)
        }

        fn recoveries(after: Option<UserId>, limit: u32) -> Vec<(UserId, Recovery)> {
            Profiles::recoveries(after, limit)
        }
    }

    impl epione_primitives::api::RolePoliciesApi<Block> for Runtime {
        fn decide(request: AccessRequest, at: Option<Moment>) -> Decision {
            RolePolicies::decide(request, at)
        }

        fn decide_each(requests: Vec<AccessRequest>) -> Vec<Decision> {
            RolePolicies::decide_each(requests)
        }

        fn relationships(
            patient: UserId,
            after: Option<(UserId, HospitalId)>,
            limit: u32,
        ) -> Vec<(UserId, Relationship)> {
            RolePolicies::relationships(patient, after, limit)
        }

        fn earlier_relationships(
            parties: Parties,
            kind: RelationshipKind,
            before: Option<u32>,
            limit: u32,
        ) -> Vec<(u32, Relationship)> {
            RolePolicies::earlier_relationships(parties, kind, before, limit)
        }

        fn policies(hospital: HospitalId, version: Option<u32>) -> Option<(u32, PolicySet)> {
            RolePolicies::policies(hospital, version)
        }
    }

    impl epione_primitives::api::ReleasesApi<Block> for Runtime {
        fn receipt(grant: Hash) -> Option<Receipt> {
            Releases::receipt(grant)
        }

        fn answer(request: Hash) -> Option<Hash> {
            Releases::answer(request)
        }

        fn is_in_force(grant: Hash) -> bool {
            Releases::is_in_force(grant)
        }

        fn receipts(patient: UserId, before: Option<u32>, limit: u32) -> Vec<(u32, Receipt)> {
            Releases::receipts(patient, before, limit)
        }

        fn emergencies(
            patient: UserId,
            before: Option<u32>,
            limit: u32,
        ) -> Vec<(u32, ReviewId, Review)> {
            Releases::emergencies(patient, before, limit)
        }

        fn refusals(patient: UserId, before: Option<u32>, limit: u32) -> Vec<(u32, RefusedAccess)> {
            Releases::refusals(patient, before, limit)
        }

        fn own_reads(patient: UserId, before: Option<u32>, limit: u32) -> Vec<(u32, OwnRead)> {
            Releases::own_reads(patient, before, limit)
        }

        fn reviews(before: Option<ReviewId>, limit: u32) -> Vec<(ReviewId, Review)> {
            Releases::reviews(before, limit)
        }

        fn tally(hospital: HospitalId, requester: UserId) -> Tally {
            Releases::tally(hospital, requester)
        }
    }

    impl epione_primitives::api::SharingApi<Block> for Runtime {
        fn placements(pointers: Vec<RecordPointer>) -> Vec<Placements> {
            Sharing::placements(pointers)
        }

        fn admitting(patient: UserId, requester: UserId, purpose: Purpose) -> SlotSet {
            <Sharing as ports::Sharing>::admitting(patient, requester, purpose)
        }

        fn standing(patient: UserId, requester: UserId, purpose: Purpose) -> SlotSet {
            <Sharing as ports::Sharing>::standing(patient, requester, purpose)
        }

        fn consents(patient: UserId) -> Vec<(SlotId, ConsentVersion)> {
            Sharing::consents(patient)
        }

        fn earlier_consents(
            patient: UserId,
            slot: SlotId,
            before: Option<u32>,
            limit: u32,
        ) -> Vec<ConsentVersion> {
            Sharing::earlier_consents(patient, slot, before, limit)
        }

        fn placed_in(
            patient: UserId,
            slot: SlotId,
            after: Option<RecordPointer>,
            limit: u32,
        ) -> Vec<(RecordPointer, SectionSet)> {
            Sharing::placed_in(patient, slot, after, limit)
        }

        fn slot_height(patient: UserId, slot: SlotId) -> u64 {
            Sharing::slot_height(patient, slot)
        }

        fn shared_head() -> (u64, Hash) {
            Sharing::head()
        }

        fn shared_changes(from: u64, limit: u32) -> Vec<SharedChange> {
            Sharing::changes(from, limit)
        }
    }

    impl epione_primitives::api::CredentialsApi<Block> for Runtime {
        fn attributes(from: AttributeId, limit: u32) -> Vec<(AttributeId, AttributeName)> {
            Credentials::attributes(from, limit)
        }

        fn credentials(
            user: UserId,
            after: Option<(AttributeId, HospitalId)>,
            limit: u32,
        ) -> Vec<(AttributeId, HospitalId, Credential)> {
            Credentials::credentials(user, after, limit)
        }
    }

    impl epione_primitives::api::MandatesApi<Block> for Runtime {
        fn representatives(
            patient: UserId,
            after: Option<UserId>,
            limit: u32,
        ) -> Vec<(UserId, Mandate)> {
            Mandates::representatives(patient, after, limit)
        }

        fn authorizations(patient: UserId) -> Vec<(HospitalId, Mandate)> {
            Mandates::authorizations(patient)
        }

        fn representation(user: UserId, patient: UserId) -> Option<Mandate> {
            Mandates::representation_now(user, patient)
        }
    }

    impl epione_primitives::api::QueriesApi<Block> for Runtime {
        fn query(id: QueryId) -> Option<Query> {
            Queries::query(id)
        }

        fn terms(id: QueryId) -> Option<SealedTermsBytes> {
            Queries::terms(id)
        }

        fn transfer(id: QueryId) -> Option<Transfer> {
            Queries::transferred(id)
        }

        fn patient_queries(
            patient: UserId,
            before: Option<u32>,
            limit: u32,
        ) -> Vec<(u32, QueryId, Query)> {
            Queries::patient_queries(patient, before, limit)
        }

        fn requester_queries(
            requester: UserId,
            before: Option<u32>,
            limit: u32,
        ) -> Vec<(u32, QueryId, Query)> {
            Queries::requester_queries(requester, before, limit)
        }
    }

    impl epione_primitives::api::OpeningsApi<Block> for Runtime {
        fn opening(id: OpeningId) -> Option<Opening> {
            Openings::opening(id)
        }

        fn openings_of_patient(
            patient: UserId,
            before: Option<u32>,
            limit: u32,
        ) -> Vec<(u32, OpeningId, Opening)> {
            Openings::openings_of_patient(patient, before, limit)
        }

        fn openings_of_requester(
            requester: UserId,
            before: Option<u32>,
            limit: u32,
        ) -> Vec<(u32, OpeningId, Opening)> {
            Openings::openings_of_requester(requester, before, limit)
        }

        fn handed_out(id: OpeningId) -> Vec<(HospitalId, HandedOut)> {
            Openings::handed_out(id)
        }

        fn wraps(pointer: RecordPointer) -> Vec<(SlotId, Wrapped)> {
            Openings::wraps(pointer)
        }
    }

    impl epione_primitives::api::LiteBlocksApi<Block> for Runtime {
        fn height() -> u32 {
            LiteBlocks::height()
        }

        fn header(height: u32) -> Option<(LiteHeader, BlockHashes)> {
            LiteBlocks::header(height)
        }

        fn entries(height: u32) -> Vec<Entry> {
            LiteBlocks::entries(height)
        }

        fn announcement(id: AnnouncementId) -> Option<(Announcement, Vec<AnnouncedEntry>)> {
            LiteBlocks::announcement(id)
        }

        fn open_announcements() -> Vec<AnnouncementId> {
            LiteBlocks::open_announcements()
        }

        fn next_announcement() -> AnnouncementId {
            LiteBlocks::next_announcement()
        }

        fn announcement_of(announcer: HospitalId, body_hash: Hash) -> Option<AnnouncementId> {
            LiteBlocks::announcement_of(announcer, body_hash)
        }

        fn announcement_with(announcer: HospitalId, record: RecordId) -> Option<AnnouncementId> {
            LiteBlocks::announcement_with(announcer, record)
        }

        fn history(
            patient: UserId,
            before: Option<RecordPointer>,
            limit: u32,
        ) -> Vec<(RecordPointer, Entry, Hash)> {
            LiteBlocks::history(patient, before, limit)
        }

        fn record(pointer: RecordPointer) -> Option<(Entry, Hash)> {
            LiteBlocks::record(pointer)
        }
    }

    impl epione_primitives::api::ApprovalsApi<Block> for Runtime {
        fn ballot(id: AnnouncementId) -> Option<Ballot> {
            Approvals::ballot(id)
        }
    }

    #[cfg(feature = "try-runtime")]
    impl frame_try_runtime::TryRuntime<Block> for Runtime {
        fn on_runtime_upgrade(
            checks: frame_try_runtime::UpgradeCheckSelect,
        ) -> (frame_support::weights::Weight, frame_support::weights::Weight) {
            // try-runtime prints the reason of a failure only for a panic.
            let weight = Executive::try_runtime_upgrade(checks).expect("the upgrade succeeds");
            (weight, crate::configs::BLOCK_WEIGHT)
        }

        fn execute_block(
            block: <Block as BlockT>::LazyBlock,
            state_root_check: bool,
            signature_check: bool,
            select: frame_try_runtime::TryStateSelect,
        ) -> frame_support::weights::Weight {
            let checked = select.any();
            let weight =
                Executive::try_execute_block(block, state_root_check, signature_check, select)
                    .expect("the block executes");
            if checked {
                crate::invariants::check_together().expect("the pallets agree with each other");
            }
            weight
        }
    }

    #[cfg(feature = "runtime-benchmarks")]
    impl frame_benchmarking::Benchmark<Block> for Runtime {
        fn benchmark_metadata(
            extra: bool,
        ) -> (
            Vec<frame_benchmarking::BenchmarkList>,
            Vec<frame_support::traits::StorageInfo>,
        ) {
            use crate::*;
            use frame_benchmarking::BenchmarkList;
            use frame_support::traits::StorageInfoTrait;
            use crate::benchmarking::{
                caller::Pallet as CallerBench, session::Pallet as SessionBench,
            };
            use frame_system_benchmarking::{
                Pallet as SystemBench, extensions::Pallet as ExtensionsBench,
            };
            let mut list = Vec::<BenchmarkList>::new();
            list_benchmarks!(list, extra);
            (list, AllPalletsWithSystem::storage_info())
        }

        fn dispatch_benchmark(
            config: frame_benchmarking::BenchmarkConfig,
        ) -> Result<Vec<frame_benchmarking::BenchmarkBatch>, alloc::string::String> {
            use crate::*;
            use frame_benchmarking::BenchmarkBatch;
            use frame_support::traits::WhitelistedStorageKeys;
            use crate::benchmarking::{
                caller::Pallet as CallerBench, session::Pallet as SessionBench,
            };
            use frame_system_benchmarking::{
                Pallet as SystemBench, extensions::Pallet as ExtensionsBench,
            };
            let whitelist = AllPalletsWithSystem::whitelisted_storage_keys();
            let mut batches = Vec::<BenchmarkBatch>::new();
            let params = (&config, &whitelist);
            add_benchmarks!(params, batches);
            Ok(batches)
        }
    }
}
