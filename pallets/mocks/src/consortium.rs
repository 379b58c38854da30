//! The consortium key, and the hospitals that have a share of it.

use std::{cell::RefCell, collections::BTreeSet};

use epione_primitives::{
    HospitalId,
    consortium::{EpochId, KeyId},
    ports,
};

thread_local! {
    static CURRENT: RefCell<Option<(KeyId, EpochId)>> = Default::default();
    static MEMBERS: RefCell<BTreeSet<HospitalId>> = Default::default();
}

pub(crate) fn forget() {
    CURRENT.set(None);
    MEMBERS.set(BTreeSet::new());
}

/// Begins an epoch of a key, in which these hospitals have shares, and no others.
pub fn begin_epoch(key: KeyId, epoch: EpochId, members: impl IntoIterator<Item = HospitalId>) {
    CURRENT.set(Some((key, epoch)));
    MEMBERS.set(members.into_iter().collect());
}

/// Takes the key away, as before the first ceremony.
pub fn without_key() {
    forget();
}

/// Stands in for pallet-consortium-key.
pub struct ConsortiumKey;

impl ports::ConsortiumKey for ConsortiumKey {
    fn current() -> Option<(KeyId, EpochId)> {
        CURRENT.with_borrow(|current| *current)
    }

    fn is_member(hospital: HospitalId) -> bool {
        MEMBERS.with_borrow(|members| members.contains(&hospital))
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(hospital: HospitalId) {
        begin_epoch(KeyId(1), EpochId(1), [hospital]);
    }
}
