//! A chain that began with the runtime before gets the runtime of its nodes, while doctors submit visits.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use epione_client::{
    chain::{Call, Chain},
    signer::Account,
};
use epione_primitives::{HospitalId, hospital::HospitalStatus};
use serde_json::json;
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use super::{
    frame::{Drill, RECOVERY, Setting},
    seat,
};
use crate::{council, node::Node, patience::patiently};

/// Suspended before the upgrade: what the chain stores about it must mean the same afterwards.
const SUSPENDED: HospitalId = HospitalId(3);
const OTHERS: [HospitalId; 3] = [HospitalId(0), HospitalId(1), HospitalId(2)];
/// The preset's delay between the authorization of an upgrade and the first block that may apply it.
const DELAY: u32 = 20;
const APPLIED: Duration = Duration::from_secs(10 * 60);

pub fn setting() -> Setting {
    let runtime = Some("fixtures/runtime-before.compact.compressed.wasm");
    Setting { doctors: 3, runtime, ..Setting::default() }
}

pub async fn run(drill: &mut Drill) -> anyhow::Result<()> {
    let node = drill.node(OTHERS[0])?;
    let (before, next) = (version(&node).await?, epione_runtime::VERSION.spec_version);
    ensure!(
        next > before,
        "the chain's runtime has spec_version {before}, and the next one {next}: raise it in runtime/src/lib.rs"
    );
    drill.figure("spec_version of the runtime before", before.to_string());
    let voters = drill.hospitals(&OTHERS[..council::more_than_half(4)])?;
    council::pass(&voters, &council::suspend(SUSPENDED)).await?;
    drill.calm.leave_out(SUSPENDED)?;
    drill.step("the council has suspended hospital 3, under the runtime before");

    let file = drill.network.plan().next_runtime().context("the chain has the node's runtime")?;
    let code = fs::read(file).context("cannot read the node's runtime")?;
    drill.figure("bytes of the new runtime", code.len().to_string());
    let voters = drill.hospitals(&OTHERS[..council::two_thirds(OTHERS.len())])?;
    let authorize = council::authorize_upgrade(BlakeTwo256::hash(&code));
    council::pass(&voters, &authorize).await?;
    drill.step("the council has authorized the node's runtime");
    drill.finalizes(OTHERS[0], DELAY + 1).await?;
    let begun = Instant::now();
    apply(drill, &node, code, next).await?;
    drill
        .until("waiting until the chain has the new runtime", APPLIED, async || {
            anyhow::Ok((version(&node).await? == next).then_some(()))
        })
        .await?;
    drill.took("after the delay, until the chain had the new runtime", begun);
    drill.figure("spec_version of the runtime afterwards", next.to_string());
    drill.step("the chain has the new runtime");
    drill.finalizes(OTHERS[0], 20).await?;
    means_the_same(drill).await
}

/// Provides the code, which any governance account may do, until the chain has this version.
async fn apply(drill: &Drill, node: &Node, code: Vec<u8>, next: u32) -> anyhow::Result<()> {
    let hospital = drill.hospital(OTHERS[0])?;
    let governance = Account::development(&hospital.governance)?;
    let call = Call::new("System", "apply_authorized_upgrade", code);
    patiently(APPLIED, async || {
        // An earlier attempt may have succeeded, although its outcome was not seen in time.
        if version(node).await? != next {
            let chain = Chain::connect_unprotected(&hospital.node_url).await?;
            chain.submit(&call, &governance).await?;
        }
        Ok(())
    })
    .await
    .context("the upgrade was not applied")
}

/// What the chain stored before means the same under the new runtime, and can be changed.
async fn means_the_same(drill: &mut Drill) -> anyhow::Result<()> {
    let chain = Chain::connect_unprotected(&drill.hospital(OTHERS[0])?.node_url).await?;
    for (id, entry) in chain.finalized().await?.hospitals().await? {
        let expected =
            if id == SUSPENDED { HospitalStatus::Suspended } else { HospitalStatus::Active };
        ensure!(
            entry.status == expected,
            "hospital {id} is {:?} after the upgrade, not {expected:?}: its entry means something else now",
            entry.status
        );
    }
    let voters = drill.hospitals(&OTHERS[..council::more_than_half(OTHERS.len())])?;
    council::pass(&voters, &council::reinstate(SUSPENDED)).await?;
    drill.step("every hospital is what it was before, and the council has reinstated hospital 3");
    seat::be_ready(drill, SUSPENDED).await?;
    drill
        .until("waiting until hospital 3 is active again", RECOVERY, async || {
            let entry = chain.finalized().await?.hospital(SUSPENDED).await?;
            let is_active = entry.is_some_and(|entry| entry.status == HospitalStatus::Active);
            anyhow::Ok(is_active.then_some(()))
        })
        .await
}

/// `spec_version` of the runtime of the node's best block.
async fn version(node: &Node) -> anyhow::Result<u32> {
    let version = node.call("state_getRuntimeVersion", json!([])).await?;
    let number = version["specVersion"].as_u64().context("the node names no version")?;
    Ok(u32::try_from(number)?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// As wasm-builder compresses it: eight bytes, then zstd.
    #[test]
    fn the_runtime_before_is_compressed_code() {
        let file = setting().runtime.unwrap();
        let code = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        assert_eq!(code[..8], [0x52, 0xbc, 0x53, 0x76, 0x46, 0xdb, 0x8e, 0x05]);
        assert!(code.len() < 1 << 20, "{} bytes", code.len());
    }
}
