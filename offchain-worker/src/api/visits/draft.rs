//! The signed draft of a visit, from the request that submits it.

use epione_client::{
    api::{ContentUpload, VisitRequest},
    visit::{VisitError, signed_draft},
};
use epione_envelope::{FormatError, record::SignedDraft};

use crate::api::ApiError;

/// What the author means by the visit, if the client says so.
pub(super) fn command_of(visit: &VisitRequest) -> Result<Option<[u8; 16]>, ApiError> {
    let Some(digits) = &visit.command else { return Ok(None) };
    let mut command = [0; 16];
    hex::decode_to_slice(digits, &mut command).map_err(|_| {
        ApiError::bad_request(
            "visit",
            "The visit does not match the API's description",
            "A command has 32 hexadecimal digits.",
        )
    })?;
    Ok(Some(command))
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
