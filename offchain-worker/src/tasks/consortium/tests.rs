use codec::Decode;
use epione_client::{
    chain::{CeremonyState, ConsortiumKey},
    signer::Account,
};
use epione_primitives::{
    HospitalId,
    consortium::{
        Ceremony, CeremonyId, Confirmations, Epoch, EpochId, Failure, Joins, KeyId, PastCeremony,
        Schedule, SeatSet, Seats,
    },
};

use super::*;
use crate::{
    api::tests::fake::{ELSEWHERE, FakeChain, HOSPITAL, failure, genesis},
    consortium::Participant,
    journal::Journal,
};

const SCHEDULE: Schedule = Schedule { phase: 20, refresh: 1_000 };

fn seats() -> Seats {
    Seats::truncate_from(vec![HOSPITAL, ELSEWHERE])
}

/// Two hospitals, and nothing else yet.
fn view() -> ConsortiumView {
    ConsortiumView {
        key: ConsortiumKey {
            schedule: SCHEDULE,
            current: None,
            ceremony: None,
            kept: None,
            committee: None,
            refresh_requested: false,
            renewal_decided: false,
            joined: Default::default(),
            last_begun: None,
            last_ended: None,
        },
        state: None,
        earlier: None,
        kept: None,
        past: Vec::new(),
        active: seats().into_inner(),
        unready: Vec::new(),
    }
}

/// A ceremony in which nobody has enrolled until now.
fn begun() -> ConsortiumView {
    let ceremony = Ceremony::begin(CeremonyId(0), None, seats(), seats(), 120);
    let mut view = view();
    view.key.ceremony = Some(ceremony.clone());
    view.state = Some(CeremonyState {
        ceremony,
        enrolments: vec![None; 2],
        dealings: vec![None; 2],
        answers: Default::default(),
        confirmations: Confirmations::default(),
    });
    view
}

/// An epoch that began at block 100, whose share this hospital's journal does not have.
fn with_epoch() -> ConsortiumView {
    let mut view = view();
    view.key.current = Some(Epoch {
        id: EpochId(3),
        key: KeyId(0),
        ceremony: CeremonyId(7),
        members: seats(),
        threshold: 2,
        faulty: 0,
        commitments: Default::default(),
        mixing: Hash::zero(),
        link: None,
        since: 100,
        confirmed: SeatSet::first(1),
    });
    view.key.last_ended = Some(100);
    view
}

/// The epoch began without this hospital, which joined on its own at a block.
fn without_us(view: &mut ConsortiumView, joined: BlockNumber) {
    view.key.schedule.refresh = 1_000_000;
    view.key.joined = Joins::truncate_from(vec![(HOSPITAL, joined)]);
    let epoch = view.key.current.as_mut().unwrap();
    epoch.members = Seats::truncate_from(vec![ELSEWHERE]);
    epoch.threshold = 1;
}

/// This hospital was admitted, and its worker has not said yet that it is ready.
fn not_ready(view: &mut ConsortiumView) {
    without_us(view, 150);
    view.unready = vec![HOSPITAL];
}

struct Scene {
    chain: FakeChain,
    journal: Journal,
    ceremonies: Ceremonies,
    memory: Memory,
}

impl Scene {
    async fn new(view: ConsortiumView, head: BlockNumber) -> Self {
        let chain = FakeChain::default();
        (chain.facts().head, chain.facts().consortium) = (head, Some(view));
        let participant = Participant {
            genesis: genesis(),
            hospital: HOSPITAL,
            agent: Account::development("//Alice//agent").unwrap(),
        };
        let journal = Journal::in_memory().await.unwrap();
        let ceremonies = Ceremonies {
            view: Arc::new(chain.clone()),
            calls: Arc::new(chain.clone()),
            member: Member::new(participant, journal.clone()),
            metrics: Metrics::new().unwrap(),
        };
        Self { chain, journal, ceremonies, memory: Memory::default() }
    }

    async fn step(&mut self) -> Result<(), CeremonyError> {
        self.ceremonies.step(&mut self.memory).await
    }

    /// The state after a later finalized block.
    fn show(&self, head: BlockNumber, consortium: Option<ConsortiumView>) {
        let mut facts = self.chain.facts();
        (facts.head, facts.consortium) = (head, consortium);
    }

    fn names(&self) -> Vec<&'static str> {
        self.chain.facts().calls.iter().map(|call| call.name).collect()
    }
}

#[tokio::test]
async fn one_call_is_sent_at_each_finalized_block_that_does_not_show_its_effect() {
    let mut scene = Scene::new(begun(), 100).await;
    scene.step().await.unwrap();
    scene.step().await.unwrap();
    assert_eq!(scene.names(), ["enrol"]);
    scene.chain.facts().head = 101;
    scene.step().await.unwrap();
    assert_eq!(scene.names(), ["enrol", "enrol"]);
    let calls = scene.chain.facts().calls.clone();
    assert_eq!(calls[0], calls[1], "the sealing key is in the journal, and the same");

    let mut shown = begun();
    shown.state.as_mut().unwrap().ceremony.enrolled.insert(0);
    scene.show(102, Some(shown));
    scene.step().await.unwrap();
    assert_eq!(scene.chain.facts().submitted, 2);
}

#[tokio::test]
async fn a_call_that_failed_or_was_lost_is_sent_again_and_one_that_was_needless_is_not() {
    let mut scene = Scene::new(begun(), 100).await;
    scene.chain.facts().failure = Some(failure("Quotas", "Exceeded"));
    assert!(matches!(scene.step().await, Err(CeremonyError::Call(CallError::Failed(_)))));
    scene.chain.facts().failure = None;
    scene.chain.facts().silent = true;
    assert!(matches!(scene.step().await, Err(CeremonyError::Call(CallError::TimedOut))));
    scene.chain.facts().silent = false;
    scene.chain.facts().failure = Some(failure("ConsortiumKey", "AlreadyEnrolled"));
    scene.step().await.unwrap();
    scene.step().await.unwrap();
    assert_eq!(scene.chain.facts().submitted, 3);
}

#[tokio::test]
async fn the_first_ceremony_is_begun_by_one_hospital_at_a_time() {
    // Turns last 8 blocks. This hospital has the first of two seats.
    for (head, is_turn) in [(15, true), (22, true), (23, false), (30, false), (31, true)] {
        let mut scene = Scene::new(view(), head).await;
        scene.step().await.unwrap();
        assert_eq!(scene.names() == ["begin"], is_turn, "{head}");
    }
}

#[tokio::test]
async fn each_attempt_to_begin_has_a_sealing_key_of_its_own() {
    let mut scene = Scene::new(view(), 15).await;
    scene.step().await.unwrap();
    scene.chain.facts().head = 16;
    scene.step().await.unwrap();
    let calls = scene.chain.facts().calls.clone();
    assert_eq!(scene.names(), ["begin", "begin"]);
    assert_ne!(calls[0], calls[1], "both may be included, in different ceremonies");
}

/// Otherwise the journal would grow with each attempt, and nothing would be erased before the next finalized block.
#[tokio::test]
async fn attempts_to_begin_while_finality_stands_still_have_the_same_sealing_key() {
    let mut scene = Scene::new(view(), 15).await;
    scene.chain.facts().failure = Some(failure("Quotas", "Exceeded"));
    for _ in 0..3 {
        assert!(matches!(scene.step().await, Err(CeremonyError::Call(CallError::Failed(_)))));
    }
    assert_eq!(scene.chain.facts().submitted, 3);
    let held = scene.journal.read(crate::journal::consortium::held).await.unwrap();
    assert_eq!(held.enrolments.len(), 1);
    // What is sent at last has the key of this seed.
    scene.chain.facts().failure = None;
    scene.step().await.unwrap();
    let begun = scene.chain.facts().calls[0].arguments.clone();
    let (at, key) = (15, Vec::<u8>::decode(&mut begun.as_slice()).unwrap());
    let seed = scene.journal.read(move |it| crate::journal::consortium::begun(it, at)).await;
    let kept = crate::consortium::participant::sealing_key(&seed.unwrap().unwrap());
    assert_eq!(key, kept.public().as_bytes());
}

#[tokio::test]
async fn a_hospital_without_a_reason_begins_nothing() {
    let at_rest = |change: fn(&mut ConsortiumView)| {
        let mut view = with_epoch();
        change(&mut view);
        view
    };
    for (head, view, is_due) in [
        (1_094, with_epoch(), false),
        // In its turn; the epoch is older than the schedule's refresh.
        (1_103, with_epoch(), true),
        (207, at_rest(|view| view.key.refresh_requested = true), true),
        (207, at_rest(|view| view.key.renewal_decided = true), true),
        (207, at_rest(|_| {}), false),
        // This hospital is no member, and has joined on its own not long ago, or long ago.
        (207, at_rest(|view| without_us(view, 150)), false),
        (3_119, at_rest(|view| without_us(view, 150)), true),
        // It is not ready, so it gets no seat yet.
        (3_119, at_rest(not_ready), false),
        // Only the newcomer begins.
        (207, at_rest(|view| view.active.push(HospitalId(9))), false),
        // A member left, and too few are left to share the key anew.
        (207, at_rest(|view| view.active = vec![HOSPITAL, HospitalId(9)]), false),
        // Not within a phase after the last one.
        (111, at_rest(|view| view.key.refresh_requested = true), false),
        (127, at_rest(|view| view.key.refresh_requested = true), true),
    ] {
        let mut scene = Scene::new(view, head).await;
        scene.step().await.unwrap();
        assert_eq!(scene.names() == ["begin"], is_due, "{head}");
    }
}

#[tokio::test]
async fn an_operator_learns_why_a_hospital_that_joined_lately_begins_nothing() {
    let mut view = with_epoch();
    without_us(&mut view, 150);
    let mut scene = Scene::new(view, 207).await;
    scene.step().await.unwrap();
    assert_eq!(scene.memory.idle, Some(Idle::JoinedLately));
    assert!(Idle::JoinedLately.needs_operator());
    assert!(Idle::JoinedLately.to_string().contains("epione consortium key refresh"));
}

/// Otherwise a full disk or a reader of the journal would take a member from each ceremony.
#[tokio::test]
async fn an_operator_learns_that_the_council_must_choose_a_larger_committee() {
    let with_committee = |others: u16| {
        let mut view = with_epoch();
        view.key.refresh_requested = true;
        view.key.committee = Some(seats());
        view.active.extend((20..20 + others).map(HospitalId));
        view
    };
    // Of six active hospitals, one may be malicious; of seven, two: as many as open together.
    for (others, expected) in [(4, None), (5, Some(Idle::SmallCommittee))] {
        let mut scene = Scene::new(with_committee(others), 207).await;
        scene.step().await.unwrap();
        assert_eq!(scene.memory.idle.filter(|why| why.needs_operator()), expected, "{others}");
        assert_eq!(scene.names() == ["begin"], expected.is_none(), "{others}");
    }
}

#[tokio::test]
async fn a_hospital_takes_part_also_if_the_log_of_the_journal_cannot_be_emptied() {
    let mut judging = begun();
    let ceremony = &mut judging.state.as_mut().unwrap().ceremony;
    (ceremony.phase, ceremony.enrolled) = (Phase::Judge, SeatSet::first(2));
    let mut scene = Scene::new(judging, 100).await;
    let failures = scene.ceremonies.metrics.task_failures.with_label_values(&["consortium"]);
    // An open transaction keeps SQLite from emptying the log.
    scene.journal.read(|it| it.execute_batch("BEGIN IMMEDIATE")).await.unwrap();
    scene.step().await.unwrap();
    assert_eq!((scene.names(), failures.get()), (vec!["judge"], 1));
    assert!(scene.memory.log_failure.is_some());
    // It tries again, also before the next finalized block.
    scene.step().await.unwrap();
    assert_eq!((scene.names(), failures.get()), (vec!["judge"], 2));
    scene.journal.read(|it| it.execute_batch("COMMIT")).await.unwrap();
    scene.step().await.unwrap();
    assert_eq!((failures.get(), scene.memory.log_failure), (2, None));
}

#[tokio::test]
async fn a_share_that_the_journal_does_not_have_is_an_alarm() {
    let mut scene = Scene::new(view(), 10).await;
    scene.step().await.unwrap();
    let metrics = scene.ceremonies.metrics.clone();
    assert_eq!((metrics.consortium_share_held.get(), metrics.consortium_epoch.get()), (1, -1));

    scene.show(130, Some(with_epoch()));
    scene.step().await.unwrap();
    assert_eq!((metrics.consortium_share_held.get(), metrics.consortium_epoch.get()), (0, 3));
    assert_eq!(metrics.consortium_seats_without_share.get(), 1);
    assert_eq!(metrics.consortium_epoch_age_blocks.get(), 30);
    assert_eq!(metrics.consortium_refresh_blocks.get(), 1_000);

    let mut elsewhere = with_epoch();
    let epoch = elsewhere.key.current.as_mut().unwrap();
    epoch.members = Seats::truncate_from(vec![ELSEWHERE, HospitalId(9)]);
    scene.show(131, Some(elsewhere));
    scene.step().await.unwrap();
    assert_eq!(metrics.consortium_share_held.get(), 1, "the hospital is no member");
}

#[tokio::test]
async fn failed_ceremonies_are_counted_also_before_a_call_notices_the_failure() {
    let past = |id: u32, outcome| PastCeremony { id: CeremonyId(id), outcome, block: 9 };
    let mut running = begun();
    running.past = vec![
        past(0, Err(Failure::TooFewSeats)),
        past(1, Ok(EpochId(0))),
        past(2, Err(Failure::TooFewDealers)),
    ];
    let mut scene = Scene::new(running, 104).await;
    scene.step().await.unwrap();
    let metrics = scene.ceremonies.metrics.clone();
    // The phase began at block 100: it lasts until block 120.
    assert_eq!(metrics.consortium_phase_blocks.get(), 5);
    assert_eq!(metrics.consortium_ceremonies_failed.get(), 1);
    // Nobody enrolled.
    scene.chain.facts().head = 120;
    scene.step().await.unwrap();
    assert_eq!(metrics.consortium_phase_blocks.get(), 0);
    assert_eq!(metrics.consortium_ceremonies_failed.get(), 2);
}
