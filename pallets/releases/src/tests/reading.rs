use epione_primitives::{
    access::Purpose,
    limits::MAX_PAGE,
    release::{ReviewId, Tally},
};
use frame_support::{assert_ok, traits::Hooks};

use crate::mock::*;

/// The numbers of a page.
fn numbers<Item>(page: Vec<(u32, Item)>) -> Vec<u32> {
    page.into_iter().map(|(number, _)| number).collect()
}

#[test]
fn receipts_are_listed_newest_first_a_page_at_a_time() {
    run(|| {
        for seed in 0..5 {
            assert_ok!(record(agent(HOME), reading(seed)));
        }
        let page = |before, limit| numbers(Releases::receipts(PATIENT, before, limit));
        assert_eq!(page(None, 9), vec![4, 3, 2, 1, 0]);
        assert_eq!(page(None, 2), vec![4, 3]);
        assert_eq!(page(Some(3), 2), vec![2, 1]);
        assert_eq!(page(Some(1), 2), vec![0]);
        assert!(page(Some(0), 2).is_empty());
        assert_eq!(page(Some(99), 2), vec![4, 3]);
        assert!(page(None, 0).is_empty());
        let (_, newest) = Releases::receipts(PATIENT, None, 1).remove(0);
        assert_eq!(newest.release.grant, grant(4));
        assert_eq!(Releases::receipts(OTHER_PATIENT, None, 9), vec![]);
    });
}

#[test]
fn the_length_of_a_page_is_bounded() {
    run(|| {
        let more = MAX_PAGE as u8 + 1;
        for seed in 0..more {
            assert_ok!(record(agent(HOME), reading(seed)));
        }
        emergencies(more, more);
        for _ in 0..more {
            crate::Tallies::<Test>::remove(HOME, NURSE);
            assert_ok!(refuse(HOME, NURSE, PATIENT));
        }

        let longest = MAX_PAGE as usize;
        assert_eq!(Releases::receipts(PATIENT, None, u32::MAX).len(), longest);
        assert_eq!(Releases::emergencies(PATIENT, None, u32::MAX).len(), longest);
        assert_eq!(Releases::refusals(PATIENT, None, u32::MAX).len(), longest);
        assert_eq!(Releases::reviews(None, u32::MAX).len(), longest);
    });
}

#[test]
fn emergencies_receipts_and_reviews_have_independent_numbers() {
    run(|| {
        Generous::set(vec![HOME]);
        let others = asking(releasing(emergency(1), &[part(OTHERS)]), |request| {
            request.patient = OTHER_PATIENT;
        });
        assert_ok!(record(agent(HOME), others));
        assert_ok!(record(agent(HOME), reading(2)));
        emergencies(3, 2);
        assert_ok!(record(agent(HOME), reading(5)));

        let listed = |before| Releases::emergencies(PATIENT, before, 9);
        assert_eq!(listed(None), vec![(1, ReviewId(2), review(2)), (0, ReviewId(1), review(1))]);
        assert_eq!(listed(Some(1)), vec![(0, ReviewId(1), review(1))]);
        assert_eq!(review(2).subject.receipt(), Some(2));
        let others = Releases::emergencies(OTHER_PATIENT, None, 9);
        assert_eq!(others, vec![(0, ReviewId(0), review(0))]);
    });
}

#[test]
fn refusals_are_listed_newest_first() {
    run(|| {
        for _ in 0..3 {
            assert_ok!(refuse(HOME, NURSE, PATIENT));
        }
        let page = |before, limit| numbers(Releases::refusals(PATIENT, before, limit));
        assert_eq!(page(None, 2), vec![2, 1]);
        assert_eq!(page(Some(1), 2), vec![0]);
        assert_eq!(Releases::refusals(OTHER_PATIENT, None, 9), vec![]);
    });
}

#[test]
fn every_review_is_listed_newest_first() {
    run(|| {
        assert_eq!(Releases::reviews(None, 9), vec![]);
        emergencies(1, 3);
        let page = |before: Option<u32>, limit| {
            Releases::reviews(before.map(ReviewId), limit)
                .into_iter()
                .map(|(id, _)| id.0)
                .collect::<Vec<_>>()
        };
        assert_eq!(page(None, 2), vec![2, 1]);
        assert_eq!(page(Some(1), 2), vec![0]);
        assert_eq!(Releases::reviews(Some(ReviewId(1)), 1), vec![(ReviewId(0), review(0))]);
    });
}

#[test]
fn a_requester_without_refusals_or_emergencies_has_an_empty_tally() {
    run(|| {
        assert_eq!(Releases::tally(HOME, DOCTOR), Tally { day: 1, ..Tally::default() });
    });
}

#[test]
fn a_recorded_grant_is_in_force_as_long_as_each_right_is_allowed() {
    run(|| {
        assert!(!Releases::is_in_force(grant(1)));
        assert_eq!(Releases::receipt(grant(1)), None);
        assert_ok!(record(agent(HOME), reading(1)));
        assert!(Releases::is_in_force(grant(1)));

        pass(1_000_000);
        assert!(Releases::is_in_force(grant(1)));
        Denied::set(vec![READ_SHARED, BREAK_GLASS]);
        assert!(Releases::is_in_force(grant(1)));
        for revoked in [READ_TEXT, READ_MEDIA] {
            Denied::set(vec![revoked]);
            assert!(!Releases::is_in_force(grant(1)));
        }
        // The receipt stays.
        assert!(Releases::receipt(grant(1)).is_some());
        Denied::set(Vec::new());
        assert!(Releases::is_in_force(grant(1)));
    });
}

#[test]
fn a_grant_is_in_force_for_its_own_purpose_only() {
    run(|| {
        let audit = asking(reading(1), |request| request.purpose = Purpose::Audit);
        assert_ok!(record(agent(HOME), audit));
        assert_ok!(record(agent(HOME), reading(2)));
        DeniedPurposes::set(vec![Purpose::Audit]);
        assert!(!Releases::is_in_force(grant(1)));
        assert!(Releases::is_in_force(grant(2)));
    });
}

#[test]
fn an_answer_is_found_by_its_request() {
    run(|| {
        let release = reading(1);
        let asked = release.request.hash();
        assert_eq!(Releases::answer(asked), None);
        assert_ok!(record(agent(HOME), release));
        assert_eq!(Releases::answer(asked), Some(grant(1)));

        let refused = request(HOME, NURSE, PATIENT);
        let signature = signed(&refused);
        assert_ok!(refuse_request(agent(HOME), refused.clone(), signature));
        assert_eq!(Releases::answer(refused.hash()), None);
        assert_eq!(Releases::refusals(PATIENT, None, 1)[0].1.request, refused.hash());
    });
}

#[test]
fn an_emergency_is_in_force_until_it_is_found_unjustified() {
    run(|| {
        emergencies(0, 3);
        let judged = |id, justified| {
            for hospital in [AWAY, NORTH] {
                assert!(Releases::is_in_force(grant(id)));
                assert_ok!(judge(governance(hospital), u32::from(id), justified));
            }
        };
        judged(0, false);
        assert!(!Releases::is_in_force(grant(0)));
        judged(1, true);
        assert!(Releases::is_in_force(grant(1)));

        let after = review(2).deadline + 1;
        System::set_block_number(after);
        Releases::on_initialize(after);
        assert!(Releases::is_in_force(grant(2)));
        Denied::set(vec![BREAK_GLASS]);
        assert!(!Releases::is_in_force(grant(2)));
    });
}
