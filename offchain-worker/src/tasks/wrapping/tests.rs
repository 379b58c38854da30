//! Sections are wrapped for standing consents: once, again when the key or the slot changes, and after every failure.

use epione_primitives::{
    Hash, HospitalId, consortium::SeatSet, opening::Wrapped, profile::Role, refusal::Refusal,
    sharing::KindSet,
};

use super::*;
use crate::api::tests::{
    fake::{
        ELSEWHERE, HOSPITAL, failure, genesis,
        openings::{FakeKey, wraps as wraps_of},
        slots::consent,
    },
    grants::{POINTER, committed},
    world::World,
};

const SLOT: SlotId = SlotId(2);
const OTHER_SLOT: SlotId = SlotId(5);
/// The text and the file of the visit, not the last text.
const SECTIONS: SectionSet = SectionSet(0b011);

/// The hospital of a committed record, as a member of the consortium key.
struct Home {
    world: World,
    record: Record,
    key: FakeKey,
    wrapping: Wrapping,
}

impl Home {
    async fn new() -> Self {
        let home = Self::without_key().await;
        home.key.begin(&mut home.world.chain.facts());
        home.key.give_own(&home.world.journal).await;
        home
    }

    async fn without_key() -> Self {
        let (world, record) = committed().await;
        let key = FakeKey::generate(KeyId(1), EpochId(0));
        let wrapping = wrapping(&world, world.journal.clone());
        Self { world, record, key, wrapping }
    }

    fn patient(&self) -> UserId {
        self.world.patient.user
    }

    /// The patient gives a slot a consent.
    fn gives(&self, slot: SlotId, is_standing: bool) {
        let mut version = consent(Role::Doctor, KindSet(0), 0);
        version.consent.standing = is_standing;
        let mut facts = self.world.chain.facts();
        facts.slots.give(self.patient(), slot, version);
        let change = Change::Given { version: 1, consent: Hash::zero() };
        facts.openings.note(self.patient(), slot, change);
    }

    /// These sections of a record are in the slot now, and no others.
    fn places(&self, pointer: RecordPointer, slot: SlotId, sections: SectionSet) {
        let mut facts = self.world.chain.facts();
        facts.slots.remove(pointer, slot, SectionSet::ALL);
        if !sections.is_empty() {
            facts.slots.place(pointer, slot, sections);
        }
        facts.openings.note(self.patient(), slot, Change::Placed { pointer, sections });
    }

    /// The same record again, in another lite block.
    fn commits(&self, height: u32, announcer: HospitalId) -> RecordPointer {
        let pointer = RecordPointer { height, index: 0 };
        let bytes = self.world.chain.facts().records[&POINTER].2.clone();
        self.world.chain.commit(pointer, self.patient(), announcer, &bytes);
        pointer
    }

    /// Does what is to be done, until nothing is left now.
    async fn settle(&self) {
        while self.wrapping.step().await.unwrap() {}
    }

    /// What is postponed is due at once.
    async fn again(&self, pointer: RecordPointer) {
        let journal = &self.world.journal;
        journal.write(move |tx| wraps::postpone(tx, pointer, SLOT, 0)).await.unwrap();
    }

    fn wrapped(&self, pointer: RecordPointer, slot: SlotId) -> Option<Wrapped> {
        let all = wraps_of(&self.world.chain.facts(), pointer);
        all.into_iter().find_map(|(of, wrapped)| (of == slot).then_some(wrapped))
    }

    fn calls(&self) -> usize {
        self.world.chain.facts().calls.iter().filter(|call| call.name == "wrap").count()
    }

    async fn waiting(&self) -> i64 {
        let waiting = self.world.journal.read(wraps::waiting).await.unwrap();
        assert_eq!(self.world.metrics.records_to_wrap.get(), waiting);
        waiting
    }

    /// Checks that the chain has the wraps of exactly these sections under a key, with the right content keys.
    async fn assert_wrapped(&self, key: &FakeKey, slot: SlotId, sections: SectionSet) {
        let wrapped = self.wrapped(POINTER, slot).unwrap();
        assert_eq!((wrapped.sections, wrapped.hospital), (sections, HOSPITAL));
        assert_eq!((wrapped.key, wrapped.epoch), (key.epoch.key, key.epoch.id));
        let identity = Identity { genesis: genesis(), hospital: HOSPITAL };
        let registrations = self.world.chain.facts().registrations.clone();
        let registration = &registrations[&(HOSPITAL, self.patient())];
        let keys = self.wrapping.hospital_keys.patient_keys(identity, self.patient(), registration);
        let keys = keys.await.unwrap();
        let mut expected = Vec::new();
        for section in sections.iter() {
            let content_key = self.record.content_key(genesis(), section, &keys).unwrap();
            let label = key.label(HOSPITAL, self.patient(), slot, POINTER, section);
            expected.extend(key.wrap(&label, &content_key).encode());
        }
        assert_eq!(self.world.chain.facts().bodies[&wrapped.body], expected);
    }
}

fn wrapping(world: &World, journal: Journal) -> Wrapping {
    let view: Arc<dyn ChainView> = Arc::new(world.chain.clone());
    let keys = HospitalKeys::new(world.agent.keys.clone(), Vec::new(), Arc::clone(&view));
    Wrapping {
        hospital_keys: Arc::new(keys),
        view,
        calls: Arc::new(world.chain.clone()),
        journal,
        metrics: world.metrics.clone(),
    }
}

#[tokio::test]
async fn the_sections_in_a_slot_with_a_standing_consent_are_wrapped_once() {
    let home = Home::new().await;
    home.gives(SLOT, true);
    home.places(POINTER, SLOT, SECTIONS);
    assert!(home.wrapping.step().await.unwrap());
    home.assert_wrapped(&home.key, SLOT, SECTIONS).await;
    assert_eq!((home.calls(), home.waiting().await), (1, 0));
    assert_eq!(home.world.metrics.sections_wrapped.get(), 2);
    assert!(!home.wrapping.step().await.unwrap());
    assert_eq!(home.calls(), 1);
}

#[tokio::test]
async fn a_slot_is_wrapped_when_its_consent_becomes_standing() {
    let home = Home::new().await;
    home.gives(SLOT, false);
    home.places(POINTER, SLOT, SECTIONS);
    home.settle().await;
    assert_eq!((home.calls(), home.waiting().await), (0, 0));
    home.gives(SLOT, true);
    home.settle().await;
    home.assert_wrapped(&home.key, SLOT, SECTIONS).await;
    // Another slot has its own wraps.
    home.gives(OTHER_SLOT, true);
    home.places(POINTER, OTHER_SLOT, SectionSet(0b100));
    home.settle().await;
    home.assert_wrapped(&home.key, OTHER_SLOT, SectionSet(0b100)).await;
    assert_eq!(home.calls(), 2);
}

#[tokio::test]
async fn what_changes_in_a_slot_is_wrapped_again() {
    let home = Home::new().await;
    home.gives(SLOT, true);
    home.places(POINTER, SLOT, SectionSet(0b001));
    home.settle().await;
    for sections in [SectionSet(0b111), SectionSet(0b010)] {
        home.places(POINTER, SLOT, sections);
        home.settle().await;
        home.assert_wrapped(&home.key, SLOT, sections).await;
    }
    assert_eq!(home.calls(), 3);
    home.places(POINTER, SLOT, SectionSet::default());
    home.settle().await;
    assert_eq!((home.calls(), home.waiting().await), (3, 0));
}

#[tokio::test]
async fn records_of_other_hospitals_and_slots_without_a_consent_in_force_are_not_wrapped() {
    let home = Home::new().await;
    let other = home.commits(2, ELSEWHERE);
    home.gives(SLOT, true);
    home.places(other, SLOT, SECTIONS);
    home.settle().await;
    assert_eq!((home.calls(), home.waiting().await), (0, 0));
    home.places(POINTER, SLOT, SECTIONS);
    home.world.chain.facts().slots.withdraw(home.patient());
    home.settle().await;
    assert_eq!((home.calls(), home.waiting().await), (0, 0));
}

#[tokio::test]
async fn a_consent_that_ends_while_a_record_waits_ends_the_waiting() {
    let home = Home::without_key().await;
    home.key.begin(&mut home.world.chain.facts());
    home.gives(SLOT, true);
    home.places(POINTER, SLOT, SECTIONS);
    home.settle().await;
    assert_eq!(home.waiting().await, 1);
    home.world.chain.facts().slots.withdraw(home.patient());
    home.key.give_own(&home.world.journal).await;
    home.settle().await;
    assert_eq!((home.calls(), home.waiting().await), (0, 0));
}

#[tokio::test]
async fn everything_is_wrapped_again_under_a_new_key_and_not_in_a_new_epoch() {
    let home = Home::new().await;
    home.gives(SLOT, true);
    home.places(POINTER, SLOT, SECTIONS);
    home.settle().await;
    let next = home.key.reshared();
    next.give_own(&home.world.journal).await;
    next.begin(&mut home.world.chain.facts());
    home.settle().await;
    assert_eq!(home.calls(), 1);

    let renewed = FakeKey::generate(KeyId(2), EpochId(2));
    renewed.give_own(&home.world.journal).await;
    renewed.begin(&mut home.world.chain.facts());
    home.settle().await;
    home.assert_wrapped(&renewed, SLOT, SECTIONS).await;
    assert_eq!((home.calls(), home.waiting().await), (2, 0));
}

impl Home {
    /// The same key, so many epochs later.
    async fn later(&self, key: &FakeKey, epochs: u32) -> FakeKey {
        let later = key.after(epochs, &mut self.world.chain.facts());
        later.give_own(&self.world.journal).await;
        later
    }
}

/// Otherwise, members would follow ever more links to open it.
#[tokio::test]
async fn a_wrap_of_an_old_epoch_is_made_again_although_nothing_changed() {
    for (epochs, is_old) in [(15, false), (32, false), (33, true)] {
        let home = Home::new().await;
        home.gives(SLOT, true);
        home.places(POINTER, SLOT, SECTIONS);
        home.settle().await;
        let later = home.later(&home.key, epochs).await;
        home.settle().await;
        assert_eq!((home.calls(), home.waiting().await), (1 + usize::from(is_old), 0), "{epochs}");
        let made_with = if is_old { &later } else { &home.key };
        home.assert_wrapped(made_with, SLOT, SECTIONS).await;
        // The next sweep finds what the last one left.
        let last = home.later(&later, 18).await;
        home.settle().await;
        assert_eq!((home.calls(), home.waiting().await), (2, 0), "{epochs}");
        home.assert_wrapped(if is_old { &later } else { &last }, SLOT, SECTIONS).await;
    }
}

#[tokio::test]
async fn a_sweep_considers_all_records_page_by_page() {
    let home = Home::new().await;
    home.gives(SLOT, true);
    let last = MAX_PAGE + 6;
    for height in 2..=last {
        let pointer = home.commits(height, HOSPITAL);
        home.places(pointer, SLOT, SectionSet(0b001));
    }
    home.settle().await;
    let records = last as usize - 1;
    assert_eq!(home.calls(), records);
    home.settle().await;
    let later = home.later(&home.key, 40).await;
    for _ in 0..4 {
        home.settle().await;
    }
    assert_eq!((home.calls(), home.waiting().await), (2 * records, 0));
    for height in 2..=last {
        let wrapped = home.wrapped(RecordPointer { height, index: 0 }, SLOT).unwrap();
        assert_eq!(wrapped.epoch, later.epoch.id);
    }
}

#[tokio::test]
async fn a_section_that_the_record_does_not_have_does_not_hold_the_others_back() {
    let home = Home::new().await;
    home.gives(SLOT, true);
    let (missing, all) = (SectionSet(1 << 40), SectionSet(SECTIONS.0 | (1 << 40)));
    home.places(POINTER, SLOT, all);
    home.settle().await;
    home.assert_wrapped(&home.key, SLOT, SECTIONS).await;
    assert_eq!((home.calls(), home.waiting().await), (1, 0));
    // Nothing is left to wrap.
    home.places(POINTER, SLOT, all);
    home.settle().await;
    assert_eq!((home.calls(), home.waiting().await), (1, 0));
    home.places(POINTER, SLOT, missing);
    home.settle().await;
    assert_eq!((home.calls(), home.waiting().await), (1, 0));
}

#[tokio::test]
async fn everything_waits_until_the_hospital_is_a_member_with_its_share() {
    let home = Home::without_key().await;
    home.gives(SLOT, true);
    home.places(POINTER, SLOT, SECTIONS);
    home.settle().await;
    assert_eq!((home.calls(), home.waiting().await), (0, 0), "there is no key");

    let mut others = home.key.epoch.clone();
    others.members = vec![ELSEWHERE, HospitalId(9)].try_into().unwrap();
    others.confirmed = SeatSet::first(2);
    home.key.begin(&mut home.world.chain.facts());
    home.world.chain.facts().openings.epochs.insert(EpochId(0), others);
    home.settle().await;
    assert_eq!((home.calls(), home.waiting().await), (0, 1), "no member");

    home.key.begin(&mut home.world.chain.facts());
    home.settle().await;
    assert_eq!((home.calls(), home.waiting().await), (0, 1), "no share");
    home.key.give(&home.world.journal, HOSPITAL, &home.key.reshared().mixing).await;
    home.settle().await;
    assert_eq!((home.calls(), home.waiting().await), (0, 1), "another mixing secret");

    home.key.give_own(&home.world.journal).await;
    home.settle().await;
    home.assert_wrapped(&home.key, SLOT, SECTIONS).await;
}

#[tokio::test]
async fn a_restart_misses_nothing_and_a_lost_journal_repeats_nothing() {
    let home = Home::new().await;
    home.gives(SLOT, true);
    home.places(POINTER, SLOT, SECTIONS);
    home.settle().await;
    // Changes while the worker did not run.
    let second = home.commits(2, HOSPITAL);
    home.places(second, SLOT, SECTIONS);
    let restarted = wrapping(&home.world, home.world.journal.clone());
    while restarted.step().await.unwrap() {}
    assert!(home.wrapped(second, SLOT).is_some());
    assert_eq!(home.calls(), 2);

    let journal = Journal::in_memory().await.unwrap();
    home.key.give_own(&journal).await;
    let third = home.commits(3, HOSPITAL);
    home.places(third, SLOT, SECTIONS);
    let lost = wrapping(&home.world, journal);
    while lost.step().await.unwrap() {}
    assert!(home.wrapped(third, SLOT).is_some());
    assert_eq!(home.calls(), 3);
}

#[tokio::test]
async fn a_call_of_which_the_outcome_is_unknown_is_repeated_only_if_it_had_no_effect() {
    let home = Home::new().await;
    home.gives(SLOT, true);
    home.places(POINTER, SLOT, SECTIONS);
    home.world.chain.facts().silent = true;
    home.settle().await;
    assert_eq!((home.calls(), home.waiting().await), (1, 1));
    home.world.chain.facts().silent = false;
    home.again(POINTER).await;
    home.settle().await;
    assert_eq!((home.calls(), home.waiting().await), (1, 0));

    // Had it no effect, the same wraps are sent again.
    let body = home.wrapped(POINTER, SLOT).unwrap().body;
    home.world.chain.facts().openings.wraps.clear();
    home.places(POINTER, SLOT, SECTIONS);
    home.settle().await;
    assert_eq!(home.wrapped(POINTER, SLOT).unwrap().body, body);
}

#[tokio::test]
async fn a_failed_call_is_repeated_later_and_does_not_hold_others_back() {
    let home = Home::new().await;
    home.gives(SLOT, true);
    home.places(POINTER, SLOT, SECTIONS);
    home.world.chain.facts().failure = Some(failure("Openings", "InvalidWrap"));
    home.settle().await;
    home.world.chain.facts().failure = None;
    assert_eq!((home.calls(), home.waiting().await), (0, 1));
    let failures = home.world.metrics.task_failures.with_label_values(&["wrapping"]);
    assert_eq!(failures.get(), 1);

    let second = home.commits(2, HOSPITAL);
    home.places(second, SLOT, SECTIONS);
    home.settle().await;
    assert!(home.wrapped(second, SLOT).is_some());
    assert_eq!((home.calls(), home.waiting().await), (1, 1), "the first is not due yet");

    home.again(POINTER).await;
    home.world.chain.facts().refusal = Some(Refusal::QuotaExceeded);
    home.settle().await;
    assert_eq!((failures.get(), home.waiting().await), (2, 1));
    home.again(POINTER).await;
    home.settle().await;
    home.assert_wrapped(&home.key, SLOT, SECTIONS).await;
    assert_eq!(home.waiting().await, 0);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_does_not_hold_others_back() {
    let home = Home::new().await;
    let (second, third) = (home.commits(2, HOSPITAL), home.commits(3, HOSPITAL));
    home.world.chain.facts().unreadable_records.insert(POINTER);
    home.world.chain.facts().records.get_mut(&second).unwrap().2 = b"nonsense".to_vec();
    home.gives(SLOT, true);
    for pointer in [POINTER, second, third] {
        home.places(pointer, SLOT, SECTIONS);
    }
    home.settle().await;
    assert!(home.wrapped(third, SLOT).is_some());
    assert_eq!((home.calls(), home.waiting().await), (1, 2));
    home.world.chain.facts().unreadable_records.clear();
    home.again(POINTER).await;
    home.settle().await;
    home.assert_wrapped(&home.key, SLOT, SECTIONS).await;
}

#[tokio::test]
async fn nothing_is_lost_while_the_node_is_away() {
    let home = Home::new().await;
    home.gives(SLOT, true);
    home.places(POINTER, SLOT, SECTIONS);
    home.world.chain.facts().away = true;
    assert!(home.wrapping.step().await.unwrap_err().is_away());
    home.world.chain.facts().away = false;
    // It leaves after some reads, wherever that is.
    for reads in 0..12 {
        home.world.chain.facts().leaves_after = Some(reads);
        let failed = home.wrapping.step().await;
        if let Err(error) = failed {
            assert!(error.is_away(), "{error}");
        }
        let mut facts = home.world.chain.facts();
        (facts.away, facts.leaves_after) = (false, None);
    }
    home.settle().await;
    home.assert_wrapped(&home.key, SLOT, SECTIONS).await;
    assert_eq!(home.waiting().await, 0);
    let failures = home.world.metrics.task_failures.with_label_values(&["wrapping"]);
    assert_eq!(failures.get(), 0);
}

#[tokio::test]
async fn more_records_than_fit_on_a_page_are_wrapped() {
    let home = Home::new().await;
    home.gives(SLOT, false);
    let last = MAX_PAGE + 6;
    for height in 2..=last {
        let pointer = home.commits(height, HOSPITAL);
        home.places(pointer, SLOT, SectionSet(0b001));
    }
    home.settle().await;
    assert_eq!(home.calls(), 0);
    home.gives(SLOT, true);
    home.settle().await;
    assert_eq!((home.calls(), home.waiting().await), (last as usize - 1, 0));
}
