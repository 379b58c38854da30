//! Blocks are verified, and a damaged segment is repaired.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use epione_client::verify;
use epione_envelope::segment::{self, object_key};
use epione_primitives::{HospitalId, block::Segment};

use super::{A, Scene, Story, broken, check, reading};
use crate::{
    commands::{
        block::{self, Verified},
        records,
    },
    context::{Context, HospitalRef},
    demo::input::Original,
    devnet::Storage,
    failure::Failure,
    wording::counted,
};

/// Long enough that only a hang exceeds it.
const PATIENCE: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(250);

impl Story {
    pub(super) async fn verify(&mut self, scene: Scene<'_>) -> Result<(), Failure> {
        self.chapter("The blocks are verified, with every hospital's copy of the segments");
        for height in [1, 2] {
            let verified = verified(scene.context, height, A).await?;
            let checks = counted(verified.checks.len(), "check", "checks");
            self.line(format!("block {height} passes all {checks}"));
        }
        for hospital in &self.report.hospitals {
            eventually_verified(scene.context, 1, hospital.id).await?;
        }
        self.line("A, B, C and D have the same segments");
        Ok(())
    }

    pub(super) async fn damage(
        &mut self,
        scene: Scene<'_>,
        originals: &[Original],
    ) -> Result<(), Failure> {
        self.chapter("A segment in A's storage is damaged; no reader receives a wrong byte");
        let (damaged, path) = self.damage_segment(scene).await?;
        let request = reading::request(scene, &scene.cast.doctor, "after-damage");
        match records::get(&request, scene.context).await {
            Ok(retrieved) => {
                let who = "doctor, after the damage";
                let compared = reading::compare(who, &retrieved, originals)?;
                self.report.retrieved_files.extend(compared);
                let stored = fs::read(&path).map_err(|error| Failure::file(&path, &error))?;
                check(
                    segment::verify(&damaged, &stored).is_ok(),
                    "A's storage has the right bytes again",
                )?;
                self.line(match scene.args.store {
                    Storage::Local => {
                        "A's worker detected it, fetched the segment from other hospitals and served that"
                    }
                    Storage::S3 => {
                        "the reader detected it; A's worker fetched the segment from other hospitals, served \
                         that and repaired the bucket"
                    }
                });
            }
            Err(failure) => {
                check(failure.denial.is_none(), "the reader is not refused")?;
                self.line(format!("the reader receives an error instead: {}", failure.error));
            }
        }
        Ok(())
    }

    /// Changes a byte in the middle of the first segment of block 1, on A's disk.
    async fn damage_segment(&self, scene: Scene<'_>) -> Result<(Segment, PathBuf), Failure> {
        let evidence = verify::gather(scene.context.chain().await?, 1).await?;
        let segments = verify::segments(&evidence)?;
        let segment = segments.first().ok_or_else(|| broken("the first block has segments"))?;
        let hospital = scene.network.state().hospital(A).ok_or_else(|| broken("A is up"))?;
        let path = hospital.store.join(object_key(&segment.hash));
        let mut bytes = fs::read(&path).map_err(|error| Failure::file(&path, &error))?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x01;
        fs::write(&path, &bytes).map_err(|error| Failure::file(&path, &error))?;
        self.line(format!("byte {middle} of {} bytes was changed on disk", bytes.len()));
        Ok((*segment, path))
    }
}

/// Verifies a block with a hospital's copy of its segments. Two approvals commit a block, so another hospital may still
/// be fetching them.
async fn eventually_verified(
    context: &Context,
    height: u32,
    hospital: HospitalId,
) -> Result<Verified, Failure> {
    let until = Instant::now() + PATIENCE;
    loop {
        match verified(context, height, hospital).await {
            Err(_) if Instant::now() < until => tokio::time::sleep(POLL).await,
            outcome => return outcome,
        }
    }
}

/// Verifies a block with a hospital's copy of its segments.
async fn verified(
    context: &Context,
    height: u32,
    hospital: HospitalId,
) -> Result<Verified, Failure> {
    let hospital = Some(HospitalRef::Id(hospital));
    let verify = block::VerifyArgs { height, segments: true, hospital, signer: None };
    let verified = block::verified(&verify, context).await?;
    if !verified.passed {
        return Err(broken(&verified.to_string()));
    }
    Ok(verified)
}
