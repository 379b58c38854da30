//! Operators start a second worker of a hospital by mistake, while the first one runs.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use epione_devnet::{Probe, Second, Storage, tail};
use epione_primitives::HospitalId;

use super::frame::{Drill, Setting};

const DOUBLED: HospitalId = HospitalId(1);
/// How long the second worker may take until it gives up. One that finds the mark of another waits until the mark is
/// renewed, which happens every minute, or until it is sure that nobody renews it.
const GIVES_UP: Duration = Duration::from_secs(8 * 60);
/// How long two workers with one agent's key work at the same time.
const TOGETHER: Duration = Duration::from_secs(5 * 60);
/// Lines of its log that a result quotes when the second worker behaves in another way.
const QUOTED: usize = 15;

pub fn setting() -> Setting {
    // Only a bucket can be given to two workers on two machines.
    Setting { storage: Storage::S3, ..Setting::default() }
}

pub async fn run(drill: &mut Drill) -> anyhow::Result<()> {
    let home = drill.site(DOUBLED)?.home().join("second");
    let original = fs::read_to_string(drill.site(DOUBLED)?.worker_config())
        .context("cannot read the worker's configuration")?;
    drill.step("a second worker is started with the same configuration");
    refused(drill, &toml::from_str(&original)?, "the same configuration").await?;

    drill.step("a second worker is started with another data directory and the same bucket");
    let elsewhere = data_dir(&home.join("copy"));
    refused(drill, &elsewhere, "the same bucket").await?;

    drill.step("a second worker is started with another data directory and another bucket");
    let bucket = "hospital-second";
    let folder = drill.hospital(DOUBLED)?.store.with_file_name(bucket);
    fs::create_dir_all(&folder).context("cannot make another bucket")?;
    let mut own = data_dir(&home.join("own"));
    own.insert("store".into(), table("s3", table("bucket", bucket)).into());
    together(drill, &own).await
}

fn data_dir(folder: &Path) -> toml::Table {
    table("data_dir", folder.display().to_string())
}

fn table(key: &str, value: impl Into<toml::Value>) -> toml::Table {
    [(key.to_owned(), value.into())].into_iter().collect()
}

/// The second worker must end by itself and must never have been ready.
async fn refused(drill: &mut Drill, settings: &toml::Table, what: &str) -> anyhow::Result<()> {
    let mut second = start(drill, settings)?;
    let (begun, probe) = (Instant::now(), Probe::new()?);
    // With the same configuration, the address is that of the first worker, which is ready.
    let own_address = !settings.contains_key("operators_listen");
    loop {
        if let Some(status) = second.process.ended() {
            ensure!(!status.success(), "the second worker ended as if nothing had happened");
            break;
        }
        let ready = own_address && probe.worker_is_ready(&second.url).await;
        let log = || tail(second.process.log(), QUOTED);
        ensure!(!ready, "a second worker with {what} is ready:\n{}", log());
        ensure!(begun.elapsed() < GIVES_UP, "a second worker with {what} goes on:\n{}", log());
        drill.pass("a second worker tries to start", Duration::from_secs(1)).await?;
    }
    drill.took(format!("with {what}, until the second worker ended"), begun);
    first_works(drill).await
}

/// Both work with one agent's key. Then the operators notice it.
async fn together(drill: &mut Drill, settings: &toml::Table) -> anyhow::Result<()> {
    let before = drill.board.acknowledged().len();
    let mut second = start(drill, settings)?;
    drill.pass("two workers of one hospital work", TOGETHER).await?;
    let ready = Probe::new()?.worker_is_ready(&second.url).await;
    drill
        .figure("the second worker, after five minutes", if ready { "ready" } else { "not ready" });
    let visits = drill.board.acknowledged().len().saturating_sub(before);
    drill.figure("visits acknowledged while both worked", visits.to_string());
    ensure!(visits > 0, "no visit was acknowledged while two workers of one hospital worked");
    drill.step("its operators stop the second worker");
    second.process.kill()?;
    first_works(drill).await
}

fn start(drill: &Drill, settings: &toml::Table) -> anyhow::Result<Second> {
    let mut second = drill.network.plan().second_worker(drill.site(DOUBLED)?, settings)?;
    second.process.start()?;
    Ok(second)
}

async fn first_works(drill: &mut Drill) -> anyhow::Result<()> {
    drill.back(DOUBLED).await
}
