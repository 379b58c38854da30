//! Computations over proven values. A computation is a pure function that asks for values. What is not known yet is
//! noted, requested with a proof, and the computation begins again.

use std::collections::{BTreeMap, BTreeSet};

use codec::{Decode, DecodeAll};
use epione_proofs::{StateError, StorageKey};

/// Why a computation has no result.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// Values are missing, and noted.
    Missing,
    Wrong(StateError),
    /// The state has no value for this key, although the computation knows that there is one.
    Absent(StorageKey),
}

/// Values of one state that are proven.
#[derive(Debug, Default)]
pub(super) struct Known {
    values: BTreeMap<StorageKey, Option<Vec<u8>>>,
    missing: BTreeSet<StorageKey>,
}

impl Known {
    /// Notes which of these keys are missing, so that they are requested together.
    pub(super) fn need(&mut self, keys: impl IntoIterator<Item = StorageKey>) -> Result<(), Gap> {
        let unknown: Vec<_> =
            keys.into_iter().filter(|key| !self.values.contains_key(key)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        self.missing.extend(unknown);
        Err(Gap::Missing)
    }

    /// The value of a key, or none if the state has none.
    pub(super) fn value<T: Decode>(&mut self, key: StorageKey) -> Result<Option<T>, Gap> {
        let Some(value) = self.values.get(&key) else {
            self.missing.insert(key);
            return Err(Gap::Missing);
        };
        let Some(bytes) = value else { return Ok(None) };
        let decoded = T::decode_all(&mut bytes.as_slice());
        decoded.map(Some).map_err(|_| Gap::Wrong(StateError::OtherType { key }))
    }

    /// The value of a key that stands for the default value while it is absent.
    pub(super) fn value_or_default<T: Decode + Default>(
        &mut self,
        key: StorageKey,
    ) -> Result<T, Gap> {
        Ok(self.value(key)?.unwrap_or_default())
    }

    pub(super) fn take_missing(&mut self) -> Vec<StorageKey> {
        std::mem::take(&mut self.missing).into_iter().collect()
    }

    pub(super) fn learn(&mut self, key: StorageKey, value: Option<Vec<u8>>) {
        self.values.insert(key, value);
    }

    /// The number of keys whose values are known.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}

#[cfg(test)]
mod tests {
    use codec::Encode;

    use super::*;

    fn key(number: u32) -> StorageKey {
        StorageKey::value("Test", "Map").twox_64_concat(&number)
    }

    #[test]
    fn missing_values_are_requested_together_and_once() {
        let mut known = Known::default();
        assert_eq!(known.need([key(1), key(2)]), Err(Gap::Missing));
        assert_eq!(known.value::<u32>(key(2)), Err(Gap::Missing));
        let mut missing = known.take_missing();
        missing.sort();
        let mut expected = vec![key(1), key(2)];
        expected.sort();
        assert_eq!(missing, expected);

        known.learn(key(1), Some(7u32.encode()));
        known.learn(key(2), None);
        assert_eq!(known.need([key(1), key(2)]), Ok(()));
        assert_eq!(known.value(key(1)), Ok(Some(7u32)));
        assert_eq!(known.value_or_default(key(2)), Ok(0u32));
        assert!(known.take_missing().is_empty());
    }

    #[test]
    fn a_value_of_another_type_is_an_error() {
        let mut known = Known::default();
        known.learn(key(1), Some(7u32.encode()));
        let expected = Gap::Wrong(StateError::OtherType { key: key(1) });
        assert_eq!(known.value::<u64>(key(1)), Err(expected));
    }
}
