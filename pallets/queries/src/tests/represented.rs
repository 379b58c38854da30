//! A representative answers for the patient.

use epione_mocks::{
    Users, add_representative, agent_account, pass, remove_representative, represent_between,
};
use epione_primitives::{AccountId, QueryId, UserId, query::Answer};
use frame_support::{assert_noop, assert_ok, dispatch::DispatchResult};

use crate::{Error, mock::*};

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
        add_representative(PARENT, PATIENT);
        assert_ok!(dispatch(acceptance(accepted), user(PARENT)));
        assert_eq!(accepted_by(accepted), Some(PARENT));
        assert!(Queries::can_refuse(PARENT, &query(refused)));
        assert_ok!(refuse(user(PARENT), refused));
        assert!(matches!(query(refused).answer, Some(Answer::Refused { .. })));
        assert!(Queries::can_withdraw(PARENT, &query(accepted)));
        assert_ok!(withdraw(user(PARENT), accepted));
        assert_eq!(accepted_by(accepted), None);
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
fn a_representation_that_is_over_by_itself_ends_what_was_not_handed_out() {
    run(|| {
        let [accepted, late] = [ask(), ask()];
        represent_between(PARENT, PATIENT, BEGIN, BEGIN + 10);
        assert_ok!(dispatch(acceptance(accepted), user(PARENT)));
        pass(9);
        assert!(Queries::can_refuse(PARENT, &query(late)));
        pass(1);
        assert_noop!(dispatch(acceptance(late), user(PARENT)), Error::<Test>::NotPatient);
        assert_noop!(transfer_at_home(accepted), Error::<Test>::RepresentationOver);
        assert_ok!(withdraw(user(PATIENT), accepted));
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
        add_representative(PARENT, PATIENT);
        assert_ok!(transfer_at_home(by_parent));
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
