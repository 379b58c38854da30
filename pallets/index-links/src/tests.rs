use epione_primitives::{RecordPointer, UserId, ports::IndexLinks as _};
use frame_support::{
    assert_err,
    traits::{GetStorageVersion as _, StorageVersion},
};

use crate::{
    Latest,
    mock::{IndexLinks, Test, run},
};

const PATIENT: UserId = UserId([1; 32]);
const OTHER: UserId = UserId([2; 32]);

fn at(height: u32, index: u16) -> RecordPointer {
    RecordPointer { height, index }
}

#[test]
fn a_patient_without_records_has_no_latest_one() {
    run(|| assert_eq!(IndexLinks::latest(PATIENT), None));
}

#[test]
fn linking_returns_the_previous_record() {
    run(|| {
        assert_eq!(IndexLinks::link(PATIENT, at(1, 0)), None);
        assert_eq!(IndexLinks::link(PATIENT, at(1, 1)), Some(at(1, 0)));
        assert_eq!(IndexLinks::link(PATIENT, at(4, 0)), Some(at(1, 1)));
        assert_eq!(IndexLinks::latest(PATIENT), Some(at(4, 0)));
    });
}

#[test]
fn the_links_of_patients_are_independent() {
    run(|| {
        IndexLinks::link(PATIENT, at(1, 0));
        assert_eq!(IndexLinks::link(OTHER, at(1, 1)), None);
        assert_eq!(IndexLinks::latest(PATIENT), Some(at(1, 0)));
        assert_eq!(IndexLinks::latest(OTHER), Some(at(1, 1)));
    });
}

#[test]
fn broken_invariants_are_detected() {
    let broken = [
        (vec![(PATIENT, at(0, 0))], "a patient's latest record has height 0"),
        (
            vec![(PATIENT, at(1, 512))],
            "a patient's latest record has an index that no lite block has",
        ),
        (vec![(PATIENT, at(1, 0)), (OTHER, at(1, 0))], "two patients share a latest record"),
    ];
    for (links, message) in broken {
        run(|| {
            for (patient, pointer) in &links {
                Latest::<Test>::insert(patient, pointer);
            }
            assert_err!(IndexLinks::check_state(), message);
            let _ = Latest::<Test>::clear(u32::MAX, None);
        });
    }
}

#[test]
fn storage_starts_at_version_one() {
    run(|| assert_eq!(IndexLinks::in_code_storage_version(), StorageVersion::new(1)));
}
