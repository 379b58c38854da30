use epione_primitives::{
    HospitalId, UserId,
    limits::MAX_PAGE,
    ports::{self, Users as _},
    profile::Role,
};
use frame_support::assert_ok;

use crate::mock::*;

/// Registers a patient of this number at a hospital.
fn patient(hospital: HospitalId, number: u8) -> UserId {
    let user = user(number);
    assert_ok!(Profiles::register(
        by(hospital),
        user,
        Role::Patient,
        account(number),
        sealing_key(number),
        consent(number, hospital, user),
        vec![number; 10],
    ));
    user
}

/// A hospital's members, page by page.
fn pages(hospital: HospitalId, limit: u32) -> Vec<Vec<UserId>> {
    let mut pages: Vec<Vec<UserId>> = Vec::new();
    loop {
        let after = pages.last().and_then(|page| page.last()).copied();
        let page: Vec<_> =
            Profiles::members(hospital, after, limit).into_iter().map(|(user, _)| user).collect();
        if page.is_empty() {
            return pages;
        }
        pages.push(page);
    }
}

#[test]
fn members_are_listed_with_their_registrations_even_if_ended() {
    chain(|| {
        alice_at_a();
        patient(B, 50);
        assert_ok!(Profiles::end_registration(by(A), alice()));
        assert_eq!(Profiles::members(A, None, 10), [(alice(), registration(A))]);
        assert_eq!(Profiles::members(A, Some(alice()), 10), []);
        assert_eq!(Profiles::members(HospitalId(2), None, 10), []);
        assert_ok!(register(A, consent(1, A, alice())));
        assert_ok!(Profiles::update(by(A), alice(), registration(A).body_hash, vec![1]));
        assert_eq!(Profiles::members(A, None, 10), [(alice(), registration(A))]);
    });
}

#[test]
fn pages_list_every_member_once() {
    chain(|| {
        let mut all: Vec<_> = (50..60).map(|number| patient(A, number)).collect();
        (60..65).for_each(|number| {
            patient(B, number);
        });
        for limit in [1, 3, 10, 100] {
            let pages = pages(A, limit);
            let (last, full) = pages.split_last().unwrap();
            assert!(full.iter().all(|page| page.len() == limit as usize));
            assert!(last.len() <= limit as usize);
            let mut listed = pages.concat();
            listed.sort_unstable();
            all.sort_unstable();
            assert_eq!(listed, all);
        }
        assert_eq!(Profiles::members(A, None, 0), []);
    });
}

#[test]
fn a_page_can_begin_after_a_user_who_is_no_member() {
    chain(|| {
        let all: Vec<_> = (50..60).map(|number| patient(A, number)).collect();
        let after = |user| Profiles::members(A, Some(user), 100).len();
        let strangers = (70..100).map(|number| UserId([number; 32]));
        assert!(strangers.clone().all(|stranger| after(stranger) <= all.len()));
        assert!(strangers.clone().any(|stranger| after(stranger) < all.len()));
    });
}

#[test]
fn a_page_of_members_is_bounded_whatever_the_limit() {
    chain(|| {
        (50..=50 + MAX_PAGE as u8).for_each(|number| {
            patient(A, number);
        });
        assert_eq!(Profiles::members(A, None, u32::MAX).len(), MAX_PAGE as usize);
        assert_eq!(pages(A, u32::MAX).len(), 2);
    });
}

#[test]
fn a_users_registrations_are_listed_by_hospital() {
    chain(|| {
        let c = HospitalId(2);
        for hospital in [c, A, B] {
            assert_ok!(register(hospital, consent(1, hospital, alice())));
        }
        assert_ok!(Profiles::end_registration(by(B), alice()));

        let listed = Profiles::registrations(alice());
        assert_eq!(listed.iter().map(|(hospital, _)| *hospital).collect::<Vec<_>>(), [A, B, c]);
        assert_eq!(listed[1].1, registration(B));
        assert_eq!(Profiles::registrations(UserId([9; 32])), vec![]);
    });
}

#[test]
fn a_user_is_found_by_account_and_has_a_role() {
    chain(|| {
        alice_at_a();
        assert_eq!(Profiles::by_account(&account(1)), Some(alice()));
        assert_eq!(Profiles::user_of(account(1)), Some(alice()));
        assert_eq!(Profiles::by_account(&agent(A)), None);
        assert_eq!(Profiles::role(alice()), Some(Role::Patient));
        assert_eq!(Profiles::role(UserId([9; 32])), None);
        assert_eq!(Profiles::sealing_key(alice()), Some(sealing_key(1)));
        assert_eq!(Profiles::sealing_key(UserId([9; 32])), None);
        let through_the_port = <Profiles as ports::Users>::in_force;
        assert_eq!(through_the_port(alice()), Profiles::in_force(alice()));
        assert_eq!(through_the_port(alice()), [A]);
        assert_eq!(through_the_port(UserId([9; 32])), []);
        assert_eq!(Profiles::profile(UserId([9; 32])), None);
    });
}

#[test]
fn a_registration_is_in_force_at_its_hospital_from_its_beginning() {
    chain(|| {
        alice_at_a();
        assert!(!Profiles::registered(A, alice(), START - 1));
        assert!(Profiles::registered(A, alice(), START));
        assert!(!Profiles::registered(B, alice(), START));
        assert!(!Profiles::registered(A, UserId([9; 32]), START));
        assert_eq!(Profiles::registration(B, alice()), None);
    });
}

#[test]
fn the_hospitals_at_which_a_user_was_ever_registered_are_filtered() {
    chain(|| {
        let user = patient(A, 20);
        assert_ok!(Profiles::end_registration(by(A), user));
        patient(B, 20);
        let mut all = Profiles::ever_registered_at(user, 9, |_| true);
        all.sort();
        assert_eq!(all, [A, B]);
        for wanted in [A, B] {
            assert_eq!(Profiles::ever_registered_at(user, 9, |id| *id == wanted), [wanted]);
        }
        assert_eq!(Profiles::ever_registered_at(user, 1, |_| true).len(), 1);
        assert!(Profiles::ever_registered_at(user, 9, |_| false).is_empty());
    });
}
