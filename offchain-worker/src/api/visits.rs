//! Visits: taking them in, and saying how far they have come. Media come in parts: see `uploads`.

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
use epione_envelope::{
    FormatError, SignatureError,
    keys::PatientKey,
    record::{Record, SignedDraft},
    sealer::RecordSealer,
};
use epione_primitives::{
    AccountId, Hash, HospitalId, RecordId, UserId,
    access::{AccessRequest, Action, Decision, Denial, Purpose, SectionClass},
    limits::{MAX_SEGMENTS, SEGMENT_BYTES},
    profile::Registration,
};

use super::{
    ApiError, AppState,
    caller::{Caller, parse_json},
    ingest::{self, Ingest},
    intake::Intake,
    limits::within,
    uploads,
};
use crate::{
    chain::FinalState,
    journal::{self, Enqueued, NewVisit, Visit},
};

/// What is needed of a visit to decide on it and to tell it from others.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub genesis: Hash,
    pub hospital: HospitalId,
    pub record: RecordId,
    pub patient: UserId,
    pub author: UserId,
    /// With which the author signed and sends.
    pub account: AccountId,
    /// The classes of its sections.
    classes: Vec<SectionClass>,
    cosigned: bool,
    /// What makes two uploads the same visit: all that its author signed, and whether the patient
    /// signed too. The signatures themselves may differ.
    pub fingerprint: [u8; 32],
}

impl Terms {
    fn of(caller: &Caller, draft: &SignedDraft) -> Self {
        let cosigned = draft.patient_signature.is_some();
        let (authorship, leaves) = (draft.draft.authorship(), draft.draft.leaves());
        let sections = &draft.draft.sections;
        let mut classes = vec![SectionClass::Private, SectionClass::Shared];
        classes.retain(|class| sections.iter().any(|section| section.class == *class));
        Self {
            genesis: caller.identity.genesis,
            hospital: caller.identity.hospital,
            record: draft.draft.record,
            patient: draft.draft.patient,
            author: draft.draft.author,
            account: caller.request.account.clone(),
            classes,
            cosigned,
            fingerprint: journal::fingerprint(&authorship, &leaves, cosigned),
        }
    }
}

/// Takes a visit in, from its author. Without media it is sealed and queued before this answers. With
/// media, the answer says where their parts begin; the last of them queues the visit. The same visit may
/// be sent again at any time: the answer is how far it is.
#[utoipa::path(
    post,
    path = "/v1/visits",
    operation_id = "submitVisit",
    tag = "visits",
    security(("signed" = [])),
    request_body = VisitRequest,
    responses(
        (status = 202, description = "The visit is durable, or its media are awaited", body = VisitStatus),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn submit(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let mut intake = Intake::new(body, state.limits.silence());
    let submission = async {
        let caller = {
            let _slot = state.request_slot()?;
            Caller::of_parts(&state, &parts).await?
        };
        // Not before: strangers do not take places from the hospital's own.
        let _slot = state.visit_slot().await?;
        let json = intake.whole(MAX_VISIT_JSON_BYTES).await?;
        caller.check_digest(&blake3::hash(&json))?;
        let visit = parse_json(&json)?;
        drop(json);
        take_in(&state, &caller, visit).await
    };
    let answered = within(state.limits.part_timeout_ms, submission).await;
    intake.drain().await;
    Ok((StatusCode::ACCEPTED, Json(answered?)).into_response())
}

async fn take_in(
    state: &AppState,
    caller: &Caller,
    visit: VisitRequest,
) -> Result<VisitStatus, ApiError> {
    check_addressed(caller, &visit)?;
    check_sizes(state, &visit)?;
    let draft = draft_of(&visit)?;
    let terms = Terms::of(caller, &draft);
    if let Some(known) = known(state, &terms).await? {
        return Ok(known);
    }
    let registration = authorise(&*caller.state, &terms).await?;
    check_cosignature(&*caller.state, &terms, |account| {
        draft.verify_cosignature(terms.genesis, account)
    })
    .await?;
    let patient_key = state.seal.patient_key(caller.identity, visit.patient, &registration).await?;
    let media = uploads::Course::of(&visit);
    if media.total() == 0 {
        let ingest = begin(state, &terms, draft, &patient_key, visit).await?;
        // In a task of its own: given up half-way, it might not come to be known.
        let queued = tokio::spawn(queue_at_once(state.clone(), terms, ingest)).await;
        return queued.map_err(|error| ApiError::internal(&error))?.map(VisitStatus::from);
    }
    let place = state.uploads().place(state).await?;
    let ingest = begin(state, &terms, draft, &patient_key, visit).await?;
    uploads::open(state, terms, media, ingest, place).await
}

async fn begin(
    state: &AppState,
    terms: &Terms,
    draft: SignedDraft,
    patient_key: &PatientKey,
    visit: VisitRequest,
) -> Result<Ingest, ApiError> {
    let sealer = RecordSealer::new(terms.genesis, draft, &terms.account, patient_key)
        .map_err(ingest::refused)?;
    Ingest::begin(state, sealer, visit).await
}

/// What is known of the same visit, whether its media are awaited or it is queued.
async fn known(state: &AppState, terms: &Terms) -> Result<Option<VisitStatus>, ApiError> {
    if let Some(status) = uploads::resumed(state, terms).await? {
        return Ok(Some(status));
    }
    match state.journal.visit(terms.record).await? {
        Some(visit) if visit.fingerprint == terms.fingerprint => Ok(Some(visit.into())),
        Some(_) => Err(conflict()),
        None => Ok(None),
    }
}

async fn queue_at_once(
    state: AppState,
    terms: Terms,
    mut ingest: Ingest,
) -> Result<Visit, ApiError> {
    queue(&state, &terms, &mut ingest).await
}

/// Queues a visit whose media have all come in, if its author may still submit it.
pub(super) async fn conclude(
    state: &AppState,
    terms: &Terms,
    ingest: &mut Ingest,
) -> Result<Visit, ApiError> {
    let finalised = state.view.finalised().await?;
    if finalised.user_of(&terms.account).await? != Some(terms.author) {
        return Err(ApiError::forbidden(
            "The author's account has changed since the visit was signed: sign and submit it anew.",
        ));
    }
    authorise(&*finalised, terms).await?;
    let record: &Record = ingest.record()?;
    check_cosignature(&*finalised, terms, |account| {
        record.verify_cosignature(terms.genesis, account)
    })
    .await?;
    queue(state, terms, ingest).await
}

/// Queues a sealed visit. When the journal fails, it may be tried again.
async fn queue(state: &AppState, terms: &Terms, ingest: &mut Ingest) -> Result<Visit, ApiError> {
    let record = ingest.record()?;
    let visit = NewVisit {
        record_id: terms.record,
        patient: terms.patient,
        author: terms.author,
        fingerprint: terms.fingerprint,
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

/// Whether the worker takes media of such sizes.
fn check_sizes(state: &AppState, visit: &VisitRequest) -> Result<(), ApiError> {
    let (mut bytes, mut segments) = (0_u64, 0_u64);
    for section in &visit.sections {
        if let ContentUpload::Media { bytes: length, .. } = section.content {
            bytes = bytes.saturating_add(length);
            // Sealing adds 16 bytes for each MiB.
            let sealed = length.saturating_add(length.div_ceil(1 << 20).saturating_mul(16));
            segments = segments.saturating_add(sealed.div_ceil(SEGMENT_BYTES.into()));
        }
    }
    let limit = state.limits.max_upload_bytes;
    if bytes > limit || segments > u64::from(MAX_SEGMENTS) {
        return Err(ApiError::too_large(format!(
            "The media of a visit have at most {limit} bytes here: submit two visits."
        )));
    }
    Ok(())
}

/// Decides by the policies; gives the registration that names the patient's key.
async fn authorise(finalised: &dyn FinalState, terms: &Terms) -> Result<Registration, ApiError> {
    let question = |class: &SectionClass| AccessRequest {
        requester: terms.author,
        action: Action::Submit,
        patient: terms.patient,
        hospital: terms.hospital,
        class: *class,
        purpose: Purpose::Treatment,
        // That it holds is checked next.
        cosigned: terms.cosigned,
    };
    let questions: Vec<_> = terms.classes.iter().map(question).collect();
    let decisions = finalised.decide_each(&questions).await?;
    let allowed = decisions.iter().filter(|decision| decision.is_allowed()).count();
    if allowed < questions.len() {
        let denial = decisions.into_iter().find_map(|decision| match decision {
            Decision::Deny(denial) => Some(denial),
            Decision::Allow { .. } => None,
        });
        return Err(ApiError::denied(denial.unwrap_or(Denial::Failed(Vec::new()))));
    }
    finalised.registration(terms.hospital, terms.patient).await?.ok_or_else(|| {
        ApiError::forbidden("The patient is not registered at this hospital: register them first.")
    })
}

/// A patient's signature is theirs, if there is one.
async fn check_cosignature(
    finalised: &dyn FinalState,
    terms: &Terms,
    verify: impl Fn(&AccountId) -> Result<(), SignatureError>,
) -> Result<(), ApiError> {
    if !terms.cosigned {
        return Ok(());
    }
    let profile = finalised.profile(terms.patient).await?;
    if profile.is_some_and(|patient| verify(&patient.account).is_ok()) {
        return Ok(());
    }
    Err(ApiError::bad_request(
        "patient-signature",
        "The patient's signature does not hold",
        "Have the patient sign the visit's sections with their current account, for this hospital and \
         chain, or leave the signature out.",
    ))
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
            VisitError::ControlCharacter { .. } => {
                ApiError::bad_request("text", "A section is no text", detail)
            }
            VisitError::TooManySections(_)
            | VisitError::LongText { .. }
            | VisitError::LongTexts { .. }
            | VisitError::LongDescriptions { .. }
            | VisitError::Format(FormatError::TooLarge { .. }) => ApiError::too_large(detail),
            _ => ApiError::bad_request("visit", "The visit is not as the API describes it", detail),
        }
    })
}

pub(super) fn conflict() -> ApiError {
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
        let found = match record.parse::<RecordId>() {
            Ok(record) => find(&state, &caller, record).await?,
            Err(_) => None,
        };
        found.map(Json).ok_or_else(|| {
            ApiError::not_found(
                "No visit of this record id was submitted here by you, or about you.",
            )
        })
    })
    .await
}

/// A visit that the caller may see: first among those whose media are awaited, since these move on.
async fn find(
    state: &AppState,
    caller: &Caller,
    record: RecordId,
) -> Result<Option<VisitStatus>, ApiError> {
    let awaited = state.uploads().find(record);
    let awaited = awaited.filter(|it| may_see(caller, it.terms.author, it.terms.patient));
    if let Some(status) = awaited.and_then(|upload| upload.status()) {
        return Ok(Some(status));
    }
    let visit = state.journal.visit(record).await?;
    Ok(visit.filter(|visit| may_see(caller, visit.author, visit.patient)).map(Into::into))
}

fn may_see(caller: &Caller, author: UserId, patient: UserId) -> bool {
    caller.is_governance() || caller.user == Some(author) || caller.user == Some(patient)
}
