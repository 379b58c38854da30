//! A runtime with role policies. Stand-ins replace the pallets of hospitals, users, credentials and mandates.

pub use epione_mocks::{
    Now, add_credential, authorize_between, end_registration, pass, register, represent_between,
};

use epione_mocks::{
    Clock, Credentials, Hospitals, Mandates, Users, add_user, admit, agent_account, begin,
    governance_account, set_active, user_account,
};
use epione_primitives::{AccountId, HospitalId, Moment, UserId, profile::Role};
use frame_support::{construct_runtime, derive_impl};
use frame_system::RawOrigin;
use sp_io::TestExternalities;
use sp_runtime::traits::IdentityLookup;

use crate as pallet_role_policies;

construct_runtime!(
    pub struct Test {
        System: frame_system,
        RolePolicies: pallet_role_policies,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = AccountId;
    type Lookup = IdentityLookup<AccountId>;
    type Block = frame_system::mocking::MockBlockU32<Test>;
}

impl pallet_role_policies::Config for Test {
    type WeightInfo = ();
    type Hospitals = Hospitals;
    type Users = Users;
    type Credentials = Credentials;
    type Mandates = Mandates;
    type Time = Clock;
}

/// The hospital of most tests.
pub const HOME: HospitalId = HospitalId(0);
pub const AWAY: HospitalId = HospitalId(1);
pub const SUSPENDED: HospitalId = HospitalId(2);
/// The chain has no such hospital.
pub const NOWHERE: HospitalId = HospitalId(99);

pub const PATIENT: UserId = UserId([1; 32]);
pub const DOCTOR: UserId = UserId([2; 32]);
pub const NURSE: UserId = UserId([3; 32]);
pub const RESEARCHER: UserId = UserId([4; 32]);
/// A doctor registered at [`AWAY`] only.
pub const SPECIALIST: UserId = UserId([5; 32]);
/// Never registered.
pub const STRANGER: UserId = UserId([6; 32]);
pub const OTHER_PATIENT: UserId = UserId([7; 32]);

/// The chain's time at the start of each test.
pub const START: Moment = 1_000_000;

pub fn agent(hospital: HospitalId) -> RuntimeOrigin {
    RuntimeOrigin::signed(agent_account(hospital.0))
}

pub fn governance(hospital: HospitalId) -> RuntimeOrigin {
    RuntimeOrigin::signed(governance_account(hospital.0))
}

pub fn user(user: UserId) -> RuntimeOrigin {
    RuntimeOrigin::signed(user_account(user))
}

/// Origins that no call accepts.
pub fn unsigned() -> [RuntimeOrigin; 2] {
    [RawOrigin::None.into(), RawOrigin::Root.into()]
}

/// Three hospitals, of which the last one is suspended. A specialist is registered at [`AWAY`]; the other users, two
/// patients, a doctor, a nurse and a researcher, at [`HOME`].
pub fn externalities() -> TestExternalities {
    begin(START);
    admit([HOME, AWAY, SUSPENDED]);
    set_active(SUSPENDED, false);
    for (user, role, hospital) in [
        (PATIENT, Role::Patient, HOME),
        (DOCTOR, Role::Doctor, HOME),
        (NURSE, Role::Nurse, HOME),
        (RESEARCHER, Role::Researcher, HOME),
        (SPECIALIST, Role::Doctor, AWAY),
        (OTHER_PATIENT, Role::Patient, HOME),
    ] {
        add_user(user, role);
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
        RolePolicies::check_state().unwrap();
    });
}
