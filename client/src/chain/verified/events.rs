//! The numbers of events. A block's events are proven bytes, which the client splits and names by the node's metadata.
//! With other metadata, a node could make a failed call look like one that took effect. So each event's name and
//! numbers are compared with the known ones, no byte may be left, and each transaction must have one outcome.

use epione_primitives::Hash;

use super::{Doubt, numbers::EVENTS};
use crate::chain::{Chain, ChainError};

impl Chain {
    /// Checks how the node's metadata names an event with these numbers of pallet and event.
    pub(in crate::chain) fn check_event(
        &self,
        numbers: [u8; 2],
        pallet: &str,
        name: &str,
    ) -> Result<(), ChainError> {
        if !self.is_verified() || is_consistent(numbers, pallet, name) {
            return Ok(());
        }
        let name = format!("{pallet}.{name}");
        Err(self.doubt(Doubt::OtherEvent { numbers, name }))
    }

    /// Checks that a block's events have no bytes but those that were read as events.
    pub(in crate::chain) fn check_all_read(
        &self,
        block: Hash,
        bytes: usize,
        read: usize,
    ) -> Result<(), ChainError> {
        if !self.is_verified() || bytes == read {
            return Ok(());
        }
        Err(self.doubt(Doubt::UnreadEvents { block }))
    }

    /// Checks that the events of a transaction say once whether it failed.
    pub(in crate::chain) fn check_outcomes(
        &self,
        block: Hash,
        extrinsic: u32,
        outcomes: usize,
    ) -> Result<(), ChainError> {
        if !self.is_verified() || outcomes == 1 {
            return Ok(());
        }
        Err(self.doubt(Doubt::NoOutcome { block, extrinsic }))
    }
}

/// Whether an event that is known by its numbers or by its name is known by both.
fn is_consistent(numbers: [u8; 2], pallet: &str, name: &str) -> bool {
    EVENTS.iter().all(|(known_pallet, known_name, known_numbers)| {
        (*known_numbers == numbers) == ((*known_pallet, *known_name) == (pallet, name))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_failure_cannot_be_renamed() {
        assert!(is_consistent([0, 1], "System", "ExtrinsicFailed"));
        for (pallet, name) in [
            ("System", "ExtrinsicSuccess"),
            ("System", "CodeUpdated"),
            ("Utility", "ExtrinsicFailed"),
            ("Sharing", "Changed"),
        ] {
            assert!(!is_consistent([0, 1], pallet, name), "{pallet}.{name}");
        }
    }

    #[test]
    fn no_other_event_gets_the_name_of_a_known_one() {
        for (pallet, name, numbers) in EVENTS {
            assert!(is_consistent(numbers, pallet, name));
            assert!(!is_consistent([99, 0], pallet, name), "{pallet}.{name}");
            assert!(!is_consistent(numbers, pallet, "Other"), "{pallet}.{name}");
        }
        assert!(is_consistent([99, 0], "Utility", "BatchCompleted"));
    }

    #[test]
    fn events_have_different_numbers_and_names() {
        let numbers: BTreeSet<_> = EVENTS.iter().map(|(_, _, numbers)| numbers).collect();
        let names: BTreeSet<_> = EVENTS.iter().map(|(pallet, name, _)| (pallet, name)).collect();
        assert_eq!((numbers.len(), names.len()), (EVENTS.len(), EVENTS.len()));
    }
}
