//! Downloads of one segment, or the rest of one, from one hospital.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use epione_client::{
    Endpoint, pin,
    request::{Target, sign},
    signer::Account,
};
use epione_primitives::{Hash, HospitalId, block::Segment};
use futures::{Stream, StreamExt, future::ready, stream::BoxStream};
use http::{
    Method, StatusCode,
    header::{CONTENT_RANGE, RANGE},
};
use url::Url;

use super::Peer;
use crate::now;

/// How a hospital failed that was asked for a segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerFault {
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("it does not prove the TLS key that the chain names for it")]
    WrongKey,
    #[error("it sent nothing for too long")]
    Stalled,
    #[error("its response ended {missing} bytes too early")]
    ClosedEarly { missing: u32 },
    #[error("it sent wrong bytes for the segment")]
    WrongBytes,
    #[error("it rejected the request with status {0}")]
    Refused(u16),
    #[error("it does not have the segment")]
    Absent,
    #[error("it does not have a segment that it had reported")]
    BrokenPromise,
    #[error("its response does not match the API's description")]
    Nonsense,
    #[error("the worker of another hospital, or of another chain, answers at its address")]
    OtherWorker,
    #[error("it is busy")]
    Busy,
    #[error("it sends much more slowly than another hospital")]
    Slow,
}

impl PeerFault {
    /// Whether the hospital is dropped as a source for the rest of the block. It is not if it is only busy or slow, or
    /// does not have this segment.
    pub fn drops(&self) -> bool {
        !matches!(self, Self::Absent | Self::Busy | Self::Slow)
    }

    /// The label for the metric `peer_fetches_total`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::WrongKey => "wrong-key",
            Self::Stalled => "stalled",
            Self::ClosedEarly { .. } => "closed-early",
            Self::WrongBytes => "wrong-bytes",
            Self::Refused(_) => "refused",
            Self::Absent => "absent",
            Self::BrokenPromise => "broken-promise",
            Self::Nonsense => "nonsense",
            Self::OtherWorker => "other-worker",
            Self::Busy => "busy",
            Self::Slow => "slow",
        }
    }
}

/// How long an idle connection is reused. The other worker closes it after `limits.connection_idle` (30 seconds by
/// default), and a request that is sent at that moment fails.
const IDLE: Duration = Duration::from_secs(10);

/// How long to wait for a peer.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    pub connect: Duration,
    /// Without receiving a byte.
    pub stall: Duration,
}

/// Sends requests to other hospitals' workers on behalf of this hospital. Clones share their connections.
#[derive(Clone)]
pub struct Courier {
    agent: Account,
    timings: Timings,
    /// One client for each hospital, for the endpoint that the chain last named.
    clients: Arc<Mutex<HashMap<HospitalId, (Endpoint, reqwest::Client)>>>,
}

impl Courier {
    pub fn new(agent: Account, timings: Timings) -> Self {
        Self { agent, timings, clients: Arc::default() }
    }

    /// A client that connects only to this hospital's worker.
    fn http(&self, peer: &Peer) -> Result<reqwest::Client, PeerFault> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        match clients.get(&peer.hospital) {
            Some((endpoint, client)) if *endpoint == peer.endpoint => return Ok(client.clone()),
            _ => {}
        }
        let client = peer
            .endpoint
            .http()
            .connect_timeout(self.timings.connect)
            .read_timeout(self.timings.stall)
            .pool_idle_timeout(IDLE)
            .no_proxy()
            .build()
            .map_err(|error| PeerFault::Unreachable(format!("TLS cannot be set up: {error}")))?;
        clients.insert(peer.hospital, (peer.endpoint.clone(), client.clone()));
        Ok(client)
    }

    /// The bytes of a segment from `offset` on, never more than the segment has. If the response has fewer, the stream
    /// ends with [`PeerFault::ClosedEarly`]. The store checks whether the bytes are right. `genesis` is the hash of the
    /// chain's first block.
    pub async fn open(
        &self,
        genesis: Hash,
        peer: &Peer,
        segment: &Segment,
        offset: u32,
    ) -> Result<BoxStream<'static, Result<Bytes, PeerFault>>, PeerFault> {
        let path = ["segments", &hex::encode(segment.hash)];
        let mut request = self.request(genesis, peer, &Method::GET, &path, Vec::new())?;
        if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
        }
        let response = request.send().await.map_err(|error| fault(&error))?;
        let skip = accepted_start(&response, offset)?;
        let expected = segment.length - offset;
        if response.content_length().is_some_and(|length| length != u64::from(expected + skip)) {
            return Err(PeerFault::WrongBytes);
        }
        let bytes = response.bytes_stream().map(|item| item.map_err(|error| fault(&error)));
        Ok(exactly(bytes, skip, expected).boxed())
    }

    /// A request to a peer's worker, signed by this hospital's agent. `path` is the part after `v1`.
    pub(super) fn request(
        &self,
        genesis: Hash,
        peer: &Peer,
        method: &Method,
        path: &[&str],
        body: Vec<u8>,
    ) -> Result<reqwest::RequestBuilder, PeerFault> {
        let url = extended(peer.endpoint.url(), path)
            .ok_or_else(|| PeerFault::Unreachable("its URL cannot be extended".into()))?;
        let target =
            Target { genesis, hospital: peer.hospital, method, path_and_query: url.path() };
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce)
            .map_err(|error| PeerFault::Unreachable(format!("no randomness: {error}")))?;
        let digest = *blake3::hash(&body).as_bytes();
        let headers =
            sign(&target, &self.agent.id(), digest, now(), nonce, |bytes| self.agent.sign(bytes));
        Ok(self.http(peer)?.request(method.clone(), url.clone()).headers(headers).body(body))
    }
}

/// The URL of an API path below a worker's URL.
pub(super) fn extended(base: &Url, path: &[&str]) -> Option<Url> {
    let mut url = base.clone();
    url.path_segments_mut().ok()?.pop_if_empty().push("v1").extend(path);
    url.set_query(None);
    url.set_fragment(None);
    Some(url)
}

/// How many bytes of a response to skip, so that the rest begins at `offset`.
fn accepted_start(response: &reqwest::Response, offset: u32) -> Result<u32, PeerFault> {
    match response.status() {
        StatusCode::OK => Ok(offset),
        StatusCode::PARTIAL_CONTENT => {
            let start = response.headers().get(CONTENT_RANGE).and_then(|value| {
                value.to_str().ok()?.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
            });
            if start == Some(offset) { Ok(0) } else { Err(PeerFault::WrongBytes) }
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(PeerFault::Absent),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Err(PeerFault::Busy),
        other => Err(PeerFault::Refused(other.as_u16())),
    }
}

pub(super) fn fault(error: &reqwest::Error) -> PeerFault {
    if pin::is_wrong_key(error) {
        PeerFault::WrongKey
    } else if error.is_connect() {
        PeerFault::Unreachable("no connection".into())
    } else if error.is_timeout() {
        PeerFault::Stalled
    } else if error.is_body() || error.is_decode() {
        PeerFault::ClosedEarly { missing: 0 }
    } else {
        PeerFault::Unreachable("the connection broke".into())
    }
}

/// Exactly `expected` bytes of a stream, after skipping `skip`.
fn exactly<S>(
    bytes: S,
    skip: u32,
    expected: u32,
) -> impl Stream<Item = Result<Bytes, PeerFault>> + Send
where
    S: Stream<Item = Result<Bytes, PeerFault>> + Send,
{
    let mut skip = u64::from(skip);
    let mut missing = expected;
    // The end of the peer's stream becomes an item too, so that an early end is detected.
    let marked = bytes.map(Some).chain(futures::stream::iter([None]));
    marked.filter_map(move |item| {
        ready(match item {
            None if missing > 0 => Some(Err(PeerFault::ClosedEarly { missing })),
            None => None,
            Some(Err(PeerFault::ClosedEarly { .. })) => {
                Some(Err(PeerFault::ClosedEarly { missing }))
            }
            Some(Err(fault)) => Some(Err(fault)),
            Some(Ok(mut chunk)) => {
                let over = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
                let chunk = chunk.split_off(over);
                skip -= u64::try_from(over).unwrap_or(0);
                match u32::try_from(chunk.len()) {
                    Ok(0) => None,
                    Ok(length) if length <= missing => {
                        missing -= length;
                        Some(Ok(chunk))
                    }
                    _ => Some(Err(PeerFault::WrongBytes)),
                }
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn through(
        chunks: &[&'static [u8]],
        skip: u32,
        expected: u32,
    ) -> Result<Vec<u8>, PeerFault> {
        let source = futures::stream::iter(
            chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk))).collect::<Vec<_>>(),
        );
        let items: Vec<_> = exactly(source, skip, expected).collect().await;
        let mut all = Vec::new();
        for item in items {
            all.extend_from_slice(&item?);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn a_stream_of_the_right_length_passes_unchanged() {
        assert_eq!(through(&[b"ab", b"", b"cde"], 0, 5).await, Ok(b"abcde".to_vec()));
    }

    #[tokio::test]
    async fn a_complete_response_to_a_request_for_the_rest_is_cut() {
        assert_eq!(through(&[b"ab", b"cde"], 3, 2).await, Ok(b"de".to_vec()));
        assert_eq!(through(&[b"abcde"], 4, 1).await, Ok(b"e".to_vec()));
    }

    #[tokio::test]
    async fn an_early_end_is_reported_with_the_missing_bytes() {
        assert_eq!(through(&[b"ab"], 0, 5).await, Err(PeerFault::ClosedEarly { missing: 3 }));
        assert_eq!(through(&[], 0, 5).await, Err(PeerFault::ClosedEarly { missing: 5 }));
    }

    #[tokio::test]
    async fn more_bytes_than_the_segment_has_are_wrong() {
        assert_eq!(through(&[b"abc", b"def"], 0, 5).await, Err(PeerFault::WrongBytes));
    }

    #[test]
    fn segments_are_requested_below_the_path_of_the_url() {
        let hash = "ab".repeat(32);
        for (base, path) in [
            ("http://h:1", format!("/v1/segments/{hash}")),
            ("https://h/worker", format!("/worker/v1/segments/{hash}")),
            ("https://h/worker/?a=b", format!("/worker/v1/segments/{hash}")),
        ] {
            let url = extended(&Url::parse(base).unwrap(), &["segments", &hash]).unwrap();
            assert_eq!((url.path(), url.query()), (path.as_str(), None));
        }
    }
}
