use epione_mocks::{Users, end_registration, register, set_active};
use epione_primitives::{
    AccountId, BlockNumber, Hash, QueryId, RecordPointer, UserId, Word as _,
    access::Purpose,
    limits::{MAX_QUERIED_RECORDS, MAX_QUERY_BLOCKS},
    query::{QueriedRecords, Query, terms_hash},
};
use frame_support::{assert_noop, assert_ok, dispatch::DispatchResult};

use super::accounts_of_no_user;
use crate::{Error, Event, QueryCount, mock::*};

fn ask_for(records: QueriedRecords) -> DispatchResult {
    ask_of(PATIENT, records, Purpose::Research, EXPIRES)
}

fn ask_of(
    patient: UserId,
    records: QueriedRecords,
    purpose: Purpose,
    expires: BlockNumber,
) -> DispatchResult {
    let mut call = question_to(patient, records, AWAY, expires);
    if let crate::Call::ask { purpose: stated, .. } = &mut call {
        *stated = purpose;
    }
    dispatch(call, user(RESEARCHER))
}

#[test]
fn a_query_is_stored_with_its_sealed_terms() {
    run(|| {
        let id = ask();
        assert_eq!(id, QueryId(0));
        let expected = Query {
            requester: RESEARCHER,
            hospital: AWAY,
            patient: PATIENT,
            patient_key: first_key(PATIENT),
            records: asked_records(),
            purpose: Purpose::Research,
            terms: terms_hash(&terms()),
            expires: EXPIRES,
            block: 1,
            at: BEGIN,
            answer: None,
        };
        assert_eq!(query(id), expected);
        assert_eq!(Queries::terms(id), Some(terms()));
        assert!(expected.is_pending(EXPIRES - 1) && !expected.is_pending(EXPIRES));
        let event = Event::<Test>::Asked { query: id, requester: RESEARCHER, patient: PATIENT };
        System::assert_last_event(event.into());
        assert_eq!(ask(), QueryId(1), "the same can be asked again");
    });
}

#[test]
fn any_user_asks_but_no_hospital_and_no_retired_account() {
    run(|| {
        for account in accounts_of_no_user() {
            let origin = RuntimeOrigin::signed(account);
            assert_noop!(dispatch(question(), origin), Error::<Test>::NotUser);
        }
        for requester in [DOCTOR, OTHER_PATIENT] {
            assert_ok!(dispatch(question_for(HOME), user(requester)));
        }
        Users::set_account(RESEARCHER, AccountId::new([8; 32]));
        assert_noop!(dispatch(question(), user(RESEARCHER)), Error::<Test>::NotUser);
    });
}

#[test]
fn a_requester_asks_only_for_an_active_hospital_with_the_own_registration() {
    run(|| {
        let not_in_force = || Error::<Test>::NotInForce;
        assert_noop!(dispatch(question(), user(STRANGER)), not_in_force());
        for elsewhere in [HOME, NOWHERE] {
            assert_noop!(dispatch(question_for(elsewhere), user(RESEARCHER)), not_in_force());
        }
        set_active(AWAY, false);
        assert_noop!(dispatch(question(), user(RESEARCHER)), not_in_force());
        register(HOME, RESEARCHER, 0);
        assert_noop!(dispatch(question(), user(RESEARCHER)), not_in_force());
        let id = ask_with(question_for(HOME), RESEARCHER);
        assert_eq!(query(id).hospital, HOME);
        end_registration(HOME, RESEARCHER);
        assert_noop!(dispatch(question_for(HOME), user(RESEARCHER)), not_in_force());
    });
}

#[test]
fn terms_are_sealed_to_the_patients_current_key() {
    run(|| {
        Users::set_sealing_key(PATIENT, Hash::repeat_byte(80));
        assert_noop!(dispatch(question(), user(RESEARCHER)), Error::<Test>::PatientChanged);
        Users::set_sealing_key(PATIENT, first_key(PATIENT));
        ask();
    });
}

#[test]
fn a_query_has_terms() {
    run(|| {
        let mut call = question();
        if let crate::Call::ask { terms, .. } = &mut call {
            *terms = Default::default();
        }
        assert_noop!(dispatch(call, user(RESEARCHER)), Error::<Test>::EmptyTerms);
    });
}

#[test]
fn only_another_patient_can_be_asked() {
    run(|| {
        for nobody in [DOCTOR, RESEARCHER, UserId([77; 32])] {
            let asked = ask_of(nobody, asked_records(), Purpose::Research, EXPIRES);
            assert_eq!(asked, Err(Error::<Test>::UnknownPatient.into()));
        }
        assert_noop!(dispatch(question_for(HOME), user(PATIENT)), Error::<Test>::UnknownPatient);
    });
}

#[test]
fn records_must_be_in_order_and_have_sections() {
    run(|| {
        let invalid: [&[(RecordPointer, u64)]; 5] = [
            &[],
            &[(FIRST, 0)],
            &[(FIRST, 1), (SECOND, 0)],
            &[(SECOND, 1), (FIRST, 1)],
            &[(FIRST, 1), (FIRST, 2)],
        ];
        for named in invalid {
            assert_noop!(ask_for(records(named)), Error::<Test>::InvalidRecords);
        }
        assert_ok!(ask_for(records(&[(SECOND, 1 << 63)])));
    });
}

#[test]
fn records_must_be_committed_and_of_the_patient() {
    run(|| {
        for stranger in [UNCOMMITTED, OTHERS] {
            let named = records(&[(FIRST, 1), (stranger, 1)]);
            assert_noop!(ask_for(named), Error::<Test>::UnknownRecord);
        }
        let own = records(&[(OTHERS, 1)]);
        assert_ok!(ask_of(OTHER_PATIENT, own, Purpose::Research, EXPIRES));
    });
}

#[test]
fn more_records_than_the_maximum_cannot_be_encoded() {
    let pointers = (0..=MAX_QUERIED_RECORDS).map(|height| RecordPointer { height, index: 0 });
    let named: Vec<_> = pointers.map(|pointer| (pointer, 1)).collect();
    let most = records(&named);
    assert_eq!(most.len(), MAX_QUERIED_RECORDS as usize);
    let mut more = most.into_inner();
    more.extend(records(&[(UNCOMMITTED, 1)]));
    assert!(QueriedRecords::try_from(more).is_err());
}

#[test]
fn an_emergency_is_no_query() {
    run(|| {
        for &purpose in Purpose::ALL {
            let asked = ask_of(PATIENT, asked_records(), purpose, EXPIRES);
            let expected: DispatchResult = match purpose {
                Purpose::Emergency => Err(Error::<Test>::EmergencyPurpose.into()),
                _ => Ok(()),
            };
            assert_eq!(asked, expected);
            // One requester has few places of a patient.
            if asked.is_ok() {
                let id = QueryId(QueryCount::<Test>::get() - 1);
                assert_ok!(withdraw(user(RESEARCHER), id));
            }
        }
    });
}

#[test]
fn a_query_ends_after_this_block_and_within_the_longest_time() {
    run(|| {
        System::set_block_number(50);
        for expires in [0, 49, 50, 50 + MAX_QUERY_BLOCKS + 1, BlockNumber::MAX] {
            let asked = ask_of(PATIENT, asked_records(), Purpose::Audit, expires);
            assert_eq!(asked, Err(Error::<Test>::WrongExpiry.into()), "{expires}");
        }
        for expires in [51, 50 + MAX_QUERY_BLOCKS] {
            assert_ok!(ask_of(PATIENT, asked_records(), Purpose::Audit, expires));
        }
    });
}
