//! A runtime with openings, sharing and releases, which has the reviews of emergencies. Stand-ins replace the other
//! pallets. The wraps are real ones.

use std::{cell::RefCell, collections::BTreeMap};

use epione_mocks::{
    Bodies, Clock, ConsortiumKey, Credentials, Custodians, Hospitals, Users, add_credential,
    add_user, admit, agent_account, begin, begin_epoch, governance_account, register, user_account,
};
use epione_primitives::{
    AccountId, Hash, HospitalId, Moment, RecordPointer, UserId,
    access::{AccessRequest, Decision, Denial, Purpose},
    consortium::{EpochId, KeyId},
    credential::AttributeId,
    opening::{Opening, OpeningId, WrapLabel, WrapsBytes},
    ports,
    profile::Role,
    query::QueriedRecords,
    release::{EmergencyReason, ReleasedRecord, Review, ReviewId, SectionSet},
    sharing::{Consent, KindSet, RecordedPeriod, SlotId, Term},
};
use epione_threshold::{MixingSecret, Point, Share, Wrap};
use frame_support::{BoundedVec, construct_runtime, derive_impl, parameter_types};
use sp_io::TestExternalities;
use sp_runtime::{
    DispatchResult,
    traits::{Dispatchable as _, IdentityLookup},
};

use crate as pallet_openings;

construct_runtime!(
    pub struct Test {
        System: frame_system,
        Sharing: pallet_sharing,
        Releases: pallet_releases,
        Openings: pallet_openings,
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

parameter_types! {
    pub const ReviewBlocks: u32 = 10;
    pub const MaxReceipts: u32 = 100;
    pub const MaxRefusals: u32 = 100;
    /// The emergencies of one hospital in a day. Openings are half of them.
    pub const MaxEmergencies: u32 = 8;
}

/// No policy of a hospital allows anything. Openings do not depend on policies.
pub struct Policies;

impl ports::AccessPolicies for Policies {
    fn decide(_: &AccessRequest, _: Moment) -> Decision {
        Decision::Deny(Denial::Failed(Vec::new()))
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(_: HospitalId) {}
}

impl pallet_openings::Config for Test {
    type WeightInfo = ();
    type Hospitals = Hospitals;
    type Users = Users;
    type Records = Records;
    type Sharing = Sharing;
    type Emergencies = Releases;
    type ConsortiumKey = ConsortiumKey;
    type Bodies = Bodies;
    type Time = Clock;
}

/// Announced the records, except [`ELSEWHERE`]. Members are these three.
pub const HOME: HospitalId = HospitalId(0);
/// The hospital of the requesters.
pub const AWAY: HospitalId = HospitalId(1);
pub const THIRD: HospitalId = HospitalId(2);
/// Active, but has no share.
pub const OUTSIDE: HospitalId = HospitalId(3);

pub const PATIENT: UserId = UserId([1; 32]);
/// A patient who works for an attacker.
pub const PUPPET: UserId = UserId([2; 32]);
/// Has both attributes of the audience.
pub const RESEARCHER: UserId = UserId([3; 32]);
/// Has the first attribute only.
pub const CARDIOLOGIST: UserId = UserId([4; 32]);
/// Has the second attribute only.
pub const REVIEWED: UserId = UserId([5; 32]);
/// Doctors, registered at [`AWAY`].
pub const DOCTOR: UserId = UserId([6; 32]);
pub const COLLEAGUE: UserId = UserId([7; 32]);
/// A nurse, registered at [`AWAY`].
pub const NURSE: UserId = UserId([8; 32]);

/// Confirmed by [`AWAY`].
pub const CARDIOLOGY: AttributeId = AttributeId(5);
/// Confirmed by [`HOME`].
pub const ETHICS: AttributeId = AttributeId(6);
/// Both attributes.
pub const AUDIENCE: [Term; 3] = [
    Term::Credential { attribute: CARDIOLOGY, issuer: AWAY },
    Term::Credential { attribute: ETHICS, issuer: HOME },
    Term::AtLeast { met: 2, of: 2 },
];

/// Records of [`PATIENT`].
pub const FIRST: RecordPointer = RecordPointer { height: 1, index: 7 };
pub const SECOND: RecordPointer = RecordPointer { height: 2, index: 0 };
/// A record of [`PUPPET`].
pub const PUPPETS: RecordPointer = RecordPointer { height: 2, index: 1 };
/// A record of [`PATIENT`] that [`AWAY`] announced.
pub const ELSEWHERE: RecordPointer = RecordPointer { height: 3, index: 0 };
pub const UNCOMMITTED: RecordPointer = RecordPointer { height: 9, index: 0 };

pub const SLOT: SlotId = SlotId(3);
pub const OTHER_SLOT: SlotId = SlotId(4);
pub const REASON: EmergencyReason = EmergencyReason::LifeThreatening;
pub const KEY: KeyId = KeyId(2);
pub const EPOCH: EpochId = EpochId(5);
pub const GENESIS: Hash = Hash::repeat_byte(9);

pub const START: Moment = 1_000_000;
/// When the consents of tests end.
pub const UNTIL: Moment = START + 10_000;

type Committed = (UserId, HospitalId);

thread_local! {
    static COMMITTED: RefCell<BTreeMap<RecordPointer, Committed>> = Default::default();
}

pub struct Records;

impl ports::Records for Records {
    fn owner(pointer: RecordPointer) -> Option<Committed> {
        COMMITTED.with_borrow(|all| all.get(&pointer).copied())
    }

    /// The calls of tests do not depend on it.
    fn committed_at(pointer: RecordPointer) -> Option<Moment> {
        <Self as ports::Records>::owner(pointer).map(|_| 0)
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(hospital: HospitalId, patient: UserId, height: u32) -> RecordPointer {
        let pointer = RecordPointer { height, index: 511 };
        COMMITTED.with_borrow_mut(|all| all.insert(pointer, (patient, hospital)));
        pointer
    }
}

pub fn user(user: UserId) -> RuntimeOrigin {
    RuntimeOrigin::signed(user_account(user))
}

pub fn agent(hospital: HospitalId) -> RuntimeOrigin {
    RuntimeOrigin::signed(agent_account(hospital.0))
}

/// Dispatches like an extrinsic: a failed call changes nothing.
pub fn dispatch(call: impl Into<RuntimeCall>, origin: RuntimeOrigin) -> DispatchResult {
    let call: RuntimeCall = call.into();
    call.dispatch(origin).map(drop).map_err(|failed| failed.error)
}

/// A standing consent for research, until [`UNTIL`].
pub fn standing(audience: &[Term]) -> Consent {
    Consent {
        audience: BoundedVec::truncate_from(audience.to_vec()),
        purposes: BoundedVec::truncate_from(vec![Purpose::Research]),
        kinds: KindSet(0),
        recorded: RecordedPeriod::default(),
        until: UNTIL,
        standing: true,
    }
}

pub fn give(patient: UserId, slot: SlotId, consent: Consent) {
    let seen = Sharing::slot_height(patient, slot);
    dispatch(pallet_sharing::Call::<Test>::give { slot, consent, seen }, user(patient)).unwrap();
}

pub fn withdraw(slot: SlotId) {
    dispatch(pallet_sharing::Call::<Test>::withdraw { slot }, user(PATIENT)).unwrap();
}

fn part(pointer: RecordPointer, bits: u64) -> pallet_sharing::PlacedRecords {
    let record = ReleasedRecord { pointer, sections: SectionSet(bits) };
    BoundedVec::truncate_from(vec![record])
}

/// Places these sections, as bits.
pub fn place(patient: UserId, slot: SlotId, pointer: RecordPointer, bits: u64) {
    let records = part(pointer, bits);
    dispatch(pallet_sharing::Call::<Test>::place { slot, records }, user(patient)).unwrap();
}

pub fn remove(slot: SlotId, pointer: RecordPointer, bits: u64) {
    let records = part(pointer, bits);
    dispatch(pallet_sharing::Call::<Test>::remove { slot, records }, user(PATIENT)).unwrap();
}

/// The public half of a consortium key whose secret half is 7.
pub fn public_key() -> Point {
    let mut secret = [0; 32];
    secret[0] = 7;
    Share::decode(&secret).unwrap().public().unwrap()
}

/// The label of a section of the first record in [`SLOT`].
pub fn label(section: u16) -> WrapLabel {
    WrapLabel {
        genesis: GENESIS,
        key: KEY,
        epoch: EPOCH,
        hospital: HOME,
        patient: PATIENT,
        slot: SLOT,
        pointer: FIRST,
        section,
    }
}

/// The wrap of a content key, each section's own one, bound to this label.
pub fn wrap_of(label: &WrapLabel) -> [u8; 168] {
    let mixing = MixingSecret::from_bytes([1; 32]);
    let content_key = [label.section as u8 + 100; 32];
    Wrap::make(&public_key(), &mixing, &label.bytes(), &content_key).encode()
}

/// The wraps for these labels, one after the other.
pub fn wraps_of(labels: &[WrapLabel]) -> Vec<u8> {
    labels.iter().flat_map(wrap_of).collect()
}

/// A call that publishes these bytes as the wraps of sections.
pub fn publication(of: &WrapLabel, bits: u64, bytes: Vec<u8>) -> crate::Call<Test> {
    crate::Call::wrap {
        patient: of.patient,
        slot: of.slot,
        pointer: of.pointer,
        sections: SectionSet(bits),
        wraps: WrapsBytes::truncate_from(bytes),
    }
}

/// The wraps of these sections, for labels like this one.
pub fn wraps_like(of: &WrapLabel, bits: u64) -> Vec<u8> {
    let labels: Vec<_> =
        SectionSet(bits).iter().map(|section| WrapLabel { section, ..*of }).collect();
    wraps_of(&labels)
}

/// The hospital of a label publishes the wraps of these sections.
pub fn wrap(of: &WrapLabel, bits: u64) -> DispatchResult {
    dispatch(publication(of, bits, wraps_like(of, bits)), agent(of.hospital))
}

/// Records with these sections, as bits.
pub fn records(records: &[(RecordPointer, u64)]) -> QueriedRecords {
    let record = |&(pointer, bits)| ReleasedRecord { pointer, sections: SectionSet(bits) };
    QueriedRecords::truncate_from(records.iter().map(record).collect())
}

/// The patient gives a standing consent for whom has both attributes, and places two sections of the first record.
pub fn share() {
    give(PATIENT, SLOT, standing(&AUDIENCE));
    place(PATIENT, SLOT, FIRST, 0b11);
}

/// Shares, and wraps what is shared.
pub fn share_and_wrap() {
    share();
    wrap(&label(0), 0b11).unwrap();
}

/// A question for research of a requester of [`AWAY`] to [`PATIENT`].
pub fn question(named: &[(RecordPointer, u64)]) -> crate::Call<Test> {
    let records = records(named);
    let purpose = Purpose::Research;
    crate::Call::ask { hospital: AWAY, patient: PATIENT, records, purpose, emergency: None }
}

pub fn ask_as(requester: UserId, named: &[(RecordPointer, u64)]) -> DispatchResult {
    dispatch(question(named), user(requester))
}

/// The researcher asks for sections of [`PATIENT`].
pub fn ask(named: &[(RecordPointer, u64)]) -> DispatchResult {
    ask_as(RESEARCHER, named)
}

/// Shares and wraps two sections, for which the researcher asks.
pub fn opened() -> OpeningId {
    share_and_wrap();
    ask(&[(FIRST, 0b11)]).unwrap();
    OpeningId(0)
}

/// The patient gives a standing consent for emergencies to everybody who is a doctor or a nurse, and places two
/// sections of the first record. They are wrapped.
pub fn summary() {
    let audience =
        [Term::Role(Role::Doctor), Term::Role(Role::Nurse), Term::AtLeast { met: 1, of: 2 }];
    let purposes = BoundedVec::truncate_from(vec![Purpose::Emergency]);
    give(PATIENT, SLOT, Consent { purposes, ..standing(&audience) });
    place(PATIENT, SLOT, FIRST, 0b11);
    wrap(&label(0), 0b11).unwrap();
}

/// A question of a requester of [`AWAY`] for the summary in an emergency.
pub fn emergency() -> crate::Call<Test> {
    let (records, purpose) = (records(&[(FIRST, 0b11)]), Purpose::Emergency);
    let emergency = Some(REASON);
    crate::Call::ask { hospital: AWAY, patient: PATIENT, records, purpose, emergency }
}

pub fn ask_in_emergency(requester: UserId) -> DispatchResult {
    dispatch(emergency(), user(requester))
}

pub fn review(id: u32) -> Review {
    pallet_releases::Reviews::<Test>::get(ReviewId(id)).unwrap()
}

pub fn judge(hospital: HospitalId, review: u32, justified: bool) -> DispatchResult {
    let governance = RuntimeOrigin::signed(governance_account(hospital.0));
    let review = ReviewId(review);
    dispatch(pallet_releases::Call::<Test>::judge { review, justified }, governance)
}

pub fn hand_out(hospital: HospitalId, opening: OpeningId) -> DispatchResult {
    dispatch(crate::Call::<Test>::hand_out { opening }, agent(hospital))
}

pub fn opening(id: OpeningId) -> Opening {
    Openings::opening(id).unwrap()
}

/// Lets some blocks pass, but no time.
pub fn pass_blocks(count: u32) {
    System::set_block_number(System::block_number() + count);
}

pub fn externalities() -> TestExternalities {
    begin(START);
    admit([HOME, AWAY, THIRD, OUTSIDE]);
    begin_epoch(KEY, EPOCH, [HOME, AWAY, THIRD]);
    for (user, role) in [
        (PATIENT, Role::Patient),
        (PUPPET, Role::Patient),
        (RESEARCHER, Role::Researcher),
        (CARDIOLOGIST, Role::Researcher),
        (REVIEWED, Role::Researcher),
        (DOCTOR, Role::Doctor),
        (COLLEAGUE, Role::Doctor),
        (NURSE, Role::Nurse),
    ] {
        add_user(user, role);
        register(AWAY, user, 0);
    }
    for (user, attribute, issuer) in [
        (RESEARCHER, CARDIOLOGY, AWAY),
        (RESEARCHER, ETHICS, HOME),
        (CARDIOLOGIST, CARDIOLOGY, AWAY),
        (REVIEWED, ETHICS, HOME),
    ] {
        add_credential(user, attribute, issuer, 0, Moment::MAX);
    }
    COMMITTED.set(
        [
            (FIRST, (PATIENT, HOME)),
            (SECOND, (PATIENT, HOME)),
            (PUPPETS, (PUPPET, HOME)),
            (ELSEWHERE, (PATIENT, AWAY)),
        ]
        .into(),
    );
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
        Openings::check_state().unwrap();
        Sharing::check_state().unwrap();
        Releases::check_state().unwrap();
    });
}
