//! Follows finalized blocks for changes of queries, and tells those who listen: streams of users, and the webhook. It
//! also compares the kept grants of the changed queries with the chain.

use std::time::Duration;

use epione_primitives::{BlockNumber, limits::DAY_BLOCKS};
use tokio::{
    sync::broadcast,
    time::{Instant, sleep},
};

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

/// Tells the changes in the blocks after `processed`; none: in those after the newest one. Never returns.
pub async fn follow(state: AppState, processed: Option<BlockNumber>) {
    let (mut followed, mut failures, mut looked) = (processed, 0, None::<Instant>);
    loop {
        let pause = match look(&state, &mut followed).await {
            Ok(()) => {
                failures = 0;
                POLL
            }
            Err(error) => {
                failures += 1;
                // Other tasks report that the node does not answer.
                if !matches!(error, ViewError::Away) {
                    report(&state, &error);
                }
                RETRY.after(failures)
            }
        };
        if failures == 0 && looked.is_none_or(|at| at.elapsed() >= LOOK_AFTER) {
            looked = Some(Instant::now());
            if let Err(error) = mailbox::look_after(&state).await {
                tracing::warn!(?error, "the kept grants could not be compared with the chain");
            }
        }
        sleep(pause).await;
    }
}

fn report(state: &AppState, error: &ViewError) {
    state.metrics.task_failures.with_label_values(&["queries"]).inc();
    tracing::warn!(?error, "the changes of queries could not be read; retrying");
}

/// Tells the changes up to the newest finalized block, those of the last day at most.
pub(in crate::api) async fn look(
    state: &AppState,
    followed: &mut Option<BlockNumber>,
) -> Result<(), ViewError> {
    let head = state.view.head().await?;
    let last = *followed.get_or_insert(head);
    for block in last.max(head.saturating_sub(DAY_BLOCKS)).saturating_add(1)..=head {
        for news in state.view.query_news(block).await? {
            state.shared.query_news.tell(news);
            if let Err(error) = mailbox::settle(state, news.query).await {
                tracing::debug!(?error, "a kept grant is compared with the chain later");
            }
        }
        *followed = Some(block);
    }
    Ok(())
}
