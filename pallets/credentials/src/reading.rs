//! Reading attributes and credentials: for decisions through the port, for nodes and clients through the runtime API.

use alloc::vec::Vec;
use epione_primitives::{
    HospitalId, Moment, UserId,
    credential::{AttributeId, AttributeName, Credential},
    limits::MAX_PAGE,
    ports,
};

use crate::{
    AttributeCount, Attributes, Config, Credentials, EarlierCount, EarlierCredentials, Pallet,
};

impl<T: Config> Pallet<T> {
    /// The attributes that the council named, ascending, from `from` on: at most `limit` and [`MAX_PAGE`].
    pub fn attributes(from: AttributeId, limit: u32) -> Vec<(AttributeId, AttributeName)> {
        (from.0..AttributeCount::<T>::get())
            .take(limit.min(MAX_PAGE) as usize)
            .map(AttributeId)
            .filter_map(|attribute| Some((attribute, Attributes::<T>::get(attribute)?)))
            .collect()
    }

    /// The newest credential of a user for each attribute and issuer, in force or not, in the order of the chain's
    /// storage, after `after`: at most `limit` and [`MAX_PAGE`]. Credentials that are issued between two calls may be
    /// sorted before `after`.
    pub fn credentials(
        user: UserId,
        after: Option<(AttributeId, HospitalId)>,
        limit: u32,
    ) -> Vec<(AttributeId, HospitalId, Credential)> {
        let entries = match after {
            None => Credentials::<T>::iter_prefix((user,)),
            Some((attribute, issuer)) => {
                let key = Credentials::<T>::hashed_key_for((user, attribute, issuer));
                Credentials::<T>::iter_prefix_from((user,), key)
            }
        };
        entries
            .take(limit.min(MAX_PAGE) as usize)
            .map(|((attribute, issuer), credential)| (attribute, issuer, credential))
            .collect()
    }

    /// Whether an earlier credential was in force at a moment. They began in order and do not overlap, so only the last
    /// that had begun can have been, and it is found by halving.
    fn was_in_force(user: UserId, attribute: AttributeId, issuer: HospitalId, at: Moment) -> bool {
        let earlier = |number: u32| EarlierCredentials::<T>::get((user, attribute, issuer, number));
        // Those below `begun` had begun at the moment; those from `later` on had not.
        let mut begun = 0;
        let mut later = EarlierCount::<T>::get((user, attribute, issuer));
        while begun < later {
            let middle = u32::midpoint(begun, later);
            if earlier(middle).is_some_and(|credential| credential.since <= at) {
                begun = middle.saturating_add(1);
            } else {
                later = middle;
            }
        }
        begun.checked_sub(1).and_then(earlier).is_some_and(|last| last.in_force(at))
    }
}

impl<T: Config> ports::Credentials for Pallet<T> {
    fn holds(user: UserId, attribute: AttributeId, issuer: HospitalId, at: Moment) -> bool {
        match Credentials::<T>::get((user, attribute, issuer)) {
            Some(newest) if newest.since <= at => newest.in_force(at),
            Some(_) => Self::was_in_force(user, attribute, issuer, at),
            None => false,
        }
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(user: UserId, attribute: AttributeId, issuer: HospitalId) {
        let always = Credential { since: 0, until: Moment::MAX, revoked: None };
        Credentials::<T>::insert((user, attribute, issuer), always);
    }
}
