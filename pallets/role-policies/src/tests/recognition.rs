//! Which relationships the policies recognize.

use super::*;

/// Doctors and nurses with a relationship of one of these kinds may read.
fn reads(kinds: &[RelationshipKind]) -> Policy {
    Policy {
        conditions: list(&[related(kinds)]),
        ..policy("reads", &[Role::Doctor, Role::Nurse], allows(&[Action::ReadText]))
    }
}

#[test]
fn a_kind_that_is_recognized_for_another_role_only_does_not_count() {
    run(|| {
        relate(DOCTOR, Treating, None);
        let kinds = [FamilyDoctor, Treating];
        set(&[
            reads(&kinds),
            policy("doctors", &[Role::Doctor], recognises(&[FamilyDoctor])),
            policy("nurses", &[Role::Nurse], recognises(&[Treating])),
        ]);
        let unrelated = denied(&[("reads", &[related(&kinds)])]);
        assert_eq!(decide(DOCTOR, Action::ReadText), unrelated);
        relate(DOCTOR, FamilyDoctor, None);
        assert_eq!(decide(DOCTOR, Action::ReadText), allowed_by(1, "reads"));
    });
}

#[test]
fn a_denial_names_the_relationship_policy_and_its_failed_conditions() {
    run(|| {
        relate(DOCTOR, Treating, None);
        register(AWAY, DOCTOR, START);
        pass(1);
        end_registration(HOME, DOCTOR);
        let here = registered_here();
        assert_eq!(
            decide(DOCTOR, Action::ReadText),
            denied(&[
                ("related professional", &[here.clone(), treated()]),
                ("referred doctor reads", &[related(&[Referral])]),
                ("shared with requester", &[Condition::SectionShared]),
                ("representative reads", &[Condition::RequesterRepresentsPatient]),
                ("treating professional", &[here]),
            ])
        );
    });
}

#[test]
fn a_relationship_policy_applies_to_the_roles_that_it_names() {
    run(|| {
        relate(NURSE, Treating, None);
        relate(DOCTOR, Treating, None);
        let treats = policy("doctors treat", &[Role::Doctor], recognises(&[Treating]));
        set(&[reads(&[Treating]), treats]);
        let unrelated = denied(&[("reads", &[related(&[Treating])])]);
        assert_eq!(decide(NURSE, Action::ReadText), unrelated);
        assert_eq!(decide(DOCTOR, Action::ReadText), allowed_by(1, "reads"));
    });
}

#[test]
fn a_relationship_policy_applies_to_the_hospitals_that_it_names() {
    run(|| {
        relate(DOCTOR, Treating, None);
        let treats = policy("treats", &[Role::Doctor], recognises(&[Treating]));
        set(&[reads(&[Treating]), Policy { hospitals: list(&[AWAY]), ..treats.clone() }]);
        assert!(!decide(DOCTOR, Action::ReadText).is_allowed());
        set(&[reads(&[Treating]), Policy { hospitals: list(&[HOME]), ..treats }]);
        assert!(decide(DOCTOR, Action::ReadText).is_allowed());
    });
}

#[test]
fn an_expired_relationship_policy_recognizes_no_relationship() {
    run(|| {
        relate(DOCTOR, Treating, None);
        let treats = policy("treats", &[Role::Doctor], recognises(&[Treating]));
        set(&[reads(&[Treating]), Policy { expires: Some(START + 10), ..treats }]);
        pass(9);
        assert_eq!(decide(DOCTOR, Action::ReadText), allowed_by(1, "reads"));
        pass(1);
        let end = Condition::Before(START + 10);
        assert_eq!(
            decide(DOCTOR, Action::ReadText),
            denied(&[("reads", &[related(&[Treating])]), ("treats", &[end])])
        );
    });
}

#[test]
fn one_policy_that_recognizes_a_relationship_is_enough() {
    run(|| {
        relate(DOCTOR, Treating, None);
        let until = Condition::Before(START + 10);
        set(&[
            reads(&[Treating]),
            Policy {
                conditions: list(&[until]),
                ..policy("for now", &[Role::Doctor], recognises(&[Treating]))
            },
            policy("for good", &[Role::Doctor], recognises(&[Treating])),
        ]);
        pass(10);
        assert_eq!(decide(DOCTOR, Action::ReadText), allowed_by(1, "reads"));
    });
}

#[test]
fn a_denial_does_not_mention_a_relationship_that_has_expired() {
    run(|| {
        relate(DOCTOR, Treating, Some(START + 10));
        pass(10);
        end_registration(HOME, DOCTOR);
        assert_eq!(
            decide(DOCTOR, Action::ReadText),
            denied(&[
                ("related professional", &[registered_here(), treated()]),
                ("referred doctor reads", &[related(&[Referral])]),
                ("shared with requester", &[Condition::SectionShared]),
                ("representative reads", &[Condition::RequesterRepresentsPatient]),
            ])
        );
    });
}
