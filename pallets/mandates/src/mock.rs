//! A runtime with mandates. Stand-ins replace the pallets of hospitals and users.

pub use epione_mocks::{Now, end_registration, pass, register, set_active};

use epione_mocks::{Clock, Hospitals, Users, add_user, admit, begin, user_account};
use epione_primitives::{AccountId, HospitalId, Moment, UserId, profile::Role};
use frame_support::{construct_runtime, derive_impl};
use sp_io::TestExternalities;
use sp_runtime::{
    DispatchResult,
    traits::{Dispatchable as _, IdentityLookup},
};

use crate as pallet_mandates;

construct_runtime!(
    pub struct Test {
        System: frame_system,
        Mandates: pallet_mandates,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = AccountId;
    type Lookup = IdentityLookup<AccountId>;
    type Block = frame_system::mocking::MockBlockU32<Test>;
}

impl pallet_mandates::Config for Test {
    type WeightInfo = ();
    type Hospitals = Hospitals;
    type Users = Users;
    type Time = Clock;
}

pub const HOME: HospitalId = HospitalId(0);
/// The hospital at which the parents are registered.
pub const AWAY: HospitalId = HospitalId(1);
pub const NOWHERE: HospitalId = HospitalId(9);

pub const CHILD: UserId = UserId([1; 32]);
pub const OTHER_PATIENT: UserId = UserId([2; 32]);
pub const MOTHER: UserId = UserId([3; 32]);
pub const FATHER: UserId = UserId([4; 32]);
/// Others whom a patient can appoint.
pub const GUARDIANS: [UserId; 3] = [UserId([51; 32]), UserId([52; 32]), UserId([53; 32])];
pub const DOCTOR: UserId = UserId([6; 32]);
/// Never registered.
pub const STRANGER: UserId = UserId([7; 32]);

/// The chain's time at the start of each test.
pub const BEGIN: Moment = 1_000_000;
/// When mandates of tests are over.
pub const UNTIL: Moment = BEGIN + 10_000;

pub fn user(user: UserId) -> RuntimeOrigin {
    RuntimeOrigin::signed(user_account(user))
}

/// Dispatches like an extrinsic: a failed call changes nothing.
pub fn dispatch(call: crate::Call<Test>, origin: RuntimeOrigin) -> DispatchResult {
    RuntimeCall::from(call).dispatch(origin).map(drop).map_err(|failed| failed.error)
}

/// The child appoints a representative.
pub fn appoint(representative: UserId, until: Moment) -> DispatchResult {
    dispatch(crate::Call::appoint { representative, until }, user(CHILD))
}

pub fn dismiss(signer: UserId, representative: UserId) -> DispatchResult {
    dispatch(crate::Call::dismiss { patient: CHILD, representative }, user(signer))
}

/// The child authorizes a hospital.
pub fn authorize(hospital: HospitalId, until: Moment) -> DispatchResult {
    dispatch(crate::Call::authorize { hospital, until }, user(CHILD))
}

pub fn revoke(hospital: HospitalId) -> DispatchResult {
    dispatch(crate::Call::revoke { hospital }, user(CHILD))
}

/// The child entrusts the patient keys at a hospital.
pub fn entrust(hospital: HospitalId, until: Moment) -> DispatchResult {
    dispatch(crate::Call::entrust { hospital, until }, user(CHILD))
}

pub fn end_custody(hospital: HospitalId) -> DispatchResult {
    dispatch(crate::Call::end_custody { hospital }, user(CHILD))
}

/// Two hospitals. Patients and a doctor are registered at the first, the parents and other guardians at the second.
pub fn externalities() -> TestExternalities {
    begin(BEGIN);
    admit([HOME, AWAY]);
    for (user, role, hospital) in [
        (CHILD, Role::Patient, HOME),
        (OTHER_PATIENT, Role::Patient, HOME),
        (DOCTOR, Role::Doctor, HOME),
        (MOTHER, Role::Patient, AWAY),
        (FATHER, Role::Patient, AWAY),
    ] {
        add_user(user, role);
        register(hospital, user, 0);
    }
    for guardian in GUARDIANS {
        add_user(guardian, Role::Patient);
        register(AWAY, guardian, 0);
    }
    let mut externalities = TestExternalities::default();
    externalities.execute_with(|| System::set_block_number(1));
    externalities
}

/// Runs `test`, then checks the invariants.
pub fn run(test: impl FnOnce()) {
    externalities().execute_with(|| {
        test();
        Mandates::check_state().unwrap();
    });
}
