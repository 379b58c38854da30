//! A patient's own keys, which are in the profile body that the registration names, sealed to the patient.

use std::collections::HashMap;

use epione_envelope::{
    keys::{ContentKey, PatientKeys},
    profile::{ProfileBody, ProfileContext},
    record::Record,
    sealing_keys::SealingKeyPair,
};
use epione_primitives::{Hash, HospitalId, RecordPointer, UserId};

use super::{ReadError, Reader};
use crate::chain::Snapshot;

impl Reader {
    /// The patient keys, of all versions, at a hospital where the patient is or was registered.
    pub(super) async fn patient_keys(
        &self,
        patient: UserId,
        hospital: HospitalId,
    ) -> Result<PatientKeys, ReadError> {
        self.patient_keys_in(&self.chain.finalized().await?, patient, hospital).await
    }

    /// The patient keys in the profile that the hospital had when it announced a record: for a patient who has only the
    /// key file of that time, and for a hospital that lost its keys and began with new ones.
    pub(super) async fn patient_keys_before(
        &self,
        patient: UserId,
        hospital: HospitalId,
        pointer: RecordPointer,
    ) -> Result<PatientKeys, ReadError> {
        let unknown = ReadError::UnknownRecord(pointer);
        let state = self.chain.finalized().await?;
        let Some((header, _)) = state.header(pointer.height).await? else { return Err(unknown) };
        let announcement = state.announcement(header.announcement).await?;
        let Some((announcement, _)) = announcement else { return Err(unknown) };
        let block = self.chain.block_hash(announcement.announced_at).await?;
        let block = block.ok_or(ReadError::UnknownRecord(pointer))?;
        self.patient_keys_in(&self.chain.at(block), patient, hospital).await
    }

    async fn patient_keys_in(
        &self,
        state: &Snapshot,
        patient: UserId,
        hospital: HospitalId,
    ) -> Result<PatientKeys, ReadError> {
        let registration = state.registration(hospital, patient).await?;
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

/// The patient keys, opened with the sealing key to which they are sealed.
fn opened<'k>(
    body: &ProfileBody,
    context: &ProfileContext,
    mut keys: impl Iterator<Item = &'k SealingKeyPair>,
) -> Result<PatientKeys, ReadError> {
    let hospital = context.hospital;
    let pair = keys
        .find(|pair| pair.public() == body.recipient().key)
        .ok_or(ReadError::OtherSealingKey { hospital })?;
    // The chain accepted this body from the agent that this hospital had then: it is the sealer.
    body.patient_keys_for_patient(context, pair, body.sealer())
        .map_err(|source| ReadError::PatientKeys { hospital, source })
}

/// Whether the keys of an earlier profile may help.
pub(super) fn may_be_earlier(error: &ReadError) -> bool {
    matches!(
        error,
        ReadError::OtherSealingKey { .. }
            | ReadError::Profile { .. }
            | ReadError::PatientKeys { .. }
            | ReadError::Open { .. }
    )
}

/// The content keys of all sections of a record.
pub(super) fn content_keys(
    genesis: Hash,
    pointer: RecordPointer,
    record: &Record,
    patient_keys: &PatientKeys,
) -> Result<HashMap<u16, ContentKey>, ReadError> {
    let keys = (0..).zip(record.sections()).map(|(section, _)| {
        let key = record.content_key(genesis, section, patient_keys);
        let failed = |source| ReadError::Open { pointer, section: section.into(), source };
        key.map(|key| (section, key)).map_err(failed)
    });
    keys.collect()
}

#[cfg(test)]
mod tests;
