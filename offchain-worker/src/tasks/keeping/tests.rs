//! Keys are kept while they are entrusted: once, again after a rotation and under a new consortium key.

use epione_primitives::consortium::KeyId;

use super::*;
use crate::{
    api::tests::{
        fake::{HOSPITAL, genesis, openings::FakeKey},
        world::World,
    },
    hospital_keys::Confirmation,
};

/// A member of the consortium key with a patient.
struct Home {
    world: World,
    key: FakeKey,
    keeping: Keeping,
}

impl Home {
    async fn new() -> Self {
        let world = World::new().await;
        let key = FakeKey::generate(KeyId(1), EpochId(0));
        key.begin(&mut world.chain.facts());
        key.give_own(&world.journal).await;
        let view: Arc<dyn ChainView> = Arc::new(world.chain.clone());
        let keys = HospitalKeys::new(world.agent.keys.clone(), Vec::new(), Arc::clone(&view));
        let keeping = Keeping {
            hospital_keys: Arc::new(keys),
            view,
            calls: Arc::new(world.chain.clone()),
            journal: world.journal.clone(),
            metrics: world.metrics.clone(),
            renewed: Default::default(),
        };
        Self { world, key, keeping }
    }

    fn patient(&self) -> UserId {
        self.world.patient.user
    }

    fn entrusts(&self) {
        self.world.chain.facts().custody.entrust(HOSPITAL, self.patient());
    }

    fn registration(&self) -> Registration {
        self.world.chain.facts().registrations[&(HOSPITAL, self.patient())].clone()
    }

    fn kept(&self) -> Option<Kept> {
        self.world.chain.facts().custody.kept.get(&(HOSPITAL, self.patient())).copied()
    }

    /// Checks that the chain has the wrap of the newest patient key.
    async fn assert_kept(&self, key: &FakeKey) {
        let (kept, registration) = (self.kept().unwrap(), self.registration());
        assert_eq!((kept.profile, kept.key), (registration.body_hash, key.epoch.key));
        let identity = Identity { genesis: genesis(), hospital: HOSPITAL };
        let keys = self.keeping.hospital_keys.patient_keys(identity, self.patient(), &registration);
        let keys = keys.await.unwrap();
        let label = kept.label(genesis(), HOSPITAL, self.patient()).bytes();
        let public = Point::decode(&key.epoch.public_key().unwrap()).unwrap();
        let expected = Wrap::make(&public, &key.mixing, &label, keys.newest().1.as_bytes());
        assert_eq!(kept.wrap, expected.encode());
    }
}

#[tokio::test]
async fn the_key_of_a_patient_who_entrusts_it_is_kept_once() {
    let home = Home::new().await;
    assert_eq!(home.keeping.round().await.unwrap(), 0);
    assert!(home.kept().is_none(), "nobody decided that");
    home.entrusts();
    assert_eq!(home.keeping.round().await.unwrap(), 1);
    home.assert_kept(&home.key).await;
    assert_eq!(home.keeping.round().await.unwrap(), 0);
}

#[tokio::test]
async fn a_new_version_and_a_new_consortium_key_are_kept_again() {
    let home = Home::new().await;
    home.entrusts();
    home.keeping.round().await.unwrap();
    // New shares of the same key change nothing.
    let reshared = home.key.reshared();
    reshared.give_own(&home.world.journal).await;
    reshared.begin(&mut home.world.chain.facts());
    assert_eq!(home.keeping.round().await.unwrap(), 0);

    let other = FakeKey::generate(KeyId(2), EpochId(2));
    other.give_own(&home.world.journal).await;
    other.begin(&mut home.world.chain.facts());
    assert_eq!(home.keeping.round().await.unwrap(), 1);
    home.assert_kept(&other).await;

    let (identity, before) =
        (Identity { genesis: genesis(), hospital: HOSPITAL }, home.registration());
    let on_chain = home.world.chain.facts().profiles[&home.patient()].sealing_key_hash;
    let keys = &home.keeping.hospital_keys;
    let body = keys.renew_for_hospital(identity, home.patient(), &before, on_chain).await.unwrap();
    let update = epione_client::chain::calls::profiles::update;
    home.keeping.calls.submit(update(home.patient(), before.body_hash, &body)).await.unwrap();
    assert_ne!(home.kept().unwrap().profile, home.registration().body_hash);
    assert_eq!(home.keeping.round().await.unwrap(), 1);
    home.assert_kept(&other).await;
}

#[tokio::test]
async fn the_end_adds_a_version_that_no_wrap_has() {
    let home = Home::new().await;
    home.entrusts();
    home.keeping.round().await.unwrap();
    let (kept, before) = (home.kept(), home.registration());
    home.world.chain.facts().custody.end(HOSPITAL, home.patient());
    assert_eq!(home.keeping.round().await.unwrap(), 1);
    assert_eq!(home.kept(), kept);
    let after = home.registration();
    assert_ne!(after.body_hash, before.body_hash);
    let identity = Identity { genesis: genesis(), hospital: HOSPITAL };
    let keys = &home.keeping.hospital_keys;
    let earlier = keys.patient_keys(identity, home.patient(), &before).await.unwrap();
    let later = keys.patient_keys(identity, home.patient(), &after).await.unwrap();
    assert_eq!(later.versions(), earlier.versions() + 1);
    assert_eq!(home.keeping.round().await.unwrap(), 0, "only once");
}

/// A patient who suspects a theft ends it, and changes the account. The body has another hash then, and the same key.
#[tokio::test]
async fn the_end_adds_a_version_also_if_the_profile_was_sealed_again_meanwhile() {
    let home = Home::new().await;
    home.entrusts();
    home.keeping.round().await.unwrap();
    let (before, patient) = (home.registration(), home.patient());
    home.world.chain.facts().custody.end(HOSPITAL, patient);
    let (account, key) = (
        epione_primitives::AccountId::new([9; 32]),
        home.world.patient.keys.sealing.public().clone(),
    );
    let identity = Identity { genesis: genesis(), hospital: HOSPITAL };
    let keys = &home.keeping.hospital_keys;
    let again = keys
        .renew_profile(identity, patient, &before, account, key, Confirmation::ByNobody)
        .await
        .unwrap();
    let update = epione_client::chain::calls::profiles::update;
    home.keeping.calls.submit(update(patient, before.body_hash, &again)).await.unwrap();
    let sealed_again = home.registration();
    let kept = keys.versions_in(before.body_hash).await.unwrap();
    assert_ne!(sealed_again.body_hash, before.body_hash);
    assert_eq!(keys.versions_in(sealed_again.body_hash).await.unwrap(), kept, "the kept key");

    assert_eq!(home.keeping.round().await.unwrap(), 1);
    let after = keys.versions_in(home.registration().body_hash).await.unwrap();
    assert_eq!(after, kept + 1);
    assert_eq!(home.keeping.round().await.unwrap(), 0, "only once");
    // A restarted worker compares again, and finds nothing to do.
    home.keeping.renewed.lock().unwrap().clear();
    assert_eq!(home.keeping.round().await.unwrap(), 0);

    // The same again for the next time.
    home.entrusts();
    assert_eq!(home.keeping.round().await.unwrap(), 1);
    home.assert_kept(&home.key).await;
    home.world.chain.facts().custody.end(HOSPITAL, patient);
    assert_eq!(home.keeping.round().await.unwrap(), 1);
    let next = keys.versions_in(home.registration().body_hash).await.unwrap();
    assert_eq!(next, after + 1);
}

/// The council can choose other hospitals for the shares.
#[tokio::test]
async fn the_end_adds_a_version_also_without_the_hospitals_share() {
    let home = Home::new().await;
    home.entrusts();
    home.keeping.round().await.unwrap();
    home.key.reshared().begin(&mut home.world.chain.facts());
    home.world.chain.facts().custody.end(HOSPITAL, home.patient());
    let before = home.registration().body_hash;
    assert_eq!(home.keeping.round().await.unwrap(), 1);
    assert_ne!(home.registration().body_hash, before);
}

#[tokio::test]
async fn nothing_is_kept_without_the_hospitals_share() {
    let home = Home::new().await;
    home.entrusts();
    let next = home.key.reshared();
    next.begin(&mut home.world.chain.facts());
    assert_eq!(home.keeping.round().await.unwrap(), 0);
    next.give_own(&home.world.journal).await;
    assert_eq!(home.keeping.round().await.unwrap(), 1);
}
