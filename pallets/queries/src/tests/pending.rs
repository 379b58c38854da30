use epione_mocks::{add_user, register};
use epione_primitives::{
    QueryId, UserId,
    access::Purpose,
    limits::{MAX_PENDING_QUERIES_OF_PATIENT, MAX_PENDING_QUERIES_OF_REQUESTER},
    profile::Role,
};
use frame_support::{assert_noop, assert_ok};

use crate::{Error, PendingOfPatient, PendingOfRequester, Terms, mock::*, pending::MAX_REMOVALS};

/// Registers researchers, who together ask the patient as often as they can.
fn crowd() {
    for number in 0..MAX_PENDING_QUERIES_OF_PATIENT / MAX_PENDING_QUERIES_OF_REQUESTER {
        let one = UserId([100 + number as u8; 32]);
        add_user(one, Role::Researcher);
        register(AWAY, one, 0);
        for _ in 0..MAX_PENDING_QUERIES_OF_REQUESTER {
            dispatch(question(), user(one)).unwrap();
        }
    }
}

fn lists() -> (usize, usize) {
    let of_patient = PendingOfPatient::<Test>::get(PATIENT).len();
    (of_patient, PendingOfRequester::<Test>::get(RESEARCHER).len())
}

#[test]
fn a_patient_has_a_bounded_number_of_pending_queries() {
    run(|| {
        crowd();
        let full = || Error::<Test>::PatientHasTooManyPending;
        assert_noop!(dispatch(question(), user(RESEARCHER)), full());
        assert_ok!(refuse(user(PATIENT), QueryId(17)));
        ask();
        assert_noop!(dispatch(question(), user(RESEARCHER)), full());
    });
}

#[test]
fn an_answered_query_is_in_no_list_and_has_no_terms() {
    run(|| {
        let [accepted, refused, withdrawn, pending] = [ask(), ask(), ask(), ask()];
        assert_eq!(lists(), (4, 4));
        accept(accepted);
        assert_ok!(refuse(user(PATIENT), refused));
        assert_ok!(withdraw(user(RESEARCHER), withdrawn));
        assert_eq!(lists(), (1, 1));
        assert_eq!(Terms::<Test>::iter_keys().collect::<Vec<_>>(), [pending]);
        accept(pending);
        assert!(!PendingOfPatient::<Test>::contains_key(PATIENT));
        assert!(!PendingOfRequester::<Test>::contains_key(RESEARCHER));
    });
}

#[test]
fn expired_queries_make_room_in_both_full_lists() {
    run(|| {
        crowd();
        System::set_block_number(EXPIRES - 1);
        let full = Error::<Test>::PatientHasTooManyPending;
        assert_noop!(dispatch(question(), user(RESEARCHER)), full);
        System::set_block_number(EXPIRES);
        let later = || crate::Call::ask {
            patient: PATIENT,
            records: asked_records(),
            purpose: Purpose::Research,
            expires: EXPIRES + 100,
            terms: terms(),
        };
        let most = MAX_PENDING_QUERIES_OF_PATIENT as usize;
        assert_ok!(dispatch(later(), user(RESEARCHER)));
        assert_eq!(lists(), (most - MAX_REMOVALS + 1, 1));
        assert_eq!(Terms::<Test>::iter_keys().count(), most - MAX_REMOVALS + 1);

        // The first of the crowd has a full list. Both lists lose their first expired queries, which are not the same.
        let first = UserId([100; 32]);
        assert_ok!(dispatch(later(), user(first)));
        let own = MAX_PENDING_QUERIES_OF_REQUESTER as usize - MAX_REMOVALS + 1;
        assert_eq!(PendingOfRequester::<Test>::get(first).len(), own);
        assert_eq!(lists().0, most - 2 * MAX_REMOVALS + 2);
    });
}

#[test]
fn asking_again_and_again_leaves_no_expired_query_behind() {
    run(|| {
        for _ in 0..MAX_PENDING_QUERIES_OF_REQUESTER {
            ask();
        }
        System::set_block_number(EXPIRES);
        for round in 1..=MAX_PENDING_QUERIES_OF_REQUESTER {
            let call = crate::Call::ask {
                patient: PATIENT,
                records: asked_records(),
                purpose: Purpose::Research,
                expires: EXPIRES + round,
                terms: terms(),
            };
            assert_ok!(dispatch(call, user(RESEARCHER)));
            Queries::check_state().unwrap();
        }
        let live = MAX_PENDING_QUERIES_OF_REQUESTER as usize;
        assert_eq!(lists(), (live, live));
        assert_eq!(Terms::<Test>::iter_keys().count(), live);
    });
}
