//! Serving segments: to other hospitals, to whoever holds a temporary link whose grant is in force, and
//! to patients those of their own records. Every segment is checked against its name before a byte of it
//! leaves; a damaged or missing one comes from another hospital first, or not at all. Where the storage
//! takes readers itself, links and patients are sent there, for so short a time that what the chain takes
//! back is gone; whoever gets wrong bytes there, or none, comes back with `via=worker`.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::Body,
    extract::{Path, Query, Request, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use epione_client::api::Problem;
use epione_envelope::record::Record;
use epione_primitives::{HospitalId, RecordPointer};
use futures::stream;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};

use super::{
    ApiError, AppState,
    caller::Caller,
    limits::within,
    links::{LinkQuery, Via},
    range::{Requested, requested},
};
use crate::{hospital_keys::HospitalKeysError, repair::RepairError, store::StoreError};

/// How long a link to the storage holds, at most: nothing checks the grant once more there.
const STORAGE_LINK: Duration = Duration::from_secs(60);

/// A segment, for active hospitals' agents, for holders of a temporary link, and for the patient whose
/// record it belongs to, whichever hospital's. Checked before it is served. The latter two may be sent to the
/// hospital's storage, where nobody checks the bytes but they.
#[utoipa::path(
    get,
    path = "/v1/segments/{hash}",
    operation_id = "segment",
    tag = "records",
    params(
        ("hash" = String, Path, description = "BLAKE3 of the segment, in hexadecimal"),
        ("range" = Option<String>, Header, description = "One range of bytes"),
        ("record" = Option<String>, Query, description = "Height and index, as in `12/0`, of a committed record of the patient who signs the request"),
        ("grant" = Option<String>, Query, description = "Of a temporary link"),
        ("expires" = Option<u64>, Query, description = "Of a temporary link"),
        ("mac" = Option<String>, Query, description = "Of a temporary link"),
        ("via" = Option<String>, Query, description = "`worker`, beside `record` or a link's: the worker itself reads, checks and, if need be, repairs the segment")
    ),
    security(("signed" = [])),
    responses(
        (status = 200, description = "All of it", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 206, description = "The range that was asked for", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 307, description = "Where the storage gives it, for a minute at most, to a request without a signature and with the same range"),
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
        let asker = authorize(&state, &parts, body, &hash).await?;
        if let Some(elsewhere) = elsewhere(&state, &hash, asker).await {
            return Ok(elsewhere);
        }
        let slot: ServingSlot = match asker {
            Asker::Hospital(id) => Box::new(state.peer_slot(id)?),
            Asker::Reader { .. } => Box::new(state.segment_slot().await?),
        };
        let bytes = verified(&state, hash, asker).await?;
        state.metrics.segments_served.inc();
        let range = parts.headers.get(header::RANGE).and_then(|range| range.to_str().ok());
        answer(&state, &hash, bytes, range, slot)
    })
    .await
}

/// Sends readers to the storage, if it takes them. Its URL is as good as the segment: it is in no log.
async fn elsewhere(state: &AppState, hash: &[u8; 32], asker: Asker) -> Option<Response> {
    let Asker::Reader { left, via: None } = asker else { return None };
    let url = state.store.presigned(hash, left.min(STORAGE_LINK)).await?;
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
            "That is not the name of a segment",
            "A segment is named by 64 hexadecimal digits.",
        )
    })?;
    Ok(bytes)
}

/// What is given back when an answer ends.
type ServingSlot = Box<dyn Send>;

/// Who asks for a segment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asker {
    Hospital(HospitalId),
    /// The holder of a link, or the patient.
    Reader {
        /// How long the right to read holds at least.
        left: Duration,
        via: Option<Via>,
    },
}

/// The query of a patient who asks for a segment of a record of their own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnRecord {
    record: String,
    via: Option<Via>,
}

/// Lets through holders of a link whose grant is in force, patients, and active hospitals' agents.
async fn authorize(
    state: &AppState,
    parts: &Parts,
    body: Body,
    hash: &[u8; 32],
) -> Result<Asker, ApiError> {
    if parts.uri.query().is_none() {
        return check_agent(&without_body(state, parts, body).await?).await;
    }
    match Query::<OwnRecord>::try_from_uri(&parts.uri) {
        Ok(Query(OwnRecord { record, via })) => {
            let pointer = parse_pointer(&record)?;
            let caller = without_body(state, parts, body).await?;
            check_own(state, &caller, pointer, hash).await?;
            Ok(Asker::Reader { left: STORAGE_LINK, via })
        }
        Err(_) => check_link(state, parts, hash).await,
    }
}

/// The caller of a request that has no body.
async fn without_body(state: &AppState, parts: &Parts, body: Body) -> Result<Caller, ApiError> {
    let caller = Caller::of(state, parts).await?;
    caller.body(body, 0).await?;
    Ok(caller)
}

fn parse_pointer(text: &str) -> Result<RecordPointer, ApiError> {
    let parsed = text.split_once('/').and_then(|(height, index)| {
        Some(RecordPointer { height: height.parse().ok()?, index: index.parse().ok()? })
    });
    parsed.ok_or_else(|| {
        ApiError::bad_request(
            "record",
            "That is not the place of a record",
            "A record is named by its lite block's height and its index there, as in `12/0`.",
        )
    })
}

/// Lets holders of a link through, while the chain still allows what its grant gave. Whatever does not
/// hold, the answer is the same.
async fn check_link(state: &AppState, parts: &Parts, hash: &[u8; 32]) -> Result<Asker, ApiError> {
    let now = crate::now();
    if let Ok(Query(link)) = Query::<LinkQuery>::try_from_uri(&parts.uri)
        && let Some(grant) = state.shared.links.grant_of(&link, hash, now)
        && state.view.finalized().await?.is_in_force(grant).await?
    {
        return Ok(Asker::Reader { left: link.left(now), via: link.via });
    }
    Err(ApiError::forbidden(
        "The link has expired, its grant is not in force any more, or it is not one of this worker's: \
         ask for a new grant.",
    ))
}

/// Lets patients have the segments of their own committed records, wherever these were written: the key
/// is theirs, so no policy and no receipt stands between. Whatever does not hold, the answer is the same.
async fn check_own(
    state: &AppState,
    caller: &Caller,
    pointer: RecordPointer,
    hash: &[u8; 32],
) -> Result<(), ApiError> {
    let not_own = || {
        ApiError::forbidden(
            "The segment does not belong to a committed record of yours at this place.",
        )
    };
    let entry = caller.state.record(pointer).await?.ok_or_else(not_own)?;
    if caller.user != Some(entry.patient) {
        return Err(not_own());
    }
    let bytes = state.view.record_bytes(pointer).await?.ok_or(HospitalKeysError::NoBody)?;
    let record = Record::decode_exactly(&bytes).map_err(|error| ApiError::internal(&error))?;
    let holds = record.segments().iter().any(|segment| segment.hash == *hash);
    if holds && record.patient() == entry.patient { Ok(()) } else { Err(not_own()) }
}

/// Lets active hospitals' agents through.
async fn check_agent(caller: &Caller) -> Result<Asker, ApiError> {
    match caller.active_hospital().await? {
        Some(id) => Ok(Asker::Hospital(id)),
        None => Err(ApiError::forbidden(
            "Segments are for agents of active hospitals. Users fetch them by the links of a grant, and \
             patients those of their own records by naming the record.",
        )),
    }
}

/// The segment, checked; repaired first if need be.
///
/// Another hospital gets what is here, or nothing: it asks the others itself, and hospitals that asked
/// each other in turn would wait for one another.
async fn verified(state: &AppState, hash: [u8; 32], asker: Asker) -> Result<Bytes, ApiError> {
    match state.store.read(&hash).await {
        Ok(bytes) => return Ok(bytes),
        Err(StoreError::Damaged) => {
            state.metrics.segments_damaged.inc();
            tracing::error!(segment = hex::encode(hash), "a stored segment is damaged");
            state.store.quarantine(&hash).await?;
            if let Asker::Hospital(_) = asker {
                let state = state.clone();
                tokio::spawn(async move {
                    if state.repair.repair(hash).await.is_ok() {
                        state.metrics.segments_repaired.inc();
                    }
                });
            }
        }
        Err(StoreError::Missing) => {}
        Err(error) => return Err(error.into()),
    }
    if let Asker::Hospital(_) = asker {
        return Err(ApiError::not_found("This hospital does not hold the segment now."));
    }
    match state.repair.repair(hash).await {
        Ok(()) => {}
        Err(RepairError::UnknownSegment) => {
            return Err(ApiError::not_found(
                "No lite block that this hospital knows names the segment.",
            ));
        }
        Err(RepairError::Store(error)) if error.needs_operator() => return Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, segment = hex::encode(hash), "a segment was not repaired");
            return Err(unavailable());
        }
    }
    let bytes = state.store.read(&hash).await.map_err(|_| unavailable())?;
    state.metrics.segments_repaired.inc();
    Ok(bytes)
}

fn unavailable() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "segment-unavailable",
        "The segment is not available now",
        "It is missing or damaged here and could not be had from another hospital yet: try again \
         later, or ask another hospital.",
    )
}

fn answer(
    state: &AppState,
    hash: &[u8; 32],
    bytes: Bytes,
    range: Option<&str>,
    slot: ServingSlot,
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
    let limit = state.limits.segment_timeout;
    let bytes = bytes.slice(part.start as usize..part.end as usize);
    let mut response = (status, streamed(bytes, slot, limit)).into_response();
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

/// Bytes that are handed to the connection at a time. It takes the next when the last is nearly sent.
const PIECE_BYTES: usize = 64 * 1024;

/// A body that gives its place back when nearly all was sent, or when its receiver took too long: then it
/// ends before its length, which breaks the answer off.
fn streamed(mut bytes: Bytes, slot: ServingSlot, limit: Duration) -> Body {
    let (sender, receiver) = mpsc::channel(1);
    let (body, taken) = oneshot::channel::<Infallible>();
    tokio::spawn(async move {
        let _slot = slot;
        let sent = async move {
            while !bytes.is_empty() {
                let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
                if sender.send(piece).await.is_err() {
                    return;
                }
            }
            drop((sender, bytes));
            // An error: the body's end of this is dropped with the body.
            taken.await.ok();
        };
        if tokio::time::timeout(limit, sent).await.is_err() {
            tracing::debug!("a segment was broken off: it was read too slowly");
        }
    });
    Body::from_stream(stream::unfold((receiver, body), |(mut receiver, body)| async move {
        receiver.recv().await.map(|piece| (Ok::<_, Infallible>(piece), (receiver, body)))
    }))
}
