//! JSON-RPC to a node, for what the client does not send: bytes that are no transaction.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The largest answer in bytes, and how long a node may take for it.
const MAX_ANSWER: u64 = 1024 * 1024;
const LIMIT: Duration = Duration::from_secs(20);

/// A node's address, as host and port.
#[derive(Clone, Debug)]
pub struct Node {
    address: String,
}

impl Node {
    pub fn new(url: &str) -> anyhow::Result<Self> {
        Ok(Self { address: address(url)? })
    }

    /// Sends one request over a connection of its own. Returns the result, or the error's message as the error.
    pub async fn call(&self, method: &str, parameters: Value) -> anyhow::Result<Value> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": parameters });
        let answer = timeout(LIMIT, self.post(&request.to_string()))
            .await
            .context("the node did not answer in time")??;
        let mut answer: Value = serde_json::from_str(&answer).context("the answer is no JSON")?;
        let message = answer["error"]["message"].as_str();
        ensure!(message.is_none(), "{}", message.unwrap_or_default());
        Ok(answer.get_mut("result").map(Value::take).unwrap_or_default())
    }

    async fn post(&self, body: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(&self.address).await.context("connecting failed")?;
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: \
             close\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).await.context("sending failed")?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer).await.context("reading failed")?;
        let answer = String::from_utf8_lossy(&answer);
        let (_, body) = answer.split_once("\r\n\r\n").context("the answer is no HTTP")?;
        Ok(body.to_owned())
    }

    /// The `u32` with which a stored value begins; none if nothing is stored under the key.
    pub async fn stored_number(&self, key: &str) -> anyhow::Result<Option<u32>> {
        let stored = self.call("state_getStorage", json!([key])).await?;
        let Some(digits) = stored.as_str() else { return Ok(None) };
        let bytes = hex::decode(digits.trim_start_matches("0x"))?;
        let (number, _) = bytes.split_first_chunk().context("the value is too short")?;
        Ok(Some(u32::from_le_bytes(*number)))
    }
}

/// Host and port of a URL.
pub fn address(url: &str) -> anyhow::Result<String> {
    let (_, rest) = url.split_once("://").with_context(|| format!("{url} is no URL"))?;
    Ok(rest.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_of_a_url() {
        assert_eq!(address("ws://127.0.0.1:9944").unwrap(), "127.0.0.1:9944");
        assert_eq!(address("https://127.0.0.1:9800/").unwrap(), "127.0.0.1:9800");
        assert!(address("127.0.0.1").is_err());
    }
}
