//! Mandates: what a client computes from proofs is what the runtime says.

use epione_client::chain::{
    Chain, Snapshot,
    calls::{mandates, profiles, role_policies},
};
use epione_policies::default_policies;
use epione_primitives::{
    HospitalId, Moment, UserId,
    access::{AccessRequest, Action, Conclusion, Condition, Policy, Purpose, SectionClass},
    limits::DAY_MILLIS,
    profile::Role,
};

use crate::{
    account, agent,
    node::Node,
    records::{doctor, patient, ready},
    register, user,
    verified::verifying,
};

const HOSPITAL: HospitalId = HospitalId(0);
const PARENT: &str = "//Parent";

async fn time(chain: &Chain) -> Moment {
    chain.finalized().await.unwrap().time().await.unwrap()
}

async fn by_patient(chain: &Chain, call: epione_client::chain::Call) {
    chain.submit(&call, &account("//Patient")).await.unwrap();
}

/// Whether a user represents the patient, as the runtime says and as the client proves.
async fn represents((said, proven): (&Snapshot, &Snapshot), user: UserId) -> bool {
    let expected = said.representation(user, patient()).await.unwrap();
    assert_eq!(proven.representation(user, patient()).await.unwrap(), expected);
    expected.is_some()
}

/// A doctor submits what the patient signed, too.
fn both_sign() -> Policy {
    Policy {
        name: b"both sign".to_vec().try_into().unwrap(),
        summary: b"A doctor submits what the patient signed, too.".to_vec().try_into().unwrap(),
        hospitals: Default::default(),
        roles: vec![Role::Doctor].try_into().unwrap(),
        conditions: vec![Condition::PatientCosigned].try_into().unwrap(),
        conclusion: Conclusion::Allows(vec![Action::Submit].try_into().unwrap()),
        expires: None,
    }
}

fn request(requester: UserId, action: Action) -> AccessRequest {
    AccessRequest {
        requester,
        action,
        patient: patient(),
        hospital: HOSPITAL,
        class: SectionClass::Private,
        purpose: Purpose::Treatment,
        cosigned: false,
    }
}

/// Whether the parent reads, and whether the doctor submits what the patient did not sign, as the runtime says and as
/// the client proves.
async fn allowed((said, proven): (&Snapshot, &Snapshot), at: Option<Moment>) -> (bool, bool) {
    let requests = [request(user(PARENT), Action::ReadText), request(doctor(), Action::Submit)];
    let mut allowed = Vec::new();
    for request in requests {
        let expected = said.decide(&request, at).await.unwrap();
        assert_eq!(proven.decide(&request, at).await.unwrap(), expected, "{request:?} {at:?}");
        allowed.push(expected.is_allowed());
    }
    (allowed[0], allowed[1])
}

#[tokio::test(flavor = "multi_thread")]
async fn mandates_are_proven() {
    let node = Node::start();
    let trusting = ready(&node).await;
    register(&trusting, Role::Patient, PARENT).await;
    let mut policies = default_policies().policies;
    policies.try_push(both_sign()).unwrap();
    let policies = role_policies::set_policies(&policies);
    trusting.submit(&policies, &account("//Alice")).await.unwrap();
    let verified = verifying(&node, &trusting).await;
    let (parent, day) = (user(PARENT), time(&trusting).await + DAY_MILLIS);
    let before = time(&trusting).await;

    by_patient(&trusting, mandates::appoint(parent, day)).await;
    let first = time(&trusting).await;
    by_patient(&trusting, mandates::dismiss(patient(), parent)).await;
    let between = time(&trusting).await;
    by_patient(&trusting, mandates::appoint(parent, day)).await;
    by_patient(&trusting, mandates::appoint(doctor(), day)).await;
    by_patient(&trusting, mandates::authorize(HOSPITAL, day)).await;
    let second = time(&trusting).await;

    let head = verified.finalized_head().await.unwrap();
    let (said, proven) = (trusting.at(head.hash), verified.at(head.hash));
    let states = (&said, &proven);
    assert!(represents(states, parent).await && represents(states, doctor()).await);
    assert!(!represents(states, patient()).await);
    let all = said.representatives(patient(), None, 64).await.unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(proven.representatives(patient(), None, 64).await.unwrap(), all);
    let one = Some(all[0].0);
    assert_eq!(proven.representatives(patient(), one, 64).await.unwrap(), all[1..]);
    assert_eq!(proven.representatives(patient(), None, 1).await.unwrap(), all[..1]);
    assert!(proven.representatives(parent, None, 64).await.unwrap().is_empty());
    let authorizations = said.authorizations(patient()).await.unwrap();
    assert_eq!(authorizations.len(), 1);
    assert_eq!(proven.authorizations(patient()).await.unwrap(), authorizations);
    let moments = [
        (Some(before), (false, false)),
        (Some(first), (true, false)),
        (Some(between), (false, false)),
        (Some(second), (true, true)),
        (None, (true, true)),
        (Some(day), (false, false)),
    ];
    for (at, expected) in moments {
        assert_eq!(allowed(states, at).await, expected, "{at:?}");
    }

    // The mandate is in force, but no hospital vouches for the parent any more.
    let ends = profiles::end_registration(parent);
    trusting.submit(&ends, &agent()).await.unwrap();
    let head = verified.finalized_head().await.unwrap();
    let states = (&trusting.at(head.hash), &verified.at(head.hash));
    assert!(represents(states, parent).await);
    assert_eq!(allowed(states, None).await, (false, true));
    assert_eq!(allowed(states, Some(second)).await, (true, true));

    by_patient(&trusting, mandates::dismiss(patient(), parent)).await;
    by_patient(&trusting, mandates::revoke(HOSPITAL)).await;
    let head = verified.finalized_head().await.unwrap();
    let states = (&trusting.at(head.hash), &verified.at(head.hash));
    assert!(!represents(states, parent).await);
    assert_eq!(allowed(states, None).await, (false, false));
    assert_eq!(allowed(states, Some(second)).await, (true, true));
    let ended = states.1.authorizations(patient()).await.unwrap();
    assert!(ended[0].1.ended.is_some());
}
