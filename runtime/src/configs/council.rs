//! The council: the hospitals' governance accounts. More than half of them decide about hospitals, and two thirds about
//! everything that needs root.

use epione_primitives::{
    AccountId, BlockNumber,
    limits::{DAY_MILLIS, MAX_HOSPITALS, SLOT_MILLIS},
};
use frame_support::{parameter_types, traits::ConstU32, weights::Weight};
use frame_system::EnsureRoot;
use pallet_collective::{
    EnsureProportionAtLeast, EnsureProportionMoreThan, Instance1, PrimeDefaultVote,
};

use crate::{
    Runtime, RuntimeCall, RuntimeEvent, RuntimeOrigin,
    configs::{BLOCK_WEIGHT, NORMAL_SHARE},
    governance::{Authorization, CallsAsRoot, MAX_MOTIONS, MotionPlace},
    weights,
};

/// More than half of the active hospitals.
pub type CouncilMajority = EnsureProportionMoreThan<AccountId, Instance1, 1, 2>;
/// At least two thirds of the active hospitals.
pub type CouncilTwoThirds = EnsureProportionAtLeast<AccountId, Instance1, 2, 3>;

parameter_types! {
    /// Number of chain blocks for which a motion stays open: three days.
    pub const MotionDuration: BlockNumber = 3 * 24 * 60 * 20;
    /// Number of chain blocks between the authorization of an upgrade and the first block that may apply it: a day.
    pub const UpgradeDelay: BlockNumber = (DAY_MILLIS / SLOT_MILLIS) as BlockNumber;
    pub MaxProposalWeight: Weight = NORMAL_SHARE * BLOCK_WEIGHT;
}

impl pallet_collective::Config<Instance1> for Runtime {
    type RuntimeOrigin = RuntimeOrigin;
    type Proposal = RuntimeCall;
    type RuntimeEvent = RuntimeEvent;
    type MotionDuration = MotionDuration;
    // Every hospital's motions fit, so nobody can take another hospital's place.
    type MaxProposals = ConstU32<{ MAX_HOSPITALS * MAX_MOTIONS as u32 }>;
    type MaxMembers = ConstU32<MAX_HOSPITALS>;
    // Without a prime, an abstention counts as no.
    type DefaultVote = PrimeDefaultVote;
    type WeightInfo = weights::pallet_collective::Measured<Runtime>;
    // The members follow the active hospitals, so no origin sets them, except root.
    type SetMembersOrigin = EnsureRoot<AccountId>;
    type MaxProposalWeight = MaxProposalWeight;
    type DisapproveOrigin = CouncilMajority;
    type KillOrigin = EnsureRoot<AccountId>;
    type Consideration = MotionPlace;
}

impl crate::council_root::Config for Runtime {
    type CouncilOrigin = CouncilTwoThirds;
    type Call = RuntimeCall;
    type Allowed = CallsAsRoot;
    type Authorization = Authorization;
    type UpgradeDelay = UpgradeDelay;
    type WeightInfo = weights::epione_runtime_council_root::Measured<Runtime>;
}
