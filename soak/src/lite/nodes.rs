//! The nodes of a network whose first block already has lite blocks. There are no workers: a worker fetches the bodies
//! of all committed blocks, and nobody has the generated ones.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use epione_client::Account;
use epione_devnet::{Options, Phase, Plan, Probe, Process, State};
use tokio::time::sleep;

use super::{
    history::History,
    specification::{self, Size},
};

/// How long the nodes may need until they finalize a block: each compiles the runtime first.
const PATIENCE: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(200);

/// Nodes that run. Dropping the value kills them.
pub struct Nodes {
    pub directory: PathBuf,
    pub state: State,
    /// Of all hospitals, in their order.
    pub agents: Vec<Account>,
    /// Of the first block.
    pub generated: Generated,
    processes: Vec<Process>,
    /// Reserves the ports.
    _plan: Plan,
}

/// What was generated, and how long it took.
#[derive(Clone, Copy, Debug)]
pub struct Generated {
    pub size: Size,
    pub took: Duration,
}

impl Nodes {
    /// Generates the chain's first block with this history, and starts a node of each hospital from it.
    pub async fn start(options: &Options, history: History) -> anyhow::Result<Self> {
        let directory = claimed(&options.directory)?;
        let options = Options { directory: directory.clone(), ..options.clone() };
        let plan = Plan::prepare(&options).await?;
        let state = plan.state();
        let agents = state.hospitals.iter().map(|hospital| Account::development(&hospital.agent));
        let agents: Vec<Account> = agents.collect::<Result<_, _>>()?;
        let generated = generate(&directory, history, agents.clone()).await?;
        let nodes = plan.sites().iter().filter_map(|site| plan.node(site));
        let processes = nodes.map(Process::in_own_group).collect();
        let mut nodes = Self { directory, state, agents, generated, processes, _plan: plan };
        nodes.run().await?;
        Ok(nodes)
    }

    async fn run(&mut self) -> anyhow::Result<()> {
        for (process, hospital) in self.processes.iter_mut().zip(&mut self.state.hospitals) {
            hospital.node = Some(process.start()?);
        }
        self.state.write(&self.directory)?;
        println!("waiting until every node has finalized a block");
        let probe = Probe::new()?;
        let urls: Vec<String> =
            self.state.hospitals.iter().map(|hospital| hospital.node_url.clone()).collect();
        for url in &urls {
            let genesis = self.answer(async || probe.genesis(url).await).await?;
            ensure!(
                *self.state.genesis.get_or_insert(genesis) == genesis,
                "the node at {url} has another first block than the first node"
            );
        }
        for url in &urls {
            self.answer(async || probe.node(url).await.filter(|view| view.finalized > 0)).await?;
        }
        self.state.phase = Phase::Running;
        self.state.write(&self.directory)?;
        Ok(())
    }

    /// Asks until there is an answer. Fails if a node ends, or after some time.
    async fn answer<T>(&mut self, ask: impl AsyncFn() -> Option<T>) -> anyhow::Result<T> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = ask().await {
                return Ok(answer);
            }
            for node in &mut self.processes {
                if let Some(status) = node.ended() {
                    bail!("{} ended ({status}): see {}", node.name(), node.log().display());
                }
            }
            ensure!(
                Instant::now() < until,
                "the nodes did not finalize a block within {} s: see {}/logs",
                PATIENCE.as_secs(),
                self.directory.display()
            );
            sleep(POLL).await;
        }
    }

    /// Ends the nodes, and removes their data.
    pub fn down(self) -> anyhow::Result<()> {
        Ok(epione_devnet::down(&self.directory)?)
    }
}

/// Makes the directory of the network. [`epione_devnet::down`] ends a network only in a directory that has its lock.
fn claimed(directory: &Path) -> anyhow::Result<PathBuf> {
    let claim = || {
        fs::create_dir_all(directory)?;
        let directory = directory.canonicalize()?;
        fs::write(directory.join("devnet.lock"), "")?;
        Ok::<_, std::io::Error>(directory)
    };
    claim().with_context(|| format!("cannot write to {}", directory.display()))
}

/// Writes the history into the chain specification of the network in this directory.
async fn generate(
    directory: &Path,
    history: History,
    agents: Vec<Account>,
) -> anyhow::Result<Generated> {
    println!("generating {} lite blocks in the chain's first block", history.blocks);
    let begun = Instant::now();
    let path = directory.join("data/chain.json");
    let work = move || specification::change(&path, |genesis| history.after(genesis, &agents));
    let size = tokio::task::spawn_blocking(work)
        .await
        .context("generating the lite blocks failed")?
        .context("the lite blocks cannot be generated")?;
    Ok(Generated { size, took: begun.elapsed() })
}
