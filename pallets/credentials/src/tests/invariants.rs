//! The invariants find each broken state.

use epione_primitives::{
    Moment,
    credential::Credential,
    limits::{MAX_ATTRIBUTES, MAX_CREDENTIAL_MILLIS},
};
use frame_support::assert_err;

use super::*;
use crate::{
    AttributeCount, Attributes, ByName, Credentials as Newest, EarlierCount, EarlierCredentials,
};

fn credential(since: Moment, until: Moment, revoked: Option<Moment>) -> Credential {
    Credential { since, until, revoked }
}

/// Breaks the state, and checks that the invariants say this.
fn broken(message: &'static str, break_state: impl FnOnce()) {
    externalities().execute_with(|| {
        break_state();
        assert_err!(Credentials::check_state(), message);
    });
}

#[test]
fn broken_attributes_are_found() {
    broken("there are too many attributes", || AttributeCount::<Test>::put(MAX_ATTRIBUTES + 1));
    broken("an attribute has no name", || AttributeCount::<Test>::put(3));
    broken("the name of an attribute is invalid", || {
        Attributes::<Test>::insert(ONCOLOGY, name("Oncology"));
    });
    broken("an attribute is not found by its name", || {
        Attributes::<Test>::insert(ONCOLOGY, name("cardiology"));
    });
    broken("an attribute beyond the next number has a name", || {
        Attributes::<Test>::insert(UNNAMED, name("pharmacy"));
    });
    broken("a name belongs to no attribute", || {
        ByName::<Test>::insert(name("pharmacy"), CARDIOLOGY);
    });
}

#[test]
fn a_broken_credential_is_found() {
    let key = (DOCTOR, CARDIOLOGY, ISSUER);
    for (wrong, message) in [
        (credential(5, 5, None), "a credential ended before it began"),
        (credential(5, 4, None), "a credential ended before it began"),
        (credential(5, 6 + MAX_CREDENTIAL_MILLIS, None), "a credential lasts longer than it may"),
        (credential(5, 9, Some(4)), "a credential was revoked while it was not in force"),
        (credential(5, 9, Some(9)), "a credential was revoked while it was not in force"),
    ] {
        broken(message, || Newest::<Test>::insert(key, wrong));
    }
    broken("a credential is of an attribute without a name", || {
        Newest::<Test>::insert((DOCTOR, UNNAMED, ISSUER), credential(5, 9, None));
    });
}

#[test]
fn a_broken_history_is_found() {
    let (newest, earlier) = (credential(8, 9, None), credential(5, 6, None));
    let store = |count: u32, number: u32, earlier: Credential| {
        Newest::<Test>::insert((DOCTOR, CARDIOLOGY, ISSUER), newest);
        EarlierCount::<Test>::insert((DOCTOR, CARDIOLOGY, ISSUER), count);
        EarlierCredentials::<Test>::insert((DOCTOR, CARDIOLOGY, ISSUER, number), earlier);
    };
    externalities().execute_with(|| {
        store(1, 0, earlier);
        Credentials::check_state().unwrap();
    });
    broken("an earlier credential is missing", || store(2, 0, earlier));
    broken("an earlier credential is missing", || store(1, 1, earlier));
    broken("an earlier credential is not counted", || store(0, 0, earlier));
    broken("credentials are not in order", || store(1, 0, credential(9, 20, Some(9))));
    broken("two credentials overlap", || store(1, 0, credential(5, 20, None)));
    broken("a credential ended before it began", || store(1, 0, credential(5, 5, None)));
    broken("earlier credentials are counted without any", || {
        let other = (INSURER, CARDIOLOGY, ISSUER);
        Newest::<Test>::insert(other, newest);
        EarlierCount::<Test>::insert(other, 0);
    });
}
