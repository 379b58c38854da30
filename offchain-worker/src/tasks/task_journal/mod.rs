//! What the tasks must remember across restarts: how far the chain was processed, which batches are on their way to it,
//! and which jobs are due. These are tables in the journal.

mod batches;
mod jobs;

pub use batches::Batch;
pub use jobs::{Fetching, Job, JobKind, Next, PERSISTENT};

use std::sync::Arc;

use epione_primitives::{AnnouncementId, BlockNumber, Hash, HospitalId};
use rusqlite::{OptionalExtension, params};

use crate::{
    chain::Identity,
    journal::{Journal, JournalError, Owner},
};

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS task_progress (
        id INTEGER PRIMARY KEY CHECK (id = 0),
        genesis BLOB NOT NULL,
        hospital INTEGER NOT NULL,
        block INTEGER NOT NULL,
        height INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS batches (
        -- Never used twice: visits keep the number.
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        body_hash BLOB NOT NULL,
        header BLOB NOT NULL,
        entries BLOB NOT NULL,
        body BLOB NOT NULL,
        announcement INTEGER,
        sent_until INTEGER
    ) STRICT;
    CREATE TABLE IF NOT EXISTS jobs (
        kind INTEGER NOT NULL,
        subject INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        due_at INTEGER,
        PRIMARY KEY (kind, subject)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS jobs_by_due ON jobs (kind, due_at);
    CREATE TABLE IF NOT EXISTS setbacks (
        visit INTEGER PRIMARY KEY,
        count INTEGER NOT NULL,
        until INTEGER NOT NULL
    ) STRICT;
";

/// The tasks' part of the journal. Clones share it.
#[derive(Clone)]
pub struct TaskJournal {
    journal: Journal,
}

/// How far the chain was processed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainProgress {
    /// The last finalized chain block that was processed.
    pub block: BlockNumber,
    /// The last committed lite block for which there is or was a job.
    pub height: u32,
}

impl TaskJournal {
    pub async fn open(journal: Journal) -> Result<Self, JournalError> {
        journal.write(|tx| tx.execute_batch(TABLES)).await?;
        Ok(Self { journal })
    }

    /// The tasks' part of a journal that has it already. Changes nothing.
    pub fn unchanged(journal: Journal) -> Self {
        Self { journal }
    }

    /// The chain and the hospital to which the journal belongs; none before the node was first reached.
    pub async fn identity(&self) -> Result<Option<Identity>, JournalError> {
        self.journal
            .read(|connection| {
                connection
                    .query_row("SELECT genesis, hospital FROM task_progress", [], |row| {
                        Ok(Identity {
                            genesis: Hash::from(row.get::<_, [u8; 32]>(0)?),
                            hospital: HospitalId(row.get(1)?),
                        })
                    })
                    .optional()
            })
            .await
    }

    /// Binds the journal to a chain and a hospital, unless it is bound.
    pub async fn bind(&self, identity: Identity) -> Result<(), JournalError> {
        self.journal
            .write(move |tx| {
                tx.execute(
                    "INSERT OR IGNORE INTO task_progress (id, genesis, hospital, block, height)
                     VALUES (0, ?1, ?2, 0, 0)",
                    params![identity.genesis.0, identity.hospital.0],
                )
            })
            .await
            .map(drop)
    }

    pub async fn progress(&self) -> Result<ChainProgress, JournalError> {
        self.journal
            .read(|connection| {
                connection
                    .query_row("SELECT block, height FROM task_progress", [], |row| {
                        Ok(ChainProgress { block: row.get(0)?, height: row.get(1)? })
                    })
                    .optional()
            })
            .await
            .map(Option::unwrap_or_default)
    }

    /// Whether an acknowledged visit, or a lite block other than these, owns a segment. Segments of open ballots,
    /// uploads and offers may still be on their way.
    pub async fn is_due(
        &self,
        segment: [u8; 32],
        open: Arc<[AnnouncementId]>,
    ) -> Result<bool, JournalError> {
        let claims = self.journal.claims(segment).await?;
        Ok(claims.iter().any(|(owner, _)| match owner {
            Owner::Visit(_) => true,
            Owner::Announcement(id) => !open.contains(id),
            _ => false,
        }))
    }

    /// Records in one transaction that a finalized block's state was processed, and adds its jobs: one for every lite
    /// block that was committed since, and one for every open ballot. Jobs that wait for a ballot that has ended become
    /// due.
    pub async fn observe(
        &self,
        seen: ChainProgress,
        open: Vec<AnnouncementId>,
    ) -> Result<(), JournalError> {
        self.journal
            .write(move |tx| {
                let known: u32 =
                    tx.query_row("SELECT height FROM task_progress", [], |row| row.get(0))?;
                jobs::keep_heights(tx, known, seen.height)?;
                jobs::watch_ballots(tx, &open)?;
                tx.execute(
                    "UPDATE task_progress SET block = max(block, ?1), height = max(height, ?2)",
                    params![seen.block, seen.height],
                )
            })
            .await
            .map(drop)
    }

    /// Adds the job of every committed lite block again that was processed. What was stored once may be lost since.
    pub async fn keep_again(&self) -> Result<(), JournalError> {
        self.journal
            .write(|tx| {
                let height: Option<u32> = tx
                    .query_row("SELECT height FROM task_progress", [], |row| row.get(0))
                    .optional()?;
                jobs::keep_heights(tx, 0, height.unwrap_or_default())
            })
            .await
    }
}

#[cfg(test)]
mod tests;
