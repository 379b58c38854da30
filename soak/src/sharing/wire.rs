//! What parties send: signed transactions and signed requests to a worker, byte for byte as the client sends them.

use anyhow::ensure;
use epione_client::{
    chain::calls::Call,
    request::{self, Target},
    signer::Account,
};
use epione_primitives::Hash;
use http::{HeaderMap, Method};

use super::parties::HOSPITAL;
use crate::transaction::{self, Birth};

/// When the requests are signed. Nothing here compares it with a clock.
const AT: u64 = 1_790_000_000_000;

/// A call as a signed transaction, as the client sends it to a node. The numbers of pallet and call are zero: they are
/// two bytes, whichever they are. A nonce of 64 or more is one byte longer, or three.
pub(crate) fn transaction(call: &Call, signer: &Account, genesis: Hash) -> Vec<u8> {
    let call = [&[0_u8, 0][..], &call.arguments[..]].concat();
    transaction::signed(&call, signer, Birth { genesis, hash: genesis, number: 1 }, 1)
}

/// A request to the hospital's worker.
pub(super) struct Sent {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Sent {
    /// Signs it, as the client does.
    pub fn new(method: Method, path: String, body: Vec<u8>, by: &Account, genesis: Hash) -> Self {
        let target = Target { genesis, hospital: HOSPITAL, method: &method, path_and_query: &path };
        let (digest, nonce) = (blake3::hash(&body).into(), [9; 16]);
        let headers = request::sign(&target, &by.id(), digest, AT, nonce, |it| by.sign(it));
        Self { method, path, headers, body }
    }

    /// Verifies the signature and the body's digest, as the worker does, and returns the body.
    pub fn authenticated(&self, from: &Account, genesis: Hash) -> anyhow::Result<&[u8]> {
        let (method, path_and_query) = (&self.method, self.path.as_str());
        let target = Target { genesis, hospital: HOSPITAL, method, path_and_query };
        let found = request::authenticate(&target, &self.headers)?;
        ensure!(found.account == from.id(), "another account signed the request");
        ensure!(blake3::hash(&self.body) == found.digest, "the request has another body");
        Ok(&self.body)
    }

    /// Bytes of the request line, the headers of the signature and the body, in HTTP/1.1.
    pub fn bytes(&self) -> usize {
        let line = format!("{} {} HTTP/1.1\r\n", self.method, self.path).len();
        let header = |name: &str, value: usize| name.len() + ": ".len() + value + "\r\n".len();
        let headers = self.headers.iter().map(|(name, value)| header(name.as_str(), value.len()));
        line + headers.sum::<usize>() + self.body.len()
    }
}

/// Length of this many bytes in Base64.
pub(super) fn base64_length(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

#[cfg(test)]
mod tests {
    use codec::{DecodeAll, Encode};
    use epione_runtime::UncheckedExtrinsic;

    use super::*;
    use crate::sharing::parties::Person;

    #[test]
    fn the_runtime_reads_the_transaction() {
        let (person, genesis) = (Person::of("//Sharing//Agent").unwrap(), Hash::repeat_byte(1));
        for length in [3, 300_usize] {
            // Pallet 0, call 0.
            let call = Call::new("System", "remark", vec![7_u8; length]);
            let sent = transaction(&call, &person.account, genesis);
            let read = UncheckedExtrinsic::decode_all(&mut sent.as_slice()).unwrap();
            assert_eq!(read.encode(), sent);
        }
    }

    #[test]
    fn a_request_of_another_account_or_with_another_body_is_refused() {
        let [one, two] = ["//One", "//Two"].map(|uri| Person::of(uri).unwrap().account);
        let genesis = Hash::repeat_byte(1);
        let request = || {
            let path = "/v1/visits".to_owned();
            Sent::new(Method::POST, path, b"visit".to_vec(), &one, genesis)
        };
        assert_eq!(request().authenticated(&one, genesis).unwrap(), b"visit");
        assert!(request().authenticated(&two, genesis).is_err());
        assert!(request().authenticated(&one, Hash::zero()).is_err());
        let mut altered = request();
        altered.body.push(1);
        assert!(altered.authenticated(&one, genesis).is_err());
        assert_eq!(altered.bytes(), request().bytes() + 1);
        assert!(altered.bytes() > "POST /v1/visits HTTP/1.1\r\n".len() + 2 * (32 + 65));
    }

    #[test]
    fn base64_has_four_characters_for_three_bytes() {
        assert_eq!([0, 1, 3, 4].map(base64_length), [0, 4, 4, 8]);
    }
}
