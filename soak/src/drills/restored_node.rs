//! A node loses its database and keeps its session keys. A node that voted twice in one round would be an offender.

use std::{fs, io, time::Instant};

use anyhow::{Context, ensure};
use epione_devnet::Service;
use epione_primitives::HospitalId;

use super::{
    consensus::benched,
    frame::{Drill, chain_folder},
};
use crate::dice::Dice;

const RESTORED: HospitalId = HospitalId(3);
const TIMES: u32 = 20;
/// What a node keeps: its session keys, and what it knows of other nodes.
const KEPT: [&str; 2] = ["keystore", "network"];

pub async fn run(drill: &mut Drill, seed: u64) -> anyhow::Result<()> {
    let mut dice = Dice::new(seed, "restored node");
    let (mut longest, begun) = (0, Instant::now());
    for time in 1..=TIMES {
        // At a random moment of a round.
        drill.pass("the node works", dice.millis(3_000..15_000)).await?;
        drill.step(format!("the node of hospital 3 is killed and loses its database, time {time}"));
        let lost = Instant::now();
        drill.network.kill(RESTORED, Service::Node)?;
        lose_database(drill)?;
        drill.network.restart(RESTORED, Service::Node)?;
        drill.back(RESTORED).await?;
        longest = longest.max(lost.elapsed().as_secs());
        let reports = drill.reports().await?;
        ensure!(reports == 0, "{reports} equivocations were reported after time {time}");
    }
    let node = drill.node(HospitalId(0))?;
    ensure!(benched(&node).await?.is_empty(), "a hospital is benched");
    drill.figure("times that the node lost its database", TIMES.to_string());
    drill.figure("longest time until it followed the chain again", format!("{longest} s"));
    drill.took("all times together", begun);
    Ok(())
}

fn lose_database(drill: &Drill) -> anyhow::Result<()> {
    let folder = chain_folder(drill.site(RESTORED)?)?;
    let mut lost = 0;
    for entry in
        fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?
    {
        let entry = entry?;
        if KEPT.iter().any(|kept| entry.file_name() == *kept) {
            continue;
        }
        let path = entry.path();
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => lost += 1,
        }
    }
    ensure!(lost > 0, "{} contains no database", folder.display());
    Ok(())
}
