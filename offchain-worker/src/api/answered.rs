//! The records for which this hospital answers: its own, and those of removed hospitals whose custodian it is. And the
//! patient keys that open them.
//!
//! The worker has the keys of its own patients from their profiles here. Of a removed hospital's patients it has the
//! keys that the hospitals opened for it (`tasks::inheriting`): of those who entrusted them, and no others.

use epione_envelope::{keys::PatientKeys, profile::ProfileContext, record::Record};
use epione_primitives::{HospitalId, RecordPointer, UserId};

use super::{ApiError, AppState, caller::Caller};
use crate::{
    chain::Identity,
    custody_state,
    hospital_keys::{HospitalKeysError, inherited_context},
    journal::inherited,
};

/// A record that is committed on chain, of this patient, and of a hospital for which this one answers.
pub(super) async fn committed(
    state: &AppState,
    caller: &Caller,
    patient: UserId,
    pointer: RecordPointer,
) -> Result<Record, ApiError> {
    let here = caller.identity.hospital;
    let not_here = || {
        ApiError::not_found(format!(
            "Record {pointer} is not a committed record of this patient at hospital {here}, nor at a removed hospital \
             whose custodian it is: send the request to the hospital that created the record, or to its custodian."
        ))
    };
    let finalized = caller.state.as_ref();
    let entry = finalized.record(pointer).await?.ok_or_else(not_here)?;
    let announcer = finalized.header(pointer.height).await?.ok_or_else(not_here)?.announcer;
    if entry.patient != patient || !custody_state::answers_for(finalized, here, announcer).await? {
        return Err(not_here());
    }
    let bytes = state.view.record_bytes(pointer).await?.ok_or(HospitalKeysError::NoBody)?;
    let record = Record::decode_exactly(&bytes).map_err(|error| ApiError::internal(&error))?;
    if record.patient() == patient && record.hospital() == announcer {
        Ok(record)
    } else {
        Err(not_here())
    }
}

/// The keys of a patient at the hospital of a record: at this one, or at a removed one whose custodian it is.
pub(super) async fn patient_keys(
    state: &AppState,
    caller: &Caller,
    pointer: RecordPointer,
    record: &Record,
) -> Result<PatientKeys, ApiError> {
    let (patient, hospital) = (record.patient(), record.hospital());
    if hospital == caller.identity.hospital {
        own_keys(state, caller, patient).await
    } else {
        inherited_keys(state, caller.identity, (hospital, patient), pointer).await
    }
}

/// Rejects a record that was sealed to a later version of the patient's key than the removed hospital had kept.
pub(super) fn check_version(
    here: HospitalId,
    pointer: RecordPointer,
    record: &Record,
    keys: &PatientKeys,
) -> Result<(), ApiError> {
    let departed = record.hospital();
    if departed == here || keys.get(record.key_version()).is_some() {
        return Ok(());
    }
    Err(not_inherited(format!(
        "Record {pointer} is of hospital {departed}, which was removed. Hospital {here} is its custodian, and has only \
         earlier versions of the patient's key there: the record is from after the last one that was kept. Nothing was \
         granted. The patient reads the record with the own key."
    )))
}

async fn own_keys(
    state: &AppState,
    caller: &Caller,
    patient: UserId,
) -> Result<PatientKeys, ApiError> {
    let hospital = caller.identity.hospital;
    let registration =
        caller.state.registration(hospital, patient).await?.ok_or_else(|| {
            ApiError::not_found("The patient was never registered at this hospital.")
        })?;
    Ok(state.hospital_keys.patient_keys(caller.identity, patient, &registration).await?)
}

async fn inherited_keys(
    state: &AppState,
    identity: Identity,
    (departed, patient): (HospitalId, UserId),
    pointer: RecordPointer,
) -> Result<PatientKeys, ApiError> {
    let known = state.journal.read(move |it| inherited::find(it, departed, patient)).await?;
    let known = known.ok_or_else(|| {
        not_inherited(format!(
            "Record {pointer} is of hospital {departed}, which was removed. Hospital {} is its custodian, and does not \
             have the patient's key there: the patient did not entrust it, or is not registered here, or the hospitals \
             have not opened it yet. Nothing was granted. The patient reads the record with the own key. If the \
             patient entrusted the key, register the patient and try again in some minutes.",
            identity.hospital
        ))
    })?;
    let context = inherited_context(identity, departed, (patient, known.profile));
    let newest = state.hospital_keys.open_inherited(context, known.sealed).await?;
    let genesis = identity.genesis;
    let of_profile = ProfileContext { genesis, hospital: departed, user: patient };
    Ok(state.hospital_keys.keys_with_newest(of_profile, known.profile, newest).await?)
}

/// The custodian does not have the key that opens a record of a removed hospital.
fn not_inherited(detail: String) -> ApiError {
    ApiError::conflict("not-inherited", "The patient's key was not handed over", detail)
}
