//! The delivery of a segment, or of a long reply, to its receiver: it holds a place, so it has a time limit, and it
//! must not be much slower than the worker's rate while others need the place.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::stream;
use serde::Serialize;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

use super::{ApiError, limits::Slot};
use crate::config::Limits;

/// Bytes that are passed to the connection at a time. It accepts the next piece when the last is nearly sent.
const PIECE_BYTES: usize = 64 * 1024;

/// How slow a delivery may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Of the whole delivery.
    limit: Duration,
    /// How often the speed is measured.
    window: Duration,
    /// Bytes that must leave in each window.
    least: usize,
    /// Whether a slow delivery ends even if nobody else needs its place.
    always: bool,
}

impl Pace {
    /// For a reader, who keeps the place as long as no other reader needs it.
    pub fn of_reader(limits: &Limits) -> Self {
        let bytes = limits.silence.as_millis().saturating_mul(limits.receive_rate.into()) / 1_000;
        Self {
            limit: limits.segment_timeout,
            window: limits.silence.max(Duration::from_millis(1)),
            least: usize::try_from(bytes).unwrap_or(usize::MAX),
            always: false,
        }
    }

    /// For another hospital, which does not wait for a place, and can continue elsewhere.
    pub fn of_hospital(limits: &Limits) -> Self {
        Self { always: true, ..Self::of_reader(limits) }
    }

    /// Resolves when a delivery of `length` bytes is too slow. `sent` counts its bytes.
    async fn is_violated(self, slot: &Slot, sent: &AtomicUsize, length: usize) {
        let mut windows = interval_at(Instant::now() + self.window, self.window);
        windows.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = 0;
        loop {
            windows.tick().await;
            let now = sent.load(Ordering::Relaxed);
            // In the window of the last piece, fewer bytes remain.
            let has_just_ended = now == length && before < length;
            let is_slow = now - before < self.least && !has_just_ended;
            if is_slow && (self.always || slot.is_wanted()) {
                return;
            }
            before = now;
        }
    }
}

/// A response with JSON, which gives its slot back like [`streamed`].
pub(super) fn json(reply: &impl Serialize, slot: Slot, pace: Pace) -> Result<Response, ApiError> {
    let bytes = serde_json::to_vec(reply).map_err(|error| ApiError::internal(&error))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CONTENT_LENGTH, HeaderValue::from(bytes.len())),
    ];
    Ok((headers, streamed(bytes.into(), slot, pace)).into_response())
}

/// A body that gives its slot back when it is nearly sent, or when its receiver is too slow. In that case the body ends
/// early, which aborts the response.
pub(super) fn streamed(mut bytes: Bytes, slot: Slot, pace: Pace) -> Body {
    let (sender, receiver) = mpsc::channel(1);
    let (body, taken) = oneshot::channel::<Infallible>();
    tokio::spawn(async move {
        let (length, passed) = (bytes.len(), AtomicUsize::new(0));
        let sent = async {
            while !bytes.is_empty() {
                let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
                let more = piece.len();
                if sender.send(piece).await.is_err() {
                    return;
                }
                passed.fetch_add(more, Ordering::Relaxed);
            }
            drop((sender, bytes));
            // Resolves, with an error, when the body is dropped.
            taken.await.ok();
        };
        let is_sent = async {
            tokio::select! {
                () = sent => true,
                () = pace.is_violated(&slot, &passed, length) => false,
            }
        };
        if !timeout(pace.limit, is_sent).await.unwrap_or(false) {
            tracing::debug!("a response was aborted: its receiver is too slow");
        }
    });
    Body::from_stream(stream::unfold((receiver, body), |(mut receiver, body)| async move {
        receiver.recv().await.map(|piece| (Ok::<_, Infallible>(piece), (receiver, body)))
    }))
}
