//! A runtime with queries. Stand-ins replace the pallets of hospitals, users and lite blocks.

use std::{cell::RefCell, collections::BTreeMap};

use epione_mocks::{
    Clock, Hospitals, Mandates, Users, add_user, admit, begin, register, user_account,
};
use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId, Moment, QueryId, RecordPointer, UserId,
    access::Purpose,
    ports::{self, Users as _},
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
    type Mandates = Mandates;
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
/// A parent of [`PATIENT`], whom no test has appointed yet.
pub const PARENT: UserId = UserId([6; 32]);
pub const STRANGER: UserId = UserId([5; 32]);
/// Other researchers of the researcher's hospital.
pub const COLLEAGUES: [UserId; 4] =
    [UserId([61; 32]), UserId([62; 32]), UserId([63; 32]), UserId([64; 32])];

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

    /// The calls of this pallet do not depend on it.
    fn committed_at(pointer: RecordPointer) -> Option<Moment> {
        <Self as ports::Records>::owner(pointer).map(|_| 0)
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

/// The hash of a user's first sealing key.
pub fn first_key(user: UserId) -> Hash {
    Hash::from(user.0)
}

/// A query to a patient that the chain accepts of a requester who is registered at this hospital.
pub fn question_to(
    patient: UserId,
    records: QueriedRecords,
    hospital: HospitalId,
    expires: BlockNumber,
) -> crate::Call<Test> {
    crate::Call::ask {
        hospital,
        patient,
        patient_key: first_key(patient),
        records,
        purpose: Purpose::Research,
        expires,
        terms: terms(),
    }
}

/// A query to the patient of a requester who is registered at this hospital.
pub fn question_for(hospital: HospitalId) -> crate::Call<Test> {
    question_to(PATIENT, asked_records(), hospital, EXPIRES)
}

/// A query of the researcher, or a colleague, to the patient.
pub fn question() -> crate::Call<Test> {
    question_for(AWAY)
}

/// A query like [`question`] that expires later.
pub fn later_question() -> crate::Call<Test> {
    question_to(PATIENT, asked_records(), AWAY, EXPIRES + 100)
}

/// Sends the call of a requester. Returns the new query's id.
pub fn ask_with(call: crate::Call<Test>, requester: UserId) -> QueryId {
    let id = QueryId(crate::QueryCount::<Test>::get());
    dispatch(call, user(requester)).unwrap();
    id
}

/// The researcher asks the patient.
pub fn ask() -> QueryId {
    ask_with(question(), RESEARCHER)
}

/// Adds a patient with a record. Returns what the patient can be asked for.
pub fn another_patient(byte: u8) -> (UserId, QueriedRecords) {
    let (patient, pointer) =
        (UserId([byte; 32]), RecordPointer { height: u32::from(byte), index: 0 });
    add_user(patient, Role::Patient);
    OWNERS.with_borrow_mut(|all| all.insert(pointer, patient));
    (patient, records(&[(pointer, 1)]))
}

/// What each of four patients can be asked for.
pub fn four_patients() -> [(UserId, QueriedRecords); 4] {
    let of_another = records(&[(OTHERS, 1)]);
    let [third, fourth] = [51, 52].map(another_patient);
    [(PATIENT, asked_records()), (OTHER_PATIENT, of_another), third, fourth]
}

/// The hash of a query and the requester's current keys, which a patient considers before accepting. Zero if there is
/// no such query.
pub fn considered(id: QueryId) -> Hash {
    Queries::query(id).map_or_else(Hash::zero, |query| {
        let account = Users::account(query.requester).unwrap();
        query.considered(id, &account, Users::sealing_key(query.requester).unwrap())
    })
}

pub fn acceptance_of(
    query: QueryId,
    records: QueriedRecords,
    until: Moment,
    mailbox: HospitalId,
) -> crate::Call<Test> {
    let considered = considered(query);
    crate::Call::accept { query, considered, records, grant: GRANT, until, mailbox }
}

/// Accepts everything for which the researcher asked, with the home hospital as the mailbox.
pub fn acceptance(query: QueryId) -> crate::Call<Test> {
    acceptance_of(query, asked_records(), UNTIL, HOME)
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
        (PARENT, Role::Patient),
        (STRANGER, Role::Researcher),
    ] {
        add_user(user, role);
    }
    for colleague in COLLEAGUES {
        add_user(colleague, Role::Researcher);
        register(AWAY, colleague, 0);
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
