//! Reading with a hospital's permission, and with the patient's own key: a real chain, and a worker whose answers a
//! test defines.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use codec::Encode;
use epione_client::{
    Account, Endpoint,
    api::{GrantReply, GrantRequest},
    chain::{
        Chain,
        calls::{releases, role_policies},
    },
    reader::{Intent, OpenContent, OpenRecord, ReadError, Reader},
    worker::WorkerClient,
};
use epione_envelope::{
    development,
    grant::{AccessGrant, GrantTerms, GrantedSection},
    keys::ContentKey,
    sealing_keys::SealingKeyPair,
};
use epione_primitives::{
    Hash, HospitalId, Moment, RecordId, RecordPointer, Signature,
    access::{Action, Purpose, RelationshipKind, SectionClass},
    release::{Release, ReleasedRecord, Request, Right, SectionSet},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use url::Url;

use crate::{
    agent,
    node::Node,
    records::{commit, doctor, patient, patient_keys, ready, record},
};

const POINTER: RecordPointer = RecordPointer { height: 1, index: 0 };
const HOSPITAL: HospitalId = HospitalId(0);
const TREATMENT: Intent = Intent { purpose: Purpose::Treatment, emergency: None };

/// How the worker answers.
#[derive(Clone)]
struct Answer {
    /// URI of the account that signs the grant.
    agent: &'static str,
    expires: Moment,
    section: GrantedSection,
    key: ContentKey,
    recorded: Recorded,
}

type Edit = fn(&mut Release);

/// When the release is recorded on the chain, and with which changes. The requester signed another request like this,
/// so the chain records a changed one, too.
#[derive(Clone, Copy)]
enum Recorded {
    Before(Edit),
    /// After the answer, as if the reader's own node were behind.
    After,
    Never,
}

const GOOD: Moment = Moment::MAX;

impl Answer {
    fn grant(&self, chain: &Chain, request: &Request) -> AccessGrant {
        let reader = development::keys("//Doctor").unwrap();
        let terms = GrantTerms {
            genesis: chain.genesis_hash(),
            hospital: HOSPITAL,
            patient: request.patient,
            requester: request.requester,
            audience: Account::from(&reader).id(),
            purpose: request.purpose,
            issued: 1,
            expires: self.expires,
            nonce: request.nonce,
        };
        let agent = development::keys(self.agent).unwrap();
        let keys = [(self.section, self.key.clone())];
        AccessGrant::seal(terms, &keys, reader.sealing.public(), &agent).unwrap()
    }

    fn release(&self, grant: &AccessGrant, request: Request, signature: Signature) -> Release {
        let mut sections = SectionSet::default();
        assert!(sections.insert(self.section.section));
        let record = ReleasedRecord { pointer: self.section.pointer, sections };
        let right = Right { action: Action::ReadText, class: SectionClass::Private };
        Release {
            request,
            signature,
            records: vec![record].try_into().unwrap(),
            rights: vec![right].try_into().unwrap(),
            grant: grant.hash(),
        }
    }
}

/// Answers one request for a grant.
async fn worker(chain: Chain, answer: Answer) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (request, signature) = requested(&mut stream).await;
        let genesis = chain.genesis_hash();
        assert!(request.is_signed_by(genesis, &reader().id(), &signature));
        let grant = answer.grant(&chain, &request);
        let mut release = answer.release(&grant, request, signature);
        if let Recorded::Before(edit) = answer.recorded {
            edit(&mut release);
            release.signature = signed(&release.request, genesis);
            chain.submit(&releases::record(&release), &agent()).await.unwrap();
        }
        let grant = BASE64_STANDARD.encode(grant.encode());
        let body = serde_json::to_string(&GrantReply { grant, links: Vec::new() }).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        if matches!(answer.recorded, Recorded::After) {
            chain.submit(&releases::record(&release), &agent()).await.unwrap();
        }
    });
    url
}

fn reader() -> Account {
    Account::development("//Doctor").unwrap()
}

fn signed(request: &Request, genesis: Hash) -> Signature {
    reader().sign(&request.signed_bytes(genesis))
}

/// What the reader requests, as the worker passes it to the chain.
async fn requested(stream: &mut TcpStream) -> (Request, Signature) {
    let mut bytes = Vec::new();
    loop {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() == length.parse::<usize>().unwrap() {
            let request: GrantRequest = serde_json::from_str(body).unwrap();
            return request.to_request(doctor(), HOSPITAL).unwrap();
        }
    }
}

async fn open(chain: &Chain, answer: Answer) -> Result<String, ReadError> {
    let keys = development::keys("//Doctor").unwrap();
    let url = worker(chain.clone(), answer).await;
    let endpoint = Endpoint::new(url, [0; 32]).unwrap();
    let client =
        WorkerClient::new(&endpoint, HOSPITAL, chain.genesis_hash(), Account::from(&keys)).unwrap();
    let reader = Reader::new(chain.clone(), client, keys.sealing);
    let records = reader.open(patient(), &[POINTER], TREATMENT).await?;
    Ok(text(&records))
}

fn text(records: &[OpenRecord]) -> String {
    match &records[0].sections[0].content {
        OpenContent::Text { text, .. } => text.to_string(),
        OpenContent::NotGranted => "not granted".into(),
        OpenContent::Media { .. } => panic!("a text was sealed"),
    }
}

/// Opens the record as the patient with these sealing keys. For a text no worker is needed.
async fn open_own(
    chain: &Chain,
    sealing: SealingKeyPair,
    earlier: Vec<SealingKeyPair>,
    pointer: RecordPointer,
) -> Result<String, ReadError> {
    let nobody = Endpoint::new(Url::parse("http://127.0.0.1:1").unwrap(), [0; 32]).unwrap();
    let account = Account::development("//Patient").unwrap();
    let client = WorkerClient::new(&nobody, HOSPITAL, chain.genesis_hash(), account).unwrap();
    let reader = Reader::new(chain.clone(), client, sealing).with_earlier_sealing_keys(earlier);
    Ok(text(&reader.open_own(patient(), &[pointer]).await?))
}

/// A chain on which the doctor may read the patient's only record, and the correct answer of a worker.
async fn related(node: &Node) -> (Chain, Answer) {
    let chain = ready(node).await;
    let kind = RelationshipKind::FamilyDoctor;
    let call = role_policies::relate(patient(), doctor(), HOSPITAL, kind, None);
    chain.submit(&call, &agent()).await.unwrap();
    let genesis = chain.genesis_hash();
    let record = record(&chain, "all well", "//Doctor").await;
    let section = GrantedSection { pointer: POINTER, record: record.id(), section: 0 };
    let key = record.content_key(genesis, 0, &patient_keys()).unwrap();
    commit(&chain, &[record]).await;
    let (agent, expires) = ("//Alice//agent", GOOD);
    let recorded = Recorded::Before(|_| ());
    (chain, Answer { agent, expires, section, key, recorded })
}

#[tokio::test(flavor = "multi_thread")]
async fn records_open_by_a_grant_with_its_receipt_or_with_the_patients_own_key() {
    let node = Node::start();
    let (chain, good) = related(&node).await;

    let own = development::sealing_key("//Patient");
    let renewed = development::sealing_key("//Patient//renewed");
    let opened = open_own(&chain, own.clone(), Vec::new(), POINTER).await.unwrap();
    assert_eq!(opened, "all well");
    let opened = open_own(&chain, renewed.clone(), vec![own.clone()], POINTER).await.unwrap();
    assert_eq!(opened, "all well");
    let error = open_own(&chain, renewed, Vec::new(), POINTER).await.unwrap_err();
    assert!(matches!(error, ReadError::OtherSealingKey { .. }), "{error}");
    let nowhere = RecordPointer { height: 9, index: 0 };
    let error = open_own(&chain, own, Vec::new(), nowhere).await.unwrap_err();
    assert!(matches!(error, ReadError::UnknownRecord(_)), "{error}");

    // Not together with others: the reader waits half a minute for the receipt, and no other call must delay it.
    let late = Answer { recorded: Recorded::After, ..good.clone() };
    assert_eq!(open(&chain, late).await.unwrap(), "all well");

    let unrecorded = Answer { recorded: Recorded::Never, ..good.clone() };
    tokio::join!(
        a_grant_opens_what_it_names_once_its_receipt_is_final(&chain, &good),
        a_grant_that_does_not_answer_the_request_is_rejected(&chain, &unrecorded),
        a_receipt_that_differs_from_the_grant_is_rejected(&chain, &good),
        async {
            let error = open(&chain, unrecorded.clone()).await.unwrap_err();
            assert!(matches!(error, ReadError::NoReceipt { .. }), "{error}");
        },
    );
}

async fn a_grant_opens_what_it_names_once_its_receipt_is_final(chain: &Chain, good: &Answer) {
    let wrong = Answer { key: ContentKey::generate(), ..good.clone() };
    let (good, wrong) = tokio::join!(open(chain, good.clone()), open(chain, wrong));
    assert_eq!(good.unwrap(), "all well");
    let wrong = wrong.unwrap_err();
    assert!(matches!(wrong, ReadError::Open { section: 0, .. }), "{wrong}");
}

/// Before a receipt is read.
async fn a_grant_that_does_not_answer_the_request_is_rejected(chain: &Chain, unrecorded: &Answer) {
    let refused = [
        Answer { agent: "//Bob//agent", ..unrecorded.clone() },
        Answer { expires: 2, ..unrecorded.clone() },
    ];
    for answer in refused {
        let error = open(chain, answer).await.unwrap_err();
        assert!(matches!(error, ReadError::Grant(_)), "{error}");
    }
    let pointer = RecordPointer { height: 1, index: 1 };
    let of_another_record = GrantedSection { pointer, ..unrecorded.section };
    let another_section = GrantedSection { section: 1, ..unrecorded.section };
    for section in [of_another_record, another_section] {
        let error = open(chain, Answer { section, ..unrecorded.clone() }).await.unwrap_err();
        assert!(matches!(error, ReadError::NotAskedFor { .. }), "{error}");
    }
}

async fn a_receipt_that_differs_from_the_grant_is_rejected(chain: &Chain, good: &Answer) {
    let edits: [(&str, Edit); 2] = [
        ("purpose", |release| release.request.purpose = Purpose::Audit),
        ("request", |release| {
            release.request.records[0].sections = SectionSet::ALL;
            assert!(release.records[0].sections.insert(2));
        }),
    ];
    let (purpose, request) = tokio::join!(
        open(chain, Answer { recorded: Recorded::Before(edits[0].1), ..good.clone() }),
        open(chain, Answer { recorded: Recorded::Before(edits[1].1), ..good.clone() }),
    );
    for (refused, (expected, _)) in [purpose, request].into_iter().zip(edits) {
        let error = refused.unwrap_err();
        let told = matches!(&error, ReadError::Receipt { what, .. } if *what == expected);
        assert!(told, "{error}");
    }
    let record = GrantedSection { record: RecordId([9; 16]), ..good.section };
    let error = open(chain, Answer { section: record, ..good.clone() }).await.unwrap_err();
    assert!(matches!(error, ReadError::Grant(_)), "{error}");
}
