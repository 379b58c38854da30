//! A runtime with credentials. Stand-ins replace the pallets of hospitals and users.

pub use epione_mocks::{Now, pass};

use epione_mocks::{
    Clock, Hospitals, Users, add_user, admit, begin, governance_account, set_active, user_account,
};
use epione_primitives::{
    AccountId, HospitalId, Moment, UserId,
    credential::{AttributeId, AttributeName, Credential},
    ports,
    profile::Role,
};
use frame_support::{construct_runtime, derive_impl};
use sp_io::TestExternalities;
use sp_runtime::{
    BuildStorage as _, DispatchResult,
    traits::{Dispatchable as _, IdentityLookup},
};

use crate as pallet_credentials;

construct_runtime!(
    pub struct Test {
        System: frame_system,
        Credentials: pallet_credentials,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = AccountId;
    type Lookup = IdentityLookup<AccountId>;
    type Block = frame_system::mocking::MockBlockU32<Test>;
}

impl pallet_credentials::Config for Test {
    type WeightInfo = ();
    type Hospitals = Hospitals;
    type Users = Users;
    type Time = Clock;
}

pub const ISSUER: HospitalId = HospitalId(0);
pub const OTHER: HospitalId = HospitalId(1);
pub const SUSPENDED: HospitalId = HospitalId(2);

pub const DOCTOR: UserId = UserId([1; 32]);
pub const INSURER: UserId = UserId([2; 32]);
/// Registered nowhere.
pub const STRANGER: UserId = UserId([9; 32]);

/// The attributes of the genesis.
pub const CARDIOLOGY: AttributeId = AttributeId(0);
pub const ONCOLOGY: AttributeId = AttributeId(1);
pub const UNNAMED: AttributeId = AttributeId(2);

/// The chain's time at the start of each test.
pub const START: Moment = 1_000_000;

pub fn governance(hospital: HospitalId) -> RuntimeOrigin {
    RuntimeOrigin::signed(governance_account(hospital.0))
}

pub fn user(user: UserId) -> RuntimeOrigin {
    RuntimeOrigin::signed(user_account(user))
}

pub fn name(name: &str) -> AttributeName {
    AttributeName::try_from(name.as_bytes().to_vec()).unwrap()
}

pub fn holds(user: UserId, attribute: AttributeId, issuer: HospitalId, at: Moment) -> bool {
    <Credentials as ports::Credentials>::holds(user, attribute, issuer, at)
}

pub fn newest(user: UserId, attribute: AttributeId, issuer: HospitalId) -> Option<Credential> {
    crate::Credentials::<Test>::get((user, attribute, issuer))
}

/// Dispatches like an extrinsic: a failed call changes nothing.
fn dispatch(call: crate::Call<Test>, origin: RuntimeOrigin) -> DispatchResult {
    RuntimeCall::from(call).dispatch(origin).map(drop).map_err(|failed| failed.error)
}

pub fn name_attribute(origin: RuntimeOrigin, name: AttributeName) -> DispatchResult {
    dispatch(crate::Call::name_attribute { name }, origin)
}

pub fn issue(
    origin: RuntimeOrigin,
    user: UserId,
    attribute: AttributeId,
    until: Moment,
) -> DispatchResult {
    dispatch(crate::Call::issue { user, attribute, until }, origin)
}

pub fn revoke(origin: RuntimeOrigin, user: UserId, attribute: AttributeId) -> DispatchResult {
    dispatch(crate::Call::revoke { user, attribute }, origin)
}

/// Three hospitals, of which the last one is suspended, two users, and two attributes.
pub fn externalities() -> TestExternalities {
    begin(START);
    admit([ISSUER, OTHER, SUSPENDED]);
    set_active(SUSPENDED, false);
    for (user, role) in [(DOCTOR, Role::Doctor), (INSURER, Role::Insurer)] {
        add_user(user, role);
    }
    with_attributes(&["cardiology", "oncology"])
}

/// A chain whose genesis names these attributes.
pub fn with_attributes(names: &[&str]) -> TestExternalities {
    let attributes = names.iter().map(|name| (*name).to_owned()).collect();
    let genesis = RuntimeGenesisConfig {
        credentials: crate::GenesisConfig { attributes, ..Default::default() },
        ..Default::default()
    };
    let mut externalities = TestExternalities::new(genesis.build_storage().unwrap());
    externalities.execute_with(|| System::set_block_number(1));
    externalities
}

/// Runs `test`, then checks the invariants.
pub fn run(test: impl FnOnce()) {
    externalities().execute_with(|| {
        test();
        Credentials::check_state().unwrap();
    });
}
