//! Announcing, approving, committing and linking a block, with four pallets together.

use epione_primitives::{
    AnnouncementId, Hash, HospitalId, RecordPointer,
    api::runtime_decl_for_approvals_api::ApprovalsApi,
    api::runtime_decl_for_lite_blocks_api::LiteBlocksApi,
    approval::{Approval, BallotOutcome, RejectReason},
    block::{Stage, cloud_hash},
    limits::RETENTION_BLOCKS,
    profile::Role,
};
use epione_runtime::{Hospitals, LiteBlocks, Runtime, RuntimeEvent, System};
use frame_support::{traits::Hooks as _, weights::Weight};

use crate::chain::{
    A, B, PATIENT, announcement, apply, approve, body_hash, council, local, record, register,
    subject, user, vote,
};

fn reject(id: AnnouncementId) -> pallet_approvals::Call<Runtime> {
    let reason = RejectReason::SegmentMissing;
    pallet_approvals::Call::reject { id, subject: subject(id), reason }
}

#[test]
fn two_approvals_by_three_others_commit_and_link() {
    local(|chain| {
        register("Alice//agent", *PATIENT, Role::Patient);
        apply("Alice//agent", announcement(A, &[*PATIENT], 1)).unwrap().unwrap();
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
        register("Alice//agent", *PATIENT, Role::Patient);
        for byte in 0..2 {
            apply("Alice//agent", announcement(A, &[*PATIENT, *PATIENT], byte)).unwrap().unwrap();
            chain.next_block();
            approve("Bob//agent", byte.into());
            approve("Dave//agent", byte.into());
        }
        let at = |height, index| RecordPointer { height, index };
        let pointers: Vec<_> =
            Runtime::history(*PATIENT, None, 64).into_iter().map(|(pointer, ..)| pointer).collect();
        assert_eq!(pointers, [at(2, 1), at(2, 0), at(1, 1), at(1, 0)]);
        assert_eq!(Runtime::entries(2)[0].previous, Some(at(1, 1)));
        assert_eq!(Runtime::header(2).unwrap().0.previous_lite, Runtime::header(1).unwrap().1.lite);
    });
}

/// Announces a block of the patient whose record is the one of the block with bytes 1.
fn with_first_record(byte: u8) -> pallet_lite_blocks::Call<Runtime> {
    let mut call = announcement(A, &[*PATIENT], byte);
    if let pallet_lite_blocks::Call::announce { entries, .. } = &mut call {
        entries[0].record = record(1, 0);
    }
    call
}

#[test]
fn an_old_record_cannot_be_committed_again() {
    local(|chain| {
        register("Alice//agent", *PATIENT, Role::Patient);
        apply("Alice//agent", announcement(A, &[*PATIENT], 1)).unwrap().unwrap();
        let repeated = Ok(Err(pallet_lite_blocks::Error::<Runtime>::RepeatedRecord.into()));
        assert_eq!(apply("Alice//agent", with_first_record(2)), repeated, "while it is open");
        chain.next_block();
        approve("Bob//agent", 0);
        approve("Charlie//agent", 0);
        LiteBlocks::on_idle(2 * RETENTION_BLOCKS, Weight::MAX);
        assert_eq!(apply("Alice//agent", with_first_record(2)), repeated, "after it is committed");
        assert_eq!(Runtime::announcement_with(A, record(1, 0)), Some(AnnouncementId(0)));
        assert_eq!(Runtime::announcement_with(B, record(1, 0)), None);
    });
}

#[test]
fn a_rejected_record_can_be_announced_again() {
    local(|chain| {
        register("Alice//agent", *PATIENT, Role::Patient);
        apply("Alice//agent", announcement(A, &[*PATIENT], 1)).unwrap().unwrap();
        for agent in ["Bob//agent", "Charlie//agent"] {
            apply(agent, reject(AnnouncementId(0))).unwrap().unwrap();
        }
        apply("Alice//agent", with_first_record(2)).unwrap().unwrap();
        chain.next_block();
        approve("Bob//agent", 1);
        approve("Charlie//agent", 1);
        assert_eq!(Runtime::entries(1)[0].record, record(1, 0));
        assert_eq!(Runtime::announcement_with(A, record(1, 0)), Some(AnnouncementId(1)));
    });
}

#[test]
fn a_vote_about_another_announcement_does_not_count() {
    local(|chain| {
        register("Alice//agent", *PATIENT, Role::Patient);
        for byte in 1..3 {
            apply("Alice//agent", announcement(A, &[*PATIENT], byte)).unwrap().unwrap();
        }
        chain.next_block();
        let [first, second] = [0, 1].map(AnnouncementId);
        let another = Ok(Err(pallet_approvals::Error::<Runtime>::AnotherSubject.into()));
        for subject in [subject(second), Hash::zero(), body_hash(&[1; 100])] {
            let call = pallet_approvals::Call::<Runtime>::approve { id: first, subject };
            assert_eq!(apply("Bob//agent", call), another);
            let reason = RejectReason::MalformedBody;
            let call = pallet_approvals::Call::<Runtime>::reject { id: first, subject, reason };
            assert_eq!(apply("Bob//agent", call), another);
        }
        assert!(Runtime::ballot(first).unwrap().approvals.is_empty());
        approve("Bob//agent", 0);
    });
}

#[test]
fn everybody_finds_the_votes_in_the_blocks_that_the_ballot_names() {
    local(|chain| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let call = announcement(A, &[*PATIENT], 1);
        let pallet_lite_blocks::Call::announce { header, entries, body } = call.clone() else {
            unreachable!()
        };
        apply("Alice//agent", call).unwrap().unwrap();
        chain.reach(3);
        approve("Dave//agent", 0);
        chain.reach(5);
        approve("Bob//agent", 0);
        let ballot = Runtime::ballot(AnnouncementId(0)).unwrap();
        assert_eq!(ballot.subject, header.subject(&entries, body_hash(&body)));
        let approvals = [(3, 3), (1, 5)]
            .map(|(hospital, block)| Approval { hospital: HospitalId(hospital), block });
        assert_eq!(ballot.approvals.as_slice(), approvals);
        assert_eq!(ballot.outcome, Some(BallotOutcome::Approved));
    });
}

#[test]
fn a_copied_body_announced_first_does_not_stop_its_hospital() {
    local(|chain| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let other = user(8);
        register("Bob//agent", other, Role::Patient);
        apply("Bob//agent", announcement(B, &[other], 1)).unwrap().unwrap();
        apply("Alice//agent", announcement(A, &[*PATIENT], 1)).unwrap().unwrap();
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
        register("Alice//agent", *PATIENT, Role::Patient);
        apply("Alice//agent", announcement(A, &[*PATIENT], 0)).unwrap().unwrap();
        let id = AnnouncementId(0);
        let withdraw = pallet_lite_blocks::Call::<Runtime>::withdraw { id };
        apply("Alice//agent", withdraw).unwrap().unwrap();
        apply("Alice//agent", announcement(A, &[*PATIENT], 1)).unwrap().unwrap();
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
        register("Alice//agent", *PATIENT, Role::Patient);
        apply("Alice//agent", announcement(A, &[*PATIENT], 1)).unwrap().unwrap();
        for agent in ["Bob//agent", "Charlie//agent"] {
            let call = reject(AnnouncementId(0));
            apply(agent, call).unwrap().unwrap();
        }
        assert_eq!(Runtime::announcement(AnnouncementId(0)).unwrap().0.stage, Stage::Rejected);
        assert_eq!(Runtime::height(), 0);
    });
}

#[test]
fn a_hospital_that_is_suspended_in_mid_ballot_commits_nothing() {
    local(|chain| {
        register("Alice//agent", *PATIENT, Role::Patient);
        apply("Alice//agent", announcement(A, &[*PATIENT], 1)).unwrap().unwrap();
        chain.next_block();
        approve("Bob//agent", 0);
        Hospitals::suspend(council(), A).unwrap();

        let announced = Runtime::announcement(AnnouncementId(0)).unwrap().0;
        assert_eq!(announced.stage, Stage::Withdrawn);
        let call = vote(AnnouncementId(0));
        let closed = pallet_approvals::Error::<Runtime>::BallotClosed.into();
        assert_eq!(apply("Charlie//agent", call), Ok(Err(closed)));
        chain.next_block();
        assert_eq!(Runtime::height(), 0);
    });
}
