//! Calls of pallet-openings.

use epione_primitives::{
    Word,
    access::Purpose,
    opening::{OpeningId, WRAP_BYTES, WrapsBytes},
    release::{EmergencyReason, SectionSet},
};
use epione_runtime::{Runtime, RuntimeCall};

use super::{HOSTILE_HOSPITAL, hospital, pick, pointer, reading::queried, slot, user};
use crate::chain::{A, B, PATIENT};

/// One of the newest openings, or the next one.
pub(super) fn opening(number: u8) -> OpeningId {
    let next = pallet_openings::OpeningCount::<Runtime>::get();
    OpeningId(next.saturating_sub(u32::from(number % 4)))
}

/// Bytes that are no wraps, mostly of the right length.
pub(super) fn publish_wraps(a: u8, b: u8, c: u8) -> RuntimeCall {
    let sections = SectionSet(c.into());
    let wraps = sections.0.count_ones() as usize + usize::from(a.is_multiple_of(5));
    pallet_openings::Call::wrap {
        patient: if c.is_multiple_of(3) { user(a) } else { *PATIENT },
        slot: slot(a),
        pointer: pointer(a, b),
        sections,
        wraps: WrapsBytes::truncate_from(vec![b; wraps * WRAP_BYTES]),
    }
    .into()
}

/// A question for an opening, for any purpose, with or without the reason of an emergency.
pub(super) fn ask_for_opening(a: u8, b: u8, c: u8) -> RuntimeCall {
    pallet_openings::Call::ask {
        hospital: pick(&[A, B, hospital(b), HOSTILE_HOSPITAL], b),
        patient: if c.is_multiple_of(3) { user(a) } else { *PATIENT },
        records: queried(a, b),
        purpose: pick(Purpose::ALL, c),
        emergency: (c % 3 == 1).then_some(EmergencyReason::PublicHealth),
    }
    .into()
}
