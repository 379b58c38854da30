//! Grants that have not expired. A requester who sends the same request again gets the same grant, so that repeated
//! requests leave no further receipts on the chain. The rate of new receipts of one requester is limited.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use codec::Encode;
use epione_envelope::grant::AccessGrant;
use epione_primitives::{AccountId, Hash, Moment, UserId, release::Release};

/// Maximum number of grants that the worker remembers: of all requesters, and of one. It forgets those that expire
/// first.
const ALL: usize = 256;
const EACH: usize = 16;

/// What a grant would give, to which account and to which sealing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question([u8; 32]);

impl Question {
    /// The hash of the grant in `release` is not part of the question.
    pub fn of(release: &Release, audience: &AccountId, sealing_key: Hash) -> Self {
        let Release { requester, patient, records, rights, purpose, emergency, grant: _ } = release;
        let asked = (requester, patient, records, rights, purpose, emergency);
        Self(blake3::hash(&(asked, audience, sealing_key).encode()).into())
    }
}

struct Issued {
    requester: UserId,
    grant: Arc<AccessGrant>,
}

impl Issued {
    fn expires(&self) -> Moment {
        self.grant.terms().expires
    }
}

/// The grants that the chain has recorded.
#[derive(Default)]
pub(super) struct IssuedGrants(Mutex<HashMap<Question, Issued>>);

impl IssuedGrants {
    fn lock(&self) -> MutexGuard<'_, HashMap<Question, Issued>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The grant that answers a question, if it is valid until `until` at least.
    pub fn find(&self, question: Question, until: Moment) -> Option<Arc<AccessGrant>> {
        let issued = self.lock();
        issued.get(&question).filter(|it| it.expires() > until).map(|it| Arc::clone(&it.grant))
    }

    pub fn keep(&self, question: Question, grant: Arc<AccessGrant>, now: Moment) {
        let requester = grant.terms().requester;
        let mut issued = self.lock();
        issued.retain(|_, it| it.expires() > now);
        if issued.values().filter(|it| it.requester == requester).count() >= EACH {
            forget_first(&mut issued, |it| it.requester == requester);
        }
        if issued.len() >= ALL {
            forget_first(&mut issued, |_| true);
        }
        issued.insert(question, Issued { requester, grant });
    }
}

/// Forgets the grant that expires first, among those that `of` selects.
fn forget_first(issued: &mut HashMap<Question, Issued>, of: impl Fn(&Issued) -> bool) {
    let some = issued.iter().filter(|(_, it)| of(it));
    if let Some(question) = some.min_by_key(|(_, it)| it.expires()).map(|(question, _)| *question) {
        issued.remove(&question);
    }
}

const MINUTE: Duration = Duration::from_secs(60);
/// With this number of requesters, the worker forgets those without a recent receipt.
const MANY: usize = 1_024;

/// The rate of new receipts of each requester. A minute's receipts may come at once.
pub(super) struct Rates {
    interval: Duration,
    /// Until when the rate of each requester is used up, at the pace of one receipt per interval.
    used: Mutex<HashMap<UserId, Instant>>,
}

impl Rates {
    pub fn new(per_minute: u32) -> Self {
        Self { interval: MINUTE / per_minute.max(1), used: Mutex::default() }
    }

    /// Counts a receipt. If the rate is used up, returns how long the requester must wait.
    pub fn count(&self, requester: UserId, now: Instant) -> Result<(), Duration> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= MANY {
            used.retain(|_, until| *until > now);
        }
        let until = used.get(&requester).copied().unwrap_or(now).max(now) + self.interval;
        let wait = until.saturating_duration_since(now + MINUTE);
        if !wait.is_zero() {
            return Err(wait);
        }
        used.insert(requester, until);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requester_has_a_rate_and_others_are_not_affected() {
        let (rates, now) = (Rates::new(3), Instant::now());
        let (one, other) = (UserId([1; 32]), UserId([2; 32]));
        for _ in 0..3 {
            rates.count(one, now).unwrap();
        }
        let wait = rates.count(one, now).unwrap_err();
        assert_eq!(wait, Duration::from_secs(20));
        rates.count(other, now).unwrap();
        rates.count(one, now + wait).unwrap();
        rates.count(one, now + wait).unwrap_err();
    }
}
