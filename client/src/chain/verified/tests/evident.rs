//! A chain with a record and a query, for the tests of evidence: hospitals, users and calls with real signatures.

use codec::{Compact, Encode};
use epione_envelope::{
    account::{AccountKey, Signer},
    keys::PatientKeys,
    record::{Description, Draft, Record, SectionKind},
    record_sealer::RecordSealer,
};
use epione_primitives::{
    AnnouncementId, Hash, HospitalId, Moment, RecordPointer, UserId,
    access::Purpose,
    approval::{Approval, Ballot, BallotOutcome},
    block::{
        AnnouncedEntries, AnnouncedEntry, AnnouncedHeader, Announcement, BlockHashes, Entry,
        Header, Range, Segments, SignedAt, Stage, cloud_hash, record_hash,
    },
    consortium::EpochId,
    hospital::Hospital,
    mandate::Mandate,
    opening::{HandedOut, Opening, OpeningId},
    profile::{RegistrationStatus, Role},
    query::{Acceptance, Answer, QueriedRecords, Query, QueryId, Transfer, terms_hash},
    release::{Receipt, Release, ReleasedRecord, Request, SectionSet},
    sharing::SlotSet,
};
use serde_json::json;
use sp_runtime::{
    MultiAddress,
    generic::Era,
    traits::{BlakeTwo256, Hash as _},
};

use super::{
    super::BUILT_VERSIONS,
    disclosed::{AT, DOCTOR, PATIENT, account, hospital, register},
    honest, keys,
    node::Network,
};
use crate::chain::{
    Call, Chain,
    calls::{approvals, lite_blocks, openings, queries, releases},
    numbers_of,
};

/// The versions that this client knows, of the runtime and of its transactions.
pub(crate) const BUILT: (u32, u32) = BUILT_VERSIONS;
pub(crate) const REQUESTER: UserId = UserId([0x33; 32]);
/// A parent of the patient.
pub(crate) const PARENT: UserId = UserId([0x44; 32]);
/// The hospital that approves, and keeps the sealed grant.
pub(crate) const OTHER: HospitalId = HospitalId(1);
pub(crate) const RECORD: RecordPointer = RecordPointer { height: 1, index: 0 };
pub(crate) const QUERY: QueryId = QueryId(0);
/// It waits for an answer.
pub(crate) const UNANSWERED: QueryId = QueryId(1);

const ID: AnnouncementId = AnnouncementId(4);
/// The block at which the record is signed.
const SIGNED: u32 = 3;
const UNTIL: Moment = Moment::MAX;

/// What happens on the chain. The default is as it should be.
pub(crate) struct Play {
    pub cosigned_by: Option<&'static str>,
    /// Who signs what is announced, approved, asked, accepted and transferred.
    pub announcer: &'static str,
    pub approver: &'static str,
    pub asker: &'static str,
    pub accepter: &'static str,
    pub mailbox: &'static str,
    /// The subject that the other hospital signs, instead of the announced one.
    pub approved: Option<Hash>,
    /// The grant that the patient signs, instead of the one in the state.
    pub accepted: Option<Hash>,
    /// The grant that the hospital hands out, by the state.
    pub transferred: Hash,
    /// The spec version that all signers sign; the node says [`BUILT`].
    pub spec_version: u32,
    pub is_withdrawn: bool,
    /// Who signs the request of the look, and the call that records it.
    pub requester: &'static str,
    pub releaser: &'static str,
    /// The patient's authorization for the announcing hospital when the record was signed. It ends before the hospital
    /// announces the record.
    pub authorization: Option<Mandate>,
    /// The subjects that the other hospital signs before the one of `approved`, in the same block.
    pub approved_before: Vec<Hash>,
    /// Whether the other hospital approves in a batch.
    pub is_batched: bool,
    /// The blocks by which the vote is later in the state than in truth.
    pub voted_later: u32,
    /// The hash of the record that the hospital signs, instead of the true one.
    pub announced: Option<Hash>,
    /// What else the state has of the record.
    pub change: fn(&mut Ballot, &mut Announcement, &mut BlockHashes),
    /// The transaction version that all signers sign, and the versions of which the node speaks.
    pub transaction_version: u32,
    pub said: (u32, u32),
    /// Whether the node has the body.
    pub has_body: bool,
    /// The block that the record names, instead of a true one.
    pub signed_at: Option<SignedAt>,
    /// Who accepts and withdraws, by the state, and the mandate by which they represent the patient.
    pub by: UserId,
    pub representation: Option<Mandate>,
    /// The time of the acceptance.
    pub accepted_at: Moment,
    /// What else the state has of the transfer.
    pub handed: fn(&mut Transfer),
    /// Whether the hospitals open sections together, who signs that they ask for it, and who signs that the other
    /// hospital hands out its part; and what else the state has of that.
    pub is_opened: bool,
    pub opener: &'static str,
    pub hander: &'static str,
    pub parted: fn(&mut HandedOut),
}

impl Default for Play {
    fn default() -> Self {
        Self {
            cosigned_by: Some("patient"),
            announcer: "agent",
            approver: "other agent",
            asker: "requester",
            accepter: "patient",
            mailbox: "other agent",
            approved: None,
            accepted: None,
            transferred: GRANT,
            spec_version: BUILT.0,
            is_withdrawn: false,
            requester: "requester",
            releaser: "agent",
            authorization: None,
            approved_before: Vec::new(),
            is_batched: false,
            voted_later: 0,
            announced: None,
            change: |_, _, _| {},
            transaction_version: BUILT.1,
            said: BUILT,
            has_body: true,
            signed_at: None,
            by: PATIENT,
            representation: None,
            accepted_at: 10,
            handed: |_| {},
            is_opened: false,
            opener: "requester",
            hander: "other agent",
            parted: |_| {},
        }
    }
}

/// It is there if the play says so.
pub(crate) const OPENING: OpeningId = OpeningId(0);
pub(crate) const GRANT: Hash = Hash::repeat_byte(0x77);
const PATIENT_KEY: Hash = Hash::repeat_byte(3);
const TERMS: &[u8] = b"sealed terms";

/// An extrinsic as a client makes it, for the newest block.
fn signed(network: &Network, by: &AccountKey, call: Vec<u8>, versions: (u32, u32)) -> Vec<u8> {
    let hashes = network.hashes();
    let birth = hashes.len() as u64 - 1;
    let era = Era::mortal(64, birth);
    let mut payload = call.clone();
    (era, Compact(7_u32), versions, hashes[0], hashes[birth as usize]).encode_to(&mut payload);
    if payload.len() > 256 {
        payload = BlakeTwo256::hash(&payload).as_bytes().to_vec();
    }
    let address = MultiAddress::<_, ()>::Id(by.account());
    let mut bytes = (0x84_u8, address, by.sign(&payload), era, Compact(7_u32)).encode();
    bytes.extend(call);
    // With its length.
    bytes.encode()
}

fn sealed(genesis: Hash, signed_at: SignedAt, cosigned_by: Option<&str>) -> Record {
    let keys = PatientKeys::generate();
    let doctor = account("doctor");
    let text = Description::of(SectionKind::Report, "text/plain", "", b"well").unwrap();
    let draft = Draft::new(PATIENT, AT, DOCTOR, signed_at, vec![text]).unwrap();
    let mut signed = draft.sign(genesis, &doctor);
    if let Some(by) = cosigned_by {
        signed = signed.cosign(genesis, &account(by));
    }
    let mut sealer = RecordSealer::new(genesis, signed, &doctor.account(), &keys).unwrap();
    sealer.seal_text(0, b"well").unwrap();
    sealer.finish().unwrap()
}

/// A verified connection to a chain on which this happened, whose authorities change meanwhile.
pub(crate) async fn played(play: &Play) -> Chain {
    let mut network = Network::new(0..4);
    network.put(keys::hospital(AT), &hospital());
    let agent = account("other agent").account();
    network.put(keys::hospital(OTHER), &Hospital { agent, ..hospital() });
    let active = RegistrationStatus::Active;
    register(&mut network, PATIENT, Role::Patient, "patient", active);
    register(&mut network, DOCTOR, Role::Doctor, "doctor", active);
    register(&mut network, REQUESTER, Role::Researcher, "requester", active);
    register(&mut network, PARENT, Role::Patient, "parent", active);
    if let Some(authorization) = &play.authorization {
        network.put(keys::authorization(PATIENT, AT), authorization);
    }
    (0..SIGNED).for_each(|_| network.push());
    network.change(1..5);
    network.push();
    store(&mut network, play);
    look(&mut network, play);
    ask(&mut network, play);
    if play.is_opened {
        open(&mut network, play);
    }
    // Accounts of later times change nothing.
    register(&mut network, PATIENT, Role::Patient, "new patient", active);
    network.put(keys::hospital(AT), &Hospital { agent: account("new").account(), ..hospital() });
    (0..6).for_each(|_| network.push());
    let (node, chain) = honest(network).await;
    if !play.has_body {
        // Not found.
        node.refuse("bitswap_v1_get", -32810);
    }
    let (spec, transaction) = play.said;
    if play.said != BUILT {
        node.lie(move |method, _, truth| match method {
            "state_getRuntimeVersion" => {
                json!({ "specVersion": spec, "transactionVersion": transaction })
            }
            _ => truth,
        });
    }
    chain
}

fn encoded(call: &Call) -> Vec<u8> {
    [&numbers_of(call.pallet, call.name).unwrap()[..], &call.arguments].concat()
}

fn send(network: &mut Network, by: &str, call: &Call, play: &Play) {
    send_encoded(network, by, encoded(call), play);
}

fn send_encoded(network: &mut Network, by: &str, call: Vec<u8>, play: &Play) {
    let versions = (play.spec_version, play.transaction_version);
    let extrinsic = signed(network, &account(by), call, versions);
    let key = keys::account(&account(by).account());
    let sent = network.value::<(u32, [u32; 3])>(&key).map_or(0, |(sent, _)| sent);
    network.put(key, &(sent + 1, [0_u32; 3]));
    // Blocks begin with extrinsics that nobody signed.
    network.include(vec![16, 5, 1, 2, 3]);
    network.include(extrinsic);
}

/// The number of the next block.
fn next(network: &Network) -> u32 {
    network.newest_header().number + 1
}

/// A hospital announces a record, and the other one approves it.
fn store(network: &mut Network, play: &Play) {
    let signed_at = SignedAt { number: SIGNED, hash: network.hashes()[SIGNED as usize] };
    let signed_at = play.signed_at.unwrap_or(signed_at);
    let body = sealed(network.genesis(), signed_at, play.cosigned_by).encode();
    network.store(&body);
    let record = Record::decode_exactly(&body).unwrap();
    let announced = AnnouncedEntry {
        record: record.id(),
        hash: record_hash(&body),
        patient: PATIENT,
        text: Range { offset: 0, length: body.len() as u32 },
        media: Range::default(),
    };
    let entries: AnnouncedEntries = vec![announced.clone()].try_into().unwrap();
    let segments = Segments::default();
    let announced_header = AnnouncedHeader { announcer: AT, segments };
    let body_hash = BlakeTwo256::hash(&body);
    let subject = announced_header.subject(std::slice::from_ref(&announced), body_hash);
    let announced_at = next(network);
    if let Some(authorization) = play.authorization {
        let over = Mandate { ended: Some(1), ..authorization };
        network.put(keys::authorization(PATIENT, AT), &over);
    }
    let mut signed_entries = entries.clone().into_inner();
    signed_entries[0].hash = play.announced.unwrap_or(announced.hash);
    let signed_entries: AnnouncedEntries = signed_entries.try_into().unwrap();
    let announce = lite_blocks::announce(&announced_header, &signed_entries, &body);
    send(network, play.announcer, &announce, play);
    network.push();

    let voted = next(network);
    for wrong in &play.approved_before {
        send(network, play.approver, &approvals::approve(ID, *wrong), play);
    }
    let approve = encoded(&approvals::approve(ID, play.approved.unwrap_or(subject)));
    let approve = match play.is_batched {
        // `batch_all` of one call.
        true => [&[15_u8, 2, 4][..], &approve].concat(),
        false => approve,
    };
    send_encoded(network, play.approver, approve, play);
    let AnnouncedEntry { record, hash, patient, text, media } = announced;
    let entries = vec![Entry { record, hash, patient, text, media, previous: None }];
    let (body_bytes, records) = (body.len() as u32, 1);
    let header = Header {
        height: RECORD.height,
        previous_lite: Hash::zero(),
        previous_cloud: Hash::zero(),
        announcer: AT,
        announcement: ID,
        time: 7,
        records,
        body_hash,
        body_bytes,
        segments,
    };
    let lite = header.lite_hash(&entries);
    let stage = Stage::Committed { height: RECORD.height };
    let mut announcement = Announcement {
        announcer: AT,
        body_hash,
        body_bytes,
        records,
        segments,
        announced_at,
        stage,
    };
    let mut ballot = Ballot {
        subject,
        opener: AT,
        electorate: vec![AT, OTHER].try_into().unwrap(),
        approvals: vec![Approval { hospital: OTHER, block: voted + play.voted_later }]
            .try_into()
            .unwrap(),
        rejections: Default::default(),
        deadline: voted + 10,
        outcome: Some(BallotOutcome::Approved),
    };
    let mut hashes = BlockHashes { lite, cloud: cloud_hash(lite, segments.root) };
    (play.change)(&mut ballot, &mut announcement, &mut hashes);
    network.put(keys::latest_record(PATIENT), &RECORD);
    network.put(keys::header(RECORD.height), &header);
    network.put(keys::entries(RECORD.height), &entries);
    network.put(keys::hashes(RECORD.height), &hashes);
    network.put(keys::announcement(ID), &announcement);
    network.put(keys::ballot(ID), &ballot);
    network.push();
}

/// A requester reads what a policy allows.
fn look(network: &mut Network, play: &Play) {
    let asked = ReleasedRecord { pointer: RECORD, sections: SectionSet::ALL };
    let records = vec![asked];
    let request = Request {
        requester: REQUESTER,
        patient: PATIENT,
        hospital: AT,
        records: records.clone().try_into().unwrap(),
        purpose: Purpose::Research,
        emergency: None,
        at: 8,
        nonce: [5; 16],
    };
    let signature = account(play.requester).sign(&request.signed_bytes(network.genesis()));
    let release = Release {
        request,
        signature,
        records: records.try_into().unwrap(),
        rights: Default::default(),
        grant: GRANT,
    };
    send(network, play.releaser, &releases::record(&release), play);
    let receipt = Receipt {
        release,
        hospital: AT,
        version: 2,
        policies: vec![b"studies".to_vec().try_into().unwrap()].try_into().unwrap(),
        block: next(network),
        at: 8,
        review: None,
    };
    network.put(keys::receipt(PATIENT, 0), &receipt);
    network.put(keys::receipts(PATIENT), &1_u32);
    network.push();
}

/// A requester asks twice, the patient accepts the first query, and the other hospital hands out the grant.
fn ask(network: &mut Network, play: &Play) {
    let asked = ReleasedRecord { pointer: RECORD, sections: SectionSet::ALL };
    let records: QueriedRecords = vec![asked].try_into().unwrap();
    let query = |block, expires| Query {
        requester: REQUESTER,
        hospital: OTHER,
        patient: PATIENT,
        patient_key: PATIENT_KEY,
        records: records.clone(),
        purpose: Purpose::Research,
        terms: terms_hash(TERMS),
        expires,
        block,
        at: 9,
        answer: None,
    };
    let block = next(network);
    let (first, second) = (query(block, block + 100), query(block, block + 101));
    for Query { hospital, patient, patient_key, records, purpose, expires, .. } in [&first, &second]
    {
        let (to, key) = (*patient, *patient_key);
        let ask = queries::ask(*hospital, to, key, records, *purpose, *expires, TERMS);
        send(network, play.asker, &ask, play);
    }
    network.put(keys::query(QUERY), &first);
    network.put(keys::query(UNANSWERED), &second);
    network.put(keys::patient_queries(PATIENT), &2_u32);
    network.put(keys::patient_query(PATIENT, 0), &QUERY);
    network.put(keys::patient_query(PATIENT, 1), &UNANSWERED);
    network.push();

    let (audience, sealing_key) = (account("requester").account(), PATIENT_KEY);
    let considered = first.considered(QUERY, &audience, sealing_key);
    let signed = play.accepted.unwrap_or(GRANT);
    let accept = queries::accept(QUERY, considered, &records, signed, UNTIL, OTHER);
    if let Some(mandate) = &play.representation {
        network.put(keys::representative(PATIENT, play.by), mandate);
    }
    send(network, play.accepter, &accept, play);
    let acceptance = Acceptance {
        by: play.by,
        records: records.clone(),
        grant: GRANT,
        until: UNTIL,
        audience,
        sealing_key,
        mailbox: OTHER,
        block: next(network),
        at: play.accepted_at,
    };
    let answer = Some(Answer::Accepted(acceptance.clone()));
    network.put(keys::query(QUERY), &Query { answer, ..first.clone() });
    network.push();

    send(network, play.mailbox, &queries::transfer(QUERY), play);
    let block = next(network);
    let mut transfer = Transfer { hospital: OTHER, grant: play.transferred, block, at: 11 };
    (play.handed)(&mut transfer);
    network.put(keys::transfer(QUERY), &transfer);
    network.push();
    if play.is_withdrawn {
        let (block, acceptance) = (next(network), Some(acceptance));
        let answer = Some(Answer::Withdrawn { by: play.by, block, at: 12, acceptance });
        network.put(keys::query(QUERY), &Query { answer, ..first });
        network.push();
    }
}

/// A requester asks the hospitals to open sections, and the other hospital hands out its part.
fn open(network: &mut Network, play: &Play) {
    let asked = ReleasedRecord { pointer: RECORD, sections: SectionSet(1) };
    let records: QueriedRecords = vec![asked].try_into().unwrap();
    let ask = openings::ask(OTHER, PATIENT, &records, Purpose::Research, None);
    let block = next(network);
    send(network, play.opener, &ask, play);
    let opening = Opening {
        requester: REQUESTER,
        hospital: OTHER,
        patient: PATIENT,
        records,
        purpose: Purpose::Research,
        emergency: None,
        slots: SlotSet(0b101),
        audience: account("requester").account(),
        sealing_key: PATIENT_KEY,
        block,
        at: 13,
    };
    network.put(keys::admitted(), &2_u16);
    network.put(keys::opening(OPENING), &opening);
    network.put(keys::patient_openings(PATIENT), &1_u32);
    network.put(keys::patient_opening(PATIENT, 0), &OPENING);
    network.put(keys::requester_openings(REQUESTER), &1_u32);
    network.put(keys::requester_opening(REQUESTER, 0), &OPENING);
    network.push();

    send(network, play.hander, &openings::hand_out(OPENING), play);
    let mut handed_out = HandedOut { epoch: EpochId(1), block: next(network), at: 14 };
    (play.parted)(&mut handed_out);
    network.put(keys::handed_out_by(OPENING, OTHER), &handed_out);
    network.push();
}
