//! `[store.s3]` of the configuration.

use std::{path::PathBuf, time::Duration};

use epione_client::endpoint::is_loopback;
use object_store::path::Path;
use serde::Deserialize;
use url::{Host, Url};

/// Bytes of a prefix, at most: S3 allows 1,024 for a whole key.
const MAX_PREFIX_BYTES: usize = 512;

/// A bucket, and how to reach it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Settings {
    /// Of the service, without the bucket.
    pub endpoint: Url,
    pub bucket: String,
    /// What every key begins with; none, if empty.
    #[serde(default)]
    pub prefix: String,
    #[serde(default = "defaults::region")]
    pub region: String,
    /// Whether the bucket is the first part of a URL's path, rather than of its host's name.
    #[serde(default = "defaults::yes")]
    pub path_style: bool,
    /// TOML. Absent: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
    pub credentials_file: Option<PathBuf>,
    /// PEM: whom to trust beside those whom the system trusts.
    pub root_certificate: Option<PathBuf>,
    /// Speak plain HTTP with another machine. What is stored is sealed, but whoever listens learns sizes
    /// and may keep copies.
    #[serde(default)]
    pub allow_plain_http: bool,
    /// Whether readers are sent to the storage for segments, by links that hold for a minute.
    #[serde(default = "defaults::yes")]
    pub links: bool,
    /// Under which readers reach the storage, if not under `endpoint`.
    pub public_endpoint: Option<Url>,
    #[serde(default = "defaults::connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// One attempt at one request: up to 4 MiB have to get through.
    #[serde(default = "defaults::request_timeout_ms")]
    pub request_timeout_ms: u64,
    /// All attempts and the pauses between them; longer than an attempt.
    #[serde(default = "defaults::deadline_ms")]
    pub deadline_ms: u64,
}

mod defaults {
    pub fn region() -> String {
        "us-east-1".into()
    }

    pub fn yes() -> bool {
        true
    }

    pub fn connect_timeout_ms() -> u64 {
        5_000
    }

    pub fn request_timeout_ms() -> u64 {
        30_000
    }

    pub fn deadline_ms() -> u64 {
        90_000
    }
}

/// The key of a value that cannot be used, and why not.
type Problem = (&'static str, String);

impl S3Settings {
    /// Whether the values can be used.
    pub fn check(&self) -> Result<(), Problem> {
        self.check_endpoint("store.s3.endpoint", &self.endpoint)?;
        if let Some(public) = &self.public_endpoint {
            self.check_endpoint("store.s3.public_endpoint", public)?;
        }
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !(3..=63).contains(&self.bucket.len())
            || !self.bucket.chars().all(|c| allowed(c) || c == '.')
        {
            let rule = "must be 3 to 63 small letters, digits, hyphens and dots";
            return Err(("store.s3.bucket", rule.into()));
        }
        if self.region.is_empty() || !self.region.chars().all(allowed) {
            return Err(("store.s3.region", "must be like \"eu-central-1\"".into()));
        }
        let is_prefix = self.prefix.len() <= MAX_PREFIX_BYTES
            && Path::parse(&self.prefix).is_ok_and(|path| path.as_ref() == self.prefix);
        if !is_prefix {
            let rule = format!(
                "must be like \"hospitals/a\", without a slash at either end, at most {MAX_PREFIX_BYTES} bytes"
            );
            return Err(("store.s3.prefix", rule));
        }
        self.check_times()
    }

    fn check_endpoint(&self, key: &'static str, endpoint: &Url) -> Result<(), Problem> {
        let problem = |problem: &str| Err((key, problem.to_owned()));
        if !matches!(endpoint.scheme(), "http" | "https") {
            return problem("must begin with https:// or http://");
        }
        let bare = endpoint.path() == "/"
            && endpoint.query().is_none()
            && endpoint.fragment().is_none()
            && endpoint.username().is_empty()
            && endpoint.password().is_none();
        if !bare {
            return problem("must have nothing after the host and its port, and no credentials");
        }
        if endpoint.scheme() == "http" && !is_loopback(endpoint) && !self.allow_plain_http {
            return problem(
                "is another machine's, without TLS: begin it with https://, or say \
                 allow_plain_http = true where the network between is trusted",
            );
        }
        if !self.path_style && !matches!(endpoint.host(), Some(Host::Domain(_))) {
            return problem("must have a name, to which path_style = false can add the bucket");
        }
        Ok(())
    }

    fn check_times(&self) -> Result<(), Problem> {
        for (key, value) in [
            ("store.s3.connect_timeout_ms", self.connect_timeout_ms),
            ("store.s3.request_timeout_ms", self.request_timeout_ms),
        ] {
            if value == 0 {
                return Err((key, "must be at least 1".into()));
            }
        }
        // Requests are not signed anew for another attempt: S3 takes a signature for a quarter of an hour.
        if !(self.request_timeout_ms..=300_000).contains(&self.deadline_ms) {
            let rule = "must be from request_timeout_ms to 300000 (five minutes)";
            return Err(("store.s3.deadline_ms", rule.into()));
        }
        Ok(())
    }

    /// The bucket's own URL below an endpoint, as `object_store` wants it.
    pub(crate) fn bucket_endpoint(&self, endpoint: &Url) -> String {
        let (scheme, authority) = (endpoint.scheme(), endpoint.authority());
        match self.path_style {
            true => format!("{scheme}://{authority}"),
            false => format!("{scheme}://{}.{authority}", self.bucket),
        }
    }

    pub(crate) fn is_on_this_machine(&self) -> bool {
        is_loopback(&self.endpoint)
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "endpoint = \"https://s3.hospital.example\"\nbucket = \"epione\"\n";

    fn parsed(lines: &str) -> S3Settings {
        let mut table: toml::Table = toml::from_str(MINIMAL).unwrap();
        table.extend(toml::from_str::<toml::Table>(lines).unwrap());
        table.try_into().unwrap()
    }

    #[test]
    fn an_endpoint_and_a_bucket_are_enough() {
        let settings = parsed("");
        settings.check().unwrap();
        assert!(settings.path_style && settings.links && !settings.allow_plain_http);
    }

    #[test]
    fn each_bad_value_is_named() {
        for (lines, key) in [
            ("endpoint = \"ftp://s3.example\"", "endpoint"),
            ("endpoint = \"https://s3.example/bucket\"", "endpoint"),
            ("endpoint = \"https://key:secret@s3.example\"", "endpoint"),
            ("endpoint = \"https://s3.example/?a=b\"", "endpoint"),
            ("endpoint = \"http://s3.example\"", "endpoint"),
            ("path_style = false\nendpoint = \"https://10.0.0.1\"", "endpoint"),
            ("public_endpoint = \"http://s3.example\"", "public_endpoint"),
            ("bucket = \"\"", "bucket"),
            ("bucket = \"Epione\"", "bucket"),
            ("bucket = \"a/b/c\"", "bucket"),
            ("region = \"\"", "region"),
            ("region = \"eu central\"", "region"),
            ("prefix = \"/a\"", "prefix"),
            ("prefix = \"a/\"", "prefix"),
            ("prefix = \"a//b\"", "prefix"),
            ("prefix = \"a/../b\"", "prefix"),
            ("connect_timeout_ms = 0", "connect_timeout_ms"),
            ("request_timeout_ms = 0", "request_timeout_ms"),
            ("deadline_ms = 29999", "deadline_ms"),
            ("deadline_ms = 300001", "deadline_ms"),
        ] {
            let (named, problem) = parsed(lines).check().unwrap_err();
            assert_eq!(named, format!("store.s3.{key}"), "{lines}: {problem}");
        }
    }

    #[test]
    fn plain_http_beyond_this_machine_needs_saying_so() {
        for endpoint in ["http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000"] {
            parsed(&format!("endpoint = \"{endpoint}\"")).check().unwrap();
        }
        parsed("endpoint = \"http://10.0.0.1:9000\"\nallow_plain_http = true").check().unwrap();
        let (_, problem) = parsed("endpoint = \"http://10.0.0.1:9000\"").check().unwrap_err();
        assert!(problem.contains("allow_plain_http"), "{problem}");
    }

    #[test]
    fn the_bucket_is_in_the_path_or_in_the_name() {
        let endpoint = Url::parse("https://s3.example:8443").unwrap();
        assert_eq!(parsed("").bucket_endpoint(&endpoint), "https://s3.example:8443");
        let named = parsed("path_style = false").bucket_endpoint(&endpoint);
        assert_eq!(named, "https://epione.s3.example:8443");
    }
}
