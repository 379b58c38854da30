//! Every broken invariant is detected.

use epione_primitives::{
    Hash, HospitalId, UserId,
    profile::{Objection, Period, Recovery, Registration, RegistrationStatus},
};
use frame_support::assert_ok;

use crate::{
    Accounts, EarlierPages, EarlierPeriods, InForce, LastRotation, Members, PeriodPage,
    ProfileHistory, Profiles as Stored, ProposalList, Proposals, Recoveries, RecoveryPauses,
    RegistrationBodies, Registrations, SealingKeys, mock::*,
};

/// The error after `damage` to Alice, who has rotated her keys once and whose
/// registration was suspended once.
fn after(damage: impl FnOnce()) -> &'static str {
    externalities().execute_with(|| {
        at(START);
        alice_at_a();
        let origin = RuntimeOrigin::signed(account(1));
        assert_ok!(Profiles::rotate_keys(origin, Some(held(2, alice())), None));
        at(2_000);
        assert_ok!(Profiles::suspend(by(A), alice()));
        at(3_000);
        assert_ok!(Profiles::reinstate(by(A), alice()));
        assert_ok!(Profiles::check_state());
        damage();
        Profiles::check_state().unwrap_err().into()
    })
}

fn edit(change: impl FnOnce(&mut Registration)) {
    Registrations::<Test>::mutate(alice(), A, |registration| {
        change(registration.as_mut().unwrap())
    });
}

#[test]
fn accounts_that_disagree_are_found() {
    assert!(after(|| Accounts::<Test>::remove(account(2))).contains("not listed"));
    assert!(after(|| Accounts::<Test>::insert(account(1), alice())).contains("belongs to no user"));
}

#[test]
fn an_account_without_its_sufficient_reference_is_found() {
    let damage = || {
        System::dec_sufficients(&account(2));
    };
    assert!(after(damage).contains("no sufficient reference"));
}

#[test]
fn a_gap_in_the_history_is_found() {
    assert!(after(|| ProfileHistory::<Test>::remove(alice(), 1)).contains("is missing"));
    let extra = || ProfileHistory::<Test>::insert(alice(), 2, profile());
    assert!(after(extra).contains("never existed"));
}

#[test]
fn a_user_without_a_registration_is_found() {
    assert!(after(|| Registrations::<Test>::remove(alice(), A)).contains("has no registration"));
}

#[test]
fn a_registration_without_user_or_hospital_is_found() {
    let stray = || Registrations::<Test>::insert(UserId([9; 32]), A, registration(A));
    assert!(after(stray).contains("a registration belongs to no user"));
    let astray = || Registrations::<Test>::insert(alice(), HospitalId(9), registration(A));
    assert!(after(astray).contains("at no hospital"));
}

#[test]
fn bodies_that_disagree_are_found() {
    assert!(after(|| RegistrationBodies::<Test>::remove((alice(), A, 1))).contains("is missing"));
    assert!(after(|| edit(|of| of.body_hash = Hash::zero())).contains("not the newest"));
    let extra = || RegistrationBodies::<Test>::insert((alice(), A, 2), Hash::zero());
    assert!(after(extra).contains("belongs to no registration"));
}

#[test]
fn members_that_disagree_are_found() {
    assert!(after(|| Members::<Test>::remove(A, alice())).contains("not a member"));
    assert!(after(|| Members::<Test>::insert(B, alice(), ())).contains("never registered"));
}

#[test]
fn rotations_that_disagree_are_found() {
    assert!(after(|| LastRotation::<Test>::remove(alice())).contains("not recorded"));
    assert!(after(|| LastRotation::<Test>::insert(alice(), 3_001)).contains("in the future"));
    let stray = || LastRotation::<Test>::insert(UserId([9; 32]), START);
    assert!(after(stray).contains("first keys"));
}

#[test]
fn keys_of_another_age_are_found() {
    assert!(after(|| LastRotation::<Test>::insert(alice(), START - 1)).contains("not as old"));
    let damage = || {
        Stored::<Test>::mutate(alice(), |profile| profile.as_mut().unwrap().since += 1);
    };
    assert!(after(damage).contains("not as old"));
}

#[test]
fn sealing_keys_that_disagree_are_found() {
    let missing = || SealingKeys::<Test>::remove(alice(), sealing_key(1));
    assert!(after(missing).contains("sealing key is not listed"));
    let stray = || SealingKeys::<Test>::insert(alice(), sealing_key(9), ());
    assert!(after(stray).contains("never had"));
}

#[test]
fn recoveries_that_disagree_are_found() {
    let good = || Recovery {
        hospital: A,
        account: account(3),
        sealing_key_hash: sealing_key(3),
        version: 2,
        due: 5,
        lapses: 9,
        objection: None,
    };
    let stray = || Recoveries::<Test>::insert(UserId([9; 32]), good());
    assert!(after(stray).contains("for no user"));
    let put = |recovery: Recovery| {
        let listed = ProposalList::truncate_from(vec![(alice(), recovery.lapses)]);
        Proposals::<Test>::insert(recovery.hospital, listed);
        if recovery.objection.is_some() {
            RecoveryPauses::<Test>::insert(alice(), recovery.hospital, recovery.lapses);
        }
        Recoveries::<Test>::insert(alice(), recovery);
    };
    let with = |change: fn(&mut Recovery)| {
        after(|| {
            let mut recovery = good();
            change(&mut recovery);
            put(recovery);
        })
    };
    assert!(with(|recovery| recovery.hospital = B).contains("never registered there"));
    assert!(with(|recovery| recovery.lapses = 4).contains("before it is due"));
    assert!(with(|recovery| recovery.version = 3).contains("a future profile"));
    assert!(with(|recovery| recovery.version = 1).contains("has other keys since"));
    externalities().execute_with(|| {
        at(START);
        alice_at_a();
        let origin = RuntimeOrigin::signed(account(1));
        assert_ok!(Profiles::rotate_keys(origin, Some(held(2, alice())), None));
        put(good());
        assert_ok!(Profiles::check_state());
        put(Recovery { version: 1, objection: Some(Objection::User), ..good() });
        assert_ok!(Profiles::check_state());
        RecoveryPauses::<Test>::remove(alice(), A);
        let waits = Profiles::check_state().unwrap_err();
        assert!(<&str>::from(waits).contains("does not wait after an objection"));
        // Keys for an earlier profile, which have lapsed.
        System::set_block_number(9);
        put(Recovery { version: 1, ..good() });
        assert_ok!(Profiles::check_state());
    });
}

#[test]
fn proposals_that_disagree_are_found() {
    let of = |hospital| {
        let listed = ProposalList::truncate_from(vec![(alice(), 9)]);
        Proposals::<Test>::insert(hospital, listed);
    };
    assert!(after(|| of(A)).contains("is listed that is not stored"));
    let objection = Some(Objection::User);
    let unlisted = |listed: Option<HospitalId>| {
        after(|| {
            let (account, sealing_key_hash) = (account(3), sealing_key(3));
            let (hospital, version, due, lapses) = (A, 2, 5, 9);
            let recovery =
                Recovery { hospital, account, sealing_key_hash, version, due, lapses, objection };
            RecoveryPauses::<Test>::insert(alice(), A, 9);
            Recoveries::<Test>::insert(alice(), recovery);
            listed.into_iter().for_each(of);
        })
    };
    for listed in [None, Some(B)] {
        assert!(unlisted(listed).contains("not listed under the hospital"));
    }
    let stray = || RecoveryPauses::<Test>::insert(alice(), B, 9);
    assert!(after(stray).contains("never registered there"));
}

#[test]
fn an_id_that_does_not_follow_from_the_first_keys_is_found() {
    let damage = || {
        ProfileHistory::<Test>::mutate(alice(), 1, |first| {
            first.as_mut().unwrap().sealing_key_hash = sealing_key(9);
        });
    };
    assert!(after(damage).contains("does not follow from the first keys"));
}

#[test]
fn a_status_that_disagrees_with_its_period_is_found() {
    let damage = || {
        edit(|of| of.status = RegistrationStatus::Ended);
        InForce::<Test>::remove(alice());
    };
    assert!(after(damage).contains("or the reverse"));
    assert!(after(|| edit(|of| of.periods.clear())).contains("never in force"));
}

#[test]
fn periods_out_of_order_are_found() {
    let overlap = || edit(|of| of.periods[0].until = Some(3_001));
    assert!(after(overlap).contains("do not follow"));
    let open = || edit(|of| of.periods[0].until = None);
    assert!(after(open).contains("do not follow"));
    let backwards = || edit(|of| of.periods[0] = Period { since: 5_000, until: Some(2_000) });
    assert!(after(backwards).contains("do not follow"));
}

#[test]
fn a_profile_without_a_version_is_found() {
    let damage = || {
        Stored::<Test>::mutate(alice(), |profile| profile.as_mut().unwrap().version = 0);
    };
    assert!(after(damage).contains("is missing"));
}

#[test]
fn a_list_of_what_is_in_force_that_disagrees_is_found() {
    assert!(after(|| InForce::<Test>::remove(alice())).contains("not listed as in force"));
    let twice = || InForce::<Test>::mutate(alice(), |hospitals| hospitals.force_push(A));
    assert!(after(twice).contains("that is not active"));
    let elsewhere = || InForce::<Test>::mutate(alice(), |hospitals| hospitals.force_push(B));
    assert!(after(elsewhere).contains("that is not active"));
}

#[test]
fn pages_of_periods_that_disagree_are_found() {
    let stray = || EarlierPeriods::<Test>::insert((alice(), A, 0), PeriodPage::default());
    assert!(after(stray).contains("belongs to no registration"));
    let missing = || EarlierPages::<Test>::insert(alice(), A, 1);
    assert!(after(missing).contains("not complete"));
    let full = || {
        edit(|of| {
            of.status = RegistrationStatus::Ended;
            let ended = Period { since: START, until: Some(START) };
            of.periods = vec![ended; 32].try_into().unwrap();
        });
    };
    assert!(after(full).contains("no room"));
}
