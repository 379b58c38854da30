//! What can go wrong with a sealed format, and what to do about it.

use thiserror::Error;

/// Something sealed does not open. One error for every cause: a wrong key, a key or ciphertext that
/// belongs elsewhere, changed bytes, a forged signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the sealed data does not open: the key is not for it, it was sealed for another place, or its \
     bytes are damaged"
)]
pub struct OpenError;

/// Bytes are not of the format they should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FormatError {
    #[error("{what} is of suite {suite}, which this version does not know; update the software")]
    UnknownSuite { what: &'static str, suite: u8 },
    #[error("{what} is malformed: {reason}")]
    Malformed { what: &'static str, reason: String },
    #[error("{what} is followed by {extra} bytes that do not belong to it")]
    TrailingBytes { what: &'static str, extra: usize },
    #[error("{what} is {actual}; the most allowed is {limit}")]
    TooLarge { what: &'static str, actual: u64, limit: u64 },
    #[error("a record needs at least one section")]
    NoSections,
    #[error("sections {first} and {second} have the same salt; draw a fresh one for each section")]
    RepeatedSalt { first: u16, second: u16 },
}

/// Something cannot be sealed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error(transparent)]
    Signature(#[from] SignatureError),
    #[error("the record has no section {section}")]
    NoSuchSection { section: u16 },
    #[error("section {section} was sealed already; it is written once")]
    AlreadySealed { section: u16 },
    #[error("section {section} has not been sealed")]
    NotSealed { section: u16 },
    #[error("more content than the {declared} bytes that were declared")]
    TooLong { declared: u64 },
    #[error("only {given} of the {declared} bytes of content that were declared")]
    TooShort { declared: u64, given: u64 },
    #[error("section {section} is not the content that its author described and signed")]
    ContentDiffers { section: u16 },
    #[error("{0}")]
    Refused(&'static str),
    /// The cryptographic library failed for no fault of the input.
    #[error("the cryptographic library refused to seal")]
    Cipher,
}

/// A signature over a record, or a part of it, does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    #[error(
        "the signature is not by this account over this record, at this hospital, on this chain"
    )]
    Invalid,
    #[error("the patient did not sign this record")]
    NotCosigned,
    #[error("section {section} is not the one that was signed at this position")]
    Leaf { section: u16 },
}
