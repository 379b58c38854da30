//! What the tasks that follow the chain share.

use std::sync::Arc;

use epione_client::{
    chain::{BlockRef, Chain, ChainError, Snapshot, SubmitError},
    signer::Account,
};
use epione_primitives::{AnnouncementId, BlockNumber, Hash, HospitalId, hospital::HospitalStatus};
use tokio::sync::watch;

use super::{
    disk_budget::DiskBudget, task_journal::TaskJournal, turns::Turns, verification::SignedBlocks,
};
use crate::{
    chain::ViewError,
    journal::{Journal, JournalError},
    metrics::Metrics,
    node::NodeHandle,
    store::{Reserve, StoreError},
    transfer::{FetchError, Fetcher},
};

/// What the chain says at the newest finalized block that the worker has processed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processed {
    pub head: BlockRef,
    /// Height of the newest committed lite block.
    pub height: u32,
    /// The announcements whose ballots are open.
    pub open: Arc<[AnnouncementId]>,
    /// Whether one of these is this hospital's own and unknown to the journal, because the journal was lost. If its
    /// visits are submitted again, they must wait until the ballot has ended.
    pub stray: bool,
}

/// What every task that follows the chain works with.
pub struct Context {
    pub hospital: HospitalId,
    pub agent: Account,
    pub node: NodeHandle,
    pub processed: watch::Receiver<Option<Processed>>,
    pub journal: Journal,
    pub task_journal: TaskJournal,
    pub metrics: Metrics,
}

/// What the jobs need in addition: they verify and store the lite blocks of all hospitals.
pub struct JobContext {
    pub context: Arc<Context>,
    pub fetcher: Arc<Fetcher>,
    /// Announced blocks whose signatures were verified.
    pub signed: SignedBlocks,
    /// Announced blocks that are verified at once. Each needs memory for a body.
    pub verifying: Turns,
    /// Announced blocks whose segments are fetched at once.
    pub ballots: Turns,
    /// Committed blocks whose segments are fetched at once.
    pub keeps: Turns,
    /// Announced blocks that are not committed.
    pub budget: DiskBudget,
    /// What announced blocks leave free for this hospital's own visits.
    pub reserve: Reserve,
    /// Chain blocks before a ballot's deadline at which a block is rejected whose segments are still missing.
    pub reject_margin: BlockNumber,
}

/// Why an attempt of a task failed.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    #[error("the hospital's node does not answer")]
    NodeAway,
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    View(ViewError),
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(
        "the node does not have the body {0:?} of a block that it knows: run it as an archive node, and wait until it \
         has synchronized"
    )]
    NoBody(Hash),
    #[error("too many transfers wait for a place")]
    NoTurn,
    #[error(
        "the transfer had {bytes_per_second} bytes per second while other hospitals waited for its place: it \
         continues later"
    )]
    GaveWay { bytes_per_second: u64 },
    #[error(
        "the announced blocks of hospital {0} that are not committed use up its quota \
         (transfer.announced_quota_bytes)"
    )]
    OverBudget(HospitalId),
    #[error(
        "the free bytes of the disk are reserved for this hospital's own visits (store.own_visits_reserve_bytes): free \
         some space"
    )]
    Reserved,
    #[error("the chain's state contradicts itself: {0}")]
    Inconsistent(&'static str),
}

impl From<ViewError> for TaskError {
    fn from(error: ViewError) -> Self {
        match error {
            ViewError::Away => Self::NodeAway,
            error => Self::View(error),
        }
    }
}

impl Context {
    /// The node, while it answers.
    pub fn chain(&self) -> Result<Chain, TaskError> {
        self.node.borrow().clone().ok_or(TaskError::NodeAway)
    }

    /// The node, and its state at the newest finalized block that was processed.
    pub fn look(&self) -> Result<(Chain, Snapshot), TaskError> {
        let chain = self.chain()?;
        let head = self.processed.borrow().as_ref().map(|processed| processed.head.hash);
        let snapshot = chain.at(head.ok_or(TaskError::NodeAway)?);
        Ok((chain, snapshot))
    }

    /// Whether this hospital is leaving: it neither announces nor votes, and serves its readers.
    pub async fn is_leaving(&self, snapshot: &Snapshot) -> Result<bool, TaskError> {
        let own = snapshot.hospital(self.hospital).await?;
        Ok(own.is_some_and(|it| it.status == HospitalStatus::Leaving))
    }

    /// Number of the newest finalized block that was processed.
    pub fn head(&self) -> BlockNumber {
        self.processed.borrow().as_ref().map_or(0, |processed| processed.head.number)
    }

    /// The announcements whose ballots are open in the newest finalized block that was processed.
    pub fn open(&self) -> Arc<[AnnouncementId]> {
        self.processed.borrow().as_ref().map_or_else(Arc::default, |it| Arc::clone(&it.open))
    }

    /// Returns when a block was processed.
    pub async fn reached(&self, block: BlockNumber) {
        self.until(|processed| processed.head.number >= block).await;
    }

    /// Returns when the ballot of an announcement has ended.
    pub async fn closed(&self, id: AnnouncementId) {
        self.until(|processed| !processed.open.contains(&id)).await;
    }

    async fn until(&self, mut holds: impl FnMut(&Processed) -> bool) {
        let mut processed = self.processed.clone();
        if processed.wait_for(|it| it.as_ref().is_some_and(&mut holds)).await.is_err() {
            // The worker is stopping, which ends this task too.
            std::future::pending::<()>().await;
        }
    }
}
