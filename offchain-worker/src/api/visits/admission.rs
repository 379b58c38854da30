//! Whether a visit may be submitted here: by this author, of this size, under the hospital's policies.

use axum::http::StatusCode;
use epione_client::api::{ContentUpload, VisitRequest};
use epione_envelope::record::SignedDraft;
use epione_primitives::{
    AccountId, BlockNumber, HospitalId,
    access::{AccessRequest, Action, Decision, Denial, Purpose, SectionClass},
    block::SignedAt,
    hospital::HospitalStatus,
    limits::{MAX_SEGMENTS, MAX_SUBMISSION_AGE_BLOCKS, SEGMENT_BYTES},
    profile::{RegistrationStatus, Role},
};

use super::terms::VisitTerms;
use crate::{
    api::{ApiError, AppState, caller::Caller},
    chain::FinalState,
    tasks::{
        own_blocks::signed_since,
        signatures::{Fault, Signers},
    },
};

/// How many blocks the author's node may be ahead of the hospital's node. The hospital's node soon has them, too.
const MAX_LEAD_BLOCKS: BlockNumber = 20;

/// Checks that the sender may be the author of a visit: a doctor or nurse whose registration here is in force. So the
/// worker receives nobody else's visits.
pub(super) async fn check_staff(caller: &Caller) -> Result<(), ApiError> {
    let (user, hospital) = (caller.user()?, caller.identity.hospital);
    let profile = caller.state.profile(user).await?;
    let registration = caller.state.registration(hospital, user).await?;
    let is_active = registration.is_some_and(|it| it.status == RegistrationStatus::Active);
    match profile.map(|profile| profile.role) {
        Some(Role::Doctor | Role::Nurse) if is_active => Ok(()),
        _ => Err(ApiError::forbidden(
            "Only doctors and nurses whose registration at this hospital is in force may submit visits: ask the \
             hospital to register you, or to reinstate your registration.",
        )),
    }
}

/// Checks that the visit is for this hospital, and that its sender is its author.
pub(super) fn check_addressed(caller: &Caller, visit: &VisitRequest) -> Result<(), ApiError> {
    let user = caller.user()?;
    if visit.hospital != caller.identity.hospital {
        return Err(ApiError::bad_request(
            "wrong-hospital",
            "The visit is for another hospital",
            format!(
                "This worker serves hospital {}, but the visit is for hospital {}: send it to that hospital's \
                 worker.",
                caller.identity.hospital, visit.hospital
            ),
        ));
    }
    if visit.author != user {
        return Err(ApiError::forbidden(
            "Only the author of a visit may submit it, signed with the author's own account.",
        ));
    }
    Ok(())
}

/// Checks that the media are not larger than the worker accepts.
pub(super) fn check_sizes(state: &AppState, visit: &VisitRequest) -> Result<(), ApiError> {
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
            "This worker accepts at most {limit} bytes of media per visit: submit the media as two visits."
        )));
    }
    Ok(())
}

/// Decides once more, by the state after the signed block, if the patient did not sign: a standing authorization stands
/// for the patient's signature only if it was in force then, because everybody judges the record by that state.
pub(super) async fn check_standing_authorization(
    state: &AppState,
    terms: &VisitTerms,
) -> Result<(), ApiError> {
    if terms.cosigned {
        return Ok(());
    }
    let after = state.view.after(terms.signed_at).await?;
    authorize(&*after.ok_or_else(|| unknown_block(terms.signed_at))?, terms).await
}

/// Decides by the policies.
pub(super) async fn authorize(
    finalized: &dyn FinalState,
    terms: &VisitTerms,
) -> Result<(), ApiError> {
    let question = AccessRequest {
        requester: terms.author,
        action: Action::Submit,
        patient: terms.patient,
        hospital: terms.hospital,
        // Until the patient shares them, all sections are private.
        class: SectionClass::Private,
        purpose: Purpose::Treatment,
        // `check_signatures` verifies the signature itself.
        cosigned: terms.cosigned,
    };
    match finalized.decide_each(&[question]).await?.pop() {
        Some(Decision::Allow { .. }) => Ok(()),
        Some(Decision::Deny(denial)) => Err(ApiError::denied(denial)),
        None => Err(ApiError::denied(Denial::Failed(Vec::new()))),
    }
}

/// Checks that the visit was signed at one of the last blocks. [`check_signatures`] checks that the chain has it.
pub(super) async fn check_freshness(state: &AppState, signed_at: SignedAt) -> Result<(), ApiError> {
    let (head, number) = (state.view.head().await?, signed_at.number);
    let (age, lead) = (head.saturating_sub(number), number.saturating_sub(head));
    if age > MAX_SUBMISSION_AGE_BLOCKS {
        return Err(signed_long_ago(age));
    }
    if (1..=MAX_LEAD_BLOCKS).contains(&lead) {
        return Err(not_finalized_yet(number));
    }
    Ok(())
}

/// Checks that the hospital announces visits. A leaving one does not: a visit that it accepted would never be committed.
pub(super) async fn check_announcing(
    finalized: &dyn FinalState,
    here: HospitalId,
) -> Result<(), ApiError> {
    let hospital = finalized.hospital(here).await?;
    if hospital.is_some_and(|it| it.status == HospitalStatus::Leaving) {
        return Err(ApiError::forbidden(
            "This hospital is leaving: it serves its patients and readers, and announces no visits any more. Submit the \
             visit at another hospital at which its patient is registered.",
        ));
    }
    Ok(())
}

/// Checks that a visit whose media took long to arrive can still be announced.
pub(super) async fn check_announceable(
    state: &AppState,
    finalized: &dyn FinalState,
    terms: &VisitTerms,
) -> Result<(), ApiError> {
    check_announcing(finalized, terms.hospital).await?;
    let (head, signed_at) = (state.view.head().await?, terms.signed_at);
    if signed_at.number < signed_since(head) {
        return Err(signed_long_ago(head.saturating_sub(signed_at.number)));
    }
    Ok(())
}

/// Checks the signatures of the author, and of the nurse and the patient if they signed, by the state after the signed
/// block. Returns the account that the author had then.
pub(super) async fn check_signatures(
    state: &AppState,
    terms: &VisitTerms,
    draft: &SignedDraft,
) -> Result<AccountId, ApiError> {
    let mut signers = Signers::new(terms.genesis, terms.hospital, &*state.view);
    signers.check(draft).await?.map_err(|fault| refused(fault, terms.signed_at))
}

fn refused(fault: Fault, signed_at: SignedAt) -> ApiError {
    let number = signed_at.number;
    let forbidden = |who: &str| {
        ApiError::forbidden(format!(
            "At block {number}, at which the visit was signed, {who} at this hospital was not in force: sign the visit \
             again once it is."
        ))
    };
    let invalid = |kind: &str, whose: &str| {
        ApiError::bad_request(
            kind,
            &format!("The {whose}'s signature is not valid"),
            format!(
                "The {whose} must sign the visit's sections for this hospital and chain, with the account that the \
                 {whose} had after block {number}, at which the visit was signed."
            ),
        )
    };
    match fault {
        Fault::Block => unknown_block(signed_at),
        Fault::Author => forbidden("the author's registration as a doctor or nurse"),
        Fault::Patient => forbidden("the patient's registration"),
        Fault::AuthorSignature => invalid("author-signature", "author"),
        Fault::NurseSignature => invalid("nurse-signature", "nurse"),
        Fault::PatientSignature => invalid("patient-signature", "patient"),
        Fault::Nurse => ApiError::bad_request(
            "nurse",
            "The visit's nurse is not a nurse of this hospital",
            format!(
                "At block {number}, at which the visit was signed, the nurse whom it names was not registered as a \
                 nurse at this hospital: name a nurse who is, or none."
            ),
        ),
    }
}

fn unknown_block(signed_at: SignedAt) -> ApiError {
    ApiError::bad_request(
        "signed-block",
        "The visit was signed at a block that this chain does not have",
        format!(
            "The chain has no finalized block {} with the hash {:?}: check that your node follows the hospital's \
             chain, and sign the visit again.",
            signed_at.number, signed_at.hash
        ),
    )
}

fn not_finalized_yet(number: BlockNumber) -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "node-behind",
        "The hospital's node does not have the visit's block yet",
        format!(
            "The visit was signed at block {number}, which the hospital's node has not finalized yet: send the same \
             visit again in a few seconds."
        ),
    )
}

fn signed_long_ago(age: BlockNumber) -> ApiError {
    ApiError::bad_request(
        "signed-long-ago",
        "The visit was signed too long ago",
        format!(
            "It was signed {age} blocks ago. A worker accepts a visit that was signed at one of the last \
             {MAX_SUBMISSION_AGE_BLOCKS} finalized blocks, and announces it within a day: sign the visit again, and \
             submit it."
        ),
    )
}
