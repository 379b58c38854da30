//! The body of an upload as it streams in: counted, digested, bounded in length and in silence, and cut
//! into the parts of a form.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream},
    extract::{
        FromRequest, Multipart, Request,
        multipart::{Field, MultipartError},
    },
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::time::{Instant, Sleep};

use super::ApiError;

/// Bytes that the form's reader may hold back: the headers of all its parts together, and a network
/// chunk. Beyond, the form is not one.
const MAX_HELD_BACK: u64 = 1024 * 1024;
/// What is still read of a body after its refusal, so that the sender gets to hear of it.
const MAX_DRAINED: u64 = 64 * 1024 * 1024;
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// Why a body ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    TooLarge,
    Silent,
    Broken,
    NoForm,
}

struct Source {
    body: BodyDataStream,
    hasher: blake3::Hasher,
    limit: u64,
    /// Bytes that the reader gave out as contents of parts.
    consumed: u64,
    idle: Duration,
    silence: Option<Pin<Box<Sleep>>>,
    failure: Option<Failure>,
    ended: bool,
    /// Nobody reads the form any more.
    draining: bool,
}

/// An upload's body, shared by the form's reader and whoever wants the digest in the end.
#[derive(Clone)]
pub(super) struct Intake {
    source: Arc<Mutex<Source>>,
}

/// The parts of an upload, in the order in which they come.
pub(super) struct Form {
    parts: Multipart,
    intake: Intake,
}

/// A part of an upload.
pub(super) struct Part<'a> {
    field: Field<'a>,
    intake: Intake,
}

impl Intake {
    pub fn new(body: Body, limit: u64, idle: Duration) -> Self {
        let source = Source {
            body: body.into_data_stream(),
            hasher: blake3::Hasher::new(),
            limit,
            consumed: 0,
            idle,
            silence: None,
            failure: None,
            ended: false,
            draining: false,
        };
        Self { source: Arc::new(Mutex::new(source)) }
    }

    /// Refuses a body that says beforehand that it will be too long.
    pub fn check_announced(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let announced = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let limit = self.lock().limit;
        match announced {
            Some(length) if length > limit => Err(too_large(limit)),
            _ => Ok(()),
        }
    }

    /// Reads the body as a form. `parts` are the request's.
    pub async fn form(&self, parts: Parts) -> Result<Form, ApiError> {
        let request = Request::from_parts(parts, Body::from_stream(self.clone()));
        let parts = Multipart::from_request(request, &()).await.map_err(|_| no_form())?;
        Ok(Form { parts, intake: self.clone() })
    }

    /// Reads on to the end, once nobody reads the form any more; gives the digest of all of it.
    pub async fn digest(mut self) -> Result<blake3::Hash, ApiError> {
        self.lock().draining = true;
        while let Some(chunk) = self.next().await {
            if chunk.is_err() {
                return Err(self.problem());
            }
        }
        Ok(self.lock().hasher.finalize())
    }

    /// Reads on for a little, so that a sender who is refused is not cut off before it has the answer.
    pub async fn drain(mut self) {
        let drained = async {
            let begun = {
                let mut source = self.lock();
                source.draining = true;
                source.hasher.count()
            };
            while let Some(Ok(_)) = self.next().await {
                if self.lock().hasher.count() - begun > MAX_DRAINED {
                    return;
                }
            }
        };
        tokio::time::timeout(DRAIN_LIMIT, drained).await.ok();
    }

    /// What to answer when reading failed.
    fn problem(&self) -> ApiError {
        let (failure, limit) = {
            let source = self.lock();
            (source.failure, source.limit)
        };
        match failure {
            Some(Failure::TooLarge) => too_large(limit),
            Some(Failure::Silent) => ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                "silent",
                "The upload fell silent",
                "Nothing was acknowledged; send it again.",
            ),
            Some(Failure::Broken) => truncated(),
            Some(Failure::NoForm) | None => no_form(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Source> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The upload ended before it was complete.
pub(super) fn truncated() -> ApiError {
    ApiError::bad_request(
        "truncated",
        "The upload ended before it was complete",
        "Nothing was acknowledged; send it again.",
    )
}

fn too_large(limit: u64) -> ApiError {
    ApiError::too_large(format!("An upload has at most {limit} bytes here."))
}

fn no_form() -> ApiError {
    ApiError::bad_request(
        "form",
        "The upload is not the form that the API describes",
        "Send multipart/form-data: the part visit first, then a part media-<section> for every media \
         section, in order.",
    )
}

impl Source {
    fn fail(&mut self, failure: Failure) -> Poll<Option<Result<Bytes, axum::Error>>> {
        self.ended = true;
        self.failure = Some(failure);
        Poll::Ready(Some(Err(axum::Error::new(std::io::Error::other("the upload ended early")))))
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, axum::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        match self.body.poll_next_unpin(context) {
            Poll::Ready(Some(Ok(chunk))) => {
                self.silence = None;
                self.take(chunk)
            }
            Poll::Ready(Some(Err(_))) => self.fail(Failure::Broken),
            Poll::Ready(None) => {
                self.ended = true;
                Poll::Ready(None)
            }
            Poll::Pending => {
                let deadline = Instant::now() + self.idle;
                let silence = self
                    .silence
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
                match silence.as_mut().poll(context) {
                    Poll::Ready(()) => self.fail(Failure::Silent),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn take(&mut self, chunk: Bytes) -> Poll<Option<Result<Bytes, axum::Error>>> {
        self.hasher.update(&chunk);
        let count = self.hasher.count();
        if count > self.limit {
            return self.fail(Failure::TooLarge);
        }
        let held_back = (count - self.consumed).saturating_sub(chunk.len() as u64);
        if !self.draining && held_back > MAX_HELD_BACK {
            return self.fail(Failure::NoForm);
        }
        Poll::Ready(Some(Ok(chunk)))
    }
}

impl Stream for Intake {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.lock().poll(context)
    }
}

impl Form {
    /// The next part, which must have this name.
    pub async fn part(&mut self, name: &str) -> Result<Part<'_>, ApiError> {
        let intake = self.intake.clone();
        match self.parts.next_field().await {
            Ok(Some(field)) if field.name() == Some(name) => Ok(Part { field, intake }),
            Ok(Some(_)) => Err(ApiError::bad_request(
                "form",
                "The upload's parts are not in order",
                format!("The part {name} was expected next."),
            )),
            Ok(None) => Err(ApiError::bad_request(
                "form",
                "The upload lacks a part",
                format!("The part {name} was expected next."),
            )),
            Err(error) => Err(failed(&intake, &error)),
        }
    }

    /// Refuses further parts.
    pub async fn end(mut self) -> Result<(), ApiError> {
        match self.parts.next_field().await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(ApiError::bad_request(
                "form",
                "The upload has a part too many",
                "Every part beside visit belongs to a media section of the visit.",
            )),
            Err(error) => Err(failed(&self.intake, &error)),
        }
    }
}

impl Part<'_> {
    /// The next bytes of the part.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ApiError> {
        match self.field.chunk().await {
            Ok(Some(chunk)) => {
                self.intake.lock().consumed += chunk.len() as u64;
                Ok(Some(chunk))
            }
            Ok(None) => Ok(None),
            Err(error) => Err(failed(&self.intake, &error)),
        }
    }

    /// The whole part, if it has at most `limit` bytes.
    pub async fn whole(mut self, limit: usize) -> Result<Vec<u8>, ApiError> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if whole.len() + chunk.len() > limit {
                return Err(ApiError::too_large(format!(
                    "The part visit has at most {limit} bytes: attach long texts as files."
                )));
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole)
    }
}

/// What to answer when the form's reader failed: by what happened to the body, if anything did.
fn failed(intake: &Intake, error: &MultipartError) -> ApiError {
    let (ended, failed) = {
        let source = intake.lock();
        (source.ended, source.failure.is_some())
    };
    tracing::debug!(%error, "an upload's form could not be read");
    if ended && !failed { truncated() } else { intake.problem() }
}
