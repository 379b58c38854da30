//! Blocks are recomputed, and a damaged segment harms nobody.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use epione_client::verify;
use epione_devnet::Storage;
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
    failure::Failure,
};

/// Ends only what hangs.
const PATIENCE: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(250);

impl Story {
    pub(super) async fn verify(&mut self, scene: Scene<'_>) -> Result<(), Failure> {
        self.chapter(
            "Anybody recomputes the blocks; every hospital shows its copy of the segments",
        );
        for height in [1, 2] {
            let verified = verified(scene.context, height, A).await?;
            self.line(format!("block {height} passes all {} checks", verified.checks.len()));
        }
        for hospital in &self.report.hospitals {
            comes_to_hold(scene.context, 1, hospital.id).await?;
        }
        self.line("A, B, C and D hold the same segments");
        Ok(())
    }

    pub(super) async fn damage(
        &mut self,
        scene: Scene<'_>,
        originals: &[Original],
    ) -> Result<(), Failure> {
        self.chapter("A segment in A's store is damaged; nobody reads a wrong byte");
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
                    "A's store holds the right bytes again",
                )?;
                self.line(match scene.args.store {
                    Storage::Local => {
                        "A's worker noticed, fetched the segment from its peers and served it whole"
                    }
                    Storage::S3 => {
                        "the reader noticed and asked A's worker, which fetched the segment from its peers, \
                         served it whole and mended the bucket"
                    }
                });
            }
            Err(failure) => {
                check(failure.denial.is_none(), "the reader is not refused")?;
                self.line(format!("the reader gets a clear error instead: {}", failure.error));
            }
        }
        Ok(())
    }

    /// Flips a byte in the middle of the first segment of block 1, on A's disk.
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

/// Two approvals commit a block: a slower hospital may still be fetching its segments.
async fn comes_to_hold(
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

/// Verifies a block, with a hospital's copy of its segments.
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
