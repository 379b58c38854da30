//! A representative answers for the patient.

use epione_mocks::{
    Users, add_representative, agent_account, pass, remove_representative, represent_between,
};
use epione_primitives::{AccountId, QueryId, UserId, query::Answer};
use frame_support::{assert_noop, assert_ok, dispatch::DispatchResult};

use crate::{Error, Event, mock::*};

fn accepted_by(id: QueryId) -> Option<UserId> {
    query(id).acceptance().map(|acceptance| acceptance.by)
}

fn transfer_at_home(id: QueryId) -> DispatchResult {
    transfer(RuntimeOrigin::signed(agent_account(HOME.0)), id)
}

#[test]
fn a_representative_accepts_refuses_and_withdraws() {
    run(|| {
        let [accepted, refused] = [ask(), ask()];
        let (patient, requester, by) = (PATIENT, RESEARCHER, PARENT);
        add_representative(PARENT, PATIENT);
        assert_ok!(dispatch(acceptance(accepted), user(PARENT)));
        assert_eq!(accepted_by(accepted), Some(PARENT));
        let event =
            Event::<Test>::Accepted { query: accepted, patient, requester, by, mailbox: HOME };
        System::assert_last_event(event.into());
        assert!(Queries::can_refuse(PARENT, &query(refused)));
        assert_ok!(refuse(user(PARENT), refused));
        let expected = Answer::Refused { by, block: 1, at: BEGIN };
        assert_eq!(query(refused).answer, Some(expected));
        let event = Event::<Test>::Refused { query: refused, patient, requester, by };
        System::assert_last_event(event.into());
        assert!(Queries::can_withdraw(PARENT, &query(accepted)));
        assert_ok!(withdraw(user(PARENT), accepted));
        assert_eq!(accepted_by(accepted), None);
        let event = Event::<Test>::Withdrawn { query: accepted, patient, requester, by };
        System::assert_last_event(event.into());
    });
}

#[test]
fn patient_and_representative_withdraw_each_others_acceptances() {
    run(|| {
        add_representative(PARENT, PATIENT);
        let [by_patient, by_parent] = [ask(), ask()];
        accept(by_patient);
        assert_eq!(accepted_by(by_patient), Some(PATIENT));
        assert_ok!(dispatch(acceptance(by_parent), user(PARENT)));
        assert_ok!(withdraw(user(PARENT), by_patient));
        assert_ok!(withdraw(user(PATIENT), by_parent));
    });
}

#[test]
fn nobody_answers_whose_representation_is_over_or_of_another_patient() {
    run(|| {
        let [pending, accepted] = [ask(), ask()];
        accept(accepted);
        add_representative(PARENT, OTHER_PATIENT);
        add_representative(PARENT, PATIENT);
        remove_representative(PARENT, PATIENT);
        assert!(!Queries::can_refuse(PARENT, &query(pending)));
        assert!(!Queries::can_withdraw(PARENT, &query(accepted)));
        let not_patient = || Error::<Test>::NotPatient;
        assert_noop!(dispatch(acceptance(pending), user(PARENT)), not_patient());
        assert_noop!(refuse(user(PARENT), pending), not_patient());
        assert_noop!(withdraw(user(PARENT), accepted), Error::<Test>::NotParty);
    });
}

#[test]
fn a_representatives_acceptance_ends_at_the_latest_with_the_mandate() {
    run(|| {
        let [accepted, late] = [ask(), ask()];
        represent_between(PARENT, PATIENT, BEGIN, BEGIN + 10);
        let until = |id, until| acceptance_of(id, asked_records(), until, HOME);
        let beyond = until(accepted, BEGIN + 11);
        assert_noop!(dispatch(beyond, user(PARENT)), Error::<Test>::BeyondMandate);
        assert_ok!(dispatch(until(accepted, BEGIN + 10), user(PARENT)));
        pass(9);
        assert!(Queries::can_refuse(PARENT, &query(late)));
        pass(1);
        let late = until(late, BEGIN + 11);
        assert_noop!(dispatch(late, user(PARENT)), Error::<Test>::NotPatient);
        assert_noop!(transfer_at_home(accepted), Error::<Test>::Over);
        assert_ok!(withdraw(user(PATIENT), accepted));
    });
}

/// The patient shortens the mandate, which keeps its beginning.
#[test]
fn a_mandate_that_ends_earlier_than_its_acceptance_ends_it() {
    run(|| {
        let accepted = ask();
        add_representative(PARENT, PATIENT);
        assert_ok!(dispatch(acceptance(accepted), user(PARENT)));
        represent_between(PARENT, PATIENT, 0, BEGIN + 10);
        pass(10);
        assert_noop!(transfer_at_home(accepted), Error::<Test>::RepresentationOver);
    });
}

#[test]
fn a_representatives_earlier_account_answers_nothing() {
    run(|| {
        let id = ask();
        add_representative(PARENT, PATIENT);
        Users::set_account(PARENT, AccountId::new([8; 32]));
        assert_noop!(dispatch(acceptance(id), user(PARENT)), Error::<Test>::NotPatient);
        assert_ok!(dispatch(acceptance(id), RuntimeOrigin::signed(AccountId::new([8; 32]))));
    });
}

#[test]
fn an_acceptance_is_not_transferred_after_the_dismissal_of_who_gave_it() {
    run(|| {
        add_representative(PARENT, PATIENT);
        let [handed_out, by_parent] = [ask(), ask()];
        for id in [handed_out, by_parent] {
            assert_ok!(dispatch(acceptance(id), user(PARENT)));
        }
        let by_patient = ask();
        accept(by_patient);
        assert_ok!(transfer_at_home(handed_out));
        remove_representative(PARENT, PATIENT);
        for id in [by_parent, handed_out] {
            assert_noop!(transfer_at_home(id), Error::<Test>::RepresentationOver);
        }
        assert_ok!(transfer_at_home(by_patient));
    });
}

#[test]
fn a_new_appointment_revives_no_acceptance_that_a_dismissal_ended() {
    run(|| {
        add_representative(PARENT, PATIENT);
        let [before, renewed] = [ask(), ask()];
        assert_ok!(dispatch(acceptance(before), user(PARENT)));
        remove_representative(PARENT, PATIENT);
        pass(1);
        represent_between(PARENT, PATIENT, BEGIN + 1, UNTIL);
        assert_noop!(transfer_at_home(before), Error::<Test>::RepresentationOver);
        // What the representative accepts by the new mandate is handed out, also after a renewal.
        assert_ok!(dispatch(acceptance(renewed), user(PARENT)));
        pass(1);
        represent_between(PARENT, PATIENT, BEGIN + 1, UNTIL + 1);
        assert_ok!(transfer_at_home(renewed));
        assert_noop!(transfer_at_home(before), Error::<Test>::RepresentationOver);
    });
}

#[test]
fn a_representative_does_not_answer_their_own_query() {
    run(|| {
        let id = ask();
        add_representative(RESEARCHER, PATIENT);
        assert!(!Queries::can_refuse(RESEARCHER, &query(id)));
        assert_noop!(dispatch(acceptance(id), user(RESEARCHER)), Error::<Test>::OwnQuery);
        assert_noop!(refuse(user(RESEARCHER), id), Error::<Test>::OwnQuery);
        assert_ok!(withdraw(user(RESEARCHER), id));
    });
}
