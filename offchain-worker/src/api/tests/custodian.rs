//! Grants of records of a removed hospital, whose custodian this hospital is. The cryptography is real.

use codec::Encode;
use epione_envelope::{
    account::Signer,
    keys::PatientKeys,
    profile::{ProfileBody, ProfileContext, Recipient},
    record::{Description, Draft, Record, SectionKind},
    record_sealer::RecordSealer,
};
use epione_primitives::{
    Hash, HospitalId, RecordPointer, UserId,
    custody::{Appointment, ClaimId},
    ports::HashedBody,
};

use super::{
    claims::{DEPARTED, remove_departed},
    fake::{ELSEWHERE, HOSPITAL, genesis},
    grants::{POINTER, committed_in, open, receipts, request, send},
    world::{Actor, Reply, World},
};
use crate::{
    chain::Identity,
    hospital_keys::inherited_context,
    journal::inherited::{self, InheritedKey},
};

/// The record of the removed hospital.
const INHERITED: RecordPointer = RecordPointer { height: 2, index: 0 };
const TEXT: &[u8] = b"The patient broke a leg.";

/// A world whose hospital is the custodian of a removed one, at which the patient has a key in three versions, and a
/// record that is sealed to the newest.
struct Custodian {
    world: World,
    keys: PatientKeys,
    /// The profile body at the removed hospital.
    profile: Hash,
    record: Record,
}

impl Custodian {
    async fn new() -> Self {
        let world = World::new().await;
        let agent = remove_departed(&world.chain);
        let keys = PatientKeys::generate().renewed().unwrap().renewed().unwrap();
        let profile = registered(&world, &agent, &keys);
        let record = sealed(&world, &keys);
        let patient = world.patient.user;
        world.chain.commit(INHERITED, patient, DEPARTED, &record.encode());
        let custodian = Self { world, keys, profile, record };
        custodian.appoint(HOSPITAL, 0);
        custodian
    }

    /// The same, after the worker has opened the patient's key.
    async fn with_keys() -> Self {
        let custodian = Self::new().await;
        custodian.inherit().await;
        custodian
    }

    fn patient(&self) -> UserId {
        self.world.patient.user
    }

    fn appoint(&self, custodian: HospitalId, since: u32) {
        let appointment = Appointment { custodian, since };
        self.world.chain.facts().custody.appointments.insert(DEPARTED, appointment);
    }

    /// Stores the patient's newest key as the worker does after a claim.
    async fn inherit(&self) {
        let (patient, profile) = (self.patient(), self.profile);
        let identity = Identity { genesis: genesis(), hospital: HOSPITAL };
        let context = inherited_context(identity, DEPARTED, (patient, profile));
        let newest = self.keys.newest().1.clone();
        let sealed = self.world.state.hospital_keys.seal_inherited(context, newest).await.unwrap();
        let (departed, versions, claim) = (DEPARTED, self.keys.versions(), ClaimId(0));
        let key = InheritedKey { departed, patient, profile, versions, claim, sealed };
        self.world.journal.write(move |tx| inherited::keep(tx, &key)).await.unwrap();
    }

    async fn ask(&self, by: &Actor) -> Reply {
        send(&self.world, by, &request(&self.world, by, &[INHERITED])).await
    }

    /// Checks that the treating doctor's request is refused, and that nothing is recorded.
    async fn assert_refused(&self, expected: (u16, &str), what: &str) {
        let (status, kind) = expected;
        let reply = self.ask(&self.world.doctor).await;
        assert_eq!(reply.refusal(), (status, kind.to_owned()), "{what}");
        assert!(receipts(&self.world).is_empty(), "{what}");
    }
}

/// Registers the patient at the removed hospital; returns the hash of the profile body there.
fn registered(world: &World, agent: &Actor, keys: &PatientKeys) -> Hash {
    let patient = &world.patient;
    let context = ProfileContext { genesis: genesis(), hospital: DEPARTED, user: patient.user };
    let account = patient.keys.account();
    let recipient = Recipient { account: &account, key: patient.keys.sealing.public() };
    let sealing = agent.keys.sealing.public();
    let body = ProfileBody::for_patient(&context, "Ada", keys, recipient, sealing, &agent.keys);
    let body = body.unwrap().encode();
    let profile = HashedBody::new(&body).hash();
    world.chain.facts().bodies.insert(profile, body);
    profile
}

/// A record of the removed hospital.
fn sealed(world: &World, keys: &PatientKeys) -> Record {
    let description = Description::of(SectionKind::Summary, "text/plain", "", TEXT).unwrap();
    let (patient, author) = (world.patient.user, world.doctor.user);
    let signed_at = world.chain.newest();
    let draft = Draft::new(patient, DEPARTED, author, signed_at, vec![description]).unwrap();
    let signed = draft.sign(genesis(), &world.doctor.keys);
    let account = world.doctor.keys.account();
    let mut sealer = RecordSealer::new(genesis(), signed, &account, keys).unwrap();
    sealer.seal_text(0, TEXT).unwrap();
    sealer.finish().unwrap()
}

#[tokio::test]
async fn the_custodian_grants_a_record_of_the_removed_hospital_with_the_inherited_key() {
    let Custodian { world, record, .. } = Custodian::with_keys().await;
    let doctor = &world.doctor;
    let asked = request(&world, doctor, &[INHERITED]);
    let granted = world.client(doctor).grant(&asked).await.unwrap();
    // The grant is the custodian's, like one of its own records.
    assert_eq!(granted.grant.terms().hospital, HOSPITAL);
    let keys = open(&world, doctor, &granted);
    let places: Vec<_> = keys.iter().map(|(place, _)| (place.pointer, place.section)).collect();
    assert_eq!(places, [(INHERITED, 0)]);
    let (_, text) = record.open_text(genesis(), 0, &keys[0].1).unwrap();
    assert_eq!(text.as_slice(), TEXT);
    let [receipt] = receipts(&world).try_into().unwrap();
    assert_eq!((receipt.request.hospital, receipt.records[0].pointer), (HOSPITAL, INHERITED));
}

#[tokio::test]
async fn one_grant_covers_own_records_and_those_of_the_removed_hospital() {
    let Custodian { world, record, .. } = Custodian::with_keys().await;
    let (world, own) = committed_in(world).await;
    let doctor = &world.doctor;
    let asked = request(&world, doctor, &[POINTER, INHERITED]);
    let granted = world.client(doctor).grant(&asked).await.unwrap();
    let keys = open(&world, doctor, &granted);
    let places: Vec<_> = keys.iter().map(|(place, _)| (place.pointer, place.section)).collect();
    assert_eq!(places, [(POINTER, 0), (POINTER, 1), (POINTER, 2), (INHERITED, 0)]);
    own.open_text(genesis(), 0, &keys[0].1).unwrap();
    record.open_text(genesis(), 0, &keys[3].1).unwrap();
}

#[tokio::test]
async fn a_patient_who_did_not_entrust_the_key_is_named_as_the_reason() {
    let custodian = Custodian::new().await;
    let reply = custodian.ask(&custodian.world.doctor).await;
    assert_eq!(reply.refusal(), (409, "not-inherited".into()));
    let detail = reply.problem().detail.unwrap();
    assert!(detail.contains("the patient did not entrust it"), "{detail}");
    assert!(detail.contains("with the own key"), "{detail}");
    custodian.assert_refused((409, "not-inherited"), "again").await;
    // Of those whom the policies do not allow to read, nobody learns it.
    let stranger = custodian.ask(&custodian.world.stranger).await;
    assert_eq!(stranger.refusal(), (403, "denied".into()));
    custodian.inherit().await;
    assert_eq!(custodian.ask(&custodian.world.doctor).await.status, 200);
}

#[tokio::test]
async fn a_record_from_after_the_last_version_that_was_kept_is_refused_with_words() {
    let custodian = Custodian::with_keys().await;
    let later = sealed(&custodian.world, &custodian.keys.renewed().unwrap());
    let patient = custodian.patient();
    custodian.world.chain.commit(INHERITED, patient, DEPARTED, &later.encode());
    let reply = custodian.ask(&custodian.world.doctor).await;
    assert_eq!(reply.refusal(), (409, "not-inherited".into()));
    let detail = reply.problem().detail.unwrap();
    assert!(detail.contains("earlier versions"), "{detail}");
    // A record that is sealed to an earlier version opens.
    let first = custodian.keys.get(1).unwrap().clone();
    let first = PatientKeys::from_keys(vec![first]).unwrap();
    let earlier = sealed(&custodian.world, &first);
    custodian.world.chain.commit(INHERITED, patient, DEPARTED, &earlier.encode());
    assert_eq!(custodian.ask(&custodian.world.doctor).await.status, 200);
}

#[tokio::test]
async fn a_hospital_that_is_not_the_custodian_grants_nothing_with_the_keys_that_it_has() {
    let custodian = Custodian::with_keys().await;
    let not_here = (404, "not-found");
    custodian.appoint(ELSEWHERE, 0);
    custodian.assert_refused(not_here, "another custodian").await;
    let head = custodian.world.chain.facts().head;
    custodian.world.chain.facts().custody.delay = 20;
    custodian.appoint(HOSPITAL, head);
    custodian.assert_refused(not_here, "before the delay is over").await;
    custodian.world.chain.facts().custody.appointments.clear();
    custodian.assert_refused(not_here, "dismissed").await;
    custodian.world.chain.facts().custody.delay = 0;
    custodian.appoint(HOSPITAL, 0);
    assert_eq!(custodian.ask(&custodian.world.doctor).await.status, 200, "nothing else was wrong");
}

#[tokio::test]
async fn a_refusal_of_the_custodian_is_recorded_and_one_of_another_hospital_is_not() {
    let custodian = Custodian::with_keys().await;
    let recorded = || custodian.world.chain.facts().refusals.len();
    let elsewhere = custodian.world.metrics.refusals.with_label_values(&["elsewhere"]);
    let stranger = &custodian.world.stranger;
    assert_eq!(custodian.ask(stranger).await.refusal(), (403, "denied".into()));
    assert_eq!((recorded(), elsewhere.get()), (1, 0));
    custodian.world.chain.facts().custody.appointments.clear();
    assert_eq!(custodian.ask(stranger).await.refusal(), (403, "denied".into()));
    assert_eq!((recorded(), elsewhere.get()), (1, 1));
}
