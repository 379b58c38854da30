//! Transactions at the limits fit into a block.

use codec::Encode;
use epione_primitives::{
    AnnouncementId, Hash,
    access::RelationshipKind,
    api::runtime_decl_for_lite_blocks_api::LiteBlocksApi,
    block::{AnnouncedEntries, AnnouncedEntry, AnnouncedHeader, Range, Segments, Stage},
    limits::{BLOCK_BYTES, MAX_BODY_BYTES, MAX_ENTRIES},
    profile::Role,
};
use epione_runtime::{
    Approvals, LiteBlocks, Runtime, RuntimeCall, System,
    configs::{BLOCK_WEIGHT, NORMAL_SHARE},
};
use frame_support::{
    dispatch::{DispatchClass, GetDispatchInfo},
    traits::Hooks,
};

use crate::chain::{
    A, PATIENT, announcement, apply, key, local, record, register, signed, user_seed, vote,
};

#[test]
fn two_of_the_largest_announcements_fit_into_a_block() {
    local(|_| {
        let entry = AnnouncedEntry {
            record: record(1, 0),
            hash: Hash::repeat_byte(1),
            patient: *PATIENT,
            text: Range { offset: MAX_BODY_BYTES, length: MAX_BODY_BYTES },
            media: Range { offset: MAX_BODY_BYTES, length: MAX_BODY_BYTES },
        };
        let call: RuntimeCall = pallet_lite_blocks::Call::announce {
            header: AnnouncedHeader { announcer: A, segments: Segments::default() },
            entries: AnnouncedEntries::try_from(vec![entry; MAX_ENTRIES as usize]).unwrap(),
            body: vec![1; MAX_BODY_BYTES as usize],
        }
        .into();
        let weights = <Runtime as frame_system::Config>::BlockWeights::get();
        let normal = weights.get(DispatchClass::Normal);
        let weight = call.get_dispatch_info().total_weight();
        assert!(weight.all_lte(normal.max_extrinsic.unwrap()), "{weight:?}");
        assert!((weight * 2).all_lte(normal.max_total.unwrap()), "{weight:?}");
        let bytes = signed(&key("Alice//agent"), call).encoded_size();
        assert!(2 * bytes <= (NORMAL_SHARE * BLOCK_BYTES) as usize);
    });
}

/// Also votes that are repeated on purpose: a hospital could fill the blocks with them.
#[test]
fn hundreds_of_votes_do_not_fill_a_block() {
    const VOTES: u64 = 500;
    local(|chain| {
        register("Alice//agent", *PATIENT, Role::Patient);
        apply("Alice//agent", announcement(A, &[*PATIENT], 1)).unwrap().unwrap();
        chain.next_block();
        // The first does not decide, the second fails, the third commits a block of one record.
        for (agent, succeeds) in
            [("Bob//agent", true), ("Bob//agent", false), ("Charlie//agent", true)]
        {
            let before = System::block_weight().total();
            assert_eq!(apply(agent, vote(AnnouncementId(0))).unwrap().is_ok(), succeeds);
            let spent = System::block_weight().total() - before;
            assert!((spent * VOTES).all_lte(NORMAL_SHARE * BLOCK_WEIGHT), "{agent}: {spent:?}");
        }
        assert_eq!(Runtime::height(), 1);
    });
}

/// What announcing a block of this many records adds to its block, and what the expiry of its ballot adds to another.
fn announced_and_expired(records: u32) -> (u64, u64) {
    let mut weights = (0, 0);
    local(|chain| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let before = System::block_weight().total();
        let patients = vec![*PATIENT; records as usize];
        apply("Alice//agent", announcement(A, &patients, 1)).unwrap().unwrap();
        let announced = System::block_weight().total() - before;
        let deadline = Approvals::ballot(AnnouncementId(0)).unwrap().deadline;
        chain.reach(deadline);
        let expired = Approvals::on_initialize(deadline + 1);
        assert_eq!(LiteBlocks::announcement(AnnouncementId(0)).unwrap().0.stage, Stage::Expired);
        weights = (announced.ref_time(), expired.ref_time());
    });
    weights
}

/// A hospital could reserve blocks with ballots about few records, if each expiry counted as the largest one. All
/// ballots that expire in a block were opened in one block, so their expiry fits into a block, too.
#[test]
fn an_expiring_ballot_counts_for_its_own_records_and_for_less_than_its_announcement() {
    let (announced_one, expired_one) = announced_and_expired(1);
    let (announced_most, expired_most) = announced_and_expired(MAX_ENTRIES);
    assert!(expired_one * 20 < expired_most, "{expired_one} {expired_most}");
    assert!(expired_one < announced_one, "{expired_one} {announced_one}");
    assert!(expired_most < announced_most, "{expired_most} {announced_most}");
}

/// The pool is full of transactions of one user, and none has a higher priority than another. The author of the block
/// takes them until the chain refuses one.
#[test]
fn a_user_who_fills_a_block_leaves_space_for_the_council() {
    const MOST: u32 = 20_000;
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let user = user_seed(*PATIENT);
        let unrelated = || pallet_role_policies::Call::<Runtime>::unrelate {
            patient: *PATIENT,
            professional: *PATIENT,
            hospital: A,
            kind: RelationshipKind::Treating,
        };
        let taken = (0..MOST).take_while(|_| apply(&user, unrelated()).is_ok()).count();
        assert!(taken < MOST as usize, "nothing limits one user's share of a block");

        let motion = pallet_hospitals::Call::<Runtime>::suspend { hospital: A };
        let propose = pallet_collective::Call::propose {
            threshold: 3,
            proposal: Box::new(motion.into()),
            length_bound: 100,
        };
        apply("Bob", RuntimeCall::Council(propose)).unwrap().unwrap();
    });
}
