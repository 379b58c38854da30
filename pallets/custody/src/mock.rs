//! A runtime with custody. Stand-ins replace the other pallets. The wraps are real ones.

use epione_mocks::{
    Clock, ConsortiumKey, Hospitals, Mandates, Users, add_user, admit, agent_account, begin,
    begin_epoch, entrust, register, remove_hospital, user_account,
};
use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId, Moment, UserId,
    consortium::{EpochId, KeyId},
    custody::{ClaimId, ClaimedPatients, CustodyLabel, Kept},
    limits::CUSTODIAN_BLOCKS,
    ports,
    profile::Role,
};
use epione_threshold::{MixingSecret, Point, Share, Wrap};
use frame_support::{construct_runtime, derive_impl, traits::ConstU32};
use sp_io::TestExternalities;
use sp_runtime::{
    DispatchResult,
    traits::{Dispatchable as _, IdentityLookup},
};

use crate as pallet_custody;

construct_runtime!(
    pub struct Test {
        System: frame_system,
        Custody: pallet_custody,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = AccountId;
    type Lookup = IdentityLookup<AccountId>;
    type Block = frame_system::mocking::MockBlockU32<Test>;
}

impl pallet_custody::Config for Test {
    type WeightInfo = ();
    type Hospitals = Hospitals;
    type Users = Users;
    type Mandates = Mandates;
    type ConsortiumKey = ConsortiumKey;
    type Time = Clock;
    type CustodianBlocks = ConstU32<CUSTODIAN_BLOCKS>;
}

/// The hospital that leaves.
pub const DEPARTED: HospitalId = HospitalId(0);
pub const HEIR: HospitalId = HospitalId(1);
pub const THIRD: HospitalId = HospitalId(2);
/// Active, but has no share.
pub const OUTSIDE: HospitalId = HospitalId(3);
pub const NOWHERE: HospitalId = HospitalId(9);

/// Registered at [`DEPARTED`] and [`HEIR`], and entrusts the keys at [`DEPARTED`].
pub const PATIENT: UserId = UserId([1; 32]);
/// The same.
pub const OTHER_PATIENT: UserId = UserId([2; 32]);
/// The same, but entrusts nothing.
pub const RELUCTANT: UserId = UserId([3; 32]);

pub const KEY: KeyId = KeyId(2);
pub const EPOCH: EpochId = EpochId(5);
pub const GENESIS: Hash = Hash::repeat_byte(9);

pub const START: Moment = 1_000_000;

pub fn user(user: UserId) -> RuntimeOrigin {
    RuntimeOrigin::signed(user_account(user))
}

pub fn agent(hospital: HospitalId) -> RuntimeOrigin {
    RuntimeOrigin::signed(agent_account(hospital.0))
}

/// Dispatches like an extrinsic: a failed call changes nothing.
pub fn dispatch(call: crate::Call<Test>, origin: RuntimeOrigin) -> DispatchResult {
    RuntimeCall::from(call).dispatch(origin).map(drop).map_err(|failed| failed.error)
}

/// The public half of a consortium key whose secret half is 7.
pub fn public_key() -> Point {
    let mut secret = [0; 32];
    secret[0] = 7;
    Share::decode(&secret).unwrap().public().unwrap()
}

pub fn profile_body(hospital: HospitalId, patient: UserId) -> Hash {
    <Users as ports::Users>::profile_body(hospital, patient).unwrap()
}

/// The label of a patient's newest key at the hospital that leaves.
pub fn label(patient: UserId) -> CustodyLabel {
    CustodyLabel {
        genesis: GENESIS,
        key: KEY,
        epoch: EPOCH,
        hospital: DEPARTED,
        patient,
        profile: profile_body(DEPARTED, patient),
    }
}

/// The wrap of a patient key, bound to these bytes.
pub fn wrap_for(label: &[u8]) -> [u8; 168] {
    let mixing = MixingSecret::from_bytes([1; 32]);
    Wrap::make(&public_key(), &mixing, label, &[100; 32]).encode()
}

pub fn wrap_of(label: &CustodyLabel) -> [u8; 168] {
    wrap_for(&label.bytes())
}

/// A call that publishes these bytes as the wrap of a patient's newest key.
pub fn publication(patient: UserId, profile: Hash, wrap: [u8; 168]) -> crate::Call<Test> {
    crate::Call::keep { patient, profile, wrap }
}

/// The hospital of a label publishes its wrap.
pub fn keep(of: &CustodyLabel) -> DispatchResult {
    dispatch(publication(of.patient, of.profile, wrap_of(of)), agent(of.hospital))
}

pub fn kept(patient: UserId) -> Option<Kept> {
    crate::KeptKeys::<Test>::get(DEPARTED, patient)
}

pub fn appoint(custodian: HospitalId) -> DispatchResult {
    let call = crate::Call::appoint { departed: DEPARTED, custodian };
    dispatch(call, RuntimeOrigin::root())
}

pub fn dismiss() -> DispatchResult {
    dispatch(crate::Call::dismiss { departed: DEPARTED }, RuntimeOrigin::root())
}

pub fn claim_as(custodian: HospitalId, patients: &[UserId]) -> DispatchResult {
    let patients = ClaimedPatients::truncate_from(patients.to_vec());
    dispatch(crate::Call::claim { departed: DEPARTED, patients }, agent(custodian))
}

pub fn claim(patients: &[UserId]) -> DispatchResult {
    claim_as(HEIR, patients)
}

pub fn hand_out(hospital: HospitalId, claim: ClaimId) -> DispatchResult {
    dispatch(crate::Call::hand_out { claim }, agent(hospital))
}

/// Lets some blocks pass, but no time.
pub fn pass_blocks(count: BlockNumber) {
    System::set_block_number(System::block_number() + count);
}

/// The hospital keeps the keys of both patients, and is removed. The others make new shares without it.
pub fn depart() {
    keep(&label(PATIENT)).unwrap();
    keep(&label(OTHER_PATIENT)).unwrap();
    remove_hospital(DEPARTED);
    begin_epoch(KEY, EpochId(6), [HEIR, THIRD]);
}

/// The hospital departs, and the custodian may claim.
pub fn inherit() {
    depart();
    appoint(HEIR).unwrap();
    pass_blocks(CUSTODIAN_BLOCKS);
}

/// The custodian claimed the keys of both patients.
pub fn claimed() -> ClaimId {
    inherit();
    claim(&[PATIENT, OTHER_PATIENT]).unwrap();
    ClaimId(0)
}

pub fn externalities() -> TestExternalities {
    begin(START);
    admit([DEPARTED, HEIR, THIRD, OUTSIDE]);
    begin_epoch(KEY, EPOCH, [DEPARTED, HEIR, THIRD]);
    for patient in [PATIENT, OTHER_PATIENT, RELUCTANT] {
        add_user(patient, Role::Patient);
        register(DEPARTED, patient, 0);
        register(HEIR, patient, 0);
    }
    entrust(PATIENT, DEPARTED);
    entrust(OTHER_PATIENT, DEPARTED);
    let mut externalities = TestExternalities::default();
    externalities.execute_with(|| {
        System::set_block_number(1);
        frame_system::BlockHash::<Test>::insert(0_u32, GENESIS);
    });
    externalities
}

/// Runs `test`, then checks the invariants.
pub fn run(test: impl FnOnce()) {
    externalities().execute_with(|| {
        test();
        Custody::check_state().unwrap();
    });
}
