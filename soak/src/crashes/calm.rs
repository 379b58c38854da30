//! Everything runs, nobody submits: time to look whether anything was lost.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use epione_client::{
    api::{MAX_GRANT_RECORDS, VisitStage},
    reader::{OpenContent, OpenRecord, Reader},
    signer::Account,
    worker::WorkerClient,
};
use epione_devnet::{Devnet, HospitalState, Probe};
use epione_primitives::{RecordId, RecordPointer, UserId, block::Segment};
use futures::future::try_join_all;
use tokio::time::sleep;

use super::{
    board::{Acknowledged, Board},
    disorder,
};
use crate::{
    content,
    dice::Dice,
    people::{Practice, TREATMENT},
    stores,
    walk::Walk,
};

/// How long each of the promises may take to come true once everything runs: a ballot that nobody
/// answered ends after ten minutes, and its visits are announced again.
const PATIENCE: Duration = Duration::from_secs(900);
const POLL: Duration = Duration::from_millis(500);
/// Attempts at reading before it counts as failed, and the pause between them.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_secs(3);
/// Visits of earlier rounds that are read once more at the end.
const SAMPLE: usize = 200;

pub struct Calm {
    practices: Vec<Practice>,
    board: Arc<Board>,
    folder: PathBuf,
    walk: Walk,
    /// Acknowledged visits that were read back, and segments that were whole everywhere.
    read: usize,
    whole: usize,
}

impl Calm {
    pub fn new(practices: Vec<Practice>, board: Arc<Board>, folder: &Path) -> Self {
        let (folder, walk) = (folder.to_path_buf(), Walk::default());
        Self { practices, board, folder, walk, read: 0, whole: 0 }
    }

    /// Segments of all blocks that were checked.
    pub fn segments(&self) -> Vec<Segment> {
        self.walk.segments.clone()
    }

    pub fn records(&self) -> usize {
        self.walk.records.len()
    }

    pub fn height(&self) -> u32 {
        self.walk.height
    }

    /// Checks what is new since the last check.
    pub async fn check(&mut self, network: &mut Devnet) -> anyhow::Result<()> {
        let begun = Instant::now();
        self.all_run(network).await?;
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
            "  calm: {} visits are committed, each once; {} were read back; {} segments are whole \
             everywhere ({:.0} s)",
            acknowledged.len(),
            acknowledged.len() - self.read,
            self.walk.segments.len(),
            begun.elapsed().as_secs_f64()
        );
        (self.read, self.whole) = (acknowledged.len(), self.walk.segments.len());
        Ok(())
    }

    /// Checks every segment at every hospital again, and reads some of the earlier visits once more.
    pub async fn check_everything(
        &mut self,
        network: &mut Devnet,
        dice: &mut Dice,
    ) -> anyhow::Result<()> {
        self.all_run(network).await?;
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

    async fn all_run(&self, network: &mut Devnet) -> anyhow::Result<()> {
        let probe = Probe::new()?;
        let begun = Instant::now();
        for practice in &self.practices {
            while !disorder::is_back(network, &probe, practice.hospital).await {
                ensure!(
                    begun.elapsed() < PATIENCE,
                    "hospital {} does not come back",
                    practice.hospital
                );
                sleep(POLL).await;
            }
        }
        let ended = network.ended();
        ensure!(ended.is_empty(), "ended by itself: {}", ended.join(", "));
        Ok(())
    }

    /// Every acknowledged visit is on the chain, and no record twice.
    async fn committed(&mut self, acknowledged: &[Acknowledged]) -> anyhow::Result<()> {
        let chain = self.practices.first().context("there are no hospitals")?.chain.clone();
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
            if begun.elapsed() > PATIENCE {
                let named: Vec<_> = missing
                    .iter()
                    .map(|visit| format!("{} (hospital {})", visit.record, visit.hospital))
                    .collect();
                bail!("acknowledged and not committed: {}", named.join(", "));
            }
            sleep(POLL).await;
        }
    }

    /// Every worker says of every visit that was under way that it is committed, and where it is.
    async fn settled(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !self.board.is_settled() {
            for practice in &self.practices {
                for record in self.board.open(practice.hospital) {
                    self.settle(practice, record).await?;
                }
            }
            ensure!(
                begun.elapsed() < PATIENCE,
                "visits are committed, and their workers do not say so: {:?}",
                self.practices.iter().map(|it| self.board.open(it.hospital)).collect::<Vec<_>>()
            );
            sleep(POLL).await;
        }
        Ok(())
    }

    async fn settle(&self, practice: &Practice, record: RecordId) -> anyhow::Result<()> {
        // Not an answer yet, at worst: it is asked again.
        let Ok(status) = practice.worker.visit_status(record).await else { return Ok(()) };
        if let VisitStage::Committed { pointer } = status.stage {
            let place = self.place(record)?;
            ensure!(place == pointer, "{record} is at {place}, and its worker says {pointer}");
            self.board.settle(practice.hospital, record);
        }
        Ok(())
    }

    fn place(&self, record: RecordId) -> anyhow::Result<RecordPointer> {
        let places = self.walk.records.get(&record);
        places.and_then(|places| places.first()).copied().context("a record that is nowhere")
    }

    /// Every doctor reads their visits back; all hospitals at once.
    async fn read_back(&self, visits: &[Acknowledged]) -> anyhow::Result<()> {
        let reading = self.practices.iter().map(|practice| self.read_at(practice, visits));
        try_join_all(reading).await.map(drop)
    }

    async fn read_at(&self, practice: &Practice, visits: &[Acknowledged]) -> anyhow::Result<()> {
        let own: Vec<_> = visits.iter().filter(|it| it.hospital == practice.hospital).collect();
        let reader = practice.reader()?;
        let read = Read { reader: &reader, patient: practice.patient, folder: &self.folder };
        for some in own.chunks(MAX_GRANT_RECORDS) {
            let pointers = some.iter().map(|visit| self.place(visit.record));
            read.all(&pointers.collect::<anyhow::Result<Vec<_>>>()?, some).await?;
        }
        Ok(())
    }

    /// Every store has these segments and those that were destroyed, or gets them soon.
    async fn all_whole(&self, network: &Devnet, segments: Vec<Segment>) -> anyhow::Result<()> {
        let segments = Arc::new(segments);
        let damaged = self.board.damaged();
        for hospital in &network.state().hospitals {
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
        let mut lacking = tokio::task::spawn_blocking(move || {
            let mut lacking = stores::lacking(&store, &segments);
            lacking.extend(stores::lacking(&store, &destroyed));
            lacking
        })
        .await?;
        while !lacking.is_empty() {
            ensure!(
                begun.elapsed() < PATIENCE,
                "{} segments are not whole at {}: {}",
                lacking.len(),
                hospital.name,
                lacking.iter().map(|it| hex::encode(it.hash)).collect::<Vec<_>>().join(", ")
            );
            self.ask_for(hospital, &lacking).await?;
            sleep(POLL).await;
            let store = hospital.store.clone();
            lacking =
                tokio::task::spawn_blocking(move || stores::lacking(&store, &lacking)).await?;
        }
        Ok(())
    }

    /// Who is asked for a damaged segment repairs it; what is missing is noticed by the next scrub.
    async fn ask_for(&self, hospital: &HospitalState, segments: &[Segment]) -> anyhow::Result<()> {
        let practice = self.practices.iter().find(|practice| practice.hospital == hospital.id);
        let chain = &practice.context("a hospital without a doctor")?.chain;
        let agent = Account::development(&hospital.agent)?;
        let worker = WorkerClient::for_hospital(chain, hospital.id, agent).await?;
        for segment in segments {
            // Whether it was done is looked at in the store.
            let _ = worker.segment(segment).await;
        }
        Ok(())
    }
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
                    return Err(error.context("acknowledged, and not readable"));
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

    /// Whether a record holds what its doctor wrote.
    async fn same(&self, record: &OpenRecord, visit: &Acknowledged) -> anyhow::Result<()> {
        ensure!(record.summary.record_id == visit.record, "another record is in its place");
        let sections = if visit.bytes > 0 { 2 } else { 1 };
        ensure!(record.sections.len() == sections, "it has {} sections", record.sections.len());
        for section in &record.sections {
            match &section.content {
                OpenContent::Text { text, .. } => ensure!(**text == visit.text, "another text"),
                OpenContent::Media { .. } => {
                    let to = self.folder.join(format!("read-{}", visit.seed));
                    // Of an attempt that failed.
                    let _ = tokio::fs::remove_file(&to).await;
                    self.reader.save_media(record, section.index, &to, |_| {}).await?;
                    let (path, seed, bytes) = (to.clone(), visit.seed.clone(), visit.bytes);
                    let same = move || content::is_in(&path, &seed, bytes);
                    let same = tokio::task::spawn_blocking(same).await??;
                    ensure!(same, "other bytes came back");
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
    fn a_visit_that_is_nowhere_is_no_place() {
        let board = Arc::new(Board::default());
        let mut calm = Calm::new(Vec::new(), board, Path::new("."));
        let record = RecordId([1; 16]);
        assert!(calm.place(record).is_err());
        let pointer = RecordPointer { height: 1, index: 0 };
        calm.walk.records.insert(record, vec![pointer]);
        assert_eq!(calm.place(record).unwrap(), pointer);
        calm.walk.records.insert(record, vec![pointer, pointer]);
        assert_eq!(calm.walk.repeated().len(), 1);
    }
}
