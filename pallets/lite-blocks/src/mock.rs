//! A runtime with lite blocks and index links, and stand-ins for the other pallets that they ask.
//! The ballots here are closed by the tests; the runtime's own tests join the real pallets.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use epione_primitives::{
    AccountId, AnnouncementId, Hash, HospitalId, Moment, UserId,
    approval::BallotOutcome,
    block::{
        AnnouncedEntries, AnnouncedEntry, AnnouncedHeader, Range, Segment, Segments, segments_root,
    },
    ports::{self, HashedBody, OnBallotClosed},
    profile::Role,
};
use frame_support::{
    assert_ok, construct_runtime, derive_impl,
    dispatch::DispatchResultWithPostInfo,
    parameter_types,
    storage::{transactional::TRANSACTION_LEVEL_KEY, unhashed},
    traits::Time,
    weights::constants::ParityDbWeight,
};
use frame_system::RawOrigin;
use sp_io::TestExternalities;
use sp_runtime::{
    DispatchError, DispatchResult,
    traits::{Dispatchable as _, IdentityLookup},
};

use crate as pallet_lite_blocks;

construct_runtime!(
    pub struct Test {
        System: frame_system,
        LiteBlocks: pallet_lite_blocks,
        IndexLinks: pallet_index_links,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = AccountId;
    type Lookup = IdentityLookup<AccountId>;
    type Block = frame_system::mocking::MockBlockU32<Test>;
    type DbWeight = ParityDbWeight;
}

impl pallet_index_links::Config for Test {}

impl pallet_lite_blocks::Config for Test {
    type WeightInfo = ();
    type Hospitals = Hospitals;
    type Users = Users;
    type Ballots = Ballots;
    type Links = IndexLinks;
    type Bodies = Bodies;
    type Time = Clock;
}

pub const HOME: HospitalId = HospitalId(0);
pub const AWAY: HospitalId = HospitalId(1);

/// Registered at [`HOME`] and [`AWAY`].
pub const PATIENT: UserId = UserId([1; 32]);
/// Registered at [`HOME`].
pub const OTHER: UserId = UserId([2; 32]);
/// Registered nowhere.
pub const STRANGER: UserId = UserId([3; 32]);

pub const START: Moment = 1_000_000;
pub const BALLOT_CLOSED: DispatchError = DispatchError::Other("the stand-in has no such ballot");

parameter_types! {
    pub static Now: Moment = START;
    /// Whether no other hospital's approval is needed.
    pub static Alone: bool = false;
    /// Whether the extrinsic being applied ends with the body.
    pub static BodyAtTail: bool = true;
    pub static OpenBallots: Vec<(AnnouncementId, HospitalId)> = Vec::new();
    /// Hashes and lengths of the bodies kept, and the state at that time.
    pub static Kept: Vec<(Hash, usize, State)> = Vec::new();
}

thread_local! {
    /// Agents of the active hospitals.
    static AGENTS: RefCell<BTreeMap<AccountId, HospitalId>> = Default::default();
    static REGISTERED: RefCell<BTreeSet<(HospitalId, UserId)>> = Default::default();
}

pub struct Clock;

impl Time for Clock {
    type Moment = Moment;

    fn now() -> Moment {
        Now::get()
    }
}

pub struct Hospitals;

impl ports::Hospitals for Hospitals {
    fn active_by_agent(account: &AccountId) -> Option<HospitalId> {
        AGENTS.with_borrow(|agents| agents.get(account).copied())
    }

    fn active_by_governance(_: &AccountId) -> Option<HospitalId> {
        None
    }

    fn exists(hospital: HospitalId) -> bool {
        Self::active().contains(&hospital)
    }

    fn active() -> Vec<HospitalId> {
        AGENTS.with_borrow(|agents| agents.values().copied().collect())
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(_: AccountId, agent: AccountId) -> HospitalId {
        AGENTS.with_borrow_mut(|agents| {
            let id = HospitalId(u16::try_from(agents.len()).unwrap());
            *agents.entry(agent).or_insert(id)
        })
    }
}

pub struct Users;

impl ports::Users for Users {
    fn by_account(_: &AccountId) -> Option<UserId> {
        None
    }

    fn role(_: UserId) -> Option<Role> {
        Some(Role::Patient)
    }

    fn registered(hospital: HospitalId, user: UserId, at: Moment) -> bool {
        at == Now::get() && REGISTERED.with_borrow(|all| all.contains(&(hospital, user)))
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(hospital: HospitalId, user: UserId, _: Role, _: AccountId) {
        REGISTERED.with_borrow_mut(|all| all.insert((hospital, user)));
    }
}

pub struct Ballots;

impl ports::Ballots<AnnouncementId> for Ballots {
    fn open(subject: AnnouncementId, opener: HospitalId) -> DispatchResult {
        if Alone::get() {
            LiteBlocks::on_ballot_closed(subject, BallotOutcome::Approved);
        } else {
            OpenBallots::mutate(|open| open.push((subject, opener)));
        }
        Ok(())
    }

    fn withdraw(subject: AnnouncementId) -> DispatchResult {
        OpenBallots::mutate(|open| {
            let before = open.len();
            open.retain(|(id, _)| *id != subject);
            if open.len() < before { Ok(()) } else { Err(BALLOT_CLOSED) }
        })
    }
}

/// Closes a ballot as pallet-approvals would.
pub fn close(id: AnnouncementId, outcome: BallotOutcome) {
    assert_ok!(<Ballots as ports::Ballots<AnnouncementId>>::withdraw(id));
    LiteBlocks::on_ballot_closed(id, outcome);
}

pub struct Bodies;

impl ports::Bodies for Bodies {
    fn keep(body: HashedBody<'_>) -> DispatchResult {
        if !BodyAtTail::get() {
            return Err(ports::BODY_NOT_AT_TAIL);
        }
        Kept::mutate(|kept| kept.push((body.hash(), body.bytes().len(), state())));
        Ok(())
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(_: &[u8]) {}
}

/// Everything that is stored.
pub type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// The state, but for the mark that a call is being dispatched.
pub fn state() -> State {
    core::iter::successors(sp_io::storage::next_key(&[]), |key| sp_io::storage::next_key(key))
        .filter(|key| key != TRANSACTION_LEVEL_KEY)
        .filter_map(|key| unhashed::get_raw(&key).map(|value| (key, value)))
        .collect()
}

pub fn agent(hospital: HospitalId) -> RuntimeOrigin {
    RawOrigin::Signed(agent_account(hospital)).into()
}

fn agent_account(hospital: HospitalId) -> AccountId {
    AccountId::new([100 + hospital.0 as u8; 32])
}

/// Two active hospitals and two registered patients.
pub fn externalities() -> TestExternalities {
    Now::set(START);
    Alone::set(false);
    BodyAtTail::set(true);
    OpenBallots::set(Vec::new());
    Kept::set(Vec::new());
    AGENTS.set([HOME, AWAY].map(|id| (agent_account(id), id)).into());
    REGISTERED.set([(HOME, PATIENT), (HOME, OTHER), (AWAY, PATIENT)].into());
    let mut externalities = TestExternalities::default();
    externalities.execute_with(|| System::set_block_number(1));
    externalities
}

/// Runs `test`, then checks the invariants.
pub fn run(test: impl FnOnce()) {
    externalities().execute_with(|| {
        test();
        LiteBlocks::check_state().unwrap();
        IndexLinks::check_state().unwrap();
    });
}

/// What a hospital announces.
#[derive(Clone, Debug)]
pub struct Visits {
    pub header: AnnouncedHeader,
    pub entries: AnnouncedEntries,
    pub body: Vec<u8>,
}

/// A block of [`HOME`] with one record of four bytes and one segment for each patient. Blocks with
/// different seeds have different bodies.
pub fn visits(seed: u8, patients: &[UserId]) -> Visits {
    let entry = |(patient, index): (&UserId, u32)| AnnouncedEntry {
        patient: *patient,
        text: Range { offset: 4 * index, length: 4 },
        media: Range { offset: index, length: 1 },
    };
    let entries: Vec<_> = patients.iter().zip(0_u32..).map(entry).collect();
    Visits {
        body: vec![seed; 4 * entries.len()],
        header: AnnouncedHeader { announcer: HOME, segments: segments(entries.len()) },
        entries: AnnouncedEntries::truncate_from(entries),
    }
}

/// `count` segments of ten bytes each.
pub fn segments(count: usize) -> Segments {
    let list = vec![Segment { hash: [9; 32], length: 10 }; count];
    Segments { root: segments_root(&list), count: count as u32, bytes: 10 * count as u64 }
}

/// Dispatches as an extrinsic does: what fails leaves nothing behind.
pub fn announce(origin: RuntimeOrigin, visits: Visits) -> DispatchResultWithPostInfo {
    let Visits { header, entries, body } = visits;
    RuntimeCall::from(crate::Call::announce { header, entries, body }).dispatch(origin)
}

/// Dispatches as an extrinsic does.
pub fn withdraw(origin: RuntimeOrigin, id: u64) -> DispatchResultWithPostInfo {
    RuntimeCall::from(crate::Call::withdraw { id: AnnouncementId(id) }).dispatch(origin)
}

/// Announces a block for [`HOME`] and commits it.
pub fn committed(seed: u8, patients: &[UserId]) {
    let id = crate::NextId::<Test>::get();
    assert_ok!(announce(agent(HOME), visits(seed, patients)));
    close(id, BallotOutcome::Approved);
}
