use epione_mocks::{end_registration, pass, set_active, user_account};
use epione_primitives::{QueryId, query::Answer};
use frame_support::{assert_noop, assert_ok};

use super::accounts_of_no_user;
use crate::{Error, Event, mock::*};

#[test]
fn a_refusal_is_stored_with_its_time() {
    run(|| {
        let id = ask();
        System::set_block_number(7);
        pass(30);
        assert_ok!(refuse(user(PATIENT), id));
        let (by, requester) = (PATIENT, RESEARCHER);
        assert_eq!(query(id).answer, Some(Answer::Refused { by, block: 7, at: BEGIN + 30 }));
        assert_eq!(query(id).acceptance(), None);
        let event = Event::<Test>::Refused { query: id, patient: PATIENT, requester, by };
        System::assert_last_event(event.into());
    });
}

#[test]
fn nobody_but_the_patient_refuses() {
    run(|| {
        let id = ask();
        let users = [RESEARCHER, OTHER_PATIENT, DOCTOR].map(user_account);
        for account in users.into_iter().chain(accounts_of_no_user()) {
            let refused = refuse(RuntimeOrigin::signed(account), id);
            assert_eq!(refused, Err(Error::<Test>::NotPatient.into()));
        }
    });
}

#[test]
fn only_a_pending_query_is_refused() {
    run(|| {
        assert_noop!(refuse(user(PATIENT), QueryId(0)), Error::<Test>::UnknownQuery);
        let [accepted, expired] = [ask(), ask()];
        accept(accepted);
        assert_noop!(refuse(user(PATIENT), accepted), Error::<Test>::NotPending);
        System::set_block_number(EXPIRES);
        assert_noop!(refuse(user(PATIENT), expired), Error::<Test>::Expired);
    });
}

#[test]
fn a_patient_without_a_registration_in_force_refuses() {
    run(|| {
        let id = ask();
        end_registration(HOME, PATIENT);
        set_active(HOME, false);
        assert_ok!(refuse(user(PATIENT), id));
    });
}
