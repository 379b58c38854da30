//! The chain's runtime, composed of Epione's pallets and the SDK's pallets.
//!
//! The pallets define hospitals, ballots and records. [`caller`] defines which role may make which call,
//! [`governance`] what council members may propose, and [`lanes`] which transactions come first. [`genesis`]
//! defines the hospitals at the beginning of a chain.

#![cfg_attr(not(feature = "std"), no_std)]
// The outermost type of a runtime call with its extension nests deeper than the default allows.
#![recursion_limit = "256"]

extern crate alloc;
// The weights refer to this crate's modules by their paths.
extern crate self as epione_runtime;

#[cfg(feature = "std")]
include!(concat!(env!("OUT_DIR"), "/wasm_binary.rs"));

pub mod apis;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod bodies;
pub mod caller;
pub mod configs;
mod cost;
pub mod council_root;
mod equivocations;
pub mod genesis;
pub mod governance;
pub mod in_flight;
#[cfg(any(feature = "std", feature = "try-runtime"))]
pub mod invariants;
pub mod lanes;
mod lengths;
pub mod lifetime;
pub mod weights;

pub use bodies::ExtrinsicTail;
pub use epione_primitives::{
    AccountId, BlockNumber, ChainHeader as Header, Hash, HospitalId, Moment, Nonce, Signature,
};

use alloc::vec::Vec;
use sp_runtime::{MultiAddress, generic, impl_opaque_keys};
use sp_version::RuntimeVersion;

use apis::RUNTIME_API_VERSIONS;

pub type Address = MultiAddress<AccountId, ()>;
pub type Block = generic::Block<Header, UncheckedExtrinsic>;
pub type BlockId = generic::BlockId<Block>;

/// The extensions of a transaction. [`caller::CheckCaller`] is first, so an unknown account gets its error and
/// not another one.
pub type TxExtension = (
    caller::CheckCaller,
    frame_system::CheckNonZeroSender<Runtime>,
    frame_system::CheckSpecVersion<Runtime>,
    frame_system::CheckTxVersion<Runtime>,
    frame_system::CheckGenesis<Runtime>,
    lifetime::CheckLifetime,
    in_flight::CheckInFlight,
    frame_system::CheckWeight<Runtime>,
    frame_system::WeightReclaim<Runtime>,
);
pub type UncheckedExtrinsic =
    generic::UncheckedExtrinsic<Address, RuntimeCall, Signature, TxExtension>;
pub type SignedPayload = generic::SignedPayload<RuntimeCall, TxExtension>;

pub type Executive = frame_executive::Executive<
    Runtime,
    Block,
    frame_system::ChainContext<Runtime>,
    Runtime,
    AllPalletsWithSystem,
>;

impl_opaque_keys! {
    pub struct SessionKeys {
        pub aura: Aura,
        pub grandpa: Grandpa,
    }
}

/// The version of this runtime, for nodes and signers. Increase `spec_version` with every change that goes on
/// chain, and `transaction_version` if the encoding of calls or extensions changes.
#[sp_version::runtime_version]
pub const VERSION: RuntimeVersion = RuntimeVersion {
    spec_name: alloc::borrow::Cow::Borrowed("epione"),
    impl_name: alloc::borrow::Cow::Borrowed("epione"),
    authoring_version: 1,
    spec_version: 2,
    impl_version: 1,
    apis: RUNTIME_API_VERSIONS,
    transaction_version: 1,
    system_version: 1,
};

#[frame_support::runtime]
mod runtime {
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeFreezeReason,
        RuntimeHoldReason,
        RuntimeSlashReason,
        RuntimeLockId,
        RuntimeTask,
        RuntimeViewFunction
    )]
    pub struct Runtime;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;

    #[runtime::pallet_index(1)]
    pub type Timestamp = pallet_timestamp;

    #[runtime::pallet_index(2)]
    pub type Aura = pallet_aura;

    #[runtime::pallet_index(3)]
    pub type Authorship = pallet_authorship;

    #[runtime::pallet_index(4)]
    pub type Offences = pallet_offences;

    #[runtime::pallet_index(5)]
    pub type Historical = pallet_session::historical;

    #[runtime::pallet_index(6)]
    pub type Hospitals = pallet_hospitals;

    #[runtime::pallet_index(7)]
    pub type Session = pallet_session;

    #[runtime::pallet_index(8)]
    pub type Grandpa = pallet_grandpa;

    #[runtime::pallet_index(9)]
    pub type Council = pallet_collective<Instance1>;

    #[runtime::pallet_index(10)]
    pub type Profiles = pallet_profiles;

    #[runtime::pallet_index(11)]
    pub type RolePolicies = pallet_role_policies;

    #[runtime::pallet_index(12)]
    pub type LiteBlocks = pallet_lite_blocks;

    #[runtime::pallet_index(13)]
    pub type Approvals = pallet_approvals;

    #[runtime::pallet_index(14)]
    pub type IndexLinks = pallet_index_links;

    #[runtime::pallet_index(15)]
    pub type Utility = pallet_utility;

    #[runtime::pallet_index(16)]
    pub type CouncilRoot = council_root;

    #[runtime::pallet_index(17)]
    pub type Releases = pallet_releases;

    #[runtime::pallet_index(18)]
    pub type Quotas = pallet_quotas;

    #[runtime::pallet_index(19)]
    pub type Sharing = pallet_sharing;

    #[runtime::pallet_index(20)]
    pub type Queries = pallet_queries;

    #[runtime::pallet_index(21)]
    pub type Credentials = pallet_credentials;

    #[runtime::pallet_index(22)]
    pub type Mandates = pallet_mandates;

    #[runtime::pallet_index(23)]
    pub type ConsortiumKey = pallet_consortium_key;

    #[runtime::pallet_index(24)]
    pub type Openings = pallet_openings;

    #[runtime::pallet_index(25)]
    pub type Custody = pallet_custody;
}

#[cfg(feature = "runtime-benchmarks")]
mod benches {
    frame_benchmarking::define_benchmarks!(
        [frame_system, SystemBench::<Runtime>]
        [frame_system_extensions, ExtensionsBench::<Runtime>]
        [pallet_timestamp, Timestamp]
        [pallet_session, SessionBench::<Runtime>]
        [pallet_collective, Council]
        [pallet_utility, Utility]
        [epione_runtime::caller, CallerBench::<Runtime>]
        [epione_runtime::council_root, CouncilRoot]
        [pallet_hospitals, Hospitals]
        [pallet_profiles, Profiles]
        [pallet_role_policies, RolePolicies]
        [pallet_lite_blocks, LiteBlocks]
        [pallet_approvals, Approvals]
        [pallet_releases, Releases]
        [pallet_quotas, Quotas]
        [pallet_sharing, Sharing]
        [pallet_queries, Queries]
        [pallet_credentials, Credentials]
        [pallet_mandates, Mandates]
        [pallet_consortium_key, ConsortiumKey]
        [pallet_openings, Openings]
        [pallet_custody, Custody]
    );
}
