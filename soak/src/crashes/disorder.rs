//! What befalls the hospitals, one at a time.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use epione_client::{signer::Account, worker::WorkerClient};
use epione_devnet::{Devnet, HospitalState, Probe, Service};
use epione_primitives::{HospitalId, block::Segment};
use tokio::time::sleep;

use super::{
    HOSPITALS,
    board::{Activity, Board},
    tally::{Blow, Tally},
};
use crate::{
    dice::Dice,
    people::Practice,
    stores::{self, Damage},
    topology::{Cut, Topology},
};

/// Pauses between two blows, in milliseconds.
const PAUSE: std::ops::Range<u64> = 0..5_000;
/// How long it is waited for a moment that was aimed at.
const AIM: Duration = Duration::from_secs(8);
const LOOK: Duration = Duration::from_millis(5);
/// Until a hospital must be back: its node starts, catches up, and the worker hears of it.
const RECOVERY: Duration = Duration::from_secs(600);
/// Final blocks that a node may be behind the others and still count as back.
const BEHIND: u32 = 5;
/// Segments destroyed at once, at most.
const DESTROYED: u64 = 4;

pub struct Disorder<'a> {
    pub network: &'a mut Devnet,
    /// Absent, the network is not cut.
    pub links: Option<&'a Topology>,
    pub practices: &'a [Practice],
    pub board: &'a Board,
    pub dice: &'a mut Dice,
    pub tally: &'a mut Tally,
    /// How long a hospital stays down or cut off, at most, in milliseconds.
    pub down: u64,
    /// That every hospital has; some of them are destroyed at one.
    pub segments: Vec<Segment>,
}

impl Disorder<'_> {
    /// Strikes until then, and at least once. What was struck runs again when this returns.
    pub async fn reign(&mut self, until: Instant) -> anyhow::Result<()> {
        let before = self.tally.total();
        let blows = if self.links.is_some() { &Blow::ALL[..] } else { &Blow::WITHOUT_CUTS[..] };
        loop {
            let hospital = self.moment().await;
            let Some(&blow) = self.dice.pick(blows) else { return Ok(()) };
            self.strike(hospital, blow)
                .await
                .with_context(|| format!("{blow:?} at hospital {hospital}"))?;
            self.recovered(hospital).await?;
            self.look_for_whole_segments();
            // Nothing is destroyed where nothing is stored yet: that is no blow.
            if Instant::now() >= until && self.tally.total() > before {
                return Ok(());
            }
        }
    }

    /// Waits for a moment: any, or one at which something goes on somewhere. Returns the hospital.
    async fn moment(&mut self) -> HospitalId {
        let anybody = HospitalId(self.dice.within(0..u64::from(HOSPITALS)) as u16);
        if self.dice.chance(40) {
            sleep(self.dice.millis(PAUSE)).await;
            return anybody;
        }
        let aim = self.dice.pick(&Activity::AIMED).copied().unwrap_or(Activity::Queued);
        let begun = Instant::now();
        while begun.elapsed() < AIM {
            let at = |id: &HospitalId| self.board.at(*id).contains(&aim);
            // From a hospital drawn at random on, so that none is hit more often than others.
            let order = (0..HOSPITALS).map(|step| HospitalId((anybody.0 + step) % HOSPITALS));
            if let Some(hospital) = order.into_iter().find(at) {
                // Somewhere within what goes on, not always at its beginning.
                sleep(self.dice.millis(0..400)).await;
                return hospital;
            }
            sleep(LOOK).await;
        }
        anybody
    }

    async fn strike(&mut self, hospital: HospitalId, blow: Blow) -> anyhow::Result<()> {
        match blow {
            Blow::WorkerKilled => self.killed(hospital, blow, &[Service::Worker]).await,
            Blow::NodeKilled => self.killed(hospital, blow, &[Service::Node]).await,
            Blow::BothKilled => {
                self.killed(hospital, blow, &[Service::Worker, Service::Node]).await
            }
            Blow::WorkerCutFromNode => {
                self.cut(blow, hospital, Cut::WorkerFromNode(hospital)).await
            }
            Blow::HospitalCutFromOthers => {
                self.cut(blow, hospital, Cut::HospitalFromOthers(hospital)).await
            }
            Blow::SegmentsDestroyed => self.robbed(hospital).await,
        }
    }

    async fn killed(
        &mut self,
        hospital: HospitalId,
        blow: Blow,
        parts: &[Service],
    ) -> anyhow::Result<()> {
        self.tally.count(blow, &self.board.at(hospital));
        for part in parts {
            self.network.kill(hospital, *part)?;
        }
        sleep(self.dice.millis(0..self.down)).await;
        for part in parts {
            self.network.restart(hospital, *part)?;
        }
        if self.dice.chance(25) {
            // Once more, while it starts.
            sleep(self.dice.millis(0..3_000)).await;
            for part in parts {
                self.network.kill(hospital, *part)?;
                self.network.restart(hospital, *part)?;
            }
        }
        Ok(())
    }

    async fn cut(&mut self, blow: Blow, hospital: HospitalId, cut: Cut) -> anyhow::Result<()> {
        let Some(links) = self.links else { return Ok(()) };
        self.tally.count(blow, &self.board.at(hospital));
        links.cut(cut)?;
        sleep(self.dice.millis(self.down / 10..self.down)).await;
        links.mend(cut)
    }

    /// Destroys segments at one hospital, asks its worker for one of them, and perhaps kills the worker
    /// or its node while it repairs. Never while another hospital lacks segments.
    async fn robbed(&mut self, hospital: HospitalId) -> anyhow::Result<()> {
        if self.segments.is_empty() || self.board.damaged().keys().any(|id| *id != hospital) {
            return Ok(());
        }
        self.tally.count(Blow::SegmentsDestroyed, &self.board.at(hospital));
        let state = self.state(hospital)?.clone();
        let mut destroyed: Vec<Segment> = Vec::new();
        for _ in 0..self.dice.within(1..DESTROYED + 1) {
            let Some(&segment) = self.dice.pick(&self.segments) else { continue };
            // The first is asked for: its damage is noticed, and repaired, at once.
            let flipped = destroyed.is_empty() || self.dice.chance(50);
            let damage = if flipped { Damage::BitFlipped } else { Damage::Deleted };
            if destroyed.iter().all(|it| it.hash != segment.hash)
                && stores::is_whole(&state.store, &segment)
            {
                stores::destroy(&state.store, &segment, damage)?;
                destroyed.push(segment);
            }
        }
        self.tally.segments_destroyed += destroyed.len();
        let Some(&asked_for) = destroyed.first() else { return Ok(()) };
        self.board.damage(hospital, destroyed);
        let asking = tokio::spawn(self.ask(&state, asked_for)?);
        if self.dice.chance(60) {
            sleep(self.dice.millis(0..200)).await;
            let (part, blow) = if self.dice.chance(70) {
                (Service::Worker, Blow::WorkerKilled)
            } else {
                (Service::Node, Blow::NodeKilled)
            };
            self.killed(hospital, blow, &[part]).await?;
        }
        asking.abort();
        Ok(())
    }

    /// Asks a hospital's worker for a segment: it notices the damage, and repairs it.
    fn ask(
        &self,
        hospital: &HospitalState,
        segment: Segment,
    ) -> anyhow::Result<impl Future<Output = ()> + Send + use<>> {
        let practice = self
            .practices
            .iter()
            .find(|practice| practice.hospital == hospital.id)
            .context("a hospital without a doctor")?;
        let (chain, id) = (practice.chain.clone(), hospital.id);
        let agent = Account::development(&hospital.agent)?;
        Ok(async move {
            // It may well be killed before it answers.
            if let Ok(worker) = WorkerClient::for_hospital(&chain, id, agent).await {
                let _ = worker.segment(&segment).await;
            }
        })
    }

    fn state(&self, hospital: HospitalId) -> anyhow::Result<&HospitalState> {
        self.network.state().hospital(hospital).context("no such hospital")
    }

    /// Waits until a hospital is back, so that the next blow finds all others well; and nothing may have
    /// ended by itself.
    async fn recovered(&mut self, hospital: HospitalId) -> anyhow::Result<()> {
        let probe = Probe::new()?;
        let begun = Instant::now();
        loop {
            let ended = self.network.ended();
            if !ended.is_empty() {
                bail!("ended by itself: {}", ended.join(", "));
            }
            if is_back(self.network, &probe, hospital).await {
                return Ok(());
            }
            if begun.elapsed() > RECOVERY {
                bail!("hospital {hospital} was not back after {} s", RECOVERY.as_secs());
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    fn look_for_whole_segments(&self) {
        for (hospital, segments) in self.board.damaged() {
            if let Ok(state) = self.state(hospital) {
                self.board.damage(hospital, stores::lacking(&state.store, &segments));
            }
        }
    }
}

/// Whether a hospital's worker is ready, and its node not behind the others.
pub async fn is_back(network: &Devnet, probe: &Probe, hospital: HospitalId) -> bool {
    let (mut newest, mut own) = (0, None);
    for state in &network.state().hospitals {
        let view = probe.node(&state.node_url).await;
        newest = newest.max(view.map_or(0, |view| view.finalized));
        if state.id == hospital {
            own = view;
            if !probe.worker_is_ready(&state.node_url, state.id).await {
                return false;
            }
        }
    }
    own.is_some_and(|view| view.finalized + BEHIND >= newest)
}
