//! Mandates: what a client computes from proofs is what the runtime says.

use epione_client::chain::{Chain, Snapshot, calls::mandates};
use epione_primitives::{
    HospitalId, Moment, UserId,
    access::{AccessRequest, Action, Purpose, SectionClass},
    limits::DAY_MILLIS,
    profile::Role,
};

use crate::{
    account,
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
    let expected = said.represents(user, patient()).await.unwrap();
    assert_eq!(proven.represents(user, patient()).await.unwrap(), expected);
    expected
}

/// The doctor submits a visit without the patient's signature.
fn submission() -> AccessRequest {
    AccessRequest {
        requester: doctor(),
        action: Action::Submit,
        patient: patient(),
        hospital: HOSPITAL,
        class: SectionClass::Private,
        purpose: Purpose::Treatment,
        cosigned: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mandates_are_proven() {
    let node = Node::start();
    let trusting = ready(&node).await;
    register(&trusting, Role::Patient, PARENT).await;
    let verified = verifying(&node, &trusting).await;
    let (parent, day) = (user(PARENT), time(&trusting).await + DAY_MILLIS);
    let before = time(&trusting).await;

    by_patient(&trusting, mandates::appoint(parent, day)).await;
    by_patient(&trusting, mandates::dismiss(patient(), parent)).await;
    let between = time(&trusting).await;
    by_patient(&trusting, mandates::appoint(parent, day)).await;
    by_patient(&trusting, mandates::appoint(doctor(), day)).await;
    by_patient(&trusting, mandates::authorize(HOSPITAL, day)).await;

    let head = verified.finalized_head().await.unwrap();
    let (said, proven) = (trusting.at(head.hash), verified.at(head.hash));
    let states = (&said, &proven);
    assert!(represents(states, parent).await && represents(states, doctor()).await);
    assert!(!represents(states, patient()).await);
    let all = said.representatives(patient(), None, 64).await.unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(proven.representatives(patient(), None, 64).await.unwrap(), all);
    let first = Some(all[0].0);
    assert_eq!(proven.representatives(patient(), first, 64).await.unwrap(), all[1..]);
    assert_eq!(proven.representatives(patient(), None, 1).await.unwrap(), all[..1]);
    assert!(proven.representatives(parent, None, 64).await.unwrap().is_empty());
    let authorizations = said.authorizations(patient()).await.unwrap();
    assert_eq!(authorizations.len(), 1);
    assert_eq!(proven.authorizations(patient()).await.unwrap(), authorizations);
    for at in [None, Some(before), Some(between), Some(before + Moment::from(u32::MAX))] {
        let expected = said.decide(&submission(), at).await.unwrap();
        assert_eq!(proven.decide(&submission(), at).await.unwrap(), expected, "{at:?}");
    }

    by_patient(&trusting, mandates::dismiss(patient(), parent)).await;
    by_patient(&trusting, mandates::revoke(HOSPITAL)).await;
    let head = verified.finalized_head().await.unwrap();
    let states = (&trusting.at(head.hash), &verified.at(head.hash));
    assert!(!represents(states, parent).await);
    let ended = states.1.authorizations(patient()).await.unwrap();
    assert!(ended[0].1.ended.is_some());
}
