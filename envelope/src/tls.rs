//! The Ed25519 keys by which clients and other hospitals recognize a hospital's worker in TLS. They are derived from the
//! agent's account key, so that a hospital keeps one file, and the chain names the one that is in use.

use zeroize::Zeroizing;

use crate::account::{AccountKey, Scheme};

/// The number of TLS keys that are derived from one account key.
pub const GENERATIONS: u16 = 64;
const CONTEXT: &str = "epione 2026-11-20 TLS key of a hospital's worker";

/// The TLS key of this generation. A hospital begins with generation 0.
pub fn key(agent: &AccountKey, generation: u16) -> AccountKey {
    let material = Zeroizing::new([agent.seed(), &generation.to_le_bytes()[..]].concat());
    let seed = Zeroizing::new(blake3::derive_key(CONTEXT, &material));
    AccountKey::from_seed(Scheme::Ed25519, &seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_generation_of_each_agent_has_a_key_of_its_own() {
        let agents = [1, 2].map(|seed| AccountKey::from_seed(Scheme::Sr25519, &[seed; 32]));
        let mut keys: Vec<_> = agents
            .iter()
            .flat_map(|agent| (0..GENERATIONS).map(|n| key(agent, n).public()))
            .collect();
        assert_eq!(keys[1], key(&agents[0], 1).public(), "it depends on nothing else");
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 2 * usize::from(GENERATIONS));
    }
}
