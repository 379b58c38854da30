//! Whether a visit may be submitted here: by this author, of this size, under the hospital's policies.

use epione_client::api::{ContentUpload, VisitRequest};
use epione_envelope::SignatureError;
use epione_primitives::{
    AccountId,
    access::{AccessRequest, Action, Decision, Denial, Purpose, SectionClass},
    limits::{MAX_SEGMENTS, SEGMENT_BYTES},
    profile::{Registration, RegistrationStatus, Role},
};

use super::terms::VisitTerms;
use crate::{
    api::{ApiError, AppState, caller::Caller},
    chain::FinalState,
};

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

/// Decides by the policies; returns the registration that names the patient's key.
pub(super) async fn authorize(
    finalized: &dyn FinalState,
    terms: &VisitTerms,
) -> Result<Registration, ApiError> {
    let question = |class: &SectionClass| AccessRequest {
        requester: terms.author,
        action: Action::Submit,
        patient: terms.patient,
        hospital: terms.hospital,
        class: *class,
        purpose: Purpose::Treatment,
        // `check_cosignature` verifies the signature itself.
        cosigned: terms.cosigned,
    };
    let questions: Vec<_> = terms.classes.iter().map(question).collect();
    let decisions = finalized.decide_each(&questions).await?;
    let allowed = decisions.iter().filter(|decision| decision.is_allowed()).count();
    if allowed < questions.len() {
        let denial = decisions.into_iter().find_map(|decision| match decision {
            Decision::Deny(denial) => Some(denial),
            Decision::Allow { .. } => None,
        });
        return Err(ApiError::denied(denial.unwrap_or(Denial::Failed(Vec::new()))));
    }
    finalized.registration(terms.hospital, terms.patient).await?.ok_or_else(|| {
        ApiError::forbidden(
            "The patient is not registered at this hospital: ask the hospital to register the \
             patient first.",
        )
    })
}

/// Checks that the patient's signature is valid, if there is one.
pub(super) async fn check_cosignature(
    finalized: &dyn FinalState,
    terms: &VisitTerms,
    verify: impl Fn(&AccountId) -> Result<(), SignatureError>,
) -> Result<(), ApiError> {
    if !terms.cosigned {
        return Ok(());
    }
    let profile = finalized.profile(terms.patient).await?;
    if profile.is_some_and(|patient| verify(&patient.account).is_ok()) {
        return Ok(());
    }
    Err(ApiError::bad_request(
        "patient-signature",
        "The patient's signature is not valid",
        "The patient must sign the visit's sections with the patient's current account, for this \
         hospital and chain. Otherwise leave the signature out.",
    ))
}
