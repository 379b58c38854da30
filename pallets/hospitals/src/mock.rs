//! A runtime with hospitals and the real session, offences and council pallets.

pub use epione_mocks::{agent_account as agent, founder, governance_account as governance};

use codec::Encode;
use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId,
    hospital::{Duty, Hospital},
    naming::{NamedAccount, Naming, NamingConsent},
    ports::OnHospitalInactive,
};
use frame_support::{
    construct_runtime, derive_impl, parameter_types,
    traits::{ConstU32, ConstU64},
    weights::Weight,
};
use frame_system::{EnsureNever, EnsureRoot};
use pallet_session::historical as session_historical;
use sp_core::{Pair, sr25519};
use sp_runtime::{BuildStorage, testing::UintAuthorityId, traits::IdentityLookup};

use crate as pallet_hospitals;

pub type Block = frame_system::mocking::MockBlock<Test>;
pub type Council = pallet_collective::Instance1;

construct_runtime! {
    pub struct Test {
        System: frame_system,
        Balances: pallet_balances,
        Offences: pallet_offences,
        Historical: session_historical,
        Hospitals: pallet_hospitals,
        Session: pallet_session,
        CouncilMotions: pallet_collective::<Instance1>,
    }
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
    type AccountId = AccountId;
    type Lookup = IdentityLookup<AccountId>;
    type AccountData = pallet_balances::AccountData<u64>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type AccountStore = System;
}

sp_runtime::impl_opaque_keys! {
    pub struct Keys {
        pub dummy: UintAuthorityId,
    }
}

/// Number of blocks in a session.
pub const SESSION: u64 = 5;

impl pallet_session::Config for Test {
    type RuntimeEvent = RuntimeEvent;
    type ValidatorId = HospitalId;
    type ValidatorIdOf = crate::ValidatorIdOf<Test>;
    type ShouldEndSession = pallet_session::PeriodicSessions<ConstU64<SESSION>, ConstU64<0>>;
    type NextSessionRotation = pallet_session::PeriodicSessions<ConstU64<SESSION>, ConstU64<0>>;
    type SessionManager = session_historical::NoteHistoricalRoot<Test, Hospitals>;
    type SessionHandler = pallet_session::TestSessionHandler;
    type Keys = Keys;
    type DisablingStrategy = ();
    type WeightInfo = ();
    type Currency = Balances;
    type KeyDeposit = ConstU64<0>;
}

impl session_historical::Config for Test {
    type RuntimeEvent = RuntimeEvent;
    type FullIdentification = ();
    type FullIdentificationOf = crate::FullIdentificationOf;
}

impl pallet_offences::Config for Test {
    type RuntimeEvent = RuntimeEvent;
    type IdentificationTuple = session_historical::IdentificationTuple<Test>;
    type OnOffenceHandler = Hospitals;
}

parameter_types! {
    pub const MaxProposalWeight: Weight = Weight::MAX;
}

impl pallet_collective::Config<Council> for Test {
    type RuntimeOrigin = RuntimeOrigin;
    type Proposal = RuntimeCall;
    type RuntimeEvent = RuntimeEvent;
    type MotionDuration = ConstU64<10>;
    type MaxProposals = ConstU32<10>;
    type MaxMembers = ConstU32<100>;
    type DefaultVote = pallet_collective::PrimeDefaultVote;
    type SetMembersOrigin = EnsureNever<()>;
    type MaxProposalWeight = MaxProposalWeight;
    type DisapproveOrigin = EnsureRoot<AccountId>;
    type KillOrigin = EnsureRoot<AccountId>;
    type Consideration = ();
    type WeightInfo = ();
}

parameter_types! {
    /// The hospitals that were reported as inactive, in order.
    pub static Inactive: Vec<HospitalId> = Vec::new();
    /// The hospitals whose nodes make no blocks.
    pub static Silent: Vec<u16> = Vec::new();
}

/// Passes disabled validators to the session pallet, and notes inactive hospitals.
pub struct Effects;

impl crate::Validators for Effects {
    fn session() -> sp_staking::SessionIndex {
        Session::current_index()
    }

    fn current() -> Vec<HospitalId> {
        Session::validators()
    }

    fn has_keys(hospital: HospitalId) -> bool {
        pallet_session::NextKeys::<Test>::contains_key(hospital)
    }

    fn disable(hospital: HospitalId) {
        if let Some(index) = Session::validator_id_to_index(&hospital) {
            Session::disable_index(index);
        }
    }

    fn enable(hospital: HospitalId) {
        if let Some(index) = Session::validator_id_to_index(&hospital) {
            Session::reenable_index(index);
        }
    }

    fn purge_keys(hospital: HospitalId) {
        pallet_session::NextKeys::<Test>::remove(hospital);
    }
}

impl OnHospitalInactive for Effects {
    fn on_hospital_inactive(hospital: HospitalId) {
        Inactive::mutate(|inactive| inactive.push(hospital));
    }
}

impl crate::Config for Test {
    type AdmitOrigin = pallet_collective::EnsureProportionMoreThan<AccountId, Council, 1, 2>;
    type Validators = Effects;
    type OnInactive = Effects;
    type OnInactiveWeight = ();
    type MembershipChanged = CouncilMotions;
    type Time = epione_mocks::Clock;
    type WeightInfo = ();
}

/// The key of an account that belongs to no hospital yet.
pub fn key(number: u16, duty: Duty) -> sr25519::Pair {
    sr25519::Pair::from_string(&format!("//{number}//{duty:?}"), None).unwrap()
}

/// An account that belongs to no hospital.
pub fn stranger(number: u16) -> AccountId {
    key(number, Duty::Governance).public().into()
}

pub fn genesis() -> Hash {
    System::block_hash(0)
}

/// The account of a key, which consents to a duty at a hospital until a block.
pub fn consenting(
    key: &sr25519::Pair,
    genesis: Hash,
    hospital: HospitalId,
    duty: Duty,
    until: BlockNumber,
) -> NamedAccount {
    let message = NamingConsent::new(genesis, Naming::Hospital { hospital, duty, until });
    let consent = key.sign(&message.encode()).into();
    NamedAccount { account: key.public().into(), until, consent }
}

/// The account of key `number`, which consents to a duty at a hospital.
pub fn named(number: u16, hospital: u16, duty: Duty) -> NamedAccount {
    let until = System::block_number() as BlockNumber + 10;
    consenting(&key(number, duty), genesis(), HospitalId(hospital), duty, until)
}

/// The call that admits the next hospital, which gets this number.
pub fn admission(number: u16) -> crate::Call<Test> {
    let founder = founder(number);
    crate::Call::admit {
        name: founder.name.try_into().unwrap(),
        governance: named(number, number, Duty::Governance),
        agent: named(number, number, Duty::Agent),
        worker_url: founder.worker_url.try_into().unwrap(),
        sealing_key: founder.sealing_key.try_into().unwrap(),
        tls_key: founder.tls_key,
    }
}

pub fn keys(number: u16) -> Keys {
    Keys { dummy: UintAuthorityId(u64::from(number)) }
}

/// More than half of the council.
pub fn council() -> RuntimeOrigin {
    pallet_collective::RawOrigin::Members(2, 3).into()
}

pub fn entry(number: u16) -> Hospital {
    Hospitals::hospital(HospitalId(number)).unwrap()
}

/// A chain of `founders` hospitals, each with session keys.
pub fn externalities(founders: u16) -> sp_io::TestExternalities {
    epione_mocks::Now::set(0);
    let mut storage = frame_system::GenesisConfig::<Test>::default().build_storage().unwrap();
    crate::GenesisConfig::<Test> {
        founders: (0..founders).map(founder).collect(),
        ..Default::default()
    }
    .assimilate_storage(&mut storage)
    .unwrap();
    pallet_session::GenesisConfig::<Test> {
        keys: (0..founders)
            .map(|number| (governance(number), HospitalId(number), keys(number)))
            .collect(),
        ..Default::default()
    }
    .assimilate_storage(&mut storage)
    .unwrap();
    let mut externalities = sp_io::TestExternalities::from(storage);
    externalities.register_extension(sp_keystore::KeystoreExt::new(
        sp_keystore::testing::MemoryKeystore::new(),
    ));
    externalities
}

/// Runs a test on such a chain, in its first block, and checks the invariants afterwards.
pub fn chain(founders: u16, test: impl FnOnce()) {
    externalities(founders).execute_with(|| {
        System::set_block_number(1);
        Inactive::set(Vec::new());
        Silent::set(Vec::new());
        test();
        Hospitals::check_state().unwrap();
    });
}

/// Lets each validator that is neither disabled nor silent make a block.
pub fn make_blocks() {
    for (index, hospital) in (0_u32..).zip(validators()) {
        if !disabled().contains(&index) && !Silent::get().contains(&hospital) {
            Hospitals::note_author(&entry(hospital).governance);
        }
    }
}

/// Makes blocks up to the one that begins the next session.
pub fn next_session() {
    make_blocks();
    let begin = (System::block_number() / SESSION + 1) * SESSION;
    System::run_to_block::<AllPalletsWithSystem>(begin);
}

pub fn validators() -> Vec<u16> {
    Session::validators().into_iter().map(|HospitalId(number)| number).collect()
}

/// The validators that make no blocks in this session.
pub fn disabled() -> Vec<u32> {
    Session::disabled_validators()
}

pub fn council_members() -> Vec<AccountId> {
    pallet_collective::Members::<Test, Council>::get()
}
