//! Hospitals that are active, leaving or neither.

use std::{cell::RefCell, collections::BTreeMap};

use epione_primitives::{AccountId, Hash, HospitalId, Moment, ports};

use crate::{agent_account, governance_account};

struct Admitted {
    active: bool,
    unready: bool,
    leaving: bool,
    removed: bool,
    sealing_key: Hash,
    governance: AccountId,
    agent: AccountId,
}

impl Admitted {
    fn new(id: HospitalId, governance: AccountId, agent: AccountId) -> Self {
        let sealing_key = Hash::from_low_u64_be(id.0.into());
        Self {
            active: true,
            unready: false,
            leaving: false,
            removed: false,
            sealing_key,
            governance,
            agent,
        }
    }

    fn serves(&self) -> bool {
        self.active || self.leaving
    }
}

thread_local! {
    static ADMITTED: RefCell<BTreeMap<HospitalId, Admitted>> = Default::default();
}

pub(crate) fn forget() {
    ADMITTED.set(BTreeMap::new());
}

/// Admits hospitals with the accounts of their numbers. They are active.
pub fn admit(hospitals: impl IntoIterator<Item = HospitalId>) {
    ADMITTED.with_borrow_mut(|admitted| {
        admitted.extend(hospitals.into_iter().map(|id| {
            let (governance, agent) = (governance_account(id.0), agent_account(id.0));
            (id, Admitted::new(id, governance, agent))
        }));
    });
}

fn change(hospital: HospitalId, change: impl FnOnce(&mut Admitted)) {
    ADMITTED.with_borrow_mut(|admitted| {
        change(admitted.get_mut(&hospital).expect("the test admitted this hospital"));
    });
}

/// Suspends an admitted hospital, or reinstates it.
pub fn set_active(hospital: HospitalId, active: bool) {
    change(hospital, |known| (known.active, known.leaving) = (active, false));
}

/// Lets an active hospital be ready to validate, or not.
pub fn set_ready(hospital: HospitalId, ready: bool) {
    change(hospital, |known| known.unready = !ready);
}

/// Lets an admitted hospital leave: it serves, but is not active.
pub fn set_leaving(hospital: HospitalId) {
    change(hospital, |known| (known.active, known.leaving) = (false, true));
}

/// Removes an admitted hospital for good.
pub fn remove_hospital(hospital: HospitalId) {
    change(hospital, |known| {
        (known.active, known.leaving, known.removed) = (false, false, true);
    });
}

/// Gives a hospital another agent account. The former one acts for it no more.
pub fn set_agent(hospital: HospitalId, agent: AccountId) {
    change(hospital, |known| known.agent = agent);
}

/// Gives a hospital a sealing key with another hash.
pub fn set_hospital_sealing_key(hospital: HospitalId, hash: Hash) {
    change(hospital, |known| known.sealing_key = hash);
}

/// Stands in for pallet-hospitals.
pub struct Hospitals;

impl Hospitals {
    fn first_with(holds: impl Fn(&Admitted) -> bool) -> Option<HospitalId> {
        ADMITTED.with_borrow(|admitted| {
            admitted.iter().find(|(_, known)| holds(known)).map(|(id, _)| *id)
        })
    }

    fn all_with(holds: impl Fn(&Admitted) -> bool) -> Vec<HospitalId> {
        ADMITTED.with_borrow(|admitted| {
            admitted.iter().filter(|(_, known)| holds(known)).map(|(id, _)| *id).collect()
        })
    }
}

impl ports::Hospitals for Hospitals {
    fn active_by_agent(account: &AccountId) -> Option<HospitalId> {
        Self::first_with(|known| known.active && known.agent == *account)
    }

    fn active_by_governance(account: &AccountId) -> Option<HospitalId> {
        Self::first_with(|known| known.active && known.governance == *account)
    }

    fn serving_by_agent(account: &AccountId) -> Option<HospitalId> {
        Self::first_with(|known| known.serves() && known.agent == *account)
    }

    fn serving_by_governance(account: &AccountId) -> Option<HospitalId> {
        Self::first_with(|known| known.serves() && known.governance == *account)
    }

    fn exists(hospital: HospitalId) -> bool {
        ADMITTED.with_borrow(|admitted| admitted.contains_key(&hospital))
    }

    fn is_removed(hospital: HospitalId) -> bool {
        ADMITTED.with_borrow(|admitted| admitted.get(&hospital).is_some_and(|known| known.removed))
    }

    /// The stand-in forgets when a hospital was suspended: it never served then.
    fn served_at(hospital: HospitalId, _: Moment) -> bool {
        ADMITTED.with_borrow(|admitted| admitted.get(&hospital).is_some_and(Admitted::serves))
    }

    fn active() -> Vec<HospitalId> {
        Self::all_with(|known| known.active)
    }

    fn unready() -> Vec<HospitalId> {
        Self::all_with(|known| known.active && known.unready)
    }

    fn serving() -> Vec<HospitalId> {
        Self::all_with(Admitted::serves)
    }

    fn recipient(hospital: HospitalId) -> Option<(AccountId, Hash)> {
        ADMITTED.with_borrow(|admitted| {
            let known = admitted.get(&hospital).filter(|known| known.active)?;
            Some((known.agent.clone(), known.sealing_key))
        })
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn remove(hospital: HospitalId) {
        remove_hospital(hospital);
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(governance: AccountId, agent: AccountId) -> HospitalId {
        Self::first_with(|known| known.active && known.agent == agent).unwrap_or_else(|| {
            ADMITTED.with_borrow_mut(|admitted| {
                let next = admitted.last_key_value().map_or(0, |(id, _)| id.0 + 1);
                let id = HospitalId(next);
                admitted.insert(id, Admitted::new(id, governance, agent));
                id
            })
        })
    }
}
