//! A runtime with queries. Stand-ins replace the pallets of hospitals, users and lite blocks.

use std::{cell::RefCell, collections::BTreeMap};

use epione_mocks::{Clock, Hospitals, Users, add_user, admit, begin, register, user_account};
use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId, Moment, QueryId, RecordPointer, UserId,
    access::Purpose,
    ports,
    profile::Role,
    query::{QueriedRecords, Query, SealedTermsBytes},
    release::{ReleasedRecord, SectionSet},
};
use frame_support::{construct_runtime, derive_impl};
use sp_io::TestExternalities;
use sp_runtime::{
    DispatchResult,
    traits::{Dispatchable as _, IdentityLookup},
};

use crate as pallet_queries;

construct_runtime!(
    pub struct Test {
        System: frame_system,
        Queries: pallet_queries,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = AccountId;
    type Lookup = IdentityLookup<AccountId>;
    type Block = frame_system::mocking::MockBlockU32<Test>;
}

impl pallet_queries::Config for Test {
    type WeightInfo = ();
    type Hospitals = Hospitals;
    type Users = Users;
    type Records = Records;
    type Time = Clock;
}

/// The hospital of the records.
pub const HOME: HospitalId = HospitalId(0);
/// The hospital of the researcher.
pub const AWAY: HospitalId = HospitalId(1);
pub const NOWHERE: HospitalId = HospitalId(9);

pub const PATIENT: UserId = UserId([1; 32]);
pub const OTHER_PATIENT: UserId = UserId([2; 32]);
pub const RESEARCHER: UserId = UserId([3; 32]);
pub const DOCTOR: UserId = UserId([4; 32]);
pub const STRANGER: UserId = UserId([5; 32]);

/// Records of [`PATIENT`].
pub const FIRST: RecordPointer = RecordPointer { height: 1, index: 7 };
pub const SECOND: RecordPointer = RecordPointer { height: 2, index: 0 };
/// A record of [`OTHER_PATIENT`] in the same lite block.
pub const OTHERS: RecordPointer = RecordPointer { height: 2, index: 1 };
pub const UNCOMMITTED: RecordPointer = RecordPointer { height: 9, index: 0 };

pub const BEGIN: Moment = 1_000_000;
pub const GRANT: Hash = Hash::repeat_byte(3);
/// When acceptances of tests end.
pub const UNTIL: Moment = BEGIN + 10_000;
/// When queries of tests expire.
pub const EXPIRES: BlockNumber = 100;

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

/// Records with these sections, as bits.
pub fn records(records: &[(RecordPointer, u64)]) -> QueriedRecords {
    let record = |&(pointer, bits)| ReleasedRecord { pointer, sections: SectionSet(bits) };
    QueriedRecords::truncate_from(records.iter().map(record).collect())
}

/// The sections for which tests ask: two of the first record, and every section of the second.
pub fn asked_records() -> QueriedRecords {
    records(&[(FIRST, 0b11), (SECOND, u64::MAX)])
}

pub fn terms() -> SealedTermsBytes {
    SealedTermsBytes::truncate_from(b"sealed terms".to_vec())
}

/// Dispatches like an extrinsic: a failed call changes nothing.
pub fn dispatch(call: crate::Call<Test>, origin: RuntimeOrigin) -> DispatchResult {
    RuntimeCall::from(call).dispatch(origin).map(drop).map_err(|failed| failed.error)
}

/// A query of the researcher to the patient that the chain accepts.
pub fn question() -> crate::Call<Test> {
    crate::Call::ask {
        patient: PATIENT,
        records: asked_records(),
        purpose: Purpose::Research,
        expires: EXPIRES,
        terms: terms(),
    }
}

/// Asks the patient. Returns the new query's id.
pub fn ask() -> QueryId {
    let id = QueryId(crate::QueryCount::<Test>::get());
    dispatch(question(), user(RESEARCHER)).unwrap();
    id
}

/// Accepts everything for which the researcher asked, with the home hospital as the mailbox.
pub fn acceptance(query: QueryId) -> crate::Call<Test> {
    let records = asked_records();
    crate::Call::accept { query, records, grant: GRANT, until: UNTIL, mailbox: HOME }
}

pub fn accept(query: QueryId) {
    dispatch(acceptance(query), user(PATIENT)).unwrap();
}

pub fn refuse(origin: RuntimeOrigin, query: QueryId) -> DispatchResult {
    dispatch(crate::Call::refuse { query }, origin)
}

pub fn withdraw(origin: RuntimeOrigin, query: QueryId) -> DispatchResult {
    dispatch(crate::Call::withdraw { query }, origin)
}

pub fn transfer(origin: RuntimeOrigin, query: QueryId) -> DispatchResult {
    dispatch(crate::Call::transfer { query }, origin)
}

pub fn query(id: QueryId) -> Query {
    Queries::query(id).unwrap()
}

pub fn externalities() -> TestExternalities {
    begin(BEGIN);
    admit([HOME, AWAY]);
    for (user, role) in [
        (PATIENT, Role::Patient),
        (OTHER_PATIENT, Role::Patient),
        (RESEARCHER, Role::Researcher),
        (DOCTOR, Role::Doctor),
        (STRANGER, Role::Researcher),
    ] {
        add_user(user, role);
    }
    for (hospital, user) in
        [(HOME, PATIENT), (HOME, OTHER_PATIENT), (HOME, DOCTOR), (AWAY, RESEARCHER)]
    {
        register(hospital, user, 0);
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
        Queries::check_state().unwrap();
    });
}
