//! Queries the state of nodes and workers.

use std::time::Duration;

use epione_primitives::Hash;
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

    /// Whether a worker reports to its operators that it is ready.
    pub async fn worker_is_ready(&self, operators: &str) -> bool {
        let answer = self.0.get(format!("{operators}/readyz")).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// The value of a metric of a worker, by its whole name with labels; `None` if the worker does not answer, or has
    /// no such metric.
    pub async fn metric(&self, operators: &str, name: &str) -> Option<f64> {
        let answer = self.0.get(format!("{operators}/metrics")).send().await.ok()?;
        value(&answer.text().await.ok()?, name)
    }
}

/// The value of a metric in Prometheus's text format.
fn value(metrics: &str, name: &str) -> Option<f64> {
    let value = |line: &str| {
        let (found, value) = line.rsplit_once(' ')?;
        if found == name { value.parse().ok() } else { None }
    };
    metrics.lines().find_map(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_known_by_its_whole_name() {
        let text = "# HELP a b\n# TYPE a gauge\na_b 7\na 12\nc{kind=\"x y\"} 0.5\n";
        assert_eq!(value(text, "a"), Some(12.0));
        assert_eq!(value(text, "c{kind=\"x y\"}"), Some(0.5));
        assert_eq!(value(text, "b"), None);
    }
}
