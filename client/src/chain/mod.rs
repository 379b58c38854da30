//! The chain as its members use it: finalized blocks, reads of the runtime API, bodies by their hash, and calls that
//! are submitted and watched until they are final.
//!
//! A new connection believes its node. [`Chain::trusting`] makes it verify what the node says; everything above this
//! module uses both in the same way.
//!
//! Only this module uses subxt. Unverified reads go to the runtime APIs of `epione_primitives::api` as SCALE, so that
//! pallets store and clients read the same Rust types. The consortium key is read from storage by proofs in any case.

mod accounts;
mod bodies;
pub mod calls;
mod checkpoint;
mod condition;
mod consortium;
mod council;
mod credentials;
mod custody;
mod error;
mod events;
mod extrinsics;
mod finalized;
mod lite_blocks;
mod mandates;
mod openings;
mod queries;
mod recoveries;
mod releases;
mod seats;
mod sharing;
mod signing;
mod snapshot;
mod transaction;
mod verified;

pub(crate) use accounts::{Cosignature, is_in_time, judge};
pub use accounts::{Member, PastUsers, Signers, SigningFault};
pub use calls::Call;
pub use checkpoint::{Checkpoint, CheckpointFault};
pub use condition::RuntimeVersion;
pub use consortium::{CeremonyState, ConsortiumKey};
pub use council::{AuthorizedUpgrade, Closing, Motion, MotionOutcome};
pub use error::{ChainError, DispatchFailure, SubmitError};
pub use events::{BlockEvent, ChainEvent};
pub use finalized::FinalizedStream;
pub use seats::Seat;
pub use signing::SignedCall;
pub(crate) use signing::batch_arguments;
pub use snapshot::Snapshot;
pub use transaction::{Birth, Included};
pub(crate) use verified::{
    ChainProof, Committed, ProvenChain, Proving, RecordProof, Sent, SignedInBlock, Steps, Wanted,
    keys, numbers_of,
};
pub use verified::{
    Doubt, LiteBlock, LiteChain, MAX_AGE, PAGE_BLOCKS, Pinned, ProofFault, TRUSTING_GIVES_UP, Trust,
};

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use codec::Decode;
use epione_primitives::{BlockNumber, Hash, Moment};
use serde::{Deserialize, de::DeserializeOwned};
use sp_core::Bytes;
use subxt::{
    OnlineClient, SubstrateConfig,
    backend::LegacyBackend,
    rpcs::{
        Error as RpcError, RpcClient,
        client::{
            RpcParams,
            reconnecting_rpc_client::{ExponentialBackoff, RpcClient as ReconnectingClient},
            rpc_params,
        },
    },
};
use url::Url;

use crate::{
    endpoint::{self, without_userinfo},
    waiting::{Awaited, Waits},
};

/// How long a node may take to answer, including the time to reconnect.
const REQUEST_LIMIT: Duration = Duration::from_secs(20);
/// How long [`Chain::connect`] waits for a node that accepts the connection: a node on a loaded machine, whose disk is
/// slow, may need more than ten seconds to answer the first request.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// Longest pause between two attempts to reconnect.
const RECONNECT_PAUSE: Duration = Duration::from_secs(5);
/// Largest JSON message in bytes: a block of 8 MiB in hexadecimal has 16 MiB.
const MAX_MESSAGE_BYTES: u32 = 32 * 1024 * 1024;
/// Storage key of `Timestamp::Now`.
const TIMESTAMP_NOW: &str = "0xf0c365c3cf59d671eb72da0e7a4113c49f1f0515f462cdcf84e0f1d6045dfcbb";

type Client = OnlineClient<SubstrateConfig>;
type SubxtHash = subxt::config::substrate::H256;

/// A connection to a node, which reconnects automatically. Clones share it.
#[derive(Clone)]
pub struct Chain {
    inner: Arc<Inner>,
    waits: Waits,
    /// None if this handle believes its node.
    verifier: Option<Arc<verified::Verifier>>,
}

struct Inner {
    /// Without a user's name and password.
    url: String,
    rpc: RpcClient,
    client: Client,
    genesis: Hash,
    queues: transaction::Queues,
}

/// A chain block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRef {
    pub hash: Hash,
    pub number: BlockNumber,
}

/// A node's state, as it reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeHealth {
    pub peers: u64,
    pub is_syncing: bool,
}

#[derive(Deserialize)]
struct HeaderReply {
    /// In hexadecimal, with the prefix `0x`.
    number: String,
}

impl HeaderReply {
    fn number(&self) -> Result<BlockNumber, ChainError> {
        BlockNumber::from_str_radix(self.number.trim_start_matches("0x"), 16)
            .map_err(|error| ChainError::malformed("a block's header", error))
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("url", &self.inner.url).finish_non_exhaustive()
    }
}

impl Chain {
    /// Connects to a node's JSON-RPC endpoint, `wss://host:port`, or `ws://host:port` on this machine. Fails at once if
    /// no program listens there or the host's name is unknown, and after 30 seconds if there is no answer. The
    /// connection believes the node: make it verify with [`trusting`](Self::trusting).
    pub async fn connect(url: &str) -> Result<Self, ChainError> {
        not_exposed(url)?;
        Self::open(url, CONNECT_LIMIT, Attempts::One).await
    }

    /// As [`Chain::connect`], but to a node that may just be starting: attempts to connect until the time limit ends.
    pub async fn connect_within(url: &str, limit: Duration) -> Result<Self, ChainError> {
        not_exposed(url)?;
        Self::open(url, limit, Attempts::Many).await
    }

    /// As [`Chain::connect`], but `ws://` may lead to another machine. Everyone on the way can answer for the node:
    /// hide records, or name another worker as a hospital's. Only for a network that nobody else can use.
    pub async fn connect_unprotected(url: &str) -> Result<Self, ChainError> {
        node_url(url)?;
        Self::open(url, CONNECT_LIMIT, Attempts::One).await
    }

    async fn open(url: &str, limit: Duration, attempts: Attempts) -> Result<Self, ChainError> {
        let connecting = Self::connect_unbounded(url, attempts);
        tokio::time::timeout(limit, connecting).await.unwrap_or_else(|_| {
            Err(unreachable(url, format!("no answer within {} s", limit.as_secs())))
        })
    }

    async fn connect_unbounded(url: &str, attempts: Attempts) -> Result<Self, ChainError> {
        let pauses = Pauses::new(attempts);
        let rpc = ReconnectingClient::builder()
            .max_request_size(MAX_MESSAGE_BYTES)
            .max_response_size(MAX_MESSAGE_BYTES)
            .request_timeout(REQUEST_LIMIT)
            .connection_timeout(CONNECT_LIMIT)
            .retry_policy(pauses.clone())
            .build(url)
            .await
            .map_err(|error| unreachable(url, error))?;
        pauses.begin();
        Self::over(RpcClient::new(rpc), url).await
    }

    /// The chain to which requests over `rpc` go.
    async fn over(rpc: RpcClient, url: &str) -> Result<Self, ChainError> {
        let backend = LegacyBackend::<SubstrateConfig>::builder().build(rpc.clone());
        let client = Client::from_backend_with_config(SubstrateConfig::new(), Arc::new(backend))
            .await
            .map_err(|error| unreachable(url, error))?;
        let genesis = Hash::from(client.genesis_hash().0);
        let queues = transaction::Queues::default();
        let url = without_userinfo(url);
        let inner = Arc::new(Inner { url, rpc, client, genesis, queues });
        Ok(Self { inner, waits: Waits::default(), verifier: None })
    }

    /// This handle and its clones report what they wait for in `waits`.
    #[must_use]
    pub fn with_waits(mut self, waits: Waits) -> Self {
        self.waits = waits;
        self
    }

    pub(crate) fn waits(&self) -> &Waits {
        &self.waits
    }

    /// The node's address, without a user's name and password.
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// Hash of the chain's first block.
    pub fn genesis_hash(&self) -> Hash {
        self.inner.genesis
    }

    /// The newest finalized block.
    pub async fn finalized_head(&self) -> Result<BlockRef, ChainError> {
        if let Some(verifier) = &self.verifier {
            let verified::Block { hash, number, .. } = verifier.head(self).await?;
            return Ok(BlockRef { hash, number });
        }
        let hash: Hash = self.request("chain_getFinalizedHead", rpc_params![]).await?;
        Ok(BlockRef { hash, number: self.number_of(hash).await? })
    }

    /// The newest block, final or not. Nothing proves it: a handle that verifies gets an error.
    pub async fn best_head(&self) -> Result<BlockRef, ChainError> {
        const METHOD: &str = "chain_getBlockHash";
        if self.is_verified() {
            return Err(self.doubt(Doubt::NoProof { method: METHOD.into() }));
        }
        let hash: Hash = self.request(METHOD, rpc_params![]).await?;
        Ok(BlockRef { hash, number: self.number_of(hash).await? })
    }

    /// Hash of the finalized block with this number; none beyond the newest one.
    pub async fn block_hash(&self, number: BlockNumber) -> Result<Option<Hash>, ChainError> {
        if number > self.finalized_head().await?.number {
            return Ok(None);
        }
        self.canonical_hash(number).await
    }

    /// The time of a block.
    pub async fn time(&self, block: Hash) -> Result<Moment, ChainError> {
        if let Some(state) = self.verified(block).await? {
            return state.time().await;
        }
        let stored: Option<Bytes> =
            self.request("state_getStorage", rpc_params![TIMESTAMP_NOW, block]).await?;
        decode("a block's time", &stored.unwrap_or(Bytes(vec![0; 8])).0)
    }

    /// The time of the finalized block with this number; none beyond the newest one.
    pub async fn time_at(&self, number: BlockNumber) -> Result<Option<Moment>, ChainError> {
        match self.block_hash(number).await? {
            Some(block) => self.time(block).await.map(Some),
            None => Ok(None),
        }
    }

    /// The state after a block.
    pub fn at(&self, block: Hash) -> Snapshot {
        Snapshot::new(self.clone(), block)
    }

    /// The state after the newest finalized block.
    pub async fn finalized(&self) -> Result<Snapshot, ChainError> {
        if self.is_verified() {
            return Ok(self.at(self.finalized_head().await?.hash));
        }
        let hash = self.request("chain_getFinalizedHead", rpc_params![]).await?;
        Ok(self.at(hash))
    }

    pub async fn health(&self) -> Result<NodeHealth, ChainError> {
        self.request("system_health", rpc_params![]).await
    }

    /// Hash of the block with this number on the node's best branch, or if verified, among the final blocks; none if
    /// the node does not have it. For numbers of which the caller knows that they are finalized: one request, where
    /// [`Chain::block_hash`] makes two or more.
    pub async fn canonical_hash(&self, number: BlockNumber) -> Result<Option<Hash>, ChainError> {
        if let Some(verifier) = &self.verifier {
            return verifier.hash_of(self, number).await;
        }
        self.request("chain_getBlockHash", rpc_params![number]).await
    }

    async fn number_of(&self, block: Hash) -> Result<BlockNumber, ChainError> {
        if let Some(verifier) = &self.verifier {
            return Ok(verifier.block(self, block).await?.number);
        }
        let header: Option<HeaderReply> =
            self.request("chain_getHeader", rpc_params![block]).await?;
        header.ok_or_else(|| error::unknown_block(block))?.number()
    }

    /// Repeats a request until the node answers or the time limit ends. Only for requests that may be repeated.
    async fn request<T: DeserializeOwned>(
        &self,
        method: &str,
        params: RpcParams,
    ) -> Result<T, ChainError> {
        let waiting = self.waits.begin(Awaited::Node, None);
        let ask = async {
            loop {
                match self.inner.rpc.request(method, params.clone()).await {
                    Err(error) if error.is_disconnected_will_reconnect() => {
                        waiting.because(format!("the connection to {} is lost", self.url()));
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                    answer => return answer.map_err(|error| self.rpc_error(method, error)),
                }
            }
        };
        self.within_limit(ask).await
    }

    async fn within_limit<T>(
        &self,
        ask: impl Future<Output = Result<T, ChainError>>,
    ) -> Result<T, ChainError> {
        tokio::time::timeout(REQUEST_LIMIT, ask).await.unwrap_or_else(|_| {
            Err(unreachable(self.url(), format!("no answer within {} s", REQUEST_LIMIT.as_secs())))
        })
    }

    fn rpc_error(&self, method: &str, error: RpcError) -> ChainError {
        match error {
            RpcError::User(refusal) => ChainError::Refused {
                method: method.into(),
                code: refusal.code,
                message: match refusal.data {
                    Some(data) => format!("{} ({})", refusal.message, data.get()),
                    None => refusal.message,
                },
            },
            RpcError::Deserialization(error) => ChainError::malformed(method, error),
            other => unreachable(self.url(), other),
        }
    }
}

/// How often a first connection is attempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempts {
    One,
    Many,
}

/// The pauses between attempts to connect. Before there was a connection, there are none if there shall be only one
/// attempt. A connection that is lost later is always made again. Clones share whether there was a connection.
#[derive(Clone)]
struct Pauses {
    begun: Arc<AtomicBool>,
    backoff: ExponentialBackoff,
}

impl Pauses {
    fn new(attempts: Attempts) -> Self {
        let backoff = ExponentialBackoff::from_millis(10).max_delay(RECONNECT_PAUSE);
        Self { begun: Arc::new(AtomicBool::new(attempts == Attempts::Many)), backoff }
    }

    /// From now on, there are pauses, and so further attempts.
    fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.begun.load(Ordering::Relaxed) { self.backoff.next() } else { None }
    }
}

/// Checks an address that must not lead to another machine without TLS.
fn not_exposed(url: &str) -> Result<(), ChainError> {
    if endpoint::is_exposed(&node_url(url)?) {
        return Err(ChainError::Plain { url: without_userinfo(url) });
    }
    Ok(())
}

fn node_url(url: &str) -> Result<Url, ChainError> {
    let refuse = |reason: String| ChainError::Url { url: without_userinfo(url), reason };
    let parsed = Url::parse(url).map_err(|error| refuse(error.to_string()))?;
    match parsed.scheme() {
        "ws" | "wss" if parsed.has_host() => Ok(parsed),
        scheme => Err(refuse(format!("{scheme} is not a web socket's scheme"))),
    }
}

fn unreachable(url: &str, reason: impl ToString) -> ChainError {
    ChainError::Unreachable { url: without_userinfo(url), reason: reason.to_string() }
}

fn decode<T: Decode>(what: &str, mut bytes: &[u8]) -> Result<T, ChainError> {
    codec::DecodeAll::decode_all(&mut bytes).map_err(|error| ChainError::malformed(what, error))
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
pub(crate) use verified::tests::{disclosed, evident};
#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn the_newest_block_is_the_one_that_the_node_names() {
        let hash = Hash::repeat_byte(7);
        let node = fake::FakeNode::new(move |method, _| match method {
            "chain_getBlockHash" => json!(hash),
            "chain_getHeader" => json!({ "number": "0x2a" }),
            _ => json!(null),
        });
        let chain = node.connect().await;
        let best = BlockRef { hash, number: 42 };
        assert_eq!(chain.best_head().await.unwrap(), best);
        assert_eq!(chain.newest_for(Birth::Best).await.unwrap(), best);
        assert_eq!(node.requests()[..2], ["chain_getBlockHash", "chain_getHeader"]);
    }

    #[tokio::test]
    async fn an_address_that_is_not_a_web_socket_is_refused() {
        for url in ["http://127.0.0.1:9944", "127.0.0.1:9944", "", "ws://"] {
            let error = Chain::connect(url).await.unwrap_err();
            assert!(matches!(error, ChainError::Url { .. }), "{url}: {error}");
        }
    }

    #[tokio::test]
    async fn a_node_on_another_machine_without_tls_is_not_asked() {
        let limit = Duration::from_millis(300);
        for url in [
            "ws://192.0.2.1:9944",
            "ws://node.hospital.example:9944",
            "ws://127.0.0.1.example:9944",
            "ws://127.0.0.1@192.0.2.1:9944",
            "WS://192.0.2.1:9944",
            "ws://0.0.0.0:9944",
        ] {
            let error = Chain::connect_within(url, limit).await.unwrap_err();
            assert!(matches!(error, ChainError::Plain { .. }), "{url}: {error}");
            assert!(!error.is_transient(), "{error}");
        }
        for url in ["ws://127.8.9.1:1", "ws://[::1]:1", "ws://localhost:1", "wss://127.0.0.1:1"] {
            let error = Chain::connect_within(url, limit).await.unwrap_err();
            assert!(matches!(error, ChainError::Unreachable { .. }), "{url}: {error}");
        }
    }

    #[tokio::test]
    async fn a_node_is_named_without_the_password_in_its_address() {
        let limit = Duration::from_millis(300);
        for url in [
            "ws://ada:secret@127.0.0.1:1",
            "ws://ada:secret@192.0.2.1:9944",
            "http://ada:secret@node.example",
            "wss://ada:secret@node.example:99999",
            "ada:secret@node.example:9944",
        ] {
            let error = Chain::connect_within(url, limit).await.unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
        let node = fake::FakeNode::new(|method, _| panic!("{method}"));
        let rpc = RpcClient::new(node);
        let chain = Chain::over(rpc, "wss://ada:secret@node.example").await.unwrap();
        assert_eq!(chain.url(), "wss://node.example/");
        assert!(!format!("{chain:?}").contains("secret"));
    }

    #[tokio::test]
    async fn an_unreachable_node_is_reported_within_the_limit() {
        for url in ["ws://127.0.0.1:1", "wss://127.0.0.1:1"] {
            let error = Chain::connect_within(url, Duration::from_millis(300)).await.unwrap_err();
            assert!(error.is_transient(), "{error}");
            assert!(error.to_string().contains(url), "{error}");
        }
    }

    /// Less than any time limit of a connection.
    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_refused_connection_or_an_unknown_name_is_an_error_at_once() {
        for url in ["ws://127.0.0.1:1", "wss://127.0.0.1:1"] {
            let connecting = tokio::time::timeout(SOON, Chain::connect(url));
            let error = connecting.await.unwrap().unwrap_err();
            assert!(matches!(error, ChainError::Unreachable { .. }), "{error}");
            assert!(error.is_transient() && error.to_string().contains(url), "{error}");
        }
        // No name has an empty label, so this needs no name server.
        let url = "wss://node..invalid:9944";
        let connecting = tokio::time::timeout(SOON, Chain::connect_unprotected(url));
        let error = connecting.await.unwrap().unwrap_err();
        assert!(
            matches!(error, ChainError::Unreachable { .. } | ChainError::Url { .. }),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_node_that_accepts_and_does_not_answer_has_its_time() {
        let node = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", node.local_addr().unwrap());
        for attempts in [Attempts::One, Attempts::Many] {
            let limit = Duration::from_secs(2);
            let begun = std::time::Instant::now();
            let error = Chain::open(&url, limit, attempts).await.unwrap_err();
            assert!(error.to_string().contains("no answer within 2 s"), "{error}");
            assert!(begun.elapsed() >= limit);
        }
    }

    #[test]
    fn a_lost_connection_is_made_again_also_if_the_first_one_had_one_attempt() {
        let policy = Pauses::new(Attempts::One);
        assert_eq!(policy.clone().next(), None);
        policy.begin();
        let pauses: Vec<_> = policy.clone().take(20).collect();
        assert_eq!(pauses.len(), 20);
        assert!(pauses.iter().all(|pause| *pause <= RECONNECT_PAUSE), "{pauses:?}");
        assert!(Pauses::new(Attempts::Many).next().is_some());
    }

    #[test]
    fn block_numbers_are_read_as_nodes_write_them() {
        let header: HeaderReply =
            serde_json::from_str(r#"{"number":"0x1f4","digest":{}}"#).unwrap();
        assert_eq!(header.number().unwrap(), 500);
    }
}
