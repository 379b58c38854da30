//! Signed requests to a worker.
//!
//! Five headers contain the signature and what it needs. The signature covers the chain, the hospital, method, path
//! with query, the body's BLAKE3, the time and a nonce, so that a request can be neither altered, nor sent to another
//! hospital or chain, nor repeated. The body's digest is in a header because the body is streamed: the worker uses the
//! body only after it compared the digest of what arrived.

use codec::{DecodeAll, Encode};
use epione_primitives::{AccountId, Hash, HospitalId, Moment, Signature};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sp_runtime::traits::Verify;

/// 32 bytes of the account, in hexadecimal.
pub const ACCOUNT: HeaderName = HeaderName::from_static("epione-account");
/// Unix time in milliseconds, in decimal.
pub const TIME: HeaderName = HeaderName::from_static("epione-time");
/// 16 random bytes, in hexadecimal.
pub const NONCE: HeaderName = HeaderName::from_static("epione-nonce");
/// BLAKE3 of the body, in hexadecimal.
pub const DIGEST: HeaderName = HeaderName::from_static("epione-digest");
/// SCALE of the `MultiSignature`, in hexadecimal.
pub const SIGNATURE: HeaderName = HeaderName::from_static("epione-signature");

/// Largest difference between the sender's clock and the worker's.
pub const MAX_SKEW_MILLIS: u64 = 60_000;

/// What the signature covers: the SCALE encoding of this is signed.
#[derive(Encode)]
struct Statement<'a> {
    prefix: &'static [u8; 11],
    genesis: Hash,
    hospital: HospitalId,
    method: &'a str,
    path_and_query: &'a str,
    digest: [u8; 32],
    time: Moment,
    nonce: [u8; 16],
}

/// No other statement that accounts sign begins with it.
const PREFIX: &[u8; 11] = b"epione/http";

/// The target of a request: what its signature covers in addition to account, body, time and nonce.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    /// Hash of the chain's first block.
    pub genesis: Hash,
    /// The hospital whose worker receives the request.
    pub hospital: HospitalId,
    pub method: &'a Method,
    /// As in the request line.
    pub path_and_query: &'a str,
}

impl<'a> Target<'a> {
    fn statement(&'a self, digest: [u8; 32], time: Moment, nonce: [u8; 16]) -> Vec<u8> {
        Statement {
            prefix: PREFIX,
            genesis: self.genesis,
            hospital: self.hospital,
            method: self.method.as_str(),
            path_and_query: self.path_and_query,
            digest,
            time,
            nonce,
        }
        .encode()
    }
}

/// The verified signature of a request. The worker still has to check the time against its clock, and that the nonce
/// was not used before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    pub account: AccountId,
    pub time: Moment,
    pub nonce: [u8; 16],
    /// The BLAKE3 that the body must have.
    pub digest: [u8; 32],
}

/// Why a request's signature is not accepted. A worker does not tell unknown callers more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("the header {0} is missing or malformed")]
    Header(&'static str),
    #[error("the signature does not match this account and this request")]
    Signature,
}

/// The headers that sign a request. `sign` signs bytes with the account's key.
pub fn sign(
    target: &Target<'_>,
    account: &AccountId,
    digest: [u8; 32],
    time: Moment,
    nonce: [u8; 16],
    sign: impl FnOnce(&[u8]) -> Signature,
) -> HeaderMap {
    let signature = sign(&target.statement(digest, time, nonce));
    let bytes: &[u8; 32] = account.as_ref();
    let mut headers = HeaderMap::with_capacity(5);
    headers.insert(ACCOUNT, hexadecimal(bytes));
    headers.insert(TIME, HeaderValue::from(time));
    headers.insert(NONCE, hexadecimal(&nonce));
    headers.insert(DIGEST, hexadecimal(&digest));
    headers.insert(SIGNATURE, hexadecimal(&signature.encode()));
    headers
}

/// Verifies the signature of a request.
pub fn authenticate(
    target: &Target<'_>,
    headers: &HeaderMap,
) -> Result<Authenticated, RequestError> {
    let account = AccountId::new(fixed(headers, &ACCOUNT, "epione-account")?);
    let nonce = fixed(headers, &NONCE, "epione-nonce")?;
    let digest = fixed(headers, &DIGEST, "epione-digest")?;
    let time = text(headers, &TIME, "epione-time")?
        .parse()
        .map_err(|_| RequestError::Header("epione-time"))?;
    let signature = hex::decode(text(headers, &SIGNATURE, "epione-signature")?)
        .ok()
        .and_then(|bytes| Signature::decode_all(&mut bytes.as_slice()).ok())
        .ok_or(RequestError::Header("epione-signature"))?;
    let statement = target.statement(digest, time, nonce);
    if !signature.verify(statement.as_slice(), &account) {
        return Err(RequestError::Signature);
    }
    Ok(Authenticated { account, time, nonce, digest })
}

fn hexadecimal(bytes: &[u8]) -> HeaderValue {
    HeaderValue::from_str(&hex::encode(bytes)).expect("hexadecimal digits are visible ASCII; qed")
}

fn text<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    shown: &'static str,
) -> Result<&'a str, RequestError> {
    headers.get(name).and_then(|value| value.to_str().ok()).ok_or(RequestError::Header(shown))
}

fn fixed<const N: usize>(
    headers: &HeaderMap,
    name: &HeaderName,
    shown: &'static str,
) -> Result<[u8; N], RequestError> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text(headers, name, shown)?, &mut bytes)
        .map_err(|_| RequestError::Header(shown))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signer::Account;

    const TIME: Moment = 1_790_000_000_000;
    const DIGEST: [u8; 32] = [5; 32];

    fn account() -> Account {
        Account::development("//Doctor").unwrap()
    }

    fn target<'a>(method: &'a Method, path_and_query: &'a str) -> Target<'a> {
        let genesis = Hash::repeat_byte(1);
        Target { genesis, hospital: HospitalId(2), method, path_and_query }
    }

    fn signed(account: &Account) -> HeaderMap {
        let target = target(&Method::POST, "/v1/visits?dry=1");
        sign(&target, &account.id(), DIGEST, TIME, [7; 16], |bytes| account.sign(bytes))
    }

    fn post() -> Target<'static> {
        target(&Method::POST, "/v1/visits?dry=1")
    }

    #[test]
    fn a_signed_request_has_its_account_and_time() {
        let account = account();
        let authenticated = authenticate(&post(), &signed(&account)).unwrap();
        let expected =
            Authenticated { account: account.id(), time: TIME, nonce: [7; 16], digest: DIGEST };
        assert_eq!(authenticated, expected);
    }

    #[test]
    fn a_request_for_another_target_is_refused() {
        let headers = signed(&account());
        let altered = [
            Target { genesis: Hash::repeat_byte(9), ..post() },
            Target { hospital: HospitalId(3), ..post() },
            Target { method: &Method::PUT, ..post() },
            Target { path_and_query: "/v1/visits", ..post() },
            Target { path_and_query: "/v1/grants?dry=1", ..post() },
        ];
        for target in altered {
            assert_eq!(authenticate(&target, &headers), Err(RequestError::Signature), "{target:?}");
        }
    }

    #[test]
    fn a_request_whose_headers_were_altered_is_refused() {
        let other = Account::development("//Nurse").unwrap();
        let other_id: [u8; 32] = other.id().into();
        let altered = [
            (DIGEST_NAME, hexadecimal(&[6; 32])),
            (super::TIME, HeaderValue::from(TIME + 1)),
            (NONCE, hexadecimal(&[8; 16])),
            (ACCOUNT, hexadecimal(&other_id)),
            (SIGNATURE, signed(&other)[SIGNATURE].clone()),
        ];
        for (name, value) in altered {
            let mut headers = signed(&account());
            headers.insert(name.clone(), value);
            assert_eq!(authenticate(&post(), &headers), Err(RequestError::Signature), "{name}");
        }
    }

    /// The requester of a grant signs with the same key, and chain and hospitals verify that signature.
    #[test]
    fn a_signed_http_request_is_no_signed_request_for_a_grant() {
        let request = epione_primitives::release::Request {
            requester: epione_primitives::UserId([1; 32]),
            patient: epione_primitives::UserId([2; 32]),
            hospital: HospitalId(2),
            records: Default::default(),
            purpose: epione_primitives::access::Purpose::Treatment,
            emergency: None,
            at: TIME,
            nonce: [7; 16],
        };
        let bytes = request.signed_bytes(Hash::repeat_byte(1));
        let statement = post().statement(DIGEST, TIME, [7; 16]);
        assert!(statement.starts_with(PREFIX) && !bytes.starts_with(PREFIX));
    }

    #[test]
    fn a_malformed_header_is_named() {
        let long = "ab".repeat(33);
        let cases = [
            (ACCOUNT, "no hexadecimal"),
            (ACCOUNT, long.as_str()),
            (NONCE, "abcd"),
            (super::TIME, "-1"),
            (super::TIME, "1.5"),
            (DIGEST_NAME, ""),
            (SIGNATURE, "0142"),
            (SIGNATURE, "zz"),
        ];
        for (name, value) in cases {
            let mut headers = signed(&account());
            headers.insert(name.clone(), HeaderValue::from_str(value).unwrap());
            let error = authenticate(&post(), &headers).unwrap_err();
            let RequestError::Header(header) = error else { panic!("{name}: {error}") };
            assert_eq!(header, name.as_str());
        }
    }

    #[test]
    fn a_missing_header_is_named() {
        for name in [ACCOUNT, super::TIME, NONCE, DIGEST_NAME, SIGNATURE] {
            let mut headers = signed(&account());
            headers.remove(&name);
            let error = authenticate(&post(), &headers).unwrap_err();
            assert!(error.to_string().contains(name.as_str()), "{error}");
        }
    }

    #[test]
    fn a_signature_with_trailing_bytes_is_malformed() {
        let mut headers = signed(&account());
        let long = format!("{}00", headers[SIGNATURE].to_str().unwrap());
        headers.insert(SIGNATURE, HeaderValue::from_str(&long).unwrap());
        let error = authenticate(&post(), &headers).unwrap_err();
        assert_eq!(error, RequestError::Header("epione-signature"));
    }

    const DIGEST_NAME: HeaderName = super::DIGEST;
}
