//! A hospital replaces each of its five keys while its doctor submits visits: of session, sealing, TLS, agent and
//! governance.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, bail, ensure};
use epione_client::{
    chain::{Call, Chain, SubmitError, calls::hospitals},
    signer::Account,
};
use epione_devnet::{HospitalState, Service};
use epione_envelope::{
    development,
    keystore::{self, ActorKeys, Cost},
    sealing_keys::{SealingKeyPair, SealingSuite},
};
use epione_primitives::{HospitalId, hospital::Duty};

use super::{
    frame::{Drill, RECOVERY},
    seat,
};
use crate::{programs::Programs, storage};

const ROTATING: HospitalId = HospitalId(1);
const ALL: [HospitalId; 4] = [HospitalId(0), HospitalId(1), HospitalId(2), HospitalId(3)];
const PASSWORD: &str = "a password of a drill";

pub async fn run(drill: &mut Drill, programs: &Programs) -> anyhow::Result<()> {
    let hospital = drill.hospital(ROTATING)?.clone();
    let chain = Chain::connect_unprotected(&hospital.node_url).await?;
    let governance = Account::development(&hospital.governance)?;
    let rotation = Rotation { config: drill.site(ROTATING)?.worker_config(), hospital, chain };

    let begun = Instant::now();
    seat::set_session_keys(&rotation.hospital).await?;
    drill.step("the chain knows the new session keys");
    let first = rotation.sealing(drill, &governance).await?;
    rotation.tls(drill, programs, &governance).await?;
    rotation.agent(drill, &governance, &first).await?;
    rotation.governance(drill, &governance).await?;
    in_use(drill, begun).await
}

/// The session keys are in use two sessions later. The node has them on its disk.
async fn in_use(drill: &mut Drill, begun: Instant) -> anyhow::Result<()> {
    let node = drill.node(ROTATING)?;
    let key = storage::twox_64_entry("Session", "NextKeys", &ROTATING);
    let (aura, _): ([u8; 32], [u8; 32]) =
        node.stored_value(&key).await?.context("the hospital has no session keys")?;
    let authorities = storage::value("Aura", "Authorities");
    drill
        .until("waiting until the new session keys are in use", 2 * RECOVERY, async || {
            let used: Option<Vec<[u8; 32]>> = node.stored_value(&authorities).await?;
            anyhow::Ok(used.unwrap_or_default().contains(&aura).then_some(()))
        })
        .await?;
    drill.took("session keys, until they were in use", begun);
    drill.network.kill(ROTATING, Service::Node)?;
    drill.network.restart(ROTATING, Service::Node)?;
    drill.back(ROTATING).await?;
    seat::makes_blocks(drill, ROTATING, &ALL).await?;
    drill.step("after a restart of its node, the hospital makes blocks with the new session keys");
    Ok(())
}

struct Rotation {
    hospital: HospitalState,
    chain: Chain,
    /// The worker's configuration file.
    config: PathBuf,
}

impl Rotation {
    /// The worker starts with a new sealing key, and then the chain names it: in this order, nothing is sealed to a key
    /// that the worker does not have.
    async fn sealing(&self, drill: &mut Drill, by: &Account) -> anyhow::Result<ActorKeys> {
        let keys = development::keys(&self.hospital.agent)?;
        let keys = keys.with_new_sealing_key(SealingSuite::XWing);
        let begun = Instant::now();
        self.restart_with(drill, &keys, "sealing").await?;
        drill.took("sealing key, until the worker was ready after its restart", begun);
        let call = hospitals::set_sealing_key(keys.sealing.public().as_bytes());
        self.submit(&call, by).await?;
        let entry = self.entry().await?;
        ensure!(
            &entry.sealing_key[..] == keys.sealing.public().as_bytes(),
            "the chain names another sealing key"
        );
        drill.step("the chain names the new sealing key");
        Ok(keys)
    }

    /// The worker proves the new TLS key as soon as the chain names it, without a restart.
    async fn tls(
        &self,
        drill: &mut Drill,
        programs: &Programs,
        by: &Account,
    ) -> anyhow::Result<()> {
        let output = Command::new(&programs.binaries.worker)
            .args(["tls-key", "--generation", "1", "--config"])
            .arg(&self.config)
            .output()
            .context("cannot start epione-worker")?;
        let printed = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut key = [0; 32];
        hex::decode_to_slice(printed.trim(), &mut key).context("epione-worker printed no key")?;
        let begun = Instant::now();
        self.submit(&hospitals::set_endpoint(&self.hospital.worker_url, &key, None), by).await?;
        ensure!(self.entry().await?.tls_key == key, "the chain names another TLS key");
        let practice = drill
            .practices
            .iter()
            .find(|practice| practice.hospital == ROTATING)
            .context("the hospital has no doctor")?
            .clone();
        drill
            .until("waiting until the worker proves the new TLS key", RECOVERY, async || {
                practice.renewed().await?.worker.info().await?;
                anyhow::Ok(Some(()))
            })
            .await?;
        drill.took("TLS key, until the worker was reached with it", begun);
        drill.step("the worker proves the new TLS key");
        Ok(())
    }

    /// The chain names the new agent, and the worker starts with its key. In between, the worker can send nothing.
    async fn agent(
        &self,
        drill: &mut Drill,
        by: &Account,
        before: &ActorKeys,
    ) -> anyhow::Result<()> {
        let uri = format!("{}//next//agent", self.hospital.governance);
        let sealing = SealingKeyPair::from_seed(SealingSuite::XWing, before.sealing.seed());
        let keys = ActorKeys { account: development::keys(&uri)?.account, sealing };
        let agent = Account::from(&keys);
        let named = seat::named(&self.chain, ROTATING, &agent, Duty::Agent).await?;
        let begun = Instant::now();
        self.submit(&hospitals::rotate_accounts(None, Some(&named)), by).await?;
        self.restart_with(drill, &keys, "agent").await?;
        drill.took("agent's key, until the worker was ready with it", begun);
        ensure!(self.entry().await?.agent == agent.id(), "the chain names another agent");
        let old = Account::development(&self.hospital.agent)?;
        self.is_refused(&old).await.context("the agent before")?;
        drill.step("the worker has a new agent's key, and the one before is refused");
        Ok(())
    }

    async fn governance(&self, drill: &mut Drill, by: &Account) -> anyhow::Result<()> {
        let next = Account::development(&format!("{}//next", self.hospital.governance))?;
        let named = seat::named(&self.chain, ROTATING, &next, Duty::Governance).await?;
        let begun = Instant::now();
        self.submit(&hospitals::rotate_accounts(Some(&named), None), by).await?;
        drill.took("governance's key, until the chain named it", begun);
        ensure!(self.entry().await?.governance == next.id(), "the chain names another account");
        self.is_refused(by).await.context("the governance account before")?;
        drill.step("the hospital has a new governance account, and the one before is refused");
        Ok(())
    }

    async fn submit(&self, call: &Call, by: &Account) -> anyhow::Result<()> {
        seat::submit(&self.hospital, call, by, None).await
    }

    async fn entry(&self) -> anyhow::Result<epione_primitives::hospital::Hospital> {
        let state = self.chain.finalized().await?;
        state.hospital(ROTATING).await?.context("the chain does not know the hospital")
    }

    /// No node accepts a transaction of this account any more.
    async fn is_refused(&self, account: &Account) -> anyhow::Result<()> {
        let call = hospitals::set_endpoint(&self.hospital.worker_url, &[0; 32], None);
        match self.chain.submit(&call, account).await {
            Err(SubmitError::Refused(_) | SubmitError::Invalid(_)) => Ok(()),
            outcome => bail!("its transaction was not refused: {outcome:?}"),
        }
    }

    /// Writes a keystore, puts it before the ones that the worker has, and restarts the worker.
    async fn restart_with(
        &self,
        drill: &mut Drill,
        keys: &ActorKeys,
        name: &str,
    ) -> anyhow::Result<()> {
        let folder = drill.site(ROTATING)?.home().to_path_buf();
        let path = folder.join(format!("{name}.json"));
        let password_file = folder.join(format!("{name}.password"));
        keystore::save(keys, &path, PASSWORD, Cost::Fast)?;
        fs::write(&password_file, PASSWORD).context("cannot write a password file")?;
        let text = fs::read_to_string(&self.config).context("cannot read the configuration")?;
        let changed = with_keystore(toml::from_str(&text)?, &path, &password_file)?;
        drill.network.kill(ROTATING, Service::Worker)?;
        fs::write(&self.config, toml::to_string(&changed)?)
            .context("cannot configure the worker")?;
        drill.network.restart(ROTATING, Service::Worker)?;
        drill.back(ROTATING).await
    }
}

/// A worker's configuration with another keystore. The previous one becomes the first of the earlier ones.
fn with_keystore(
    mut config: toml::Table,
    path: &Path,
    password_file: &Path,
) -> anyhow::Result<toml::Table> {
    let keystore: toml::Table = [("path", path), ("password_file", password_file)]
        .into_iter()
        .map(|(key, path)| (key.to_owned(), toml::Value::from(path.display().to_string())))
        .collect();
    let before = config.insert("keystore".into(), keystore.into());
    let mut earlier = vec![before.context("the configuration names no keystore")?];
    if let Some(list) = config.remove("earlier_keystores") {
        earlier.extend(list.as_array().context("earlier_keystores is no list")?.iter().cloned());
    }
    config.insert("earlier_keystores".into(), earlier.into());
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keystores_before_stay_the_newest_first() {
        let config = toml::from_str("[keystore]\ndevelopment = \"//Bob\"").unwrap();
        let one = with_keystore(config, Path::new("/one"), Path::new("/one.password")).unwrap();
        let two = with_keystore(one, Path::new("/two"), Path::new("/two.password")).unwrap();
        assert_eq!(two["keystore"]["path"].as_str(), Some("/two"));
        let earlier = two["earlier_keystores"].as_array().unwrap();
        assert_eq!(earlier.len(), 2);
        assert_eq!(earlier[0]["path"].as_str(), Some("/one"));
        assert_eq!(earlier[1]["development"].as_str(), Some("//Bob"));
        assert!(with_keystore(toml::Table::new(), Path::new("/a"), Path::new("/b")).is_err());
    }
}
