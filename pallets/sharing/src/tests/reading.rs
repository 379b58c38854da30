//! What the runtime API answers.

use epione_primitives::{
    Hash, RecordPointer,
    limits::{MAX_PAGE, MAX_RELEASED_RECORDS},
    release::SectionSet,
    sharing::{SharedChange, SlotId, Term},
};
use frame_support::assert_ok;
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use crate::{Changes, EarlierConsents, PlacedIn, mock::*};

#[test]
fn a_bounded_number_of_records_is_read_in_order() {
    run(|| {
        assert_ok!(place(user(PATIENT), SLOT, &[part(FIRST, &[0])]));
        let read = Sharing::placements(vec![OTHERS, UNCOMMITTED, FIRST, SECOND]);
        let lengths: Vec<_> = read.iter().map(|placements| placements.len()).collect();
        assert_eq!(lengths, [0, 0, 1, 0]);
        let longest = MAX_RELEASED_RECORDS as usize;
        assert_eq!(Sharing::placements(vec![FIRST; longest + 1]).len(), longest);
        assert!(Sharing::placements(vec![]).is_empty());
    });
}

#[test]
fn the_index_of_a_slot_is_read_in_pages_without_other_slots_and_patients() {
    run(|| {
        assert_ok!(place(user(PATIENT), SLOT, &[part(FIRST, &[0]), part(SECOND, &[1])]));
        assert_ok!(place(user(PATIENT), SLOT, &[part(ELSEWHERE, &[2])]));
        assert_ok!(place(user(PATIENT), SlotId(4), &[part(FIRST, &[3])]));
        assert_ok!(place(user(OTHER_PATIENT), SLOT, &[part(OTHERS, &[4])]));
        let mut all = Sharing::placed_in(PATIENT, SLOT, None, 9);
        let mut paged = Vec::new();
        let mut after = None;
        while let [(pointer, sections)] = Sharing::placed_in(PATIENT, SLOT, after, 1)[..] {
            paged.push((pointer, sections));
            after = Some(pointer);
        }
        assert_eq!(paged, all, "in the order of storage");
        all.sort_by_key(|(pointer, _)| *pointer);
        let expected =
            [(FIRST, sections(&[0])), (SECOND, sections(&[1])), (ELSEWHERE, sections(&[2]))];
        assert_eq!(all, expected);
        assert!(Sharing::placed_in(PATIENT, SlotId(9), None, 9).is_empty());
    });
}

#[test]
fn no_page_is_longer_than_the_limit() {
    externalities().execute_with(|| {
        let many = MAX_PAGE + 1;
        for height in 0..many {
            let pointer = RecordPointer { height, index: 0 };
            PlacedIn::<Test>::insert((PATIENT, SLOT, pointer), SectionSet(1));
        }
        for _ in 0..=many {
            assert_ok!(give(user(PATIENT), SLOT, consent(&[Term::User(INSURER)])));
        }
        let page = MAX_PAGE as usize;
        assert_eq!(Sharing::placed_in(PATIENT, SLOT, None, u32::MAX).len(), page);
        assert_eq!(Sharing::earlier_consents(PATIENT, SLOT, None, u32::MAX).len(), page);
        assert_eq!(Sharing::changes(1, u32::MAX).len(), page);
    });
}

#[test]
fn earlier_versions_are_newest_first_before_a_version() {
    run(|| {
        for _ in 0..4 {
            assert_ok!(give(user(PATIENT), SLOT, consent(&[Term::User(INSURER)])));
        }
        let versions = |before, limit| {
            let read = Sharing::earlier_consents(PATIENT, SLOT, before, limit);
            read.into_iter().map(|version| version.version).collect::<Vec<_>>()
        };
        assert_eq!(versions(None, 9), [3, 2, 1]);
        assert_eq!(versions(None, 2), [3, 2]);
        assert_eq!(versions(Some(2), 9), [1]);
        assert_eq!(versions(Some(99), 9), [3, 2, 1]);
        assert!(versions(Some(0), 9).is_empty() && versions(None, 0).is_empty());
        assert_eq!(EarlierConsents::<Test>::iter_keys().count(), 3);
    });
}

/// Who has only the head recognizes every change of what was shared before.
#[test]
fn the_chain_of_changes_is_followed_from_its_head() {
    run(|| {
        assert_eq!(Sharing::head(), (0, Hash::zero()));
        assert_ok!(place(user(PATIENT), SLOT, &[part(FIRST, &[0]), part(SECOND, &[1])]));
        assert_ok!(give(user(PATIENT), SLOT, consent(&[Term::User(INSURER)])));
        assert_ok!(place(user(OTHER_PATIENT), SLOT, &[part(OTHERS, &[4])]));
        let changes = Sharing::changes(1, 9);
        let (height, head) = Sharing::head();
        assert_eq!((changes.len(), height), (4, 4));
        let mut previous = Hash::zero();
        for (height, change) in (1..).zip(&changes) {
            assert_eq!((change.height, change.previous), (height, previous));
            previous = BlakeTwo256::hash_of(change);
        }
        assert_eq!(previous, head);
        assert_eq!(Sharing::changes(3, 9), changes[2..]);
        assert_eq!(Sharing::changes(2, 1), changes[1..2]);
        assert!(Sharing::changes(5, 9).is_empty());
        let stored: Option<SharedChange> = Changes::<Test>::get(2_u64);
        assert_eq!(stored.as_ref(), changes.get(1));
    });
}
