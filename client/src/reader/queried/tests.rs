use epione_envelope::{
    account::Signer, development, grant::GrantedSection, keys::ContentKey, query::QueryTerms,
};
use epione_primitives::{
    Hash, RecordId, RecordPointer,
    access::Purpose,
    query::QueriedRecords,
    release::{ReleasedRecord, SectionSet},
};

use super::*;
use crate::Account;

const QUERY: QueryId = QueryId(7);
const REQUESTER: UserId = UserId([2; 32]);
const PATIENT: UserId = UserId([1; 32]);
const FIRST: RecordPointer = RecordPointer { height: 1, index: 0 };
const OTHER: RecordPointer = RecordPointer { height: 2, index: 1 };
const UNTIL: Moment = 1_000;

fn researcher() -> Account {
    Account::development("//Researcher").unwrap()
}

fn set(sections: &[u16]) -> SectionSet {
    let mut set = SectionSet::default();
    assert!(sections.iter().all(|section| set.insert(*section)));
    set
}

fn records() -> QueriedRecords {
    let records = vec![
        ReleasedRecord { pointer: FIRST, sections: set(&[0, 2]) },
        ReleasedRecord { pointer: OTHER, sections: set(&[5]) },
    ];
    records.try_into().unwrap()
}

/// The patient's grant of these sections.
fn grant(places: &[(RecordPointer, u16)]) -> QueryGrant {
    let patient = development::keys("//Patient").unwrap();
    let requester = development::keys("//Researcher").unwrap();
    let terms = QueryTerms {
        genesis: Hash::repeat_byte(6),
        query: QUERY,
        patient: PATIENT,
        requester: REQUESTER,
        audience: requester.account(),
        purpose: Purpose::Research,
        issued: 1,
        until: UNTIL,
    };
    let place = |(pointer, section): &(RecordPointer, u16)| {
        let record = RecordId([pointer.height as u8; 16]);
        (GrantedSection { pointer: *pointer, record, section: *section }, ContentKey::generate())
    };
    let keys: Vec<_> = places.iter().map(place).collect();
    QueryGrant::seal(terms, &keys, requester.sealing.public(), &patient).unwrap()
}

fn acceptance(grant: &QueryGrant) -> Acceptance {
    Acceptance {
        by: PATIENT,
        records: records(),
        grant: grant.hash(),
        until: UNTIL,
        audience: researcher().id(),
        sealing_key: Hash::repeat_byte(9),
        mailbox: HospitalId(3),
        block: 20,
        at: 500,
    }
}

fn query(answer: Option<Answer>) -> Query {
    Query {
        requester: REQUESTER,
        hospital: HospitalId(5),
        patient: PATIENT,
        patient_key: Hash::repeat_byte(7),
        records: records(),
        purpose: Purpose::Research,
        terms: Hash::repeat_byte(4),
        expires: 100,
        block: 10,
        at: 400,
        answer,
    }
}

const PLACES: [(RecordPointer, u16); 3] = [(FIRST, 0), (FIRST, 2), (OTHER, 5)];

#[test]
fn only_the_requester_collects_with_the_accepted_account_before_the_end() {
    let accepted = query(Some(Answer::Accepted(acceptance(&grant(&PLACES)))));
    let account = researcher().id();
    let by = |user, account: &AccountId, now| {
        collectable(QUERY, &accepted, (user, account), now).map(|it| it.mailbox)
    };
    assert_eq!(by(REQUESTER, &account, UNTIL - 1), Ok(HospitalId(3)));
    let over = QueryFault::Over { query: QUERY, until: UNTIL };
    assert_eq!(by(REQUESTER, &account, UNTIL), Err(over));
    let other = Account::development("//Renewed").unwrap().id();
    assert_eq!(by(REQUESTER, &other, 1), Err(QueryFault::OtherKeys(QUERY)));
    let user = UserId([8; 32]);
    assert_eq!(by(user, &account, 1), Err(QueryFault::NotRequester { query: QUERY, user }));
}

#[test]
fn nothing_is_collected_without_an_acceptance_that_still_holds() {
    let accepted = acceptance(&grant(&PLACES));
    let (by, block, at) = (PATIENT, 30, 600);
    let withdrawn = |acceptance| Some(Answer::Withdrawn { by, block, at, acceptance });
    for (answer, expected) in [
        (None, QueryFault::NotAnswered(QUERY)),
        (Some(Answer::Refused { by, block, at }), QueryFault::Refused(QUERY)),
        (withdrawn(None), QueryFault::Canceled(QUERY)),
        (withdrawn(Some(accepted)), QueryFault::Withdrawn(QUERY)),
    ] {
        let asked = query(answer);
        let refused = collectable(QUERY, &asked, (REQUESTER, &researcher().id()), 1);
        assert_eq!(refused.err(), Some(expected));
    }
}

#[test]
fn nobody_but_the_patient_or_a_representative_of_that_time_accepts() {
    let by_patient = acceptance(&grant(&PLACES));
    let by = UserId([4; 32]);
    let by_other = Acceptance { by, ..by_patient.clone() };
    let since = |since| Some(Mandate { since, until: UNTIL, ended: None });
    let check = |accepted, mandate| check_acceptor(QUERY, PATIENT, accepted, mandate);
    assert_eq!(check(&by_patient, None), Ok(()));
    // The acceptance was given at 500.
    for mandate in [since(0), since(500)] {
        assert_eq!(check(&by_other, mandate), Ok(()), "{mandate:?}");
    }
    for mandate in [None, since(501)] {
        let refused = Err(QueryFault::NotRepresented { query: QUERY, by });
        assert_eq!(check(&by_other, mandate), refused, "{mandate:?}");
    }
}

#[test]
fn a_grant_that_the_patient_did_not_accept_is_refused_with_what_differs() {
    let granted = grant(&PLACES);
    let accepted = acceptance(&granted);
    assert_eq!(disagreement(&accepted, &granted), None);
    // The same sections with fresh keys: not what the patient accepted.
    assert_eq!(disagreement(&accepted, &grant(&PLACES)), Some("grant"));
    let more = [&PLACES[..], &[(OTHER, 6)]].concat();
    for places in [&PLACES[..2], &more, &[(FIRST, 0), (FIRST, 1), (OTHER, 5)]] {
        let granted = grant(places);
        let accepted = acceptance(&granted);
        assert_eq!(disagreement(&accepted, &granted), Some("list of sections"), "{places:?}");
    }
    // A section that no record can have.
    let granted = grant(&[&PLACES[..], &[(FIRST, 64)]].concat());
    assert_eq!(disagreement(&acceptance(&granted), &granted), Some("list of sections"));
}

#[test]
fn a_transfer_of_another_grant_or_by_another_hospital_is_refused() {
    let accepted = acceptance(&grant(&PLACES));
    let transfer =
        Transfer { hospital: accepted.mailbox, grant: accepted.grant, block: 25, at: 550 };
    assert_eq!(other_transfer(&accepted, &transfer), None);
    let other = Transfer { grant: Hash::repeat_byte(1), ..transfer.clone() };
    assert_eq!(other_transfer(&accepted, &other), Some("grant"));
    let other = Transfer { hospital: HospitalId(4), ..transfer };
    assert_eq!(other_transfer(&accepted, &other), Some("hospital"));
}
