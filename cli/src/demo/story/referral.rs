//! A referral: a doctor of another hospital may read for a limited time, at the hospital that has the records. Then its
//! end, and that of the insurers' period.

use std::time::Duration;

use epione_primitives::{Moment, access::RelationshipKind};

use super::{A, B, Scene, Story, broken, check, reading, sharing};
use crate::{
    commands::{
        records::{self, Purpose},
        relation,
    },
    context::HospitalRef,
    demo::input::Original,
    failure::Failure,
    wording::{counted, moment},
};

/// Minimum time for which the specialist and the insurer may read.
const PERIOD: Duration = Duration::from_secs(40);
/// The chapters during the referral take about as long as this number of retrievals.
const RETRIEVALS: u32 = 6;
/// Pause between two reads of the chain's clock.
const POLL: Duration = Duration::from_millis(250);
/// Long enough that only a chain that stopped exceeds it.
const PATIENCE: Duration = Duration::from_secs(600);

impl Story {
    /// For how long somebody may read: on a slow machine, 40 seconds would end before that person has read.
    pub(super) fn lasting(&self) -> Duration {
        let retrieval = Duration::from_millis(self.report.timings_ms.retrieval);
        Duration::from_secs((retrieval * RETRIEVALS).max(PERIOD).as_secs())
    }

    /// Refers the patient; returns when the referral ends.
    pub(super) async fn refer(
        &mut self,
        scene: Scene<'_>,
        originals: &[Original],
    ) -> Result<Moment, Failure> {
        let lasting = self.lasting();
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

    /// Waits until the referral and the insurers' period end.
    pub(super) async fn periods_end(
        &mut self,
        scene: Scene<'_>,
        [referral, insurance]: [Moment; 2],
    ) -> Result<(), Failure> {
        self.chapter(
            "The referral and the insurers' period have ended by the chain's clock; both requests are refused",
        );
        let Scene { context, cast, .. } = scene;
        let until = referral.max(insurance);
        let chain = context.chain().await?;
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
        let again = reading::request(scene, &cast.specialist, "specialist-after-the-referral");
        let (specialist, insurer) = tokio::join!(
            records::get(&again, context),
            sharing::look(scene, &cast.insurer, Purpose::Payment, "insurer-after-the-period")
        );
        self.refused(&cast.specialist, specialist)?;
        self.refused(&cast.insurer, insurer)
    }
}
