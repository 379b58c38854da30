//! Places sections in a slot, or takes them out, with as many calls as are needed. What is so already is not sent, so
//! an interrupted run continues where it ended.

use std::time::Duration;

use epione_primitives::{
    BlockNumber, RecordPointer,
    limits::{MAX_PLACED_RECORDS, MAX_RELEASED_RECORDS, WEIGHT_WINDOW_BLOCKS},
    refusal::Refusal,
    release::ReleasedRecord,
    sharing::{Placements, SlotId},
};

use super::{covering::placed_in, missing};
use crate::{
    chain::{Chain, ChainError, Snapshot, SubmitError, calls::sharing},
    signer::Account,
};

/// The quota of weight is renewed every half a minute.
const PAUSE: Duration = Duration::from_secs(5);
/// How often a call is sent again while a quota is used up.
const MAX_ATTEMPTS: u32 = 36;

/// What a run has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placing {
    /// The records that this run changed, with the sections that it placed or took out, and no others.
    pub changed: Vec<ReleasedRecord>,
    /// The block of the last call; none if everything was so already.
    pub block: Option<BlockNumber>,
}

impl Placing {
    /// Number of sections that were placed or taken out.
    pub fn sections(&self) -> usize {
        self.changed.iter().map(|record| record.sections.iter().count()).sum()
    }
}

/// Why a run has ended early. What it did before stays.
#[derive(Debug, thiserror::Error)]
pub enum PlacingError {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error("{done} records were changed, and then the chain refused: {error}")]
    Submit { done: usize, error: Box<SubmitError> },
    /// The quota of bytes, which is renewed once a day. To wait for it takes too long.
    #[error(
        "{done} records were changed, and then the bytes that your account may use in a day were used up"
    )]
    DayUsedUp { done: usize },
}

/// Why a call was not included.
enum Unsent {
    Refused(SubmitError),
    DayUsedUp,
}

impl From<SubmitError> for Unsent {
    fn from(error: SubmitError) -> Self {
        Self::Refused(error)
    }
}

/// Adds these sections to a slot, those that are not in it yet. `progress` gets the number of changed records and of
/// all that are to be changed.
///
/// # Errors
/// When the chain refuses a call, with the number of records that were placed before.
pub async fn place(
    chain: &Chain,
    patient: &Account,
    (slot, records): (SlotId, &[ReleasedRecord]),
    progress: impl FnMut(usize, usize),
) -> Result<Placing, PlacingError> {
    let placements = placements_of(&chain.finalized().await?, records).await?;
    let calls = missing(records, &placements, slot);
    send(chain, patient, calls, |records| sharing::place(slot, records), progress).await
}

/// Takes these sections out of a slot, those that are in it.
///
/// # Errors
/// When the chain refuses a call, with the number of records that were changed before.
pub async fn remove(
    chain: &Chain,
    patient: &Account,
    (slot, records): (SlotId, &[ReleasedRecord]),
    progress: impl FnMut(usize, usize),
) -> Result<Placing, PlacingError> {
    let placements = placements_of(&chain.finalized().await?, records).await?;
    let calls = present(records, &placements, slot);
    send(chain, patient, calls, |records| sharing::remove(slot, records), progress).await
}

/// What of these records is in a slot, in calls of at most [`MAX_PLACED_RECORDS`] records.
fn present(
    records: &[ReleasedRecord],
    placements: &[Placements],
    slot: SlotId,
) -> Vec<Vec<ReleasedRecord>> {
    let placed = records.iter().zip(placements).filter_map(|(record, placements)| {
        let sections = record.sections.intersection(placed_in(placements, slot));
        (!sections.is_empty()).then_some(ReleasedRecord { sections, ..*record })
    });
    let placed: Vec<_> = placed.collect();
    placed.chunks(MAX_PLACED_RECORDS as usize).map(<[_]>::to_vec).collect()
}

/// The placements of records, in their order.
///
/// # Errors
/// Those of the node.
pub async fn placements_of(
    state: &Snapshot,
    records: &[ReleasedRecord],
) -> Result<Vec<Placements>, ChainError> {
    let pointers: Vec<RecordPointer> = records.iter().map(|record| record.pointer).collect();
    let mut placements = Vec::with_capacity(pointers.len());
    for page in pointers.chunks(MAX_RELEASED_RECORDS as usize) {
        let found = state.placements(page).await?;
        placements.extend(found.into_iter().take(page.len()));
    }
    Ok(placements)
}

async fn send(
    chain: &Chain,
    patient: &Account,
    calls: Vec<Vec<ReleasedRecord>>,
    call: impl Fn(&[ReleasedRecord]) -> crate::chain::calls::Call,
    mut progress: impl FnMut(usize, usize),
) -> Result<Placing, PlacingError> {
    let all: usize = calls.iter().map(Vec::len).sum();
    let mut done = Placing::default();
    for records in calls {
        let before = done.changed.len();
        progress(before, all);
        let block =
            submit(chain, patient, &call(&records)).await.map_err(|unsent| match unsent {
                Unsent::Refused(error) => {
                    PlacingError::Submit { done: before, error: Box::new(error) }
                }
                Unsent::DayUsedUp => PlacingError::DayUsedUp { done: before },
            })?;
        done.changed.extend(records);
        done.block = Some(block);
    }
    Ok(done)
}

/// Submits a call; waits while the quota of weight is used up.
async fn submit(
    chain: &Chain,
    patient: &Account,
    call: &crate::chain::calls::Call,
) -> Result<BlockNumber, Unsent> {
    let mut first_refusal = None;
    for _ in 0..MAX_ATTEMPTS {
        match chain.submit(call, patient).await {
            Err(SubmitError::Refused(refusal)) if refusal.is_temporary() => {
                let now = chain.finalized_head().await.map_err(SubmitError::from)?.number;
                let first = *first_refusal.get_or_insert(now);
                if is_of_the_day(refusal, first, now) {
                    return Err(Unsent::DayUsedUp);
                }
                tokio::time::sleep(PAUSE).await;
            }
            outcome => return Ok(outcome?.block.number),
        }
    }
    Ok(chain.submit(call, patient).await?.block.number)
}

/// Whether a refusal is for the bytes of a day. A new window began since the first refusal, and the account's weight of
/// it is not used: so it is not for the weight. A hospital's weight may be used by others in each window.
fn is_of_the_day(refusal: Refusal, first: BlockNumber, now: BlockNumber) -> bool {
    let window = |block: BlockNumber| block / WEIGHT_WINDOW_BLOCKS;
    refusal == Refusal::QuotaExceeded && window(now) > window(first).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use epione_primitives::{release::SectionSet, sharing::Placement};

    use super::*;

    #[test]
    fn a_refusal_in_a_later_window_is_for_the_bytes_of_the_day() {
        let account = Refusal::QuotaExceeded;
        for (first, now, expected) in
            [(19, 19, false), (19, 29, false), (19, 30, true), (10, 30, true)]
        {
            assert_eq!(is_of_the_day(account, first, now), expected, "{first} {now}");
        }
        for other in [Refusal::HospitalQuotaExceeded, Refusal::TooManyInFlight] {
            assert!(!is_of_the_day(other, 19, 99), "{other}");
        }
    }

    #[test]
    fn only_what_is_in_the_slot_is_taken_out() {
        let record = |height, sections| ReleasedRecord {
            pointer: RecordPointer { height, index: 0 },
            sections: SectionSet(sections),
        };
        let placement = Placement { slot: SlotId(3), sections: SectionSet(0b110) };
        let placed = Placements::try_from(vec![placement]).unwrap();
        let placements = [placed, Placements::default()];
        let records = [record(1, 0b011), record(2, 0b1)];
        assert_eq!(present(&records, &placements, SlotId(3)), [vec![record(1, 0b010)]]);
        assert!(present(&records, &placements, SlotId(4)).is_empty());
    }
}
