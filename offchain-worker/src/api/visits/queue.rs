//! A visit that is sealed: queued in the journal, which acknowledges it.

use codec::Encode;

use super::{
    admission::{authorize, check_announceable},
    terms::VisitTerms,
};
use crate::{
    api::{ApiError, AppState, ingest::Ingest},
    journal::{Enqueued, NewVisit, Visit},
};

/// Queues a visit whose media have all arrived, if its author may still submit it. Its signatures, which were verified
/// when it was accepted, are judged by an earlier block: they stay valid.
pub(super) async fn conclude(
    state: &AppState,
    terms: &VisitTerms,
    ingest: &mut Ingest,
) -> Result<Visit, ApiError> {
    let finalized = state.view.finalized().await?;
    authorize(&*finalized, terms).await?;
    check_announceable(state, &*finalized, terms).await?;
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
        signed_at: terms.signed_at.number,
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
        "The worker acknowledged a visit with this command within a day, and its patient, signers, extraction policy \
         or sections differ from this one. Nothing was stored: submit the visit without the command if it is another \
         visit.",
    )
}
