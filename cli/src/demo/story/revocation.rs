//! A permission is revoked, and the time until that takes effect is measured.

use std::time::{Duration, Instant};

use epione_client::{
    api::SegmentLink,
    reader,
    worker::{WorkerClient, WorkerError},
};
use epione_primitives::{access::RelationshipKind, block::Segment};

use super::{A, Cast, FIRST, Scene, Story, broken, check, reading};
use crate::{
    commands::relation,
    context::HospitalRef,
    demo::report::{Revocation, millis},
    failure::Failure,
    identity,
};

/// Pause between two uses of the link.
const POLL: Duration = Duration::from_millis(100);
/// Long enough that only a hang exceeds it.
const PATIENCE: Duration = Duration::from_secs(600);

impl Story {
    pub(super) async fn revoke(&mut self, scene: Scene<'_>) -> Result<(), Failure> {
        self.chapter(
            "The patient ends the relationship with the family doctor; the links stop working",
        );
        let Scene { context, cast, .. } = scene;
        let doctor = &cast.doctor;
        let (granted, _) = reading::grant(scene, doctor).await?;
        let chain = context.chain().await?;
        let (_, record) = reader::verified(chain, FIRST).await?;
        let segments = record.segments();
        let segment = segments.first().ok_or_else(|| broken("the first record has segments"))?;
        let name = hex::encode(segment.hash);
        let link = granted.reply.links.iter().find(|link| link.segment == name);
        let link = link.ok_or_else(|| broken("there is a link to every segment"))?;
        let worker = context.worker(A, identity::account(&context.keys(&doctor.keys)?)).await?;
        worker.segment_by_link(segment, link).await?;
        self.line("the link works");

        let begun = Instant::now();
        let unrelated = async {
            relation::unrelate(&end_of_relationship(cast), context).await?;
            Ok::<_, Failure>(begun.elapsed())
        };
        let link_refused = async {
            refuses(&worker, segment, link).await?;
            Ok::<_, Failure>(begun.elapsed())
        };
        let both = async { tokio::try_join!(unrelated, link_refused) };
        let (unrelated, link_refused) = tokio::time::timeout(PATIENCE, both)
            .await
            .map_err(|_| broken("the link stops working when the permission ends"))??;
        let outcome = reading::grant(scene, doctor).await;
        let request_refused = begun.elapsed();
        let in_force = chain.finalized().await?.is_in_force(granted.grant.hash()).await?;
        check(!in_force, "the chain says that the old grant is not in force")?;
        self.report.revocation_ms = Revocation {
            unrelated_final: millis(unrelated),
            link_refused: millis(link_refused),
            request_refused: millis(request_refused),
        };
        self.line(format!(
            "the link was refused {} ms after the patient's command, which was finalized after {} \
             ms",
            millis(link_refused),
            millis(unrelated)
        ));
        self.refused(doctor, outcome)?;
        self.line(format!(
            "refused and recorded {} ms after the command; the doctor keeps the files that were \
             read before",
            millis(request_refused)
        ));
        Ok(())
    }
}

fn end_of_relationship(cast: &Cast) -> relation::UnrelateArgs {
    relation::UnrelateArgs {
        patient: cast.patient.id,
        professional: cast.doctor.id,
        kind: RelationshipKind::FamilyDoctor,
        hospital: Some(HospitalRef::Id(A)),
        signer: None,
        as_user: Some(cast.patient.keys.clone()),
    }
}

/// Returns when the worker refuses the link.
async fn refuses(
    worker: &WorkerClient,
    segment: &Segment,
    link: &SegmentLink,
) -> Result<(), Failure> {
    loop {
        match worker.segment_by_link(segment, link).await {
            Ok(_) => tokio::time::sleep(POLL).await,
            Err(WorkerError::Problem(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
