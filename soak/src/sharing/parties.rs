//! The people, the hospitals and the texts of these measurements: the same at every run.

use std::io::Read;

use anyhow::Context;
use epione_client::signer::Account;
use epione_envelope::{
    development,
    keys::{ContentKey, PatientKey, PatientKeys},
    profile::{ProfileBody, ProfileContext, Recipient},
    record::{Description, Draft, Record, SectionKind, SignedDraft},
    record_sealer::RecordSealer,
    sealing_keys::SealingKeyPair,
};
use epione_primitives::{Hash, HospitalId, UserId, block::SignedAt};

use crate::content::Content;

/// The hospital of the records.
pub(super) const HOSPITAL: HospitalId = HospitalId(0);
/// Bytes of each text.
pub(super) const TEXT_BYTES: u64 = 5 * 1024;
const PLAIN_TEXT: &str = "text/plain";
const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .";

/// The text of a seed: letters in random order, which compress less than the words of a visit.
pub(super) fn text(seed: &str) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    Content::new(seed, TEXT_BYTES).read_to_end(&mut bytes)?;
    let letters = bytes.into_iter().map(|byte| char::from(LETTERS[usize::from(byte % 64)]));
    Ok(letters.collect())
}

/// The texts of a record with so many sections.
pub(super) fn texts(seed: &str, sections: u16) -> anyhow::Result<Vec<String>> {
    (0..sections).map(|section| text(&format!("{seed}, section {section}"))).collect()
}

/// The keys of a user or of a hospital.
#[derive(Clone)]
pub(super) struct Person {
    pub id: UserId,
    pub account: Account,
    pub sealing: SealingKeyPair,
}

impl Person {
    /// The person with this development key.
    pub fn of(uri: &str) -> anyhow::Result<Self> {
        let keys = development::keys(uri)?;
        let account = Account::from(&keys);
        let sealing = keys.sealing;
        Ok(Self { id: UserId::of(&account.id(), sealing.public().hash()), account, sealing })
    }
}

pub(super) fn ids(people: &[Person]) -> Vec<UserId> {
    people.iter().map(|person| person.id).collect()
}

/// Everybody who takes part.
pub(super) struct Parties {
    pub genesis: Hash,
    pub signed_at: SignedAt,
    pub doctor: Person,
    pub patient: Person,
    pub requester: Person,
    /// The agent of the hospital of the records, which is also the mailbox.
    pub agent: Person,
    /// The agent of another hospital, which approves.
    pub other: Person,
    pub patient_keys: PatientKeys,
    /// The patient's profile body, which has the patient key sealed to the patient.
    pub profile: ProfileBody,
}

impl Parties {
    pub fn new() -> anyhow::Result<Self> {
        let genesis = Hash::repeat_byte(1);
        let patient = Person::of("//Sharing//Patient")?;
        let agent = Person::of("//Sharing//Agent")?;
        let patient_keys = PatientKeys::from_keys(vec![PatientKey::from_bytes([7; 32])])?;
        let account = patient.account.id();
        let recipient = Recipient { account: &account, key: patient.sealing.public() };
        let profile = ProfileBody::for_patient(
            &ProfileContext { genesis, hospital: HOSPITAL, user: patient.id },
            "Synthetic Patient",
            &patient_keys,
            recipient,
            agent.sealing.public(),
            &agent.account,
        )?;
        Ok(Self {
            genesis,
            signed_at: SignedAt { number: 100, hash: Hash::repeat_byte(2) },
            doctor: Person::of("//Sharing//Doctor")?,
            patient,
            requester: Person::of("//Sharing//Requester")?,
            agent,
            other: Person::of("//Sharing//Other")?,
            patient_keys,
            profile,
        })
    }

    pub fn profile_context(&self) -> ProfileContext {
        ProfileContext { genesis: self.genesis, hospital: HOSPITAL, user: self.patient.id }
    }

    /// A visit of these texts, signed by the doctor.
    pub fn signed(&self, texts: &[String]) -> anyhow::Result<SignedDraft> {
        let described = texts
            .iter()
            .map(|text| Description::of(SectionKind::Report, PLAIN_TEXT, "", text.as_bytes()));
        let sections = described.collect::<Result<Vec<_>, _>>()?;
        let (patient, doctor) = (self.patient.id, self.doctor.id);
        let draft = Draft::new(patient, HOSPITAL, doctor, self.signed_at, sections)?;
        Ok(draft.sign(self.genesis, &self.doctor.account))
    }

    /// Seals a signed visit under keys, as the hospital's worker does.
    pub fn sealed(
        &self,
        signed: SignedDraft,
        texts: &[String],
        keys: &PatientKeys,
    ) -> anyhow::Result<Record> {
        let author = self.doctor.account.id();
        let mut sealer = RecordSealer::new(self.genesis, signed, &author, keys)?;
        for (section, text) in (0..).zip(texts) {
            sealer.seal_text(section, text.as_bytes())?;
        }
        Ok(sealer.finish()?)
    }

    /// A record of these texts under the patient's keys.
    pub fn record(&self, texts: &[String]) -> anyhow::Result<Record> {
        self.sealed(self.signed(texts)?, texts, &self.patient_keys)
    }

    /// Verifies the doctor's signature of a record, and opens its sections with these keys, one for each.
    pub fn opened(&self, record: &Record, keys: &[ContentKey]) -> anyhow::Result<Vec<String>> {
        record.verify(self.genesis, &self.doctor.account.id())?;
        let open = |(section, key)| {
            let (_, text) = record.open_text(self.genesis, section, key)?;
            String::from_utf8(text.to_vec()).context("a text is not UTF-8")
        };
        (0..).zip(keys).map(open).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_same_at_every_run_and_different_for_every_section() {
        let made = texts("a", 3).unwrap();
        assert_eq!(made, texts("a", 3).unwrap());
        assert!(made.iter().all(|text| text.len() as u64 == TEXT_BYTES && text.is_ascii()));
        assert!(made[0] != made[1] && made[1] != made[2] && made != texts("b", 3).unwrap());
    }

    #[test]
    fn a_record_opens_with_the_keys_of_its_patient() {
        let (parties, texts) = (Parties::new().unwrap(), texts("a", 2).unwrap());
        let record = parties.record(&texts).unwrap();
        let agent = parties.agent.account.id();
        let context = parties.profile_context();
        let sealing = &parties.patient.sealing;
        let keys = parties.profile.patient_keys_for_patient(&context, sealing, &agent).unwrap();
        let key = |section| record.content_key(parties.genesis, section, &keys).unwrap();
        assert_eq!(parties.opened(&record, &[key(0), key(1)]).unwrap(), texts);
        assert!(parties.opened(&record, &[key(1), key(0)]).is_err());
    }
}
