//! Earlier relationships: any number of them, found by the moment, read page by page.

use epione_primitives::{
    HospitalId, Word as _,
    access::Relationship,
    limits::{MAX_PAGE, MAX_RELATIONSHIPS},
};

use super::*;
use crate::Relationships;

/// Relates the doctor to the patient as often as told, each time for ten milliseconds with a pause of ten.
fn relate_repeatedly(times: u64) {
    for _ in 0..times {
        relate(DOCTOR, Treating, Some(Now::get() + 10));
        pass(20);
    }
}

fn is_allowed_at(moment: Moment) -> bool {
    RolePolicies::decide(request(DOCTOR, Action::ReadText), Some(moment)).is_allowed()
}

/// Numbers and beginnings of a page of the doctor's earlier relationships.
fn earlier(before: Option<u32>, limit: u32) -> Vec<(u32, Moment)> {
    RolePolicies::earlier_relationships((PATIENT, DOCTOR, HOME), Treating, before, limit)
        .into_iter()
        .map(|(number, relationship)| (number, relationship.since))
        .collect()
}

#[test]
fn one_of_each_kind_fits() {
    assert_eq!(RelationshipKind::ALL.len() as u32, MAX_RELATIONSHIPS);
    run(|| {
        for kind in RelationshipKind::ALL {
            relate(DOCTOR, *kind, Some(START + 10));
        }
        let stored = Relationships::<Test>::get((PATIENT, DOCTOR, HOME)).len();
        assert_eq!(stored as u32, MAX_RELATIONSHIPS);
    });
}

#[test]
fn a_patient_cannot_use_up_the_relationships_with_a_doctor() {
    run(|| {
        for _ in 0..100 {
            let relate = RolePolicies::relate(user(PATIENT), PATIENT, DOCTOR, HOME, Treating, None);
            assert_ok!(relate);
            assert_ok!(RolePolicies::unrelate(user(PATIENT), PATIENT, DOCTOR, HOME, Treating));
        }
        relate(DOCTOR, Treating, None);
        assert!(decide(DOCTOR, Action::ReadText).is_allowed());
    });
}

#[test]
fn referrals_of_many_years_do_not_run_out() {
    run(|| {
        for _ in 0..40 {
            relate(SPECIALIST, Referral, Some(Now::get() + 10));
            pass(10);
        }
        relate(SPECIALIST, Referral, Some(Now::get() + 10));
    });
}

#[test]
fn every_earlier_relationship_decides_about_its_own_time() {
    for times in 1..12 {
        run(|| {
            relate_repeatedly(times);
            for number in 0..times {
                let since = START + 20 * number;
                let expected =
                    [(since, true), (since + 9, true), (since + 10, false), (since + 19, false)];
                for (moment, allowed) in expected {
                    assert_eq!(is_allowed_at(moment), allowed, "{times} times, at {moment}");
                }
            }
            assert!(!is_allowed_at(START - 1));
        });
    }
}

#[test]
fn two_relationships_of_one_moment_do_not_hide_each_other() {
    run(|| {
        relate(DOCTOR, Treating, None);
        assert_ok!(RolePolicies::unrelate(agent(HOME), PATIENT, DOCTOR, HOME, Treating));
        relate(DOCTOR, Treating, Some(START + 10));
        pass(20);
        relate(DOCTOR, Treating, None);
        assert!(is_allowed_at(START));
        assert!(!is_allowed_at(START + 10));
    });
}

#[test]
fn earlier_relationships_are_read_page_by_page() {
    run(|| {
        relate_repeatedly(4);
        let since = |number: u32| (number, START + 20 * Moment::from(number));
        assert_eq!(earlier(None, 2), [2, 1].map(since));
        assert_eq!(earlier(Some(1), 2), [since(0)]);
        assert_eq!(earlier(Some(0), 2), []);
        assert_eq!(earlier(None, 0), []);
    });
}

#[test]
fn a_page_of_earlier_relationships_is_bounded() {
    run(|| {
        relate_repeatedly(u64::from(MAX_PAGE) + 2);
        assert_eq!(earlier(None, u32::MAX).len() as u32, MAX_PAGE);
    });
}

#[test]
fn the_relationships_of_a_patient_are_read_page_by_page() {
    run(|| {
        register(AWAY, PATIENT, START);
        relate(DOCTOR, Treating, None);
        relate(DOCTOR, FamilyDoctor, None);
        relate(NURSE, CareTeam, None);
        let expires = Some(START + 10);
        assert_ok!(RolePolicies::relate(agent(AWAY), PATIENT, DOCTOR, AWAY, Referral, expires));

        let all = RolePolicies::relationships(PATIENT, None, MAX_PAGE);
        assert_eq!(all.len(), 4);
        let mut after: Option<(UserId, HospitalId)> = None;
        let mut read: Vec<(UserId, Relationship)> = Vec::new();
        for _ in 0..3 {
            let page = RolePolicies::relationships(PATIENT, after, 1);
            after = page.last().map(|(professional, last)| (*professional, last.hospital));
            read.extend(page);
        }
        assert_eq!(read, all);
        assert_eq!(RolePolicies::relationships(PATIENT, after, 1), []);
        assert_eq!(RolePolicies::relationships(PATIENT, None, 0), []);
        assert_eq!(RolePolicies::relationships(OTHER_PATIENT, None, MAX_PAGE), []);
    });
}
