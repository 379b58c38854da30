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
use tokio::{task::JoinHandle, time::sleep};

use super::{
    CrashesArgs,
    board::{Acknowledged, Activity, Board},
};
use crate::{content, dice::Dice, people::Practice};

/// How long a doctor retries one visit: longer than any hospital stays down or cut off.
const PATIENCE: Duration = Duration::from_secs(900);
const RETRY: Duration = Duration::from_millis(300);
/// The pause between two requests for the stages of a worker's open visits. There are about five at a time, and a
/// worker accepts 20,000 requests of an account in two hours.
const POLL: Duration = Duration::from_secs(3);
const MIB: u64 = 1 << 20;

/// The doctors and followers of one round.
pub struct Load {
    doctors: Vec<JoinHandle<anyhow::Result<()>>>,
    followers: Vec<JoinHandle<()>>,
}

/// Lets every doctor submit visits until then.
pub fn start(
    practices: &[Practice],
    board: &Arc<Board>,
    seed: u64,
    round: u32,
    args: &CrashesArgs,
    until: Instant,
) -> Load {
    let doctor = |practice: &Practice| Doctor {
        practice: practice.clone(),
        board: board.clone(),
        dice: Dice::new(seed, &format!("doctor {} round {round}", practice.hospital)),
        name: format!("{seed}-{}-{round}", practice.hospital),
        folder: args.dir.clone(),
        pause: args.pause_ms,
    };
    Load {
        doctors: practices.iter().map(|it| tokio::spawn(doctor(it).work(until))).collect(),
        followers: practices
            .iter()
            .map(|it| tokio::spawn(follow(it.clone(), board.clone())))
            .collect(),
    }
}

impl Load {
    /// Waits until every doctor's last visit is acknowledged.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        for doctor in &mut self.doctors {
            doctor.await??;
        }
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.doctors.iter().for_each(JoinHandle::abort);
        self.followers.iter().for_each(JoinHandle::abort);
    }
}

struct Doctor {
    practice: Practice,
    board: Arc<Board>,
    dice: Dice,
    /// Identifies this doctor in this round.
    name: String,
    folder: PathBuf,
    pause: u64,
}

impl Doctor {
    async fn work(mut self, until: Instant) -> anyhow::Result<()> {
        let mut number = 0;
        while Instant::now() < until {
            number += 1;
            let seed = format!("{}-{number}", self.name);
            let bytes = self.size();
            self.submit(seed, bytes).await?;
            let pause = self.dice.millis(0..2 * self.pause);
            sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
        }
        Ok(())
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
        let file = self.folder.join(format!("{seed}.bin"));
        let text = format!("visit {seed}, nothing new");
        let record = loop {
            let visit = self.visit(&text, &seed, bytes, &file).await?;
            let record = visit.record_id();
            self.board.set(hospital, record, Activity::Uploading);
            let is_acknowledged = acknowledged(&self.practice, &visit)
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
        Ok(described.sign(account, newest(chain).await?)?)
    }
}

/// The newest finalized block. Waits for the node if it is down.
async fn newest(chain: &Chain) -> anyhow::Result<SignedAt> {
    let begun = Instant::now();
    loop {
        match chain.finalized_head().await {
            Ok(head) => return Ok(head.into()),
            Err(error) if begun.elapsed() > PATIENCE => return Err(error.into()),
            Err(_) => sleep(RETRY).await,
        }
    }
}

/// Submits a visit, and retries until the worker has acknowledged it. Returns false if the worker does not have the
/// visit, and does not accept it any more because it was signed too long ago.
async fn acknowledged(practice: &Practice, visit: &Visit) -> anyhow::Result<bool> {
    let begun = Instant::now();
    loop {
        let Err(error) = practice.worker.submit_visit(visit, |_| {}).await else {
            return Ok(true);
        };
        if error.problem().is_some() && !error.is_transient() {
            let newest = practice.chain.finalized_head().await;
            if newest.is_ok_and(|newest| !visit.is_fresh_at(newest.number)) {
                return Ok(false);
            }
        }
        if begun.elapsed() > PATIENCE {
            bail!("not acknowledged after {} s: {error}", PATIENCE.as_secs());
        }
        sleep(RETRY).await;
    }
}

/// Notes the stages of a hospital's visits, forever.
async fn follow(practice: Practice, board: Arc<Board>) {
    let hospital = practice.hospital;
    loop {
        for record in board.open(hospital) {
            // The worker does not answer while it is down.
            let Ok(status) = practice.worker.visit_status(record).await else { break };
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
