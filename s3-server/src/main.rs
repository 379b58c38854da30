//! `epione-s3-server`: an S3 server on a folder, on loopback. What the object storage of a hospital is in
//! production, for tests and networks on one machine: it verifies signatures, expiry of presigned
//! URLs and digests. It does not flush to the disk, so keep nothing in it that matters.

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

/// What is logged if RUST_LOG does not say. Refusals are answers, not errors of the server.
const FILTER: &str = "warn,s3s::ops=off";
/// How long a request's headers may take.
const HEADERS_LIMIT: Duration = Duration::from_secs(15);
/// Before connections are taken again, if the system has no room for them.
const PAUSE: Duration = Duration::from_millis(100);

/// An S3 server on a folder, for tests and for networks on one machine
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Folder of the buckets: each folder in it is one
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// TOML with access_key_id and secret_access_key: the one key that may do everything
    #[arg(long, value_name = "FILE")]
    credentials: PathBuf,
    /// A loopback address; port 0 for any free port. The first line printed says which
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

/// Serves until the process is ended: what was not answered was not promised.
async fn run(options: Options) -> anyhow::Result<()> {
    ensure!(options.listen.ip().is_loopback(), "--listen must be a loopback address");
    let service = service(&options)?;
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen at {}; is the port taken?", options.listen))?;
    println!("listening at http://{}", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let mut http = Builder::new(TokioExecutor::new());
                http.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_LIMIT);
                let service = service.clone();
                tokio::spawn(async move {
                    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
                        tracing::debug!(%error, "a connection broke");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn service(options: &Options) -> anyhow::Result<S3Service> {
    let Credentials { access_key_id, secret_access_key } = credentials(&options.credentials)?;
    fs::create_dir_all(&options.root)
        .with_context(|| format!("making the folder {}", options.root.display()))?;
    let root = options.root.canonicalize().context("the folder of the buckets")?;
    let files = FileSystem::new(&root).map_err(|error| anyhow!("opening the folder: {error:?}"))?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(access_key_id, secret_access_key));
    builder.set_access(Buckets { root });
    Ok(builder.build())
}

fn credentials(path: &Path) -> anyhow::Result<Credentials> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    // What the parser says may quote the file.
    toml::from_str(&text).map_err(|_| {
        anyhow!("{} must give access_key_id and secret_access_key, nothing else", path.display())
    })
}
