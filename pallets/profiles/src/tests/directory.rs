use epione_primitives::{HospitalId, UserId, ports::Users as _, profile::Role};
use frame_support::assert_ok;

use crate::mock::*;

#[test]
fn a_users_registrations_are_listed_by_hospital() {
    chain(|| {
        let c = HospitalId(2);
        assert_ok!(register(c, None));
        assert_ok!(register(A, Some(consent(1, A, ALICE))));
        assert_ok!(register(B, Some(consent(1, B, ALICE))));
        assert_ok!(Profiles::end_registration(by(B), ALICE));

        let listed = Profiles::registrations(ALICE);
        assert_eq!(listed.iter().map(|(hospital, _)| *hospital).collect::<Vec<_>>(), [A, B, c]);
        assert_eq!(listed[1].1, registration(B));
        assert_eq!(Profiles::registrations(UserId([9; 32])), vec![]);
    });
}

#[test]
fn a_user_is_known_by_account_and_role() {
    chain(|| {
        alice_at_a();
        assert_eq!(Profiles::by_account(&account(1)), Some(ALICE));
        assert_eq!(Profiles::user_of(account(1)), Some(ALICE));
        assert_eq!(Profiles::by_account(&agent(A)), None);
        assert_eq!(Profiles::role(ALICE), Some(Role::Patient));
        assert_eq!(Profiles::role(UserId([9; 32])), None);
        assert_eq!(Profiles::profile(UserId([9; 32])), None);
    });
}

#[test]
fn a_user_is_registered_from_a_moment_on_where_they_were_registered() {
    chain(|| {
        alice_at_a();
        assert!(!Profiles::registered(A, ALICE, START - 1));
        assert!(Profiles::registered(A, ALICE, START));
        assert!(!Profiles::registered(B, ALICE, START));
        assert!(!Profiles::registered(A, UserId([9; 32]), START));
        assert_eq!(Profiles::registration(B, ALICE), None);
    });
}
