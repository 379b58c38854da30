//! What every drill has in common: a network under a load of visits, an account of what the workers acknowledged, a
//! watch over the final blocks, and the checks at the end.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use epione_devnet::{Devnet, HospitalState, Layout, Probe, Service, Site, Storage};
use epione_primitives::{BlockNumber, HospitalId};
use futures::future::try_join_all;
use tokio::time::sleep;

use super::{
    DrillArgs,
    report::{Figure, Outcome, Step},
    watch::Watch,
};
use crate::{
    node::Node,
    people::Practice,
    programs::Programs,
    storage,
    topology::Topology,
    visits::{
        board::Board,
        calm::{self, Calm},
        load::{self, Load, Terms},
    },
};

/// Blocks of a session.
pub const SESSION_BLOCKS: BlockNumber = epione_runtime::configs::SESSION_BLOCKS;
/// How long everything may take to work again once its cause is gone. A ballot without votes ends after 200 blocks, and
/// its visits are announced again.
pub const RECOVERY: Duration = Duration::from_secs(30 * 60);
/// How long a doctor retries one visit: longer than any drill.
const DOCTORS_PATIENCE: Duration = Duration::from_secs(4 * 60 * 60);
/// How long the load runs before the cause, and after the recovery.
const BEFORE: Duration = Duration::from_secs(60);
const AFTER: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_secs(1);
/// The pause between two lines of progress while a drill waits.
const PROGRESS: Duration = Duration::from_secs(60);
/// Reports of equivocations that are counted at most.
const MOST_REPORTS: u32 = 100;

/// The network that a drill needs.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Hospitals of the network, each with a node and a worker.
    pub hospitals: u16,
    /// The first so many found the chain; all, if absent.
    pub founders: Option<u16>,
    /// The first so many hospitals have a doctor who submits visits.
    pub doctors: u16,
    /// Places behind links that can be cut, at least one for each hospital. If absent, the network is on loopback.
    pub places: Option<u16>,
    pub storage: Storage,
    /// Whether clients begin by believing their nodes. A drill that changes the authorities by force lets them verify
    /// again at its end, from a checkpoint.
    pub trusting: bool,
    /// The file of the runtime with which the chain begins, in the folder of this crate; the node's own, if absent.
    pub runtime: Option<&'static str>,
    /// Further arguments of every node.
    pub node_arguments: &'static [&'static str],
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            hospitals: 4,
            founders: None,
            doctors: 4,
            places: None,
            storage: Storage::Local,
            trusting: false,
            runtime: None,
            node_arguments: &[],
        }
    }
}

/// A drill that is under way.
pub struct Drill {
    pub network: Devnet,
    pub practices: Vec<Practice>,
    pub board: Arc<Board>,
    pub calm: Calm,
    pub watch: Watch,
    links: Option<Topology>,
    loads: Vec<Load>,
    terms: Terms,
    trusting: bool,
    begun: Instant,
    steps: Vec<Step>,
    figures: Vec<Figure>,
}

impl Drill {
    /// Starts the network and the load, and lets the load run for a minute.
    pub async fn begin(
        setting: &Setting,
        args: &DrillArgs,
        programs: &Programs,
    ) -> anyhow::Result<Self> {
        let places = setting.places;
        let links = places.map(|places| Topology::build(places, None, true)).transpose()?;
        let mut layout = links.as_ref().map(Topology::layout).unwrap_or_default();
        settle(&mut layout, setting)?;
        let options = programs.network(&args.dir, setting.hospitals, layout);
        let network = Devnet::up(&options, &|step| println!("{step}")).await?;
        let state = network.state();
        let with_doctor = &state.hospitals[..usize::from(setting.doctors)];
        let practices = with_doctor
            .iter()
            .map(|hospital| Practice::open_as(state, hospital, "", setting.trusting));
        let practices = try_join_all(practices).await?;
        let board = Arc::new(Board::default());
        let mut calm =
            Calm::new(practices.clone(), board.clone(), &args.dir).with_patience(RECOVERY);
        let founders = setting.founders.unwrap_or(setting.hospitals);
        for hospital in (founders..setting.hospitals).map(HospitalId) {
            calm.leave_out(hospital)?;
        }
        let nodes: anyhow::Result<BTreeMap<_, _>> = state.hospitals[..usize::from(founders)]
            .iter()
            .map(|hospital| Ok((hospital.id, Node::new(&hospital.node_url)?)))
            .collect();
        let watch = Watch::begin(nodes?);
        let terms = Terms {
            seed: args.seed,
            round: 1,
            pause_ms: args.pause_ms,
            folder: args.dir.clone(),
            patience: DOCTORS_PATIENCE,
        };
        let loads = vec![load::start(&practices, &board, &terms)];
        let mut drill = Self {
            network,
            practices,
            board,
            calm,
            watch,
            links,
            loads,
            terms,
            trusting: setting.trusting,
            begun: Instant::now(),
            steps: Vec::new(),
            figures: Vec::new(),
        };
        drill.step("the network runs, and doctors submit visits");
        drill.pass("the load before the cause", BEFORE).await?;
        Ok(drill)
    }

    /// Prints what happens, and notes it for the result.
    pub fn step(&mut self, what: impl Into<String>) {
        let (at, what) = (self.begun.elapsed().as_secs(), what.into());
        println!("[{at:>5} s] {what}");
        self.steps.push(Step { at_seconds: at, what });
    }

    /// Notes a figure for the result.
    pub fn figure(&mut self, what: impl Into<String>, seen: impl Into<String>) {
        let figure = Figure { what: what.into(), seen: seen.into() };
        println!("          {}: {}", figure.what, figure.seen);
        self.figures.push(figure);
    }

    /// Notes how long something took.
    pub fn took(&mut self, what: impl Into<String>, since: Instant) {
        self.figure(what, format!("{} s", since.elapsed().as_secs()));
    }

    pub fn links(&self) -> anyhow::Result<&Topology> {
        self.links.as_ref().context("the drill has no links that can be cut")
    }

    pub fn hospital(&self, id: HospitalId) -> anyhow::Result<&HospitalState> {
        self.network.state().hospital(id).context("the network has no such hospital")
    }

    pub fn hospitals(&self, ids: &[HospitalId]) -> anyhow::Result<Vec<HospitalState>> {
        ids.iter().map(|id| self.hospital(*id).cloned()).collect()
    }

    pub fn site(&self, id: HospitalId) -> anyhow::Result<&Site> {
        self.network.site(id).context("the network has no such hospital")
    }

    pub fn node(&self, id: HospitalId) -> anyhow::Result<Node> {
        Node::new(&self.hospital(id)?.node_url)
    }

    /// Kills the node and the worker of a hospital, as a power cut does.
    pub fn kill(&mut self, id: HospitalId) -> anyhow::Result<()> {
        self.network.kill(id, Service::Worker)?;
        Ok(self.network.kill(id, Service::Node)?)
    }

    pub fn restart(&mut self, id: HospitalId) -> anyhow::Result<()> {
        self.network.restart(id, Service::Node)?;
        Ok(self.network.restart(id, Service::Worker)?)
    }

    /// Fails if something has happened that must not happen in any drill.
    pub async fn check(&mut self) -> anyhow::Result<()> {
        self.watch.check().await?;
        for load in &mut self.loads {
            load.check().await?;
        }
        let ended = self.network.ended();
        ensure!(ended.is_empty(), "ended unexpectedly: {}", ended.join(", "));
        Ok(())
    }

    /// Lets time pass.
    pub async fn pass(&mut self, what: &str, time: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + time;
        self.until(what, time + PROGRESS, async || {
            anyhow::Ok((Instant::now() >= until).then_some(()))
        })
        .await
    }

    /// Waits until something has an answer. A question that fails is asked again: what it is asked may be down.
    pub async fn until<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut ask: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let (begun, mut spoken) = (Instant::now(), Instant::now());
        loop {
            self.check().await?;
            let last = match ask().await {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => String::new(),
                Err(error) => format!("; the last error: {error:#}"),
            };
            if begun.elapsed() > limit {
                bail!("waited {} s in vain: {what}{last}", limit.as_secs());
            }
            if spoken.elapsed() > PROGRESS {
                spoken = Instant::now();
                let (newest, visits) = (self.watch.newest().await, self.board.acknowledged().len());
                println!(
                    "          {what}, for {} s; block {newest} is final; {visits} visits are acknowledged",
                    begun.elapsed().as_secs()
                );
            }
            sleep(POLL).await;
        }
    }

    /// Waits until a hospital's worker is ready and its node is not behind the others.
    pub async fn back(&mut self, id: HospitalId) -> anyhow::Result<()> {
        let (probe, begun) = (Probe::new()?, Instant::now());
        while !calm::is_back(&self.network, &probe, id).await {
            self.check().await?;
            ensure!(
                begun.elapsed() < RECOVERY,
                "hospital {id} is not ready again after {} s",
                RECOVERY.as_secs()
            );
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Waits until the final blocks of a hospital's node have grown by this many, and returns how long it took.
    pub async fn finalizes(&mut self, id: HospitalId, more: u32) -> anyhow::Result<Duration> {
        let (node, begun) = (self.node(id)?, Instant::now());
        let from = self.watch.newest().await;
        self.until("waiting for final blocks", RECOVERY, async || {
            anyhow::Ok((node.finalized().await? >= from + more).then_some(()))
        })
        .await?;
        Ok(begun.elapsed())
    }

    /// Registers people at a hospital that has joined, lets its doctor work, and checks the hospital from now on.
    pub async fn take_in(&mut self, id: HospitalId) -> anyhow::Result<()> {
        let state = self.network.state();
        let hospital = state.hospital(id).context("the network has no such hospital")?;
        let practice = Practice::open_as(state, hospital, "", self.trusting).await?;
        self.watch.follow(id, Node::new(&hospital.node_url)?).await;
        self.calm.take_in(practice.clone());
        self.terms.round += 1;
        self.loads.push(load::start(std::slice::from_ref(&practice), &self.board, &self.terms));
        self.practices.push(practice);
        Ok(())
    }

    /// Lets the doctors of a hospital finish, waits until all of its visits are committed, and leaves it out of the
    /// checks from then on.
    pub async fn let_go(&mut self, id: HospitalId) -> anyhow::Result<()> {
        for load in &mut self.loads {
            load.finish_at(id).await?;
        }
        let board = self.board.clone();
        self.until("waiting until the hospital's visits are committed", RECOVERY, async || {
            anyhow::Ok(board.open(id).is_empty().then_some(()))
        })
        .await?;
        self.calm.leave_out(id)
    }

    /// Ends the load, runs all checks, and takes the network down. `offences` tells whether reports of equivocations
    /// are right.
    pub async fn end(mut self, offences: Offences) -> anyhow::Result<Outcome> {
        self.pass("the load after the recovery", AFTER).await?;
        self.step("no doctor begins another visit");
        let begun = Instant::now();
        for load in std::mem::take(&mut self.loads) {
            load.finish().await?;
        }
        self.calm.check(&mut self.network).await?;
        self.took("after the load, until every visit was committed and read back", begun);
        let finality = self.watch.settle(RECOVERY).await?;
        let reports = self.reports().await?;
        offences.check(reports)?;
        self.step("every acknowledged visit is committed once and was read back; no final block was forked");
        let acknowledged = self.board.acknowledged();
        let outcome = Outcome {
            hospitals: self.network.state().hospitals.len(),
            seconds: self.begun.elapsed().as_secs(),
            visits_acknowledged: acknowledged.len(),
            visits_committed: self.calm.records(),
            media_bytes: acknowledged.iter().map(|visit| visit.bytes).sum(),
            blocks: self.calm.height(),
            segments: self.calm.segments().len(),
            finality,
            equivocations: reports,
            figures: self.figures,
            steps: self.steps,
        };
        self.network.down()?;
        Ok(outcome)
    }

    /// How many reports of equivocations the chain has accepted.
    pub async fn reports(&self) -> anyhow::Result<usize> {
        let practice = self.practices.first().context("there are no hospitals")?;
        let prefix = storage::value("Offences", "Reports");
        self.node(practice.hospital)?.count_keys(&prefix, MOST_REPORTS).await
    }
}

/// Which reports of equivocations are right at the end of a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offences {
    /// Nobody may have equivocated.
    None,
    /// Somebody must have equivocated.
    Some,
}

impl Offences {
    fn check(self, reports: usize) -> anyhow::Result<()> {
        match self {
            Self::None => ensure!(reports == 0, "{reports} equivocations were reported"),
            Self::Some => ensure!(reports > 0, "no equivocation was reported"),
        }
        Ok(())
    }
}

/// Workers scrub and give up transfers soon, as in the crash loop.
fn settle(layout: &mut Layout, setting: &Setting) -> anyhow::Result<()> {
    let settings = "[scrub]\nsegments_per_minute = 6000\nevery = \"1min\"\n[transfer]\nstall_timeout = \"5s\"\n";
    layout.worker_settings = toml::from_str(settings)?;
    layout.founders = setting.founders;
    layout.storage = setting.storage;
    layout.runtime = setting.runtime.map(|file| Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
    layout.node_arguments = setting.node_arguments.iter().map(|&it| it.to_owned()).collect();
    Ok(())
}

/// The folder of a node's database and keystore, in its base path. There is one for the network's chain.
pub fn chain_folder(site: &Site) -> anyhow::Result<PathBuf> {
    let chains = site.home().join("node").join("chains");
    let listed = std::fs::read_dir(&chains);
    let mut folders = listed.with_context(|| format!("cannot list {}", chains.display()))?;
    Ok(folders.next().context("the node has no chain yet")??.path())
}

/// Copies a folder with everything in it.
pub fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    let attempt = || -> std::io::Result<()> {
        std::fs::create_dir_all(to)?;
        let mut open = vec![(from.to_path_buf(), to.to_path_buf())];
        while let Some((from, to)) = open.pop() {
            for entry in std::fs::read_dir(&from)? {
                let entry = entry?;
                let target = to.join(entry.file_name());
                if entry.file_type()?.is_dir() {
                    std::fs::create_dir_all(&target)?;
                    open.push((entry.path(), target));
                } else {
                    std::fs::copy(entry.path(), &target)?;
                }
            }
        }
        Ok(())
    };
    attempt().with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_copied_with_everything_in_it() {
        let parent = tempfile::tempdir().unwrap();
        let (from, to) = (parent.path().join("from"), parent.path().join("to"));
        std::fs::create_dir_all(from.join("db/full")).unwrap();
        std::fs::write(from.join("db/full/index"), "1").unwrap();
        std::fs::write(from.join("lock"), "2").unwrap();
        copy_folder(&from, &to).unwrap();
        assert_eq!(std::fs::read_to_string(to.join("db/full/index")).unwrap(), "1");
        assert_eq!(std::fs::read_to_string(to.join("lock")).unwrap(), "2");
        assert!(copy_folder(&parent.path().join("nothing"), &to).is_err());
    }

    #[test]
    fn a_drill_fails_if_somebody_equivocated_or_if_nobody_did_who_should() {
        Offences::None.check(0).unwrap();
        assert!(Offences::None.check(1).is_err());
        Offences::Some.check(1).unwrap();
        assert!(Offences::Some.check(0).is_err());
    }
}
