//! The questions of requesters about numbers of patients, and today's answers. The same question has the same answer
//! for a day, all questions of a day are about one state, and their number is limited, also after a restart. A question
//! is charged before it is answered, so that failures are not free.

use epione_primitives::{BlockNumber, HospitalId, UserId};
use rusqlite::{Connection, OptionalExtension, params};

/// A count as its requester got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredCount {
    pub floor: u32,
    /// The rounded number of patients. None if they were fewer than the floor.
    pub patients: Option<u32>,
}

/// A question of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    pub requester: UserId,
    /// The requester's hospital.
    pub hospital: HospitalId,
    pub day: u32,
    /// Hash of the question.
    pub question: [u8; 32],
}

/// How many questions are worked on in a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    pub of_requester: u32,
    pub of_hospital: u32,
}

/// What becomes of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// It was answered today.
    Known(StoredCount),
    /// It is charged, and can be answered.
    Charged,
    /// The requester, or all requesters of their hospital, have asked too many today.
    Beyond,
}

/// The state about which all questions of a day are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayState {
    /// What patients share after this finalized block.
    pub block: BlockNumber,
    /// The index of sections up to this lite block.
    pub height: u32,
}

/// Charges a question, unless it was answered today. A question that failed is charged again. Forgets the questions of
/// days before yesterday.
pub fn charge(tx: &Connection, asked: Asked, most: Most) -> rusqlite::Result<Charge> {
    let Asked { requester, hospital, day, question } = asked;
    tx.prepare_cached("DELETE FROM counts WHERE day < ?1 - 1")?.execute([day])?;
    if let Some(known) = find(tx, asked)? {
        return Ok(Charge::Known(known));
    }
    let of_requester: u32 = tx
        .prepare_cached(
            "SELECT coalesce(sum(tries), 0) FROM counts WHERE requester = ?1 AND day = ?2",
        )?
        .query_row(params![requester.0, day], |row| row.get(0))?;
    let of_hospital: u32 = tx
        .prepare_cached(
            "SELECT coalesce(sum(tries), 0) FROM counts WHERE day = ?1 AND hospital = ?2",
        )?
        .query_row(params![day, hospital.0], |row| row.get(0))?;
    if of_requester >= most.of_requester || of_hospital >= most.of_hospital {
        return Ok(Charge::Beyond);
    }
    tx.prepare_cached(
        "INSERT INTO counts (requester, day, question, hospital, tries) VALUES (?1, ?2, ?3, ?4, 1)
         ON CONFLICT (requester, day, question) DO UPDATE SET tries = tries + 1",
    )?
    .execute(params![requester.0, day, question, hospital.0])?;
    Ok(Charge::Charged)
}

/// The answer to a question.
fn find(connection: &Connection, asked: Asked) -> rusqlite::Result<Option<StoredCount>> {
    let Asked { requester, day, question, .. } = asked;
    connection
        .prepare_cached(
            "SELECT floor, patients FROM counts
             WHERE requester = ?1 AND day = ?2 AND question = ?3 AND floor IS NOT NULL",
        )?
        .query_row(params![requester.0, day, question], |row| {
            Ok(StoredCount { floor: row.get(0)?, patients: row.get(1)? })
        })
        .optional()
}

/// Keeps the answer to a question that was charged, and returns the answer that is kept: an earlier one takes
/// precedence.
pub fn keep(tx: &Connection, asked: Asked, count: StoredCount) -> rusqlite::Result<StoredCount> {
    let Asked { requester, day, question, .. } = asked;
    tx.prepare_cached(
        "UPDATE counts SET floor = ?4, patients = ?5
         WHERE requester = ?1 AND day = ?2 AND question = ?3 AND floor IS NULL",
    )?
    .execute(params![requester.0, day, question, count.floor, count.patients])?;
    Ok(find(tx, asked)?.unwrap_or(count))
}

/// The state about which the questions of a day are: the one of its first question, or `newest` if this is the first.
pub fn state_of(tx: &Connection, day: u32, newest: DayState) -> rusqlite::Result<DayState> {
    tx.prepare_cached("DELETE FROM count_days WHERE day < ?1 - 1")?.execute([day])?;
    tx.prepare_cached("INSERT OR IGNORE INTO count_days (day, block, height) VALUES (?1, ?2, ?3)")?
        .execute(params![day, newest.block, newest.height])?;
    tx.prepare_cached("SELECT block, height FROM count_days WHERE day = ?1")?
        .query_row([day], |row| Ok(DayState { block: row.get(0)?, height: row.get(1)? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;

    const ADA: UserId = UserId([1; 32]);
    const EVE: UserId = UserId([2; 32]);
    const MOST: Most = Most { of_requester: 2, of_hospital: 3 };

    fn asked(requester: UserId, hospital: u16, day: u32, question: u8) -> Asked {
        Asked { requester, hospital: HospitalId(hospital), day, question: [question; 32] }
    }

    fn count(patients: u32) -> StoredCount {
        StoredCount { floor: 10, patients: Some(patients) }
    }

    async fn charged(journal: &Journal, asked: Asked) -> Charge {
        journal.write(move |tx| charge(tx, asked, MOST)).await.unwrap()
    }

    async fn kept(journal: &Journal, asked: Asked, count: StoredCount) -> StoredCount {
        journal.write(move |tx| keep(tx, asked, count)).await.unwrap()
    }

    #[tokio::test]
    async fn the_first_answer_of_a_day_is_kept_and_is_free_later() {
        let journal = Journal::in_memory().await.unwrap();
        let (first, second) = (asked(ADA, 1, 5, 1), asked(ADA, 1, 5, 2));
        assert_eq!(charged(&journal, first).await, Charge::Charged);
        assert_eq!(kept(&journal, first, count(10)).await, count(10));
        assert_eq!(kept(&journal, first, count(20)).await, count(10));
        let few = StoredCount { floor: 10, patients: None };
        assert_eq!(charged(&journal, second).await, Charge::Charged);
        assert_eq!(kept(&journal, second, few).await, few);
        assert_eq!(charged(&journal, first).await, Charge::Known(count(10)));
        assert_eq!(charged(&journal, second).await, Charge::Known(few));
        assert_eq!(charged(&journal, asked(ADA, 1, 5, 3)).await, Charge::Beyond);
        // The next day forgets nothing of the one before, which may still end for somebody; the day after it does.
        assert_eq!(charged(&journal, asked(ADA, 1, 6, 1)).await, Charge::Charged);
        assert_eq!(charged(&journal, first).await, Charge::Known(count(10)));
        assert_eq!(charged(&journal, asked(ADA, 1, 7, 1)).await, Charge::Charged);
        assert_eq!(charged(&journal, first).await, Charge::Charged);
    }

    #[tokio::test]
    async fn a_question_that_fails_is_charged_each_time() {
        let journal = Journal::in_memory().await.unwrap();
        let fails = asked(ADA, 1, 5, 1);
        assert_eq!(charged(&journal, fails).await, Charge::Charged);
        assert_eq!(charged(&journal, fails).await, Charge::Charged);
        assert_eq!(charged(&journal, fails).await, Charge::Beyond);
    }

    #[tokio::test]
    async fn the_requesters_of_a_hospital_have_a_limit_together() {
        let journal = Journal::in_memory().await.unwrap();
        for (requester, question) in [(ADA, 1), (ADA, 2), (EVE, 1)] {
            let asked = asked(requester, 1, 5, question);
            assert_eq!(charged(&journal, asked).await, Charge::Charged);
        }
        assert_eq!(charged(&journal, asked(EVE, 1, 5, 2)).await, Charge::Beyond);
        let elsewhere = asked(UserId([3; 32]), 2, 5, 2);
        assert_eq!(charged(&journal, elsewhere).await, Charge::Charged);
        assert_eq!(charged(&journal, asked(EVE, 1, 6, 2)).await, Charge::Charged);
    }

    #[tokio::test]
    async fn all_questions_of_a_day_are_about_the_state_of_the_first_one() {
        let journal = Journal::in_memory().await.unwrap();
        let state = async |day, block, height| {
            let newest = DayState { block, height };
            journal.write(move |tx| state_of(tx, day, newest)).await.unwrap()
        };
        let first = DayState { block: 100, height: 7 };
        assert_eq!(state(5, 100, 7).await, first);
        assert_eq!(state(5, 200, 9).await, first);
        assert_eq!(state(6, 200, 9).await, DayState { block: 200, height: 9 });
    }
}
