use epione_primitives::{QueryId, UserId, limits::MAX_PAGE, query::Query};

use crate::mock::*;

fn ids(page: Vec<(u32, QueryId, Query)>) -> Vec<(u32, u32)> {
    page.into_iter().map(|(number, id, _)| (number, id.0)).collect()
}

#[test]
fn each_party_lists_its_own_queries_newest_first() {
    run(|| {
        ask();
        dispatch(question_for(HOME), user(DOCTOR)).unwrap();
        ask();
        assert_eq!(ids(Queries::patient_queries(PATIENT, None, 9)), [(2, 2), (1, 1), (0, 0)]);
        assert_eq!(ids(Queries::patient_queries(PATIENT, Some(2), 1)), [(1, 1)]);
        assert_eq!(ids(Queries::requester_queries(RESEARCHER, None, 9)), [(1, 2), (0, 0)]);
        assert_eq!(ids(Queries::requester_queries(DOCTOR, None, 9)), [(0, 1)]);
        assert_eq!(ids(Queries::requester_queries(RESEARCHER, Some(0), 9)), []);
        for nobody in [OTHER_PATIENT, UserId([77; 32])] {
            assert!(Queries::patient_queries(nobody, None, 9).is_empty());
            assert!(Queries::requester_queries(nobody, None, 9).is_empty());
        }
        let (_, id, first) = Queries::patient_queries(PATIENT, Some(1), 1).remove(0);
        assert_eq!(Queries::query(id), Some(first));
    });
}

#[test]
fn a_page_is_bounded() {
    run(|| {
        for _ in 0..=MAX_PAGE {
            let id = ask();
            accept(id);
        }
        let longest = MAX_PAGE as usize;
        assert_eq!(Queries::patient_queries(PATIENT, None, u32::MAX).len(), longest);
        assert_eq!(Queries::requester_queries(RESEARCHER, None, u32::MAX).len(), longest);
    });
}

#[test]
fn an_unknown_query_has_nothing() {
    run(|| {
        let unknown = QueryId(0);
        assert_eq!(Queries::query(unknown), None);
        assert_eq!(Queries::terms(unknown), None);
        assert_eq!(Queries::transferred(unknown), None);
    });
}
