//! A patient's own key, which is in the profile body that the registration names, sealed to the patient.

use std::collections::HashMap;

use epione_envelope::{
    keys::{ContentKey, PatientKey},
    profile::{ProfileBody, ProfileContext},
    record::Record,
    sealing_keys::SealingKeyPair,
};
use epione_primitives::{Hash, HospitalId, RecordPointer, UserId};

use super::{ReadError, Reader};

impl Reader {
    /// The patient key at a hospital where the patient is or was registered.
    pub(super) async fn patient_key(
        &self,
        patient: UserId,
        hospital: HospitalId,
    ) -> Result<PatientKey, ReadError> {
        let registration = self.chain.finalized().await?.registration(hospital, patient).await?;
        let registration = registration.ok_or(ReadError::NotRegistered { patient, hospital })?;
        let body = self.chain.body(registration.body_hash).await?;
        let body = body.ok_or(ReadError::NoProfile { patient, hospital })?;
        let body = ProfileBody::decode_exactly(&body)
            .map_err(|source| ReadError::Profile { hospital, source })?;
        let context =
            ProfileContext { genesis: self.chain.genesis_hash(), hospital, user: patient };
        let keys = std::iter::once(&self.sealing).chain(&self.earlier);
        opened(&body, &context, keys)
    }
}

/// The patient key, opened with the sealing key to which it is sealed.
fn opened<'k>(
    body: &ProfileBody,
    context: &ProfileContext,
    mut keys: impl Iterator<Item = &'k SealingKeyPair>,
) -> Result<PatientKey, ReadError> {
    let hospital = context.hospital;
    let pair = keys
        .find(|pair| pair.public() == body.recipient().key)
        .ok_or(ReadError::OtherSealingKey { hospital })?;
    // The chain accepted this body from the agent that this hospital had then: it is the sealer.
    body.patient_key_for_patient(context, pair, body.sealer())
        .map_err(|source| ReadError::PatientKey { hospital, source })
}

/// The content keys of all sections of a record.
pub(super) fn content_keys(
    genesis: Hash,
    pointer: RecordPointer,
    record: &Record,
    patient_key: &PatientKey,
) -> Result<HashMap<u16, ContentKey>, ReadError> {
    let keys = (0..).zip(record.sections()).map(|(section, _)| {
        let key = record.content_key(genesis, section, patient_key);
        let failed = |source| ReadError::Open { pointer, section: section.into(), source };
        key.map(|key| (section, key)).map_err(failed)
    });
    keys.collect()
}

#[cfg(test)]
mod tests;
