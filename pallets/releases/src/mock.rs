//! A runtime with releases. Stand-ins replace the other pallets, and each test states their answers.

pub use epione_mocks::{
    Now, Users, appoint_custodian, dismiss_custodian, pass, register, remove_hospital, set_active,
};

use std::{cell::RefCell, collections::BTreeMap};

use epione_mocks::{Clock, Custodians, Hospitals, admit, agent_account, begin, governance_account};
use epione_primitives::{
    AccountId, Hash, HospitalId, Moment, RecordPointer, Signature, UserId,
    access::{AccessRequest, Action, Decision, Denial, PolicyName, Purpose, SectionClass},
    limits::{DAY_MILLIS, MAX_RELEASED_RECORDS},
    ports,
    profile::Role,
    release::{
        EmergencyReason, Release, ReleasedRecord, Request, Review, ReviewId, Right, SectionSet,
    },
    sharing::{SlotId, SlotSet},
};
use frame_support::{assert_ok, construct_runtime, derive_impl, parameter_types};
use frame_system::RawOrigin;
use sp_core::{Pair, sr25519};
use sp_io::TestExternalities;
use sp_runtime::{
    BoundedVec, BuildStorage, DispatchResult,
    traits::{ConstU32, Dispatchable as _, IdentityLookup},
};

use crate as pallet_releases;

construct_runtime!(
    pub struct Test {
        System: frame_system,
        Releases: pallet_releases,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = AccountId;
    type Lookup = IdentityLookup<AccountId>;
    type Block = frame_system::mocking::MockBlockU32<Test>;
}

impl pallet_releases::Config for Test {
    type WeightInfo = ();
    type Hospitals = Hospitals;
    type Users = Users;
    type Policies = Policies;
    type Records = Records;
    type Custodians = Custodians;
    type Sharing = Sharing;
    type Time = Clock;
    type ReviewBlocks = ReviewBlocks;
    type MaxReceipts = MaxReceipts;
    type MaxEmergencies = MaxEmergencies;
    type MaxRefusals = MaxRefusals;
}

/// Four active hospitals: the three others judge emergencies at [`HOME`].
pub const HOME: HospitalId = HospitalId(0);
pub const AWAY: HospitalId = HospitalId(1);
pub const NORTH: HospitalId = HospitalId(2);
pub const SOUTH: HospitalId = HospitalId(3);
pub const SUSPENDED: HospitalId = HospitalId(4);

pub const PATIENT: UserId = UserId([1; 32]);
pub const OTHER_PATIENT: UserId = UserId([2; 32]);
/// Registered at [`HOME`]. The policies allow this user everything with [`PATIENT`]'s records there, except for
/// research.
pub const DOCTOR: UserId = UserId([3; 32]);
/// The policies allow this user nothing.
pub const NURSE: UserId = UserId([4; 32]);
/// Never registered.
pub const STRANGER: UserId = UserId([5; 32]);

/// Noon of 2 January 1970.
pub const START: Moment = DAY_MILLIS * 3 / 2;
/// The version of the policies.
pub const VERSION: u32 = 3;

/// Records of [`PATIENT`] at [`HOME`], ascending.
pub const FIRST: RecordPointer = RecordPointer { height: 1, index: 7 };
pub const SECOND: RecordPointer = RecordPointer { height: 2, index: 0 };
/// A record of [`OTHER_PATIENT`] at [`HOME`].
pub const OTHERS: RecordPointer = RecordPointer { height: 2, index: 1 };
/// A record of [`PATIENT`] at [`AWAY`].
pub const ELSEWHERE: RecordPointer = RecordPointer { height: 3, index: 0 };

pub const READ_TEXT: Right = Right { action: Action::ReadText, class: SectionClass::Private };
pub const READ_SHARED: Right = Right { action: Action::ReadText, class: SectionClass::Shared };
pub const READ_MEDIA: Right = Right { action: Action::ReadMedia, class: SectionClass::Private };
pub const MEDIA_SHARED: Right = Right { action: Action::ReadMedia, class: SectionClass::Shared };
pub const BREAK_GLASS: Right = Right { action: Action::BreakGlass, class: SectionClass::Private };
pub const SUBMIT: Right = Right { action: Action::Submit, class: SectionClass::Private };

pub const REASON: EmergencyReason = EmergencyReason::UnableToConsent;

parameter_types! {
    pub const ReviewBlocks: u32 = 10;
    pub static MaxReceipts: u32 = 1_000;
    pub static MaxEmergencies: u32 = 100;
    pub static MaxRefusals: u32 = 1_000;
    /// Rights that the policies deny [`DOCTOR`].
    pub static Denied: Vec<Right> = Vec::new();
    /// Purposes for which the policies deny [`DOCTOR`] everything.
    pub static DeniedPurposes: Vec<Purpose> = vec![Purpose::Research];
    /// Hospitals whose policies allow every doctor everything.
    pub static Generous: Vec<HospitalId> = Vec::new();
    /// The requester and the purpose of [`PATIENT`]'s consent, if it is in force.
    pub static Admitted: Option<(UserId, Purpose)> = Some((DOCTOR, Purpose::Treatment));
    /// The sections in the slot of the consent.
    pub static Shared: BTreeMap<RecordPointer, SectionSet> = BTreeMap::new();
    /// The nonce of the last request.
    pub static LastNonce: u128 = 0;
}

thread_local! {
    static OWNERS: RefCell<BTreeMap<RecordPointer, (UserId, HospitalId)>> = Default::default();
}

pub struct Policies;

impl ports::AccessPolicies for Policies {
    fn decide(request: &AccessRequest, at: Moment) -> Decision {
        assert_eq!(at, Now::get(), "releases are decided now");
        assert!(!request.cosigned, "nothing is submitted");
        let AccessRequest { requester, action, patient, hospital, class, purpose, .. } = *request;
        let right = Right { action, class };
        let allowed = (requester, patient, hospital) == (DOCTOR, PATIENT, HOME)
            && !DeniedPurposes::get().contains(&purpose)
            && !Denied::get().contains(&right);
        let generous = Generous::get().contains(&hospital)
            && <Users as ports::Users>::role(requester) == Some(Role::Doctor);
        if allowed || generous {
            Decision::Allow { version: VERSION, policy: policy(right) }
        } else {
            Decision::Deny(Denial::Failed(Vec::new()))
        }
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(hospital: HospitalId) {
        Generous::mutate(|generous| generous.push(hospital));
    }
}

/// The name of the policy that allows a right.
pub fn policy(right: Right) -> PolicyName {
    BoundedVec::truncate_from(format!("{:?} {:?}", right.action, right.class).into_bytes())
}

pub struct Records;

impl ports::Records for Records {
    fn owner(pointer: RecordPointer) -> Option<(UserId, HospitalId)> {
        OWNERS.with_borrow(|all| all.get(&pointer).copied())
    }

    /// The calls of this pallet do not depend on it.
    fn committed_at(pointer: RecordPointer) -> Option<Moment> {
        <Self as ports::Records>::owner(pointer).map(|_| 0)
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(hospital: HospitalId, patient: UserId, height: u32) -> RecordPointer {
        let pointer = RecordPointer { height, index: 511 };
        OWNERS.with_borrow_mut(|all| all.insert(pointer, (patient, hospital)));
        pointer
    }
}

/// The slot of everything that patients share.
const SLOT: SlotId = SlotId(5);

pub struct Sharing;

impl ports::Sharing for Sharing {
    fn admitting(patient: UserId, requester: UserId, purpose: Purpose) -> SlotSet {
        let mut slots = SlotSet::default();
        if patient == PATIENT && Admitted::get() == Some((requester, purpose)) {
            slots.insert(SLOT);
        }
        slots
    }

    /// Receipts do not depend on it.
    fn standing(_: UserId, _: UserId, _: Purpose) -> SlotSet {
        SlotSet::default()
    }

    /// Receipts do not depend on it.
    fn is_standing(_: UserId, _: SlotId) -> bool {
        false
    }

    fn placed(pointer: RecordPointer, slots: SlotSet) -> SectionSet {
        let placed = Shared::get().get(&pointer).copied();
        placed.filter(|_| slots.contains(SLOT)).unwrap_or_default()
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(_: UserId, pointer: RecordPointer, sections: SectionSet, requester: UserId, _: bool) {
        Admitted::set(Some((requester, Purpose::Research)));
        share(pointer, sections);
    }
}

/// Lets the patient of a record share exactly these sections of it.
pub fn share(pointer: RecordPointer, sections: SectionSet) {
    Shared::mutate(|all| all.insert(pointer, sections));
}

/// Lets the patient's consent be for this requester and this purpose.
pub fn admit_requester(requester: UserId, purpose: Purpose) {
    Admitted::set(Some((requester, purpose)));
}

/// Ends the patient's consent. The sections stay in the slot.
pub fn withdraw_consent() {
    Admitted::set(None);
}

pub fn agent(hospital: HospitalId) -> RuntimeOrigin {
    RuntimeOrigin::signed(agent_account(hospital.0))
}

pub fn governance(hospital: HospitalId) -> RuntimeOrigin {
    RuntimeOrigin::signed(governance_account(hospital.0))
}

pub fn user(user: UserId) -> RuntimeOrigin {
    RuntimeOrigin::signed(key(user).public().into())
}

/// The key of a user's account.
pub fn key(user: UserId) -> sr25519::Pair {
    sr25519::Pair::from_seed(&user.0)
}

/// Adds a user with the account of their [`key`]. They are registered nowhere.
pub fn add_user(user: UserId, role: Role) {
    epione_mocks::add_user(user, role);
    Users::set_account(user, key(user).public().into());
}

/// Origins that no call accepts.
pub fn unsigned() -> [RuntimeOrigin; 2] {
    [RawOrigin::None.into(), RawOrigin::Root.into()]
}

pub fn externalities() -> TestExternalities {
    begin(START);
    MaxReceipts::set(1_000);
    MaxEmergencies::set(100);
    MaxRefusals::set(1_000);
    Denied::set(Vec::new());
    DeniedPurposes::set(vec![Purpose::Research]);
    Generous::set(Vec::new());
    Admitted::set(Some((DOCTOR, Purpose::Treatment)));
    Shared::set(BTreeMap::new());
    admit([HOME, AWAY, NORTH, SOUTH, SUSPENDED]);
    set_active(SUSPENDED, false);
    for (user, role) in [
        (PATIENT, Role::Patient),
        (OTHER_PATIENT, Role::Patient),
        (DOCTOR, Role::Doctor),
        (NURSE, Role::Nurse),
    ] {
        add_user(user, role);
    }
    register(HOME, DOCTOR, 0);
    OWNERS.set(
        [
            (FIRST, (PATIENT, HOME)),
            (SECOND, (PATIENT, HOME)),
            (OTHERS, (OTHER_PATIENT, HOME)),
            (ELSEWHERE, (PATIENT, AWAY)),
        ]
        .into(),
    );
    let storage = frame_system::GenesisConfig::<Test>::default().build_storage().unwrap();
    let mut externalities = TestExternalities::from(storage);
    externalities.register_extension(sp_keystore::KeystoreExt::new(
        sp_keystore::testing::MemoryKeystore::new(),
    ));
    externalities.execute_with(|| System::set_block_number(1));
    externalities
}

/// Runs `test`, then checks the invariants.
pub fn run(test: impl FnOnce()) {
    externalities().execute_with(|| {
        test();
        Releases::check_state().unwrap();
    });
}

pub fn grant(seed: u8) -> Hash {
    Hash::repeat_byte(seed)
}

/// The first two sections of a record.
pub fn part(pointer: RecordPointer) -> ReleasedRecord {
    ReleasedRecord { pointer, sections: SectionSet(0b11) }
}

fn records(all: &[ReleasedRecord]) -> BoundedVec<ReleasedRecord, ConstU32<MAX_RELEASED_RECORDS>> {
    BoundedVec::truncate_from(all.to_vec())
}

/// The patient's first record at a hospital; [`FIRST`] if there is none.
fn first_record(hospital: HospitalId, patient: UserId) -> RecordPointer {
    OWNERS.with_borrow(|all| {
        let own = all.iter().find(|(_, owner)| **owner == (patient, hospital));
        own.map_or(FIRST, |(pointer, _)| *pointer)
    })
}

/// A request of now that equals no other request, for treatment with the patient's first record there.
pub fn request(hospital: HospitalId, requester: UserId, patient: UserId) -> Request {
    LastNonce::mutate(|last| *last += 1);
    Request {
        requester,
        patient,
        hospital,
        records: records(&[part(first_record(hospital, patient))]),
        purpose: Purpose::Treatment,
        emergency: None,
        at: Now::get(),
        nonce: LastNonce::get().to_le_bytes(),
    }
}

/// The signature of a key over a request to this chain.
pub fn signed_by(key: &sr25519::Pair, request: &Request) -> Signature {
    key.sign(&request.signed_bytes(System::block_hash(0))).into()
}

/// The requester's own signature.
pub fn signed(request: &Request) -> Signature {
    signed_by(&key(request.requester), request)
}

/// A release with a changed request, which the requester signed.
pub fn asking(mut release: Release, change: impl FnOnce(&mut Request)) -> Release {
    change(&mut release.request);
    release.signature = signed(&release.request);
    release
}

/// A release of these parts of records, which were requested.
pub fn releasing(release: Release, parts: &[ReleasedRecord]) -> Release {
    let parts = records(parts);
    let release = asking(release, |request| request.records = parts.clone());
    Release { records: parts, ..release }
}

/// A release of text and media of [`PATIENT`]'s two records to [`DOCTOR`], exactly as requested. Releases with
/// different seeds have different grants.
pub fn reading(seed: u8) -> Release {
    let parts = [part(FIRST), part(SECOND)];
    let request = Request { records: records(&parts), ..request(HOME, DOCTOR, PATIENT) };
    Release {
        signature: signed(&request),
        request,
        records: records(&parts),
        rights: BoundedVec::truncate_from(vec![READ_MEDIA, READ_TEXT]),
        grant: grant(seed),
    }
}

/// A release in which [`DOCTOR`] breaks the glass on [`PATIENT`]'s first record.
pub fn emergency(seed: u8) -> Release {
    let rights = BoundedVec::truncate_from(vec![BREAK_GLASS]);
    let release = Release { rights, ..releasing(reading(seed), &[part(FIRST)]) };
    asking(release, |request| {
        request.purpose = Purpose::Emergency;
        request.emergency = Some(REASON);
    })
}

/// Dispatches like an extrinsic: a failed call changes nothing.
fn dispatch(call: crate::Call<Test>, origin: RuntimeOrigin) -> DispatchResult {
    RuntimeCall::from(call).dispatch(origin).map(drop).map_err(|failed| failed.error)
}

pub fn record(origin: RuntimeOrigin, release: Release) -> DispatchResult {
    dispatch(crate::Call::record { release }, origin)
}

/// Notes that the signer has read these parts of records.
pub fn note(origin: RuntimeOrigin, parts: &[ReleasedRecord]) -> DispatchResult {
    dispatch(crate::Call::note { records: records(parts) }, origin)
}

pub fn refuse_request(
    origin: RuntimeOrigin,
    request: Request,
    signature: Signature,
) -> DispatchResult {
    dispatch(crate::Call::refuse { request, signature }, origin)
}

/// A hospital refuses what a requester has just asked for: treatment, without an emergency.
pub fn refuse(hospital: HospitalId, requester: UserId, patient: UserId) -> DispatchResult {
    let request = request(hospital, requester, patient);
    let signature = signed(&request);
    refuse_request(agent(hospital), request, signature)
}

pub fn judge(origin: RuntimeOrigin, review: u32, justified: bool) -> DispatchResult {
    dispatch(crate::Call::judge { review: ReviewId(review), justified }, origin)
}

/// Records this many emergencies at [`HOME`], regardless of the daily limit. Their grants have seeds from `seed` on.
pub fn emergencies(seed: u8, count: u8) {
    for number in 0..count {
        crate::Tallies::<Test>::remove(HOME, DOCTOR);
        assert_ok!(record(agent(HOME), emergency(seed + number)));
    }
}

pub fn review(id: u32) -> Review {
    crate::Reviews::<Test>::get(ReviewId(id)).unwrap()
}

/// The events since the last call of this function.
pub fn events() -> Vec<crate::Event<Test>> {
    let events = System::read_events_for_pallet::<crate::Event<Test>>();
    System::reset_events();
    events
}
