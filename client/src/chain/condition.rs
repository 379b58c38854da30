//! What an operator asks about a node and its chain: how far the node is, which runtime the chain has, and which session
//! keys belong to a hospital. Only the session keys are proven.

use codec::Encode;
use epione_primitives::{Hash, HospitalId, Moment};
use serde::Deserialize;
use sp_core::Bytes;
use subxt::rpcs::client::rpc_params;

use super::{
    BlockRef, Chain, ChainError, HeaderReply, Snapshot, TIMESTAMP_NOW, decode, error,
    verified::BUILT_VERSIONS,
};
use crate::application::SessionKeys;

/// The versions of a chain's runtime, as the node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeVersion {
    pub spec_version: u32,
    /// Changes with the encoding of calls.
    pub transaction_version: u32,
}

impl RuntimeVersion {
    /// The runtime that was built from the same source as this program.
    pub const BUILT: Self =
        Self { spec_version: BUILT_VERSIONS.0, transaction_version: BUILT_VERSIONS.1 };
}

impl Chain {
    /// The newest block of the node's best branch. It is not final, and not proven.
    pub async fn best_block(&self) -> Result<BlockRef, ChainError> {
        let hash: Hash = self.request("chain_getBlockHash", rpc_params![]).await?;
        let header: Option<HeaderReply> =
            self.request("chain_getHeader", rpc_params![hash]).await?;
        let number = header.ok_or_else(|| error::unknown_block(hash))?.number()?;
        Ok(BlockRef { hash, number })
    }

    /// The runtime of the node's best block, as the node says.
    pub async fn runtime_version(&self) -> Result<RuntimeVersion, ChainError> {
        self.request("state_getRuntimeVersion", rpc_params![]).await
    }

    /// Whether the node's keystore has the private halves of these keys. Nodes answer this on their own machine only:
    /// otherwise the error is [`ChainError::Refused`].
    pub async fn has_session_keys(&self, keys: &SessionKeys) -> Result<bool, ChainError> {
        self.request("author_hasSessionKeys", rpc_params![Bytes(keys.encode())]).await
    }

    /// The time of a block that need not be final, as the node says.
    pub async fn unproven_time(&self, block: Hash) -> Result<Moment, ChainError> {
        let stored: Option<Bytes> =
            self.request("state_getStorage", rpc_params![TIMESTAMP_NOW, block]).await?;
        decode("a block's time", &stored.unwrap_or(Bytes(vec![0; 8])).0)
    }
}

impl Snapshot {
    /// The session keys that a hospital has set; none if it has set none.
    pub async fn session_keys(
        &self,
        hospital: HospitalId,
    ) -> Result<Option<SessionKeys>, ChainError> {
        self.proving().await?.session_keys(hospital).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::chain::fake::FakeNode;

    #[tokio::test]
    async fn a_node_is_asked_for_its_best_block_its_runtime_and_its_keys() {
        let keys = SessionKeys { aura: [1; 32].into(), grandpa: [2; 32].into() };
        let encoded = format!("0x{}{}", "01".repeat(32), "02".repeat(32));
        let node = FakeNode::new(move |method, params| match method {
            "chain_getBlockHash" => json!(Hash::repeat_byte(7)),
            "chain_getHeader" => {
                assert_eq!(params, [json!(Hash::repeat_byte(7))]);
                json!({"number": "0x1f4"})
            }
            "state_getRuntimeVersion" => json!({
                "specName": "epione", "specVersion": 3, "transactionVersion": 2, "apis": []
            }),
            "author_hasSessionKeys" => json!(params == [json!(encoded)]),
            "state_getStorage" => json!("0x0100000000000000"),
            other => panic!("{other}"),
        });
        let chain = node.connect().await;
        let best = chain.best_block().await.unwrap();
        assert_eq!(best, BlockRef { hash: Hash::repeat_byte(7), number: 500 });
        assert_eq!(chain.unproven_time(best.hash).await.unwrap(), 1);
        let version = chain.runtime_version().await.unwrap();
        assert_eq!((version.spec_version, version.transaction_version), (3, 2));
        assert!(chain.has_session_keys(&keys).await.unwrap());
        let other = SessionKeys { grandpa: [3; 32].into(), ..keys };
        assert!(!chain.has_session_keys(&other).await.unwrap());
    }
}
