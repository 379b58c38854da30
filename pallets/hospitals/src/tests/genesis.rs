use epione_primitives::{HospitalId, ports::Hospitals as _};
use frame_support::traits::{GetStorageVersion, StorageVersion};
use sp_runtime::BuildStorage;

use crate::mock::*;

fn build(founders: Vec<epione_primitives::hospital::Founder>) {
    let mut storage = Default::default();
    crate::GenesisConfig::<Test> { founders, ..Default::default() }
        .assimilate_storage(&mut storage)
        .unwrap();
}

#[test]
fn founders_are_active_members_and_validators_from_the_start() {
    chain(4, || {
        assert_eq!(Hospitals::active(), (0..4).map(HospitalId).collect::<Vec<_>>());
        assert_eq!(council_members(), (0..4).map(governance).collect::<Vec<_>>());
        assert_eq!(validators(), vec![0, 1, 2, 3]);
        for number in 0..4 {
            assert_eq!(entry(number).name, founder(number).name);
            assert_eq!(System::providers(&governance(number)), 1);
            assert_eq!(System::providers(&agent(number)), 1);
        }
        assert_eq!(Hospitals::in_code_storage_version(), StorageVersion::new(1));
    });
}

#[test]
fn a_chain_without_founders_has_no_hospitals() {
    chain(0, || {
        assert_eq!(Hospitals::hospitals(), vec![]);
        assert_eq!(council_members(), vec![]);
    });
}

#[test]
#[should_panic(expected = "InvalidUrl")]
fn a_founder_without_a_url_is_refused() {
    build(vec![epione_primitives::hospital::Founder { worker_url: vec![], ..founder(0) }]);
}

#[test]
#[should_panic(expected = "InvalidStorageOrigin")]
fn a_founder_whose_storage_has_a_path_is_refused() {
    let storage_origin = Some(b"https://s3.example/bucket".to_vec());
    build(vec![epione_primitives::hospital::Founder { storage_origin, ..founder(0) }]);
}

#[test]
#[should_panic(expected = "InvalidName")]
fn a_founder_with_too_long_a_name_is_refused() {
    build(vec![epione_primitives::hospital::Founder { name: vec![b'n'; 65], ..founder(0) }]);
}

#[test]
#[should_panic(expected = "AccountInUse")]
fn two_founders_with_one_account_are_refused() {
    build(vec![founder(0), epione_primitives::hospital::Founder { agent: agent(0), ..founder(1) }]);
}
