//! A referral: a doctor of another hospital reads for a while, at the hospital whose records they are.

use std::time::Duration;

use epione_primitives::Moment;

use super::{A, B, Scene, Story, broken, check, reading};
use crate::{
    commands::{
        records,
        relation::{self, Kind},
    },
    context::HospitalRef,
    demo::input::Original,
    failure::Failure,
    wording::moment,
};

/// How long the specialist may read, at least.
const REFERRAL: Duration = Duration::from_secs(40);
/// What happens under the referral takes about as long as so many retrievals did before.
const RETRIEVALS: u32 = 6;
/// How often the chain's clock is looked at.
const POLL: Duration = Duration::from_millis(250);
/// The chain's clock stands still only if the chain does.
const PATIENCE: Duration = Duration::from_secs(600);

impl Story {
    /// Refers the patient, and tells until when.
    pub(super) async fn refer(
        &mut self,
        scene: Scene<'_>,
        originals: &[Original],
    ) -> Result<Moment, Failure> {
        // On a slow machine 40 seconds are over before anybody has read.
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
            kind: Kind::Referral,
            hospital: Some(HospitalRef::Id(A)),
            signer: None,
            as_user: Some(cast.doctor.keys.clone()),
        };
        let refer = relation::RelateArgs { relation, expires: Some(lasting) };
        let referred = relation::relate(&refer, context).await?;
        let until = referred.expires.ok_or_else(|| broken("a referral ends"))?;
        self.line(format!(
            "the doctor's own signature put it on the chain, until {}",
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
        self.line(format!("specialist: {} files, granted by A's worker", files.len()));
        self.report.retrieved_files.extend(files);
        let snapshot = context.chain().await?.finalized().await?;
        let registered = snapshot.registration(B, cast.patient.id).await?;
        check(registered.is_none(), "B was never given a key of the patient")?;
        self.line("B's worker has no key of this patient, and says so:");
        self.refused(specialist, at_b)?;
        Ok(until)
    }

    /// Waits until the referral is over.
    pub(super) async fn referral_ends(
        &mut self,
        scene: Scene<'_>,
        until: Moment,
    ) -> Result<(), Failure> {
        self.chapter("The referral is over by the chain's clock; the same request is refused");
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
            .map_err(|_| broken("the chain's clock goes on"))??;
        self.line(format!("the newest final block is of {}", moment(time)));
        let specialist = &scene.cast.specialist;
        let again = reading::request(scene, specialist, "specialist-after-the-referral");
        let outcome = records::get(&again, scene.context).await;
        self.refused(specialist, outcome)
    }
}
