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
