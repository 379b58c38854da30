//! Sealed grants of patients, which the worker keeps for the requesters of queries. The worker cannot open them.
//!
//! A grant is pending until the chain has the acceptance that names it. A later grant for the same query replaces it.

use epione_primitives::{Hash, Moment, UserId, query::QueryId};
use rusqlite::{Connection, OptionalExtension, params};

/// Pending grants of one patient, at most.
pub const PENDING_EACH: u32 = 8;
/// Grants of all patients, at most. Each has at most 512 KiB.
pub const ALL: u32 = 4_096;

/// A sealed grant for a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptGrant {
    pub query: QueryId,
    pub patient: UserId,
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
    /// The patient has as many pending grants here as one patient may have.
    NoneForPatient,
    /// The worker keeps as many grants as it may.
    None,
}

/// Keeps a grant, in place of an earlier one for the same query, if there is room for it.
pub fn keep(tx: &Connection, grant: &KeptGrant, now: Moment) -> rusqlite::Result<Room> {
    let KeptGrant { query, patient, hash, bytes, ends } = grant;
    let pending: u32 = tx
        .prepare_cached(
            "SELECT count(*) FROM query_grants WHERE patient = ?1 AND accepted = 0 AND query <> ?2",
        )?
        .query_row(params![patient.0, query.0], |row| row.get(0))?;
    if pending >= PENDING_EACH {
        return Ok(Room::NoneForPatient);
    }
    let all: u32 = tx
        .prepare_cached("SELECT count(*) FROM query_grants WHERE query <> ?1")?
        .query_row([query.0], |row| row.get(0))?;
    if all >= ALL {
        return Ok(Room::None);
    }
    tx.prepare_cached(
        "INSERT OR REPLACE INTO query_grants (query, patient, hash, bytes, ends, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![query.0, patient.0, hash.0, bytes, *ends as i64, now as i64])?;
    Ok(Room::Kept)
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

/// The hash of the grant for a query.
pub fn hash_of(connection: &Connection, query: QueryId) -> rusqlite::Result<Option<Hash>> {
    connection
        .prepare_cached("SELECT hash FROM query_grants WHERE query = ?1")?
        .query_row([query.0], |row| row.get::<_, [u8; 32]>(0).map(Hash::from))
        .optional()
}

/// The queries whose grants are pending: of one patient, or of all.
pub fn pending(connection: &Connection, of: Option<UserId>) -> rusqlite::Result<Vec<QueryId>> {
    connection
        .prepare_cached(
            "SELECT query FROM query_grants
             WHERE accepted = 0 AND (?1 IS NULL OR patient = ?1) ORDER BY query",
        )?
        .query_map([of.map(|patient| patient.0)], |row| Ok(QueryId(row.get(0)?)))?
        .collect()
}

/// Records that the chain has the acceptance of a grant, until the moment `ends`.
pub fn accept(tx: &Connection, query: QueryId, hash: Hash, ends: Moment) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE query_grants SET accepted = 1, ends = ?3 WHERE query = ?1 AND hash = ?2",
    )?
    .execute(params![query.0, hash.0, ends as i64])
    .map(drop)
}

/// Forgets a grant, unless another one has replaced it meanwhile.
pub fn forget(tx: &Connection, query: QueryId, hash: Hash) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM query_grants WHERE query = ?1 AND hash = ?2")?
        .execute(params![query.0, hash.0])
        .map(drop)
}

/// Forgets the grants that ended before a moment; returns how many.
pub fn forget_ended(tx: &Connection, before: Moment) -> rusqlite::Result<usize> {
    tx.prepare_cached("DELETE FROM query_grants WHERE ends < ?1")?.execute([before as i64])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;

    const PATIENT: UserId = UserId([1; 32]);

    fn grant(query: u32, content: &[u8]) -> KeptGrant {
        KeptGrant {
            query: QueryId(query),
            patient: PATIENT,
            hash: Hash::from(*blake3::hash(content).as_bytes()),
            bytes: content.to_vec(),
            ends: 1_000,
        }
    }

    async fn keep_in(journal: &Journal, grant: KeptGrant) -> Room {
        journal.write(move |tx| keep(tx, &grant, 10)).await.unwrap()
    }

    async fn found(journal: &Journal, grant: &KeptGrant) -> Option<Vec<u8>> {
        let (query, hash) = (grant.query, grant.hash);
        journal.read(move |connection| find(connection, query, hash)).await.unwrap()
    }

    #[tokio::test]
    async fn a_later_grant_replaces_the_earlier_one_of_the_same_query() {
        let journal = Journal::in_memory().await.unwrap();
        let (first, second) = (grant(7, b"first"), grant(7, b"second"));
        for grant in [&first, &second] {
            assert_eq!(keep_in(&journal, grant.clone()).await, Room::Kept);
        }
        assert_eq!(found(&journal, &first).await, None);
        assert_eq!(found(&journal, &second).await, Some(b"second".to_vec()));
        // What concerns the first one does not concern the second one.
        let (query, hash) = (first.query, first.hash);
        journal.write(move |tx| forget(tx, query, hash)).await.unwrap();
        journal.write(move |tx| accept(tx, query, hash, 5)).await.unwrap();
        assert_eq!(journal.read(|c| pending(c, None)).await.unwrap(), [query]);
        let hash = second.hash;
        assert_eq!(journal.read(move |c| query_of(c, hash)).await.unwrap(), Some(query));
        assert_eq!(journal.read(move |c| hash_of(c, query)).await.unwrap(), Some(hash));
    }

    #[tokio::test]
    async fn one_patient_has_few_pending_grants_and_accepted_ones_do_not_count() {
        let journal = Journal::in_memory().await.unwrap();
        for query in 0..PENDING_EACH {
            let kept = keep_in(&journal, grant(query, &query.to_le_bytes())).await;
            assert_eq!(kept, Room::Kept);
        }
        assert_eq!(keep_in(&journal, grant(99, b"more")).await, Room::NoneForPatient);
        assert_eq!(keep_in(&journal, grant(0, b"in its place")).await, Room::Kept);
        let other = KeptGrant { patient: UserId([2; 32]), ..grant(100, b"other") };
        assert_eq!(keep_in(&journal, other).await, Room::Kept);
        let accepted = grant(0, b"in its place");
        let (query, hash) = (accepted.query, accepted.hash);
        journal.write(move |tx| accept(tx, query, hash, 2_000)).await.unwrap();
        assert_eq!(keep_in(&journal, grant(99, b"more")).await, Room::Kept);
        let own = journal.read(|c| pending(c, Some(PATIENT))).await.unwrap();
        assert_eq!(own.len(), PENDING_EACH as usize);
        assert!(!own.contains(&query));
    }

    #[tokio::test]
    async fn the_number_of_all_grants_is_limited() {
        let journal = Journal::in_memory().await.unwrap();
        let fill = |tx: &rusqlite::Transaction<'_>| -> rusqlite::Result<Vec<Room>> {
            (0..=ALL)
                .map(|query| {
                    let mut patient = [0; 32];
                    patient[..4].copy_from_slice(&query.to_le_bytes());
                    let grant = grant(query, &query.to_le_bytes());
                    keep(tx, &KeptGrant { patient: UserId(patient), ..grant }, 10)
                })
                .collect()
        };
        let rooms = journal.write(fill).await.unwrap();
        let (last, rest) = rooms.split_last().unwrap();
        assert!(rest.iter().all(|room| *room == Room::Kept));
        assert_eq!(*last, Room::None);
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
}
