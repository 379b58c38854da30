//! The address of a hospital's worker, and the TLS key that the worker must prove.

use epione_primitives::hospital::Hospital;
use url::{Host, Url};

use crate::pin;

/// A worker's address, with the TLS key that its hospital's entry on the chain names. Over https the server must prove
/// that key, and nothing else counts: no name, no date, no certificate authority. Plain http is allowed on this
/// machine's loopback interface only, where nobody can intercept it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
    tls_key: [u8; 32],
    /// The origin of the storage to which the worker may redirect readers.
    storage: Option<Url>,
}

/// Why an address is not usable as a worker's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    #[error("{url:?} is not the address of a worker ({reason}): write it as https://host:port")]
    Url { url: String, reason: String },
    #[error(
        "{url} is plain http to another machine, over which no server can prove its identity: ask \
         the hospital to set an https address and its TLS key (epione hospital set-endpoint \
         --help)"
    )]
    Plain { url: String },
}

impl Endpoint {
    /// `url` is http or https and has neither query nor fragment; `tls_key` is an Ed25519 public key.
    pub fn new(url: Url, tls_key: [u8; 32]) -> Result<Self, EndpointError> {
        let refuse = |reason: &str| {
            let url = without_userinfo(url.as_str());
            Err(EndpointError::Url { url, reason: reason.to_owned() })
        };
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return refuse("it is neither http nor https");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return refuse("it has a query or a fragment");
        }
        if is_exposed(&url) {
            return Err(EndpointError::Plain { url: without_userinfo(url.as_str()) });
        }
        Ok(Self { url, tls_key, storage: None })
    }

    /// The endpoint that the chain names.
    pub fn of(hospital: &Hospital) -> Result<Self, EndpointError> {
        let text = String::from_utf8_lossy(&hospital.worker_url).into_owned();
        let url = Url::parse(&text).map_err(|error| EndpointError::Url {
            url: without_userinfo(&text),
            reason: error.to_string(),
        })?;
        Ok(Self::new(url, hospital.tls_key)?.redirecting_to(storage_origin(hospital)))
    }

    /// The same endpoint, whose worker may redirect readers to this origin. Without an origin, the worker may redirect
    /// them only to itself.
    #[must_use]
    pub fn redirecting_to(self, storage: Option<Url>) -> Self {
        Self { storage, ..self }
    }

    /// The origin to which the worker may redirect readers, in addition to its own.
    pub fn storage(&self) -> Option<&Url> {
        self.storage.as_ref()
    }

    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The Ed25519 public key that the server must prove.
    pub fn tls_key(&self) -> &[u8; 32] {
        &self.tls_key
    }

    /// An HTTP client that accepts only a TLS server that proves the key. It follows no redirect: a request to a worker
    /// is for that worker.
    pub fn http(&self) -> reqwest::ClientBuilder {
        http(is_loopback(&self.url)).tls_backend_preconfigured(pin::client_config(self.tls_key))
    }
}

/// An HTTP client that follows no redirect. A proxy that the environment names is for servers on other machines: what
/// is for this machine's loopback interface never leaves the machine.
pub(crate) fn http(for_loopback: bool) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    if for_loopback { builder.no_proxy() } else { builder }
}

/// The origin of a hospital's storage that the chain names for readers. What is not a URL counts as none.
pub fn storage_origin(hospital: &Hospital) -> Option<Url> {
    let origin = hospital.storage_origin.as_ref()?;
    Url::parse(std::str::from_utf8(origin).ok()?).ok()
}

/// A URL without a user's name and password, as messages, logs and files may have it: in one way of writing it if it is
/// valid. In any other text, the URLs lose everything before their last `@`.
pub fn without_userinfo(text: &str) -> String {
    if let Ok(mut url) = Url::parse(text)
        && url.has_host()
    {
        // They fail only for URLs that have no host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        return url.into();
    }
    if !text.contains("://") && !text.contains(char::is_whitespace) {
        // An address of which the scheme was forgotten.
        return text.rsplit('@').next().unwrap_or_default().to_owned();
    }
    let is_end = |c: char| c.is_whitespace() || "\"'`<>".contains(c);
    let (mut shown, mut rest) = (String::new(), text);
    while let Some(scheme_end) = rest.find("://") {
        let (scheme, tail) = rest.split_at(scheme_end + "://".len());
        let end = tail.find(is_end).unwrap_or(tail.len());
        shown += scheme;
        rest = tail[..end].rfind('@').map_or(tail, |sign| &tail[sign + 1..]);
    }
    shown + rest
}

/// Whether a URL leads to another machine without TLS: everyone on the way can read, change and invent what passes.
pub fn is_exposed(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "ws") && !is_loopback(url)
}

/// Whether a URL's host is this machine itself.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Result<Endpoint, EndpointError> {
        Endpoint::new(Url::parse(url).unwrap(), [1; 32])
    }

    #[test]
    fn other_addresses_than_a_workers_are_refused() {
        for url in
            ["ftp://host", "file:///etc", "https://host/?a=b", "https://host/#a", "mailto:a@b"]
        {
            assert!(matches!(endpoint(url), Err(EndpointError::Url { .. })), "{url}");
        }
    }

    #[test]
    fn a_url_is_printed_without_name_and_password() {
        for (url, shown) in [
            ("ws://127.0.0.1:9944", "ws://127.0.0.1:9944/"),
            ("wss://ada:secret@node.example", "wss://node.example/"),
            ("WSS://ada:secret@node.example:443/a@b?c=d", "wss://node.example/a@b?c=d"),
            ("wss://secret@node.example", "wss://node.example/"),
            ("wss://:secret@node.example", "wss://node.example/"),
            ("ws:ada:secret@node.example", "ws://node.example/"),
            ("wss://ada:p@secret@node.example", "wss://node.example/"),
            ("wss://ada:the secret@node.example", "wss://node.example/"),
            // Not valid.
            ("wss://ada:secret@node.example:99999", "wss://node.example:99999"),
            ("wss://ada:sec/secret@node.example", "wss://node.example"),
            ("ada:secret@node.example:9944", "node.example:9944"),
            ("", ""),
            ("127.0.0.1:9944", "127.0.0.1:9944"),
        ] {
            assert_eq!(without_userinfo(url), shown, "{url}");
        }
    }

    #[test]
    fn other_text_keeps_everything_but_names_and_passwords_in_urls() {
        for (text, shown) in [
            (
                "3 | node_url = \"ws://ada:secret@a:x\"\n  | \"wss://b:secret@c\" 'http://d' e@f",
                "3 | node_url = \"ws://a:x\"\n  | \"wss://c\" 'http://d' e@f",
            ),
            ("--node=ws://ada:secret@node.example", "--node=ws://node.example"),
            ("invalid port number", "invalid port number"),
            ("ask ada@hospital.example", "ask ada@hospital.example"),
            ("x :// y ://", "x :// y ://"),
        ] {
            assert_eq!(without_userinfo(text), shown);
        }
    }

    #[test]
    fn an_address_that_is_refused_is_named_without_its_password() {
        for url in ["ftp://ada:secret@host", "https://ada:secret@host/?a=b", "http://a:secret@host"]
        {
            let said = endpoint(url).unwrap_err().to_string();
            assert!(said.contains("host") && !said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for url in ["http://127.0.0.1:1", "http://127.8.9.1", "http://[::1]:80", "http://LOCALHOST"]
        {
            endpoint(url).unwrap();
        }
        for url in [
            "http://10.0.0.1",
            "http://worker.hospital.example",
            "http://localhost.example",
            "http://127.0.0.1.example",
            "http://[::ffff:127.0.0.1]",
            "http://0.0.0.0:8600",
        ] {
            let refused = endpoint(url).unwrap_err();
            assert!(matches!(refused, EndpointError::Plain { .. }), "{url}");
            assert!(refused.to_string().contains("set-endpoint"), "{refused}");
        }
        endpoint("https://10.0.0.1").unwrap();
    }
}
