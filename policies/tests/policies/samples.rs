//! The samples: each allows what it is for, and refuses as soon as one of its conditions does not hold, for exactly
//! that reason.

use epione_policies::decision::{Facts, evaluate};
use epione_primitives::{Word, access::PolicySet, credential::AttributeId};

use super::*;

/// 2100-01-01T00:00:00Z, in milliseconds.
const END: u64 = 4_102_444_800_000;

/// A doctor of the hospital before a patient of the hospital, not related to each other.
fn doctor() -> Facts {
    Facts {
        role: Role::Doctor,
        action: Action::ReadText,
        class: SectionClass::Private,
        purpose: Purpose::Treatment,
        cosigned: false,
        at: NOW,
        hospital: HospitalId(0),
        requester_is_patient: false,
        requester_at: vec![HospitalId(0)],
        patient_registered: true,
        credentials: Vec::new(),
        represents_patient: false,
        related: Vec::new(),
    }
}

fn related(kind: RelationshipKind) -> Facts {
    Facts { related: vec![kind], ..doctor() }
}

fn asked_for(kind: RelationshipKind) -> Condition {
    Condition::Related(vec![kind].try_into().unwrap())
}

fn here() -> Condition {
    Condition::RequesterRegistered(Place::Here)
}

fn decide(name: &str, facts: &Facts) -> Decision {
    evaluate(facts, 1, &PolicySet { since: 0, policies: sample(name) })
}

fn assert_allows(name: &str, facts: &Facts, policy: &str) {
    match decide(name, facts) {
        Decision::Allow { version: 1, policy: by } => assert_eq!(&by[..], policy.as_bytes()),
        other => panic!("{name}: {facts:?}: {other:?}"),
    }
}

/// That it is refused, for these policies and conditions.
fn assert_refuses(name: &str, facts: &Facts, expected: &[(&str, &[Condition])]) {
    let Decision::Deny(Denial::Failed(failed)) = decide(name, facts) else {
        panic!("{name}: {facts:?} is not refused by a condition");
    };
    let failed: Vec<_> = failed
        .iter()
        .map(|failed| (str::from_utf8(&failed.policy).unwrap(), &failed.conditions[..]))
        .collect();
    assert_eq!(failed, expected, "{name}: {facts:?}");
}

fn assert_concerns_nobody(name: &str, facts: &Facts) {
    let expected = Denial::NoPolicy { role: facts.role, action: facts.action };
    assert_eq!(decide(name, facts), Decision::Deny(expected), "{name}: {facts:?}");
}

#[test]
fn a_patient_reads_their_own_records_at_the_hospital() {
    let name = "1-own-records";
    let policy = "patient reads own records";
    let patient = Facts { role: Role::Patient, requester_is_patient: true, ..doctor() };
    assert_allows(name, &patient, policy);
    assert_allows(name, &Facts { action: Action::ReadMedia, ..patient.clone() }, policy);

    let other = Facts { requester_is_patient: false, ..patient.clone() };
    assert_refuses(name, &other, &[(policy, &[Condition::RequesterIsPatient])]);
    for requester_at in [vec![], vec![HospitalId(1)]] {
        let elsewhere = Facts { requester_at, ..patient.clone() };
        assert_refuses(name, &elsewhere, &[(policy, &[here()])]);
    }
    assert_concerns_nobody(name, &Facts { action: Action::Submit, ..patient });
    assert_concerns_nobody(name, &doctor());
}

#[test]
fn a_doctor_reads_and_submits_for_whom_they_are_recognised_to_treat() {
    let name = "2-recognised-doctor";
    let (policy, recognition) = ("recognized doctor", "treating doctor");
    let treating = related(RelationshipKind::Treating);
    for action in [Action::ReadText, Action::ReadMedia, Action::Submit] {
        assert_allows(name, &Facts { action, ..treating.clone() }, policy);
    }

    let missing = asked_for(RelationshipKind::Treating);
    let missing = std::slice::from_ref(&missing);
    assert_refuses(name, &doctor(), &[(policy, missing)]);
    // A relationship that no policy recognises counts for nothing.
    assert_refuses(name, &related(RelationshipKind::CareTeam), &[(policy, missing)]);
    let left = Facts { requester_at: vec![HospitalId(1)], ..treating.clone() };
    assert_refuses(name, &left, &[(policy, missing), (recognition, &[here()])]);
    let gone = Facts { patient_registered: false, ..treating.clone() };
    let unregistered = [Condition::PatientRegistered];
    assert_refuses(name, &gone, &[(policy, missing), (recognition, &unregistered)]);
    assert_concerns_nobody(name, &Facts { role: Role::Nurse, ..treating.clone() });
    assert_concerns_nobody(name, &Facts { action: Action::Refer, ..treating });
}

#[test]
fn a_family_doctor_counts_while_both_are_registered() {
    let name = "3-family-doctor";
    let (policy, recognition) = ("family doctor reads", "family doctor");
    let family = related(RelationshipKind::FamilyDoctor);
    assert_allows(name, &family, policy);

    let missing = asked_for(RelationshipKind::FamilyDoctor);
    let missing = std::slice::from_ref(&missing);
    assert_refuses(name, &doctor(), &[(policy, missing)]);
    let both = Facts { requester_at: vec![], patient_registered: false, ..family.clone() };
    let unregistered = [here(), Condition::PatientRegistered];
    assert_refuses(name, &both, &[(policy, missing), (recognition, &unregistered)]);
    let doctor_left = Facts { requester_at: vec![], ..family.clone() };
    assert_refuses(name, &doctor_left, &[(policy, missing), (recognition, &[here()])]);
    let patient_left = Facts { patient_registered: false, ..family };
    let unregistered = [Condition::PatientRegistered];
    assert_refuses(name, &patient_left, &[(policy, missing), (recognition, &unregistered)]);
}

#[test]
fn a_referral_counts_for_doctors_of_the_other_hospital_until_it_ends() {
    let name = "4-referral-doctor";
    let (policy, recognition) = ("referred doctor reads", "referral doctor");
    let other = vec![HospitalId(1)];
    let referred = Facts { requester_at: other.clone(), ..related(RelationshipKind::Referral) };
    assert_allows(name, &referred, policy);
    assert_allows(name, &Facts { at: END - 1, ..referred.clone() }, policy);

    let missing = asked_for(RelationshipKind::Referral);
    let missing = std::slice::from_ref(&missing);
    let unrelated = Facts { related: vec![], ..referred.clone() };
    assert_refuses(name, &unrelated, &[(policy, missing)]);
    let late = Facts { at: END, ..referred.clone() };
    assert_refuses(name, &late, &[(policy, missing), (recognition, &[Condition::Before(END)])]);
    let from_here = Facts { requester_at: vec![HospitalId(0)], ..referred.clone() };
    let place = Condition::RequesterRegistered(Place::OneOf(other.try_into().unwrap()));
    assert_refuses(name, &from_here, &[(policy, missing), (recognition, &[place])]);
    let gone = Facts { patient_registered: false, ..referred.clone() };
    let unregistered = [Condition::PatientRegistered];
    assert_refuses(name, &gone, &[(policy, missing), (recognition, &unregistered)]);
    let purpose = Condition::Purpose(vec![Purpose::Treatment].try_into().unwrap());
    let research = Facts { purpose: Purpose::Research, ..referred };
    assert_refuses(name, &research, &[(policy, &[purpose])]);
}

#[test]
fn the_glass_is_broken_in_an_emergency_only() {
    let name = "5-emergency";
    let policy = "break glass";
    let emergency = Facts { action: Action::BreakGlass, purpose: Purpose::Emergency, ..doctor() };
    assert_allows(name, &emergency, policy);

    let purpose = Condition::Purpose(vec![Purpose::Emergency].try_into().unwrap());
    let treatment = Facts { purpose: Purpose::Treatment, ..emergency.clone() };
    assert_refuses(name, &treatment, &[(policy, &[purpose])]);
    let elsewhere = Facts { requester_at: vec![HospitalId(1)], ..emergency.clone() };
    assert_refuses(name, &elsewhere, &[(policy, &[here()])]);
    let gone = Facts { patient_registered: false, ..emergency.clone() };
    assert_refuses(name, &gone, &[(policy, &[Condition::PatientRegistered])]);
    assert_concerns_nobody(name, &Facts { role: Role::Nurse, ..emergency.clone() });
    assert_concerns_nobody(name, &Facts { action: Action::ReadText, ..emergency });
}

#[test]
fn what_the_patient_did_not_sign_is_not_submitted() {
    let name = "6-cosigned";
    let policy = "submit what both signed";
    let treating = related(RelationshipKind::Treating);
    let signed = Facts { action: Action::Submit, cosigned: true, ..treating };
    assert_allows(name, &signed, policy);
    let alone = Facts { cosigned: false, ..signed.clone() };
    assert_refuses(name, &alone, &[(policy, &[Condition::PatientCosigned])]);
    let stranger = Facts { related: vec![], ..signed };
    let missing = asked_for(RelationshipKind::Treating);
    assert_refuses(name, &stranger, &[(policy, &[missing])]);
}

#[test]
fn in_the_complete_set_each_role_does_its_own() {
    let name = "hospital";
    let nurse = Facts { role: Role::Nurse, ..related(RelationshipKind::CareTeam) };
    assert_allows(name, &nurse, "professional reads");
    assert_allows(
        name,
        &Facts { action: Action::Submit, cosigned: true, ..nurse.clone() },
        "nurse submits what the patient signed",
    );
    assert!(!decide(name, &Facts { action: Action::Submit, ..nurse }).is_allowed());

    let family = related(RelationshipKind::FamilyDoctor);
    for (action, policy) in [
        (Action::ReadMedia, "professional reads"),
        (Action::Submit, "doctor submits"),
        (Action::Refer, "doctor refers"),
        (Action::Relate, "doctor refers"),
    ] {
        assert_allows(name, &Facts { action, ..family.clone() }, policy);
    }
}

#[test]
fn in_the_complete_set_others_read_what_a_patient_shares_with_them() {
    let name = "hospital";
    let unrepresented =
        ("representative reads", &[Condition::RequesterRepresentsPatient] as &[Condition]);
    let shared = Facts { class: SectionClass::Shared, requester_at: vec![], ..doctor() };
    let (role, purpose) = (Role::Researcher, Purpose::Research);
    let researcher = Facts { role, purpose, ..shared.clone() };
    assert_allows(name, &researcher, "research");
    assert_allows(name, &Facts { action: Action::ReadMedia, ..researcher.clone() }, "research");
    let private = Facts { class: SectionClass::Private, ..researcher };
    assert_refuses(name, &private, &[unrepresented, ("research", &[Condition::SectionShared])]);

    let (role, purpose) = (Role::Insurer, Purpose::Payment);
    let insurer = Facts { role, purpose, ..shared.clone() };
    assert_allows(name, &insurer, "insurance");
    let asked_for = Facts { purpose: Purpose::PatientRequest, ..insurer.clone() };
    assert_allows(name, &asked_for, "insurance");
    assert!(!decide(name, &Facts { purpose: Purpose::Research, ..insurer.clone() }).is_allowed());
    let private = Facts { class: SectionClass::Private, ..insurer.clone() };
    assert_refuses(name, &private, &[unrepresented, ("insurance", &[Condition::SectionShared])]);
    assert_refuses(name, &Facts { action: Action::ReadMedia, ..insurer }, &[unrepresented]);

    let (role, purpose) = (Role::PublicAuthority, Purpose::PublicHealth);
    let authority = Facts { role, purpose, ..shared };
    assert_allows(name, &authority, "public health");
    let private = Facts { class: SectionClass::Private, ..authority.clone() };
    let missing = ("public health", &[Condition::SectionShared] as &[Condition]);
    assert_refuses(name, &private, &[unrepresented, missing]);
    assert!(!decide(name, &Facts { purpose: Purpose::Payment, ..authority }).is_allowed());

    // What auditors need is on the chain.
    for class in [SectionClass::Private, SectionClass::Shared] {
        let auditor = Facts { role: Role::Auditor, purpose: Purpose::Audit, class, ..doctor() };
        assert_concerns_nobody(name, &auditor);
    }
}

#[test]
fn in_the_complete_set_two_hospitals_confirm_a_cardiologist() {
    let name = "hospital";
    let from = |issuers: &[u16]| Facts {
        class: SectionClass::Shared,
        requester_at: vec![],
        credentials: issuers.iter().map(|id| (AttributeId(0), HospitalId(*id))).collect(),
        ..doctor()
    };
    for issuers in [&[1, 2][..], &[2, 3], &[1, 2, 3]] {
        assert_allows(name, &from(issuers), "cardiologist reads");
    }
    // Nor does a hospital that the policy does not name count.
    for issuers in [&[][..], &[1], &[0, 1], &[1, 4]] {
        assert!(!decide(name, &from(issuers)).is_allowed(), "{issuers:?}");
    }
    let private = Facts { class: SectionClass::Private, ..from(&[1, 2]) };
    assert!(!decide(name, &private).is_allowed());
}

#[test]
fn in_the_complete_set_a_representative_reads_for_a_patient_of_the_hospital() {
    let name = "hospital";
    let represents = Facts { represents_patient: true, requester_at: vec![], ..doctor() };
    for role in Role::ALL.iter().filter(|role| **role != Role::Auditor) {
        for action in [Action::ReadText, Action::ReadMedia] {
            let facts = Facts { role: *role, action, ..represents.clone() };
            assert_allows(name, &facts, "representative reads");
        }
        assert!(
            !decide(name, &Facts { role: *role, represents_patient: false, ..represents.clone() })
                .is_allowed()
        );
        assert!(
            !decide(name, &Facts { role: *role, patient_registered: false, ..represents.clone() })
                .is_allowed()
        );
    }
    assert_concerns_nobody(name, &Facts { role: Role::Auditor, ..represents });
}
