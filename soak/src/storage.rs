//! Keys of the chain's state, in hexadecimal: for what no runtime API and no client reads.

use codec::Encode;
use sp_io::hashing::{blake2_128, twox_64, twox_128};

/// The key of a value, which is also the prefix of the keys of a map.
pub fn value(pallet: &str, item: &str) -> String {
    format!("0x{}", hex::encode([twox_128(pallet.as_bytes()), twox_128(item.as_bytes())].concat()))
}

/// The key of an entry of a map whose hasher is `Twox64Concat`.
pub fn twox_64_entry(pallet: &str, item: &str, key: &impl Encode) -> String {
    let key = key.encode();
    format!("{}{}{}", value(pallet, item), hex::encode(twox_64(&key)), hex::encode(key))
}

/// The key of an entry of a map whose hasher is `Blake2_128Concat`.
pub fn blake2_128_entry(pallet: &str, item: &str, key: &impl Encode) -> String {
    let key = key.encode();
    format!("{}{}{}", value(pallet, item), hex::encode(blake2_128(&key)), hex::encode(key))
}

#[cfg(test)]
mod tests {
    use epione_primitives::HospitalId;

    use super::*;

    #[test]
    fn keys_are_those_of_the_runtime() {
        let now = pallet_timestamp::Now::<epione_runtime::Runtime>::hashed_key();
        assert_eq!(value("Timestamp", "Now"), format!("0x{}", hex::encode(now)));
        // `System.Account` of an account of zeros, as any SDK computes it.
        let account = blake2_128_entry("System", "Account", &[0_u8; 32]);
        let system = "0x26aa394eea5630e07c48ae0c9558cef7b99d880ec681799c0cf30e8886371da9";
        assert!(account.starts_with(system), "{account}");
        assert!(account.ends_with(&"00".repeat(32)));
        let hospital = twox_64_entry("Hospitals", "Hospitals", &HospitalId(1));
        assert_eq!(hospital.len(), 2 + 2 * (32 + 8 + 2));
        assert!(hospital.ends_with("0100"));
    }
}
