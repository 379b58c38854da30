//! Announcing, approving, committing and linking a block, with four pallets together.

use epione_primitives::{
    AnnouncementId, RecordPointer, UserId,
    api::runtime_decl_for_approvals_api::ApprovalsApi,
    api::runtime_decl_for_lite_blocks_api::LiteBlocksApi,
    approval::BallotOutcome,
    block::{Stage, cloud_hash},
    limits::RETENTION_BLOCKS,
    profile::Role,
};
use epione_runtime::{Hospitals, LiteBlocks, Runtime, RuntimeEvent, System};
use frame_support::{traits::Hooks as _, weights::Weight};

use crate::chain::{
    A, B, PATIENT, announcement, apply, approve, body_hash, council, local, register,
};

#[test]
fn two_approvals_by_three_others_commit_and_link() {
    local(|chain| {
        register("Alice//agent", PATIENT, Role::Patient);
        apply("Alice//agent", announcement(A, &[PATIENT], 1)).unwrap().unwrap();
        assert_eq!(Runtime::open_announcements(), [AnnouncementId(0)]);

        chain.next_block();
        approve("Bob//agent", 0);
        assert_eq!(Runtime::height(), 0);
        approve("Charlie//agent", 0);

        let (header, hashes) = Runtime::header(1).unwrap();
        let entries = Runtime::entries(1);
        assert_eq!(hashes.lite, header.lite_hash(&entries));
        assert_eq!(hashes.cloud, cloud_hash(hashes.lite, header.segments.root));
        assert_eq!(header.body_hash, body_hash(&[1; 100]));
        assert_eq!(
            Runtime::announcement(AnnouncementId(0)).unwrap().0.stage,
            Stage::Committed { height: 1 }
        );
        assert_eq!(
            Runtime::ballot(AnnouncementId(0)).unwrap().outcome,
            Some(BallotOutcome::Approved)
        );
        System::assert_has_event(RuntimeEvent::LiteBlocks(pallet_lite_blocks::Event::Committed {
            id: AnnouncementId(0),
            height: 1,
            lite_hash: hashes.lite,
            cloud_hash: hashes.cloud,
        }));
        let pointer = RecordPointer { height: 1, index: 0 };
        assert_eq!(Runtime::record(pointer).unwrap(), (entries[0].clone(), header.body_hash));
    });
}

#[test]
fn a_second_block_links_to_the_first() {
    local(|chain| {
        register("Alice//agent", PATIENT, Role::Patient);
        for byte in 0..2 {
            apply("Alice//agent", announcement(A, &[PATIENT, PATIENT], byte)).unwrap().unwrap();
            chain.next_block();
            approve("Bob//agent", byte.into());
            approve("Dave//agent", byte.into());
        }
        let at = |height, index| RecordPointer { height, index };
        let pointers: Vec<_> =
            Runtime::history(PATIENT, None, 64).into_iter().map(|(pointer, ..)| pointer).collect();
        assert_eq!(pointers, [at(2, 1), at(2, 0), at(1, 1), at(1, 0)]);
        assert_eq!(Runtime::entries(2)[0].previous, Some(at(1, 1)));
        assert_eq!(Runtime::header(2).unwrap().0.previous_lite, Runtime::header(1).unwrap().1.lite);
    });
}

#[test]
fn a_copied_body_announced_first_does_not_stop_its_hospital() {
    local(|chain| {
        register("Alice//agent", PATIENT, Role::Patient);
        let other = UserId([8; 32]);
        register("Bob//agent", other, Role::Patient);
        apply("Bob//agent", announcement(B, &[other], 1)).unwrap().unwrap();
        apply("Alice//agent", announcement(A, &[PATIENT], 1)).unwrap().unwrap();
        let hash = body_hash(&[1; 100]);
        assert_eq!(Runtime::announcement_of(B, hash), Some(AnnouncementId(0)));
        assert_eq!(Runtime::announcement_of(A, hash), Some(AnnouncementId(1)));

        chain.next_block();
        approve("Charlie//agent", 1);
        approve("Dave//agent", 1);
        let header = Runtime::header(1).unwrap().0;
        assert_eq!((header.announcer, header.announcement), (A, AnnouncementId(1)));
    });
}

#[test]
fn old_announcements_are_removed_with_their_ballots_unless_committed() {
    local(|chain| {
        register("Alice//agent", PATIENT, Role::Patient);
        apply("Alice//agent", announcement(A, &[PATIENT], 0)).unwrap().unwrap();
        let id = AnnouncementId(0);
        let withdraw = pallet_lite_blocks::Call::<Runtime>::withdraw { id };
        apply("Alice//agent", withdraw).unwrap().unwrap();
        apply("Alice//agent", announcement(A, &[PATIENT], 1)).unwrap().unwrap();
        chain.next_block();
        approve("Bob//agent", 1);
        approve("Charlie//agent", 1);

        LiteBlocks::on_idle(RETENTION_BLOCKS, Weight::MAX);
        assert!(Runtime::announcement(id).is_some());
        LiteBlocks::on_idle(RETENTION_BLOCKS + 10, Weight::MAX);
        assert_eq!((Runtime::announcement(id), Runtime::ballot(id)), (None, None));
        assert_eq!(Runtime::next_announcement(), AnnouncementId(2));
        let kept = AnnouncementId(1);
        assert!(Runtime::announcement(kept).is_some() && Runtime::ballot(kept).is_some());
    });
}

#[test]
fn two_rejections_by_three_others_reject() {
    local(|_| {
        register("Alice//agent", PATIENT, Role::Patient);
        apply("Alice//agent", announcement(A, &[PATIENT], 1)).unwrap().unwrap();
        for agent in ["Bob//agent", "Charlie//agent"] {
            let call = pallet_approvals::Call::<Runtime>::reject {
                subject: AnnouncementId(0),
                reason: epione_primitives::approval::RejectReason::SegmentMissing,
            };
            apply(agent, call).unwrap().unwrap();
        }
        assert_eq!(Runtime::announcement(AnnouncementId(0)).unwrap().0.stage, Stage::Rejected);
        assert_eq!(Runtime::height(), 0);
    });
}

#[test]
fn a_hospital_that_is_suspended_in_mid_ballot_commits_nothing() {
    local(|chain| {
        register("Alice//agent", PATIENT, Role::Patient);
        apply("Alice//agent", announcement(A, &[PATIENT], 1)).unwrap().unwrap();
        chain.next_block();
        approve("Bob//agent", 0);
        Hospitals::suspend(council(), A).unwrap();

        let announced = Runtime::announcement(AnnouncementId(0)).unwrap().0;
        assert_eq!(announced.stage, Stage::Withdrawn);
        let call = pallet_approvals::Call::<Runtime>::approve { subject: AnnouncementId(0) };
        let closed = pallet_approvals::Error::<Runtime>::BallotClosed.into();
        assert_eq!(apply("Charlie//agent", call), Ok(Err(closed)));
        chain.next_block();
        assert_eq!(Runtime::height(), 0);
    });
}
