//! The errors of the sealed formats.

use epione_primitives::release::SectionSet;
use thiserror::Error;

/// Sealed data cannot be opened. The error is the same for every cause: a wrong key, a key or
/// ciphertext from another context, changed bytes, a forged signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the sealed data cannot be opened: the key is wrong, the data was sealed for another context (chain, hospital, \
     user, record or section), or its bytes are damaged"
)]
pub struct OpenError;

/// Bytes are not in the expected format.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FormatError {
    #[error("{what} uses suite {suite}, which this version does not support; update the software")]
    UnknownSuite { what: &'static str, suite: u8 },
    #[error(
        "{what} is of format {format}, which this version does not read; use the version that created it"
    )]
    OldFormat { what: &'static str, format: u8 },
    #[error("{what} is malformed: {reason}")]
    Malformed { what: &'static str, reason: String },
    #[error("{what} is followed by {extra} bytes that are not part of it")]
    TrailingBytes { what: &'static str, extra: usize },
    #[error("{what} is {actual}, but the limit is {limit}")]
    TooLarge { what: &'static str, actual: u64, limit: u64 },
    #[error("a record needs at least one section")]
    NoSections,
    #[error(
        "sections {first} and {second} have the same salt; generate a fresh salt for each section"
    )]
    RepeatedSalt { first: u16, second: u16 },
    #[error(transparent)]
    Extraction(#[from] ExtractionError),
}

/// Content cannot be sealed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error(transparent)]
    Signature(#[from] SignatureError),
    #[error("the record has no section {section}")]
    NoSuchSection { section: u16 },
    #[error("section {section} is already sealed; a section is sealed only once")]
    AlreadySealed { section: u16 },
    #[error("section {section} is not sealed yet")]
    NotSealed { section: u16 },
    #[error("the content is longer than the declared {declared} bytes")]
    TooLong { declared: u64 },
    #[error("the content has only {given} of the declared {declared} bytes")]
    TooShort { declared: u64, given: u64 },
    #[error("the content of section {section} differs from what its author described and signed")]
    ContentDiffers { section: u16 },
    #[error("{0}")]
    Refused(&'static str),
    /// The cryptographic library failed, although the input is valid.
    #[error("the cryptographic library failed to seal")]
    Cipher,
}

/// A signature over a record, or over a part of it, is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    #[error("the signature is not valid for this account, record, hospital and chain")]
    Invalid,
    #[error("the patient did not sign this record")]
    NotCosigned,
    #[error("no nurse signed this record")]
    NotSignedByNurse,
    #[error("section {section} differs from the section that was signed at this position")]
    Leaf { section: u16 },
    #[error(
        "the disclosure is not of this record: its authorship, leaves or signature differ; do not trust it"
    )]
    OtherRecord,
    #[error(transparent)]
    Extraction(#[from] ExtractionError),
}

/// A disclosure breaks a rule of the record's author.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ExtractionError {
    #[error("the author requires that every disclosure shows section {section}")]
    Mandatory { section: u16 },
    #[error("the author forbids that a disclosure shows section {section}")]
    Never { section: u16 },
    #[error("the author allows sections {} only together", listed(*group))]
    Together { group: SectionSet },
}

fn listed(sections: SectionSet) -> String {
    sections.iter().map(|section| section.to_string()).collect::<Vec<_>>().join(", ")
}
