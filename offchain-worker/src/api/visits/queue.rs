//! A visit that is sealed: queued in the journal, which acknowledges it.

use codec::Encode;
use epione_envelope::record::Record;

use super::{
    admission::{authorize, check_cosignature},
    terms::VisitTerms,
};
use crate::{
    api::{ApiError, AppState, ingest::Ingest},
    journal::{Enqueued, NewVisit, Visit},
};

/// Queues a visit whose media have all arrived, if its author may still submit it.
pub(super) async fn conclude(
    state: &AppState,
    terms: &VisitTerms,
    ingest: &mut Ingest,
) -> Result<Visit, ApiError> {
    let finalized = state.view.finalized().await?;
    if finalized.user_of(&terms.account).await? != Some(terms.author) {
        return Err(ApiError::forbidden(
            "The author's account has changed since the visit was signed: sign and submit it again.",
        ));
    }
    authorize(&*finalized, terms).await?;
    let record: &Record = ingest.record()?;
    check_cosignature(&*finalized, terms, |account| {
        record.verify_cosignature(terms.genesis, account)
    })
    .await?;
    queue(state, terms, ingest).await
}

/// Queues a sealed visit. If the journal fails, this may be retried.
pub(super) async fn queue(
    state: &AppState,
    terms: &VisitTerms,
    ingest: &mut Ingest,
) -> Result<Visit, ApiError> {
    let record = ingest.record()?;
    let visit = NewVisit {
        record_id: terms.record,
        patient: terms.patient,
        author: terms.author,
        fingerprint: terms.fingerprint,
        command: terms.command,
        segments: record.segments(),
        record: record.encode(),
        queued_at: crate::now(),
    };
    match state.journal.enqueue(visit, ingest.owner()?).await? {
        Enqueued::New(visit) => {
            ingest.keep();
            state.metrics.visits_acknowledged.inc();
            tracing::info!(record = %visit.record_id, "a visit is queued");
            Ok(visit)
        }
        Enqueued::Known(visit) => Ok(visit),
        Enqueued::Conflict => Err(conflict()),
        Enqueued::OtherContent => Err(other_content()),
    }
}

pub(super) fn conflict() -> ApiError {
    ApiError::conflict(
        "record-id",
        "Another visit has this record id",
        "Generate a new record id for a new visit.",
    )
}

pub(super) fn other_content() -> ApiError {
    ApiError::conflict(
        "command",
        "Another visit was submitted by the same command",
        "The worker acknowledged a visit with this command within a day, and its patient, co-signature or sections \
         differ from this one. Nothing was stored: submit the visit without the command if it is another visit.",
    )
}
