//! The connection to the hospital's own node, which comes and goes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use epione_client::chain::{BlockRef, Chain, ChainError};
use epione_primitives::{BlockNumber, Hash};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use url::Url;

use crate::{backoff::Backoff, metrics::Metrics};

/// The node while it answers; none while it does not.
pub type NodeHandle = watch::Receiver<Option<Chain>>;

const CONNECT: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(5));
const PROBE: Duration = Duration::from_secs(2);
/// A node that does not answer this long is taken to be away.
const ANSWER: Duration = Duration::from_secs(4);

/// The newest final block that this worker ever acted upon or decided by. A node that knows less, since
/// its database is an older copy, is taken to be away until it has caught up: what it says was true
/// once, and may not be any more. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct HighWater {
    block: Arc<AtomicU32>,
    /// Of which chain; none before one was seen.
    genesis: Option<Hash>,
}

impl HighWater {
    /// What the journal remembers: the newest block, and of which chain.
    pub fn new(block: BlockNumber, genesis: Option<Hash>) -> Self {
        Self { block: Arc::new(AtomicU32::new(block)), genesis }
    }

    /// What was seen of a chain. Nothing, if it is another one: then whoever compares the journal with it
    /// says so.
    fn level(&self, genesis: Hash) -> BlockNumber {
        if self.genesis.is_some_and(|own| own != genesis) {
            return 0;
        }
        self.block.load(Ordering::SeqCst)
    }

    /// The node's newest final block; none if it is older than what was seen before it was asked.
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

/// How the node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Answers,
    /// It knows less than this worker has seen.
    Behind,
    Away,
}

/// Connects to the node and keeps telling whether it answers, and is not behind what this worker has
/// seen, for ever. What happens to the node is not this worker's fault, and never its end.
pub async fn keep_connected(
    url: Url,
    metrics: Metrics,
    seen: HighWater,
    node: watch::Sender<Option<Chain>>,
) {
    let chain = connect(&url).await;
    let mut last = None;
    loop {
        let condition = examine(&chain, &metrics, &seen).await;
        if last != Some(condition) {
            last = Some(condition);
            tell(condition, &url, seen.level(chain.genesis_hash()));
            let answers = condition == Condition::Answers;
            metrics.node_connected.set(answers.into());
            node.send_replace(answers.then(|| chain.clone()));
        }
        sleep(PROBE).await;
    }
}

async fn examine(chain: &Chain, metrics: &Metrics, seen: &HighWater) -> Condition {
    let before = seen.level(chain.genesis_hash());
    let head = async {
        chain.health().await?;
        chain.finalized_head().await
    };
    match timeout(ANSWER, head).await {
        Ok(Ok(head)) => {
            metrics.node_behind_blocks.set(before.saturating_sub(head.number).into());
            if seen.admits(head.number, before) { Condition::Answers } else { Condition::Behind }
        }
        Ok(Err(_)) | Err(_) => Condition::Away,
    }
}

fn tell(condition: Condition, url: &Url, seen: BlockNumber) {
    match condition {
        Condition::Answers => tracing::info!(%url, "the node answers"),
        Condition::Behind => tracing::error!(
            %url,
            seen,
            "the node's newest final block is older than what this worker has seen: its database is an older \
             copy. Nothing is decided or announced until the node has caught up"
        ),
        Condition::Away => {
            tracing::warn!(%url, "the node does not answer: visits are refused until it does");
        }
    }
}

async fn connect(url: &Url) -> Chain {
    let mut failures = 0;
    loop {
        match Chain::connect(url.as_str()).await {
            Ok(chain) => return chain,
            Err(error) => {
                failures += 1;
                report(&error);
                sleep(CONNECT.after(failures)).await;
            }
        }
    }
}

fn report(error: &ChainError) {
    if error.is_transient() {
        tracing::warn!(%error, "waiting for the node");
    } else {
        tracing::error!(%error, "the node cannot be used; trying again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: Hash = Hash::repeat_byte(1);

    #[test]
    fn a_node_that_knows_less_than_was_seen_is_not_admitted_until_it_has_caught_up() {
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
    fn answers_that_cross_each_other_do_not_look_like_an_older_database() {
        let seen = HighWater::new(100, None);
        let before = seen.level(CHAIN);
        assert!(seen.admits(102, before));
        // Asked before the other answer came.
        assert!(seen.admits(101, before));
        assert_eq!(seen.level(CHAIN), 102);
    }

    #[test]
    fn another_chain_does_not_look_like_an_older_database() {
        let seen = HighWater::new(100, Some(CHAIN));
        assert_eq!(seen.level(Hash::repeat_byte(2)), 0);
    }
}
