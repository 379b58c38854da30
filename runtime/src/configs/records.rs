//! Epione's own pallets, joined to each other through the ports.

use epione_primitives::AnnouncementId;

use crate::{
    Approvals, ExtrinsicTail, Hospitals, IndexLinks, LiteBlocks, Profiles, Runtime, Timestamp,
};

impl pallet_profiles::Config for Runtime {
    type Hospitals = Hospitals;
    type Bodies = ExtrinsicTail;
    type Time = Timestamp;
    type WeightInfo = pallet_profiles::weights::SubstrateWeight<Runtime>;
}

impl pallet_role_policies::Config for Runtime {
    type Hospitals = Hospitals;
    type Users = Profiles;
    type Time = Timestamp;
    type WeightInfo = pallet_role_policies::weights::SubstrateWeight<Runtime>;
}

impl pallet_lite_blocks::Config for Runtime {
    type Hospitals = Hospitals;
    type Users = Profiles;
    type Ballots = Approvals;
    type Links = IndexLinks;
    type Bodies = ExtrinsicTail;
    type Time = Timestamp;
    type WeightInfo = pallet_lite_blocks::weights::SubstrateWeight<Runtime>;
}

impl pallet_approvals::Config for Runtime {
    type Subject = AnnouncementId;
    type Hospitals = Hospitals;
    type OnClosed = LiteBlocks;
    type OnClosedWeight = pallet_lite_blocks::CommitWeight<Runtime>;
    type OnDiscardedWeight = pallet_lite_blocks::DiscardWeight<Runtime>;
    type WeightInfo = pallet_approvals::weights::SubstrateWeight<Runtime>;
}

impl pallet_index_links::Config for Runtime {}
