//! The load: doctors who submit visits whatever happens, and followers who note the stages of the visits.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use epione_client::{
    api::VisitStage,
    chain::Chain,
    visit::{Visit, VisitBuilder},
};
use epione_envelope::record::SectionKind;
use epione_primitives::{HospitalId, RecordId, block::SignedAt};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::board::{Acknowledged, Activity, Board};
use crate::{content, dice::Dice, people::Practice};

const RETRY: Duration = Duration::from_millis(300);
/// How long a node may take to say which TLS key a worker has.
const RENEWAL: Duration = Duration::from_secs(2);
/// The pause between two requests for the stages of a worker's open visits, and for how many of them. A worker accepts
/// 20,000 requests of an account in two hours, and while no block becomes final, there are hundreds of open visits.
const POLL: Duration = Duration::from_secs(3);
const FOLLOWED: usize = 5;
const MIB: u64 = 1 << 20;

/// How the doctors work.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Seed of their choices.
    pub seed: u64,
    /// Number of the round, so that no two rounds of a run have the same visits.
    pub round: u32,
    /// Average pause of each doctor between two visits, in milliseconds; more than 0.
    pub pause_ms: u64,
    /// Where the doctors keep media until the worker has them.
    pub folder: PathBuf,
    /// How long a doctor retries one visit: longer than any hospital stays down or cut off.
    pub patience: Duration,
}

/// The doctors and followers of one round.
pub struct Load {
    doctors: Vec<AtWork>,
    followers: Vec<JoinHandle<()>>,
}

/// A doctor's work, until it is told to stop.
struct AtWork {
    hospital: HospitalId,
    stop: watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<()>>,
}

/// Lets every doctor submit visits until the load is finished.
pub fn start(practices: &[Practice], board: &Arc<Board>, terms: &Terms) -> Load {
    let doctor = |practice: &Practice| Doctor {
        practice: practice.clone(),
        board: board.clone(),
        dice: Dice::new(terms.seed, &format!("doctor {} round {}", practice.hospital, terms.round)),
        name: format!("{}-{}-{}", terms.seed, practice.hospital, terms.round),
        terms: terms.clone(),
    };
    let at_work = |practice: &Practice| {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(doctor(practice).work(stopped));
        AtWork { hospital: practice.hospital, stop, task }
    };
    Load {
        doctors: practices.iter().map(at_work).collect(),
        followers: practices
            .iter()
            .map(|it| tokio::spawn(follow(it.clone(), board.clone())))
            .collect(),
    }
}

impl Load {
    /// Waits until every doctor's last visit is acknowledged.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        self.doctors.iter().for_each(AtWork::tell);
        for doctor in &mut self.doctors {
            (&mut doctor.task).await??;
        }
        Ok(())
    }

    /// Waits until the last visit of one hospital's doctors is acknowledged. The others go on.
    pub async fn finish_at(&mut self, hospital: HospitalId) -> anyhow::Result<()> {
        let works_there = |doctor: &AtWork| doctor.hospital == hospital;
        while let Some(index) = self.doctors.iter().position(works_there) {
            let doctor = self.doctors.remove(index);
            doctor.tell();
            doctor.task.await??;
        }
        Ok(())
    }

    /// Fails with the error of a doctor who has given up.
    pub async fn check(&mut self) -> anyhow::Result<()> {
        let Some(index) = self.doctors.iter().position(|doctor| doctor.task.is_finished()) else {
            return Ok(());
        };
        let doctor = self.doctors.remove(index);
        doctor.task.await??;
        bail!("the doctor of hospital {} has stopped", doctor.hospital)
    }
}

impl AtWork {
    /// Tells the doctor to stop after the current visit.
    fn tell(&self) {
        self.stop.send_replace(true);
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.doctors.iter().for_each(|doctor| doctor.task.abort());
        self.followers.iter().for_each(JoinHandle::abort);
    }
}

struct Doctor {
    practice: Practice,
    board: Arc<Board>,
    dice: Dice,
    /// Identifies this doctor in this round.
    name: String,
    terms: Terms,
}

impl Doctor {
    async fn work(mut self, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        let mut number = 0;
        loop {
            number += 1;
            let seed = format!("{}-{number}", self.name);
            let bytes = self.size();
            self.submit(seed, bytes).await?;
            let pause = self.dice.millis(0..2 * self.terms.pause_ms);
            tokio::select! {
                () = sleep(pause) => {}
                // The only change is to stop. The sender is gone only with the whole load.
                _ = stop.changed() => return Ok(()),
            }
        }
    }

    /// The size of the media: mostly small, sometimes several segments, sometimes none.
    fn size(&mut self) -> u64 {
        match self.dice.within(0..100) {
            0..10 => 0,
            10..80 => self.dice.within(1..256 * 1024),
            80..97 => self.dice.within(256 * 1024..2 * MIB),
            _ => self.dice.within(16 * MIB..34 * MIB),
        }
    }

    async fn submit(&mut self, seed: String, bytes: u64) -> anyhow::Result<()> {
        let hospital = self.practice.hospital;
        let file = self.terms.folder.join(format!("{seed}.bin"));
        let text = format!("visit {seed}, nothing new");
        let record = loop {
            let visit = self.visit(&text, &seed, bytes, &file).await?;
            let record = visit.record_id();
            self.board.set(hospital, record, Activity::Uploading);
            let is_acknowledged =
                acknowledged(&self.practice, &visit, self.terms.patience)
                    .await
                    .with_context(|| format!("visit {record} at hospital {hospital}"))?;
            if is_acknowledged {
                break record;
            }
            self.board.drop_unacknowledged(hospital, record);
        };
        self.board.acknowledge(Acknowledged { record, hospital, text, seed, bytes });
        if bytes > 0 {
            tokio::fs::remove_file(&file).await?;
        }
        Ok(())
    }

    async fn visit(
        &self,
        text: &str,
        seed: &str,
        bytes: u64,
        file: &Path,
    ) -> anyhow::Result<Visit> {
        let Practice { chain, patient, hospital, doctor, account, .. } = &self.practice;
        let visit = VisitBuilder::new(chain.genesis_hash(), *patient, *hospital, *doctor);
        let mut visit = visit.text(SectionKind::Summary, text);
        if bytes > 0 {
            let (path, seed) = (file.to_path_buf(), seed.to_owned());
            tokio::task::spawn_blocking(move || content::write(&path, &seed, bytes)).await??;
            visit = visit.file(SectionKind::Media, file);
        }
        // Reading a long file takes its time, and a worker accepts a visit for ten minutes after the signed block.
        let described = visit.describe().await?;
        Ok(described.sign(account, newest(chain, self.terms.patience).await?)?)
    }
}

/// The newest finalized block. Waits for the node if it is down.
async fn newest(chain: &Chain, patience: Duration) -> anyhow::Result<SignedAt> {
    let begun = Instant::now();
    loop {
        match chain.finalized_head().await {
            Ok(head) => return Ok(head.into()),
            Err(error) if begun.elapsed() > patience => return Err(error.into()),
            Err(_) => sleep(RETRY).await,
        }
    }
}

/// Submits a visit, and retries until the worker has acknowledged it. Returns false if the worker does not have the
/// visit, and does not accept it any more because it was signed too long ago.
async fn acknowledged(
    practice: &Practice,
    visit: &Visit,
    patience: Duration,
) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let mut practice = practice.clone();
    loop {
        let Err(error) = practice.worker.submit_visit(visit, |_| {}).await else {
            return Ok(true);
        };
        if error.problem().is_none() {
            practice = renewed(practice).await;
        }
        if error.problem().is_some() && !error.is_transient() {
            let newest = practice.chain.finalized_head().await;
            if newest.is_ok_and(|newest| !visit.is_fresh_at(newest.number)) {
                return Ok(false);
            }
        }
        if begun.elapsed() > patience {
            bail!("not acknowledged after {} s: {error}", patience.as_secs());
        }
        sleep(RETRY).await;
    }
}

/// The practice with the worker's newest TLS key, or unchanged if the node does not answer soon.
async fn renewed(practice: Practice) -> Practice {
    let renewed = timeout(RENEWAL, practice.renewed()).await;
    match renewed {
        Ok(Ok(renewed)) => renewed,
        _ => practice,
    }
}

/// Notes the stages of a hospital's visits, forever.
async fn follow(mut practice: Practice, board: Arc<Board>) {
    let hospital = practice.hospital;
    loop {
        for record in board.open(hospital).into_iter().take(FOLLOWED) {
            // The worker does not answer while it is down, or has another TLS key now.
            let Ok(status) = practice.worker.visit_status(record).await else {
                practice = renewed(practice).await;
                break;
            };
            note(&board, hospital, record, status.stage);
        }
        sleep(POLL).await;
    }
}

fn note(board: &Board, hospital: HospitalId, record: RecordId, stage: VisitStage) {
    let activity = match stage {
        VisitStage::Committed { .. } => return board.settle(hospital, record),
        VisitStage::Packed => Activity::Packed,
        VisitStage::Announced { .. } => Activity::Announced,
        _ => Activity::Queued,
    };
    board.set(hospital, record, activity);
}
