//! The sections of an opening with their wraps, as the chain has them.

use std::collections::BTreeMap;

use epione_primitives::{
    Hash, HospitalId, RecordPointer,
    consortium::KeyId,
    opening::{Opening, WRAP_BYTES, WrapLabel, Wrapped, slot_of},
    sharing::SlotId,
};
use epione_threshold::{Point, Wrap};

use super::OpeningFault;
use crate::{
    chain::{Chain, ChainError, Snapshot},
    reader::ReadError,
};

/// A section of an opening, with the wrap of its content key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WrappedSection {
    pub pointer: RecordPointer,
    pub section: u16,
    /// The hospital that made the wrap.
    pub hospital: HospitalId,
    /// The hash of the body that contains the wrap: that of new wraps is another one.
    pub body: Hash,
    pub label: Vec<u8>,
    pub wrap: Wrap,
    /// The point of which the hospitals make their parts.
    pub point: Point,
}

/// The sections of an opening in its order, each with its wrap under the key. The bodies are those that the state
/// names.
pub(super) async fn wrapped(
    chain: &Chain,
    state: &Snapshot,
    opening: &Opening,
    key: KeyId,
) -> Result<Vec<WrappedSection>, ReadError> {
    let mut sections = Vec::new();
    for record in &opening.records {
        let pointer = record.pointer;
        let wraps = state.wraps(pointer).await?;
        let mut bodies = BTreeMap::new();
        for section in record.sections.iter() {
            let (slot, wrapped) = slot_of(section, opening.slots, key, &wraps)
                .ok_or(OpeningFault::NotWrapped { pointer, section })?;
            let body = match bodies.remove(&wrapped.body) {
                Some(body) => body,
                None => body_of(chain, pointer, &wrapped).await?,
            };
            let label = label(chain.genesis_hash(), opening, pointer, section, (slot, &wrapped));
            let made = section_of(&label, &wrapped, &body);
            bodies.insert(wrapped.body, body);
            // The chain has checked it.
            let contradiction = ReadError::Inconsistent { pointer, what: "its wraps" };
            sections.push(made.ok_or(contradiction)?);
        }
    }
    Ok(sections)
}

async fn body_of(
    chain: &Chain,
    pointer: RecordPointer,
    wrapped: &Wrapped,
) -> Result<Vec<u8>, ReadError> {
    let body: Result<_, ChainError> = chain.body(wrapped.body).await;
    Ok(body?.ok_or(OpeningFault::NoWraps { pointer })?)
}

/// What the wrap of a section is bound to.
pub(super) fn label(
    genesis: Hash,
    opening: &Opening,
    pointer: RecordPointer,
    section: u16,
    (slot, wrapped): (SlotId, &Wrapped),
) -> WrapLabel {
    WrapLabel {
        genesis,
        key: wrapped.key,
        epoch: wrapped.epoch,
        hospital: wrapped.hospital,
        patient: opening.patient,
        slot,
        pointer,
        section,
    }
}

/// The wrap of the label's section in a body. None if the body has no wrap with this label.
pub(super) fn section_of(
    label: &WrapLabel,
    wrapped: &Wrapped,
    body: &[u8],
) -> Option<WrappedSection> {
    let WrapLabel { hospital, pointer, section, .. } = *label;
    let position = wrapped.sections.iter().position(|wrapped| wrapped == section)?;
    let start = position.checked_mul(WRAP_BYTES)?;
    let bytes = body.get(start..start.checked_add(WRAP_BYTES)?)?;
    let wrap = Wrap::decode(bytes.try_into().ok()?)?;
    let label = label.bytes();
    let point = wrap.check(&label)?;
    let body = wrapped.body;
    Some(WrappedSection { pointer, section, hospital, body, label, wrap, point })
}
