//! A runtime with sharing. Stand-ins replace the other pallets.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use epione_mocks::{
    Clock, Hospitals, add_user, admit, agent_account, begin, register, user_account,
};
pub use epione_mocks::{Now, Users, pass, set_active};
use epione_primitives::{
    AccountId, HospitalId, Moment, RecordPointer, UserId,
    access::Purpose,
    credential::AttributeId,
    ports,
    profile::Role,
    release::{ReleasedRecord, SectionSet},
    sharing::{Change, Consent, KindSet, RecordedPeriod, SlotId, SlotSet, Term},
};
use frame_support::{BoundedVec, construct_runtime, derive_impl};
use frame_system::ensure_signed;
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
    type Hospitals = Hospitals;
    type Users = Users;
    type Records = Records;
    type Credentials = Credentials;
    type Time = Clock;
}

/// Announced all records except [`ELSEWHERE`].
pub const HOME: HospitalId = HospitalId(0);
pub const AWAY: HospitalId = HospitalId(1);
pub const PATIENT: UserId = UserId([1; 32]);
pub const OTHER_PATIENT: UserId = UserId([2; 32]);
/// Registered at [`HOME`].
pub const DOCTOR: UserId = UserId([3; 32]);
/// Registered at [`AWAY`].
pub const INSURER: UserId = UserId([4; 32]);

/// When a test begins.
pub const START: Moment = 1_000_000;
/// When [`FIRST`] and [`OTHERS`] were committed.
pub const EARLIER: Moment = START - 1_000;
/// When [`SECOND`] and [`ELSEWHERE`] were committed.
pub const LATER: Moment = START + 1_000;

/// Records of [`PATIENT`].
pub const FIRST: RecordPointer = RecordPointer { height: 1, index: 7 };
pub const SECOND: RecordPointer = RecordPointer { height: 2, index: 0 };
/// A record of [`OTHER_PATIENT`].
pub const OTHERS: RecordPointer = RecordPointer { height: 2, index: 1 };
/// A record of [`PATIENT`] that [`AWAY`] announced.
pub const ELSEWHERE: RecordPointer = RecordPointer { height: 3, index: 0 };
pub const UNCOMMITTED: RecordPointer = RecordPointer { height: 9, index: 0 };

pub const SLOT: SlotId = SlotId(3);
pub const CARDIOLOGY: AttributeId = AttributeId(5);

type Committed = (UserId, HospitalId, Moment);

thread_local! {
    static COMMITTED: RefCell<BTreeMap<RecordPointer, Committed>> = Default::default();
    static HELD: RefCell<BTreeSet<(UserId, AttributeId, HospitalId)>> = Default::default();
}

pub struct Records;

impl ports::Records for Records {
    fn owner(pointer: RecordPointer) -> Option<(UserId, HospitalId)> {
        COMMITTED.with_borrow(|all| all.get(&pointer).map(|(patient, home, _)| (*patient, *home)))
    }

    fn committed_at(pointer: RecordPointer) -> Option<Moment> {
        COMMITTED.with_borrow(|all| all.get(&pointer).map(|(_, _, time)| *time))
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(hospital: HospitalId, patient: UserId, height: u32) -> RecordPointer {
        let pointer = RecordPointer { height, index: 511 };
        COMMITTED.with_borrow_mut(|all| all.insert(pointer, (patient, hospital, Now::get())));
        pointer
    }
}

pub struct Credentials;

impl ports::Credentials for Credentials {
    fn holds(user: UserId, attribute: AttributeId, issuer: HospitalId, at: Moment) -> bool {
        assert_eq!(at, Now::get(), "consents are decided now");
        HELD.with_borrow(|held| held.contains(&(user, attribute, issuer)))
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(user: UserId, attribute: AttributeId, issuer: HospitalId) {
        confirm(user, attribute, issuer);
    }
}

/// The hospital confirms the attribute of the user.
pub fn confirm(user: UserId, attribute: AttributeId, issuer: HospitalId) {
    HELD.with_borrow_mut(|held| held.insert((user, attribute, issuer)));
}

/// The hospital confirms the attribute no longer.
pub fn revoke(user: UserId, attribute: AttributeId, issuer: HospitalId) {
    HELD.with_borrow_mut(|held| held.remove(&(user, attribute, issuer)));
}

pub fn user(user: UserId) -> RuntimeOrigin {
    RuntimeOrigin::signed(user_account(user))
}

pub fn agent(hospital: HospitalId) -> RuntimeOrigin {
    RuntimeOrigin::signed(agent_account(hospital.0))
}

pub fn sections(indices: &[u16]) -> SectionSet {
    let mut sections = SectionSet::default();
    assert!(indices.iter().all(|index| sections.insert(*index)));
    sections
}

/// Sections of a record.
pub fn part(pointer: RecordPointer, indices: &[u16]) -> ReleasedRecord {
    ReleasedRecord { pointer, sections: sections(indices) }
}

/// A consent for treatment and research that lasts for a second. Hospitals place sections of the kinds 0 and 1.
pub fn consent(audience: &[Term]) -> Consent {
    Consent {
        audience: BoundedVec::truncate_from(audience.to_vec()),
        purposes: BoundedVec::truncate_from(vec![Purpose::Treatment, Purpose::Research]),
        kinds: KindSet(0b11),
        recorded: RecordedPeriod::default(),
        until: Now::get() + 1_000,
        standing: false,
    }
}

/// A consent like [`consent`] that also stands while the patient is away.
pub fn standing_consent(audience: &[Term]) -> Consent {
    Consent { standing: true, ..consent(audience) }
}

pub fn slots(numbers: &[u8]) -> SlotSet {
    let mut slots = SlotSet::default();
    assert!(numbers.iter().all(|number| slots.insert(SlotId(*number))));
    slots
}

/// The slots of [`PATIENT`] whose consents share with a requester for research now.
pub fn admitting(requester: UserId) -> SlotSet {
    admitting_for(PATIENT, requester, Purpose::Research)
}

/// The slots of a patient whose consents share with a requester for a purpose now.
pub fn admitting_for(patient: UserId, requester: UserId, purpose: Purpose) -> SlotSet {
    <Sharing as ports::Sharing>::admitting(patient, requester, purpose)
}

/// The slots of [`PATIENT`] whose standing consents share with a requester for a purpose now.
pub fn standing_for(requester: UserId, purpose: Purpose) -> SlotSet {
    <Sharing as ports::Sharing>::standing(PATIENT, requester, purpose)
}

/// Whether a slot of [`PATIENT`] has a standing consent in force.
pub fn is_standing(slot: SlotId) -> bool {
    <Sharing as ports::Sharing>::is_standing(PATIENT, slot)
}

/// The sections of a record that are in one of these slots.
pub fn placed(pointer: RecordPointer, numbers: &[u8]) -> SectionSet {
    <Sharing as ports::Sharing>::placed(pointer, slots(numbers))
}

/// Whether the patient's consent in [`SLOT`] shares with a user for research now.
pub fn is_admitted(requester: UserId) -> bool {
    admitting(requester).contains(SLOT)
}

/// Dispatches like an extrinsic: a failed call changes nothing.
pub fn dispatch(call: crate::Call<Test>, origin: RuntimeOrigin) -> DispatchResult {
    RuntimeCall::from(call).dispatch(origin).map(drop).map_err(|failed| failed.error)
}

/// Gives a consent after a look at the slot.
pub fn give(origin: RuntimeOrigin, slot: SlotId, consent: Consent) -> DispatchResult {
    let signer = ensure_signed(origin.clone()).ok();
    let patient = signer.and_then(|signer| <Users as ports::Users>::by_account(&signer));
    let seen = patient.map_or(0, |patient| Sharing::slot_height(patient, slot));
    dispatch(crate::Call::give { slot, consent, seen }, origin)
}

pub fn withdraw(origin: RuntimeOrigin, slot: SlotId) -> DispatchResult {
    dispatch(crate::Call::withdraw { slot }, origin)
}

pub fn place(origin: RuntimeOrigin, slot: SlotId, records: &[ReleasedRecord]) -> DispatchResult {
    let records = BoundedVec::truncate_from(records.to_vec());
    dispatch(crate::Call::place { slot, records }, origin)
}

pub fn remove(origin: RuntimeOrigin, slot: SlotId, records: &[ReleasedRecord]) -> DispatchResult {
    let records = BoundedVec::truncate_from(records.to_vec());
    dispatch(crate::Call::remove { slot, records }, origin)
}

/// A hospital places sections of [`PATIENT`]'s records in [`SLOT`].
pub fn place_by_kind(
    origin: RuntimeOrigin,
    version: u32,
    records: &[ReleasedRecord],
) -> DispatchResult {
    let (patient, slot) = (PATIENT, SLOT);
    let records = BoundedVec::truncate_from(records.to_vec());
    dispatch(crate::Call::place_by_kind { patient, slot, version, records }, origin)
}

/// The changes since the first, each with its patient and its slot.
pub fn changes() -> Vec<(UserId, SlotId, Change)> {
    let changes = Sharing::changes(0, 64).into_iter();
    changes.map(|change| (change.patient, change.slot, change.change)).collect()
}

pub fn externalities() -> TestExternalities {
    begin(START);
    admit([HOME, AWAY]);
    for (user, role) in [
        (PATIENT, Role::Patient),
        (OTHER_PATIENT, Role::Patient),
        (DOCTOR, Role::Doctor),
        (INSURER, Role::Insurer),
    ] {
        add_user(user, role);
    }
    register(HOME, DOCTOR, 0);
    register(AWAY, INSURER, 0);
    HELD.set(BTreeSet::new());
    COMMITTED.set(
        [
            (FIRST, (PATIENT, HOME, EARLIER)),
            (SECOND, (PATIENT, HOME, LATER)),
            (OTHERS, (OTHER_PATIENT, HOME, EARLIER)),
            (ELSEWHERE, (PATIENT, AWAY, LATER)),
        ]
        .into(),
    );
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
