//! A runtime with sharing. Stand-ins replace the pallets of users and lite blocks.

use std::{cell::RefCell, collections::BTreeMap};

use epione_mocks::{Users, add_user, begin, user_account};
use epione_primitives::{
    AccountId, HospitalId, RecordPointer, UserId, ports, profile::Role, release::SectionSet,
};
use frame_support::{construct_runtime, derive_impl};
use sp_io::TestExternalities;
use sp_runtime::{
    DispatchResult,
    traits::{Dispatchable as _, IdentityLookup},
};

use crate as pallet_sharing;

construct_runtime!(
    pub struct Test {
        System: frame_system,
        Sharing: pallet_sharing,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = AccountId;
    type Lookup = IdentityLookup<AccountId>;
    type Block = frame_system::mocking::MockBlockU32<Test>;
}

impl pallet_sharing::Config for Test {
    type WeightInfo = ();
    type Users = Users;
    type Records = Records;
}

pub const HOME: HospitalId = HospitalId(0);
pub const PATIENT: UserId = UserId([1; 32]);
pub const OTHER_PATIENT: UserId = UserId([2; 32]);
pub const DOCTOR: UserId = UserId([3; 32]);

/// Records of [`PATIENT`].
pub const FIRST: RecordPointer = RecordPointer { height: 1, index: 7 };
pub const SECOND: RecordPointer = RecordPointer { height: 2, index: 0 };
/// A record of [`OTHER_PATIENT`] in the same lite block.
pub const OTHERS: RecordPointer = RecordPointer { height: 2, index: 1 };
pub const UNCOMMITTED: RecordPointer = RecordPointer { height: 9, index: 0 };

thread_local! {
    static OWNERS: RefCell<BTreeMap<RecordPointer, UserId>> = Default::default();
}

pub struct Records;

impl ports::Records for Records {
    fn owner(pointer: RecordPointer) -> Option<(UserId, HospitalId)> {
        OWNERS.with_borrow(|all| all.get(&pointer).map(|patient| (*patient, HOME)))
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(_: HospitalId, patient: UserId, height: u32) -> RecordPointer {
        let pointer = RecordPointer { height, index: 511 };
        OWNERS.with_borrow_mut(|all| all.insert(pointer, patient));
        pointer
    }
}

pub fn user(user: UserId) -> RuntimeOrigin {
    RuntimeOrigin::signed(user_account(user))
}

pub fn sections(indices: &[u16]) -> SectionSet {
    let mut sections = SectionSet::default();
    assert!(indices.iter().all(|index| sections.insert(*index)));
    sections
}

pub fn shared(pointer: RecordPointer) -> SectionSet {
    <Sharing as ports::Sharing>::shared(pointer)
}

/// Dispatches like an extrinsic: a failed call changes nothing.
fn dispatch(call: crate::Call<Test>, origin: RuntimeOrigin) -> DispatchResult {
    RuntimeCall::from(call).dispatch(origin).map(drop).map_err(|failed| failed.error)
}

pub fn share(
    origin: RuntimeOrigin,
    pointer: RecordPointer,
    sections: SectionSet,
) -> DispatchResult {
    dispatch(crate::Call::share { pointer, sections }, origin)
}

pub fn unshare(
    origin: RuntimeOrigin,
    pointer: RecordPointer,
    sections: SectionSet,
) -> DispatchResult {
    dispatch(crate::Call::unshare { pointer, sections }, origin)
}

pub fn externalities() -> TestExternalities {
    begin(0);
    for (user, role) in
        [(PATIENT, Role::Patient), (OTHER_PATIENT, Role::Patient), (DOCTOR, Role::Doctor)]
    {
        add_user(user, role);
    }
    OWNERS.set([(FIRST, PATIENT), (SECOND, PATIENT), (OTHERS, OTHER_PATIENT)].into());
    let mut externalities = TestExternalities::default();
    externalities.execute_with(|| System::set_block_number(1));
    externalities
}

/// Runs `test`, then checks the invariants.
pub fn run(test: impl FnOnce()) {
    externalities().execute_with(|| {
        test();
        Sharing::check_state().unwrap();
    });
}
