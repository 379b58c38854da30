//! What the hospitals can decide together, and what one of them cannot do alone.

use codec::Encode;
use epione_primitives::{
    Hash, HospitalId,
    hospital::{Duty, HospitalStatus},
    limits::{MAX_ENTRIES, MAX_PENDING_ANNOUNCEMENTS, UPGRADE_BLOCKS},
    profile::Role,
    refusal::Refusal,
};
use epione_runtime::{
    CouncilRoot, Grandpa, Hospitals, Runtime, RuntimeCall, RuntimeOrigin, System,
    configs::SESSION_BLOCKS,
    council_root,
    governance::{MAX_PROPOSAL_BYTES, MAX_PROPOSAL_WEIGHT, more_than_half, two_thirds},
    invariants,
};
use frame_support::{dispatch::GetDispatchInfo, traits::Get, weights::Weight};
use pallet_lite_blocks::{AnnouncementWith, Pending, PendingEntries};
use sp_consensus_grandpa::{ConsensusLog, GRANDPA_ENGINE_ID, ScheduledChange};
use sp_runtime::{
    DigestItem,
    traits::{BlakeTwo256, Hash as _},
};

use crate::{
    caller::refused,
    chain::{A, B, PATIENT, account, announcement, apply, key, local, register},
    possession::named,
};

/// Number of blocks between authorization and upgrade in the preset `local`.
pub const UPGRADE_DELAY: u32 = 20;

pub fn proposal(threshold: u32, call: impl Into<RuntimeCall>) -> RuntimeCall {
    let call = call.into();
    let length_bound = call.encoded_size() as u32;
    let proposal = Box::new(call);
    RuntimeCall::Council(pallet_collective::Call::propose { threshold, proposal, length_bound })
}

/// A call that needs root and does nothing.
fn remark(bytes: Vec<u8>) -> council_root::Call<Runtime> {
    as_root(frame_system::Call::remark { remark: bytes })
}

fn as_root(call: frame_system::Call<Runtime>) -> council_root::Call<Runtime> {
    council_root::Call::dispatch { call: Box::new(call.into()) }
}

fn apply_upgrade(code: &[u8]) -> RuntimeCall {
    let code = code.to_vec();
    RuntimeCall::System(frame_system::Call::apply_authorized_upgrade { code })
}

fn suspend() -> pallet_hospitals::Call<Runtime> {
    pallet_hospitals::Call::suspend { hospital: B }
}

fn vote(members: &[&str], proposal: Hash, index: u32, approve: bool) {
    for member in members {
        let vote = pallet_collective::Call::vote { proposal, index, approve };
        apply(member, RuntimeCall::Council(vote)).unwrap().unwrap();
    }
}

/// Passes a motion with three votes of four.
pub fn pass(call: impl Into<RuntimeCall>) {
    pass_by(&["Alice", "Bob", "Charlie"], 0, call);
}

/// Passes a motion with the votes of these members, which are so many as it needs. The first one proposes and closes
/// it. `index` is the number of motions before it.
pub fn pass_by(members: &[&str], index: u32, call: impl Into<RuntimeCall>) {
    let call = call.into();
    let hash = BlakeTwo256::hash_of(&call);
    let length_bound = call.encoded_size() as u32;
    let proposal_weight_bound = call.get_dispatch_info().call_weight;
    apply(members[0], proposal(members.len() as u32, call)).unwrap().unwrap();
    vote(members, hash, index, true);
    let close = pallet_collective::Call::close {
        proposal_hash: hash,
        index,
        proposal_weight_bound,
        length_bound,
    };
    apply(members[0], RuntimeCall::Council(close)).unwrap().unwrap();
}

#[test]
fn three_of_four_suspend_a_hospital() {
    local(|_| {
        pass(suspend());
        assert_eq!(Hospitals::hospital(B).unwrap().status, HospitalStatus::Suspended);
        assert_eq!(
            pallet_collective::Members::<Runtime, pallet_collective::Instance1>::get().len(),
            3
        );
    });
}

#[test]
fn three_of_four_authorize_an_upgrade() {
    local(|chain| {
        let code_hash = BlakeTwo256::hash(b"a runtime");
        let authorize = frame_system::Call::authorize_upgrade { code_hash };
        pass(as_root(authorize));
        let authorized = System::authorized_upgrade().unwrap();
        assert_eq!(*authorized.code_hash(), code_hash);

        chain.reach(1 + UPGRADE_DELAY);
        assert_eq!(refused("Bob", apply_upgrade(b"another")), Some(Refusal::UpgradeNotAuthorized));
    });
}

#[test]
fn three_of_four_resume_stalled_finality() {
    local(|chain| {
        let stalled =
            pallet_grandpa::Call::note_stalled { delay: 10, best_finalized_block_number: 7 };
        pass(council_root::Call::dispatch { call: Box::new(stalled.into()) });
        assert_eq!(Grandpa::stalled(), Some((10, 7)));

        // The first block of the next session tells the voters to go on after block 7, with a set that votes.
        let next_authorities = Grandpa::grandpa_authorities();
        assert_eq!(next_authorities.len(), 4);
        let forced =
            ConsensusLog::ForcedChange(7_u32, ScheduledChange { next_authorities, delay: 10 });
        let forced = DigestItem::Consensus(GRANDPA_ENGINE_ID, forced.encode());
        chain.reach(SESSION_BLOCKS);
        assert_eq!((Grandpa::stalled(), Grandpa::current_set_id()), (None, 1));
        let header = chain.next_block();
        assert!(header.digest.logs.contains(&forced), "{:?}", header.digest);
    });
}

#[test]
fn only_the_council_acts_as_root() {
    local(|_| {
        let remark = frame_system::Call::remark { remark: vec![] };
        for origin in [
            RuntimeOrigin::signed(crate::chain::account(&crate::chain::key("Alice"))),
            RuntimeOrigin::from(pallet_collective::RawOrigin::Member(crate::chain::account(
                &crate::chain::key("Alice"),
            ))),
            RuntimeOrigin::from(pallet_collective::RawOrigin::Members(2, 4)),
            // More than half, but less than two thirds.
            RuntimeOrigin::from(pallet_collective::RawOrigin::Members(3, 5)),
        ] {
            assert!(CouncilRoot::dispatch(origin, Box::new(remark.clone().into())).is_err());
        }
    });
}

#[test]
fn one_member_cannot_fill_the_list_of_motions() {
    local(|_| {
        for number in 0..2 {
            apply("Alice", proposal(3, remark(vec![number]))).unwrap().unwrap();
        }
        for number in 2..64 {
            let motion = proposal(3, remark(vec![number]));
            assert_eq!(refused("Alice", motion), Some(Refusal::TooManyMotions));
        }
        assert_eq!(refused("Bob", proposal(3, suspend())), None);

        let first: RuntimeCall = remark(vec![0]).into();
        let proposal_hash = BlakeTwo256::hash_of(&first);
        vote(&["Bob", "Charlie"], proposal_hash, 0, false);
        let close = pallet_collective::Call::close {
            proposal_hash,
            index: 0,
            proposal_weight_bound: first.get_dispatch_info().call_weight,
            length_bound: first.encoded_size() as u32,
        };
        apply("Dave", RuntimeCall::Council(close)).unwrap().unwrap();
        assert_eq!(refused("Alice", proposal(3, remark(vec![64]))), None);
    });
}

/// The collective keeps the motions of accounts that left.
#[test]
fn new_accounts_give_a_hospital_no_more_motions() {
    local(|_| {
        for number in 0..2 {
            apply("Alice", proposal(3, remark(vec![number]))).unwrap().unwrap();
        }
        let next = named("Alice//next", A, Duty::Governance);
        let rotate = pallet_hospitals::Call::<Runtime>::rotate_accounts {
            governance: Some(next),
            agent: None,
        };
        apply("Alice", rotate).unwrap().unwrap();
        let third = proposal(3, remark(vec![2]));
        assert_eq!(refused("Alice//next", third), Some(Refusal::TooManyMotions));
        assert_eq!(refused("Bob", proposal(3, remark(vec![2]))), None);
    });
}

#[test]
fn a_batch_cannot_hide_a_third_motion() {
    local(|_| {
        let calls = (0..3).map(|number| proposal(3, remark(vec![number]))).collect();
        let batch = RuntimeCall::Utility(pallet_utility::Call::batch { calls });
        assert_eq!(refused("Alice", batch), Some(Refusal::CallNotForBatch));
    });
}

#[test]
fn a_motion_cannot_be_burnt_by_a_threshold_that_its_call_does_not_accept() {
    local(|_| {
        for threshold in [0, 1, 2, 4, 5] {
            for call in [RuntimeCall::from(suspend()), remark(vec![]).into()] {
                let motion = proposal(threshold, call);
                assert_eq!(refused("Alice", motion), Some(Refusal::WrongThreshold), "{threshold}");
            }
        }
        assert_eq!(refused("Alice", proposal(3, remark(vec![]))), None);
    });
}

#[test]
fn thresholds_follow_the_number_of_members() {
    let expected =
        [(1, 1, 1), (2, 2, 2), (3, 2, 2), (4, 3, 3), (5, 3, 4), (6, 4, 4), (100, 51, 67)];
    for (members, half, thirds) in expected {
        assert_eq!((more_than_half(members), two_thirds(members)), (half, thirds), "{members}");
    }
}

/// Closing a motion reserves the weight that the closing account declares.
#[test]
fn a_member_cannot_reserve_blocks_by_closing_a_motion() {
    local(|_| {
        let close = |proposal_weight_bound| {
            RuntimeCall::Council(pallet_collective::Call::close {
                proposal_hash: Hash::zero(),
                index: 0,
                proposal_weight_bound,
                length_bound: 100,
            })
        };
        let heavy = MAX_PROPOSAL_WEIGHT.saturating_add(Weight::from_parts(1, 0));
        for weight in [heavy, Weight::from_parts(0, u64::MAX)] {
            assert_eq!(refused("Alice", close(weight)), Some(Refusal::MotionTooHeavy));
        }
        assert_eq!(refused("Alice", close(MAX_PROPOSAL_WEIGHT)), None);
        let batch = pallet_utility::Call::batch { calls: vec![close(heavy)] };
        assert_eq!(refused("Alice", RuntimeCall::Utility(batch)), Some(Refusal::CallNotForBatch));
        // Nobody proposes what nobody could close.
        assert_eq!(refused("Alice", proposal(3, close(heavy))), Some(Refusal::MotionTooHeavy));
    });
}

/// The collective takes the account that leaves out of the votes about every open motion.
#[test]
fn calls_that_change_the_council_declare_the_weight_of_all_open_motions() {
    use pallet_hospitals::WeightInfo as _;

    type Weights = <Runtime as pallet_hospitals::Config>::WeightInfo;
    type Motions =
        <Runtime as pallet_collective::Config<pallet_collective::Instance1>>::MaxProposals;

    let motions = <Motions as Get<u32>>::get();
    let storage = <Runtime as frame_system::Config>::DbWeight::get().reads_writes(1, 1);
    let least = storage.saturating_add(Weight::from_parts(5_000_000, 0)) * u64::from(motions);
    for declared in [
        Weights::admit(),
        Weights::suspend(),
        Weights::reinstate(),
        Weights::remove(),
        Weights::rotate_accounts(),
        Weights::leave(),
        Weights::complete_replacement(),
    ] {
        assert!(least.all_lte(declared), "{declared:?}");
        assert!(declared.all_lte(MAX_PROPOSAL_WEIGHT), "the council could not close the motion");
    }
}

#[test]
fn a_large_motion_is_refused() {
    local(|_| {
        let motion = proposal(3, remark(vec![0; MAX_PROPOSAL_BYTES]));
        assert_eq!(refused("Alice", motion), Some(Refusal::MotionTooLarge));
    });
}

#[test]
fn an_upgrade_cannot_take_effect_before_its_delay() {
    local(|chain| {
        let code = b"a runtime".to_vec();
        let code_hash = BlakeTwo256::hash(&code);
        chain.reach(3);
        pass(as_root(frame_system::Call::authorize_upgrade { code_hash }));
        assert_eq!(refused("Bob", apply_upgrade(&code)), Some(Refusal::UpgradeTooEarly));
        chain.reach(3 + UPGRADE_DELAY - 1);
        assert_eq!(refused("Bob", apply_upgrade(&code)), Some(Refusal::UpgradeTooEarly));
        chain.reach(3 + UPGRADE_DELAY);
        assert_eq!(refused("Bob", apply_upgrade(&code)), None);
    });
}

/// Code may be as large as a block permits.
#[test]
fn a_member_cannot_fill_blocks_with_code_that_nobody_authorized() {
    local(|chain| {
        let code_hash = BlakeTwo256::hash(b"a runtime");
        let unauthorized = Some(Refusal::UpgradeNotAuthorized);
        assert_eq!(refused("Bob", apply_upgrade(b"a runtime")), unauthorized);
        pass(as_root(frame_system::Call::authorize_upgrade { code_hash }));
        chain.reach(1 + UPGRADE_DELAY);
        assert_eq!(refused("Bob", apply_upgrade(&[0; 100_000])), unauthorized);
        assert_eq!(refused("Bob", apply_upgrade(b"a runtime")), None);
        // The authorization is used up.
        assert_eq!(refused("Bob", apply_upgrade(b"a runtime")), unauthorized);
    });
}

#[test]
fn an_old_authorization_cannot_be_used_by_surprise() {
    local(|_| {
        let code_hash = BlakeTwo256::hash(b"a runtime");
        pass(as_root(frame_system::Call::authorize_upgrade { code_hash }));
        let now = System::block_number();
        for (waited, expected) in
            [(UPGRADE_BLOCKS + 1, Some(Refusal::UpgradeExpired)), (UPGRADE_BLOCKS, None)]
        {
            // As if many blocks had been made. Transactions name the hash of the block before.
            System::set_block_number(now + waited);
            frame_system::BlockHash::<Runtime>::insert(now + waited - 1, Hash::repeat_byte(1));
            assert_eq!(refused("Bob", apply_upgrade(b"a runtime")), expected, "{waited}");
        }
        System::set_block_number(now);
    });
}

#[test]
fn the_council_kills_a_motion_as_root() {
    local(|_| {
        apply("Dave", proposal(3, suspend())).unwrap().unwrap();
        let kill = pallet_collective::Call::kill {
            proposal_hash: BlakeTwo256::hash_of(&RuntimeCall::from(suspend())),
        };
        let council = RuntimeOrigin::from(pallet_collective::RawOrigin::Members(3, 4));
        CouncilRoot::dispatch(council, Box::new(RuntimeCall::Council(kill))).unwrap();
        let motions = pallet_collective::Proposals::<Runtime, pallet_collective::Instance1>::get();
        assert!(motions.is_empty());
    });
}

#[test]
fn the_council_cannot_replace_the_runtime_without_the_delay() {
    local(|_| {
        let code = vec![0];
        let at_once =
            frame_system::Call::<Runtime>::apply_authorized_upgrade { code: code.clone() };
        assert_eq!(refused("Alice", proposal(3, at_once)), Some(Refusal::CallNotForMotion));
        let batch = pallet_utility::Call::<Runtime>::batch { calls: vec![] };
        assert_eq!(refused("Alice", proposal(3, batch)), Some(Refusal::CallNotForMotion));

        let council = RuntimeOrigin::from(pallet_collective::RawOrigin::Members(4, 4));
        type SystemCall = frame_system::Call<Runtime>;
        let calls: [RuntimeCall; 8] = [
            SystemCall::set_code { code: code.clone() }.into(),
            SystemCall::set_code_without_checks { code: code.clone() }.into(),
            SystemCall::set_storage { items: vec![(b":code".to_vec(), code.clone())] }.into(),
            SystemCall::kill_storage { keys: vec![b":code".to_vec()] }.into(),
            SystemCall::kill_prefix { prefix: b":c".to_vec(), subkeys: 1 }.into(),
            SystemCall::apply_authorized_upgrade { code }.into(),
            // Members who are no hospitals, and a call within a call.
            RuntimeCall::Council(pallet_collective::Call::set_members {
                new_members: vec![],
                prime: None,
                old_count: 4,
            }),
            remark(vec![]).into(),
        ];
        for call in calls {
            let refused = CouncilRoot::dispatch(council.clone(), Box::new(call));
            let refused = refused.unwrap_err().error;
            assert_eq!(refused, council_root::Error::<Runtime>::CallRefused.into());
        }
    });
}

#[test]
fn the_largest_suspension_and_removal_fit_into_a_motion() {
    let suspend: RuntimeCall = suspend().into();
    let remove: RuntimeCall = pallet_hospitals::Call::remove { hospital: B }.into();
    for call in [suspend, remove] {
        let declared = call.get_dispatch_info().call_weight;
        assert!(declared.all_lte(MAX_PROPOSAL_WEIGHT), "{declared:?}");
    }
}

/// Suspending a hospital discards its open announcements, with all their records.
#[test]
fn a_hospital_with_the_largest_open_announcements_can_be_suspended() {
    local(|chain| {
        register("Bob//agent", *PATIENT, Role::Patient);
        let patients = vec![*PATIENT; MAX_ENTRIES as usize];
        for byte in 0..MAX_PENDING_ANNOUNCEMENTS as u8 {
            apply("Bob//agent", announcement(B, &patients, byte)).unwrap().unwrap();
            chain.next_block();
        }
        let records = || AnnouncementWith::<Runtime>::iter_keys().count();
        assert_eq!(records(), (MAX_PENDING_ANNOUNCEMENTS * MAX_ENTRIES) as usize);

        pass(suspend());
        assert_eq!(Hospitals::hospital(B).unwrap().status, HospitalStatus::Suspended);
        assert_eq!(records(), 0);
        assert_eq!(PendingEntries::<Runtime>::iter_keys().count(), 0);
        assert_eq!(Pending::<Runtime>::get(B), 0);
        chain.next_block();
        assert_eq!(invariants::check(), Ok(()));
    });
}

/// Number of blocks between decision and replacement in the preset `local`.
const REPLACEMENT_DELAY: u32 = 20;

/// Bob's hospital gets the governance account Bob//next.
fn replace_governance() -> pallet_hospitals::Call<Runtime> {
    let governance = named("Bob//next", B, Duty::Governance);
    pallet_hospitals::Call::replace_governance { hospital: B, governance }
}

fn complete_replacement() -> pallet_hospitals::Call<Runtime> {
    pallet_hospitals::Call::complete_replacement { hospital: B }
}

fn object_to_replacement() -> pallet_hospitals::Call<Runtime> {
    pallet_hospitals::Call::object_to_replacement {}
}

fn replace_as_root() -> council_root::Call<Runtime> {
    council_root::Call::dispatch { call: Box::new(replace_governance().into()) }
}

#[test]
fn two_thirds_replace_a_lost_governance_account_after_the_delay() {
    local(|chain| {
        pass_by(&["Alice", "Charlie", "Dave"], 0, replace_as_root());
        let early = pallet_hospitals::Error::<Runtime>::ReplacementTooEarly;
        assert_eq!(apply("Alice", complete_replacement()), Ok(Err(early.into())));
        assert_eq!(refused("Bob//next", complete_replacement()), Some(Refusal::UnknownAccount));
        chain.reach(System::block_number() + REPLACEMENT_DELAY);
        apply("Dave", complete_replacement()).unwrap().unwrap();
        assert_eq!(refused("Bob", suspend()), Some(Refusal::UnknownAccount));
        let members = pallet_collective::Members::<Runtime, pallet_collective::Instance1>::get();
        assert_eq!(members.len(), 4);
        assert!(members.contains(&account(&key("Bob//next"))));
        assert_eq!(invariants::check(), Ok(()));
    });
}

#[test]
fn a_majority_below_two_thirds_does_not_replace_an_account() {
    local(|_| {
        let motion = proposal(more_than_half(4) - 1, replace_as_root());
        assert_eq!(refused("Alice", motion), Some(Refusal::WrongThreshold));
        assert_eq!(refused("Alice", replace_governance()), Some(Refusal::CallNotForRole));
        // As a motion of its own, more than half is enough to pass it, but it needs root.
        pass(replace_governance());
        assert_eq!(pallet_hospitals::Replacements::<Runtime>::get(B), None);
    });
}

#[test]
fn the_council_does_not_take_over_an_active_hospital_whose_account_objects() {
    local(|chain| {
        pass_by(&["Alice", "Charlie", "Dave"], 0, replace_as_root());
        for seed in ["Alice", "Charlie"] {
            let none = pallet_hospitals::Error::<Runtime>::NoReplacement;
            assert_eq!(apply(seed, object_to_replacement()), Ok(Err(none.into())));
        }
        assert_eq!(refused("Bob//agent", object_to_replacement()), Some(Refusal::CallNotForRole));
        apply("Bob", object_to_replacement()).unwrap().unwrap();
        chain.reach(System::block_number() + REPLACEMENT_DELAY);
        let none = pallet_hospitals::Error::<Runtime>::NoReplacement;
        assert_eq!(apply("Alice", complete_replacement()), Ok(Err(none.into())));
    });
}

#[test]
fn a_thief_of_a_governance_account_cannot_object_after_the_suspension() {
    local(|chain| {
        pass_by(&["Alice", "Charlie", "Dave"], 0, replace_as_root());
        pass_by(&["Alice", "Charlie", "Dave"], 1, suspend());
        assert_eq!(refused("Bob", object_to_replacement()), Some(Refusal::HospitalNotActive));
        chain.reach(System::block_number() + REPLACEMENT_DELAY);
        apply("Alice", complete_replacement()).unwrap().unwrap();
        let reinstate = pallet_hospitals::Call::<Runtime>::reinstate { hospital: B };
        pass_by(&["Alice", "Charlie"], 2, reinstate);
        let members = pallet_collective::Members::<Runtime, pallet_collective::Instance1>::get();
        assert!(members.contains(&account(&key("Bob//next"))));
        assert_eq!(invariants::check(), Ok(()));
    });
}

/// Each hospital leaves by itself, and the votes that the rest needs follow from those that remain.
#[test]
fn hospitals_that_leave_do_not_lock_the_council() {
    local(|chain| {
        let leave = || pallet_hospitals::Call::<Runtime>::leave {};
        for seed in ["Charlie", "Dave"] {
            apply(seed, leave()).unwrap().unwrap();
        }
        chain.next_block();
        assert_eq!(refused("Dave", proposal(3, suspend())), Some(Refusal::HospitalLeaving));
        pass_by(&["Alice", "Bob"], 0, pallet_hospitals::Call::remove { hospital: HospitalId(3) });
        assert_eq!(Hospitals::hospital(HospitalId(3)).unwrap().status, HospitalStatus::Removed);
        apply("Bob", leave()).unwrap().unwrap();
        let last = pallet_hospitals::Error::<Runtime>::LastActive;
        assert_eq!(apply("Alice", leave()), Ok(Err(last.into())));
        chain.next_block();
        assert_eq!(invariants::check(), Ok(()));
    });
}

/// A vote counts no longer when its hospital leaves, so nobody votes and is gone.
#[test]
fn a_hospital_that_leaves_takes_its_votes_along() {
    local(|_| {
        let call = RuntimeCall::from(suspend());
        let hash = BlakeTwo256::hash_of(&call);
        apply("Dave", proposal(3, call)).unwrap().unwrap();
        vote(&["Dave", "Charlie"], hash, 0, true);
        apply("Dave", pallet_hospitals::Call::<Runtime>::leave {}).unwrap().unwrap();
        assert_eq!(invariants::check(), Ok(()));
    });
}
