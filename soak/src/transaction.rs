//! Signed transactions, byte for byte as the client sends them: to measure them, and to send them while no block
//! becomes final, when a lifetime that begins at the newest final block is over before it has begun.

use codec::Encode;
use epione_client::signer::Account;
use epione_primitives::{BlockNumber, Hash, Nonce};
use epione_runtime::{Address, VERSION, in_flight::CheckInFlight, lifetime::CheckLifetime};
use sp_runtime::{
    generic::Era,
    traits::{BlakeTwo256, Hash as _},
};

/// The format of a transaction: version 4, signed.
const SIGNED: u8 = 4 | 0b1000_0000;
/// A longer payload is hashed before it is signed.
const MAX_SIGNED_BYTES: usize = 256;
/// Number of blocks in which it may be included; a power of two.
const LIFETIME: u64 = 64;

/// Where a transaction's lifetime begins, and on which chain.
#[derive(Clone, Copy, Debug)]
pub struct Birth {
    pub genesis: Hash,
    pub hash: Hash,
    pub number: BlockNumber,
}

/// Signs a call: the numbers of pallet and call, then the arguments.
pub fn signed(call: &[u8], signer: &Account, birth: Birth, nonce: Nonce) -> Vec<u8> {
    let era = Era::mortal(LIFETIME, birth.number.into());
    // All other extensions have no bytes.
    let extensions = (CheckLifetime(era), CheckInFlight(nonce)).encode();
    let versions = (VERSION.spec_version, VERSION.transaction_version);
    let implied = (versions, birth.genesis, birth.hash).encode();
    let mut payload = [call, &extensions, &implied].concat();
    if payload.len() > MAX_SIGNED_BYTES {
        payload = BlakeTwo256::hash(&payload).as_bytes().to_vec();
    }
    let (address, signature) =
        (Address::from(signer.id()).encode(), signer.sign(&payload).encode());
    [&[SIGNED][..], &address, &signature, &extensions, call].concat().encode()
}
