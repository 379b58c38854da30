//! Jobs: reactions to the chain that are due.

use std::collections::HashSet;

use epione_primitives::{AnnouncementId, Moment};
use rusqlite::{Connection, params};

use super::TaskJournal;
use crate::journal::JournalError;

/// An idempotent reaction, which is retried until it succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Job {
    /// Verify an announced block and vote; clean up if the announcement fails.
    Ballot(AnnouncementId),
    /// Fetch every segment of the committed lite block of this height.
    Keep(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobKind {
    Ballot,
    Keep,
}

impl JobKind {
    fn column(self) -> u8 {
        match self {
            Self::Ballot => 1,
            Self::Keep => 2,
        }
    }
}

impl Job {
    fn columns(self) -> (u8, i64) {
        match self {
            Self::Ballot(id) => (JobKind::Ballot.column(), id.0 as i64),
            Self::Keep(height) => (JobKind::Keep.column(), height.into()),
        }
    }

    fn of(kind: JobKind, subject: i64) -> Self {
        match kind {
            JobKind::Ballot => Self::Ballot(AnnouncementId(subject as u64)),
            // The subject of this kind is always a height.
            JobKind::Keep => Self::Keep(subject as u32),
        }
    }
}

/// What remains to be done after a reaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Done,
    /// Nothing, until the chain reports a change.
    Wait,
    /// The reaction, at once.
    Again,
}

/// After so many attempts, some minutes, an operator should learn that a job does not succeed.
pub const PERSISTENT: u32 = 20;
/// Heights that are named, at most.
const NAMED: u32 = 8;

/// The committed lite blocks whose segments are still being fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetching {
    /// How many they are.
    pub blocks: u64,
    /// The first heights of those for which [`PERSISTENT`] attempts have failed; at most eight.
    pub persistent: Vec<u32>,
}

/// The longest pause between attempts, in milliseconds. A job that is due later was recorded before the clock was set
/// back.
const MAX_PAUSE: Moment = 60_000;

/// The due time of a job that waits for a change on the chain.
const WAITING: Option<i64> = None;

pub(super) fn keep_heights(tx: &Connection, after: u32, up_to: u32) -> rusqlite::Result<()> {
    let mut insert =
        tx.prepare_cached("INSERT OR IGNORE INTO jobs (kind, subject, due_at) VALUES (?1, ?2, 0)")?;
    for height in after.saturating_add(1)..=up_to {
        insert.execute(params![JobKind::Keep.column(), height])?;
    }
    Ok(())
}

pub(super) fn watch_ballots(tx: &Connection, open: &[AnnouncementId]) -> rusqlite::Result<()> {
    let kind = JobKind::Ballot.column();
    let mut insert =
        tx.prepare_cached("INSERT OR IGNORE INTO jobs (kind, subject, due_at) VALUES (?1, ?2, 0)")?;
    for id in open {
        insert.execute(params![kind, id.0 as i64])?;
    }
    let open: HashSet<i64> = open.iter().map(|id| id.0 as i64).collect();
    let waiting: Vec<i64> = tx
        .prepare_cached("SELECT subject FROM jobs WHERE kind = ?1 AND due_at IS NULL")?
        .query_map([kind], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut wake =
        tx.prepare_cached("UPDATE jobs SET due_at = 0 WHERE kind = ?1 AND subject = ?2")?;
    for subject in waiting.into_iter().filter(|subject| !open.contains(subject)) {
        wake.execute(params![kind, subject])?;
    }
    Ok(())
}

impl TaskJournal {
    /// Jobs that are due, and the number of attempts of each; oldest subject first.
    pub async fn due(
        &self,
        kind: JobKind,
        now: Moment,
        limit: usize,
    ) -> Result<Vec<(Job, u32)>, JournalError> {
        let too_late = now.saturating_add(MAX_PAUSE).min(i64::MAX as Moment);
        self.journal
            .read(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT subject, attempts FROM jobs
                         WHERE kind = ?1 AND (due_at <= ?2 OR due_at > ?3)
                         ORDER BY subject LIMIT ?4",
                    )?
                    .query_map(
                        params![kind.column(), now as i64, too_late as i64, limit as i64],
                        |row| Ok((Job::of(kind, row.get(0)?), row.get(1)?)),
                    )?
                    .collect()
            })
            .await
    }

    /// Counts an attempt, and makes the job due again at `retry_at` in case the worker stops meanwhile.
    pub async fn start(&self, job: Job, retry_at: Moment) -> Result<(), JournalError> {
        let (kind, subject) = job.columns();
        self.journal
            .write(move |tx| {
                tx.prepare_cached(
                    "UPDATE jobs SET attempts = attempts + 1, due_at = ?3
                     WHERE kind = ?1 AND subject = ?2",
                )?
                .execute(params![kind, subject, retry_at as i64])
            })
            .await
            .map(drop)
    }

    /// Makes the job due at a moment.
    pub async fn postpone(&self, job: Job, due_at: Moment) -> Result<(), JournalError> {
        let (kind, subject) = job.columns();
        self.journal
            .write(move |tx| {
                tx.prepare_cached("UPDATE jobs SET due_at = ?3 WHERE kind = ?1 AND subject = ?2")?
                    .execute(params![kind, subject, due_at as i64])
            })
            .await
            .map(drop)
    }

    /// Removes a job that has succeeded.
    pub async fn finish(&self, job: Job) -> Result<(), JournalError> {
        let (kind, subject) = job.columns();
        self.journal
            .write(move |tx| {
                tx.prepare_cached("DELETE FROM jobs WHERE kind = ?1 AND subject = ?2")?
                    .execute(params![kind, subject])
            })
            .await
            .map(drop)
    }

    /// Makes the job wait until [`TaskJournal::observe`] sees that its ballot has ended.
    pub async fn wait(&self, job: Job) -> Result<(), JournalError> {
        let (kind, subject) = job.columns();
        self.journal
            .write(move |tx| {
                tx.prepare_cached(
                    "UPDATE jobs SET attempts = 0, due_at = ?3 WHERE kind = ?1 AND subject = ?2",
                )?
                .execute(params![kind, subject, WAITING])
            })
            .await
            .map(drop)
    }

    /// Heights of committed lite blocks whose segments are still being fetched.
    pub async fn keeps(&self) -> Result<HashSet<u32>, JournalError> {
        self.journal
            .read(|connection| {
                connection
                    .prepare_cached("SELECT subject FROM jobs WHERE kind = ?1")?
                    .query_map([JobKind::Keep.column()], |row| row.get(0))?
                    .collect()
            })
            .await
    }

    /// How far the fetching of committed lite blocks is.
    pub async fn fetching(&self) -> Result<Fetching, JournalError> {
        let kind = JobKind::Keep.column();
        self.journal
            .read(move |connection| {
                let blocks: i64 = connection
                    .prepare_cached("SELECT count(*) FROM jobs WHERE kind = ?1")?
                    .query_row([kind], |row| row.get(0))?;
                let persistent = connection
                    .prepare_cached(
                        "SELECT subject FROM jobs WHERE kind = ?1 AND attempts >= ?2
                         ORDER BY subject LIMIT ?3",
                    )?
                    .query_map(params![kind, PERSISTENT, NAMED], |row| row.get(0))?
                    .collect::<rusqlite::Result<_>>()?;
                Ok(Fetching { blocks: u64::try_from(blocks).unwrap_or(0), persistent })
            })
            .await
    }

    /// The number of jobs that do not wait for the end of a ballot.
    pub async fn open_jobs(&self) -> Result<i64, JournalError> {
        self.journal
            .read(|connection| {
                connection.query_row(
                    "SELECT count(*) FROM jobs WHERE due_at IS NOT NULL",
                    [],
                    |row| row.get(0),
                )
            })
            .await
    }
}
