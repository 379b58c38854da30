//! Committing and discarding blocks.

use epione_primitives::{
    AnnouncementId, Hash, RecordPointer,
    approval::BallotOutcome,
    block::{BlockHashes, Entry, Header, Stage, cloud_hash},
    limits::MAX_ENTRIES,
    ports::IndexLinks as _,
};
use frame_support::assert_ok;
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use super::{events, hash, stage};
use crate::{
    AnnouncementOf, Entries, Event, Hashes, Headers, Height, Pending, PendingEntries, mock::*,
};

fn at(height: u32, index: u16) -> Option<RecordPointer> {
    Some(RecordPointer { height, index })
}

fn previous(height: u32) -> Vec<Option<RecordPointer>> {
    Entries::<Test>::get(height).unwrap().iter().map(|entry| entry.previous).collect()
}

#[test]
fn an_approved_block_is_committed() {
    run(|| {
        let visits = visits(1, &[PATIENT, OTHER]);
        let body_hash = hash(&visits.body);
        assert_ok!(announce(agent(HOME), visits.clone()));
        Now::set(START + 3_000);
        let id = AnnouncementId(0);
        close(id, BallotOutcome::Approved);

        let header = Header {
            height: 1,
            previous_lite: Hash::zero(),
            previous_cloud: Hash::zero(),
            announcer: HOME,
            announcement: id,
            time: START + 3_000,
            records: 2,
            body_hash,
            body_bytes: 8,
            segments: visits.header.segments,
        };
        let entries: Vec<_> = visits
            .entries
            .into_iter()
            .map(|entry| Entry {
                record: entry.record,
                hash: entry.hash,
                patient: entry.patient,
                text: entry.text,
                media: entry.media,
                previous: None,
            })
            .collect();
        let lite = BlakeTwo256::hash_of(&(&header, &entries));
        let cloud = BlakeTwo256::hash_of(&(lite, header.segments.root));
        assert_eq!(
            events()[1..],
            [Event::Committed { id, height: 1, lite_hash: lite, cloud_hash: cloud }]
        );
        assert_eq!(Height::<Test>::get(), 1);
        assert_eq!(Headers::<Test>::get(1), Some(header));
        assert_eq!(Entries::<Test>::get(1).unwrap().into_inner(), entries);
        assert_eq!(Hashes::<Test>::get(1), Some(BlockHashes { lite, cloud }));
        assert_eq!(stage(0), Stage::Committed { height: 1 });
        assert!(!PendingEntries::<Test>::contains_key(id));
        assert!(!Pending::<Test>::contains_key(HOME));
        assert_eq!(AnnouncementOf::<Test>::get(HOME, body_hash), Some(id));
    });
}

#[test]
fn blocks_are_committed_in_the_order_of_their_approval() {
    run(|| {
        for seed in 1..=3 {
            assert_ok!(announce(agent(HOME), visits(seed, &[PATIENT])));
        }
        for id in [2, 0, 1] {
            close(AnnouncementId(id), BallotOutcome::Approved);
        }
        let heights = [2, 3, 1].map(|height| Stage::Committed { height });
        assert_eq!([stage(0), stage(1), stage(2)], heights);
        for height in 2..=3 {
            let before = Hashes::<Test>::get(height - 1).unwrap();
            let header = Headers::<Test>::get(height).unwrap();
            assert_eq!((header.previous_lite, header.previous_cloud), (before.lite, before.cloud));
        }
    });
}

#[test]
fn records_link_to_the_same_patients_previous_record() {
    run(|| {
        committed(1, &[PATIENT, OTHER]);
        committed(2, &[OTHER, OTHER, PATIENT]);
        committed(3, &[PATIENT]);
        assert_eq!(previous(1), [None, None]);
        assert_eq!(previous(2), [at(1, 1), at(2, 0), at(1, 0)]);
        assert_eq!(previous(3), [at(2, 2)]);
        assert_eq!(IndexLinks::latest(PATIENT), at(3, 0));
        assert_eq!(IndexLinks::latest(OTHER), at(2, 1));
    });
}

#[test]
fn the_largest_block_is_committed() {
    run(|| {
        committed(1, &[PATIENT; MAX_ENTRIES as usize]);
        assert_eq!(IndexLinks::latest(PATIENT), at(1, 511));
        assert_eq!(previous(1)[511], at(1, 510));
    });
}

#[test]
fn a_block_without_approval_is_discarded_and_can_be_announced_again() {
    let id = AnnouncementId(0);
    let outcomes = [
        (BallotOutcome::Rejected, Stage::Rejected, Event::Rejected { id }),
        (BallotOutcome::Expired, Stage::Expired, Event::Expired { id }),
        (BallotOutcome::Withdrawn, Stage::Withdrawn, Event::Withdrawn { id }),
    ];
    for (outcome, expected, event) in outcomes {
        run(|| {
            let visits = visits(1, &[PATIENT]);
            assert_ok!(announce(agent(HOME), visits.clone()));
            close(id, outcome);
            assert_eq!(events()[1..], [event]);
            assert_eq!(stage(0), expected);
            assert!(!PendingEntries::<Test>::contains_key(id));
            assert!(!Pending::<Test>::contains_key(HOME));
            assert_eq!(Height::<Test>::get(), 0);
            assert_eq!(IndexLinks::latest(PATIENT), None);

            assert_ok!(announce(agent(HOME), visits));
            close(AnnouncementId(1), BallotOutcome::Approved);
            assert_eq!(stage(1), Stage::Committed { height: 1 });
        });
    }
}

#[test]
fn the_hashes_of_committed_blocks_can_be_recomputed() {
    run(|| {
        committed(1, &[PATIENT]);
        committed(2, &[PATIENT, OTHER]);
        let mut before = BlockHashes::default();
        for height in 1..=LiteBlocks::height() {
            let (header, hashes) = LiteBlocks::header(height).unwrap();
            assert_eq!((header.previous_lite, header.previous_cloud), (before.lite, before.cloud));
            let lite = header.lite_hash(&LiteBlocks::entries(height));
            assert_eq!(hashes.lite, lite);
            assert_eq!(hashes.cloud, cloud_hash(lite, header.segments.root));
            before = hashes;
        }
    });
}
