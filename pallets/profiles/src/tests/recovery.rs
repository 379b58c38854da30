//! New keys for a user who has lost the present ones: who proposes, objects and completes.

use epione_primitives::{
    Hash, HospitalId, UserId,
    limits::{
        DAY_BLOCKS, MAX_CONSENT_BLOCKS, RECOVERY_BLOCKS, RECOVERY_COMPLETION_BLOCKS,
        ROTATION_PAUSE_MILLIS,
    },
    naming::{NamedAccount, Naming},
    profile::{Objection, Recovery},
};
use frame_support::{assert_noop, assert_ok, dispatch::DispatchResult};
use sp_runtime::DispatchError::BadOrigin;

use super::{only_agents, only_where_registered};
use crate::{Error, Event, ProfileHistory, Profiles as Stored, Proposals, Recoveries, mock::*};

const C: HospitalId = HospitalId(2);
/// The block of the proposals in these tests.
const PROPOSED: u64 = 1;
pub(super) const DUE: u64 = PROPOSED + RECOVERY_BLOCKS as u64;
/// The first block in which the council can complete a recovery.
pub(super) const DUE_FOR_COUNCIL: u64 = PROPOSED + DAY_BLOCKS as u64;
pub(super) const LAPSES: u64 = DUE + RECOVERY_COMPLETION_BLOCKS as u64;

/// The origin of a key's account.
pub(super) fn key_of(seed: u8) -> RuntimeOrigin {
    RuntimeOrigin::signed(account(seed))
}

/// The last block in which the consents of these tests are valid.
fn until() -> u32 {
    System::block_number() as u32 + 10
}

fn naming(seed: u8, hospital: HospitalId, version: u32) -> Naming {
    let (user, sealing_key_hash, until) = (alice(), sealing_key(seed), until());
    Naming::Recovery { hospital, user, sealing_key_hash, version, until }
}

/// An account with the signature of a key's holder.
fn named(of: u8, by: u8, naming: Naming) -> NamedAccount {
    NamedAccount { account: account(of), until: until(), consent: signed(by, naming) }
}

/// A hospital proposes the keys with this seed for Alice, as their holder agreed.
pub(super) fn propose(hospital: HospitalId, seed: u8) -> DispatchResult {
    let next = named(seed, seed, naming(seed, hospital, profile().version));
    Profiles::propose_recovery(by(hospital), alice(), next, sealing_key(seed))
}

pub(super) fn object(origin: RuntimeOrigin) -> DispatchResult {
    Profiles::object(origin, alice())
}

pub(super) fn complete(origin: RuntimeOrigin) -> DispatchResult {
    Profiles::complete_recovery(origin, alice(), None)
}

/// The council completes the recovery about which it decided.
pub(super) fn decide(decided: &Recovery) -> DispatchResult {
    Profiles::complete_recovery(RuntimeOrigin::root(), alice(), Some(decided.decision()))
}

pub(super) fn recovery() -> Recovery {
    Profiles::recovery(alice()).unwrap()
}

/// Alice at A and B, for whom A proposed the keys 2.
pub(super) fn proposed(test: impl FnOnce()) {
    chain(|| {
        alice_at_a();
        assert_ok!(register(B, consent(1, B, alice())));
        assert_ok!(propose(A, 2));
        test();
    });
}

#[test]
fn a_user_without_keys_gets_new_ones_after_the_delay() {
    proposed(|| {
        let open = Event::RecoveryProposed {
            hospital: A,
            user: alice(),
            account: account(2),
            due: DUE as u32,
        };
        System::assert_last_event(open.into());
        let before = profile();
        assert_eq!((before.account.clone(), before.version), (account(1), 1));
        assert_eq!(Profiles::user_of(account(2)), None);

        System::set_block_number(DUE);
        at(5_000);
        assert_ok!(complete(by(A)));

        System::assert_has_event(Event::Recovered { hospital: A, user: alice() }.into());
        System::assert_last_event(Event::KeysRotated { user: alice(), version: 2 }.into());
        let after = profile();
        assert_eq!((after.account, after.sealing_key_hash), (account(2), sealing_key(2)));
        assert_eq!((after.role, after.version, after.since), (before.role, 2, 5_000));
        assert_eq!(ProfileHistory::<Test>::get(alice(), 1), Some(before));
        assert_eq!(Profiles::user_of(account(2)), Some(alice()));
        assert_eq!(Profiles::user_of(account(1)), None);
        assert_eq!(Profiles::recovery(alice()), None);
        assert_noop!(complete(by(A)), Error::<Test>::NoRecovery);
        // The old phone is worthless, and the user's pause runs as after a rotation.
        let old = Profiles::rotate_keys(key_of(1), None, Some(sealing_key(3)));
        assert_noop!(old, Error::<Test>::NotUser);
        let soon = Profiles::rotate_keys(key_of(2), None, Some(sealing_key(3)));
        assert_noop!(soon, Error::<Test>::RotatedTooRecently);
        at(5_000 + ROTATION_PAUSE_MILLIS);
        assert_ok!(Profiles::rotate_keys(key_of(2), None, Some(sealing_key(3))));
    });
}

#[test]
fn only_agents_of_hospitals_of_the_user_propose() {
    chain(|| {
        alice_at_a();
        let call = |origin| {
            let next = named(2, 2, naming(2, A, 1));
            Profiles::propose_recovery(origin, alice(), next, sealing_key(2))
        };
        only_where_registered(call);
        only_agents(call);
        Recoveries::<Test>::remove(alice());
        Proposals::<Test>::remove(A);
        assert_ok!(Profiles::end_registration(by(A), alice()));
        assert_noop!(call(by(A)), Error::<Test>::RegistrationHasEnded);
        let nobody = UserId([9; 32]);
        let next = named(2, 2, naming(2, A, 1));
        assert_noop!(
            Profiles::propose_recovery(by(A), nobody, next, sealing_key(2)),
            Error::<Test>::NotRegistered
        );
    });
}

/// The hospital suspends a user whose phone was stolen, so that the thief cannot rotate the keys meanwhile.
#[test]
fn a_suspended_user_gets_new_keys() {
    chain(|| {
        alice_at_a();
        assert_ok!(Profiles::suspend(by(A), alice()));
        assert_ok!(propose(A, 2));
        let thief = Profiles::rotate_keys(key_of(1), None, Some(sealing_key(3)));
        assert_noop!(thief, Error::<Test>::NotRegistered);
        System::set_block_number(DUE);
        assert_ok!(complete(by(A)));
        assert_ok!(Profiles::reinstate(by(A), alice()));
        assert_eq!(profile().account, account(2));
    });
}

#[test]
fn the_holder_of_the_new_account_agrees_to_both_keys() {
    chain(|| {
        alice_at_a();
        let another_user = Naming::Recovery {
            hospital: A,
            user: UserId([9; 32]),
            sealing_key_hash: sealing_key(2),
            version: 1,
            until: until(),
        };
        let for_longer = Naming::Recovery {
            hospital: A,
            user: alice(),
            sealing_key_hash: sealing_key(2),
            version: 1,
            until: until() + 1,
        };
        for consent in [
            signed(3, naming(2, A, 1)),
            signed(2, naming(2, B, 1)),
            signed(2, naming(2, A, 0)),
            signed(2, naming(2, A, 2)),
            // The hospital would like to open what others seal to the user.
            signed(2, naming(3, A, 1)),
            signed(2, another_user),
            signed(2, for_longer),
            signed(2, Naming::Rotation { user: alice(), version: 1 }),
            consent(2, A, alice()),
        ] {
            let next = NamedAccount { account: account(2), until: until(), consent };
            assert_noop!(
                Profiles::propose_recovery(by(A), alice(), next, sealing_key(2)),
                Error::<Test>::InvalidConsent
            );
        }
    });
}

/// The patient signed, and did not come back. A year later the hospital proposes the keys.
#[test]
fn an_old_or_eternal_consent_to_new_keys_is_refused() {
    chain(|| {
        alice_at_a();
        System::set_block_number(11);
        let with = |until| {
            let sealing_key_hash = sealing_key(2);
            let naming = Naming::Recovery {
                hospital: A,
                user: alice(),
                sealing_key_hash,
                version: 1,
                until,
            };
            let next = NamedAccount { account: account(2), until, consent: signed(2, naming) };
            Profiles::propose_recovery(by(A), alice(), next, sealing_key_hash)
        };
        for until in [0, 10, 11 + MAX_CONSENT_BLOCKS + 1, u32::MAX] {
            assert_noop!(with(until), Error::<Test>::ConsentExpired);
        }
        assert_ok!(with(11 + MAX_CONSENT_BLOCKS));
    });
}

#[test]
fn keys_that_were_used_are_refused() {
    chain(|| {
        alice_at_a();
        let with = |seed: u8, key: Hash| {
            let naming = Naming::Recovery {
                hospital: A,
                user: alice(),
                sealing_key_hash: key,
                version: 1,
                until: until(),
            };
            Profiles::propose_recovery(by(A), alice(), named(seed, seed, naming), key)
        };
        assert_noop!(with(1, sealing_key(2)), Error::<Test>::AccountInUse);
        assert_noop!(with(2, sealing_key(1)), Error::<Test>::SealingKeyUsedBefore);
        System::inc_providers(&account(2));
        assert_noop!(with(2, sealing_key(2)), Error::<Test>::AccountInUse);
    });
}

#[test]
fn an_account_that_was_used_since_the_proposal_is_refused() {
    proposed(|| {
        System::set_block_number(DUE);
        System::inc_providers(&account(2));
        assert_noop!(complete(by(A)), Error::<Test>::AccountInUse);
        assert_noop!(decide(&recovery()), Error::<Test>::AccountInUse);
        System::dec_providers(&account(2)).unwrap();
    });
}

#[test]
fn a_user_has_one_recovery_at_a_time() {
    proposed(|| {
        for hospital in [A, B] {
            assert_noop!(propose(hospital, 3), Error::<Test>::RecoveryStands);
        }
        System::set_block_number(LAPSES - 1);
        assert_noop!(propose(B, 3), Error::<Test>::RecoveryStands);
        System::set_block_number(LAPSES);
        assert_ok!(propose(B, 3));
        assert_eq!((recovery().hospital, recovery().account), (B, account(3)));
    });
}

#[test]
fn a_hospital_cannot_complete_a_recovery_early() {
    proposed(|| {
        assert_noop!(complete(by(A)), Error::<Test>::RecoveryTooEarly);
        System::set_block_number(DUE - 1);
        assert_noop!(complete(by(A)), Error::<Test>::RecoveryTooEarly);
        System::set_block_number(DUE);
        assert_ok!(complete(by(A)));
    });
}

#[test]
fn a_recovery_that_lapsed_cannot_be_completed() {
    proposed(|| {
        System::set_block_number(LAPSES);
        assert_noop!(complete(by(A)), Error::<Test>::NoRecovery);
        assert_noop!(decide(&recovery()), Error::<Test>::NoRecovery);
        assert_noop!(object(key_of(1)), Error::<Test>::NoRecovery);
        System::set_block_number(LAPSES - 1);
        assert_ok!(complete(by(A)));
    });
}

#[test]
fn only_the_proposing_hospital_completes() {
    proposed(|| {
        System::set_block_number(DUE);
        for hospital in [B, C] {
            assert_noop!(complete(by(hospital)), Error::<Test>::AnotherHospital);
        }
        for signer in [account(1), account(2), epione_mocks::governance_account(A.0)] {
            assert_noop!(complete(RuntimeOrigin::signed(signer)), Error::<Test>::NotAgent);
        }
        assert_noop!(complete(RuntimeOrigin::none()), BadOrigin);
        assert_ok!(Hospitals::suspend(RuntimeOrigin::root(), A));
        assert_noop!(complete(by(A)), Error::<Test>::NotAgent);
        assert_ok!(Hospitals::reinstate(RuntimeOrigin::root(), A));
        assert_ok!(Profiles::end_registration(by(A), alice()));
        assert_noop!(complete(by(A)), Error::<Test>::RegistrationHasEnded);
    });
}

/// The user still has the keys, and a hospital wants to become its patient.
#[test]
fn an_objection_of_the_user_stops_a_hospital() {
    proposed(|| {
        assert_ok!(object(key_of(1)));
        let objected = Event::RecoveryObjected { user: alice(), objection: Objection::User };
        System::assert_last_event(objected.into());
        System::set_block_number(DUE);
        assert_noop!(complete(by(A)), Error::<Test>::RecoveryObjected);
        assert_eq!(profile().account, account(1));
        // The hospital does not simply ask again.
        assert_noop!(propose(A, 3), Error::<Test>::RecoveryPaused);
        System::set_block_number(LAPSES);
        assert_ok!(propose(A, 3));
    });
}

#[test]
fn a_suspended_user_objects() {
    chain(|| {
        alice_at_a();
        assert_ok!(propose(A, 2));
        assert_ok!(Profiles::suspend(by(A), alice()));
        assert_ok!(object(key_of(1)));
        assert_eq!(recovery().objection, Some(Objection::User));
    });
}

#[test]
fn an_objection_of_another_hospital_stops_a_hospital() {
    proposed(|| {
        assert_ok!(Profiles::suspend(by(B), alice()));
        assert_ok!(object(by(B)));
        assert_eq!(recovery().objection, Some(Objection::Hospital(B)));
        System::set_block_number(DUE);
        assert_noop!(complete(by(A)), Error::<Test>::RecoveryObjected);
        // The other hospital knows the user, and proposes the right keys.
        assert_ok!(propose(B, 3));
        assert_eq!((recovery().hospital, recovery().objection), (B, None));
    });
}

#[test]
fn a_hospital_withdraws_its_proposal() {
    proposed(|| {
        assert_ok!(object(by(A)));
        System::set_block_number(DUE);
        assert_noop!(complete(by(A)), Error::<Test>::RecoveryObjected);
    });
}

#[test]
fn nobody_else_objects() {
    proposed(|| {
        assert_noop!(object(by(C)), Error::<Test>::NotRegistered);
        for signer in [account(2), account(9), epione_mocks::governance_account(B.0)] {
            assert_noop!(object(RuntimeOrigin::signed(signer)), Error::<Test>::NotConcerned);
        }
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            assert_noop!(object(origin), BadOrigin);
        }
        assert_ok!(Profiles::end_registration(by(B), alice()));
        assert_noop!(object(by(B)), Error::<Test>::RegistrationHasEnded);
        assert_ok!(Hospitals::suspend(RuntimeOrigin::root(), A));
        assert_noop!(object(by(A)), Error::<Test>::NotConcerned);
        assert_eq!(recovery().objection, None);
    });
}

/// The council must know that somebody has the present keys.
#[test]
fn a_users_objection_replaces_a_hospitals() {
    proposed(|| {
        assert_ok!(object(by(B)));
        assert_noop!(object(by(A)), Error::<Test>::RecoveryObjected);
        assert_eq!(recovery().objection, Some(Objection::Hospital(B)));
        assert!(Profiles::can_object(alice()));
        assert_ok!(object(key_of(1)));
        assert_eq!(recovery().objection, Some(Objection::User));
        assert!(!Profiles::can_object(alice()));
        for origin in [key_of(1), by(A), by(B)] {
            assert_noop!(object(origin), Error::<Test>::RecoveryObjected);
        }
    });
    proposed(|| {
        assert_ok!(object(by(B)));
        assert_ok!(Profiles::rotate_keys(key_of(1), None, Some(sealing_key(3))));
        assert_eq!(recovery().objection, Some(Objection::User));
    });
    chain(|| {
        alice_at_a();
        assert_noop!(object(key_of(1)), Error::<Test>::NoRecovery);
        assert_noop!(complete(by(A)), Error::<Test>::NoRecovery);
    });
}

#[test]
fn a_rotation_is_an_objection() {
    proposed(|| {
        assert_ok!(Profiles::rotate_keys(key_of(1), None, Some(sealing_key(3))));
        assert_eq!(recovery().objection, Some(Objection::User));
        let objected = Event::RecoveryObjected { user: alice(), objection: Objection::User };
        System::assert_has_event(objected.into());
        System::set_block_number(DUE);
        assert_noop!(complete(by(A)), Error::<Test>::RecoveryObjected);
    });
}

#[test]
fn a_rotation_is_no_objection_to_a_recovery_that_lapsed_or_has_one() {
    let objected = || {
        let objected = Event::RecoveryObjected { user: alice(), objection: Objection::User };
        let objected = RuntimeEvent::from(objected);
        System::events().iter().filter(|record| record.event == objected).count()
    };
    proposed(|| {
        System::set_block_number(LAPSES);
        assert_ok!(Profiles::rotate_keys(key_of(1), None, Some(sealing_key(3))));
        assert_eq!((recovery().objection, objected()), (None, 0));
    });
    proposed(|| {
        assert_ok!(object(key_of(1)));
        assert_ok!(Profiles::rotate_keys(key_of(1), None, Some(sealing_key(3))));
        assert_eq!(objected(), 1);
    });
}

/// The thief of the phone has the present keys, and objects. Every hospital suspended the user, so the thief does not
/// rotate.
#[test]
fn the_council_gives_a_user_new_keys_in_spite_of_a_thief() {
    proposed(|| {
        for hospital in [A, B] {
            assert_ok!(Profiles::suspend(by(hospital), alice()));
        }
        let decided = recovery();
        // The thief cannot void the council's decision by an objection.
        assert_ok!(object(key_of(1)));
        System::set_block_number(DUE_FOR_COUNCIL);
        assert_ok!(decide(&decided));
        assert_eq!((profile().account, profile().version), (account(2), 2));
        System::assert_has_event(Event::Recovered { hospital: A, user: alice() }.into());
        // The council decided that the hospital was right.
        assert_ok!(propose(A, 3));
    });
}

#[test]
fn the_last_version_of_a_profile_stays() {
    externalities().execute_with(|| {
        System::set_block_number(PROPOSED);
        at(START);
        alice_at_a();
        Stored::<Test>::mutate(alice(), |profile| profile.as_mut().unwrap().version = u32::MAX);
        assert_ok!(propose(A, 2));
        System::set_block_number(DUE);
        assert_noop!(complete(by(A)), Error::<Test>::TooManyVersions);
    });
}

#[test]
fn all_recoveries_are_read_page_by_page() {
    proposed(|| {
        assert_eq!(Profiles::recoveries(None, 8), [(alice(), recovery())]);
        assert!(Profiles::recoveries(Some(alice()), 8).is_empty());
        assert!(Profiles::recoveries(None, 0).is_empty());
    });
}

#[test]
fn a_network_on_one_machine_has_its_own_delay() {
    use sp_runtime::BuildStorage;

    let genesis = crate::GenesisConfig::<Test> { recovery_delay: Some(20), ..Default::default() };
    sp_io::TestExternalities::from(genesis.build_storage().unwrap())
        .execute_with(|| assert_eq!(crate::RecoveryDelay::<Test>::get(), 20));
    chain(|| assert_eq!(crate::RecoveryDelay::<Test>::get(), RECOVERY_BLOCKS));
}
