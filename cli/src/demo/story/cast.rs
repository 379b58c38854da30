//! The persons of the story.

use std::time::Duration;

use epione_primitives::{HospitalId, UserId, access::RelationshipKind, profile::Role};

use super::{A, B, C, Story, letter};
use crate::{
    commands::{keys, relation, user},
    context::{Context, HospitalRef},
    demo::Args,
    failure::Failure,
    identity::KeySource,
};

/// A person with their own key file.
pub(super) struct Person {
    pub id: UserId,
    pub keys: KeySource,
    /// The person's name in the story, and that of the key file.
    pub label: &'static str,
}

pub(super) struct Cast {
    pub patient: Person,
    pub doctor: Person,
    pub nurse: Person,
    /// Another doctor of A.
    pub stranger: Person,
    /// Of B, as the specialist, who is a doctor, and the insurer.
    pub researcher: Person,
    pub specialist: Person,
    pub insurer: Person,
    /// A researcher of C.
    pub rival: Person,
}

impl Cast {
    /// A user's name in the story.
    pub fn label(&self, user: UserId) -> &'static str {
        let Self { patient, doctor, nurse, stranger, researcher, specialist, insurer, rival } =
            self;
        let all = [patient, doctor, nurse, stranger, researcher, specialist, insurer, rival];
        all.into_iter().find(|person| person.id == user).map_or("another user", |it| it.label)
    }
}

impl Story {
    pub(super) async fn register(
        &mut self,
        args: &Args,
        context: &Context,
    ) -> Result<Cast, Failure> {
        self.chapter(
            "A registers a patient, two doctors and a nurse; B a doctor, a researcher and an insurer; C a researcher",
        );
        let person = async |hospital, role, label, name| {
            let keys = key_file(args, context, label)?;
            let id = register(context, hospital, role, name, &keys).await?;
            Ok::<_, Failure>(Person { id, keys, label })
        };
        let (patient, doctor, nurse, stranger, specialist, researcher, insurer, rival) = tokio::try_join!(
            person(A, Role::Patient, "patient", "Synthetic Patient One"),
            person(A, Role::Doctor, "doctor", "Synthetic Doctor One"),
            person(A, Role::Nurse, "nurse", "Synthetic Nurse One"),
            person(A, Role::Doctor, "second-doctor", "Synthetic Doctor Two"),
            person(B, Role::Doctor, "specialist", "Synthetic Doctor Three"),
            person(B, Role::Researcher, "researcher", "Synthetic Researcher One"),
            person(B, Role::Insurer, "insurer", "Synthetic Insurer One"),
            person(C, Role::Researcher, "other-researcher", "Synthetic Researcher Two"),
        )?;
        let cast =
            Cast { patient, doctor, nurse, stranger, researcher, specialist, insurer, rival };
        let Cast { patient, doctor, nurse, stranger, researcher, specialist, insurer, rival } =
            &cast;
        let registered = [
            (A, &[patient, doctor, nurse, stranger][..]),
            (B, &[specialist, researcher, insurer][..]),
            (C, &[rival][..]),
        ];
        for (hospital, persons) in registered {
            for person in persons {
                self.line(format!(
                    "{}: {:<16} is user {}",
                    letter(hospital),
                    person.label,
                    person.id
                ));
            }
        }
        let relation = relation::UnrelateArgs {
            patient: patient.id,
            professional: doctor.id,
            kind: RelationshipKind::FamilyDoctor,
            hospital: Some(HospitalRef::Id(A)),
            signer: None,
            as_user: None,
        };
        let thirty_days = Some(Duration::from_secs(30 * 86_400));
        relation::relate(&relation::RelateArgs { relation, expires: thirty_days }, context).await?;
        self.line(
            "the doctor is the patient's family doctor for 30 days; the others have no relationship",
        );
        Ok(cast)
    }
}

fn key_file(args: &Args, context: &Context, label: &str) -> Result<KeySource, Failure> {
    let out = args.dir.join("keys").join(format!("{label}.json"));
    let new = keys::NewArgs { out: out.clone(), scheme: keys::Curve::Sr25519, development: None };
    keys::new(&new, context)?;
    let source = KeySource::File(out);
    // Opens the file now, so that the time that scrypt takes does not count for the following steps.
    context.keys(&source)?;
    Ok(source)
}

async fn register(
    context: &Context,
    hospital: HospitalId,
    role: Role,
    name: &str,
    keys: &KeySource,
) -> Result<UserId, Failure> {
    let register = user::RegisterArgs {
        signer: None,
        hospital: Some(HospitalRef::Id(hospital)),
        role,
        name: name.into(),
        keys: Some(keys.clone()),
        account: None,
        sealing_key: None,
        user: None,
        consent: None,
    };
    Ok(user::register(&register, context).await?.user)
}
