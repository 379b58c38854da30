//! Bytes that a patient's consents and placements take in the chain's state: keys and values of pallet-sharing in
//! SCALE, without the hashes in the keys, and without the tree that contains them.

use codec::Encode;
use epione_primitives::{
    Hash, RecordPointer, UserId,
    release::SectionSet,
    sharing::{Change, ConsentVersion, Placements, SharedChange, SlotId},
};
use sp_runtime::traits::{BlakeTwo256, Hash as _};

/// The sections of a record in a slot, by record and by slot, the change in the log, and the height of the slot.
pub(super) fn placed(
    (patient, slot): (UserId, SlotId),
    pointer: RecordPointer,
    placements: &Placements,
    sections: SectionSet,
) -> usize {
    let by_record = (pointer, placements).encoded_size();
    let by_slot = (patient, slot, pointer, sections).encoded_size();
    by_record + by_slot + logged(patient, slot, Change::Placed { pointer, sections })
}

/// The consent of a slot, the change in the log, and the height of the slot.
pub(super) fn given((patient, slot): (UserId, SlotId), version: &ConsentVersion) -> usize {
    let consent = BlakeTwo256::hash_of(&version.consent);
    let change = Change::Given { version: version.version, consent };
    (patient, slot, version).encoded_size() + logged(patient, slot, change)
}

/// A version of a consent that has a later one.
pub(super) fn replaced((patient, slot): (UserId, SlotId), former: &ConsentVersion) -> usize {
    (patient, slot, former.version, former).encoded_size()
}

/// The height and the hash of the newest change: one value for all patients, which each change writes.
pub(super) fn head() -> usize {
    (0_u64, Hash::zero()).encoded_size()
}

/// A change in the log, and its height as that of the newest change of the slot.
fn logged(patient: UserId, slot: SlotId, change: Change) -> usize {
    let of_slot = (patient, slot, 1_u64).encoded_size();
    let previous = Hash::zero();
    let entry = SharedChange { height: 1, previous, patient, slot, change, block: 1 };
    (entry.height, &entry).encoded_size() + of_slot
}

#[cfg(test)]
mod tests {
    use epione_primitives::sharing::Placement;

    use super::*;

    const POINTER: RecordPointer = RecordPointer { height: 1, index: 0 };

    #[test]
    fn a_placement_is_stored_twice_and_logged_once() {
        let (patient, slot, sections) = (UserId([1; 32]), SlotId(0), SectionSet::ALL);
        let placements = Placements::try_from(vec![Placement { slot, sections }]).unwrap();
        // Pointer 6, slot 1, set 8, length of a list 1; user 32, height 8, hash 32, block 4, kind of a change 1.
        let (by_record, by_slot) = (6 + 1 + 1 + 8, 32 + 1 + 6 + 8);
        let logged = 8 + 8 + 32 + 32 + 1 + (1 + 6 + 8) + 4 + (32 + 1 + 8);
        let expected = by_record + by_slot + logged;
        assert_eq!(placed((patient, slot), POINTER, &placements, sections), expected);
        assert_eq!(head(), 8 + 32);
    }
}
