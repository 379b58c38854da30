use epione_mocks::{
    Users, agent_account, end_registration, governance_account, pass, register, set_active,
    set_leaving, user_account,
};
use epione_primitives::{AccountId, Hash, HospitalId, QueryId, query::Transfer};
use frame_support::{assert_noop, assert_ok};

use crate::{Error, Event, Transfers, mock::*};

fn agent(hospital: HospitalId) -> RuntimeOrigin {
    RuntimeOrigin::signed(agent_account(hospital.0))
}

fn accepted() -> QueryId {
    let id = ask();
    accept(id);
    id
}

#[test]
fn the_mailbox_records_once_that_it_hands_out_the_grant() {
    run(|| {
        let id = accepted();
        System::set_block_number(EXPIRES + 7);
        pass(30);
        assert_ok!(transfer(agent(HOME), id));
        let expected =
            Transfer { hospital: HOME, grant: GRANT, block: EXPIRES + 7, at: BEGIN + 30 };
        assert_eq!(Queries::transferred(id), Some(expected));
        let event = Event::<Test>::Transferred { query: id, hospital: HOME };
        System::assert_last_event(event.into());
        assert_noop!(transfer(agent(HOME), id), Error::<Test>::AlreadyTransferred);
        assert_ok!(withdraw(user(PATIENT), id));
        assert!(Transfers::<Test>::contains_key(id), "what was handed out stays recorded");
    });
}

#[test]
fn nobody_but_the_agent_of_the_active_mailbox_transfers() {
    run(|| {
        let id = accepted();
        let strangers = [
            agent_account(AWAY.0),
            governance_account(HOME.0),
            user_account(PATIENT),
            user_account(RESEARCHER),
            AccountId::new([9; 32]),
        ];
        for stranger in strangers {
            let transferred = transfer(RuntimeOrigin::signed(stranger), id);
            assert_eq!(transferred, Err(Error::<Test>::NotMailbox.into()));
        }
        set_active(HOME, false);
        assert_noop!(transfer(agent(HOME), id), Error::<Test>::NotMailbox);
        // A hospital that leaves serves requesters, and its own ask for it.
        set_leaving(HOME);
        set_leaving(AWAY);
        assert_ok!(transfer(agent(HOME), id));
    });
}

#[test]
fn only_an_acceptance_that_was_not_withdrawn_is_transferred() {
    run(|| {
        assert_noop!(transfer(agent(HOME), QueryId(0)), Error::<Test>::UnknownQuery);
        let withdrawn = accepted();
        let [pending, refused] = [ask(), ask()];
        assert_ok!(refuse(user(PATIENT), refused));
        assert_ok!(withdraw(user(PATIENT), withdrawn));
        for id in [pending, refused, withdrawn] {
            assert_noop!(transfer(agent(HOME), id), Error::<Test>::NotAccepted);
        }
    });
}

/// The mailbox hands out nothing. The patient withdraws, the requester asks again, and another hospital hands out.
#[test]
fn what_a_silent_mailbox_keeps_back_is_accepted_again_for_another_mailbox() {
    run(|| {
        let kept_back = accepted();
        assert_ok!(withdraw(user(PATIENT), kept_back));
        let again = ask();
        let elsewhere = acceptance_of(again, asked_records(), UNTIL, AWAY);
        assert_ok!(dispatch(elsewhere, user(PATIENT)));
        assert_noop!(transfer(agent(HOME), kept_back), Error::<Test>::NotAccepted);
        assert_noop!(transfer(agent(HOME), again), Error::<Test>::NotMailbox);
        assert_ok!(transfer(agent(AWAY), again));
        assert!(!Transfers::<Test>::contains_key(kept_back));
    });
}

#[test]
fn nothing_is_transferred_after_the_end_of_the_acceptance() {
    run(|| {
        let [last, late] = [accepted(), accepted()];
        pass(UNTIL - BEGIN - 1);
        assert_ok!(transfer(agent(HOME), last));
        pass(1);
        assert_noop!(transfer(agent(HOME), late), Error::<Test>::Over);
    });
}

#[test]
fn nothing_is_transferred_after_the_requesters_keys_changed() {
    run(|| {
        let id = accepted();
        Users::set_account(RESEARCHER, AccountId::new([8; 32]));
        assert_noop!(transfer(agent(HOME), id), Error::<Test>::RequesterChanged);
        Users::set_account(RESEARCHER, user_account(RESEARCHER));
        Users::set_sealing_key(RESEARCHER, Hash::repeat_byte(8));
        assert_noop!(transfer(agent(HOME), id), Error::<Test>::RequesterChanged);
    });
}

#[test]
fn nothing_is_transferred_to_a_requester_without_a_registration_at_the_querys_hospital() {
    run(|| {
        let id = accepted();
        set_active(AWAY, false);
        assert_noop!(transfer(agent(HOME), id), Error::<Test>::NotInForce);
        set_active(AWAY, true);
        end_registration(AWAY, RESEARCHER);
        assert_noop!(transfer(agent(HOME), id), Error::<Test>::NotInForce);
        register(HOME, RESEARCHER, 0);
        assert_noop!(transfer(agent(HOME), id), Error::<Test>::NotInForce);
        register(AWAY, RESEARCHER, 0);
        assert_ok!(transfer(agent(HOME), id));
    });
}

/// A worker that hands out the grant again learns from the error that the acceptance still holds.
#[test]
fn a_transfer_is_called_recorded_only_while_the_acceptance_holds() {
    run(|| {
        let id = accepted();
        assert_ok!(transfer(agent(HOME), id));
        assert_noop!(transfer(agent(HOME), id), Error::<Test>::AlreadyTransferred);
        assert_noop!(transfer(agent(AWAY), id), Error::<Test>::NotMailbox);
        set_active(AWAY, false);
        assert_noop!(transfer(agent(HOME), id), Error::<Test>::NotInForce);
        set_active(AWAY, true);
        Users::set_sealing_key(RESEARCHER, Hash::repeat_byte(80));
        assert_noop!(transfer(agent(HOME), id), Error::<Test>::RequesterChanged);
        Users::set_sealing_key(RESEARCHER, first_key(RESEARCHER));
        pass(UNTIL - BEGIN);
        assert_noop!(transfer(agent(HOME), id), Error::<Test>::Over);
        assert_ok!(withdraw(user(PATIENT), id));
        assert_noop!(transfer(agent(HOME), id), Error::<Test>::NotAccepted);
    });
}
