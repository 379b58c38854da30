//! JSON-RPC to a node, for what the client does not send, and for the node's own view while no block becomes final.

use std::time::Duration;

use anyhow::{Context, ensure};
use codec::{Decode, DecodeAll};
use epione_client::signer::Account;
use epione_primitives::{BlockNumber, Hash, Nonce};
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

    /// The bytes under a key in the state of the node's best block; none if nothing is stored there.
    pub async fn stored(&self, key: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let stored = self.call("state_getStorage", json!([key])).await?;
        let Some(digits) = stored.as_str() else { return Ok(None) };
        Ok(Some(hex::decode(digits.trim_start_matches("0x"))?))
    }

    /// The `u32` with which a stored value begins; none if nothing is stored under the key.
    pub async fn stored_number(&self, key: &str) -> anyhow::Result<Option<u32>> {
        let Some(bytes) = self.stored(key).await? else { return Ok(None) };
        let (number, _) = bytes.split_first_chunk().context("the value is too short")?;
        Ok(Some(u32::from_le_bytes(*number)))
    }

    /// A whole stored value; none if nothing is stored under the key.
    pub async fn stored_value<T: Decode>(&self, key: &str) -> anyhow::Result<Option<T>> {
        let Some(bytes) = self.stored(key).await? else { return Ok(None) };
        let value = T::decode_all(&mut &bytes[..]);
        Ok(Some(value.with_context(|| format!("the value under {key} has another form"))?))
    }

    /// How many keys begin with a prefix, at most `most`.
    pub async fn count_keys(&self, prefix: &str, most: u32) -> anyhow::Result<usize> {
        let keys = self.call("state_getKeysPaged", json!([prefix, most])).await?;
        Ok(keys.as_array().context("the node returned no list of keys")?.len())
    }

    /// The number of the best block, or of the block with this hash.
    pub async fn number(&self, block: Option<Hash>) -> anyhow::Result<BlockNumber> {
        let parameters = block.map_or_else(|| json!([]), |hash| json!([hash]));
        let header = self.call("chain_getHeader", parameters).await?;
        let digits = header["number"].as_str().context("the node has no such header")?;
        Ok(BlockNumber::from_str_radix(digits.trim_start_matches("0x"), 16)?)
    }

    /// The number of the newest final block.
    pub async fn finalized(&self) -> anyhow::Result<BlockNumber> {
        let hash = self.call("chain_getFinalizedHead", json!([])).await?;
        self.number(Some(serde_json::from_value(hash)?)).await
    }

    /// The hash of the block with this number on the node's best branch; none beyond its best block.
    pub async fn hash(&self, number: BlockNumber) -> anyhow::Result<Option<Hash>> {
        let hash = self.call("chain_getBlockHash", json!([number])).await?;
        Ok(serde_json::from_value(hash)?)
    }

    /// The account's next nonce, after those of its transactions that wait in the node's pool.
    pub async fn next_nonce(&self, account: &Account) -> anyhow::Result<Nonce> {
        let nonce = self.call("system_accountNextIndex", json!([account.id()])).await?;
        Ok(serde_json::from_value(nonce)?)
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
