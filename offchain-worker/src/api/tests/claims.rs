//! Claims of a custodian: who gets this hospital's part, and when not. The cryptography is real.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use epione_client::api::{ClaimPartReply, ClaimPartRequest};
use epione_envelope::{
    custody::{ClaimPartContext, SealedClaimPart},
    opening::PartialContent,
};
use epione_primitives::{
    Hash, HospitalId, UserId,
    consortium::{EpochId, KeyId},
    custody::{Appointment, Claim, ClaimId, Kept},
    hospital::HospitalStatus,
    limits::CLAIM_BLOCKS,
    profile::RegistrationStatus,
};
use epione_threshold::{Commitments, Index, Partial, Wrap};

use super::{
    fake::{
        ELSEWHERE, Facts, FakeChain, HOSPITAL,
        custody::{FakeCustody, kept},
        genesis,
        openings::FakeKey,
    },
    partials::partial_of,
    world::{Actor, Raw, Reply, World},
};

pub const DEPARTED: HospitalId = HospitalId(7);
const CLAIM: ClaimId = ClaimId(0);
const PATIENT_KEY: [u8; 32] = [77; 32];

/// A hospital that the council has removed, with its agent.
pub fn remove_departed(chain: &FakeChain) -> Actor {
    let (agent, governance) = (Actor::new("Dave//agent"), Actor::new("Dave"));
    chain.add_hospital(DEPARTED, &agent.keys, &governance.keys);
    chain.facts().hospitals.get_mut(&DEPARTED).unwrap().status = HospitalStatus::Removed;
    agent
}

/// A world in which the other hospital has claimed the key of a patient.
struct Claimed {
    world: World,
    key: FakeKey,
    kept: Kept,
}

impl Claimed {
    async fn new() -> Self {
        let world = World::new().await;
        let key = FakeKey::generate(KeyId(1), EpochId(0));
        key.give_own(&world.journal).await;
        remove_departed(&world.chain);
        let patient = world.patient.user;
        let kept = kept(&key, DEPARTED, patient, Hash::repeat_byte(5), &PATIENT_KEY);
        {
            let mut facts = world.chain.facts();
            key.begin(&mut facts);
            let registration = facts.registrations[&(HOSPITAL, patient)].clone();
            facts.registrations.insert((ELSEWHERE, patient), registration);
            facts.custody.entrust(DEPARTED, patient);
            facts.custody.kept.insert((DEPARTED, patient), kept);
            let appointment = Appointment { custodian: ELSEWHERE, since: 0 };
            facts.custody.appointments.insert(DEPARTED, appointment);
            let claim = Claim {
                departed: DEPARTED,
                custodian: ELSEWHERE,
                patients: vec![patient].try_into().unwrap(),
                audience: world.other_agent.account().id(),
                sealing_key: world.other_agent.keys.sealing.public().hash(),
                block: facts.head,
                at: crate::now(),
            };
            facts.custody.claims.push(claim);
        }
        Self { world, key, kept }
    }

    fn patient(&self) -> UserId {
        self.world.patient.user
    }

    async fn ask(&self) -> Reply {
        ask(&self.world, &self.world.other_agent, CLAIM).await
    }

    fn change(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.world.chain.facts());
    }

    fn change_custody(&self, change: impl FnOnce(&mut FakeCustody)) {
        change(&mut self.world.chain.facts().custody);
    }

    fn context(&self) -> ClaimPartContext {
        let (genesis, claim, departed, hospital) = (genesis(), CLAIM, DEPARTED, HOSPITAL);
        ClaimPartContext { genesis, claim, departed, hospital, epoch: self.key.epoch.id }
    }

    fn open(&self, reply: &Reply) -> PartialContent {
        assert_eq!(reply.status, 200, "{reply:?}");
        let reply: ClaimPartReply = serde_json::from_slice(&reply.body).unwrap();
        let sealed = STANDARD.decode(&reply.part).unwrap();
        let sealed = SealedClaimPart::decode_exactly(&sealed).unwrap();
        let (custodian, agent) = (&self.world.other_agent, self.world.agent.account().id());
        assert!(sealed.open(&self.context(), &self.world.doctor.keys.sealing, &agent).is_err());
        sealed.open(&self.context(), &custodian.keys.sealing, &agent).unwrap()
    }

    /// Checks that a request is refused, and that the chain has no new record.
    async fn assert_refused(&self, kind: &str, what: &str) {
        let before = self.world.chain.facts().custody.parts.len();
        assert_eq!(self.ask().await.refusal(), (409, kind.to_owned()), "{what}");
        assert_eq!(self.world.chain.facts().custody.parts.len(), before, "{what}");
    }
}

async fn ask(world: &World, by: &Actor, claim: ClaimId) -> Reply {
    Raw::post_json("/v1/claims/part", &ClaimPartRequest { claim }).send(world, by).await
}

#[tokio::test]
async fn the_custodian_gets_a_part_that_opens_the_key_with_another_hospitals() {
    let claimed = Claimed::new().await;
    let content = claimed.open(&claimed.ask().await);
    assert_eq!(claimed.world.chain.facts().custody.parts.len(), 1);
    let label = claimed.kept.label(genesis(), DEPARTED, claimed.patient()).bytes();
    let wrap = Wrap::decode(&claimed.kept.wrap).unwrap();
    let points = [wrap.check(&label).unwrap()];

    let commitments = Commitments::decode(&claimed.key.epoch.commitments).unwrap();
    let [here, there] = [HOSPITAL, ELSEWHERE].map(|id| Index::of_hospital(id.0));
    let public = commitments.evaluate(here).unwrap();
    let sealing_key = claimed.world.other_agent.keys.sealing.public().hash();
    let own = partial_of(&content);
    assert!(own.check(&public, &points, &claimed.context().proof_context(sealing_key)));

    let other = Partial::make(&claimed.key.share(ELSEWHERE), &points, b"", &[1; 32]).unwrap();
    let shared = Partial::combine(&[(here, &own), (there, &other)]).unwrap();
    let opened = wrap.open(&label, &content.mixing[0], &shared[0]).unwrap();
    assert_eq!(*opened, PATIENT_KEY);
    // One member less than the threshold opens nothing, whatever it tries.
    let alone = Partial::combine(&[(here, &own)]).unwrap();
    assert!(wrap.open(&label, &content.mixing[0], &alone[0]).is_none());

    // Again: no second record.
    claimed.open(&claimed.ask().await);
    assert_eq!(claimed.world.chain.facts().custody.parts.len(), 1);
}

#[tokio::test]
async fn nobody_else_gets_a_part() {
    let claimed = Claimed::new().await;
    let world = &claimed.world;
    for user in [&world.patient, &world.doctor, &world.stranger, &world.governance] {
        assert_eq!(ask(world, user, CLAIM).await.refusal(), (403, "forbidden".into()));
    }
    // An agent of another active hospital, and a claim that does not exist.
    assert_eq!(ask(world, &world.agent, CLAIM).await.refusal(), (404, "not-found".into()));
    let unknown = ask(world, &world.other_agent, ClaimId(1)).await;
    assert_eq!(unknown.refusal(), (404, "not-found".into()));
    claimed.change(|facts| {
        facts.hospitals.get_mut(&ELSEWHERE).unwrap().status = HospitalStatus::Suspended;
    });
    assert_eq!(claimed.ask().await.refusal(), (403, "forbidden".into()));
    assert!(world.chain.facts().custody.parts.is_empty());
}

#[tokio::test]
async fn everything_that_ends_the_custody_counts() {
    let ended = "claim-ended";
    let claimed = Claimed::new().await;
    let patient = claimed.patient();
    claimed.change_custody(|custody| custody.end(DEPARTED, patient));
    claimed.assert_refused(ended, "the patient ended it").await;
    claimed.change_custody(|custody| custody.entrust(DEPARTED, patient));

    let set = |status| {
        claimed.change(|facts| {
            facts.registrations.get_mut(&(ELSEWHERE, patient)).unwrap().status = status;
        });
    };
    set(RegistrationStatus::Suspended);
    claimed.assert_refused(ended, "not registered at the custodian").await;
    set(RegistrationStatus::Active);

    for (custodian, since, what) in
        [(HOSPITAL, 0, "another custodian"), (ELSEWHERE, u32::MAX, "appointed again")]
    {
        claimed.change_custody(|custody| {
            custody.appointments.insert(DEPARTED, Appointment { custodian, since });
        });
        claimed.assert_refused(ended, what).await;
    }
    claimed.change_custody(|custody| custody.appointments.clear());
    claimed.assert_refused(ended, "dismissed").await;
    claimed.change_custody(|custody| {
        let appointment = Appointment { custodian: ELSEWHERE, since: 0 };
        custody.appointments.insert(DEPARTED, appointment);
    });

    for status in [HospitalStatus::Active, HospitalStatus::Suspended] {
        claimed.change(|facts| facts.hospitals.get_mut(&DEPARTED).unwrap().status = status);
        claimed.assert_refused(ended, "not removed").await;
    }
    claimed.change(|facts| {
        facts.hospitals.get_mut(&DEPARTED).unwrap().status = HospitalStatus::Removed;
    });

    claimed.change_custody(|custody| custody.claims[0].sealing_key = Hash::zero());
    claimed.assert_refused(ended, "another sealing key").await;
    let key = claimed.world.other_agent.keys.sealing.public().hash();
    claimed.change_custody(|custody| custody.claims[0].sealing_key = key);

    claimed.change_custody(|custody| {
        custody.kept.get_mut(&(DEPARTED, patient)).unwrap().key = KeyId(0);
    });
    claimed.assert_refused(ended, "an earlier consortium key").await;
    claimed.change_custody(|custody| {
        custody.kept.insert((DEPARTED, patient), claimed.kept);
    });

    claimed.change(|facts| facts.head += CLAIM_BLOCKS + 1);
    claimed.assert_refused(ended, "too old").await;
    claimed.change(|facts| facts.head -= CLAIM_BLOCKS + 1);
    assert_eq!(claimed.ask().await.status, 200, "nothing else was wrong");
}

#[tokio::test]
async fn nothing_is_handed_out_if_the_custody_ends_while_the_chain_records_it() {
    let claimed = Claimed::new().await;
    let patient = claimed.patient();
    claimed.world.chain.facts().afterwards =
        Some(Box::new(move |facts| facts.custody.end(DEPARTED, patient)));
    assert_eq!(claimed.ask().await.refusal(), (409, "claim-ended".into()));
}

#[tokio::test]
async fn no_part_of_a_claim_is_handed_out_before_its_record_is_final_or_by_a_node_behind() {
    let claimed = Claimed::new().await;
    claimed.change(|facts| facts.away = true);
    assert_eq!(claimed.ask().await.refusal(), (503, "node".into()));
    claimed.change(|facts| {
        assert!(facts.custody.parts.is_empty());
        facts.away = false;
        // The call is final, but the node does not show its block yet.
        facts.afterwards = Some(Box::new(|facts| facts.custody.parts.clear()));
    });
    assert_eq!(claimed.ask().await.refusal(), (503, "node".into()));
    // The node falls behind what the worker has seen, after the chain recorded the part.
    claimed.change(|facts| facts.afterwards = Some(Box::new(|facts| facts.away = true)));
    assert_eq!(claimed.ask().await.refusal(), (503, "node".into()));
    claimed.change(|facts| facts.away = false);
    assert_eq!(claimed.world.chain.facts().custody.parts.len(), 1);
    claimed.open(&claimed.ask().await);
}

/// The chain refuses such wraps, and each member checks again: it would open somebody else's key.
#[tokio::test]
async fn nothing_is_handed_out_for_a_transplanted_wrap() {
    let claimed = Claimed::new().await;
    let (patient, key, profile) = (claimed.patient(), &claimed.key, claimed.kept.profile);
    let doctor = claimed.world.doctor.user;
    for (what, wrap) in [
        ("of another patient", kept(key, DEPARTED, doctor, profile, &PATIENT_KEY).wrap),
        ("of another hospital", kept(key, ELSEWHERE, patient, profile, &PATIENT_KEY).wrap),
        ("of a replaced key", kept(key, DEPARTED, patient, Hash::zero(), &PATIENT_KEY).wrap),
        ("nonsense", [0xff; 168]),
    ] {
        let moved = Kept { wrap, ..claimed.kept };
        claimed.change_custody(|custody| {
            custody.kept.insert((DEPARTED, patient), moved);
        });
        assert_eq!(claimed.ask().await.refusal(), (500, "internal".into()), "{what}");
    }
    assert!(claimed.world.chain.facts().custody.parts.is_empty());
}

/// The custodian would otherwise let the other members check wraps without a bound.
#[tokio::test]
async fn a_custodian_requests_parts_at_a_rate_of_its_own() {
    let claimed = Claimed::new().await;
    let rates = &claimed.world.state.shared.claim_parts;
    // As if the rate of the next hour were used up: so the test does not depend on how long a request takes.
    rates.count(ELSEWHERE, Instant::now() + Duration::from_secs(3_600)).unwrap();
    let refused = claimed.ask().await;
    assert_eq!(refused.refusal(), (429, "too-many-parts".into()));
    assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
    assert!(claimed.world.chain.facts().custody.parts.is_empty());
    // Another hospital's is not used, and those who have no claim use none.
    rates.count(HOSPITAL, Instant::now()).unwrap();
    let unknown = ask(&claimed.world, &claimed.world.other_agent, ClaimId(1)).await;
    assert_eq!(unknown.refusal(), (404, "not-found".into()));
}
