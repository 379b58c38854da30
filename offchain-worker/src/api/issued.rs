//! Grants that have not expired. A requester who sends the same request again gets the same grant, so that repeated
//! requests leave no further receipts on the chain. The rates of new grants of one requester are limited, per minute
//! and per day.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use codec::Encode;
use epione_envelope::grant::AccessGrant;
use epione_primitives::{
    AccountId, Hash, HospitalId, Moment, UserId,
    release::{Release, Request},
};

/// Maximum number of grants that the worker remembers: of all requesters, and of one. Of a requester, it forgets those
/// that expire first.
const ALL: usize = 1_024;
const EACH: usize = 16;

/// What is requested, and what a grant would give, to which account and to which sealing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question([u8; 32]);

impl Question {
    /// The hash of the grant in `release`, and what is different in each request (time, nonce and signature), are not
    /// part of the question.
    pub fn of(release: &Release, audience: &AccountId, sealing_key: Hash) -> Self {
        let Release { request, signature: _, records, rights, grant: _ } = release;
        let Request { requester, patient, hospital, purpose, emergency, .. } = request;
        let asked = (requester, patient, hospital, &request.records, purpose, emergency);
        let given = (records, rights, audience, sealing_key);
        Self(blake3::hash(&(asked, given).encode()).into())
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

    /// Keeps a grant, if there is room for it.
    pub fn keep(&self, question: Question, grant: Arc<AccessGrant>, now: Moment) {
        let requester = grant.terms().requester;
        let mut issued = self.lock();
        issued.retain(|_, it| it.expires() > now);
        let mut counts: HashMap<UserId, usize> = HashMap::new();
        for it in issued.values() {
            *counts.entry(it.requester).or_default() += 1;
        }
        match room(&counts, requester) {
            Room::Free => {}
            Room::Of(loser) => forget_first(&mut issued, loser),
            Room::None => return,
        }
        issued.insert(question, Issued { requester, grant });
    }
}

/// Where there is room for one more grant.
#[derive(Debug, PartialEq, Eq)]
enum Room {
    Free,
    /// In the place of one of this requester's.
    Of(UserId),
    None,
}

/// Whose grant makes room for one of `requester`'s: of the requester who has the most, but nobody loses one to a
/// requester who would then have as many or more. `counts` are the grants of each requester.
fn room(counts: &HashMap<UserId, usize>, requester: UserId) -> Room {
    let own = counts.get(&requester).copied().unwrap_or(0);
    if own >= EACH {
        return Room::Of(requester);
    }
    if counts.values().sum::<usize>() < ALL {
        return Room::Free;
    }
    match counts.iter().max_by_key(|(_, count)| **count) {
        Some((other, most)) if *most > own + 1 => Room::Of(*other),
        _ if own > 0 => Room::Of(requester),
        _ => Room::None,
    }
}

/// Forgets the requester's grant that expires first.
fn forget_first(issued: &mut HashMap<Question, Issued>, of: UserId) {
    let some = issued.iter().filter(|(_, it)| it.requester == of);
    if let Some(question) = some.min_by_key(|(_, it)| it.expires()).map(|(question, _)| *question) {
        issued.remove(&question);
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
/// Requests of one requester in emergencies.
const EMERGENCIES_PER_MINUTE: u32 = 30;
const EMERGENCIES_PER_DAY: u32 = 300;
/// Parts of claims for one custodian. Its worker asks once for each claim of up to 64 patients, and again if too few
/// members answered; each claim takes some blocks.
const CLAIM_PARTS_PER_MINUTE: u32 = 30;
const CLAIM_PARTS_PER_DAY: u32 = 2_000;
/// With this number of requesters, the worker forgets those without a recent receipt.
const MANY: usize = 1_024;

/// A rate of receipts. All receipts of a period may come at once.
#[derive(Clone, Copy)]
struct Rate {
    period: Duration,
    interval: Duration,
}

impl Rate {
    fn new(period: Duration, receipts: u32) -> Self {
        Self { period, interval: period / receipts.max(1) }
    }

    /// Until when one more receipt uses the rate up, if it is used up until `until`; the error is how long to wait.
    fn next(self, until: Instant, now: Instant) -> Result<Instant, Duration> {
        let next = until.max(now) + self.interval;
        let wait = next.saturating_duration_since(now + self.period);
        if wait.is_zero() { Ok(next) } else { Err(wait) }
    }
}

/// The rates of new receipts of each requester, or of what else each `K` asks for.
pub(super) struct Rates<K = UserId> {
    minute: Rate,
    day: Rate,
    /// Until when each requester has used up the rates of the minute and of the day, at the pace of one receipt per
    /// interval.
    used: Mutex<HashMap<K, (Instant, Instant)>>,
}

impl Rates {
    /// For requests in emergencies. The chain records few of a requester's; the worker bounds its work for the others.
    pub fn of_emergencies() -> Self {
        Self::new(EMERGENCIES_PER_MINUTE, EMERGENCIES_PER_DAY)
    }
}

impl Rates<HospitalId> {
    /// For parts of claims. The chain records one for each claim; the worker bounds its work for the others.
    pub fn of_claim_parts() -> Self {
        Self::new(CLAIM_PARTS_PER_MINUTE, CLAIM_PARTS_PER_DAY)
    }
}

impl<K: Copy + Eq + std::hash::Hash> Rates<K> {
    pub fn new(per_minute: u32, per_day: u32) -> Self {
        let (minute, day) = (Rate::new(MINUTE, per_minute), Rate::new(DAY, per_day));
        Self { minute, day, used: Mutex::default() }
    }

    /// Counts a receipt. If the rate is used up, returns how long the requester must wait.
    pub fn count(&self, requester: K, now: Instant) -> Result<(), Duration> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= MANY {
            used.retain(|_, (minute, day)| *minute > now || *day > now);
        }
        let (minute, day) = used.get(&requester).copied().unwrap_or((now, now));
        // A receipt that one rate refuses does not count for the other.
        let next = (self.minute.next(minute, now)?, self.day.next(day, now)?);
        used.insert(requester, next);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requester_has_a_rate_and_others_are_not_affected() {
        let (rates, now) = (Rates::new(3, 1_000), Instant::now());
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

    #[test]
    fn the_parts_of_a_claim_have_a_rate_of_a_minute_and_of_a_day() {
        let (rates, begun) = (Rates::of_claim_parts(), Instant::now());
        let minutes = (0..24 * 60_u32).flat_map(|minute| [minute; 60]);
        let mut counted = [0_u32; 2];
        for minute in minutes {
            let is_counted = rates.count(HospitalId(1), begun + minute * MINUTE).is_ok();
            counted[usize::from(minute > 0)] += u32::from(is_counted);
        }
        assert_eq!(counted[0], CLAIM_PARTS_PER_MINUTE);
        // A day's parts at once, and those of a day after that.
        let most = 2 * CLAIM_PARTS_PER_DAY;
        assert!((CLAIM_PARTS_PER_DAY..=most).contains(&counted[1]), "{counted:?}");
        rates.count(HospitalId(2), begun).unwrap();
    }

    #[test]
    fn nobody_s_grants_are_forgotten_for_a_requester_with_more() {
        let user = |id: usize| UserId(blake3::hash(&id.to_le_bytes()).into());
        let mut counts: HashMap<_, _> = (0..ALL / EACH).map(|id| (user(id), EACH)).collect();
        let (honest, last) = (user(usize::MAX), user(0));
        assert_eq!(room(&counts, last), Room::Of(last));
        let Room::Of(loser) = room(&counts, honest) else { panic!() };
        *counts.get_mut(&loser).unwrap() -= 1;
        counts.insert(honest, 1);
        // The honest requester's one grant is never the one that is forgotten.
        for id in 0..ALL / EACH {
            assert_ne!(room(&counts, user(id)), Room::Of(honest));
        }
        let full: HashMap<_, _> = (0..ALL).map(|id| (user(id), 1)).collect();
        assert_eq!(room(&full, honest), Room::None);
        assert_eq!(room(&full, last), Room::Of(last));
        assert_eq!(room(&HashMap::new(), honest), Room::Free);
    }

    #[test]
    fn a_requester_within_the_rate_of_a_minute_cannot_use_up_the_hospital_s_receipts_of_a_day() {
        let (rates, begun) = (Rates::new(120, 1_000), Instant::now());
        let one = UserId([1; 32]);
        let minutes = (0..3 * 60_u32).flat_map(|minute| [minute; 120]);
        let recorded = minutes.filter(|minute| rates.count(one, begun + *minute * MINUTE).is_ok());
        // A day's receipts at once, and an eighth of a day's.
        assert!((1_000..=1_130).contains(&recorded.count()));
        rates.count(UserId([2; 32]), begun + 180 * MINUTE).unwrap();
    }
}
