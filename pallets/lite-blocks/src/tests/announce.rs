use epione_primitives::{
    AnnouncementId, UserId,
    approval::BallotOutcome,
    block::{
        AnnouncedEntries, AnnouncedEntry, Announcement, Range, Segments, Stage, segments_root,
    },
    limits::{MAX_BODY_BYTES, MAX_ENTRIES, MAX_PENDING_ANNOUNCEMENTS, MAX_SEGMENTS, SEGMENT_BYTES},
    ports::BODY_NOT_AT_TAIL,
};
use frame_support::{assert_noop, assert_ok, dispatch::GetDispatchInfo as _, traits::Get as _};
use frame_system::RawOrigin;
use sp_runtime::DispatchError::BadOrigin;

use super::{events, hash, stage};
use crate::{
    AnnouncementOf, AnnouncementWith, Announcements, Call, CommitWeight, Error, Event, NextId,
    Pending, PendingEntries, mock::*,
};

const ID: AnnouncementId = AnnouncementId(0);

#[track_caller]
fn refused(visits: Visits, error: Error<Test>) {
    assert_noop!(announce(agent(HOME), visits).map_err(|failed| failed.error), error);
}

#[test]
fn the_agent_announces_a_block() {
    run(|| {
        System::set_block_number(7);
        let visits = visits(1, &[PATIENT, OTHER]);
        let body_hash = hash(&visits.body);
        assert_ok!(announce(agent(HOME), visits.clone()));

        assert_eq!(events(), [Event::Announced { id: ID, announcer: HOME, body_hash }]);
        let announcement = Announcement {
            announcer: HOME,
            body_hash,
            body_bytes: 8,
            records: 2,
            segments: visits.header.segments,
            announced_at: 7,
            stage: Stage::Announced,
        };
        assert_eq!(Announcements::<Test>::get(ID), Some(announcement));
        let subject = visits.header.subject(&visits.entries, body_hash);
        assert_eq!(OpenBallots::get(), [(ID, subject, HOME)]);
        for index in 0..2 {
            assert_eq!(AnnouncementWith::<Test>::get(HOME, record(1, index)), Some(ID));
        }
        assert_eq!(PendingEntries::<Test>::get(ID), Some(visits.entries));
        assert_eq!(AnnouncementOf::<Test>::get(HOME, body_hash), Some(ID));
        assert_eq!(Pending::<Test>::get(HOME), 1);
        assert_eq!(NextId::<Test>::get(), AnnouncementId(1));
    });
}

#[test]
fn the_body_is_stored_after_every_other_change() {
    for alone in [false, true] {
        run(|| {
            Alone::set(alone);
            let visits = visits(1, &[PATIENT]);
            assert_ok!(announce(agent(HOME), visits.clone()));
            assert_eq!(Kept::get(), [(visits.body, state())]);
        });
    }
}

#[test]
fn a_single_hospital_commits_immediately() {
    run(|| {
        Alone::set(true);
        assert_ok!(announce(agent(HOME), visits(1, &[PATIENT])));
        assert_eq!(stage(0), Stage::Committed { height: 1 });
        assert!(matches!(
            events()[..],
            [Event::Announced { id: ID, .. }, Event::Committed { id: ID, height: 1, .. }]
        ));
    });
}

#[test]
fn the_weight_of_committing_is_refunded_if_nothing_was_committed() {
    for alone in [false, true] {
        run(|| {
            Alone::set(alone);
            let mut largest = visits(1, &[PATIENT; MAX_ENTRIES as usize]);
            largest.header.segments = segments(MAX_ENTRIES as usize);
            let call = RuntimeCall::from(Call::announce {
                header: largest.header.clone(),
                entries: largest.entries.clone(),
                body: largest.body.clone(),
            });
            let declared = call.get_dispatch_info().call_weight;
            let spent = announce(agent(HOME), largest).unwrap().actual_weight.unwrap();
            let refunded = declared - spent;
            let commit = CommitWeight::<Test>::get();
            assert_eq!(refunded, if alone { Default::default() } else { commit });
        });
    }
}

#[test]
fn the_largest_block_is_accepted() {
    run(|| {
        let mut visits = visits(1, &[PATIENT; MAX_ENTRIES as usize]);
        visits.body = vec![1; MAX_BODY_BYTES as usize];
        let mut entries = visits.entries.into_inner();
        let last = entries.last_mut().unwrap();
        last.text.length = MAX_BODY_BYTES - last.text.offset;
        last.media.length = MAX_SEGMENTS - last.media.offset;
        visits.entries = AnnouncedEntries::truncate_from(entries);
        let bytes = u64::from(MAX_SEGMENTS) * u64::from(SEGMENT_BYTES);
        visits.header.segments = Segments { count: MAX_SEGMENTS, bytes, ..segments(1) };
        assert_ok!(announce(agent(HOME), visits));
    });
}

#[test]
fn a_block_without_media_is_accepted() {
    run(|| {
        let mut visits = visits(1, &[PATIENT, OTHER]);
        visits.header.segments = Segments { root: segments_root(&[]), count: 0, bytes: 0 };
        for entry in visits.entries.iter_mut() {
            entry.media = Range::default();
        }
        assert_ok!(announce(agent(HOME), visits));
    });
}

#[test]
fn unsigned_and_root_origins_are_refused() {
    run(|| {
        for origin in [RawOrigin::None, RawOrigin::Root] {
            assert_noop!(
                announce(origin.into(), visits(1, &[PATIENT])).map_err(|failed| failed.error),
                BadOrigin
            );
        }
    });
}

#[test]
fn only_an_active_hospitals_agent_announces() {
    run(|| {
        let nobody = RawOrigin::Signed([77; 32].into()).into();
        assert_noop!(
            announce(nobody, visits(1, &[PATIENT])).map_err(|failed| failed.error),
            Error::<Test>::NotAgent
        );
        epione_mocks::set_leaving(HOME);
        assert_noop!(
            announce(agent(HOME), visits(1, &[PATIENT])).map_err(|failed| failed.error),
            Error::<Test>::NotAgent
        );
    });
}

#[test]
fn no_hospital_announces_for_another() {
    run(|| {
        let mut visits = visits(1, &[PATIENT]);
        visits.header.announcer = AWAY;
        refused(visits, Error::NotAnnouncer);
    });
}

#[test]
fn the_length_of_a_body_is_bounded() {
    run(|| {
        let mut empty = visits(1, &[PATIENT]);
        empty.body.clear();
        refused(empty, Error::EmptyBody);
        let mut large = visits(1, &[PATIENT]);
        large.body = vec![0; MAX_BODY_BYTES as usize + 1];
        refused(large, Error::BodyTooLarge);
    });
}

#[test]
fn a_block_needs_a_record() {
    run(|| {
        let mut visits = visits(1, &[PATIENT]);
        visits.entries = AnnouncedEntries::default();
        refused(visits, Error::NoEntries);
    });
}

/// A block of three records, one of which is changed.
fn with_entry(index: usize, change: impl FnOnce(&mut AnnouncedEntry)) -> Visits {
    let mut visits = visits(1, &[PATIENT, OTHER, PATIENT]);
    change(&mut visits.entries[index]);
    visits
}

#[test]
fn records_cover_the_body_without_gaps_or_overlaps() {
    run(|| {
        refused(with_entry(1, |entry| entry.text.length = 0), Error::EmptyRange);
        refused(with_entry(1, |entry| entry.text.offset = 3), Error::RangeOverlap);
        refused(with_entry(1, |entry| entry.text.offset = 0), Error::RangeOverlap);
        refused(with_entry(0, |entry| entry.text.length = 5), Error::RangeOverlap);
        refused(with_entry(2, |entry| entry.text.length = 5), Error::RangeOverrun);
        refused(with_entry(2, |entry| entry.text.offset = u32::MAX), Error::RangeOverrun);
        refused(with_entry(0, |entry| entry.text.offset = 1), Error::BodyNotCovered);
        refused(with_entry(0, |entry| entry.text.length = 3), Error::BodyNotCovered);
        refused(with_entry(2, |entry| entry.text.length = 3), Error::BodyNotCovered);
    });
}

#[test]
fn media_cover_the_segments_without_gaps_or_overlaps() {
    run(|| {
        refused(with_entry(1, |entry| entry.media.offset = 0), Error::MediaOverlap);
        refused(with_entry(2, |entry| entry.media.length = 2), Error::MediaOverrun);
        refused(with_entry(2, |entry| entry.media.length = u32::MAX), Error::MediaOverrun);
        refused(with_entry(1, |entry| entry.media.length = 0), Error::SegmentsNotCovered);
        refused(with_entry(2, |entry| entry.media.length = 0), Error::SegmentsNotCovered);
        let elsewhere = with_entry(0, |entry| entry.media = Range { offset: 1, length: 0 });
        refused(elsewhere, Error::SegmentsNotCovered);
    });
}

#[test]
fn the_count_bytes_and_root_of_segments_must_agree() {
    run(|| {
        let with = |change: fn(&mut Segments)| {
            let mut visits = visits(1, &[PATIENT]);
            change(&mut visits.header.segments);
            visits
        };
        refused(with(|segments| segments.count = MAX_SEGMENTS + 1), Error::TooManySegments);
        refused(with(|segments| segments.bytes = 0), Error::SegmentBytesMismatch);
        let too_many_bytes =
            |segments: &mut Segments| segments.bytes = u64::from(SEGMENT_BYTES) + 1;
        refused(with(too_many_bytes), Error::SegmentBytesMismatch);
        let empty_root = |segments: &mut Segments| segments.root = segments_root(&[]);
        refused(with(empty_root), Error::SegmentsRootMismatch);
        let none_but_a_root = |segments: &mut Segments| {
            segments.count = 0;
            segments.bytes = 0;
        };
        refused(with(none_but_a_root), Error::SegmentsRootMismatch);
        let none_but_bytes = |segments: &mut Segments| segments.count = 0;
        refused(with(none_but_bytes), Error::SegmentBytesMismatch);
    });
}

#[test]
fn every_patient_must_be_or_have_been_registered_at_the_announcer() {
    run(|| {
        refused(visits(1, &[PATIENT, STRANGER]), Error::PatientNotRegistered);
        let mut elsewhere = visits(1, &[PATIENT, OTHER]);
        elsewhere.header.announcer = AWAY;
        assert_noop!(
            announce(agent(AWAY), elsewhere).map_err(|failed| failed.error),
            Error::<Test>::PatientNotRegistered
        );
        // The author may have signed before the registration ended.
        end_registration(HOME, OTHER);
        assert_ok!(announce(agent(HOME), visits(1, &[PATIENT, OTHER])));
    });
}

#[test]
fn a_hospital_has_a_bounded_number_of_open_ballots() {
    run(|| {
        for seed in 0..MAX_PENDING_ANNOUNCEMENTS {
            assert_ok!(announce(agent(HOME), visits(seed as u8, &[PATIENT])));
        }
        refused(visits(100, &[PATIENT]), Error::TooManyPending);
        let mut others = visits(101, &[PATIENT]);
        others.header.announcer = AWAY;
        assert_ok!(announce(agent(AWAY), others));
    });
}

#[test]
fn a_body_is_not_announced_twice() {
    run(|| {
        assert_ok!(announce(agent(HOME), visits(1, &[PATIENT])));
        refused(visits(1, &[OTHER]), Error::AlreadyAnnounced);
        committed(2, &[PATIENT]);
        refused(visits(2, &[PATIENT]), Error::AlreadyAnnounced);
    });
}

/// The same bytes, announced by [`AWAY`].
fn copied(seed: u8) -> Visits {
    let mut copy = visits(seed, &[PATIENT]);
    copy.header.announcer = AWAY;
    copy
}

#[test]
fn a_hospital_that_announces_anothers_body_first_does_not_stop_it() {
    run(|| {
        assert_ok!(announce(agent(AWAY), copied(1)));
        assert_ok!(announce(agent(HOME), visits(1, &[PATIENT])));
        let body_hash = hash(&visits(1, &[PATIENT]).body);
        assert_eq!(LiteBlocks::announcement_of(AWAY, body_hash), Some(AnnouncementId(0)));
        assert_eq!(LiteBlocks::announcement_of(HOME, body_hash), Some(AnnouncementId(1)));

        close(AnnouncementId(0), BallotOutcome::Rejected);
        assert_eq!(LiteBlocks::announcement_of(AWAY, body_hash), None);
        assert_eq!(LiteBlocks::announcement_of(HOME, body_hash), Some(AnnouncementId(1)));
        close(AnnouncementId(1), BallotOutcome::Approved);
        assert_eq!(stage(1), Stage::Committed { height: 1 });
    });
}

#[test]
fn a_hospital_whose_copy_was_committed_does_not_stop_the_other() {
    run(|| {
        assert_ok!(announce(agent(AWAY), copied(1)));
        close(AnnouncementId(0), BallotOutcome::Approved);
        assert_ok!(announce(agent(HOME), visits(1, &[PATIENT])));
        close(AnnouncementId(1), BallotOutcome::Approved);
        assert_eq!([stage(0), stage(1)], [1, 2].map(|height| Stage::Committed { height }));
    });
}

#[test]
fn an_announcement_with_a_body_not_at_the_tail_changes_nothing() {
    for alone in [false, true] {
        run(|| {
            Alone::set(alone);
            BodyAtTail::set(false);
            assert_noop!(
                announce(agent(HOME), visits(1, &[PATIENT])).map_err(|failed| failed.error),
                BODY_NOT_AT_TAIL
            );
            assert_eq!(events(), []);
            assert_eq!(Kept::get(), []);
        });
    }
}

#[test]
fn announcements_get_ascending_ids() {
    run(|| {
        for seed in 0..3 {
            assert_ok!(announce(agent(HOME), visits(seed, &[UserId([1; 32])])));
        }
        let ids: Vec<_> = OpenBallots::get().into_iter().map(|(id, ..)| id.0).collect();
        assert_eq!(ids, [0, 1, 2]);
    });
}
