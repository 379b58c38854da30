//! Ballots about numbers among real hospitals, with an owner that records each outcome it receives.

pub use epione_mocks::{agent_account as agent, founder, governance_account as governance};

use epione_primitives::{
    AccountId, Hash, HospitalId,
    approval::{Ballot, BallotOutcome, RejectReason},
    ports::{Ballots as _, OnBallotClosed},
};
use frame_support::{
    assert_ok, construct_runtime, derive_impl, dispatch::DispatchResultWithPostInfo,
    parameter_types, weights::Weight,
};
use frame_system::EnsureRoot;
use sp_runtime::{BuildStorage, DispatchResult, traits::IdentityLookup};

use crate as pallet_approvals;

pub type Block = frame_system::mocking::MockBlock<Test>;
pub type Id = u32;

construct_runtime!(
    pub struct Test {
        System: frame_system,
        Hospitals: pallet_hospitals,
        Approvals: pallet_approvals,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
    type AccountId = AccountId;
    type Lookup = IdentityLookup<AccountId>;
}

impl pallet_hospitals::Config for Test {
    type AdmitOrigin = EnsureRoot<AccountId>;
    type Validators = ();
    type OnInactive = ();
    type OnInactiveWeight = ();
    type MembershipChanged = ();
    type Time = epione_mocks::Clock;
    type WeightInfo = ();
}

parameter_types! {
    /// The outcomes that the owner received, in order.
    pub static Told: Vec<(Id, BallotOutcome)> = vec![];
    pub const OnClosedWeight: Weight = Weight::from_parts(7_000_000, 0);
    pub const OnDiscardedWeight: Weight = Weight::from_parts(3_000_000, 0);
}

/// What the owner needs for closing: less than the maximum.
pub const OWNER_SPENT: Weight = Weight::from_parts(500_000, 0);

pub struct Owner;

impl OnBallotClosed<Id> for Owner {
    fn on_ballot_closed(id: Id, outcome: BallotOutcome) -> Weight {
        assert_eq!(
            ballot(id).outcome,
            Some(outcome),
            "the ballot is closed before its owner is notified"
        );
        Told::mutate(|told| told.push((id, outcome)));
        OWNER_SPENT
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(_: HospitalId) -> Id {
        crate::Ballots::<Test>::iter().count() as Id
    }
}

impl crate::Config for Test {
    type Id = Id;
    type Hospitals = Hospitals;
    type OnClosed = Owner;
    type OnClosedWeight = OnClosedWeight;
    type OnDiscardedWeight = OnDiscardedWeight;
    type WeightInfo = ();
}

/// The origin of a hospital's agent.
pub fn by(number: u16) -> RuntimeOrigin {
    RuntimeOrigin::signed(agent(number))
}

pub fn hospital(number: u16) -> HospitalId {
    HospitalId(number)
}

pub fn externalities(hospitals: u16) -> sp_io::TestExternalities {
    let mut storage = frame_system::GenesisConfig::<Test>::default().build_storage().unwrap();
    pallet_hospitals::GenesisConfig::<Test> {
        founders: (0..hospitals).map(founder).collect(),
        ..Default::default()
    }
    .assimilate_storage(&mut storage)
    .unwrap();
    Told::set(vec![]);
    storage.into()
}

/// Runs a test among this many hospitals, in the first block, and checks the invariants afterwards.
pub fn among(hospitals: u16, test: impl FnOnce()) {
    externalities(hospitals).execute_with(|| {
        System::set_block_number(1);
        test();
        Approvals::check_state().unwrap();
    });
}

/// The hash of what the hospitals verify in the ballot with this id.
pub fn subject(id: Id) -> Hash {
    Hash::from_low_u64_be(id.into())
}

/// Votes about the ballot's subject.
pub fn vote_for(number: u16, id: Id) -> DispatchResultWithPostInfo {
    Approvals::approve(by(number), id, subject(id))
}

/// Votes against the ballot's subject.
pub fn vote_against(number: u16, id: Id, reason: RejectReason) -> DispatchResultWithPostInfo {
    Approvals::reject(by(number), id, subject(id), reason)
}

/// Votes. The result has no post-dispatch information.
pub fn approve(origin: RuntimeOrigin, id: Id) -> DispatchResult {
    Approvals::approve(origin, id, subject(id)).map(drop).map_err(|failed| failed.error)
}

/// Votes. The result has no post-dispatch information.
pub fn reject(origin: RuntimeOrigin, id: Id, reason: RejectReason) -> DispatchResult {
    Approvals::reject(origin, id, subject(id), reason).map(drop).map_err(|failed| failed.error)
}

/// Opens a ballot of this hospital.
pub fn open_of(number: u16, id: Id) -> DispatchResult {
    Approvals::open(id, subject(id), hospital(number))
}

/// Opens a ballot of hospital 0.
pub fn open(id: Id) {
    assert_ok!(open_of(0, id));
}

pub fn ballot(id: Id) -> Ballot {
    Approvals::ballot(id).unwrap()
}

pub fn own_events() -> Vec<crate::Event<Test>> {
    System::read_events_for_pallet::<crate::Event<Test>>()
}
