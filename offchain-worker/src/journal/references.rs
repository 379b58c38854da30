//! The owners of segments. A segment without an owner becomes garbage and is deleted later. So a rejected block never
//! takes a segment with it that a queued visit or a committed block still needs.

use codec::{DecodeAll, Encode};
use epione_primitives::{AnnouncementId, Moment, RecordId, block::Segment};
use rusqlite::{Connection, Row, params};

/// An owner of segments. The order is that of trust in the length that an owner states for a segment: first what this
/// hospital sealed itself, then lite blocks, the oldest first, then offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// An open upload. It does not outlive the process.
    Upload(i64),
    /// An acknowledged visit, until it is committed.
    Visit(RecordId),
    /// A lite block of any hospital, while its ballot is open, and permanently once it is committed.
    Announcement(AnnouncementId),
    /// An offer of another hospital, until the block is announced or the offer ends.
    Offer(i64),
}

const UPLOAD: u8 = 0;
const ANNOUNCEMENT: u8 = 2;
const OFFER: u8 = 3;

impl Owner {
    fn columns(self) -> (u8, Vec<u8>) {
        match self {
            Self::Upload(id) => (UPLOAD, id.encode()),
            Self::Visit(id) => (1, id.encode()),
            Self::Announcement(id) => (ANNOUNCEMENT, id.encode()),
            Self::Offer(id) => (OFFER, id.encode()),
        }
    }

    fn of(kind: u8, mut owner: &[u8]) -> Option<Self> {
        let owner = &mut owner;
        match kind {
            UPLOAD => i64::decode_all(owner).ok().map(Self::Upload),
            1 => RecordId::decode_all(owner).ok().map(Self::Visit),
            ANNOUNCEMENT => AnnouncementId::decode_all(owner).ok().map(Self::Announcement),
            OFFER => i64::decode_all(owner).ok().map(Self::Offer),
            _ => None,
        }
    }
}

/// Makes somebody an owner of segments. If any of them may have no owner yet, use [`super::Journal::reference`], which
/// locks the sweep out.
pub fn add(tx: &Connection, owner: Owner, segments: &[Segment]) -> rusqlite::Result<()> {
    let (kind, owner) = owner.columns();
    let mut insert = tx.prepare_cached(
        "INSERT OR IGNORE INTO segment_references (segment, length, kind, owner) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let mut keep = tx.prepare_cached("DELETE FROM garbage WHERE segment = ?1")?;
    for segment in segments {
        insert.execute(params![segment.hash, segment.length, kind, owner])?;
        keep.execute([segment.hash])?;
    }
    Ok(())
}

/// Removes an owner.
pub fn release(tx: &Connection, owner: Owner, now: Moment) -> rusqlite::Result<()> {
    let segments = of(tx, owner)?;
    let (kind, owner) = owner.columns();
    tx.prepare_cached("DELETE FROM segment_references WHERE kind = ?1 AND owner = ?2")?
        .execute(params![kind, owner])?;
    let mut discard = tx.prepare_cached(
        "INSERT OR IGNORE INTO garbage (segment, since) SELECT ?1, ?2
         WHERE NOT EXISTS (SELECT 1 FROM segment_references WHERE segment = ?1)",
    )?;
    for segment in segments {
        discard.execute(params![segment.hash, now as i64])?;
    }
    Ok(())
}

/// Removes uploads that an earlier process did not finish.
pub(super) fn release_uploads(tx: &Connection, now: Moment) -> rusqlite::Result<()> {
    tx.execute(
        "INSERT OR IGNORE INTO garbage (segment, since) SELECT segment, ?1 FROM segment_references AS r
         WHERE kind = ?2 AND NOT EXISTS
             (SELECT 1 FROM segment_references WHERE segment = r.segment AND kind <> ?2)",
        params![now as i64, UPLOAD],
    )?;
    tx.execute("DELETE FROM segment_references WHERE kind = ?1", [UPLOAD])?;
    Ok(())
}

fn segment(row: &Row<'_>) -> rusqlite::Result<Segment> {
    Ok(Segment { hash: row.get(0)?, length: row.get(1)? })
}

/// The segments of an owner, ascending by hash.
pub fn of(connection: &Connection, owner: Owner) -> rusqlite::Result<Vec<Segment>> {
    let (kind, owner) = owner.columns();
    connection
        .prepare_cached(
            "SELECT segment, length FROM segment_references WHERE kind = ?1 AND owner = ?2
             ORDER BY segment",
        )?
        .query_map(params![kind, owner], segment)?
        .collect()
}

/// All owners of a segment, and the length that each states for it; the most trustworthy first.
pub fn claims(connection: &Connection, hash: &[u8; 32]) -> rusqlite::Result<Vec<(Owner, u32)>> {
    let claim = |row: &Row<'_>| {
        let (kind, owner): (u8, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let owner = Owner::of(kind, &owner)
            .ok_or(rusqlite::Error::IntegralValueOutOfRange(0, kind.into()))?;
        Ok((owner, row.get(2)?))
    };
    let mut claims: Vec<_> = connection
        .prepare_cached("SELECT kind, owner, length FROM segment_references WHERE segment = ?1")?
        .query_map([hash], claim)?
        .collect::<rusqlite::Result<_>>()?;
    claims.sort_unstable();
    Ok(claims)
}

/// Names of segments that have owners other than offers, ascending, after `after`.
pub fn all(
    connection: &Connection,
    after: Option<[u8; 32]>,
    limit: u32,
) -> rusqlite::Result<Vec<[u8; 32]>> {
    connection
        .prepare_cached(
            "SELECT DISTINCT segment FROM segment_references
             WHERE (?1 IS NULL OR segment > ?1) AND kind <> ?3 ORDER BY segment LIMIT ?2",
        )?
        .query_map(params![after.map(Vec::from), limit, OFFER], |row| row.get(0))?
        .collect()
}

/// Segments that have had no owner since `before`, oldest first.
pub(super) fn garbage(
    connection: &Connection,
    before: Moment,
    limit: u32,
) -> rusqlite::Result<Vec<[u8; 32]>> {
    connection
        .prepare_cached("SELECT segment FROM garbage WHERE since <= ?1 ORDER BY since LIMIT ?2")?
        .query_map(params![before as i64, limit], |row| row.get(0))?
        .collect()
}

/// Lite blocks that own segments, whatever happened to their ballots.
pub(super) fn announcements(connection: &Connection) -> rusqlite::Result<Vec<AnnouncementId>> {
    connection
        .prepare_cached("SELECT DISTINCT owner FROM segment_references WHERE kind = ?1")?
        .query_map([ANNOUNCEMENT], |row| {
            let owner: Vec<u8> = row.get(0)?;
            AnnouncementId::decode_all(&mut owner.as_slice())
                .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, ANNOUNCEMENT.into()))
        })?
        .collect()
}

/// Whether the journal knows a segment: with an owner, or as garbage.
pub(super) fn is_known(connection: &Connection, hash: &[u8; 32]) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM segment_references WHERE segment = ?1)
                 OR EXISTS (SELECT 1 FROM garbage WHERE segment = ?1)",
        )?
        .query_row([hash], |row| row.get(0))
}

/// Makes garbage of a stored segment that the journal does not know, as if it had an owner until `until`.
pub(super) fn adopt(tx: &Connection, hash: &[u8; 32], until: Moment) -> rusqlite::Result<bool> {
    if is_known(tx, hash)? {
        return Ok(false);
    }
    tx.prepare_cached("INSERT INTO garbage (segment, since) VALUES (?1, ?2)")?
        .execute(params![hash, until as i64])?;
    Ok(true)
}

pub(super) fn forget_garbage(tx: &Connection, hash: &[u8; 32]) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM garbage WHERE segment = ?1")?.execute([hash])?;
    Ok(())
}
