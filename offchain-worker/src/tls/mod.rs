//! The worker's side of TLS. Other hospitals and `epione` recognize the worker by the Ed25519 key in its hospital's
//! entry on the chain, and read nothing else in a certificate: for them the worker creates one, which never expires.
//! Browsers and other programs that trust authorities get the certificate that `[tls]` names, if there is one.
//!
//! The worker derives several keys from its keystore, and presents the one that the chain names. So one transaction
//! changes the key: the worker and everybody else follow the same entry.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use epione_envelope::account::AccountKey;
use epione_primitives::hospital::Hospital;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ED25519, SanType, date_time_ymd};
use rustls::{
    ServerConfig, SignatureScheme,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::TLS13,
};
use url::{Host, Url};
use zeroize::Zeroizing;

use crate::{
    chain::{ChainView, ViewError},
    config::{self, Config},
    keys::TlsKeys,
    metrics::Metrics,
};

/// How often the entry on the chain is read: about once per block.
const LOOK: Duration = Duration::from_secs(3);
/// How often an error in the entry on the chain is logged.
const COMPLAIN: Duration = Duration::from_secs(300);
/// How often the files of `[tls]` are read again.
const RELOAD: Duration = Duration::from_secs(600);
/// Bytes of one of these files, at most.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// The bytes before the 32 bytes of an Ed25519 seed in PKCS #8 (RFC 8410).
const ED25519_PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {path} for TLS: {reason}")]
    File { path: PathBuf, reason: String },
    #[error("the TLS certificate {certificate} does not match the key {key}: {source}")]
    Files { certificate: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("cannot create a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("cannot set up TLS: {0}")]
    Library(#[from] rustls::Error),
}

/// The certificates that the worker presents.
#[derive(Debug)]
pub struct Tls {
    keys: TlsKeys,
    public_url: Url,
    files: Option<config::Tls>,
    shown: Shown,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
struct Shown {
    /// The public half of the key, and the certificate for it.
    key: RwLock<([u8; 32], Arc<CertifiedKey>)>,
    /// For clients that accept more than Ed25519 keys.
    files: RwLock<Option<Arc<CertifiedKey>>>,
}

/// The TLS key that the chain names for this worker.
#[derive(Debug, PartialEq, Eq)]
enum NamedKey {
    /// The key that the worker presents.
    Shown,
    /// Another of the worker's keys, which it presents from now on.
    Next { generation: u16 },
    /// A key that the worker does not have.
    Foreign,
}

impl Tls {
    /// Presents the first key until the chain was read, and the certificate of `[tls]` if there is one.
    pub fn new(keys: TlsKeys, config: &Config) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let first = keys.generation(0);
        let certificate = own_certificate(&first, &config.public_url, &provider)?;
        let files = config.tls.as_ref().map(|files| read_files(files, &provider)).transpose()?;
        let shown =
            Shown { key: RwLock::new((first.public(), certificate)), files: RwLock::new(files) };
        let (public_url, files) = (config.public_url.clone(), config.tls.clone());
        Ok(Self { keys, public_url, files, shown, provider })
    }

    /// The configuration of a server for HTTP/2 and HTTP/1.1 over TLS 1.3.
    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, TlsError> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Self>::clone(self));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Follows the entry on the chain and the files of `[tls]`. Never returns.
    pub async fn run(&self, view: Arc<dyn ChainView>, metrics: Metrics) {
        let (mut complained, mut loaded) = (None, Instant::now());
        loop {
            match self.follow(view.as_ref(), &metrics, &mut complained).await {
                // Other tasks report that the node does not answer.
                Ok(()) | Err(ViewError::Away) => {}
                Err(error) => {
                    metrics.task_failures.with_label_values(&["tls"]).inc();
                    tracing::warn!(?error, "the TLS key on the chain could not be read; retrying");
                }
            }
            if loaded.elapsed() > RELOAD {
                loaded = Instant::now();
                self.reload();
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Presents the key that the chain names at the last finalized block. `complained` is when an error in the entry
    /// was last logged.
    async fn follow(
        &self,
        view: &dyn ChainView,
        metrics: &Metrics,
        complained: &mut Option<Instant>,
    ) -> Result<(), ViewError> {
        let own = view.identity().await?.hospital;
        let Some(entry) = view.finalized().await?.hospital(own).await? else {
            return Ok(());
        };
        let found = self.adopt(&entry.tls_key).unwrap_or_else(|error| {
            tracing::error!(%error, "the TLS key that the chain names cannot be used");
            NamedKey::Foreign
        });
        metrics.tls_key_matches.set((found != NamedKey::Foreign).into());
        if let NamedKey::Next { generation } = found {
            let key = hex::encode(entry.tls_key);
            tracing::info!(generation, %key, "the worker now presents this TLS key");
        }
        match self.complaint(&found, &entry) {
            None => *complained = None,
            Some(_) if complained.is_some_and(|at| at.elapsed() < COMPLAIN) => {}
            Some(complaint) => {
                *complained = Some(Instant::now());
                tracing::error!("{complaint}");
            }
        }
        Ok(())
    }

    /// Presents the worker's key with this public half from now on, if there is one.
    fn adopt(&self, named: &[u8; 32]) -> Result<NamedKey, TlsError> {
        if self.shown().0 == *named {
            return Ok(NamedKey::Shown);
        }
        let Some((generation, key)) = self.keys.find(named) else {
            return Ok(NamedKey::Foreign);
        };
        let certificate = own_certificate(&key, &self.public_url, &self.provider)?;
        *self.shown.key.write().unwrap_or_else(PoisonError::into_inner) = (*named, certificate);
        Ok(NamedKey::Next { generation })
    }

    /// What is wrong with the hospital's entry on the chain, and how to correct it.
    fn complaint(&self, found: &NamedKey, entry: &Hospital) -> Option<String> {
        let (own_key, own_url) = (hex::encode(self.shown().0), &self.public_url);
        let named_url = String::from_utf8_lossy(&entry.worker_url);
        let problem = if *found == NamedKey::Foreign {
            format!(
                "the chain names the TLS key {}, which this worker does not have: other hospitals and clients reject \
                 this worker. Check whether the keystore is the right one. If it is, run",
                hex::encode(entry.tls_key)
            )
        } else if Url::parse(&named_url).is_ok_and(|named| named == *own_url) {
            return None;
        } else {
            format!(
                "the chain names the URL {named_url:?}, which is not this worker's public_url. Check whether \
                 public_url is right. If it is, run"
            )
        };
        Some(format!("{problem}: epione hospital set-endpoint --url {own_url} --tls-key {own_key}"))
    }

    fn shown(&self) -> ([u8; 32], Arc<CertifiedKey>) {
        self.shown.key.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the files of `[tls]` again. If they cannot be used, nothing changes.
    fn reload(&self) {
        let Some(files) = &self.files else { return };
        match read_files(files, &self.provider) {
            Ok(renewed) => {
                let mut shown = self.shown.files.write().unwrap_or_else(PoisonError::into_inner);
                if shown.as_ref().is_none_or(|shown| shown.cert != renewed.cert) {
                    tracing::info!(certificate = ?files.certificate, "a renewed certificate is in use");
                }
                *shown = Some(renewed);
            }
            Err(error) => {
                tracing::error!(%error, "the files of [tls] cannot be used; the worker keeps the previous certificate")
            }
        }
    }
}

impl ResolvesServerCert for Tls {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let knows_the_chain = hello.signature_schemes() == [SignatureScheme::ED25519];
        let files = match knows_the_chain {
            true => None,
            false => self.shown.files.read().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        Some(files.unwrap_or_else(|| self.shown().1))
    }
}

/// A certificate whose only purpose is to carry the key. Always the same for the same key and host.
fn own_certificate(
    key: &AccountKey,
    public_url: &Url,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let seed = Zeroizing::new([ED25519_PKCS8.as_slice(), key.seed()].concat());
    let seed = PrivatePkcs8KeyDer::from(seed.as_slice());
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&seed, &PKCS_ED25519)?;
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, "Epione worker");
    parameters.subject_alt_names = match public_url.host() {
        Some(Host::Domain(name)) => vec![SanType::DnsName(name.try_into()?)],
        Some(Host::Ipv4(address)) => vec![SanType::IpAddress(address.into())],
        Some(Host::Ipv6(address)) => vec![SanType::IpAddress(address.into())],
        None => Vec::new(),
    };
    parameters.not_before = date_time_ymd(2000, 1, 1);
    // The value that RFC 5280 defines for "does not expire".
    parameters.not_after = date_time_ymd(9999, 12, 31);
    let certificate = parameters.self_signed(&pair)?;
    let key = PrivateKeyDer::Pkcs8(seed.clone_key());
    Ok(Arc::new(CertifiedKey::from_der(vec![certificate.into()], key, provider)?))
}

fn read_files(
    files: &config::Tls,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let unusable = |path: &Path, reason: String| TlsError::File { path: path.into(), reason };
    let certificate = read(&files.certificate)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&certificate)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(&files.certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(unusable(&files.certificate, "it contains no certificate in PEM form".into()));
    }
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
        .map_err(|error| unusable(&files.key, error.to_string()))?;
    CertifiedKey::from_der(chain, key, provider).map(Arc::new).map_err(|source| TlsError::Files {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        source,
    })
}

/// The first certificate of `[tls]`, which is the server's own.
pub(crate) fn first_certificate(files: &config::Tls) -> Result<CertificateDer<'static>, TlsError> {
    CertificateDer::from_pem_slice(&read(&files.certificate)?).map_err(|error| TlsError::File {
        path: files.certificate.clone(),
        reason: error.to_string(),
    })
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let mut bytes = Zeroizing::new(Vec::new());
    let outcome = File::open(path).and_then(|file| {
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        match bytes.len() as u64 > MAX_FILE_BYTES {
            true => Err(io::Error::other(format!("it is longer than {MAX_FILE_BYTES} bytes"))),
            false => Ok(()),
        }
    });
    outcome.map_err(|error| TlsError::File { path: path.into(), reason: error.to_string() })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
