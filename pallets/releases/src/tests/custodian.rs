//! The custodian of a removed hospital answers for its records.

use epione_primitives::{HospitalId, release::Release};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::BoundedVec;

use crate::{Error, OfDeparted, mock::*};

/// A release of a record of [`HOME`] and of one of [`AWAY`], both by [`HOME`].
fn of_both(seed: u8) -> Release {
    releasing(reading(seed), &[part(FIRST), part(ELSEWHERE)])
}

/// [`AWAY`] is removed, and [`HOME`] is its custodian.
fn depart() {
    remove_hospital(AWAY);
    appoint_custodian(AWAY, HOME);
}

fn departed(seed: u8) -> Vec<HospitalId> {
    OfDeparted::<Test>::get(grant(seed)).to_vec()
}

#[test]
fn the_custodian_releases_records_of_the_removed_hospital_by_its_own_policies() {
    run(|| {
        depart();
        assert_ok!(record(agent(HOME), of_both(1)));
        let receipt = Releases::receipt(grant(1)).unwrap();
        assert_eq!((receipt.hospital, receipt.version), (HOME, VERSION));
        assert_eq!(departed(1), [AWAY]);
        assert!(Releases::is_in_force(grant(1)));
        Denied::set(vec![READ_TEXT]);
        assert_noop!(record(agent(HOME), of_both(2)), Error::<Test>::NotAllowed);
        assert!(!Releases::is_in_force(grant(1)));
    });
}

#[test]
fn a_release_of_own_records_names_no_removed_hospital() {
    run(|| {
        depart();
        assert_ok!(record(agent(HOME), reading(1)));
        assert!(!OfDeparted::<Test>::contains_key(grant(1)));
    });
}

#[test]
fn only_the_custodian_of_a_removed_hospital_releases_its_records() {
    run(|| {
        let refused = || {
            let error = Error::<Test>::RecordOfAnotherHospital;
            assert_noop!(record(agent(HOME), of_both(1)), error);
        };
        refused();
        remove_hospital(AWAY);
        refused();
        appoint_custodian(AWAY, SOUTH);
        refused();
        // The custodian of another hospital.
        appoint_custodian(NORTH, HOME);
        refused();
        appoint_custodian(AWAY, HOME);
        assert_ok!(record(agent(HOME), of_both(1)));
        dismiss_custodian(AWAY);
        let error = Error::<Test>::RecordOfAnotherHospital;
        assert_noop!(record(agent(HOME), of_both(2)), error);
        assert_noop!(record(agent(AWAY), of_both(2)), Error::<Test>::NotAgent);
    });
}

#[test]
fn the_custodian_releases_no_record_of_another_patient() {
    run(|| {
        depart();
        let inherited = releasing(reading(1), &[part(ELSEWHERE)]);
        let others = asking(inherited, |request| request.patient = OTHER_PATIENT);
        assert_noop!(record(agent(HOME), others), Error::<Test>::RecordOfAnotherPatient);
    });
}

#[test]
fn a_grant_of_a_custodian_is_in_force_only_while_it_is_the_custodian() {
    run(|| {
        depart();
        assert_ok!(record(agent(HOME), of_both(1)));
        assert_ok!(record(agent(HOME), reading(2)));
        let in_force = || [1, 2].map(|seed| Releases::is_in_force(grant(seed)));
        assert_eq!(in_force(), [true, true]);
        dismiss_custodian(AWAY);
        assert_eq!(in_force(), [false, true]);
        appoint_custodian(AWAY, SOUTH);
        assert_eq!(in_force(), [false, true]);
        appoint_custodian(AWAY, HOME);
        assert_eq!(in_force(), [true, true]);
        // The stand-in for the policies decides for suspended hospitals, too.
        set_active(HOME, false);
        assert_eq!(in_force(), [false, true]);
        assert!(Releases::receipt(grant(1)).is_some(), "the receipt stays");
    });
}

#[test]
fn the_custodian_refuses_requests_for_records_of_the_removed_hospital() {
    run(|| {
        let refuse = || {
            let mut asked = request(HOME, NURSE, PATIENT);
            asked.records = BoundedVec::truncate_from(vec![part(ELSEWHERE)]);
            let signature = signed(&asked);
            refuse_request(agent(HOME), asked, signature)
        };
        assert_noop!(refuse(), Error::<Test>::RecordOfAnotherHospital);
        depart();
        assert_ok!(refuse());
        let (_, refused) = Releases::refusals(PATIENT, None, 1).remove(0);
        assert_eq!((refused.hospital, refused.requester), (HOME, NURSE));
        dismiss_custodian(AWAY);
        assert_noop!(refuse(), Error::<Test>::RecordOfAnotherHospital);
    });
}
