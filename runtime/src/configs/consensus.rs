//! Block authoring, finality, and reports of offences.

use epione_primitives::{
    AccountId, BlockNumber,
    limits::{MAX_HOSPITALS, SLOT_MILLIS},
};
use frame_support::{
    dispatch::DispatchClass,
    traits::{ConstBool, ConstU32, ConstU64, FindAuthor},
};
use pallet_authorship::EventHandler;
use pallet_session::historical::IdentificationTuple;
use sp_consensus_aura::sr25519::AuthorityId as AuraId;
use sp_runtime::ConsensusEngineId;
use sp_session::MembershipProof;

use crate::{
    Aura, Historical, Hospitals, Runtime, RuntimeEvent, Session, System, configs::SESSION_BLOCKS,
    equivocations::Reports,
};

/// Number of sessions for which an equivocation can be proven: a week.
pub const SESSIONS_REMEMBERED: u32 = 7 * 24 * 6;
/// Number of chain blocks for which a report of an equivocation stays valid.
pub const REPORT_LONGEVITY: u64 = SESSIONS_REMEMBERED as u64 * SESSION_BLOCKS as u64;

impl pallet_aura::Config for Runtime {
    type AuthorityId = AuraId;
    type DisabledValidators = Session;
    type MaxAuthorities = ConstU32<MAX_HOSPITALS>;
    type AllowMultipleBlocksPerSlot = ConstBool<false>;
    type SlotDuration = ConstU64<SLOT_MILLIS>;
}

impl pallet_authorship::Config for Runtime {
    type FindAuthor = AuthorsGovernance;
    type EventHandler = AuthorsCount;
}

/// Counts the blocks that each hospital made, of which the session's end learns who is silent.
pub struct AuthorsCount;

impl EventHandler<AccountId, BlockNumber> for AuthorsCount {
    /// pallet-authorship calls this when a block begins, and counts no weight.
    fn note_author(author: AccountId) {
        Hospitals::note_author(&author);
        // The session's validators, the hospital twice (its entry and its account), and the count.
        let weight = <Runtime as frame_system::Config>::DbWeight::get().reads_writes(4, 1);
        System::register_extra_weight_unchecked(weight, DispatchClass::Mandatory);
    }
}

/// Identifies a block's author by the governance account of its hospital.
pub struct AuthorsGovernance;

impl FindAuthor<AccountId> for AuthorsGovernance {
    fn find_author<'a, I>(digests: I) -> Option<AccountId>
    where
        I: 'a + IntoIterator<Item = (ConsensusEngineId, &'a [u8])>,
    {
        let hospital =
            pallet_session::FindAccountFromAuthorIndex::<Runtime, Aura>::find_author(digests)?;
        Hospitals::hospital(hospital).map(|hospital| hospital.governance)
    }
}

impl pallet_offences::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type IdentificationTuple = IdentificationTuple<Runtime>;
    type OnOffenceHandler = Hospitals;
}

impl pallet_grandpa::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = ();
    type MaxAuthorities = ConstU32<MAX_HOSPITALS>;
    type MaxNominators = ConstU32<0>;
    type MaxSetIdSessionEntries = ConstU64<{ SESSIONS_REMEMBERED as u64 }>;
    type KeyOwnerProof = MembershipProof;
    type EquivocationReportSystem = pallet_grandpa::EquivocationReportSystem<
        Self,
        Reports,
        Historical,
        ConstU64<REPORT_LONGEVITY>,
    >;
}
