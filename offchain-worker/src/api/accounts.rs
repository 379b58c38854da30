//! Accounts about which the chain was asked recently. It only decides how much work the next request of an account may
//! cause: every decision about a request is made by the chain's state.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use epione_primitives::AccountId;

/// How long an account counts as known, and how many are remembered.
const KNOWN: (Duration, usize) = (Duration::from_secs(300), 16_384);
/// How long an account counts as unknown, and how many are remembered. A user who has just been registered is refused
/// for no longer than this.
const UNKNOWN: (Duration, usize) = (Duration::from_secs(3), 4_096);

/// What the chain said about accounts.
#[derive(Default)]
pub(super) struct Accounts {
    known: Mutex<HashMap<AccountId, Instant>>,
    unknown: Mutex<HashMap<AccountId, Instant>>,
}

impl Accounts {
    /// Whether the chain knew the account minutes ago.
    pub fn is_known(&self, account: &AccountId, now: Instant) -> bool {
        has(&lock(&self.known), account, KNOWN.0, now)
    }

    /// Whether the chain did not know the account seconds ago.
    pub fn is_unknown(&self, account: &AccountId, now: Instant) -> bool {
        has(&lock(&self.unknown), account, UNKNOWN.0, now)
    }

    pub fn learn(&self, account: &AccountId, is_known: bool, now: Instant) {
        match is_known {
            true => note(&mut lock(&self.known), account, KNOWN, now),
            false => note(&mut lock(&self.unknown), account, UNKNOWN, now),
        }
    }
}

fn has(
    since: &HashMap<AccountId, Instant>,
    account: &AccountId,
    lasts: Duration,
    now: Instant,
) -> bool {
    since.get(account).is_some_and(|since| now.saturating_duration_since(*since) < lasts)
}

/// Remembers an account, if there is room.
fn note(
    since: &mut HashMap<AccountId, Instant>,
    account: &AccountId,
    (lasts, most): (Duration, usize),
    now: Instant,
) {
    if since.len() >= most {
        since.retain(|_, since| now.saturating_duration_since(*since) < lasts);
    }
    if since.len() < most || since.contains_key(account) {
        since.insert(account.clone(), now);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: usize) -> AccountId {
        AccountId::from(<[u8; 32]>::from(blake3::hash(&id.to_le_bytes())))
    }

    #[test]
    fn what_the_chain_said_about_an_account_is_remembered_for_a_while() {
        let (accounts, now) = (Accounts::default(), Instant::now());
        accounts.learn(&account(1), true, now);
        accounts.learn(&account(2), false, now);
        assert!(accounts.is_known(&account(1), now) && !accounts.is_unknown(&account(1), now));
        assert!(accounts.is_unknown(&account(2), now) && !accounts.is_known(&account(2), now));
        assert!(!accounts.is_unknown(&account(2), now + UNKNOWN.0));
        assert!(!accounts.is_known(&account(1), now + KNOWN.0));
    }

    #[test]
    fn strangers_cannot_fill_the_memory_of_accounts() {
        let (accounts, now) = (Accounts::default(), Instant::now());
        for id in 0..2 * UNKNOWN.1 {
            accounts.learn(&account(id), false, now);
        }
        assert_eq!(lock(&accounts.unknown).len(), UNKNOWN.1);
        accounts.learn(&account(usize::MAX), false, now + UNKNOWN.0);
        assert_eq!(lock(&accounts.unknown).len(), 1);
    }
}
