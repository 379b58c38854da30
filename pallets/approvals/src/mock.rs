//! Ballots over numbers among real hospitals, with an owner that notes what it is told.

use epione_primitives::{
    AccountId, HospitalId,
    approval::{Ballot, BallotOutcome},
    hospital::Founder,
    ports::{Ballots as _, OnBallotClosed},
};
use frame_support::{assert_ok, derive_impl, parameter_types, traits::Everything, weights::Weight};
use frame_system::EnsureRoot;
use sp_runtime::{BuildStorage, traits::IdentityLookup};

use crate as pallet_approvals;

pub type Block = frame_system::mocking::MockBlock<Test>;
pub type Subject = u32;

#[frame_support::runtime]
mod runtime {
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeFreezeReason,
        RuntimeHoldReason,
        RuntimeSlashReason,
        RuntimeLockId,
        RuntimeTask,
        RuntimeViewFunction
    )]
    pub struct Test;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;
    #[runtime::pallet_index(1)]
    pub type Hospitals = pallet_hospitals;
    #[runtime::pallet_index(2)]
    pub type Approvals = pallet_approvals;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
    type AccountId = AccountId;
    type Lookup = IdentityLookup<AccountId>;
}

impl pallet_hospitals::Config for Test {
    type AdmitOrigin = EnsureRoot<AccountId>;
    type SessionKeys = Everything;
    type MembershipChanged = ();
    type WeightInfo = ();
}

parameter_types! {
    /// What the owner was told, in order.
    pub static Told: Vec<(Subject, BallotOutcome)> = vec![];
    pub const OnClosedWeight: Weight = Weight::from_parts(7_000_000, 0);
    pub const OnDiscardedWeight: Weight = Weight::from_parts(3_000_000, 0);
}

pub struct Owner;

impl OnBallotClosed<Subject> for Owner {
    fn on_ballot_closed(subject: Subject, outcome: BallotOutcome) {
        assert_eq!(ballot(subject).outcome, Some(outcome), "told before the ballot is closed");
        Told::mutate(|told| told.push((subject, outcome)));
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(_: HospitalId) -> Subject {
        crate::Ballots::<Test>::iter().count() as Subject
    }
}

impl crate::Config for Test {
    type Subject = Subject;
    type Hospitals = Hospitals;
    type OnClosed = Owner;
    type OnClosedWeight = OnClosedWeight;
    type OnDiscardedWeight = OnDiscardedWeight;
    type WeightInfo = ();
}

pub fn governance(number: u8) -> AccountId {
    AccountId::new([number + 1; 32])
}

pub fn agent(number: u8) -> AccountId {
    AccountId::new([number + 101; 32])
}

/// The origin of a hospital's agent.
pub fn by(number: u8) -> RuntimeOrigin {
    RuntimeOrigin::signed(agent(number))
}

pub fn hospital(number: u8) -> HospitalId {
    HospitalId(u16::from(number))
}

pub fn founder(number: u8) -> Founder {
    Founder {
        name: format!("Hospital {number}").into_bytes(),
        governance: governance(number),
        agent: agent(number),
        worker_url: b"https://hospital.example".to_vec(),
        sealing_key: vec![1, number],
        tls_key: [number; 32],
    }
}

pub fn externalities(hospitals: u8) -> sp_io::TestExternalities {
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

/// Runs a test among so many hospitals, in the first block, and checks the invariants afterwards.
pub fn among(hospitals: u8, test: impl FnOnce()) {
    externalities(hospitals).execute_with(|| {
        System::set_block_number(1);
        test();
        Approvals::do_try_state().unwrap();
    });
}

/// Opens a ballot of hospital 0.
pub fn open(subject: Subject) {
    assert_ok!(Approvals::open(subject, hospital(0)));
}

pub fn ballot(subject: Subject) -> Ballot {
    Approvals::ballot(subject).unwrap()
}

pub fn own_events() -> Vec<crate::Event<Test>> {
    System::read_events_for_pallet::<crate::Event<Test>>()
}
