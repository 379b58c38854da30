//! The client against a server on loopback, whose answers a test defines.

use epione_envelope::{
    development,
    grant::GrantedSection,
    keys::ContentKey,
    opening::{PartialContent, PartialContext},
    query::QueryTerms,
};
use epione_primitives::{
    RecordPointer,
    access::{Denial, Purpose},
    block::Segment,
    consortium::EpochId,
    release::Request,
};

use super::{
    loopback::{self, header, reply, server},
    *,
};
use crate::{
    api::{Problem, SegmentLink},
    request,
    waiting::Wait,
};

pub(super) const GENESIS: Hash = Hash::repeat_byte(4);
pub(super) const HOSPITAL: HospitalId = HospitalId(1);

pub(super) fn account() -> Account {
    Account::development("//Doctor").unwrap()
}

pub(super) fn client(url: &Url) -> WorkerClient {
    let endpoint = Endpoint::new(url.clone(), [0; 32]).unwrap();
    WorkerClient::new(&endpoint, HOSPITAL, GENESIS, account()).unwrap()
}

fn segment(bytes: &[u8]) -> Segment {
    Segment { hash: blake3::hash(bytes).into(), length: bytes.len() as u32 }
}

/// A request for records of a patient.
fn wanted(patient: UserId) -> GrantRequest {
    let request = Request {
        requester: UserId([2; 32]),
        patient,
        hospital: HOSPITAL,
        records: Default::default(),
        purpose: Purpose::Treatment,
        emergency: None,
        at: 1,
        nonce: [1; 16],
    };
    GrantRequest::signed(&request, &account().sign(&request.signed_bytes(GENESIS)))
}

pub(super) fn authenticated(head: &str) -> Result<request::Authenticated, request::RequestError> {
    let line: Vec<&str> = head.lines().next().unwrap().split(' ').collect();
    let method = line[0].parse().unwrap();
    let target = request::Target {
        genesis: GENESIS,
        hospital: HOSPITAL,
        method: &method,
        path_and_query: line[1],
    };
    let headers = head.lines().skip(1).filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        Some((name.parse().unwrap(), value.parse().unwrap()))
    });
    request::authenticate(&target, &headers.collect())
}

#[tokio::test]
async fn requests_are_signed_for_their_worker() {
    let problem = reply("404 Not Found", "", b"");
    let (url, log) = server(vec![problem.clone(), problem]).await;
    let client = client(&url);
    let request = wanted(UserId([1; 32]));
    client.grant(&request).await.err().unwrap();
    client.visit_status(RecordId([2; 16])).await.unwrap_err();

    for (head, body) in log.lock().unwrap().iter() {
        let signed = authenticated(head).unwrap();
        assert_eq!(signed.account, account().id());
        assert_eq!(signed.digest, *blake3::hash(body).as_bytes());
        assert!(crate::now().abs_diff(signed.time) < request::MAX_SKEW_MILLIS);
    }
}

/// The grant of a query, by the account of these tests.
fn query_grant() -> QueryGrant {
    let patient = development::keys("//Doctor").unwrap();
    let terms = QueryTerms {
        genesis: GENESIS,
        query: QueryId(7),
        patient: UserId([1; 32]),
        requester: UserId([2; 32]),
        audience: account().id(),
        purpose: Purpose::Research,
        issued: 1,
        until: 2,
    };
    let pointer = RecordPointer { height: 1, index: 0 };
    let section = GrantedSection { pointer, record: RecordId([3; 16]), section: 0 };
    let keys = [(section, ContentKey::generate())];
    QueryGrant::seal(terms, &keys, patient.sealing.public(), &patient).unwrap()
}

#[tokio::test]
async fn the_grant_of_a_query_is_left_and_collected_by_signed_requests() {
    let grant = query_grant();
    let sealed = BASE64_STANDARD.encode(grant.encode());
    let json = |grant: String| serde_json::to_vec(&GrantReply { grant, links: Vec::new() });
    let (url, log) = server(vec![
        reply("204 No Content", "", b""),
        reply("200 OK", "", &json(sealed).unwrap()),
        reply("200 OK", "", &json(BASE64_STANDARD.encode(b"not a grant")).unwrap()),
        reply("200 OK", "", &json("no Base64!".into()).unwrap()),
    ])
    .await;
    let client = client(&url);
    client.keep_query_grant(QueryId(7), &grant).await.unwrap();
    assert_eq!(client.collect(QueryId(7)).await.unwrap().grant, grant);
    for _ in 0..2 {
        let refused = client.collect(QueryId(7)).await.err().unwrap();
        assert!(matches!(refused, WorkerError::Malformed { .. }), "{refused}");
    }

    let requests = log.lock().unwrap();
    assert!(requests[0].0.starts_with("PUT /v1/queries/7/grant "), "{}", requests[0].0);
    assert_eq!(requests[0].1, grant.encode());
    assert!(requests[1].0.starts_with("POST /v1/queries/7/collect "), "{}", requests[1].0);
    assert!(requests[1].1.is_empty());
    for (head, body) in requests.iter() {
        let signed = authenticated(head).unwrap();
        assert_eq!(signed.digest, *blake3::hash(body).as_bytes());
    }
}

#[tokio::test]
async fn a_worker_whose_node_is_behind_is_asked_again_and_a_refusal_is_final() {
    let problem = |status: u16, kind: &str| {
        let problem = Problem {
            kind: format!("urn:epione:problem:{kind}"),
            title: "No".into(),
            status,
            detail: None,
            denial: None,
        };
        reply(&format!("{status} No"), "", &serde_json::to_vec(&problem).unwrap())
    };
    let grant = BASE64_STANDARD.encode(query_grant().encode());
    let reply_json = serde_json::to_vec(&GrantReply { grant, links: Vec::new() }).unwrap();
    let (url, log) = server(vec![
        problem(404, "not-found"),
        problem(409, "not-accepted"),
        reply("200 OK", "", &reply_json),
        problem(409, "acceptance-over"),
    ])
    .await;
    let client = client(&url);
    client.collect(QueryId(7)).await.unwrap();
    assert_eq!(log.lock().unwrap().len(), 3);
    let refused = client.collect(QueryId(7)).await.err().unwrap();
    assert!(refused.problem().unwrap().kind.ends_with(":acceptance-over"), "{refused}");
}

#[tokio::test]
async fn a_part_of_an_opening_is_requested_by_a_signed_request() {
    let context = PartialContext {
        genesis: GENESIS,
        opening: OpeningId(7),
        hospital: HOSPITAL,
        epoch: EpochId(2),
        wraps: Hash::repeat_byte(4),
    };
    let content = PartialContent { values: vec![[1; 32]], proof: [2; 64], mixing: vec![[3; 32]] };
    let agent = development::keys("//Doctor").unwrap();
    let sealed = SealedPartial::seal(&context, &content, agent.sealing.public(), &agent).unwrap();
    let json = |partial: &[u8]| {
        let partial = BASE64_STANDARD.encode(partial);
        serde_json::to_vec(&PartialReply { partial, links: Vec::new() }).unwrap()
    };
    let (url, log) = server(vec![
        reply("200 OK", "", &json(&sealed.encode())),
        reply("200 OK", "", &json(b"not a part")),
    ])
    .await;
    let client = client(&url);
    assert_eq!(client.partials(OpeningId(7)).await.unwrap().sealed, sealed);
    let refused = client.partials(OpeningId(7)).await.err().unwrap();
    assert!(matches!(refused, WorkerError::Malformed { .. }), "{refused}");
    let (head, body) = log.lock().unwrap()[0].clone();
    assert!(head.starts_with("POST /v1/partials "), "{head}");
    assert_eq!(authenticated(&head).unwrap().digest, *blake3::hash(&body).as_bytes());
    assert_eq!(body, br#"{"opening":7}"#);
}

#[tokio::test]
async fn a_count_is_asked_by_a_signed_request() {
    let json = br#"{"floor":10,"patients":20}"#;
    let (url, log) = server(vec![reply("200 OK", "", json)]).await;
    let question = CountRequest {
        kinds: Vec::new(),
        modality: Some("CT".into()),
        from: None,
        to: None,
        purpose: Purpose::Research,
    };
    let answer = client(&url).count(&question).await.unwrap();
    assert_eq!((answer.floor, answer.patients), (10, Some(20)));
    let (head, body) = log.lock().unwrap()[0].clone();
    assert!(head.starts_with("POST /v1/counts "), "{head}");
    assert_eq!(authenticated(&head).unwrap().digest, *blake3::hash(&body).as_bytes());
    assert_eq!(body, br#"{"modality":"CT","purpose":"research"}"#);
}

#[tokio::test]
async fn a_problem_is_reported_in_the_workers_words() {
    let problem = Problem {
        kind: "urn:epione:problem:access-denied".into(),
        title: "Access denied".into(),
        status: 403,
        detail: Some("no relationship with the patient".into()),
        denial: Some(Denial::UnknownPatient),
    };
    let json = serde_json::to_vec(&problem).unwrap();
    let (url, _) = server(vec![reply("403 Forbidden", "", &json)]).await;
    let error = client(&url).info().await.unwrap_err();
    assert_eq!(error.problem(), Some(&problem));
    assert!(error.denial().is_some());
    assert!(!error.is_transient());
    assert!(error.to_string().contains("no relationship with the patient"), "{error}");
}

#[tokio::test]
async fn an_answer_that_no_worker_sends_is_an_error() {
    let (url, _) = server(vec![
        reply("502 Bad Gateway", "", b"<html>"),
        reply("200 OK", "", b"<html>"),
        reply("302 Found", "location: http://127.0.0.1:1/\r\n", b""),
    ])
    .await;
    let client = client(&url);
    let error = client.info().await.unwrap_err();
    assert!(error.is_transient() && matches!(error, WorkerError::Status { status: 502, .. }));
    assert!(matches!(client.info().await, Err(WorkerError::Malformed { .. })));
    assert!(matches!(client.info().await, Err(WorkerError::Status { status: 302, .. })));
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let body = vec![b' '; 17 * 1024 * 1024];
    let (url, _) = server(vec![reply("200 OK", "", &body)]).await;
    assert!(matches!(client(&url).info().await, Err(WorkerError::TooLong { .. })));
}

#[tokio::test]
async fn an_unreachable_worker_is_named() {
    let url = Url::parse("http://127.0.0.1:1").unwrap();
    let error = client(&url).info().await.unwrap_err();
    assert!(error.is_transient());
    assert!(error.to_string().contains("http://127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn a_worker_is_named_without_the_password_in_its_address() {
    let url = Url::parse("http://ada:secret@127.0.0.1:1").unwrap();
    let error = client(&url).info().await.unwrap_err();
    assert!(error.to_string().contains("http://127.0.0.1:1"), "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
}

#[tokio::test]
async fn routes_keep_the_path_of_the_base() {
    let (url, log) = server(vec![reply("404 Not Found", "", b"")]).await;
    let base = url.join("epione/").unwrap();
    client(&base).info().await.unwrap_err();
    assert!(log.lock().unwrap()[0].0.starts_with("GET /epione/v1/info HTTP/1.1"));
}

#[tokio::test]
async fn a_segment_is_passed_on_only_when_its_bytes_are_right() {
    let bytes = vec![3; 100_000];
    let wrong = vec![4; 100_000];
    let long = vec![3; 100_001];
    let (url, log) = server(vec![
        reply("200 OK", "", &bytes),
        reply("200 OK", "", &wrong),
        reply("200 OK", "", &long),
    ])
    .await;
    let (client, wanted) = (client(&url), segment(&bytes));
    assert_eq!(client.segment(&wanted).await.unwrap(), bytes);
    assert!(matches!(client.segment(&wanted).await, Err(WorkerError::WrongBytes { .. })));
    assert!(matches!(client.segment(&wanted).await, Err(WorkerError::WrongBytes { .. })));
    authenticated(&log.lock().unwrap()[0].0).unwrap();
}

#[tokio::test]
async fn a_broken_transfer_is_resumed() {
    let bytes: Vec<u8> = (0..200_000_u32).map(|i| (i / 7) as u8).collect();
    let mut broken = reply("200 OK", "", &bytes);
    broken.truncate(broken.len() - 120_000);
    let rest = &bytes[80_000..];
    let range = "content-range: bytes 80000-199999/200000\r\n";
    let (url, log) = server(vec![broken, reply("206 Partial Content", range, rest)]).await;
    let fetched = client(&url).segment(&segment(&bytes)).await.unwrap();
    assert_eq!(fetched, bytes);
    let second = log.lock().unwrap()[1].0.clone();
    assert_eq!(header(&second, "range").as_deref(), Some("bytes=80000-"));
    authenticated(&second).unwrap();
}

#[tokio::test]
async fn a_server_that_ignores_ranges_is_read_from_the_start() {
    let bytes = vec![9; 50_000];
    let mut broken = reply("200 OK", "", &bytes);
    broken.truncate(broken.len() - 10_000);
    let (url, _) = server(vec![broken, reply("200 OK", "", &bytes)]).await;
    assert_eq!(client(&url).segment(&segment(&bytes)).await.unwrap(), bytes);
}

#[tokio::test]
async fn a_link_is_followed_without_a_signature_and_for_its_segment_only() {
    let bytes = vec![1; 10];
    let (url, log) = server(vec![reply("200 OK", "", &bytes)]).await;
    let wanted = segment(&bytes);
    let link = SegmentLink {
        segment: hex::encode(wanted.hash),
        url: url.join("/v1/segments/x?signature=y").unwrap().into(),
        expires: 0,
    };
    let client = client(&url);
    assert_eq!(client.segment_by_link(&wanted, &link).await.unwrap(), bytes);
    assert!(header(&log.lock().unwrap()[0].0, "epione-signature").is_none());

    let other = segment(b"other");
    let foreign = client.segment_by_link(&other, &link).await;
    assert!(matches!(foreign, Err(WorkerError::ForeignLink { .. })));
    let elsewhere = SegmentLink { url: "http://127.0.0.1:1/v1/segments/x".into(), ..link.clone() };
    let foreign = client.segment_by_link(&wanted, &elsewhere).await;
    assert!(matches!(foreign, Err(WorkerError::ForeignLink { .. })));
    let local = SegmentLink { url: "file:///etc/passwd".into(), ..link };
    let foreign = client.segment_by_link(&wanted, &local).await;
    assert!(matches!(foreign, Err(WorkerError::ForeignLink { .. })));
}

#[tokio::test]
async fn the_patient_requests_a_segment_with_its_record() {
    let bytes = vec![1; 10];
    let right_and_wrong = vec![reply("200 OK", "", &bytes), reply("200 OK", "", &[2; 10])];
    let (url, log) = server(right_and_wrong).await;
    let (client, wanted) = (client(&url), segment(&bytes));
    let pointer = RecordPointer { height: 12, index: 3 };
    assert_eq!(client.segment_of(pointer, &wanted).await.unwrap(), bytes);
    let wrong = client.segment_of(pointer, &wanted).await;
    assert!(matches!(wrong, Err(WorkerError::WrongBytes { .. })));

    let head = log.lock().unwrap()[0].0.clone();
    let path = format!("GET /v1/segments/{}?record=12/3 HTTP/1.1", hex::encode(wanted.hash));
    assert!(head.starts_with(&path), "{head}");
    assert_eq!(authenticated(&head).unwrap().account, account().id());
}

#[tokio::test]
async fn registrations_and_keys_are_changed_at_the_routes_of_the_api() {
    let done = reply("204 No Content", "", b"");
    let (url, log) = server(vec![done; 8]).await;
    let (client, user) = (client(&url), UserId([3; 32]));
    client.suspend(user).await.unwrap();
    client.reinstate(user).await.unwrap();
    client.end_registration(user).await.unwrap();
    let key = development::sealing_key("//Doctor");
    client.renew_key(key.public()).await.unwrap();
    client.confirm_key(user, key.public()).await.unwrap();
    let proposed = ProposedKeys {
        user,
        account: account().id(),
        sealing_key: hex::encode(key.public().as_bytes()),
        until: 9,
        consent: "00".into(),
    };
    client.propose_recovery(&proposed).await.unwrap();
    client.complete_recovery(user).await.unwrap();
    client.object_to_recovery(user).await.unwrap();

    let log = log.lock().unwrap();
    let sealing_key = hex::encode(key.public().as_bytes());
    let renewed = RenewedKey { sealing_key: sealing_key.clone() };
    let confirmed = ConfirmedKey { user, sealing_key };
    let whom = serde_json::to_vec(&UserRef { user }).unwrap();
    let expected = [
        ("/v1/users/suspend", whom.clone()),
        ("/v1/users/reinstate", whom.clone()),
        ("/v1/users/end", whom.clone()),
        ("/v1/users/keys", serde_json::to_vec(&renewed).unwrap()),
        ("/v1/users/keys/confirm", serde_json::to_vec(&confirmed).unwrap()),
        ("/v1/users/recovery/propose", serde_json::to_vec(&proposed).unwrap()),
        ("/v1/users/recovery/complete", whom.clone()),
        ("/v1/users/recovery/object", whom),
    ];
    for ((head, body), (path, content)) in log.iter().zip(expected) {
        assert!(head.starts_with(&format!("POST {path} HTTP/1.1")), "{head}");
        assert_eq!(*body, content);
        assert_eq!(authenticated(head).unwrap().digest, *blake3::hash(body).as_bytes());
    }
}

/// The first wait for which this holds.
async fn first_wait(waits: &Waits, holds: impl Fn(&Wait) -> bool) -> Wait {
    let mut heard = waits.watch();
    let limit = Duration::from_secs(60);
    let waiting = heard.wait_for(|waits| waits.iter().any(&holds));
    let waiting = tokio::time::timeout(limit, waiting).await.unwrap().unwrap();
    waiting.iter().find(|wait| holds(wait)).unwrap().clone()
}

#[tokio::test]
async fn the_reason_for_a_late_segment_is_reported_with_its_hospital_until_it_arrives() {
    let bytes = vec![3; 1_000];
    let busy = Problem {
        kind: "urn:epione:problem:segment-unavailable".into(),
        title: "The segment is not available now".into(),
        status: 503,
        detail: None,
        denial: None,
    };
    let busy = reply("503 Service Unavailable", "", &serde_json::to_vec(&busy).unwrap());
    let (url, _) = server(vec![busy.clone(), busy, reply("200 OK", "", &bytes)]).await;
    let waits = Waits::default();
    let (client, wanted) = (client(&url).with_waits(waits.clone()), segment(&bytes));
    let fetching = tokio::spawn(async move { client.segment(&wanted).await });
    let wait = first_wait(&waits, |wait| wait.reason.is_some()).await;
    assert_eq!((&wait.what, wait.hospital), (&Awaited::Segment, Some(HOSPITAL)));
    assert!(wait.reason.unwrap().contains("not available now"));
    assert_eq!(fetching.await.unwrap().unwrap(), bytes);
    assert_eq!(waits.now(), []);
}

#[tokio::test]
async fn an_unreachable_worker_is_reported_as_the_reason() {
    let waits = Waits::default();
    let client = client(&Url::parse("http://127.0.0.1:1").unwrap()).with_waits(waits.clone());
    let wanted = segment(b"never");
    let fetching = tokio::spawn(async move { client.segment(&wanted).await });
    let wait = first_wait(&waits, |wait| wait.reason.is_some()).await;
    assert_eq!(wait.hospital, Some(HOSPITAL));
    assert!(wait.reason.unwrap().contains("http://127.0.0.1:1"));
    fetching.await.unwrap().unwrap_err();
    assert_eq!(waits.now(), []);
}

#[tokio::test]
async fn waits_are_reported_and_removed_when_the_caller_gives_up() {
    let url = loopback::answering(|_, _| std::future::pending()).await;
    let waits = Waits::default();
    let client = client(&url).with_waits(waits.clone());
    let user = UserId([3; 32]);
    let request = wanted(user);
    let granted = {
        let client = client.clone();
        tokio::spawn(async move { client.grant(&request).await.map(drop) })
    };
    let looked = {
        let client = client.clone();
        tokio::spawn(async move { client.visit_status(RecordId([2; 16])).await.map(drop) })
    };
    let changed = tokio::spawn(async move { client.suspend(user).await });
    for what in [Awaited::Grant, Awaited::Answer, Awaited::Change] {
        let wait = first_wait(&waits, |wait| wait.what == what).await;
        assert_eq!((wait.hospital, wait.reason), (Some(HOSPITAL), None));
    }
    for task in [granted, looked, changed] {
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }
    assert_eq!(waits.now(), []);
}

/// Two other tests run again with such a proxy, in a process of their own, because clients read the environment.
#[test]
fn a_proxy_of_the_environment_gets_nothing_that_is_for_this_machine() {
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    again.args([
        "--exact",
        "worker::tests::a_problem_is_reported_in_the_workers_words",
        "worker::segments::tests::a_redirect_to_storage_is_followed_once_and_without_a_signature",
    ]);
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
    {
        // Nothing listens there.
        again.env(name, "http://127.0.0.1:9");
    }
    let output = again.env_remove("no_proxy").env_remove("NO_PROXY").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("2 passed"), "{output:?}");
}
