//! Fetches segments: whole, verified, and resumed where the connection broke.

use bytes::{Bytes, BytesMut};
use epione_envelope::segment;
use epione_primitives::{RecordPointer, block::Segment};
use http::{HeaderValue, StatusCode, header};
use reqwest::Response;
use url::Url;

use super::{
    WorkerClient, WorkerError,
    transport::{ANSWER_LIMIT, Outgoing, nonce},
};
use crate::api::SegmentLink;

/// Connections that one segment may take.
const MAX_ATTEMPTS: u32 = 4;

/// By what right a segment is asked for.
#[derive(Clone, Copy)]
enum Right {
    /// This client's account may have it.
    Account,
    /// Whoever holds the link may.
    Link,
}

impl WorkerClient {
    /// A segment, as an active hospital's agent: that is what this client's account must be. The
    /// bytes are the segment's: length and BLAKE3 were checked. At most 16 MiB.
    pub async fn segment(&self, segment: &Segment) -> Result<Bytes, WorkerError> {
        let url = self.route(&format!("/v1/segments/{}", hex::encode(segment.hash)))?;
        self.fetch(segment, url, Right::Account).await
    }

    /// A segment of a record, as the patient whose record it is: that is who this client's account
    /// must be. Any hospital's worker serves it. Checked as by [`WorkerClient::segment`].
    pub async fn segment_of(
        &self,
        record: RecordPointer,
        segment: &Segment,
    ) -> Result<Bytes, WorkerError> {
        let hash = hex::encode(segment.hash);
        let url = self.route(&format!("/v1/segments/{hash}?record={record}"))?;
        self.fetch(segment, url, Right::Account).await
    }

    /// A segment by a temporary link of this worker, or of the object storage behind it. Checked as
    /// by [`WorkerClient::segment`].
    pub async fn segment_by_link(
        &self,
        segment: &Segment,
        link: &SegmentLink,
    ) -> Result<Bytes, WorkerError> {
        let foreign = || WorkerError::ForeignLink { url: self.url(), segment: segment.hash };
        if link.segment != hex::encode(segment.hash) {
            return Err(foreign());
        }
        let url = Url::parse(&link.url).map_err(|_| foreign())?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(foreign());
        }
        self.fetch(segment, url, Right::Link).await
    }

    async fn fetch(&self, segment: &Segment, url: Url, right: Right) -> Result<Bytes, WorkerError> {
        let mut bytes = BytesMut::new();
        let mut attempt = 1;
        while bytes.len() < segment.length as usize {
            match self.resume(segment, &url, right, &mut bytes).await {
                Ok(()) => {}
                Err(error) if error.is_transient() && attempt < MAX_ATTEMPTS => {
                    tracing::debug!(%error, attempt, have = bytes.len(), "fetching on");
                    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                }
                Err(error) => return Err(error),
            }
            attempt += 1;
            if attempt > MAX_ATTEMPTS {
                break;
            }
        }
        segment::verify(segment, &bytes)
            .map(|()| bytes.freeze())
            .map_err(|_| WorkerError::WrongBytes { url: self.url(), segment: segment.hash })
    }

    /// Fetches what is missing of a segment.
    async fn resume(
        &self,
        segment: &Segment,
        url: &Url,
        right: Right,
        bytes: &mut BytesMut,
    ) -> Result<(), WorkerError> {
        let mut outgoing = Outgoing::get(url.clone());
        if !bytes.is_empty() {
            let range = format!("bytes={}-", bytes.len());
            let range = HeaderValue::from_str(&range).map_err(|error| self.malformed(error))?;
            outgoing.headers.insert(header::RANGE, range);
        }
        if matches!(right, Right::Account) {
            self.sign(&mut outgoing, blake3::hash(&[]).into(), nonce());
        }
        let mut response = self.send(outgoing, ANSWER_LIMIT).await?;
        if !continues(&response, bytes.len()) {
            bytes.clear();
        }
        while let Some(chunk) = self.chunk(&mut response).await? {
            if bytes.len() + chunk.len() > segment.length as usize {
                return Err(WorkerError::WrongBytes { url: self.url(), segment: segment.hash });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(())
    }
}

/// Whether an answer goes on where the bytes at hand end.
fn continues(response: &Response, have: usize) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE).and_then(|it| it.to_str().ok());
    response.status() == StatusCode::PARTIAL_CONTENT
        && range.is_some_and(|range| range.starts_with(&format!("bytes {have}-")))
}
