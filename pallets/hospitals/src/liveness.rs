//! Proof of life: which hospitals are ready to validate, and which validators make no blocks.
//!
//! A validator that is down costs the chain its slots, and a third of them costs it finality. So a session's end
//! unseats the validators that made no block in the whole session. That is no punishment: the hospital keeps its seat
//! in the council, and validates again after its worker has said that it is ready.

use alloc::{collections::BTreeMap, vec::Vec};
use epione_primitives::{AccountId, HospitalId, hospital::Duty};

use crate::{Accounts, Active, Authored, Config, Event, HospitalSet, Pallet, Unready, Watched};

impl<T: Config> Pallet<T> {
    /// Counts a block for the hospital of this governance account, which made it.
    pub fn note_author(governance: &AccountId) {
        if let Some((hospital, Duty::Governance)) = Accounts::<T>::get(governance) {
            Authored::<T>::mutate(hospital, |blocks| *blocks = blocks.saturating_add(1));
        }
    }

    /// Whether the hospital validates as soon as it has session keys, apart from a bench.
    pub(crate) fn is_ready(hospital: HospitalId) -> bool {
        Unready::<T>::get().binary_search(&hospital).is_err()
    }

    /// Lets an active hospital validate no more until its agent says that it is ready.
    pub(crate) fn begin_unready(hospital: HospitalId) {
        Unready::<T>::mutate(|unready| insert(unready, hospital));
    }

    /// Returns whether the hospital was unready.
    pub(crate) fn end_unready(hospital: HospitalId) -> bool {
        Unready::<T>::mutate(|unready| take(unready, hospital))
    }

    /// A hospital that was hindered in this session is not expected to make blocks in it.
    pub(crate) fn stop_watching(hospital: HospitalId) {
        Watched::<T>::mutate(|watched| take(watched, hospital));
    }

    /// Begins to watch those of the session's validators that are able to make blocks.
    pub(crate) fn watch(validators: &[HospitalId]) {
        let mut watched = HospitalSet::new();
        for hospital in validators {
            if Self::may_validate(*hospital) && Self::is_ready(*hospital) {
                insert(&mut watched, *hospital);
            }
        }
        Watched::<T>::put(watched);
    }

    /// Unseats the validators that made no block in the session that ends, beginning with the lowest id, as many as
    /// [`unseated`] allows.
    pub(crate) fn unseat_silent() {
        let authored: BTreeMap<HospitalId, u32> = Authored::<T>::drain().collect();
        let able = Self::able();
        let validates = |hospital: &HospitalId| able.binary_search(hospital).is_ok();
        let silent: Vec<_> = Watched::<T>::take()
            .into_iter()
            .filter(|hospital| validates(hospital) && !authored.contains_key(hospital))
            .collect();
        let count = unseated(able.len(), silent.len(), Active::<T>::get().len());
        for hospital in silent.into_iter().take(count) {
            Self::begin_unready(hospital);
            Self::deposit_event(Event::Unseated { hospital });
        }
    }
}

/// How many of the `silent` ones among the `able` validators are unseated, of so many `active` hospitals: as many as
/// possible, and none if that is not possible without harm. For those that stay, this must hold:
///
/// - They are at least two thirds of the active hospitals, so that of a divided network at most one side goes on.
/// - Any two quorums of GRANDPA among them have more hospitals in common than may be malicious of all active ones.
///   Otherwise these could cut honest hospitals off the network until they are unseated, and then finalize two
///   histories.
/// - Those that make blocks are a quorum without the silent ones that stay. Otherwise finality has stalled already, and
///   the chain would wait for just those: the return of one that was unseated would not help, because nothing becomes
///   final in which it could be seated again.
fn unseated(able: usize, silent: usize, active: usize) -> usize {
    let fewest = active.saturating_mul(2).div_ceil(3);
    let malicious = active.saturating_sub(1) / 3;
    let present = able.saturating_sub(silent);
    let is_harmless = |left: usize| {
        let quorum = left.saturating_sub(left.saturating_sub(1) / 3);
        let shared = quorum.saturating_mul(2).saturating_sub(left);
        left >= fewest && present >= quorum && shared > malicious
    };
    (1..=silent).rev().find(|count| is_harmless(able.saturating_sub(*count))).unwrap_or(0)
}

/// Adds a hospital to an ascending set. There is room for all hospitals that are not removed.
fn insert(set: &mut HospitalSet, hospital: HospitalId) {
    if let Err(position) = set.binary_search(&hospital) {
        let added = set.try_insert(position, hospital);
        debug_assert!(added.is_ok(), "at most MAX_HOSPITALS hospitals are not removed");
    }
}

/// Removes a hospital from an ascending set. Returns whether it was in the set.
fn take(set: &mut HospitalSet, hospital: HospitalId) -> bool {
    let position = set.binary_search(&hospital);
    position.map(|position| set.remove(position)).is_ok()
}
