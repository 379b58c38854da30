//! `epione-s3-server`: an S3 server on a folder, on loopback. It replaces a hospital's object storage in tests and in
//! networks on one machine: it verifies signatures, the expiry of presigned URLs, and digests. It does not flush to the
//! disk, so do not store important data in it.

mod buckets;

use std::{
    fs,
    io::IsTerminal,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, anyhow, ensure};
use clap::Parser;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use s3s::{
    auth::{SecretKey, SimpleAuth},
    service::{S3Service, S3ServiceBuilder},
};
use s3s_fs::FileSystem;
use serde::Deserialize;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use buckets::Buckets;

/// What is logged if RUST_LOG is not set. Rejected requests are responses, not errors of the server.
const FILTER: &str = "warn,s3s::ops=off";
/// How long a request's headers may take to arrive.
const HEADERS_LIMIT: Duration = Duration::from_secs(15);
/// The pause before connections are accepted again, if the system has no resources for them.
const PAUSE: Duration = Duration::from_millis(100);

/// An S3 server on a folder, for tests and for networks on one machine
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Folder of the buckets: each folder in it is a bucket
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// TOML file with access_key_id and secret_access_key: the only key, which has all permissions
    #[arg(long, value_name = "FILE")]
    credentials: PathBuf,
    /// Loopback address. Port 0 selects a free port, which the first line of output names
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    access_key_id: String,
    secret_access_key: SecretKey,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(FILTER));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until the process is killed. A request without a response may not have been carried out.
async fn run(options: Options) -> anyhow::Result<()> {
    ensure!(options.listen.ip().is_loopback(), "--listen must be a loopback address");
    let service = service(&options)?;
    let listener = TcpListener::bind(options.listen).await.with_context(|| {
        format!("cannot listen at {}: check whether another program uses the port", options.listen)
    })?;
    println!("listening at http://{}", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let mut http = Builder::new(TokioExecutor::new());
                http.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_LIMIT);
                let service = service.clone();
                tokio::spawn(async move {
                    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
                        tracing::debug!(%error, "a connection failed");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn service(options: &Options) -> anyhow::Result<S3Service> {
    let Credentials { access_key_id, secret_access_key } = credentials(&options.credentials)?;
    fs::create_dir_all(&options.root)
        .with_context(|| format!("cannot create the folder {}", options.root.display()))?;
    let root = options.root.canonicalize().context("cannot resolve the folder of the buckets")?;
    let files =
        FileSystem::new(&root).map_err(|error| anyhow!("cannot open the folder: {error:?}"))?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(access_key_id, secret_access_key));
    builder.set_access(Buckets { root });
    Ok(builder.build())
}

fn credentials(path: &Path) -> anyhow::Result<Credentials> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    // The parser's message may quote the file.
    toml::from_str(&text).map_err(|_| {
        anyhow!(
            "{} must contain access_key_id and secret_access_key, and nothing else",
            path.display()
        )
    })
}
