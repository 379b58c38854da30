//! Uploads a visit: what its author signed, as JSON, then its media in parts, read from their files. If a part fails,
//! the upload resumes at the position that the worker reports.

mod media_layout;
mod patience;

use bytes::Bytes;
use futures::{StreamExt, stream::FuturesOrdered};
use http::{HeaderMap, HeaderValue, Method, header};

use self::{
    media_layout::{MediaLayout, UploadPart},
    patience::{Patience, is_forgotten, is_turned_away},
};
use super::{
    WorkerClient, WorkerError,
    transport::{FINAL_LIMIT, Outgoing, nonce},
};
use crate::{
    Progress,
    api::{VisitStage, VisitStatus},
    visit::Visit,
    waiting::{Awaited, Waiting},
};

/// Concurrent parts: the worker stores one while it receives the other.
const IN_FLIGHT: usize = 2;

/// An upload of a visit.
struct Upload<'a, P> {
    client: &'a WorkerClient,
    visit: &'a Visit,
    json: Bytes,
    layout: MediaLayout,
    progress: P,
    waiting: Waiting,
}

impl WorkerClient {
    /// Sends a visit, and waits until the worker has stored it durably. If the same visit is sent again, also by a
    /// later process, the upload resumes, as long as the worker keeps what it received; a visit that the worker already
    /// stored is not sent again. The answer may have the record id of an earlier visit: see
    /// [`VisitBuilder::by_command`](crate::visit::VisitBuilder::by_command).
    ///
    /// `progress` is called with what has arrived; the number falls only if the worker lost what it had received. At
    /// most two parts of 4 MiB are in memory. The upload is retried until there was no progress for two minutes.
    pub async fn submit_visit(
        &self,
        visit: &Visit,
        progress: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<VisitStatus, WorkerError> {
        let json = serde_json::to_vec(&visit.request).map_err(|error| self.malformed(error))?;
        let layout = MediaLayout::of(visit).await?;
        let waiting = self.waits_for(Awaited::Upload);
        Upload { client: self, visit, json: json.into(), layout, progress, waiting }.run().await
    }
}

impl<P: Fn(Progress) + Send + Sync> Upload<'_, P> {
    async fn run(&self) -> Result<VisitStatus, WorkerError> {
        let mut patience = Patience::default();
        let mut status = self.begin(&mut patience).await?;
        loop {
            let from = self.reported(&status);
            if status.stage != VisitStage::Uploading {
                return Ok(status);
            }
            let sent = if from < self.layout.total() {
                self.send(from, &mut patience).await
            } else {
                // The worker has all parts but could not queue the visit. On this request it tries again.
                self.announce().await.and_then(|status| self.moved(status))
            };
            status = match sent {
                Ok(status) => status,
                Err(error) => {
                    self.bear(&mut patience, error).await?;
                    self.look(&mut patience).await?
                }
            };
        }
    }

    /// Announces the visit; waits while the worker is busy.
    async fn begin(&self, patience: &mut Patience) -> Result<VisitStatus, WorkerError> {
        loop {
            match self.announce().await {
                Err(error) if is_turned_away(&error) => self.bear(patience, error).await?,
                answered => return answered,
            }
        }
    }

    /// Waits before the next attempt, and reports the reason.
    async fn bear(&self, patience: &mut Patience, error: WorkerError) -> Result<(), WorkerError> {
        self.waiting.because(&error);
        patience.bear(error).await
    }

    /// The status of an interrupted upload. If the worker has lost it, the upload begins again.
    async fn look(&self, patience: &mut Patience) -> Result<VisitStatus, WorkerError> {
        loop {
            let found = match self.client.visit_status(self.visit.record_id()).await {
                Err(error) if is_forgotten(&error) => {
                    let announced = self.announce().await;
                    if announced.is_ok() {
                        patience.begin_anew(error)?;
                    }
                    announced
                }
                found => found,
            };
            match found {
                Ok(status) => return Ok(status),
                Err(error) => self.bear(patience, error).await?,
            }
        }
    }

    async fn announce(&self) -> Result<VisitStatus, WorkerError> {
        let url = self.client.route("/v1/visits")?;
        self.ask(Method::POST, url, "application/json", self.json.clone()).await
    }

    /// Sends the media from a position on; returns the last answer.
    async fn send(&self, from: u64, patience: &mut Patience) -> Result<VisitStatus, WorkerError> {
        let (mut next, mut arrived) = (from, from);
        // In order: the error of a part explains the error of the next one.
        let mut under_way = FuturesOrdered::new();
        let mut last = None;
        loop {
            while under_way.len() < IN_FLIGHT
                && let Some(part) = self.layout.part(next)
            {
                let content = part.read().await?;
                next += content.len() as u64;
                under_way.push_back(self.send_part(part, content));
            }
            let Some(answered) = under_way.next().await else { break };
            let status = answered?;
            let reported = self.reported(&status);
            if status.stage != VisitStage::Uploading {
                return Ok(status);
            }
            if reported > arrived {
                arrived = reported;
                patience.rewarded();
                self.waiting.moved();
            }
            // Another process may be sending the same visit.
            next = next.max(reported);
            last = Some(status);
        }
        last.ok_or_else(|| self.stuck()).and_then(|status| match arrived > from {
            true => Ok(status),
            false => self.moved(status),
        })
    }

    async fn send_part(
        &self,
        part: UploadPart<'_>,
        content: Bytes,
    ) -> Result<VisitStatus, WorkerError> {
        let record = self.visit.record_id();
        let UploadPart { section, offset, .. } = part;
        let path = format!("/v1/visits/{record}/media/{section}?offset={offset}");
        let url = self.client.route(&path)?;
        self.ask(Method::PUT, url, "application/octet-stream", content).await
    }

    async fn ask(
        &self,
        method: Method,
        url: url::Url,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<VisitStatus, WorkerError> {
        let digest = blake3::hash(&body).into();
        let content_type = HeaderValue::from_static(content_type);
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, content_type)]);
        let mut outgoing = Outgoing { method, url, headers, body: Some(body.into()) };
        self.client.sign(&mut outgoing, digest, nonce());
        let response = self.client.send(outgoing, FINAL_LIMIT).await?;
        self.client.json(response).await
    }

    /// Reports the progress; returns how many bytes of the media the worker has.
    fn reported(&self, status: &VisitStatus) -> u64 {
        let media = match status.stage {
            VisitStage::Uploading => self.layout.arrived(status),
            _ => self.layout.total(),
        };
        let json = self.json.len() as u64;
        (self.progress)(Progress { done: json + media, total: json + self.layout.total() });
        media
    }

    /// It is an error if the visit is still not queued although the worker has all of it.
    fn moved(&self, status: VisitStatus) -> Result<VisitStatus, WorkerError> {
        let done = status.stage != VisitStage::Uploading
            || self.layout.arrived(&status) < self.layout.total();
        if done { Ok(status) } else { Err(self.stuck()) }
    }

    fn stuck(&self) -> WorkerError {
        self.client.stalled(FINAL_LIMIT)
    }
}

#[cfg(test)]
mod tests;
