//! The visits that this worker acknowledged, from queued to committed or set aside. They are functions over a
//! transaction, so that a task can change visits together with its own tables.

use codec::{DecodeAll, Encode};
use epione_client::api::{VisitStage, VisitStatus};
use epione_envelope::{record::Record, signature::Authorship};
use epione_primitives::{
    AnnouncementId, BlockNumber, Hash, Moment, RecordId, RecordPointer, UserId, block::Segment,
};
use rusqlite::{
    Connection, OptionalExtension, Row, ToSql, params,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};

use super::{
    commands::{self, Command, Recalled},
    references::{self, Owner},
};

const QUEUED: u8 = 0;
const PACKED: u8 = 1;
const ANNOUNCED: u8 = 2;
const COMMITTED: u8 = 3;
/// Signed too long ago: no block will contain the visit. The journal keeps it, and for a while its segments.
const ASIDE: u8 = 4;
/// The same, because the chain has its record id.
const REPEATED: u8 = 5;
/// Set aside for so long that its segments were released.
const RELEASED: u8 = 6;

/// Why a visit is set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aside {
    /// It was signed too long ago.
    Outdated,
    /// The chain has its record id.
    Repeated,
}

/// A sealed visit to be queued.
#[derive(Clone, Debug)]
pub struct NewVisit {
    pub record_id: RecordId,
    pub patient: UserId,
    pub author: UserId,
    /// Distinguishes a visit that is submitted again from another visit with the same record id.
    pub fingerprint: [u8; 32],
    /// The command of the client. Another visit of the author with the same command is the same visit for a day.
    pub command: Option<Command>,
    /// The chain block at which its author signed it.
    pub signed_at: BlockNumber,
    /// SCALE of the sealed record.
    pub record: Vec<u8>,
    pub segments: Vec<Segment>,
    pub queued_at: Moment,
}

/// The result of queueing a visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enqueued {
    New(Visit),
    /// The same visit was acknowledged before, perhaps with another record id.
    Known(Visit),
    /// Another visit has this record id.
    Conflict,
    /// A visit with other content was acknowledged for the same command.
    OtherContent,
}

/// A visit and its stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    pub record_id: RecordId,
    pub patient: UserId,
    pub author: UserId,
    pub fingerprint: [u8; 32],
    pub stage: VisitStage,
    pub queued_at: Moment,
    /// When the stage was reached.
    pub since: Moment,
    pub last_failure: Option<String>,
}

impl From<Visit> for VisitStatus {
    fn from(visit: Visit) -> Self {
        Self {
            record_id: visit.record_id,
            stage: visit.stage,
            queued_at: Some(visit.queued_at),
            since: visit.since,
            media: Vec::new(),
            last_failure: visit.last_failure,
        }
    }
}

/// The sizes of a queued visit, by which visits are chosen for a lite block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedVisit {
    pub row: i64,
    pub record_id: RecordId,
    pub patient: UserId,
    pub record_bytes: u32,
    pub segments: u32,
    pub media_bytes: u64,
    pub queued_at: Moment,
}

/// A sealed visit, as it is packed into a lite block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedVisit {
    pub row: i64,
    pub record_id: RecordId,
    pub patient: UserId,
    /// SCALE of the sealed record.
    pub record: Vec<u8>,
    pub segments: Vec<Segment>,
}

/// The number of visits in each stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageCounts {
    pub queued: u64,
    pub packed: u64,
    pub announced: u64,
    pub committed: u64,
    /// Set aside.
    pub aside: u64,
}

/// A visit as a committed block contains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedVisit {
    pub pointer: RecordPointer,
    pub announcement: AnnouncementId,
    pub record_id: RecordId,
    pub patient: UserId,
    pub author: UserId,
    pub fingerprint: [u8; 32],
    pub segments: Vec<Segment>,
    /// The time of the block.
    pub time: Moment,
}

impl CommittedVisit {
    pub fn new(
        pointer: RecordPointer,
        announcement: AnnouncementId,
        record: &Record,
        time: Moment,
    ) -> Self {
        let cosigned = record.patient_signature().is_some();
        Self {
            pointer,
            announcement,
            record_id: record.id(),
            patient: record.patient(),
            author: record.author(),
            fingerprint: fingerprint(record.authorship(), &record.leaves(), cosigned),
            segments: record.segments(),
            time,
        }
    }
}

/// Two uploads with the same fingerprint are the same visit: it covers all that the author signed, and whether the
/// patient signed too. The signatures themselves may differ.
pub fn fingerprint(authorship: &Authorship, leaves: &[Hash], cosigned: bool) -> [u8; 32] {
    let mut signed = (authorship, leaves).encode();
    if cosigned {
        signed.extend_from_slice(b"cosigned");
    }
    blake3::hash(&signed).into()
}

/// Segments in a column, as SCALE.
struct SegmentList(Vec<Segment>);

impl ToSql for SegmentList {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.encode().into())
    }
}

impl FromSql for SegmentList {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Vec::decode_all(&mut value.as_blob()?).map(Self).map_err(|_| FromSqlError::InvalidType)
    }
}

pub(super) fn enqueue(
    tx: &Connection,
    visit: &NewVisit,
    upload: Owner,
) -> rusqlite::Result<Enqueued> {
    if let Some(known) = find(tx, visit.record_id)? {
        return Ok(if known.fingerprint == visit.fingerprint {
            Enqueued::Known(known)
        } else {
            Enqueued::Conflict
        });
    }
    if let Some(command) = visit.command {
        match commands::recall(tx, visit.author, command, visit.queued_at)? {
            Some(Recalled::Same(first)) => return Ok(Enqueued::Known(first)),
            Some(Recalled::Other) => return Ok(Enqueued::OtherContent),
            None => {}
        }
        commands::remember(tx, visit.author, command, visit.record_id, visit.queued_at)?;
    }
    let media_bytes: u64 = visit.segments.iter().map(|segment| u64::from(segment.length)).sum();
    tx.prepare_cached(
        "INSERT INTO visits (record_id, patient, author, fingerprint, record, record_bytes, segments,
             segment_count, media_bytes, stage, queued_at, since, signed_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?12)",
    )?
    .execute(params![
        visit.record_id.0,
        visit.patient.0,
        visit.author.0,
        visit.fingerprint,
        visit.record,
        visit.record.len() as i64,
        SegmentList(visit.segments.clone()),
        visit.segments.len() as i64,
        media_bytes as i64,
        QUEUED,
        visit.queued_at as i64,
        visit.signed_at,
    ])?;
    references::add(tx, Owner::Visit(visit.record_id), &visit.segments)?;
    references::release(tx, upload, visit.queued_at)?;
    find(tx, visit.record_id)?.map(Enqueued::New).ok_or(rusqlite::Error::QueryReturnedNoRows)
}

pub(super) fn find(connection: &Connection, id: RecordId) -> rusqlite::Result<Option<Visit>> {
    connection
        .prepare_cached(
            "SELECT record_id, patient, author, fingerprint, stage, announcement, height, position,
                 queued_at, since, last_failure
             FROM visits WHERE record_id = ?1",
        )?
        .query_row([id.0], |row| {
            Ok(Visit {
                record_id: RecordId(row.get(0)?),
                patient: UserId(row.get(1)?),
                author: UserId(row.get(2)?),
                fingerprint: row.get(3)?,
                stage: stage(row)?,
                queued_at: moment(row, 8)?,
                since: moment(row, 9)?,
                last_failure: row.get(10)?,
            })
        })
        .optional()
}

fn moment(row: &Row<'_>, column: usize) -> rusqlite::Result<Moment> {
    Ok(row.get::<_, i64>(column)? as Moment)
}

/// The stage in columns 4 to 7 of [`find`].
fn stage(row: &Row<'_>) -> rusqlite::Result<VisitStage> {
    Ok(match row.get(4)? {
        QUEUED => VisitStage::Queued,
        PACKED => VisitStage::Packed,
        ANNOUNCED => {
            VisitStage::Announced { announcement: AnnouncementId(row.get::<_, i64>(5)? as u64) }
        }
        COMMITTED => VisitStage::Committed {
            pointer: RecordPointer { height: row.get(6)?, index: row.get(7)? },
        },
        ASIDE | REPEATED | RELEASED => VisitStage::Outdated,
        other => return Err(rusqlite::Error::IntegralValueOutOfRange(4, other.into())),
    })
}

/// Queued visits, oldest first.
pub fn queued(connection: &Connection, limit: u32) -> rusqlite::Result<Vec<QueuedVisit>> {
    connection
        .prepare_cached(
            "SELECT row, record_id, patient, record_bytes, segment_count, media_bytes, queued_at
             FROM visits WHERE stage = ?1 ORDER BY row LIMIT ?2",
        )?
        .query_map(params![QUEUED, limit], |row| {
            Ok(QueuedVisit {
                row: row.get(0)?,
                record_id: RecordId(row.get(1)?),
                patient: UserId(row.get(2)?),
                record_bytes: row.get(3)?,
                segments: row.get(4)?,
                media_bytes: row.get::<_, i64>(5)? as u64,
                queued_at: moment(row, 6)?,
            })
        })?
        .collect()
}

/// Record ids of the queued visits that were signed before a chain block, oldest visit first.
pub fn queued_before(
    connection: &Connection,
    block: BlockNumber,
) -> rusqlite::Result<Vec<RecordId>> {
    connection
        .prepare_cached(
            "SELECT record_id FROM visits WHERE stage = ?1 AND signed_at < ?2 ORDER BY row",
        )?
        .query_map(params![QUEUED, block], |row| Ok(RecordId(row.get(0)?)))?
        .collect()
}

/// Sets a queued visit aside, for a reason that its status says. False if it is not queued. Its command is forgotten,
/// so that its author can submit the visit again.
pub fn set_aside(
    tx: &Connection,
    record: RecordId,
    aside: Aside,
    reason: &str,
    now: Moment,
) -> rusqlite::Result<bool> {
    let changed = tx
        .prepare_cached(
            "UPDATE visits SET stage = ?1, since = ?2, last_failure = ?3
             WHERE record_id = ?4 AND stage = ?5",
        )?
        .execute(params![aside.stage(), now as i64, reason, record.0, QUEUED])?;
    if changed > 0 {
        commands::forget(tx, record)?;
    }
    Ok(changed > 0)
}

impl Aside {
    fn stage(self) -> u8 {
        match self {
            Self::Outdated => ASIDE,
            Self::Repeated => REPEATED,
        }
    }
}

/// Record ids of the visits that were set aside as outdated, and were signed at a chain block or a later one.
pub fn aside_since(connection: &Connection, block: BlockNumber) -> rusqlite::Result<Vec<RecordId>> {
    connection
        .prepare_cached(
            "SELECT record_id FROM visits WHERE stage = ?1 AND signed_at >= ?2 ORDER BY row",
        )?
        .query_map(params![ASIDE, block], |row| Ok(RecordId(row.get(0)?)))?
        .collect()
}

/// Queues a visit again that was set aside as outdated. False if it was not.
pub fn take_back(
    tx: &Connection,
    record: RecordId,
    reason: &str,
    now: Moment,
) -> rusqlite::Result<bool> {
    let changed = tx
        .prepare_cached(
            "UPDATE visits SET stage = ?1, since = ?2, last_failure = ?3
             WHERE record_id = ?4 AND stage = ?5",
        )?
        .execute(params![QUEUED, now as i64, reason, record.0, ASIDE])?;
    Ok(changed > 0)
}

/// Releases the segments of visits that were set aside before a moment, at most `limit`; returns how many visits. Their
/// sealed records stay.
pub fn release_aside(
    tx: &Connection,
    before: Moment,
    limit: u32,
    now: Moment,
) -> rusqlite::Result<usize> {
    let old: Vec<[u8; 16]> = tx
        .prepare_cached(
            "SELECT record_id FROM visits WHERE stage IN (?1, ?2) AND since < ?3 LIMIT ?4",
        )?
        .query_map(params![ASIDE, REPEATED, before as i64, limit], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for record in &old {
        references::release(tx, Owner::Visit(RecordId(*record)), now)?;
        tx.prepare_cached("UPDATE visits SET stage = ?1 WHERE record_id = ?2")?
            .execute(params![RELEASED, record])?;
    }
    Ok(old.len())
}

/// The chain block at which the first visit of a batch was signed.
pub fn first_signed(connection: &Connection, batch: i64) -> rusqlite::Result<Option<BlockNumber>> {
    connection
        .prepare_cached("SELECT MIN(signed_at) FROM visits WHERE batch = ?1")?
        .query_row([batch], |row| row.get(0))
}

/// The number of visits that were set aside since a moment.
pub fn set_aside_since(connection: &Connection, since: Moment) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT count(*) FROM visits WHERE stage IN (?1, ?2, ?3) AND since >= ?4")?
        .query_row(params![ASIDE, REPEATED, RELEASED, since as i64], |row| {
            Ok(row.get::<_, i64>(0)? as u64)
        })
}

fn sealed_visit(row: &Row<'_>) -> rusqlite::Result<SealedVisit> {
    Ok(SealedVisit {
        row: row.get(0)?,
        record_id: RecordId(row.get(1)?),
        patient: UserId(row.get(2)?),
        record: row.get(3)?,
        segments: row.get::<_, SegmentList>(4)?.0,
    })
}

/// Visits that are not committed yet, in the order of `rows`.
pub fn sealed(connection: &Connection, rows: &[i64]) -> rusqlite::Result<Vec<SealedVisit>> {
    let mut statement = connection.prepare_cached(
        "SELECT row, record_id, patient, record, segments FROM visits
         WHERE row = ?1 AND record IS NOT NULL",
    )?;
    rows.iter().map(|row| statement.query_row([row], sealed_visit)).collect()
}

/// The visits of a batch that is not committed yet, in the order of its entries.
pub fn of_batch(connection: &Connection, batch: i64) -> rusqlite::Result<Vec<SealedVisit>> {
    connection
        .prepare_cached(
            "SELECT row, record_id, patient, record, segments FROM visits
             WHERE batch = ?1 AND record IS NOT NULL ORDER BY position",
        )?
        .query_map([batch], sealed_visit)?
        .collect()
}

/// Puts queued visits into a batch, in the order of its entries. False if one of them was not queued: then the caller
/// must roll the transaction back.
pub fn set_packed(
    tx: &Connection,
    rows: &[i64],
    batch: i64,
    now: Moment,
) -> rusqlite::Result<bool> {
    let mut statement = tx.prepare_cached(
        "UPDATE visits SET stage = ?1, batch = ?2, position = ?3, since = ?4
         WHERE row = ?5 AND stage = ?6",
    )?;
    for (position, row) in rows.iter().enumerate() {
        let changed =
            statement.execute(params![PACKED, batch, position as i64, now as i64, row, QUEUED])?;
        if changed == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Records that a batch is announced; returns how many visits changed.
pub fn set_announced(
    tx: &Connection,
    batch: i64,
    announcement: AnnouncementId,
    now: Moment,
) -> rusqlite::Result<usize> {
    tx.prepare_cached(
        "UPDATE visits SET stage = ?1, announcement = ?2, since = ?3 WHERE batch = ?4 AND stage = ?5",
    )?
    .execute(params![ANNOUNCED, announcement.0 as i64, now as i64, batch, PACKED])
}

/// Records that a batch is committed; returns how many visits changed. The records' bytes are on the chain now. The
/// announcement must be an owner of their segments already.
pub fn set_committed(
    tx: &Connection,
    batch: i64,
    height: u32,
    now: Moment,
) -> rusqlite::Result<usize> {
    let records: Vec<[u8; 16]> = tx
        .prepare_cached("SELECT record_id FROM visits WHERE batch = ?1 AND stage IN (?2, ?3)")?
        .query_map(params![batch, PACKED, ANNOUNCED], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for record in &records {
        references::release(tx, Owner::Visit(RecordId(*record)), now)?;
    }
    tx.prepare_cached(
        "UPDATE visits SET stage = ?1, height = ?2, since = ?3, record = NULL, last_failure = NULL
         WHERE batch = ?4 AND stage IN (?5, ?6)",
    )?
    .execute(params![COMMITTED, height, now as i64, batch, PACKED, ANNOUNCED])
}

/// Adds visits of a committed block. If this worker accepted one of them again, after its journal was lost, and it is
/// in no batch, the visit is not announced again.
pub(super) fn restore_committed(
    tx: &Connection,
    visits: &[CommittedVisit],
) -> rusqlite::Result<usize> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO visits (record_id, patient, author, fingerprint, record_bytes, segments,
             segment_count, media_bytes, stage, announcement, height, position, queued_at, since)
         VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12)
         ON CONFLICT (record_id) DO UPDATE SET
             stage = excluded.stage, announcement = excluded.announcement, record = NULL,
             segments = excluded.segments, segment_count = excluded.segment_count,
             media_bytes = excluded.media_bytes,
             height = excluded.height, position = excluded.position, since = excluded.since,
             last_failure = NULL
         WHERE stage IN (?13, ?14, ?15, ?16) AND fingerprint = excluded.fingerprint",
    )?;
    let mut restored = 0;
    for visit in visits {
        let media_bytes: u64 = visit.segments.iter().map(|segment| u64::from(segment.length)).sum();
        let changed = insert.execute(params![
            visit.record_id.0,
            visit.patient.0,
            visit.author.0,
            visit.fingerprint,
            SegmentList(visit.segments.clone()),
            visit.segments.len() as i64,
            media_bytes as i64,
            COMMITTED,
            visit.announcement.0 as i64,
            visit.pointer.height,
            visit.pointer.index,
            visit.time as i64,
            QUEUED,
            ASIDE,
            REPEATED,
            RELEASED,
        ])?;
        if changed > 0 {
            references::release(tx, Owner::Visit(visit.record_id), visit.time)?;
        }
        restored += changed;
    }
    Ok(restored)
}

/// Puts the visits of a failed batch back into the queue, at their previous positions.
pub fn requeue(tx: &Connection, batch: i64, reason: &str, now: Moment) -> rusqlite::Result<usize> {
    tx.prepare_cached(
        "UPDATE visits SET stage = ?1, batch = NULL, position = NULL, announcement = NULL,
             since = ?2, last_failure = ?3
         WHERE batch = ?4 AND stage IN (?5, ?6)",
    )?
    .execute(params![QUEUED, now as i64, reason, batch, PACKED, ANNOUNCED])
}

/// Records why a visit was not announced.
pub fn set_failure(tx: &Connection, row: i64, reason: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE visits SET last_failure = ?2 WHERE row = ?1")?
        .execute(params![row, reason])
        .map(drop)
}

/// The number of visits in each stage.
pub fn counts(connection: &Connection) -> rusqlite::Result<StageCounts> {
    let mut counts = StageCounts::default();
    let mut statement =
        connection.prepare_cached("SELECT stage, count(*) FROM visits GROUP BY stage")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let count = row.get::<_, i64>(1)? as u64;
        match row.get(0)? {
            QUEUED => counts.queued = count,
            PACKED => counts.packed = count,
            ANNOUNCED => counts.announced = count,
            ASIDE | REPEATED | RELEASED => counts.aside += count,
            _ => counts.committed = count,
        }
    }
    Ok(counts)
}
