//! The worker's configuration: one TOML file, read once and checked as a whole before anything starts.
//!
//! `worker.example.toml` shows every key with its default. It is generated from the types below and the list of
//! sections in `example.rs` (`epione-worker example-config`): the doc comment of each field is the comment of its key.

#[macro_use]
mod documented;
mod check;
mod duration;
mod example;
mod outdated;
mod s3;

pub use example::example;
pub use s3::S3Settings;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use epione_client::{
    chain::{Checkpoint, CheckpointFault, Pinned, Trust},
    endpoint::without_userinfo,
};
use epione_primitives::{Hash, limits::MAX_BODY_BYTES};
use url::Url;

settings! {
    /// The settings of a worker.
    pub struct Config {
        /// WebSocket URL of the hospital's own node. Keep the node's RPC private. ws:// is permitted on loopback only.
        #[serde(default = "defaults::node_url")]
        pub node_url: Url,
        /// Permit ws:// to a node on another machine. Everyone on the way between the two can then read what the worker
        /// asks, and hold answers back. They cannot invent answers: see genesis.
        #[serde(default)]
        pub allow_plain_node: bool,
        /// Hash of the chain's first block, as the hospitals publish it. With it, the worker believes of the node's
        /// answers only what is proven from this block. Required if node_url leads to another machine; also set it if
        /// node_url is the local end of a tunnel. Absent: the worker believes its node.
        pub genesis: Option<Hash>,
        /// Address at which the worker serves the HTTP API.
        #[serde(default = "defaults::listen")]
        pub listen: SocketAddr,
        /// URL at which clients and other hospitals reach this API. The hospital's entry on the chain must contain the
        /// same URL, and the public key that `epione-worker tls-key` prints: clients and other hospitals accept only a
        /// server with this key. http is permitted on loopback only.
        pub public_url: Url,
        /// Serve without TLS, because a proxy in front of the worker ends TLS with the key on the chain.
        #[serde(default)]
        pub allow_plain_http: bool,
        /// Address at which the worker serves /metrics, /readyz and /healthz for its operators, over plain HTTP and
        /// without signatures. Only the hospital's operators should reach it.
        #[serde(default = "defaults::operators_listen")]
        pub operators_listen: SocketAddr,
        /// Directory of the journal, and of the store unless [store] names another place. What to back up:
        /// docs/operations.md.
        pub data_dir: PathBuf,
        /// How long the worker waits, after a user rotated keys on the chain, before it seals the user's profile to the
        /// new keys. A thief of an account key can rotate too: this is the time to notice it and suspend the user. The
        /// hospital's governance can confirm keys earlier (epione user confirm-keys). 30days at most; 0s: no wait.
        #[serde(default = "defaults::renewal_delay", with = "duration")]
        pub renewal_delay: Duration,
        /// PEM files with a certificate from an authority and its key, for browsers. The worker reads them again every
        /// ten minutes. Other hospitals and `epione` ignore them.
        pub tls: Option<Tls>,
        /// After the council has changed the validators by force: the block from which on the worker verifies its node,
        /// in the word of the hospitals (docs/consortium.md). Needs genesis. It has no effect any more once the worker
        /// has verified a later block.
        pub checkpoint: Option<CheckpointConfig>,
        /// The agent's account key and the hospital's sealing key.
        pub keystore: Keystore,
        /// Keystores with the hospital's previous sealing keys, at most 8. The worker opens patients' profiles with
        /// them until it has sealed all profiles to the current key; its log then says so.
        #[serde(default)]
        pub earlier_keystores: Vec<Keystore>,
        /// Where the worker stores segments.
        #[serde(default)]
        pub store: StoreConfig,
        /// The worker packs queued visits into a lite block as soon as one of these bounds is reached.
        #[serde(default)]
        pub pack: Pack,
        /// Fetching segments from other hospitals, and serving segments to them.
        #[serde(default)]
        pub transfer: Transfer,
        /// Checking and repairing stored segments.
        #[serde(default)]
        pub scrub: Scrub,
        /// Counts of patients, for requesters with whom they share sections.
        #[serde(default)]
        pub discovery: Discovery,
        /// A program of the hospital that the worker tells when a patient is asked for records.
        pub notifications: Option<Notifications>,
        /// How much the HTTP API accepts at once, and for how long. One caller gets only a part of each number: see
        /// docs/operations.md. With these values the worker needs less than 256 MiB of memory.
        #[serde(default)]
        pub limits: Limits,
    }
}

settings! {
    /// Certificate chain and private key, both PEM.
    pub struct Tls {
        pub certificate: PathBuf,
        pub key: PathBuf,
    }
}

settings! {
    /// A checkpoint that `epione chain checkpoint` wrote.
    pub struct CheckpointConfig {
        /// The file that the hospitals published.
        pub file: PathBuf,
        /// Its SHA-256, which the hospitals compared: 0x and 64 hexadecimal digits. A file with another one is refused.
        pub sha256: Hash,
    }
}

settings! {
    /// The source of the agent's account key and the hospital's sealing key: a keystore file and the file with its
    /// password, or development keys.
    pub struct Keystore {
        pub path: Option<PathBuf>,
        pub password_file: Option<PathBuf>,
        /// Permit a keystore file that accounts other than its owner may read. Each can then guess its password.
        #[serde(default)]
        pub allow_shared_file: bool,
        /// Instead of path and password_file, on a local network only: the name of public development keys.
        pub development: Option<String>,
    }
}

settings! {
    /// The hospital's storage of segments.
    #[serde(default)]
    pub struct StoreConfig {
        /// A local directory. Absent: `store` in data_dir. Do not set it together with [store.s3].
        pub path: Option<PathBuf>,
        /// How long the worker keeps a segment that is not needed any more.
        #[serde(with = "duration")]
        pub garbage_grace: Duration,
        /// Free bytes of the disk that the worker leaves to this hospital's own visits: it fetches announced and
        /// offered segments of other hospitals only while more is free. Committed blocks may use these bytes. 0 leaves
        /// none. On S3 this has no effect, because the worker does not know the free bytes.
        pub own_visits_reserve_bytes: u64,
        /// A bucket of an S3-compatible storage instead of a directory. The first worker that uses it claims it for its
        /// hospital: each hospital needs its own bucket or prefix.
        pub s3: Option<S3Settings>,
    }
}

settings! {
    /// Bounds of a lite block.
    #[serde(default)]
    pub struct Pack {
        /// Age of the oldest queued visit.
        #[serde(with = "duration")]
        pub max_age: Duration,
        pub max_records: u32,
        /// Sealed media of all records together. A single larger visit gets a separate block.
        pub max_media_bytes: u64,
        /// All sealed records together.
        pub max_body_bytes: u32,
    }
}

settings! {
    /// Fetching segments from other hospitals, and serving segments to them.
    #[serde(default)]
    pub struct Transfer {
        /// Segments that the worker fetches at once. More than the other hospitals serve at once does not help. Each
        /// needs up to 2 MiB of memory, and 4 MiB if the store is on S3.
        pub parallel: usize,
        /// Segments that the worker serves to other hospitals at once; a single hospital gets at most one fewer. The
        /// worker answers further requests with busy. With a small number, each segment arrives early, and its receiver
        /// can serve it to others. Each needs up to 4 MiB of memory.
        pub serve_parallel: usize,
        #[serde(with = "duration")]
        pub connect_timeout: Duration,
        /// If nothing arrives for this long, the worker tries another hospital.
        #[serde(with = "duration")]
        pub stall_timeout: Duration,
        #[serde(with = "duration")]
        pub segment_timeout: Duration,
        /// If segments are still missing this many chain blocks before a ballot's deadline, the worker votes to reject
        /// the block.
        pub reject_margin_blocks: u32,
        /// Bytes of offered segments that the worker stores for each other hospital. 0 declines all offers.
        pub offer_quota_bytes: u64,
        /// Bytes of segments that the worker stores for each other hospital's announced blocks before they are
        /// committed. The worker does not approve blocks beyond that until earlier ones are committed.
        pub announced_quota_bytes: u64,
        /// How long the worker keeps offered segments if no announcement follows.
        #[serde(with = "duration")]
        pub offer_lifetime: Duration,
        /// The worker offers blocks with at least this many bytes of media to the other hospitals before it announces
        /// them.
        pub offer_from_bytes: u64,
        /// The worker announces such a block when a majority of the hospitals stores all of it, or when no hospital has
        /// received a segment for this long. 0s: it makes no offers.
        #[serde(with = "duration")]
        pub offer_wait: Duration,
    }
}

settings! {
    /// Checking and repairing stored segments.
    #[serde(default)]
    pub struct Scrub {
        /// Segments that a scheduled pass reads per minute.
        pub segments_per_minute: u32,
        /// From the start of one pass to the start of the next. If a pass takes longer, the next one follows
        /// immediately.
        #[serde(with = "duration")]
        pub every: Duration,
        /// How long the worker keeps a stored segment that the journal does not know, after it noticed it. At least 1h.
        #[serde(with = "duration")]
        pub orphan_grace: Duration,
        /// How long the worker keeps damaged objects in quarantine/ for inspection.
        #[serde(with = "duration")]
        pub quarantine: Duration,
    }
}

settings! {
    /// Counts of patients.
    #[serde(default)]
    pub struct Discovery {
        /// The worker tells no number of patients below this, and rounds larger numbers down to a multiple of it. At
        /// least 5.
        pub floor: u32,
        /// Questions of one requester on which the worker works in a day (UTC). Repeated ones are free if they were
        /// answered.
        pub counts_per_day: u32,
        /// Questions of all requesters of one hospital on which the worker works in a day.
        pub counts_per_hospital: u32,
        /// Patients of one question, at most: the worker reads the consents of each from the chain. At least 1000.
        pub patients: u32,
    }
}

settings! {
    /// A program of the hospital that the worker tells when a patient is asked for records.
    pub struct Notifications {
        /// The worker sends a POST request with JSON to this URL when somebody else than the patient changed a query to
        /// a patient who is registered here: {"patient", "query", "kind"}. It was asked, withdrawn or transferred to
        /// its requester, or a representative accepted or refused it. This contains no health data. http is permitted
        /// on loopback only.
        pub webhook: Url,
    }
}

settings! {
    /// What the HTTP API accepts at once, and for how long. Of each kind of request, one caller cannot use all places.
    #[serde(default)]
    pub struct Limits {
        /// Visits that the worker seals at once, without their media. Each needs some MiB of memory at most.
        pub visits: usize,
        /// Visits whose media clients upload at once. Each needs memory for two parts of at most 8 MiB, and for a
        /// segment of 4 MiB if the store is on S3.
        pub uploads: usize,
        /// Segments that the worker serves to readers at once. Each needs up to 4 MiB of memory.
        pub segment_reads: usize,
        /// Requests that wait at once until a transaction is finalized.
        pub transactions: usize,
        /// Other requests at once.
        pub requests: usize,
        /// Bytes of visits and their media that the worker receives at once. One account gets at most a quarter, or
        /// 16 MiB if that is more. Other requests, of at most 64 KiB each, have an eighth of it in addition.
        pub receive_bytes: usize,
        /// Bytes per second at which a request must arrive. The worker begins to count after `silence`.
        pub receive_rate: u32,
        /// New grants of one requester per minute, each of which leaves a receipt on the chain. A request for what an
        /// unexpired grant gives is answered with the same grant, and does not count. Collections for queries count.
        pub grants_per_minute: u32,
        /// New grants of one requester per day. Emergencies count neither here nor per minute: the chain limits them.
        pub grants_per_day: u32,
        /// Connections that may be open at once. The limit of the process's open files, less 512, bounds it too.
        pub connections: usize,
        /// Connections of one IPv4 address or one IPv6 network of 64 bits. With allow_plain_http, all connections come
        /// from the proxy, and only the proxy can limit them.
        pub connections_per_address: usize,
        /// The worker closes a connection on which TLS, or the headers of a request, are not complete after this long.
        #[serde(with = "duration")]
        pub first_request: Duration,
        /// The worker closes a connection that has had no open request for this long.
        #[serde(with = "duration")]
        pub connection_idle: Duration,
        /// Bytes of a visit's media, at most.
        pub max_upload_bytes: u64,
        /// The worker ends an upload that is idle for this long, or for a tenth of it if another upload needs the
        /// place.
        #[serde(with = "duration")]
        pub upload_idle: Duration,
        /// The worker ends an upload that takes longer than this in total.
        #[serde(with = "duration")]
        pub upload_timeout: Duration,
        /// Time limit to receive and store a visit without its media, or one part of the media.
        #[serde(with = "duration")]
        pub part_timeout: Duration,
        /// The worker ends a request if its body stops arriving for this long.
        #[serde(with = "duration")]
        pub silence: Duration,
        /// Time limit to serve a segment, including its repair from another hospital.
        #[serde(with = "duration")]
        pub segment_timeout: Duration,
        /// Time limit of requests that wait until a transaction is finalized.
        #[serde(with = "duration")]
        pub transaction_timeout: Duration,
        /// Time limit of any other request.
        #[serde(with = "duration")]
        pub request_timeout: Duration,
        /// How long a temporary link to a segment is valid. 1h at most.
        #[serde(with = "duration")]
        pub link_lifetime: Duration,
        /// How long an access grant is valid after it was sealed, which is some seconds before the chain has its
        /// receipt. 1min at least, 1h at most.
        #[serde(with = "duration")]
        pub grant_lifetime: Duration,
    }
}

/// Opening an earlier keystore takes up to a second when the worker starts.
const MAX_EARLIER_KEYSTORES: usize = 8;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const WEEK: Duration = Duration::from_secs(7 * 86_400);
const GIB: u64 = 1 << 30;

mod defaults {
    use super::{DAY, Duration, SocketAddr, Url};

    pub fn node_url() -> Url {
        Url::parse("ws://127.0.0.1:9944").expect("a constant URL parses; qed")
    }

    pub fn listen() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 8600))
    }

    pub fn operators_listen() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 8601))
    }

    pub fn renewal_delay() -> Duration {
        DAY
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            path: None,
            garbage_grace: 10 * MINUTE,
            // A day of 200 visits with 50 MB each.
            own_visits_reserve_bytes: 10 * GIB,
            s3: None,
        }
    }
}

impl Default for Pack {
    fn default() -> Self {
        Self {
            max_age: 5 * SECOND,
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
            connect_timeout: 5 * SECOND,
            stall_timeout: 20 * SECOND,
            segment_timeout: 3 * MINUTE,
            reject_margin_blocks: 20,
            offer_quota_bytes: 8 * GIB,
            announced_quota_bytes: 64 * GIB,
            offer_lifetime: HOUR,
            offer_from_bytes: 4 << 20,
            offer_wait: 30 * SECOND,
        }
    }
}

impl Default for Scrub {
    fn default() -> Self {
        Self {
            segments_per_minute: 240,
            every: 24 * HOUR,
            orphan_grace: 24 * HOUR,
            quarantine: WEEK,
        }
    }
}

impl Default for Discovery {
    fn default() -> Self {
        Self { floor: 10, counts_per_day: 20, counts_per_hospital: 200, patients: 2_048 }
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
            receive_bytes: 64 << 20,
            receive_rate: 16 << 10,
            grants_per_minute: 120,
            grants_per_day: 1_000,
            connections: 4_096,
            connections_per_address: 512,
            first_request: 15 * SECOND,
            connection_idle: 30 * SECOND,
            max_upload_bytes: 8 * GIB,
            upload_idle: 10 * MINUTE,
            upload_timeout: 4 * HOUR,
            part_timeout: 3 * MINUTE,
            silence: 20 * SECOND,
            segment_timeout: 3 * MINUTE,
            transaction_timeout: 2 * MINUTE + 10 * SECOND,
            request_timeout: 20 * SECOND,
            link_lifetime: 10 * MINUTE,
            grant_lifetime: 10 * MINUTE,
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {path}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the configuration is not valid: {0}")]
    Syntax(String),
    /// A key of an earlier version.
    #[error(
        "the configuration is not valid: {old} is now {new}, a duration with a unit: write {line}"
    )]
    Outdated { old: String, new: String, line: String },
    #[error("the configuration is not valid: {key} {problem}")]
    Value { key: &'static str, problem: String },
    #[error("[checkpoint] of the configuration cannot be used: {0}")]
    Checkpoint(#[from] CheckpointFault),
}

impl From<toml::de::Error> for ConfigError {
    /// The error quotes lines of the file, in which URLs may have passwords.
    fn from(error: toml::de::Error) -> Self {
        Self::Syntax(without_userinfo(&error.to_string()))
    }
}

impl Config {
    /// Reads and checks a file. Relative paths in it are relative to the working directory.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.into(), source })?;
        Self::parse(&text)
    }

    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        outdated::check(text)?;
        let config: Self = toml::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    /// What the worker believes its node. Reads the checkpoint's file, if there is one.
    pub(crate) fn trust(&self) -> Result<Trust, ConfigError> {
        Ok(match self.pinned()? {
            Some(pinned) => Trust::Verified(pinned.remembering(self.head_path())),
            None => Trust::Node,
        })
    }

    /// Where verification of the node begins; none if the worker believes its node. Without the file of the last
    /// verified block. Reads the checkpoint's file, if there is one.
    pub(crate) fn pinned(&self) -> Result<Option<Pinned>, ConfigError> {
        let Some(genesis) = self.genesis else { return Ok(None) };
        let pinned = Pinned::new(genesis);
        Ok(Some(match &self.checkpoint {
            Some(CheckpointConfig { file, sha256 }) => {
                pinned.beginning_at(Checkpoint::read(file, *sha256)?)
            }
            None => pinned,
        }))
    }

    /// The file with the last verified block.
    pub fn head_path(&self) -> PathBuf {
        self.data_dir.join("head.json")
    }

    pub fn journal_path(&self) -> PathBuf {
        self.data_dir.join("journal.sqlite")
    }

    pub fn nonces_path(&self) -> PathBuf {
        self.data_dir.join("nonces.sqlite")
    }

    /// The folder of the socket at which a running worker accepts commands from its own machine.
    pub fn control_path(&self) -> PathBuf {
        self.data_dir.join("control")
    }

    pub fn store_path(&self) -> PathBuf {
        self.store.path.clone().unwrap_or_else(|| self.data_dir.join("store"))
    }

    /// Whether the worker itself ends TLS.
    pub fn serves_tls(&self) -> bool {
        self.public_url.scheme() == "https" && !self.allow_plain_http
    }
}

#[cfg(test)]
mod tests;
