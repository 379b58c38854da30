use epione_mocks::{Users, pass, user_account};
use epione_primitives::{AccountId, QueryId, query::Answer};
use frame_support::{assert_noop, assert_ok};

use super::accounts_of_no_user;
use crate::{Error, Event, mock::*};

#[test]
fn a_requester_withdraws_a_pending_query() {
    run(|| {
        let id = ask();
        System::set_block_number(7);
        pass(30);
        assert_ok!(withdraw(user(RESEARCHER), id));
        let expected = Answer::Withdrawn { block: 7, at: BEGIN + 30, acceptance: None };
        assert_eq!(query(id).answer, Some(expected));
        let event = Event::<Test>::Withdrawn { query: id, patient: PATIENT, requester: RESEARCHER };
        System::assert_last_event(event.into());
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
        let expected = Answer::Withdrawn { block: 7, at: BEGIN + 30, acceptance };
        assert_eq!(query(id).answer, Some(expected));
        assert_eq!(query(id).acceptance(), None);
        let event = Event::<Test>::Withdrawn { query: id, patient: PATIENT, requester: RESEARCHER };
        System::assert_last_event(event.into());
    });
}

#[test]
fn neither_party_withdraws_what_the_other_one_did() {
    run(|| {
        let [pending, accepted, refused] = [ask(), ask(), ask()];
        accept(accepted);
        assert_ok!(refuse(user(PATIENT), refused));
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
fn an_expired_query_is_not_withdrawn_but_an_acceptance_outlives_the_querys_end() {
    run(|| {
        let [pending, accepted] = [ask(), ask()];
        accept(accepted);
        System::set_block_number(EXPIRES);
        assert_noop!(withdraw(user(RESEARCHER), pending), Error::<Test>::Expired);
        assert_ok!(withdraw(user(PATIENT), accepted));
    });
}
