//! Calls of pallet-profiles: registrations, rotations and recoveries.

use epione_primitives::{
    Hash, UserId, Word,
    naming::{NamedAccount, Naming},
    profile::Role,
};
use epione_runtime::{Profiles, RuntimeCall, System};

use super::{HOSTILE_HOSPITAL, body, other_signature, pick, successor, user};
use crate::chain::{SEALING_KEY, account, consent, key, user_seed};

/// A new profile body, which may replace another body than the hostile hospital's current one.
pub(super) fn update(a: u8, b: u8, c: u8) -> RuntimeCall {
    let current = Profiles::registration(HOSTILE_HOSPITAL, user(a)).map(|it| it.body_hash);
    let previous = current.filter(|_| !c.is_multiple_of(4)).unwrap_or_default();
    pallet_profiles::Call::update { user: user(a), previous, body: body(b) }.into()
}

pub(super) fn registration(a: u8, b: u8, c: u8) -> RuntimeCall {
    let pair = match c % 4 {
        0 => successor(b),
        _ => key(&user_seed(user(a))),
    };
    // The id of a new user follows from the keys. The hostile hospital would like to take another one.
    let user = match c % 8 {
        4 => UserId::of(&account(&pair), SEALING_KEY),
        _ => user(a),
    };
    let naming =
        Naming::Registration { hospital: HOSTILE_HOSPITAL, user, version: u32::from(a % 2) };
    pallet_profiles::Call::register {
        user,
        role: pick(Role::ALL, b),
        account: account(&pair),
        sealing_key_hash: SEALING_KEY,
        consent: if c.is_multiple_of(3) { other_signature(c) } else { consent(&pair, naming) },
        body: body(b),
    }
    .into()
}

pub(super) fn rotate_keys(signer: &str, a: u8, b: u8) -> RuntimeCall {
    let next = key(&format!("{signer}//next"));
    let owner = Profiles::user_of(account(&key(signer))).unwrap_or(user(a));
    let version = Profiles::profile(owner).map_or(0, |profile| profile.version);
    let proof = match b % 3 {
        0 => other_signature(b),
        _ => consent(&next, Naming::Rotation { user: owner, version }),
    };
    pallet_profiles::Call::rotate_keys {
        account: (a.is_multiple_of(2)).then(|| (account(&next), proof)),
        sealing_key_hash: (b.is_multiple_of(2)).then(|| Hash::repeat_byte(a)),
    }
    .into()
}

/// New keys of the hostile hospital for a user, or another signature.
pub(super) fn propose_recovery(a: u8, b: u8, c: u8) -> RuntimeCall {
    let (user, next, sealing_key_hash) = (user(a), successor(b), Hash::repeat_byte(c));
    let version = Profiles::profile(user).map_or(0, |profile| profile.version);
    let (hospital, until) = (HOSTILE_HOSPITAL, System::block_number() + 100);
    let naming = Naming::Recovery { hospital, user, sealing_key_hash, version, until };
    let consent = if c.is_multiple_of(4) { other_signature(c) } else { consent(&next, naming) };
    let next = NamedAccount { account: account(&next), until, consent };
    pallet_profiles::Call::propose_recovery { user, next, sealing_key_hash }.into()
}

/// Completes the recovery of a user; names it, or something else, or nothing.
pub(super) fn complete_recovery(a: u8, b: u8) -> RuntimeCall {
    let user = user(a);
    let standing = Profiles::recovery(user).map(|recovery| recovery.decision());
    let decision = if b.is_multiple_of(3) { Some(Hash::repeat_byte(b)) } else { standing };
    pallet_profiles::Call::complete_recovery { user, decision }.into()
}
