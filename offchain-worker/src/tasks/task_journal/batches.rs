//! Batches: lite blocks of this hospital on their way to the chain. A batch is recorded with its bytes before anything
//! is sent. So a restarted worker sends the same bytes again, which the chain accepts only once.

use codec::{DecodeAll, Encode};
use epione_envelope::body::Packed;
use epione_primitives::{
    AnnouncementId, BlockNumber, Hash, Moment, RecordId,
    block::{AnnouncedEntries, AnnouncedHeader, Segment},
    ports::HashedBody,
};
use rusqlite::{
    Connection, OptionalExtension, Row, Transaction, params,
    types::{FromSql, FromSqlError, FromSqlResult, ValueRef},
};

use super::TaskJournal;
use crate::journal::{
    JournalError, Owner, QueuedVisit, SealedVisit, references,
    visits::{self, Aside},
};

/// A batch without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub id: i64,
    pub body_hash: Hash,
    pub header: AnnouncedHeader,
    pub entries: AnnouncedEntries,
    /// Present once the batch is known to be on the chain.
    pub announcement: Option<AnnouncementId>,
    /// The last chain block that may include a transaction whose outcome is unknown.
    pub sent_until: Option<BlockNumber>,
}

/// The longest time for which a visit is held back, in milliseconds. A longer one was recorded before the clock was set
/// back.
const MAX_HOLD: Moment = 60 * 60_000;

/// The last moment until which a visit may be held back now.
fn held_until(now: Moment) -> Moment {
    now.saturating_add(MAX_HOLD).min(i64::MAX as Moment)
}

/// SCALE in a column.
struct Scale<T>(T);

impl<T: codec::Decode> FromSql for Scale<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        T::decode_all(&mut value.as_blob()?).map(Self).map_err(|_| FromSqlError::InvalidType)
    }
}

fn batch(row: &Row<'_>) -> rusqlite::Result<Batch> {
    Ok(Batch {
        id: row.get(0)?,
        body_hash: Hash::from(row.get::<_, [u8; 32]>(1)?),
        header: row.get::<_, Scale<_>>(2)?.0,
        entries: row.get::<_, Scale<_>>(3)?.0,
        announcement: row.get::<_, Option<i64>>(4)?.map(|id| AnnouncementId(id as u64)),
        sent_until: row.get(5)?,
    })
}

fn forget(tx: &Transaction<'_>, batch: i64) -> rusqlite::Result<usize> {
    tx.execute("DELETE FROM batches WHERE id = ?1", [batch])
}

impl TaskJournal {
    /// Queued visits that are not held back, oldest first.
    pub async fn queue(&self, limit: usize, now: Moment) -> Result<Vec<QueuedVisit>, JournalError> {
        let last = held_until(now);
        self.journal
            .read(move |connection| {
                let held: std::collections::HashSet<i64> = connection
                    .prepare_cached("SELECT visit FROM setbacks WHERE until > ?1 AND until <= ?2")?
                    .query_map([now as i64, last as i64], |row| row.get(0))?
                    .collect::<rusqlite::Result<_>>()?;
                let asked = u32::try_from(limit + held.len()).unwrap_or(u32::MAX);
                let mut queue = visits::queued(connection, asked)?;
                queue.retain(|visit| !held.contains(&visit.row));
                queue.truncate(limit);
                Ok(queue)
            })
            .await
    }

    /// Visits with their bytes, in the order of `rows`.
    pub async fn sealed(&self, rows: Vec<i64>) -> Result<Vec<SealedVisit>, JournalError> {
        self.journal.read(move |connection| visits::sealed(connection, &rows)).await
    }

    /// Records a batch. `rows` are its visits, in the order of the entries; they are not queued any more.
    pub async fn pack(
        &self,
        packed: Packed,
        rows: Vec<i64>,
        now: Moment,
    ) -> Result<i64, JournalError> {
        self.journal
            .write(move |tx| {
                tx.execute(
                    "INSERT INTO batches (body_hash, header, entries, body) VALUES (?1, ?2, ?3, ?4)",
                    params![
                        HashedBody::new(&packed.body).hash().0,
                        packed.header.encode(),
                        packed.entries.encode(),
                        packed.body
                    ],
                )?;
                let id = tx.last_insert_rowid();
                if visits::set_packed(tx, &rows, id, now)? {
                    Ok(id)
                } else {
                    Err(rusqlite::Error::StatementChangedRows(0))
                }
            })
            .await
    }

    /// All batches, oldest first.
    pub async fn batches(&self) -> Result<Vec<Batch>, JournalError> {
        self.journal
            .read(|connection| {
                connection
                    .prepare_cached(
                        "SELECT id, body_hash, header, entries, announcement, sent_until
                         FROM batches ORDER BY id",
                    )?
                    .query_map([], batch)?
                    .collect()
            })
            .await
    }

    /// The segments of a batch, in the order of its records and sections.
    pub async fn segments(&self, batch: i64) -> Result<Vec<Segment>, JournalError> {
        let visits =
            self.journal.read(move |connection| visits::of_batch(connection, batch)).await?;
        Ok(visits.into_iter().flat_map(|visit| visit.segments).collect())
    }

    pub async fn body(&self, batch: i64) -> Result<Vec<u8>, JournalError> {
        self.journal
            .read(move |connection| {
                connection
                    .query_row("SELECT body FROM batches WHERE id = ?1", [batch], |row| row.get(0))
            })
            .await
    }

    /// Records up to which block a transaction with the batch may still be included. None: no transaction with an
    /// unknown outcome is under way.
    pub async fn set_sent(
        &self,
        batch: i64,
        until: Option<BlockNumber>,
    ) -> Result<(), JournalError> {
        self.journal
            .write(move |tx| {
                tx.execute(
                    "UPDATE batches SET sent_until = ?2 WHERE id = ?1",
                    params![batch, until],
                )
            })
            .await
            .map(drop)
    }

    /// Records that the batch is on the chain and its ballot open. True if that was not known.
    pub async fn announced(
        &self,
        batch: i64,
        announcement: AnnouncementId,
        now: Moment,
    ) -> Result<bool, JournalError> {
        self.journal
            .write(move |tx| {
                tx.execute(
                    "UPDATE batches SET announcement = ?2 WHERE id = ?1",
                    params![batch, announcement.0 as i64],
                )?;
                Ok(visits::set_announced(tx, batch, announcement, now)? > 0)
            })
            .await
    }

    /// Records that the batch is committed. The lite block owns its segments from now on.
    pub async fn committed(
        &self,
        batch: i64,
        announcement: AnnouncementId,
        height: u32,
        now: Moment,
    ) -> Result<usize, JournalError> {
        self.journal
            .write(move |tx| {
                let owner = Owner::Announcement(announcement);
                for visit in visits::of_batch(tx, batch)? {
                    references::add(tx, owner, &visit.segments)?;
                    tx.execute("DELETE FROM setbacks WHERE visit = ?1", [visit.row])?;
                }
                let visits = visits::set_committed(tx, batch, height, now)?;
                forget(tx, batch)?;
                Ok(visits)
            })
            .await
    }

    /// Queues the visits of a failed batch again. A visit that was alone in it is held back for the time that `hold`
    /// returns for the number of its failures.
    pub async fn failed(
        &self,
        batch: i64,
        reason: String,
        now: Moment,
        hold: Option<fn(u32) -> Moment>,
    ) -> Result<usize, JournalError> {
        let visits = self
            .journal
            .write(move |tx| {
                let rows: Vec<i64> =
                    visits::of_batch(tx, batch)?.into_iter().map(|visit| visit.row).collect();
                let visits = visits::requeue(tx, batch, &reason, now)?;
                if let (Some(hold), [row]) = (hold, rows.as_slice()) {
                    set_back(tx, *row, now, hold)?;
                }
                forget(tx, batch)?;
                Ok(visits)
            })
            .await?;
        self.journal.notify_arrivals();
        Ok(visits)
    }

    /// Sets those queued visits aside that were signed before a chain block, and returns their record ids. They are
    /// never announced.
    pub async fn set_outdated_aside(
        &self,
        signed_before: BlockNumber,
        now: Moment,
        reason: &'static str,
    ) -> Result<Vec<RecordId>, JournalError> {
        let read = move |connection: &Connection| visits::queued_before(connection, signed_before);
        let outdated = self.journal.read(read).await?;
        let mut aside = Vec::new();
        for record in outdated {
            if self.set_aside(record, Aside::Outdated, now, reason).await? {
                aside.push(record);
            }
        }
        Ok(aside)
    }

    /// Sets one queued visit aside. False if it is not queued.
    pub async fn set_aside(
        &self,
        record: RecordId,
        aside: Aside,
        now: Moment,
        reason: &'static str,
    ) -> Result<bool, JournalError> {
        self.journal
            .write(move |tx| {
                tx.execute(
                    "DELETE FROM setbacks WHERE visit IN (SELECT row FROM visits WHERE record_id = ?1)",
                    [record.0],
                )?;
                visits::set_aside(tx, record, aside, reason, now)
            })
            .await
    }

    /// Queues those visits again that were set aside as outdated, and were signed at a chain block or a later one.
    pub async fn take_back(
        &self,
        since: BlockNumber,
        now: Moment,
        reason: &'static str,
    ) -> Result<Vec<RecordId>, JournalError> {
        let aside = self.journal.read(move |tx| visits::aside_since(tx, since)).await?;
        if aside.is_empty() {
            return Ok(aside);
        }
        let records = aside.clone();
        self.journal
            .write(move |tx| {
                records
                    .iter()
                    .try_for_each(|record| visits::take_back(tx, *record, reason, now).map(drop))
            })
            .await?;
        self.journal.notify_arrivals();
        Ok(aside)
    }

    /// The rows of queued visits that were signed before a chain block and are not held back.
    pub async fn outdated(
        &self,
        signed_before: BlockNumber,
        now: Moment,
    ) -> Result<Vec<i64>, JournalError> {
        let last = held_until(now);
        self.journal
            .read(move |connection| {
                let records = visits::queued_before(connection, signed_before)?;
                let mut row = connection.prepare_cached(
                    "SELECT row FROM visits WHERE record_id = ?1 AND NOT EXISTS
                         (SELECT 1 FROM setbacks
                          WHERE visit = visits.row AND until > ?2 AND until <= ?3)",
                )?;
                let mut rows = Vec::new();
                for record in records {
                    let found = row
                        .query_row(params![record.0, now as i64, last as i64], |row| {
                            row.get::<_, i64>(0)
                        })
                        .optional()?;
                    rows.extend(found);
                }
                Ok(rows)
            })
            .await
    }

    /// The chain block at which the first visit of a batch was signed.
    pub async fn first_signed(&self, batch: i64) -> Result<Option<BlockNumber>, JournalError> {
        self.journal.read(move |connection| visits::first_signed(connection, batch)).await
    }

    /// Holds one queued visit back, for a reason that its status says.
    pub async fn hold(
        &self,
        row: i64,
        now: Moment,
        hold: fn(u32) -> Moment,
        reason: &'static str,
    ) -> Result<(), JournalError> {
        self.journal
            .write(move |tx| {
                visits::set_failure(tx, row, reason)?;
                set_back(tx, row, now, hold)
            })
            .await
    }
}

fn set_back(
    tx: &Transaction<'_>,
    row: i64,
    now: Moment,
    hold: fn(u32) -> Moment,
) -> rusqlite::Result<()> {
    let count: u32 = tx.query_row(
        "INSERT INTO setbacks (visit, count, until) VALUES (?1, 1, 0)
         ON CONFLICT (visit) DO UPDATE SET count = count + 1 RETURNING count",
        [row],
        |row| row.get(0),
    )?;
    let until = now.saturating_add(hold(count));
    tx.execute("UPDATE setbacks SET until = ?2 WHERE visit = ?1", params![row, until as i64])?;
    Ok(())
}
