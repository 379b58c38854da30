//! The signed draft of a visit, from the request that submits it.

use codec::Encode;
use epione_client::{
    api::{ContentUpload, VisitRequest},
    visit::{VisitError, signed_draft},
};
use epione_envelope::{FormatError, record::SignedDraft};

use crate::{
    api::{ApiError, AppState},
    journal::Command,
};

/// The context from which the key of the contents of commands is derived.
const CONTENT: &str = "epione 2026-11 worker contents of commands";

/// The command of the visit, if the client sent one.
pub(super) fn command_of(
    state: &AppState,
    visit: &VisitRequest,
    draft: &SignedDraft,
) -> Result<Option<Command>, ApiError> {
    let Some(digits) = &visit.command else { return Ok(None) };
    let mut id = [0; 16];
    hex::decode_to_slice(digits, &mut id).map_err(|_| {
        ApiError::bad_request(
            "visit",
            "The visit does not match the API's description",
            "A command has 32 hexadecimal digits.",
        )
    })?;
    let content = content(&state.hospital_keys.derived_key(CONTENT), draft);
    Ok(Some(Command { id, content }))
}

/// A digest of the visit's content, without the values that differ each time that it is signed. It is keyed, so that
/// nobody can test with the journal which text a visit contains.
fn content(key: &[u8; 32], signed: &SignedDraft) -> [u8; 32] {
    let (draft, cosigned) = (&signed.draft, signed.patient_signature.is_some());
    let whole = (draft.patient, cosigned, draft.nurse, &draft.extraction);
    let mut said = (whole, draft.sections.len() as u16).encode();
    for about in &draft.sections {
        let what = (about.kind, &about.media_type, &about.file_name);
        (what, about.content_root).encode_to(&mut said);
    }
    blake3::keyed_hash(key, &said).into()
}

pub(super) fn draft_of(visit: &VisitRequest) -> Result<SignedDraft, ApiError> {
    for (index, section) in visit.sections.iter().enumerate() {
        if matches!(&section.content, ContentUpload::Media { bytes: 0, .. }) {
            return Err(ApiError::bad_request(
                "empty-section",
                "A section is empty",
                format!("The file of section {index} has no bytes: leave the section out."),
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
                ApiError::bad_request("text", "A section is not plain text", detail)
            }
            VisitError::NurseSignature => ApiError::bad_request(
                "nurse-signature",
                "The nurse's signature is not valid",
                detail,
            ),
            VisitError::TooManySections(_)
            | VisitError::LongText { .. }
            | VisitError::LongTexts { .. }
            | VisitError::LongDescriptions { .. }
            | VisitError::Format(FormatError::TooLarge { .. }) => ApiError::too_large(detail),
            _ => ApiError::bad_request(
                "visit",
                "The visit does not match the API's description",
                detail,
            ),
        }
    })
}
