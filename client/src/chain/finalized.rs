//! Every finalized block, in order, across lost connections.
//!
//! A node announces finalized heads only: several blocks may become final at once, and the node does not repeat what it
//! announced while the connection was down. An announcement therefore only says how far to read; each block is
//! requested by its number, and only the newest announcement is kept: a node could fill this process's memory with the
//! others while nobody asks for a block.

use std::time::Duration;

use epione_primitives::{BlockNumber, Hash};
use futures::{StreamExt, stream::BoxStream};
use subxt::rpcs::client::{RpcSubscription, rpc_params};
use tokio::{sync::watch, task::JoinHandle};

use super::{BlockRef, Chain, ChainError, HeaderReply, error::unknown_number};

/// Finalized blocks in order. See [`Chain::finalized_stream`].
pub type FinalizedStream = BoxStream<'static, Result<BlockRef, ChainError>>;

/// After this time without an announcement, the finalized head is requested.
const ASK_AFTER: Duration = Duration::from_secs(15);
const MIN_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(5);

struct Follower {
    chain: Chain,
    next: BlockNumber,
    /// The newest finalized block that is known.
    head: Option<BlockNumber>,
    heads: Option<Heads>,
    pause: Duration,
}

/// The newest announcement of a finalized head. A task reads the announcements until this is dropped.
struct Heads {
    newest: watch::Receiver<BlockNumber>,
    reading: JoinHandle<()>,
}

impl Heads {
    fn read(mut heads: RpcSubscription<HeaderReply>) -> Self {
        let (sender, newest) = watch::channel(0);
        let reading = tokio::spawn(async move {
            while let Some(Ok(header)) = heads.next().await {
                let Ok(number) = header.number() else { return };
                if sender.send(number).is_err() {
                    return;
                }
            }
        });
        Self { newest, reading }
    }

    /// Waits for a newer announcement. None if the node sends no more that can be read.
    async fn next(&mut self) -> Option<BlockNumber> {
        self.newest.changed().await.ok()?;
        Some(*self.newest.borrow_and_update())
    }
}

impl Drop for Heads {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Chain {
    /// Every finalized block from `from` on, each once, in order, without gaps, across lost connections and restarts of
    /// the node. The stream never ends. An error means that the node cannot be read at present; the stream pauses, and
    /// continues when it is polled again.
    pub fn finalized_stream(&self, from: BlockNumber) -> FinalizedStream {
        let follower =
            Follower { chain: self.clone(), next: from, head: None, heads: None, pause: MIN_PAUSE };
        futures::stream::unfold(follower, |mut follower| async move {
            let item = follower.next_block().await;
            Some((item, follower))
        })
        .boxed()
    }
}

impl Follower {
    async fn next_block(&mut self) -> Result<BlockRef, ChainError> {
        match self.advance().await {
            Ok(block) => {
                self.pause = MIN_PAUSE;
                Ok(block)
            }
            Err(error) => {
                self.heads = None;
                tokio::time::sleep(self.pause).await;
                self.pause = (self.pause * 2).min(MAX_PAUSE);
                Err(error)
            }
        }
    }

    async fn advance(&mut self) -> Result<BlockRef, ChainError> {
        loop {
            if self.head.is_some_and(|head| self.next <= head) {
                let number = self.next;
                let hash = self.chain.canonical_hash(number).await?;
                let hash = hash.ok_or_else(|| unknown_number(number))?;
                self.next += 1;
                return Ok(BlockRef { hash, number });
            }
            self.wait_for_head().await?;
        }
    }

    async fn wait_for_head(&mut self) -> Result<(), ChainError> {
        let Some(heads) = &mut self.heads else {
            return self.subscribe().await;
        };
        match tokio::time::timeout(ASK_AFTER, heads.next()).await {
            Ok(Some(number)) => self.head = Some(number),
            Ok(None) => self.heads = None,
            Err(_) => self.head = Some(self.chain.finalized_head().await?.number),
        }
        Ok(())
    }

    async fn subscribe(&mut self) -> Result<(), ChainError> {
        let heads = self.chain.subscribe_heads().await?;
        self.chain.check_genesis().await?;
        self.head = Some(self.chain.finalized_head().await?.number);
        self.heads = Some(Heads::read(heads));
        Ok(())
    }
}

impl Chain {
    async fn subscribe_heads(&self) -> Result<RpcSubscription<HeaderReply>, ChainError> {
        const METHOD: &str = "chain_subscribeFinalizedHeads";
        self.within_limit(async {
            self.inner
                .rpc
                .subscribe(METHOD, rpc_params![], "chain_unsubscribeFinalizedHeads")
                .await
                .map_err(|error| self.rpc_error(METHOD, error))
        })
        .await
    }

    /// A node of another chain may have the address by now.
    async fn check_genesis(&self) -> Result<(), ChainError> {
        let found: Option<Hash> =
            self.request("chain_getBlockHash", rpc_params![BlockNumber::default()]).await?;
        let found = found.ok_or_else(|| unknown_number(0))?;
        let expected = self.genesis_hash();
        if found == expected {
            return Ok(());
        }
        Err(ChainError::OtherChain { url: self.url().into(), expected, found })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures::{FutureExt, stream};
    use subxt::rpcs::client::{RawRpcSubscription, RawValue};

    use super::*;

    /// Announcements of blocks, after which the node is silent.
    fn announcing(blocks: std::ops::RangeInclusive<BlockNumber>) -> Heads {
        let headers = blocks.map(|number| {
            Ok(RawValue::from_string(format!(r#"{{"number":"{number:#x}"}}"#)).unwrap())
        });
        let stream = stream::iter(headers).chain(stream::pending()).boxed();
        Heads::read(RpcSubscription::new(RawRpcSubscription { stream, id: None }))
    }

    #[tokio::test]
    async fn of_many_announcements_only_the_newest_is_kept() {
        let mut heads = announcing(1..=100_000);
        while *heads.newest.borrow() < 100_000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(heads.next().await, Some(100_000));
        assert_eq!(heads.next().now_or_never(), None);
    }

    #[tokio::test]
    async fn announcements_that_cannot_be_read_end_the_subscription() {
        let item = Ok(RawValue::from_string(r#"{"number":"many"}"#.into()).unwrap());
        let stream = stream::iter([item]).chain(stream::pending()).boxed();
        let mut heads = Heads::read(RpcSubscription::new(RawRpcSubscription { stream, id: None }));
        assert_eq!(heads.next().await, None);
    }
}
