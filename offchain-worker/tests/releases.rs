//! Releases on a real chain: receipts and refusals, emergencies and their reviews, referrals, revocation, and rotations
//! of keys.

#![allow(clippy::unwrap_used)]

mod network;

use std::{fs, time::Instant};

use epione_client::{
    chain::calls::{hospitals, profiles, releases, role_policies},
    naming,
    reader::{Intent, Reader, SignedRequest},
    signer::Account,
    worker::{Granted, WorkerError},
};
use epione_envelope::{
    development,
    keystore::{self, Cost},
    sealing_keys::SealingSuite,
};
use epione_primitives::{
    RecordPointer, UserId,
    access::{
        AccessRequest, Action, Conclusion, Condition, Denial, Place, Policies, Policy, Purpose,
        RelationshipKind, SectionClass,
    },
    naming::Naming,
    profile::Role,
    release::{EmergencyReason, ReviewId},
};
use network::{
    Hospital, Network, Tuning, eventually,
    people::{People, SUMMARY, TREATMENT, content_of, join, reader},
    settles,
};

fn media(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (index as u8).wrapping_mul(37)).collect()
}

async fn committed(network: &Network, people: &People, content: &[u8]) -> RecordPointer {
    let hospital = &network.hospitals[0];
    let visit = people.visit(hospital, network.folder.path(), content).await;
    people.submit(hospital, &visit).await;
    people.is_committed(hospital, visit.record_id()).await
}

const EMERGENCY: Intent =
    Intent { purpose: Purpose::Emergency, emergency: Some(EmergencyReason::LifeThreatening) };

/// A user who wants to read a patient's record.
struct Requester {
    account: Account,
    user: UserId,
    patient: UserId,
    record: RecordPointer,
}

impl Requester {
    /// Requests the whole record, with a new signature each time.
    async fn request(&self, hospital: &Hospital, intent: Intent) -> Result<Granted, WorkerError> {
        let genesis = hospital.chain().await.genesis_hash();
        let client = hospital.client(self.account.clone()).await;
        let (user, patient, records) = (self.user, self.patient, [self.record.into()]);
        let signed = SignedRequest::new(genesis, &client, user, patient, &records, intent);
        client.grant(&signed.unwrap().to_api()).await
    }

    async fn granted(&self, hospital: &Hospital, intent: Intent) -> Granted {
        self.request(hospital, intent).await.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn denied(&self, hospital: &Hospital, intent: Intent) -> Denial {
        let error = self.request(hospital, intent).await.err().unwrap();
        error.denial().cloned().unwrap_or_else(|| panic!("{error}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_creates_a_receipt_and_revocation_ends_access() {
    let network = Network::start(1, Tuning::default()).await;
    let hospital = &network.hospitals[0];
    let people = People::register(hospital).await;
    let (patient, doctor) = (people.patient, people.doctor.account.clone());
    let pointer = committed(&network, &people, &media(1_000)).await;
    let (chain, client) = (hospital.chain().await, hospital.client(doctor.clone()).await);
    let (user, record) = (people.doctor.user, pointer);
    let requester = Requester { account: doctor, user, patient, record };

    // The receipt is finalized when the grant arrives.
    let granted = requester.granted(hospital, TREATMENT).await;
    let state = chain.finalized().await.unwrap();
    let receipt = state.receipt(granted.grant.hash()).await.unwrap().unwrap();
    assert_eq!((receipt.release.request.requester, receipt.version), (people.doctor.user, 0));
    assert_eq!(receipt.release.records[0].sections.iter().collect::<Vec<_>>(), [0, 1]);
    let named = |policy: &&[u8]| *policy == b"related professional";
    assert_eq!(receipt.policies.iter().map(|it| it.as_slice()).filter(named).count(), 2);
    assert_eq!(state.receipts(patient, None, 10).await.unwrap().len(), 1);

    // The patient ends the relationship. From that finalized block on, the link is not valid.
    let (segment, link) = (network.segments().await[0], granted.reply.links[0].clone());
    client.segment_by_link(&segment, &link).await.unwrap();
    let kind = RelationshipKind::FamilyDoctor;
    let unrelate = role_policies::unrelate(patient, people.doctor.user, hospital.id, kind);
    let begun = Instant::now();
    chain.submit(&unrelate, &Account::development("//Patient").unwrap()).await.unwrap();
    let last = begun.elapsed();
    let refused = client.segment_by_link(&segment, &link).await.unwrap_err();
    eprintln!("revoked: final after {last:?}, link refused {:?} later", begun.elapsed() - last);
    assert!(matches!(refused, WorkerError::Problem(problem) if problem.status == 403));

    // A new request is refused too, and recorded.
    requester.denied(hospital, TREATMENT).await;
    let state = chain.finalized().await.unwrap();
    let refusals = state.refusals(patient, None, 10).await.unwrap();
    assert_eq!(
        refusals.iter().map(|(_, it)| it.requester).collect::<Vec<_>>(),
        [people.doctor.user]
    );
    let question = AccessRequest {
        requester: people.doctor.user,
        action: Action::ReadText,
        patient,
        hospital: hospital.id,
        class: SectionClass::Private,
        purpose: Purpose::Treatment,
        cosigned: false,
    };
    assert!(state.decide(&question, Some(receipt.at)).await.unwrap().is_allowed());
    assert!(!state.decide(&question, Some(refusals[0].1.at)).await.unwrap().is_allowed());
    let recorded = "epione_worker_refusals_total{result=\"recorded\"}";
    assert_eq!(hospital.metric(recorded).await, 1);
}

fn break_glass() -> Policy {
    Policy {
        name: b"emergency".to_vec().try_into().unwrap(),
        summary: b"Doctors of the hospital may read in an emergency.".to_vec().try_into().unwrap(),
        hospitals: Default::default(),
        roles: vec![Role::Doctor].try_into().unwrap(),
        conditions: vec![
            Condition::RequesterRegistered(Place::Here),
            Condition::PatientRegistered,
            Condition::Purpose(vec![Purpose::Emergency].try_into().unwrap()),
        ]
        .try_into()
        .unwrap(),
        conclusion: Conclusion::Allows(vec![Action::BreakGlass].try_into().unwrap()),
        expires: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn emergencies_are_reviewed_and_suspended_users_are_refused() {
    let network = Network::start(1, Tuning::default()).await;
    let hospital = &network.hospitals[0];
    let stranger = join(hospital, Role::Doctor, "//Stranger");
    let (people, stranger) = tokio::join!(People::register(hospital), stranger);
    let account = Account::development("//Stranger").unwrap();
    let pointer = committed(&network, &people, &media(1_000)).await;
    let (user, patient, record) = (stranger, people.patient, pointer);
    let requester = Requester { account: account.clone(), user, patient, record };
    requester.denied(hospital, EMERGENCY).await;

    let chain = hospital.chain().await;
    let known = chain.finalized().await.unwrap().policies(hospital.id, None).await.unwrap();
    let mut policies: Policies = known.unwrap().1.policies;
    policies.try_push(break_glass()).unwrap();
    let set = role_policies::set_policies(&policies);
    chain.submit(&set, &hospital.governance()).await.unwrap();

    let client = hospital.client(account).await;
    let granted = requester.granted(hospital, EMERGENCY).await;
    let state = chain.finalized().await.unwrap();
    let receipt = state.receipt(granted.grant.hash()).await.unwrap().unwrap();
    assert_eq!(receipt.review, Some(ReviewId(0)));
    assert_eq!(receipt.release.request.emergency, EMERGENCY.emergency);
    assert_eq!(state.emergencies(people.patient, None, 10).await.unwrap().len(), 1);
    let (segment, link) = (network.segments().await[0], granted.reply.links[0].clone());
    client.segment_by_link(&segment, &link).await.unwrap();
    hospital.metric_becomes("epione_worker_reviews_open", |open| open == 1).await;

    // A single hospital judges itself. An emergency that was not justified ends the permission.
    let judge = releases::judge(ReviewId(0), false);
    chain.submit(&judge, &hospital.governance()).await.unwrap();
    client.segment_by_link(&segment, &link).await.unwrap_err();

    let office = hospital.client(hospital.governance()).await;
    office.suspend(stranger).await.unwrap();
    requester.denied(hospital, EMERGENCY).await;
    office.reinstate(stranger).await.unwrap();
    requester.granted(hospital, EMERGENCY).await;
    office.end_registration(stranger).await.unwrap();
    requester.denied(hospital, EMERGENCY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_referred_doctor_reads_until_the_referral_expires() {
    let network = Network::start(2, Tuning::default()).await;
    let (here, there) = (&network.hospitals[0], &network.hospitals[1]);
    let referred = join(there, Role::Doctor, "//Referred");
    let (people, referred) = tokio::join!(People::register(here), referred);
    let account = Account::development("//Referred").unwrap();
    let content = media(50_000);
    let pointer = committed(&network, &people, &content).await;
    let (user, patient, record) = (referred, people.patient, pointer);
    let requester = Requester { account, user, patient, record };
    requester.denied(here, TREATMENT).await;

    // The family doctor refers for less than a minute. Meanwhile nobody reads by the referral.
    let chain = here.chain().await;
    let time = async || chain.finalized().await.unwrap().time().await.unwrap();
    let refer = async |expires| {
        let kind = RelationshipKind::Referral;
        let call = role_policies::relate(people.patient, referred, here.id, kind, Some(expires));
        chain.submit(&call, &people.doctor.account).await.unwrap();
    };
    let soon = time().await + 45_000;
    refer(soon).await;

    // The referred doctor's own hospital has the record but no key, and refuses too.
    there.comes_to_hold(&network.segments().await).await;
    requester.denied(there, TREATMENT).await;

    // The patient needs neither: with the patient's own key, any node and any worker will do.
    let own = reader(there, "//Patient").await;
    let opened = own.open_own(people.patient, &[pointer]).await.unwrap();
    let (text, image) = content_of(&own, &opened[0], network.folder.path()).await;
    assert_eq!(text, SUMMARY);
    assert!(image == content, "other bytes came back");

    settles("the referral is over by the chain's clock", async || {
        let now = time().await;
        if now >= soon { Ok(()) } else { Err(soon - now) }
    })
    .await;
    requester.denied(here, TREATMENT).await;
    let question = AccessRequest {
        requester: referred,
        action: Action::ReadText,
        patient: people.patient,
        hospital: here.id,
        class: SectionClass::Private,
        purpose: Purpose::Treatment,
        cosigned: false,
    };
    let state = chain.finalized().await.unwrap();
    assert!(state.decide(&question, Some(soon - 1)).await.unwrap().is_allowed());
    assert!(!state.decide(&question, Some(soon)).await.unwrap().is_allowed());

    // Another referral, which lasts.
    refer(time().await + 30 * 24 * 3_600_000).await;
    let theirs = reader(here, "//Referred").await;
    let opened = theirs.open(people.patient, &[pointer], TREATMENT).await.unwrap();
    let (text, image) = content_of(&theirs, &opened[0], network.folder.path()).await;
    assert_eq!(text, SUMMARY);
    assert!(image == content, "other bytes came back");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_stay_readable_after_key_rotations() {
    let mut network = Network::start(1, Tuning::default()).await;
    let people = People::register(&network.hospitals[0]).await;
    let pointer = committed(&network, &people, &media(1_000)).await;

    patient_rotates(&network.hospitals[0], people.patient, pointer).await;
    hospital_rotates(&mut network.hospitals[0]).await;

    // With the current key alone, after the earlier keystore was removed.
    let hospital = &network.hospitals[0];
    let folder = network.folder.path();
    assert_eq!(people.read(hospital, folder, pointer).await.0, SUMMARY);
    let another = join(hospital, Role::Nurse, "//Nurse").await;
    assert_ne!(another, people.patient);
}

async fn patient_rotates(hospital: &Hospital, patient: UserId, pointer: RecordPointer) {
    let chain = hospital.chain().await;
    let (old, new) = (Account::development("//Patient").unwrap(), "//PatientAnew");
    let keys = development::keys(new).unwrap();
    let account = Account::development(new).unwrap();
    let naming = Naming::Rotation { user: patient, version: 1 };
    let consent = naming::sign(&account, chain.genesis_hash(), naming);
    let key_hash = keys.sealing.public().hash();
    let rotate = profiles::rotate_keys(Some((&account.id(), &consent)), Some(key_hash));
    chain.submit(&rotate, &old).await.unwrap();

    let record = pointer;
    let former = Requester { account: old, user: patient, patient, record };
    let former = former.request(hospital, TREATMENT).await.err().unwrap();
    assert!(matches!(former, WorkerError::Problem(problem) if problem.status == 401));
    let client = hospital.client(account.clone()).await;
    let early = Requester { account, user: patient, patient, record };
    let early = early.request(hospital, TREATMENT).await.err().unwrap();
    assert_eq!(refusal(&early), (409, "sealing-key"));

    // A thief may have rotated the keys: the hospital seals nothing to them until it has confirmed them.
    let new_key = keys.sealing.public();
    let waits = client.renew_key(new_key).await.unwrap_err();
    assert_eq!(refusal(&waits), (409, "awaiting-confirmation"));
    let office = hospital.client(hospital.governance()).await;
    office.confirm_key(patient, new_key).await.unwrap();
    let reader = Reader::new(chain, client, keys.sealing);
    reader.open(patient, &[pointer], TREATMENT).await.unwrap();
    reader.open_own(patient, &[pointer]).await.unwrap();
}

/// The HTTP status, and the problem's kind without its prefix.
fn refusal(error: &WorkerError) -> (u16, &str) {
    let WorkerError::Problem(problem) = error else { panic!("{error}") };
    (problem.status, problem.kind.rsplit(':').next().unwrap())
}

async fn hospital_rotates(hospital: &mut Hospital) {
    let name = "//Alice";
    let keys = development::keys("//Alice//agent").unwrap();
    let keys = keys.with_new_sealing_key(SealingSuite::XWing);
    let (path, password) = (hospital.home().join("agent.json"), hospital.home().join("password"));
    keystore::save(&keys, &path, "a secret", Cost::Fast).unwrap();
    fs::write(&password, "a secret").unwrap();
    let development = format!("development = {name:?}\n");
    let file = format!("path = {path:?}\npassword_file = {password:?}\n");
    let earlier = format!("[[earlier_keystores]]\n{development}");
    hospital.worker.kill();
    hospital.reconfigure(&development, &format!("{file}{earlier}"));

    // The key is not on the chain yet. The worker reports that, and seals no profile to it.
    hospital.worker.start();
    hospital.worker_is_ready().await;
    eventually("the worker reports that its key is not on the chain", async || {
        hospital.worker.log().contains("is an earlier key of this worker").then_some(())
    })
    .await;
    let set = hospitals::set_sealing_key(keys.sealing.public().as_bytes());
    hospital.chain().await.submit(&set, &hospital.governance()).await.unwrap();
    eventually("every profile is sealed to the current key", async || {
        hospital.worker.log().contains("every profile is sealed to").then_some(())
    })
    .await;
    hospital.metric_becomes("epione_worker_profiles_to_rewrap", |left| left == 0).await;

    // The TLS key also was that of the earlier keystore.
    let tls_key = hospital.printed_tls_key(0);
    hospital.name_tls_key(&tls_key).await;
    hospital.tls_key = tls_key;
    hospital.worker_is_ready().await;

    hospital.worker.kill();
    hospital.reconfigure(&earlier, "");
    hospital.worker.start();
    hospital.worker_is_ready().await;
}
