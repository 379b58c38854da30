//! Sections are placed by kind, once, under the right consent, and again after failures only.

use epione_primitives::{profile::Role, refusal::Refusal, sharing::Placement};
use tokio::time::timeout;

use super::*;
use crate::{
    api::tests::fake::{
        FakeChain, HOSPITAL, failure,
        slots::{consent, place_by_kind},
    },
    journal::sections::{IndexedRecord, IndexedSection},
};

const ADA: UserId = UserId([1; 32]);
const SLOT: SlotId = SlotId(2);
/// Diagnoses.
const KINDS: KindSet = KindSet(1 << 1);
/// When the records were committed.
const COMMITTED: Moment = 1_000;

struct World {
    chain: FakeChain,
    placing: Placing,
}

impl World {
    async fn new() -> Self {
        let chain = FakeChain::default();
        let placing = Placing {
            view: Arc::new(chain.clone()),
            calls: Arc::new(chain.clone()),
            journal: Journal::in_memory().await.unwrap(),
            metrics: Metrics::new().unwrap(),
        };
        placing.journal.write(|tx| sections::begin(tx, 0)).await.unwrap();
        Self { chain, placing }
    }

    /// A record with a summary, and two diagnoses.
    async fn commit(&self, height: u32, patient: UserId) -> RecordPointer {
        let pointer = RecordPointer { height, index: 0 };
        self.chain.commit(pointer, patient, HOSPITAL, &height.to_le_bytes());
        let section = |section, kind| IndexedSection { section, kind, modalities: Vec::new() };
        let record = IndexedRecord {
            pointer,
            patient,
            signed_at: COMMITTED - 10,
            committed_at: COMMITTED,
            sections: vec![section(0, 0), section(1, 1), section(2, 1)],
        };
        let journal = &self.placing.journal;
        journal.write(move |tx| sections::add(tx, height, &[record])).await.unwrap();
        pointer
    }

    fn gives(&self, patient: UserId, since: Moment) {
        let version = consent(Role::Researcher, KINDS, since);
        self.chain.facts().slots.give(patient, SLOT, version);
    }

    fn placed(&self, pointer: RecordPointer) -> Vec<Placement> {
        let facts = self.chain.facts();
        facts.slots.placed.get(&pointer).into_iter().flatten().copied().collect()
    }

    fn calls(&self) -> usize {
        self.chain.facts().calls.len()
    }

    /// The record is due at once, whatever is noted of it.
    async fn again(&self, pointer: RecordPointer) {
        let journal = &self.placing.journal;
        journal.write(move |tx| sections::postpone(tx, &[pointer], 0)).await.unwrap();
    }

    async fn waiting(&self) -> i64 {
        self.placing.journal.read(sections::waiting).await.unwrap()
    }
}

const DIAGNOSES: Placement = Placement { slot: SLOT, sections: SectionSet(0b110) };

#[tokio::test]
async fn sections_of_a_consented_kind_are_placed_once_and_no_others() {
    let world = World::new().await;
    world.gives(ADA, COMMITTED - 1);
    let (own, other) = (world.commit(1, ADA).await, world.commit(2, UserId([2; 32])).await);
    assert!(world.placing.step().await.unwrap());
    assert_eq!(world.placed(own), [DIAGNOSES]);
    assert!(world.placed(other).is_empty());
    assert_eq!((world.calls(), world.waiting().await), (1, 0));
    assert_eq!(world.placing.metrics.sections_placed.get(), 2);
    assert!(!world.placing.step().await.unwrap());
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn many_records_of_a_patient_are_placed_by_few_calls() {
    let world = World::new().await;
    world.gives(ADA, 0);
    for height in 1..=MAX_PLACED_RECORDS + 1 {
        world.commit(height, ADA).await;
    }
    world.placing.step().await.unwrap();
    assert_eq!((world.calls(), world.waiting().await), (2, 0));
    assert_eq!(world.chain.facts().slots.placed.len(), MAX_PLACED_RECORDS as usize + 1);
}

#[tokio::test]
async fn a_consent_that_does_not_concern_a_record_places_nothing() {
    let recorded = |from, to| {
        move |it: &mut ConsentVersion| {
            it.consent.recorded.from = from;
            it.consent.recorded.to = to;
        }
    };
    type Change = Box<dyn Fn(&mut ConsentVersion)>;
    let changes: [(&str, Change); 6] = [
        ("given in the block that committed the record", Box::new(|it| it.since = COMMITTED)),
        ("withdrawn", Box::new(|it| it.ended = Some(COMMITTED + 1))),
        ("over", Box::new(|it| it.consent.until = COMMITTED + 1)),
        ("without kinds", Box::new(|it| it.consent.kinds = KindSet(0))),
        ("of later records", Box::new(recorded(Some(COMMITTED - 9), None))),
        ("of earlier records", Box::new(recorded(None, Some(COMMITTED - 10)))),
    ];
    for (what, change) in changes {
        let world = World::new().await;
        let mut version = consent(Role::Researcher, KINDS, COMMITTED - 1);
        change(&mut version);
        world.chain.facts().slots.give(ADA, SLOT, version);
        let pointer = world.commit(1, ADA).await;
        world.placing.step().await.unwrap();
        assert!(world.placed(pointer).is_empty(), "{what}");
        assert_eq!((world.calls(), world.waiting().await), (0, 0), "{what}");
    }
}

#[tokio::test]
async fn a_record_that_was_considered_is_not_placed_by_a_later_consent() {
    let world = World::new().await;
    let pointer = world.commit(1, ADA).await;
    world.placing.step().await.unwrap();
    world.gives(ADA, 0);
    assert!(!world.placing.step().await.unwrap());
    assert!(world.placed(pointer).is_empty());
}

#[tokio::test]
async fn a_call_that_fails_is_repeated_later_and_does_not_stop_the_others() {
    let world = World::new().await;
    world.gives(ADA, 0);
    let pointer = world.commit(1, ADA).await;
    world.chain.facts().failure = Some(failure("System", "Refused"));
    assert!(world.placing.step().await.unwrap());
    assert_eq!(world.waiting().await, 1);
    let failures = world.placing.metrics.task_failures.with_label_values(&["placement"]);
    assert_eq!((failures.get(), world.placing.metrics.records_to_place.get()), (1, 1));

    // Not at once.
    world.chain.facts().failure = None;
    assert!(!world.placing.step().await.unwrap());
    assert!(world.placed(pointer).is_empty());
    let later = world.commit(2, ADA).await;
    world.placing.step().await.unwrap();
    assert_eq!(world.placed(later), [DIAGNOSES]);

    let again = now() + millis(RETRY.cap);
    let due = world.placing.journal.read(move |it| sections::unplaced(it, again, 9)).await;
    assert_eq!(due.unwrap().iter().map(|it| it.pointer).collect::<Vec<_>>(), [pointer]);
    world.again(pointer).await;
    world.placing.step().await.unwrap();
    assert_eq!((world.placed(pointer), world.waiting().await), (vec![DIAGNOSES], 0));
}

#[tokio::test]
async fn a_worker_that_was_killed_during_a_call_does_not_place_again() {
    for takes_effect in [true, false] {
        let world = World::new().await;
        world.gives(ADA, 0);
        let pointer = world.commit(1, ADA).await;
        world.chain.facts().stalled = true;
        let killed = timeout(Duration::from_millis(300), world.placing.step()).await;
        assert!(killed.is_err());
        world.chain.facts().stalled = false;
        if takes_effect {
            let records = vec![ReleasedRecord { pointer, sections: SectionSet(0b110) }];
            let call = calls::sharing::place_by_kind(ADA, SLOT, 1, &records);
            place_by_kind(&mut world.chain.facts(), &call.arguments).unwrap();
            assert_eq!(world.placed(pointer), [DIAGNOSES]);
            world.chain.facts().slots.remove(pointer, SLOT, DIAGNOSES.sections);
        }
        assert!(world.placing.step().await.unwrap());
        assert_eq!((world.calls(), world.waiting().await), (0, 0), "{takes_effect}");
        assert!(world.placed(pointer).is_empty(), "{takes_effect}");
    }
}

#[tokio::test]
async fn what_the_patient_removed_is_not_placed_again_after_an_unclear_result() {
    let world = World::new().await;
    world.gives(ADA, 0);
    let pointer = world.commit(1, ADA).await;
    world.chain.facts().silent = true;
    world.placing.step().await.unwrap();
    assert_eq!(world.placed(pointer), [DIAGNOSES]);
    {
        let mut facts = world.chain.facts();
        facts.silent = false;
        facts.slots.remove(pointer, SLOT, DIAGNOSES.sections);
    }
    world.again(pointer).await;
    world.placing.step().await.unwrap();
    assert!(world.placed(pointer).is_empty());
    assert_eq!((world.calls(), world.waiting().await), (1, 0));
}

#[tokio::test]
async fn a_record_that_was_placed_before_does_not_leave_its_batch_to_the_patient() {
    let world = World::new().await;
    world.gives(ADA, 0);
    let mut records = Vec::new();
    for height in 1..=4 {
        records.push(world.commit(height, ADA).await);
    }
    // A worker with an earlier journal placed the second record, and the patient took it out.
    let before = [ReleasedRecord { pointer: records[1], sections: DIAGNOSES.sections }];
    let call = calls::sharing::place_by_kind(ADA, SLOT, 1, &before);
    place_by_kind(&mut world.chain.facts(), &call.arguments).unwrap();
    world.chain.facts().slots.remove(records[1], SLOT, DIAGNOSES.sections);

    world.placing.step().await.unwrap();
    let placed: Vec<_> = records.iter().map(|pointer| world.placed(*pointer)).collect();
    let with = || vec![DIAGNOSES];
    assert_eq!(placed, [with(), vec![], with(), with()]);
    // One call for all, and one for each.
    let submitted = world.chain.facts().submitted;
    assert_eq!((submitted, world.calls()), (5, 3));
    assert_eq!((world.placing.metrics.sections_placed.get(), world.waiting().await), (6, 0));
    assert!(!world.placing.step().await.unwrap());
}

#[tokio::test]
async fn of_records_that_are_placed_alone_only_the_one_whose_call_failed_is_tried_again() {
    let world = World::new().await;
    world.gives(ADA, 0);
    let (first, second) = (world.commit(1, ADA).await, world.commit(2, ADA).await);
    {
        let mut facts = world.chain.facts();
        facts.slots.by_kind.insert((SLOT, first));
        // The consent gets another version when the first record was placed alone.
        facts.afterwards = Some(Box::new(|facts| {
            facts.afterwards = Some(Box::new(|facts| {
                let given = consent(Role::Researcher, KINDS, 0);
                facts.slots.give(ADA, SLOT, ConsentVersion { version: 2, ..given });
            }));
        }));
    }
    world.placing.step().await.unwrap();
    assert!(world.placed(first).is_empty() && world.placed(second).is_empty());
    assert_eq!(world.waiting().await, 1);
    world.again(second).await;
    world.placing.step().await.unwrap();
    assert!(world.placed(first).is_empty());
    assert_eq!((world.placed(second), world.waiting().await), (vec![DIAGNOSES], 0));
}

#[tokio::test]
async fn of_two_slots_only_the_one_whose_call_failed_is_tried_again() {
    let world = World::new().await;
    let other = SlotId(5);
    world.gives(ADA, 0);
    world.chain.facts().slots.give(ADA, other, consent(Role::Researcher, KINDS, 0));
    let pointer = world.commit(1, ADA).await;
    // The call for the first slot is refused.
    world.chain.facts().refusal = Some(Refusal::TooManyInFlight);
    world.placing.step().await.unwrap();
    assert_eq!(world.placed(pointer), [Placement { slot: other, ..DIAGNOSES }]);
    assert_eq!(world.waiting().await, 1);
    world.chain.facts().slots.remove(pointer, other, DIAGNOSES.sections);
    world.again(pointer).await;
    world.placing.step().await.unwrap();
    assert_eq!(world.placed(pointer), [DIAGNOSES]);
    assert_eq!((world.calls(), world.waiting().await), (2, 0));
}

#[tokio::test]
async fn a_patient_whose_consents_cannot_be_read_does_not_stop_the_others() {
    let world = World::new().await;
    let eve = UserId([2; 32]);
    world.gives(ADA, 0);
    world.gives(eve, 0);
    let (waits, placed) = (world.commit(1, ADA).await, world.commit(2, eve).await);
    world.chain.facts().slots.unreadable.insert(ADA);
    assert!(world.placing.step().await.unwrap());
    assert_eq!((world.placed(placed), world.waiting().await), (vec![DIAGNOSES], 1));
    world.chain.facts().slots.unreadable.clear();
    world.again(waits).await;
    world.placing.step().await.unwrap();
    assert_eq!((world.placed(waits), world.waiting().await), (vec![DIAGNOSES], 0));
}

#[tokio::test]
async fn while_the_node_is_away_every_record_waits() {
    let world = World::new().await;
    world.gives(ADA, 0);
    world.commit(1, ADA).await;
    world.chain.facts().away = true;
    assert!(matches!(world.placing.step().await, Err(PlacingError::View(ViewError::Away))));
    assert_eq!(world.waiting().await, 1);
    world.chain.facts().away = false;
    world.placing.step().await.unwrap();
    assert_eq!(world.waiting().await, 0);
}
