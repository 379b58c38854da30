//! Users of real hospitals, with the real timestamp pallet as their clock. Bodies are stored in memory.

pub use epione_mocks::BodyAtTail;

use codec::Encode;
use epione_primitives::{
    AccountId, Hash, HospitalId, Moment, Signature, UserId,
    limits::RECOVERY_BLOCKS,
    naming::{Naming, NamingConsent},
    profile::{Profile, Registration, Role},
};
use frame_support::{
    assert_ok, construct_runtime, derive_impl,
    dispatch::DispatchResult,
    traits::{ConstU32, ConstU64},
};
use frame_system::EnsureRoot;
use sp_core::{Pair, sr25519};
use sp_runtime::{BuildStorage, traits::IdentityLookup};

use crate as pallet_profiles;

pub type Block = frame_system::mocking::MockBlock<Test>;

construct_runtime!(
    pub struct Test {
        System: frame_system,
        Timestamp: pallet_timestamp,
        Hospitals: pallet_hospitals,
        Profiles: pallet_profiles,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
    type AccountId = AccountId;
    type Lookup = IdentityLookup<AccountId>;
}

impl pallet_timestamp::Config for Test {
    type Moment = Moment;
    type OnTimestampSet = ();
    type MinimumPeriod = ConstU64<1>;
    type WeightInfo = ();
}

impl pallet_hospitals::Config for Test {
    type AdmitOrigin = EnsureRoot<AccountId>;
    type Validators = ();
    type OnInactive = ();
    type OnInactiveWeight = ();
    type MembershipChanged = ();
    type Time = Timestamp;
    type WeightInfo = ();
}

impl crate::Config for Test {
    type Hospitals = Hospitals;
    type Bodies = epione_mocks::Bodies;
    type Time = Timestamp;
    type RecoveryBlocks = ConstU32<RECOVERY_BLOCKS>;
    type WeightInfo = ();
}

pub const A: HospitalId = HospitalId(0);
pub const B: HospitalId = HospitalId(1);
/// The chain's time at the start of each test.
pub const START: Moment = 1_000;

pub fn agent(hospital: HospitalId) -> AccountId {
    epione_mocks::agent_account(hospital.0)
}

/// The origin of a hospital's agent.
pub fn by(hospital: HospitalId) -> RuntimeOrigin {
    RuntimeOrigin::signed(agent(hospital))
}

/// A key of a user.
pub fn key(seed: u8) -> sr25519::Pair {
    sr25519::Pair::from_seed(&[seed; 32])
}

pub fn account(seed: u8) -> AccountId {
    key(seed).public().into()
}

pub fn sealing_key(seed: u8) -> Hash {
    Hash::repeat_byte(seed)
}

/// The user whose first keys these are.
pub fn user(seed: u8) -> UserId {
    UserId::of(&account(seed), sealing_key(seed))
}

pub fn alice() -> UserId {
    user(1)
}

pub fn genesis() -> Hash {
    System::block_hash(0)
}

pub fn signed(seed: u8, naming: Naming) -> Signature {
    key(seed).sign(&NamingConsent::new(genesis(), naming).encode()).into()
}

/// The consent of a key's holder to the next registration of `user` at a hospital.
pub fn consent(seed: u8, hospital: HospitalId, user: UserId) -> Signature {
    let version =
        crate::Registrations::<Test>::get(user, hospital).map_or(0, |replaced| replaced.version);
    signed(seed, Naming::Registration { hospital, user, version })
}

/// An account, and the consent of its key's holder to become the next account of `user`.
pub fn held(seed: u8, user: UserId) -> (AccountId, Signature) {
    let version = Profiles::profile(user).map_or(0, |profile| profile.version);
    (account(seed), signed(seed, Naming::Rotation { user, version }))
}

/// Registers Alice, a patient with key 1, with a different body at each hospital.
pub fn register(hospital: HospitalId, consent: Signature) -> DispatchResult {
    let body = format!("Alice at {hospital}").into_bytes();
    Profiles::register(
        by(hospital),
        alice(),
        Role::Patient,
        account(1),
        sealing_key(1),
        consent,
        body,
    )
}

/// Registers Alice at hospital A.
pub fn alice_at_a() {
    assert_ok!(register(A, consent(1, A, alice())));
}

pub fn profile() -> Profile {
    Profiles::profile(alice()).unwrap()
}

pub fn registration(hospital: HospitalId) -> Registration {
    Profiles::registration(hospital, alice()).unwrap()
}

pub fn at(moment: Moment) {
    pallet_timestamp::Now::<Test>::put(moment);
}

/// The stored bodies, in order.
pub fn kept() -> Vec<Vec<u8>> {
    epione_mocks::Kept::get().into_iter().map(|(body, _)| body).collect()
}

/// A chain of three hospitals.
pub fn externalities() -> sp_io::TestExternalities {
    with_hospitals(3)
}

fn with_hospitals(count: u16) -> sp_io::TestExternalities {
    epione_mocks::begin(START);
    let mut storage = frame_system::GenesisConfig::<Test>::default().build_storage().unwrap();
    pallet_hospitals::GenesisConfig::<Test> {
        founders: (0..count).map(epione_mocks::founder).collect(),
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

/// Runs a test in the first block of a chain of three hospitals, and checks the invariants afterwards.
pub fn chain(test: impl FnOnce()) {
    chain_of(3, test);
}

/// The same on a chain with another number of hospitals.
pub fn chain_of(hospitals: u16, test: impl FnOnce()) {
    with_hospitals(hospitals).execute_with(|| {
        System::set_block_number(1);
        at(START);
        test();
        Profiles::check_state().unwrap();
    });
}
