//! Places sections in a slot, or takes them out, with as many calls as are needed. What is so already is not sent, so an
//! interrupted run continues where it ended.

use std::time::Duration;

use epione_primitives::{
    BlockNumber, RecordPointer,
    limits::{MAX_PLACED_RECORDS, MAX_RELEASED_RECORDS},
    release::ReleasedRecord,
    sharing::{Placements, SlotId},
};

use super::{covering::placed_in, missing};
use crate::{
    chain::{Chain, ChainError, Snapshot, SubmitError, calls::sharing},
    signer::Account,
};

/// A user's quota fills again in half a minute.
const PAUSE: Duration = Duration::from_secs(5);
/// How often a call is sent again while the user's quota is used up.
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
        let refused = |error| PlacingError::Submit { done: before, error: Box::new(error) };
        let block = submit(chain, patient, &call(&records)).await.map_err(refused)?;
        done.changed.extend(records);
        done.block = Some(block);
    }
    Ok(done)
}

/// Submits a call; waits while the user's quota is used up.
async fn submit(
    chain: &Chain,
    patient: &Account,
    call: &crate::chain::calls::Call,
) -> Result<BlockNumber, SubmitError> {
    let mut attempt = 0;
    loop {
        match chain.submit(call, patient).await {
            Err(SubmitError::Refused(refusal))
                if refusal.is_temporary() && attempt < MAX_ATTEMPTS =>
            {
                attempt += 1;
                tokio::time::sleep(PAUSE).await;
            }
            outcome => return outcome.map(|included| included.block.number),
        }
    }
}

#[cfg(test)]
mod tests {
    use epione_primitives::{release::SectionSet, sharing::Placement};

    use super::*;

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
