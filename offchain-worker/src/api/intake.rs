//! The body of a request while it is received: its length is bounded, how long it may stall, and how slowly it may
//! arrive. Its memory is counted, of all requests together and of each caller.

use std::time::{Duration, Instant};

use axum::{
    body::{Body, BodyDataStream, HttpBody as _},
    http::StatusCode,
};
use bytes::Bytes;
use epione_client::api::MAX_PART_BYTES;
use futures::StreamExt;
use serde::de::DeserializeOwned;

use super::{
    ApiError, AppState,
    caller::parse_json,
    limits::{Holder, Memory, Slot},
};
use crate::config::Limits;

/// How long the rest of a body is read after it was rejected, so that the client receives the response.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// A body, read at most once.
pub(super) struct Intake {
    body: BodyDataStream,
    /// Its length, if the request states it.
    length: Option<u64>,
    silence: Duration,
    /// Bytes per second, after `silence` has passed.
    rate: u32,
    ended: bool,
}

/// The first bytes of a body for which memory is taken.
const FIRST_BYTES: usize = 64 * 1024;

/// A whole body. Its memory counts until it is dropped.
pub(super) struct Received {
    pub bytes: Bytes,
    memory: Option<Slot>,
}

/// The part of a body that has arrived. Its memory grows with it: a length that is only announced takes none.
struct Arrived<'a> {
    state: &'a AppState,
    holder: Holder,
    pool: Memory,
    /// Of the whole body.
    length: usize,
    bytes: Vec<u8>,
    memory: Option<Slot>,
    /// How long the worker, not the client, was waited for.
    waited: Duration,
}

impl Arrived<'_> {
    async fn add(&mut self, chunk: &[u8]) -> Result<(), ApiError> {
        let needed = self.bytes.len() + chunk.len();
        let held = self.memory.as_ref().map_or(0, Slot::amount);
        if needed > held {
            let room = needed.max(2 * held).max(FIRST_BYTES).min(self.length);
            let asked = Instant::now();
            match &mut self.memory {
                Some(memory) => self.state.more_memory(memory, room - held).await?,
                none => {
                    let holder = self.holder.clone();
                    *none = Some(self.state.memory(self.pool, holder, room).await?);
                }
            }
            self.waited += asked.elapsed();
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }
}

impl Received {
    /// Whether other callers wait for memory.
    pub fn is_needed(&self) -> bool {
        self.memory.as_ref().is_some_and(Slot::is_wanted)
    }

    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        parse_json(&self.bytes)
    }
}

impl Intake {
    /// A body that is rejected when nothing of it arrives for a while, or when it arrives too slowly.
    pub fn new(body: Body, limits: &Limits) -> Self {
        let length = body.size_hint().exact();
        let (silence, rate) = (limits.silence, limits.receive_rate);
        Self { body: body.into_data_stream(), length, silence, rate, ended: false }
    }

    /// The whole body, if it has at most `limit` bytes. The request must state its length. Memory is taken as the bytes
    /// arrive, of what `holder` may use.
    pub async fn whole(
        &mut self,
        state: &AppState,
        holder: Holder,
        limit: usize,
    ) -> Result<Received, ApiError> {
        let announced = self.length.ok_or_else(no_length)?;
        let length = usize::try_from(announced).unwrap_or(usize::MAX);
        if length > limit {
            return Err(too_large(limit));
        }
        let (bytes, memory, waited) = (Vec::new(), None, Duration::ZERO);
        let pool = Memory::of(limit);
        let mut whole = Arrived { state, holder, pool, length, bytes, memory, waited };
        let begun = Instant::now();
        while let Some(chunk) = self.next().await? {
            if whole.bytes.len() + chunk.len() > length {
                return Err(too_large(limit));
            }
            whole.add(&chunk).await?;
            let arriving = begun.elapsed().saturating_sub(whole.waited);
            if whole.bytes.len() < length && self.is_too_slow(whole.bytes.len(), arriving) {
                return Err(slow(self.rate));
            }
        }
        if whole.bytes.len() != length {
            return Err(truncated());
        }
        Ok(Received { bytes: whole.bytes.into(), memory: whole.memory })
    }

    /// Whether fewer bytes have arrived than the rate demands. The first bytes may take as long as a silence.
    fn is_too_slow(&self, received: usize, elapsed: Duration) -> bool {
        let counted = elapsed.saturating_sub(self.silence).as_millis();
        (received as u128) * 1_000 < counted * u128::from(self.rate)
    }

    /// Reads the rest of the body for a while, so that a client receives an early response before the connection ends.
    pub async fn drain(mut self) {
        let rest = async {
            let mut drained = 0;
            while let Ok(Some(chunk)) = self.next().await {
                drained += chunk.len();
                if drained > MAX_PART_BYTES {
                    return;
                }
            }
        };
        tokio::time::timeout(DRAIN_LIMIT, rest).await.ok();
    }

    async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        if self.ended {
            return Ok(None);
        }
        let next = tokio::time::timeout(self.silence, self.body.next()).await;
        self.ended = !matches!(next, Ok(Some(Ok(_))));
        match next {
            Ok(Some(Ok(chunk))) => Ok(Some(chunk)),
            Ok(None) => Ok(None),
            Ok(Some(Err(_))) => Err(truncated()),
            Err(_) => Err(silent()),
        }
    }
}

fn no_length() -> ApiError {
    ApiError::new(
        StatusCode::LENGTH_REQUIRED,
        "length",
        "The request has no length",
        "Send it with a Content-Length header.",
    )
}

fn too_large(limit: usize) -> ApiError {
    ApiError::too_large(format!("This request may have at most {limit} bytes."))
}

fn truncated() -> ApiError {
    ApiError::bad_request(
        "truncated",
        "The request ended before it was complete",
        "No part of it was accepted. Send it again.",
    )
}

fn slow(rate: u32) -> ApiError {
    ApiError::new(
        StatusCode::REQUEST_TIMEOUT,
        "slow",
        "The request arrived too slowly",
        format!(
            "No part of it was accepted. This worker receives at least {rate} bytes per second: send the request \
             again, over a faster connection or with fewer requests at once."
        ),
    )
}

fn silent() -> ApiError {
    ApiError::new(
        StatusCode::REQUEST_TIMEOUT,
        "silent",
        "The request stopped arriving",
        "No part of it was accepted. Send it again.",
    )
}
