//! Why an opening was not asked for, or not found.

use epione_primitives::{RecordPointer, limits::MAX_OPENED_SECTIONS, release::SectionSet};

use super::NotAdmitted;
use crate::{
    chain::{ChainError, SubmitError},
    reader::{OpeningFault, ReadError},
};

#[derive(Debug, thiserror::Error)]
pub enum OpeningError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error(transparent)]
    NotAdmitted(Box<NotAdmitted>),
    /// The consents that include the requester share other sections, or none.
    #[error("{}", not_shared(.pointer, .missing, .shared))]
    NotShared { pointer: RecordPointer, missing: SectionSet, shared: SectionSet },
    #[error(
        "the hospital of record {pointer} has not wrapped {} under the consortium key: its worker does so within \
         minutes after the patient placed them, but not if the hospital has no share of the key, or if the record does \
         not have such a section",
        in_words(.missing)
    )]
    NotWrapped { pointer: RecordPointer, missing: SectionSet },
    /// The chain takes a question in an emergency from nobody else.
    #[error("only a doctor has sections opened in an emergency")]
    NotDoctor,
    #[error("an opening is for at most {MAX_OPENED_SECTIONS} sections, not {sections}")]
    TooMany { sections: usize },
    #[error(
        "the chain included the call, but its events do not have the opening's number: list your openings"
    )]
    NoNumber,
}

fn not_shared(pointer: &RecordPointer, missing: &SectionSet, shared: &SectionSet) -> String {
    if shared.is_empty() {
        return format!(
            "no standing consent that includes you shares a section of record {pointer}"
        );
    }
    format!(
        "the standing consents that include you do not share {} of record {pointer}: they share {}",
        in_words(missing),
        in_words(shared)
    )
}

/// Sections by their numbers: `section 2`, `sections 0,2`.
fn in_words(sections: &SectionSet) -> String {
    let numbers: Vec<_> = sections.iter().map(|section| section.to_string()).collect();
    let noun = if numbers.len() == 1 { "section" } else { "sections" };
    format!("{noun} {}", numbers.join(","))
}

impl From<NotAdmitted> for OpeningError {
    fn from(refusal: NotAdmitted) -> Self {
        Self::NotAdmitted(Box::new(refusal))
    }
}

impl From<ChainError> for OpeningError {
    fn from(error: ChainError) -> Self {
        ReadError::from(error).into()
    }
}

impl From<OpeningFault> for OpeningError {
    fn from(fault: OpeningFault) -> Self {
        ReadError::from(fault).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_that_are_not_shared_are_named_and_so_are_those_that_are() {
        let pointer = RecordPointer { height: 1, index: 0 };
        let (missing, shared) = (SectionSet(0b100), SectionSet(0b11));
        let said = OpeningError::NotShared { pointer, missing, shared }.to_string();
        assert!(said.contains("do not share section 2 of record 1/0: they share sections 0,1"));
        let nothing = SectionSet::default();
        let said = OpeningError::NotShared { pointer, missing, shared: nothing }.to_string();
        assert!(said.ends_with("shares a section of record 1/0"), "{said}");
    }
}
