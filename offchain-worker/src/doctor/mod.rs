//! `epione-worker doctor`: checks what a hospital needs to take part, from this machine, and says what to do.
//!
//! One file for each place that is looked at: the worker and its disks ([`local`]), its node ([`node`]), its entry on
//! the chain ([`entry`]), the other hospitals' workers ([`peers`]), the clocks ([`clock`]), and the certificate for
//! browsers ([`certificate`]). What cannot be known is said, and never counts as ok. The doctor changes nothing.

mod certificate;
pub mod clock;
mod entry;
mod local;
mod node;
mod peers;
pub mod report;

use std::{path::PathBuf, time::Duration};

use epione_client::{
    chain::{Chain, ChainError, Snapshot, Trust},
    signer::Account,
};
use epione_envelope::keystore::ActorKeys;
use epione_primitives::{
    Hash, HospitalId,
    hospital::{Duty, Hospital},
};
use tokio::task::spawn_blocking;
use url::Url;

use crate::{
    chain::Identity,
    config::Config,
    keys::{self, TlsKeys},
    transfer::{Courier, Timings},
    worker::owner_line,
};
use clock::{Clock, Reading};
use local::Memory;
use report::{Finding, Report};

/// For requests to other hospitals. A worker that cannot reach this one says so after five seconds.
const TIMINGS: Timings =
    Timings { connect: Duration::from_secs(5), stall: Duration::from_secs(15) };

/// What is checked.
pub struct Patient {
    pub config: Config,
    /// The configuration's file, for the commands that the report recommends.
    pub config_path: PathBuf,
    /// Another node than the configuration's.
    pub node: Option<Url>,
    /// The folder of the node's keys, if it is on this machine.
    pub keystore: Option<PathBuf>,
    /// The node's base path, if it is on this machine.
    pub node_data: Option<PathBuf>,
    /// The hash of the chain's first block, as the hospitals publish it.
    pub genesis: Option<Hash>,
}

/// The checks that need the chain's state.
const OF_THE_CHAIN: [&str; 11] = [
    "agent-key",
    "status",
    "governance",
    "sealing-key",
    "tls-key",
    "worker-url",
    "session-keys",
    "consortium-share",
    "peers",
    "reachable",
    "hospitals",
];
/// The checks that need the node's answers.
const OF_THE_NODE: [&str; 4] = ["genesis", "synchronized", "finality", "runtime"];

/// Checks everything. `clock` is this machine's.
pub async fn examine(patient: &Patient, clock: &dyn Clock) -> Report {
    let Patient { config, config_path, .. } = patient;
    let (memory, worker) = local::worker(config, config_path).await;
    let mut findings = vec![worker];
    findings.extend(local::readiness(config).await);
    findings.push(local::maintenance(config, config_path, clock.now()));
    let keys = match load_keys(config).await {
        Ok(keys) => Some(keys),
        Err(finding) => {
            findings.push(finding);
            None
        }
    };
    let (of_node, readings, own) = chain(patient, clock, memory.as_ref(), keys.as_ref()).await;
    findings.extend(node::of_worker(patient.node.as_ref(), &config.node_url));
    findings.extend(of_node);
    findings.push(clock::judge(readings));
    let remembered = memory.as_ref().and_then(|memory| memory.identity);
    let owner = own.or(remembered).map(owner_line);
    findings.push(local::storage(config, owner.as_deref(), remembered.is_some()).await);
    findings.extend(local::disks(config, patient.node_data.as_deref()));
    findings.push(certificate::check(config, clock.now()));
    Report::new(findings)
}

/// The keys of the configuration.
struct OwnKeys {
    current: ActorKeys,
    tls: TlsKeys,
}

async fn load_keys(config: &Config) -> Result<OwnKeys, Finding> {
    let (keystore, before) = (config.keystore.clone(), config.earlier_keystores.clone());
    let load = move || {
        let current = keys::load(&keystore)?;
        let mut tls = TlsKeys::new(&keystore, &current)?;
        for keystore in &before {
            tls.and_earlier(keystore, &keys::load(keystore)?)?;
        }
        Ok::<_, keys::KeysError>(OwnKeys { current, tls })
    };
    let todo = "correct keystore and earlier_keystores, or restore the files from the backup";
    match spawn_blocking(load).await {
        Ok(Ok(keys)) => Ok(keys),
        Ok(Err(error)) => Err(Finding::problem("keystore", error, todo)),
        Err(error) => Err(Finding::unchecked("keystore", error)),
    }
}

/// Checks the node, and what the chain says. Also returns the clocks that were seen, and which hospital this is.
async fn chain(
    patient: &Patient,
    clock: &dyn Clock,
    memory: Option<&Memory>,
    keys: Option<&OwnKeys>,
) -> (Vec<Finding>, Vec<Reading>, Option<Identity>) {
    let url = patient.node.as_ref().unwrap_or(&patient.config.node_url);
    let chain = match node::connect(url, patient.node.is_none()).await {
        Ok(chain) => chain,
        Err(finding) => {
            let mut findings = vec![finding];
            let why = "the node does not answer";
            findings.extend(node::unread(&OF_THE_NODE, why));
            findings.extend(node::unread(&OF_THE_CHAIN, why));
            return (findings, Vec::new(), None);
        }
    };
    let remembered = memory.and_then(|memory| memory.identity);
    let expected = [
        ("genesis in the configuration", patient.config.genesis),
        ("the journal", remembered.map(|identity| identity.genesis)),
        ("--genesis", patient.genesis),
    ];
    let expected: Vec<_> =
        expected.into_iter().filter_map(|(source, hash)| Some((source, hash?))).collect();
    let genesis = node::genesis(chain.genesis_hash(), &expected);
    let is_other = genesis.is_problem();
    let mut findings = vec![genesis];
    let (progress, reading) = node::progress(&chain, clock).await;
    findings.extend(progress);
    let mut readings: Vec<_> = reading.into_iter().collect();
    if is_other {
        findings.extend(node::unread(&OF_THE_CHAIN, "the node belongs to another chain"));
        return (findings, readings, None);
    }
    let (chain, proven) = proving(chain, patient).await;
    findings.push(proven);
    let Some(keys) = keys else {
        findings.extend(node::unread(&OF_THE_CHAIN, "the keystore cannot be opened"));
        return (findings, readings, None);
    };
    let scene = Scene { patient, clock, memory, keys, chain, url };
    match scene.look().await {
        Ok((seen, clocks, own)) => {
            findings.extend(seen);
            readings.extend(clocks);
            (findings, readings, own)
        }
        Err(error) => {
            let why = format!("the chain could not be read: {error}");
            findings.extend(node::unread(&OF_THE_CHAIN, why));
            (findings, readings, None)
        }
    }
}

/// The same connection, of which only proven answers are believed if the worker does so, too.
async fn proving(chain: Chain, patient: &Patient) -> (Chain, Finding) {
    const CHECK: &str = "node";
    let url = chain.url().to_owned();
    // Without the worker's file of the last verified block, which only the worker's account writes.
    let pinned = match patient.config.pinned() {
        Ok(Some(pinned)) => pinned,
        Ok(None) => {
            return (chain, Finding::ok(CHECK, format!("{url} answers; the worker believes it")));
        }
        Err(error) => {
            let todo = "correct [checkpoint] in the worker's configuration, or remove it. The checks below believe \
                        the node";
            return (chain, Finding::problem(CHECK, error, todo));
        }
    };
    match chain.clone().trusting(Trust::Verified(pinned)).await {
        Ok(proving) => (proving, Finding::ok(CHECK, format!("{url} answers, with proofs"))),
        Err(error) => {
            let todo = "check which program answers at node_url, and this machine's clock. The checks below believe \
                        the node";
            (chain, Finding::problem(CHECK, error, todo))
        }
    }
}

/// What the checks of the chain's state work with.
struct Scene<'a> {
    patient: &'a Patient,
    clock: &'a dyn Clock,
    memory: Option<&'a Memory>,
    keys: &'a OwnKeys,
    chain: Chain,
    url: &'a Url,
}

type Looked = (Vec<Finding>, Vec<Reading>, Option<Identity>);

impl Scene<'_> {
    async fn look(&self) -> Result<Looked, ChainError> {
        let state = self.chain.finalized().await?;
        let account = Account::from(&self.keys.current);
        let found = state.hospital_of(&account.id()).await?;
        let remembered = self.memory.and_then(|memory| memory.identity).map(|it| it.hospital);
        let mut findings = vec![entry::agent(&account.id(), found, remembered)];
        let by_key = found.filter(|(_, duty)| *duty == Duty::Agent).map(|(hospital, _)| hospital);
        let hospitals = state.hospitals().await?;
        let entry_of = |own: HospitalId| hospitals.iter().find(|(id, _)| *id == own);
        let Some((own, entry)) = by_key.or(remembered).and_then(entry_of) else {
            let why = "which hospital this worker is of is not known";
            findings.extend(node::unread(&OF_THE_CHAIN[1..], why));
            return Ok((findings, Vec::new(), None));
        };
        findings.extend(self.of_entry(&state, *own, entry).await?);
        let (ways, readings) = self.ways(*own, &hospitals, account).await;
        findings.extend(ways);
        let identity = Identity { genesis: self.chain.genesis_hash(), hospital: *own };
        Ok((findings, readings, Some(identity)))
    }

    async fn of_entry(
        &self,
        state: &Snapshot,
        own: HospitalId,
        entry: &Hospital,
    ) -> Result<Vec<Finding>, ChainError> {
        let OwnKeys { current, tls } = self.keys;
        let (benched, unready) = (state.benched().await?, state.unready().await?);
        let fetching = self.memory.and_then(|memory| memory.fetching.as_ref());
        let mut findings = vec![
            entry::status(own, entry, &benched, &unready, fetching),
            entry::governance(own, entry, state.hospital_of(&entry.governance).await),
        ];
        findings.extend(entry::keys(entry, &self.patient.config, current, tls));
        let named = state.session_keys(own).await?;
        let keystore = self.patient.keystore.as_deref();
        findings.push(node::session_keys(&self.chain, self.url, named, keystore).await);
        let shares = self.memory.map(|memory| memory.shares.as_slice());
        findings.push(entry::share(own, state.current_epoch().await, shares));
        Ok(findings)
    }

    /// The node's peers, and the other hospitals' workers.
    async fn ways(
        &self,
        own: HospitalId,
        hospitals: &[(HospitalId, Hospital)],
        account: Account,
    ) -> (Vec<Finding>, Vec<Reading>) {
        let courier = Courier::new(account, TIMINGS);
        let heard = self.memory.map(|memory| memory.heard.clone()).unwrap_or_default();
        let genesis = self.chain.genesis_hash();
        let (mut findings, ways, readings) =
            peers::walk(genesis, own, hospitals, &courier, &heard, self.clock).await;
        findings.extend(peers::judge(&ways, &self.patient.config.public_url));
        let others = ways.len();
        findings.push(node::peers(self.chain.health().await, others));
        (findings, readings)
    }
}
