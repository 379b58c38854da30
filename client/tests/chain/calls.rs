//! Submission: calls that take effect, calls that fail in a block, and calls that no block includes.

use std::time::Duration;

use epione_client::{
    Endpoint,
    chain::{
        Call, ChainEvent, Pinned, SubmitError, Trust,
        calls::{approvals, hospitals, lite_blocks, profiles},
    },
    endpoint::storage_origin,
    naming,
};
use epione_primitives::{
    AnnouncementId, Hash, HospitalId, UserId,
    block::{AnnouncedEntries, AnnouncedHeader, Segments},
    hospital::Duty,
    limits::MAX_AGENT_NONCE_LEAD,
    naming::{NamedAccount, Naming},
    profile::Role,
    refusal::Refusal,
};

use crate::{account, agent, body_of, hash, node::Node, register, user};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_returns_its_events_when_it_is_final() {
    let node = Node::shared();
    let chain = node.connect().await;
    let user = user("//Newcomer");
    let included = register(&chain, Role::Patient, "//Newcomer").await;

    assert!(chain.finalized_head().await.unwrap().number >= included.block.number);
    let expected = ChainEvent::Registered {
        hospital: HospitalId(0),
        user,
        version: 1,
        body_hash: hash(&body_of(user)),
    };
    assert!(included.events.contains(&expected), "{:?}", included.events);
    let all = chain.events(included.block.hash).await.unwrap();
    assert!(all.iter().any(|it| it.event == expected && it.extrinsic == Some(included.extrinsic)));
    let kept = chain.body(hash(&body_of(user))).await.unwrap();
    assert_eq!(kept, Some(body_of(user)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_reported_in_the_pallets_words() {
    let node = Node::shared();
    let chain = node.connect().await;

    let approve = approvals::approve(AnnouncementId(7), Hash::zero());
    let error = chain.submit(&approve, &agent()).await.unwrap_err();
    let failure = error.dispatch().unwrap_or_else(|| panic!("{error}"));
    assert_eq!(failure.pallet, "Approvals");
    assert!(!failure.error.is_empty() && !failure.docs.is_empty(), "{failure:?}");

    let header = AnnouncedHeader { announcer: HospitalId(3), segments: Segments::default() };
    let call = lite_blocks::announce(&header, &AnnouncedEntries::default(), b"body");
    let error = chain.submit(&call, &agent()).await.unwrap_err();
    let failure = error.dispatch().unwrap_or_else(|| panic!("{error}"));
    assert!(failure.is("LiteBlocks", "NotAnnouncer"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_of_a_hospital_s_agent_is_an_event_with_its_new_accounts() {
    let node = Node::start();
    let chain = node.connect().await;
    let (governance, next) = (account("//Alice"), account("//Alice//next"));
    let (hospital, genesis) = (HospitalId(0), chain.genesis_hash());
    let until = chain.finalized_head().await.unwrap().number + 100;
    let naming = Naming::Hospital { hospital, duty: Duty::Agent, until };
    let consent = naming::sign(&next, genesis, naming);
    let named = NamedAccount { account: next.id(), until, consent };
    let rotate = hospitals::rotate_accounts(None, Some(&named));
    let included = chain.submit(&rotate, &governance).await.unwrap();
    let (governance, agent) = (governance.id(), next.id());
    let expected = ChainEvent::AccountsRotated { hospital, governance, agent };
    assert!(included.events.contains(&expected), "{:?}", included.events);

    let verifying = Trust::Verified(Pinned::new(genesis).with_patience(Duration::from_secs(60)));
    let verifying = chain.clone().trusting(verifying).await.unwrap();
    let proven = verifying.events(included.block.hash).await.unwrap();
    assert!(proven.iter().any(|it| it.event == expected), "{proven:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hospital_names_the_origin_of_its_storage() {
    let node = Node::shared();
    let chain = node.connect().await;
    let governance = account("//Alice");
    let entry = async || {
        let state = chain.finalized().await.unwrap();
        state.hospital(HospitalId(0)).await.unwrap().unwrap()
    };
    let set = async |origin: Option<&str>| {
        let call = hospitals::set_endpoint("https://worker.example", &[7; 32], origin);
        chain.submit(&call, &governance).await
    };
    assert_eq!(storage_origin(&entry().await), None);
    set(Some("https://s3.example")).await.unwrap();
    let named = Endpoint::of(&entry().await).unwrap();
    assert_eq!(named.storage().unwrap().as_str(), "https://s3.example/");
    let error = set(Some("https://s3.example/bucket")).await.unwrap_err();
    let failure = error.dispatch().unwrap_or_else(|| panic!("{error}"));
    assert!(failure.is("Hospitals", "InvalidStorageOrigin"), "{failure}");
    set(None).await.unwrap();
    assert_eq!(storage_origin(&entry().await), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_not_allowed_are_rejected_before_a_block() {
    let node = Node::shared();
    let chain = node.connect().await;
    let suspend = profiles::suspend(UserId([1; 32]));

    let stranger = chain.submit(&suspend, &account("//Stranger")).await.unwrap_err();
    assert!(matches!(stranger, SubmitError::Refused(Refusal::UnknownAccount)), "{stranger}");

    let governance = chain.submit(&suspend, &account("//Alice")).await.unwrap_err();
    assert!(matches!(governance, SubmitError::Refused(Refusal::CallNotForRole)), "{governance}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_the_runtime_does_not_have_is_named() {
    let node = Node::shared();
    let chain = node.connect().await;
    let call = Call::new("LiteBlocks", "forget", ());
    let error = chain.submit(&call, &agent()).await.unwrap_err();
    assert!(error.to_string().contains("LiteBlocks.forget"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_account_submits_many_calls_concurrently() {
    let node = Node::start();
    let (one, other) = (node.connect().await, node.connect().await);
    let users: Vec<String> = (1..=8).map(|number| format!("//Doctor{number}")).collect();
    // Through two connections, which do not know each other's nonces.
    let submissions = users.iter().enumerate().map(|(index, uri)| {
        let chain = if index % 2 == 0 { one.clone() } else { other.clone() };
        async move { register(&chain, Role::Doctor, uri).await }
    });
    futures::future::join_all(submissions).await;
    let state = one.finalized().await.unwrap();
    for uri in users {
        assert!(state.profile(user(&uri)).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_calls_than_may_wait_for_a_block_are_sent_in_turn() {
    let node = Node::start();
    let chain = node.connect().await;
    // Each is included, although it fails there.
    let suspend = profiles::suspend(UserId([1; 32]));
    let agent = agent();
    let submissions = (0..MAX_AGENT_NONCE_LEAD + 16).map(|_| chain.submit(&suspend, &agent));
    for outcome in futures::future::join_all(submissions).await {
        let error = outcome.unwrap_err();
        let failure = error.dispatch().unwrap_or_else(|| panic!("{error}"));
        assert!(failure.is("Profiles", "NotRegistered"), "{failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_survives_a_restart_of_the_node() {
    let mut node = Node::start();
    let chain = node.connect().await;
    register(&chain, Role::Patient, "//Patient").await;
    let submission = tokio::spawn({
        let chain = chain.clone();
        async move { register(&chain, Role::Nurse, "//Nurse").await }
    });
    // Just after a block: the transaction waits in the node's pool, and is lost with it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    node.stop();
    tokio::time::sleep(Duration::from_secs(1)).await;
    node.restart();

    submission.await.unwrap();
    let state = chain.finalized().await.unwrap();
    assert!(state.profile(user("//Nurse")).await.unwrap().is_some());
}
