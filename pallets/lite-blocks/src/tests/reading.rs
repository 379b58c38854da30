//! Reading lite blocks.

use epione_primitives::{
    AnnouncementId, Hash, RecordPointer, UserId, approval::BallotOutcome, limits::MAX_HISTORY,
    ports::Records,
};
use frame_support::assert_ok;

use super::hash;
use crate::mock::*;

fn at(height: u32, index: u16) -> RecordPointer {
    RecordPointer { height, index }
}

/// The pointers of a patient's history.
fn history(patient: UserId, before: Option<RecordPointer>, limit: u32) -> Vec<RecordPointer> {
    LiteBlocks::history(patient, before, limit).into_iter().map(|(pointer, ..)| pointer).collect()
}

#[test]
fn before_the_first_block_every_answer_is_empty() {
    run(|| {
        assert_eq!(LiteBlocks::height(), 0);
        assert_eq!(LiteBlocks::header(0), None);
        assert_eq!(LiteBlocks::header(1), None);
        assert_eq!(LiteBlocks::entries(1), []);
        assert_eq!(LiteBlocks::announcement(AnnouncementId(0)), None);
        assert_eq!(LiteBlocks::open_announcements(), []);
        assert_eq!(LiteBlocks::announcement_of(HOME, Hash::zero()), None);
        assert_eq!(LiteBlocks::announcement_with(HOME, record(1, 0)), None);
        assert_eq!(LiteBlocks::record(at(1, 0)), None);
        assert_eq!(history(PATIENT, None, 10), []);
    });
}

#[test]
fn an_announcement_has_its_entries_unless_they_were_discarded() {
    run(|| {
        let visits = visits(1, &[PATIENT, OTHER]);
        let announced = visits.entries.to_vec();
        let entries = |id| LiteBlocks::announcement(AnnouncementId(id)).unwrap().1;

        assert_ok!(announce(agent(HOME), visits.clone()));
        assert_eq!(entries(0), announced);
        close(AnnouncementId(0), BallotOutcome::Rejected);
        assert_eq!(entries(0), []);

        assert_ok!(announce(agent(HOME), visits));
        close(AnnouncementId(1), BallotOutcome::Approved);
        assert_eq!(entries(1), announced);
    });
}

#[test]
fn open_announcements_are_listed_ascending() {
    run(|| {
        for seed in 0..8 {
            assert_ok!(announce(agent(HOME), visits(seed, &[PATIENT])));
        }
        close(AnnouncementId(3), BallotOutcome::Approved);
        close(AnnouncementId(5), BallotOutcome::Expired);
        assert_eq!(LiteBlocks::open_announcements(), [0, 1, 2, 4, 6, 7].map(AnnouncementId));
    });
}

#[test]
fn an_announcement_is_found_by_its_body_unless_discarded() {
    run(|| {
        let visits = visits(1, &[PATIENT]);
        let find = || LiteBlocks::announcement_of(HOME, hash(&visits.body));
        assert_ok!(announce(agent(HOME), visits.clone()));
        assert_eq!(find(), Some(AnnouncementId(0)));
        close(AnnouncementId(0), BallotOutcome::Expired);
        assert_eq!(find(), None);
        assert_ok!(announce(agent(HOME), visits.clone()));
        close(AnnouncementId(1), BallotOutcome::Approved);
        assert_eq!(find(), Some(AnnouncementId(1)));
    });
}

#[test]
fn an_announcement_is_found_by_each_of_its_records_unless_discarded() {
    run(|| {
        let visits = visits(1, &[PATIENT, OTHER]);
        let find = |index| LiteBlocks::announcement_with(HOME, record(1, index));
        assert_ok!(announce(agent(HOME), visits.clone()));
        assert_eq!([find(0), find(1)], [Some(AnnouncementId(0)); 2]);
        assert_eq!(find(2), None);
        assert_eq!(LiteBlocks::announcement_with(AWAY, record(1, 0)), None);
        close(AnnouncementId(0), BallotOutcome::Expired);
        assert_eq!([find(0), find(1)], [None, None]);
        assert_ok!(announce(agent(HOME), visits));
        close(AnnouncementId(1), BallotOutcome::Approved);
        assert_eq!([find(0), find(1)], [Some(AnnouncementId(1)); 2]);
    });
}

#[test]
fn a_record_is_read_with_the_hash_of_its_body() {
    run(|| {
        committed(1, &[PATIENT, OTHER]);
        let (entry, body_hash) = LiteBlocks::record(at(1, 1)).unwrap();
        assert_eq!(entry, LiteBlocks::entries(1)[1]);
        assert_eq!(body_hash, hash(&[1; 8]));
        assert_eq!(LiteBlocks::record(at(1, 2)), None);
        assert_eq!(LiteBlocks::record(at(2, 0)), None);
    });
}

#[test]
fn a_committed_record_has_a_patient_and_an_announcer() {
    run(|| {
        committed(1, &[PATIENT, OTHER]);
        let mut elsewhere = visits(2, &[PATIENT]);
        elsewhere.header.announcer = AWAY;
        assert_ok!(announce(agent(AWAY), elsewhere));
        assert_eq!(LiteBlocks::owner(at(2, 0)), None);
        close(AnnouncementId(1), BallotOutcome::Approved);
        assert_eq!(LiteBlocks::owner(at(1, 0)), Some((PATIENT, HOME)));
        assert_eq!(LiteBlocks::owner(at(1, 1)), Some((OTHER, HOME)));
        assert_eq!(LiteBlocks::owner(at(2, 0)), Some((PATIENT, AWAY)));
    });
}

#[test]
fn only_a_committed_record_has_an_owner() {
    run(|| {
        committed(1, &[PATIENT]);
        assert_ok!(announce(agent(HOME), visits(2, &[PATIENT])));
        close(AnnouncementId(1), BallotOutcome::Rejected);
        for nowhere in [at(0, 0), at(1, 1), at(1, u16::MAX), at(2, 0), at(u32::MAX, 0)] {
            assert_eq!(LiteBlocks::owner(nowhere), None);
            assert_eq!(LiteBlocks::committed_at(nowhere), None);
        }
        let (header, _) = LiteBlocks::header(1).unwrap();
        assert_eq!(LiteBlocks::committed_at(at(1, 0)), Some(header.time));
    });
}

#[cfg(feature = "runtime-benchmarks")]
#[test]
fn the_largest_block_of_benchmarks_ends_with_the_patients_record() {
    externalities().execute_with(|| {
        for height in [1, 2] {
            let pointer = <LiteBlocks as Records>::set_up(AWAY, PATIENT, height);
            assert_eq!(pointer, at(height, 511));
            assert_eq!(LiteBlocks::owner(pointer), Some((PATIENT, AWAY)));
            assert_eq!(LiteBlocks::entries(height).len(), 512);
        }
        assert_eq!(LiteBlocks::height(), 2);
    });
}

#[test]
fn a_history_lists_the_newest_record_first() {
    run(|| {
        committed(1, &[PATIENT, OTHER, PATIENT]);
        committed(2, &[OTHER]);
        committed(3, &[OTHER, PATIENT]);
        assert_eq!(history(PATIENT, None, 10), [at(3, 1), at(1, 2), at(1, 0)]);
        assert_eq!(history(OTHER, None, 10), [at(3, 0), at(2, 0), at(1, 1)]);
        assert_eq!(history(STRANGER, None, 10), []);
        for (pointer, entry, body_hash) in LiteBlocks::history(PATIENT, None, 10) {
            assert_eq!(LiteBlocks::record(pointer), Some((entry, body_hash)));
        }
    });
}

#[test]
fn a_history_is_read_page_by_page() {
    run(|| {
        for seed in 1..=5 {
            committed(seed, &[PATIENT]);
        }
        assert_eq!(history(PATIENT, None, 2), [at(5, 0), at(4, 0)]);
        assert_eq!(history(PATIENT, Some(at(4, 0)), 2), [at(3, 0), at(2, 0)]);
        assert_eq!(history(PATIENT, Some(at(2, 0)), 2), [at(1, 0)]);
        assert_eq!(history(PATIENT, Some(at(1, 0)), 2), []);
        assert_eq!(history(PATIENT, None, 0), []);
    });
}

#[test]
fn a_history_is_bounded_whatever_the_limit() {
    run(|| {
        let records = MAX_HISTORY as usize + 1;
        committed(1, &vec![PATIENT; records]);
        let newest: Vec<_> = (1..records as u16).rev().map(|index| at(1, index)).collect();
        assert_eq!(history(PATIENT, None, u32::MAX), newest);
        assert_eq!(history(PATIENT, newest.last().copied(), u32::MAX), [at(1, 0)]);
    });
}

#[test]
fn a_history_before_another_patients_record_is_empty() {
    run(|| {
        committed(1, &[PATIENT, OTHER]);
        committed(2, &[PATIENT, OTHER]);
        for before in [at(2, 1), at(2, 9), at(9, 0)] {
            assert_eq!(history(PATIENT, Some(before), 10), []);
        }
    });
}
