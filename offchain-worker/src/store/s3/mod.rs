//! Segments in a bucket of an S3-compatible storage.

mod credentials;
#[cfg(test)]
pub(crate) mod proxy;
#[cfg(test)]
pub(crate) mod server;
#[cfg(test)]
mod tests;

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    client::{HttpClient, HttpConnector},
    path::Path,
    prefix::PrefixStore,
    signer::Signer,
};
use reqwest::{Certificate, redirect};
use url::Url;

use super::{
    StoreError,
    traits::{Publishing, Traits},
};
use crate::config::S3Settings;
use credentials::Credentials;

/// The first and the longest pause between attempts. The deadline limits their number.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const ATTEMPTS: usize = 1_000;
/// Each pause is drawn evenly between the first pause and the last one times this. Such pauses grow on average only if
/// the factor is more than e; with twice e they double, up to the longest.
const PAUSE_FACTOR: f64 = 2.0 * std::f64::consts::E;

/// Why a storage cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot open the store {path}: {source}")]
    Directory { path: PathBuf, source: StoreError },
    #[error(
        "the S3 credentials are missing: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or set credentials_file in \
         [store.s3]"
    )]
    NoCredentials,
    #[error("cannot read the file {path} of [store.s3]: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("other users can read the S3 credentials in {path}: run chmod 600 {path}")]
    Exposed { path: PathBuf },
    #[error(
        "{path} must be TOML with access_key_id and secret_access_key, and optionally session_token"
    )]
    NotCredentials { path: PathBuf },
    #[error("{path} contains no certificates in PEM form")]
    NotCertificates { path: PathBuf },
    #[error("cannot set up HTTP for [store.s3]: {0}")]
    Http(#[from] reqwest::Error),
    #[error("[store.s3] cannot be used: {0}")]
    Refused(#[from] object_store::Error),
}

/// Opens a bucket without sending it a request.
pub(super) fn connect(settings: &S3Settings) -> Result<(Arc<dyn ObjectStore>, Traits), OpenError> {
    let credentials = Credentials::load(settings.credentials_file.as_deref())?;
    let http = Http(client(settings)?);
    let prefix = Path::from(settings.prefix.as_str());
    let open = |endpoint: &Url| -> Result<PrefixStore<AmazonS3>, OpenError> {
        let s3 =
            bucket(settings, &credentials, endpoint).with_http_connector(http.clone()).build()?;
        Ok(PrefixStore::new(s3, prefix.clone()))
    };
    let links: Option<Box<dyn Signer>> = match settings.links {
        true => {
            Some(Box::new(open(settings.public_endpoint.as_ref().unwrap_or(&settings.endpoint))?))
        }
        false => None,
    };
    let deadline = Some(settings.deadline);
    let traits = Traits {
        publishing: Publishing::Whole,
        // A server, a proxy or a cache may confirm what it loses.
        durable_writes: false,
        deadline,
        links,
        shared: true,
        directory: None,
    };
    Ok((Arc::new(open(&settings.endpoint)?), traits))
}

/// When requests are repeated. The last pause begins before `retry_timeout`, and the attempt after it ends before the
/// deadline, so that its error is reported.
fn retry(settings: &S3Settings) -> RetryConfig {
    let max_backoff = (settings.request_timeout / 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
    let last = max_backoff + settings.request_timeout;
    RetryConfig {
        backoff: BackoffConfig { init_backoff: FIRST_PAUSE, max_backoff, base: PAUSE_FACTOR },
        max_retries: ATTEMPTS,
        retry_timeout: settings.deadline.saturating_sub(last),
    }
}

fn bucket(settings: &S3Settings, credentials: &Credentials, endpoint: &Url) -> AmazonS3Builder {
    let builder = AmazonS3Builder::new()
        .with_endpoint(settings.bucket_endpoint(endpoint))
        .with_bucket_name(&settings.bucket)
        .with_region(&settings.region)
        .with_virtual_hosted_style_request(!settings.path_style)
        .with_access_key_id(credentials.access_key_id.as_str())
        .with_secret_access_key(credentials.secret_access_key.as_str())
        // The store deletes one object at a time, and not every storage supports bulk deletion.
        .with_disable_bulk_delete(true)
        .with_retry(retry(settings));
    match &credentials.session_token {
        Some(token) => builder.with_token(token.as_str()),
        None => builder,
    }
}

fn client(settings: &S3Settings) -> Result<reqwest::Client, OpenError> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.request_timeout)
        // Signed requests must not go to another host.
        .redirect(redirect::Policy::none())
        .https_only(settings.endpoint.scheme() == "https")
        .http1_only();
    if settings.is_on_this_machine() {
        builder = builder.no_proxy();
    }
    if let Some(path) = &settings.root_certificate {
        let pem =
            fs::read(path).map_err(|source| OpenError::File { path: path.clone(), source })?;
        let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
        if certificates.is_empty() {
            return Err(OpenError::NotCertificates { path: path.clone() });
        }
        builder = builder.tls_certs_merge(certificates);
    }
    Ok(builder.build()?)
}

/// Provides `object_store` with the client above.
#[derive(Clone, Debug)]
struct Http(reqwest::Client);

impl HttpConnector for Http {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}
