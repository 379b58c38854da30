//! Every broken invariant is detected.

use epione_primitives::{
    AnnouncementId, Hash, RecordPointer, approval::BallotOutcome, ports::IndexLinks as _,
};
use frame_support::{assert_err, assert_ok};

use crate::{
    AnnouncementOf, AnnouncementWith, Announcements, Entries, Hashes, Headers, Height, NextId,
    Pending, PendingEntries, PruneCursor, mock::*,
};

/// Two committed blocks, one rejected announcement and an open one (id 3).
fn populated() {
    committed(1, &[PATIENT]);
    committed(2, &[PATIENT, OTHER]);
    assert_ok!(announce(agent(HOME), visits(3, &[OTHER])));
    close(AnnouncementId(2), BallotOutcome::Rejected);
    assert_ok!(announce(agent(HOME), visits(4, &[OTHER])));
    LiteBlocks::check_state().unwrap();
}

#[track_caller]
fn detected(message: &'static str, damage: fn()) {
    externalities().execute_with(|| {
        populated();
        damage();
        assert_err!(LiteBlocks::check_state(), message);
    });
}

#[test]
fn missing_and_extra_parts_of_blocks_are_found() {
    detected("a height has no block", || Height::<Test>::put(3));
    detected("a height has no block", || Hashes::<Test>::remove(1));
    detected("a block has no entries", || Entries::<Test>::remove(2));
    detected("a block is stored beyond the height", || {
        Hashes::<Test>::insert(3, Hashes::<Test>::get(2).unwrap())
    });
}

#[test]
fn changed_blocks_are_found() {
    detected("a header disagrees with its height or entries", || {
        Headers::<Test>::mutate(2, |header| header.as_mut().unwrap().records = 1);
    });
    detected("a block does not refer to the previous block", || {
        Headers::<Test>::mutate(2, |header| {
            header.as_mut().unwrap().previous_lite = Hash::zero();
        });
    });
    detected("a block's hashes do not follow from its header and entries", || {
        Headers::<Test>::mutate(2, |header| header.as_mut().unwrap().time += 1);
    });
    detected("a block's hashes do not follow from its header and entries", || {
        Entries::<Test>::mutate(2, |entries| entries.as_mut().unwrap()[0].previous = None);
    });
    detected("a header disagrees with its announcement", || {
        Announcements::<Test>::mutate(AnnouncementId(1), |found| {
            found.as_mut().unwrap().body_bytes += 1;
        });
    });
}

#[test]
fn broken_links_are_found() {
    detected("the index links do not point to a patient's last record", || {
        IndexLinks::link(PATIENT, RecordPointer { height: 1, index: 0 });
    });
    detected("an entry does not point to the patient's previous record", || {
        let mut entries = Entries::<Test>::get(2).unwrap();
        entries[0].previous = Some(RecordPointer { height: 2, index: 1 });
        let (header, mut hashes) = LiteBlocks::header(2).unwrap();
        hashes.lite = header.lite_hash(&entries);
        hashes.cloud = epione_primitives::block::cloud_hash(hashes.lite, header.segments.root);
        Entries::<Test>::insert(2, entries);
        Hashes::<Test>::insert(2, hashes);
    });
}

#[test]
fn broken_announcements_are_found() {
    detected("an announcement has an id that was not assigned yet", || {
        NextId::<Test>::put(AnnouncementId(0));
    });
    detected("a closed announcement has pending entries", || {
        let entries = PendingEntries::<Test>::get(AnnouncementId(3)).unwrap();
        PendingEntries::<Test>::insert(AnnouncementId(2), entries);
    });
    detected("an open announcement has no entries", || {
        PendingEntries::<Test>::remove(AnnouncementId(3));
    });
    detected("an open announcement's entries do not fit", || {
        PendingEntries::<Test>::mutate(AnnouncementId(3), |entries| {
            entries.as_mut().unwrap()[0].text.length = 3;
        });
    });
    detected("entries are pending without an announcement", || {
        let entries = PendingEntries::<Test>::get(AnnouncementId(3)).unwrap();
        PendingEntries::<Test>::insert(AnnouncementId(9), entries);
    });
    detected("an announcement is not found by its body", || {
        let body_hash = Announcements::<Test>::get(AnnouncementId(3)).unwrap().body_hash;
        AnnouncementOf::<Test>::remove(HOME, body_hash);
    });
    detected("a body points to an announcement that is neither open nor committed", || {
        AnnouncementOf::<Test>::insert(HOME, Hash::zero(), AnnouncementId(2));
    });
    detected("a committed announcement has no block", || {
        let mut announcement = Announcements::<Test>::get(AnnouncementId(1)).unwrap();
        announcement.body_hash = Hash::zero();
        AnnouncementOf::<Test>::insert(HOME, Hash::zero(), AnnouncementId(2));
        Announcements::<Test>::insert(AnnouncementId(2), announcement);
    });
}

#[test]
fn records_that_could_be_announced_again_are_found() {
    // An open one and a committed one.
    detected("an announcement is not found by its records", || {
        AnnouncementWith::<Test>::remove(HOME, record(4, 0));
    });
    detected("an announcement is not found by its records", || {
        AnnouncementWith::<Test>::remove(HOME, record(2, 1));
    });
    detected("an announcement is not found by its records", || {
        AnnouncementWith::<Test>::insert(HOME, record(1, 0), AnnouncementId(3));
    });
}

#[test]
fn records_that_could_never_be_announced_again_are_found() {
    const MESSAGE: &str = "a record is announced twice, or points to an announcement without it";
    detected(MESSAGE, || AnnouncementWith::<Test>::insert(HOME, record(3, 0), AnnouncementId(2)));
    detected(MESSAGE, || AnnouncementWith::<Test>::insert(AWAY, record(1, 0), AnnouncementId(0)));
}

#[test]
fn wrongly_pruned_announcements_are_found() {
    detected("an announcement before the cursor is not committed", || {
        PruneCursor::<Test>::put(AnnouncementId(3));
    });
    detected("an announcement after the cursor is missing", || {
        Announcements::<Test>::remove(AnnouncementId(2));
    });
}

#[test]
fn miscounted_ballots_are_found() {
    detected("pending announcements are miscounted", || Pending::<Test>::insert(HOME, 2));
    detected("pending announcements are miscounted", || Pending::<Test>::insert(AWAY, 1));
}
