//! Failures that only a storage in another process can have.

use std::{fs, time::Duration};

use axum::{Router, http::StatusCode};
use axum_server::tls_rustls::RustlsConfig;
use base64::Engine;
use bytes::Bytes;
use epione_primitives::{block::Segment, limits::SEGMENT_BYTES};
use futures::{TryStreamExt, stream};
use url::Url;

use super::{
    proxy::{Fault, Proxy},
    server::Server,
};
use crate::{
    config::S3Settings,
    store::{Claimant, Claimed, PutError, Store, StoreError},
};

fn content(bytes: usize) -> (Segment, Bytes) {
    let mut content = vec![0; bytes];
    blake3::Hasher::new().finalize_xof().fill(&mut content);
    (Segment { hash: blake3::hash(&content).into(), length: bytes as u32 }, content.into())
}

async fn put(store: &Store, segment: &Segment, content: &Bytes) -> Result<(), StoreError> {
    let source = stream::iter([Ok::<_, std::convert::Infallible>(content.clone())]);
    store.put(segment, source).await.map(drop).map_err(|error| match error {
        PutError::Store(error) => error,
        PutError::Source(never) => match never {},
    })
}

fn claimant(hospital: &str, instance: u8) -> Claimant {
    Claimant::new(hospital.into(), [instance; 16]).unwrap()
}

/// Checks that every operation fails in the expected way.
async fn all_fail(store: &Store, expected: fn(&StoreError) -> bool) {
    let (segment, bytes) = content(1_000);
    let failures = [
        put(store, &segment, &bytes).await.err(),
        store.read(&segment.hash).await.err(),
        store.list().try_collect::<Vec<_>>().await.err(),
        store.quarantine(&segment.hash).await.err(),
        store.delete(&segment.hash).await.err(),
        store.probe().await.err(),
        store.claim(&claimant("hospital 0", 0)).await.err(),
    ];
    for (index, failure) in failures.iter().enumerate() {
        assert!(failure.as_ref().is_some_and(expected), "{index}: {failure:?}");
    }
}

#[tokio::test]
async fn wrong_credentials_have_their_own_error() {
    let server = Server::start();
    for (key, secret) in [("tests", "a guess"), ("somebody", "only for tests")] {
        let credentials_file = Some(server.other_credentials(key, secret));
        let store = Store::s3(&S3Settings { credentials_file, ..server.settings() }).unwrap();
        all_fail(&store, |error| matches!(error, StoreError::Credentials)).await;
        // A response without a body does not tell the cause.
        let unknown = store.find(&[1; 32]).await;
        assert!(matches!(unknown, Err(StoreError::Denied)), "{unknown:?}");
    }
}

#[tokio::test]
async fn a_missing_bucket_is_reported_and_not_created() {
    let server = Server::start();
    let bucket = "another-bucket".to_owned();
    let store = Store::s3(&S3Settings { bucket, ..server.settings() }).unwrap();
    all_fail(&store, |error| matches!(error, StoreError::NoBucket)).await;
    let buckets = server.objects().join("../../..");
    assert!(!buckets.join("another-bucket").exists());
}

#[tokio::test]
async fn a_silent_server_times_out_and_is_used_again() {
    let server = Server::start();
    let hurried = S3Settings {
        request_timeout: Duration::from_millis(150),
        deadline: Duration::from_millis(500),
        ..server.settings()
    };
    let store = Store::s3(&hurried).unwrap();
    let (segment, bytes) = content(100_000);
    put(&server.store(), &segment, &bytes).await.unwrap();
    server.pause();
    all_fail(&store, |error| matches!(error, StoreError::Unreachable(_))).await;
    assert!(matches!(store.find(&segment.hash).await, Err(StoreError::Unreachable(_))));
    server.resume();
    assert_eq!(server.store().read(&segment.hash).await.unwrap(), bytes);
}

#[tokio::test]
async fn a_server_that_dies_gets_the_segment_after_its_restart() {
    let mut server = Server::start();
    let patient = S3Settings { deadline: Duration::from_secs(300), ..server.settings() };
    let store = Store::s3(&patient).unwrap();
    let (segment, bytes) = content(SEGMENT_BYTES as usize);
    // The server has the connection and some bytes, and does not respond.
    server.pause();
    let putting = tokio::spawn({
        let (store, bytes) = (store.clone(), bytes.clone());
        async move { put(&store, &segment, &bytes).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.kill();
    assert!(!putting.is_finished());
    server.restart();
    assert!(matches!(store.read(&segment.hash).await, Ok(_) | Err(StoreError::Missing)));
    putting.await.unwrap().unwrap();
    assert_eq!(store.read(&segment.hash).await.unwrap(), bytes);
    let names: Vec<_> = fs::read_dir(server.objects().join("segments")).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[tokio::test]
async fn nothing_is_acknowledged_without_the_server() {
    let mut server = Server::start();
    let hurried = S3Settings {
        request_timeout: Duration::from_millis(150),
        deadline: Duration::from_millis(500),
        ..server.settings()
    };
    let store = Store::s3(&hurried).unwrap();
    server.kill();
    all_fail(&store, |error| matches!(error, StoreError::Unreachable(_))).await;
    server.restart();
    let stored = server.store().list().try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(stored, []);
}

#[tokio::test]
async fn a_bucket_belongs_to_one_hospital() {
    let server = Server::start();
    for _ in 0..2 {
        let store = server.store();
        let claimed = store.claim(&claimant("hospital 0", 0)).await.unwrap();
        assert_eq!(claimed, Claimed::Ours);
        store.release_claim().await.unwrap();
    }
    for other in ["hospital 1", "hospital 10"] {
        let refused = server.store().claim(&claimant(other, 0)).await.unwrap_err().to_string();
        assert!(refused.contains("belongs to hospital 0"), "{refused}");
    }
    let prefix = "hospitals/b".to_owned();
    let beside = Store::s3(&S3Settings { prefix, ..server.settings() }).unwrap();
    beside.claim(&claimant("hospital 1", 0)).await.unwrap();
}

#[tokio::test]
async fn of_two_workers_that_start_together_on_an_empty_bucket_one_remains() {
    let server = Server::start();
    let (first, second) = (server.store(), server.store());
    let (one, two) = (claimant("hospital 0", 1), claimant("hospital 0", 2));
    let (by_first, by_second) = tokio::join!(first.claim(&one), second.claim(&two));
    let owned = [by_first.unwrap(), by_second.unwrap()].map(|claimed| claimed == Claimed::Ours);
    assert_eq!(owned.iter().filter(|owned| **owned).count(), 1, "{owned:?}");
    let (here, there) = (claimant("hospital 1", 1), claimant("hospital 2", 2));
    let prefix = "hospitals/b".to_owned();
    let settings = S3Settings { prefix, ..server.settings() };
    let (first, second) = (Store::s3(&settings).unwrap(), Store::s3(&settings).unwrap());
    let (by_first, by_second) = tokio::join!(first.claim(&here), second.claim(&there));
    assert!(by_first.is_ok() != by_second.is_ok(), "{by_first:?} {by_second:?}");
}

#[tokio::test]
async fn a_worker_that_lost_its_bucket_stops_writing() {
    let server = Server::start();
    let (store, other) = (server.store(), server.store());
    let (segment, bytes) = content(1_000);
    store.claim(&claimant("hospital 0", 1)).await.unwrap();
    store.confirm_claim().await.unwrap();
    put(&store, &segment, &bytes).await.unwrap();
    let second = claimant("hospital 0", 2);
    let Claimed::Rival(mark) = other.claim(&second).await.unwrap() else {
        panic!("the bucket has an owner");
    };
    // The first worker runs: its claim has changed, so it is not taken over.
    tokio::time::sleep(Duration::from_millis(5)).await;
    store.confirm_claim().await.unwrap();
    let Claimed::Rival(mark) = other.take_over(&second, &mark).await.unwrap() else {
        panic!("the first worker runs");
    };
    assert_eq!(other.take_over(&second, &mark).await.unwrap(), Claimed::Ours);
    let refused = store.confirm_claim().await.unwrap_err().to_string();
    assert!(refused.contains(&hex::encode([2; 16])), "it names the other worker: {refused}");
    for refused in [
        put(&store, &segment, &bytes).await.err(),
        store.delete(&segment.hash).await.err(),
        store.quarantine(&segment.hash).await.err(),
        store.purge_quarantine(0).await.err(),
        store.probe().await.err(),
    ] {
        assert!(matches!(refused, Some(StoreError::Foreign { .. })), "{refused:?}");
    }
    assert_eq!(store.read(&segment.hash).await.unwrap(), bytes);
    put(&other, &segment, &bytes).await.unwrap();
}

#[tokio::test]
async fn a_copy_of_a_journal_does_not_get_the_bucket_before_the_first_worker_stops() {
    let server = Server::start();
    let (store, other) = (server.store(), server.store());
    let (worker, copy) = (claimant("hospital 0", 1), claimant("hospital 0", 1));
    store.claim(&worker).await.unwrap();
    let Claimed::Rival(mark) = other.claim(&copy).await.unwrap() else {
        panic!("the bucket has an owner");
    };
    store.confirm_claim().await.unwrap();
    assert!(matches!(other.take_over(&copy, &mark).await.unwrap(), Claimed::Rival(_)));
    store.release_claim().await.unwrap();
    assert!(matches!(store.probe().await, Err(StoreError::Interrupted)));
    assert_eq!(other.claim(&copy).await.unwrap(), Claimed::Ours);
    other.probe().await.unwrap();
}

#[tokio::test]
async fn one_old_answer_about_the_owner_does_not_stop_a_worker_that_runs() {
    const EARLIER: &str = "hospital 0\ninstance 0909\nrun 09\nconfirmed 1\n";
    let server = Server::start();
    let (proxy, store, segment, bytes) = behind(&server).await;
    store.claim(&claimant("hospital 0", 1)).await.unwrap();
    proxy.set(Fault::StaleMark(EARLIER));
    store.confirm_claim().await.unwrap();
    put(&store, &segment, &bytes).await.unwrap();
}

#[tokio::test]
async fn only_a_server_without_conditions_gets_an_unconditional_claim() {
    let server = Server::start();
    let (proxy, store, ..) = behind(&server).await;
    let (owner, worker) = (server.objects().join("owner"), claimant("hospital 0", 1));
    // An error of the server does not say whether another worker has claimed the bucket meanwhile.
    proxy.set(Fault::NoConditions(StatusCode::INTERNAL_SERVER_ERROR));
    store.claim(&worker).await.unwrap_err();
    assert!(!owner.exists());
    proxy.set(Fault::NoConditions(StatusCode::BAD_REQUEST));
    assert_eq!(store.claim(&worker).await.unwrap(), Claimed::Ours);
    assert!(owner.exists());
}

/// A store behind a proxy, and one segment in it.
async fn behind(server: &Server) -> (Proxy, Store, Segment, Bytes) {
    let proxy = Proxy::before(server).await;
    let store = Store::s3(&proxy.settings(server)).unwrap();
    let (segment, bytes) = content(100_000);
    put(&store, &segment, &bytes).await.unwrap();
    assert_eq!(store.read(&segment.hash).await.unwrap(), bytes, "without a fault, it is a server");
    (proxy, store, segment, bytes)
}

#[tokio::test]
async fn an_archived_object_is_named_with_its_storage_class() {
    let server = Server::start();
    let (proxy, store, segment, bytes) = behind(&server).await;
    proxy.set(Fault::Archived(Some(segment.hash)));
    let refused = store.read(&segment.hash).await.unwrap_err();
    assert!(matches!(refused, StoreError::Archived { .. }), "{refused:?}");
    let said = refused.to_string();
    assert!(said.contains("GLACIER") && said.contains(&hex::encode(segment.hash)), "{said}");
    assert!(!said.contains("write"), "nothing was to be written: {said}");
    put(&store, &segment, &bytes).await.unwrap();
    assert_eq!(store.read(&segment.hash).await.unwrap(), bytes);
}

#[tokio::test]
async fn cut_bodies_end_with_an_error_in_time() {
    let server = Server::start();
    let (proxy, store, segment, bytes) = behind(&server).await;
    proxy.set(Fault::CutBodies);
    let begun = tokio::time::Instant::now();
    store.read(&segment.hash).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    proxy.heal();
    assert_eq!(store.read(&segment.hash).await.unwrap(), bytes);
}

#[tokio::test]
async fn bytes_that_were_altered_once_on_their_way_move_no_intact_object() {
    let server = Server::start();
    let (proxy, store, segment, bytes) = behind(&server).await;
    proxy.set(Fault::GarbledOnce);
    let failed = store.read(&segment.hash).await.unwrap_err();
    assert!(matches!(failed, StoreError::Damaged), "{failed:?}");
    assert!(!store.shows_damage(&segment.hash, &failed).await);
    assert_eq!(store.read(&segment.hash).await.unwrap(), bytes);
    let object = server.objects().join("segments").join(hex::encode(segment.hash));
    fs::write(object, b"damaged").unwrap();
    let failed = store.read(&segment.hash).await.unwrap_err();
    assert!(store.shows_damage(&segment.hash, &failed).await);
}

#[tokio::test]
async fn a_storage_that_slows_down_is_asked_less_and_less() {
    let server = Server::start();
    let proxy = Proxy::before(&server).await;
    let deadline = Duration::from_secs(20);
    let request_timeout = Duration::from_secs(10);
    let settings = S3Settings { deadline, request_timeout, ..proxy.settings(&server) };
    let store = Store::s3(&settings).unwrap();
    proxy.set(Fault::SlowDown);
    let (segment, bytes) = content(1_000);
    let refused = put(&store, &segment, &bytes).await.unwrap_err();
    assert!(matches!(refused, StoreError::Busy), "{refused:?}");
    // Pauses of 0.1 s that do not grow would allow a hundred.
    assert!((2..=25).contains(&proxy.requests()), "{} requests", proxy.requests());
}

#[test]
fn the_last_attempt_ends_before_the_deadline_so_that_its_error_is_reported() {
    let server = Server::start();
    for (request, deadline) in [(30, 90), (10, 20), (2, 5)] {
        let (request_timeout, deadline) =
            (Duration::from_secs(request), Duration::from_secs(deadline));
        let retry = super::retry(&S3Settings { request_timeout, deadline, ..server.settings() });
        assert!(retry.retry_timeout + retry.backoff.max_backoff + request_timeout <= deadline);
        assert!(!retry.retry_timeout.is_zero());
    }
}

#[tokio::test]
async fn a_stalled_storage_does_not_answer_in_words() {
    let server = Server::start();
    let (proxy, store, segment, _) = behind(&server).await;
    proxy.set(Fault::Stalled);
    let refused = store.read(&segment.hash).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unreachable(_)), "{refused:?}");
    assert!(refused.to_string().contains("does not answer"), "{refused}");
}

async fn fetch(method: http::Method, url: &str, range: Option<&str>) -> (u16, Bytes) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.request(method, url);
    if let Some(range) = range {
        request = request.header(http::header::RANGE, range);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.bytes().await.unwrap())
}

async fn get(url: &str) -> (u16, Bytes) {
    fetch(http::Method::GET, url, None).await
}

#[tokio::test]
async fn a_link_to_the_storage_reads_one_segment() {
    let server = Server::start();
    let store = server.store();
    let (segment, bytes) = content(300_000);
    put(&store, &segment, &bytes).await.unwrap();
    let link: Url = store.presigned(&segment.hash, Duration::from_secs(60)).await.unwrap();
    assert!(link.query_pairs().any(|(key, value)| key == "X-Amz-Expires" && value == "60"));
    assert_eq!(get(link.as_str()).await, (200, bytes.clone()));
    let part = fetch(http::Method::GET, link.as_str(), Some("bytes=1000-1999")).await;
    assert_eq!(part, (206, bytes.slice(1_000..2_000)));

    let mut unsigned = link.clone();
    unsigned.set_query(None);
    let longer = link.as_str().replace("X-Amz-Expires=60", "X-Amz-Expires=600");
    let (other, _) = content(10);
    let elsewhere = link.as_str().replace(&hex::encode(segment.hash), &hex::encode(other.hash));
    for refused in [unsigned.as_str(), &longer, &elsewhere] {
        assert_eq!(get(refused).await.0, 403, "{refused}");
    }
    for method in [http::Method::PUT, http::Method::DELETE] {
        assert_eq!(fetch(method, link.as_str(), None).await.0, 403);
    }
    assert_eq!(store.read(&segment.hash).await.unwrap(), bytes);
}

#[tokio::test]
async fn a_link_to_the_storage_expires() {
    let server = Server::start();
    let store = server.store();
    let (segment, bytes) = content(1_000);
    put(&store, &segment, &bytes).await.unwrap();
    let link = store.presigned(&segment.hash, Duration::from_secs(1)).await.unwrap();
    // The time of a signature is in whole seconds.
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(get(link.as_str()).await.0, 403);
    assert!(store.presigned(&segment.hash, Duration::from_millis(999)).await.is_none());
}

#[tokio::test]
async fn links_use_the_public_endpoint() {
    let server = Server::start();
    let outside = Url::parse("https://images.hospital.example").unwrap();
    let public_endpoint = Some(outside);
    let store = Store::s3(&S3Settings { public_endpoint, ..server.settings() }).unwrap();
    let link = store.presigned(&[1; 32], Duration::from_secs(60)).await.unwrap();
    assert_eq!(link.host_str(), Some("images.hospital.example"));
    let none = Store::s3(&S3Settings { links: false, ..server.settings() }).unwrap();
    assert!(none.presigned(&[1; 32], Duration::from_secs(60)).await.is_none());
    assert!(Store::in_memory().presigned(&[1; 32], Duration::from_secs(60)).await.is_none());
}

/// A TLS server for `localhost` without buckets. Returns its URL and its certificate in PEM form.
async fn over_tls() -> (Url, String) {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.der().to_vec(), made.signing_key.serialize_der());
    let tls = RustlsConfig::from_der(vec![certificate.clone()], key).await.unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let unknown = "<Error><Code>NoSuchBucket</Code></Error>";
    let service = Router::new().fallback(move || async move { (StatusCode::NOT_FOUND, unknown) });
    let server = axum_server::from_tcp_rustls(listener, tls).unwrap();
    tokio::spawn(server.serve(service.into_make_service()));
    let base64 = base64::engine::general_purpose::STANDARD.encode(certificate);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n");
    (Url::parse(&format!("https://localhost:{port}")).unwrap(), pem)
}

#[tokio::test]
async fn a_storage_over_tls_must_prove_its_identity() {
    let server = Server::start();
    let (endpoint, certificate) = over_tls().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), certificate).unwrap();
    let hurried = S3Settings {
        endpoint,
        request_timeout: Duration::from_millis(500),
        deadline: Duration::from_secs(1),
        ..server.settings()
    };
    let unknown = Store::s3(&hurried).unwrap().probe().await;
    assert!(matches!(unknown, Err(StoreError::Unreachable(_))), "{unknown:?}");
    let root_certificate = Some(file.path().to_path_buf());
    let S3Settings { request_timeout, deadline, .. } = server.settings();
    let patient = S3Settings { root_certificate, request_timeout, deadline, ..hurried };
    let known = Store::s3(&patient).unwrap().probe().await;
    assert!(matches!(known, Err(StoreError::NoBucket)), "{known:?}");
}

#[test]
fn an_invalid_root_certificate_is_reported() {
    let server = Server::start();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "not PEM").unwrap();
    let root_certificate = Some(file.path().to_path_buf());
    let refused = Store::s3(&S3Settings { root_certificate, ..server.settings() }).unwrap_err();
    assert!(refused.to_string().contains("PEM"), "{refused}");
    let root_certificate = Some("/nowhere/ca.pem".into());
    let refused = Store::s3(&S3Settings { root_certificate, ..server.settings() }).unwrap_err();
    assert!(refused.to_string().contains("/nowhere/ca.pem"), "{refused}");
}
