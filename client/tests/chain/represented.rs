//! A representative accepts a query: the requester's client checks whose signature the grant has.

use epione_client::{
    chain::{
        Chain,
        calls::{mandates, queries as calls},
    },
    query::{Queries, Status},
    reader::{QueryFault, ReadError},
};
use epione_envelope::{
    development,
    grant::{GrantError, GrantedSection},
    query::{QueryGrant, QueryTerms},
    record::Record,
};
use epione_primitives::{
    QueryId,
    access::Purpose,
    query::QueriedRecords,
    release::{ReleasedRecord, SectionSet},
};

use crate::{
    account,
    node::Node,
    queries::{FIRST, HOSPITAL, Mailbox, RESEARCHER, end, opened, query, researcher, whole},
    records::{commit, doctor, patient, patient_keys, ready, record},
    sealing_key_hash, user,
    verified::verifying,
};

const DOCTOR: &str = "//Doctor";
const PATIENT: &str = "//Patient";

/// The grant of the first section of a record, signed with these development keys.
fn granted(
    chain: &Chain,
    (query, until): (QueryId, u64),
    record: &Record,
    signer: &str,
) -> QueryGrant {
    let requester = development::keys(RESEARCHER).unwrap();
    let terms = QueryTerms {
        genesis: chain.genesis_hash(),
        query,
        patient: patient(),
        requester: user(RESEARCHER),
        audience: account(RESEARCHER).id(),
        purpose: Purpose::Research,
        issued: 1,
        until,
    };
    let section = GrantedSection { pointer: FIRST, record: record.id(), section: 0 };
    let key = record.content_key(chain.genesis_hash(), 0, &patient_keys()).unwrap();
    let signer = development::keys(signer).unwrap();
    QueryGrant::seal(terms, &[(section, key)], requester.sealing.public(), &signer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_opens_only_with_the_signature_of_the_representative_who_accepted() {
    let node = Node::start();
    let trusting = ready(&node).await;
    researcher(&trusting).await;
    let sealed = record(&trusting, "all well", DOCTOR).await;
    commit(&trusting, std::slice::from_ref(&sealed)).await;
    let chain = verifying(&node, &trusting).await;
    let (queries, mailbox) = (Queries::new(chain.clone()), Mailbox::open(trusting.clone()).await);
    let until = end(&chain).await;
    let appointed = mandates::appoint(doctor(), until);
    chain.submit(&appointed, &account(PATIENT)).await.unwrap();

    let reader = mailbox.reader(&chain, RESEARCHER);
    let named = ReleasedRecord { pointer: FIRST, sections: SectionSet(1) };
    let records: QueriedRecords = vec![named].try_into().unwrap();
    for signer in [PATIENT, DOCTOR] {
        let asked = query(&chain, whole(&[FIRST])).await;
        let (id, _) = queries.ask(&asked, &account(RESEARCHER)).await.unwrap();
        let found = queries.show(id).await.unwrap().query;
        let considered =
            found.considered(id, &account(RESEARCHER).id(), sealing_key_hash(RESEARCHER));
        let grant = granted(&chain, (id, until), &sealed, signer);
        let accept = calls::accept(id, considered, &records, grant.hash(), until, HOSPITAL);
        chain.submit(&accept, &account(DOCTOR)).await.unwrap();
        let found = queries.show(id).await.unwrap();
        assert_eq!(found.acceptance().unwrap().by, doctor());
        let doctors = mailbox.reader(&chain, DOCTOR);
        doctors.worker().keep_query_grant(id, &grant).await.unwrap();

        let text = opened(&reader, &chain, id).await;
        match (signer, text) {
            (DOCTOR, text) => assert_eq!(text.unwrap(), "all well"),
            (_, Err(ReadError::Grant(GrantError::Open(_)))) => {}
            (_, other) => panic!("the patient did not accept: {other:?}"),
        }

        if signer == DOCTOR {
            // Even a mailbox that hands out everything is not asked after a dismissal. A new mandate is another one.
            let dismissed = mandates::dismiss(patient(), doctor());
            let again = mandates::appoint(doctor(), until);
            for call in [dismissed, again] {
                chain.submit(&call, &account(PATIENT)).await.unwrap();
                let ended = opened(&reader, &chain, id).await.unwrap_err();
                let fault = QueryFault::MandateEnded { query: id, by: doctor() };
                assert!(matches!(&ended, ReadError::Query(it) if *it == fault), "{ended}");
                let status = queries.show(id).await.unwrap().status;
                assert_eq!(status, Status::EndedWithMandate);
            }
        }
    }
}
