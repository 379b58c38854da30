//! What the worker does of its own accord, one file for each occasion.
//!
//! Reactions follow finalized state, not events: at each finalized block the worker looks at the height
//! of the lite blocks, at the open ballots and at its own announcements, and writes down as jobs what is
//! new ([`replay`]). So nothing is missed after any length of absence, and catching up costs as much as
//! there are lite blocks, not chain blocks. Jobs are idempotent, and tried until they are done ([`jobs`]).

pub mod announce;
pub mod announced;
pub mod committed;
pub mod jobs;
pub mod offers;
pub mod pack;
pub mod replay;
pub mod reviews;
pub mod rewrap;
pub mod scrub;
pub mod task_journal;
pub mod undone;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use epione_client::{
    chain::{BlockRef, Chain, ChainError, Snapshot, SubmitError},
    signer::Account,
};
use epione_primitives::{AnnouncementId, BlockNumber, Hash, HospitalId};
use tokio::sync::watch;

use crate::{
    config::Config,
    journal::{Journal, JournalError},
    metrics::Metrics,
    node::NodeHandle,
    store::{Store, StoreError},
    transfer::{FetchError, Fetcher, PeerRepair, Seeder},
};
use pack::Caution;
use task_journal::TaskJournal;

/// The newest finalized block that was acted upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub head: BlockRef,
    /// Height of the newest committed lite block.
    pub height: u32,
    /// The announcements whose ballots are open.
    pub open: Arc<[AnnouncementId]>,
    /// Whether one of these is this hospital's own and the journal does not know it, since it was lost:
    /// whoever submits such a visit again must wait for what becomes of the first.
    pub stray: bool,
}

/// What all tasks work with.
pub struct Context {
    pub hospital: HospitalId,
    pub agent: Account,
    pub node: NodeHandle,
    pub seen: watch::Receiver<Option<Seen>>,
    pub journal: Journal,
    pub task_journal: TaskJournal,
    pub store: Store,
    pub fetcher: Arc<Fetcher>,
    pub repair: Arc<PeerRepair>,
    pub seeder: Arc<Seeder>,
    pub metrics: Metrics,
    pub config: Config,
    pub caution: Mutex<Caution>,
}

/// Why a task did not get through this time.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    #[error("the hospital's node is away")]
    NodeAway,
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(
        "the node does not hold the body {0:?} of a block that it knows: is it an archive node, synchronized in full?"
    )]
    NoBody(Hash),
    #[error("the chain does not say what it should: {0}")]
    Inconsistent(&'static str),
}

impl Context {
    /// The node, if it can be reached just now.
    pub fn chain(&self) -> Result<Chain, TaskError> {
        self.node.borrow().clone().ok_or(TaskError::NodeAway)
    }

    /// The node, and what it says at the newest finalized block that was acted upon.
    pub fn look(&self) -> Result<(Chain, Snapshot), TaskError> {
        let chain = self.chain()?;
        let head = self.seen.borrow().as_ref().map(|seen| seen.head.hash);
        let snapshot = chain.at(head.ok_or(TaskError::NodeAway)?);
        Ok((chain, snapshot))
    }

    /// Number of the newest finalized block that was acted upon.
    pub fn head(&self) -> BlockNumber {
        self.seen.borrow().as_ref().map_or(0, |seen| seen.head.number)
    }

    /// Returns when a block is finalized.
    pub async fn reached(&self, block: BlockNumber) {
        self.sees(|seen| seen.head.number >= block).await;
    }

    /// Returns when an announcement's ballot is not open any more.
    pub async fn closed(&self, id: AnnouncementId) {
        self.sees(|seen| !seen.open.contains(&id)).await;
    }

    async fn sees(&self, mut what: impl FnMut(&Seen) -> bool) {
        let mut seen = self.seen.clone();
        if seen.wait_for(|seen| seen.as_ref().is_some_and(&mut what)).await.is_err() {
            // The worker is stopping: it ends whoever waits here.
            std::future::pending::<()>().await;
        }
    }

    pub fn caution(&self) -> MutexGuard<'_, Caution> {
        self.caution.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
