//! Serves the router on a socket, with or without TLS, until the worker stops.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use axum_server::{
    Handle,
    accept::{Accept, DefaultAcceptor},
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto::Builder,
};
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{
    AppState,
    connections::{Connections, Guarded},
    operators_router, router,
};
use crate::{
    config::{Config, Limits},
    tls::{Tls, TlsError},
};

/// How long requests in progress may go on when the worker stops.
const GRACE: Duration = Duration::from_secs(20);

/// How often a silent HTTP/2 connection is tested.
const PING: Duration = Duration::from_secs(30);
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 128;

/// Bytes of a response that wait in a connection, and as many in the kernel, before they are sent. By default the
/// kernel accepts several MiB: then a segment's slot would be free for the next one while most of the segment is still
/// unsent.
pub(super) const UNSENT: u32 = 128 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(
        "cannot listen at {address}: {source}; check whether another program or worker uses the port"
    )]
    Listen { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the HTTP server failed: {0}")]
    Failed(#[source] io::Error),
}

/// Serves the API until `shutdown`, then finishes requests in progress. Without `tls`: over plain HTTP.
pub async fn serve(
    config: &Config,
    tls: Option<&Arc<Tls>>,
    state: AppState,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let tls = tls.map(|tls| tls.server_config()).transpose()?;
    let tls = tls.map(|config| RustlsConfig::from_config(Arc::new(config)));
    let api = listen(config.listen)?;
    let operators = listen(config.operators_listen)?;

    let handles = [Handle::new(), Handle::new()];
    let stopper = tokio::spawn({
        let handles = handles.clone();
        async move {
            shutdown.await;
            for handle in handles {
                handle.graceful_shutdown(Some(GRACE));
            }
        }
    });
    let [of_api, of_operators] = handles;
    let reports = operators_router(state.clone());
    // A proxy that ends TLS is the one source of all connections.
    let clients = Connections::new(&config.limits, config.allow_plain_http, state.metrics.clone());
    let local = Connections::of_operators(&config.limits, state.metrics.clone());
    let limits = &config.limits;
    let served = tokio::try_join!(
        run(api, router(state), tls, of_api, clients, limits),
        run(operators, reports, None, of_operators, local, limits)
    );
    stopper.abort();
    served.map(drop)
}

pub(super) fn listen(address: SocketAddr) -> Result<std::net::TcpListener, ServeError> {
    let failed = |source| ServeError::Listen { address, source };
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    // The connections inherit the option.
    #[cfg(target_os = "linux")]
    SockRef::from(&listener).set_tcp_notsent_lowat(UNSENT).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

async fn run(
    listener: std::net::TcpListener,
    router: Router,
    tls: Option<RustlsConfig>,
    handle: Handle<SocketAddr>,
    connections: Connections,
    limits: &Limits,
) -> Result<(), ServeError> {
    let address = listener.local_addr().map_err(ServeError::Failed)?;
    tracing::info!(%address, tls = tls.is_some(), "serving");
    let connections = Arc::new(connections);
    let limit = limits.first_request;
    match tls {
        Some(tls) => {
            let inner = RustlsAcceptor::new(tls).handshake_timeout(limit);
            accept(listener, router, handle, Guarded { inner, connections }, limit).await
        }
        None => {
            let inner = DefaultAcceptor::new();
            accept(listener, router, handle, Guarded { inner, connections }, limit).await
        }
    }
    .map_err(ServeError::Failed)
}

/// `headers` is how long the headers of a request may take to arrive.
async fn accept<A>(
    listener: std::net::TcpListener,
    router: Router,
    handle: Handle<SocketAddr>,
    acceptor: Guarded<A>,
    headers: Duration,
) -> io::Result<()>
where
    A: Accept<TcpStream, Router, Service = Router> + Clone + Send + Sync + 'static,
    A::Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A::Future: Send + 'static,
{
    let mut server = axum_server::from_tcp(listener)?.acceptor(acceptor);
    bound(server.http_builder(), headers);
    server.handle(handle).serve(router.into_make_service()).await
}

/// Closes connections on which nothing happens, and bounds how much waits in them.
fn bound(http: &mut Builder<TokioExecutor>, headers: Duration) {
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(headers)
        .max_buf_size(UNSENT as usize);
    http.http2().timer(TokioTimer::new()).keep_alive_interval(PING).max_concurrent_streams(STREAMS);
}
