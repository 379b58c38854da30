//! Sends a visit: what its author signed, as JSON, then its media in parts, straight from their
//! files. A part that does not get through is sent again, from where the worker says that it is.

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

/// Parts on their way at once: the worker stores one while the other comes in.
const IN_FLIGHT: usize = 2;

/// A visit on its way to a worker.
struct Upload<'a, P> {
    client: &'a WorkerClient,
    visit: &'a Visit,
    json: Bytes,
    layout: MediaLayout,
    progress: P,
    waiting: Waiting,
}

impl WorkerClient {
    /// Sends a visit and waits until the worker has it durably. Sent again, also by a later process,
    /// it goes on where it stopped, as long as the worker remembers it; a visit that the worker has
    /// already is not sent at all.
    ///
    /// `progress` hears of what has arrived; it goes back only when the worker forgot what it had. At
    /// most two parts of 4 MiB are held. Interruptions are borne for two minutes without progress.
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
            let from = self.told(&status);
            if status.stage != VisitStage::Uploading {
                return Ok(status);
            }
            let sent = if from < self.layout.total() {
                self.send(from, &mut patience).await
            } else {
                // All is there, but the worker could not queue it: asked again, it tries again.
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

    /// Announces the visit; waits while the worker has no place for it.
    async fn begin(&self, patience: &mut Patience) -> Result<VisitStatus, WorkerError> {
        loop {
            match self.announce().await {
                Err(error) if is_turned_away(&error) => self.bear(patience, error).await?,
                answered => return answered,
            }
        }
    }

    /// Waits before something is tried again, and tells why.
    async fn bear(&self, patience: &mut Patience, error: WorkerError) -> Result<(), WorkerError> {
        self.waiting.because(&error);
        patience.bear(error).await
    }

    /// Where an interrupted upload is. What the worker has forgotten begins anew.
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

    /// Sends the media from a position on. The last answer.
    async fn send(&self, from: u64, patience: &mut Patience) -> Result<VisitStatus, WorkerError> {
        let (mut next, mut arrived) = (from, from);
        // What happened to a part says more than what became of the one after it.
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
            let told = self.told(&status);
            if status.stage != VisitStage::Uploading {
                return Ok(status);
            }
            if told > arrived {
                arrived = told;
                patience.rewarded();
                self.waiting.moved();
            }
            // Somebody else may be sending the same.
            next = next.max(told);
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

    /// Passes on how far the visit has come; gives the media's part of it.
    fn told(&self, status: &VisitStatus) -> u64 {
        let media = match status.stage {
            VisitStage::Uploading => self.layout.arrived(status),
            _ => self.layout.total(),
        };
        let json = self.json.len() as u64;
        (self.progress)(Progress { done: json + media, total: json + self.layout.total() });
        media
    }

    /// An answer after which there is something else to do than before.
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
