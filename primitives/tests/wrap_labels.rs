//! The label of a wrap, and the slot from which a section is opened.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use epione_primitives::{
    Hash, HospitalId, RecordPointer, UserId,
    consortium::{EpochId, KeyId},
    limits::{MAX_SECTIONS, MAX_WRAPS_BYTES},
    opening::{WRAP_BYTES, WrapLabel, Wrapped, slot_of},
    release::SectionSet,
    sharing::{SlotId, SlotSet},
};

const KEY: KeyId = KeyId(2);

fn label() -> WrapLabel {
    WrapLabel {
        genesis: Hash::repeat_byte(1),
        key: KEY,
        epoch: EpochId(3),
        hospital: HospitalId(4),
        patient: UserId([5; 32]),
        slot: SlotId(6),
        pointer: RecordPointer { height: 7, index: 8 },
        section: 9,
    }
}

/// Wraps that exist were made for these bytes.
#[test]
fn the_bytes_of_a_label_are_its_fields_after_the_name_of_what_it_is() {
    let expected = [
        b"epione/wrap-label".as_slice(),
        &[1; 32],
        &[2, 0, 0, 0],
        &[3, 0, 0, 0],
        &[4, 0],
        &[5; 32],
        &[6],
        &[7, 0, 0, 0, 8, 0],
        &[9, 0],
    ]
    .concat();
    assert_eq!(label().bytes(), expected);
}

#[test]
fn labels_that_differ_in_one_field_have_other_bytes_of_the_same_length() {
    let this = label();
    let pointer = this.pointer;
    let all = [
        this,
        WrapLabel { genesis: Hash::repeat_byte(2), ..this },
        WrapLabel { key: KeyId(3), ..this },
        WrapLabel { epoch: EpochId(2), ..this },
        WrapLabel { hospital: HospitalId(5), ..this },
        WrapLabel { patient: UserId([6; 32]), ..this },
        WrapLabel { slot: SlotId(7), ..this },
        WrapLabel { pointer: RecordPointer { height: 8, ..pointer }, ..this },
        WrapLabel { pointer: RecordPointer { index: 7, ..pointer }, ..this },
        WrapLabel { section: 6, ..this },
    ];
    let bytes: BTreeSet<Vec<u8>> = all.iter().map(WrapLabel::bytes).collect();
    assert_eq!(bytes.len(), all.len());
    assert!(bytes.iter().all(|bytes| bytes.len() == 100), "no field can become part of another");
}

#[test]
fn the_wraps_of_every_section_of_a_record_are_within_the_limit() {
    assert_eq!(WRAP_BYTES * usize::from(MAX_SECTIONS), MAX_WRAPS_BYTES as usize);
}

fn wrapped(slot: u8, key: KeyId, bits: u64) -> (SlotId, Wrapped) {
    let wrapped = Wrapped {
        sections: SectionSet(bits),
        key,
        epoch: EpochId(0),
        hospital: HospitalId(0),
        body: Hash::repeat_byte(slot),
        block: 1,
    };
    (SlotId(slot), wrapped)
}

fn slots(numbers: &[u8]) -> SlotSet {
    let mut slots = SlotSet::default();
    assert!(numbers.iter().all(|number| slots.insert(SlotId(*number))));
    slots
}

/// The slot from which the section is opened, if these slots admit.
fn chosen(section: u16, admitting: &[u8], wraps: &[(SlotId, Wrapped)]) -> Option<u8> {
    let (slot, found) = slot_of(section, slots(admitting), KEY, wraps)?;
    assert_eq!(found.body, Hash::repeat_byte(slot.0), "the wraps of this slot");
    Some(slot.0)
}

#[test]
fn a_section_is_opened_from_the_lowest_slot_that_admits_and_has_its_wrap() {
    let wraps = [wrapped(1, KEY, 0b01), wrapped(3, KEY, 0b11), wrapped(7, KEY, 0b110)];
    assert_eq!(chosen(0, &[1, 3, 7], &wraps), Some(1));
    assert_eq!(chosen(1, &[1, 3, 7], &wraps), Some(3));
    assert_eq!(chosen(2, &[1, 3, 7], &wraps), Some(7));
    assert_eq!(chosen(0, &[3, 7], &wraps), Some(3), "slot 1 does not admit");
    assert_eq!(chosen(1, &[7], &wraps), Some(7));
    assert_eq!(chosen(3, &[1, 3, 7], &wraps), None, "nobody has wrapped it");
    assert_eq!(chosen(0, &[], &wraps), None);
    assert_eq!(chosen(0, &[2, 4], &wraps), None);
}

#[test]
fn the_order_of_the_wraps_does_not_matter() {
    let mut wraps = vec![wrapped(7, KEY, 1), wrapped(1, KEY, 1), wrapped(3, KEY, 1)];
    for _ in 0..wraps.len() {
        wraps.rotate_left(1);
        assert_eq!(chosen(0, &[1, 3, 7], &wraps), Some(1));
    }
}

#[test]
fn wraps_under_another_key_open_nothing() {
    let wraps = [wrapped(1, KeyId(1), 1), wrapped(3, KEY, 1), wrapped(4, KeyId(3), 1)];
    assert_eq!(chosen(0, &[1, 3, 4], &wraps), Some(3));
    assert_eq!(chosen(0, &[1, 4], &wraps), None);
}

#[test]
fn a_section_beyond_the_last_is_never_opened() {
    let wraps = [wrapped(1, KEY, u64::MAX)];
    assert_eq!(chosen(MAX_SECTIONS - 1, &[1], &wraps), Some(1));
    for section in [MAX_SECTIONS, u16::MAX] {
        assert_eq!(chosen(section, &[1], &wraps), None);
    }
}
