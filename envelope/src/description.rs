//! The description of a section's content. It is sealed next to the content, and signed by the record's author.

use std::fmt;

use codec::{Decode, Encode};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{
    FormatError, OpenError,
    frames::Frames,
    hex_array,
    object::{CHUNK_BYTES, MAX_SEALED_BYTES},
    random,
    record::SectionKind,
};

/// Maximum bytes of a media type.
pub const MAX_MEDIA_TYPE_BYTES: u64 = 127;
/// Maximum bytes of a file name.
pub const MAX_FILE_NAME_BYTES: u64 = 255;
/// Maximum bytes of media: the longest sealed object without the tags of its 1 MiB chunks.
pub const MAX_MEDIA_BYTES: u64 = MAX_SEALED_BYTES - MAX_SEALED_BYTES / CHUNK_BYTES as u64 * 16;

/// Makes a leaf unguessable. An attacker who knows the leaf of a section, but not its salt, cannot test a guess of the
/// section's description.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Salt(#[serde(with = "hex_array")] [u8; 32]);

impl Salt {
    /// Generates a fresh salt. Use it for one section only.
    pub fn generate() -> Self {
        Self(random::bytes())
    }

    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The description of a section's content. All of it is secret: on chain it is always sealed, and
/// its `Debug` output shows only fields that reveal nothing about a patient.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    pub salt: Salt,
    pub kind: SectionKind,
    /// As registered with IANA, e.g. `application/fhir+json` or `application/dicom`.
    pub media_type: String,
    /// Name of the source file, without folders; may be empty.
    pub file_name: String,
    /// Bytes of the content.
    #[codec(compact)]
    pub content_length: u64,
    /// BLAKE3 of the content.
    #[serde(with = "hex_array")]
    pub content_root: [u8; 32],
    /// Where the frames are in the content, or why the author's client could not determine it. The default for a text.
    #[serde(default, skip_serializing_if = "Frames::is_default")]
    pub frames: Frames,
}

impl Description {
    /// Describes content in memory, with a fresh salt.
    pub fn of(
        kind: SectionKind,
        media_type: &str,
        file_name: &str,
        content: &[u8],
    ) -> Result<Self, FormatError> {
        let root = blake3::hash(content).into();
        Self::new(kind, media_type, file_name, content.len() as u64, root, Frames::default())
    }

    /// Describes content by its length, BLAKE3 hash and frames, with a fresh salt.
    pub fn new(
        kind: SectionKind,
        media_type: &str,
        file_name: &str,
        content_length: u64,
        content_root: [u8; 32],
        frames: Frames,
    ) -> Result<Self, FormatError> {
        let (media_type, file_name) = (media_type.to_owned(), file_name.to_owned());
        let described = Self {
            salt: Salt::generate(),
            kind,
            media_type,
            file_name,
            content_length,
            content_root,
            frames,
        };
        described.validate()?;
        Ok(described)
    }

    /// Checks the limits, and that the frames are within the content.
    pub fn validate(&self) -> Result<(), FormatError> {
        let limits = [
            ("a media type's length", self.media_type.len() as u64, MAX_MEDIA_TYPE_BYTES),
            ("a file name's length", self.file_name.len() as u64, MAX_FILE_NAME_BYTES),
            ("a section's length", self.content_length, MAX_MEDIA_BYTES),
        ];
        for (what, actual, limit) in limits {
            if actual > limit {
                return Err(FormatError::TooLarge { what, actual, limit });
            }
        }
        self.frames.validate(self.content_length)
    }

    /// Starts a check of content against this description.
    pub fn check(&self) -> ContentCheck {
        ContentCheck {
            length: self.content_length,
            root: self.content_root,
            hasher: blake3::Hasher::new(),
        }
    }
}

impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Description")
            .field("media_type", &self.media_type)
            .field("content_length", &self.content_length)
            .finish_non_exhaustive()
    }
}

/// Checks streamed content against a description.
pub struct ContentCheck {
    length: u64,
    root: [u8; 32],
    hasher: blake3::Hasher,
}

impl ContentCheck {
    pub fn update(&mut self, content: &[u8]) {
        self.hasher.update(content);
    }

    pub fn finish(self) -> Result<(), OpenError> {
        let right = self.hasher.count() == self.length && self.hasher.finalize() == self.root;
        if right { Ok(()) } else { Err(OpenError) }
    }
}
