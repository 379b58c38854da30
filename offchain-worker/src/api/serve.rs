//! Serving the router on a socket, with TLS or without, until told to stop.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use axum::Router;
use axum_server::{Handle, tls_rustls::RustlsConfig};
use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto::Builder,
};

use super::{AppState, router};
use crate::config::Config;

/// How long requests under way may still take when the worker stops.
const GRACE: Duration = Duration::from_secs(20);

/// How long a request's headers may take.
const HEADERS_LIMIT: Duration = Duration::from_secs(15);
/// How often a silent HTTP/2 connection is asked whether anybody is there.
const PING: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot listen at {address}: {source}; is the port taken, or another worker running?")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot use the TLS certificate {certificate} with its key {key}: {source}")]
    Tls { certificate: PathBuf, key: PathBuf, source: io::Error },
    #[error("the HTTP server failed: {0}")]
    Failed(#[source] io::Error),
}

/// Serves the API until `shutdown`, then finishes what is under way.
pub async fn serve(
    config: &Config,
    state: AppState,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let address = config.listen;
    let listening = |source| ServeError::Listen { address, source };
    let listener = std::net::TcpListener::bind(address).map_err(listening)?;
    listener.set_nonblocking(true).map_err(listening)?;
    let tls = tls(config).await?;

    let handle = Handle::new();
    let stopper = tokio::spawn({
        let handle = handle.clone();
        async move {
            shutdown.await;
            handle.graceful_shutdown(Some(GRACE));
        }
    });
    let address = listener.local_addr().map_err(listening)?;
    tracing::info!(%address, tls = tls.is_some(), "serving");
    let served = run(listener, router(state), tls, handle).await;
    stopper.abort();
    served
}

async fn run(
    listener: std::net::TcpListener,
    router: Router,
    tls: Option<RustlsConfig>,
    handle: Handle<SocketAddr>,
) -> Result<(), ServeError> {
    let service = router.into_make_service();
    match tls {
        Some(tls) => {
            let mut server =
                axum_server::from_tcp_rustls(listener, tls).map_err(ServeError::Failed)?;
            bound(server.http_builder());
            server.handle(handle).serve(service).await
        }
        None => {
            let mut server = axum_server::from_tcp(listener).map_err(ServeError::Failed)?;
            bound(server.http_builder());
            server.handle(handle).serve(service).await
        }
    }
    .map_err(ServeError::Failed)
}

/// Connections on which nothing happens do not stay.
fn bound(http: &mut Builder<TokioExecutor>) {
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_LIMIT);
    http.http2().timer(TokioTimer::new()).keep_alive_interval(PING);
}

async fn tls(config: &Config) -> Result<Option<RustlsConfig>, ServeError> {
    let Some(files) = &config.tls else {
        return Ok(None);
    };
    // More than one library may be compiled in: say which. Somebody else may have said so before.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let (certificate, key) = (files.certificate.clone(), files.key.clone());
    match RustlsConfig::from_pem_file(&certificate, &key).await {
        Ok(tls) => Ok(Some(tls)),
        Err(source) => Err(ServeError::Tls { certificate, key, source }),
    }
}
