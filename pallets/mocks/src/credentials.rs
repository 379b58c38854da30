//! Attributes of users that hospitals confirm for a period.

use std::{cell::RefCell, collections::BTreeMap};

use epione_primitives::{
    HospitalId, Moment, UserId,
    credential::{AttributeId, Credential},
    ports,
};

type Key = (UserId, AttributeId, HospitalId);

thread_local! {
    static CREDENTIALS: RefCell<BTreeMap<Key, Credential>> = Default::default();
}

pub(crate) fn forget() {
    CREDENTIALS.set(BTreeMap::new());
}

/// Lets a hospital confirm an attribute of a user from `since` until `until`, whatever it confirmed before.
pub fn add_credential(
    user: UserId,
    attribute: AttributeId,
    issuer: HospitalId,
    since: Moment,
    until: Moment,
) {
    let credential = Credential { since, until, revoked: None };
    CREDENTIALS.with_borrow_mut(|all| all.insert((user, attribute, issuer), credential));
}

/// Stands in for pallet-credentials.
pub struct Credentials;

impl ports::Credentials for Credentials {
    fn holds(user: UserId, attribute: AttributeId, issuer: HospitalId, at: Moment) -> bool {
        CREDENTIALS.with_borrow(|all| {
            all.get(&(user, attribute, issuer)).is_some_and(|credential| credential.in_force(at))
        })
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(user: UserId, attribute: AttributeId, issuer: HospitalId) {
        add_credential(user, attribute, issuer, 0, Moment::MAX);
    }
}
