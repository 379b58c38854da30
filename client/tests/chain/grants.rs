//! Reading by a hospital's leave: a real chain, and a worker that says what a test tells it to.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use codec::Encode;
use epione_client::{
    Account,
    api::GrantReply,
    chain::Chain,
    reader::{OpenContent, ReadError, Reader},
    worker::WorkerClient,
};
use epione_envelope::{
    development,
    grant::{AccessGrant, GrantTerms, GrantedSection},
    keys::ContentKey,
};
use epione_primitives::{HospitalId, Moment, RecordPointer, access::Purpose};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use url::Url;

use crate::{
    node::Node,
    records::{DOCTOR, PATIENT, commit, ready, sealed},
};

const POINTER: RecordPointer = RecordPointer { height: 1, index: 0 };
const HOSPITAL: HospitalId = HospitalId(0);

/// How the worker answers.
#[derive(Clone)]
struct Answer {
    /// URI of the account that signs the grant.
    agent: &'static str,
    /// The request's own nonce, if none.
    nonce: Option<[u8; 16]>,
    expires: Moment,
    section: GrantedSection,
    key: ContentKey,
}

const GOOD: Moment = Moment::MAX;

impl Answer {
    fn grant(&self, chain: &Chain, nonce: [u8; 16]) -> AccessGrant {
        let reader = development::keys("//Doctor").unwrap();
        let terms = GrantTerms {
            genesis: chain.genesis_hash(),
            hospital: HOSPITAL,
            patient: PATIENT,
            requester: DOCTOR,
            audience: Account::from(&reader).id(),
            purpose: Purpose::Treatment,
            issued: 1,
            expires: self.expires,
            nonce: self.nonce.unwrap_or(nonce),
        };
        let agent = development::keys(self.agent).unwrap();
        let keys = [(self.section, self.key.clone())];
        AccessGrant::seal(terms, &keys, reader.sealing.public(), &agent).unwrap()
    }
}

/// Answers one request for a grant.
async fn worker(chain: Chain, answer: Answer) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        // The body is short, and ends with the purpose.
        while !bytes.ends_with(br#""purpose":"treatment"}"#) {
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
        }
        let text = String::from_utf8(bytes).unwrap();
        let nonce = text.split("epione-nonce: ").nth(1).unwrap();
        let mut request_nonce = [0; 16];
        hex::decode_to_slice(&nonce[..32], &mut request_nonce).unwrap();
        let grant = BASE64_STANDARD.encode(answer.grant(&chain, request_nonce).encode());
        let body = serde_json::to_string(&GrantReply { grant, links: Vec::new() }).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    url
}

async fn open(chain: &Chain, answer: Answer) -> Result<String, ReadError> {
    let keys = development::keys("//Doctor").unwrap();
    let url = worker(chain.clone(), answer).await;
    let client =
        WorkerClient::new(&url, HOSPITAL, chain.genesis_hash(), Account::from(&keys)).unwrap();
    let reader = Reader::new(chain.clone(), client, keys.sealing);
    let records = reader.open(PATIENT, &[POINTER], Purpose::Treatment).await?;
    Ok(match &records[0].sections[0].content {
        OpenContent::Text { text, .. } => text.to_string(),
        OpenContent::NotGranted => "not granted".into(),
        OpenContent::Media { .. } => panic!("a text was sealed"),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_opens_what_it_names_for_whom_it_was_made_once() {
    let node = Node::start();
    let chain = ready(&node).await;
    let genesis = chain.genesis_hash();
    let (record, patient_key) = sealed(genesis, "all well", "//Doctor");
    let section = GrantedSection { pointer: POINTER, record: record.id(), section: 0 };
    let key = record.content_key(genesis, 0, &patient_key).unwrap();
    commit(&chain, &[record]).await;
    let good = Answer { agent: "//Alice//agent", nonce: None, expires: GOOD, section, key };

    assert_eq!(open(&chain, good.clone()).await.unwrap(), "all well");

    let elsewhere = GrantedSection { section: 1, ..section };
    let other = Answer { section: elsewhere, ..good.clone() };
    assert_eq!(open(&chain, other).await.unwrap(), "not granted");

    let refused = [
        Answer { agent: "//Bob//agent", ..good.clone() },
        Answer { nonce: Some([1; 16]), ..good.clone() },
        Answer { expires: 2, ..good.clone() },
    ];
    for answer in refused {
        let error = open(&chain, answer).await.unwrap_err();
        assert!(matches!(error, ReadError::Grant(_)), "{error}");
    }
    let wrong = Answer { key: ContentKey::generate(), ..good };
    let error = open(&chain, wrong).await.unwrap_err();
    assert!(matches!(error, ReadError::Open { section: 0, .. }), "{error}");
}
