//! Serving segments: to other hospitals, to holders of a temporary link whose grant is in force, and to patients who
//! read their own records.
//!
//! The worker checks every segment against its name before it sends a byte. It first fetches a damaged or missing
//! segment from another hospital. If the storage itself serves readers, the worker redirects holders of links and
//! patients there, by a URL that expires so soon that a revoked permission ends with it. A client that receives wrong
//! bytes there, or none, comes back with `via=worker`.

use std::{pin::pin, time::Duration};

use axum::{
    body::Body,
    extract::{Path, Query, Request, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use epione_client::api::Problem;
use epione_envelope::record::Record;
use epione_primitives::{Hash, HospitalId, RecordPointer, UserId, profile::RegistrationStatus};
use serde::Deserialize;
use tokio::time::timeout;

use super::{
    ApiError, AppState,
    caller::Caller,
    delivery::{Pace, streamed},
    limits::{Holder, Slot, within},
    links::{LinkQuery, Via},
    partials, queries,
    range::{Requested, requested},
};
use crate::{
    hospital_keys::HospitalKeysError, journal, repair::RepairError, storage_origin,
    store::StoreError,
};

/// The longest lifetime of a URL of the storage: the grant is not checked again there.
const STORAGE_LINK: Duration = Duration::from_secs(60);

/// How long a reader waits for the hospital's storage before the worker also asks the other hospitals.
const STORAGE_PATIENCE: Duration = Duration::from_secs(10);

/// Serves a segment to agents of active hospitals, to users with a temporary link, and to the patient of the record,
/// at any hospital, while a registration of the patient is in force there or at the record's hospital. The worker
/// checks the segment before it serves it. It may redirect users with links and patients to the hospital's storage;
/// they must check the bytes from the storage themselves.
#[utoipa::path(
    get,
    path = "/v1/segments/{hash}",
    operation_id = "segment",
    tag = "records",
    params(
        ("hash" = String, Path, description = "BLAKE3 hash of the segment, in hexadecimal"),
        ("range" = Option<String>, Header, description = "One range of bytes"),
        ("record" = Option<String>, Query, description = "Height and index, as in `12/0`, of a committed record of the patient who signs the request"),
        ("grant" = Option<String>, Query, description = "From a temporary link"),
        ("expires" = Option<u64>, Query, description = "From a temporary link"),
        ("mac" = Option<String>, Query, description = "From a temporary link"),
        ("via" = Option<String>, Query, description = "`worker`, in addition to `record` or a link's parameters: the worker itself reads and checks the segment, and repairs it if necessary")
    ),
    security(("signed" = [])),
    responses(
        (status = 200, description = "The whole segment", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 206, description = "The requested range", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 307, description = "The URL of the segment in the storage, valid for a minute at most. Request it without a signature and with the same range"),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn serve(
    State(state): State<AppState>,
    Path(hash): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let hash = parse(&hash)?;
    within(state.limits.segment_timeout, async {
        let (asker, holder) = authorize(&state, &parts, body, &hash).await?;
        if let Some(elsewhere) = elsewhere(&state, &hash, asker).await {
            return Ok(elsewhere);
        }
        let slot = match asker {
            Asker::Hospital(id) => state.peer_slot(id)?,
            Asker::Reader { .. } => state.segment_slot(holder).await?,
        };
        let bytes = verified(&state, hash, asker).await?;
        state.metrics.segments_served.inc();
        let range = parts.headers.get(header::RANGE).and_then(|range| range.to_str().ok());
        let pace = match asker {
            Asker::Hospital(_) => Pace::of_hospital(&state.limits),
            Asker::Reader { .. } => Pace::of_reader(&state.limits),
        };
        answer(&state, &hash, bytes, range, (slot, pace))
    })
    .await
}

/// Redirects readers to the storage, if it serves them and the chain names its origin: clients follow no other. Every
/// holder of the URL can read the segment, so it is never logged.
async fn elsewhere(state: &AppState, hash: &[u8; 32], asker: Asker) -> Option<Response> {
    let Asker::Reader { left, via: None } = asker else { return None };
    let url = state.store.presigned(hash, left.min(STORAGE_LINK)).await?;
    match storage_origin::is_named(state.view.as_ref(), &url).await {
        Ok(true) => {}
        Ok(false) => return None,
        Err(error) => {
            tracing::debug!(%error, "a reader is not redirected: the hospital's entry could not be read");
            return None;
        }
    }
    let mut response = StatusCode::TEMPORARY_REDIRECT.into_response();
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_str(url.as_str()).ok()?);
    insert(&mut response, header::CACHE_CONTROL, "no-store");
    state.metrics.segments_redirected.inc();
    Some(response)
}

fn parse(hash: &str) -> Result<[u8; 32], ApiError> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(hash, &mut bytes).map_err(|_| {
        ApiError::bad_request(
            "segment",
            "The name of the segment is not valid",
            "The name of a segment is its BLAKE3 hash: 64 hexadecimal digits.",
        )
    })?;
    Ok(bytes)
}

/// The kind of caller that requests a segment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asker {
    Hospital(HospitalId),
    /// The holder of a link, or the patient.
    Reader {
        /// How long the permission to read lasts at least.
        left: Duration,
        via: Option<Via>,
    },
}

/// The query of a patient who requests a segment of one of their own records.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnRecord {
    record: String,
    via: Option<Via>,
}

/// Accepts holders of a link whose grant is in force, patients, and agents of active hospitals. Also returns whose
/// share the response uses. Once the caller or the link is known, the decision takes a place among the requests.
async fn authorize(
    state: &AppState,
    parts: &Parts,
    body: Body,
    hash: &[u8; 32],
) -> Result<(Asker, Holder), ApiError> {
    if parts.uri.query().is_none() {
        let caller = without_body(state, parts, body).await?;
        let _place = state.request_slot(caller.holder()).await?;
        return Ok((check_agent(&caller).await?, caller.holder()));
    }
    match Query::<OwnRecord>::try_from_uri(&parts.uri) {
        Ok(Query(OwnRecord { record, via })) => {
            let pointer = parse_pointer(&record)?;
            let caller = without_body(state, parts, body).await?;
            let _place = state.request_slot(caller.holder()).await?;
            check_own(state, &caller, pointer, hash).await?;
            Ok((Asker::Reader { left: STORAGE_LINK, via }, caller.holder()))
        }
        Err(_) => check_link(state, parts, hash).await,
    }
}

/// The caller of a request that has no body.
async fn without_body(state: &AppState, parts: &Parts, body: Body) -> Result<Caller, ApiError> {
    let caller = Caller::of(state, parts).await?;
    caller.receive(state, body, 0).await?;
    Ok(caller)
}

fn parse_pointer(text: &str) -> Result<RecordPointer, ApiError> {
    text.parse().map_err(|_| {
        ApiError::bad_request(
            "record",
            "The record is not named correctly",
            "Name a record by the height of its lite block and its index in the block, as in `12/0`.",
        )
    })
}

/// Accepts holders of a link while the chain still allows what its grant gave. The error is the same for every reason.
async fn check_link(
    state: &AppState,
    parts: &Parts,
    hash: &[u8; 32],
) -> Result<(Asker, Holder), ApiError> {
    let invalid = || {
        ApiError::forbidden(
            "The link has expired, its grant is not in force any more, or this worker did not create it: request a \
             new grant.",
        )
    };
    let now = crate::now();
    let Query(link) = Query::<LinkQuery>::try_from_uri(&parts.uri).map_err(|_| invalid())?;
    let grant = state.shared.links.grant_of(&link, hash, now).ok_or_else(invalid)?;
    let _place = state.request_slot(Holder::Grant(grant)).await?;
    let requester = reader_of(state, grant).await?.ok_or_else(invalid)?;
    let asker = Asker::Reader { left: link.left(now), via: link.via };
    Ok((asker, Holder::Requester(requester)))
}

/// Who may still read what a grant gave: a grant of this hospital, one of a patient that this worker keeps, or an
/// opening of which this hospital handed out its part.
async fn reader_of(state: &AppState, grant: Hash) -> Result<Option<UserId>, ApiError> {
    let finalized = state.view.finalized().await?;
    if finalized.is_in_force(grant).await? {
        return Ok(finalized.requester_of(grant).await?);
    }
    let finalized = finalized.as_ref();
    match queries::collect::reader_of(state, finalized, grant).await? {
        Some(requester) => Ok(Some(requester)),
        None => partials::reader_of(state, finalized, grant).await,
    }
}

/// Accepts patients who request segments of their own committed records, from any hospital. Patients have the key to
/// their records, so neither a policy nor a receipt is needed; but a registration of theirs must be in force, so that a
/// hospital can stop the thief of a patient's account key. The error is the same for every other reason.
async fn check_own(
    state: &AppState,
    caller: &Caller,
    pointer: RecordPointer,
    hash: &[u8; 32],
) -> Result<(), ApiError> {
    let not_own = || {
        ApiError::forbidden(
            "The segment does not belong to a committed record of yours with this height and index.",
        )
    };
    let entry = caller.state.record(pointer).await?.ok_or_else(not_own)?;
    if caller.user != Some(entry.patient) {
        return Err(not_own());
    }
    let bytes = state.view.record_bytes(pointer).await?.ok_or(HospitalKeysError::NoBody)?;
    let record = Record::decode_exactly(&bytes).map_err(|error| ApiError::internal(&error))?;
    let holds = record.segments().iter().any(|segment| segment.hash == *hash);
    if !holds || record.patient() != entry.patient {
        return Err(not_own());
    }
    let header = caller.state.header(pointer.height).await?.ok_or_else(not_own)?;
    let (here, of_record) = (caller.identity.hospital, header.announcer);
    check_in_force(caller, entry.patient, here, (of_record != here).then_some(of_record)).await
}

/// Rejects patients whose registration is in force at neither this hospital nor the record's.
async fn check_in_force(
    caller: &Caller,
    patient: UserId,
    here: HospitalId,
    of_record: Option<HospitalId>,
) -> Result<(), ApiError> {
    for hospital in std::iter::once(here).chain(of_record) {
        let registration = caller.state.registration(hospital, patient).await?;
        if registration.is_some_and(|found| found.status == RegistrationStatus::Active) {
            return Ok(());
        }
    }
    Err(ApiError::forbidden(
        "Your registration is in force neither at this hospital nor at the hospital of the record: it is suspended or \
         has ended. Ask one of them to reinstate it or to register you again.",
    ))
}

/// Accepts agents of active and leaving hospitals.
async fn check_agent(caller: &Caller) -> Result<Asker, ApiError> {
    match caller.serving_hospital().await? {
        Some(id) => Ok(Asker::Hospital(id)),
        None => Err(ApiError::forbidden(
            "Only agents of active hospitals may request segments by name. Users request them by the links of a \
             grant, and patients request segments of their own records by naming the record.",
        )),
    }
}

/// The segment, checked, and first repaired if necessary.
///
/// For another hospital, a segment is not repaired before the response: that hospital can ask the others itself, and
/// hospitals that repaired segments for each other would wait for one another.
async fn verified(state: &AppState, hash: [u8; 32], asker: Asker) -> Result<Bytes, ApiError> {
    match asker {
        Asker::Hospital(_) => for_hospital(state, hash).await,
        Asker::Reader { .. } => for_reader(state, hash).await,
    }
}

async fn for_hospital(state: &AppState, hash: [u8; 32]) -> Result<Bytes, ApiError> {
    let error = match journal::read_back(&state.journal, &state.store, &hash).await {
        Ok(bytes) => return Ok(bytes),
        Err(error) => error,
    };
    if !error.concerns_one_object() {
        return Err(error.into());
    }
    set_aside(state, &hash, &error).await;
    if !matches!(error, StoreError::Missing) {
        state.repair_later(hash);
    }
    Err(ApiError::not_found("This hospital does not have the segment now."))
}

/// Whatever is wrong with the storage, another hospital may have the segment: the reader gets an error only if the
/// others cannot supply it.
async fn for_reader(state: &AppState, hash: [u8; 32]) -> Result<Bytes, ApiError> {
    let (journal, store) = (&state.journal, &state.store);
    let mut reading = pin!(journal::read_back(journal, store, &hash));
    let mut obtaining = None;
    let read = match timeout(STORAGE_PATIENCE, &mut reading).await {
        Ok(read) => read,
        // The storage may still answer, only slowly.
        Err(_) => {
            let mut obtained = state.repair.obtain(hash);
            tokio::select! {
                read = &mut reading => {
                    obtaining = Some(obtained);
                    read
                }
                obtained = &mut obtained => match obtained {
                    Ok(bytes) => return Ok(bytes),
                    Err(_) => reading.await,
                }
            }
        }
    };
    let error = match read {
        Ok(bytes) => return Ok(bytes),
        Err(error) => error,
    };
    let Some(obtained) = obtaining else {
        set_aside(state, &hash, &error).await;
        return match error.concerns_one_object() {
            true => repaired(state, hash).await,
            false => of_another_hospital(state.repair.obtain(hash).await, &hash),
        };
    };
    // The download may have begun already.
    let ((), obtained) = tokio::join!(set_aside(state, &hash, &error), obtained);
    if error.concerns_one_object() {
        state.repair_later(hash);
    }
    of_another_hospital(obtained, &hash)
}

/// A segment that is repaired first; or, if the storage does not keep it, the bytes of another hospital.
async fn repaired(state: &AppState, hash: [u8; 32]) -> Result<Bytes, ApiError> {
    match state.repair.repair(hash).await {
        Ok(()) => {
            if let Ok(bytes) = journal::read_back(&state.journal, &state.store, &hash).await {
                state.metrics.segments_repaired.inc();
                return Ok(bytes);
            }
        }
        Err(RepairError::UnknownSegment) => return Err(unknown()),
        Err(error) => {
            tracing::warn!(%error, segment = hex::encode(hash), "a segment could not be repaired");
        }
    }
    of_another_hospital(state.repair.obtain(hash).await, &hash)
}

fn of_another_hospital(
    obtained: Result<Bytes, RepairError>,
    hash: &[u8; 32],
) -> Result<Bytes, ApiError> {
    match obtained {
        Ok(bytes) => Ok(bytes),
        Err(RepairError::UnknownSegment) => Err(unknown()),
        Err(error) => {
            tracing::warn!(%error, segment = hex::encode(hash), "no other hospital supplied a segment");
            Err(unavailable())
        }
    }
}

/// Logs why a stored segment cannot be served, and moves a damaged one to the quarantine.
async fn set_aside(state: &AppState, hash: &[u8; 32], error: &StoreError) {
    let segment = hex::encode(hash);
    match error {
        StoreError::Missing => {}
        StoreError::Damaged if state.store.shows_damage(hash, error).await => {
            state.metrics.segments_damaged.inc();
            tracing::error!(segment, "a stored segment is damaged");
            let moved = journal::quarantine(&state.journal, &state.store, hash).await;
            if let Err(error) = moved {
                tracing::warn!(%error, segment, "a damaged segment could not be moved to the quarantine");
            }
        }
        error => tracing::error!(%error, segment, "a stored segment cannot be read"),
    }
}

fn unknown() -> ApiError {
    ApiError::not_found("No lite block that this hospital knows contains the segment.")
}

fn unavailable() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "segment-unavailable",
        "The segment is not available now",
        "The hospital's storage does not return the segment now, and no other hospital has supplied it yet. Retry in a \
         minute, or ask another hospital.",
    )
}

fn answer(
    state: &AppState,
    hash: &[u8; 32],
    bytes: Bytes,
    range: Option<&str>,
    (slot, pace): (Slot, Pace),
) -> Result<Response, ApiError> {
    let whole = bytes.len() as u32;
    let (status, part, content_range) = match requested(range, whole) {
        Requested::Whole => (StatusCode::OK, 0..whole, None),
        Requested::Part(part) => {
            let shown = format!("bytes {}-{}/{whole}", part.start, part.end - 1);
            (StatusCode::PARTIAL_CONTENT, part, Some(shown))
        }
        Requested::Unsatisfiable => {
            let mut refused = ApiError::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "range",
                "The range begins after the segment's end",
                format!("The segment has {whole} bytes."),
            )
            .into_response();
            insert(&mut refused, header::CONTENT_RANGE, &format!("bytes */{whole}"));
            return Ok(refused);
        }
    };
    state.metrics.segment_bytes_served.inc_by(part.len() as u64);
    let length = part.len().to_string();
    let bytes = bytes.slice(part.start as usize..part.end as usize);
    let mut response = (status, streamed(bytes, slot, pace)).into_response();
    insert(&mut response, header::CONTENT_LENGTH, &length);
    insert(&mut response, header::CONTENT_TYPE, "application/octet-stream");
    insert(&mut response, header::ACCEPT_RANGES, "bytes");
    insert(&mut response, header::ETAG, &format!("\"{}\"", hex::encode(hash)));
    if let Some(shown) = content_range {
        insert(&mut response, header::CONTENT_RANGE, &shown);
    }
    Ok(response)
}

fn insert(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
