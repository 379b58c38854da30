//! Signed requests and bounded answers.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, header};
use reqwest::{Body, Response};
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

use super::{WorkerClient, WorkerError};
use crate::{
    api::Problem,
    endpoint::{EndpointError, without_userinfo},
    now, pin, request,
    waiting::{Awaited, Waiting},
};

/// For requests that the worker answers at once.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// For requests that the worker answers when a call is final, or when a visit is stored durably.
pub(super) const FINAL_LIMIT: Duration = Duration::from_secs(180);
/// A transfer has stalled after this time without a byte.
pub(super) const STALL_LIMIT: Duration = Duration::from_secs(30);
/// How often, and after which pause, a request about a query or an opening is sent while the worker's node may be behind.
const BEHIND_ATTEMPTS: u32 = 5;
const BEHIND_PAUSE: Duration = Duration::from_secs(2);
/// Largest JSON answer in bytes: links to the segments of 64 records.
const MAX_ANSWER_BYTES: u64 = 16 * 1024 * 1024;
/// Largest error in bytes.
const MAX_PROBLEM_BYTES: u64 = 64 * 1024;

/// A request that is not sent yet.
pub(super) struct Outgoing {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Body>,
}

impl Outgoing {
    pub(super) fn get(url: Url) -> Self {
        Self { method: Method::GET, url, headers: HeaderMap::new(), body: None }
    }
}

/// Sixteen random bytes.
pub(super) fn nonce() -> [u8; 16] {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).expect("the operating system has randomness");
    nonce
}

impl WorkerClient {
    /// Reports a wait for this hospital, until the returned value is dropped.
    pub(super) fn waits_for(&self, what: Awaited) -> Waiting {
        self.waits.begin(what, Some(self.inner.hospital))
    }

    pub(super) fn route(&self, path: &str) -> Result<Url, WorkerError> {
        let base = self.inner.base.as_str().trim_end_matches('/');
        let url = format!("{base}{path}");
        Url::parse(&url).map_err(|error| {
            let url = without_userinfo(&url);
            EndpointError::Url { url, reason: error.to_string() }.into()
        })
    }

    /// Adds the headers that sign a request, whose body has this digest.
    pub(super) fn sign(&self, outgoing: &mut Outgoing, digest: [u8; 32], nonce: [u8; 16]) {
        let path_and_query = match outgoing.url.query() {
            Some(query) => format!("{}?{query}", outgoing.url.path()),
            None => outgoing.url.path().to_owned(),
        };
        let target = request::Target {
            genesis: self.inner.genesis,
            hospital: self.inner.hospital,
            method: &outgoing.method,
            path_and_query: &path_and_query,
        };
        let account = &self.inner.account;
        let headers = request::sign(&target, &account.id(), digest, now(), nonce, |statement| {
            account.sign(statement)
        });
        outgoing.headers.extend(headers);
    }

    /// Requests JSON.
    pub(super) async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, WorkerError> {
        let _waiting = self.waits_for(Awaited::Answer);
        let mut outgoing = Outgoing::get(self.route(path)?);
        self.sign(&mut outgoing, blake3::hash(&[]).into(), nonce());
        let response = self.send(outgoing, ANSWER_LIMIT).await?;
        self.json(response).await
    }

    /// Sends JSON under this nonce. The worker may answer only when a call is final.
    pub(super) async fn post(
        &self,
        path: &str,
        content: &impl Serialize,
        nonce: [u8; 16],
        what: Awaited,
    ) -> Result<Response, WorkerError> {
        let _waiting = self.waits_for(what);
        let url = self.route(path)?;
        let body = serde_json::to_vec(content).map_err(|error| self.malformed(error))?;
        let digest = blake3::hash(&body).into();
        let json = header::HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, json)]);
        let mut outgoing = Outgoing { method: Method::POST, url, headers, body: Some(body.into()) };
        self.sign(&mut outgoing, digest, nonce);
        self.send(outgoing, FINAL_LIMIT).await
    }

    /// Sends a request about a query or an opening that the chain has, with these bytes of this media type. The worker
    /// may answer only when a call is final. If the worker's node does not have the last change yet, the request is
    /// repeated a few times.
    pub(super) async fn about_stored(
        &self,
        (method, path): (Method, &str),
        (media_type, body): (&'static str, Vec<u8>),
        what: Awaited,
    ) -> Result<Response, WorkerError> {
        let waiting = self.waits_for(what);
        let (url, body) = (self.route(path)?, Bytes::from(body));
        let digest = blake3::hash(&body).into();
        let mut attempts = 1;
        loop {
            let media_type = header::HeaderValue::from_static(media_type);
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, media_type)]);
            let (url, body) = (url.clone(), Some(Body::from(body.clone())));
            let mut outgoing = Outgoing { method: method.clone(), url, headers, body };
            self.sign(&mut outgoing, digest, nonce());
            match self.send(outgoing, FINAL_LIMIT).await {
                Err(error) if attempts < BEHIND_ATTEMPTS && may_be_behind(&error) => {
                    waiting.because(&error);
                    attempts += 1;
                    tokio::time::sleep(BEHIND_PAUSE).await;
                }
                sent => return sent,
            }
        }
    }

    /// Sends a request; an answer that is not a success is an error.
    pub(super) async fn send(
        &self,
        outgoing: Outgoing,
        limit: Duration,
    ) -> Result<Response, WorkerError> {
        self.success(self.exchange(outgoing, limit).await?).await
    }

    /// Sends a request; returns any answer.
    pub(super) async fn exchange(
        &self,
        outgoing: Outgoing,
        limit: Duration,
    ) -> Result<Response, WorkerError> {
        let Outgoing { method, url, headers, body } = outgoing;
        let mut request = self.inner.http.request(method, url).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        tokio::time::timeout(limit, request.send())
            .await
            .map_err(|_| self.stalled(limit))?
            .map_err(|error| self.unreachable(&error))
    }

    /// Passes on an answer that is a success; reads the worker's problem from any other.
    pub(super) async fn success(&self, response: Response) -> Result<Response, WorkerError> {
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.problem(response).await)
    }

    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        response: Response,
    ) -> Result<T, WorkerError> {
        let body = self.read(response, MAX_ANSWER_BYTES).await?;
        serde_json::from_slice(&body).map_err(|error| self.malformed(error))
    }

    /// Reads an answer of at most `limit` bytes.
    async fn read(&self, mut response: Response, limit: u64) -> Result<Bytes, WorkerError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk(&mut response).await? {
            if (body.len() + chunk.len()) as u64 > limit {
                return Err(WorkerError::TooLong { url: self.url(), limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    pub(super) async fn chunk(
        &self,
        response: &mut Response,
    ) -> Result<Option<Bytes>, WorkerError> {
        tokio::time::timeout(STALL_LIMIT, response.chunk())
            .await
            .map_err(|_| self.stalled(STALL_LIMIT))?
            .map_err(|error| self.unreachable(&error))
    }

    async fn problem(&self, response: Response) -> WorkerError {
        let status = response.status().as_u16();
        let body = self.read(response, MAX_PROBLEM_BYTES).await.unwrap_or_default();
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => WorkerError::Problem(Box::new(problem)),
            Err(_) => WorkerError::Status { url: self.url(), status },
        }
    }

    /// The worker's address, as errors name it.
    pub(super) fn url(&self) -> String {
        without_userinfo(self.inner.base.as_str())
    }

    pub(super) fn malformed(&self, reason: impl ToString) -> WorkerError {
        WorkerError::Malformed { url: self.url(), reason: reason.to_string() }
    }

    pub(super) fn stalled(&self, after: Duration) -> WorkerError {
        WorkerError::Stalled { url: self.url(), after }
    }

    /// Reports the innermost cause: "connection refused" rather than "error sending request".
    pub(super) fn unreachable(&self, error: &reqwest::Error) -> WorkerError {
        if pin::is_wrong_key(error) {
            return WorkerError::WrongKey { url: self.url() };
        }
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        WorkerError::Unreachable { url: self.url(), reason: cause.to_string() }
    }
}

/// Whether a worker says that there is no such query or opening, or no acceptance, although the client has read it.
fn may_be_behind(error: &WorkerError) -> bool {
    error
        .problem()
        .is_some_and(|problem| problem.status == 404 || problem.kind.ends_with(":not-accepted"))
}
