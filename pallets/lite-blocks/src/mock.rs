//! A runtime with lite blocks and index links. Stand-ins replace the other pallets, and the tests
//! close the ballots.

pub use epione_mocks::{BodyAtTail, Kept, Now, end_registration, state};

use epione_mocks::{Bodies, Clock, Hospitals, Users, admit, agent_account, begin, register};
use epione_primitives::{
    AccountId, AnnouncementId, Hash, HospitalId, Moment, RecordId, UserId,
    approval::BallotOutcome,
    block::{
        AnnouncedEntries, AnnouncedEntry, AnnouncedHeader, Range, Segment, Segments, record_hash,
        segments_root,
    },
    ports::{self, OnBallotClosed},
};
use frame_support::{
    assert_ok, construct_runtime, derive_impl, dispatch::DispatchResultWithPostInfo,
    parameter_types, weights::constants::ParityDbWeight,
};
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
    type RetentionBlocks = RetentionBlocks;
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
    pub const RetentionBlocks: u32 = 100;
    /// The removed ballots.
    pub static RemovedBallots: Vec<AnnouncementId> = Vec::new();
    /// Whether a ballot needs no other hospital's approval.
    pub static Alone: bool = false;
    /// The open ballots, each with its subject and its opener.
    pub static OpenBallots: Vec<(AnnouncementId, Hash, HospitalId)> = Vec::new();
}

pub struct Ballots;

impl ports::Ballots<AnnouncementId> for Ballots {
    fn open(id: AnnouncementId, verified: Hash, opener: HospitalId) -> DispatchResult {
        if Alone::get() {
            LiteBlocks::on_ballot_closed(id, BallotOutcome::Approved);
        } else {
            OpenBallots::mutate(|open| open.push((id, verified, opener)));
        }
        Ok(())
    }

    fn withdraw(id: AnnouncementId) -> DispatchResult {
        OpenBallots::mutate(|open| {
            let before = open.len();
            open.retain(|(other, ..)| *other != id);
            if open.len() < before { Ok(()) } else { Err(BALLOT_CLOSED) }
        })
    }

    fn remove(id: AnnouncementId) {
        RemovedBallots::mutate(|removed| removed.push(id));
    }
}

/// Closes a ballot like pallet-approvals.
pub fn close(id: AnnouncementId, outcome: BallotOutcome) {
    assert_ok!(<Ballots as ports::Ballots<AnnouncementId>>::withdraw(id));
    LiteBlocks::on_ballot_closed(id, outcome);
}

pub fn agent(hospital: HospitalId) -> RuntimeOrigin {
    RuntimeOrigin::signed(agent_account(hospital.0))
}

/// Two active hospitals and two registered patients.
pub fn externalities() -> TestExternalities {
    begin(START);
    Alone::set(false);
    OpenBallots::set(Vec::new());
    RemovedBallots::set(Vec::new());
    admit([HOME, AWAY]);
    for (hospital, user) in [(HOME, PATIENT), (HOME, OTHER), (AWAY, PATIENT)] {
        register(hospital, user, START);
    }
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

/// The arguments of an announcement.
#[derive(Clone, Debug)]
pub struct Visits {
    pub header: AnnouncedHeader,
    pub entries: AnnouncedEntries,
    pub body: Vec<u8>,
}

/// The id of the record with this index in the block with this seed.
pub fn record(seed: u8, index: u16) -> RecordId {
    let mut id = [seed; 16];
    id[14..].copy_from_slice(&index.to_be_bytes());
    RecordId(id)
}

/// A block of [`HOME`] with one record for each patient, of four bytes and one segment. Blocks with
/// different seeds have different bodies and records.
pub fn visits(seed: u8, patients: &[UserId]) -> Visits {
    let entry = |(patient, index): (&UserId, u16)| AnnouncedEntry {
        record: record(seed, index),
        hash: record_hash(&[seed; 4]),
        patient: *patient,
        text: Range { offset: 4 * u32::from(index), length: 4 },
        media: Range { offset: index.into(), length: 1 },
    };
    let entries: Vec<_> = patients.iter().zip(0_u16..).map(entry).collect();
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

/// Dispatches like an extrinsic: a failed call changes nothing.
pub fn announce(origin: RuntimeOrigin, visits: Visits) -> DispatchResultWithPostInfo {
    let Visits { header, entries, body } = visits;
    RuntimeCall::from(crate::Call::announce { header, entries, body }).dispatch(origin)
}

/// Dispatches like an extrinsic.
pub fn withdraw(origin: RuntimeOrigin, id: u64) -> DispatchResultWithPostInfo {
    RuntimeCall::from(crate::Call::withdraw { id: AnnouncementId(id) }).dispatch(origin)
}

/// Announces a block for [`HOME`] and commits it.
pub fn committed(seed: u8, patients: &[UserId]) {
    let id = crate::NextId::<Test>::get();
    assert_ok!(announce(agent(HOME), visits(seed, patients)));
    close(id, BallotOutcome::Approved);
}
