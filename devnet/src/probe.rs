//! Queries the state of nodes and workers.

use std::time::Duration;

use codec::{Decode, Encode};
use epione_client::Endpoint;
use epione_primitives::{Hash, HospitalId, hospital::Hospital};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A process on the same machine answers quickly, or does not listen yet.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Sends queries to the processes of a network.
#[derive(Clone)]
pub struct Probe(reqwest::Client);

/// What a node reports of its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeView {
    pub best: u32,
    pub finalized: u32,
    pub peers: u32,
}

impl Probe {
    pub fn new() -> Result<Self, reqwest::Error> {
        reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build().map(Self)
    }

    /// The result of a JSON-RPC call to a node; `None` if it does not answer, or answers with an error.
    async fn ask<T: DeserializeOwned>(&self, node: &str, method: &str, params: Value) -> Option<T> {
        // The node serves HTTP and WebSocket on one port.
        let url = node.replacen("ws://", "http://", 1);
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut answer: Value =
            self.0.post(url).json(&request).send().await.ok()?.json().await.ok()?;
        serde_json::from_value(answer.get_mut("result")?.take()).ok()
    }

    pub async fn genesis(&self, node: &str) -> Option<Hash> {
        self.ask(node, "chain_getBlockHash", json!([0])).await
    }

    /// Hash of the best block.
    pub async fn best(&self, node: &str) -> Option<Hash> {
        self.ask(node, "chain_getBlockHash", json!([])).await
    }

    pub async fn node(&self, node: &str) -> Option<NodeView> {
        let health: Value = self.ask(node, "system_health", json!([])).await?;
        let finalized: Hash = self.ask(node, "chain_getFinalizedHead", json!([])).await?;
        Some(NodeView {
            best: self.number(node, json!([])).await?,
            finalized: self.number(node, json!([finalized])).await?,
            peers: health.get("peers")?.as_u64()?.try_into().ok()?,
        })
    }

    async fn number(&self, node: &str, block: Value) -> Option<u32> {
        let header: Value = self.ask(node, "chain_getHeader", block).await?;
        u32::from_str_radix(header.get("number")?.as_str()?.strip_prefix("0x")?, 16).ok()
    }

    /// Whether a hospital's worker reports that it is ready. The chain of `node` names the worker's address.
    pub async fn worker_is_ready(&self, node: &str, hospital: HospitalId) -> bool {
        let Some(endpoint) = self.endpoint(node, hospital).await else { return false };
        let Ok(client) = endpoint.http().timeout(TIMEOUT).no_proxy().build() else { return false };
        let url = format!("{}/readyz", endpoint.url().as_str().trim_end_matches('/'));
        client.get(url).send().await.is_ok_and(|answer| answer.status().is_success())
    }

    async fn endpoint(&self, node: &str, hospital: HospitalId) -> Option<Endpoint> {
        let id = format!("0x{}", hex::encode(hospital.encode()));
        let answer: String =
            self.ask(node, "state_call", json!(["HospitalsApi_hospital", id])).await?;
        let bytes = hex::decode(answer.strip_prefix("0x")?).ok()?;
        Endpoint::of(&Option::<Hospital>::decode(&mut bytes.as_slice()).ok()??).ok()
    }
}
