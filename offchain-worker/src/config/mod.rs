//! The worker's configuration: one TOML file, read once and checked as a whole before anything starts.
//! `worker.example.toml` shows every key with its default.

mod s3;

pub use s3::S3Settings;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use epione_client::endpoint::is_loopback;
use epione_primitives::limits::{MAX_BODY_BYTES, MAX_ENTRIES};
use serde::Deserialize;
use url::Url;

/// What an operator decides about a worker.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// WebSocket of the hospital's own node.
    #[serde(default = "defaults::node_url")]
    pub node_url: Url,
    /// Address to serve the HTTP API at.
    #[serde(default = "defaults::listen")]
    pub listen: SocketAddr,
    /// Under which clients reach this API; temporary links begin with it. The hospital's entry on
    /// chain names the same.
    pub public_url: Url,
    /// Serve without TLS although `public_url` is https or others than this machine can reach the address:
    /// something in front of the worker speaks TLS, with the key that the chain names.
    #[serde(default)]
    pub allow_plain_http: bool,
    /// Address, on loopback, to serve `/metrics` at over plain HTTP as well.
    pub metrics_listen: Option<SocketAddr>,
    /// Where the journal is, and the store unless `[store]` says otherwise.
    pub data_dir: PathBuf,
    /// For browsers. Other hospitals and `epione` know the worker by its own key.
    pub tls: Option<Tls>,
    pub keystore: Keystore,
    /// Keystores whose sealing keys were the hospital's before. They open profiles until all of these
    /// are sealed to the current key.
    #[serde(default)]
    pub earlier_keystores: Vec<Keystore>,
    #[serde(default)]
    pub store: StoreConfig,
    #[serde(default)]
    pub pack: Pack,
    #[serde(default)]
    pub transfer: Transfer,
    #[serde(default)]
    pub scrub: Scrub,
    #[serde(default)]
    pub limits: Limits,
}

/// Certificate chain and private key, both PEM.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Where the agent's account key and the hospital's sealing key come from: a keystore file and the
/// file that holds its password, or well-known development keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keystore {
    pub path: Option<PathBuf>,
    pub password_file: Option<PathBuf>,
    /// `//Name` of a development hospital. Everybody knows its keys.
    pub development: Option<String>,
}

/// The private cloud.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// A local directory; `data_dir/store` if absent, unless `s3` is there.
    pub path: Option<PathBuf>,
    /// A bucket instead.
    pub s3: Option<S3Settings>,
    /// How long a segment that nothing needs any more is kept.
    pub garbage_grace_ms: u64,
}

/// When queued visits become a lite block: at whichever bound is met first.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pack {
    /// Age of the oldest queued visit.
    pub max_age_ms: u64,
    pub max_records: u32,
    /// Sealed media of all records together. A single larger visit still gets a block of its own.
    pub max_media_bytes: u64,
    /// Sealed records together.
    pub max_body_bytes: u32,
}

/// Fetching segments from other hospitals, and giving them theirs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Transfer {
    /// Segments fetched at once: no more than others serve at once, or each gets a part of a place. Each
    /// holds up to 2 MiB of memory, and on S3 4 MiB.
    pub parallel: usize,
    /// Segments served to other hospitals at once, all but one of them to the same; who else asks is told
    /// to come again. Few at a time, so that each is soon whole where it goes, and served on from there.
    /// Each holds up to 4 MiB of memory.
    pub serve_parallel: usize,
    pub connect_timeout_ms: u64,
    /// Without a byte for this long, another hospital is asked.
    pub stall_timeout_ms: u64,
    pub segment_timeout_ms: u64,
    /// Chain blocks before a ballot's deadline at which a block whose segments cannot be had is rejected.
    pub reject_margin_blocks: u32,
    /// Bytes that each other hospital may have stored here ahead of its announcements; 0 declines all
    /// offers.
    pub offer_quota_bytes: u64,
    /// How long they are kept if no announcement follows.
    pub offer_lifetime_ms: u64,
    /// Blocks of this hospital with fewer bytes of media than this are announced without being offered.
    pub offer_from_bytes: u64,
    /// A block that is offered is announced when nothing has arrived anywhere for this long, if not
    /// earlier; 0 offers nothing.
    pub offer_wait_ms: u64,
}

/// Checking what is already stored.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scrub {
    /// Segments read in a minute by the background's passes.
    pub segments_per_minute: u32,
    /// From the beginning of one pass to that of the next; a longer pass is followed at once.
    pub every_ms: u64,
    /// How long a stored segment that the journal does not know is kept, once it was noticed.
    pub orphan_grace_ms: u64,
    /// How long an object that was found damaged is kept for somebody to look at.
    pub quarantine_ms: u64,
}

/// What the HTTP API takes on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Visits taken in at once, but for their media. Each holds some MiB of memory at most.
    pub visits: usize,
    /// Visits at once whose media are awaited. Each holds two parts of at most 8 MiB, and on S3 a
    /// segment of 4 MiB.
    pub uploads: usize,
    /// Segments served to readers at once. Each holds up to 4 MiB of memory.
    pub segment_reads: usize,
    /// Requests at once that wait for a transaction to be final.
    pub transactions: usize,
    /// Other requests at once.
    pub requests: usize,
    /// Bytes of a visit's media.
    pub max_upload_bytes: u64,
    /// A visit whose media do not go on for this long is forgotten. When places are wanted, a tenth of
    /// it is enough.
    pub upload_idle_ms: u64,
    /// And one whose media take longer than this in all.
    pub upload_timeout_ms: u64,
    /// Receiving and storing a visit without its media, or one part of these.
    pub part_timeout_ms: u64,
    /// A body of which nothing comes for this long is given up.
    pub silence_ms: u64,
    /// Serving a segment, including its repair from another hospital.
    pub segment_timeout_ms: u64,
    /// Requests that wait for a transaction to be final.
    pub transaction_timeout_ms: u64,
    /// Any other request.
    pub request_timeout_ms: u64,
    /// How long a temporary link to a segment holds; an hour at most.
    pub link_lifetime_ms: u64,
    /// How long an access grant holds after it was sealed, which is before the chain has its receipt; a
    /// minute at least, an hour at most.
    pub grant_lifetime_ms: u64,
}

/// Earlier keystores: opening each takes up to a second when the worker starts.
const MAX_EARLIER_KEYSTORES: usize = 8;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const GIB: u64 = 1 << 30;

mod defaults {
    use super::{SocketAddr, Url};

    pub fn node_url() -> Url {
        Url::parse("ws://127.0.0.1:9944").expect("a constant URL parses; qed")
    }

    pub fn listen() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 8600))
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { path: None, s3: None, garbage_grace_ms: 10 * MINUTE }
    }
}

impl Default for Pack {
    fn default() -> Self {
        Self {
            max_age_ms: 5_000,
            max_records: 200,
            max_media_bytes: GIB,
            max_body_bytes: MAX_BODY_BYTES,
        }
    }
}

impl Default for Transfer {
    fn default() -> Self {
        Self {
            parallel: 4,
            serve_parallel: 4,
            connect_timeout_ms: 5_000,
            stall_timeout_ms: 20_000,
            segment_timeout_ms: 180_000,
            reject_margin_blocks: 20,
            offer_quota_bytes: 8 * GIB,
            offer_lifetime_ms: HOUR,
            offer_from_bytes: 4 << 20,
            offer_wait_ms: 30_000,
        }
    }
}

impl Default for Scrub {
    fn default() -> Self {
        Self {
            segments_per_minute: 240,
            every_ms: 24 * HOUR,
            orphan_grace_ms: 24 * HOUR,
            quarantine_ms: 7 * 24 * HOUR,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            visits: 4,
            uploads: 3,
            segment_reads: 8,
            transactions: 256,
            requests: 64,
            max_upload_bytes: 8 * GIB,
            upload_idle_ms: 10 * MINUTE,
            upload_timeout_ms: 4 * HOUR,
            part_timeout_ms: 3 * MINUTE,
            silence_ms: 20_000,
            segment_timeout_ms: 3 * MINUTE,
            transaction_timeout_ms: 2 * MINUTE + 10_000,
            request_timeout_ms: 20_000,
            link_lifetime_ms: 10 * MINUTE,
            grant_lifetime_ms: 10 * MINUTE,
        }
    }
}

impl Limits {
    pub fn upload_idle(&self) -> Duration {
        Duration::from_millis(self.upload_idle_ms)
    }

    pub fn upload_timeout(&self) -> Duration {
        Duration::from_millis(self.upload_timeout_ms)
    }

    pub fn part_timeout(&self) -> Duration {
        Duration::from_millis(self.part_timeout_ms)
    }

    pub fn silence(&self) -> Duration {
        Duration::from_millis(self.silence_ms)
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {path}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the configuration is not valid: {0}")]
    Syntax(#[from] toml::de::Error),
    #[error("the configuration is not valid: {key} {problem}")]
    Value { key: &'static str, problem: String },
}

fn refuse<T>(key: &'static str, problem: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Value { key, problem: problem.into() })
}

impl Config {
    /// Reads and checks a file. Relative paths in it are relative to the working directory.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.into(), source })?;
        Self::parse(&text)
    }

    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text)?;
        config.check_endpoints()?;
        config.check_keystores()?;
        config.store.check()?;
        config.check_work()?;
        config.limits.check()?;
        Ok(config)
    }

    pub fn journal_path(&self) -> PathBuf {
        self.data_dir.join("journal.sqlite")
    }

    pub fn nonces_path(&self) -> PathBuf {
        self.data_dir.join("nonces.sqlite")
    }

    /// Where a running worker is asked for what only its own machine may ask; a folder.
    pub fn control_path(&self) -> PathBuf {
        self.data_dir.join("control")
    }

    pub fn store_path(&self) -> PathBuf {
        self.store.path.clone().unwrap_or_else(|| self.data_dir.join("store"))
    }

    fn check_endpoints(&self) -> Result<(), ConfigError> {
        if !matches!(self.node_url.scheme(), "ws" | "wss") {
            return refuse("node_url", "must begin with ws:// or wss://");
        }
        if !matches!(self.public_url.scheme(), "http" | "https") {
            return refuse("public_url", "must begin with http:// or https://");
        }
        if self.public_url.query().is_some() || self.public_url.fragment().is_some() {
            return refuse("public_url", "must have neither a query nor a fragment");
        }
        if self.public_url.scheme() == "http" && !is_loopback(&self.public_url) {
            return refuse(
                "public_url",
                "must begin with https://: over http nothing proves who answers, so other hospitals \
                 and clients use it on 127.0.0.1 only",
            );
        }
        if self.tls.is_some() && !self.serves_tls() {
            return refuse("tls", "needs an https public_url, and no allow_plain_http");
        }
        if !self.serves_tls() && !self.listen.ip().is_loopback() && !self.allow_plain_http {
            return refuse(
                "listen",
                "is reachable from other machines, without TLS: give an https public_url, \
                 or listen on 127.0.0.1, or, where something in front of the worker speaks TLS, \
                 say allow_plain_http = true",
            );
        }
        if self.metrics_listen.is_some_and(|address| !address.ip().is_loopback()) {
            return refuse("metrics_listen", "must be an address of 127.0.0.1 or [::1]");
        }
        Ok(())
    }

    /// Whether the worker itself speaks TLS.
    pub fn serves_tls(&self) -> bool {
        self.public_url.scheme() == "https" && !self.allow_plain_http
    }

    fn check_keystores(&self) -> Result<(), ConfigError> {
        self.keystore.check("keystore")?;
        if self.earlier_keystores.len() > MAX_EARLIER_KEYSTORES {
            return refuse("earlier_keystores", format!("has more than {MAX_EARLIER_KEYSTORES}"));
        }
        self.earlier_keystores.iter().try_for_each(|earlier| earlier.check("earlier_keystores"))
    }

    fn check_work(&self) -> Result<(), ConfigError> {
        if !(1..=MAX_ENTRIES).contains(&self.pack.max_records) {
            return refuse("pack.max_records", format!("must be from 1 to {MAX_ENTRIES}"));
        }
        if !(1..=MAX_BODY_BYTES).contains(&self.pack.max_body_bytes) {
            return refuse("pack.max_body_bytes", format!("must be from 1 to {MAX_BODY_BYTES}"));
        }
        self.transfer.check()?;
        if self.scrub.segments_per_minute == 0 {
            return refuse("scrub.segments_per_minute", "must be at least 1");
        }
        if self.scrub.orphan_grace_ms < HOUR {
            let range = "must be at least 3600000 (an hour): an upload may be under way";
            return refuse("scrub.orphan_grace_ms", range);
        }
        for (key, value) in [("pack.max_media_bytes", self.pack.max_media_bytes)] {
            if value == 0 {
                return refuse(key, "must be at least 1");
            }
        }
        Ok(())
    }
}

impl Transfer {
    fn check(&self) -> Result<(), ConfigError> {
        for (key, value) in
            [("transfer.parallel", self.parallel), ("transfer.serve_parallel", self.serve_parallel)]
        {
            if !(1..=64).contains(&value) {
                return refuse(key, "must be from 1 to 64");
            }
        }
        for (key, value) in [
            ("transfer.connect_timeout_ms", self.connect_timeout_ms),
            ("transfer.stall_timeout_ms", self.stall_timeout_ms),
            ("transfer.segment_timeout_ms", self.segment_timeout_ms),
        ] {
            if value == 0 {
                return refuse(key, "must be at least 1");
            }
        }
        if !(MINUTE..=7 * 24 * HOUR).contains(&self.offer_lifetime_ms) {
            let range = "must be from 60000 (a minute) to 604800000 (a week)";
            return refuse("transfer.offer_lifetime_ms", range);
        }
        Ok(())
    }
}

impl StoreConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let Some(s3) = &self.s3 else { return Ok(()) };
        if self.path.is_some() {
            return refuse("store", "must have either path or [store.s3], not both");
        }
        s3.check().map_err(|(key, problem)| ConfigError::Value { key, problem })
    }
}

impl Keystore {
    fn check(&self, key: &'static str) -> Result<(), ConfigError> {
        match (&self.path, &self.password_file, &self.development) {
            (Some(_), Some(_), None) => Ok(()),
            (None, None, Some(uri)) if uri.starts_with("//") => Ok(()),
            (None, None, Some(_)) => refuse(key, "needs in development a name such as \"//Alice\""),
            _ => refuse(key, "needs path and password_file, or else development alone"),
        }
    }
}

impl Limits {
    fn check(&self) -> Result<(), ConfigError> {
        for (key, value) in [
            ("limits.visits", self.visits),
            ("limits.uploads", self.uploads),
            ("limits.segment_reads", self.segment_reads),
            ("limits.transactions", self.transactions),
            ("limits.requests", self.requests),
        ] {
            if !(1..=4_096).contains(&value) {
                return refuse(key, "must be from 1 to 4096");
            }
        }
        for (key, value) in [
            ("limits.max_upload_bytes", self.max_upload_bytes),
            ("limits.upload_idle_ms", self.upload_idle_ms),
            ("limits.upload_timeout_ms", self.upload_timeout_ms),
            ("limits.part_timeout_ms", self.part_timeout_ms),
            ("limits.silence_ms", self.silence_ms),
            ("limits.segment_timeout_ms", self.segment_timeout_ms),
            ("limits.transaction_timeout_ms", self.transaction_timeout_ms),
            ("limits.request_timeout_ms", self.request_timeout_ms),
        ] {
            if value == 0 {
                return refuse(key, "must be at least 1");
            }
        }
        if !(1_000..=HOUR).contains(&self.link_lifetime_ms) {
            let range = "must be from 1000 (a second) to 3600000 (an hour)";
            return refuse("limits.link_lifetime_ms", range);
        }
        if !(MINUTE..=HOUR).contains(&self.grant_lifetime_ms) {
            let range = "must be from 60000 (a minute) to 3600000 (an hour)";
            return refuse("limits.grant_lifetime_ms", range);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
