//! Hospitals that are active or not.

use std::{cell::RefCell, collections::BTreeMap};

use epione_primitives::{AccountId, HospitalId, Moment, ports};

use crate::{agent_account, governance_account};

struct Admitted {
    active: bool,
    governance: AccountId,
    agent: AccountId,
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
            (id, Admitted { active: true, governance, agent })
        }));
    });
}

/// Suspends an admitted hospital, or reinstates it.
pub fn set_active(hospital: HospitalId, active: bool) {
    ADMITTED.with_borrow_mut(|admitted| {
        admitted.get_mut(&hospital).expect("the test admitted this hospital").active = active;
    });
}

/// Gives an admitted hospital another agent account. The former one acts for it no more.
pub fn set_agent(hospital: HospitalId, agent: AccountId) {
    ADMITTED.with_borrow_mut(|admitted| {
        admitted.get_mut(&hospital).expect("the test admitted this hospital").agent = agent;
    });
}

/// Stands in for pallet-hospitals.
pub struct Hospitals;

impl Hospitals {
    fn active_with(account: impl Fn(&Admitted) -> bool) -> Option<HospitalId> {
        ADMITTED.with_borrow(|admitted| {
            admitted.iter().find(|(_, known)| known.active && account(known)).map(|(id, _)| *id)
        })
    }
}

impl ports::Hospitals for Hospitals {
    fn active_by_agent(account: &AccountId) -> Option<HospitalId> {
        Self::active_with(|known| known.agent == *account)
    }

    fn active_by_governance(account: &AccountId) -> Option<HospitalId> {
        Self::active_with(|known| known.governance == *account)
    }

    fn exists(hospital: HospitalId) -> bool {
        ADMITTED.with_borrow(|admitted| admitted.contains_key(&hospital))
    }

    /// The stand-in removes no hospital.
    fn is_removed(_: HospitalId) -> bool {
        false
    }

    /// The stand-in forgets when a hospital was suspended: it was never active then.
    fn active_at(hospital: HospitalId, _: Moment) -> bool {
        ADMITTED.with_borrow(|admitted| admitted.get(&hospital).is_some_and(|known| known.active))
    }

    fn active() -> Vec<HospitalId> {
        ADMITTED.with_borrow(|admitted| {
            admitted.iter().filter(|(_, known)| known.active).map(|(id, _)| *id).collect()
        })
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(governance: AccountId, agent: AccountId) -> HospitalId {
        Self::active_with(|known| known.agent == agent).unwrap_or_else(|| {
            ADMITTED.with_borrow_mut(|admitted| {
                let next = admitted.last_key_value().map_or(0, |(id, _)| id.0 + 1);
                admitted.insert(HospitalId(next), Admitted { active: true, governance, agent });
                HospitalId(next)
            })
        })
    }
}
