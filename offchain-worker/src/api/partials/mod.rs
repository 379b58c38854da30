//! `POST /v1/partials`: hands out this hospital's part of an opening to its requester, with links to the segments.
//!
//! The chain has decided that the requester may open the sections. Each member of the consortium key decides again, by
//! the state after its last finalized block: before the chain records that the hospital hands out its part, and just
//! before the worker does so, each time. Parts of too few hospitals open nothing, and a part is sealed to the
//! requester.

pub(super) mod claims;
mod decision;
mod making;
mod mixing;

pub(super) use mixing::FollowedSecrets;

use std::time::Instant;

use axum::{
    extract::{Request, State},
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use codec::Encode;
use epione_client::{
    api::{MAX_JSON_BYTES, PartialReply, PartialRequest, Problem},
    chain::calls::openings,
};
use epione_envelope::{opening::PartialContext, sealing_keys::SealingPublicKey};
use epione_primitives::{
    AccountId, Hash, UserId,
    consortium::EpochId,
    opening::{Opening, OpeningId},
};

use super::{
    ApiError, AppState,
    caller::{Caller, signed},
    delivery::{self, Pace},
    grants::too_often,
    limits::{Holder, within},
    queries::collect,
    recipient,
};
use crate::chain::{CallError, FinalState, Identity, ViewError};
use making::Parts;

/// Hands out this hospital's part of an opening, sealed to the requester, and temporary links to the segments of the
/// opened sections. For the requester of the opening, with the account of that time. Responds when the chain's record
/// that the hospital hands out its part is finalized.
#[utoipa::path(
    post,
    path = "/v1/partials",
    operation_id = "handOutPartial",
    tag = "openings",
    security(("signed" = [])),
    request_body = PartialRequest,
    responses(
        (status = 200, description = "The hospital's sealed part, and links", body = PartialReply),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn partial(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let state = &state;
    let work = signed(state, request, MAX_JSON_BYTES, |caller, received| async move {
        let requester = caller.user()?;
        let PartialRequest { opening: id } = received.json()?;
        let found = caller.state.opening(id).await?.filter(|it| it.requester == requester);
        let opening = found.ok_or_else(unknown)?;
        let (account, identity) = (caller.request.account.clone(), caller.identity);
        prepare(state, &caller, Asked { id, opening, account, identity }).await
    });
    let prepared = work.await?;
    if !prepared.is_recorded {
        record(state, &prepared.asked).await?;
    }
    let handed_out = within(state.limits.request_timeout, async {
        let place = state.request_slot(prepared.asked.holder()).await?;
        Ok((hand_out(state, &prepared).await?, place))
    });
    let (reply, place) = handed_out.await?;
    delivery::json(&reply, place, Pace::of_reader(&state.limits))
}

/// An opening whose requester asks for this hospital's part.
struct Asked {
    id: OpeningId,
    opening: Opening,
    /// The account that signed the request.
    account: AccountId,
    identity: Identity,
}

impl Asked {
    /// Whose share the request uses.
    fn holder(&self) -> Holder {
        Holder::Account(self.account.clone())
    }
}

/// What may be handed out, if the chain has recorded it.
struct Prepared {
    asked: Asked,
    recipient: SealingPublicKey,
    segments: Vec<[u8; 32]>,
    is_recorded: bool,
}

/// The response if the opening does not exist, or is another user's. It does not say which.
fn unknown() -> ApiError {
    ApiError::not_found(
        "You have no opening of this number on the chain. Ask the chain first, then wait until your request is final.",
    )
}

/// Checks everything that can be checked before the chain records that the hospital hands out its part.
async fn prepare(state: &AppState, caller: &Caller, asked: Asked) -> Result<Prepared, ApiError> {
    let finalized = caller.state.as_ref();
    let decided = decision::decide(state, finalized, &asked).await?;
    let Opening { requester, patient, records, emergency, .. } = &asked.opening;
    // Before bodies and records are read. As for grants, emergencies have a rate of their own.
    let shared = &state.shared;
    let rates = if emergency.is_some() { &shared.emergencies } else { &shared.rates };
    rates.count(*requester, Instant::now()).map_err(too_often)?;
    let recipient = recipient::sealing_key(state, caller, *requester).await?;
    let is_recorded = is_recorded(finalized, &asked, decided.epoch.id).await?;
    Parts::gather(state, finalized, asked.identity, &decided).await?;
    let needed = collect::needed(state, finalized, *patient, records).await?;
    let segments = needed.iter().map(|needed| needed.segment).collect();
    Ok(Prepared { asked, recipient, segments, is_recorded })
}

/// Whether the chain has the record that this hospital hands out its part. A part of another epoch than the recorded
/// one is not handed out.
async fn is_recorded(
    finalized: &dyn FinalState,
    asked: &Asked,
    epoch: EpochId,
) -> Result<bool, ApiError> {
    match finalized.handed_out(asked.id, asked.identity.hospital).await? {
        None => Ok(false),
        Some(handed_out) if handed_out.epoch == epoch => Ok(true),
        Some(_) => Err(ApiError::conflict(
            "epoch-changed",
            "The members of the consortium key have renewed their shares",
            "This hospital handed out its part in an earlier epoch, and parts of different epochs do not fit \
             together. Ask the chain for another opening.",
        )),
    }
}

/// Records that the hospital hands out its part, unless another request has recorded it meanwhile. Returns when the
/// chain's record is final.
async fn record(state: &AppState, asked: &Asked) -> Result<(), ApiError> {
    let (id, here) = (asked.id, asked.identity.hospital);
    let recorded = within(state.limits.transaction_timeout, async {
        // One request at a time: the next ones find its record.
        let _alone = state.hand_out_slot(id).await?;
        let _slot = state.transaction_slot(asked.holder()).await?;
        if state.view.finalized().await?.handed_out(id, here).await?.is_some() {
            return Ok(None);
        }
        Ok(Some(state.calls.submit(openings::hand_out(id)).await))
    });
    let failure = match recorded.await? {
        None => return Ok(()),
        Some(Ok(())) => {
            state.metrics.hand_outs.inc();
            return Ok(());
        }
        Some(Err(CallError::Failed(failure))) => failure,
        Some(Err(error)) => return Err(error.into()),
    };
    let is = |error: &str| failure.is("Openings", error);
    if is("AlreadyHandedOut") {
        // By another worker of this hospital. The failure is final, so the record before it is, too.
        Ok(())
    } else if is("NotAdmitted") {
        Err(decision::not_admitted())
    } else if is("Unjustified") {
        Err(decision::unjustified())
    } else if is("Over") {
        Err(decision::over())
    } else if is("RequesterChanged") {
        Err(decision::requester_changed())
    } else if is("NotInForce") {
        Err(decision::not_registered())
    } else {
        Err(CallError::Failed(failure).into())
    }
}

/// Decides once more, in the newest state: the patient may have withdrawn the consent while the worker waited.
async fn hand_out(state: &AppState, prepared: &Prepared) -> Result<PartialReply, ApiError> {
    let Prepared { asked, recipient, segments, .. } = prepared;
    let finalized = state.view.finalized().await?;
    let finalized = finalized.as_ref();
    let decided = decision::decide(state, finalized, asked).await?;
    if !is_recorded(finalized, asked, decided.epoch.id).await? {
        // The node has not shown the block of the record yet.
        return Err(ViewError::Away.into());
    }
    let Identity { genesis, hospital } = asked.identity;
    let (opening, epoch) = (asked.id, decided.epoch.id);
    let wraps = decided.wraps();
    let context = PartialContext { genesis, opening, hospital, epoch, wraps };
    let parts = Parts::gather(state, finalized, asked.identity, &decided).await?;
    let content = parts.content(context.proof_context(asked.opening.sealing_key)).await?;
    let sealed = state.hospital_keys.seal_partial(context, content, recipient.clone()).await?;
    state.metrics.partials.inc();
    let expires = crate::now().saturating_add(crate::millis(state.limits.link_lifetime));
    let link = |segment| {
        let links = &state.shared.links;
        links.make(&state.public_url, segment, link_name(opening), expires)
    };
    let links = segments.iter().map(link).collect();
    Ok(PartialReply { partial: STANDARD.encode(sealed.encode()), links })
}

/// The beginning of what the links of openings have in the place of a grant's hash.
const LINK_PREFIX: &[u8; 28] = b"epione/links of an opening/\0";

/// What the links of an opening have in the place of a grant's hash.
fn link_name(id: OpeningId) -> Hash {
    let mut name = [0; 32];
    name[..28].copy_from_slice(LINK_PREFIX);
    name[28..].copy_from_slice(&id.0.to_be_bytes());
    Hash::from(name)
}

/// The opening that a link names in the place of a grant's hash.
fn named_by(grant: Hash) -> Option<OpeningId> {
    let id = grant.as_bytes().strip_prefix(LINK_PREFIX)?;
    Some(OpeningId(u32::from_be_bytes(id.try_into().ok()?)))
}

/// The requester of the opening that a link names, while the chain's decision still holds.
pub(super) async fn reader_of(
    state: &AppState,
    finalized: &dyn FinalState,
    grant: Hash,
) -> Result<Option<UserId>, ApiError> {
    let Some(id) = named_by(grant) else { return Ok(None) };
    let Some(opening) = finalized.opening(id).await? else { return Ok(None) };
    let here = state.view.identity().await?.hospital;
    if finalized.handed_out(id, here).await?.is_none() {
        return Ok(None);
    }
    match decision::holds(finalized, &opening).await {
        Ok(()) => Ok(Some(opening.requester)),
        Err(error) if error.is_the_workers() => Err(error),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_links_of_an_opening_name_it() {
        for id in [0, 1, 0x0102_0304, u32::MAX].map(OpeningId) {
            assert_eq!(named_by(link_name(id)), Some(id));
        }
        assert_eq!(named_by(Hash::zero()), None);
        let mut other = link_name(OpeningId(1));
        other.0[0] ^= 1;
        assert_eq!(named_by(other), None);
    }
}
