//! Sealed objects: AES-256-GCM in the STREAM construction, in chunks that can be opened one by one.
//!
//! ```text
//! PRK        = HKDF-SHA256-Extract(salt, content key)
//! key        = Expand(PRK, "epione/object/key"        ‖ header without commitment)   32 bytes
//! prefix     = Expand(PRK, "epione/object/nonce"      ‖ header without commitment)    7 bytes
//! commitment = Expand(PRK, "epione/object/commitment" ‖ header without commitment)   32 bytes
//! nonce of chunk i = prefix ‖ be32(i) ‖ (1 for the last chunk, else 0)
//! AAD of each chunk = SHA-256(header)
//! sealed object = ciphertext of all chunks ‖ 16-byte tags of all chunks
//! ```
//!
//! The header is SCALE: `"epione/object"`, suite, object id, genesis, hospital, patient, record, section,
//! part, version (u32), chunk size (u32), plaintext length (u64), salt, commitment. Only its [`Parameters`] are stored.
//! The [`ObjectContext`] is **not stored**: it follows from where the object is found, and the object is bound to it.
//! In another context, the object does not open.
//!
//! GCM does not commit to its key, so the commitment is compared before anything is decrypted. The
//! tags are last, so byte ranges of ciphertext and plaintext are the same. An object is written once: changed content
//! needs a new salt and a new object id.
//!
//! The length of a plaintext is visible. [`SealedObject::seal_padded`] pads texts and descriptions, so that their
//! lengths have few values.

mod cipher;
mod layout;
mod open;
mod padding;
mod parameters;
mod seal;

pub use cipher::{ChunkCipher, DefaultCipher, PortableCipher};
pub use layout::Layout;
pub use open::ObjectOpener;
pub use parameters::{ObjectContext, Parameters, Part};
pub use seal::ObjectSealer;

use codec::{Decode, Encode, Error, Input, Output};
use epione_primitives::limits::{MAX_BODY_BYTES, MAX_SEGMENTS, SEGMENT_BYTES};
use zeroize::Zeroizing;

use crate::{FormatError, OpenError, SealError, keys::ContentKey, suite};

/// Plaintext bytes of a chunk. Only the last chunk of an object may be shorter.
pub const CHUNK_BYTES: u32 = 1 << 20;
/// Bytes of a chunk's tag.
pub const TAG_BYTES: u32 = 16;
/// Maximum bytes of a sealed object: all the segments that one lite block may name.
pub const MAX_SEALED_BYTES: u64 = MAX_SEGMENTS as u64 * SEGMENT_BYTES as u64;

/// A small sealed object, including its bytes: a text section, the description of media, a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedObject {
    parameters: Parameters,
    /// The parameters determine their number, so it is not stored.
    bytes: Vec<u8>,
}

impl SealedObject {
    pub fn seal(
        key: &ContentKey,
        context: &ObjectContext,
        plaintext: &[u8],
    ) -> Result<Self, SealError> {
        let mut sealer = ObjectSealer::new(key, context, plaintext.len() as u64)?;
        let limit = u64::from(MAX_BODY_BYTES);
        let actual = sealer.layout().sealed_length();
        if actual > limit {
            let what = "a sealed text";
            return Err(FormatError::TooLarge { what, actual, limit }.into());
        }
        let mut bytes = sealer.push(plaintext)?;
        let (parameters, rest) = sealer.finish()?;
        bytes.extend(rest);
        Ok(Self { parameters, bytes })
    }

    pub fn open(
        &self,
        key: &ContentKey,
        context: &ObjectContext,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        ObjectOpener::new(key, context, &self.parameters)?.open_whole(&self.bytes)
    }

    /// [`SealedObject::seal`] for a plaintext whose length is secret. Pads it to one of few lengths: to 256 bytes at
    /// least, and from there on by less than a sixteenth.
    pub fn seal_padded(
        key: &ContentKey,
        context: &ObjectContext,
        plaintext: &[u8],
    ) -> Result<Self, SealError> {
        Self::seal(key, context, &padding::pad(plaintext)?)
    }

    /// Opens what [`SealedObject::seal_padded`] sealed. Refuses any other padding.
    pub fn open_padded(
        &self,
        key: &ContentKey,
        context: &ObjectContext,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let padded = self.open(key, context)?;
        let plaintext = padding::unpad(&padded)?;
        Ok(Zeroizing::new(plaintext.to_vec()))
    }

    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The sealed bytes: ciphertext, then tags.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn decode_exactly(bytes: &[u8]) -> Result<Self, FormatError> {
        suite::decode_exactly::<1, _>("the sealed object", bytes, MAX_BODY_BYTES as usize)
    }
}

impl Encode for SealedObject {
    fn size_hint(&self) -> usize {
        self.parameters.size_hint() + self.bytes.len()
    }

    fn encode_to<O: Output + ?Sized>(&self, output: &mut O) {
        self.parameters.encode_to(output);
        output.write(&self.bytes);
    }
}

impl Decode for SealedObject {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let parameters = Parameters::decode(input)?;
        let length = parameters.layout().sealed_length();
        if length > u64::from(MAX_BODY_BYTES) {
            return Err("the sealed object is longer than the limit of a body".into());
        }
        Ok(Self { bytes: suite::read_bytes(input, length as usize)?, parameters })
    }
}
