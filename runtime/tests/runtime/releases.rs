//! Access to a record, from relationship to receipt, with profiles, role-policies, lite-blocks and releases
//! together.

use std::sync::LazyLock;

use epione_primitives::{
    AnnouncementId, Hash, RecordPointer, UserId,
    access::{AccessRequest, Action, Purpose, RelationshipKind, SectionClass},
    api::{
        runtime_decl_for_profiles_api::ProfilesApi, runtime_decl_for_releases_api::ReleasesApi,
        runtime_decl_for_role_policies_api::RolePoliciesApi,
    },
    block::Stage,
    limits::MAX_HOSPITAL_RECEIPTS,
    profile::Role,
    release::{Release, ReleasedRecord, Right, SectionSet, Usage},
};
use epione_runtime::{Hospitals, LiteBlocks, Runtime, System, invariants};
use sp_runtime::DispatchError;

use crate::chain::{
    A, B, Chain, PATIENT, announcement, apply, approve, council, key, local, register, request,
    sign_request, user, user_seed,
};

static DOCTOR: LazyLock<UserId> = LazyLock::new(|| user(8));
const GRANT: Hash = Hash::repeat_byte(3);

/// Commits a record of the patient at hospital A, with a treating doctor there.
fn committed(chain: &mut Chain) {
    register("Alice//agent", *PATIENT, Role::Patient);
    register("Alice//agent", *DOCTOR, Role::Doctor);
    relate(RelationshipKind::Treating, true);
    apply("Alice//agent", announcement(A, &[*PATIENT], 1)).unwrap().unwrap();
    chain.next_block();
    approve("Bob//agent", 0);
    approve("Charlie//agent", 0);
    chain.next_block();
}

fn relate(kind: RelationshipKind, begins: bool) {
    let (patient, professional, hospital) = (*PATIENT, *DOCTOR, A);
    let call = if begins {
        let expires = None;
        pallet_role_policies::Call::<Runtime>::relate {
            patient,
            professional,
            hospital,
            kind,
            expires,
        }
    } else {
        pallet_role_policies::Call::unrelate { patient, professional, hospital, kind }
    };
    apply("Alice//agent", call).unwrap().unwrap();
}

/// Records that the first sections of these records are released to the doctor, who asked for them.
fn record(agent: &str, records: &[RecordPointer]) -> Result<(), DispatchError> {
    apply(agent, pallet_releases::Call::<Runtime>::record { release: release(records) }).unwrap()
}

fn release(records: &[RecordPointer]) -> Release {
    let request = request(*DOCTOR, records, 1);
    let right = Right { action: Action::ReadText, class: SectionClass::Private };
    Release {
        signature: sign_request(&key(&user_seed(*DOCTOR)), &request),
        records: request.records.clone(),
        rights: vec![right].try_into().unwrap(),
        grant: GRANT,
        request,
    }
}

const FIRST: RecordPointer = RecordPointer { height: 1, index: 0 };

fn reading() -> AccessRequest {
    AccessRequest {
        requester: *DOCTOR,
        action: Action::ReadText,
        patient: *PATIENT,
        hospital: A,
        class: SectionClass::Private,
        purpose: Purpose::Treatment,
        cosigned: false,
    }
}

#[test]
fn a_release_is_recorded_with_the_policy_that_allowed_it() {
    local(|chain| {
        committed(chain);
        record("Alice//agent", &[FIRST]).unwrap();
        let receipt = Runtime::receipt(GRANT).unwrap();
        assert_eq!((receipt.hospital, receipt.version), (A, 0));
        assert_eq!(receipt.policies[0].as_slice(), b"related professional");
        assert_eq!(Runtime::answer(receipt.release.request.hash()), Some(GRANT));
        assert_eq!(Runtime::receipts(*PATIENT, None, 8), [(0, receipt)]);
        assert!(Runtime::is_in_force(GRANT));
    });
}

#[test]
fn a_patient_notes_only_own_records() {
    local(|chain| {
        committed(chain);
        let other = user(9);
        register("Alice//agent", other, Role::Patient);
        let note = |seed: &str| {
            let read = ReleasedRecord { pointer: FIRST, sections: SectionSet::ALL };
            let records = vec![read].try_into().unwrap();
            apply(seed, pallet_releases::Call::<Runtime>::note { records })
        };
        note(&user_seed(*PATIENT)).unwrap().unwrap();
        let others = pallet_releases::Error::<Runtime>::RecordOfAnotherPatient;
        assert_eq!(note(&user_seed(other)), Ok(Err(others.into())));
        let notes = Runtime::own_reads(*PATIENT, None, 8);
        assert_eq!(notes.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0]);
        assert!(Runtime::own_reads(other, None, 8).is_empty());
        // It is no receipt.
        assert!(Runtime::receipts(*PATIENT, None, 8).is_empty());
    });
}

#[test]
fn a_hospital_cannot_record_an_access_that_nobody_asked_for() {
    local(|chain| {
        committed(chain);
        let error = Ok(Err(pallet_releases::Error::<Runtime>::InvalidRequest.into()));
        let genuine = release(&[FIRST]);
        for seed in ["Alice//agent", "user-7", "user-9"] {
            let signature = sign_request(&key(seed), &genuine.request);
            let release = Release { signature, ..genuine.clone() };
            let call = pallet_releases::Call::<Runtime>::record { release };
            assert_eq!(apply("Alice//agent", call), error, "{seed}");
        }
        let mut changed = genuine.clone();
        changed.request.nonce = [9; 16];
        let call = pallet_releases::Call::<Runtime>::record { release: changed };
        assert_eq!(apply("Alice//agent", call), error);
        let call = pallet_releases::Call::<Runtime>::record { release: genuine };
        apply("Alice//agent", call).unwrap().unwrap();
    });
}

#[test]
fn a_request_is_answered_once() {
    local(|chain| {
        committed(chain);
        let first = release(&[FIRST]);
        let again = Release { grant: Hash::repeat_byte(4), ..first.clone() };
        let call = |release| pallet_releases::Call::<Runtime>::record { release };
        apply("Alice//agent", call(first)).unwrap().unwrap();
        let error = pallet_releases::Error::<Runtime>::AlreadyAnswered;
        assert_eq!(apply("Alice//agent", call(again)), Ok(Err(error.into())));
    });
}

#[test]
fn relationships_do_not_run_out_and_every_page_can_be_read() {
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        register("Alice//agent", *DOCTOR, Role::Doctor);
        let kind = RelationshipKind::Treating;
        for _ in 0..40 {
            relate(kind, true);
            relate(kind, false);
        }
        relate(kind, true);
        assert!(Runtime::decide(reading(), None).is_allowed());
        assert_eq!(Runtime::relationships(*PATIENT, None, 64).len(), 1);
        assert_eq!(Runtime::relationships(*PATIENT, Some((*DOCTOR, A)), 64), []);
        let page =
            |before| Runtime::earlier_relationships((*PATIENT, *DOCTOR, A), kind, before, 30).len();
        assert_eq!((page(None), page(Some(10)), page(Some(0))), (30, 10, 0));
    });
}

#[test]
fn a_hospital_records_no_more_receipts_than_a_day_allows() {
    local(|chain| {
        committed(chain);
        let block = System::block_number();
        let full = Usage { since: block, receipts: MAX_HOSPITAL_RECEIPTS, ..Usage::default() };
        pallet_releases::Usages::<Runtime>::insert(A, full);
        let error = pallet_releases::Error::<Runtime>::TooManyHospitalReceipts;
        assert_eq!(record("Alice//agent", &[FIRST]), Err(error.into()));
        pallet_releases::Usages::<Runtime>::remove(A);
        record("Alice//agent", &[FIRST]).unwrap();
    });
}

#[test]
fn an_agent_cannot_release_another_hospitals_records() {
    local(|chain| {
        committed(chain);
        assert!(record("Bob//agent", &[FIRST]).is_err());
        let beyond = RecordPointer { height: 1, index: 1 };
        assert!(record("Alice//agent", &[beyond]).is_err());
        assert_eq!(Runtime::receipt(GRANT), None);
    });
}

#[test]
fn a_grant_is_no_longer_in_force_after_the_end_of_the_relationship() {
    local(|chain| {
        committed(chain);
        record("Alice//agent", &[FIRST]).unwrap();
        let before = chain.next_block();
        let allowed_at = pallet_timestamp::Now::<Runtime>::get();
        chain.next_block();
        relate(RelationshipKind::Treating, false);
        assert!(!Runtime::is_in_force(GRANT), "the relationship ended in this block, {before:?}");
        assert!(!Runtime::decide(reading(), None).is_allowed());
        assert!(Runtime::decide(reading(), Some(allowed_at)).is_allowed());
        assert!(Runtime::receipt(GRANT).is_some());
    });
}

#[test]
fn one_call_decides_several_requests() {
    local(|chain| {
        committed(chain);
        let media = AccessRequest { action: Action::ReadMedia, ..reading() };
        let glass = AccessRequest { action: Action::BreakGlass, ..reading() };
        let decisions = Runtime::decide_each(vec![reading(), media, glass]);
        let allowed: Vec<_> = decisions.iter().map(|decision| decision.is_allowed()).collect();
        assert_eq!(allowed, [true, true, false]);
    });
}

#[test]
fn the_members_of_a_hospital_are_listed_in_pages() {
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        register("Alice//agent", *DOCTOR, Role::Doctor);
        let first = Runtime::members(A, None, 1);
        let second = Runtime::members(A, Some(first[0].0), 64);
        let mut all = [first[0].0, second[0].0];
        let mut both = [*PATIENT, *DOCTOR];
        all.sort();
        both.sort();
        assert_eq!(all, both);
        assert!(Runtime::members(B, None, 64).is_empty());
    });
}

#[test]
fn a_leaving_hospital_records_releases_and_the_decisions_stand_after_its_removal() {
    local(|chain| {
        committed(chain);
        apply("Alice", pallet_hospitals::Call::<Runtime>::leave {}).unwrap().unwrap();
        chain.next_block();
        assert!(Runtime::decide(reading(), None).is_allowed(), "its readers go on");
        record("Alice//agent", &[FIRST]).unwrap();
        let recorded_at = pallet_timestamp::Now::<Runtime>::get();
        assert!(Runtime::is_in_force(GRANT));
        let announced = apply("Alice//agent", announcement(A, &[*PATIENT], 2));
        assert!(announced.is_err(), "it announces nothing");

        chain.next_block();
        Hospitals::remove(council(), A).unwrap();
        assert!(!Runtime::decide(reading(), None).is_allowed());
        assert!(Runtime::decide(reading(), Some(recorded_at)).is_allowed());
        chain.next_block();
        assert_eq!(invariants::check(), Ok(()));
    });
}

/// The visit that a hospital announced before it left does not commit.
#[test]
fn a_hospital_that_leaves_has_nothing_open() {
    local(|chain| {
        register("Alice//agent", *PATIENT, Role::Patient);
        apply("Alice//agent", announcement(A, &[*PATIENT], 1)).unwrap().unwrap();
        apply("Alice", pallet_hospitals::Call::<Runtime>::leave {}).unwrap().unwrap();
        let (announced, _) = LiteBlocks::announcement(AnnouncementId(0)).unwrap();
        assert_eq!(announced.stage, Stage::Withdrawn);
        chain.next_block();
        assert_eq!(invariants::check(), Ok(()));
    });
}
