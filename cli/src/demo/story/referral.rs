//! A referral: a doctor of another hospital may read for a limited time, at the hospital that has the records.

use std::time::Duration;

use epione_primitives::{Moment, access::RelationshipKind};

use super::{A, B, Scene, Story, broken, check, reading};
use crate::{
    commands::{records, relation},
    context::HospitalRef,
    demo::input::Original,
    failure::Failure,
    wording::{counted, moment},
};

/// Minimum time for which the specialist may read.
const REFERRAL: Duration = Duration::from_secs(40);
/// The chapters during the referral take about as long as this number of retrievals.
const RETRIEVALS: u32 = 6;
/// Pause between two reads of the chain's clock.
const POLL: Duration = Duration::from_millis(250);
/// Long enough that only a chain that stopped exceeds it.
const PATIENCE: Duration = Duration::from_secs(600);

impl Story {
    /// Refers the patient; returns when the referral ends.
    pub(super) async fn refer(
        &mut self,
        scene: Scene<'_>,
        originals: &[Original],
    ) -> Result<Moment, Failure> {
        // On a slow machine 40 seconds would end before the specialist has read.
        let retrieval = Duration::from_millis(self.report.timings_ms.retrieval);
        let lasting = Duration::from_secs((retrieval * RETRIEVALS).max(REFERRAL).as_secs());
        let seconds = lasting.as_secs();
        self.chapter(&format!(
            "A's doctor refers the patient to B's specialist, for {seconds} seconds"
        ));
        let Scene { context, cast, .. } = scene;
        let relation = relation::UnrelateArgs {
            patient: cast.patient.id,
            professional: cast.specialist.id,
            kind: RelationshipKind::Referral,
            hospital: Some(HospitalRef::Id(A)),
            signer: None,
            as_user: Some(cast.doctor.keys.clone()),
        };
        let refer = relation::RelateArgs { relation, expires: Some(lasting) };
        let referred = relation::relate(&refer, context).await?;
        let until = referred.expires.ok_or_else(|| broken("a referral ends"))?;
        self.line(format!(
            "the doctor signed it and put it on the chain; it ends at {}",
            moment(until)
        ));

        let specialist = &cast.specialist;
        let elsewhere = records::GetArgs {
            from: Some(HospitalRef::Id(B)),
            ..reading::request(scene, specialist, "specialist-at-b")
        };
        let (files, at_b) = tokio::join!(
            reading::read(scene, "specialist", specialist, originals),
            records::get(&elsewhere, context)
        );
        let files = files?;
        let number = counted(files.len(), "file", "files");
        self.line(format!("specialist: {number}, granted by A's worker"));
        self.report.retrieved_files.extend(files);
        let snapshot = context.chain().await?.finalized().await?;
        let registered = snapshot.registration(B, cast.patient.id).await?;
        check(registered.is_none(), "B never received a key of the patient")?;
        self.line("B's worker has neither records nor a key of this patient, and refuses:");
        self.refused(specialist, at_b)?;
        Ok(until)
    }

    /// Waits until the referral ends.
    pub(super) async fn referral_ends(
        &mut self,
        scene: Scene<'_>,
        until: Moment,
    ) -> Result<(), Failure> {
        self.chapter("The referral has ended by the chain's clock; the same request is refused");
        let chain = scene.context.chain().await?;
        let waiting = async {
            loop {
                let time = chain.finalized().await?.time().await?;
                if time >= until {
                    return Ok::<_, Failure>(time);
                }
                tokio::time::sleep(POLL).await;
            }
        };
        let time = tokio::time::timeout(PATIENCE, waiting)
            .await
            .map_err(|_| broken("the chain's clock advances"))??;
        self.line(format!("the time of the newest finalized block is {}", moment(time)));
        let specialist = &scene.cast.specialist;
        let again = reading::request(scene, specialist, "specialist-after-the-referral");
        let outcome = records::get(&again, scene.context).await;
        self.refused(specialist, outcome)
    }
}
