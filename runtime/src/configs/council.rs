//! The council: the hospitals' governance accounts, which decide by a majority of more than half.

use epione_primitives::{AccountId, BlockNumber, limits::MAX_HOSPITALS};
use frame_support::{parameter_types, traits::ConstU32, weights::Weight};
use frame_system::EnsureRoot;
use pallet_collective::{EnsureProportionMoreThan, Instance1, PrimeDefaultVote};

use crate::{
    Runtime, RuntimeCall, RuntimeEvent, RuntimeOrigin,
    configs::{BLOCK_WEIGHT, NORMAL_SHARE},
    weights,
};

/// More than half of the active hospitals.
pub type CouncilMajority = EnsureProportionMoreThan<AccountId, Instance1, 1, 2>;

parameter_types! {
    /// Number of chain blocks for which a motion stays open: three days.
    pub const MotionDuration: BlockNumber = 3 * 24 * 60 * 20;
    pub MaxProposalWeight: Weight = NORMAL_SHARE * BLOCK_WEIGHT;
}

impl pallet_collective::Config<Instance1> for Runtime {
    type RuntimeOrigin = RuntimeOrigin;
    type Proposal = RuntimeCall;
    type RuntimeEvent = RuntimeEvent;
    type MotionDuration = MotionDuration;
    type MaxProposals = ConstU32<64>;
    type MaxMembers = ConstU32<MAX_HOSPITALS>;
    // Without a prime, an abstention counts as no.
    type DefaultVote = PrimeDefaultVote;
    type WeightInfo = weights::pallet_collective::Measured<Runtime>;
    // The members follow the active hospitals, so no origin sets them, except root.
    type SetMembersOrigin = EnsureRoot<AccountId>;
    type MaxProposalWeight = MaxProposalWeight;
    type DisapproveOrigin = CouncilMajority;
    type KillOrigin = EnsureRoot<AccountId>;
    type Consideration = ();
}

impl crate::council_root::Config for Runtime {
    type CouncilOrigin = CouncilMajority;
    type Call = RuntimeCall;
    type WeightInfo = weights::epione_runtime_council_root::Measured<Runtime>;
}
