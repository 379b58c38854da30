//! The body of a request while it is received: its length is bounded, and how long it may stall.

use std::time::Duration;

use axum::{
    body::{Body, BodyDataStream, HttpBody as _},
    http::StatusCode,
};
use bytes::{Bytes, BytesMut};
use epione_client::api::MAX_PART_BYTES;
use futures::StreamExt;

use super::ApiError;

/// How long the rest of a body is read after it was rejected, so that the client receives the response.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// A body, read at most once.
pub(super) struct Intake {
    body: BodyDataStream,
    /// Its length, if the request states it.
    length: Option<u64>,
    silence: Duration,
    ended: bool,
}

impl Intake {
    /// A body that is rejected when nothing of it arrives for as long as `silence`.
    pub fn new(body: Body, silence: Duration) -> Self {
        let length = body.size_hint().exact();
        Self { body: body.into_data_stream(), length, silence, ended: false }
    }

    /// The whole body, if it has at most `limit` bytes. The request must state its length, so that no more memory is
    /// allocated.
    pub async fn whole(&mut self, limit: usize) -> Result<Bytes, ApiError> {
        let announced = self.length.ok_or_else(no_length)?;
        if announced > limit as u64 {
            return Err(too_large(limit));
        }
        let mut whole = BytesMut::with_capacity(announced as usize);
        while let Some(chunk) = self.next().await? {
            if whole.len() + chunk.len() > limit {
                return Err(too_large(limit));
            }
            whole.extend_from_slice(&chunk);
        }
        if whole.len() as u64 != announced {
            return Err(truncated());
        }
        Ok(whole.freeze())
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

fn silent() -> ApiError {
    ApiError::new(
        StatusCode::REQUEST_TIMEOUT,
        "silent",
        "The request stopped arriving",
        "No part of it was accepted. Send it again.",
    )
}
