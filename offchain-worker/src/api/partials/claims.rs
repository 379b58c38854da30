//! `POST /v1/claims/part`: hands out this hospital's part of a claim to the custodian of a removed hospital.
//!
//! The chain has decided that the custodian may open the patient keys. Each member of the consortium key decides again,
//! by the state after its last finalized block: before the chain records that the hospital hands out its part, and just
//! before the worker does so, each time. The chain alone checks the delay after the appointment.

use std::time::{Duration, Instant};

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use codec::Encode;
use epione_client::{
    api::{ClaimPartReply, ClaimPartRequest, MAX_JSON_BYTES, Problem},
    chain::calls::custody,
};
use epione_envelope::{custody::ClaimPartContext, sealing_keys::SealingPublicKey};
use epione_primitives::{
    AccountId,
    consortium::Epoch,
    custody::{Claim, ClaimId},
    hospital::HospitalStatus,
    limits::CLAIM_BLOCKS,
    profile::RegistrationStatus,
};

use super::{
    decision,
    making::{KeptWrap, Parts},
};
use crate::{
    api::{
        ApiError, AppState,
        caller::signed,
        limits::{Holder, within},
    },
    chain::{CallError, FinalState, Identity, ViewError},
};

/// Hands out this hospital's part of a claim, sealed to the custodian. For the agent of the custodian, with the account
/// of that time. Responds when the chain's record that the hospital hands out its part is finalized.
#[utoipa::path(
    post,
    path = "/v1/claims/part",
    operation_id = "handOutClaimPart",
    tag = "peers",
    security(("signed" = [])),
    request_body = ClaimPartRequest,
    responses(
        (status = 200, description = "The hospital's sealed part", body = ClaimPartReply),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(in crate::api) async fn part(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<ClaimPartReply>, ApiError> {
    let state = &state;
    let work = signed(state, request, MAX_JSON_BYTES, |caller, received| async move {
        let ClaimPartRequest { claim: id } = received.json()?;
        let custodian = caller.active_hospital().await?.ok_or_else(|| {
            ApiError::forbidden("Only agents of active hospitals may request parts of claims.")
        })?;
        let found = caller.state.claim(id).await?.filter(|it| it.custodian == custodian);
        let claim = found.ok_or_else(unknown)?;
        // Before wraps are checked: that costs multiplications of points, for each patient of the claim.
        let counted = state.shared.claim_parts.count(custodian, Instant::now());
        counted.map_err(too_often)?;
        let (account, identity) = (caller.request.account.clone(), caller.identity);
        let asked = Asked { id, claim, account, identity };
        let finalized = caller.state.as_ref();
        let decided = decide(state, finalized, &asked).await?;
        let is_recorded = is_recorded(finalized, &asked, &decided.epoch).await?;
        decided.parts(state, finalized, &asked).await?;
        Ok((asked, is_recorded))
    });
    let (asked, is_recorded) = work.await?;
    if !is_recorded {
        record(state, &asked).await?;
    }
    let handed_out = within(state.limits.request_timeout, async {
        let _place = state.request_slot(asked.holder()).await?;
        hand_out(state, &asked).await
    });
    Ok(Json(handed_out.await?))
}

/// A claim whose custodian asks for this hospital's part.
struct Asked {
    id: ClaimId,
    claim: Claim,
    /// The account that signed the request.
    account: AccountId,
    identity: Identity,
}

impl Asked {
    fn holder(&self) -> Holder {
        Holder::Account(self.account.clone())
    }
}

/// What may be handed out.
struct Decided {
    epoch: Epoch,
    custodian: SealingPublicKey,
    /// One for each patient, ascending.
    kept: Vec<KeptWrap>,
}

impl Decided {
    async fn parts(
        self,
        state: &AppState,
        finalized: &dyn FinalState,
        asked: &Asked,
    ) -> Result<Parts, ApiError> {
        let here = asked.identity.hospital;
        Parts::of_keys(state, finalized, here, &self.epoch, self.kept).await
    }
}

/// Decides about a request as the chain does. The error is the first reason why not.
async fn decide(
    state: &AppState,
    finalized: &dyn FinalState,
    asked: &Asked,
) -> Result<Decided, ApiError> {
    let Asked { claim, account, identity, .. } = asked;
    let Claim { departed, custodian, block, .. } = *claim;
    // Later than the state, if at all.
    let head = state.view.head().await?;
    if head.saturating_sub(block) > CLAIM_BLOCKS {
        return Err(refused("the claim is too old: claim again"));
    }
    let hospital = finalized.hospital(custodian).await?;
    let hospital =
        hospital.filter(|it| it.status == HospitalStatus::Active && it.agent == *account);
    let key = hospital.and_then(|it| SealingPublicKey::from_bytes(&it.sealing_key).ok());
    let key = key.filter(|key| key.hash() == claim.sealing_key && *account == claim.audience);
    let key = key.ok_or_else(|| refused("the custodian has other keys now: claim again"))?;
    let left = finalized.hospital(departed).await?;
    if left.is_none_or(|it| it.status != HospitalStatus::Removed) {
        return Err(refused("the hospital is not removed"));
    }
    let appointments = finalized.appointments().await?;
    let is_custodian = appointments.iter().any(|(of, appointment)| {
        *of == departed && appointment.custodian == custodian && appointment.since <= block
    });
    if !is_custodian {
        return Err(refused(
            "the council has dismissed, replaced or newly appointed the custodian",
        ));
    }
    let epoch = decision::own_epoch(finalized, identity.hospital).await?;
    let kept = kept(finalized, asked, &epoch).await?;
    Ok(Decided { epoch, custodian: key, kept })
}

/// The wraps of the claimed keys, if each patient still entrusts it, and is registered at the custodian.
async fn kept(
    finalized: &dyn FinalState,
    asked: &Asked,
    epoch: &Epoch,
) -> Result<Vec<KeptWrap>, ApiError> {
    let Claim { departed, custodian, ref patients, .. } = asked.claim;
    let at = finalized.time().await?;
    let mut wraps = Vec::with_capacity(patients.len());
    for patient in patients.iter().copied() {
        let entrusted = finalized.entrusted_by(departed, patient).await?;
        if entrusted.is_none_or(|mandate| !mandate.in_force(at)) {
            return Err(refused("a patient does not entrust the key any more: claim without them"));
        }
        let registration = finalized.registration(custodian, patient).await?;
        if registration.is_none_or(|it| it.status != RegistrationStatus::Active) {
            return Err(refused("a patient's registration at the custodian is not in force"));
        }
        let kept = finalized.kept_key(departed, patient).await?;
        let kept = kept.filter(|kept| kept.key == epoch.key);
        let kept =
            kept.ok_or_else(|| refused("no key of a patient is kept under the present key"))?;
        let label = kept.label(asked.identity.genesis, departed, patient);
        wraps.push(KeptWrap { label, wrap: kept.wrap });
    }
    Ok(wraps)
}

/// Whether the chain has the record that this hospital hands out its part. A part of another epoch than the recorded
/// one is not handed out.
async fn is_recorded(
    finalized: &dyn FinalState,
    asked: &Asked,
    epoch: &Epoch,
) -> Result<bool, ApiError> {
    match finalized.claim_part(asked.id, asked.identity.hospital).await? {
        None => Ok(false),
        Some(handed_out) if handed_out.epoch == epoch.id => Ok(true),
        Some(_) => Err(refused(
            "the members of the consortium key have renewed their shares since this hospital handed out its part: \
             claim again",
        )),
    }
}

/// Records that the hospital hands out its part, unless another request has recorded it meanwhile. Returns when the
/// chain's record is final.
async fn record(state: &AppState, asked: &Asked) -> Result<(), ApiError> {
    let (id, here) = (asked.id, asked.identity.hospital);
    let recorded = within(state.limits.transaction_timeout, async {
        // One request at a time: the next ones find its record.
        let _alone = state.claim_slot(id).await?;
        let _slot = state.transaction_slot(asked.holder()).await?;
        if state.view.finalized().await?.claim_part(id, here).await?.is_some() {
            return Ok(None);
        }
        Ok(Some(state.calls.submit(custody::hand_out(id)).await))
    });
    match recorded.await? {
        None | Some(Ok(())) => Ok(()),
        // By another worker of this hospital. The failure is final, so the record before it is, too.
        Some(Err(CallError::Failed(failure))) if failure.is("Custody", "AlreadyHandedOut") => {
            Ok(())
        }
        Some(Err(error)) => Err(error.into()),
    }
}

/// Decides once more, in the newest state: the patient may have ended what was entrusted while the worker waited.
async fn hand_out(state: &AppState, asked: &Asked) -> Result<ClaimPartReply, ApiError> {
    let finalized = state.view.finalized().await?;
    let finalized = finalized.as_ref();
    let decided = decide(state, finalized, asked).await?;
    if !is_recorded(finalized, asked, &decided.epoch).await? {
        // The node has not shown the block of the record yet.
        return Err(ViewError::Away.into());
    }
    let Identity { genesis, hospital } = asked.identity;
    let (claim, departed, epoch) = (asked.id, asked.claim.departed, decided.epoch.id);
    let context = ClaimPartContext { genesis, claim, departed, hospital, epoch };
    let custodian = decided.custodian.clone();
    let parts = decided.parts(state, finalized, asked).await?;
    let content = parts.content(context.proof_context(asked.claim.sealing_key)).await?;
    let sealed = state.hospital_keys.seal_claim_part(context, content, custodian).await?;
    Ok(ClaimPartReply { part: STANDARD.encode(sealed.encode()) })
}

fn unknown() -> ApiError {
    ApiError::not_found(
        "Your hospital has no claim of this number on the chain. Claim first, then wait until the claim is final.",
    )
}

fn too_often(wait: Duration) -> ApiError {
    let seconds = wait.as_secs() + 1;
    ApiError::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too-many-parts",
        "Your hospital requests parts of claims too often",
        format!("Nothing was handed out. Try again in {seconds} seconds, and claim for several patients at a time."),
    )
    .ends_after(seconds)
}

fn refused(why: &str) -> ApiError {
    ApiError::conflict(
        "claim-ended",
        "The claim does not stand any more",
        format!("Nothing was handed out: {why}."),
    )
}
