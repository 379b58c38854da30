//! Disclosures: a patient shows some sections of a record to somebody outside the network. The recipient verifies
//! offline who wrote them, when, and that the author permits this choice of sections. `docs/formats.md` describes the
//! file.
//!
//! [`make`] collects the proof from a node, and signs; [`read`], [`verify`] and [`Verified::check_media`] need neither
//! a node nor a key. Only the patient of a record discloses it: the file is signed with the account that the patient
//! has at the block of the proof. A grant to read a record is no permission to pass it on.

mod check;
mod made;
#[cfg(test)]
mod tests;

pub use check::{
    Culprit, Flaw, Refused, ShownContent, ShownSection, Verified, claimed_genesis, read, verify,
};
pub use made::{Content, DisclosureError, Made, Shown, make};

use codec::{Decode, DecodeWithMemTracking, Encode};
use epione_envelope::record::Description;
use epione_primitives::{Hash, Moment, RecordPointer, release::SectionSet, text::controls};
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use crate::{chain::RecordProof, file_name};

/// Name of the file in the folder of a disclosure. Media are files next to it.
pub const FILE_NAME: &str = "disclosure.epione";
/// Maximum bytes of the file.
pub const MAX_FILE_BYTES: u64 = 128 * 1024 * 1024;
/// Maximum bytes of the name of the recipient, and of the purpose.
pub const MAX_WORDS_BYTES: usize = 256;

/// The first bytes of the file. No text begins with them, and a transfer that changes the ends of lines damages them.
const MAGIC: [u8; 8] = *b"\x8aEPIONE\n";
/// The format of the file: the next byte.
const FORMAT: u8 = 1;
/// Memory that decoding the file may take.
const MAX_MEMORY: usize = 4 * MAX_FILE_BYTES as usize;
/// Maximum number of bytes of the author's name in the name of a media file.
const MAX_NAME_BYTES: usize = 180;

/// For whom and why a patient made a disclosure.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking)]
pub struct Attribution {
    recipient: String,
    purpose: String,
    until: Option<Moment>,
}

/// Why an attribution cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributionError {
    #[error("the {what} is empty")]
    Empty { what: &'static str },
    #[error("the {what} has {bytes} bytes, and the limit is {max}", max = MAX_WORDS_BYTES)]
    TooLong { what: &'static str, bytes: usize },
    #[error("the {what} contains a line break or another control character")]
    Controls { what: &'static str },
}

impl Attribution {
    /// The name of the recipient, the purpose, and the time until which the patient permits the recipient to use the
    /// disclosure; none for no end.
    pub fn new(
        recipient: impl Into<String>,
        purpose: impl Into<String>,
        until: Option<Moment>,
    ) -> Result<Self, AttributionError> {
        let attribution = Self { recipient: recipient.into(), purpose: purpose.into(), until };
        attribution.check()?;
        Ok(attribution)
    }

    pub fn recipient(&self) -> &str {
        &self.recipient
    }

    pub fn purpose(&self) -> &str {
        &self.purpose
    }

    pub fn until(&self) -> Option<Moment> {
        self.until
    }

    /// Whether the permission has ended at this time.
    pub fn is_over(&self, now: Moment) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    fn check(&self) -> Result<(), AttributionError> {
        for (what, words) in [("recipient", &self.recipient), ("purpose", &self.purpose)] {
            let bytes = words.len();
            if words.trim().is_empty() {
                return Err(AttributionError::Empty { what });
            }
            if bytes > MAX_WORDS_BYTES {
                return Err(AttributionError::TooLong { what, bytes });
            }
            if words.contains(controls) {
                return Err(AttributionError::Controls { what });
            }
        }
        Ok(())
    }
}

/// What the patient signs, after the first bytes and the byte of the format. It contains plaintext, so there is no
/// `Debug`.
#[derive(Clone, Encode, Decode, DecodeWithMemTracking)]
struct Bundle {
    genesis: Hash,
    pointer: RecordPointer,
    attribution: Attribution,
    /// The sealed record, as it is in the body of its lite block.
    record: Vec<u8>,
    /// The encoded [`epione_envelope::record::Disclosure`].
    disclosure: Vec<u8>,
    /// The shown texts, ascending by section.
    texts: Vec<(u16, Vec<u8>)>,
    /// The shown media sections whose content is in files next to this one.
    media: SectionSet,
    proof: RecordProof,
}

impl Bundle {
    /// The bytes of the file before the signature.
    fn to_sign(&self) -> Vec<u8> {
        (MAGIC, FORMAT, self).encode()
    }
}

/// What the patient's account signs, for a file with these bytes before the signature.
fn message(genesis: Hash, signed: &[u8]) -> Vec<u8> {
    (b"epione/disclosure", genesis, BlakeTwo256::hash(signed)).encode()
}

/// The name of the file with the content of a media section: the section's number, and what is safe of the author's
/// name for it.
pub fn media_name(section: u16, description: &Description) -> String {
    let own = file_name::harmless(&description.file_name, MAX_NAME_BYTES);
    format!("{section:02}-{}", own.unwrap_or_else(|| "media.bin".into()))
}
