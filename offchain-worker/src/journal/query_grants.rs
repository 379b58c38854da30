//! Sealed grants of patients, which the worker keeps for the requesters of queries. The worker cannot open them.
//!
//! A grant is pending until the chain has the acceptance that names it. A patient or representative may bring several
//! grants for the same query: an interrupted acceptance may name an earlier one. The worker keeps the newest ones of
//! each, until it learns which one the chain names. Nobody replaces a grant that somebody else brought.

use epione_primitives::{Hash, HospitalId, Moment, UserId, query::QueryId};
use rusqlite::{Connection, OptionalExtension, params};

/// Pending grants of one user for one query, at most. A later one replaces the oldest.
pub const EACH_QUERY: u32 = 3;
/// Queries for which one user has brought pending grants, at most.
pub const PENDING_EACH: u32 = 8;
/// Grants that one user has brought, at most.
pub const EACH_BRINGER: u32 = 32;
/// Grants of all users, at most.
pub const ALL: u32 = 4_096;
/// Bytes of all grants, at most.
pub const ALL_BYTES: u64 = 512 << 20;
/// The part of all grants, and of their bytes, for the requesters of one hospital.
pub const PARTS: u32 = 4;

/// A sealed grant for a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptGrant {
    pub query: QueryId,
    /// The patient, or a representative.
    pub bringer: UserId,
    /// The requester's hospital.
    pub hospital: HospitalId,
    /// Blake2-256 of `bytes`.
    pub hash: Hash,
    pub bytes: Vec<u8>,
    /// Until when it may be of use: the end of the query, later that of the acceptance.
    pub ends: Moment,
}

/// Whether there was room for a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Kept,
    /// The user has brought as many grants as one user may.
    NoneForBringer,
    /// The worker keeps as many grants for requesters of this hospital as it may.
    NoneForHospital,
    /// The worker keeps as many grants as it may.
    None,
}

/// Keeps a grant, in place of the user's oldest one if there are too many for the same query, if there is room for it.
/// Otherwise nothing changes.
pub fn keep(tx: &Connection, grant: &KeptGrant, now: Moment) -> rusqlite::Result<Room> {
    tx.execute_batch("SAVEPOINT keep_query_grant")?;
    insert(tx, grant, now)?;
    let room = room(tx, grant)?;
    if room != Room::Kept {
        tx.execute_batch("ROLLBACK TO keep_query_grant")?;
    }
    tx.execute_batch("RELEASE keep_query_grant")?;
    Ok(room)
}

fn insert(tx: &Connection, grant: &KeptGrant, now: Moment) -> rusqlite::Result<()> {
    let KeptGrant { query, bringer, hospital, hash, bytes, ends } = grant;
    let (ends, now, size) = (*ends as i64, now as i64, bytes.len() as i64);
    tx.prepare_cached(
        "INSERT INTO query_grants (query, hash, bringer, hospital, ends, at, size, bytes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (query, hash) DO UPDATE SET ends = excluded.ends, at = excluded.at",
    )?
    .execute(params![query.0, hash.0, bringer.0, hospital.0, ends, now, size, bytes])?;
    tx.prepare_cached(
        "DELETE FROM query_grants
         WHERE query = ?1 AND bringer = ?4 AND accepted = 0 AND hash <> ?2 AND hash NOT IN (
             SELECT hash FROM query_grants WHERE query = ?1 AND bringer = ?4 AND hash <> ?2
             ORDER BY at DESC, rowid DESC LIMIT ?3
         )",
    )?
    .execute(params![query.0, hash.0, EACH_QUERY - 1, bringer.0])
    .map(drop)
}

/// Whether there is room for a grant that was inserted.
fn room(tx: &Connection, grant: &KeptGrant) -> rusqlite::Result<Room> {
    let pending: u32 = tx
        .prepare_cached(
            "SELECT count(DISTINCT query) FROM query_grants WHERE bringer = ?1 AND accepted = 0",
        )?
        .query_row([grant.bringer.0], |row| row.get(0))?;
    let of_bringer: u32 = tx
        .prepare_cached("SELECT count(*) FROM query_grants WHERE bringer = ?1")?
        .query_row([grant.bringer.0], |row| row.get(0))?;
    if pending > PENDING_EACH || of_bringer > EACH_BRINGER {
        return Ok(Room::NoneForBringer);
    }
    let exceeds = |(count, bytes): (u32, i64), parts: u32| {
        count > ALL / parts || bytes > (ALL_BYTES / u64::from(parts)) as i64
    };
    let of_hospital = tx
        .prepare_cached(
            "SELECT count(*), coalesce(sum(size), 0) FROM query_grants WHERE hospital = ?1",
        )?
        .query_row([grant.hospital.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if exceeds(of_hospital, PARTS) {
        return Ok(Room::NoneForHospital);
    }
    let all = tx
        .prepare_cached("SELECT count(*), coalesce(sum(size), 0) FROM query_grants")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(if exceeds(all, 1) { Room::None } else { Room::Kept })
}

/// The grant for a query, by its hash.
pub fn find(
    connection: &Connection,
    query: QueryId,
    hash: Hash,
) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached("SELECT bytes FROM query_grants WHERE query = ?1 AND hash = ?2")?
        .query_row(params![query.0, hash.0], |row| row.get(0))
        .optional()
}

/// The query of a grant.
pub fn query_of(connection: &Connection, hash: Hash) -> rusqlite::Result<Option<QueryId>> {
    connection
        .prepare_cached("SELECT query FROM query_grants WHERE hash = ?1")?
        .query_row([hash.0], |row| Ok(QueryId(row.get(0)?)))
        .optional()
}

/// The hashes of the grants for a query.
pub fn hashes_of(connection: &Connection, query: QueryId) -> rusqlite::Result<Vec<Hash>> {
    connection
        .prepare_cached("SELECT hash FROM query_grants WHERE query = ?1")?
        .query_map([query.0], |row| row.get::<_, [u8; 32]>(0).map(Hash::from))?
        .collect()
}

const PENDING: &str = "SELECT DISTINCT query FROM query_grants WHERE accepted = 0 ORDER BY query";
const OF_BRINGER: &str =
    "SELECT DISTINCT query FROM query_grants WHERE bringer = ?1 ORDER BY query";
const ACCEPTED: &str = "SELECT query FROM query_grants WHERE accepted = 1 ORDER BY at LIMIT ?1";
const FORGET_ENDED: &str = "DELETE FROM query_grants WHERE ends < ?1";
const FORGET_OVER: &str =
    "DELETE FROM query_grants INDEXED BY query_grants_by_end WHERE ends < ?1 AND accepted = 1";

/// The queries with pending grants.
pub fn pending(connection: &Connection) -> rusqlite::Result<Vec<QueryId>> {
    connection.prepare_cached(PENDING)?.query_map([], |row| Ok(QueryId(row.get(0)?)))?.collect()
}

/// The queries for which one user brought grants.
pub fn of_bringer(connection: &Connection, bringer: UserId) -> rusqlite::Result<Vec<QueryId>> {
    connection
        .prepare_cached(OF_BRINGER)?
        .query_map([bringer.0], |row| Ok(QueryId(row.get(0)?)))?
        .collect()
}

/// Queries with accepted grants, those first that were not compared with the chain for the longest time.
pub fn accepted(connection: &Connection, limit: u32) -> rusqlite::Result<Vec<QueryId>> {
    connection
        .prepare_cached(ACCEPTED)?
        .query_map([limit], |row| Ok(QueryId(row.get(0)?)))?
        .collect()
}

/// Records that the chain has, at the moment `now`, the acceptance of a grant, until the moment `ends`.
pub fn accept(
    tx: &Connection,
    query: QueryId,
    hash: Hash,
    ends: Moment,
    now: Moment,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE query_grants SET accepted = 1, ends = ?3, at = ?4 WHERE query = ?1 AND hash = ?2",
    )?
    .execute(params![query.0, hash.0, ends as i64, now as i64])
    .map(drop)
}

/// Forgets a grant.
pub fn forget(tx: &Connection, query: QueryId, hash: Hash) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM query_grants WHERE query = ?1 AND hash = ?2")?
        .execute(params![query.0, hash.0])
        .map(drop)
}

/// Forgets the grants that ended before a moment; returns how many.
pub fn forget_ended(tx: &Connection, before: Moment) -> rusqlite::Result<usize> {
    tx.prepare_cached(FORGET_ENDED)?.execute([before as i64])
}

/// Forgets the grants whose acceptance ended before a moment; returns how many.
pub fn forget_over(tx: &Connection, before: Moment) -> rusqlite::Result<usize> {
    tx.prepare_cached(FORGET_OVER)?.execute([before as i64])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;

    const SOMEBODY: UserId = UserId([1; 32]);

    fn grant(query: u32, content: &[u8]) -> KeptGrant {
        KeptGrant {
            query: QueryId(query),
            bringer: SOMEBODY,
            hospital: HospitalId(1),
            hash: Hash::from(*blake3::hash(content).as_bytes()),
            bytes: content.to_vec(),
            ends: 1_000,
        }
    }

    /// A grant of another user for each query.
    fn of_another(query: u32, hospital: u16) -> KeptGrant {
        let mut bringer = [0; 32];
        bringer[..4].copy_from_slice(&query.to_le_bytes());
        let (bringer, hospital) = (UserId(bringer), HospitalId(hospital));
        KeptGrant { bringer, hospital, ..grant(query, &query.to_le_bytes()) }
    }

    async fn keep_in(journal: &Journal, grant: KeptGrant) -> Room {
        journal.write(move |tx| keep(tx, &grant, 10)).await.unwrap()
    }

    async fn accept_in(journal: &Journal, grant: &KeptGrant, now: Moment) {
        let (query, hash) = (grant.query, grant.hash);
        journal.write(move |tx| accept(tx, query, hash, 2_000, now)).await.unwrap();
    }

    async fn found(journal: &Journal, grant: &KeptGrant) -> Option<Vec<u8>> {
        let (query, hash) = (grant.query, grant.hash);
        journal.read(move |connection| find(connection, query, hash)).await.unwrap()
    }

    #[tokio::test]
    async fn the_newest_grants_of_a_query_are_kept_until_one_is_accepted() {
        let journal = Journal::in_memory().await.unwrap();
        let grants: Vec<_> = (0..=EACH_QUERY as u8).map(|content| grant(7, &[content])).collect();
        for (at, grant) in (10..).zip(grants.clone()) {
            let room = journal.write(move |tx| keep(tx, &grant, at)).await.unwrap();
            assert_eq!(room, Room::Kept);
        }
        assert_eq!(found(&journal, &grants[0]).await, None);
        for grant in &grants[1..] {
            assert_eq!(found(&journal, grant).await.as_ref(), Some(&grant.bytes));
            let hash = grant.hash;
            let query = journal.read(move |c| query_of(c, hash)).await.unwrap();
            assert_eq!(query, Some(grant.query));
        }
        // A grant that is brought again is a new one: the second one is the oldest now.
        let again = grants[1].clone();
        journal.write(move |tx| keep(tx, &again, 90)).await.unwrap();
        let more = grant(7, b"more");
        let kept = more.clone();
        journal.write(move |tx| keep(tx, &kept, 91)).await.unwrap();
        assert_eq!(found(&journal, &grants[2]).await, None);
        assert_eq!(found(&journal, &grants[1]).await.as_ref(), Some(&grants[1].bytes));
        let query = more.query;
        let mut hashes = journal.read(move |c| hashes_of(c, query)).await.unwrap();
        let mut expected = vec![grants[1].hash, grants[3].hash, more.hash];
        hashes.sort();
        expected.sort();
        assert_eq!(hashes, expected);
        assert_eq!(journal.read(pending).await.unwrap(), [query]);
        // An accepted grant stays accepted when it is brought again.
        accept_in(&journal, &more, 92).await;
        assert_eq!(keep_in(&journal, more.clone()).await, Room::Kept);
        assert_eq!(journal.read(|c| accepted(c, 5)).await.unwrap(), [query]);
    }

    #[tokio::test]
    async fn nobody_replaces_or_crowds_out_a_grant_that_somebody_else_brought() {
        let journal = Journal::in_memory().await.unwrap();
        let own = grant(7, b"own");
        assert_eq!(keep_in(&journal, own.clone()).await, Room::Kept);
        // A representative brings as many as one user may.
        let bringer = UserId([2; 32]);
        let queries = [7, 7, 7, 7].into_iter().chain(0..PENDING_EACH - 1);
        for (number, query) in (0_u8..).zip(queries) {
            let brought = KeptGrant { bringer, ..grant(query, &[number, 1]) };
            assert_eq!(keep_in(&journal, brought).await, Room::Kept, "{query}");
        }
        assert_eq!(found(&journal, &own).await, Some(own.bytes));
        assert_eq!(keep_in(&journal, grant(8, b"another")).await, Room::Kept);
    }

    #[tokio::test]
    async fn one_user_has_few_pending_grants_and_few_in_all() {
        let journal = Journal::in_memory().await.unwrap();
        for query in 0..PENDING_EACH {
            let kept = keep_in(&journal, grant(query, &query.to_le_bytes())).await;
            assert_eq!(kept, Room::Kept);
        }
        let more = grant(99, b"more");
        assert_eq!(keep_in(&journal, more.clone()).await, Room::NoneForBringer);
        assert_eq!(found(&journal, &more).await, None);
        assert_eq!(keep_in(&journal, grant(0, b"another for the same query")).await, Room::Kept);
        assert_eq!(keep_in(&journal, of_another(100, 1)).await, Room::Kept);
        // Accepted ones do not count as pending, and count all the same.
        for query in 0..PENDING_EACH {
            accept_in(&journal, &grant(query, &query.to_le_bytes()), 20).await;
        }
        for query in PENDING_EACH..EACH_BRINGER - 1 {
            let grant = grant(query, &query.to_le_bytes());
            assert_eq!(keep_in(&journal, grant.clone()).await, Room::Kept, "{query}");
            accept_in(&journal, &grant, 20).await;
        }
        assert_eq!(keep_in(&journal, more).await, Room::NoneForBringer);
        let own = journal.read(|c| of_bringer(c, SOMEBODY)).await.unwrap();
        assert_eq!(own.len(), EACH_BRINGER as usize - 1);
        // An acceptance that ended makes room.
        assert_eq!(journal.write(|tx| forget_over(tx, 2_000)).await.unwrap(), 0);
        let forgotten = journal.write(|tx| forget_over(tx, 2_001)).await.unwrap();
        assert_eq!(forgotten, EACH_BRINGER as usize - 1);
        assert_eq!(journal.read(pending).await.unwrap(), [QueryId(0), QueryId(100)]);
    }

    #[tokio::test]
    async fn the_number_of_all_grants_and_of_one_hospital_is_limited() {
        let journal = Journal::in_memory().await.unwrap();
        let fill = |tx: &rusqlite::Transaction<'_>| -> rusqlite::Result<Vec<Room>> {
            let each = ALL / PARTS;
            let hospitals = (0..PARTS as u16).flat_map(|hospital| (0..each).map(move |_| hospital));
            let mut rooms = Vec::new();
            for (query, hospital) in (0..).zip(hospitals) {
                rooms.push(keep(tx, &of_another(query, hospital), 10)?);
                if query == each - 1 {
                    let beyond = keep(tx, &of_another(ALL, hospital), 10)?;
                    assert_eq!(beyond, Room::NoneForHospital);
                }
            }
            rooms.push(keep(tx, &of_another(ALL, PARTS as u16), 10)?);
            Ok(rooms)
        };
        let rooms = journal.write(fill).await.unwrap();
        let (last, rest) = rooms.split_last().unwrap();
        assert_eq!(rest.len(), ALL as usize);
        assert!(rest.iter().all(|room| *room == Room::Kept));
        assert_eq!(*last, Room::None);
    }

    #[tokio::test]
    async fn the_bytes_of_all_grants_and_of_one_hospital_are_limited() {
        let journal = Journal::in_memory().await.unwrap();
        for hospital in 0..4_u16 {
            assert_eq!(keep_in(&journal, of_another(hospital.into(), hospital)).await, Room::Kept);
        }
        // As if all grants were as large as one hospital's may be.
        let part = (ALL_BYTES / u64::from(PARTS)) as i64;
        let grow = move |tx: &rusqlite::Transaction<'_>| {
            tx.execute("UPDATE query_grants SET size = ?1", [part])
        };
        journal.write(grow).await.unwrap();
        assert_eq!(keep_in(&journal, of_another(9, 0)).await, Room::NoneForHospital);
        assert_eq!(keep_in(&journal, of_another(9, 9)).await, Room::None);
        let first = of_another(0, 0);
        let (query, hash) = (first.query, first.hash);
        journal.write(move |tx| forget(tx, query, hash)).await.unwrap();
        assert_eq!(keep_in(&journal, of_another(9, 9)).await, Room::Kept);
    }

    #[tokio::test]
    async fn grants_are_forgotten_after_their_end_and_outlive_the_process_until_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        let journal = Journal::open(&path).await.unwrap();
        let kept = grant(1, b"kept");
        assert_eq!(keep_in(&journal, kept.clone()).await, Room::Kept);
        drop(journal);
        let journal = Journal::open(&path).await.unwrap();
        assert_eq!(journal.write(|tx| forget_ended(tx, 1_000)).await.unwrap(), 0);
        assert_eq!(found(&journal, &kept).await, Some(b"kept".to_vec()));
        assert_eq!(journal.write(|tx| forget_ended(tx, 1_001)).await.unwrap(), 1);
        assert_eq!(found(&journal, &kept).await, None);
    }

    #[tokio::test]
    async fn accepted_grants_take_turns_and_no_look_reads_all_rows() {
        let journal = Journal::in_memory().await.unwrap();
        for (query, at) in [(1, 30), (2, 20), (3, 40)] {
            let grant = grant(query, &query.to_le_bytes());
            assert_eq!(keep_in(&journal, grant.clone()).await, Room::Kept);
            accept_in(&journal, &grant, at).await;
        }
        assert_eq!(journal.read(|c| accepted(c, 2)).await.unwrap(), [QueryId(2), QueryId(1)]);
        accept_in(&journal, &grant(2, &2_u32.to_le_bytes()), 50).await;
        assert_eq!(journal.read(|c| accepted(c, 2)).await.unwrap(), [QueryId(1), QueryId(3)]);
        for statement in [PENDING, OF_BRINGER, ACCEPTED, FORGET_ENDED, FORGET_OVER] {
            let plan = journal.read(move |connection| {
                let mut explained =
                    connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}"))?;
                let mut rows = explained.raw_query();
                rows.next()?.map(|row| row.get::<_, String>(3)).transpose()
            });
            let plan = plan.await.unwrap().unwrap();
            assert!(plan.starts_with("SEARCH query_grants USING"), "{statement}: {plan}");
            assert!(plan.contains("INDEX query_grants_by_"), "{statement}: {plan}");
        }
    }
}
