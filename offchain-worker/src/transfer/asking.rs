//! Requests to other hospitals' workers: which segments they store, and whether they accept an offer.

use std::time::Duration;

use epione_primitives::{Hash, block::Segment};
use http::{Method, StatusCode, header::CONTENT_TYPE};
use serde::Serialize;
use tokio::time::timeout;

use super::{
    Courier, Peer, PeerFault,
    download::fault,
    wire::{HeldAnswer, HeldRequest, MAX_ANSWER_BYTES, OfferRequest},
};

/// For a complete response.
const LIMIT: Duration = Duration::from_secs(20);

/// A hospital's response to an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It will fetch the segments.
    Taken,
    /// It has no room for them now.
    NoRoom,
    /// It accepts no offers.
    Declined,
}

/// A hospital's answer which segments it stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldList {
    /// One for each segment of the question, in its order.
    pub held: Vec<bool>,
    /// Whether the hospital asks the others to fetch elsewhere first.
    pub maintenance: bool,
}

impl HeldList {
    /// None if the answer is about another number of segments.
    fn of(answer: &HeldAnswer, count: usize) -> Option<Self> {
        Some(Self { held: answer.bits(count)?, maintenance: answer.maintenance })
    }
}

impl Courier {
    /// Which of these segments the peer says it stores. At most [`MAX_NAMED`](super::wire::MAX_NAMED).
    pub async fn held(
        &self,
        genesis: Hash,
        peer: &Peer,
        hashes: &[[u8; 32]],
    ) -> Result<HeldList, PeerFault> {
        let question = HeldRequest::new(hashes);
        let (status, answer) = self.ask(genesis, peer, &["segments", "held"], &question).await?;
        match status {
            StatusCode::OK => serde_json::from_slice::<HeldAnswer>(&answer)
                .ok()
                .and_then(|answer| HeldList::of(&answer, hashes.len()))
                .ok_or(PeerFault::Nonsense),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Err(PeerFault::Busy),
            other => Err(PeerFault::Refused(other.as_u16())),
        }
    }

    /// Offers segments, at most [`MAX_NAMED`](super::wire::MAX_NAMED).
    pub async fn offer(
        &self,
        genesis: Hash,
        peer: &Peer,
        segments: &[Segment],
    ) -> Result<Offered, PeerFault> {
        let (status, _) =
            self.ask(genesis, peer, &["offers"], &OfferRequest::new(segments)).await?;
        match status {
            StatusCode::ACCEPTED => Ok(Offered::Taken),
            StatusCode::CONFLICT | StatusCode::INSUFFICIENT_STORAGE => Ok(Offered::NoRoom),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Err(PeerFault::Busy),
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Ok(Offered::Declined),
            other => Err(PeerFault::Refused(other.as_u16())),
        }
    }

    async fn ask(
        &self,
        genesis: Hash,
        peer: &Peer,
        path: &[&str],
        question: &impl Serialize,
    ) -> Result<(StatusCode, Vec<u8>), PeerFault> {
        let body = serde_json::to_vec(question).map_err(|_| PeerFault::Nonsense)?;
        let request = self
            .request(genesis, peer, &Method::POST, path, body)?
            .header(CONTENT_TYPE, "application/json");
        timeout(LIMIT, answer(request)).await.unwrap_or(Err(PeerFault::Stalled))
    }
}

/// The status, and the body of a success. The body's size is bounded.
pub(super) async fn answer(
    request: reqwest::RequestBuilder,
) -> Result<(StatusCode, Vec<u8>), PeerFault> {
    let mut response = request.send().await.map_err(|error| fault(&error))?;
    let status = response.status();
    let mut body = Vec::new();
    if status.is_success() {
        while let Some(chunk) = response.chunk().await.map_err(|error| fault(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(PeerFault::Nonsense);
            }
            body.extend_from_slice(&chunk);
        }
    }
    Ok((status, body))
}
