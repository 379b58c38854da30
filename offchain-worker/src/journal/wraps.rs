//! Which sections wait for being wrapped under the consortium key, and how far the worker has followed the changes of
//! what patients share. Both can be found again from the chain, whose wraps say what is done.

use epione_primitives::{
    Moment, RecordPointer, UserId,
    consortium::{EpochId, KeyId},
    sharing::SlotId,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::sections::{pointer, stored};

/// The sections of an own record in a slot, which may have to be wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueWrap {
    pub pointer: RecordPointer,
    pub slot: SlotId,
    pub patient: UserId,
    pub attempts: u32,
}

/// A look at all changes again, because wraps of old epochs are made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// The epoch in which it began.
    pub epoch: EpochId,
    /// The height of the newest change that it has considered; none after its end.
    pub height: Option<u64>,
}

/// The key for which the changes were followed, and the height of the newest one; none before the first.
pub fn progress(connection: &Connection) -> rusqlite::Result<Option<(KeyId, u64)>> {
    connection
        .prepare_cached("SELECT key, height FROM wrap_progress")?
        .query_row([], |row| Ok((KeyId(row.get(0)?), row.get::<_, i64>(1)?.cast_unsigned())))
        .optional()
}

/// Notes that the changes up to a height were followed for a key, and what has to be considered because of them. What
/// waited already is due at once.
pub fn follow(tx: &Connection, key: KeyId, height: u64, found: &[DueWrap]) -> rusqlite::Result<()> {
    let mut insert = tx.prepare_cached(
        "INSERT OR REPLACE INTO wraps_due (height, position, slot, patient, attempts, due)
         VALUES (?1, ?2, ?3, ?4, 0, 0)",
    )?;
    for DueWrap { pointer: at, slot, patient, .. } in found {
        insert.execute(params![at.height, at.index, slot.0, patient.0])?;
    }
    tx.prepare_cached("INSERT OR REPLACE INTO wrap_progress (id, key, height) VALUES (0, ?1, ?2)")?
        .execute(params![key.0, height.cast_signed()])
        .map(drop)
}

/// The newest sweep; none before the first.
pub fn sweep(connection: &Connection) -> rusqlite::Result<Option<Sweep>> {
    connection
        .prepare_cached("SELECT epoch, height FROM wrap_sweep")?
        .query_row([], |row| {
            let height = row.get::<_, Option<i64>>(1)?.map(i64::cast_unsigned);
            Ok(Sweep { epoch: EpochId(row.get(0)?), height })
        })
        .optional()
}

/// Notes how far a sweep has come, and what has to be considered because of it. What waits already waits on.
pub fn swept(tx: &Connection, sweep: Sweep, found: &[DueWrap]) -> rusqlite::Result<()> {
    let mut insert = tx.prepare_cached(
        "INSERT OR IGNORE INTO wraps_due (height, position, slot, patient, attempts, due)
         VALUES (?1, ?2, ?3, ?4, 0, 0)",
    )?;
    for DueWrap { pointer: at, slot, patient, .. } in found {
        insert.execute(params![at.height, at.index, slot.0, patient.0])?;
    }
    let height = sweep.height.map(u64::cast_signed);
    tx.prepare_cached("INSERT OR REPLACE INTO wrap_sweep (id, epoch, height) VALUES (0, ?1, ?2)")?
        .execute(params![sweep.epoch.0, height])
        .map(drop)
}

/// What is to be considered at a moment, what waits longest first.
pub fn due(connection: &Connection, now: Moment, limit: u32) -> rusqlite::Result<Vec<DueWrap>> {
    connection
        .prepare_cached(
            "SELECT height, position, slot, patient, attempts FROM wraps_due
             WHERE due <= ?1 ORDER BY due, height, position, slot LIMIT ?2",
        )?
        .query_map(params![stored(now), limit], |row| {
            Ok(DueWrap {
                pointer: pointer(row, 0)?,
                slot: SlotId(row.get(2)?),
                patient: UserId(row.get(3)?),
                attempts: row.get(4)?,
            })
        })?
        .collect()
}

/// How much waits.
pub fn waiting(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("SELECT count(*) FROM wraps_due")?.query_row([], |row| row.get(0))
}

/// Nothing is left to wrap of a record in a slot.
pub fn done(tx: &Connection, at: RecordPointer, slot: SlotId) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM wraps_due WHERE height = ?1 AND position = ?2 AND slot = ?3")?
        .execute(params![at.height, at.index, slot.0])
        .map(drop)
}

/// Records an attempt that failed. The sections are considered again at the moment `due`.
pub fn postpone(
    tx: &Connection,
    at: RecordPointer,
    slot: SlotId,
    due: Moment,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE wraps_due SET due = ?4, attempts = attempts + 1
         WHERE height = ?1 AND position = ?2 AND slot = ?3",
    )?
    .execute(params![at.height, at.index, slot.0, stored(due)])
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;

    const KEY: KeyId = KeyId(1);

    fn wrap(height: u32, slot: u8) -> DueWrap {
        let pointer = RecordPointer { height, index: 3 };
        DueWrap { pointer, slot: SlotId(slot), patient: UserId([height as u8; 32]), attempts: 0 }
    }

    #[tokio::test]
    async fn what_waits_is_kept_with_the_height_until_it_is_done() {
        let journal = Journal::in_memory().await.unwrap();
        assert_eq!(journal.read(progress).await.unwrap(), None);
        let (one, other) = (wrap(1, 0), wrap(2, 15));
        journal.write(move |tx| follow(tx, KEY, 9, &[other, one, one])).await.unwrap();
        assert_eq!(journal.read(progress).await.unwrap(), Some((KEY, 9)));
        let due = async |now, limit| journal.read(move |it| due(it, now, limit)).await.unwrap();
        assert_eq!((due(0, 9).await, due(0, 1).await), (vec![one, other], vec![one]));

        let postponed =
            move |tx: &rusqlite::Transaction<'_>| postpone(tx, one.pointer, one.slot, 50);
        journal.write(postponed).await.unwrap();
        assert_eq!(due(49, 9).await, [other]);
        assert_eq!(due(50, 9).await, [other, DueWrap { attempts: 1, ..one }]);
        // A later change: at once.
        journal.write(move |tx| follow(tx, KEY, 10, &[one])).await.unwrap();
        assert_eq!(due(0, 9).await, [one, other]);

        journal.write(move |tx| done(tx, one.pointer, SlotId(1))).await.unwrap();
        assert_eq!(journal.read(waiting).await.unwrap(), 2, "another slot");
        journal.write(move |tx| done(tx, one.pointer, one.slot)).await.unwrap();
        assert_eq!((due(99, 9).await, journal.read(waiting).await.unwrap()), (vec![other], 1));
    }

    #[tokio::test]
    async fn a_sweep_is_kept_and_does_not_hurry_what_waits() {
        let journal = Journal::in_memory().await.unwrap();
        assert_eq!(journal.read(sweep).await.unwrap(), None);
        let (one, other) = (wrap(1, 0), wrap(2, 1));
        journal.write(move |tx| follow(tx, KEY, 1, &[one])).await.unwrap();
        let postponed =
            move |tx: &rusqlite::Transaction<'_>| postpone(tx, one.pointer, one.slot, 50);
        journal.write(postponed).await.unwrap();
        for height in [Some(0), Some(u64::MAX), None] {
            let now = Sweep { epoch: EpochId(u32::MAX), height };
            journal.write(move |tx| swept(tx, now, &[one, other])).await.unwrap();
            assert_eq!(journal.read(sweep).await.unwrap(), Some(now));
        }
        assert_eq!(journal.read(|it| due(it, 49, 9)).await.unwrap(), [other]);
        let later = journal.read(|it| due(it, 50, 9)).await.unwrap();
        assert_eq!(later, [other, DueWrap { attempts: 1, ..one }]);
        assert_eq!(journal.read(progress).await.unwrap(), Some((KEY, 1)));
    }

    #[tokio::test]
    async fn a_new_key_begins_again_and_forgets_nothing_that_waits() {
        let journal = Journal::in_memory().await.unwrap();
        let one = wrap(1, 0);
        journal.write(move |tx| follow(tx, KEY, u64::MAX, &[one])).await.unwrap();
        assert_eq!(journal.read(progress).await.unwrap(), Some((KEY, u64::MAX)));
        journal.write(|tx| follow(tx, KeyId(2), 3, &[])).await.unwrap();
        assert_eq!(journal.read(progress).await.unwrap(), Some((KeyId(2), 3)));
        assert_eq!(journal.read(waiting).await.unwrap(), 1);
    }
}
