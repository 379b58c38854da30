//! Sends a visit: its JSON, and its media straight from their files.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use http::{HeaderMap, HeaderValue, Method, header};
use reqwest::Body;
use tokio::time::Instant;

use super::{
    WorkerClient, WorkerError,
    multipart::Multipart,
    transport::{FINAL_LIMIT, Outgoing, STALL_LIMIT, nonce},
};
use crate::{Progress, api::VisitStatus, submit::Visit};

/// How far an upload has come.
struct Upload {
    sent: AtomicU64,
    total: u64,
    /// Why the body could not be read to its end: the HTTP library would hide it.
    failure: Mutex<Option<WorkerError>>,
}

impl WorkerClient {
    /// Sends a visit and waits until the worker has it durably. `progress` hears of every piece
    /// that leaves; less than a MiB is held at a time. The files are read twice: the digest of what
    /// will be sent goes ahead of it.
    pub async fn submit_visit(
        &self,
        visit: &Visit,
        progress: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<VisitStatus, WorkerError> {
        let multipart = Multipart::of(visit, nonce()).map_err(|error| self.malformed(error))?;
        let digest = multipart.digest().await?;
        let upload = Arc::new(Upload {
            sent: AtomicU64::new(0),
            total: multipart.length(),
            failure: Mutex::new(None),
        });
        let mut outgoing = Outgoing {
            method: Method::POST,
            url: self.route("/v1/visits")?,
            headers: headers(&multipart),
            body: Some(upload.clone().body(&multipart, progress)),
        };
        self.sign(&mut outgoing, digest, nonce());

        let sent = tokio::select! {
            sent = self.send(outgoing, Duration::MAX) => sent,
            after = upload.stall() => Err(self.stalled(after)),
        };
        match sent {
            Ok(response) => self.json(response).await,
            Err(error) => Err(upload.failure().unwrap_or(error)),
        }
    }
}

impl Upload {
    fn body(
        self: Arc<Self>,
        multipart: &Multipart,
        progress: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Body {
        let pieces = multipart.stream().map(move |piece| match piece {
            Ok(bytes) => {
                let length = bytes.len() as u64;
                let done = self.sent.fetch_add(length, Ordering::Relaxed) + length;
                progress(Progress { done, total: self.total });
                Ok(bytes)
            }
            Err(error) => {
                let told = io::Error::other(error.to_string());
                *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Err(told)
            }
        });
        Body::wrap_stream(pieces)
    }

    /// Resolves when the network takes nothing any more, or the answer to a sent body does not
    /// come.
    async fn stall(&self) -> Duration {
        let (mut seen, mut since) = (0, Instant::now());
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let sent = self.sent.load(Ordering::Relaxed);
            if sent != seen {
                (seen, since) = (sent, Instant::now());
            }
            let limit = if sent == self.total { FINAL_LIMIT } else { STALL_LIMIT };
            if since.elapsed() > limit {
                return limit;
            }
        }
    }

    fn failure(&self) -> Option<WorkerError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn headers(multipart: &Multipart) -> HeaderMap {
    let content_type = HeaderValue::from_str(&multipart.content_type())
        .expect("hexadecimal digits are visible ASCII; qed");
    HeaderMap::from_iter([
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_LENGTH, HeaderValue::from(multipart.length())),
    ])
}
