//! The fetcher with real HTTP servers on loopback, honest ones and faulty ones.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use epione_client::{
    Endpoint,
    request::{Target, authenticate},
    signer::Account,
};
use epione_primitives::{AnnouncementId, Hash, HospitalId, block::Segment};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use object_store::{ObjectStoreExt, memory::InMemory};

use super::{
    wire::{HeldAnswer, HeldRequest},
    *,
};
use crate::{
    journal::{Journal, Owner},
    metrics::Metrics,
    repair::{Repair, RepairError},
    store::{Store, StoreError, faulty::Faulty},
};

mod directories;
mod hospitals;
mod lying_storage;
mod repairs;
mod seeding;
mod slow;
mod swarm;

const GENESIS: Hash = Hash::repeat_byte(1);

/// How a peer responds to requests for segments.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Honest,
    /// The right length with wrong bytes.
    Lies,
    /// Half of the segment, then the connection ends.
    ClosesEarly,
    /// Half of the segment, then nothing more.
    Stalls,
    Absent,
    Busy,
    /// Ignores ranges.
    Whole,
    /// Claims to have everything, and has nothing.
    Boasts,
    /// Does not say what it has.
    Silent,
    /// The right bytes, so many a second.
    Slow(u32),
    /// The right length with wrong bytes, so many a second.
    LiesSlowly(u32),
}

#[derive(Clone)]
struct Served {
    hospital: HospitalId,
    genesis: Hash,
    manner: Manner,
    content: Arc<Vec<Vec<u8>>>,
    asked: Arc<AtomicUsize>,
    ranges: Arc<AtomicUsize>,
}

impl Served {
    fn knows(&self, method: &http::Method, path: &str, headers: &HeaderMap) -> bool {
        let target =
            Target { genesis: self.genesis, hospital: self.hospital, method, path_and_query: path };
        authenticate(&target, headers).is_ok()
    }

    /// Which of these segments it claims to have.
    fn holds(&self, headers: &HeaderMap, body: &[u8]) -> Response {
        if !self.knows(&http::Method::POST, "/v1/segments/held", headers) {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        if self.manner == Manner::Silent {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let question: HeldRequest = serde_json::from_slice(body).unwrap();
        let held = |hash: &[u8; 32]| match self.manner {
            Manner::Absent => false,
            Manner::Boasts => true,
            _ => self.content.iter().any(|bytes| segment(bytes).hash == *hash),
        };
        let held: Vec<bool> = question.hashes().unwrap().iter().map(held).collect();
        axum::Json(HeldAnswer::new(&held)).into_response()
    }

    async fn answer(&self, path: &str, headers: &HeaderMap) -> Response {
        if !self.knows(&http::Method::GET, path, headers) {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        let hash = path.rsplit('/').next().unwrap();
        let found = self.content.iter().find(|bytes| blake3::hash(bytes).to_hex().as_str() == hash);
        let Some(bytes) = found.cloned() else { return StatusCode::NOT_FOUND.into_response() };
        self.send(bytes, headers)
    }

    fn send(&self, bytes: Vec<u8>, headers: &HeaderMap) -> Response {
        let total = bytes.len();
        let offset = headers
            .get(header::RANGE)
            .map(|range| {
                self.ranges.fetch_add(1, Ordering::SeqCst);
                let range = range.to_str().unwrap();
                range.strip_prefix("bytes=").unwrap().trim_end_matches('-').parse().unwrap()
            })
            .filter(|_| self.manner != Manner::Whole)
            .unwrap_or(0);
        let rest = bytes[offset..].to_vec();
        let status = if offset == 0 { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT };
        let body = match self.manner {
            Manner::Honest | Manner::Whole => Body::from(rest),
            Manner::Lies => Body::from(vec![0xee; rest.len()]),
            Manner::ClosesEarly => Body::from_stream(halves(rest).chain(broken())),
            Manner::Stalls => Body::from_stream(halves(rest).chain(stream::pending())),
            Manner::Slow(pace) => Body::from_stream(paced(rest, pace)),
            Manner::LiesSlowly(pace) => Body::from_stream(paced(vec![0xee; rest.len()], pace)),
            Manner::Absent | Manner::Boasts | Manner::Silent => {
                return StatusCode::NOT_FOUND.into_response();
            }
            Manner::Busy => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        };
        let range = format!("bytes {offset}-{}/{total}", total - 1);
        (status, [(header::CONTENT_RANGE, range)], body).into_response()
    }
}

fn halves(bytes: Vec<u8>) -> impl futures::Stream<Item = std::io::Result<Bytes>> + Send {
    let half = Bytes::from(bytes[..bytes.len() / 2].to_vec());
    stream::iter([Ok(half)])
}

/// Sends up to ten times a second.
fn paced(bytes: Vec<u8>, pace: u32) -> impl futures::Stream<Item = std::io::Result<Bytes>> + Send {
    let piece = (pace / 10).max(1);
    let pause = Duration::from_secs(1) * piece / pace;
    let bytes = Bytes::from(bytes);
    stream::unfold(bytes, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let sent = rest.split_to(rest.len().min(piece as usize));
        Some((Ok(sent), rest))
    })
}

/// Ends the connection after the previous bytes were sent.
fn broken() -> impl futures::Stream<Item = std::io::Result<Bytes>> + Send {
    stream::once(async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Err(std::io::Error::other("gone"))
    })
}

/// The stall timeout of tests in which a peer stalls.
const STALL: Duration = Duration::from_secs(1);
/// Longer than a busy machine delays a peer.
const NEVER: Duration = Duration::from_secs(60);
/// The patience of tests in which a peer is given up.
const SHORT: Duration = Duration::from_secs(1);
/// The patience of tests in which a peer stalls: a stall is noticed before the peer is slow.
const AFTER_STALL: Duration = Duration::from_secs(4);

/// The bounds: this many segments at once, and every block is dealt out, however small.
fn bounds(parallel: usize, patience: Duration) -> FetchBounds {
    let rules = Rules {
        small: 0,
        patience,
        ask_every: (Duration::from_millis(30), Duration::from_millis(100)),
        rest: (Duration::from_millis(20), Duration::from_millis(200)),
        ..Rules::default()
    };
    FetchBounds { parallel, segment_limit: NEVER, flight_patience: NEVER, rules }
}

struct FixedRoster(Vec<Peer>);

impl Roster for FixedRoster {
    fn roll(&self, _: Option<HospitalId>) -> BoxFuture<'_, Result<Roll, RosterError>> {
        async { Ok(Roll { genesis: GENESIS, own: None, peers: self.0.clone() }) }.boxed()
    }
}

struct Network {
    fetcher: Arc<Fetcher>,
    store: Store,
    journal: Journal,
    metrics: Metrics,
    served: Vec<Served>,
}

impl Network {
    /// Peers that respond in these ways, in this order, for these contents.
    async fn new(manners: &[Manner], content: &[Vec<u8>]) -> Self {
        Self::with(Store::in_memory(), manners, content).await
    }

    async fn with(store: Store, manners: &[Manner], content: &[Vec<u8>]) -> Self {
        let mut peers = Vec::new();
        let mut served = Vec::new();
        for (manner, id) in manners.iter().zip(1..) {
            let one = Served {
                hospital: HospitalId(id),
                genesis: GENESIS,
                manner: *manner,
                content: Arc::new(content.to_vec()),
                asked: Arc::default(),
                ranges: Arc::default(),
            };
            peers.push(Peer { hospital: one.hospital, endpoint: serve(one.clone()).await });
            served.push(one);
        }
        let metrics = Metrics::new().unwrap();
        let journal = Journal::in_memory().await.unwrap();
        let agent = Account::development("//Alice//agent").unwrap();
        let stalls = manners.contains(&Manner::Stalls);
        let (stall, patience) = if stalls { (STALL, AFTER_STALL) } else { (NEVER, SHORT) };
        let timings = Timings { connect: NEVER, stall };
        let fetcher = Arc::new(Fetcher::new(
            Arc::new(FixedRoster(peers)),
            Courier::new(agent, timings),
            journal.clone(),
            store.clone(),
            Holdings::new(store.clone()),
            metrics.clone(),
            bounds(3, patience),
        ));
        Self { fetcher, store, journal, metrics, served }
    }

    fn asked(&self, peer: usize) -> usize {
        self.served[peer].asked.load(Ordering::SeqCst)
    }

    fn dropped(&self, reason: &str) -> u64 {
        self.metrics.peers_dropped.with_label_values(&[reason]).get()
    }

    fn counted(&self, result: &str) -> u64 {
        self.metrics.peer_fetches.with_label_values(&[result]).get()
    }

    async fn holds(&self, content: &[Vec<u8>]) -> bool {
        for bytes in content {
            if self.store.read(&segment(bytes).hash).await.ok().as_deref() != Some(bytes) {
                return false;
            }
        }
        true
    }
}

fn plain(url: &str) -> Endpoint {
    Endpoint::new(url.parse().unwrap(), [0; 32]).unwrap()
}

async fn serve(served: Served) -> Endpoint {
    let asked = served.clone();
    let held =
        post(move |headers: HeaderMap, body: Bytes| async move { asked.holds(&headers, &body) });
    let route = get(move |Path(hash): Path<String>, headers: HeaderMap| async move {
        served.answer(&format!("/v1/segments/{hash}"), &headers).await
    });
    listen(Router::new().route("/v1/segments/held", held).route("/v1/segments/{hash}", route)).await
}

async fn listen(router: Router) -> Endpoint {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = plain(&format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    endpoint
}

fn segment(bytes: &[u8]) -> Segment {
    Segment { hash: blake3::hash(bytes).into(), length: bytes.len() as u32 }
}

fn segments(content: &[Vec<u8>]) -> Vec<Segment> {
    content.iter().map(|bytes| segment(bytes)).collect()
}

fn content(count: u8) -> Vec<Vec<u8>> {
    (0..count).map(|seed| vec![seed; 100_000 + usize::from(seed)]).collect()
}

#[tokio::test]
async fn segments_are_fetched_once_from_hospitals_that_have_them() {
    let content = content(7);
    let network = Network::new(&[Manner::Honest, Manner::Honest], &content).await;
    network.fetcher.fetch(&segments(&content), None).await.unwrap();
    assert!(network.holds(&content).await);
    assert_eq!(network.asked(0) + network.asked(1), 7);
    assert!(network.asked(0) > 0 && network.asked(1) > 0);
    network.fetcher.fetch(&segments(&content), None).await.unwrap();
    assert_eq!(network.asked(0) + network.asked(1), 7);
    assert_eq!(network.counted("ok"), 7);
}

#[tokio::test]
async fn wrong_bytes_are_not_stored_and_drop_their_sender() {
    let content = content(6);
    let network = Network::new(&[Manner::Lies, Manner::Honest], &content).await;
    network.fetcher.fetch(&segments(&content), None).await.unwrap();
    assert!(network.holds(&content).await);
    // The downloads that were under way when the first wrong bytes were detected.
    assert!(network.asked(0) <= 3, "{}", network.asked(0));
    assert!(network.counted("wrong-bytes") >= 1);
}

#[tokio::test]
async fn wrong_bytes_from_all_leave_the_segment_missing() {
    let content = content(2);
    let network = Network::new(&[Manner::Lies, Manner::Lies], &content).await;
    let error = network.fetcher.fetch(&segments(&content), None).await.unwrap_err();
    assert!(matches!(error, FetchError::Unavailable { missing: 2, wanted: 2 }), "{error}");
    assert_eq!(network.fetcher.missing(&segments(&content), None).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_download_that_breaks_off_is_continued_elsewhere() {
    for manner in [Manner::ClosesEarly, Manner::Stalls] {
        for second in [Manner::Honest, Manner::Whole] {
            let content = content(1);
            let network = Network::new(&[manner, second], &content).await;
            network.fetcher.fetch(&segments(&content), None).await.unwrap();
            assert!(network.holds(&content).await, "{manner:?} {second:?}");
            assert_eq!(network.served[1].ranges.load(Ordering::SeqCst), 1, "{manner:?} {second:?}");
        }
    }
}

#[tokio::test]
async fn a_hospital_that_stalls_is_dropped_for_the_block() {
    let content = content(9);
    let network = Network::new(&[Manner::Stalls, Manner::Honest], &content).await;
    network.fetcher.fetch(&segments(&content), None).await.unwrap();
    assert!(network.holds(&content).await);
    assert!(network.asked(0) <= 3, "{}", network.asked(0));
    assert!(network.counted("stalled") >= 1);
}

#[tokio::test]
async fn a_download_with_wrong_bytes_is_fetched_again_as_a_whole() {
    // The first peer sends half of the segment with wrong bytes and stalls. The second continues with right bytes. The
    // result is wrong, so the second is asked for the whole segment.
    let honest = content(1);
    let lie = Served {
        hospital: HospitalId(1),
        genesis: GENESIS,
        manner: Manner::Stalls,
        content: Arc::new(honest.clone()),
        asked: Arc::default(),
        ranges: Arc::default(),
    };
    let truth = Served { hospital: HospitalId(2), manner: Manner::Honest, ..lie.clone() };
    let mut network = Network::new(&[], &[]).await;
    let liar = serve_half_of_a_lie(honest[0].len()).await;
    let peers = vec![
        Peer { hospital: lie.hospital, endpoint: liar },
        Peer { hospital: truth.hospital, endpoint: serve(truth).await },
    ];
    let timings = Timings { connect: NEVER, stall: STALL };
    network.fetcher = Arc::new(Fetcher::new(
        Arc::new(FixedRoster(peers)),
        Courier::new(Account::development("//Alice//agent").unwrap(), timings),
        network.journal.clone(),
        network.store.clone(),
        Holdings::new(network.store.clone()),
        network.metrics.clone(),
        bounds(1, AFTER_STALL),
    ));
    network.fetcher.fetch(&segments(&honest), None).await.unwrap();
    assert!(network.holds(&honest).await);
    // The second peer is not blamed.
    assert_eq!(network.counted("wrong-bytes"), 0);
}

async fn serve_half_of_a_lie(length: usize) -> Endpoint {
    let held = post(async || axum::Json(HeldAnswer::new(&[true])));
    let route = get(move || async move {
        let half = stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![0xee; length / 2]))]);
        Body::from_stream(half.chain(stream::pending()))
    });
    listen(Router::new().route("/v1/segments/held", held).route("/v1/segments/{hash}", route)).await
}

#[tokio::test]
async fn hospitals_without_the_segment_and_busy_ones_are_passed_over() {
    let content = content(2);
    let network = Network::new(&[Manner::Absent, Manner::Busy, Manner::Honest], &content).await;
    network.fetcher.fetch(&segments(&content), None).await.unwrap();
    assert!(network.holds(&content).await);
    // A peer that has nothing is not asked for segments, and a busy peer is not dropped.
    assert_eq!(network.asked(0), 0);
    assert_eq!(network.counted("busy"), network.asked(1) as u64);
    assert_eq!(network.dropped("busy"), 0);
}

#[tokio::test]
async fn fetched_segments_are_kept_when_others_fail() {
    let content = content(3);
    let network = Network::new(&[Manner::Honest], &content[..2]).await;
    let error = network.fetcher.fetch(&segments(&content), None).await.unwrap_err();
    assert!(matches!(error, FetchError::Unavailable { missing: 1, wanted: 3 }), "{error}");
    assert!(network.holds(&content[..2]).await);
}

#[tokio::test]
async fn an_unreachable_hospital_is_passed_over() {
    let content = content(1);
    let network = Network::new(&[Manner::Honest], &content).await;
    let gone = Peer { hospital: HospitalId(9), endpoint: plain("http://127.0.0.1:1") };
    let courier = Courier::new(
        Account::development("//Alice//agent").unwrap(),
        Timings { connect: Duration::from_secs(1), stall: Duration::from_secs(1) },
    );
    let fault = courier.open(GENESIS, &gone, &segment(&content[0]), 0).await.err();
    assert!(matches!(fault, Some(PeerFault::Unreachable(_))), "{fault:?}");
    assert!(network.holds(&[]).await);
}

#[tokio::test]
async fn concurrent_fetches_of_one_segment_share_one_download() {
    let content = content(1);
    let network = Network::new(&[Manner::Honest], &content).await;
    let wanted = segments(&content);
    let fetches = (0..8).map(|_| network.fetcher.fetch(&wanted, None));
    for result in futures::future::join_all(fetches).await {
        result.unwrap();
    }
    assert_eq!(network.asked(0), 1);
}

#[tokio::test]
async fn a_full_disk_fails_the_fetch_until_there_is_space() {
    let content = content(3);
    let (backend, room, _) = Faulty::with_room(150_000);
    let network = Network::with(Store::over(backend), &[Manner::Honest], &content).await;
    let error = network.fetcher.fetch(&segments(&content), None).await.unwrap_err();
    assert!(matches!(error, FetchError::Store(StoreError::Full)), "{error}");
    // The peer is not to blame.
    assert_eq!(network.counted("wrong-bytes"), 0);
    room.set(10_000_000);
    network.fetcher.fetch(&segments(&content), None).await.unwrap();
    assert!(network.holds(&content).await);
}

async fn keep(network: &Network, segments: &[Segment]) -> (Journal, PeerRepair) {
    let journal = network.journal.clone();
    let owner = Owner::Announcement(AnnouncementId(1));
    journal.reference(owner, segments).await.unwrap();
    let repair =
        PeerRepair::new(Arc::clone(&network.fetcher), journal.clone(), network.store.clone());
    (journal, repair)
}

/// An owner's claim about the length of a content.
fn lie(content: &[u8]) -> Segment {
    let Segment { hash, length } = segment(content);
    Segment { hash, length: length - 1 }
}

#[tokio::test]
async fn stored_bytes_disprove_a_wrong_length() {
    let content = content(2);
    let network = Network::new(&[Manner::Honest], &content).await;
    network.fetcher.fetch(&segments(&content), None).await.unwrap();
    let asked = network.asked(0);
    for claims in [[segment(&content[0]), lie(&content[1])], [lie(&content[0]), lie(&content[1])]] {
        let error = network.fetcher.fetch(&claims, None).await.unwrap_err();
        assert!(matches!(error, FetchError::Contradicted { .. }), "{error}");
        let error = network.fetcher.missing(&claims, None).await.unwrap_err();
        assert!(matches!(error, FetchError::Contradicted { .. }), "{error}");
    }
    assert_eq!(network.asked(0), asked);
    assert!(network.holds(&content).await);
}

#[tokio::test]
async fn a_truncated_object_proves_nothing() {
    let content = content(1);
    let objects = Arc::new(InMemory::new());
    let network = Network::with(Store::over(objects.clone()), &[Manner::Honest], &content).await;
    let hash = hex::encode(segment(&content[0]).hash);
    let path = object_store::path::Path::from(format!("segments/{hash}"));
    objects.put(&path, content[0][..9].to_vec().into()).await.unwrap();
    network.fetcher.fetch(&segments(&content), None).await.unwrap();
    assert!(network.holds(&content).await);
}
