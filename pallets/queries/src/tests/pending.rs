use epione_mocks::{add_user, admit, register};
use epione_primitives::{
    HospitalId, QueryId, UserId,
    limits::{
        MAX_PENDING_QUERIES_OF_HOSPITAL, MAX_PENDING_QUERIES_OF_PATIENT,
        MAX_PENDING_QUERIES_OF_REQUESTER, MAX_PENDING_QUERIES_TO_ONE_PATIENT,
    },
    profile::Role,
};
use frame_support::{assert_noop, assert_ok};

use crate::{Error, PendingOfPatient, PendingOfRequester, Terms, mock::*, pending::MAX_REMOVALS};

/// The first requester of the crowd.
const FIRST_OF_CROWD: UserId = UserId([100; 32]);
const FIRST_HOSPITAL_OF_CROWD: HospitalId = HospitalId(2);

/// The researchers of the crowd, each with the own hospital.
fn researchers() -> Vec<(HospitalId, UserId)> {
    let hospitals = MAX_PENDING_QUERIES_OF_PATIENT / MAX_PENDING_QUERIES_OF_HOSPITAL;
    let each = MAX_PENDING_QUERIES_OF_HOSPITAL / MAX_PENDING_QUERIES_TO_ONE_PATIENT;
    let researcher = |number: u32| {
        let hospital = HospitalId(FIRST_HOSPITAL_OF_CROWD.0 + (number / each) as u16);
        (hospital, UserId([100 + number as u8; 32]))
    };
    (0..hospitals * each).map(researcher).collect()
}

/// Admits hospitals, whose researchers together ask the patient as often as they can.
fn crowd() {
    for (hospital, one) in researchers() {
        admit([hospital]);
        add_user(one, Role::Researcher);
        register(hospital, one, 0);
        for _ in 0..MAX_PENDING_QUERIES_TO_ONE_PATIENT {
            ask_with(question_for(hospital), one);
        }
    }
}

/// The queries to the patient, read to the end in pages of this length.
fn inbox(limit: u32) -> Vec<QueryId> {
    let (mut ids, mut before) = (Vec::new(), None);
    loop {
        let page = Queries::patient_queries(PATIENT, before, limit);
        let Some((number, ..)) = page.last() else { return ids };
        before = Some(*number);
        ids.extend(page.iter().map(|(_, id, _)| *id));
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

/// A crowd asks in a loop. The patient has as much to answer as before, and reads each query, also the answered ones.
#[test]
fn ten_thousand_queries_neither_fill_a_patients_inbox_nor_hide_one_of_its_queries() {
    run(|| {
        crowd();
        let places = MAX_PENDING_QUERIES_OF_PATIENT;
        for (hospital, one) in researchers().into_iter().cycle().take(10_000) {
            let refused = dispatch(question_for(hospital), user(one));
            assert_eq!(refused, Err(Error::<Test>::TooManyOfRequester.into()));
        }
        let all: Vec<_> = (0..places).map(QueryId).collect();
        let pending = || PendingOfPatient::<Test>::get(PATIENT).into_iter().map(|it| it.query);
        assert_eq!(pending().collect::<Vec<_>>(), all);
        assert_eq!(Terms::<Test>::iter_keys().count(), all.len());
        let newest_first: Vec<_> = all.iter().rev().copied().collect();
        for limit in [1, 7, places, u32::MAX] {
            assert_eq!(inbox(limit), newest_first, "pages of {limit}");
        }

        // The crowd asks again as soon as the patient refuses.
        for id in all {
            assert_ok!(refuse(user(PATIENT), id));
        }
        assert!(!PendingOfPatient::<Test>::contains_key(PATIENT));
        for (hospital, one) in researchers() {
            ask_with(question_for(hospital), one);
        }
        assert_eq!(pending().count(), researchers().len());
        let expected = places as usize + researchers().len();
        assert_eq!((inbox(7).len(), inbox(7)), (expected, inbox(u32::MAX)));
    });
}

#[test]
fn a_requester_has_a_bounded_number_of_pending_queries() {
    run(|| {
        let patients = four_patients();
        let most = MAX_PENDING_QUERIES_OF_REQUESTER / MAX_PENDING_QUERIES_TO_ONE_PATIENT;
        assert_eq!(patients.len(), most as usize);
        for (patient, records) in &patients {
            for _ in 0..MAX_PENDING_QUERIES_TO_ONE_PATIENT {
                ask_with(question_to(*patient, records.clone(), AWAY, EXPIRES), RESEARCHER);
            }
        }
        let (fifth, records) = another_patient(53);
        let call = || question_to(fifth, records.clone(), AWAY, EXPIRES);
        assert_noop!(dispatch(call(), user(RESEARCHER)), Error::<Test>::TooManyPending);
        assert_ok!(dispatch(call(), user(COLLEAGUES[0])));
        assert_ok!(refuse(user(PATIENT), QueryId(0)));
        assert_ok!(dispatch(call(), user(RESEARCHER)));
    });
}

#[test]
fn one_requester_has_two_places_of_a_patient() {
    run(|| {
        let of_requester = || Error::<Test>::TooManyOfRequester;
        let [first, _] = [ask(), ask()];
        assert_noop!(dispatch(question(), user(RESEARCHER)), of_requester());
        register(HOME, RESEARCHER, 0);
        let for_another_hospital = dispatch(question_for(HOME), user(RESEARCHER));
        assert_eq!(for_another_hospital, Err(of_requester().into()));
        ask_with(question(), COLLEAGUES[0]);
        let (other, records) = &four_patients()[1];
        ask_with(question_to(*other, records.clone(), AWAY, EXPIRES), RESEARCHER);
        assert_ok!(refuse(user(PATIENT), first));
        ask();
        assert_noop!(dispatch(question(), user(RESEARCHER)), of_requester());
        System::set_block_number(EXPIRES);
        ask_with(later_question(), RESEARCHER);
        ask_with(later_question(), RESEARCHER);
        assert_noop!(dispatch(later_question(), user(RESEARCHER)), of_requester());
    });
}

/// A hospital that registers any number of requesters leaves places for the requesters of others.
#[test]
fn one_hospital_has_eight_places_of_a_patient() {
    run(|| {
        for colleague in COLLEAGUES {
            for _ in 0..MAX_PENDING_QUERIES_TO_ONE_PATIENT {
                ask_with(question(), colleague);
            }
        }
        assert_eq!(lists().0, MAX_PENDING_QUERIES_OF_HOSPITAL as usize);
        assert_noop!(dispatch(question(), user(RESEARCHER)), Error::<Test>::TooManyOfHospital);
        ask_with(question_for(HOME), DOCTOR);
        // The hospital for which the requester asks counts, not where else the requester is registered.
        register(HOME, RESEARCHER, 0);
        ask_with(question_for(HOME), RESEARCHER);
        assert_ok!(withdraw(user(COLLEAGUES[3]), QueryId(7)));
        ask();
        assert_noop!(dispatch(question(), user(COLLEAGUES[3])), Error::<Test>::TooManyOfHospital);
    });
}

#[test]
fn an_answered_query_is_in_no_list_and_has_no_terms() {
    run(|| {
        let [accepted, pending] = [ask(), ask()];
        let [refused, withdrawn] = [(); 2].map(|()| ask_with(question(), COLLEAGUES[0]));
        assert_eq!(lists(), (4, 2));
        accept(accepted);
        assert_ok!(refuse(user(PATIENT), refused));
        assert_ok!(withdraw(user(COLLEAGUES[0]), withdrawn));
        assert_eq!(lists(), (1, 1));
        assert!(!PendingOfRequester::<Test>::contains_key(COLLEAGUES[0]));
        assert_eq!(Terms::<Test>::iter_keys().collect::<Vec<_>>(), [pending]);
        accept(pending);
        assert!(!PendingOfPatient::<Test>::contains_key(PATIENT));
        assert!(!PendingOfRequester::<Test>::contains_key(RESEARCHER));
    });
}

#[test]
fn every_answer_removes_expired_queries_and_their_terms() {
    let answers: [fn(QueryId); 3] = [
        accept,
        |id| refuse(user(PATIENT), id).unwrap(),
        |id| withdraw(user(COLLEAGUES[0]), id).unwrap(),
    ];
    for answer in answers {
        run(|| {
            ask();
            ask();
            let id = ask_with(later_question(), COLLEAGUES[0]);
            System::set_block_number(EXPIRES);
            answer(id);
            assert_eq!(Terms::<Test>::iter_keys().count(), 0);
            assert!(!PendingOfPatient::<Test>::contains_key(PATIENT));
            assert!(!PendingOfRequester::<Test>::contains_key(COLLEAGUES[0]));
        });
    }
}

#[test]
fn expired_queries_make_room_in_both_full_lists() {
    run(|| {
        crowd();
        System::set_block_number(EXPIRES - 1);
        let full = Error::<Test>::PatientHasTooManyPending;
        assert_noop!(dispatch(question(), user(RESEARCHER)), full);
        System::set_block_number(EXPIRES);
        let most = MAX_PENDING_QUERIES_OF_PATIENT as usize;
        ask_with(later_question(), RESEARCHER);
        assert_eq!(lists(), (most - MAX_REMOVALS + 1, 1));
        assert_eq!(Terms::<Test>::iter_keys().count(), most - MAX_REMOVALS + 1);

        // Both lists lose their first expired queries, which are not the same any more.
        let hospital = FIRST_HOSPITAL_OF_CROWD;
        let later = question_to(PATIENT, asked_records(), hospital, EXPIRES + 100);
        ask_with(later, FIRST_OF_CROWD);
        assert_eq!(PendingOfRequester::<Test>::get(FIRST_OF_CROWD).len(), 1);
        assert_eq!(lists().0, most - 2 * MAX_REMOVALS + 2);
    });
}

#[test]
fn asking_again_and_again_leaves_no_expired_query_behind() {
    run(|| {
        let patients = four_patients();
        let ask_all = |expires| {
            for (patient, records) in &patients {
                for _ in 0..MAX_PENDING_QUERIES_TO_ONE_PATIENT {
                    ask_with(question_to(*patient, records.clone(), AWAY, expires), RESEARCHER);
                    Queries::check_state().unwrap();
                }
            }
        };
        ask_all(EXPIRES);
        System::set_block_number(EXPIRES);
        ask_all(EXPIRES + 1);
        let live = MAX_PENDING_QUERIES_OF_REQUESTER as usize;
        assert_eq!(lists(), (MAX_PENDING_QUERIES_TO_ONE_PATIENT as usize, live));
        assert_eq!(Terms::<Test>::iter_keys().count(), live);
    });
}
