//! The genesis presets.

use epione_primitives::{
    consortium::Schedule,
    credential::AttributeId,
    hospital::Duty,
    limits::{DAY_BLOCKS, MAX_SEALING_KEY_BYTES},
};
use epione_runtime::{Credentials, Hospitals, Runtime, council_root::UpgradeDelay, genesis};
use sp_genesis_builder::runtime_decl_for_genesis_builder::GenesisBuilder;
use sp_runtime::BuildStorage;

use crate::chain::{account, configuration, key, local};

/// Bytes of a sealing key: the suite's number and an X-Wing key.
const SEALING_KEY_BYTES: usize = 1 + 1_216;

#[test]
fn local_has_four_hospitals_with_their_accounts_and_keys() {
    local(|_| {
        let hospitals = Hospitals::hospitals();
        assert_eq!(hospitals.len(), 4);
        for ((id, hospital), name) in hospitals.into_iter().zip(["Alice", "Bob", "Charlie", "Dave"])
        {
            assert_eq!(hospital.name.to_vec(), name.as_bytes());
            assert_eq!(hospital.sealing_key.len(), SEALING_KEY_BYTES);
            assert_eq!(
                hospital.worker_url.to_vec(),
                format!("http://127.0.0.1:{}", 9_800 + id.0).into_bytes()
            );
            let agent = account(&key(&format!("{name}//agent")));
            assert_eq!(Hospitals::hospital_of(account(&key(name))), Some((id, Duty::Governance)));
            assert_eq!(Hospitals::hospital_of(agent), Some((id, Duty::Agent)));
            assert!(pallet_session::NextKeys::<Runtime>::contains_key(id));
        }
        assert!(SEALING_KEY_BYTES <= MAX_SEALING_KEY_BYTES as usize);
        assert_eq!(pallet_aura::Authorities::<Runtime>::get().len(), 4);
    });
}

#[test]
fn dev_has_one_hospital() {
    let storage = configuration(genesis::DEV).build_storage().unwrap();
    sp_io::TestExternalities::new(storage).execute_with(|| {
        assert_eq!(Hospitals::hospitals().len(), 1);
        assert_eq!(pallet_aura::Authorities::<Runtime>::get().len(), 1);
    });
}

#[test]
fn both_presets_name_the_first_attributes() {
    for preset in [genesis::DEV, genesis::LOCAL] {
        let storage = configuration(preset).build_storage().unwrap();
        sp_io::TestExternalities::new(storage).execute_with(|| {
            let named: Vec<_> = Credentials::attributes(AttributeId(0), u32::MAX)
                .into_iter()
                .map(|(attribute, name)| (attribute.0, String::from_utf8(name.to_vec()).unwrap()))
                .collect();
            let words =
                ["cardiology", "oncology", "research", "pharmacy", "insurance", "public-health"];
            let expected: Vec<_> = (0..).zip(words.map(String::from)).collect();
            assert_eq!(named, expected);
        });
    }
}

#[test]
fn upgrades_wait_for_a_day_unless_the_genesis_says_otherwise() {
    for (set, expected) in [(None, DAY_BLOCKS), (Some(20), 20)] {
        let mut config = configuration(genesis::LOCAL);
        config.council_root.upgrade_delay = set;
        let storage = config.build_storage().unwrap();
        sp_io::TestExternalities::new(storage).execute_with(|| {
            assert_eq!(UpgradeDelay::<Runtime>::get(), expected);
        });
    }
}

#[test]
fn new_keys_wait_for_three_days_unless_the_genesis_says_otherwise() {
    for (set, expected) in [(None, 3 * DAY_BLOCKS), (Some(20), 20)] {
        let mut config = configuration(genesis::LOCAL);
        config.profiles.recovery_delay = set;
        let storage = config.build_storage().unwrap();
        sp_io::TestExternalities::new(storage).execute_with(|| {
            assert_eq!(pallet_profiles::RecoveryDelay::<Runtime>::get(), expected);
        });
    }
}

#[test]
fn replacements_of_governance_accounts_wait_for_a_day_unless_the_genesis_says_otherwise() {
    for (set, expected) in [(None, DAY_BLOCKS), (Some(20), 20)] {
        let mut config = configuration(genesis::LOCAL);
        config.hospitals.replacement_delay = set;
        let storage = config.build_storage().unwrap();
        sp_io::TestExternalities::new(storage).execute_with(|| {
            assert_eq!(pallet_hospitals::ReplacementDelay::<Runtime>::get(), expected);
        });
    }
}

#[test]
fn the_consortium_key_has_short_phases_in_the_presets_and_long_ones_elsewhere() {
    for preset in [genesis::DEV, genesis::LOCAL] {
        let storage = configuration(preset).build_storage().unwrap();
        sp_io::TestExternalities::new(storage).execute_with(|| {
            let schedule = pallet_consortium_key::Schedule::<Runtime>::get();
            assert_eq!(schedule, Schedule { phase: 10, refresh: 1_000_000 });
            assert!(schedule.is_valid());
        });
    }
    let mut config = configuration(genesis::LOCAL);
    config.consortium_key = Default::default();
    let storage = config.build_storage().unwrap();
    sp_io::TestExternalities::new(storage).execute_with(|| {
        let schedule = pallet_consortium_key::Schedule::<Runtime>::get();
        assert_eq!(schedule, Schedule::default());
        assert_eq!((schedule.phase, schedule.refresh), (200, 30 * DAY_BLOCKS));
    });
}

#[test]
#[should_panic(expected = "the genesis schedule of the consortium key is out of bounds")]
fn a_chain_with_a_schedule_out_of_bounds_does_not_begin() {
    let mut config = configuration(genesis::LOCAL);
    config.consortium_key.schedule.phase = 1;
    let _ = config.build_storage();
}

#[test]
fn the_runtime_offers_its_presets_by_name() {
    assert_eq!(Runtime::preset_names(), [genesis::DEV, genesis::LOCAL]);
    assert!(Runtime::get_preset(&Some(genesis::LOCAL.into())).is_some());
    assert!(Runtime::get_preset(&None).is_some());
    assert!(Runtime::get_preset(&Some("other".into())).is_none());
}

/// The files must contain the keys that `epione-envelope` derives. To fix a wrong file, paste the text that this test
/// prints.
#[test]
fn the_presets_sealing_keys_are_those_of_the_development_actors() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/dev-sealing-keys");
    let wrong: Vec<_> = ["Alice", "Bob", "Charlie", "Dave"]
        .into_iter()
        .filter_map(|name| {
            let file = format!("{}.hex", name.to_lowercase());
            let key = epione_envelope::development::sealing_key(&format!("//{name}"));
            let expected = hex::encode(key.public().as_bytes()) + "\n";
            let stored = std::fs::read_to_string(format!("{folder}/{file}")).unwrap();
            (stored != expected).then_some((file, expected))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "replace the contents of these files in src/dev-sealing-keys: {wrong:#?}"
    );
}
