//! Access grants: content keys and links to read committed records of this hospital, for whom its
//! policies allow.

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use epione_client::api::{
    GrantReply, GrantRequest, MAX_GRANT_RECORDS, MAX_JSON_BYTES, Problem, SegmentLink,
};
use epione_envelope::{
    grant::{GrantTerms, GrantedSection},
    keys::{ContentKey, PatientKey},
    record::{Payload, Record},
    sealing::SealingPublicKey,
};
use epione_primitives::{
    Hash, RecordPointer, UserId,
    access::{AccessRequest, Action, Decision, Denial, SectionClass},
    limits::MAX_SEGMENTS,
};

use super::{ApiError, AppState, caller::Caller, limits::within};
use crate::seal::SealingError;

/// Grants keys and temporary links to read committed records of one patient, as far as the hospital's
/// policies allow after the last final block.
#[utoipa::path(
    post,
    path = "/v1/grants",
    operation_id = "grantAccess",
    tag = "records",
    security(("signed" = [])),
    request_body = GrantRequest,
    responses(
        (status = 200, description = "A sealed grant, and links", body = GrantReply),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn grant(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<GrantReply>, ApiError> {
    within(state.limits.request_timeout_ms, async {
        let _slot = state.request_slot()?;
        let (parts, body) = request.into_parts();
        let caller = Caller::of_parts(&state, &parts).await?;
        let request: GrantRequest = caller.json(body, MAX_JSON_BYTES).await?;
        let reply = decide_and_seal(&state, &caller, request).await?;
        state.metrics.grants.inc();
        Ok(Json(reply))
    })
    .await
}

async fn decide_and_seal(
    state: &AppState,
    caller: &Caller,
    request: GrantRequest,
) -> Result<GrantReply, ApiError> {
    let requester = caller.user()?;
    check_pointers(&request.records)?;
    let allowed = Allowed::decide(caller, requester, &request).await?;
    let mut granted = Granted::default();
    let patient_key = patient_key(state, caller, request.patient).await?;
    for pointer in &request.records {
        let record = committed(state, caller, request.patient, *pointer).await?;
        granted.add(caller.identity.genesis, *pointer, &record, &allowed, &patient_key)?;
    }
    if granted.keys.is_empty() {
        return Err(ApiError::denied(allowed.denial));
    }
    let now = crate::now();
    let terms = GrantTerms {
        genesis: caller.identity.genesis,
        hospital: caller.identity.hospital,
        patient: request.patient,
        requester,
        audience: caller.request.account.clone(),
        purpose: request.purpose,
        issued: now,
        expires: now + state.limits.grant_lifetime_ms,
        // The request is answered once, and so is its nonce.
        nonce: caller.request.nonce,
    };
    let recipient = sealing_key(state, caller, requester).await?;
    let grant = state.seal.seal_grant(terms, granted.keys, recipient).await?;
    let expires = now + state.limits.link_lifetime_ms;
    let link = |hash: &[u8; 32]| state.link(hash, expires);
    let links = granted.segments.iter().map(link).collect();
    Ok(GrantReply { grant: STANDARD.encode(grant), links })
}

impl AppState {
    fn link(&self, hash: &[u8; 32], expires: u64) -> SegmentLink {
        self.shared.links.make(&self.public_url, hash, expires)
    }
}

fn check_pointers(pointers: &[RecordPointer]) -> Result<(), ApiError> {
    if pointers.is_empty() || pointers.len() > MAX_GRANT_RECORDS {
        return Err(ApiError::bad_request(
            "records",
            "A grant is for some records",
            format!("Ask for 1 to {MAX_GRANT_RECORDS} records at a time."),
        ));
    }
    let mut sorted = pointers.to_vec();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(ApiError::bad_request(
            "records",
            "A record is asked for twice",
            "Ask for each record once.",
        ));
    }
    Ok(())
}

/// What the policies allow, and why not more.
struct Allowed {
    rights: Vec<(Action, SectionClass)>,
    denial: Denial,
}

impl Allowed {
    /// Asks the chain before any record is looked at. Refuses those who may read nothing.
    async fn decide(
        caller: &Caller,
        requester: UserId,
        request: &GrantRequest,
    ) -> Result<Self, ApiError> {
        let mut rights = Vec::new();
        let mut denial = None;
        for action in [Action::ReadText, Action::ReadMedia] {
            for class in [SectionClass::Private, SectionClass::Shared] {
                let question = AccessRequest {
                    requester,
                    action,
                    patient: request.patient,
                    hospital: caller.identity.hospital,
                    class,
                    purpose: request.purpose,
                };
                match caller.state.decide(&question).await? {
                    Decision::Allow { .. } => rights.push((action, class)),
                    Decision::Deny(reason) => denial = denial.or(Some(reason)),
                }
            }
        }
        let denial = denial.unwrap_or(Denial::Failed(Vec::new()));
        if rights.is_empty() { Err(ApiError::denied(denial)) } else { Ok(Self { rights, denial }) }
    }

    fn covers(&self, action: Action, class: SectionClass) -> bool {
        self.rights.contains(&(action, class))
    }
}

async fn patient_key(
    state: &AppState,
    caller: &Caller,
    patient: UserId,
) -> Result<PatientKey, ApiError> {
    let hospital = caller.identity.hospital;
    let registration =
        caller.state.registration(hospital, patient).await?.ok_or_else(|| {
            ApiError::not_found("The patient was never registered at this hospital.")
        })?;
    Ok(state.seal.patient_key(caller.identity, patient, &registration).await?)
}

/// A record that is committed on chain, of this patient and this hospital.
async fn committed(
    state: &AppState,
    caller: &Caller,
    patient: UserId,
    pointer: RecordPointer,
) -> Result<Record, ApiError> {
    let hospital = caller.identity.hospital;
    let not_here = || {
        ApiError::not_found(format!(
            "Record {pointer} is not a committed record of this patient at hospital {hospital}: ask \
             the hospital whose record it is."
        ))
    };
    let entry = caller.state.record(pointer).await?.ok_or_else(not_here)?;
    let header = caller.state.header(pointer.height).await?.ok_or_else(not_here)?;
    if entry.patient != patient || header.announcer != hospital {
        return Err(not_here());
    }
    let bytes = state.view.record_bytes(pointer).await?.ok_or(SealingError::NoBody)?;
    let record = Record::decode_exactly(&bytes).map_err(|error| ApiError::internal(&error))?;
    if record.patient() == patient && record.hospital() == hospital {
        Ok(record)
    } else {
        Err(not_here())
    }
}

/// What goes into a grant.
#[derive(Default)]
struct Granted {
    keys: Vec<(GrantedSection, ContentKey)>,
    segments: Vec<[u8; 32]>,
}

impl Granted {
    fn add(
        &mut self,
        genesis: Hash,
        pointer: RecordPointer,
        record: &Record,
        allowed: &Allowed,
        patient_key: &PatientKey,
    ) -> Result<(), ApiError> {
        for (index, section) in (0..).zip(record.sections()) {
            let action = match section.payload {
                Payload::Text(_) => Action::ReadText,
                Payload::Media { .. } => Action::ReadMedia,
            };
            if !allowed.covers(action, section.class) {
                continue;
            }
            let key = record
                .content_key(genesis, index, patient_key)
                .map_err(|error| ApiError::internal(&error))?;
            let place = GrantedSection { pointer, record: record.id(), section: index };
            self.keys.push((place, key));
            self.segments.extend(section.segments().iter().map(|segment| segment.hash));
        }
        if self.segments.len() > MAX_SEGMENTS as usize {
            return Err(ApiError::too_large(
                "The records have too many segments together: ask for fewer at a time.",
            ));
        }
        Ok(())
    }
}

/// The requester's sealing key: the one whose hash is on chain, from whichever hospital's profile of
/// the requester holds it.
async fn sealing_key(
    state: &AppState,
    caller: &Caller,
    requester: UserId,
) -> Result<SealingPublicKey, ApiError> {
    let stale = || {
        ApiError::new(
            StatusCode::CONFLICT,
            "sealing-key",
            "Your sealing key is not in your profile",
            "The chain names another key than the profiles that your hospitals keep: ask your \
             hospital to update your profile.",
        )
    };
    let profile = caller.state.profile(requester).await?.ok_or_else(stale)?;
    let mut registrations = caller.state.registrations(requester).await?;
    registrations.sort_by_key(|(hospital, _)| *hospital != caller.identity.hospital);
    for (_, registration) in registrations {
        match state.seal.sealing_key(registration.body_hash, profile.sealing_key_hash).await {
            Ok(key) => return Ok(key),
            Err(SealingError::View(error)) => return Err(error.into()),
            Err(error) => tracing::debug!(%error, "a profile does not hold the requester's key"),
        }
    }
    Err(stale())
}
