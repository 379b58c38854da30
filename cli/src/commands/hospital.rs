//! `epione hospital`: what a hospital changes about itself on the chain.

use std::fmt;

use clap::{Args, Subcommand};
use epione_client::{Endpoint, chain::calls::hospitals};
use epione_primitives::{BlockNumber, Hash, HospitalId, limits::MAX_URL_BYTES};
use serde::Serialize;
use url::Url;

use crate::{
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::KeySource,
    show,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Tells the chain the hospital's new sealing key, which its worker must have by then
    SetSealingKey(SetSealingKeyArgs),
    /// Tells the chain where the hospital's worker is reached, and by which TLS key it is known
    SetEndpoint(SetEndpointArgs),
}

impl Command {
    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::SetSealingKey(args) => show(&set_sealing_key(args, context).await?, json),
            Self::SetEndpoint(args) => show(&set_endpoint(args, context).await?, json),
        }
    }
}

#[derive(Debug, Args)]
pub struct SetSealingKeyArgs {
    /// The worker's new key file, made by `epione keys renew-sealing`; only its public half is read
    #[arg(long, value_name = "NEW")]
    pub keys: KeySource,
    /// The hospital's governance keystore [default: the devnet's]
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Number or name of the hospital [default: the signer's]
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: Option<HospitalRef>,
}

/// A sealing key that the chain now names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SealingKeySet {
    pub hospital: HospitalId,
    pub sealing_key_hash: Hash,
    /// Of the chain, from which on it holds.
    pub block: BlockNumber,
}

impl Output for SealingKeySet {}

impl fmt::Display for SealingKeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "from block {} on, the sealing key of hospital {} is {:?}",
            self.block, self.hospital, self.sealing_key_hash
        )?;
        write!(
            f,
            "its worker needs this key file as keystore, and the one before it under \
             earlier_keystores until every profile is sealed to the new key (its metrics count what \
             is left); nothing can be read of a profile whose key file is lost"
        )
    }
}

/// Sets a hospital's sealing key.
pub async fn set_sealing_key(
    args: &SetSealingKeyArgs,
    context: &Context,
) -> Result<SealingKeySet, Failure> {
    let new = args.keys.public()?;
    let (hospital, governance) =
        context.own_governance(args.signer.as_ref(), args.hospital.as_ref()).await?;
    let chain = context.chain().await?;
    let entry = chain.finalized().await?.hospital(hospital).await?;
    if entry.is_some_and(|entry| entry.agent != new.account) {
        return Err(Failure::usage(
            format!("the account of --keys is not the agent of hospital {hospital}"),
            "make the file from the keystore of the hospital's worker",
        )
        .with_command(context.command(["keys", "renew-sealing", "--help"])));
    }
    let call = hospitals::set_sealing_key(new.sealing.as_bytes());
    let block = chain.submit(&call, &governance).await?.block.number;
    Ok(SealingKeySet { hospital, sealing_key_hash: new.sealing.hash(), block })
}

#[derive(Debug, Args)]
pub struct SetEndpointArgs {
    /// https://host:port [default: as before]
    #[arg(long, value_name = "URL", required_unless_present = "tls_key")]
    pub url: Option<Url>,
    /// Public key that `epione-worker tls-key` prints, in 64 hexadecimal digits [default: as before]
    #[arg(long, value_name = "HEX", value_parser = tls_key)]
    pub tls_key: Option<TlsKey>,
    /// The hospital's governance keystore [default: the devnet's]
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Number or name of the hospital [default: the signer's]
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: Option<HospitalRef>,
}

/// An Ed25519 public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsKey(pub [u8; 32]);

fn tls_key(text: &str) -> Result<TlsKey, String> {
    let mut key = [0; 32];
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut key)
        .map_err(|error| format!("a key has 64 hexadecimal digits ({error})"))?;
    Ok(TlsKey(key))
}

/// An endpoint that the chain now names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSet {
    pub hospital: HospitalId,
    pub worker_url: String,
    pub tls_key: Hash,
    /// Of the chain, from which on it holds.
    pub block: BlockNumber,
}

impl Output for EndpointSet {}

impl fmt::Display for EndpointSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "from block {} on, the worker of hospital {} is asked at {} and known by the TLS key {:?}",
            self.block, self.hospital, self.worker_url, self.tls_key
        )?;
        write!(
            f,
            "it takes up the key by itself within seconds if it is one of its own; its metric \
             tls_key_matches says so"
        )
    }
}

/// Sets where a hospital's worker is reached, and its TLS key.
pub async fn set_endpoint(
    args: &SetEndpointArgs,
    context: &Context,
) -> Result<EndpointSet, Failure> {
    let (hospital, governance) =
        context.own_governance(args.signer.as_ref(), args.hospital.as_ref()).await?;
    let chain = context.chain().await?;
    let entry = chain.finalized().await?.hospital(hospital).await?;
    let entry = entry.ok_or_else(|| {
        Failure::new(format!("the chain knows no hospital {hospital}"), "choose another")
    })?;
    let key = args.tls_key.map_or(entry.tls_key, |key| key.0);
    let wrong = |error: epione_client::EndpointError| {
        Failure::usage(error.to_string(), "name an address that others can use: --url https://...")
    };
    let endpoint = match &args.url {
        Some(url) => Endpoint::new(url.clone(), key),
        None => Endpoint::of(&entry).and_then(|before| Endpoint::new(before.url().clone(), key)),
    };
    let endpoint = endpoint.map_err(wrong)?;
    let worker_url = endpoint.url().as_str().trim_end_matches('/').to_owned();
    if worker_url.len() > MAX_URL_BYTES as usize {
        return Err(Failure::usage(
            format!("the URL is longer than {MAX_URL_BYTES} bytes"),
            "name a shorter one",
        ));
    }
    let call = hospitals::set_endpoint(&worker_url, endpoint.tls_key());
    let included = chain.submit(&call, &governance).await;
    let tls_key = Hash::from(*endpoint.tls_key());
    Ok(EndpointSet { hospital, worker_url, tls_key, block: included?.block.number })
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
}
