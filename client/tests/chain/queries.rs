//! Queries: a real chain, and a mailbox whose answers a test defines.

use std::sync::{Arc, Mutex};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use codec::Encode;
use epione_client::{
    Account, Endpoint,
    api::GrantReply,
    chain::{
        Chain,
        calls::{profiles, queries},
    },
    query::{Considered, NewQuery, Party, Queries, QueryError, Status, UnsentGrants},
    reader::{OpenContent, QueryFault, ReadError, Reader, VerifiedRecord},
    worker::WorkerClient,
};
use epione_envelope::{
    development,
    grant::GrantedSection,
    keys::ContentKey,
    profile::{ProfileBody, ProfileContext, Recipient},
    query::{QueryGrant, QueryTerms, SealedTerms},
};
use epione_primitives::{
    Hash, HospitalId, QueryId, RecordId, RecordPointer, UserId,
    access::Purpose,
    profile::Role,
    query::QueriedRecords,
    release::{ReleasedRecord, SectionSet},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use url::Url;

use crate::{
    account, agent,
    node::Node,
    records::{commit, doctor, patient, ready, record},
    register_under, sealing_key_hash, user,
    verified::verifying,
};

pub const HOSPITAL: HospitalId = HospitalId(0);
pub const FIRST: RecordPointer = RecordPointer { height: 1, index: 0 };
const SECOND: RecordPointer = RecordPointer { height: 1, index: 1 };
pub const RESEARCHER: &str = "//Researcher";
const PATIENT: &str = "//Patient";
const TERMS: &str = "a study of blood pressure; we keep the text for a year";

/// What the mailbox does when the requester collects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conduct {
    Honest,
    /// It hands out without a transfer on the chain.
    Silent,
    /// It sends a grant that the researcher sealed to themself.
    Forging,
    /// It does not accept the patient's grant.
    Full,
}

/// A worker that keeps the last grant that it got.
pub struct Mailbox {
    url: Url,
    conduct: Arc<Mutex<Conduct>>,
}

impl Mailbox {
    pub async fn open(chain: Chain) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let conduct = Arc::new(Mutex::new(Conduct::Honest));
        let now = Arc::clone(&conduct);
        tokio::spawn(async move {
            let mut kept = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (head, body) = request(&mut stream).await;
                let conduct = *now.lock().unwrap();
                let (status, answer) = if conduct == Conduct::Full {
                    ("409 Conflict", String::new())
                } else if head.starts_with("PUT ") {
                    // The worker accepts the grant that the chain names, after the acceptance is final.
                    let grant = QueryGrant::decode_exactly(&body).unwrap();
                    let state = chain.finalized().await.unwrap();
                    let query = state.query(grant.terms().query).await.unwrap().unwrap();
                    assert_eq!(query.acceptance().unwrap().grant, grant.hash());
                    kept = body;
                    ("204 No Content", String::new())
                } else {
                    let id = head.split('/').nth(3).unwrap().parse().unwrap();
                    ("200 OK", collected(&chain, QueryId(id), &kept, conduct).await)
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    answer.len()
                );
                stream.write_all((head + &answer).as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        Self { url, conduct }
    }

    fn becomes(&self, conduct: Conduct) {
        *self.conduct.lock().unwrap() = conduct;
    }

    /// A reader with these development keys, whose worker is this mailbox.
    pub fn reader(&self, chain: &Chain, uri: &str) -> Reader {
        let keys = development::keys(uri).unwrap();
        let endpoint = Endpoint::new(self.url.clone(), [0; 32]).unwrap();
        let genesis = chain.genesis_hash();
        let worker = WorkerClient::new(&endpoint, HOSPITAL, genesis, Account::from(&keys)).unwrap();
        Reader::new(chain.clone(), worker, keys.sealing)
    }
}

async fn collected(chain: &Chain, query: QueryId, kept: &[u8], conduct: Conduct) -> String {
    let grant = match conduct {
        Conduct::Forging => forged(chain, query).encode(),
        Conduct::Honest | Conduct::Silent | Conduct::Full => kept.to_vec(),
    };
    let state = chain.finalized().await.unwrap();
    if conduct == Conduct::Honest && state.transfer(query).await.unwrap().is_none() {
        chain.submit(&queries::transfer(query), &agent()).await.unwrap();
    }
    let grant = BASE64_STANDARD.encode(grant);
    serde_json::to_string(&GrantReply { grant, links: Vec::new() }).unwrap()
}

/// The same terms, but the mailbox's own agent signs.
fn forged(chain: &Chain, query: QueryId) -> QueryGrant {
    let researcher = development::keys(RESEARCHER).unwrap();
    let terms = QueryTerms {
        genesis: chain.genesis_hash(),
        query,
        patient: patient(),
        requester: user(RESEARCHER),
        audience: Account::from(&researcher).id(),
        purpose: Purpose::Research,
        issued: 1,
        until: u64::MAX,
    };
    let section = GrantedSection { pointer: FIRST, record: RecordId([1; 16]), section: 0 };
    let keys = [(section, ContentKey::generate())];
    QueryGrant::seal(terms, &keys, researcher.sealing.public(), &agent()).unwrap()
}

async fn request(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
        let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        if bytes.len() == end + 4 + length {
            return (head, bytes.split_off(end + 4));
        }
    }
}

/// Registers the researcher with a profile that has the sealing key.
pub async fn researcher(chain: &Chain) -> UserId {
    let id = user(RESEARCHER);
    let genesis = chain.genesis_hash();
    let context = ProfileContext { genesis, hospital: HOSPITAL, user: id };
    let sealing = development::sealing_key(RESEARCHER);
    let recipient = Recipient { account: &account(RESEARCHER).id(), key: sealing.public() };
    let hospital = development::sealing_key("//Alice");
    let body =
        ProfileBody::for_professional(&context, "Ada", recipient, hospital.public(), &agent());
    register_under(chain, Role::Researcher, RESEARCHER, &body.unwrap().encode()).await;
    id
}

pub fn whole(pointers: &[RecordPointer]) -> QueriedRecords {
    let record =
        |pointer: &RecordPointer| ReleasedRecord { pointer: *pointer, sections: SectionSet::ALL };
    pointers.iter().map(record).collect::<Vec<_>>().try_into().unwrap()
}

pub async fn query(chain: &Chain, records: QueriedRecords) -> NewQuery<'static> {
    let head = chain.finalized_head().await.unwrap().number;
    let (purpose, expires) = (Purpose::Research, head + 1_000);
    let hospital = HOSPITAL;
    NewQuery { hospital, patient: patient(), records, purpose, expires, terms: TERMS }
}

pub async fn end(chain: &Chain) -> u64 {
    chain.finalized().await.unwrap().time().await.unwrap() + 3_600_000
}

pub async fn opened(reader: &Reader, chain: &Chain, id: QueryId) -> Result<String, ReadError> {
    let record = VerifiedRecord::of(chain, patient(), FIRST).await.unwrap();
    let mut opened = reader.open_query(id, vec![record]).await?;
    match &opened.remove(0)?.sections[0].content {
        OpenContent::Text { text, .. } => Ok(text.to_string()),
        _ => panic!("a text was sealed"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_researcher_reads_what_the_patient_accepts_and_nothing_else() {
    let node = Node::start();
    let trusting = ready(&node).await;
    let researcher = researcher(&trusting).await;
    let records = [record(&trusting, "all well", "//Doctor").await];
    let other = record(&trusting, "private", "//Doctor").await;
    commit(&trusting, &[&records[..], &[other]].concat()).await;
    let chain = verifying(&node, &trusting).await;
    let (queries, mailbox) = (Queries::new(chain.clone()), Mailbox::open(trusting.clone()).await);

    nothing_is_asked_that_the_patient_does_not_have(&chain, &queries).await;
    let asked = query(&chain, whole(&[FIRST, SECOND])).await;
    let (id, _) = queries.ask(&asked, &account(RESEARCHER)).await.unwrap();
    for party in [Party::Patient(patient()), Party::Requester(researcher)] {
        let listed = queries.list(party, u32::MAX).await.unwrap().queries;
        assert_eq!(
            listed.iter().map(|it| (it.id, it.status)).collect::<Vec<_>>(),
            [(id, Status::Pending)]
        );
    }
    let pending = queries.pending(patient()).await.unwrap().queries;
    assert_eq!(pending.iter().map(|it| it.id).collect::<Vec<_>>(), [id]);
    the_proven_pending_queries_are_the_nodes(&trusting, &chain, 1).await;
    let nobody = Party::Patient(doctor());
    assert_eq!(queries.list(nobody, 9).await.unwrap().queries, []);

    let own = mailbox.reader(&chain, PATIENT);
    let considered = queries.consider(id, &own).await.unwrap();
    assert_eq!(considered.terms.as_deref().unwrap(), TERMS);
    assert_eq!(considered.requester.role, Role::Researcher);
    assert!(considered.requester.in_force);
    assert_eq!(considered.records.len(), 2);
    let stranger = mailbox.reader(&chain, "//Doctor");
    let refused = queries.consider(id, &stranger).await.unwrap_err();
    assert!(matches!(refused, QueryError::NotPatient { .. }), "{refused}");
    let reader = mailbox.reader(&chain, RESEARCHER);
    let early = opened(&reader, &chain, id).await.unwrap_err();
    assert!(matches!(early, ReadError::Query(QueryFault::NotAnswered(_))), "{early}");

    let named = ReleasedRecord { pointer: FIRST, sections: SectionSet(1) };
    let accepted = considered.choose(&[named]).unwrap();
    let place = tempfile::tempdir().unwrap();
    let unsent = UnsentGrants::in_folder(place.path());
    nothing_is_signed_that_the_chain_would_refuse(&queries, &considered, &own, &unsent).await;
    // The acceptance is final, and the mailbox does not take the grant: the patient brings it later.
    mailbox.becomes(Conduct::Full);
    let until = end(&chain).await;
    let refused = queries.accept(&considered, &accepted, until, &own, &unsent).await.unwrap_err();
    let told =
        matches!(refused, QueryError::NotBrought { query, mailbox: HOSPITAL, .. } if query == id);
    assert!(told, "{refused}");
    let again = queries.accept(&considered, &accepted, until, &own, &unsent).await.unwrap_err();
    assert!(again.to_string().contains("the patient accepted in chain block"), "{again}");
    mailbox.becomes(Conduct::Honest);
    let hash = queries.show(id).await.unwrap().acceptance().unwrap().grant;
    let grant = unsent.find(id, hash).unwrap().unwrap();
    queries.bring(&grant, own.worker(), &unsent).await.unwrap();
    assert_eq!(unsent.find(id, hash).unwrap(), None);
    assert_eq!(queries.pending(patient()).await.unwrap().queries, []);
    the_proven_pending_queries_are_the_nodes(&trusting, &chain, 0).await;
    let found = queries.show(id).await.unwrap();
    assert_eq!((found.status, found.transfer), (Status::Accepted, None));
    assert_eq!(found.query.acceptance().unwrap().records, accepted);

    mailbox.becomes(Conduct::Forging);
    let forged = opened(&reader, &chain, id).await.unwrap_err();
    let told = matches!(forged, ReadError::Query(QueryFault::Grant { what: "grant", .. }));
    assert!(told, "{forged}");
    mailbox.becomes(Conduct::Silent);
    let silent = opened(&reader, &chain, id).await.unwrap_err();
    assert!(matches!(silent, ReadError::Query(QueryFault::NoTransfer { .. })), "{silent}");
    mailbox.becomes(Conduct::Honest);
    assert_eq!(opened(&reader, &chain, id).await.unwrap(), "all well");
    // The mailbox hands it out again under the same transfer.
    assert_eq!(opened(&reader, &chain, id).await.unwrap(), "all well");
    assert_eq!(queries.show(id).await.unwrap().status, Status::Collected);

    let record = VerifiedRecord::of(&chain, patient(), SECOND).await.unwrap();
    let hidden = reader.open_query(id, vec![record]).await.unwrap().remove(0).unwrap_err();
    assert!(matches!(hidden, ReadError::NothingGranted { pointer: SECOND }), "{hidden}");
    let stolen = opened(&stranger, &chain, id).await.unwrap_err();
    assert!(matches!(stolen, ReadError::Query(QueryFault::NotRequester { .. })), "{stolen}");
    the_proven_answers_are_the_runtimes(&trusting, &chain, researcher, id).await;

    queries.withdraw(id, &account(PATIENT)).await.unwrap();
    let ended = opened(&reader, &chain, id).await.unwrap_err();
    assert!(matches!(ended, ReadError::Query(QueryFault::Withdrawn(_))), "{ended}");
    let answered = queries.consider(id, &own).await.unwrap_err();
    assert!(matches!(answered, QueryError::Answered { .. }), "{answered}");
}

async fn nothing_is_signed_that_the_chain_would_refuse(
    queries: &Queries,
    considered: &Considered,
    own: &Reader,
    unsent: &UnsentGrants,
) {
    let accepted = considered.choose(&[]).unwrap();
    for wrong in [1, u64::MAX] {
        let refused = queries.accept(considered, &accepted, wrong, own, unsent).await.unwrap_err();
        assert!(matches!(refused, QueryError::WrongEnd), "{refused}");
    }
    assert_eq!(queries.show(considered.id).await.unwrap().status, Status::Pending);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_does_not_open_blocks_neither_the_terms_nor_another_record() {
    let node = Node::start();
    let trusting = ready(&node).await;
    researcher(&trusting).await;
    let good = record(&trusting, "all well", "//Doctor").await;
    let forged = record(&trusting, "forged", "//Mallory").await;
    commit(&trusting, &[good, forged]).await;
    let chain = verifying(&node, &trusting).await;
    let (queries, mailbox) = (Queries::new(chain.clone()), Mailbox::open(trusting).await);
    // An honest client asks neither for section 3, which the first record does not have, nor for the second record.
    let asked = [(FIRST, SectionSet(0b1001)), (SECOND, SectionSet::ALL)];
    let asked = asked.map(|(pointer, sections)| ReleasedRecord { pointer, sections });
    let asked: QueriedRecords = asked.to_vec().try_into().unwrap();
    let key = development::sealing_key(PATIENT);
    let (genesis, signer) = (chain.genesis_hash(), account(RESEARCHER));
    let (who, whom) = (user(RESEARCHER), patient());
    let sealed = SealedTerms::seal(genesis, who, whom, TERMS, key.public(), &signer).unwrap();
    let NewQuery { hospital, records, purpose, expires, .. } = query(&chain, asked).await;
    let (key, terms) = (key.public().hash(), sealed.encode());
    let call = queries::ask(hospital, whom, key, &records, purpose, expires, &terms);
    chain.submit(&call, &signer).await.unwrap();

    let id = queries.pending(whom).await.unwrap().queries[0].id;
    let considered = queries.consider(id, &mailbox.reader(&chain, PATIENT)).await.unwrap();
    assert_eq!(considered.terms.as_deref().unwrap(), TERMS);
    let opened: Vec<_> = considered.records.iter().map(|it| it.summary.pointer).collect();
    let unopened: Vec<_> = considered.unopened.iter().map(|it| it.pointer).collect();
    assert_eq!((opened, unopened), (vec![FIRST], vec![SECOND]));
    let named = |pointer| ReleasedRecord { pointer, sections: SectionSet(1) };
    for chosen in [&[][..], &[named(FIRST), named(SECOND)]] {
        let refused = considered.choose(chosen).unwrap_err();
        let told = matches!(refused, QueryError::NotOpened { pointer: SECOND, .. });
        assert!(told, "{refused}");
    }
    assert_eq!(considered.choose(&[named(FIRST)]).unwrap()[..], [named(FIRST)]);
    // Nobody accepts a section that does not exist, also not as a part of all that is asked.
    let absent = ReleasedRecord { pointer: FIRST, sections: SectionSet(0b1000) };
    let refused = considered.choose(&[absent]).unwrap_err();
    assert!(matches!(refused, QueryError::NotAsked { pointer: FIRST, .. }), "{refused}");
    let whole = ReleasedRecord { pointer: FIRST, sections: SectionSet::ALL };
    assert_eq!(considered.choose(&[whole]).unwrap()[..], [named(FIRST)]);
}

/// A researcher, and a patient with one record; nothing is asked yet.
async fn prepared(node: &Node) -> (Chain, Queries, Mailbox) {
    let trusting = ready(node).await;
    researcher(&trusting).await;
    let record = record(&trusting, "all well", "//Doctor").await;
    commit(&trusting, &[record]).await;
    let chain = verifying(node, &trusting).await;
    (chain.clone(), Queries::new(chain), Mailbox::open(trusting).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_does_not_sign_after_the_requester_changed_keys_since_the_query_was_shown() {
    let node = Node::start();
    let (chain, queries, mailbox) = prepared(&node).await;
    let own = mailbox.reader(&chain, PATIENT);
    let asked = query(&chain, whole(&[FIRST])).await;
    let (id, _) = queries.ask(&asked, &account(RESEARCHER)).await.unwrap();
    let considered = queries.consider(id, &own).await.unwrap();
    let accepted = considered.choose(&[]).unwrap();

    let rotate = profiles::rotate_keys(None, Some(sealing_key_hash("//Researcher//2")));
    chain.submit(&rotate, &account(RESEARCHER)).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    let unsent = UnsentGrants::in_folder(place.path());
    let until = end(&chain).await;
    let refused = queries.accept(&considered, &accepted, until, &own, &unsent).await.unwrap_err();
    assert!(matches!(refused, QueryError::RequesterChanged(of) if of == id), "{refused}");
    assert_eq!(queries.show(id).await.unwrap().status, Status::Pending);
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);

    // The chain refuses what an older client signs.
    let call =
        queries::accept(id, Hash::zero(), &accepted, Hash::zero(), end(&chain).await, HOSPITAL);
    let refused = chain.submit(&call, &account(PATIENT)).await.unwrap_err();
    let failure = refused.dispatch().unwrap();
    assert!(failure.is("Queries", "RequesterChanged"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn terms_open_with_the_key_that_the_query_names_and_with_no_other() {
    let node = Node::start();
    let (chain, queries, mailbox) = prepared(&node).await;
    let asked = query(&chain, whole(&[FIRST])).await;
    let (id, _) = queries.ask(&asked, &account(RESEARCHER)).await.unwrap();
    let endpoint = Endpoint::new(mailbox.url.clone(), [0; 32]).unwrap();
    let genesis = chain.genesis_hash();
    let worker = WorkerClient::new(&endpoint, HOSPITAL, genesis, account(PATIENT)).unwrap();
    let renewed = Reader::new(chain.clone(), worker, development::sealing_key("//Patient//2"));
    let lacking = queries.consider(id, &renewed).await.unwrap_err();
    assert!(matches!(lacking, QueryError::EarlierKey(_)), "{lacking}");
    let renewed = renewed.with_earlier_sealing_keys(vec![development::sealing_key(PATIENT)]);
    assert_eq!(queries.consider(id, &renewed).await.unwrap().terms.as_deref().unwrap(), TERMS);

    // The query names the patient's key, and the requester sealed nothing to it.
    let NewQuery { hospital, patient, records, purpose, expires, .. } = &asked;
    let key = sealing_key_hash(PATIENT);
    let call = queries::ask(*hospital, *patient, key, records, *purpose, *expires, b"sealed");
    chain.submit(&call, &account(RESEARCHER)).await.unwrap();
    let pending = queries.list(Party::Patient(*patient), 1).await.unwrap().queries;
    let own = mailbox.reader(&chain, PATIENT);
    let unreadable = queries.consider(pending[0].id, &own).await.unwrap_err();
    assert!(matches!(unreadable, QueryError::Terms(_)), "{unreadable}");
}

async fn nothing_is_asked_that_the_patient_does_not_have(chain: &Chain, queries: &Queries) {
    let ask = async |query: NewQuery<'_>| queries.ask(&query, &account(RESEARCHER)).await;
    let nowhere = RecordPointer { height: 9, index: 0 };
    let refused = ask(query(chain, whole(&[nowhere])).await).await.unwrap_err();
    let unknown = matches!(&refused, QueryError::Read(ReadError::UnknownRecord(_)));
    assert!(unknown, "{refused}");
    let asked = query(chain, whole(&[FIRST])).await;
    let refused = ask(NewQuery { patient: doctor(), ..asked.clone() }).await.unwrap_err();
    let foreign = matches!(&refused, QueryError::Read(ReadError::OtherPatient { .. }));
    assert!(foreign, "{refused}");
    let section = ReleasedRecord { pointer: FIRST, sections: SectionSet(0b10) };
    let records = vec![section].try_into().unwrap();
    let refused = ask(NewQuery { records, ..asked.clone() }).await.unwrap_err();
    assert!(matches!(refused, QueryError::NoSections { .. }), "{refused}");
    for terms in ["", &"x".repeat(1_025)] {
        let refused = ask(NewQuery { terms, ..asked.clone() }).await.unwrap_err();
        assert!(matches!(refused, QueryError::Seal(_)), "{refused}");
    }
    assert_eq!(queries.list(Party::Patient(patient()), 9).await.unwrap().queries, []);
}

async fn the_proven_pending_queries_are_the_nodes(
    trusting: &Chain,
    verified: &Chain,
    length: usize,
) {
    let head = verified.finalized_head().await.unwrap();
    let proven = verified.at(head.hash).pending_queries(patient()).await.unwrap();
    assert_eq!(proven, trusting.at(head.hash).pending_queries(patient()).await.unwrap());
    assert_eq!(proven.len(), length);
}

async fn the_proven_answers_are_the_runtimes(
    trusting: &Chain,
    verified: &Chain,
    researcher: UserId,
    id: QueryId,
) {
    let head = verified.finalized_head().await.unwrap();
    let (said, proven) = (trusting.at(head.hash), verified.at(head.hash));
    for id in [id, QueryId(id.0 + 1)] {
        assert_eq!(proven.query(id).await.unwrap(), said.query(id).await.unwrap());
        assert_eq!(proven.query_terms(id).await.unwrap(), said.query_terms(id).await.unwrap());
        assert_eq!(proven.transfer(id).await.unwrap(), said.transfer(id).await.unwrap());
    }
    for (before, length) in [(None, 1), (Some(1), 1), (Some(0), 0)] {
        let listed = proven.patient_queries(patient(), before, 64).await.unwrap();
        assert_eq!(listed, said.patient_queries(patient(), before, 64).await.unwrap());
        assert_eq!(listed.len(), length);
        let listed = proven.requester_queries(researcher, before, 64).await.unwrap();
        assert_eq!(listed, said.requester_queries(researcher, before, 64).await.unwrap());
        assert_eq!(listed.len(), length);
    }
}
