//! A whole network: from nothing to finalized blocks and workers that are ready, and back.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use epione_primitives::HospitalId;

use crate::{
    Claim, DevnetError, Options, Phase, Plan, Probe, Process, ProcessRecord, Service, Site, State,
    down, processes::Processes,
};

/// A node compiles its runtime when it starts; on a busy machine this takes long.
const NODE_PATIENCE: Duration = Duration::from_secs(300);
/// The nodes must connect to each other and vote.
const FINALITY_PATIENCE: Duration = Duration::from_secs(300);
const WORKER_PATIENCE: Duration = Duration::from_secs(300);

/// A network that this process started. Dropping it takes the network down. If that fails, `devnet.json` stays, and
/// [`down`](crate::down) tries again and says what failed.
pub struct Devnet {
    claim: Claim,
    state: State,
    plan: Plan,
    processes: Processes,
    probe: Probe,
    has_workers: bool,
    armed: bool,
}

impl Devnet {
    /// Starts a network; `say` is called with a description of every step. On failure, and when the future is dropped,
    /// everything that was started is taken down.
    pub async fn up(options: &Options, say: &(dyn Fn(&str) + Sync)) -> Result<Self, DevnetError> {
        let claim = Claim::fresh(&options.directory)?;
        down::clear(claim.directory())?;
        say("writing keys and configurations, and building the chain's first block");
        let directory = claim.directory().to_path_buf();
        let mut unstarted = Unstarted(Some(directory.clone()));
        let plan = Plan::prepare(&Options { directory, ..options.clone() }).await?;
        let mut devnet = Self {
            claim,
            state: State { supervisor: ProcessRecord::of(std::process::id()).ok(), ..plan.state() },
            processes: Processes::of(&plan),
            plan,
            probe: Probe::new()?,
            has_workers: !options.layout.without_workers,
            armed: true,
        };
        // From here on, dropping the devnet removes its data.
        unstarted.0 = None;
        devnet.save()?;
        devnet.start(say).await?;
        Ok(devnet)
    }

    async fn start(&mut self, say: &(dyn Fn(&str) + Sync)) -> Result<(), DevnetError> {
        if let Some(server) = &mut self.processes.s3_server {
            say("starting the network's S3 server");
            self.state.s3_server = Some(server.start()?);
            self.save()?;
        }
        let nodes = names(self.plan.founding_validators(), Service::Node);
        say(&format!("waiting until {nodes} have compiled the runtime and answer"));
        self.start_nodes().await?;
        if self.has_workers {
            for hospital in ids(self.plan.founders()) {
                self.start_process(hospital, Service::Worker)?;
            }
        }
        say("waiting until the nodes are connected and each has finalized a block");
        for site in self.plan.founding_validators() {
            let (probe, url) = (&self.probe, site.addresses().node_url());
            let ask = async || probe.node(&url).await.filter(|view| view.finalized > 0);
            self.processes.wait(site.id(), Service::Node, FINALITY_PATIENCE, ask).await?;
        }
        if self.has_workers {
            self.await_workers(say).await?;
        }
        self.state.phase = Phase::Running;
        self.save()
    }

    async fn await_workers(&mut self, say: &(dyn Fn(&str) + Sync)) -> Result<(), DevnetError> {
        let workers = names(self.plan.founders(), Service::Worker);
        say(&format!("waiting until {workers} are ready"));
        for site in self.plan.founders() {
            let (probe, url) = (&self.probe, site.addresses().operators_url());
            let ask = async || probe.worker_is_ready(&url).await.then_some(());
            self.processes.wait(site.id(), Service::Worker, WORKER_PATIENCE, ask).await?;
        }
        Ok(())
    }

    /// Starts all nodes, and checks that they have the same first block.
    async fn start_nodes(&mut self) -> Result<(), DevnetError> {
        for hospital in ids(self.plan.founding_validators()) {
            self.start_process(hospital, Service::Node)?;
        }
        for site in self.plan.founding_validators() {
            let (probe, url) = (&self.probe, site.addresses().node_url());
            let ask = async || probe.genesis(&url).await;
            let genesis = self.processes.wait(site.id(), Service::Node, NODE_PATIENCE, ask).await?;
            if *self.state.genesis.get_or_insert(genesis) != genesis {
                return Err(DevnetError::Split { node: url });
            }
        }
        self.pin_workers()?;
        self.save()
    }

    /// Workers verify what a node on another machine says.
    fn pin_workers(&self) -> Result<(), DevnetError> {
        let Some(genesis) = self.state.genesis else { return Ok(()) };
        let sites = self.plan.sites().iter();
        let mut elsewhere = sites.filter(|site| site.addresses().node_is_elsewhere());
        elsewhere.try_for_each(|site| site.pin(genesis))
    }

    fn start_process(&mut self, hospital: HospitalId, service: Service) -> Result<(), DevnetError> {
        let record = self.processes.get(hospital, service)?.start()?;
        self.record(hospital, service, Some(record))
    }

    fn record(
        &mut self,
        hospital: HospitalId,
        service: Service,
        record: Option<ProcessRecord>,
    ) -> Result<(), DevnetError> {
        if let Some(entry) = self.state.hospitals.get_mut(usize::from(hospital.0)) {
            match service {
                Service::Node => entry.node = record,
                Service::Worker => entry.worker = record,
            }
        }
        self.save()
    }

    fn save(&self) -> Result<(), DevnetError> {
        self.state.write(self.claim.directory())
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn directory(&self) -> &Path {
        self.claim.directory()
    }

    /// Files and addresses of every hospital.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The files and addresses of one hospital.
    pub fn site(&self, hospital: HospitalId) -> Option<&Site> {
        self.plan.sites().iter().find(|site| site.id() == hospital)
    }

    /// Kills a process as `kill -9` and power cuts do, and waits until it has ended. Does nothing if it does not run.
    pub fn kill(&mut self, hospital: HospitalId, service: Service) -> Result<(), DevnetError> {
        self.processes.get(hospital, service)?.kill()?;
        self.record(hospital, service, None)
    }

    /// Starts a process that was killed or has ended; does not wait until it is ready. Its log is continued. Does
    /// nothing if the process runs.
    pub fn restart(&mut self, hospital: HospitalId, service: Service) -> Result<(), DevnetError> {
        self.start_process(hospital, service)
    }

    /// Names of the processes that have ended since the last call, and how they ended.
    pub fn ended(&mut self) -> Vec<String> {
        let ended = |process: &mut Process| {
            process.ended().map(|status| format!("{} ({status})", process.name()))
        };
        self.processes.all().filter_map(ended).collect()
    }

    /// Whether any of its processes runs, as far as [`Self::ended`] has seen.
    pub fn is_alive(&self) -> bool {
        self.processes.any_started()
    }

    /// Lets the network run on without this process.
    pub fn detach(mut self) -> Result<State, DevnetError> {
        self.state.supervisor = None;
        self.save()?;
        self.armed = false;
        self.processes.all().for_each(Process::detach);
        Ok(self.state.clone())
    }

    /// Ends every process and removes all files of the network except its logs.
    pub fn down(mut self) -> Result<(), DevnetError> {
        self.take_down()
    }

    fn take_down(&mut self) -> Result<(), DevnetError> {
        self.armed = false;
        let ended = down::end_all(&self.state);
        for process in self.processes.all() {
            // Reaps it. If it ended with an error, its log says so.
            process.ended();
        }
        ended?;
        down::clear(self.claim.directory())
    }
}

/// Removes the files of a network of which nothing was started yet.
struct Unstarted(Option<PathBuf>);

impl Drop for Unstarted {
    fn drop(&mut self) {
        if let Some(directory) = &self.0 {
            // What stays is removed before the next network starts here.
            let _ = down::clear(directory);
        }
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        if self.armed {
            // The state that stays says what could not be ended.
            let _ = self.take_down();
        }
    }
}

fn ids(sites: &[Site]) -> Vec<HospitalId> {
    sites.iter().map(Site::id).collect()
}

fn names(sites: &[Site], service: Service) -> String {
    let names = sites.iter().map(|site| site.process_name(service));
    names.collect::<Vec<_>>().join(", ")
}
