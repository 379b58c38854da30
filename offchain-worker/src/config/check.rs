//! What the values of a configuration must satisfy.

use std::time::Duration;

use epione_client::{
    api::MAX_PART_BYTES,
    endpoint::{is_exposed, is_loopback},
};
use epione_primitives::limits::{MAX_BODY_BYTES, MAX_ENTRIES};

use super::{
    Config, ConfigError, DAY, Discovery, HOUR, Keystore, Limits, MAX_EARLIER_KEYSTORES, MINUTE,
    Notifications, Pack, SECOND, Scrub, StoreConfig, Transfer, WEEK,
};

/// A user who rotated keys reads nothing new for so long, unless the governance confirms.
const MAX_RENEWAL_DELAY: Duration = Duration::from_secs(30 * DAY.as_secs());

fn refuse<T>(key: &'static str, problem: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Value { key, problem: problem.into() })
}

fn check_positive(durations: &[(&'static str, Duration)]) -> Result<(), ConfigError> {
    match durations.iter().find(|(_, duration)| duration.is_zero()) {
        Some((key, _)) => refuse(key, "must be longer than 0s"),
        None => Ok(()),
    }
}

impl Config {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.check_endpoints()?;
        self.check_keystores()?;
        if self.renewal_delay > MAX_RENEWAL_DELAY {
            return refuse("renewal_delay", "must be at most 30days");
        }
        self.store.check()?;
        self.pack.check()?;
        self.transfer.check()?;
        self.scrub.check()?;
        self.discovery.check()?;
        self.notifications.as_ref().map_or(Ok(()), Notifications::check)?;
        self.limits.check()
    }

    fn check_endpoints(&self) -> Result<(), ConfigError> {
        if !matches!(self.node_url.scheme(), "ws" | "wss") {
            return refuse("node_url", "must begin with ws:// or wss://");
        }
        if is_exposed(&self.node_url) && !self.allow_plain_node {
            return refuse(
                "node_url",
                "leads to another machine without TLS, so everyone on the way could read what the worker asks, and \
                 hold answers back: use wss:// (a proxy at the node ends TLS), or a tunnel and ws://127.0.0.1, or, in \
                 a network that only this worker and the node can use, set allow_plain_node = true",
            );
        }
        if !is_loopback(&self.node_url) && self.genesis.is_none() {
            return refuse(
                "genesis",
                "is missing: node_url leads to another machine, and the worker believes of such a node's answers only \
                 what is proven from the chain's first block: set genesis to the hash of this block, which the \
                 hospitals publish",
            );
        }
        if self.checkpoint.is_some() && self.genesis.is_none() {
            return refuse(
                "checkpoint",
                "needs genesis: without it, the worker believes its node and verifies nothing. Set genesis to the hash \
                 of the chain's first block",
            );
        }
        if !matches!(self.public_url.scheme(), "http" | "https") {
            return refuse("public_url", "must begin with http:// or https://");
        }
        if self.public_url.query().is_some() || self.public_url.fragment().is_some() {
            return refuse("public_url", "must have neither a query nor a fragment");
        }
        if !self.public_url.username().is_empty() || self.public_url.password().is_some() {
            return refuse(
                "public_url",
                "must have neither a name nor a password: everybody can read it on the chain",
            );
        }
        if is_exposed(&self.public_url) {
            return refuse(
                "public_url",
                "must begin with https://: over http nothing proves the worker's identity, so other hospitals and \
                 clients use http on 127.0.0.1 only",
            );
        }
        if self.tls.is_some() && !self.serves_tls() {
            return refuse("tls", "needs an https public_url, and no allow_plain_http");
        }
        if !self.serves_tls() && !self.listen.ip().is_loopback() && !self.allow_plain_http {
            return refuse(
                "listen",
                "can be reached from other machines, without TLS: set an https public_url, or \
                 listen on 127.0.0.1, or, if a proxy in front of the worker ends TLS, set \
                 allow_plain_http = true",
            );
        }
        if self.operators_listen == self.listen && self.listen.port() != 0 {
            return refuse("operators_listen", "must be another address than listen");
        }
        Ok(())
    }

    fn check_keystores(&self) -> Result<(), ConfigError> {
        self.keystore.check("keystore")?;
        if self.earlier_keystores.len() > MAX_EARLIER_KEYSTORES {
            let problem = format!("has more than {MAX_EARLIER_KEYSTORES} entries");
            return refuse("earlier_keystores", problem);
        }
        self.earlier_keystores.iter().try_for_each(|earlier| earlier.check("earlier_keystores"))
    }
}

impl Keystore {
    fn check(&self, key: &'static str) -> Result<(), ConfigError> {
        match (&self.path, &self.password_file, &self.development) {
            (Some(_), Some(_), None) => Ok(()),
            (None, None, Some(uri)) if uri.starts_with("//") => Ok(()),
            (None, None, Some(_)) => refuse(key, "needs a name such as \"//Alice\" in development"),
            _ => refuse(key, "needs either path and password_file, or development alone"),
        }
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

impl Pack {
    fn check(&self) -> Result<(), ConfigError> {
        if !(1..=MAX_ENTRIES).contains(&self.max_records) {
            return refuse("pack.max_records", format!("must be from 1 to {MAX_ENTRIES}"));
        }
        if !(1..=MAX_BODY_BYTES).contains(&self.max_body_bytes) {
            return refuse("pack.max_body_bytes", format!("must be from 1 to {MAX_BODY_BYTES}"));
        }
        if self.max_media_bytes == 0 {
            return refuse("pack.max_media_bytes", "must be at least 1");
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
        check_positive(&[
            ("transfer.connect_timeout", self.connect_timeout),
            ("transfer.stall_timeout", self.stall_timeout),
            ("transfer.segment_timeout", self.segment_timeout),
        ])?;
        if self.announced_quota_bytes == 0 {
            return refuse("transfer.announced_quota_bytes", "must be at least 1");
        }
        if !(MINUTE..=WEEK).contains(&self.offer_lifetime) {
            return refuse("transfer.offer_lifetime", "must be from 1min to 7days");
        }
        Ok(())
    }
}

impl Scrub {
    fn check(&self) -> Result<(), ConfigError> {
        if self.segments_per_minute == 0 {
            return refuse("scrub.segments_per_minute", "must be at least 1");
        }
        if self.orphan_grace < HOUR {
            return refuse(
                "scrub.orphan_grace",
                "must be at least 1h: an upload may be in progress",
            );
        }
        Ok(())
    }
}

/// A smaller group could be a family, or the patients of one ward.
const MIN_FLOOR: u32 = 5;

impl Discovery {
    fn check(&self) -> Result<(), ConfigError> {
        if !(MIN_FLOOR..=1_000).contains(&self.floor) {
            return refuse("discovery.floor", format!("must be from {MIN_FLOOR} to 1000"));
        }
        if !(1..=1_000).contains(&self.counts_per_day) {
            return refuse("discovery.counts_per_day", "must be from 1 to 1000");
        }
        if !(1..=100_000).contains(&self.counts_per_hospital) {
            return refuse("discovery.counts_per_hospital", "must be from 1 to 100000");
        }
        // A question that is refused tells that there are more patients: so it must be above every floor.
        if !(1_000..=100_000).contains(&self.patients) {
            return refuse("discovery.patients", "must be from 1000 to 100000");
        }
        Ok(())
    }
}

impl Notifications {
    fn check(&self) -> Result<(), ConfigError> {
        if !matches!(self.webhook.scheme(), "http" | "https") || is_exposed(&self.webhook) {
            return refuse(
                "notifications.webhook",
                "must begin with https://: over http everyone on the way could read who is asked; http is for \
                 127.0.0.1 only",
            );
        }
        Ok(())
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
        if self.receive_bytes < 2 * MAX_PART_BYTES {
            return refuse("limits.receive_bytes", "must be at least 16777216");
        }
        for (key, value) in [
            ("limits.connections", self.connections),
            ("limits.connections_per_address", self.connections_per_address),
        ] {
            if !(1..=1_000_000).contains(&value) {
                return refuse(key, "must be from 1 to 1000000");
            }
        }
        for (key, value) in [
            ("limits.grants_per_minute", self.grants_per_minute),
            ("limits.grants_per_day", self.grants_per_day),
        ] {
            if value == 0 {
                return refuse(key, "must be at least 1");
            }
        }
        if self.receive_rate == 0 {
            return refuse("limits.receive_rate", "must be at least 1");
        }
        if self.max_upload_bytes == 0 {
            return refuse("limits.max_upload_bytes", "must be at least 1");
        }
        check_positive(&[
            ("limits.first_request", self.first_request),
            ("limits.connection_idle", self.connection_idle),
            ("limits.upload_idle", self.upload_idle),
            ("limits.upload_timeout", self.upload_timeout),
            ("limits.part_timeout", self.part_timeout),
            ("limits.silence", self.silence),
            ("limits.segment_timeout", self.segment_timeout),
            ("limits.transaction_timeout", self.transaction_timeout),
            ("limits.request_timeout", self.request_timeout),
        ])?;
        if !(SECOND..=HOUR).contains(&self.link_lifetime) {
            return refuse("limits.link_lifetime", "must be from 1s to 1h");
        }
        if !(MINUTE..=HOUR).contains(&self.grant_lifetime) {
            return refuse("limits.grant_lifetime", "must be from 1min to 1h");
        }
        Ok(())
    }
}
