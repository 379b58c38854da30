//! The connection to the hospital's own node, which may be unreachable at times.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use epione_client::{
    chain::{BlockRef, Chain, ChainError, Trust},
    endpoint::without_userinfo,
};
use epione_primitives::{BlockNumber, Hash};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use url::Url;

use crate::{backoff::Backoff, metrics::Metrics};

/// The connection while the node answers; none while it does not.
pub type NodeHandle = watch::Receiver<Option<Chain>>;

const CONNECT: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(5));
const PROBE: Duration = Duration::from_secs(2);
/// A node that does not answer for this long counts as unreachable.
const ANSWER: Duration = Duration::from_secs(4);
/// As [`ANSWER`], if the answers are verified: the client may have to follow the authorities first.
const PROVEN_ANSWER: Duration = Duration::from_secs(30);

/// The newest finalized block that this worker has ever processed or used for a decision. A node whose newest block is
/// older, because its database is an older copy, counts as unreachable until it has caught up: its state may be
/// outdated. Clones share the mark.
#[derive(Clone, Debug, Default)]
pub struct HighWater {
    block: Arc<AtomicU32>,
    /// The chain of the block; none before one was seen.
    genesis: Option<Hash>,
}

impl HighWater {
    /// The mark that the journal stores: the newest block, and its chain.
    pub fn new(block: BlockNumber, genesis: Option<Hash>) -> Self {
        Self { block: Arc::new(AtomicU32::new(block)), genesis }
    }

    /// The newest block that was seen of a chain. 0 for another chain: the check that compares the journal with the
    /// chain reports that error.
    fn level(&self, genesis: Hash) -> BlockNumber {
        if self.genesis.is_some_and(|own| own != genesis) {
            return 0;
        }
        self.block.load(Ordering::SeqCst)
    }

    /// The node's newest finalized block; none if it is older than the mark was before the request.
    pub async fn head_of(&self, chain: &Chain) -> Result<Option<BlockRef>, ChainError> {
        let before = self.level(chain.genesis_hash());
        let head = chain.finalized_head().await?;
        Ok(self.admits(head.number, before).then_some(head))
    }

    fn admits(&self, head: BlockNumber, before: BlockNumber) -> bool {
        self.block.fetch_max(head, Ordering::SeqCst);
        head >= before
    }
}

/// The condition of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Answers,
    /// Its newest block is older than the high-water mark, or too old for a node that is verified.
    Behind,
    /// It gives an answer that is not proven.
    Unproven,
    Away,
}

/// Connects to the node, and reports whether it answers and is not behind what this worker has seen. Never returns: a
/// failure of the node never ends the worker.
pub async fn keep_connected(
    url: Url,
    trust: Trust,
    metrics: Metrics,
    high_water: HighWater,
    node: watch::Sender<Option<Chain>>,
) {
    let chain = connect(&url, &trust).await;
    let mut last = None;
    loop {
        let (condition, error) = examine(&chain, &metrics, &high_water).await;
        if last != Some(condition) {
            last = Some(condition);
            report_condition(condition, error, &url, high_water.level(chain.genesis_hash()));
            let answers = condition == Condition::Answers;
            metrics.node_connected.set(answers.into());
            node.send_replace(answers.then(|| chain.clone()));
        }
        sleep(PROBE).await;
    }
}

/// The condition of the node, and the error that shows it, if there was one.
async fn examine(
    chain: &Chain,
    metrics: &Metrics,
    high_water: &HighWater,
) -> (Condition, Option<ChainError>) {
    let before = high_water.level(chain.genesis_hash());
    let head = async {
        chain.health().await?;
        chain.finalized_head().await
    };
    let limit = if chain.is_verified() { PROVEN_ANSWER } else { ANSWER };
    match timeout(limit, head).await {
        Ok(Ok(head)) => {
            metrics.node_behind_blocks.set(before.saturating_sub(head.number).into());
            if high_water.admits(head.number, before) {
                (Condition::Answers, None)
            } else {
                (Condition::Behind, None)
            }
        }
        Ok(Err(error)) => (shown_by(&error), Some(error)),
        Err(_) => (Condition::Away, None),
    }
}

/// The condition of a node whose newest block could not be read.
fn shown_by(error: &ChainError) -> Condition {
    match error {
        ChainError::Unproven { .. } if error.is_transient() => Condition::Behind,
        ChainError::Unproven { .. } => Condition::Unproven,
        _ => Condition::Away,
    }
}

fn report_condition(condition: Condition, error: Option<ChainError>, url: &Url, seen: BlockNumber) {
    let error = error.map(tracing::field::display);
    let url = without_userinfo(url.as_str());
    match condition {
        Condition::Answers => tracing::info!(%url, "the node answers"),
        Condition::Behind => tracing::error!(
            %url,
            seen,
            error,
            "the node's newest finalized block is older than the newest that this worker has seen: the node's database \
             is an older copy. The worker decides and announces nothing until the node has caught up"
        ),
        Condition::Unproven => tracing::error!(
            %url,
            error,
            "the node gives an answer that is not proven: the worker decides and announces nothing. Check which \
             program answers at this address"
        ),
        Condition::Away => {
            tracing::warn!(%url, error, "the node does not answer: the worker rejects visits until it does");
        }
    }
}

async fn connect(url: &Url, trust: &Trust) -> Chain {
    let mut failures = 0;
    loop {
        match open(url, trust).await {
            Ok(chain) => return chain,
            Err(error) => {
                failures += 1;
                report(&error);
                sleep(CONNECT.after(failures)).await;
            }
        }
    }
}

async fn open(url: &Url, trust: &Trust) -> Result<Chain, ChainError> {
    // The configuration was checked: it has a plain URL of another machine only if the operator permits that.
    Chain::connect_unprotected(url.as_str()).await?.trusting(trust.clone()).await
}

fn report(error: &ChainError) {
    if error.is_transient() {
        tracing::warn!(%error, "waiting for the node");
    } else {
        tracing::error!(%error, "the node cannot be used; retrying");
    }
}

#[cfg(test)]
mod tests {
    use epione_client::chain::Doubt;

    use super::*;

    const CHAIN: Hash = Hash::repeat_byte(1);

    #[test]
    fn a_node_behind_the_mark_is_not_used_until_it_has_caught_up() {
        let seen = HighWater::new(100, Some(CHAIN));
        let admits = |head| seen.admits(head, seen.level(CHAIN));
        assert!(!admits(40));
        assert!(!admits(99));
        assert_eq!(seen.level(CHAIN), 100);
        assert!(admits(100));
        assert!(admits(130));
        assert!(!admits(129));
    }

    #[test]
    fn responses_that_arrive_out_of_order_do_not_look_like_an_older_database() {
        let seen = HighWater::new(100, None);
        let before = seen.level(CHAIN);
        assert!(seen.admits(102, before));
        // It was requested before the other response arrived.
        assert!(seen.admits(101, before));
        assert_eq!(seen.level(CHAIN), 102);
    }

    #[test]
    fn a_node_that_lies_is_neither_behind_nor_away() {
        let unproven =
            |doubt| ChainError::Unproven { url: "wss://node".into(), doubt: Box::new(doubt) };
        let earlier = Doubt::RolledBack { found: 3, seen: 4 };
        assert_eq!(shown_by(&unproven(earlier)), Condition::Behind);
        assert_eq!(shown_by(&unproven(Doubt::TooLong)), Condition::Unproven);
        assert_eq!(shown_by(&ChainError::Syncing), Condition::Away);
    }

    #[test]
    fn another_chain_does_not_look_like_an_older_database() {
        let seen = HighWater::new(100, Some(CHAIN));
        assert_eq!(seen.level(Hash::repeat_byte(2)), 0);
    }
}
