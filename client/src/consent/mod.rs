//! A patient's consents: as sentences, as trees in files, as FHIR resources; which sections they cover; and the log of
//! what all patients share.
//!
//! A consent shares the sections in one of the patient's slots with its audience. [`Formula`] is the audience as a
//! tree, which people write; the chain stores it in postfix notation. [`sentences`] says what the patient signs.
//! [`Coverage`] finds the sections of the patient's records that a consent covers by their kind and time, and [`place`]
//! places them. [`follow`] verifies the log of changes. [`fhir`] writes a consent as a resource of FHIR R4, and reads
//! one.

mod covering;
pub mod fhir;
mod formula;
mod kinds;
mod log;
mod placing;
mod words;

pub use covering::{Coverage, Unopened, missing};
pub use formula::{AttributeRef, Formula, FormulaError, MAX_FORMULA_BYTES, Tree};
pub use kinds::{kinds_in, set_of};
pub use log::{LogError, MAX_CHANGES, follow};
pub use placing::{Placing, PlacingError, place, placements_of, remove};
pub use words::{Names, audience_in_words, purposes_in_words, sentences};

use epione_primitives::{
    Moment, Word,
    access::Purpose,
    limits::MAX_SHARING_MILLIS,
    sharing::{Consent, InvalidAudience, check_audience},
};

/// Why the chain would refuse a consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsentError {
    #[error("a consent must end in the future, and at most 366 days from now")]
    WrongEnd,
    #[error("a consent needs at least one purpose")]
    NoPurpose,
    #[error("the purpose {} is named twice", spelled(.0))]
    RepeatedPurpose(Purpose),
    #[error(
        "a consent for emergencies must be a standing one, without another purpose: at the hospital of a record, an \
         emergency does not wait for a consent"
    )]
    Emergency,
    #[error("{}", invalid(.0))]
    Audience(InvalidAudience),
}

fn spelled(purpose: &Purpose) -> &'static str {
    Word::spelled(*purpose)
}

/// What is wrong with an audience.
fn invalid(audience: &InvalidAudience) -> &'static str {
    match audience {
        InvalidAudience::Malformed => {
            "the audience is not a formula: it names nobody, or a threshold needs more terms than there are"
        }
        InvalidAudience::TooLarge => {
            "the audience is too large: it has at most 16 leaves, and at most 4 thresholds within each other"
        }
    }
}

/// Checks what the chain checks of a consent, at this time.
///
/// # Errors
/// The first reason why the chain would refuse it.
pub fn check(consent: &Consent, now: Moment) -> Result<(), ConsentError> {
    let last = now.saturating_add(MAX_SHARING_MILLIS);
    if consent.until <= now || consent.until > last {
        return Err(ConsentError::WrongEnd);
    }
    if consent.purposes.is_empty() {
        return Err(ConsentError::NoPurpose);
    }
    for (index, purpose) in consent.purposes.iter().enumerate() {
        if consent.purposes.iter().skip(index + 1).any(|other| other == purpose) {
            return Err(ConsentError::RepeatedPurpose(*purpose));
        }
    }
    if consent.purposes.contains(&Purpose::Emergency) && !consent.is_for_emergencies() {
        return Err(ConsentError::Emergency);
    }
    check_audience(&consent.audience).map_err(ConsentError::Audience)
}

#[cfg(test)]
mod tests;
