//! Which records the worker was about to place in which slot. An entry is written before the call, and removed only if
//! the call certainly had no effect. So sections that the patient removed since are not placed again, also if the
//! worker was killed, or never learned what became of the call.

use epione_primitives::{RecordPointer, sharing::SlotId};
use rusqlite::{Connection, params};

/// Whether the sections of a record were to be placed in a slot before.
pub fn contains(
    connection: &Connection,
    at: RecordPointer,
    slot: SlotId,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM tried_placements WHERE height = ?1 AND position = ?2 AND slot = ?3",
        )?
        .exists(params![at.height, at.index, slot.0])
}

/// Notes that the sections of records are about to be placed in a slot.
pub fn note(tx: &Connection, records: &[RecordPointer], slot: SlotId) -> rusqlite::Result<()> {
    let mut insert = tx.prepare_cached(
        "INSERT OR IGNORE INTO tried_placements (height, position, slot) VALUES (?1, ?2, ?3)",
    )?;
    for at in records {
        insert.execute(params![at.height, at.index, slot.0])?;
    }
    Ok(())
}

/// Removes the notes of a call that had no effect.
pub fn forget(tx: &Connection, records: &[RecordPointer], slot: SlotId) -> rusqlite::Result<()> {
    let mut delete = tx.prepare_cached(
        "DELETE FROM tried_placements WHERE height = ?1 AND position = ?2 AND slot = ?3",
    )?;
    for at in records {
        delete.execute(params![at.height, at.index, slot.0])?;
    }
    Ok(())
}

/// Removes the notes of records of which nothing is left to place.
pub fn conclude(tx: &Connection, records: &[RecordPointer]) -> rusqlite::Result<()> {
    let mut delete =
        tx.prepare_cached("DELETE FROM tried_placements WHERE height = ?1 AND position = ?2")?;
    for at in records {
        delete.execute(params![at.height, at.index])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;

    #[tokio::test]
    async fn each_slot_of_a_record_is_noted_alone() {
        let journal = Journal::in_memory().await.unwrap();
        let at = |height| RecordPointer { height, index: 0 };
        let noted = async || -> Vec<bool> {
            let places = [(1, 2), (1, 3), (2, 2)];
            let noted = journal.read(move |it| {
                places
                    .iter()
                    .map(|(height, slot)| contains(it, at(*height), SlotId(*slot)))
                    .collect()
            });
            noted.await.unwrap()
        };
        let both = [at(1), at(2)];
        journal.write(move |tx| note(tx, &both, SlotId(2))).await.unwrap();
        journal.write(move |tx| note(tx, &[at(1)], SlotId(3))).await.unwrap();
        journal.write(move |tx| note(tx, &[at(1)], SlotId(3))).await.unwrap();
        assert_eq!(noted().await, [true, true, true]);
        journal.write(move |tx| forget(tx, &both, SlotId(2))).await.unwrap();
        assert_eq!(noted().await, [false, true, false]);
        journal.write(move |tx| conclude(tx, &[at(1)])).await.unwrap();
        assert_eq!(noted().await, [false, false, false]);
    }
}
