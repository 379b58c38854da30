//! A node is restored from an old copy of its disk: it has its keys, an old database, and old votes.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use epione_devnet::Service;
use epione_primitives::HospitalId;

use super::{
    consensus::{benched, session},
    frame::{Drill, copy_folder},
};

const RESTORED: HospitalId = HospitalId(3);
/// A session takes ten minutes. The copy is older than one whole session.
const MOST: Duration = Duration::from_secs(40 * 60);

pub async fn run(drill: &mut Drill, folder: &Path) -> anyhow::Result<()> {
    let copy = folder.join("yesterday");
    let disk = drill.site(RESTORED)?.home().join("node");
    drill.step("the node of hospital 3 is stopped, its disk is copied, and it starts again");
    drill.network.kill(RESTORED, Service::Node)?;
    copy_folder(&disk, &copy)?;
    drill.network.restart(RESTORED, Service::Node)?;
    drill.back(RESTORED).await?;
    let node = drill.node(HospitalId(0))?;
    let (copied, before) = (drill.watch.newest().await, session(&node).await?);
    drill
        .until("waiting until the copy is older than a session", MOST, async || {
            anyhow::Ok((session(&node).await? >= before + 2).then_some(()))
        })
        .await?;
    let behind = drill.watch.newest().await.saturating_sub(copied);
    drill.figure("blocks that the copy did not have", behind.to_string());
    drill.step("the node of hospital 3 is killed, and starts again from the copy");
    let begun = Instant::now();
    drill.network.kill(RESTORED, Service::Node)?;
    fs::remove_dir_all(&disk)
        .and_then(|()| fs::rename(&copy, &disk))
        .context("the copy cannot replace the disk")?;
    drill.network.restart(RESTORED, Service::Node)?;
    drill.back(RESTORED).await?;
    drill.took("after the start from the copy, until the node followed the chain", begun);
    drill.finalizes(RESTORED, 20).await?;
    ensure!(benched(&node).await?.is_empty(), "a hospital is benched");
    Ok(())
}
