//! Causes faults at the hospitals, at one hospital at a time.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use epione_client::{signer::Account, worker::WorkerClient};
use epione_devnet::{Devnet, HospitalState, Probe, Service};
use epione_primitives::{HospitalId, block::Segment};
use tokio::time::sleep;

use super::{
    HOSPITALS,
    tally::{Fault, Tally},
};
use crate::{
    dice::Dice,
    people::Practice,
    stores::{self, Damage},
    topology::{Cut, Topology},
    visits::{
        board::{Activity, Board},
        calm::is_back,
    },
};

/// The pause between two faults, in milliseconds.
const PAUSE: std::ops::Range<u64> = 0..5_000;
/// How long to wait for the activity that a fault is aimed at.
const AIM: Duration = Duration::from_secs(8);
const LOOK: Duration = Duration::from_millis(5);
/// How long a hospital may take to be ready again: its node starts and catches up, and its worker notices it.
const RECOVERY: Duration = Duration::from_secs(600);
/// The most segments that one fault destroys.
const DESTROYED: u64 = 4;

pub struct Disorder<'a> {
    pub network: &'a mut Devnet,
    /// If absent, the network is not cut.
    pub links: Option<&'a Topology>,
    pub practices: &'a [Practice],
    pub board: &'a Board,
    pub dice: &'a mut Dice,
    pub tally: &'a mut Tally,
    /// The longest that a hospital stays down or cut off, in milliseconds.
    pub down: u64,
    /// Segments that every hospital has; faults destroy some of them at one hospital.
    pub segments: Vec<Segment>,
}

impl Disorder<'_> {
    /// Causes at least one fault, and goes on until `until`. Every hospital is ready again when this returns.
    pub async fn cause_faults(&mut self, until: Instant) -> anyhow::Result<()> {
        let before = self.tally.total();
        let faults = if self.links.is_some() { &Fault::ALL[..] } else { &Fault::WITHOUT_CUTS[..] };
        loop {
            let hospital = self.moment().await;
            let Some(&fault) = self.dice.pick(faults) else { return Ok(()) };
            self.cause(hospital, fault)
                .await
                .with_context(|| format!("{fault:?} at hospital {hospital}"))?;
            self.recovered(hospital).await?;
            self.note_repairs();
            // As long as nothing is stored, destroying segments causes no fault.
            if Instant::now() >= until && self.tally.total() > before {
                return Ok(());
            }
        }
    }

    /// Waits for a random time, or until a hospital has a random activity. Returns the hospital.
    async fn moment(&mut self) -> HospitalId {
        let random = HospitalId(self.dice.within(0..u64::from(HOSPITALS)) as u16);
        if self.dice.chance(40) {
            sleep(self.dice.millis(PAUSE)).await;
            return random;
        }
        let aim = self.dice.pick(&Activity::AIMED).copied().unwrap_or(Activity::Queued);
        let begun = Instant::now();
        while begun.elapsed() < AIM {
            let at = |id: &HospitalId| self.board.at(*id).contains(&aim);
            // Begins at a random hospital, so that none is hit more often than others.
            let order = (0..HOSPITALS).map(|step| HospitalId((random.0 + step) % HOSPITALS));
            if let Some(hospital) = order.into_iter().find(at) {
                // A random time later, so that faults do not always hit the beginning of the activity.
                sleep(self.dice.millis(0..400)).await;
                return hospital;
            }
            sleep(LOOK).await;
        }
        random
    }

    async fn cause(&mut self, hospital: HospitalId, fault: Fault) -> anyhow::Result<()> {
        match fault {
            Fault::WorkerKilled => self.killed(hospital, fault, &[Service::Worker]).await,
            Fault::NodeKilled => self.killed(hospital, fault, &[Service::Node]).await,
            Fault::BothKilled => {
                self.killed(hospital, fault, &[Service::Worker, Service::Node]).await
            }
            Fault::WorkerCutFromNode => {
                self.cut(fault, hospital, Cut::WorkerFromNode(hospital)).await
            }
            Fault::HospitalCutFromOthers => {
                self.cut(fault, hospital, Cut::HospitalFromOthers(hospital)).await
            }
            Fault::SegmentsDestroyed => self.segments_destroyed(hospital).await,
        }
    }

    async fn killed(
        &mut self,
        hospital: HospitalId,
        fault: Fault,
        services: &[Service],
    ) -> anyhow::Result<()> {
        self.tally.count(fault, &self.board.at(hospital));
        for service in services {
            self.network.kill(hospital, *service)?;
        }
        sleep(self.dice.millis(0..self.down)).await;
        for service in services {
            self.network.restart(hospital, *service)?;
        }
        if self.dice.chance(25) {
            // Kills it again while it starts.
            sleep(self.dice.millis(0..3_000)).await;
            for service in services {
                self.network.kill(hospital, *service)?;
                self.network.restart(hospital, *service)?;
            }
        }
        Ok(())
    }

    async fn cut(&mut self, fault: Fault, hospital: HospitalId, cut: Cut) -> anyhow::Result<()> {
        let Some(links) = self.links else { return Ok(()) };
        self.tally.count(fault, &self.board.at(hospital));
        links.cut(cut)?;
        sleep(self.dice.millis(self.down / 10..self.down)).await;
        links.mend(cut)
    }

    /// Destroys segments at one hospital, asks its worker for one of them, and perhaps kills the worker or its node
    /// during the repair. Does nothing while segments are missing at another hospital.
    async fn segments_destroyed(&mut self, hospital: HospitalId) -> anyhow::Result<()> {
        if self.segments.is_empty() || self.board.damaged().keys().any(|id| *id != hospital) {
            return Ok(());
        }
        self.tally.count(Fault::SegmentsDestroyed, &self.board.at(hospital));
        let state = self.state(hospital)?.clone();
        let mut destroyed: Vec<Segment> = Vec::new();
        for _ in 0..self.dice.within(1..DESTROYED + 1) {
            let Some(&segment) = self.dice.pick(&self.segments) else { continue };
            // The worker is asked for the first one: it notices the damage at once, and repairs it.
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
            let (service, fault) = if self.dice.chance(70) {
                (Service::Worker, Fault::WorkerKilled)
            } else {
                (Service::Node, Fault::NodeKilled)
            };
            self.killed(hospital, fault, &[service]).await?;
        }
        asking.abort();
        Ok(())
    }

    /// Asks a hospital's worker for a segment, so that it notices and repairs the damage.
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
            // The worker may be killed before it answers.
            if let Ok(worker) = WorkerClient::for_hospital(&chain, id, agent).await {
                let _ = worker.segment(&segment).await;
            }
        })
    }

    fn state(&self, hospital: HospitalId) -> anyhow::Result<&HospitalState> {
        self.network.state().hospital(hospital).context("the network has no such hospital")
    }

    /// Waits until a hospital is ready again, so that all others work when the next fault occurs. Fails if a process
    /// has ended unexpectedly.
    async fn recovered(&mut self, hospital: HospitalId) -> anyhow::Result<()> {
        let probe = Probe::new()?;
        let begun = Instant::now();
        loop {
            let ended = self.network.ended();
            if !ended.is_empty() {
                bail!("ended unexpectedly: {}", ended.join(", "));
            }
            if is_back(self.network, &probe, hospital).await {
                return Ok(());
            }
            if begun.elapsed() > RECOVERY {
                bail!("hospital {hospital} was not ready again after {} s", RECOVERY.as_secs());
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    fn note_repairs(&self) {
        for (hospital, segments) in self.board.damaged() {
            if let Ok(state) = self.state(hospital) {
                self.board.damage(hospital, stores::missing(&state.store, &segments));
            }
        }
    }
}
