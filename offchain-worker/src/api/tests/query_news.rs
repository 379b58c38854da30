//! What users and programs of the hospital learn of queries: lists, streams of changes, and the webhook.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use epione_primitives::{Hash, UserId, limits::MAX_PAGE, query::QueryId};
use serde_json::{Value, json};
use tokio::{
    sync::{broadcast, mpsc},
    time::timeout,
};
use url::Url;

use super::{
    fake::HOSPITAL,
    grants::committed,
    queries::{QUERY, ask},
    represented::{appoint, dismiss},
    world::{Actor, Raw, World},
};
use crate::{
    api::{
        follow_queries, notify_of_queries,
        queries::news::{self, ATTEMPTS, Progress},
    },
    chain::{QueryChange, QueryNews},
    journal::query_grants::{self, KeptGrant},
};

const PATIENCE: Duration = Duration::from_secs(20);

pub fn changed(world: &World, query: QueryId, change: QueryChange) -> QueryNews {
    let (patient, requester) = (world.patient.user, world.stranger.user);
    let by = match change {
        QueryChange::Asked | QueryChange::Withdrawn => Some(requester),
        QueryChange::Accepted | QueryChange::Refused => Some(patient),
        QueryChange::Transferred => None,
    };
    QueryNews { query, change, patient, requester, by }
}

/// Finalizes a block with these changes, and tells them.
pub async fn tell(world: &World, changes: &[QueryNews]) {
    let block = {
        let mut facts = world.chain.facts();
        facts.head += 1;
        let block = facts.head;
        facts.query_news.insert(block, changes.to_vec());
        block
    };
    let mut progress = Progress { told: Some(block - 1), unreadable: 0 };
    news::look(&world.state, &mut progress).await.unwrap();
}

#[tokio::test]
async fn every_block_is_told_once() {
    let (world, _) = committed().await;
    let mut heard = world.state.shared.query_news.subscribe();
    let mut progress = Progress::default();
    // The blocks before the worker began are not told.
    news::look(&world.state, &mut progress).await.unwrap();
    for block in 1..=3 {
        let change = changed(&world, QueryId(block), QueryChange::Asked);
        world.chain.facts().query_news.insert(block, vec![change]);
    }
    world.chain.facts().head = 3;
    for _ in 0..2 {
        news::look(&world.state, &mut progress).await.unwrap();
    }
    assert_eq!((told(&mut heard), progress.told), (vec![1, 2, 3], Some(3)));
    world.chain.facts().away = true;
    news::look(&world.state, &mut progress).await.unwrap_err();
}

/// The numbers of the queries whose changes were told.
fn told(heard: &mut broadcast::Receiver<QueryNews>) -> Vec<u32> {
    std::iter::from_fn(|| heard.try_recv().ok()).map(|it| it.query.0).collect()
}

#[tokio::test]
async fn a_block_that_cannot_be_read_is_skipped_after_some_attempts() {
    let (world, _) = committed().await;
    let mut heard = world.state.shared.query_news.subscribe();
    {
        let mut facts = world.chain.facts();
        facts.head += 3;
        let head = facts.head;
        facts.unreadable.insert(head - 1);
        for block in head - 2..=head {
            let change = changed(&world, QueryId(block), QueryChange::Asked);
            facts.query_news.insert(block, vec![change]);
        }
    }
    let head = world.chain.newest().number;
    let mut progress = Progress { told: Some(head - 3), unreadable: 0 };
    for attempt in 1..ATTEMPTS {
        news::look(&world.state, &mut progress).await.unwrap_err();
        assert_eq!(progress, Progress { told: Some(head - 2), unreadable: attempt });
    }
    // A node that does not answer is not a block that cannot be read.
    world.chain.facts().away = true;
    news::look(&world.state, &mut progress).await.unwrap_err();
    world.chain.facts().away = false;
    assert_eq!(progress.unreadable, ATTEMPTS - 1);
    let failures = || world.metrics.task_failures.with_label_values(&["queries"]).get();
    let before = failures();
    news::look(&world.state, &mut progress).await.unwrap();
    assert_eq!(progress, Progress { told: Some(head), unreadable: 0 });
    assert_eq!(told(&mut heard), [head - 2, head]);
    assert_eq!(failures(), before + 1);
}

#[tokio::test]
async fn kept_grants_are_looked_after_while_a_block_cannot_be_read() {
    let (world, _) = committed().await;
    let kept = KeptGrant {
        query: QUERY,
        bringer: world.patient.user,
        hospital: HOSPITAL,
        hash: Hash::repeat_byte(1),
        bytes: vec![1],
        ends: 1,
    };
    world.journal.write(move |tx| query_grants::keep(tx, &kept, 1)).await.unwrap();
    let block = {
        let mut facts = world.chain.facts();
        facts.head += 1;
        let block = facts.head;
        facts.unreadable.insert(block);
        block
    };
    tokio::spawn(follow_queries(world.state.clone(), Some(block - 1)));
    let gone = async {
        while !world.journal.read(query_grants::pending).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
}

async fn list(world: &World, by: &Actor, parameters: &str) -> Value {
    let reply = Raw::get(&format!("/v1/queries{parameters}")).send(world, by).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    serde_json::from_slice(&reply.body).unwrap()
}

fn ids(page: &Value) -> Vec<u64> {
    page["queries"].as_array().unwrap().iter().map(|it| it["id"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn both_parties_list_their_queries_page_by_page() {
    let (world, _) = committed().await;
    let count = MAX_PAGE + 6;
    (0..count).for_each(|id| ask(&world, QueryId(id)));
    let newest_first: Vec<_> = (0..u64::from(count)).rev().collect();
    for (by, party) in [(&world.patient, "as=patient"), (&world.stranger, "as=requester")] {
        let first = list(&world, by, &format!("?{party}")).await;
        assert_eq!(ids(&first), newest_first[..MAX_PAGE as usize]);
        let before = first["before"].as_u64().unwrap();
        let last = list(&world, by, &format!("?{party}&before={before}&limit=64")).await;
        assert_eq!(ids(&last), newest_first[MAX_PAGE as usize..]);
        assert_eq!(last.get("before"), None);
    }
    assert_eq!(ids(&list(&world, &world.patient, "?limit=2").await), newest_first[..2]);
    let shown = list(&world, &world.patient, "?limit=1").await;
    let requester = json!(world.stranger.user);
    assert_eq!(shown["queries"][0]["query"]["requester"], requester);
    // Others have none, and hospitals are no parties.
    assert_eq!(ids(&list(&world, &world.doctor, "").await), Vec::<u64>::new());
    assert_eq!(ids(&list(&world, &world.patient, "?as=requester").await), Vec::<u64>::new());
    let refused = Raw::get("/v1/queries").send(&world, &world.agent).await;
    assert_eq!(refused.refusal(), (403, "forbidden".into()));
    for parameters in ["?as=doctor", "?before=x", "?limit=-1", "?who=me"] {
        let target = format!("/v1/queries{parameters}");
        let refused = Raw::get(&target).send(&world, &world.patient).await;
        assert_eq!(refused.refusal(), (400, "parameters".into()), "{parameters}");
    }
}

async fn stream(world: &World, by: &Actor) -> reqwest::Response {
    stream_of(world, by, "").await
}

async fn stream_of(world: &World, by: &Actor, parameters: &str) -> reqwest::Response {
    let raw = Raw::get(&format!("/v1/queries/events{parameters}"));
    let request = reqwest::Client::new().get(world.base.join(&raw.target).unwrap());
    request.headers(raw.signed(by)).send().await.unwrap()
}

/// The data of the next event.
async fn next_event(stream: &mut reqwest::Response) -> Value {
    let mut text = String::new();
    while !text.contains("\n\n") {
        let chunk = timeout(PATIENCE, stream.chunk()).await.unwrap().unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(text.contains("event: query\n"), "{text}");
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    serde_json::from_str(data).unwrap()
}

#[tokio::test]
async fn users_are_told_the_changes_of_their_own_queries() {
    let (world, _) = committed().await;
    let mut streams = [stream(&world, &world.patient).await, stream(&world, &world.stranger).await];
    let of_others = QueryNews {
        query: QueryId(1),
        change: QueryChange::Asked,
        patient: world.doctor.user,
        requester: UserId([1; 32]),
        by: Some(UserId([1; 32])),
    };
    tell(&world, &[of_others, changed(&world, QUERY, QueryChange::Asked)]).await;
    for stream in &mut streams {
        assert_eq!(stream.headers()["content-type"], "text/event-stream");
        assert_eq!(next_event(stream).await, json!({ "query": 5, "kind": "asked" }));
    }
    tell(&world, &[changed(&world, QUERY, QueryChange::Transferred)]).await;
    for stream in &mut streams {
        assert_eq!(next_event(stream).await, json!({ "query": 5, "kind": "transferred" }));
    }
}

#[tokio::test]
async fn a_representative_is_told_the_changes_of_queries_to_the_patient() {
    let (world, _) = committed().await;
    let parameters = format!("?patient={}", world.patient.user);
    assert_eq!(stream_of(&world, &world.doctor, &parameters).await.status(), 403);
    assert_eq!(stream_of(&world, &world.doctor, "?patient=nobody").await.status(), 400);
    appoint(&world);
    let mut stream = stream_of(&world, &world.doctor, &parameters).await;
    // What the patient asks others for is not the representative's business.
    let asked_by_patient = QueryNews {
        query: QueryId(1),
        change: QueryChange::Asked,
        patient: UserId([1; 32]),
        requester: world.patient.user,
        by: Some(world.patient.user),
    };
    tell(&world, &[asked_by_patient, changed(&world, QUERY, QueryChange::Asked)]).await;
    assert_eq!(next_event(&mut stream).await, json!({ "query": 5, "kind": "asked" }));
    // A dismissal ends the stream.
    dismiss(&world);
    tell(&world, &[changed(&world, QUERY, QueryChange::Withdrawn)]).await;
    let ended = async {
        let mut rest = Vec::new();
        while let Some(chunk) = stream.chunk().await.unwrap() {
            rest.extend(chunk);
        }
        String::from_utf8(rest).unwrap()
    };
    let rest = timeout(PATIENCE, ended).await.unwrap();
    assert!(!rest.contains("withdrawn"), "{rest}");
}

#[tokio::test]
async fn one_user_has_few_streams_and_a_closed_one_makes_room() {
    let (world, _) = committed().await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(stream(&world, &world.patient).await);
    }
    assert!(streams.iter().all(|stream| stream.status() == 200));
    assert_eq!(stream(&world, &world.patient).await.status(), 429);
    assert_eq!(stream(&world, &world.doctor).await.status(), 200);
    assert_eq!(stream(&world, &world.agent).await.status(), 403);
    streams.pop();
    let again = async {
        while stream(&world, &world.patient).await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, again).await.unwrap();
}

/// Somebody whom the patient did not mean to act any more cannot answer behind the patient's back.
#[tokio::test]
async fn the_webhook_is_told_what_a_representative_answered() {
    let (world, _) = committed().await;
    let (url, mut told) = program().await;
    tokio::spawn(notify_of_queries(world.state.clone(), url));
    let by = Some(world.doctor.user);
    let kinds = [QueryChange::Accepted, QueryChange::Refused, QueryChange::Withdrawn];
    let changes = kinds.map(|kind| QueryNews { by, ..changed(&world, QUERY, kind) });
    tell(&world, &changes).await;
    let patient = json!(world.patient.user);
    // The first request was refused, and is repeated.
    for kind in ["accepted", "accepted", "refused", "withdrawn"] {
        let json = timeout(PATIENCE, told.recv()).await.unwrap().unwrap();
        assert_eq!(json, json!({ "patient": patient, "query": 5, "kind": kind }));
    }
}

/// A program that does not accept the first request. Returns its URL, and what it is told.
async fn program() -> (Url, mpsc::UnboundedReceiver<Value>) {
    let (told, receiver) = mpsc::unbounded_channel();
    let busy = Arc::new(AtomicBool::new(true));
    let router = Router::new().route("/told", post(receive)).with_state(Program { told, busy });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/told", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url.parse().unwrap(), receiver)
}

async fn receive(State(program): State<Program>, Json(json): Json<Value>) -> StatusCode {
    program.told.send(json).unwrap();
    if program.busy.swap(false, Ordering::SeqCst) {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::NO_CONTENT
    }
}

#[derive(Clone)]
struct Program {
    told: mpsc::UnboundedSender<Value>,
    busy: Arc<AtomicBool>,
}

#[tokio::test]
async fn the_webhook_is_told_what_others_did_with_queries_of_this_hospitals_patients() {
    let (world, _) = committed().await;
    let (url, mut told) = program().await;
    tokio::spawn(notify_of_queries(world.state.clone(), url));
    let elsewhere = UserId([1; 32]);
    let changes = [
        QueryNews { patient: elsewhere, ..changed(&world, QueryId(1), QueryChange::Asked) },
        changed(&world, QueryId(2), QueryChange::Accepted),
        changed(&world, QueryId(3), QueryChange::Refused),
        QueryNews {
            by: Some(world.patient.user),
            ..changed(&world, QueryId(4), QueryChange::Withdrawn)
        },
        changed(&world, QUERY, QueryChange::Asked),
        // The requester asks again and again.
        changed(&world, QueryId(6), QueryChange::Asked),
        changed(&world, QueryId(7), QueryChange::Asked),
        changed(&world, QUERY, QueryChange::Transferred),
    ];
    tell(&world, &changes).await;
    let patient = json!(world.patient.user);
    // The first request was refused, and is repeated.
    for kind in ["asked", "asked", "transferred"] {
        let json = timeout(PATIENCE, told.recv()).await.unwrap().unwrap();
        assert_eq!(json, json!({ "patient": patient, "query": 5, "kind": kind }));
    }
    let count = |result: &str| world.metrics.query_notifications.with_label_values(&[result]).get();
    let counted = async {
        while count("told") < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, counted).await.unwrap();
    assert_eq!((count("merged"), count("failed"), count("missed")), (2, 0, 0));
}
