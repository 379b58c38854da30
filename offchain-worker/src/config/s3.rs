//! `[store.s3]` of the configuration.

use std::{path::PathBuf, time::Duration};

use epione_client::endpoint::is_loopback;
use object_store::path::Path;
use url::{Host, Url};

use super::duration;

/// Requests are not signed again for another attempt, and S3 accepts a signature for 15 minutes.
const MAX_DEADLINE: Duration = Duration::from_secs(300);
/// Bytes of a prefix, at most: S3 allows 1,024 for a whole key.
const MAX_PREFIX_BYTES: usize = 512;

settings! {
    /// A bucket, and how to reach it.
    pub struct S3Settings {
        /// URL of the service, without the bucket. http is permitted on loopback only, unless allow_plain_http = true.
        pub endpoint: Url,
        pub bucket: String,
        /// Every key begins with this prefix. Empty: none.
        #[serde(default)]
        pub prefix: String,
        #[serde(default = "defaults::region")]
        pub region: String,
        /// Whether the bucket is the first part of the URL's path. false: it is the first part of the host's name.
        #[serde(default = "defaults::yes")]
        pub path_style: bool,
        /// TOML file with access_key_id, secret_access_key and optionally session_token. Other users must not be able
        /// to read it. Absent: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN from the environment.
        pub credentials_file: Option<PathBuf>,
        /// PEM file with authorities to trust in addition to those that the system trusts.
        pub root_certificate: Option<PathBuf>,
        /// Use plain HTTP to another machine. Stored segments are sealed, but a listener learns their sizes and can
        /// copy them.
        #[serde(default)]
        pub allow_plain_http: bool,
        /// Whether the worker redirects readers to the storage for segments, with links that are valid for a minute.
        #[serde(default = "defaults::yes")]
        pub links: bool,
        /// URL at which readers reach the storage. Absent: `endpoint`. The chain must name the origin of the links
        /// (epione hospital set-endpoint --storage-origin). Otherwise the worker serves all segments itself.
        pub public_endpoint: Option<Url>,
        #[serde(default = "defaults::connect_timeout", with = "duration")]
        pub connect_timeout: Duration,
        /// Time limit of one attempt of a request, which may transfer 4 MiB.
        #[serde(default = "defaults::request_timeout", with = "duration")]
        pub request_timeout: Duration,
        /// Time limit of all attempts of a request, with the pauses between them. At least request_timeout, at most
        /// 5min.
        #[serde(default = "defaults::deadline", with = "duration")]
        pub deadline: Duration,
    }
}

mod defaults {
    use std::time::Duration;

    pub fn region() -> String {
        "us-east-1".into()
    }

    pub fn yes() -> bool {
        true
    }

    pub fn connect_timeout() -> Duration {
        Duration::from_secs(5)
    }

    pub fn request_timeout() -> Duration {
        Duration::from_secs(30)
    }

    pub fn deadline() -> Duration {
        Duration::from_secs(90)
    }
}

/// The key of a value that cannot be used, and why not.
type Problem = (&'static str, String);

impl S3Settings {
    /// Checks that the values can be used.
    pub fn check(&self) -> Result<(), Problem> {
        self.check_endpoint("store.s3.endpoint", &self.endpoint)?;
        if let Some(public) = &self.public_endpoint {
            self.check_endpoint("store.s3.public_endpoint", public)?;
        }
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !(3..=63).contains(&self.bucket.len())
            || !self.bucket.chars().all(|c| allowed(c) || c == '.')
        {
            let rule = "must be 3 to 63 lowercase letters, digits, hyphens and dots";
            return Err(("store.s3.bucket", rule.into()));
        }
        if self.region.is_empty() || !self.region.chars().all(allowed) {
            return Err(("store.s3.region", "must be like \"eu-central-1\"".into()));
        }
        let is_prefix = self.prefix.len() <= MAX_PREFIX_BYTES
            && Path::parse(&self.prefix).is_ok_and(|path| path.as_ref() == self.prefix);
        if !is_prefix {
            let rule = format!(
                "must be like \"hospitals/a\", without a slash at either end, and at most {MAX_PREFIX_BYTES} bytes"
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
            return problem("must have no path, query, fragment or credentials");
        }
        if endpoint.scheme() == "http" && !is_loopback(endpoint) && !self.allow_plain_http {
            return problem(
                "is on another machine, without TLS: begin it with https://, or set allow_plain_http = true if the \
                 network between is trusted",
            );
        }
        if !self.path_style && !matches!(endpoint.host(), Some(Host::Domain(_))) {
            return problem(
                "must have a host name, because path_style = false puts the bucket before it",
            );
        }
        Ok(())
    }

    fn check_times(&self) -> Result<(), Problem> {
        for (key, value) in [
            ("store.s3.connect_timeout", self.connect_timeout),
            ("store.s3.request_timeout", self.request_timeout),
        ] {
            if value.is_zero() {
                return Err((key, "must be longer than 0s".into()));
            }
        }
        if !(self.request_timeout..=MAX_DEADLINE).contains(&self.deadline) {
            return Err(("store.s3.deadline", "must be from request_timeout to 5min".into()));
        }
        Ok(())
    }

    /// The URL of the bucket at an endpoint, in the form that `object_store` expects.
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
            ("connect_timeout = \"0s\"", "connect_timeout"),
            ("request_timeout = \"0s\"", "request_timeout"),
            ("deadline = \"29s\"", "deadline"),
            ("deadline = \"5min 1s\"", "deadline"),
        ] {
            let (named, problem) = parsed(lines).check().unwrap_err();
            assert_eq!(named, format!("store.s3.{key}"), "{lines}: {problem}");
        }
    }

    #[test]
    fn plain_http_beyond_this_machine_must_be_allowed() {
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
