//! Which relationships count.

use super::*;

/// Doctors whose relationship of any kind counts may read.
fn reads() -> Policy {
    let asked = related(&[FamilyDoctor, Treating, Referral, CareTeam]);
    Policy {
        conditions: list(&[asked]),
        ..policy("reads", &[Role::Doctor, Role::Nurse], allows(&[Action::ReadText]))
    }
}

fn unrelated() -> (&'static str, Vec<Condition>) {
    ("reads", reads().conditions.into_inner())
}

#[test]
fn a_kind_that_no_policy_recognises_counts_for_nothing() {
    run(|| {
        relate(DOCTOR, Treating, None);
        set(&[reads(), policy("family", &[Role::Doctor], recognises(&[FamilyDoctor]))]);
        let (name, lacking) = unrelated();
        assert_eq!(decide(DOCTOR, Action::ReadText), denied(&[(name, &lacking)]));
        relate(DOCTOR, FamilyDoctor, None);
        assert_eq!(decide(DOCTOR, Action::ReadText), allowed_by(1, "reads"));
    });
}

#[test]
fn the_policy_that_did_not_recognise_is_named_with_what_failed() {
    run(|| {
        relate(DOCTOR, Treating, None);
        pass(1);
        end_registration(HOME, DOCTOR);
        let here = registered_here();
        assert_eq!(
            decide(DOCTOR, Action::ReadText),
            denied(&[
                ("related professional", &[here.clone(), treated()]),
                ("referred doctor reads", &[related(&[Referral])]),
                ("treating professional", &[here]),
            ])
        );
    });
}

#[test]
fn a_relationship_binds_the_professionals_role() {
    run(|| {
        relate(NURSE, Treating, None);
        relate(DOCTOR, Treating, None);
        set(&[reads(), policy("doctors treat", &[Role::Doctor], recognises(&[Treating]))]);
        let (name, lacking) = unrelated();
        assert_eq!(decide(NURSE, Action::ReadText), denied(&[(name, &lacking)]));
        assert_eq!(decide(DOCTOR, Action::ReadText), allowed_by(1, "reads"));
    });
}

#[test]
fn a_relationship_policy_applies_to_the_hospitals_that_it_names() {
    run(|| {
        relate(DOCTOR, Treating, None);
        let treats = policy("treats", &[Role::Doctor], recognises(&[Treating]));
        set(&[reads(), Policy { hospitals: list(&[AWAY]), ..treats.clone() }]);
        assert!(!decide(DOCTOR, Action::ReadText).is_allowed());
        set(&[reads(), Policy { hospitals: list(&[HOME]), ..treats }]);
        assert!(decide(DOCTOR, Action::ReadText).is_allowed());
    });
}

#[test]
fn an_expired_relationship_policy_recognises_nothing() {
    run(|| {
        relate(DOCTOR, Treating, None);
        let treats = policy("treats", &[Role::Doctor], recognises(&[Treating]));
        set(&[reads(), Policy { expires: Some(START + 10), ..treats }]);
        pass(9);
        assert_eq!(decide(DOCTOR, Action::ReadText), allowed_by(1, "reads"));
        pass(1);
        let (name, lacking) = unrelated();
        assert_eq!(
            decide(DOCTOR, Action::ReadText),
            denied(&[(name, &lacking), ("treats", &[Condition::Before(START + 10)])])
        );
    });
}

#[test]
fn one_policy_that_recognises_is_enough() {
    run(|| {
        relate(DOCTOR, Treating, None);
        let until = Condition::Before(START + 10);
        set(&[
            reads(),
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
fn a_relationship_that_has_ended_is_not_explained() {
    run(|| {
        relate(DOCTOR, Treating, Some(START + 10));
        pass(10);
        end_registration(HOME, DOCTOR);
        assert_eq!(
            decide(DOCTOR, Action::ReadText),
            denied(&[
                ("related professional", &[registered_here(), treated()]),
                ("referred doctor reads", &[related(&[Referral])]),
            ])
        );
    });
}
