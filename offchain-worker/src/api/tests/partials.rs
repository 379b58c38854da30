//! Parts of openings: the worker decides, has the chain record that it hands out its part, and hands out what only the
//! requester opens. The record's hospital is away, and the cryptography is real.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use epione_client::api::{PartialReply, PartialRequest};
use epione_envelope::{
    keys::ContentKey,
    opening::{PartialContent, PartialContext, SealedPartial, wraps_hash},
    record::Record,
};
use epione_primitives::{
    Hash, HospitalId,
    access::Purpose,
    consortium::{EpochId, KeyId},
    hospital::HospitalStatus,
    limits::OPENING_BLOCKS,
    opening::{HandedOut, Opening, OpeningId, WrapLabel},
    profile::{RegistrationStatus, Role},
    refusal::Refusal,
    release::{
        EmergencyReason, ReleasedRecord, Review, ReviewId, ReviewStatus, ReviewSubject,
        ReviewedEmergency, SectionSet,
    },
    sharing::{ConsentVersion, KindSet, SlotId, SlotSet},
};
use epione_threshold::{Commitments, Index, Partial, Point, Wrap};
use object_store::memory::InMemory;

use super::{
    fake::{
        ELSEWHERE, Facts, HOSPITAL, failure, genesis,
        openings::{FakeKey, publish},
        slots::consent,
    },
    grants::POINTER,
    queries::follow_link,
    registrations::rotated,
    visits::sealed,
    world::{Actor, Raw, Reply, World},
};
use crate::config::Limits;

pub const OPENING: OpeningId = OpeningId(6);
pub const SLOT: SlotId = SlotId(2);
/// The text and the file of the visit, not the last text.
pub const SECTIONS: SectionSet = SectionSet(0b011);

/// A world in which the stranger may open two sections of a record of another hospital.
pub struct Opened {
    pub world: World,
    record: Record,
    pub key: FakeKey,
    /// Of the sections, in their order.
    content_keys: Vec<ContentKey>,
}

impl Opened {
    pub async fn new() -> Self {
        Self::within(Limits::default()).await
    }

    pub async fn within(limits: Limits) -> Self {
        let opened = Self::without_share(limits).await;
        opened.key.give_own(&opened.world.journal).await;
        opened
    }

    /// The worker does not have its share.
    pub async fn without_share(limits: Limits) -> Self {
        let objects = Arc::new(InMemory::new());
        let world = World::with(objects.clone(), objects, limits).await;
        world.submit(&world.visit(300_000).await).await;
        let record = sealed(&world).await[0].record.clone();
        world.chain.commit(POINTER, world.patient.user, ELSEWHERE, &record);
        let key = FakeKey::generate(KeyId(1), EpochId(0));
        let content_keys: Vec<_> = SECTIONS.iter().map(|_| ContentKey::generate()).collect();
        let record = Record::decode_exactly(&record).unwrap();
        let opened = Self { world, record, key, content_keys };
        opened.share();
        opened
    }

    /// The patient shares the sections, their hospital has wrapped them, and the chain has decided.
    fn share(&self) {
        let patient = self.world.patient.user;
        let body = self.body(|section| self.key.label(ELSEWHERE, patient, SLOT, POINTER, section));
        let mut facts = self.world.chain.facts();
        let mut version = consent(Role::Doctor, KindSet(0), 0);
        version.consent.standing = true;
        facts.slots.give(patient, SLOT, version);
        facts.slots.place(POINTER, SLOT, SECTIONS);
        self.key.begin(&mut facts);
        publish(&mut facts, (POINTER, SLOT), ELSEWHERE, SECTIONS, body);
        let opening = self.opening(&facts);
        facts.openings.openings.insert(OPENING, opening);
    }

    /// Wraps of the sections with these labels.
    pub fn body(&self, label: impl Fn(u16) -> WrapLabel) -> Vec<u8> {
        let each = SECTIONS.iter().zip(&self.content_keys);
        each.flat_map(|(section, key)| self.key.wrap(&label(section), key).encode()).collect()
    }

    fn opening(&self, facts: &Facts) -> Opening {
        let mut slots = SlotSet::default();
        slots.insert(SLOT);
        let record = ReleasedRecord { pointer: POINTER, sections: SECTIONS };
        Opening {
            requester: self.world.stranger.user,
            hospital: HOSPITAL,
            patient: self.world.patient.user,
            records: vec![record].try_into().unwrap(),
            purpose: Purpose::Research,
            emergency: None,
            slots,
            audience: self.world.stranger.account().id(),
            sealing_key: self.world.stranger.keys.sealing.public().hash(),
            block: facts.head,
            at: crate::now(),
        }
    }

    pub async fn ask(&self) -> Reply {
        ask(&self.world, &self.world.stranger, OPENING).await
    }

    /// In which context this hospital hands out its part of the present wraps.
    pub fn context(&self, epoch: EpochId) -> PartialContext {
        let body = self.world.chain.facts().openings.wraps[&(POINTER, SLOT)].body;
        let wraps = wraps_hash(&vec![body; SECTIONS.iter().count()]);
        PartialContext { genesis: genesis(), opening: OPENING, hospital: HOSPITAL, epoch, wraps }
    }

    /// What a reply contains for the requester, whose proof must be valid.
    pub fn open(&self, reply: &PartialReply, key: &FakeKey) -> PartialContent {
        let sealed = SealedPartial::decode_exactly(&STANDARD.decode(&reply.partial).unwrap());
        let (sealed, stranger) = (sealed.unwrap(), &self.world.stranger);
        assert_eq!(sealed.epoch(), key.epoch.id);
        let context = self.context(key.epoch.id);
        let agent = self.world.agent.account().id();
        let content = sealed.open(&context, &stranger.keys.sealing, &agent).unwrap();
        let commitments = Commitments::decode(&key.epoch.commitments).unwrap();
        let public = commitments.evaluate(Index::of_hospital(HOSPITAL.0)).unwrap();
        let proof_context = context.proof_context(stranger.keys.sealing.public().hash());
        let partial = partial_of(&content);
        assert!(partial.check(&public, &self.points(), &proof_context));
        assert_eq!(content.mixing.len(), SECTIONS.iter().count());
        content
    }

    /// The wraps as they were made in the first epoch.
    pub fn wraps(&self) -> Vec<(Vec<u8>, Wrap)> {
        let patient = self.world.patient.user;
        let each = SECTIONS.iter().zip(&self.content_keys);
        each.map(|(section, key)| {
            let label = self.key.label(ELSEWHERE, patient, SLOT, POINTER, section);
            (label.bytes(), self.key.wrap(&label, key))
        })
        .collect()
    }

    pub fn points(&self) -> Vec<Point> {
        self.wraps().iter().map(|(label, wrap)| wrap.check(label).unwrap()).collect()
    }

    /// The content keys that this hospital's part opens together with another member's.
    pub fn unwrap(&self, content: &PartialContent, key: &FakeKey) -> Vec<[u8; 32]> {
        let other = Partial::make(&key.share(ELSEWHERE), &self.points(), b"", &[1; 32]).unwrap();
        let own = partial_of(content);
        let index = |hospital: HospitalId| Index::of_hospital(hospital.0);
        let parts = [(index(HOSPITAL), &own), (index(ELSEWHERE), &other)];
        let shared = Partial::combine(&parts).unwrap();
        let wraps = self.wraps();
        let each = wraps.iter().zip(shared.iter()).zip(&content.mixing);
        each.map(|(((label, wrap), shared), mixing)| *wrap.open(label, mixing, shared).unwrap())
            .collect()
    }

    pub fn expected_keys(&self) -> Vec<[u8; 32]> {
        self.content_keys.iter().map(|key| *key.as_bytes()).collect()
    }

    /// How often the chain has recorded that this hospital hands out its part.
    pub fn hand_outs(&self) -> usize {
        let facts = self.world.chain.facts();
        facts.calls.iter().filter(|call| call.name == "hand_out").count()
    }

    /// Checks that a request is refused, and that neither chain nor requester got anything.
    pub async fn assert_refused(&self, status: u16, kind: &str, what: &str) {
        let (recorded, sent) = (self.hand_outs(), self.world.metrics.partials.get());
        assert_eq!(self.ask().await.refusal(), (status, kind.to_owned()), "{what}");
        assert_eq!(self.hand_outs(), recorded, "{what}");
        assert_eq!(self.world.metrics.partials.get(), sent, "{what}");
    }
}

/// The part as the threshold crate has it.
pub fn partial_of(content: &PartialContent) -> Partial {
    Partial::decode(&[&content.proof[..], content.values.as_flattened()].concat()).unwrap()
}

async fn ask(world: &World, by: &Actor, opening: OpeningId) -> Reply {
    Raw::post_json("/v1/partials", &PartialRequest { opening }).send(world, by).await
}

pub fn reply_of(reply: &Reply) -> PartialReply {
    assert_eq!(reply.status, 200, "{reply:?}");
    serde_json::from_slice(&reply.body).unwrap()
}

#[tokio::test]
async fn the_requester_gets_a_part_that_opens_the_sections_with_another_hospitals() {
    let opened = Opened::new().await;
    let reply = reply_of(&opened.ask().await);
    let handed_out = opened.world.chain.facts().openings.handed_out[&(OPENING, HOSPITAL)];
    assert_eq!(handed_out.epoch, EpochId(0));
    let content = opened.open(&reply, &opened.key);
    assert_eq!(opened.unwrap(&content, &opened.key), opened.expected_keys());

    // Section 0 is a text, which the chain has.
    let segments = opened.record.sections()[1].segments();
    let named: Vec<_> = reply.links.iter().map(|link| link.segment.clone()).collect();
    assert_eq!(named, segments.iter().map(|it| hex::encode(it.hash)).collect::<Vec<_>>());
    for link in &reply.links {
        assert_eq!(follow_link(&opened.world, &link.url).await.status, 200);
    }

    // Again: the same values, and no second record.
    let again = opened.open(&reply_of(&opened.ask().await), &opened.key);
    assert_eq!((&again.values, &again.mixing), (&content.values, &content.mixing));
    let metrics = &opened.world.metrics;
    assert_eq!((opened.hand_outs(), metrics.hand_outs.get(), metrics.partials.get()), (1, 1, 2));
}

#[tokio::test]
async fn strangers_and_unknown_openings_get_the_same_answer() {
    let opened = Opened::new().await;
    let world = &opened.world;
    let mut answers = Vec::new();
    for (by, id) in [
        (&world.doctor, OPENING),
        (&world.patient, OPENING),
        (&world.stranger, OpeningId(7)),
        (&world.doctor, OpeningId(7)),
    ] {
        answers.push(ask(world, by, id).await);
    }
    for reply in &answers {
        assert_eq!(reply.refusal(), (404, "not-found".into()));
        assert_eq!(reply.body, answers[0].body);
    }
    for hospital in [&world.agent, &world.governance, &world.other_agent] {
        assert_eq!(ask(world, hospital, OPENING).await.refusal(), (403, "forbidden".into()));
    }
    let nobody = ask(world, &Actor::new("Nobody"), OPENING).await;
    assert_eq!(nobody.refusal(), (401, "unauthorized".into()));
    let malformed = Raw::post_json("/v1/partials", &serde_json::json!({ "opening": "six" }));
    assert_eq!(malformed.send(world, &world.stranger).await.refusal(), (400, "json".into()));
    assert_eq!((opened.hand_outs(), world.metrics.partials.get()), (0, 0));
}

/// What ends the decision, with the status and the kind of the refusal.
type Ending = (&'static str, fn(&mut Facts, &Actor, &Actor), u16, &'static str);

/// A change of the patient's consent.
fn reconsider(facts: &mut Facts, patient: &Actor, change: impl FnOnce(&mut ConsentVersion)) {
    let consents = facts.slots.consents.get_mut(&patient.user).unwrap();
    change(&mut consents[0].1);
}

/// All ends of a decision, for the requester and the patient.
const ENDINGS: [Ending; 11] = [
    ("withdrawn", |facts, _, patient| facts.slots.withdraw(patient.user), 409, "not-admitted"),
    (
        "over",
        |facts, _, patient| reconsider(facts, patient, |it| it.consent.until = crate::now()),
        409,
        "not-admitted",
    ),
    (
        "a version for others",
        |facts, _, patient| {
            let mut version = consent(Role::Nurse, KindSet(0), 0);
            (version.version, version.consent.standing) = (2, true);
            facts.slots.give(patient.user, SLOT, version);
        },
        409,
        "not-admitted",
    ),
    (
        "a version that is not standing",
        |facts, _, patient| reconsider(facts, patient, |it| it.consent.standing = false),
        409,
        "not-admitted",
    ),
    (
        "an attribute that ended",
        |facts, requester, _| {
            facts.profiles.get_mut(&requester.user).unwrap().role = Role::Nurse;
        },
        409,
        "not-admitted",
    ),
    (
        "a section that was removed from the slot",
        |facts, _, _| facts.slots.remove(POINTER, SLOT, SectionSet(0b010)),
        409,
        "not-placed",
    ),
    (
        "a registration that was suspended",
        |facts, requester, _| {
            let registration = facts.registrations.get_mut(&(HOSPITAL, requester.user));
            registration.unwrap().status = RegistrationStatus::Suspended;
        },
        403,
        "forbidden",
    ),
    (
        "another sealing key",
        |facts, requester, _| {
            let profile = facts.profiles.get_mut(&requester.user).unwrap();
            profile.sealing_key_hash = Hash::repeat_byte(9);
        },
        409,
        "requester-changed",
    ),
    ("too old", |facts, _, _| facts.head += OPENING_BLOCKS + 1, 409, "opening-over"),
    ("wraps that are missing", |facts, _, _| facts.openings.wraps.clear(), 409, "not-wrapped"),
    (
        "no member any more",
        |facts, _, _| {
            let epoch = facts.openings.epochs.get_mut(&EpochId(0)).unwrap();
            epoch.members = vec![ELSEWHERE, HospitalId(9)].try_into().unwrap();
        },
        409,
        "not-member",
    ),
];

/// Everything that an ending changes.
fn restored(facts: &Facts) -> impl FnOnce(&mut Facts) + Send + use<> {
    let (slots, openings) = (facts.slots.clone(), facts.openings.clone());
    let (registrations, profiles) = (facts.registrations.clone(), facts.profiles.clone());
    let (hospitals, head) = (facts.hospitals.clone(), facts.head);
    move |facts| {
        (facts.slots, facts.openings) = (slots, openings);
        (facts.registrations, facts.profiles) = (registrations, profiles);
        (facts.hospitals, facts.head) = (hospitals, head);
    }
}

#[tokio::test]
async fn nothing_is_handed_out_when_the_decision_does_not_hold_any_more() {
    let opened = Opened::new().await;
    let (requester, patient) = (&opened.world.stranger, &opened.world.patient);
    for (what, end, status, kind) in ENDINGS {
        let restore = restored(&opened.world.chain.facts());
        end(&mut opened.world.chain.facts(), requester, patient);
        opened.assert_refused(status, kind, what).await;
        restore(&mut opened.world.chain.facts());
    }
    // At the last block it is not too old.
    opened.world.chain.facts().head += OPENING_BLOCKS;
    let url = reply_of(&opened.ask().await).links[0].url.clone();
    // What was recorded before is not handed out again. Links end, too, if it is not for age or for shares.
    for (what, end, status, kind) in ENDINGS {
        let restore = restored(&opened.world.chain.facts());
        end(&mut opened.world.chain.facts(), requester, patient);
        opened.assert_refused(status, kind, what).await;
        if !["too old", "no member any more"].contains(&what) {
            let refused = follow_link(&opened.world, &url).await;
            assert_eq!(refused.refusal(), (403, "forbidden".into()), "{what}");
        }
        restore(&mut opened.world.chain.facts());
    }
    assert_eq!(follow_link(&opened.world, &url).await.status, 200);
}

#[tokio::test]
async fn what_ends_before_the_chain_records_it_wins() {
    let opened = Opened::new().await;
    let (requester, patient) = (opened.world.stranger.clone(), opened.world.patient.clone());
    for (what, end, ..) in ENDINGS {
        let restore = restored(&opened.world.chain.facts());
        let (requester, patient) = (requester.clone(), patient.clone());
        opened.world.chain.facts().meanwhile =
            Some(Box::new(move |facts| end(facts, &requester, &patient)));
        let refused = opened.ask().await;
        assert!(matches!(refused.status, 403 | 409), "{what}: {refused:?}");
        assert!(opened.world.chain.facts().openings.handed_out.is_empty(), "{what}");
        restore(&mut opened.world.chain.facts());
    }
    let metrics = &opened.world.metrics;
    assert_eq!((metrics.hand_outs.get(), metrics.partials.get()), (0, 0));
}

#[tokio::test]
async fn what_ends_after_the_chain_recorded_it_wins_over_the_reply() {
    let opened = Opened::new().await;
    let (requester, patient) = (opened.world.stranger.clone(), opened.world.patient.clone());
    for (what, end, status, kind) in ENDINGS {
        let restore = restored(&opened.world.chain.facts());
        let (requester, patient) = (requester.clone(), patient.clone());
        opened.world.chain.facts().afterwards =
            Some(Box::new(move |facts| end(facts, &requester, &patient)));
        assert_eq!(opened.ask().await.refusal(), (status, kind.into()), "{what}");
        restore(&mut opened.world.chain.facts());
    }
    let metrics = &opened.world.metrics;
    assert_eq!((metrics.hand_outs.get(), metrics.partials.get()), (ENDINGS.len() as u64, 0));
}

#[tokio::test]
async fn a_suspended_hospital_hands_out_nothing() {
    let opened = Opened::new().await;
    // The requester asks for another hospital, which is active.
    {
        let mut facts = opened.world.chain.facts();
        let requester = opened.world.stranger.user;
        let registration = facts.registrations[&(HOSPITAL, requester)].clone();
        facts.registrations.insert((ELSEWHERE, requester), registration);
        facts.openings.openings.get_mut(&OPENING).unwrap().hospital = ELSEWHERE;
    }
    let set = |status| {
        opened.world.chain.facts().hospitals.get_mut(&HOSPITAL).unwrap().status = status;
    };
    set(HospitalStatus::Suspended);
    opened.assert_refused(409, "not-member", "suspended").await;
    set(HospitalStatus::Leaving);
    assert_eq!(opened.ask().await.status, 200);
}

#[tokio::test]
async fn a_requester_who_rotated_keys_gets_nothing() {
    let opened = Opened::new().await;
    let requester = rotated(&opened.world, &opened.world.stranger, 0);
    let refused = ask(&opened.world, &requester, OPENING).await;
    assert_eq!(refused.refusal(), (409, "requester-changed".into()));
    assert_eq!(opened.hand_outs(), 0);
}

#[tokio::test]
async fn nothing_is_handed_out_that_the_chain_refuses_to_record() {
    let opened = Opened::new().await;
    let world = &opened.world;
    world.chain.facts().failure = Some(failure("Openings", "NotAgent"));
    opened.assert_refused(409, "chain-refused", "another error").await;
    world.chain.facts().failure = None;
    world.chain.facts().refusal = Some(Refusal::QuotaExceeded);
    opened.assert_refused(503, "quota", "the hospital's quota").await;
    // Another worker of the hospital was faster.
    world.chain.facts().meanwhile = Some(Box::new(|facts| {
        let id = facts.openings.current.unwrap();
        let handed_out = HandedOut { epoch: id, block: 1, at: 1 };
        facts.openings.handed_out.insert((OPENING, HOSPITAL), handed_out);
    }));
    opened.open(&reply_of(&opened.ask().await), &opened.key);
    assert_eq!(opened.hand_outs(), 0);
}

#[tokio::test]
async fn a_requester_cannot_ask_without_end() {
    let limits = Limits { grants_per_minute: 3, ..Limits::default() };
    let opened = Opened::within(limits).await;
    for _ in 0..3 {
        assert_eq!(opened.ask().await.status, 200);
    }
    let refused = opened.ask().await;
    assert_eq!(refused.refusal(), (429, "too-many-grants".into()));
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!((opened.hand_outs(), opened.world.metrics.partials.get()), (1, 3));
}

#[tokio::test]
async fn requests_at_once_leave_one_record_and_all_get_the_part() {
    let opened = Opened::new().await;
    let before = opened.world.chain.facts().submitted;
    opened.world.chain.facts().latency = Duration::from_millis(200);
    let all = futures::future::join_all((0..5).map(|_| opened.ask())).await;
    let first = opened.open(&reply_of(&all[0]), &opened.key);
    for reply in &all {
        assert_eq!(opened.open(&reply_of(reply), &opened.key).values, first.values);
    }
    let submitted = opened.world.chain.facts().submitted - before;
    assert_eq!((opened.hand_outs(), submitted), (1, 1));
    // Those for other openings do not wait for each other.
    let _busy = opened.world.state.hand_out_slot(OpeningId(7)).await.unwrap();
    opened.world.chain.facts().openings.handed_out.clear();
    assert_eq!(opened.ask().await.status, 200);
}

/// Makes the opening one of an emergency summary, whose review is open.
fn in_emergency(opened: &Opened) {
    let mut facts = opened.world.chain.facts();
    reconsider(&mut facts, &opened.world.patient, |it| {
        it.consent.purposes = vec![Purpose::Emergency].try_into().unwrap();
    });
    let (reason, review) = (EmergencyReason::LifeThreatening, ReviewId(0));
    let opening = facts.openings.openings.get_mut(&OPENING).unwrap();
    opening.purpose = Purpose::Emergency;
    opening.emergency = Some(ReviewedEmergency { reason, review });
    let Opening { requester, hospital, patient, at, .. } = *opening;
    facts.reviews.push(Review {
        requester,
        patient,
        hospital,
        subject: ReviewSubject::Opening(OPENING),
        reason,
        opened: at,
        deadline: u32::MAX,
        verdicts: Default::default(),
        status: ReviewStatus::Open,
    });
}

fn close_review(facts: &mut Facts, justified: bool) {
    facts.reviews[0].status = ReviewStatus::Closed { justified, at: crate::now() };
}

#[tokio::test]
async fn a_part_of_an_emergency_summary_is_handed_out_until_the_others_find_it_unjustified() {
    let opened = Opened::new().await;
    in_emergency(&opened);
    let reply = reply_of(&opened.ask().await);
    let content = opened.open(&reply, &opened.key);
    assert_eq!(opened.unwrap(&content, &opened.key), opened.expected_keys());
    close_review(&mut opened.world.chain.facts(), true);
    assert_eq!(opened.ask().await.status, 200);
    close_review(&mut opened.world.chain.facts(), false);
    opened.assert_refused(409, "unjustified", "the others found it unjustified").await;
    let refused = follow_link(&opened.world, &reply.links[0].url).await;
    assert_eq!(refused.refusal(), (403, "forbidden".into()));
}

#[tokio::test]
async fn a_consent_for_emergencies_gives_no_part_for_another_purpose() {
    let opened = Opened::new().await;
    in_emergency(&opened);
    let change = |purpose| {
        let mut facts = opened.world.chain.facts();
        facts.openings.openings.get_mut(&OPENING).unwrap().purpose = purpose;
    };
    change(Purpose::Research);
    opened.assert_refused(409, "not-admitted", "another purpose").await;
    change(Purpose::Emergency);
    assert_eq!(opened.ask().await.status, 200);
}

#[tokio::test]
async fn other_openings_do_not_use_up_the_rate_of_parts_in_emergencies() {
    let limits = Limits { grants_per_minute: 1, ..Limits::default() };
    let opened = Opened::within(limits).await;
    assert_eq!(opened.ask().await.status, 200);
    assert_eq!(opened.ask().await.refusal(), (429, "too-many-grants".into()));
    in_emergency(&opened);
    for _ in 0..3 {
        assert_eq!(opened.ask().await.status, 200);
    }
}
