//! Visits: taking them in, and saying how far they have come.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use codec::Encode;
use epione_client::{
    api::{ContentUpload, MAX_VISIT_JSON_BYTES, Problem, VisitRequest, VisitStatus},
    submit::{VisitError, signed_draft},
};
use epione_envelope::{FormatError, record::SignedDraft, sealer::RecordSealer};
use epione_primitives::{
    RecordId, UserId,
    access::{AccessRequest, Action, Decision, Denial, Purpose, SectionClass},
    profile::Registration,
};

use super::{
    ApiError, AppState,
    caller::{Caller, parse_json},
    ingest::{self, Upload},
    intake::{Form, Intake},
    limits::within,
};
use crate::journal::{Enqueued, NewVisit, Visit};

/// Takes a visit in, from its author: sealed, stored and queued before this answers. The same visit may be
/// sent again.
#[utoipa::path(
    post,
    path = "/v1/visits",
    operation_id = "submitVisit",
    tag = "visits",
    security(("signed" = [])),
    request_body(content = VisitRequest, content_type = "multipart/form-data", description = "The part `visit` as JSON first, then a part `media-<section index>` for every media section, in order"),
    responses(
        (status = 202, description = "The visit is durable", body = VisitStatus),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn submit(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let intake = Intake::new(body, state.limits.max_upload_bytes, state.limits.upload_idle());
    let submission = async {
        let caller = {
            let _slot = state.request_slot()?;
            Caller::of_parts(&state, &parts).await?
        };
        // Not before: strangers do not take places from the hospital's own.
        let _slot = state.upload_slot()?;
        intake.check_announced(&parts.headers)?;
        let form = intake.form(parts).await?;
        take_in(&state, &caller, &intake, form).await
    };
    match within(state.limits.upload_timeout_ms, submission).await {
        Ok(visit) => Ok((StatusCode::ACCEPTED, Json(VisitStatus::from(visit))).into_response()),
        Err(error) => {
            intake.drain().await;
            Err(error)
        }
    }
}

async fn take_in(
    state: &AppState,
    caller: &Caller,
    intake: &Intake,
    mut form: Form,
) -> Result<Visit, ApiError> {
    let json = form.part("visit").await?.whole(MAX_VISIT_JSON_BYTES).await?;
    let visit: Arc<VisitRequest> = Arc::new(parse_json(&json)?);
    drop(json);
    check_addressed(caller, &visit)?;
    let registration = authorise(caller, &visit).await?;
    let draft = draft_of(&visit)?;
    check_cosignature(caller, &draft).await?;
    let fingerprint = fingerprint(&draft);

    if let Some(known) = state.journal.visit(visit.record_id).await? {
        drop(form);
        let known = same(known, &fingerprint)?;
        caller.check_digest(&intake.clone().digest().await?)?;
        return Ok(known);
    }

    let patient_key = state.seal.patient_key(caller.identity, visit.patient, &registration).await?;
    let sealer =
        RecordSealer::new(caller.identity.genesis, draft, &caller.request.account, &patient_key)
            .map_err(ingest::refused)?;
    let upload = Upload::begin(state);
    let sealed = async {
        let record = ingest::seal(state, sealer, Arc::clone(&visit), &mut form, &upload).await?;
        form.end().await?;
        caller.check_digest(&intake.clone().digest().await?)?;
        Ok(record)
    };
    let record = match sealed.await {
        Ok(record) => record,
        Err(error) => {
            upload.abandon().await;
            return Err(error);
        }
    };
    let visit = NewVisit {
        record_id: visit.record_id,
        patient: visit.patient,
        author: visit.author,
        fingerprint,
        segments: record.segments(),
        record: record.encode(),
        queued_at: crate::now(),
    };
    // In a task of its own: given up half-way, it might remove segments that the journal just took.
    tokio::spawn(enqueue(state.clone(), visit, upload))
        .await
        .map_err(|error| ApiError::internal(&error))?
}

async fn enqueue(state: AppState, visit: NewVisit, upload: Upload) -> Result<Visit, ApiError> {
    let Some(owner) = upload.owner() else {
        return Err(ApiError::timed_out());
    };
    let enqueued = state.journal.enqueue(visit, owner).await;
    match enqueued {
        Ok(Enqueued::New(visit)) => {
            upload.keep();
            state.metrics.visits_acknowledged.inc();
            tracing::info!(record = %visit.record_id, "a visit is queued");
            Ok(visit)
        }
        Ok(Enqueued::Known(visit)) => {
            upload.abandon().await;
            Ok(visit)
        }
        Ok(Enqueued::Conflict) => {
            upload.abandon().await;
            Err(conflict())
        }
        Err(error) => {
            upload.abandon().await;
            Err(error.into())
        }
    }
}

/// The visit must be for this hospital, and by its sender.
fn check_addressed(caller: &Caller, visit: &VisitRequest) -> Result<(), ApiError> {
    let user = caller.user()?;
    if visit.hospital != caller.identity.hospital {
        return Err(ApiError::bad_request(
            "wrong-hospital",
            "The visit is for another hospital",
            format!(
                "This worker works for hospital {}, the visit is for hospital {}: send it there.",
                caller.identity.hospital, visit.hospital
            ),
        ));
    }
    if visit.author != user {
        return Err(ApiError::forbidden(
            "Only a visit's author may submit it, with the author's own account.",
        ));
    }
    Ok(())
}

/// Decides by the policies; gives the registration that names the patient's key.
async fn authorise(caller: &Caller, visit: &VisitRequest) -> Result<Registration, ApiError> {
    let hospital = caller.identity.hospital;
    let questions: Vec<_> = classes(visit)
        .into_iter()
        .map(|class| AccessRequest {
            requester: visit.author,
            action: Action::Submit,
            patient: visit.patient,
            hospital,
            class,
            purpose: Purpose::Treatment,
            // That it holds is checked next.
            cosigned: visit.patient_signature.is_some(),
        })
        .collect();
    let decisions = caller.state.decide_each(&questions).await?;
    let allowed = decisions.iter().filter(|decision| decision.is_allowed()).count();
    if allowed < questions.len() {
        let denial = decisions.into_iter().find_map(|decision| match decision {
            Decision::Deny(denial) => Some(denial),
            Decision::Allow { .. } => None,
        });
        return Err(ApiError::denied(denial.unwrap_or(Denial::Failed(Vec::new()))));
    }
    caller.state.registration(hospital, visit.patient).await?.ok_or_else(|| {
        ApiError::forbidden("The patient is not registered at this hospital: register them first.")
    })
}

/// A patient's signature is theirs, if there is one.
async fn check_cosignature(caller: &Caller, draft: &SignedDraft) -> Result<(), ApiError> {
    if draft.patient_signature.is_none() {
        return Ok(());
    }
    let profile = caller.state.profile(draft.draft.patient).await?;
    let genesis = caller.identity.genesis;
    let holds =
        profile.is_some_and(|patient| draft.verify_cosignature(genesis, &patient.account).is_ok());
    if holds {
        return Ok(());
    }
    Err(ApiError::bad_request(
        "patient-signature",
        "The patient's signature does not hold",
        "Have the patient sign the visit's sections with their current account, for this hospital and \
         chain, or leave the signature out.",
    ))
}

/// The classes of a visit's sections; private, if it has none.
fn classes(visit: &VisitRequest) -> Vec<SectionClass> {
    let occurs =
        |class: &SectionClass| visit.sections.iter().any(|section| section.class == *class);
    let mut classes = vec![SectionClass::Private, SectionClass::Shared];
    if !visit.sections.is_empty() {
        classes.retain(occurs);
    }
    classes
}

fn draft_of(visit: &VisitRequest) -> Result<SignedDraft, ApiError> {
    for (index, section) in visit.sections.iter().enumerate() {
        if matches!(&section.content, ContentUpload::Media { bytes: 0, .. }) {
            return Err(ApiError::bad_request(
                "empty-section",
                "A section is empty",
                format!("Section {index} announces a file without a byte: leave it out."),
            ));
        }
    }
    signed_draft(visit).map_err(|error| {
        let detail = error.to_string();
        match error {
            VisitError::NoSections => {
                ApiError::bad_request("no-sections", "The visit has no sections", detail)
            }
            VisitError::EmptyText { .. } => {
                ApiError::bad_request("empty-section", "A section is empty", detail)
            }
            VisitError::TooManySections(_)
            | VisitError::LongText { .. }
            | VisitError::LongTexts { .. }
            | VisitError::Format(FormatError::TooLarge { .. }) => ApiError::too_large(detail),
            _ => ApiError::bad_request("visit", "The visit is not as the API describes it", detail),
        }
    })
}

/// What makes two uploads the same visit: all that its author signed, and whether the patient signed too.
/// The signatures themselves may differ.
fn fingerprint(draft: &SignedDraft) -> [u8; 32] {
    let mut signed = (draft.draft.authorship(), draft.draft.leaves()).encode();
    if draft.patient_signature.is_some() {
        signed.extend_from_slice(b"cosigned");
    }
    blake3::hash(&signed).into()
}

fn same(known: Visit, fingerprint: &[u8; 32]) -> Result<Visit, ApiError> {
    if known.fingerprint == *fingerprint { Ok(known) } else { Err(conflict()) }
}

fn conflict() -> ApiError {
    ApiError::conflict(
        "record-id",
        "Another visit has this record id",
        "Draw a new record id for a new visit.",
    )
}

/// How far a visit is, for its author, its patient and the hospital's governance.
#[utoipa::path(
    get,
    path = "/v1/visits/{record}",
    operation_id = "visitStatus",
    tag = "visits",
    params(("record" = String, Path, description = "The record id, in hexadecimal")),
    security(("signed" = [])),
    responses(
        (status = 200, description = "How far it is", body = VisitStatus),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn status(
    State(state): State<AppState>,
    record: Path<String>,
    request: Request,
) -> Result<Json<VisitStatus>, ApiError> {
    within(state.limits.request_timeout_ms, async {
        let _slot = state.request_slot()?;
        let (parts, body) = request.into_parts();
        let caller = Caller::of_parts(&state, &parts).await?;
        caller.body(body, 0).await?;
        let visit = match record.parse::<RecordId>() {
            Ok(record) => state.journal.visit(record).await?,
            Err(_) => None,
        };
        let visible = |visit: &Visit| may_see(&caller, visit.author, visit.patient);
        visit.filter(visible).map(|visit| Json(visit.into())).ok_or_else(|| {
            ApiError::not_found(
                "No visit of this record id was submitted here by you, or about you.",
            )
        })
    })
    .await
}

fn may_see(caller: &Caller, author: UserId, patient: UserId) -> bool {
    caller.is_governance() || caller.user == Some(author) || caller.user == Some(patient)
}
