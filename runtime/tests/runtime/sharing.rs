//! A patient's consent, from the placement to its end, with hospitals, profiles, lite-blocks, credentials, releases and
//! sharing together.

use std::sync::LazyLock;

use epione_primitives::{
    Hash, RecordPointer, UserId,
    access::{Action, Conclusion, Condition, Policy, Purpose, SectionClass},
    api::{
        runtime_decl_for_lite_blocks_api::LiteBlocksApi,
        runtime_decl_for_releases_api::ReleasesApi, runtime_decl_for_sharing_api::SharingApi,
    },
    credential::AttributeId,
    hospital::Duty,
    limits::DAY_MILLIS,
    profile::Role,
    release::{Release, ReleasedRecord, Request, Right, SectionSet},
    sharing::{Consent, KindSet, RecordedPeriod, SlotId, SlotSet, Term},
};
use epione_runtime::{Hospitals, Quotas, RolePolicies, Runtime, RuntimeCall, Sharing, Timestamp};
use frame_support::BoundedVec;
use pallet_quotas::{Holder, Lane};
use sp_runtime::{
    DispatchError,
    traits::{BlakeTwo256, Hash as _},
};

use crate::chain::{
    A, B, Chain, PATIENT, announcement, apply, approve, council, key, local, register, request,
    sign_request, user, user_seed,
};

type Call = pallet_sharing::Call<Runtime>;
type Error = pallet_sharing::Error<Runtime>;

static INSURER: LazyLock<UserId> = LazyLock::new(|| user(8));
static OTHER: LazyLock<UserId> = LazyLock::new(|| user(9));
pub const SLOT: SlotId = SlotId(3);
const FIRST: RecordPointer = RecordPointer { height: 1, index: 0 };
const GRANT: Hash = Hash::repeat_byte(3);
const SHARED: Right = Right { action: Action::ReadText, class: SectionClass::Shared };

fn records(pointer: RecordPointer, bits: u64) -> pallet_sharing::PlacedRecords {
    BoundedVec::truncate_from(vec![ReleasedRecord { pointer, sections: SectionSet(bits) }])
}

/// The sections of these bits, of the first record.
pub fn place(bits: u64) -> RuntimeCall {
    Call::place { slot: SLOT, records: records(FIRST, bits) }.into()
}

pub fn remove(bits: u64) -> RuntimeCall {
    Call::remove { slot: SLOT, records: records(FIRST, bits) }.into()
}

pub fn withdraw() -> RuntimeCall {
    Call::withdraw { slot: SLOT }.into()
}

/// Removes the same sections twice.
pub fn remove_twice(bits: u64) -> RuntimeCall {
    let record = ReleasedRecord { pointer: FIRST, sections: SectionSet(bits) };
    Call::remove { slot: SLOT, records: BoundedVec::truncate_from(vec![record; 2]) }.into()
}

/// A consent for research.
pub fn consent(audience: &[Term]) -> Consent {
    Consent {
        audience: BoundedVec::truncate_from(audience.to_vec()),
        purposes: BoundedVec::truncate_from(vec![Purpose::Research]),
        kinds: KindSet(1),
        recorded: RecordedPeriod::default(),
        until: Timestamp::get() + 60_000,
        standing: false,
    }
}

/// A consent for an insurer, after a look at the slot.
pub fn give() -> RuntimeCall {
    give_to(&[Term::User(user(8))])
}

fn give_to(audience: &[Term]) -> RuntimeCall {
    let seen = Sharing::slot_height(*PATIENT, SLOT);
    Call::give { slot: SLOT, consent: consent(audience), seen }.into()
}

pub fn place_by_kind(patient: UserId, version: u32, pointer: RecordPointer) -> RuntimeCall {
    let records = records(pointer, 0b10);
    Call::place_by_kind { patient, slot: SLOT, version, records }.into()
}

fn send(seed: &str, call: RuntimeCall) -> Result<(), DispatchError> {
    apply(seed, call).unwrap()
}

/// Commits a record of two patients at hospital A, whose policies let insurers read what is shared. Two insurers are
/// registered there.
fn committed(chain: &mut Chain) {
    register("Alice//agent", *PATIENT, Role::Patient);
    register("Alice//agent", *INSURER, Role::Insurer);
    register("Alice//agent", *OTHER, Role::Insurer);
    let (_, mut set) = RolePolicies::policies(A, Some(0)).unwrap();
    let shared = Policy {
        name: BoundedVec::truncate_from(b"shared with insurers".to_vec()),
        summary: BoundedVec::truncate_from(b"Insurers read what the patient shares".to_vec()),
        hospitals: BoundedVec::new(),
        roles: BoundedVec::truncate_from(vec![Role::Insurer]),
        conditions: BoundedVec::truncate_from(vec![Condition::SectionShared]),
        conclusion: Conclusion::Allows(BoundedVec::truncate_from(vec![Action::ReadText])),
        expires: None,
    };
    set.policies.try_push(shared).unwrap();
    let call = pallet_role_policies::Call::<Runtime>::set_policies { policies: set.policies };
    apply("Alice", call).unwrap().unwrap();
    commit(chain, 1);
}

/// Commits a record of the patient with this number.
fn commit(chain: &mut Chain, number: u8) {
    apply("Alice//agent", announcement(A, &[*PATIENT], number)).unwrap().unwrap();
    chain.next_block();
    approve("Bob//agent", u64::from(number) - 1);
    approve("Charlie//agent", u64::from(number) - 1);
    chain.next_block();
}

/// The first section of the first record for an insurer, who requests it for this purpose.
fn release(requester: UserId, purpose: Purpose, nonce: u8) -> Release {
    let request = Request { purpose, ..request(requester, &[FIRST], nonce) };
    Release {
        signature: sign_request(&key(&user_seed(requester)), &request),
        records: request.records.clone(),
        rights: vec![SHARED].try_into().unwrap(),
        grant: GRANT,
        request,
    }
}

fn record(requester: UserId, purpose: Purpose, nonce: u8) -> Result<(), DispatchError> {
    let release = release(requester, purpose, nonce);
    apply("Alice//agent", pallet_releases::Call::<Runtime>::record { release }).unwrap()
}

fn admitting(requester: UserId) -> SlotSet {
    Runtime::admitting(*PATIENT, requester, Purpose::Research)
}

#[test]
fn a_requester_outside_the_audience_and_another_purpose_are_refused() {
    local(|chain| {
        committed(chain);
        send("user-7", place(0b01)).unwrap();
        let mismatch = Err(pallet_releases::Error::<Runtime>::ClassMismatch.into());
        assert_eq!(record(*INSURER, Purpose::Research, 1), mismatch, "no consent");
        send("user-7", give()).unwrap();
        assert_eq!(admitting(*INSURER), SlotSet(1 << SLOT.0));
        assert!(admitting(*OTHER).is_empty());
        assert_eq!(record(*OTHER, Purpose::Research, 2), mismatch, "outside the audience");
        assert_eq!(record(*INSURER, Purpose::Treatment, 3), mismatch, "another purpose");
        record(*INSURER, Purpose::Research, 4).unwrap();
        assert!(Runtime::is_in_force(GRANT));
    });
}

#[test]
fn after_a_withdrawal_an_open_grant_is_not_in_force_and_the_next_look_is_refused() {
    local(|chain| {
        committed(chain);
        send("user-7", place(0b01)).unwrap();
        send("user-7", give()).unwrap();
        record(*INSURER, Purpose::Research, 1).unwrap();
        chain.next_block();
        send("user-7", withdraw()).unwrap();
        assert!(!Runtime::is_in_force(GRANT), "in the same block");
        let mismatch = pallet_releases::Error::<Runtime>::ClassMismatch;
        assert_eq!(record(*INSURER, Purpose::Research, 2), Err(mismatch.into()));
    });
}

#[test]
fn a_look_ends_with_the_period_of_the_consent() {
    local(|chain| {
        committed(chain);
        send("user-7", place(0b01)).unwrap();
        send("user-7", give()).unwrap();
        record(*INSURER, Purpose::Research, 1).unwrap();
        let until = Runtime::consents(*PATIENT)[0].1.consent.until;
        while Timestamp::get() < until {
            assert!(Runtime::is_in_force(GRANT));
            chain.next_block();
        }
        assert!(!Runtime::is_in_force(GRANT));
        assert!(admitting(*INSURER).is_empty());
    });
}

#[test]
fn a_record_is_untouched_when_a_section_is_redefined() {
    local(|chain| {
        committed(chain);
        let before = (Runtime::header(1), Runtime::entries(1));
        let calls: [fn() -> RuntimeCall; 4] = [|| place(0b11), give, || remove(0b01), withdraw];
        for call in calls {
            send("user-7", call()).unwrap();
            assert_eq!((Runtime::header(1), Runtime::entries(1)), before);
        }
        let placed = Runtime::placed_in(*PATIENT, SLOT, None, 9);
        assert_eq!(placed, [(FIRST, SectionSet(0b10))]);
        assert_eq!(Runtime::placements(vec![FIRST])[0][0].sections, SectionSet(0b10));
        let (height, head) = Runtime::shared_head();
        let changes = Runtime::shared_changes(1, 9);
        assert_eq!((height, changes.len()), (4, 4));
        assert_eq!(changes.last().map(BlakeTwo256::hash_of), Some(head));
    });
}

#[test]
fn only_the_hospital_of_a_later_record_places_by_kind() {
    local(|chain| {
        committed(chain);
        send("user-7", give()).unwrap();
        chain.next_block();
        commit(chain, 2);
        let second = RecordPointer { height: 2, index: 0 };
        let by = |agent: &str, pointer| send(agent, place_by_kind(*PATIENT, 1, pointer));
        let (announced, before) = (Error::RecordOfAnotherHospital, Error::RecordBeforeConsent);
        assert_eq!(by("Bob//agent", second), Err(announced.into()));
        assert_eq!(by("Alice//agent", FIRST), Err(before.into()));
        by("Alice//agent", second).unwrap();
        assert_eq!(Runtime::placed_in(*PATIENT, SLOT, None, 9), [(second, SectionSet(0b10))]);
    });
}

#[test]
fn a_stranger_neither_places_nor_gives_in_the_patients_name() {
    local(|chain| {
        committed(chain);
        for call in [place(1), give(), withdraw()] {
            chain.next_window();
            assert_eq!(send("user-8", call), Err(Error::NotPatient.into()));
        }
        assert!(Runtime::consents(*PATIENT).is_empty());
        assert!(Runtime::placements(vec![FIRST])[0].is_empty());
    });
}

/// The hospital wants to go on releasing what was shared.
#[test]
fn a_patient_whom_the_only_hospital_suspended_withdraws_and_removes() {
    local(|chain| {
        committed(chain);
        send("user-7", place(0b11)).unwrap();
        send("user-7", give()).unwrap();
        let suspend = pallet_profiles::Call::<Runtime>::suspend { user: *PATIENT };
        apply("Alice//agent", suspend).unwrap().unwrap();
        send("user-7", remove(0b01)).unwrap();
        send("user-7", withdraw()).unwrap();
        assert!(admitting(*INSURER).is_empty());
    });
}

/// The quota of users pays for it, and not the one of the hospital's worker.
#[test]
fn sharing_uses_the_users_quota() {
    local(|chain| {
        committed(chain);
        let of_worker = || {
            let holders = [Holder::Duty(A, Duty::Agent), Holder::Hospital(A)];
            holders.map(|holder| Quotas::usage(&holder, Lane::Record))
        };
        let before = of_worker();
        send("user-7", place(1)).unwrap();
        for holder in [Holder::User(*PATIENT), Holder::Hospital(A)] {
            let used = Quotas::usage(&holder, Lane::User);
            assert!(used.ref_time > 0 && used.bytes > 640, "{used:?}");
        }
        assert_eq!(of_worker(), before);
    });
}

/// What the insurer has looked at before ends with the leaf, and the next look is refused.
fn is_over(nonce: u8) {
    assert!(admitting(*INSURER).is_empty());
    assert!(!Runtime::is_in_force(GRANT));
    let mismatch = pallet_releases::Error::<Runtime>::ClassMismatch;
    assert_eq!(record(*INSURER, Purpose::Research, nonce), Err(mismatch.into()));
}

#[test]
fn the_end_of_a_registration_ends_what_a_consent_shares_with_its_hospital() {
    local(|chain| {
        committed(chain);
        send("user-7", place(0b01)).unwrap();
        send("user-7", give_to(&[Term::Hospital(B)])).unwrap();
        assert!(admitting(*INSURER).is_empty(), "registered at another hospital");
        register("Bob//agent", *INSURER, Role::Insurer);
        assert_eq!(admitting(*INSURER), SlotSet(1 << SLOT.0));
        record(*INSURER, Purpose::Research, 1).unwrap();
        assert!(Runtime::is_in_force(GRANT));
        chain.next_block();
        let end = pallet_profiles::Call::<Runtime>::end_registration { user: *INSURER };
        send("Bob//agent", end.into()).unwrap();
        is_over(2);
    });
}

#[test]
fn the_suspension_of_a_hospital_ends_what_a_consent_shares_with_its_users() {
    local(|chain| {
        committed(chain);
        register("Bob//agent", *INSURER, Role::Insurer);
        send("user-7", place(0b01)).unwrap();
        send("user-7", give_to(&[Term::Hospital(B)])).unwrap();
        record(*INSURER, Purpose::Research, 1).unwrap();
        chain.next_block();
        Hospitals::suspend(council(), B).unwrap();
        is_over(2);
        Hospitals::reinstate(council(), B).unwrap();
        chain.next_block();
        assert_eq!(admitting(*INSURER), SlotSet(1 << SLOT.0));
    });
}

#[test]
fn a_revoked_credential_and_a_suspended_issuer_end_what_a_consent_shares() {
    const INSURANCE: AttributeId = AttributeId(4);
    type Credential = pallet_credentials::Call<Runtime>;
    let issue = || {
        let until = Timestamp::get() + DAY_MILLIS;
        Credential::issue { user: *INSURER, attribute: INSURANCE, until }
    };
    local(|chain| {
        committed(chain);
        send("user-7", place(0b01)).unwrap();
        let leaf = Term::Credential { attribute: INSURANCE, issuer: B };
        send("user-7", give_to(&[leaf])).unwrap();
        send("Alice", issue().into()).unwrap();
        assert!(admitting(*INSURER).is_empty(), "another hospital confirms it");
        send("Bob", issue().into()).unwrap();
        record(*INSURER, Purpose::Research, 1).unwrap();
        assert!(Runtime::is_in_force(GRANT));
        chain.next_block();
        let revoke = Credential::revoke { user: *INSURER, attribute: INSURANCE };
        send("Bob", revoke.into()).unwrap();
        is_over(2);
        chain.next_block();
        send("Bob", issue().into()).unwrap();
        assert_eq!(admitting(*INSURER), SlotSet(1 << SLOT.0));
        Hospitals::suspend(council(), B).unwrap();
        is_over(3);
    });
}

/// A hospital places sections while the patient gives a version that shares the slot with more requesters.
#[test]
fn a_consent_does_not_share_what_a_hospital_placed_meanwhile() {
    local(|chain| {
        committed(chain);
        send("user-7", give()).unwrap();
        chain.next_block();
        commit(chain, 2);
        chain.next_window();
        let wider = give_to(&[Term::Hospital(A)]);
        let second = RecordPointer { height: 2, index: 0 };
        send("Alice//agent", place_by_kind(*PATIENT, 1, second)).unwrap();
        assert_eq!(send("user-7", wider), Err(Error::SlotChanged.into()));
        assert!(admitting(*OTHER).is_empty());
        send("user-7", give_to(&[Term::Hospital(A)])).unwrap();
        assert_eq!(admitting(*OTHER), SlotSet(1 << SLOT.0));
    });
}
