//! Follows finalized blocks for changes of queries, and tells those who listen: streams of users, and the webhook. It
//! also compares the kept grants of the changed queries with the chain.

use std::time::Duration;

use epione_primitives::{BlockNumber, limits::DAY_BLOCKS};
use tokio::{sync::broadcast, time::sleep};

use super::mailbox;
use crate::{
    api::AppState,
    backoff::Backoff,
    chain::{QueryNews, ViewError},
};

/// Changes that a slow listener may be behind.
const BEHIND: usize = 1_024;
/// How often the worker looks for a new finalized block.
const POLL: Duration = Duration::from_secs(1);
const RETRY: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(30));
/// Attempts to read the changes in one block, if the node answers.
pub(in crate::api) const ATTEMPTS: u32 = 10;
/// How often the worker compares all pending grants with the chain.
const LOOK_AFTER: Duration = Duration::from_secs(600);

/// Where changes of queries are told.
pub(in crate::api) struct Newsroom(broadcast::Sender<QueryNews>);

impl Default for Newsroom {
    fn default() -> Self {
        Self(broadcast::Sender::new(BEHIND))
    }
}

impl Newsroom {
    /// The changes from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<QueryNews> {
        self.0.subscribe()
    }

    fn tell(&self, news: QueryNews) {
        // Perhaps nobody listens.
        self.0.send(news).ok();
    }
}

/// How far the worker has told the changes in blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::api) struct Progress {
    /// The last block whose changes were told.
    pub told: Option<BlockNumber>,
    /// How often the node could not read the block after it, although it answered.
    pub unreadable: u32,
}

/// Tells the changes in the blocks after `processed`; none: in those after the newest one. Also looks after the kept
/// grants. Never returns.
pub async fn follow(state: AppState, processed: Option<BlockNumber>) {
    tokio::join!(follow_blocks(&state, processed), look_after_grants(&state));
}

async fn follow_blocks(state: &AppState, processed: Option<BlockNumber>) {
    let (mut progress, mut failures) = (Progress { told: processed, unreadable: 0 }, 0);
    loop {
        let pause = match look(state, &mut progress).await {
            Ok(()) => {
                failures = 0;
                POLL
            }
            Err(error) => {
                failures += 1;
                // Other tasks report that the node does not answer.
                if !matches!(error, ViewError::Away) {
                    report(state, &error);
                }
                RETRY.after(failures)
            }
        };
        sleep(pause).await;
    }
}

/// A task of its own: a block that cannot be read does not delay it.
async fn look_after_grants(state: &AppState) {
    loop {
        if let Err(error) = mailbox::look_after(state).await {
            tracing::warn!(?error, "the kept grants could not be compared with the chain");
        }
        sleep(LOOK_AFTER).await;
    }
}

fn report(state: &AppState, error: &ViewError) {
    state.metrics.task_failures.with_label_values(&["queries"]).inc();
    tracing::warn!(?error, "the changes of queries could not be read; retrying");
}

/// Tells the changes up to the newest finalized block, those of the last day at most. Skips a block that the node
/// cannot read in [`ATTEMPTS`] attempts: the changes are still in the lists of queries.
pub(in crate::api) async fn look(
    state: &AppState,
    progress: &mut Progress,
) -> Result<(), ViewError> {
    let head = state.view.head().await?;
    let last = *progress.told.get_or_insert(head);
    for block in last.max(head.saturating_sub(DAY_BLOCKS)).saturating_add(1)..=head {
        for news in changes(state, progress, block).await? {
            state.shared.query_news.tell(news);
            if let Err(error) = mailbox::settle(state, news.query).await {
                tracing::debug!(?error, "a kept grant is compared with the chain later");
            }
        }
        *progress = Progress { told: Some(block), unreadable: 0 };
    }
    Ok(())
}

/// The changes in the next block; none if it is skipped.
async fn changes(
    state: &AppState,
    progress: &mut Progress,
    block: BlockNumber,
) -> Result<Vec<QueryNews>, ViewError> {
    let error = match state.view.query_news(block).await {
        Ok(changes) => return Ok(changes),
        Err(ViewError::Away) => return Err(ViewError::Away),
        Err(error) => error,
    };
    progress.unreadable += 1;
    if progress.unreadable < ATTEMPTS {
        return Err(error);
    }
    state.metrics.task_failures.with_label_values(&["queries"]).inc();
    tracing::error!(
        ?error,
        block,
        "a block could not be read in {ATTEMPTS} attempts: its changes of queries are not told. Check the node's log"
    );
    Ok(Vec::new())
}
