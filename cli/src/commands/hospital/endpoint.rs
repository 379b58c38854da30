//! `epione hospital set-endpoint`.

use std::fmt;

use clap::Args;
use epione_client::{Endpoint, chain::calls::hospitals};
use epione_primitives::{BlockNumber, Hash, HospitalId, limits::MAX_URL_BYTES};
use serde::Serialize;
use url::Url;

use crate::{
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::KeySource,
};

#[derive(Debug, Args)]
pub struct SetEndpointArgs {
    /// Address of the worker: https://host:port [default: unchanged]
    #[arg(
        long,
        value_name = "URL",
        value_parser = worker_url,
        required_unless_present_any = ["tls_key", "storage_origin"]
    )]
    pub url: Option<Url>,
    /// Public key that `epione-worker tls-key` prints, in 64 hexadecimal digits [default: unchanged]
    #[arg(long, value_name = "HEX", value_parser = tls_key)]
    pub tls_key: Option<TlsKey>,
    /// Origin of the storage to which the worker redirects readers: https://host:port, or none [default: unchanged]
    #[arg(long, value_name = "ORIGIN", value_parser = storage_origin)]
    pub storage_origin: Option<StorageOrigin>,
    /// Key file of the hospital's governance [default: the devnet's]
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Number or name of the hospital [default: the signer's]
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: Option<HospitalRef>,
}

/// An Ed25519 public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsKey(pub [u8; 32]);

pub(in crate::commands) fn tls_key(text: &str) -> Result<TlsKey, String> {
    let mut key = [0; 32];
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut key)
        .map_err(|error| format!("a key has 64 hexadecimal digits ({error})"))?;
    Ok(TlsKey(key))
}

/// A worker's address, which everybody can read on the chain.
pub(in crate::commands) fn worker_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("everybody can read it on the chain: leave out name and password".into());
    }
    Ok(url)
}

/// The origin of a hospital's storage, if it has one that readers may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageOrigin(pub Option<String>);

fn storage_origin(text: &str) -> Result<StorageOrigin, String> {
    if text == "none" {
        return Ok(StorageOrigin(None));
    }
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let is_bare = matches!(url.scheme(), "http" | "https")
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if !is_bare {
        return Err("an origin is https://host or https://host:port, without a path".into());
    }
    Ok(StorageOrigin(Some(url.origin().ascii_serialization())))
}

/// An endpoint that is set on the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSet {
    pub hospital: HospitalId,
    pub worker_url: String,
    pub tls_key: Hash,
    pub storage_origin: Option<String>,
    /// The chain block from which on it is valid.
    pub block: BlockNumber,
}

impl Output for EndpointSet {}

impl fmt::Display for EndpointSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "from block {} on, the worker of hospital {} has the address {} and the TLS key {:?}",
            self.block, self.hospital, self.worker_url, self.tls_key
        )?;
        match &self.storage_origin {
            Some(origin) => writeln!(f, "the worker may redirect readers to {origin}")?,
            None => writeln!(f, "the worker serves all segments itself")?,
        }
        write!(
            f,
            "the worker uses this TLS key within seconds if its keystore contains it: check that \
             the metric epione_worker_tls_key_matches is 1"
        )
    }
}

/// Sets the address of a hospital's worker, its TLS key, and its storage's origin.
pub async fn set_endpoint(
    args: &SetEndpointArgs,
    context: &Context,
) -> Result<EndpointSet, Failure> {
    let (hospital, governance) =
        context.own_governance(args.signer.as_ref(), args.hospital.as_ref()).await?;
    let chain = context.chain().await?;
    let entry = chain.finalized().await?.hospital(hospital).await?;
    let entry = entry.ok_or_else(|| {
        Failure::new(format!("the chain has no hospital {hospital}"), "choose another hospital")
    })?;
    let key = args.tls_key.map_or(entry.tls_key, |key| key.0);
    let wrong = |error: epione_client::EndpointError| {
        Failure::usage(
            error.to_string(),
            "give an address that clients and other hospitals can reach: --url https://...",
        )
    };
    let endpoint = match &args.url {
        Some(url) => Endpoint::new(url.clone(), key),
        None => Endpoint::of(&entry).and_then(|before| Endpoint::new(before.url().clone(), key)),
    };
    let endpoint = endpoint.map_err(wrong)?;
    let worker_url = endpoint.url().as_str().trim_end_matches('/').to_owned();
    let storage_origin = match &args.storage_origin {
        Some(StorageOrigin(origin)) => origin.clone(),
        None => entry.storage_origin.map(|origin| String::from_utf8_lossy(&origin).into_owned()),
    };
    let longest = storage_origin.as_ref().map_or(0, String::len).max(worker_url.len());
    if longest > MAX_URL_BYTES as usize {
        return Err(Failure::usage(
            format!("the URL or origin is longer than {MAX_URL_BYTES} bytes"),
            "give a shorter one",
        ));
    }
    let call = hospitals::set_endpoint(&worker_url, endpoint.tls_key(), storage_origin.as_deref());
    let block = chain.submit(&call, &governance).await?.block.number;
    let tls_key = Hash::from(*endpoint.tls_key());
    Ok(EndpointSet { hospital, worker_url, tls_key, storage_origin, block })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tls_key_has_64_hexadecimal_digits() {
        let digits = "07".repeat(32);
        for text in [digits.clone(), format!("0x{digits}")] {
            assert_eq!(tls_key(&text), Ok(TlsKey([7; 32])));
        }
        for text in ["", "07", &digits[1..], &format!("{digits}07"), &"zz".repeat(32)] {
            assert!(tls_key(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_for_the_chain_has_neither_name_nor_password() {
        worker_url("https://worker.example:8600/epione").unwrap();
        for url in ["https://ada:secret@worker.example", "https://ada@worker.example", "worker"] {
            let refused = worker_url(url).unwrap_err();
            assert!(!refused.contains("secret"), "{refused}");
        }
    }

    #[test]
    fn a_storage_origin_is_a_scheme_and_a_host_or_none() {
        assert_eq!(storage_origin("none"), Ok(StorageOrigin(None)));
        for (text, origin) in [
            ("https://S3.example/", "https://s3.example"),
            ("https://s3.example:443", "https://s3.example"),
            ("https://s3.example:9000", "https://s3.example:9000"),
        ] {
            assert_eq!(storage_origin(text), Ok(StorageOrigin(Some(origin.into()))));
        }
        for text in
            ["", "s3.example", "ftp://s3.example", "https://s3.example/bucket", "https://a@b"]
        {
            assert!(storage_origin(text).is_err(), "{text}");
        }
    }
}
