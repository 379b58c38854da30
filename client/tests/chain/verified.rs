//! A client that verifies, against a real node. Everything that it computes from proofs equals what the runtime says.

use std::time::Duration;

use epione_client::{
    chain::{
        Chain, ChainError, ChainEvent, Doubt, Pinned, Snapshot, Trust,
        calls::{credentials, hospitals, releases, role_policies, sharing},
    },
    reader,
};
use epione_policies::default_policies;
use epione_primitives::{
    Hash, HospitalId, RecordPointer, Signature, UserId,
    access::{
        AccessRequest, Action, Conclusion, Condition, Place, Policy, Purpose, RelationshipKind,
        SectionClass,
    },
    credential::{AttributeId, Requirement},
    limits::DAY_MILLIS,
    profile::Role,
    release::{EmergencyReason, Release, ReleasedRecord, Request, Right, SectionSet},
    sharing::{Consent, KindSet, RecordedPeriod, SlotId, SlotSet, Term},
};
use epione_proofs::TimeError;

use crate::{
    account, agent,
    node::{Node, PATIENCE},
    records::{commit, doctor, patient, ready, record},
    register,
};

const HOSPITAL: HospitalId = HospitalId(0);
const SLOT: SlotId = SlotId(3);

/// Another connection to the node, which verifies.
pub async fn verifying(node: &Node, trusting: &Chain) -> Chain {
    // Right after the start, no block but the first is final.
    let pinned = Pinned::new(trusting.genesis_hash()).with_patience(PATIENCE);
    node.connect().await.trusting(Trust::Verified(pinned)).await.unwrap()
}

/// The state after the newest block that both connections know.
async fn both(trusting: &Chain, verified: &Chain) -> (Snapshot, Snapshot) {
    let head = verified.finalized_head().await.unwrap();
    (trusting.at(head.hash), verified.at(head.hash))
}

/// Compares an answer of the runtime with what the client computes.
macro_rules! same {
    ($states:expr, $method:ident $(, $argument:expr)*) => {{
        let (said, proven) = $states;
        let said = said.$method($($argument),*).await.unwrap();
        let proven = proven.$method($($argument),*).await.unwrap();
        assert_eq!(proven, said, stringify!($method));
        proven
    }};
}

fn request(action: Action, class: SectionClass) -> AccessRequest {
    AccessRequest {
        requester: doctor(),
        action,
        patient: patient(),
        hospital: HOSPITAL,
        class,
        purpose: Purpose::Treatment,
        cosigned: false,
    }
}

const NEWEST: RecordPointer = RecordPointer { height: 2, index: 0 };

/// What the doctor requests: the first section of the newest record.
async fn asking(chain: &Chain, emergency: bool, nonce: u8) -> (Request, Signature) {
    let record = ReleasedRecord { pointer: NEWEST, sections: SectionSet(1) };
    let request = Request {
        requester: doctor(),
        patient: patient(),
        hospital: HOSPITAL,
        records: vec![record].try_into().unwrap(),
        purpose: if emergency { Purpose::Emergency } else { Purpose::Treatment },
        emergency: emergency.then_some(EmergencyReason::LifeThreatening),
        at: chain.finalized().await.unwrap().time().await.unwrap(),
        nonce: [nonce; 16],
    };
    let signature = account("//Doctor").sign(&request.signed_bytes(chain.genesis_hash()));
    (request, signature)
}

/// The hospital grants what was requested. The section is private.
async fn grant(chain: &Chain, (request, signature): (Request, Signature), grant: Hash) {
    let action = if request.emergency.is_some() { Action::BreakGlass } else { Action::ReadText };
    let right = Right { action, class: SectionClass::Private };
    let records = request.records.clone();
    let rights = vec![right].try_into().unwrap();
    let release = Release { request, signature, records, rights, grant };
    chain.submit(&releases::record(&release), &agent()).await.unwrap();
}

/// The hospital grants the first section of the first record, which a consent shares with the doctor.
async fn grant_shared(chain: &Chain) {
    let (request, _) = asking(chain, false, 4).await;
    let record =
        ReleasedRecord { pointer: RecordPointer { height: 1, index: 0 }, sections: SectionSet(1) };
    let request = Request { records: vec![record].try_into().unwrap(), ..request };
    let signature = account("//Doctor").sign(&request.signed_bytes(chain.genesis_hash()));
    let right = Right { action: Action::ReadText, class: SectionClass::Shared };
    let (records, rights) = (request.records.clone(), vec![right].try_into().unwrap());
    let release = Release { request, signature, records, rights, grant: SHARED };
    chain.submit(&releases::record(&release), &agent()).await.unwrap();
}

fn break_glass() -> Policy {
    let conditions = vec![
        Condition::RequesterRegistered(Place::Here),
        Condition::PatientRegistered,
        Condition::Purpose(vec![Purpose::Emergency].try_into().unwrap()),
    ];
    Policy {
        name: b"emergency".to_vec().try_into().unwrap(),
        summary: b"Doctors of the hospital may read in an emergency.".to_vec().try_into().unwrap(),
        hospitals: Default::default(),
        roles: vec![Role::Doctor].try_into().unwrap(),
        conditions: conditions.try_into().unwrap(),
        conclusion: Conclusion::Allows(vec![Action::BreakGlass].try_into().unwrap()),
        expires: None,
    }
}

const CARDIOLOGY: AttributeId = AttributeId(0);

/// Confirmed cardiologists may submit.
fn cardiologists_submit() -> Policy {
    let required = Requirement {
        attribute: CARDIOLOGY,
        issuers: vec![HOSPITAL].try_into().unwrap(),
        at_least: 1,
    };
    let required = vec![required].try_into().unwrap();
    Policy {
        name: b"cardiologists".to_vec().try_into().unwrap(),
        conditions: vec![Condition::RequesterHas(required)].try_into().unwrap(),
        conclusion: Conclusion::Allows(vec![Action::Submit].try_into().unwrap()),
        ..break_glass()
    }
}

/// The doctor's credential, issued three times and revoked at the end.
async fn credited(chain: &Chain) {
    let governance = account("//Alice");
    let until = chain.finalized().await.unwrap().time().await.unwrap() + DAY_MILLIS;
    let issue = credentials::issue(doctor(), CARDIOLOGY, until);
    for _ in 0..3 {
        chain.submit(&issue, &governance).await.unwrap();
    }
    let oncology = credentials::issue(doctor(), AttributeId(1), until);
    chain.submit(&oncology, &governance).await.unwrap();
    chain.submit(&credentials::revoke(doctor(), CARDIOLOGY), &governance).await.unwrap();
}

const RECEIPT: Hash = Hash::repeat_byte(2);
const EMERGENCY: Hash = Hash::repeat_byte(3);
const SHARED: Hash = Hash::repeat_byte(4);

/// A receipt, a refusal and an emergency of the doctor. Returns the requests of the receipt and of the refusal.
async fn released(chain: &Chain) -> [Hash; 2] {
    let granted = asking(chain, false, 1).await;
    let (refused, signature) = asking(chain, true, 2).await;
    let requests = [granted.0.hash(), refused.hash()];
    grant(chain, granted, RECEIPT).await;
    // The default policies do not allow to break the glass.
    chain.submit(&releases::refuse(&refused, &signature), &agent()).await.unwrap();
    let mut policies = default_policies().policies;
    policies.try_push(break_glass()).unwrap();
    policies.try_push(cardiologists_submit()).unwrap();
    let call = role_policies::set_policies(&policies);
    chain.submit(&call, &account("//Alice")).await.unwrap();
    grant(chain, asking(chain, true, 3).await, EMERGENCY).await;
    requests
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_client_computes_from_proofs_is_what_the_runtime_says() {
    let node = Node::start();
    let trusting = ready(&node).await;
    let (patient, doctor) = (patient(), doctor());
    let before = trusting.finalized_head().await.unwrap();
    for text in ["one", "two"] {
        commit(&trusting, &[record(&trusting, text, "//Doctor").await]).await;
    }
    let related = |kind| role_policies::relate(patient, doctor, HOSPITAL, kind, None);
    for kind in [RelationshipKind::Treating, RelationshipKind::CareTeam] {
        trusting.submit(&related(kind), &agent()).await.unwrap();
    }
    let ended = role_policies::unrelate(patient, doctor, HOSPITAL, RelationshipKind::Treating);
    trusting.submit(&ended, &agent()).await.unwrap();
    trusting.submit(&related(RelationshipKind::Treating), &agent()).await.unwrap();

    let pointer = RecordPointer { height: 1, index: 0 };
    let until = trusting.finalized().await.unwrap().time().await.unwrap() + DAY_MILLIS;
    let now = |audience: Vec<Term>| Consent {
        audience: audience.try_into().unwrap(),
        purposes: vec![Purpose::Treatment].try_into().unwrap(),
        kinds: KindSet::default(),
        recorded: RecordedPeriod::default(),
        until,
        standing: false,
    };
    let sections = |bits| [ReleasedRecord { pointer, sections: SectionSet(bits) }];
    let either = vec![
        Term::Hospital(HOSPITAL),
        Term::Role(Role::Auditor),
        Term::Credential { attribute: AttributeId(0), issuer: HOSPITAL },
        Term::AtLeast { met: 1, of: 3 },
    ];
    for change in [
        sharing::place(SLOT, &sections(0b11)),
        sharing::remove(SLOT, &sections(0b10)),
        sharing::give(SLOT, &now(vec![Term::User(patient)]), 2),
        sharing::give(SLOT, &now(either), 3),
        sharing::give(SlotId(9), &now(vec![Term::User(doctor)]), 0),
        sharing::withdraw(SlotId(9)),
    ] {
        trusting.submit(&change, &account("//Patient")).await.unwrap();
    }

    let read = ReleasedRecord { pointer, sections: SectionSet::ALL };
    let noted = releases::note(&vec![read].try_into().unwrap());
    trusting.submit(&noted, &account("//Patient")).await.unwrap();

    let verified = verifying(&node, &trusting).await;
    let [granted, refused] = released(&trusting).await;
    grant_shared(&trusting).await;
    credited(&trusting).await;
    let (said, proven) = both(&trusting, &verified).await;
    let states = (&said, &proven);
    same!(states, time);
    assert_eq!(same!(states, hospitals).len(), 1);
    same!(states, hospital, HOSPITAL);
    same!(states, hospital, HospitalId(7));
    same!(states, hospital_of, &agent().id());
    same!(states, benched);
    same!(states, unready);
    same!(states, replacement, HOSPITAL);
    same!(states, user_of, &account("//Doctor").id());
    same!(states, user_of, &account("//Stranger").id());
    same!(states, profile, doctor);
    same!(states, registration, HOSPITAL, patient);
    assert_eq!(same!(states, registrations, patient).len(), 1);
    assert_eq!(same!(states, members, HOSPITAL, None, 64).len(), 2);
    assert!(same!(states, session_keys, HOSPITAL).is_some());
    assert_eq!(same!(states, session_keys, HospitalId(7)), None);
    assert_eq!(same!(states, members, HOSPITAL, None, 1).len(), 1);
    assert_eq!(same!(states, recovery, patient), None);
    assert!(same!(states, recoveries, None, 64).is_empty());
    assert_eq!(same!(states, relationships, patient).len(), 3);
    assert_eq!(same!(states, height), 2);
    for height in [0, 1, 2, 3] {
        same!(states, header, height);
        same!(states, entries, height);
    }
    assert_eq!(same!(states, history, patient, None, 64).len(), 2);
    let newest = NEWEST;
    assert_eq!(same!(states, history, patient, Some(newest), 64).len(), 1);
    assert!(same!(states, record, newest).is_some());
    same!(states, record, RecordPointer { height: 2, index: 9 });
    let (header, _) = same!(states, header, 2).unwrap();
    same!(states, announcement, header.announcement);
    same!(states, announcement_of, HOSPITAL, header.body_hash);
    let (entry, _) = same!(states, record, newest).unwrap();
    assert!(same!(states, announcement_with, HOSPITAL, entry.record).is_some());
    let placements = same!(states, placements, &[pointer, newest]);
    assert_eq!(placements.iter().map(|it| it.len()).collect::<Vec<_>>(), [1, 0]);
    for (requester, purpose, expected) in [
        (doctor, Purpose::Treatment, 1 << SLOT.0),
        (doctor, Purpose::Research, 0),
        (doctor, Purpose::Emergency, 0),
        (UserId([9; 32]), Purpose::Treatment, 0),
    ] {
        let slots = same!(states, admitting, patient, requester, purpose);
        assert_eq!(slots, SlotSet(expected), "{requester} {purpose:?}");
        // None of the patient's consents stands.
        assert!(same!(states, standing, patient, requester, purpose).is_empty());
    }
    assert_eq!(same!(states, consents, patient).len(), 2);
    assert_eq!(same!(states, earlier_consents, patient, SLOT, None, 64).len(), 1);
    assert!(same!(states, earlier_consents, patient, SLOT, Some(1), 64).is_empty());
    let placed = same!(states, placed_in, patient, SLOT, None, 64);
    assert_eq!(placed, [(pointer, SectionSet(1))]);
    assert!(same!(states, placed_in, patient, SLOT, Some(pointer), 64).is_empty());
    for (slot, height) in [(SLOT, 4), (SlotId(9), 6), (SlotId(1), 0)] {
        assert_eq!(same!(states, slot_height, patient, slot), height);
    }
    assert_eq!(same!(states, shared_head).0, 6);
    assert_eq!(same!(states, shared_changes, 1, 64).len(), 6);
    assert_eq!(same!(states, shared_changes, 5, 1).len(), 1);
    assert!(same!(states, shared_changes, 7, 64).is_empty());
    assert_eq!(same!(states, answer, granted), Some(RECEIPT));
    for unanswered in [refused, Hash::repeat_byte(1)] {
        assert_eq!(same!(states, answer, unanswered), None);
    }
    same!(states, ballot, header.announcement);
    same!(states, open_announcements);
    same!(states, next_announcement);
    same!(states, policies, HOSPITAL, None);
    same!(states, policies, HOSPITAL, Some(1));
    same!(states, policies, HOSPITAL, Some(3));
    assert_eq!(same!(states, receipts, patient, None, 64).len(), 3);
    assert_eq!(same!(states, receipts, patient, Some(1), 64).len(), 1);
    assert_eq!(same!(states, refusals, patient, None, 64).len(), 1);
    assert_eq!(same!(states, emergencies, patient, None, 64).len(), 1);
    assert_eq!(same!(states, own_reads, patient, None, 64).len(), 1);
    assert!(same!(states, own_reads, patient, Some(0), 64).is_empty());
    assert_eq!(same!(states, reviews, None, 64).len(), 1);
    same!(states, tally, HOSPITAL, doctor);
    for grant in [RECEIPT, EMERGENCY, SHARED] {
        assert!(same!(states, receipt, grant).is_some());
        assert!(same!(states, is_in_force, grant));
    }
    assert!(same!(states, receipt, Hash::repeat_byte(1)).is_none());
    assert!(!same!(states, is_in_force, Hash::repeat_byte(1)));

    assert_eq!(same!(states, attributes, AttributeId(0), 64).len(), 6);
    assert_eq!(same!(states, attributes, AttributeId(4), 1).len(), 1);
    assert!(same!(states, attributes, AttributeId(6), 64).is_empty());
    assert_eq!(same!(states, all_attributes).len(), 6);
    assert_eq!(same!(states, credentials, doctor, None, 64).len(), 2);
    let first = same!(states, credentials, doctor, None, 1);
    let (attribute, issuer, _) = first[0];
    assert_eq!(same!(states, credentials, doctor, Some((attribute, issuer)), 64).len(), 1);
    assert_eq!(same!(states, all_credentials, doctor).len(), 2);
    assert!(same!(states, credentials, patient, None, 64).is_empty());
    // While each of the credentials was in force, and between them.
    let now = said.time().await.unwrap();
    for step in 0..40 {
        let submits = request(Action::Submit, SectionClass::Private);
        same!(states, decide, &submits, Some(now - 1_000 * step));
    }

    let earlier = said.time().await.unwrap() - 4_000;
    for class in [SectionClass::Private, SectionClass::Shared] {
        for action in [Action::ReadText, Action::Submit, Action::BreakGlass] {
            for at in [None, Some(earlier), Some(0)] {
                same!(states, decide, &request(action, class), at);
            }
        }
    }
    let each = [Action::ReadText, Action::Relate].map(|it| request(it, SectionClass::Private));
    same!(states, decide_each, &each);

    // After a withdrawal, the right to shared sections opens nothing.
    trusting.submit(&sharing::withdraw(SLOT), &account("//Patient")).await.unwrap();
    let (said, proven) = both(&trusting, &verified).await;
    assert!(!same!((&said, &proven), is_in_force, SHARED));
    assert!(same!((&said, &proven), is_in_force, RECEIPT));
    assert!(same!((&said, &proven), admitting, patient, doctor, Purpose::Treatment).is_empty());

    // An earlier block.
    let states = (&trusting.at(before.hash), &verified.at(before.hash));
    same!(states, height);
    assert_eq!(
        verified.time(before.hash).await.unwrap(),
        trusting.time(before.hash).await.unwrap()
    );
    assert_eq!(verified.block_hash(before.number).await.unwrap(), Some(before.hash));

    let listed = reader::list(&verified, patient, None, 10).await.unwrap();
    assert_eq!(listed.len(), 2);
    let reply = verified.lite_record(newest).await.unwrap();
    assert_eq!(reply, trusting.lite_record(newest).await.unwrap());
    reader::verified(&verified, newest).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verifying_client_submits_and_reads_what_it_changed() {
    let node = Node::start();
    let trusting = node.connect().await;
    let verified = verifying(&node, &trusting).await;
    let included = register(&verified, Role::Doctor, "//Doctor").await;
    let registered = |event: &ChainEvent| matches!(event, ChainEvent::Registered { .. });
    assert!(included.events.iter().any(registered), "{:?}", included.events);
    let state = verified.finalized().await.unwrap();
    assert!(state.profile(doctor()).await.unwrap().is_some());
    let extrinsics = verified.extrinsics(included.block.hash).await.unwrap();
    assert_eq!(extrinsics, trusting.extrinsics(included.block.hash).await.unwrap());
    assert!(extrinsics.len() > included.extrinsic as usize);
    let events = verified.events(included.block.hash).await.unwrap();
    assert_eq!(events, trusting.events(included.block.hash).await.unwrap());

    let call = hospitals::set_endpoint("https://worker.example", &[7; 32], None);
    verified.submit(&call, &account("//Alice")).await.unwrap();
    let state = verified.finalized().await.unwrap();
    assert_eq!(state.hospital(HOSPITAL).await.unwrap().unwrap().tls_key, [7; 32]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_reset_is_refused_and_an_old_one_too() {
    let folder = tempfile::tempdir().unwrap();
    let remembering = |genesis| Pinned::new(genesis).remembering(folder.path().join("head.json"));
    let node = Node::start();
    let chain = node.connect().await;
    let genesis = chain.genesis_hash();
    while chain.finalized_head().await.unwrap().number < 4 {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let chain = chain.trusting(Trust::Verified(remembering(genesis))).await.unwrap();
    assert!(chain.finalized_head().await.unwrap().number >= 4);
    drop(node);

    // A new chain with the same genesis block, as after the loss of a database.
    let node = Node::start();
    let chain = Chain::connect_within(&node.url(), PATIENCE).await.unwrap();
    assert_eq!(chain.genesis_hash(), genesis);
    let chain = chain.trusting(Trust::Verified(remembering(genesis))).await.unwrap();
    let refused = chain.finalized_head().await.unwrap_err();
    let ChainError::Unproven { doubt, .. } = refused else { panic!("{refused}") };
    assert!(matches!(*doubt, Doubt::RolledBack { .. } | Doubt::Fork { .. }), "{doubt}");

    let chain = node.connect().await;
    let strict = Pinned::new(genesis).with_max_age(Duration::ZERO).with_patience(PATIENCE);
    let chain = chain.trusting(Trust::Verified(strict)).await.unwrap();
    let refused = chain.finalized().await.unwrap_err();
    assert!(refused.is_transient(), "{refused}");
    let ChainError::Unproven { doubt, .. } = refused else { panic!("{refused}") };
    assert!(matches!(*doubt, Doubt::Time(TimeError::Behind { .. })), "{doubt}");

    let other = Pinned::new(Hash::repeat_byte(9));
    let refused = node.connect().await.trusting(Trust::Verified(other)).await.unwrap_err();
    assert!(matches!(refused, ChainError::OtherChain { .. }), "{refused}");
}
