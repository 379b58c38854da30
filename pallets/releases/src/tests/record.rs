use epione_primitives::{
    RecordPointer,
    access::Purpose,
    release::{Receipt, Release, Request, Right, SectionSet},
};
use frame_support::{
    assert_noop, assert_ok,
    dispatch::GetDispatchInfo,
    traits::{GetStorageVersion, StorageVersion},
};
use sp_runtime::{
    BoundedVec,
    DispatchError::{self, BadOrigin},
};

use crate::{Error, Event, WeightInfo, mock::*};

/// A reading with a change. The request is the same.
fn but(change: impl FnOnce(&mut Release)) -> Release {
    let mut release = reading(1);
    change(&mut release);
    release
}

/// A reading whose request has a change.
fn asked(change: impl FnOnce(&mut Request)) -> Release {
    asking(reading(1), change)
}

#[track_caller]
fn refused(release: Release, error: Error<Test>) {
    assert_noop!(record(agent(HOME), release), error);
}

#[test]
fn a_release_is_recorded_with_the_policies_that_allowed_it() {
    run(|| {
        System::set_block_number(5);
        let release = reading(1);
        assert_ok!(record(agent(HOME), release.clone()));

        assert_eq!(
            events(),
            vec![Event::Released {
                hospital: HOME,
                requester: DOCTOR,
                patient: PATIENT,
                receipt: 0,
                grant: grant(1),
                emergency: false,
            }]
        );
        let receipt = Receipt {
            release,
            hospital: HOME,
            version: VERSION,
            policies: BoundedVec::truncate_from(vec![policy(READ_MEDIA), policy(READ_TEXT)]),
            block: 5,
            at: START,
            review: None,
        };
        assert_eq!(Releases::receipt(grant(1)), Some(receipt));
        assert_eq!(Releases::in_code_storage_version(), StorageVersion::new(1));
    });
}

#[test]
fn a_patients_receipts_are_numbered() {
    run(|| {
        for number in 0..3 {
            assert_ok!(record(agent(HOME), reading(number)));
            let [Event::Released { receipt, .. }] = events()[..] else { panic!("one release") };
            assert_eq!(receipt, u32::from(number));
        }
    });
}

#[test]
fn only_the_agent_of_an_active_hospital_records() {
    run(|| {
        for origin in unsigned() {
            assert_noop!(record(origin, reading(1)), BadOrigin);
        }
        for origin in [user(DOCTOR), user(PATIENT), governance(HOME), agent(SUSPENDED)] {
            assert_noop!(record(origin, reading(1)), Error::<Test>::NotAgent);
        }
        set_active(HOME, false);
        refused(reading(1), Error::NotAgent);
        // A hospital that leaves serves its readers.
        epione_mocks::set_leaving(HOME);
        assert_ok!(record(agent(HOME), reading(1)));
    });
}

#[test]
fn another_hospitals_agent_does_not_record() {
    run(|| {
        let error = Error::<Test>::RequestToAnotherHospital;
        assert_noop!(record(agent(AWAY), reading(1)), error);
        // Nor if the requester asked that hospital.
        let error = Error::<Test>::RecordOfAnotherHospital;
        let asked = asked(|request| request.hospital = AWAY);
        assert_noop!(record(agent(AWAY), asked), error);
    });
}

#[test]
fn requester_and_patient_must_exist() {
    run(|| {
        refused(asked(|request| request.requester = STRANGER), Error::UnknownRequester);
        refused(asked(|request| request.patient = STRANGER), Error::UnknownPatient);
        refused(asked(|request| request.patient = NURSE), Error::UnknownPatient);
    });
}

#[test]
fn records_must_be_committed_ascending_and_of_patient_and_hospital() {
    run(|| {
        let records = |pointers: &[RecordPointer]| {
            let parts: Vec<_> = pointers.iter().map(|pointer| part(*pointer)).collect();
            releasing(reading(1), &parts)
        };
        refused(records(&[]), Error::NoRecords);
        refused(records(&[FIRST, FIRST]), Error::RecordsOutOfOrder);
        refused(records(&[SECOND, FIRST]), Error::RecordsOutOfOrder);
        let uncommitted = RecordPointer { height: 9, index: 0 };
        refused(records(&[FIRST, uncommitted]), Error::UnknownRecord);
        refused(records(&[FIRST, OTHERS]), Error::RecordOfAnotherPatient);
        refused(records(&[FIRST, ELSEWHERE]), Error::RecordOfAnotherHospital);
        assert_ok!(record(agent(HOME), records(&[SECOND])));
    });
}

#[test]
fn a_release_of_no_record_or_of_one_twice_is_refused_although_the_request_is_right() {
    run(|| {
        refused(but(|release| release.records.clear()), Error::NoRecords);
        let twice = but(|release| release.records[1] = part(FIRST));
        refused(twice, Error::RecordsOutOfOrder);
    });
}

#[test]
fn a_record_without_sections_is_neither_requested_nor_released() {
    run(|| {
        let none = SectionSet::default();
        refused(but(|release| release.records[1].sections = none), Error::NoSections);
        refused(asked(|request| request.records[1].sections = none), Error::NoSections);
    });
}

#[test]
fn a_release_needs_rights_to_read_and_none_twice() {
    run(|| {
        let rights = |rights: &[Right]| {
            but(|release| release.rights = BoundedVec::truncate_from(rights.to_vec()))
        };
        refused(rights(&[]), Error::NoRights);
        refused(rights(&[READ_TEXT, READ_MEDIA, READ_TEXT]), Error::RepeatedRight);
        refused(rights(&[READ_TEXT, SUBMIT]), Error::RightsMismatch);
        refused(rights(&[READ_TEXT, BREAK_GLASS]), Error::RightsMismatch);
        refused(rights(&[BREAK_GLASS]), Error::RightsMismatch);
        let emergency = asked(|request| {
            request.purpose = Purpose::Emergency;
            request.emergency = Some(REASON);
        });
        refused(emergency, Error::RightsMismatch);
        share(FIRST, SectionSet(1));
        assert_ok!(record(agent(HOME), rights(&[READ_SHARED, READ_TEXT])));
    });
}

#[test]
fn a_grant_is_recorded_once() {
    run(|| {
        assert_ok!(record(agent(HOME), reading(1)));
        refused(reading(1), Error::AlreadyRecorded);
        refused(emergency(1), Error::AlreadyRecorded);
        assert_ok!(record(agent(HOME), reading(2)));
    });
}

#[test]
fn a_release_that_the_policies_do_not_allow_is_not_recorded() {
    run(|| {
        refused(asked(|request| request.purpose = Purpose::Research), Error::NotAllowed);
        refused(asked(|request| request.requester = NURSE), Error::NotAllowed);
        Denied::set(vec![READ_TEXT]);
        refused(reading(1), Error::NotAllowed);
        Denied::set(vec![READ_SHARED]);
        assert_ok!(record(agent(HOME), reading(1)));
    });
}

#[test]
fn reading_has_no_daily_limit() {
    run(|| {
        for seed in 0..20 {
            assert_ok!(record(agent(HOME), reading(seed)));
        }
        assert_eq!(crate::Tallies::<Test>::iter().count(), 0);
    });
}

#[test]
fn a_release_pays_for_its_records_and_rights() {
    run(|| {
        let weight = |release| {
            RuntimeCall::from(crate::Call::record { release }).get_dispatch_info().call_weight
        };
        assert_eq!(weight(reading(1)), <() as WeightInfo>::record(2, 2));
        assert_eq!(weight(emergency(1)), <() as WeightInfo>::record_emergency(1, 1));
    });
}

#[test]
fn receipt_numbers_do_not_overflow() {
    externalities().execute_with(|| {
        crate::ReceiptCount::<Test>::insert(PATIENT, u32::MAX);
        let overflow = DispatchError::from(sp_runtime::ArithmeticError::Overflow);
        assert_noop!(record(agent(HOME), reading(1)), overflow);
    });
}
