//! The patient replaces keys, and reads without any hospital's permission.

use super::{A, B, Person, Scene, Story, broken, check, reading};
use crate::{
    commands::{
        audit::who_looked::{WhoLookedArgs, who_looked},
        records,
        user::{
            confirmation::{self, ConfirmArgs},
            rotation::{self, Outcome, RotateArgs},
        },
    },
    context::{HospitalRef, Output},
    demo::input::Original,
    failure::Failure,
    identity::KeySource,
    wording::counted,
};

impl Story {
    /// Replaces the patient's keys; returns the patient with the new ones.
    pub(super) async fn rotate(
        &mut self,
        scene: Scene<'_>,
        originals: &[Original],
    ) -> Result<Person, Failure> {
        self.chapter(
            "The patient replaces both keys, and A confirms the new ones; the old records stay readable",
        );
        let Scene { args, context, cast, .. } = scene;
        let next = KeySource::File(args.dir.join("keys").join("patient-2.json"));
        let rotate = RotateArgs { signer: cast.patient.keys.clone(), next: next.clone() };
        let rotated = rotation::rotate(&rotate, context).await?;
        let outcomes: Vec<_> = rotated.hospitals.iter().map(|it| it.outcome).collect();
        check(
            rotated.rotated_now && outcomes == [Outcome::AwaitingConfirmation],
            "A does not seal the profile to new keys at once: a thief could have rotated them",
        )?;
        self.line(
            "a thief could do the same, so A waits for its delay, or until its staff confirms",
        );
        let confirm = ConfirmArgs {
            user: cast.patient.id,
            keys: Some(next.clone()),
            sealing_key: None,
            signer: None,
            hospital: Some(HospitalRef::Id(A)),
        };
        let confirmed = confirmation::confirm(&confirm, context).await?;
        self.line(confirmed.to_string());
        let rotated = rotation::rotate(&rotate, context).await?;
        check(
            rotated.passed() && !rotated.rotated_now,
            "every hospital sealed the profile to the new key",
        )?;
        for line in rotated.to_string().lines() {
            self.line(line);
        }
        let old = records::get(&reading::request(scene, &cast.patient, "old-key"), context).await;
        let Err(refused) = old else { return Err(broken("the old key is refused")) };
        self.line(format!("with the old key file: {}", refused.error));
        let patient = Person { id: cast.patient.id, keys: next, label: "patient" };
        let who = "patient, with new keys";
        let files = reading::read(scene, who, &patient, originals).await?;
        let number = counted(files.len(), "file", "files");
        self.line(format!("with the new key file: {number}, every byte as before"));
        self.report.retrieved_files.extend(files);
        Ok(patient)
    }

    pub(super) async fn own_key(
        &mut self,
        scene: Scene<'_>,
        patient: &Person,
        originals: &[Original],
    ) -> Result<(), Failure> {
        self.chapter(
            "The patient reads with their own key, from B's storage; no permission is needed",
        );
        let list =
            WhoLookedArgs { patient: Some(patient.id), signer: None, limit: None, refused: false };
        let before = who_looked(&list, scene.context).await?.looks.len();
        let who = "patient, own key";
        let request = records::GetArgs {
            own_key: true,
            from: Some(HospitalRef::Id(B)),
            ..reading::request(scene, patient, who)
        };
        let retrieved = records::get(&request, scene.context).await?;
        let files = reading::compare(who, &retrieved, originals)?;
        let number = counted(files.len(), "file", "files");
        self.line(format!("{number}, every byte as it was submitted"));
        self.report.retrieved_files.extend(files);
        let after = who_looked(&list, scene.context).await?.looks.len();
        check(before == after, "reading with the patient's own key leaves no receipt")
    }
}
