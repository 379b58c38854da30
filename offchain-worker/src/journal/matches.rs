//! Finds sections in the index by kind, modality and time. A search reads pages: it keeps others from the journal only
//! as long as a page takes, and ends when its caller has left.

use std::collections::BTreeMap;

use epione_envelope::record::SectionKind;
use epione_primitives::{
    Moment, RecordPointer, UserId, Word, release::SectionSet, sharing::KindSet,
};
use rusqlite::{Connection, ToSql, params};

use super::{
    Journal, JournalError,
    sections::{index_of, pointer, stored},
};

/// Sections of a page.
const PAGE: u32 = 1_024;

/// Which sections are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Sections of these kinds. Absent: of any kind.
    pub kinds: Option<KindSet>,
    /// Media of this modality. Absent: any section.
    pub modality: Option<String>,
    /// Signed at this moment or later.
    pub from: Option<Moment>,
    /// Signed before this moment.
    pub before: Option<Moment>,
}

impl Wanted {
    fn has(&self, kind: u8) -> bool {
        self.kinds.is_none_or(|kinds| (kinds.0 >> kind) & 1 == 1)
    }

    /// The terms that have all wanted sections.
    fn terms(&self) -> Vec<Term> {
        match &self.modality {
            Some(modality) => vec![Term::Modality(modality.clone())],
            None => {
                let kinds = SectionKind::ALL.iter().map(|kind| index_of(*kind));
                kinds.filter(|kind| self.has(*kind)).map(Term::Kind).collect()
            }
        }
    }
}

/// A record with sections that match, and which of its sections these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    pub patient: UserId,
    pub pointer: RecordPointer,
    pub sections: SectionSet,
}

/// The index has the sections of each term in the order of their time.
#[derive(Clone, Debug)]
enum Term {
    Kind(u8),
    Modality(String),
}

/// Where a search is within the sections of a term.
#[derive(Clone, Debug)]
struct Cursor {
    /// Time, height, position and section of the last one that was found.
    after: (i64, i64, i64, i64),
    before: i64,
}

/// A section in the index.
#[derive(Clone, Copy, Debug)]
struct Found {
    signed_at: i64,
    pointer: RecordPointer,
    section: u16,
    kind: u8,
    patient: UserId,
}

/// The matching records of the lite blocks up to a height, by patient. None if more than `most` sections would have to
/// be looked at.
pub async fn matches(
    journal: &Journal,
    wanted: &Wanted,
    height: u32,
    most: usize,
) -> Result<Option<Vec<Match>>, JournalError> {
    let (mut records, mut looked_at) = (BTreeMap::<_, SectionSet>::new(), 0_usize);
    for term in wanted.terms() {
        let after = (wanted.from.map_or(0, stored), -1, -1, -1);
        let mut cursor = Cursor { after, before: wanted.before.map_or(i64::MAX, stored) };
        loop {
            let (term, from) = (term.clone(), cursor.clone());
            let found = journal.read(move |it| page(it, &term, &from)).await?;
            let Some(last) = found.last() else { break };
            let RecordPointer { height: last_height, index } = last.pointer;
            cursor.after = (last.signed_at, last_height.into(), index.into(), last.section.into());
            looked_at = looked_at.saturating_add(found.len());
            if looked_at > most {
                return Ok(None);
            }
            for it in found.into_iter().filter(|it| it.pointer.height <= height) {
                if wanted.has(it.kind) {
                    records.entry((it.patient, it.pointer)).or_default().insert(it.section);
                }
            }
        }
    }
    let matches = records.into_iter();
    Ok(Some(
        matches
            .map(|((patient, pointer), sections)| Match { patient, pointer, sections })
            .collect(),
    ))
}

const BY_KIND: &str = "SELECT s.signed_at, s.height, s.position, s.section, s.kind, r.patient
     FROM indexed_sections AS s CROSS JOIN indexed_records AS r
       ON r.height = s.height AND r.position = s.position
     WHERE s.kind = ?1 AND (s.signed_at, s.height, s.position, s.section) > (?2, ?3, ?4, ?5)
       AND s.signed_at < ?6
     ORDER BY s.signed_at, s.height, s.position, s.section LIMIT ?7";

const BY_MODALITY: &str = "SELECT s.signed_at, s.height, s.position, s.section, s.kind, r.patient
     FROM indexed_modalities AS s CROSS JOIN indexed_records AS r
       ON r.height = s.height AND r.position = s.position
     WHERE s.modality = ?1 AND (s.signed_at, s.height, s.position, s.section) > (?2, ?3, ?4, ?5)
       AND s.signed_at < ?6
     ORDER BY s.signed_at, s.height, s.position, s.section LIMIT ?7";

/// The next sections of a term.
fn page(connection: &Connection, term: &Term, cursor: &Cursor) -> rusqlite::Result<Vec<Found>> {
    let Cursor { after: (signed_at, height, position, section), before } = cursor;
    let (query, term): (&str, &dyn ToSql) = match term {
        Term::Kind(kind) => (BY_KIND, kind as &dyn ToSql),
        Term::Modality(modality) => (BY_MODALITY, modality as &dyn ToSql),
    };
    connection
        .prepare_cached(query)?
        .query_map(params![term, signed_at, height, position, section, before, PAGE], |row| {
            Ok(Found {
                signed_at: row.get(0)?,
                pointer: pointer(row, 1)?,
                section: row.get(3)?,
                kind: row.get(4)?,
                patient: UserId(row.get(5)?),
            })
        })?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::sections::{IndexedRecord, IndexedSection, add, begin};

    const DAY: Moment = 86_400_000;

    fn at(height: u32) -> RecordPointer {
        RecordPointer { height, index: 0 }
    }

    fn record(height: u32, patient: u8, day: u64, kinds: &[u8]) -> IndexedRecord {
        let sections = (0..).zip(kinds).map(|(section, kind)| IndexedSection {
            section,
            kind: *kind,
            modalities: Vec::new(),
        });
        IndexedRecord {
            pointer: at(height),
            patient: UserId([patient; 32]),
            signed_at: day * DAY,
            committed_at: day * DAY + 1,
            sections: sections.collect(),
        }
    }

    async fn journal(records: Vec<IndexedRecord>) -> Journal {
        let journal = Journal::in_memory().await.unwrap();
        let added = journal.write(move |tx| {
            begin(tx, 0)?;
            add(tx, 7, &records)
        });
        added.await.unwrap();
        journal
    }

    /// Patient, height and sections of what is found up to a height.
    async fn found(
        journal: &Journal,
        wanted: Wanted,
        height: u32,
        most: usize,
    ) -> Option<Vec<(u8, u32, u64)>> {
        let found = matches(journal, &wanted, height, most).await.unwrap()?;
        let shown = found.iter().map(|it| (it.patient.0[0], it.pointer.height, it.sections.0));
        Some(shown.collect())
    }

    #[tokio::test]
    async fn sections_are_found_by_kind_modality_time_and_height() {
        let mut scan = record(3, 1, 30, &[6, 3]);
        scan.sections[0].modalities = vec!["CT".into(), "PT".into()];
        let records = vec![record(1, 2, 10, &[0, 1]), record(2, 1, 20, &[1, 1]), scan];
        let journal = journal(records).await;

        let all = [(1, 2, 0b11), (1, 3, 0b11), (2, 1, 0b11)];
        assert_eq!(found(&journal, Wanted::default(), 3, 9).await.unwrap(), all);
        assert_eq!(found(&journal, Wanted::default(), 1, 9).await.unwrap(), all[2..]);
        let kinds = Some(KindSet(1 << 1));
        let diagnoses = found(&journal, Wanted { kinds, ..Wanted::default() }, 9, 9).await.unwrap();
        assert_eq!(diagnoses, [(1, 2, 0b11), (2, 1, 0b10)]);
        for (modality, kinds, expected) in [
            ("CT", None, 1),
            ("PT", None, 1),
            ("C", None, 0),
            ("CT PT", None, 0),
            ("MR", None, 0),
            ("CT", Some(KindSet(1 << 6)), 1),
            ("CT", Some(KindSet(1 << 3)), 0),
        ] {
            let wanted = Wanted { kinds, modality: Some(modality.into()), ..Wanted::default() };
            let matching = found(&journal, wanted, 9, 9).await.unwrap();
            assert_eq!(matching.len(), expected, "{modality} {kinds:?}");
        }
        let (from, before) = (Some(20 * DAY), Some(30 * DAY));
        let period = Wanted { from, before, ..Wanted::default() };
        assert_eq!(found(&journal, period, 9, 9).await.unwrap(), [(1, 2, 0b11)]);
        assert_eq!(found(&journal, Wanted::default(), 9, 5).await, None);
        assert_eq!(found(&journal, Wanted::default(), 9, 6).await.unwrap().len(), 3);
    }

    #[tokio::test]
    async fn a_search_reads_pages_of_bounded_length_and_finds_everything() {
        // All at the same time, so that the pages end between sections of one record.
        let kinds = [1; 60];
        let records = (1..=40).map(|height| record(height, 1, 5, &kinds)).collect();
        let journal = journal(records).await;
        let first = Cursor { after: (0, -1, -1, -1), before: i64::MAX };
        let read = journal.read(move |it| page(it, &Term::Kind(1), &first)).await.unwrap();
        assert_eq!(read.len(), PAGE as usize);
        let all = found(&journal, Wanted::default(), 99, 9_999).await.unwrap();
        assert_eq!(all.len(), 40);
        assert!(all.iter().all(|(_, _, sections)| *sections == (1 << 60) - 1));
    }

    #[tokio::test]
    async fn a_page_reads_no_other_rows_than_its_own() {
        let journal = journal(Vec::new()).await;
        for query in [BY_KIND, BY_MODALITY] {
            let plan = journal.read(move |connection| {
                let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}"))?;
                let steps = explain.query_map(params![1, 0, 0, 0, 0, 0, 1], |row| row.get(3))?;
                steps.collect::<rusqlite::Result<Vec<String>>>()
            });
            let plan = plan.await.unwrap();
            assert_eq!(plan.len(), 2, "{plan:?}");
            assert!(plan.iter().all(|step| step.starts_with("SEARCH ")), "{plan:?}");
        }
    }
}
