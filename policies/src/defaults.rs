//! The policies that every hospital begins with.

use alloc::{vec, vec::Vec};
use epione_primitives::{
    access::{
        Action::{ReadMedia, ReadText, Refer, Submit},
        Conclusion, Condition, Place, Policy, PolicySet, RelationshipKind,
        RelationshipKind::{CareTeam, FamilyDoctor, Referral, Treating},
    },
    profile::Role,
};
use sp_core::{Get, bounded::BoundedVec};

/// The policies of a hospital that has set none, which is version 0 of every hospital's: patients
/// read their own records; doctors and nurses read and submit for patients whom they treat; doctors
/// refer such patients, and those referred to read until the referral ends; everybody but auditors reads what a patient
/// shares with them, and a patient's representatives read what the patient may read.
pub fn default_policies() -> PolicySet {
    let mut policies = relationship_policies();
    policies.extend(operation_policies());
    PolicySet { since: 0, policies: list(policies) }
}

fn relationship_policies() -> Vec<Policy> {
    let recognises = |kinds| Conclusion::Recognises(list(kinds));
    let both_registered =
        || vec![Condition::RequesterRegistered(Place::Here), Condition::PatientRegistered];
    vec![
        policy(
            "family doctor",
            "A doctor is a patient's family doctor while both are registered here.",
            vec![Role::Doctor],
            both_registered(),
            recognises(vec![FamilyDoctor]),
        ),
        policy(
            "treating professional",
            "Doctors and nurses treat a patient while both are registered here.",
            vec![Role::Doctor, Role::Nurse],
            both_registered(),
            recognises(vec![Treating, CareTeam]),
        ),
        policy(
            "referral doctor",
            "A patient registered here may be referred to a doctor of any hospital.",
            vec![Role::Doctor],
            vec![Condition::PatientRegistered],
            recognises(vec![Referral]),
        ),
    ]
}

fn operation_policies() -> Vec<Policy> {
    let allows = |actions| Conclusion::Allows(list(actions));
    let here = || Condition::RequesterRegistered(Place::Here);
    let related = |kinds: Vec<RelationshipKind>| Condition::Related(list(kinds));
    vec![
        policy(
            "patient reads own records",
            "Patients read what is recorded about them here.",
            vec![Role::Patient],
            vec![Condition::RequesterIsPatient, here()],
            allows(vec![ReadText, ReadMedia]),
        ),
        policy(
            "related professional",
            "Those who treat a patient read and write the patient's records.",
            vec![Role::Doctor, Role::Nurse],
            vec![here(), Condition::PatientRegistered, related(vec![FamilyDoctor, Treating])],
            allows(vec![ReadText, ReadMedia, Submit]),
        ),
        policy(
            "referred doctor reads",
            "A doctor to whom a patient is referred reads the patient's records.",
            vec![Role::Doctor],
            vec![Condition::PatientRegistered, related(vec![Referral])],
            allows(vec![ReadText, ReadMedia]),
        ),
        policy(
            "doctor refers",
            "A doctor who treats a patient refers the patient to another doctor.",
            vec![Role::Doctor],
            vec![here(), Condition::PatientRegistered, related(vec![FamilyDoctor, Treating])],
            allows(vec![Refer]),
        ),
        policy(
            "shared with requester",
            "Whoever a patient shares a section with reads it: the patient's consent is enough.",
            all_but_auditors(),
            vec![Condition::SectionShared],
            allows(vec![ReadText, ReadMedia]),
        ),
        policy(
            "representative reads",
            "Those who represent a patient registered here read the patient's records.",
            all_but_auditors(),
            vec![Condition::RequesterRepresentsPatient, Condition::PatientRegistered],
            allows(vec![ReadText, ReadMedia]),
        ),
    ]
}

/// Auditors check hashes, proofs and receipts, for which they read no record.
fn all_but_auditors() -> Vec<Role> {
    vec![
        Role::Doctor,
        Role::Nurse,
        Role::Patient,
        Role::Researcher,
        Role::Insurer,
        Role::Pharmacist,
        Role::PublicAuthority,
        Role::AlliedProfessional,
    ]
}

fn policy(
    name: &str,
    summary: &str,
    roles: Vec<Role>,
    conditions: Vec<Condition>,
    conclusion: Conclusion,
) -> Policy {
    Policy {
        name: list(name.into()),
        summary: list(summary.into()),
        hospitals: BoundedVec::default(),
        roles: list(roles),
        conditions: list(conditions),
        conclusion,
        expires: None,
    }
}

fn list<Item, Bound: Get<u32>>(items: Vec<Item>) -> BoundedVec<Item, Bound> {
    BoundedVec::truncate_from(items)
}
