//! What a node's best block says about validators, sessions and offences, and who made a block.

use anyhow::Context;
use codec::Decode;
use epione_primitives::{BlockNumber, HospitalId};
use serde_json::json;

use crate::{node::Node, storage};

/// A list in the state of a node's best block; empty if nothing is stored.
async fn list<T: Decode>(node: &Node, pallet: &str, item: &str) -> anyhow::Result<Vec<T>> {
    Ok(node.stored_value(&storage::value(pallet, item)).await?.unwrap_or_default())
}

/// The validators of the current session, in the order of their slots.
pub async fn validators(node: &Node) -> anyhow::Result<Vec<HospitalId>> {
    list(node, "Session", "Validators").await
}

/// The validators of the next session.
pub async fn queued(node: &Node) -> anyhow::Result<Vec<HospitalId>> {
    // Each with the keys of Aura and GRANDPA.
    let queued: Vec<(HospitalId, [u8; 32], [u8; 32])> = list(node, "Session", "QueuedKeys").await?;
    Ok(queued.into_iter().map(|(hospital, ..)| hospital).collect())
}

/// The hospitals that do not validate because they made no blocks, or have not said that they are ready.
pub async fn unready(node: &Node) -> anyhow::Result<Vec<HospitalId>> {
    list(node, "Hospitals", "Unready").await
}

/// The hospitals that do not validate because of an offence.
pub async fn benched(node: &Node) -> anyhow::Result<Vec<HospitalId>> {
    list(node, "Hospitals", "Benched").await
}

/// The number of the current session.
pub async fn session(node: &Node) -> anyhow::Result<u32> {
    Ok(node.stored_value(&storage::value("Session", "CurrentIndex")).await?.unwrap_or_default())
}

/// Who made a block, if these are the validators of its session.
pub async fn author(
    node: &Node,
    number: BlockNumber,
    validators: &[HospitalId],
) -> anyhow::Result<HospitalId> {
    let hash = node.hash(number).await?.context("the node does not have the block")?;
    let header = node.call("chain_getHeader", json!([hash])).await?;
    let logs = header["digest"]["logs"].as_array().context("the header has no logs")?;
    let slot = logs.iter().find_map(|log| slot(log.as_str()?));
    let slot = usize::try_from(slot.context("the header names no slot")?)?;
    let index = slot.checked_rem(validators.len()).context("there are no validators")?;
    validators.get(index).copied().context("there are no validators")
}

/// The slot that a log of a header names: the log of the engine `aura` before the block's execution, with eight bytes.
fn slot(log: &str) -> Option<u64> {
    const BEFORE_SLOT: &str = "0x066175726120";
    let digits = log.strip_prefix(BEFORE_SLOT)?;
    let bytes: [u8; 8] = hex::decode(digits).ok()?.try_into().ok()?;
    Some(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_read_from_its_log_only() {
        assert_eq!(slot("0x0661757261200100000000000000"), Some(1));
        assert_eq!(slot("0x0661757261200001000000000000"), Some(256));
        // Of GRANDPA, after the execution, and too short.
        for log in ["0x0446524e4b20010000000000000000", "0x05617572612001", "0x06617572612001"] {
            assert_eq!(slot(log), None, "{log}");
        }
    }
}
