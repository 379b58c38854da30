//! Workers that redirect readers to storage, and storage that works or fails.

use epione_primitives::{Hash, HospitalId};

use super::*;
use crate::{
    api::SegmentLink,
    endpoint::Endpoint,
    signer::Account,
    waiting::{Wait, Waits},
    worker::loopback::{Log, answering, header, reply, server},
};

const POINTER: RecordPointer = RecordPointer { height: 12, index: 3 };

/// A client of a worker whose hospital has this storage.
fn client(worker: &Url, storage: &Url) -> WorkerClient {
    let endpoint = Endpoint::new(worker.clone(), [0; 32]).unwrap();
    let endpoint = endpoint.redirecting_to(Some(storage.clone()));
    let account = Account::development("//Patient").unwrap();
    WorkerClient::new(&endpoint, HospitalId(1), Hash::repeat_byte(4), account).unwrap()
}

fn content() -> Vec<u8> {
    (0..100_000_u32).map(|i| (i / 7) as u8).collect()
}

fn segment() -> Segment {
    let bytes = content();
    Segment { hash: blake3::hash(&bytes).into(), length: bytes.len() as u32 }
}

fn link(worker: &Url) -> SegmentLink {
    let segment = hex::encode(segment().hash);
    let url = worker.join(&format!("/v1/segments/{segment}?grant=a&mac=b")).unwrap().into();
    SegmentLink { segment, url, expires: 0 }
}

fn redirection(to: &str) -> Vec<u8> {
    reply("307 Temporary Redirect", &format!("location: {to}\r\n"), b"")
}

/// A worker that redirects once to this storage, and then sends these answers.
async fn redirecting(to: &str, then: Vec<Vec<u8>>) -> (Url, Log) {
    server([vec![redirection(to)], then].concat()).await
}

fn heads(log: &Log) -> Vec<String> {
    log.lock().unwrap().iter().map(|(head, _)| head.clone()).collect()
}

fn path(head: &str) -> &str {
    head.split(' ').nth(1).unwrap()
}

fn is_signed(head: &str) -> bool {
    head.to_ascii_lowercase().contains("epione-")
}

#[tokio::test]
async fn a_redirect_to_storage_is_followed_once_and_without_a_signature() {
    let (storage, seen) = server(vec![reply("200 OK", "", &content())]).await;
    let presigned = storage.join("/bucket/x?X-Amz-Signature=s").unwrap();
    let (worker, asked) = redirecting(presigned.as_str(), vec![]).await;
    assert_eq!(client(&worker, &storage).segment_of(POINTER, &segment()).await.unwrap(), content());
    let (asked, seen) = (heads(&asked), heads(&seen));
    assert!(is_signed(&asked[0]));
    assert_eq!(path(&seen[0]), "/bucket/x?X-Amz-Signature=s");
    assert!(!is_signed(&seen[0]), "{}", seen[0]);
    assert!(header(&seen[0], "authorization").is_none());
}

#[tokio::test]
async fn when_the_storage_fails_the_worker_serves_the_segment() {
    let mut wrong = content();
    wrong[77] ^= 1;
    let long = [content(), vec![0]].concat();
    let mut broken = reply("200 OK", "", &content());
    broken.truncate(1000);
    let again = redirection("http://127.0.0.1:1/");
    for (case, answer) in [
        ("wrong bytes", reply("200 OK", "", &wrong)),
        ("more bytes", reply("200 OK", "", &long)),
        ("fewer bytes", reply("200 OK", "", &content()[..10])),
        ("none", reply("404 Not Found", "", b"<Error/>")),
        ("expired", reply("403 Forbidden", "", b"<Error/>")),
        ("down", reply("503 Slow Down", "", b"")),
        ("broken", broken),
        ("elsewhere", again),
        ("gone", Vec::new()),
    ] {
        let (storage, _) = server(vec![answer]).await;
        // The worker ignores ranges.
        let (worker, asked) =
            redirecting(storage.as_str(), vec![reply("200 OK", "", &content())]).await;
        let link = link(&worker);
        let got = client(&worker, &storage).segment_by_link(&segment(), &link).await;
        assert!(got.unwrap() == content(), "{case}");
        let asked = heads(&asked);
        assert_eq!(asked.len(), 2, "{case}");
        assert!(link.url.ends_with(path(&asked[0])) && !path(&asked[0]).contains("via"), "{case}");
        assert_eq!(path(&asked[1]), format!("{}&via=worker", path(&asked[0])), "{case}");
        assert!(!is_signed(&asked[1]));
    }
}

#[tokio::test]
async fn a_patient_signs_again_when_the_worker_itself_is_to_serve() {
    let (storage, _) = server(vec![reply("500 Internal Server Error", "", b"")]).await;
    let answers = vec![reply("200 OK", "", &content())];
    let (worker, asked) = redirecting(storage.as_str(), answers).await;
    assert_eq!(client(&worker, &storage).segment_of(POINTER, &segment()).await.unwrap(), content());
    let asked = heads(&asked);
    let name = hex::encode(segment().hash);
    assert_eq!(path(&asked[1]), format!("/v1/segments/{name}?record=12/3&via=worker"));
    let signature = |head| header(head, "epione-signature").unwrap();
    assert_ne!(signature(&asked[0]), signature(&asked[1]));
}

#[tokio::test]
async fn wrong_bytes_of_the_worker_or_a_second_redirect_are_errors() {
    for answer in [reply("200 OK", "", &[7; 100_000]), redirection("http://127.0.0.1:1/")] {
        let (storage, _) = server(vec![reply("404 Not Found", "", b"")]).await;
        let (worker, _) = redirecting(storage.as_str(), vec![answer]).await;
        let client = client(&worker, &storage);
        let error = client.segment_by_link(&segment(), &link(&worker)).await.unwrap_err();
        let expected = [
            matches!(error, WorkerError::WrongBytes { .. }),
            matches!(error, WorkerError::Status { status: 307, .. }),
        ];
        assert!(expected.contains(&true), "{error}");
    }
}

#[tokio::test]
async fn plain_http_to_another_machine_and_other_schemes_are_never_followed() {
    for to in ["http://192.0.2.1/x", "file:///etc/passwd", "ftp://127.0.0.1/x", "/relative", ""] {
        let (worker, asked) = redirecting(to, vec![reply("200 OK", "", &content())]).await;
        let storage = Url::parse(to).unwrap_or_else(|_| worker.clone());
        let client = client(&worker, &storage);
        let got = client.segment_by_link(&segment(), &link(&worker)).await;
        assert!(got.unwrap() == content(), "{to}");
        assert!(path(&heads(&asked)[1]).ends_with("&via=worker"));
    }
}

#[test]
fn a_worker_elsewhere_cannot_redirect_to_this_machine() {
    let url = |text: &str| Url::parse(text).unwrap();
    let (remote, local) = (url("https://worker.example"), url("http://127.0.0.1:8600"));
    for here in ["http://127.0.0.1:9000/x", "https://localhost/x", "http://[::1]:9000/x"] {
        let here = url(here);
        assert!(!may_redirect(&remote, Some(&here), &here), "{here}");
        assert!(may_redirect(&local, Some(&here), &here), "{here}");
    }
}

#[test]
fn a_worker_cannot_redirect_to_an_origin_that_the_chain_does_not_name() {
    let url = |text: &str| Url::parse(text).unwrap();
    let (worker, storage) = (url("https://worker.example:8600"), url("https://s3.example"));
    let named = |storage, to| may_redirect(&worker, storage, &url(to));
    assert!(named(Some(&storage), "https://s3.example/bucket/x?X-Amz-Signature=s"));
    assert!(named(Some(&storage), "https://s3.example:443/x"));
    for storage in [Some(&storage), None] {
        assert!(named(storage, "https://worker.example:8600/x"));
        for to in [
            "https://tracker.example/x",
            "https://s3.example.evil.example/x",
            "https://s3.example@evil.example/x",
            "https://s3.example:8443/x",
            "https://worker.example/x",
        ] {
            assert!(!named(storage, to), "{to}");
        }
    }
    assert!(!named(None, "https://s3.example/x"));
}

#[tokio::test]
async fn a_redirect_to_another_storage_is_not_followed_and_the_worker_serves() {
    let (elsewhere, seen) = server(vec![reply("200 OK", "", &content())]).await;
    let (worker, asked) =
        redirecting(elsewhere.as_str(), vec![reply("200 OK", "", &content())]).await;
    let storage = Url::parse("http://127.0.0.1:1/").unwrap();
    let got = client(&worker, &storage).segment_by_link(&segment(), &link(&worker)).await;
    assert_eq!(got.unwrap(), content());
    assert!(heads(&seen).is_empty());
    assert!(path(&heads(&asked)[1]).ends_with("&via=worker"));
}

#[tokio::test]
async fn a_hospital_agent_is_never_redirected_to_storage() {
    let (storage, seen) = server(vec![reply("200 OK", "", &content())]).await;
    let (worker, _) = redirecting(storage.as_str(), vec![]).await;
    let error = client(&worker, &storage).segment(&segment()).await.unwrap_err();
    assert!(matches!(error, WorkerError::Status { status: 307, .. }), "{error}");
    assert!(heads(&seen).is_empty());
}

#[tokio::test]
async fn only_the_requested_part_is_fetched_and_resumed() {
    let bytes = content();
    let ranged = |start: usize, end: usize| {
        let range = format!("content-range: bytes {start}-{}/100000\r\n", end - 1);
        reply("206 Partial Content", &range, &bytes[start..end])
    };
    let mut broken = ranged(20_000, 30_000);
    broken.truncate(broken.len() - 4_000);
    let (storage, seen) = server(vec![broken]).await;
    let (worker, asked) = redirecting(storage.as_str(), vec![ranged(26_000, 30_000)]).await;
    let link = link(&worker);
    let client = client(&worker, &storage);
    let arrived = std::sync::atomic::AtomicI64::new(0);
    let count = |bytes| {
        arrived.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
    };
    let part = client
        .part_of_segment(&segment(), 20_000..30_000, Right::Link(&link), Via::Any, &count)
        .await;
    assert_eq!(part.unwrap(), bytes[20_000..30_000]);
    assert_eq!(arrived.into_inner(), 10_000);
    let ranges = |log| heads(log).iter().map(|head| header(head, "range").unwrap()).collect();
    let (seen, asked): (Vec<_>, Vec<_>) = (ranges(&seen), ranges(&asked));
    assert_eq!(seen, ["bytes=20000-29999"]);
    assert_eq!(asked, ["bytes=20000-29999", "bytes=26000-29999"]);
}

#[tokio::test]
async fn a_server_that_ignores_or_mistakes_ranges_gives_the_part_or_an_error() {
    let bytes = content();
    let other = reply("206 Partial Content", "content-range: bytes 5-9/100000\r\n", &bytes[5..10]);
    let (worker, _) = server(vec![reply("200 OK", "", &bytes), other]).await;
    let (link, client) = (link(&worker), client(&worker, &worker));
    let part = async |range| {
        client.part_of_segment(&segment(), range, Right::Link(&link), Via::Worker, &|_| {}).await
    };
    assert_eq!(part(50_000..50_010).await.unwrap(), bytes[50_000..50_010]);
    assert!(matches!(part(0..5).await, Err(WorkerError::Malformed { .. })));
}

#[tokio::test]
async fn a_server_that_sends_nothing_is_an_error() {
    let (worker, asked) = server(vec![Vec::new(); 64]).await;
    let client = client(&worker, &worker);
    let error = client.segment_by_link(&segment(), &link(&worker)).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!(heads(&asked).len(), MAX_FRUITLESS as usize);
}

#[tokio::test]
async fn a_storage_that_does_not_answer_is_not_asked_for_the_next_segments() {
    let whole = || reply("200 OK", "", &content());
    // Nothing listens there.
    let storage = Url::parse("http://127.0.0.1:1/x").unwrap();
    let (worker, asked) = redirecting(storage.as_str(), vec![whole(), whole(), whole()]).await;
    let (link, client) = (link(&worker), client(&worker, &storage));
    for _ in 0..3 {
        assert_eq!(client.segment_by_link(&segment(), &link).await.unwrap(), content());
    }
    let via: Vec<_> =
        heads(&asked).iter().map(|head| path(head).ends_with("&via=worker")).collect();
    assert_eq!(via, [false, true, true, true]);
}

#[tokio::test]
async fn one_missing_object_does_not_keep_the_client_from_the_storage() {
    let (storage, seen) =
        server(vec![reply("404 Not Found", "", b""), reply("200 OK", "", &content())]).await;
    let to = redirection(storage.as_str());
    let (worker, _) = server(vec![to.clone(), reply("200 OK", "", &content()), to]).await;
    let (link, client) = (link(&worker), client(&worker, &storage));
    for _ in 0..2 {
        assert_eq!(client.segment_by_link(&segment(), &link).await.unwrap(), content());
    }
    assert_eq!(heads(&seen).len(), 2);
}

#[test]
fn a_storage_that_failed_is_asked_again_after_a_minute() {
    let then = Instant::now();
    assert!(!is_paused(None, then));
    assert!(is_paused(Some(then), then + STORAGE_PAUSE / 2));
    assert!(!is_paused(Some(then), then + STORAGE_PAUSE));
}

#[tokio::test]
async fn a_wait_for_a_storage_that_stands_still_names_the_storage() {
    let storage = answering(|_, _| std::future::pending()).await;
    let (worker, _) = redirecting(storage.as_str(), vec![]).await;
    let waits = Waits::default();
    let (link, client) = (link(&worker), client(&worker, &storage).with_waits(waits.clone()));
    let fetching = tokio::spawn(async move { client.segment_by_link(&segment(), &link).await });
    let mut heard = waits.watch();
    let is_storage = |wait: &Wait| wait.to_string().contains("the storage of hospital 1");
    let waiting = heard.wait_for(|waits| waits.iter().any(is_storage));
    let waiting = tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap();
    assert!(waiting.is_ok());
    fetching.abort();
}
