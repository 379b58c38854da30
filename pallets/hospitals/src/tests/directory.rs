use epione_primitives::{HospitalId, hospital::Duty, ports::Hospitals as _};
use frame_support::assert_ok;

use crate::mock::*;

#[test]
fn every_hospital_is_listed_whatever_its_status() {
    chain(3, || {
        assert_ok!(Hospitals::suspend(council(), HospitalId(0)));
        assert_ok!(Hospitals::remove(council(), HospitalId(1)));

        let listed = Hospitals::hospitals();
        assert_eq!(listed.iter().map(|(id, _)| id.0).collect::<Vec<_>>(), vec![0, 1, 2]);
        assert_eq!(Hospitals::hospital(HospitalId(1)), Some(listed[1].1.clone()));
        assert_eq!(Hospitals::hospital(HospitalId(3)), None);
        assert!(Hospitals::exists(HospitalId(1)));
        assert!(!Hospitals::exists(HospitalId(3)));
    });
}

#[test]
fn an_account_is_found_by_its_duty() {
    chain(2, || {
        assert_eq!(Hospitals::hospital_of(agent(1)), Some((HospitalId(1), Duty::Agent)));
        assert_eq!(Hospitals::hospital_of(stranger(0)), None);
        assert_eq!(Hospitals::active_by_agent(&agent(1)), Some(HospitalId(1)));
        assert_eq!(Hospitals::active_by_agent(&governance(1)), None);
        assert_eq!(Hospitals::active_by_governance(&governance(1)), Some(HospitalId(1)));
        assert_eq!(Hospitals::active_by_governance(&agent(1)), None);
    });
}
