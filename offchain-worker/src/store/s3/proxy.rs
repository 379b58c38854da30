//! A proxy between a worker and a real S3 server, for tests: it lies, cuts, refuses and stalls.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use url::Url;

use super::server::Server;
use crate::config::S3Settings;

/// Longer than a whole segment with its headers.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// What the proxy does with requests for segments, or with all requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// HEAD says that a segment of this length is stored. Everything else is true.
    LyingHead(u32),
    /// PUT is confirmed, and the bytes are lost.
    LostWrites,
    /// GET answers that this object, or every one, is archived, until it is written again.
    Archived(Option<[u8; 32]>),
    /// GET announces the whole object, and ends in the middle.
    CutBodies,
    /// The next GET returns other bytes of the same length, and later ones return the true bytes.
    GarbledOnce,
    /// The next GET of the owner's mark returns another mark, from this worker.
    StaleMark(&'static str),
    /// GET is not answered for segments.
    StalledReads,
    /// Conditional writes are answered with this status.
    NoConditions(StatusCode),
    /// Every request is answered with SlowDown.
    SlowDown,
    /// No request is answered.
    Stalled,
}

pub struct Proxy {
    url: Url,
    shared: Arc<Shared>,
}

struct Shared {
    server: Url,
    http: reqwest::Client,
    fault: Mutex<Option<Fault>>,
    requests: AtomicUsize,
}

impl Proxy {
    /// A proxy without a fault, at a free port.
    pub async fn before(server: &Server) -> Self {
        let shared = Arc::new(Shared {
            server: server.settings().endpoint,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            fault: Mutex::new(None),
            requests: AtomicUsize::new(0),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let router = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared }
    }

    /// The server's settings, through the proxy, with time limits for tests.
    pub fn settings(&self, server: &Server) -> S3Settings {
        S3Settings {
            endpoint: self.url.clone(),
            request_timeout: Duration::from_secs(2),
            deadline: Duration::from_secs(5),
            ..server.settings()
        }
    }

    pub fn set(&self, fault: Fault) {
        *self.shared.slot() = Some(fault);
    }

    /// Ends the fault.
    pub fn heal(&self) {
        *self.shared.slot() = None;
    }

    /// Requests so far.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn slot(&self) -> MutexGuard<'_, Option<Fault>> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writing an archived object replaces it.
    fn written(&self, path: &str) {
        let mut fault = self.slot();
        if let Some(Fault::Archived(Some(hash))) = *fault
            && path.ends_with(&hex::encode(hash))
        {
            *fault = None;
        }
    }

    /// The server's true answer. The request keeps its header `Host`, which is signed.
    async fn forward(&self, request: Request) -> (StatusCode, HeaderMap, Bytes) {
        let (parts, body) = request.into_parts();
        let target = parts.uri.path_and_query().unwrap().as_str();
        let body = axum::body::to_bytes(body, MAX_BODY).await.unwrap();
        let sent = self
            .http
            .request(parts.method, self.server.join(target).unwrap())
            .headers(parts.headers)
            .body(body)
            .send()
            .await
            .unwrap();
        let (status, mut headers) = (sent.status(), sent.headers().clone());
        headers.remove(header::TRANSFER_ENCODING);
        headers.remove(header::CONNECTION);
        (status, headers, sent.bytes().await.unwrap())
    }
}

async fn pass(State(proxy): State<Arc<Shared>>, request: Request) -> Response {
    proxy.requests.fetch_add(1, Ordering::SeqCst);
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let of_segment = path.contains("/segments/");
    let fault = *proxy.slot();
    match fault {
        Some(Fault::SlowDown) => return refusal(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
        Some(Fault::Stalled) => std::future::pending().await,
        Some(Fault::StalledReads) if of_segment && method == Method::GET => {
            std::future::pending().await
        }
        Some(Fault::LyingHead(length)) if of_segment && method == Method::HEAD => {
            return described(length, Body::empty());
        }
        Some(Fault::LostWrites) if of_segment && method == Method::PUT => {
            axum::body::to_bytes(request.into_body(), MAX_BODY).await.unwrap();
            return [(header::ETAG, "\"0\"")].into_response();
        }
        Some(Fault::Archived(which))
            if of_segment
                && method == Method::GET
                && which.is_none_or(|hash| path.ends_with(&hex::encode(hash))) =>
        {
            return refusal(StatusCode::FORBIDDEN, "InvalidObjectState");
        }
        Some(Fault::NoConditions(status))
            if request.headers().contains_key(header::IF_NONE_MATCH) && method == Method::PUT =>
        {
            return refusal(status, "Refused");
        }
        Some(Fault::StaleMark(mark)) if path.ends_with("/owner") && method == Method::GET => {
            *proxy.slot() = None;
            return described(mark.len() as u32, Body::from(mark));
        }
        _ => {}
    }
    pass_on(&proxy, request, fault.filter(|_| of_segment && method == Method::GET)).await
}

/// The server's answer, with this fault in what a GET returns.
async fn pass_on(proxy: &Shared, request: Request, fault: Option<Fault>) -> Response {
    let path = request.uri().path().to_owned();
    let is_put = request.method() == Method::PUT;
    if fault == Some(Fault::GarbledOnce) {
        *proxy.slot() = None;
    }
    let (status, headers, body) = proxy.forward(request).await;
    if is_put {
        proxy.written(&path);
    }
    let body = match fault.filter(|_| status.is_success()) {
        Some(Fault::CutBodies) => half(&body),
        Some(Fault::GarbledOnce) => Body::from(vec![0xee; body.len()]),
        _ => Body::from(body),
    };
    (status, headers, body).into_response()
}

/// The first half of a body, and then the end of the connection.
fn half(body: &Bytes) -> Body {
    let first = Ok(body.slice(..body.len() / 2));
    let end = Err(std::io::Error::other("cut"));
    // The pause lets the first half reach the client.
    let end = stream::once(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        end
    });
    Body::from_stream(stream::iter([first]).chain(end))
}

fn refusal(status: StatusCode, code: &str) -> Response {
    let class = "<StorageClass>GLACIER</StorageClass>";
    (status, format!("<Error><Code>{code}</Code><Message>m</Message>{class}</Error>"))
        .into_response()
}

fn described(length: u32, body: Body) -> Response {
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_LENGTH, HeaderValue::from(length)),
        (header::ETAG, HeaderValue::from_static("\"0\"")),
        (header::LAST_MODIFIED, HeaderValue::from_static("Fri, 20 Nov 2026 10:00:00 GMT")),
    ];
    (headers, body).into_response()
}
