//! The signatures with which the holder of an account's key lets a call name the account.

use codec::Encode;
use epione_primitives::{
    BlockNumber, Hash, HospitalId, Signature, UserId,
    naming::{Naming, NamingConsent},
};

use crate::Account;

/// Signs the consent to be named.
pub fn sign(account: &Account, genesis: Hash, naming: Naming) -> Signature {
    account.sign(&NamingConsent::new(genesis, naming).encode())
}

/// Signs the consent to a registration. Returns it as [`RegisterUser`](crate::api::RegisterUser) contains it: SCALE in
/// hexadecimal. `user` of a new user is [`UserId::of`] the account and its sealing key; `version` is that of the user's
/// previous registration at this hospital, or 0.
pub fn registration(
    account: &Account,
    genesis: Hash,
    hospital: HospitalId,
    user: UserId,
    version: u32,
) -> String {
    let naming = Naming::Registration { hospital, user, version };
    hex::encode(sign(account, genesis, naming).encode())
}

/// Signs the consent to a recovery with the new account. Returns it as [`ProposedKeys`](crate::api::ProposedKeys)
/// contains it: SCALE in hexadecimal. `version` is that of the user's profile, `until` the last block in which the
/// consent is valid.
pub fn recovery(
    account: &Account,
    genesis: Hash,
    hospital: HospitalId,
    user: UserId,
    sealing_key_hash: Hash,
    version: u32,
    until: BlockNumber,
) -> String {
    let naming = Naming::Recovery { hospital, user, sealing_key_hash, version, until };
    hex::encode(sign(account, genesis, naming).encode())
}
