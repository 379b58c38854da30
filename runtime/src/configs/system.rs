//! The size, weight and frequency of blocks.

use epione_primitives::{
    AccountId, BlockNumber, Hash, Moment, Nonce,
    limits::{BLOCK_BYTES, BLOCK_PICOSECONDS, SLOT_MILLIS},
};
use frame_support::{
    derive_impl,
    dispatch::DispatchClass,
    parameter_types,
    traits::ConstU64,
    weights::{Weight, constants::ParityDbWeight},
};
use frame_system::limits::{BlockLength, BlockWeights};
use sp_runtime::{Perbill, traits::AccountIdLookup};
use sp_version::RuntimeVersion;

use crate::{
    Aura, Block, PalletInfo, Runtime, RuntimeCall, RuntimeEvent, RuntimeOrigin, RuntimeTask,
    UncheckedExtrinsic, VERSION, weights,
};

/// The share of a block for ordinary transactions. Its bytes are enough for two of the largest bodies
/// with their entries. The rest is for upgrades and inherents.
pub const NORMAL_SHARE: Perbill = Perbill::from_percent(75);
/// Two seconds of computation in a slot of three seconds. Proof size has no limit, because only parachains need it.
pub const BLOCK_WEIGHT: Weight = Weight::from_parts(BLOCK_PICOSECONDS, u64::MAX);

parameter_types! {
    pub const Version: RuntimeVersion = VERSION;
    /// The maximum lifetime of a mortal transaction: two hours.
    pub const BlockHashCount: BlockNumber = 2_400;
    pub const Ss58Prefix: u16 = 42;
    pub RuntimeBlockWeights: BlockWeights =
        BlockWeights::with_sensible_defaults(BLOCK_WEIGHT, NORMAL_SHARE);
    pub RuntimeBlockLength: BlockLength = BlockLength::builder()
        .max_length(BLOCK_BYTES)
        .modify_max_length_for_class(DispatchClass::Normal, |max| *max = NORMAL_SHARE * BLOCK_BYTES)
        .build();
}

#[derive_impl(frame_system::config_preludes::SolochainDefaultConfig)]
impl frame_system::Config for Runtime {
    type Block = Block;
    type AccountId = AccountId;
    type Hash = Hash;
    type Nonce = Nonce;
    type Lookup = AccountIdLookup<AccountId, ()>;
    type Version = Version;
    type SS58Prefix = Ss58Prefix;
    type BlockHashCount = BlockHashCount;
    type BlockWeights = RuntimeBlockWeights;
    type BlockLength = RuntimeBlockLength;
    type DbWeight = ParityDbWeight;
    type SystemWeightInfo = weights::frame_system::Measured<Runtime>;
    type ExtensionsWeightInfo = weights::frame_system_extensions::Measured<Runtime>;
}

impl pallet_timestamp::Config for Runtime {
    type Moment = Moment;
    type OnTimestampSet = Aura;
    type MinimumPeriod = ConstU64<{ SLOT_MILLIS / 2 }>;
    type WeightInfo = weights::pallet_timestamp::Measured<Runtime>;
}

impl pallet_utility::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type PalletsOrigin = crate::OriginCaller;
    type WeightInfo = weights::pallet_utility::Measured<Runtime>;
}

/// Lets the runtime's off-chain code submit unsigned calls: reports of equivocation.
impl<C> frame_system::offchain::CreateTransactionBase<C> for Runtime
where
    RuntimeCall: From<C>,
{
    type Extrinsic = UncheckedExtrinsic;
    type RuntimeCall = RuntimeCall;
}

impl<C> frame_system::offchain::CreateBare<C> for Runtime
where
    RuntimeCall: From<C>,
{
    fn create_bare(call: RuntimeCall) -> UncheckedExtrinsic {
        UncheckedExtrinsic::new_bare(call)
    }
}
