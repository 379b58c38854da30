//! What a council member may propose, and when an upgrade may take effect.
//!
//! pallet-collective accepts any threshold, any size and any number of motions of one member. Here a hospital has at
//! most [`MAX_MOTIONS`] live motions, a motion is small and needs little computation, and its threshold is the number
//! of votes that its call needs. So one member can neither fill the list of motions nor have a motion fail because too
//! few members voted for it. These checks come before the block; the origins of the calls check the votes again.

pub use epione_primitives::council::{more_than_half, two_thirds};

use codec::{Decode, Encode, MaxEncodedLen};
use epione_primitives::{
    AccountId, Hash, HospitalId,
    limits::{MAX_MOTION_BYTES, MAX_MOTION_PICOSECONDS, MAX_MOTION_PROOF_BYTES, UPGRADE_BLOCKS},
    refusal::Refusal,
};
use frame_support::{
    dispatch::GetDispatchInfo,
    ensure,
    traits::{Consideration, Contains, Get, MaybeConsideration},
    weights::Weight,
};
use pallet_collective::{CostOf, Instance1, Members, Proposals};
use scale_info::TypeInfo;
use sp_runtime::{
    DispatchError,
    traits::{BlakeTwo256, Hash as _},
};

use crate::{
    Hospitals, Runtime, RuntimeCall, System,
    council_root::{AuthorizedAt, UpgradeDelay},
};

/// Maximum number of live motions of one hospital, whatever its accounts are.
pub const MAX_MOTIONS: usize = 2;
/// Maximum bytes of a motion's call. An upgrade is authorized by its hash.
pub const MAX_PROPOSAL_BYTES: usize = MAX_MOTION_BYTES as usize;
/// Maximum weight of a motion's call: a fifth of a block's computation. The largest call suspends a hospital whose open
/// announcements have the most records. The account that closes a motion declares the weight, and the block reserves
/// it. Quotas do not count the size of proofs, so its bound is far below the block's.
pub const MAX_PROPOSAL_WEIGHT: Weight =
    Weight::from_parts(MAX_MOTION_PICOSECONDS, MAX_MOTION_PROOF_BYTES);

/// Weight of hashing a byte of an upgrade's code, in picoseconds.
const HASHED_BYTE_PICOSECONDS: u64 = 2_000;

type Collective = pallet_collective::Call<Runtime, Instance1>;
type SystemCall = frame_system::Call<Runtime>;

/// Whether the council's rules limit this call. A batch must not contain it, because each such call is checked against
/// the state before the transaction.
pub(crate) fn limits(call: &RuntimeCall) -> bool {
    matches!(
        call,
        RuntimeCall::Council(Collective::propose { .. } | Collective::close { .. })
            | RuntimeCall::System(SystemCall::apply_authorized_upgrade { .. })
    )
}

/// Checks a call that the council's rules limit. All other calls pass.
pub(crate) fn check(signer: &AccountId, call: &RuntimeCall) -> Result<(), Refusal> {
    match call {
        RuntimeCall::Council(Collective::propose { threshold, proposal, .. }) => {
            check_motion(signer, *threshold, proposal)
        }
        RuntimeCall::Council(Collective::close { proposal_weight_bound, .. }) => {
            ensure!(proposal_weight_bound.all_lte(MAX_PROPOSAL_WEIGHT), Refusal::MotionTooHeavy);
            Ok(())
        }
        RuntimeCall::System(SystemCall::apply_authorized_upgrade { code }) => check_upgrade(code),
        _ => Ok(()),
    }
}

/// What [`check`] reads and hashes, in addition to the check of the signer's role.
pub(crate) fn weight(call: &RuntimeCall) -> Weight {
    let (reads, hashed) = match call {
        // The members and the motions, the hospital of each motion, and of the proposer. The motion's place reads the
        // last again.
        RuntimeCall::Council(Collective::propose { .. }) => {
            let motions: u32 =
                <Runtime as pallet_collective::Config<Instance1>>::MaxProposals::get();
            (u64::from(motions) + 4, 0)
        }
        // The authorization, its block and the delay.
        RuntimeCall::System(SystemCall::apply_authorized_upgrade { code }) => (3, code.len()),
        _ => (0, 0),
    };
    let hashing = HASHED_BYTE_PICOSECONDS.saturating_mul(hashed as u64);
    <Runtime as frame_system::Config>::DbWeight::get()
        .reads(reads)
        .saturating_add(Weight::from_parts(hashing, 0))
}

fn check_motion(
    proposer: &AccountId,
    threshold: u32,
    proposal: &RuntimeCall,
) -> Result<(), Refusal> {
    ensure!(proposal.encoded_size() <= MAX_PROPOSAL_BYTES, Refusal::MotionTooLarge);
    let weight = proposal.get_dispatch_info().call_weight;
    ensure!(weight.all_lte(MAX_PROPOSAL_WEIGHT), Refusal::MotionTooHeavy);
    // Neither needs the council's vote: a batch would hide its calls, and a motion could apply an upgrade early.
    let hidden = matches!(proposal, RuntimeCall::Utility(_) | RuntimeCall::System(_));
    ensure!(!hidden, Refusal::CallNotForMotion);
    let members = u32::try_from(Members::<Runtime, Instance1>::get().len()).unwrap_or(u32::MAX);
    // A higher threshold would let one member block a call: the collective accepts no second motion for it.
    let needed = match proposal {
        RuntimeCall::CouncilRoot(_) => two_thirds(members),
        _ => more_than_half(members),
    };
    ensure!(threshold == needed, Refusal::WrongThreshold);
    let (hospital, _) = Hospitals::hospital_of(proposer.clone()).ok_or(Refusal::UnknownAccount)?;
    let live = live_motions(hospital, &Proposals::<Runtime, Instance1>::get());
    ensure!(live < MAX_MOTIONS, Refusal::TooManyMotions);
    Ok(())
}

/// How many of these motions a hospital has proposed, with its current account or an earlier one.
fn live_motions(hospital: HospitalId, motions: &[Hash]) -> usize {
    let own = |motion: &&Hash| {
        CostOf::<Runtime, Instance1>::get(**motion).is_some_and(|(_, place)| place.0 == hospital)
    };
    motions.iter().filter(own).count()
}

/// Checks that the council authorized this code, that the delay has passed, and that the authorization is not old. So
/// an authorization that was forgotten takes no effect, and a block contains no other code: it would use the largest
/// part of the block, and fail.
fn check_upgrade(code: &[u8]) -> Result<(), Refusal> {
    let authorized = System::authorized_upgrade().ok_or(Refusal::UpgradeNotAuthorized)?;
    let since = AuthorizedAt::<Runtime>::get().ok_or(Refusal::UpgradeNotAuthorized)?;
    let now = System::block_number();
    let first = since.saturating_add(UpgradeDelay::<Runtime>::get());
    ensure!(now >= first, Refusal::UpgradeTooEarly);
    ensure!(now <= since.saturating_add(UPGRADE_BLOCKS), Refusal::UpgradeExpired);
    // The hash is the first field of the authorization, which is private.
    let hash = BlakeTwo256::hash(code);
    let same = authorized.using_encoded(|encoded| encoded.starts_with(hash.as_bytes()));
    ensure!(same, Refusal::UpgradeNotAuthorized);
    Ok(())
}

/// What a motion costs its proposer: nothing, but the collective stores with it which hospital proposed the motion. The
/// account that the collective also stores may have been rotated since.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct MotionPlace(HospitalId);

impl Consideration<AccountId, u32> for MotionPlace {
    fn new(proposer: &AccountId, _: u32) -> Result<Self, DispatchError> {
        let hospital = Hospitals::hospital_of(proposer.clone());
        hospital.map(|(hospital, _)| Self(hospital)).ok_or(DispatchError::BadOrigin)
    }

    fn update(self, _: &AccountId, _: u32) -> Result<Self, DispatchError> {
        Ok(self)
    }

    fn drop(self, _: &AccountId) -> Result<(), DispatchError> {
        Ok(())
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn ensure_successful(proposer: &AccountId, _: u32) {
        let duty = epione_primitives::hospital::Duty::Governance;
        pallet_hospitals::Accounts::<Runtime>::insert(proposer, (HospitalId(0), duty));
    }
}

impl MaybeConsideration<AccountId, u32> for MotionPlace {
    fn is_none(&self) -> bool {
        false
    }
}

/// The calls that the council may dispatch as root. Each other call would be a way to replace the runtime without the
/// delay, or to change what other pallets rely on; an upgrade can add a call here.
pub struct CallsAsRoot;

impl Contains<RuntimeCall> for CallsAsRoot {
    fn contains(call: &RuntimeCall) -> bool {
        Authorization::contains(call)
            || matches!(
                call,
                RuntimeCall::System(SystemCall::remark { .. })
                    | RuntimeCall::Grandpa(pallet_grandpa::Call::note_stalled { .. })
                    | RuntimeCall::Quotas(pallet_quotas::Call::set_limits { .. })
                    | RuntimeCall::Credentials(pallet_credentials::Call::name_attribute { .. })
                    | RuntimeCall::Council(Collective::kill { .. })
                    | RuntimeCall::ConsortiumKey(
                        pallet_consortium_key::Call::renew { .. }
                            | pallet_consortium_key::Call::seat { .. }
                    )
                    | RuntimeCall::Custody(
                        pallet_custody::Call::appoint { .. } | pallet_custody::Call::dismiss { .. }
                    )
                    | RuntimeCall::Hospitals(pallet_hospitals::Call::replace_governance { .. })
                    // For a user whose stolen keys object to the recovery.
                    | RuntimeCall::Profiles(pallet_profiles::Call::complete_recovery { .. })
            )
    }
}

/// The calls that authorize an upgrade.
pub struct Authorization;

impl Contains<RuntimeCall> for Authorization {
    fn contains(call: &RuntimeCall) -> bool {
        matches!(
            call,
            RuntimeCall::System(
                SystemCall::authorize_upgrade { .. }
                    | SystemCall::authorize_upgrade_without_checks { .. }
            )
        )
    }
}
