//! Which sections of a patient's records a consent covers: by their kind, which only those know who can open them, and
//! by the time at which the record was signed.

use epione_envelope::record::SectionKind;
use epione_primitives::{
    Moment, RecordPointer, UserId,
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
    /// The records that the patient's keys do not open, that are not what their authors signed, or whose time cannot be
    /// read, ascending. Nobody knows which of their sections are covered.
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
                    Err(error) => Err(error.into()),
                    Ok(_) => of_record(chain, reader, (patient, pointer), (kinds, recorded)).await,
                };
                match found {
                    Ok(sections) if sections.is_empty() => {}
                    Ok(sections) => coverage.records.push(ReleasedRecord { pointer, sections }),
                    Err(Uncovered::Node(error)) => return Err(error.into()),
                    Err(Uncovered::Record(reason)) => {
                        coverage.unopened.push(Unopened { pointer, reason });
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

/// Why nobody knows what of a record is covered.
enum Uncovered {
    /// The node does not answer, so nothing can be known of the other records either.
    Node(ChainError),
    /// It is this record, for this reason.
    Record(String),
}

impl From<ReadError> for Uncovered {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Chain(error) => Self::Node(error),
            error => Self::Record(error.to_string()),
        }
    }
}

/// Whether a record was signed in the period. Reads the time only if the period has a bound. `time` is when the block
/// was made that the author names; nodes do not keep the states of old blocks forever.
async fn is_recorded(
    recorded: RecordedPeriod,
    time: impl Future<Output = Result<Option<Moment>, ChainError>>,
) -> Result<bool, Uncovered> {
    if recorded == RecordedPeriod::default() {
        return Ok(true);
    }
    let unread = |reason: String| {
        Uncovered::Record(format!("the time at which it was signed cannot be read: {reason}"))
    };
    match time.await {
        Ok(Some(signed)) => Ok(recorded.contains(signed)),
        Ok(None) => Err(unread("the node does not have the block".into())),
        Err(error) => Err(unread(error.to_string())),
    }
}

/// The covered sections of a record. Opens it only if it was signed in the period.
async fn of_record(
    chain: &Chain,
    reader: &Reader,
    (patient, pointer): (UserId, RecordPointer),
    (kinds, recorded): (KindSet, RecordedPeriod),
) -> Result<SectionSet, Uncovered> {
    let record = VerifiedRecord::of(chain, patient, pointer).await?;
    let time = chain.time_at(record.summary.signed_at.number);
    if !is_recorded(recorded, time).await? {
        return Ok(SectionSet::default());
    }
    let sections = record.sections();
    let opened = reader.open_own_sections(patient, vec![(record, sections)]).await;
    let opened = opened.into_iter().next().unwrap_or(Err(ReadError::UnknownRecord(pointer)))?;
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

    #[tokio::test]
    async fn the_time_of_a_record_is_read_only_for_a_bounded_period() {
        let (any, pruned) = (RecordedPeriod::default(), ChainError::UnknownBlock("7".into()));
        assert!(is_recorded(any, async { Err(pruned) }).await.is_ok_and(|recorded| recorded));
        let from = RecordedPeriod { from: Some(10), to: None };
        for (signed, expected) in [(9, false), (10, true)] {
            let read = is_recorded(from, async { Ok(Some(signed)) }).await;
            assert!(read.is_ok_and(|recorded| recorded == expected), "{signed}");
        }
    }

    #[tokio::test]
    async fn a_record_whose_time_cannot_be_read_is_skipped_with_the_reason() {
        let bounded = RecordedPeriod { from: None, to: Some(10) };
        let pruned = || ChainError::UnknownBlock("7".into());
        for (time, said) in [(Ok(None), "does not have"), (Err(pruned()), "7")] {
            let read = is_recorded(bounded, async { time }).await;
            let Err(Uncovered::Record(reason)) = read else { panic!("the record is not named") };
            assert!(reason.contains("cannot be read") && reason.contains(said), "{reason}");
        }
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
        let records: Vec<_> = (1..=2 * MAX_PLACED_RECORDS + 1).map(|it| record(it, 1)).collect();
        let calls = missing(&records, &[], SlotId(0));
        let most = MAX_PLACED_RECORDS as usize;
        assert_eq!(calls.iter().map(Vec::len).collect::<Vec<_>>(), [most, most, 1]);
        assert_eq!(calls.concat(), records);
        assert!(missing(&[], &[], SlotId(0)).is_empty());
    }
}
