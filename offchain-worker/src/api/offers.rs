//! Offers of blocks that other hospitals will announce, so that the worker can fetch their segments ahead. An offer
//! only says what to fetch: the bytes come from registered hospitals and are checked, as for any block.

use axum::{
    extract::{Request, State},
    http::StatusCode,
};
use epione_client::api::Problem;

use super::{ApiError, AppState, caller::signed, held::unlisted};
use crate::{
    journal::offers::{Quota, Taken},
    transfer::wire::{MAX_REQUEST_BYTES, OfferRequest},
};

/// Offers segments that the calling hospital will announce. The worker fetches them within that hospital's quota, and
/// keeps them until the hospital announces them or the offer expires.
#[utoipa::path(
    post,
    path = "/v1/offers",
    operation_id = "offer",
    tag = "peers",
    request_body = OfferRequest,
    security(("signed" = [])),
    responses(
        (status = 202, description = "The worker fetches the segments, or stores them already"),
        (status = 409, description = "The calling hospital's quota has no room for them now", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn offer(
    State(state): State<AppState>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let state = &state;
    signed(state, request, MAX_REQUEST_BYTES, |caller, received| async move {
        let hospital = caller
            .active_hospital()
            .await?
            .filter(|hospital| *hospital != caller.identity.hospital)
            .ok_or_else(|| {
                ApiError::forbidden("Only agents of other active hospitals may make offers.")
            })?;
        let offer: OfferRequest = received.json()?;
        let segments = offer.parse().map_err(unlisted)?;
        let bytes = state.transfer.offer_quota_bytes;
        if bytes == 0 {
            count(state, "declined");
            return Err(ApiError::forbidden(
                "This hospital accepts no offers: announce the block without one.",
            ));
        }
        let offered = segments.iter().map(|segment| u64::from(segment.length)).sum();
        if state.reserve.claim(offered).await.is_none() {
            count(state, "no-room");
            return Err(no_room());
        }
        let quota = Quota { bytes, lifetime: crate::millis(state.transfer.offer_lifetime) };
        let taken = state.journal.take_offer(hospital, segments, quota, crate::now()).await?;
        tracing::debug!(hospital = hospital.0, ?taken, "a hospital offered segments");
        match taken {
            Taken::New => count(state, "taken"),
            Taken::Known => count(state, "known"),
            Taken::NoRoom => {
                count(state, "no-room");
                return Err(no_room());
            }
        }
        Ok(StatusCode::ACCEPTED)
    })
    .await
}

fn count(state: &AppState, result: &str) {
    state.metrics.offers_received.with_label_values(&[result]).inc();
}

fn no_room() -> ApiError {
    ApiError::conflict(
        "offer-quota",
        "The quota for your offers is used up",
        "This hospital stores a limited number of bytes of your offers, and leaves a part of its disk \
         free. Offer again when an earlier offer was announced or has expired, or announce the block \
         without an offer.",
    )
}
