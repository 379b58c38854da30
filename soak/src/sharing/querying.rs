//! What each party computes and sends when a requester asks a patient for one section: the requester's client, the
//! patient's client, and the hospital whose worker is the mailbox.

use anyhow::{anyhow, ensure};
use codec::Encode;
use epione_client::chain::calls::queries;
use epione_envelope::{
    grant::GrantedSection,
    profile::ProfileBody,
    query::{ExpectedQuery, QueryGrant, QueryTerms, SealedTerms},
    record::Record,
};
use epione_primitives::{
    Hash, Moment, RecordPointer,
    access::Purpose,
    query::{QueriedRecords, Query, QueryId, terms_hash},
    release::{ReleasedRecord, SectionSet},
};
use http::Method;
use serde::Serialize;

use super::{
    effort::{Effort, Work},
    parties::{HOSPITAL, Parties, text},
    wire::{Sent, base64_length, transaction},
};

const TERMS: &str = "For a study of blood pressure. We read the report once, and keep no copy.";
const PURPOSE: Purpose = Purpose::Research;
const ISSUED: Moment = 1_790_000_000_000;
const UNTIL: Moment = ISSUED + 3_600_000;
/// The chain block before which the patient has to answer.
const EXPIRES: u32 = 20_000;

/// So many queries, each for one section of another record, asked, accepted and collected.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Querying {
    pub count: u16,
    /// The requester's client seals the terms and signs the query. Later it signs the request to collect, opens and
    /// checks the grant, verifies the record and opens the section.
    pub requester: Effort,
    /// The patient's client opens terms and patient key, verifies the record and opens the section, seals the grant,
    /// and signs the acceptance and the request to the mailbox.
    pub patient: Effort,
    /// The mailbox verifies both requests, compares the grant with the acceptance, and signs the transfer.
    pub hospital: Effort,
}

#[derive(Default)]
struct Works {
    requester: Work,
    patient: Work,
    hospital: Work,
}

/// A record with the profile by which its patient reads it, as the chain has them.
struct Committed {
    pointer: RecordPointer,
    text: String,
    record: Vec<u8>,
    profile: Vec<u8>,
}

impl Committed {
    fn new(parties: &Parties, height: u32) -> anyhow::Result<Self> {
        let text = text(&format!("query {height}"))?;
        let record = parties.record(std::slice::from_ref(&text))?.encode();
        let pointer = RecordPointer { height, index: 0 };
        Ok(Self { pointer, text, record, profile: parties.profile.encode() })
    }

    fn records(&self) -> anyhow::Result<QueriedRecords> {
        let mut sections = SectionSet::default();
        sections.insert(0);
        let record = ReleasedRecord { pointer: self.pointer, sections };
        vec![record].try_into().map_err(|_| anyhow!("one record is too many for a query"))
    }
}

/// Asks, accepts and collects so many queries, as often as there are repetitions.
pub(super) fn measure(parties: &Parties, count: u16, repetitions: u16) -> anyhow::Result<Querying> {
    let committed = (1..=u32::from(count)).map(|height| Committed::new(parties, height));
    let committed = committed.collect::<anyhow::Result<Vec<_>>>()?;
    let mut runs = Vec::new();
    for _ in 0..repetitions {
        let mut works = Works::default();
        for committed in &committed {
            once(parties, committed, &mut works)?;
        }
        runs.push(works);
    }
    let effort = |of: fn(&Works) -> Work| Effort::of(runs.iter().map(of));
    Ok(Querying {
        count,
        requester: effort(|works| works.requester),
        patient: effort(|works| works.patient),
        hospital: effort(|works| works.hospital),
    })
}

fn once(parties: &Parties, committed: &Committed, works: &mut Works) -> anyhow::Result<()> {
    let Parties { genesis, requester, patient, agent, .. } = parties;
    let id = QueryId(committed.pointer.height);
    let (query, terms) = works.requester.timed(|| asked(parties, committed))?;
    let call = queries::ask(
        HOSPITAL,
        patient.id,
        query.patient_key,
        &query.records,
        PURPOSE,
        EXPIRES,
        &terms,
    );
    let ask = works.requester.timed(|| transaction(&call, &requester.account, *genesis));
    works.requester.send(ask.len());

    let accepted = works.patient.timed(|| accepted(parties, committed, (id, &query), &terms))?;
    works.patient.send(accepted.transaction.len() + accepted.kept.bytes());

    let grant = works.hospital.timed(|| kept(parties, &accepted))?;
    let collect = works.requester.timed(|| {
        let path = format!("/v1/queries/{id}/collect");
        Sent::new(Method::POST, path, Vec::new(), &requester.account, *genesis)
    });
    works.requester.send(collect.bytes());
    let transfer = works.hospital.timed(|| {
        collect.authenticated(&requester.account, *genesis)?;
        anyhow::Ok(transaction(&queries::transfer(id), &agent.account, *genesis))
    })?;
    works.hospital.send(transfer.len() + base64_length(grant.len()));

    let text = works.requester.timed(|| opened(parties, committed, id, &grant))?;
    ensure!(text == committed.text, "the requester reads another text than the doctor signed");
    Ok(())
}

/// The query, and its sealed terms.
fn asked(parties: &Parties, committed: &Committed) -> anyhow::Result<(Query, Vec<u8>)> {
    let Parties { genesis, requester, patient, .. } = parties;
    let key = patient.sealing.public();
    let (from, to) = (requester.id, patient.id);
    let sealed = SealedTerms::seal(*genesis, from, to, TERMS, key, &requester.account)?.encode();
    let query = Query {
        requester: from,
        hospital: HOSPITAL,
        patient: to,
        patient_key: key.hash(),
        records: committed.records()?,
        purpose: PURPOSE,
        terms: terms_hash(&sealed),
        expires: EXPIRES,
        block: 1,
        at: ISSUED,
        answer: None,
    };
    Ok((query, sealed))
}

/// What the patient sends: the acceptance to the chain, and the sealed grant to the mailbox.
struct Accepted {
    transaction: Vec<u8>,
    kept: Sent,
    /// The hash of the grant, which the acceptance has.
    grant: Hash,
}

fn accepted(
    parties: &Parties,
    committed: &Committed,
    (id, query): (QueryId, &Query),
    terms: &[u8],
) -> anyhow::Result<Accepted> {
    let Parties { genesis, doctor, requester, patient, agent, .. } = parties;
    let sealed = SealedTerms::decode_exactly(terms)?;
    let by = requester.account.id();
    sealed.open(*genesis, requester.id, patient.id, &by, &patient.sealing)?;

    let profile = ProfileBody::decode_exactly(&committed.profile)?;
    let (context, agent) = (parties.profile_context(), agent.account.id());
    let keys = profile.patient_keys_for_patient(&context, &patient.sealing, &agent)?;
    let record = Record::decode_exactly(&committed.record)?;
    record.verify(*genesis, &doctor.account.id())?;
    let key = record.content_key(*genesis, 0, &keys)?;
    record.open_text(*genesis, 0, &key)?;

    let recipient = requester.sealing.public();
    let considered = query.considered(id, &by, recipient.hash());
    let place = GrantedSection { pointer: committed.pointer, record: record.id(), section: 0 };
    let terms = QueryTerms {
        genesis: *genesis,
        query: id,
        patient: patient.id,
        requester: requester.id,
        audience: by,
        purpose: PURPOSE,
        issued: ISSUED,
        until: UNTIL,
    };
    let grant = QueryGrant::seal(terms, &[(place, key)], recipient, &patient.account)?;
    let hash = grant.hash();
    let call = queries::accept(id, considered, &query.records, hash, UNTIL, HOSPITAL);
    let transaction = transaction(&call, &patient.account, *genesis);
    let path = format!("/v1/queries/{id}/grant");
    let kept = Sent::new(Method::PUT, path, grant.encode(), &patient.account, *genesis);
    Ok(Accepted { transaction, kept, grant: hash })
}

/// The grant that the mailbox keeps: what the acceptance names, from the patient.
fn kept(parties: &Parties, accepted: &Accepted) -> anyhow::Result<Vec<u8>> {
    let body = accepted.kept.authenticated(&parties.patient.account, parties.genesis)?;
    let grant = QueryGrant::decode_exactly(body)?;
    ensure!(grant.hash() == accepted.grant, "the acceptance names another grant");
    Ok(body.to_vec())
}

/// What the requester reads with a collected grant.
fn opened(
    parties: &Parties,
    committed: &Committed,
    id: QueryId,
    grant: &[u8],
) -> anyhow::Result<String> {
    let Parties { genesis, requester, patient, .. } = parties;
    let grant = QueryGrant::decode_exactly(grant)?;
    let (acceptor, audience) = (patient.account.id(), requester.account.id());
    let expected = ExpectedQuery {
        genesis: *genesis,
        query: id,
        patient: patient.id,
        acceptor: &acceptor,
        audience: &audience,
        purpose: PURPOSE,
        until: UNTIL,
        now: ISSUED,
    };
    let keys: Vec<_> =
        grant.open(&expected, &requester.sealing)?.into_iter().map(|(_, key)| key).collect();
    let record = Record::decode_exactly(&committed.record)?;
    let mut texts = parties.opened(&record, &keys)?;
    ensure!(texts.len() == 1, "the grant is for one section");
    Ok(texts.remove(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_party_computes_and_sends_for_each_query() {
        let parties = Parties::new().unwrap();
        let (one, three) = (measure(&parties, 1, 2).unwrap(), measure(&parties, 3, 1).unwrap());
        let efforts = |it: &Querying| [it.requester, it.patient, it.hospital];
        for (one, three) in efforts(&one).into_iter().zip(efforts(&three)) {
            assert!(one.millis > 0.0 && three.millis > 0.0);
            assert!(one.bytes > 0 && three.bytes == 3 * one.bytes, "{one:?} {three:?}");
        }
    }

    #[test]
    fn a_grant_that_the_acceptance_does_not_name_is_not_kept() {
        let parties = Parties::new().unwrap();
        let committed = Committed::new(&parties, 1).unwrap();
        let (query, terms) = asked(&parties, &committed).unwrap();
        let accept = || accepted(&parties, &committed, (QueryId(1), &query), &terms).unwrap();
        let (one, other) = (accept(), accept());
        assert!(kept(&parties, &one).is_ok());
        let swapped = Accepted { grant: other.grant, ..one };
        assert!(kept(&parties, &swapped).is_err());
    }

    #[test]
    fn another_query_s_grant_does_not_open() {
        let parties = Parties::new().unwrap();
        let committed = Committed::new(&parties, 1).unwrap();
        let (query, terms) = asked(&parties, &committed).unwrap();
        let accepted = accepted(&parties, &committed, (QueryId(1), &query), &terms).unwrap();
        let grant = kept(&parties, &accepted).unwrap();
        assert_eq!(opened(&parties, &committed, QueryId(1), &grant).unwrap(), committed.text);
        assert!(opened(&parties, &committed, QueryId(2), &grant).is_err());
    }
}
