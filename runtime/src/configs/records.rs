//! Epione's own pallets, connected to each other through the ports.

use epione_primitives::{
    AnnouncementId,
    limits::{
        CUSTODIAN_BLOCKS, MAX_HOSPITAL_EMERGENCIES, MAX_HOSPITAL_RECEIPTS, MAX_HOSPITAL_REFUSALS,
        RECOVERY_BLOCKS, RETENTION_BLOCKS, REVIEW_BLOCKS,
    },
};
use frame_support::traits::ConstU32;

use crate::{
    Approvals, ConsortiumKey, Credentials, Custody, ExtrinsicTail, Hospitals, IndexLinks,
    LiteBlocks, Mandates, Profiles, Releases, RolePolicies, Runtime, Sharing, Timestamp,
    configs::CouncilMajority, weights,
};

impl pallet_profiles::Config for Runtime {
    type Hospitals = Hospitals;
    type Bodies = ExtrinsicTail;
    type Time = Timestamp;
    type RecoveryBlocks = ConstU32<RECOVERY_BLOCKS>;
    type WeightInfo = weights::pallet_profiles::Measured<Runtime>;
}

impl pallet_credentials::Config for Runtime {
    type Hospitals = Hospitals;
    type Users = Profiles;
    type Time = Timestamp;
    type WeightInfo = weights::pallet_credentials::Measured<Runtime>;
}

impl pallet_role_policies::Config for Runtime {
    type Hospitals = Hospitals;
    type Users = Profiles;
    type Credentials = Credentials;
    type Mandates = Mandates;
    type Time = Timestamp;
    type WeightInfo = weights::pallet_role_policies::Measured<Runtime>;
}

impl pallet_lite_blocks::Config for Runtime {
    type Hospitals = Hospitals;
    type Users = Profiles;
    type Ballots = Approvals;
    type Links = IndexLinks;
    type Bodies = ExtrinsicTail;
    type Time = Timestamp;
    type RetentionBlocks = ConstU32<RETENTION_BLOCKS>;
    type WeightInfo = weights::pallet_lite_blocks::Measured<Runtime>;
}

impl pallet_approvals::Config for Runtime {
    type Id = AnnouncementId;
    type Hospitals = Hospitals;
    type OnClosed = LiteBlocks;
    type OnClosedWeight = pallet_lite_blocks::CommitWeight<Runtime>;
    type OnDiscardedWeight = pallet_lite_blocks::DiscardWeight<Runtime>;
    type WeightInfo = weights::pallet_approvals::Measured<Runtime>;
}

impl pallet_releases::Config for Runtime {
    type Hospitals = Hospitals;
    type Users = Profiles;
    type Policies = RolePolicies;
    type Records = LiteBlocks;
    type Custodians = Custody;
    type Sharing = Sharing;
    type Time = Timestamp;
    type ReviewBlocks = ConstU32<REVIEW_BLOCKS>;
    type MaxReceipts = ConstU32<MAX_HOSPITAL_RECEIPTS>;
    type MaxEmergencies = ConstU32<MAX_HOSPITAL_EMERGENCIES>;
    type MaxRefusals = ConstU32<MAX_HOSPITAL_REFUSALS>;
    type WeightInfo = weights::pallet_releases::Measured<Runtime>;
}

impl pallet_sharing::Config for Runtime {
    type Hospitals = Hospitals;
    type Users = Profiles;
    type Records = LiteBlocks;
    type Credentials = Credentials;
    type Time = Timestamp;
    type WeightInfo = weights::pallet_sharing::Measured<Runtime>;
}

impl pallet_mandates::Config for Runtime {
    type Hospitals = Hospitals;
    type Users = Profiles;
    type Time = Timestamp;
    type WeightInfo = weights::pallet_mandates::Measured<Runtime>;
}

impl pallet_queries::Config for Runtime {
    type Hospitals = Hospitals;
    type Users = Profiles;
    type Records = LiteBlocks;
    type Mandates = Mandates;
    type Time = Timestamp;
    type WeightInfo = weights::pallet_queries::Measured<Runtime>;
}

impl pallet_consortium_key::Config for Runtime {
    type Hospitals = Hospitals;
    type Bodies = ExtrinsicTail;
    type ScheduleOrigin = CouncilMajority;
    type WeightInfo = weights::pallet_consortium_key::Measured<Runtime>;
}

impl pallet_openings::Config for Runtime {
    type Hospitals = Hospitals;
    type Users = Profiles;
    type Records = LiteBlocks;
    type Sharing = Sharing;
    type Emergencies = Releases;
    type ConsortiumKey = ConsortiumKey;
    type Bodies = ExtrinsicTail;
    type Time = Timestamp;
    type WeightInfo = weights::pallet_openings::Measured<Runtime>;
}

impl pallet_custody::Config for Runtime {
    type Hospitals = Hospitals;
    type Users = Profiles;
    type Mandates = Mandates;
    type ConsortiumKey = ConsortiumKey;
    type Time = Timestamp;
    type CustodianBlocks = ConstU32<CUSTODIAN_BLOCKS>;
    type WeightInfo = weights::pallet_custody::Measured<Runtime>;
}

impl pallet_index_links::Config for Runtime {}
