#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod classics;
mod credentials;
mod decide;
mod history;
mod invariants;
mod mandates;
mod past;
mod recognition;
mod relate;
mod set_policies;
mod unregistered;
mod unrelate;

use epione_primitives::{
    Moment, UserId,
    access::{
        AccessRequest, Action, Conclusion, Condition, Decision, Denial, FailedPolicy, Place,
        Policies, Policy, Purpose,
        RelationshipKind::{self, *},
        SectionClass,
    },
    profile::Role,
};
use frame_support::{assert_ok, traits::Get};
use sp_runtime::BoundedVec;

use crate::{Event, mock::*};

/// Checks that the test has caused this event and no other.
fn assert_only_event(event: Event<Test>) {
    let events: Vec<_> =
        frame_system::Pallet::<Test>::events().into_iter().map(|record| record.event).collect();
    assert_eq!(events, [event.into()]);
}

fn list<Item: Clone, Bound: Get<u32>>(items: &[Item]) -> BoundedVec<Item, Bound> {
    BoundedVec::try_from(items.to_vec()).map_err(|_| "the list is too long").unwrap()
}

/// A policy for all records, without conditions or an end.
fn policy(name: &str, roles: &[Role], conclusion: Conclusion) -> Policy {
    Policy {
        name: list(name.as_bytes()),
        summary: list(b"a policy of a test"),
        hospitals: BoundedVec::default(),
        roles: list(roles),
        conditions: BoundedVec::default(),
        conclusion,
        expires: None,
    }
}

fn allows(actions: &[Action]) -> Conclusion {
    Conclusion::Allows(list(actions))
}

fn recognises(kinds: &[RelationshipKind]) -> Conclusion {
    Conclusion::Recognises(list(kinds))
}

fn related(kinds: &[RelationshipKind]) -> Condition {
    Condition::Related(list(kinds))
}

fn registered_here() -> Condition {
    Condition::RequesterRegistered(Place::Here)
}

fn policies(policies: &[Policy]) -> Policies {
    list(policies)
}

/// Sets the policies of [`HOME`].
fn set(all: &[Policy]) {
    assert_ok!(RolePolicies::set_policies(governance(HOME), policies(all)));
}

/// Relates a professional to the patient at [`HOME`].
fn relate(professional: UserId, kind: RelationshipKind, expires: Option<Moment>) {
    assert_ok!(RolePolicies::relate(agent(HOME), PATIENT, professional, HOME, kind, expires));
}

/// A request for private records of the patient at [`HOME`].
fn request(requester: UserId, action: Action) -> AccessRequest {
    AccessRequest {
        requester,
        action,
        patient: PATIENT,
        hospital: HOME,
        class: SectionClass::Private,
        purpose: Purpose::Treatment,
        cosigned: false,
    }
}

fn decide(requester: UserId, action: Action) -> Decision {
    RolePolicies::decide(request(requester, action), None)
}

fn allowed_by(version: u32, policy: &str) -> Decision {
    Decision::Allow { version, policy: list(policy.as_bytes()) }
}

fn denied(failed: &[(&str, &[Condition])]) -> Decision {
    let failed = failed.iter().map(|(policy, conditions)| FailedPolicy {
        policy: policy.as_bytes().to_vec(),
        conditions: conditions.to_vec(),
    });
    Decision::Deny(Denial::Failed(failed.collect()))
}

/// The condition of the default policies for professionals who treat a patient.
fn treated() -> Condition {
    related(&[FamilyDoctor, Treating])
}

/// The decision of the default policies for a registered doctor who is not related to the patient.
fn unrelated_doctor() -> Decision {
    let referred = related(&[Referral]);
    denied(&[
        ("related professional", &[treated()]),
        ("referred doctor reads", &[referred]),
        ("shared with requester", &[Condition::SectionShared]),
        ("representative reads", &[Condition::RequesterRepresentsPatient]),
    ])
}
