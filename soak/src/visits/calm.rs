//! The checks after a round: every process runs, no doctor submits, and nothing may be lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use epione_client::{
    api::{MAX_GRANT_RECORDS, VisitStage},
    chain::{Pinned, Trust},
    reader::{OpenContent, OpenRecord, Reader},
    signer::Account,
    worker::WorkerClient,
};
use epione_devnet::{Devnet, HospitalState, Probe};
use epione_primitives::{HospitalId, RecordId, RecordPointer, UserId, block::Segment};
use futures::future::try_join_all;
use tokio::time::sleep;

use super::board::{Acknowledged, Board};
use crate::{
    content,
    dice::Dice,
    people::{Practice, TREATMENT},
    stores,
    walk::Walk,
};

/// How long each check may take to succeed once everything runs, unless the run says otherwise: a ballot without votes
/// ends after ten minutes, and its visits are announced again.
const PATIENCE: Duration = Duration::from_secs(900);
/// How many finalized blocks a node may be behind the others and still count as ready again.
const BEHIND: u32 = 5;
const POLL: Duration = Duration::from_millis(500);
/// Attempts at reading before it fails, and the pause between them.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_secs(3);
/// How many random visits are read again at the end.
const SAMPLE: usize = 200;

pub struct Calm {
    practices: Vec<Practice>,
    board: Arc<Board>,
    folder: PathBuf,
    walk: Walk,
    /// How many acknowledged visits were read back, and how many segments were checked at every hospital.
    read: usize,
    whole: usize,
    patience: Duration,
    /// Hospitals that are no longer part of the network.
    gone: BTreeSet<HospitalId>,
}

impl Calm {
    pub fn new(practices: Vec<Practice>, board: Arc<Board>, folder: &Path) -> Self {
        let (folder, walk) = (folder.to_path_buf(), Walk::default());
        let (patience, gone) = (PATIENCE, BTreeSet::new());
        Self { practices, board, folder, walk, read: 0, whole: 0, patience, gone }
    }

    /// Gives each check this long.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// From now on, nothing of this hospital is checked but what it has committed. Fails if its worker has acknowledged
    /// visits that are not committed.
    pub fn leave_out(&mut self, hospital: HospitalId) -> anyhow::Result<()> {
        let open = self.board.open(hospital);
        ensure!(open.is_empty(), "acknowledged by hospital {hospital}, not committed: {open:?}");
        self.gone.insert(hospital);
        Ok(())
    }

    /// From now on, the hospital of this practice is checked, too.
    pub fn take_in(&mut self, practice: Practice) {
        self.gone.remove(&practice.hospital);
        self.practices.push(practice);
    }

    /// From now on, the doctors of the hospitals that are part of the network believe only what is proven.
    pub async fn verify(&mut self, pinned: &Pinned) -> anyhow::Result<()> {
        let gone = &self.gone;
        for practice in self.practices.iter_mut().filter(|it| !gone.contains(&it.hospital)) {
            let trust = Trust::Verified(pinned.clone());
            practice.chain = practice.chain.clone().trusting(trust).await?;
        }
        self.renew().await
    }

    /// The doctors of the hospitals that are part of the network.
    fn present(&self) -> impl Iterator<Item = &Practice> {
        self.practices.iter().filter(|practice| !self.gone.contains(&practice.hospital))
    }

    /// The segments of all committed blocks so far.
    pub fn segments(&self) -> Vec<Segment> {
        self.walk.segments.clone()
    }

    pub fn records(&self) -> usize {
        self.walk.records.len()
    }

    pub fn height(&self) -> u32 {
        self.walk.height
    }

    /// Checks everything that is new since the last check.
    pub async fn check(&mut self, network: &mut Devnet) -> anyhow::Result<()> {
        let begun = Instant::now();
        self.all_run(network).await?;
        self.renew().await?;
        let acknowledged = self.board.acknowledged();
        self.committed(&acknowledged).await?;
        self.settled().await?;
        self.read_back(&acknowledged[self.read..]).await?;
        let new = self.walk.segments[self.whole..].to_vec();
        self.all_whole(network, new).await?;
        for hospital in self.board.damaged().into_keys() {
            self.board.damage(hospital, Vec::new());
        }
        println!(
            "  calm: {} visits are committed, each once; {} were read back; every hospital has {} segments undamaged \
             ({:.0} s)",
            acknowledged.len(),
            acknowledged.len() - self.read,
            self.walk.segments.len(),
            begun.elapsed().as_secs_f64()
        );
        (self.read, self.whole) = (acknowledged.len(), self.walk.segments.len());
        Ok(())
    }

    /// Checks every segment at every hospital again, and reads some of all visits again.
    pub async fn check_everything(
        &mut self,
        network: &mut Devnet,
        dice: &mut Dice,
    ) -> anyhow::Result<()> {
        self.all_run(network).await?;
        self.renew().await?;
        self.all_whole(network, self.segments()).await?;
        let acknowledged = self.board.acknowledged();
        let mut sample = BTreeMap::new();
        for _ in 0..SAMPLE {
            if let Some(visit) = dice.pick(&acknowledged) {
                sample.insert(visit.record, visit.clone());
            }
        }
        let sample: Vec<_> = sample.into_values().collect();
        self.read_back(&sample).await
    }

    /// A worker can have got another TLS key since its doctor used it for the last time.
    async fn renew(&mut self) -> anyhow::Result<()> {
        let gone = &self.gone;
        for practice in self.practices.iter_mut().filter(|it| !gone.contains(&it.hospital)) {
            *practice = practice.renewed().await?;
        }
        Ok(())
    }

    async fn all_run(&self, network: &mut Devnet) -> anyhow::Result<()> {
        let probe = Probe::new()?;
        let begun = Instant::now();
        for practice in self.present() {
            while !is_back(network, &probe, practice.hospital).await {
                ensure!(
                    begun.elapsed() < self.patience,
                    "hospital {} is not ready again",
                    practice.hospital
                );
                sleep(POLL).await;
            }
        }
        let ended = network.ended();
        ensure!(ended.is_empty(), "ended unexpectedly: {}", ended.join(", "));
        Ok(())
    }

    /// Checks that every acknowledged visit is on the chain, and no record twice.
    async fn committed(&mut self, acknowledged: &[Acknowledged]) -> anyhow::Result<()> {
        let chain = self.present().next().context("there are no hospitals")?.chain.clone();
        let begun = Instant::now();
        loop {
            self.walk.go_on(&chain).await?;
            let repeated = self.walk.repeated();
            ensure!(repeated.is_empty(), "committed more than once: {repeated:?}");
            let missing = |it: &&Acknowledged| !self.walk.records.contains_key(&it.record);
            let missing: Vec<_> = acknowledged.iter().filter(missing).collect();
            if missing.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > self.patience {
                let named: Vec<_> = missing
                    .iter()
                    .map(|visit| format!("{} (hospital {})", visit.record, visit.hospital))
                    .collect();
                bail!("acknowledged but not committed: {}", named.join(", "));
            }
            sleep(POLL).await;
        }
    }

    /// Checks that every worker reports its visits as committed, with the right pointers.
    async fn settled(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !self.board.is_settled() {
            for practice in &self.practices {
                for record in self.board.open(practice.hospital) {
                    self.settle(practice, record).await?;
                }
            }
            ensure!(
                begun.elapsed() < self.patience,
                "visits are committed, but their workers do not report it: {:?}",
                self.practices.iter().map(|it| self.board.open(it.hospital)).collect::<Vec<_>>()
            );
            // A worker accepts a limited number of requests of an account.
            sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn settle(&self, practice: &Practice, record: RecordId) -> anyhow::Result<()> {
        // If the worker does not answer yet, the caller asks again.
        let Ok(status) = practice.worker.visit_status(record).await else { return Ok(()) };
        if let VisitStage::Committed { pointer } = status.stage {
            let found = self.pointer(record)?;
            ensure!(found == pointer, "{record} is at {found}, but its worker reports {pointer}");
            self.board.settle(practice.hospital, record);
        }
        Ok(())
    }

    fn pointer(&self, record: RecordId) -> anyhow::Result<RecordPointer> {
        let pointers = self.walk.records.get(&record);
        pointers.and_then(|all| all.first()).copied().context("the record is in no block")
    }

    /// Every doctor reads their visits back, at all hospitals at the same time.
    async fn read_back(&self, visits: &[Acknowledged]) -> anyhow::Result<()> {
        let reading = self.present().map(|practice| self.read_at(practice, visits));
        try_join_all(reading).await.map(drop)
    }

    async fn read_at(&self, practice: &Practice, visits: &[Acknowledged]) -> anyhow::Result<()> {
        let own: Vec<_> = visits.iter().filter(|it| it.hospital == practice.hospital).collect();
        let reader = practice.reader()?;
        let read = Read { reader: &reader, patient: practice.patient, folder: &self.folder };
        for some in own.chunks(MAX_GRANT_RECORDS) {
            let pointers = some.iter().map(|visit| self.pointer(visit.record));
            read.all(&pointers.collect::<anyhow::Result<Vec<_>>>()?, some).await?;
        }
        Ok(())
    }

    /// Waits until every store has these segments and those that were destroyed, all undamaged.
    async fn all_whole(&self, network: &Devnet, segments: Vec<Segment>) -> anyhow::Result<()> {
        let segments = Arc::new(segments);
        let damaged = self.board.damaged();
        let hospitals = network.state().hospitals.iter();
        for hospital in hospitals.filter(|hospital| !self.gone.contains(&hospital.id)) {
            let destroyed = damaged.get(&hospital.id).cloned().unwrap_or_default();
            self.whole_at(hospital, segments.clone(), destroyed).await?;
        }
        Ok(())
    }

    async fn whole_at(
        &self,
        hospital: &HospitalState,
        segments: Arc<Vec<Segment>>,
        destroyed: Vec<Segment>,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        let store = hospital.store.clone();
        let mut missing = tokio::task::spawn_blocking(move || {
            let mut missing = stores::missing(&store, &segments);
            missing.extend(stores::missing(&store, &destroyed));
            missing
        })
        .await?;
        while !missing.is_empty() {
            ensure!(
                begun.elapsed() < self.patience,
                "{} segments are missing or damaged at {}: {}",
                missing.len(),
                hospital.name,
                missing.iter().map(|it| hex::encode(it.hash)).collect::<Vec<_>>().join(", ")
            );
            self.ask_for(hospital, &missing).await?;
            sleep(POLL).await;
            let store = hospital.store.clone();
            missing =
                tokio::task::spawn_blocking(move || stores::missing(&store, &missing)).await?;
        }
        Ok(())
    }

    /// A worker that is asked for a damaged segment repairs it; it notices a missing one at its next scrub.
    async fn ask_for(&self, hospital: &HospitalState, segments: &[Segment]) -> anyhow::Result<()> {
        let own = self.practices.iter().find(|practice| practice.hospital == hospital.id);
        let practice = own.or_else(|| self.present().next());
        let chain = &practice.context("there are no hospitals")?.chain;
        let agent = Account::development(&hospital.agent)?;
        let worker = WorkerClient::for_hospital(chain, hospital.id, agent).await?;
        for segment in segments {
            // The caller checks the store.
            let _ = worker.segment(segment).await;
        }
        Ok(())
    }
}

/// Whether a hospital's worker is ready, and its node is not far behind the others.
pub async fn is_back(network: &Devnet, probe: &Probe, hospital: HospitalId) -> bool {
    let (mut newest, mut own) = (0, None);
    for state in &network.state().hospitals {
        let view = probe.node(&state.node_url).await;
        newest = newest.max(view.map_or(0, |view| view.finalized));
        if state.id == hospital {
            own = view;
            if !probe.worker_is_ready(&state.operators_url).await {
                return false;
            }
        }
    }
    own.is_some_and(|view| view.finalized + BEHIND >= newest)
}

/// One doctor's reading.
struct Read<'a> {
    reader: &'a Reader,
    patient: UserId,
    folder: &'a Path,
}

impl Read<'_> {
    async fn all(
        &self,
        pointers: &[RecordPointer],
        expected: &[&Acknowledged],
    ) -> anyhow::Result<()> {
        let mut attempt = 1;
        loop {
            match self.attempt(pointers, expected).await {
                Err(error) if attempt >= ATTEMPTS => {
                    return Err(error.context("acknowledged but not readable"));
                }
                Err(_) => {
                    attempt += 1;
                    sleep(PAUSE).await;
                }
                Ok(()) => return Ok(()),
            }
        }
    }

    async fn attempt(
        &self,
        pointers: &[RecordPointer],
        expected: &[&Acknowledged],
    ) -> anyhow::Result<()> {
        let opened = self.reader.open(self.patient, pointers, TREATMENT).await?;
        ensure!(opened.len() == expected.len(), "{} records of {}", opened.len(), expected.len());
        for (record, visit) in opened.iter().zip(expected) {
            self.same(record, visit).await.with_context(|| format!("visit {}", visit.record))?;
        }
        Ok(())
    }

    /// Checks that a record contains what its doctor wrote.
    async fn same(&self, record: &OpenRecord, visit: &Acknowledged) -> anyhow::Result<()> {
        ensure!(record.summary.record_id == visit.record, "another record is at its pointer");
        let sections = if visit.bytes > 0 { 2 } else { 1 };
        ensure!(record.sections.len() == sections, "it has {} sections", record.sections.len());
        for section in &record.sections {
            match &section.content {
                OpenContent::Text { text, .. } => {
                    ensure!(**text == visit.text, "the text differs from the one submitted")
                }
                OpenContent::Media { .. } => {
                    let to = self.folder.join(format!("read-{}", visit.seed));
                    // An attempt that failed can have left it.
                    let _ = tokio::fs::remove_file(&to).await;
                    self.reader.save_media(record, section.index, &to, |_| {}).await?;
                    let (path, seed, bytes) = (to.clone(), visit.seed.clone(), visit.bytes);
                    let same = move || content::is_in(&path, &seed, bytes);
                    let same = tokio::task::spawn_blocking(same).await??;
                    ensure!(same, "the media differ from those submitted");
                    tokio::fs::remove_file(&to).await?;
                }
                OpenContent::NotGranted => bail!("section {} was not granted", section.index),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_committed_visit_has_a_pointer() {
        let board = Arc::new(Board::default());
        let mut calm = Calm::new(Vec::new(), board, Path::new("."));
        let record = RecordId([1; 16]);
        assert!(calm.pointer(record).is_err());
        let pointer = RecordPointer { height: 1, index: 0 };
        calm.walk.records.insert(record, vec![pointer]);
        assert_eq!(calm.pointer(record).unwrap(), pointer);
        calm.walk.records.insert(record, vec![pointer, pointer]);
        assert_eq!(calm.walk.repeated().len(), 1);
    }

    #[test]
    fn a_hospital_with_visits_that_are_not_committed_cannot_be_left_out() {
        let board = Arc::new(Board::default());
        let mut calm = Calm::new(Vec::new(), board.clone(), Path::new("."));
        let (hospital, record) = (HospitalId(2), RecordId([1; 16]));
        let (text, seed) = (String::new(), String::new());
        board.acknowledge(Acknowledged { record, hospital, text, seed, bytes: 0 });
        assert!(calm.leave_out(hospital).is_err());
        board.settle(hospital, record);
        calm.leave_out(hospital).unwrap();
    }
}
