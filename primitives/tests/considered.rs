//! The hash that binds an acceptance to one question and to the requester's keys.

use codec::Encode as _;
use epione_primitives::{
    AccountId, Hash, HospitalId, QueryId, RecordPointer, UserId,
    access::Purpose,
    query::{Answer, QueriedRecords, Query},
    release::{ReleasedRecord, SectionSet},
};
use sp_runtime::traits::{BlakeTwo256, Hash as _};

const ID: QueryId = QueryId(7);
const KEY: Hash = Hash::repeat_byte(9);

fn query() -> Query {
    let pointer = RecordPointer { height: 1, index: 2 };
    let named = ReleasedRecord { pointer, sections: SectionSet(0b11) };
    Query {
        requester: UserId([1; 32]),
        hospital: HospitalId(3),
        patient: UserId([2; 32]),
        patient_key: Hash::repeat_byte(4),
        records: QueriedRecords::truncate_from(vec![named]),
        purpose: Purpose::Research,
        terms: Hash::repeat_byte(5),
        expires: 100,
        block: 10,
        at: 30_000,
        answer: None,
    }
}

fn audience() -> AccountId {
    AccountId::new([8; 32])
}

#[test]
fn what_a_patient_considers_is_the_question_without_its_answer_and_the_keys() {
    let query = query();
    let question = query.encode();
    let parts: [&[u8]; 5] = [b"epione/query", &7_u32.to_le_bytes(), &question, &[8; 32], &[9; 32]];
    let considered = query.considered(ID, &audience(), KEY);
    assert_eq!(considered, BlakeTwo256::hash(&parts.concat()));
    let refused = Query {
        answer: Some(Answer::Refused { by: UserId([2; 32]), block: 11, at: 33_000 }),
        ..query
    };
    assert_eq!(refused.considered(ID, &audience(), KEY), considered);
}

#[test]
fn every_part_of_a_question_and_each_key_changes_what_is_considered() {
    let considered = query().considered(ID, &audience(), KEY);
    let changes: [fn(&mut Query); 10] = [
        |query| query.requester = UserId([7; 32]),
        |query| query.hospital = HospitalId(4),
        |query| query.patient = UserId([7; 32]),
        |query| query.patient_key = Hash::zero(),
        |query| query.records[0].sections = SectionSet(0b1),
        |query| query.purpose = Purpose::Audit,
        |query| query.terms = Hash::zero(),
        |query| query.expires += 1,
        |query| query.block += 1,
        |query| query.at += 1,
    ];
    for change in changes {
        let mut other = query();
        change(&mut other);
        assert_ne!(other.considered(ID, &audience(), KEY), considered, "{other:?}");
    }
    assert_ne!(query().considered(QueryId(8), &audience(), KEY), considered);
    assert_ne!(query().considered(ID, &AccountId::new([7; 32]), KEY), considered);
    assert_ne!(query().considered(ID, &audience(), Hash::zero()), considered);
}
