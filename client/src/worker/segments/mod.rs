//! Fetches segments: whole and verified, or only a part. After a broken connection the fetch resumes.
//!
//! A worker may redirect a reader to its object storage, once and for these bytes only. The chain names the storage's
//! origin; the client asks no other server. The storage gets no signature. If the storage fails in any way, the client
//! requests the bytes from the worker itself. If the storage does not answer at all, the client does not ask it for a
//! minute.

use std::{
    ops::Range,
    sync::PoisonError,
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes, BytesMut};
use epione_envelope::segment;
use epione_primitives::{RecordPointer, block::Segment};
use http::{HeaderValue, StatusCode, header};
use reqwest::Response;
use url::Url;

use super::{
    CONNECT_LIMIT, WorkerClient, WorkerError,
    transport::{ANSWER_LIMIT, Outgoing, nonce},
};
use crate::{
    api::SegmentLink,
    endpoint,
    waiting::{Awaited, Waiting},
};

/// Connections that one fetch may use.
const MAX_CONNECTIONS: u32 = 64;
/// Consecutive connections without progress, after which a fetch fails.
const MAX_FRUITLESS: u32 = 5;
/// Pause after the first connection; doubles with each connection without progress.
const PAUSE: Duration = Duration::from_millis(100);

/// After the storage did not answer, the client asks only the worker for this long.
const STORAGE_PAUSE: Duration = Duration::from_secs(60);

/// The right by which a segment is requested.
#[derive(Clone, Copy)]
pub(crate) enum Right<'a> {
    /// As an active hospital's agent.
    Agent,
    /// As the patient whose record the segment belongs to.
    Patient(RecordPointer),
    /// With a temporary link.
    Link(&'a SegmentLink),
}

/// Which server may send the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// The worker, or the storage to which it redirects.
    Any,
    /// Only the worker.
    Worker,
}

/// Called with the number of bytes that arrived; with a negative number when bytes are discarded.
pub(crate) type Arrived<'a> = &'a (dyn Fn(i64) + Send + Sync);

impl WorkerClient {
    /// Fetches a segment as an active hospital's agent, which this client's account must be. Length and BLAKE3 of the
    /// bytes are verified. At most 4 MiB.
    ///
    /// ```no_run
    /// use epione_client::{chain::Chain, verify, worker::WorkerClient};
    ///
    /// async fn first_of_block(
    ///     height: u32,
    ///     chain: &Chain,
    ///     worker: &WorkerClient,
    /// ) -> Result<(), Box<dyn std::error::Error>> {
    ///     let evidence = verify::gather(chain, height).await?;
    ///     if let [first, ..] = &verify::segments(&evidence)?[..] {
    ///         println!("{} verified bytes", worker.segment(first).await?.len());
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub async fn segment(&self, segment: &Segment) -> Result<Bytes, WorkerError> {
        self.whole_segment(segment, Right::Agent, &|_| {}).await
    }

    /// Fetches a segment of a record as the record's patient, to whom this client's account must belong. Any hospital's
    /// worker serves it. Verified as by [`WorkerClient::segment`].
    pub async fn segment_of(
        &self,
        record: RecordPointer,
        segment: &Segment,
    ) -> Result<Bytes, WorkerError> {
        self.whole_segment(segment, Right::Patient(record), &|_| {}).await
    }

    /// Fetches a segment with a temporary link of this worker. Verified as by [`WorkerClient::segment`].
    pub async fn segment_by_link(
        &self,
        segment: &Segment,
        link: &SegmentLink,
    ) -> Result<Bytes, WorkerError> {
        self.whole_segment(segment, Right::Link(link), &|_| {}).await
    }

    pub(crate) async fn whole_segment(
        &self,
        segment: &Segment,
        right: Right<'_>,
        arrived: Arrived<'_>,
    ) -> Result<Bytes, WorkerError> {
        let mut fetch = Fetch::new(self, segment, 0..segment.length, right, Via::Any, arrived)?;
        loop {
            fetch.complete().await?;
            match segment::verify(segment, &fetch.bytes) {
                Ok(()) => return Ok(fetch.bytes.freeze()),
                Err(_) if fetch.from_storage => fetch.begin_again_by_the_worker(),
                Err(_) => return Err(fetch.wrong_bytes()),
            }
        }
    }

    /// Fetches bytes of a segment, without verification: only the whole segment has a hash.
    pub(crate) async fn part_of_segment(
        &self,
        segment: &Segment,
        part: Range<u32>,
        right: Right<'_>,
        via: Via,
        arrived: Arrived<'_>,
    ) -> Result<Bytes, WorkerError> {
        let mut fetch = Fetch::new(self, segment, part, right, via, arrived)?;
        fetch.complete().await?;
        Ok(fetch.bytes.freeze())
    }

    /// The client for object storage at this address. It trusts the certificate authorities that this machine trusts,
    /// and follows no further redirect.
    fn storage(&self, url: &Url) -> Result<reqwest::Client, WorkerError> {
        let for_loopback = endpoint::is_loopback(url);
        let kept = &self.inner.storage[usize::from(for_loopback)];
        if let Some(client) = kept.get() {
            return Ok(client.clone());
        }
        let built = endpoint::http(for_loopback)
            .connect_timeout(CONNECT_LIMIT)
            .build()
            .map_err(|error| WorkerError::Tls(error.to_string()))?;
        Ok(kept.get_or_init(|| built).clone())
    }

    /// Which server to ask now, if both may be asked.
    fn via(&self, wanted: Via) -> Via {
        let failed = *self.inner.storage_failed.lock().unwrap_or_else(PoisonError::into_inner);
        if is_paused(failed, Instant::now()) { Via::Worker } else { wanted }
    }

    /// Remembers that the storage did not answer, which concerns every segment. An answer concerns only one.
    fn storage_failed(&self, error: &WorkerError) {
        if matches!(error, WorkerError::Unreachable { .. } | WorkerError::Stalled { .. }) {
            let mut failed =
                self.inner.storage_failed.lock().unwrap_or_else(PoisonError::into_inner);
            *failed = Some(Instant::now());
        }
    }

    fn segment_url(&self, segment: &Segment, right: Right<'_>) -> Result<Url, WorkerError> {
        let name = hex::encode(segment.hash);
        match right {
            Right::Agent => self.route(&format!("/v1/segments/{name}")),
            Right::Patient(record) => self.route(&format!("/v1/segments/{name}?record={record}")),
            Right::Link(link) => {
                let url = Url::parse(&link.url).ok().filter(may_be_asked);
                let own = |url: &Url| url.origin() == self.inner.base.origin();
                url.filter(|url| own(url) && link.segment == name).ok_or_else(|| {
                    WorkerError::ForeignLink { url: self.url(), segment: segment.hash }
                })
            }
        }
    }
}

/// Whether the storage, which failed then, is not to be asked.
fn is_paused(failed: Option<Instant>, now: Instant) -> bool {
    failed.is_some_and(|then| now.saturating_duration_since(then) < STORAGE_PAUSE)
}

/// Plain HTTP is allowed on this machine only.
fn may_be_asked(url: &Url) -> bool {
    match url.scheme() {
        "https" => url.has_host(),
        "http" => endpoint::is_loopback(url),
        _ => false,
    }
}

/// Whether a worker may redirect to a URL: of its own origin, or of the storage that its hospital's entry on the chain
/// names. A worker elsewhere must not make this machine send requests to itself.
fn may_redirect(worker: &Url, storage: Option<&Url>, to: &Url) -> bool {
    let is_named =
        [Some(worker), storage].into_iter().flatten().any(|it| it.origin() == to.origin());
    is_named && may_be_asked(to) && (!endpoint::is_loopback(to) || endpoint::is_loopback(worker))
}

/// A fetch of consecutive bytes of a segment.
struct Fetch<'a> {
    client: &'a WorkerClient,
    segment: &'a Segment,
    wanted: Range<u32>,
    url: Url,
    right: Right<'a>,
    via: Via,
    arrived: Arrived<'a>,
    bytes: BytesMut,
    /// Whether some of the bytes came from the storage.
    from_storage: bool,
    waiting: Waiting,
}

impl<'a> Fetch<'a> {
    fn new(
        client: &'a WorkerClient,
        segment: &'a Segment,
        wanted: Range<u32>,
        right: Right<'a>,
        via: Via,
        arrived: Arrived<'a>,
    ) -> Result<Self, WorkerError> {
        let url = client.segment_url(segment, right)?;
        let via = client.via(via);
        let bytes = BytesMut::with_capacity(wanted.len());
        let waiting = client.waits_for(Awaited::Segment);
        let from_storage = false;
        Ok(Self { client, segment, wanted, url, right, via, arrived, bytes, from_storage, waiting })
    }

    /// The position of the next missing byte in the segment.
    fn next(&self) -> usize {
        self.wanted.start as usize + self.bytes.len()
    }

    fn is_complete(&self) -> bool {
        self.bytes.len() >= self.wanted.len()
    }

    fn wrong_bytes(&self) -> WorkerError {
        WorkerError::WrongBytes { url: self.client.url(), segment: self.segment.hash }
    }

    fn begin_again_by_the_worker(&mut self) {
        (self.arrived)(-(self.bytes.len() as i64));
        self.bytes.clear();
        self.from_storage = false;
        self.via = Via::Worker;
    }

    /// Fetches until all bytes have arrived, over several connections if needed.
    async fn complete(&mut self) -> Result<(), WorkerError> {
        let (mut connections, mut fruitless) = (0, 0);
        while !self.is_complete() {
            let had = self.bytes.len();
            let outcome = self.connect().await;
            connections += 1;
            fruitless = if self.bytes.len() > had { 0 } else { fruitless + 1 };
            let spent = connections >= MAX_CONNECTIONS || fruitless >= MAX_FRUITLESS;
            match outcome {
                Err(error) if spent || !error.is_transient() => return Err(error),
                Err(error) => {
                    let have = self.bytes.len();
                    tracing::debug!(%error, connections, have, "continuing the fetch");
                    self.waiting.because(error);
                }
                Ok(()) if self.is_complete() => return Ok(()),
                Ok(()) if spent => return Err(self.wrong_bytes()),
                Ok(()) => {}
            }
            tokio::time::sleep(PAUSE * 2_u32.pow(fruitless)).await;
        }
        Ok(())
    }

    /// Fetches missing bytes over one connection.
    async fn connect(&mut self) -> Result<(), WorkerError> {
        let mut outgoing = Outgoing::get(self.url.clone());
        if self.via == Via::Worker && !matches!(self.right, Right::Agent) {
            outgoing.url.query_pairs_mut().append_pair("via", "worker");
        }
        outgoing.headers.extend(self.range().map(|range| (header::RANGE, range)));
        if !matches!(self.right, Right::Link(_)) {
            self.client.sign(&mut outgoing, blake3::hash(&[]).into(), nonce());
        }
        let response = self.client.exchange(outgoing, ANSWER_LIMIT).await?;
        let elsewhere = response.status() == StatusCode::TEMPORARY_REDIRECT;
        if elsewhere && self.via == Via::Any && !matches!(self.right, Right::Agent) {
            self.waiting.becomes(Awaited::Storage);
            if let Err(error) = self.storage(&response).await {
                self.client.storage_failed(&error);
                self.waiting.becomes(Awaited::Segment);
                tracing::debug!(%error, "the worker's storage did not serve a segment; requesting it from the worker");
                self.waiting
                    .because(format!("the hospital's storage did not serve the segment: {error}"));
                self.via = Via::Worker;
            }
            return Ok(());
        }
        let mut response = self.client.success(response).await?;
        self.receive(&mut response).await
    }

    /// The `Range` header for the missing bytes; none if that is the whole segment.
    fn range(&self) -> Option<HeaderValue> {
        let (next, end) = (self.next(), self.wanted.end);
        let range = match (next, end == self.segment.length) {
            (0, true) => return None,
            (_, true) => format!("bytes={next}-"),
            (_, false) => format!("bytes={next}-{}", end.saturating_sub(1)),
        };
        HeaderValue::from_str(&range).ok()
    }

    /// Follows a redirect. The request carries nothing but the range.
    async fn storage(&mut self, redirection: &Response) -> Result<(), WorkerError> {
        let location = redirection.headers().get(header::LOCATION);
        let url = location.and_then(|it| it.to_str().ok()).and_then(|it| Url::parse(it).ok());
        let (worker, storage) = (&self.client.inner.base, &self.client.inner.storage_origin);
        let url =
            url.filter(|url| may_redirect(worker, storage.as_ref(), url)).ok_or_else(|| {
                self.client.malformed("the redirect leads to no origin that the chain names for it")
            })?;
        let mut request = self.client.storage(&url)?.get(url);
        if let Some(range) = self.range() {
            request = request.header(header::RANGE, range);
        }
        // A presigned address is a secret, so errors do not contain it.
        let mut response = tokio::time::timeout(ANSWER_LIMIT, request.send())
            .await
            .map_err(|_| self.client.stalled(ANSWER_LIMIT))?
            .map_err(|error| self.client.unreachable(&error.without_url()))?;
        if !response.status().is_success() {
            let (url, status) = (self.client.url(), response.status().as_u16());
            return Err(WorkerError::Status { url, status });
        }
        self.from_storage = true;
        self.receive(&mut response).await?;
        if self.is_complete() { Ok(()) } else { Err(self.wrong_bytes()) }
    }

    /// Appends the missing bytes from an answer. An answer without a range begins at the beginning of the segment.
    async fn receive(&mut self, response: &mut Response) -> Result<(), WorkerError> {
        let ranged = response.status() == StatusCode::PARTIAL_CONTENT;
        let (mut at, end) = match ranged {
            true if begins_at(response, self.next()) => (self.next(), self.wanted.end as usize),
            true => {
                return Err(self.client.malformed("it is not the requested range"));
            }
            false => (0, self.segment.length as usize),
        };
        while let Some(mut chunk) = self.client.chunk(response).await? {
            if at + chunk.len() > end {
                return Err(self.wrong_bytes());
            }
            let known = self.next().saturating_sub(at).min(chunk.len());
            at += chunk.len();
            chunk.advance(known);
            chunk.truncate(self.wanted.len() - self.bytes.len());
            self.bytes.extend_from_slice(&chunk);
            (self.arrived)(chunk.len() as i64);
            self.waiting.moved();
            // Does not wait for more than was requested.
            if self.is_complete() && at < end && end > self.wanted.end as usize {
                break;
            }
        }
        Ok(())
    }
}

fn begins_at(response: &Response, offset: usize) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE).and_then(|it| it.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {offset}-")))
}

#[cfg(test)]
mod tests;
