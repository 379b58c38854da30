use epione_mocks::{Users, end_registration, pass, set_active, user_account};
use epione_primitives::{AccountId, QueryId, UserId, query::Answer};
use frame_support::{assert_noop, assert_ok};

use super::accounts_of_no_user;
use crate::{Error, Event, PendingOfPatient, Terms, mock::*};

/// The event of a withdrawal by this user.
fn withdrawn(query: QueryId, by: UserId) -> Event<Test> {
    Event::Withdrawn { query, patient: PATIENT, requester: RESEARCHER, by }
}

#[test]
fn a_requester_withdraws_a_pending_query() {
    run(|| {
        let id = ask();
        System::set_block_number(7);
        pass(30);
        assert_ok!(withdraw(user(RESEARCHER), id));
        let (by, at) = (RESEARCHER, BEGIN + 30);
        let expected = Answer::Withdrawn { by, block: 7, at, acceptance: None };
        assert_eq!(query(id).answer, Some(expected));
        System::assert_last_event(withdrawn(id, by).into());
        assert_noop!(withdraw(user(RESEARCHER), id), Error::<Test>::NotPending);
    });
}

#[test]
fn a_patient_withdraws_an_acceptance_which_stays_readable() {
    run(|| {
        let id = ask();
        accept(id);
        let acceptance = query(id).acceptance().cloned();
        assert!(acceptance.is_some());
        System::set_block_number(7);
        pass(30);
        assert_ok!(withdraw(user(PATIENT), id));
        let expected = Answer::Withdrawn { by: PATIENT, block: 7, at: BEGIN + 30, acceptance };
        assert_eq!(query(id).answer, Some(expected));
        assert_eq!(query(id).acceptance(), None);
        System::assert_last_event(withdrawn(id, PATIENT).into());
    });
}

#[test]
fn neither_party_withdraws_what_the_other_one_did() {
    run(|| {
        let [accepted, refused] = [ask(), ask()];
        accept(accepted);
        assert_ok!(refuse(user(PATIENT), refused));
        let pending = ask();
        for id in [pending, refused] {
            assert_noop!(withdraw(user(PATIENT), id), Error::<Test>::NotAccepted);
        }
        for id in [accepted, refused] {
            assert_noop!(withdraw(user(RESEARCHER), id), Error::<Test>::NotPending);
        }
        assert_ok!(withdraw(user(PATIENT), accepted));
        assert_noop!(withdraw(user(PATIENT), accepted), Error::<Test>::NotAccepted);
    });
}

#[test]
fn strangers_and_retired_accounts_withdraw_nothing() {
    run(|| {
        assert_noop!(withdraw(user(PATIENT), QueryId(0)), Error::<Test>::UnknownQuery);
        let id = ask();
        accept(id);
        let users = [OTHER_PATIENT, DOCTOR, STRANGER].map(user_account);
        for account in users.into_iter().chain(accounts_of_no_user()) {
            let withdrawn = withdraw(RuntimeOrigin::signed(account), id);
            assert_eq!(withdrawn, Err(Error::<Test>::NotParty.into()));
        }
        Users::set_account(PATIENT, AccountId::new([8; 32]));
        assert_noop!(withdraw(user(PATIENT), id), Error::<Test>::NotParty);
        assert_ok!(withdraw(RuntimeOrigin::signed(AccountId::new([8; 32])), id));
    });
}

#[test]
fn nobody_needs_a_registration_in_force_to_withdraw() {
    run(|| {
        let [accepted, pending] = [ask(), ask()];
        accept(accepted);
        for (hospital, member) in [(HOME, PATIENT), (AWAY, RESEARCHER)] {
            end_registration(hospital, member);
            set_active(hospital, false);
        }
        assert_ok!(withdraw(user(PATIENT), accepted));
        assert_ok!(withdraw(user(RESEARCHER), pending));
    });
}

#[test]
fn either_party_withdraws_an_expired_query_and_so_removes_its_terms() {
    for party in [PATIENT, RESEARCHER] {
        run(|| {
            let id = ask();
            System::set_block_number(EXPIRES - 1);
            assert_noop!(withdraw(user(PATIENT), id), Error::<Test>::NotAccepted);
            System::set_block_number(EXPIRES);
            assert_noop!(withdraw(user(STRANGER), id), Error::<Test>::NotParty);
            assert!(Terms::<Test>::contains_key(id));
            assert_ok!(withdraw(user(party), id));
            let (by, at) = (party, BEGIN);
            let expected = Answer::Withdrawn { by, block: EXPIRES, at, acceptance: None };
            assert_eq!(query(id).answer, Some(expected));
            assert!(!Terms::<Test>::contains_key(id));
            assert!(!PendingOfPatient::<Test>::contains_key(PATIENT));
            assert_noop!(withdraw(user(PATIENT), id), Error::<Test>::NotAccepted);
            assert_noop!(withdraw(user(RESEARCHER), id), Error::<Test>::NotPending);
        });
    }
}

#[test]
fn an_acceptance_outlives_the_querys_end() {
    run(|| {
        let id = ask();
        accept(id);
        System::set_block_number(EXPIRES);
        assert_noop!(withdraw(user(RESEARCHER), id), Error::<Test>::NotPending);
        assert_ok!(withdraw(user(PATIENT), id));
    });
}

/// The runtime asks this before it debits hospitals at which the signer is not registered now.
#[test]
fn only_what_succeeds_can_end_a_query() {
    run(|| {
        let [accepted, pending] = [ask(), ask()];
        accept(accepted);
        let all = |block: u32| {
            System::set_block_number(block);
            let parties = [PATIENT, RESEARCHER, STRANGER];
            let of = |id: QueryId| {
                parties.map(|party| {
                    let query = query(id);
                    (Queries::can_withdraw(party, &query), Queries::can_refuse(party, &query))
                })
            };
            [of(accepted), of(pending)]
        };
        let none = (false, false);
        let before = [[(true, false), none, none], [(false, true), (true, false), none]];
        assert_eq!(all(EXPIRES - 1), before);
        let after = [[(true, false), none, none], [(true, false), (true, false), none]];
        assert_eq!(all(EXPIRES), after);
    });
}
