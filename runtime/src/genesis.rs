//! The genesis presets `dev` and `local`.
//!
//! Both are for networks on one machine. Their keys are derived from public seeds, so everyone has them.

use alloc::{format, string::String, vec::Vec};
use epione_primitives::{AccountId, HospitalId, consortium::Schedule, hospital::Founder};
use frame_support::build_struct_json_patch;
use serde_json::Value;
use sp_consensus_aura::sr25519::AuthorityId as AuraId;
use sp_consensus_grandpa::AuthorityId as GrandpaId;
use sp_core::{crypto::get_public_from_string_or_panic, ed25519, sr25519};
use sp_genesis_builder::PresetId;

use crate::{RuntimeGenesisConfig, SessionKeys, council_root};

/// The preset with one hospital.
pub const DEV: &str = "dev";
/// The preset with four hospitals.
pub const LOCAL: &str = "local";

/// A founder of the presets.
struct Development {
    /// The name, which is also the seed, as in `//Alice`.
    seed: &'static str,
    /// The public sealing key that `epione-envelope` derives from the seed, in hexadecimal.
    sealing_key: &'static str,
}

const DEVELOPMENT: [Development; 4] = [
    Development { seed: "Alice", sealing_key: include_str!("dev-sealing-keys/alice.hex") },
    Development { seed: "Bob", sealing_key: include_str!("dev-sealing-keys/bob.hex") },
    Development { seed: "Charlie", sealing_key: include_str!("dev-sealing-keys/charlie.hex") },
    Development { seed: "Dave", sealing_key: include_str!("dev-sealing-keys/dave.hex") },
];

/// The first attributes, whose numbers follow from this order. The council names further ones.
const ATTRIBUTES: [&str; 6] =
    ["cardiology", "oncology", "research", "pharmacy", "insurance", "public-health"];

/// Number of blocks between the authorization of an upgrade and the first block that may apply it: a minute.
const UPGRADE_DELAY: u32 = 20;
/// Number of blocks for which new keys that a hospital proposed for a user wait for objections: a minute.
const RECOVERY_DELAY: u32 = 20;
/// Number of blocks between the appointment of a custodian and the first claim: a minute.
const CUSTODIAN_DELAY: u32 = 20;
/// Number of blocks between the council's decision on another governance account of a hospital and the first block that
/// can complete it: a minute.
const REPLACEMENT_DELAY: u32 = 20;
/// The schedule of the consortium key: phases of half a minute. The members renew their shares on request only, unless
/// a network runs for more than a month.
const SCHEDULE: Schedule = Schedule { phase: 10, refresh: 1_000_000 };
/// The port of the first founder's worker. The port of each next founder is one higher.
const FIRST_WORKER_PORT: usize = 9_800;

/// The JSON of the preset with this name, if there is one.
pub fn preset(id: &PresetId) -> Option<Vec<u8>> {
    let founders = match id.as_ref() {
        DEV => &DEVELOPMENT[..1],
        LOCAL => &DEVELOPMENT[..],
        _ => return None,
    };
    serde_json::to_vec(&genesis(founders)).ok()
}

/// The names of the presets.
pub fn names() -> Vec<PresetId> {
    [DEV, LOCAL].into_iter().map(PresetId::from).collect()
}

fn genesis(development: &[Development]) -> Value {
    let founders: Vec<_> =
        development.iter().enumerate().map(|(index, founder)| founder.founder(index)).collect();
    let keys: Vec<_> = (0_u16..)
        .zip(development)
        .map(|(id, founder)| (founder.governance(), HospitalId(id), founder.session_keys()))
        .collect();
    let attributes: Vec<_> = ATTRIBUTES.into_iter().map(String::from).collect();
    build_struct_json_patch!(RuntimeGenesisConfig {
        hospitals: pallet_hospitals::GenesisConfig {
            founders,
            replacement_delay: Some(REPLACEMENT_DELAY),
        },
        profiles: pallet_profiles::GenesisConfig { recovery_delay: Some(RECOVERY_DELAY) },
        session: pallet_session::GenesisConfig { keys },
        council_root: council_root::GenesisConfig { upgrade_delay: Some(UPGRADE_DELAY) },
        credentials: pallet_credentials::GenesisConfig { attributes },
        custody: pallet_custody::GenesisConfig { delay: Some(CUSTODIAN_DELAY) },
        consortium_key: pallet_consortium_key::GenesisConfig { schedule: SCHEDULE },
    })
}

impl Development {
    fn governance(&self) -> AccountId {
        get_public_from_string_or_panic::<sr25519::Public>(self.seed).into()
    }

    fn agent(&self) -> AccountId {
        let path = format!("{}//agent", self.seed);
        get_public_from_string_or_panic::<sr25519::Public>(&path).into()
    }

    fn session_keys(&self) -> SessionKeys {
        SessionKeys {
            aura: get_public_from_string_or_panic::<AuraId>(self.seed),
            grandpa: get_public_from_string_or_panic::<GrandpaId>(self.seed),
        }
    }

    fn founder(&self, index: usize) -> Founder {
        let tls = format!("{}//tls", self.seed);
        Founder {
            name: self.seed.into(),
            governance: self.governance(),
            agent: self.agent(),
            worker_url: format!("http://127.0.0.1:{}", FIRST_WORKER_PORT + index).into_bytes(),
            sealing_key: hex::decode(self.sealing_key.trim())
                .expect("the committed file contains hexadecimal digits; a test reads all files"),
            tls_key: get_public_from_string_or_panic::<ed25519::Public>(&tls).0,
            storage_origin: None,
        }
    }
}
