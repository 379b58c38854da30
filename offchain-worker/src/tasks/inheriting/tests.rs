//! A custodian opens the keys of a removed hospital's patients, with real cryptography.

use std::collections::HashMap;

use epione_envelope::{
    account::Signer,
    keys::PatientKeys,
    keystore::ActorKeys,
    profile::{ProfileBody, Recipient},
    sealing_keys::SealingPublicKey,
};
use epione_primitives::{Hash, consortium::KeyId, custody::Appointment, ports::HashedBody};

use codec::Encode;

use super::*;
use crate::api::tests::{
    claims::{DEPARTED, remove_departed},
    fake::{
        ELSEWHERE, FakeChain, HOSPITAL,
        custody::{kept, record},
        genesis,
        openings::FakeKey,
    },
    world::{Actor, World},
};

const THIRD: HospitalId = HospitalId(9);

/// The other members, who have all shares of one epoch.
struct FakeMembers {
    chain: FakeChain,
    key: Arc<FakeKey>,
    agents: HashMap<HospitalId, ActorKeys>,
    away: Mutex<HashSet<HospitalId>>,
    /// Uses another hospital's share.
    liar: Mutex<Option<HospitalId>>,
}

impl FakeMembers {
    fn part_of(&self, hospital: HospitalId, id: ClaimId) -> Result<SealedClaimPart, MemberError> {
        if self.away.lock().unwrap().contains(&hospital) {
            return Err("the hospital is away".into());
        }
        let mut facts = self.chain.facts();
        let claim = facts.custody.claim(id).ok_or("no such claim")?;
        // Once is enough.
        record(&mut facts, id, hospital).ok();
        let (mut points, mut mixing) = (Vec::new(), Vec::new());
        for patient in &claim.patients {
            let kept = facts.custody.kept[&(claim.departed, *patient)];
            let label = kept.label(genesis(), claim.departed, *patient).bytes();
            points.push(Wrap::decode(&kept.wrap).unwrap().check(&label).unwrap());
            mixing.push(*Wrap::mixing_of(&self.key.mixing, &label));
        }
        let (genesis, departed) = (genesis(), claim.departed);
        let epoch = self.key.epoch.id;
        let context = ClaimPartContext { genesis, claim: id, departed, hospital, epoch };
        let lies = *self.liar.lock().unwrap() == Some(hospital);
        let share = self.key.share(if lies { DEPARTED } else { hospital });
        let proof_context = context.proof_context(claim.sealing_key);
        let encoded = Partial::make(&share, &points, &proof_context, &[1; 32]).unwrap().encode();
        let (proof, values) = encoded.split_first_chunk::<64>().unwrap();
        let values = values.as_chunks::<32>().0.to_vec();
        let content = PartialContent { values, proof: *proof, mixing };
        let custodian = SealingPublicKey::from_bytes(&facts.hospitals[&HOSPITAL].sealing_key);
        Ok(SealedClaimPart::seal(&context, &content, &custodian?, &self.agents[&hospital])?)
    }
}

impl Members for FakeMembers {
    fn part(
        &self,
        hospital: HospitalId,
        claim: ClaimId,
    ) -> BoxFuture<'_, Result<SealedClaimPart, MemberError>> {
        async move { self.part_of(hospital, claim) }.boxed()
    }
}

/// The custodian, and the patient's keys at the removed hospital, in three versions.
struct Custodian {
    world: World,
    key: Arc<FakeKey>,
    departed_agent: Actor,
    keys: PatientKeys,
    members: Arc<FakeMembers>,
    inheriting: Inheriting,
}

impl Custodian {
    async fn new() -> Self {
        let world = World::new().await;
        let key = Arc::new(FakeKey::generate(KeyId(1), EpochId(0)));
        let third = Actor::new("Charlie//agent");
        world.chain.add_hospital(THIRD, &third.keys, &Actor::new("Charlie").keys);
        let departed_agent = remove_departed(&world.chain);
        key.begin(&mut world.chain.facts());
        let agents = [
            (HOSPITAL, world.agent.keys.clone()),
            (ELSEWHERE, world.other_agent.keys.clone()),
            (THIRD, third.keys.clone()),
        ];
        let members = Arc::new(FakeMembers {
            chain: world.chain.clone(),
            key: Arc::clone(&key),
            agents: agents.into(),
            away: Mutex::default(),
            liar: Mutex::default(),
        });
        let inheriting = inheriting(&world, &members);
        let keys = PatientKeys::generate().renewed().unwrap().renewed().unwrap();
        let custodian = Self { world, key, departed_agent, keys, members, inheriting };
        custodian.depart();
        custodian
    }

    fn patient(&self) -> UserId {
        self.world.patient.user
    }

    /// The hospital that left has registered the patient, and kept the key.
    fn depart(&self) {
        let patient = &self.world.patient;
        let context = ProfileContext { genesis: genesis(), hospital: DEPARTED, user: patient.user };
        let account = patient.keys.account();
        let recipient = Recipient { account: &account, key: patient.keys.sealing.public() };
        let agent = &self.departed_agent.keys;
        let body = ProfileBody::for_patient(
            &context,
            "Ada",
            &self.keys,
            recipient,
            agent.sealing.public(),
            agent,
        );
        let body = body.unwrap().encode();
        let profile = HashedBody::new(&body).hash();
        let mut facts = self.world.chain.facts();
        facts.bodies.insert(profile, body);
        facts.custody.entrust(DEPARTED, patient.user);
        drop(facts);
        self.keeps(profile, self.keys.newest().1.as_bytes());
        let appointment = Appointment { custodian: HOSPITAL, since: 0 };
        self.world.chain.facts().custody.appointments.insert(DEPARTED, appointment);
    }

    fn keeps(&self, profile: Hash, key: &[u8; 32]) {
        let kept = kept(&self.key, DEPARTED, self.patient(), profile, key);
        self.world.chain.facts().custody.kept.insert((DEPARTED, self.patient()), kept);
    }

    async fn held(&self) -> Vec<InheritedKey> {
        self.world.journal.read(inherited::all).await.unwrap()
    }

    fn claims(&self) -> usize {
        self.world.chain.facts().custody.claims.len()
    }

    fn identity(&self) -> Identity {
        Identity { genesis: genesis(), hospital: HOSPITAL }
    }
}

fn inheriting(world: &World, members: &Arc<FakeMembers>) -> Inheriting {
    let view: Arc<dyn ChainView> = Arc::new(world.chain.clone());
    let keys = HospitalKeys::new(world.agent.keys.clone(), Vec::new(), Arc::clone(&view));
    Inheriting {
        hospital_keys: Arc::new(keys),
        view,
        calls: Arc::new(world.chain.clone()),
        members: members.clone(),
        journal: world.journal.clone(),
        metrics: world.metrics.clone(),
        wrong: Default::default(),
        resealed: Default::default(),
    }
}

#[tokio::test]
async fn a_custodian_opens_all_versions_of_the_keys_that_were_kept() {
    let custodian = Custodian::new().await;
    assert!(custodian.inheriting.round().await.unwrap());
    let [held] = custodian.held().await.try_into().unwrap();
    assert_eq!((held.departed, held.patient), (DEPARTED, custodian.patient()));
    assert_eq!((held.versions, held.claim), (3, ClaimId(0)));
    let profile = held.profile;
    let newest = custodian.inheriting.inherited(custodian.identity(), held).await.unwrap();
    let context =
        ProfileContext { genesis: genesis(), hospital: DEPARTED, user: custodian.patient() };
    let keys = &custodian.inheriting.hospital_keys;
    let keys = keys.keys_with_newest(context, profile, newest).await.unwrap();
    for version in 1..=3 {
        let expected = custodian.keys.get(version).unwrap();
        assert_eq!(keys.get(version).unwrap().as_bytes(), expected.as_bytes());
    }
    // Nothing is left, also after a restart.
    assert!(!custodian.inheriting.round().await.unwrap());
    let restarted = inheriting(&custodian.world, &custodian.members);
    assert!(!restarted.round().await.unwrap());
    assert_eq!(custodian.claims(), 1);
}

#[tokio::test]
async fn one_member_less_than_the_threshold_opens_nothing_and_the_claim_is_used_again() {
    let custodian = Custodian::new().await;
    custodian.members.away.lock().unwrap().extend([ELSEWHERE, THIRD]);
    let failed = custodian.inheriting.round().await;
    let one_of_two =
        matches!(failed, Err(InheritingError::TooFewParts { found: 1, needed: 2, .. }));
    assert!(one_of_two, "{failed:?}");
    assert!(custodian.held().await.is_empty());
    custodian.members.away.lock().unwrap().remove(&THIRD);
    assert!(custodian.inheriting.round().await.unwrap());
    assert_eq!((custodian.held().await.len(), custodian.claims()), (1, 1));
}

#[tokio::test]
async fn a_worker_that_is_killed_after_its_claim_uses_it_again() {
    let custodian = Custodian::new().await;
    custodian.members.away.lock().unwrap().extend([HOSPITAL, ELSEWHERE, THIRD]);
    assert!(custodian.inheriting.round().await.is_err());
    assert_eq!((custodian.held().await.len(), custodian.claims()), (0, 1));
    custodian.members.away.lock().unwrap().clear();
    let restarted = inheriting(&custodian.world, &custodian.members);
    assert!(restarted.round().await.unwrap());
    assert_eq!((custodian.held().await.len(), custodian.claims()), (1, 1));
}

#[tokio::test]
async fn a_part_of_a_liar_does_not_count() {
    let custodian = Custodian::new().await;
    *custodian.members.liar.lock().unwrap() = Some(ELSEWHERE);
    custodian.members.away.lock().unwrap().insert(THIRD);
    let failed = custodian.inheriting.round().await;
    assert!(matches!(failed, Err(InheritingError::TooFewParts { found: 1, .. })), "{failed:?}");
    custodian.members.away.lock().unwrap().clear();
    assert!(custodian.inheriting.round().await.unwrap());
    assert_eq!(custodian.held().await.len(), 1);
}

#[tokio::test]
async fn only_what_is_entrusted_kept_and_registered_here_is_claimed() {
    let custodian = Custodian::new().await;
    let patient = custodian.patient();
    let chain = &custodian.world.chain;
    chain.facts().custody.end(DEPARTED, patient);
    assert!(!custodian.inheriting.round().await.unwrap(), "the patient ended it");
    chain.facts().custody.entrust(DEPARTED, patient);
    let appointment = Appointment { custodian: ELSEWHERE, since: 0 };
    chain.facts().custody.appointments.insert(DEPARTED, appointment);
    assert!(!custodian.inheriting.round().await.unwrap(), "another custodian");
    let appointment = Appointment { custodian: HOSPITAL, since: 0 };
    chain.facts().custody.appointments.insert(DEPARTED, appointment);
    let registration = chain.facts().registrations.remove(&(HOSPITAL, patient)).unwrap();
    assert!(!custodian.inheriting.round().await.unwrap(), "not registered here");
    chain.facts().registrations.insert((HOSPITAL, patient), registration);
    let kept = chain.facts().custody.kept.remove(&(DEPARTED, patient)).unwrap();
    assert!(!custodian.inheriting.round().await.unwrap(), "nothing is kept");
    chain.facts().custody.kept.insert((DEPARTED, patient), kept);
    assert_eq!(custodian.claims(), 0);
    assert!(custodian.inheriting.round().await.unwrap());
}

#[tokio::test]
async fn a_wrong_key_in_a_wrap_is_noticed_and_not_claimed_again() {
    let custodian = Custodian::new().await;
    let profile =
        custodian.world.chain.facts().custody.kept[&(DEPARTED, custodian.patient())].profile;
    custodian.keeps(profile, &[66; 32]);
    assert!(custodian.inheriting.round().await.unwrap());
    assert!(custodian.held().await.is_empty());
    assert!(!custodian.inheriting.round().await.unwrap());
    assert_eq!(custodian.claims(), 1);
}

#[tokio::test]
async fn the_journal_has_no_key_in_the_clear() {
    let custodian = Custodian::new().await;
    custodian.inheriting.round().await.unwrap();
    let newest = *custodian.keys.newest().1.as_bytes();
    let [held] = custodian.held().await.try_into().unwrap();
    assert!(!held.sealed.windows(32).any(|window| window == newest));
    // Another hospital's key does not open it, nor is it the key of somebody else.
    let other = HospitalKeys::new(
        custodian.world.other_agent.keys.clone(),
        Vec::new(),
        Arc::new(custodian.world.chain.clone()),
    );
    let context = inherited_context(custodian.identity(), DEPARTED, (held.patient, held.profile));
    assert!(other.open_inherited(context, held.sealed.clone()).await.is_err());
    let moved = InheritedKey { patient: custodian.world.doctor.user, ..held };
    assert!(custodian.inheriting.inherited(custodian.identity(), moved).await.is_err());
}

/// A claim that fails costs a transaction.
#[tokio::test]
async fn nothing_is_claimed_before_the_delay_is_over() {
    let custodian = Custodian::new().await;
    let chain = &custodian.world.chain;
    let (head, submitted) = {
        let mut facts = chain.facts();
        facts.custody.delay = facts.head + 1;
        (facts.head, facts.submitted)
    };
    assert!(!custodian.inheriting.round().await.unwrap());
    assert_eq!((custodian.claims(), chain.facts().submitted), (0, submitted));
    chain.facts().head = head + 1;
    assert!(custodian.inheriting.round().await.unwrap());
    assert_eq!(custodian.claims(), 1);
}

/// The members hand out no parts of a claim for other keys, or from before the appointment.
#[tokio::test]
async fn a_claim_that_does_not_stand_any_more_is_not_used_again() {
    let changes: [fn(&mut Claim); 4] = [
        |claim| claim.sealing_key = Hash::zero(),
        |claim| claim.audience = epione_primitives::AccountId::new([66; 32]),
        |claim| claim.custodian = ELSEWHERE,
        |claim| claim.block -= 1,
    ];
    for change in changes {
        let custodian = Custodian::new().await;
        let agent = &custodian.world.agent;
        {
            let mut facts = custodian.world.chain.facts();
            facts.head = 5;
            let appointment = Appointment { custodian: HOSPITAL, since: 5 };
            facts.custody.appointments.insert(DEPARTED, appointment);
            let mut claim = Claim {
                departed: DEPARTED,
                custodian: HOSPITAL,
                patients: vec![custodian.patient()].try_into().unwrap(),
                audience: agent.account().id(),
                sealing_key: agent.keys.sealing.public().hash(),
                block: 5,
                at: crate::now(),
            };
            change(&mut claim);
            facts.custody.claims.push(claim);
        }
        assert!(custodian.inheriting.round().await.unwrap());
        let [held] = custodian.held().await.try_into().unwrap();
        assert_eq!((held.claim, custodian.claims()), (ClaimId(1), 2));
    }
}

/// A removed hospital could otherwise keep the keys of all its patients from the custodian.
#[tokio::test]
async fn a_damaged_or_missing_profile_of_one_patient_keeps_no_key_of_the_others() {
    for is_missing in [false, true] {
        let custodian = Custodian::new().await;
        let other = custodian.world.doctor.user;
        let body = b"no profile".to_vec();
        let profile = HashedBody::new(&body).hash();
        {
            let mut facts = custodian.world.chain.facts();
            facts.custody.entrust(DEPARTED, other);
            let of_other = kept(&custodian.key, DEPARTED, other, profile, &[5; 32]);
            facts.custody.kept.insert((DEPARTED, other), of_other);
            if !is_missing {
                facts.bodies.insert(profile, body);
            }
        }
        assert!(custodian.inheriting.round().await.unwrap());
        let [held] = custodian.held().await.try_into().unwrap();
        assert_eq!(held.patient, custodian.patient());
        let claim = custodian.world.chain.facts().custody.claim(ClaimId(0)).unwrap();
        assert_eq!(claim.patients.to_vec(), [custodian.patient()]);
        assert!(!custodian.inheriting.round().await.unwrap());
        assert_eq!(custodian.claims(), 1, "a claim stays on the chain for good");
    }
}

#[tokio::test]
async fn a_removed_hospital_whose_claims_fail_stops_no_other() {
    const FIRST: HospitalId = HospitalId(1);
    let custodian = Custodian::new().await;
    let (patient, chain) = (custodian.patient(), &custodian.world.chain);
    let (agent, governance) = (Actor::new("Eve//agent"), Actor::new("Eve"));
    chain.add_hospital(FIRST, &agent.keys, &governance.keys);
    {
        let mut facts = chain.facts();
        // The chain refuses the claim: the hospital is not removed.
        let profile = facts.custody.kept[&(DEPARTED, patient)].profile;
        facts.custody.entrust(FIRST, patient);
        let there = kept(&custodian.key, FIRST, patient, profile, &[5; 32]);
        facts.custody.kept.insert((FIRST, patient), there);
        let appointment = Appointment { custodian: HOSPITAL, since: 0 };
        facts.custody.appointments.insert(FIRST, appointment);
    }
    assert!(custodian.inheriting.round().await.unwrap());
    let [held] = custodian.held().await.try_into().unwrap();
    assert_eq!(held.departed, DEPARTED);
    let failed = custodian.inheriting.round().await;
    assert!(matches!(failed, Err(InheritingError::Call(CallError::Failed(_)))), "{failed:?}");
}

/// It may be too late to claim them again.
#[tokio::test]
async fn inherited_keys_stay_after_a_rotation_of_the_hospitals_keys() {
    let custodian = Custodian::new().await;
    assert!(custodian.inheriting.round().await.unwrap());
    let [before] = custodian.held().await.try_into().unwrap();
    let world = &custodian.world;
    let with = |keys: &Actor, earlier| {
        let view: Arc<dyn ChainView> = Arc::new(world.chain.clone());
        let hospital_keys = Arc::new(HospitalKeys::new(keys.keys.clone(), earlier, view));
        Inheriting { hospital_keys, ..inheriting(world, &custodian.members) }
    };
    let next = Actor::new("Alice//agent//next");
    // Without the earlier key, nothing opens, and nothing is lost.
    let without = with(&next, Vec::new());
    without.reseal(custodian.identity()).await.unwrap();
    assert_eq!(custodian.held().await, std::slice::from_ref(&before));
    let rotated = with(&next, vec![world.agent.keys.sealing.clone()]);
    assert!(!rotated.round().await.unwrap(), "nothing is claimed again");
    let [after] = custodian.held().await.try_into().unwrap();
    assert_ne!(after.sealed, before.sealed);
    assert_eq!(InheritedKey { sealed: before.sealed.clone(), ..after.clone() }, before);
    assert!(without.inherited(custodian.identity(), before).await.is_err());
    // From now on, the hospital needs neither its earlier sealing key nor its earlier agent.
    let newest = without.inherited(custodian.identity(), after).await.unwrap();
    assert_eq!(newest.as_bytes(), custodian.keys.newest().1.as_bytes());
    assert_eq!(custodian.claims(), 1);
}
