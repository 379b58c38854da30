//! Which sections of a patient's records a consent covers: by their kind, which only those know who can open them, and
//! by the time at which the record was signed.

use epione_envelope::record::SectionKind;
use epione_primitives::{
    RecordPointer, UserId,
    limits::{MAX_PAGE, MAX_PLACED_RECORDS},
    release::{ReleasedRecord, SectionSet},
    sharing::{KindSet, Placements, RecordedPeriod, SlotId},
};

use super::kinds_in;
use crate::{
    chain::{Chain, ChainError},
    reader::{ReadError, Reader, VerifiedRecord},
};

/// The sections of a patient's records that are of some kinds, and signed in a period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Ascending by pointer, each with at least one section.
    pub records: Vec<ReleasedRecord>,
    /// The records that the patient's keys do not open, or that are not what their authors signed, ascending. Nobody
    /// knows which of their sections are covered.
    pub unopened: Vec<Unopened>,
}

/// A record that does not open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unopened {
    pub pointer: RecordPointer,
    pub reason: String,
}

impl Coverage {
    /// Opens the patient's records with the patient's own keys, and finds what is covered. An empty set of kinds covers
    /// nothing, and reads nothing.
    ///
    /// # Errors
    /// Only those of the node: a record that does not open is in the result.
    pub async fn of(
        chain: &Chain,
        reader: &Reader,
        patient: UserId,
        (kinds, recorded): (KindSet, RecordedPeriod),
    ) -> Result<Self, ReadError> {
        let mut coverage = Self::default();
        if kinds_in(kinds).next().is_none() {
            return Ok(coverage);
        }
        let mut before = None;
        loop {
            let page = reader.list(patient, before, MAX_PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            before = Some(*last);
            for (pointer, listed) in page {
                let found = match listed {
                    Err(error) => Err(error),
                    Ok(_) => of_record(chain, reader, (patient, pointer), (kinds, recorded)).await,
                };
                match found {
                    Ok(sections) if sections.is_empty() => {}
                    Ok(sections) => coverage.records.push(ReleasedRecord { pointer, sections }),
                    Err(ReadError::Chain(error)) => return Err(error.into()),
                    Err(error) => {
                        coverage.unopened.push(Unopened { pointer, reason: error.to_string() });
                    }
                }
            }
        }
        coverage.records.reverse();
        coverage.unopened.reverse();
        Ok(coverage)
    }

    /// Number of covered sections.
    pub fn sections(&self) -> usize {
        self.records.iter().map(|record| record.sections.iter().count()).sum()
    }
}

/// The covered sections of a record. Opens it only if it was signed in the period.
async fn of_record(
    chain: &Chain,
    reader: &Reader,
    (patient, pointer): (UserId, RecordPointer),
    (kinds, recorded): (KindSet, RecordedPeriod),
) -> Result<SectionSet, ReadError> {
    let record = VerifiedRecord::of(chain, patient, pointer).await?;
    let number = record.summary.signed_at.number;
    let signed = chain.time_at(number).await?;
    let signed = signed.ok_or_else(|| ChainError::UnknownBlock(number.to_string()))?;
    if !recorded.contains(signed) {
        return Ok(SectionSet::default());
    }
    let sections = record.sections();
    let opened = reader.open_own_sections(patient, vec![(record, sections)]).await;
    let opened = opened.into_iter().next().ok_or(ReadError::UnknownRecord(pointer))??;
    Ok(of_kinds(kinds, opened.sections.iter().map(|section| (section.index, section.kind))))
}

/// The sections of these kinds, of those whose kind is known.
fn of_kinds(
    kinds: KindSet,
    sections: impl Iterator<Item = (usize, Option<SectionKind>)>,
) -> SectionSet {
    let wanted: Vec<_> = kinds_in(kinds).collect();
    let mut covered = SectionSet::default();
    for (index, kind) in sections {
        if kind.is_some_and(|kind| wanted.contains(&kind)) {
            // A record has at most 64 sections.
            covered.insert(index as u16);
        }
    }
    covered
}

/// What of these records is not in a slot yet, in calls of at most [`MAX_PLACED_RECORDS`] records. `placements` are
/// those of the records, in their order.
pub fn missing(
    records: &[ReleasedRecord],
    placements: &[Placements],
    slot: SlotId,
) -> Vec<Vec<ReleasedRecord>> {
    let mut left = Vec::new();
    for (index, record) in records.iter().enumerate() {
        let placed = placements.get(index).map(|placements| placed_in(placements, slot));
        let sections = record.sections.without(placed.unwrap_or_default());
        if !sections.is_empty() {
            left.push(ReleasedRecord { sections, ..*record });
        }
    }
    left.chunks(MAX_PLACED_RECORDS as usize).map(<[_]>::to_vec).collect()
}

/// The sections of a record that are in a slot.
pub(super) fn placed_in(placements: &Placements, slot: SlotId) -> SectionSet {
    let found = placements.iter().find(|placement| placement.slot == slot);
    found.map(|placement| placement.sections).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use epione_primitives::sharing::Placement;

    use super::{super::set_of, *};

    fn record(height: u32, sections: u64) -> ReleasedRecord {
        ReleasedRecord {
            pointer: RecordPointer { height, index: 0 },
            sections: SectionSet(sections),
        }
    }

    #[test]
    fn only_sections_of_a_known_kind_in_the_set_are_covered() {
        let kinds = set_of(&[SectionKind::Diagnosis, SectionKind::Report]);
        let sections = [
            (0, Some(SectionKind::Diagnosis)),
            (1, Some(SectionKind::Name)),
            (2, None),
            (3, Some(SectionKind::Report)),
        ];
        assert_eq!(of_kinds(kinds, sections.into_iter()), SectionSet(0b1001));
        assert_eq!(of_kinds(KindSet(0), sections.into_iter()), SectionSet(0));
    }

    #[test]
    fn what_is_in_the_slot_already_is_not_placed_again() {
        let slot = SlotId(2);
        let placed = |slot, sections| Placement { slot, sections: SectionSet(sections) };
        let placements =
            [vec![placed(SlotId(1), 0b11), placed(slot, 0b01)], vec![placed(slot, 0b111)], vec![]];
        let placements = placements.map(|it| Placements::try_from(it).unwrap());
        let records = [record(1, 0b11), record(2, 0b11), record(3, 0b1)];
        let left = missing(&records, &placements, slot);
        assert_eq!(left, [vec![record(1, 0b10), record(3, 0b1)]]);
    }

    #[test]
    fn more_records_than_a_call_places_are_in_several_calls() {
        let records: Vec<_> = (1..=40).map(|height| record(height, 1)).collect();
        let calls = missing(&records, &[], SlotId(0));
        assert_eq!(calls.iter().map(Vec::len).collect::<Vec<_>>(), [32, 8]);
        assert_eq!(calls.concat(), records);
        assert!(missing(&[], &[], SlotId(0)).is_empty());
    }
}
