//! Development keys, which are **public knowledge**: they are derived from the phrase that every Substrate tool
//! ships with. Only local networks and tests may use them.

use sp_core::{Blake2Hasher, Hasher as _, Pair as _, ed25519, sr25519};
use thiserror::Error;

use crate::{
    account::{AccountKey, Scheme},
    keystore::ActorKeys,
    sealing_keys::{SealingKeyPair, SealingSuite},
};

/// The text is not the URI of a development key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the URI of a development key consists of hard derivations only, for example //Alice or //Alice//agent"
)]
pub struct UnknownUri;

/// The keys of a development actor: the sr25519 account that Substrate's tools derive for the URI, and [`sealing_key`].
pub fn keys(uri: &str) -> Result<ActorKeys, UnknownUri> {
    if !uri.starts_with("//") || uri.contains("///") {
        return Err(UnknownUri);
    }
    let (_, seed) = sr25519::Pair::from_string_with_seed(uri, None).map_err(|_| UnknownUri)?;
    let account = AccountKey::from_seed(Scheme::Sr25519, &seed.ok_or(UnknownUri)?);
    Ok(ActorKeys { account, sealing: sealing_key(uri) })
}

/// The Ed25519 key that identifies a development hospital's worker in TLS: `//tls` under the hospital's
/// URI, as in the runtime's presets.
pub fn tls_key(hospital: &str) -> Result<AccountKey, UnknownUri> {
    if !hospital.starts_with("//") || hospital.contains("///") {
        return Err(UnknownUri);
    }
    let uri = format!("{hospital}//tls");
    let (_, seed) = ed25519::Pair::from_string_with_seed(&uri, None).map_err(|_| UnknownUri)?;
    Ok(AccountKey::from_seed(Scheme::Ed25519, &seed.ok_or(UnknownUri)?))
}

/// The sealing key of a development actor. All accounts of a hospital share one sealing key: a URI that
/// ends in `//agent` or `//governance` has the key of the URI before that ending.
pub fn sealing_key(uri: &str) -> SealingKeyPair {
    let actor = ["//agent", "//governance"].iter().find_map(|role| uri.strip_suffix(role));
    let actor = actor.filter(|actor| !actor.is_empty()).unwrap_or(uri);
    let source = format!("epione development sealing key, not secret: {actor}");
    let seed = Blake2Hasher::hash(source.as_bytes());
    SealingKeyPair::from_seed(SealingSuite::XWing, &seed.0)
}
