//! The custodian of a removed hospital answers for its records, with the council, hospitals, profiles, role-policies,
//! lite-blocks, sharing, custody and releases together. Hospital D leaves, and hospital B is its custodian.

use std::sync::LazyLock;

use epione_primitives::{
    Hash, HospitalId, RecordPointer, UserId,
    access::{AccessRequest, Action, Purpose, RelationshipKind, SectionClass},
    api::{
        runtime_decl_for_releases_api::ReleasesApi,
        runtime_decl_for_role_policies_api::RolePoliciesApi,
    },
    hospital::HospitalStatus,
    profile::Role,
    refusal::Refusal,
    release::{Release, Request, Right},
};
use epione_runtime::{
    Hospitals, Quotas, Runtime, RuntimeCall, System, Timestamp, council_root, invariants,
};
use pallet_quotas::{Holder, Lane};
use pallet_releases::OfDeparted;
use sp_runtime::DispatchError;

use crate::{
    caller::refused,
    chain::{
        A, B, Chain, PATIENT, announcement, apply, approve, council, key, local, register, request,
        sign_request, user, user_seed,
    },
    council::pass_by,
    sharing,
};

type Error = pallet_releases::Error<Runtime>;
type Custody = pallet_custody::Call<Runtime>;

/// The hospital that leaves.
const D: HospitalId = HospitalId(3);
const FIRST: RecordPointer = RecordPointer { height: 1, index: 0 };
/// Number of blocks between the appointment and the first grant in the preset `local`.
const CUSTODIAN_DELAY: u32 = 20;
/// Those who remain.
const TWO_OF_THREE: [&str; 2] = ["Alice", "Bob"];
/// Treats the patient at each hospital at which both are registered.
static DOCTOR: LazyLock<UserId> = LazyLock::new(|| user(8));

const TEXT: Right = Right { action: Action::ReadText, class: SectionClass::Private };

/// Commits a record of the patient, who is registered at D only.
fn committed(chain: &mut Chain) {
    register("Dave//agent", *PATIENT, Role::Patient);
    apply("Dave//agent", announcement(D, &[*PATIENT], 1)).unwrap().unwrap();
    chain.next_block();
    approve("Alice//agent", 0);
    approve("Bob//agent", 0);
    chain.next_block();
}

/// The doctor treats the patient at a hospital, whose agent registers both.
fn treat(agent: &str, hospital: HospitalId) {
    register(agent, *DOCTOR, Role::Doctor);
    relate(agent, hospital);
}

fn relate(agent: &str, hospital: HospitalId) {
    let relate = pallet_role_policies::Call::<Runtime>::relate {
        patient: *PATIENT,
        professional: *DOCTOR,
        hospital,
        kind: RelationshipKind::Treating,
        expires: None,
    };
    apply(agent, relate).unwrap().unwrap();
}

/// The council of four removes D.
fn remove(chain: &mut Chain) {
    let remove = pallet_hospitals::Call::<Runtime>::remove { hospital: D };
    pass_by(&["Alice", "Bob", "Charlie"], 0, remove);
    assert_eq!(Hospitals::hospital(D).unwrap().status, HospitalStatus::Removed);
    chain.next_block();
}

fn as_root(call: Custody) -> council_root::Call<Runtime> {
    council_root::Call::dispatch { call: Box::new(call.into()) }
}

fn appoint(custodian: HospitalId, index: u32) {
    pass_by(&TWO_OF_THREE, index, as_root(Custody::appoint { departed: D, custodian }));
}

/// The record of D is committed, D is removed, and B, where the doctor treats the patient, is the custodian.
fn inherited(chain: &mut Chain) {
    committed(chain);
    register("Bob//agent", *PATIENT, Role::Patient);
    treat("Bob//agent", B);
    remove(chain);
    appoint(B, 1);
    chain.reach(System::block_number() + CUSTODIAN_DELAY);
}

fn grant(nonce: u8) -> Hash {
    Hash::repeat_byte(nonce)
}

/// The doctor asks a hospital for the record of D.
fn asked(hospital: HospitalId, nonce: u8) -> Request {
    Request { hospital, ..request(*DOCTOR, &[FIRST], nonce) }
}

/// A hospital records that it grants what the doctor asked it for.
fn record(agent: &str, hospital: HospitalId, nonce: u8) -> Result<(), DispatchError> {
    let request = asked(hospital, nonce);
    let release = Release {
        signature: sign_request(&key(&user_seed(*DOCTOR)), &request),
        records: request.records.clone(),
        rights: vec![TEXT].try_into().unwrap(),
        grant: grant(nonce),
        request,
    };
    apply(agent, pallet_releases::Call::<Runtime>::record { release }).unwrap()
}

fn reading(hospital: HospitalId) -> AccessRequest {
    AccessRequest {
        requester: *DOCTOR,
        action: TEXT.action,
        patient: *PATIENT,
        hospital,
        class: TEXT.class,
        purpose: Purpose::Treatment,
        cosigned: false,
    }
}

#[test]
fn the_custodians_policies_decide_and_the_past_is_explained_by_those_of_the_removed_hospital() {
    local(|chain| {
        committed(chain);
        treat("Dave//agent", D);
        record("Dave//agent", D, 1).unwrap();
        chain.next_block();
        let before = Timestamp::get();
        chain.next_block();
        register("Bob//agent", *PATIENT, Role::Patient);
        register("Bob//agent", *DOCTOR, Role::Doctor);
        relate("Bob//agent", B);
        remove(chain);
        appoint(B, 1);
        chain.reach(System::block_number() + CUSTODIAN_DELAY);

        record("Bob//agent", B, 2).unwrap();
        let receipt = Runtime::receipt(grant(2)).unwrap();
        assert_eq!((receipt.hospital, receipt.version), (B, 0));
        assert!(Runtime::is_in_force(grant(2)));
        // What D granted has its receipt, and is decided about that moment as it was then.
        let earlier = Runtime::receipt(grant(1)).unwrap();
        assert_eq!(earlier.hospital, D);
        assert!(Runtime::decide(reading(D), Some(before)).is_allowed());
        assert_eq!(Runtime::receipts(*PATIENT, None, 8).len(), 2);
        assert_eq!(invariants::check(), Ok(()));
    });
}

#[test]
fn a_hospital_that_is_not_the_custodian_grants_no_record_of_a_removed_hospital() {
    local(|chain| {
        inherited(chain);
        register("Alice//agent", *PATIENT, Role::Patient);
        treat("Alice//agent", A);
        let another = Error::RecordOfAnotherHospital;
        assert_eq!(record("Alice//agent", A, 1), Err(another.into()));
        // Nor with a request to the custodian, and the removed hospital has no agent any more.
        let to_another = Error::RequestToAnotherHospital;
        assert_eq!(record("Alice//agent", B, 2), Err(to_another.into()));
        let by_removed = pallet_releases::Call::<Runtime>::refuse {
            request: asked(D, 3),
            signature: sign_request(&key(&user_seed(*DOCTOR)), &asked(D, 3)),
        };
        assert_eq!(refused("Dave//agent", by_removed), Some(Refusal::HospitalNotActive));
        record("Bob//agent", B, 4).unwrap();
    });
}

#[test]
fn a_hospital_grants_no_record_of_an_active_hospital_nor_before_the_delay_is_over() {
    local(|chain| {
        committed(chain);
        register("Bob//agent", *PATIENT, Role::Patient);
        treat("Bob//agent", B);
        let another = Error::RecordOfAnotherHospital;
        assert_eq!(record("Bob//agent", B, 1), Err(another.into()), "D is active");
        remove(chain);
        let another = Error::RecordOfAnotherHospital;
        assert_eq!(record("Bob//agent", B, 2), Err(another.into()), "nobody is appointed");
        appoint(B, 1);
        let first = System::block_number() + CUSTODIAN_DELAY;
        chain.reach(first - 1);
        let another = Error::RecordOfAnotherHospital;
        assert_eq!(record("Bob//agent", B, 3), Err(another.into()), "the delay is not over");
        chain.reach(first);
        record("Bob//agent", B, 4).unwrap();
    });
}

#[test]
fn a_dismissal_ends_the_grants_of_the_custodian() {
    local(|chain| {
        inherited(chain);
        record("Bob//agent", B, 1).unwrap();
        chain.next_block();
        assert!(Runtime::is_in_force(grant(1)));
        pass_by(&TWO_OF_THREE, 2, as_root(Custody::dismiss { departed: D }));
        assert!(!Runtime::is_in_force(grant(1)));
        let another = Error::RecordOfAnotherHospital;
        assert_eq!(record("Bob//agent", B, 2), Err(another.into()));
        assert_eq!(invariants::check(), Ok(()));
    });
}

#[test]
fn another_custodian_ends_the_grants_of_the_first() {
    local(|chain| {
        inherited(chain);
        record("Bob//agent", B, 1).unwrap();
        chain.next_block();
        appoint(A, 2);
        chain.reach(System::block_number() + CUSTODIAN_DELAY);
        assert!(!Runtime::is_in_force(grant(1)));
        let another = Error::RecordOfAnotherHospital;
        assert_eq!(record("Bob//agent", B, 2), Err(another.into()));
        register("Alice//agent", *PATIENT, Role::Patient);
        treat("Alice//agent", A);
        record("Alice//agent", A, 3).unwrap();
    });
}

#[test]
fn a_suspended_or_removed_custodian_grants_nothing() {
    local(|chain| {
        inherited(chain);
        record("Bob//agent", B, 1).unwrap();
        chain.next_block();
        Hospitals::suspend(council(), B).unwrap();
        assert!(!Runtime::is_in_force(grant(1)));
        let refuse = pallet_releases::Call::<Runtime>::refuse {
            request: asked(B, 2),
            signature: sign_request(&key(&user_seed(*DOCTOR)), &asked(B, 2)),
        };
        assert_eq!(refused("Bob//agent", refuse.clone()), Some(Refusal::HospitalNotActive));
        Hospitals::remove(council(), B).unwrap();
        assert!(!Runtime::is_in_force(grant(1)));
        assert_eq!(refused("Bob//agent", refuse), Some(Refusal::HospitalNotActive));
    });
}

/// The patient is registered at the removed hospital only, so no other one would answer for the call.
#[test]
fn the_custodian_answers_for_a_patient_who_takes_a_section_of_the_removed_hospital_out() {
    local(|chain| {
        committed(chain);
        let patient = user_seed(*PATIENT);
        assert_eq!(refused(&patient, sharing::place(0b11)), None);
        remove(chain);
        let take_out: RuntimeCall = sharing::remove(0b01);
        assert_eq!(refused(&patient, take_out.clone()), Some(Refusal::HospitalNotActive));
        appoint(B, 1);
        chain.reach(System::block_number() + CUSTODIAN_DELAY);
        assert_eq!(refused(&patient, take_out), None);
        assert!(Quotas::usage(&Holder::Hospital(B), Lane::Ending).ref_time > 0);
    });
}

#[test]
fn a_receipt_of_a_record_for_which_its_hospital_did_not_answer_is_found() {
    local(|chain| {
        inherited(chain);
        record("Bob//agent", B, 1).unwrap();
        assert_eq!(invariants::check(), Ok(()));
        let finds = |expected| {
            assert_eq!(invariants::check_together(), Err(DispatchError::Other(expected)));
        };
        let departed = OfDeparted::<Runtime>::take(grant(1));
        finds("a receipt is about a record of another patient or another hospital");
        let mut with_active = departed.clone();
        with_active.try_push(A).unwrap();
        OfDeparted::<Runtime>::insert(grant(1), with_active);
        finds("a receipt of a custodian is about a record of a hospital that is not removed");
        OfDeparted::<Runtime>::insert(grant(1), departed);
        assert_eq!(invariants::check_together(), Ok(()));
    });
}
