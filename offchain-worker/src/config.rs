//! The worker's configuration: one TOML file, read once and checked as a whole before anything starts.
//! `worker.example.toml` shows every key with its default.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

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
    /// Serve without TLS although others than this machine can reach the address.
    #[serde(default)]
    pub allow_plain_http: bool,
    /// Where the journal is, and the store unless `[store]` says otherwise.
    pub data_dir: PathBuf,
    /// Absent: plain HTTP, on loopback addresses only.
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
    /// A local directory; `data_dir/store` if absent.
    pub path: Option<PathBuf>,
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

/// Fetching segments from other hospitals.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Transfer {
    /// Segments fetched at once.
    pub parallel: usize,
    pub connect_timeout_ms: u64,
    /// Without a byte for this long, another hospital is asked.
    pub stall_timeout_ms: u64,
    pub segment_timeout_ms: u64,
    /// Chain blocks before a ballot's deadline at which a block whose segments cannot be had is rejected.
    pub reject_margin_blocks: u32,
}

/// Checking what is already stored.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scrub {
    pub segments_per_minute: u32,
}

/// What the HTTP API takes on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Visits taken in at once.
    pub uploads: usize,
    /// Segments served at once. Each holds up to 16 MiB of memory.
    pub segment_reads: usize,
    /// Requests at once that wait for a transaction to be final.
    pub transactions: usize,
    /// Other requests at once.
    pub requests: usize,
    /// Bytes of one upload.
    pub max_upload_bytes: u64,
    /// An upload that sends nothing for this long is given up.
    pub upload_idle_ms: u64,
    /// And one that takes longer than this in all.
    pub upload_timeout_ms: u64,
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
        Self { path: None, garbage_grace_ms: 10 * MINUTE }
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
            parallel: 3,
            connect_timeout_ms: 5_000,
            stall_timeout_ms: 20_000,
            segment_timeout_ms: 180_000,
            reject_margin_blocks: 20,
        }
    }
}

impl Default for Scrub {
    fn default() -> Self {
        Self { segments_per_minute: 60 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            uploads: 4,
            segment_reads: 8,
            transactions: 256,
            requests: 64,
            max_upload_bytes: 8 * GIB,
            upload_idle_ms: 30_000,
            upload_timeout_ms: 4 * HOUR,
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
        if self.tls.is_none() && !self.listen.ip().is_loopback() && !self.allow_plain_http {
            return refuse(
                "listen",
                "is reachable from other machines, without TLS: set [tls] certificate and key, \
                 or listen on 127.0.0.1, or, where something in front of the worker speaks TLS, \
                 say allow_plain_http = true",
            );
        }
        Ok(())
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
        if !(1..=64).contains(&self.transfer.parallel) {
            return refuse("transfer.parallel", "must be from 1 to 64");
        }
        if self.scrub.segments_per_minute == 0 {
            return refuse("scrub.segments_per_minute", "must be at least 1");
        }
        for (key, value) in [
            ("transfer.connect_timeout_ms", self.transfer.connect_timeout_ms),
            ("transfer.stall_timeout_ms", self.transfer.stall_timeout_ms),
            ("transfer.segment_timeout_ms", self.transfer.segment_timeout_ms),
            ("pack.max_media_bytes", self.pack.max_media_bytes),
        ] {
            if value == 0 {
                return refuse(key, "must be at least 1");
            }
        }
        Ok(())
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
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../worker.example.toml");
    const MINIMAL: &str = "public_url = \"http://127.0.0.1:8600\"\ndata_dir = \"data\"\n\
                           [keystore]\ndevelopment = \"//Alice\"\n";

    fn with_line(line: &str) -> Result<Config, ConfigError> {
        Config::parse(&format!("{line}\n{MINIMAL}"))
    }

    fn with_table(table: &str) -> Result<Config, ConfigError> {
        Config::parse(&format!("{MINIMAL}\n{table}"))
    }

    #[test]
    fn the_example_is_valid_and_shows_the_defaults() {
        let example = Config::parse(EXAMPLE).unwrap();
        let minimal = Config::parse(MINIMAL).unwrap();
        let shown = |config: &Config| {
            format!(
                "{} {} {:?} {:?} {:?} {:?} {:?} {:?}",
                config.node_url,
                config.listen,
                config.earlier_keystores,
                config.store.garbage_grace_ms,
                config.pack,
                config.transfer,
                config.scrub,
                config.limits
            )
        };
        assert_eq!(shown(&example), shown(&minimal));
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(matches!(with_line("listne = \"127.0.0.1:1\""), Err(ConfigError::Syntax(_))));
        assert!(matches!(with_table("[pack]\nmax_record = 3"), Err(ConfigError::Syntax(_))));
    }

    #[test]
    fn plain_http_beyond_loopback_needs_saying_so() {
        let error = with_line("listen = \"0.0.0.0:8600\"").unwrap_err().to_string();
        assert!(error.contains("allow_plain_http"), "{error}");
        with_line("listen = \"0.0.0.0:8600\"\nallow_plain_http = true").unwrap();
        with_line("listen = \"[::1]:8600\"").unwrap();
    }

    #[test]
    fn keys_come_from_exactly_one_place() {
        let parse = |keystore: &str| {
            Config::parse(&format!(
                "public_url = \"http://127.0.0.1:1\"\ndata_dir = \"d\"\n[keystore]\n{keystore}"
            ))
        };
        assert!(parse("").is_err());
        assert!(parse("path = \"k.json\"").is_err());
        assert!(parse("path = \"k\"\npassword_file = \"p\"\ndevelopment = \"//Alice\"").is_err());
        assert!(parse("development = \"Alice\"").is_err());
        parse("path = \"k.json\"\npassword_file = \"p\"").unwrap();
    }

    #[test]
    fn earlier_keystores_are_few_and_each_is_one() {
        let earlier = "[[earlier_keystores]]\npath = \"k.json\"\npassword_file = \"p\"\n";
        let two = with_table(&format!("{earlier}[[earlier_keystores]]\ndevelopment = \"//Alice\""));
        assert_eq!(two.unwrap().earlier_keystores.len(), 2);
        for bad in [
            "[[earlier_keystores]]\npath = \"k.json\"".to_owned(),
            "[[earlier_keystores]]\ndevelopment = \"Alice\"".to_owned(),
            earlier.repeat(MAX_EARLIER_KEYSTORES + 1),
        ] {
            let error = with_table(&bad).unwrap_err().to_string();
            assert!(error.contains("earlier_keystores"), "{error}");
        }
    }

    #[test]
    fn values_out_of_range_name_their_key() {
        for (table, key) in [
            ("[pack]\nmax_records = 0", "pack.max_records"),
            ("[pack]\nmax_body_bytes = 99999999", "pack.max_body_bytes"),
            ("[transfer]\nparallel = 0", "transfer.parallel"),
            ("[limits]\nlink_lifetime_ms = 3600001", "limits.link_lifetime_ms"),
            ("[limits]\ngrant_lifetime_ms = 59999", "limits.grant_lifetime_ms"),
            ("[limits]\nuploads = 0", "limits.uploads"),
            ("[limits]\ntransactions = 0", "limits.transactions"),
        ] {
            let error = with_table(table).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn urls_of_another_scheme_are_refused() {
        assert!(with_line("node_url = \"http://127.0.0.1:9944\"").is_err());
    }
}
