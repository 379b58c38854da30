//! The index of sections: which kinds of sections the hospital's own committed records have. It is filled from the
//! chain with the patient keys, so it can be made again at any time. The worker counts by it, and places new sections
//! in the slots of their patients.

use codec::Encode;
use epione_envelope::record::SectionKind;
use epione_primitives::{Moment, RecordPointer, UserId, release::SectionSet, sharing::KindSet};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// A record whose sections are in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedRecord {
    pub pointer: RecordPointer,
    pub patient: UserId,
    /// The time of the chain block at which it was signed.
    pub signed_at: Moment,
    /// When its lite block was committed.
    pub committed_at: Moment,
    /// Empty if the worker has no key that opens the record.
    pub sections: Vec<IndexedSection>,
}

/// A section in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedSection {
    pub section: u16,
    /// The codec index of its kind.
    pub kind: u8,
    /// The imaging modalities of DICOM media, as DICOM spells them: at most 16.
    pub modalities: Vec<String>,
}

/// The codec index of a kind, which is one byte.
pub fn index_of(kind: SectionKind) -> u8 {
    kind.using_encoded(|bytes| bytes.first().copied().unwrap_or_default())
}

/// A set of kinds.
pub fn set_of(kinds: &[SectionKind]) -> KindSet {
    KindSet(kinds.iter().fold(0, |set, kind| set | (1_u32 << index_of(*kind))))
}

/// A record whose sections are not placed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unplaced {
    pub pointer: RecordPointer,
    pub patient: UserId,
    pub signed_at: Moment,
    pub committed_at: Moment,
    pub attempts: u32,
}

/// A point in time as SQLite stores it.
pub(super) fn stored(moment: Moment) -> i64 {
    i64::try_from(moment).unwrap_or(i64::MAX)
}

fn moment(stored: i64) -> Moment {
    Moment::try_from(stored).unwrap_or_default()
}

pub(super) fn pointer(row: &Row<'_>, first: usize) -> rusqlite::Result<RecordPointer> {
    Ok(RecordPointer { height: row.get(first)?, index: row.get(first + 1)? })
}

/// The height of the newest lite block whose records are in the index; none before the index has begun.
pub fn height(connection: &Connection) -> rusqlite::Result<Option<u32>> {
    connection
        .prepare_cached("SELECT height FROM section_index")?
        .query_row([], |row| row.get(0))
        .optional()
}

/// Begins the index, if it has not begun. Records that were committed before `at` are not placed: another journal of
/// this hospital may have placed them, and their patients may have removed them since.
pub fn begin(tx: &Connection, at: Moment) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR IGNORE INTO section_index (id, height, begun) VALUES (0, 0, ?1)")?
        .execute([stored(at)])
        .map(drop)
}

/// Adds the records of lite blocks up to a height to the index, which has begun. A record that the index has already is
/// not changed.
pub fn add(tx: &Connection, height: u32, records: &[IndexedRecord]) -> rusqlite::Result<()> {
    records.iter().try_for_each(|record| add_record(tx, record))?;
    tx.prepare_cached("UPDATE section_index SET height = max(height, ?1)")?
        .execute([height])
        .map(drop)
}

fn add_record(tx: &Connection, record: &IndexedRecord) -> rusqlite::Result<()> {
    let IndexedRecord { pointer, patient, signed_at, committed_at, sections } = record;
    let is_closed = sections.is_empty();
    let is_new =
        tx.prepare_cached(
            "INSERT OR IGNORE INTO indexed_records
             (height, position, patient, signed_at, committed_at, closed, placed, attempts, due)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?6 OR ?5 < begun, 0, 0 FROM section_index",
        )?
        .execute(params![
            pointer.height,
            pointer.index,
            patient.0,
            stored(*signed_at),
            stored(*committed_at),
            is_closed
        ])? > 0;
    if !is_new {
        return Ok(());
    }
    let (height, position, signed_at) = (pointer.height, pointer.index, stored(*signed_at));
    let mut insert = tx.prepare_cached(
        "INSERT INTO indexed_sections (height, position, section, kind, signed_at)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut insert_modality = tx.prepare_cached(
        "INSERT OR IGNORE INTO indexed_modalities
         (height, position, section, kind, signed_at, modality) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for IndexedSection { section, kind, modalities } in sections {
        insert.execute(params![height, position, section, kind, signed_at])?;
        for modality in modalities {
            insert_modality
                .execute(params![height, position, section, kind, signed_at, modality])?;
        }
    }
    Ok(())
}

/// The records that no key of the worker opens.
pub fn closed(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT count(*) FROM indexed_records WHERE closed = 1")?
        .query_row([], |row| row.get(0))
}

/// A page of the records that no key of the worker opened, with the time of their commit, in the order of the chain.
pub fn closed_after(
    connection: &Connection,
    after: Option<RecordPointer>,
    limit: u32,
) -> rusqlite::Result<Vec<(RecordPointer, Moment)>> {
    let (height, position) =
        after.map_or((-1, -1), |it| (i64::from(it.height), i64::from(it.index)));
    connection
        .prepare_cached(
            "SELECT height, position, committed_at FROM indexed_records
             WHERE closed = 1 AND (height, position) > (?1, ?2)
             ORDER BY height, position LIMIT ?3",
        )?
        .query_map(params![height, position, limit], |row| {
            Ok((pointer(row, 0)?, moment(row.get(2)?)))
        })?
        .collect()
}

/// Replaces a record that did not open before. It is counted from now on, but not placed: its patient may have removed
/// sections since it was committed.
pub fn reopen(tx: &Connection, record: &IndexedRecord) -> rusqlite::Result<()> {
    let RecordPointer { height, index } = record.pointer;
    let was_closed = tx
        .prepare_cached(
            "DELETE FROM indexed_records WHERE height = ?1 AND position = ?2 AND closed = 1",
        )?
        .execute(params![height, index])?
        > 0;
    if was_closed {
        add_record(tx, record)?;
        placed(tx, &[record.pointer])?;
    }
    Ok(())
}

/// Records whose sections are to be placed at a moment, in the order of the chain.
pub fn unplaced(
    connection: &Connection,
    now: Moment,
    limit: u32,
) -> rusqlite::Result<Vec<Unplaced>> {
    connection
        .prepare_cached(
            "SELECT height, position, patient, signed_at, committed_at, attempts
             FROM indexed_records WHERE placed = 0 AND due <= ?1
             ORDER BY height, position LIMIT ?2",
        )?
        .query_map(params![stored(now), limit], |row| {
            Ok(Unplaced {
                pointer: pointer(row, 0)?,
                patient: UserId(row.get(2)?),
                signed_at: moment(row.get(3)?),
                committed_at: moment(row.get(4)?),
                attempts: row.get(5)?,
            })
        })?
        .collect()
}

/// How many records wait for being placed.
pub fn waiting(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT count(*) FROM indexed_records WHERE placed = 0")?
        .query_row([], |row| row.get(0))
}

/// The sections of a record that are of one of these kinds.
pub fn of_kinds(
    connection: &Connection,
    at: RecordPointer,
    kinds: KindSet,
) -> rusqlite::Result<SectionSet> {
    let mut query = connection.prepare_cached(
        "SELECT section FROM indexed_sections
         WHERE height = ?1 AND position = ?2 AND (?3 >> kind) & 1 = 1",
    )?;
    let mut rows = query.query(params![at.height, at.index, i64::from(kinds.0)])?;
    let mut sections = SectionSet::default();
    while let Some(row) = rows.next()? {
        sections.insert(row.get(0)?);
    }
    Ok(sections)
}

/// Records that nothing is left to place of these records.
pub fn placed(tx: &Connection, records: &[RecordPointer]) -> rusqlite::Result<()> {
    let mut update = tx.prepare_cached(
        "UPDATE indexed_records SET placed = 1 WHERE height = ?1 AND position = ?2",
    )?;
    for at in records {
        update.execute(params![at.height, at.index])?;
    }
    Ok(())
}

/// Records an attempt that failed. The records are tried again at the moment `due`.
pub fn postpone(tx: &Connection, records: &[RecordPointer], due: Moment) -> rusqlite::Result<()> {
    let mut update = tx.prepare_cached(
        "UPDATE indexed_records SET due = ?3, attempts = attempts + 1
         WHERE height = ?1 AND position = ?2",
    )?;
    for at in records {
        update.execute(params![at.height, at.index, stored(due)])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use epione_primitives::Word;

    use super::*;
    use crate::journal::{
        Journal,
        matches::{Wanted, matches},
    };

    const DAY: Moment = 86_400_000;

    fn at(height: u32, index: u16) -> RecordPointer {
        RecordPointer { height, index }
    }

    fn record(pointer: RecordPointer, patient: u8, day: u64, kinds: &[u8]) -> IndexedRecord {
        let sections = (0..).zip(kinds).map(|(section, kind)| IndexedSection {
            section,
            kind: *kind,
            modalities: Vec::new(),
        });
        IndexedRecord {
            pointer,
            patient: UserId([patient; 32]),
            signed_at: day * DAY,
            committed_at: day * DAY + 1,
            sections: sections.collect(),
        }
    }

    async fn journal(records: Vec<IndexedRecord>) -> Journal {
        let journal = Journal::in_memory().await.unwrap();
        let added = journal.write(move |tx| {
            begin(tx, DAY)?;
            add(tx, 7, &records)
        });
        added.await.unwrap();
        journal
    }

    /// Patient, height and sections of what is found.
    async fn found(journal: &Journal, wanted: Wanted) -> Vec<(u8, u32, u64)> {
        let found = matches(journal, &wanted, 99, 99).await.unwrap().unwrap();
        found.iter().map(|it| (it.patient.0[0], it.pointer.height, it.sections.0)).collect()
    }

    #[test]
    fn a_set_of_kinds_has_the_bit_of_each_codec_index() {
        assert_eq!(set_of(&[]), KindSet(0));
        assert_eq!(set_of(&[SectionKind::Symptoms, SectionKind::Summary]), KindSet((1 << 11) | 1));
        let indices: Vec<_> = SectionKind::ALL.iter().map(|kind| index_of(*kind)).collect();
        assert_eq!(indices, (0..12).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_record_is_indexed_once_and_one_that_does_not_open_is_only_counted() {
        let journal =
            journal(vec![record(at(1, 0), 1, 1, &[1]), record(at(1, 1), 2, 1, &[])]).await;
        let again = record(at(1, 0), 1, 1, &[2, 3]);
        journal.write(move |tx| add(tx, 1, &[again])).await.unwrap();
        assert_eq!(journal.read(height).await.unwrap(), Some(7), "the height never falls");
        let all = found(&journal, Wanted::default()).await;
        assert_eq!(all, [(1, 1, 0b1)]);
        assert_eq!(journal.read(closed).await.unwrap(), 1);
        assert_eq!(journal.read(waiting).await.unwrap(), 1);

        let page = async |after| -> Vec<RecordPointer> {
            let page = journal.read(move |it| closed_after(it, after, 9)).await.unwrap();
            page.iter().map(|(pointer, _)| *pointer).collect()
        };
        assert_eq!(
            (page(None).await, page(Some(at(1, 0))).await),
            (vec![at(1, 1)], vec![at(1, 1)])
        );
        assert!(page(Some(at(1, 1))).await.is_empty());
        let opened = [record(at(1, 1), 2, 1, &[4]), record(at(1, 0), 1, 1, &[5])];
        let reopened = journal.write(move |tx| opened.iter().try_for_each(|it| reopen(tx, it)));
        reopened.await.unwrap();
        let kinds = Some(KindSet(0b11_0000));
        let reopened = found(&journal, Wanted { kinds, ..Wanted::default() }).await;
        assert_eq!(reopened, [(2, 1, 0b1)], "a record that is open is not replaced");
        let waiting = journal.read(waiting).await.unwrap();
        assert_eq!(waiting, 1, "a record that opens later is not placed");
        assert!(page(None).await.is_empty());
    }

    #[tokio::test]
    async fn records_from_before_the_index_are_counted_and_not_placed() {
        let records = vec![record(at(1, 0), 1, 0, &[1]), record(at(2, 0), 1, 1, &[1])];
        let journal = journal(records).await;
        // The index begins once.
        journal.write(|tx| begin(tx, 9 * DAY)).await.unwrap();
        let later = record(at(3, 0), 1, 2, &[1]);
        journal.write(move |tx| add(tx, 3, &[later])).await.unwrap();
        assert_eq!(found(&journal, Wanted::default()).await.len(), 3);
        let due = journal.read(|it| unplaced(it, 0, 9)).await.unwrap();
        assert_eq!(due.iter().map(|it| it.pointer).collect::<Vec<_>>(), [at(2, 0), at(3, 0)]);
    }

    #[tokio::test]
    async fn records_are_placed_once_and_later_after_a_failure() {
        let records = vec![record(at(1, 0), 1, 1, &[1, 2, 1]), record(at(2, 0), 1, 2, &[1])];
        let journal = journal(records).await;
        let due = async |now, limit| -> Vec<RecordPointer> {
            let due = journal.read(move |it| unplaced(it, now, limit)).await.unwrap();
            due.iter().map(|it| it.pointer).collect()
        };
        assert_eq!(due(0, 9).await, [at(1, 0), at(2, 0)]);
        assert_eq!(due(0, 1).await, [at(1, 0)]);
        let kinds = KindSet(1 << 1);
        let sections = journal.read(move |it| of_kinds(it, at(1, 0), kinds)).await.unwrap();
        assert_eq!(sections, SectionSet(0b101));

        journal.write(|tx| postpone(tx, &[at(1, 0)], 50)).await.unwrap();
        assert_eq!((due(49, 9).await, due(50, 9).await.len()), (vec![at(2, 0)], 2));
        let tried = journal.read(|it| unplaced(it, 50, 9)).await.unwrap();
        assert_eq!((tried[0].attempts, tried[1].attempts), (1, 0));
        assert_eq!((tried[0].signed_at, tried[0].committed_at), (DAY, DAY + 1));
        journal.write(|tx| placed(tx, &[at(1, 0), at(2, 0)])).await.unwrap();
        assert!(due(Moment::MAX, 9).await.is_empty());
        assert_eq!(journal.read(waiting).await.unwrap(), 0);
    }
}
