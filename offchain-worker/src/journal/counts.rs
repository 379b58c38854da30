//! The counts that requesters got today. The same question has the same answer for a day, and the number of different
//! questions is limited, also after a restart.

use epione_primitives::UserId;
use rusqlite::{Connection, OptionalExtension, params};

/// A count as its requester got it. None if fewer than the floor were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredCount {
    pub floor: u32,
    /// The numbers of patients and records, both rounded.
    pub found: Option<(u32, u32)>,
}

/// The answer that a requester got to a question on a day.
pub fn find(
    connection: &Connection,
    requester: UserId,
    day: u32,
    question: [u8; 32],
) -> rusqlite::Result<Option<StoredCount>> {
    connection
        .prepare_cached(
            "SELECT floor, patients, records FROM counts
             WHERE requester = ?1 AND day = ?2 AND question = ?3",
        )?
        .query_row(params![requester.0, day, question], |row| {
            let (patients, records): (Option<u32>, Option<u32>) = (row.get(1)?, row.get(2)?);
            Ok(StoredCount { floor: row.get(0)?, found: patients.zip(records) })
        })
        .optional()
}

/// How many different questions a requester has asked on a day.
pub fn asked(connection: &Connection, requester: UserId, day: u32) -> rusqlite::Result<u32> {
    connection
        .prepare_cached("SELECT count(*) FROM counts WHERE requester = ?1 AND day = ?2")?
        .query_row(params![requester.0, day], |row| row.get(0))
}

/// Keeps the answer to a question, if the requester has asked fewer than `most` others that day, and returns the answer
/// that is kept: an earlier one takes precedence. Forgets the answers of earlier days.
pub fn keep(
    tx: &Connection,
    requester: UserId,
    day: u32,
    question: [u8; 32],
    count: StoredCount,
    most: u32,
) -> rusqlite::Result<Option<StoredCount>> {
    tx.prepare_cached("DELETE FROM counts WHERE day < ?1")?.execute([day])?;
    if let Some(earlier) = find(tx, requester, day, question)? {
        return Ok(Some(earlier));
    }
    if asked(tx, requester, day)? >= most {
        return Ok(None);
    }
    let (patients, records) = count.found.unzip();
    tx.prepare_cached(
        "INSERT INTO counts (requester, day, question, floor, patients, records)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![requester.0, day, question, count.floor, patients, records])?;
    Ok(Some(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;

    const ADA: UserId = UserId([1; 32]);
    const EVE: UserId = UserId([2; 32]);

    fn count(patients: u32) -> StoredCount {
        StoredCount { floor: 10, found: Some((patients, 2 * patients)) }
    }

    #[tokio::test]
    async fn the_first_answer_of_a_day_is_kept_and_other_questions_are_limited() {
        let journal = Journal::in_memory().await.unwrap();
        let keep = async |requester, day, question: u8, count| {
            let question = [question; 32];
            journal.write(move |tx| keep(tx, requester, day, question, count, 2)).await.unwrap()
        };
        assert_eq!(keep(ADA, 5, 1, count(10)).await, Some(count(10)));
        assert_eq!(keep(ADA, 5, 1, count(20)).await, Some(count(10)), "the same question");
        let few = StoredCount { floor: 10, found: None };
        assert_eq!(keep(ADA, 5, 2, few).await, Some(few));
        assert_eq!(keep(ADA, 5, 3, count(10)).await, None, "a third question");
        assert_eq!(keep(ADA, 5, 2, count(30)).await, Some(few));
        assert_eq!(keep(EVE, 5, 3, count(10)).await, Some(count(10)), "another requester");

        // The next day forgets the one before.
        assert_eq!(keep(ADA, 6, 1, count(20)).await, Some(count(20)));
        let known = journal.read(|it| find(it, EVE, 5, [3; 32])).await.unwrap();
        assert_eq!(known, None);
        assert_eq!(journal.read(|it| asked(it, ADA, 6)).await.unwrap(), 1);
    }
}
