use epione_mocks::agent_account;
use epione_primitives::{
    Hash, QueryId,
    access::Purpose,
    query::{Acceptance, Answer, Query, Transfer},
};
use frame_support::assert_err;

use crate::{
    PatientQueries, PatientQueryCount, PendingOfPatient, PendingOfRequester, QueryCount,
    RequesterQueries, RequesterQueryCount, Terms, Transfers, mock::*, pending::Pending,
};

const PENDING: QueryId = QueryId(0);
const ACCEPTED: QueryId = QueryId(1);
const TRANSFERRED: QueryId = QueryId(2);

/// Runs a test that breaks a state with a pending, an accepted and a transferred query, and expects this finding.
fn finds(expected: &'static str, breaks: impl FnOnce()) {
    externalities().execute_with(|| {
        assert_eq!([ask(), ask()], [PENDING, ACCEPTED]);
        accept(ACCEPTED);
        assert_eq!(ask(), TRANSFERRED);
        accept(TRANSFERRED);
        let agent = RuntimeOrigin::signed(agent_account(HOME.0));
        transfer(agent, TRANSFERRED).unwrap();
        Queries::check_state().unwrap();
        breaks();
        assert_err!(Queries::check_state(), expected);
    });
}

/// Changes a stored query.
fn change(id: QueryId, change: impl FnOnce(&mut Query)) {
    crate::Queries::<Test>::mutate(id, |query| change(query.as_mut().unwrap()));
}

fn accepted(query: &mut Query) -> &mut Acceptance {
    match &mut query.answer {
        Some(Answer::Accepted(acceptance)) => acceptance,
        other => panic!("the query is accepted: {other:?}"),
    }
}

#[test]
fn gaps_in_the_numbers_of_queries_are_found() {
    finds("a query is missing", || crate::Queries::<Test>::remove(ACCEPTED));
    finds("a query has an id that was not assigned yet", || {
        let query = query(ACCEPTED);
        crate::Queries::<Test>::insert(QueryId(7), query);
    });
}

#[test]
fn queries_that_nobody_can_ask_are_found() {
    let broken: [fn(&mut Query); 5] = [
        |query| query.records = Default::default(),
        |query| query.requester = query.patient,
        |query| query.purpose = Purpose::Emergency,
        |query| query.expires = query.block,
        |query| query.expires = u32::MAX,
    ];
    for breaks in broken {
        finds("a query is one that nobody can ask", || change(ACCEPTED, breaks));
    }
}

#[test]
fn acceptances_that_no_patient_can_give_are_found() {
    let broken: [fn(&mut Query); 5] = [
        |query| accepted(query).by = RESEARCHER,
        |query| accepted(query).records = Default::default(),
        |query| accepted(query).records = records(&[(FIRST, 0b100)]),
        |query| accepted(query).until = BEGIN,
        |query| accepted(query).until = u64::MAX,
    ];
    for breaks in broken {
        finds("an acceptance is one that no patient can give", || change(ACCEPTED, breaks));
    }
}

#[test]
fn queries_that_were_ended_by_somebody_else_are_found() {
    let broken: [fn(&mut Query); 3] = [
        |query| query.answer = Some(Answer::Refused { by: RESEARCHER, block: 1, at: BEGIN }),
        |query| {
            let (by, acceptance) = (RESEARCHER, query.acceptance().cloned());
            query.answer = Some(Answer::Withdrawn { by, block: 1, at: BEGIN, acceptance });
        },
        |query| {
            let (by, acceptance) = (PATIENT, None);
            query.answer = Some(Answer::Withdrawn { by, block: 1, at: BEGIN, acceptance });
        },
    ];
    for breaks in broken {
        finds("a query was ended by somebody who cannot end it", || change(ACCEPTED, breaks));
    }
}

#[test]
fn answers_out_of_order_and_in_the_future_are_found() {
    let broken: [fn(&mut Query); 8] = [
        |query| query.block = 2,
        |query| query.at = BEGIN + 1,
        |query| accepted(query).block = 0,
        |query| accepted(query).at = BEGIN - 1,
        |query| accepted(query).block = 2,
        |query| accepted(query).at = BEGIN + 1,
        |query| {
            let (by, acceptance) = (PATIENT, query.acceptance().cloned());
            query.answer = Some(Answer::Withdrawn { by, block: 0, at: BEGIN, acceptance });
        },
        |query| query.answer = Some(Answer::Refused { by: PATIENT, block: 2, at: BEGIN }),
    ];
    for breaks in broken {
        finds("a query was answered before it was asked, or in the future", || {
            change(ACCEPTED, breaks);
        });
    }
    let late: [fn(&mut Query); 2] = [
        |query| accepted(query).block = EXPIRES,
        |query| query.answer = Some(Answer::Refused { by: PATIENT, block: EXPIRES, at: BEGIN }),
    ];
    for breaks in late {
        finds("a query was accepted or refused after it expired", || change(ACCEPTED, breaks));
    }
}

#[test]
fn too_many_places_of_one_hospital_are_found() {
    finds("a requester or a hospital has too many places of a patient", || {
        ask();
        for colleague in &COLLEAGUES[..3] {
            ask_with(question(), *colleague);
            ask_with(question(), *colleague);
        }
        let ninth = ask_with(question_for(HOME), DOCTOR);
        change(ninth, |query| query.hospital = AWAY);
        PendingOfPatient::<Test>::mutate(PATIENT, |list| {
            list.last_mut().unwrap().hospital = AWAY;
        });
        PendingOfRequester::<Test>::mutate(DOCTOR, |list| list[0].hospital = AWAY);
    });
}

#[test]
fn numbers_that_lead_to_other_queries_are_found() {
    let gap = "a number of a user's queries has no query";
    finds(gap, || PatientQueries::<Test>::remove(PATIENT, 1));
    finds(gap, || RequesterQueries::<Test>::remove(RESEARCHER, 1));
    let order = "a user's queries do not ascend";
    finds(order, || PatientQueries::<Test>::insert(PATIENT, 1, PENDING));
    finds(order, || RequesterQueries::<Test>::insert(RESEARCHER, 1, PENDING));
    let other = "a query is listed under another user";
    finds(other, || {
        PatientQueryCount::<Test>::insert(OTHER_PATIENT, 1);
        PatientQueries::<Test>::insert(OTHER_PATIENT, 0, PENDING);
    });
    finds(other, || {
        RequesterQueryCount::<Test>::insert(DOCTOR, 1);
        RequesterQueries::<Test>::insert(DOCTOR, 0, PENDING);
    });
    finds("the queries of all patients are not all queries", || {
        PatientQueryCount::<Test>::insert(PATIENT, 2);
    });
    finds("the queries of all requesters are not all queries", || {
        RequesterQueryCount::<Test>::insert(RESEARCHER, 2);
    });
}

#[test]
fn lists_of_other_queries_than_the_pending_ones_are_found() {
    let missing = "a query that can be answered is not in both lists";
    finds(missing, || PendingOfPatient::<Test>::remove(PATIENT));
    finds(missing, || PendingOfRequester::<Test>::remove(RESEARCHER));
    let answered = "a pending query has an answer, or belongs to another user";
    let list = || PendingOfPatient::<Test>::get(PATIENT);
    finds(answered, || PendingOfPatient::<Test>::insert(OTHER_PATIENT, list()));
    finds(answered, || {
        PendingOfPatient::<Test>::mutate(PATIENT, |list| {
            let later = Pending { query: ACCEPTED, ..list[0] };
            list.try_push(later).unwrap();
        });
    });
    finds(answered, || {
        PendingOfRequester::<Test>::mutate(RESEARCHER, |list| list[0].expires += 1);
    });
    finds(answered, || {
        PendingOfPatient::<Test>::mutate(PATIENT, |list| list[0].hospital = HOME);
    });
    finds(answered, || {
        PendingOfRequester::<Test>::mutate(RESEARCHER, |list| list[0].requester = DOCTOR);
    });
    finds("pending queries do not ascend", || {
        PendingOfRequester::<Test>::mutate(RESEARCHER, |list| {
            let again = list[0];
            list.try_push(again).unwrap();
        });
    });
    finds("a list without pending queries is stored", || {
        PendingOfPatient::<Test>::mutate(OTHER_PATIENT, |_| ());
    });
}

#[test]
fn terms_that_are_missing_or_left_are_found() {
    let stored = "terms are stored of a query that is not in both lists, or are missing";
    finds(stored, || Terms::<Test>::remove(PENDING));
    finds(stored, || Terms::<Test>::insert(ACCEPTED, terms()));
    finds("the terms of a query have another hash", || {
        Terms::<Test>::mutate(PENDING, |terms| terms.as_mut().unwrap()[0] ^= 1);
    });
    finds("terms belong to no query", || Terms::<Test>::insert(QueryId(7), terms()));
}

#[test]
fn transfers_that_disagree_with_acceptances_are_found() {
    finds("a transfer belongs to no query", || {
        let transfer = Transfers::<Test>::get(TRANSFERRED).unwrap();
        Transfers::<Test>::insert(QueryId(7), transfer);
    });
    finds("a transfer is of a query without acceptance", || {
        let transfer = Transfers::<Test>::get(TRANSFERRED).unwrap();
        Transfers::<Test>::insert(PENDING, transfer);
    });
    let broken: [fn(&mut Transfer); 7] = [
        |transfer| transfer.hospital = AWAY,
        |transfer| transfer.grant = Hash::zero(),
        |transfer| transfer.block = 0,
        |transfer| transfer.block = 2,
        |transfer| transfer.at = BEGIN + 1,
        |transfer| transfer.at = BEGIN - 1,
        |transfer| transfer.at = UNTIL,
    ];
    for breaks in broken {
        finds("a transfer disagrees with the acceptance", || {
            Transfers::<Test>::mutate(TRANSFERRED, |transfer| breaks(transfer.as_mut().unwrap()));
        });
    }
}

#[test]
fn a_count_below_the_stored_queries_is_found() {
    finds("a query has an id that was not assigned yet", || QueryCount::<Test>::put(2));
}
